//! Scenarios: which there are, and what came of them.

use world::scenario::Way;

use scenario::{
    done::{Done, End, Summary, Visited, quoted},
    play::Script,
};
use text::words::{count, duration};
use view::{
    Style,
    page::{Ink, Page, Piece, dim, piece, plain},
};

/// The scenarios, with what they show.
pub fn scenarios(scripts: &[Script], style: &Style) -> String {
    let mut page = Page::new(style);
    let mut file = "";
    for script in scripts {
        if script.file != file {
            if !file.is_empty() {
                page.gap();
            }
            file = &script.file;
            page.line(0, &[dim(file)]);
        }
        let scenario = &script.scenario;
        page.line(4, &[plain("  "), piece(Ink::Bold, &scenario.name)]);
        page.line(4, &[plain("    "), plain(&scenario.about)]);
        let mut faults: Vec<&str> = scenario.visit.iter().flat_map(|visit| scenario.faults_of(visit)).collect();
        faults.dedup();
        let stopped = scenario.stopped.iter().map(|host| format!("{host} stopped"));
        let state: Vec<String> = faults.into_iter().map(str::to_owned).chain(stopped).collect();
        let visits = count(scenario.visit.len(), "visit");
        let state = if state.is_empty() { visits } else { format!("{}; {visits}", state.join(", ")) };
        page.line(4, &[plain("    "), dim(state)]);
    }
    page.gap();
    page.line(0, &[plain(count(scripts.len(), "scenario"))]);
    page.into_text()
}

/// What came of one: a line, and where it is not as expected what was expected and what was seen.
pub fn scenario_done(done: &Done, style: &Style) -> String {
    let mut page = Page::new(style);
    let took = duration(u64::try_from(done.took.as_micros()).unwrap_or(u64::MAX));
    let took = match done.too_busy {
        0 => took,
        times => format!("{took}; played again: this machine was too busy to tell {}", count(times as usize, "time")),
    };
    let name = |mark: Piece, more: Piece| [mark, plain(" "), piece(Ink::Bold, &done.scenario.name), more];
    match &done.end {
        End::Skipped(why) => page.line(2, &name(dim("·"), dim(format!("  skipped: {why}")))),
        End::Broken(why) => {
            page.line(2, &name(piece(Ink::Bad, "✘"), dim(format!("  {took}"))));
            for line in why.lines() {
                page.line(6, &[plain("    "), plain(line)]);
            }
        }
        End::Played(visits) if done.is_ok() => {
            let waited: Vec<&str> = visits.iter().filter_map(|visit| visit.waited.as_deref()).collect();
            let waited = match waited.as_slice() {
                [] => String::new(),
                some => format!("; clocks put forward by {}{}", some.join(", "), for_good(done)),
            };
            page.line(2, &name(piece(Ink::Good, "✔"), dim(format!("  {took}{waited}"))));
        }
        End::Played(visits) => {
            let waited = if visits.iter().any(|visit| visit.waited.is_some()) { for_good(done) } else { "" };
            let waited = if waited.is_empty() { String::new() } else { format!("; clocks put forward{waited}") };
            page.line(2, &name(piece(Ink::Bad, "✘"), dim(format!("  {took}{waited}"))));
            visits.iter().filter(|visit| !visit.is_ok()).for_each(|visit| wrong(&mut page, done, visit));
        }
    }
    page.into_text()
}

/// A lab that runs keeps the time that it was put forward to.
fn for_good(done: &Done) -> &'static str {
    match done.way {
        Way::Running => ", for good",
        Way::Loopback | Way::Wire => "",
    }
}

/// Columns before what was expected and seen.
const INDENT: usize = 16;

fn wrong(page: &mut Page, done: &Done, visit: &Visited) {
    page.line(8, &[plain("    "), plain(visit.typed())]);
    for difference in &visit.differences {
        page.line(8, &[plain("      "), piece(Ink::Warn, &difference.what)]);
        page.line(INDENT + 2, &[dim("        expected  "), plain(&difference.expected)]);
        page.line(INDENT + 2, &[dim("        seen      "), plain(&difference.seen)]);
    }
    page.line(8, &[plain("    "), dim("to see it: "), plain(how_to_see(done, visit))]);
}

/// As one would type it: the visit, where it needs nothing but faults; else the scenario, whose screens JUnit has.
fn how_to_see(done: &Done, visit: &Visited) -> String {
    let way = if done.way == Way::Loopback { "VISIT_LAB=loopback " } else { "" };
    if done.scenario.is_momentary() {
        return format!("{way}{}", visit.typed());
    }
    let file = if done.file.starts_with('(') { String::new() } else { format!("{} ", quoted(&done.file)) };
    format!("{way}visit scenario {file}--only {} --junit -", quoted(&done.scenario.name))
}

/// How all went.
pub fn scenario_summary(summary: &Summary, style: &Style) -> String {
    let mut page = Page::new(style);
    let Summary { passed, failed, skipped, missing, took } = *summary;
    let took = duration(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    let of = |number: usize, ink: Ink, words: &str| (number > 0).then(|| piece(ink, format!("{number} {words}")));
    let parts: Vec<Piece> = [
        of(passed, Ink::Good, "as expected"),
        of(failed, Ink::Bad, "not as expected"),
        of(skipped, Ink::Dim, "skipped"),
        of(missing, Ink::Warn, "not played"),
    ]
    .into_iter()
    .flatten()
    .collect();
    let mut line = vec![plain(format!("{}: ", count(passed + failed + skipped + missing, "scenario")))];
    for (nth, part) in parts.into_iter().enumerate() {
        if nth > 0 {
            line.push(plain(", "));
        }
        line.push(part);
    }
    line.push(dim(format!(", in {took}")));
    page.gap();
    page.line(2, &line);
    page.into_text()
}

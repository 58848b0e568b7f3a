//! Two visits, or two series, side by side, for people.

use diagnosis::compare::{Change, Compared, Comparison, HopComparison, Pair, Side, StageComparison};
use journey::{StageName, StageState};

use super::{
    page::{Ink, Page, Piece, Style, dim, piece, plain},
    screen::Detail,
    words::{count, duration},
};

/// Columns of a stage's name.
const LABEL: usize = 10;
/// Columns of a time and its mark.
const TIME: usize = 12;
/// Columns of a fact's name.
const WHAT: usize = 25;

/// A comparison for people; `names` are those of the files.
pub fn comparison(comparison: &Comparison, names: [&str; 2], style: &Style, detail: Detail) -> String {
    let mut page = Page::new(style);
    let what = match comparison.of {
        Compared::Visits => "compare two visits",
        Compared::Series => "compare two series of visits",
    };
    page.line(0, &[plain(what)]);
    side(&mut page, "A", names[0], &comparison.a);
    side(&mut page, "B", names[1], &comparison.b);
    let caution = match comparison.of {
        Compared::Visits => {
            "one visit each: this is what these two did; what differs may be chance. To compare medians, save series: \
             -n 20 --save FILE"
        }
        Compared::Series => "times are p50 of the warm visits; in brackets of how many",
    };
    page.line(2, &[dim(format!("  {caution}"))]);
    if let Some(note) = &comparison.note {
        page.line(2, &[piece(Ink::Warn, format!("  {note}"))]);
    }
    // Both URLs and both verdicts stand above.
    let changed = comparison.facts.changed.iter().filter(|change| !matches!(change.what.as_str(), "url" | "verdict"));
    facts(&mut page, changed);
    for (nth, hop) in comparison.hops.iter().enumerate() {
        page.gap();
        if comparison.hops.len() > 1 {
            heading(&mut page, nth, hop);
        }
        if hop.a.is_some() && hop.b.is_some() {
            table(&mut page, hop, comparison, nth + 1 == comparison.hops.len());
        }
        facts(&mut page, hop.facts.changed.iter().filter(|change| change.what != "url"));
    }
    page.gap();
    same(&mut page, comparison, detail);
    page.into_text()
}

fn side(page: &mut Page, letter: &str, name: &str, side: &Side) {
    let visits = if side.verdict.is_some() { String::new() } else { format!("  {}", count(side.visits, "visit")) };
    page.line(
        4,
        &[
            piece(Ink::Bold, format!("  {letter} ")),
            plain(name),
            dim(": "),
            piece(Ink::Bold, &side.url),
            plain(visits),
            dim(format!("  {}", side.started_at)),
        ],
    );
    if let Some(verdict) = &side.verdict {
        let ink = if side.failed > 0 { Ink::Bad } else { Ink::Plain };
        page.line(4, &[piece(ink, format!("    {verdict}"))]);
    }
}

fn heading(page: &mut Page, nth: usize, hop: &HopComparison) {
    let what = if nth == 0 { "the first request".to_owned() } else { format!("redirect {nth}") };
    let line = match (&hop.a, &hop.b) {
        (Some(a), Some(b)) if a == b => vec![plain(format!("  {what} to ")), piece(Ink::Bold, a)],
        (Some(a), Some(b)) => {
            vec![plain(format!("  {what} to ")), piece(Ink::Bold, a), plain(" → "), piece(Ink::Bold, b)]
        }
        (Some(a), None) => vec![piece(Ink::Warn, format!("  {what} in A alone, to ")), piece(Ink::Bold, a)],
        (None, Some(b)) => vec![piece(Ink::Warn, format!("  {what} in B alone, to ")), piece(Ink::Bold, b)],
        (None, None) => vec![plain(format!("  {what} in neither"))],
    };
    page.line(4, &line);
}

fn table(page: &mut Page, hop: &HopComparison, comparison: &Comparison, last: bool) {
    let more = if is_wide(page) { format!("{:>TIME$}{:>9}", "B less A", "B by A") } else { String::new() };
    page.line(0, &[dim(format!("{:LABEL$}{:>TIME$}{:>TIME$}{more}", "", "A", "B"))]);
    let medians = comparison.of == Compared::Series;
    for stage in &hop.stages {
        let not_needed = |state: Option<StageState>| matches!(state, Some(StageState::Skipped) | None);
        if not_needed(stage.a_state) && not_needed(stage.b_state) && stage.times == Pair::default() {
            continue;
        }
        row(page, stage.stage.as_str(), Some(stage), &stage.times, medians);
    }
    if last {
        row(page, "in all", None, &comparison.total, medians);
    }
    for stage in &hop.stages {
        for (letter, failure) in [("A", &stage.a_failure), ("B", &stage.b_failure)] {
            if let Some(failure) = failure {
                let label = format!("  {:1$}", stage.stage.as_str(), LABEL - 2);
                page.line(LABEL + 2, &[plain(label), piece(Ink::Bad, format!("{letter} failed: {}", failure.what))]);
            }
        }
    }
}

/// Whether there is room for more than the two times.
fn is_wide(page: &Page) -> bool {
    page.style().width >= LABEL + 3 * TIME + 9
}

fn row(page: &mut Page, label: &str, stage: Option<&StageComparison>, times: &Pair, medians: bool) {
    let mut line = vec![
        plain(format!("  {label:0$}", LABEL - 2)),
        time(times.a_us, stage.and_then(|stage| stage.a_state)),
        time(times.b_us, stage.and_then(|stage| stage.b_state)),
    ];
    if let Some(us) = times.difference_us.filter(|_| is_wide(page)) {
        let sign = if us < 0 { "-" } else { "+" };
        line.push(plain(format!("{:>TIME$}", format!("{sign}{}", duration(us.unsigned_abs())))));
        if let Some(ratio) = times.ratio {
            line.push(dim(format!("{:>9}", by(ratio))));
        }
    }
    if medians {
        line.push(dim(format!("  ({}, {})", times.a_count, times.b_count)));
    }
    page.line(LABEL, &line);
}

fn by(ratio: f64) -> String {
    match ratio {
        ..10.0 => format!("×{ratio:.2}"),
        ..1_000.0 => format!("×{ratio:.0}"),
        _ => ">×1000".to_owned(),
    }
}

fn time(us: Option<u64>, state: Option<StageState>) -> Piece {
    let text = us.map_or_else(|| "-".to_owned(), duration);
    match state {
        Some(StageState::Failed) => piece(Ink::Bad, format!("{:>TIME$}", format!("✘ {text}"))),
        Some(StageState::NotReached) => dim(format!("{:>TIME$}", "not reached")),
        Some(StageState::Skipped) => dim(format!("{:>TIME$}", "skipped")),
        Some(StageState::Done) | None => plain(format!("{text:>TIME$}")),
    }
}

fn facts<'a>(page: &mut Page, changed: impl Iterator<Item = &'a Change>) {
    let mut before = None;
    let what = if is_wide(page) { WHAT } else { 0 };
    for change in changed {
        if before.is_none() {
            page.gap();
        }
        let stage = change.stage.map_or("", StageName::as_str);
        let label = if before == Some(stage) { "" } else { stage };
        before = Some(stage);
        let mut line = vec![plain(format!("  {label:0$}", LABEL - 2)), dim(format!("{:what$} ", change.what))];
        match (&change.a, &change.b) {
            (Some(a), Some(b)) => line.extend([plain(a), piece(Ink::Warn, " → "), plain(b)]),
            (Some(a), None) => line.extend([piece(Ink::Warn, "in A alone: "), plain(a)]),
            (None, Some(b)) => line.extend([piece(Ink::Warn, "in B alone: "), plain(b)]),
            (None, None) => {}
        }
        page.line(LABEL + 4, &line);
    }
}

fn same(page: &mut Page, comparison: &Comparison, detail: Detail) {
    let hops = comparison.hops.iter().flat_map(|hop| &hop.facts.same);
    let mut names: Vec<&str> = comparison.facts.same.iter().chain(hops).map(String::as_str).collect();
    let facts = count(names.len(), "fact");
    if !detail.verbose {
        page.line(2, &[dim(format!("  the same in both: {facts}; -v names them"))]);
        return;
    }
    names.dedup();
    page.line(2, &[dim(format!("  the same in both: {}", names.join(", ")))]);
}

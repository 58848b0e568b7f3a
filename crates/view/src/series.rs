//! Several visits of one URL, for people: the spread of every stage's times, what the visits had in common and what not,
//! and how many failed.

use std::net::IpAddr;

use diagnosis::series::{Counted, NamesFrom, Series, Spread, Times, Visit};
use journey::{StageName, stage::Handshake};

use super::{
    page::{Ink, Page, Style, dim, piece, plain},
    screen::{self, Detail},
    words::{count, duration},
};

/// Columns of the label.
const LABEL: usize = 12;
/// Columns of a time.
const TIME: usize = 9;
/// Columns before the bars: the label, four times and a number.
const BEFORE_BARS: usize = LABEL + 4 * TIME + 6 + 2;
/// Narrower bars would say nothing.
const NARROWEST_BAR: usize = 12;
/// More failures, servers or sets of addresses than these are counted, not shown.
const MOST: usize = 8;

/// A series for people.
pub fn series(series: &Series, style: &Style, detail: Detail) -> String {
    let mut page = Page::new(style);
    let times = if series.wanted == 1 { "once".to_owned() } else { format!("{} times", series.wanted) };
    page.line(6, &[plain("visit "), piece(Ink::Bold, &series.url), plain(format!("  {times}"))]);
    page.line(6, &[dim(format!("      {}", screen::place(&series.place)))]);
    screen::notes(&mut page, &series.place, &series.faults);
    if series.interval_us > 0 {
        page.line(6, &[dim(format!("      a pause of {} between them", duration(series.interval_us)))]);
    }
    if !series.visits.is_empty() {
        if !series.summary.stages.is_empty() {
            page.gap();
            table(&mut page, series);
        }
        page.gap();
        together(&mut page, series);
        let mut warnings: Vec<&str> = Vec::new();
        for warning in series.visits.iter().flat_map(|visit| &visit.warnings) {
            if !warnings.contains(&warning.as_str()) {
                warnings.push(warning);
            }
        }
        for warning in warnings {
            page.line(2, &[piece(Ink::Warn, format!("! {warning}"))]);
        }
        if detail.verbose {
            every_visit(&mut page, series);
        }
    }
    page.gap();
    verdict(&mut page, series);
    page.into_text()
}

fn table(page: &mut Page, series: &Series) {
    let warm = series.visits.len() - 1;
    let summary = &series.summary;
    let wide = page.style().width >= BEFORE_BARS;
    let first = if wide { format!("{:>TIME$}", "cold") } else { String::new() };
    let warm_columns = match (warm, wide) {
        (0, _) => "",
        (_, true) => "  warm p50      p95      max    of",
        (_, false) => "  warm p50      p95      max",
    };
    let heading = format!("{:LABEL$}{first}{warm_columns}", "");
    page.line(0, &[dim(heading.trim_end())]);
    let largest = summary.stages.iter().filter_map(|stage| stage.times.warm).map(|warm| warm.max_us).max();
    for stage in &summary.stages {
        let label = stage.stage.as_str();
        match &stage.not_observable {
            Some(why) if stage.times == Times::default() => {
                let line = [plain(format!("  {label:0$}", LABEL - 2)), dim(format!("not observable: {why}"))];
                page.line(LABEL, &line);
            }
            _ => row(page, label, &stage.times, largest, wide),
        }
    }
    if summary.total != Times::default() {
        row(page, "in all", &summary.total, None, wide);
    }
    caveats(page, series);
    let Some(largest) = largest else { return };
    page.gap();
    let few = if warm < 20 { " (of fewer than 20 times p95 is the largest)" } else { "" };
    let of = if wide { "; of: how many of them have that time" } else { "" };
    let text = format!("  cold: the first visit; warm: the others{of}; p50 and p95 by nearest rank{few}");
    page.line(2, &[dim(text)]);
    if bar_columns(page.style()).is_some() {
        let text = format!("  ─ from the smallest to the largest, █ p50; all bars from 0 to {}", duration(largest));
        page.line(2, &[dim(text)]);
    }
}

/// What the times are, where they are not those of the stages' names.
fn caveats(page: &mut Page, series: &Series) {
    let stages = &series.summary.stages;
    let mut lines: Vec<(&str, &str)> = Vec::new();
    for stage in stages.iter().filter(|stage| stage.times != Times::default()) {
        let told = [&stage.note, &stage.not_observable];
        lines.extend(told.into_iter().flatten().map(|what| (stage.stage.as_str(), what.as_str())));
    }
    if stages.iter().any(|stage| stage.stage == StageName::Close && stage.not_observable.is_some()) {
        lines.push(("in all", "without the close, which is not observable"));
    }
    if !lines.is_empty() {
        page.gap();
    }
    for (label, what) in lines {
        page.line(LABEL, &[dim(format!("  {label:0$}", LABEL - 2)), piece(Ink::Warn, what)]);
    }
}

fn bar_columns(style: Style) -> Option<usize> {
    style.width.checked_sub(BEFORE_BARS).filter(|columns| *columns >= NARROWEST_BAR)
}

fn row(page: &mut Page, label: &str, times: &Times, largest: Option<u64>, wide: bool) {
    let mut line = vec![plain(format!("  {label:0$}", LABEL - 2))];
    if wide {
        line.push(plain(format!("{:>TIME$}", times.cold_us.map_or_else(|| "-".to_owned(), duration))));
    }
    if let Some(warm) = times.warm {
        line.push(piece(Ink::Bold, format!("{:>TIME$}", duration(warm.p50_us))));
        line.push(plain(format!("{:>TIME$}{:>TIME$}", duration(warm.p95_us), duration(warm.max_us))));
        if wide {
            line.push(dim(format!("{:>6}", warm.count)));
        }
        if let (Some(largest), Some(columns)) = (largest, bar_columns(page.style())) {
            let (before, whisker, after) = bar(warm, largest, columns);
            line.push(dim(format!("  {}{}", " ".repeat(before), "─".repeat(whisker))));
            line.push(piece(Ink::Good, "█"));
            line.push(dim("─".repeat(after)));
        }
    }
    page.line(LABEL, &line);
}

/// Columns to leave free, and those of the line before and after the median's.
fn bar(spread: Spread, largest: u64, columns: usize) -> (usize, usize, usize) {
    let column = |us: u64| {
        let at = us as f64 / largest.max(1) as f64 * columns as f64;
        (at as usize).min(columns - 1)
    };
    // In a saved record anything may stand.
    let (first, middle, last) = (column(spread.min_us), column(spread.p50_us), column(spread.max_us));
    let first = first.min(middle);
    (first, middle - first, last.saturating_sub(middle))
}

/// What the visits had in common, and what not.
fn together(page: &mut Page, series: &Series) {
    let summary = &series.summary;
    let all = series.visits.len();
    let mut line = |label: &str, text: String| {
        if !text.is_empty() {
            page.line(LABEL, &[dim(format!("  {label:0$}", LABEL - 2)), plain(text)]);
        }
    };
    line("answers", each(&summary.statuses, all, ToString::to_string));
    line(
        "servers",
        each(&summary.servers, all, |server| match host(series, server.ip()) {
            Some(host) => format!("{server} {host}"),
            None => server.to_string(),
        }),
    );
    let sets = each(&summary.addresses, all, |ips| ips.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", "));
    line(
        "addresses",
        match summary.addresses.as_slice() {
            [] => String::new(),
            [_] => sets,
            _ => format!("they differed: {sets}"),
        },
    );
    line(
        "names",
        match summary.names_from.as_slice() {
            [] => String::new(),
            from => {
                let words = |from: &NamesFrom| match from {
                    NamesFrom::Cache => "from the resolver's cache".to_owned(),
                    NamesFrom::Servers => "from other servers".to_owned(),
                    NamesFrom::Both => "from its cache and other servers".to_owned(),
                };
                format!("{}, as the resolver reports", each(from, all, words))
            }
        },
    );
    let handshakes = summary.handshakes.iter().map(|counted| counted.count).fold(0, usize::saturating_add);
    line(
        "tls",
        each(&summary.handshakes, handshakes, |handshake| {
            match handshake {
                Handshake::Full => "a full handshake",
                Handshake::FullWithRetry => "a full handshake with a retry",
                Handshake::Resumed => "an earlier session resumed",
            }
            .to_owned()
        }),
    );
    let hops = series.visits.iter().map(|visit| visit.hops).max().unwrap_or(1);
    if hops > 1 {
        line("redirects", format!("up to {} requests in a visit; a stage's time is that of all of them", hops));
    }
}

/// Each with how often it was seen; where that is always, just what was seen.
fn each<T>(counted: &[Counted<T>], all: usize, words: impl Fn(&T) -> String) -> String {
    let mut texts: Vec<String> = counted
        .iter()
        .take(MOST)
        .map(|one| match one.count == all {
            true => format!("{} in all", words(&one.what)),
            false => format!("{} in {}", words(&one.what), one.count),
        })
        .collect();
    if let Some(more @ 1..) = counted.len().checked_sub(MOST) {
        texts.push(format!("{more} more"));
    }
    texts.join("; ")
}

fn host(series: &Series, ip: IpAddr) -> Option<&str> {
    journey::host_of(&series.hosts, ip)
}

fn every_visit(page: &mut Page, series: &Series) {
    page.gap();
    page.line(2, &[piece(Ink::Bold, "Every visit")]);
    for (nth, visit) in series.visits.iter().enumerate() {
        let (mark, ink) = match visit.status {
            _ if visit.failed() => ("✘", Ink::Bad),
            Some(400..) => ("!", Ink::Warn),
            _ => ("✔", Ink::Good),
        };
        let line = [dim(format!("{:>6} ", nth + 1)), piece(ink, mark), plain(format!(" {}", visit.verdict))];
        page.line_with_right(9, &line, &dim(duration(visit.total_us)));
    }
}

fn verdict(page: &mut Page, series: &Series) {
    let (made, summary) = (series.visits.len(), &series.summary);
    if series.interrupted {
        let made = match made {
            0 => "before the first visit was over".to_owned(),
            made => format!("after {}", count(made, "visit")),
        };
        page.line(2, &[piece(Ink::Warn, format!("  interrupted {made}, of {} wanted", series.wanted))]);
        if series.visits.is_empty() {
            return;
        }
    }
    if summary.failed == 0 {
        let line = [piece(Ink::Good, "✔ "), piece(Ink::Bold, none_failed(made)), plain(median(&summary.total))];
        page.line(2, &line);
        return;
    }
    let what = format!("{} of {} failed.", summary.failed, count(made, "visit"));
    page.line(2, &[piece(Ink::Bad, "✘ "), piece(Ink::Bold, what), plain(median(&summary.total))]);
    for group in summary.failures.iter().take(MOST) {
        let first = if group.count == 1 { "visit" } else { "first in visit" };
        page.line(
            9,
            &[
                piece(Ink::Bad, format!("{:>6}× ", group.count)),
                plain(&group.verdict),
                dim(format!("  {first} {}", group.first)),
            ],
        );
    }
    if let Some(more @ 1..) = summary.failures.len().checked_sub(MOST) {
        page.line(9, &[dim(format!("{:8}and in {} more", "", count(more, "way")))]);
    }
    if let Some(code) = series.visits.iter().find(|visit| visit.failed()).map(exit_code) {
        page.line(2, &[dim(format!("  exit code {}", if series.interrupted { 130 } else { code }))]);
    }
}

fn exit_code(visit: &Visit) -> u8 {
    visit.exit_code
}

fn none_failed(made: usize) -> String {
    match made {
        1 => "The visit did not fail.".to_owned(),
        made => format!("None of {} failed.", count(made, "visit")),
    }
}

fn median(total: &Times) -> String {
    total.warm.map_or_else(String::new, |warm| format!("  p50 {} in all", duration(warm.p50_us)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars() {
        let spread = |min_us, p50_us, max_us| Spread { count: 3, min_us, p50_us, p95_us: max_us, max_us };
        assert_eq!(bar(spread(0, 50, 100), 100, 10), (0, 5, 4));
        assert_eq!(bar(spread(10, 10, 10), 100, 10), (1, 0, 0));
        assert_eq!(bar(spread(0, 0, 0), 0, 10), (0, 0, 0));
        // No order is relied on.
        assert_eq!(bar(spread(90, 50, 10), 100, 10), (5, 0, 0));
        assert_eq!(bar(spread(u64::MAX, u64::MAX, u64::MAX), 1, 10), (9, 0, 0));
    }
}

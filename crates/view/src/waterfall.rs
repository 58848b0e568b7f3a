//! The stages on one time line, and below them what the other hosts did meanwhile.

use journey::{Event, Evidence, Hop, Journey, StageState, What, evidence::Placed};

use super::{
    page::{Ink, Page, dim, piece, plain, width},
    words,
};

/// Columns of the stage's name.
const LABEL: usize = 11;
/// Eighths of a block, for bars finer than a column.
const EIGHTHS: [char; 8] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'];

/// A bar for every stage that has a time, each where it was on the hop's time line.
pub(super) fn waterfall(page: &mut Page, journey: &Journey, hop: &Hop) {
    let timed: Vec<_> = hop.stages.iter().filter_map(|s| Some((s, s.start_us?, s.duration_us?))).collect();
    let Some((begin, end)) = hop.span_us() else { return };
    if timed.len() < 2 {
        // One bar over the whole width would say nothing.
        return;
    }
    page.gap();
    let span = (end - begin).max(1);
    let columns = page.style().width.saturating_sub(LABEL + 2);
    let last = words::duration(end - begin);
    let ruler = columns.saturating_sub(width("0") + width(&last));
    page.line(0, &[dim(format!("{:LABEL$}0{}{last}", "", " ".repeat(ruler)))]);
    let unicode = page.style().unicode;
    for (stage, start, duration) in timed {
        let ink = match stage.state {
            StageState::Failed => Ink::Bad,
            _ => Ink::Good,
        };
        let (before, bar) = bar(start - begin, duration, span, columns, unicode);
        page.line(
            0,
            &[plain(format!("  {:1$}", stage.name().as_str(), LABEL - 2)), plain(" ".repeat(before)), piece(ink, bar)],
        );
    }
    for lane in lanes(journey, hop) {
        let (before, line) = lane.drawn(begin, span, columns, unicode);
        let host: String = lane.host.chars().take(LABEL - 3).collect();
        page.line(
            0,
            &[piece(Ink::Host, format!("  {host:0$}", LABEL - 2)), plain(" ".repeat(before)), piece(Ink::Host, line)],
        );
    }
}

/// What a host did meanwhile, as it reports: from its first event to its last, and the spans in which it had something
/// to answer.
struct Lane<'a> {
    host: &'a str,
    first: u64,
    last: u64,
    busy: Vec<(u64, u64)>,
}

/// A lane for each host whose events can be placed on this machine's clock; those that are known by their order alone
/// have no place on a time line.
fn lanes<'a>(journey: &'a Journey, hop: &Hop) -> Vec<Lane<'a>> {
    let mut lanes: Vec<Lane<'a>> = Vec::new();
    for event in journey.events.iter().filter(|event| is_placed(event) && hop.holds(event.at_us)) {
        let at = event.at_us.and_then(|at| u64::try_from(at).ok()).unwrap_or(0);
        let lane = match lanes.iter_mut().position(|lane| lane.host == event.host) {
            Some(nth) => &mut lanes[nth],
            None => lanes.push_mut(Lane { host: &event.host, first: at, last: at, busy: Vec::new() }),
        };
        lane.last = lane.last.max(at);
        if let What::AnswerSent { elapsed_us, .. } | What::ResponseWritten { elapsed_us, .. } = event.what {
            lane.busy.push((at.saturating_sub(elapsed_us), at));
        }
    }
    lanes
}

fn is_placed(event: &Event) -> bool {
    matches!(event.evidence, Evidence::Reported { placed: Placed::Clock, .. })
}

impl Lane<'_> {
    /// How many columns to leave free, and the line.
    fn drawn(&self, begin: u64, span: u64, columns: usize, unicode: bool) -> (usize, String) {
        let (quiet, busy) = if unicode { ('·', '▬') } else { ('.', '=') };
        let column = |us: u64| {
            let place = us.saturating_sub(begin) as f64 / span as f64 * columns as f64;
            (place as usize).min(columns.saturating_sub(1))
        };
        let (first, last) = (column(self.first), column(self.last));
        let is_busy = |at: usize| self.busy.iter().any(|(from, to)| (column(*from)..=column(*to)).contains(&at));
        (first, (first..=last).map(|at| if is_busy(at) { busy } else { quiet }).collect())
    }
}

/// How many columns to leave free, and the bar. A stage that took any time at all can be seen.
fn bar(start: u64, duration: u64, span: u64, columns: usize, unicode: bool) -> (usize, String) {
    let scale = |us: u64| us as f64 / span as f64 * columns as f64;
    let from = scale(start);
    let before = (from as usize).min(columns.saturating_sub(1));
    // The end decides the length, so that one stage's bar ends where the next one's begins.
    let long = (scale(start.saturating_add(duration)) - before as f64).clamp(0.0, (columns - before) as f64);
    if !unicode {
        return (before, "#".repeat((long.round() as usize).max(1)));
    }
    let eighths = ((long * 8.0).round() as usize).max(1);
    let mut bar = "█".repeat(eighths / 8);
    if !eighths.is_multiple_of(8) {
        bar.push(EIGHTHS[eighths % 8 - 1]);
    }
    (before, bar)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars() {
        assert_eq!(bar(0, 50, 100, 10, true), (0, "█████".to_owned()));
        assert_eq!(bar(99, 1, 100, 10, true), (9, "█".to_owned()));
        assert_eq!(bar(0, 0, 100, 10, true), (0, "▏".to_owned()));
        assert_eq!(bar(100, 0, 100, 10, true), (9, "█".to_owned()));
        assert_eq!(bar(50, 50, 100, 10, false), (5, "#####".to_owned()));
    }
}

//! The stages on one time line.

use journey::{Hop, StageState};

use super::{
    page::{Ink, Page, dim, piece, plain, width},
    words,
};

/// Columns of the stage's name.
const LABEL: usize = 10;
/// Eighths of a block, for bars finer than a column.
const EIGHTHS: [char; 8] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'];

/// A bar for every stage that has a time, each where it was on the hop's time line.
pub(super) fn waterfall(page: &mut Page, hop: &Hop) {
    let timed: Vec<_> = hop.stages.iter().filter_map(|s| Some((s, s.start_us?, s.duration_us?))).collect();
    let (Some(begin), Some(end)) = (timed.iter().map(|t| t.1).min(), timed.iter().map(|t| t.1 + t.2).max()) else {
        return;
    };
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
}

/// How many columns to leave free, and the bar. A stage that took any time at all can be seen.
fn bar(start: u64, duration: u64, span: u64, columns: usize, unicode: bool) -> (usize, String) {
    let scale = |us: u64| us as f64 / span as f64 * columns as f64;
    let from = scale(start);
    let before = (from as usize).min(columns.saturating_sub(1));
    // The end decides the length, so that one stage's bar ends where the next one's begins.
    let long = (scale(start + duration) - before as f64).clamp(0.0, (columns - before) as f64);
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

//! Sections as aligned plain text.

use crate::{
    section::{Found, Limit, Row, Section, Verdict},
    stats::Summary,
};

/// The section as a table; every line ends with a line feed.
pub(crate) fn table(section: &Section) -> String {
    let mut text = format!("{}: {}\n", section.part, section.title);
    for note in &section.notes {
        text.push_str(&wrapped(note));
    }
    let ratio = section.peer.as_ref().map_or_else(|| "ratio".to_owned(), |peer| format!("÷ {peer}"));
    let head = ["measure", "of", "unit", "n", "min", "median", "max", &ratio, "budget (median)"];
    let mut lines = vec![Line::Cells(head.map(str::to_owned))];
    let mut last = "";
    for row in &section.rows {
        // The measure stands once above the programs that it was taken of.
        let measure = if row.measure == last { "" } else { &row.measure };
        lines.push(line(section, row, measure));
        last = &row.measure;
    }
    text + &aligned(&lines)
}

/// One line of a table.
enum Line {
    /// A cell for every column.
    Cells([String; COLUMNS]),
    /// Only measure and program, then text across what is left.
    Remark([String; 2], String),
}

const COLUMNS: usize = 9;
/// Of the notes; the tables are about as wide.
const WIDTH: usize = 100;
/// These columns hold text and begin at the left; the others hold numbers and end at the right.
const LEFT: [usize; 4] = [0, 1, 2, 8];

fn line(section: &Section, row: &Row, measure: &str) -> Line {
    let budget = budget(section, row);
    let remark = match &row.found {
        Found::Measured { .. } => None,
        Found::Skipped { why } => Some(format!("skipped: {why}")),
        Found::Failed { why } => Some(format!("FAILED: {why}")),
    };
    match (row.summary(), remark) {
        (Some(summary), None) => {
            let places = places(&summary);
            let number = |value| format!("{value:.places$}");
            Line::Cells([
                measure.to_owned(),
                row.of.clone(),
                row.unit.clone(),
                summary.n.to_string(),
                number(summary.min),
                number(summary.median),
                number(summary.max),
                section.ratio(row).map_or_else(String::new, |ratio| format!("{ratio:.2}")),
                budget,
            ])
        }
        (_, remark) => {
            let remark = remark.unwrap_or_else(|| "FAILED: no sample".to_owned());
            let remark = if budget.is_empty() { remark } else { format!("{remark}; {budget}") };
            Line::Remark([measure.to_owned(), row.of.clone()], remark)
        }
    }
}

fn budget(section: &Section, row: &Row) -> String {
    let (Some(limit), Some(verdict)) = (row.limit, section.verdict(row)) else { return String::new() };
    let limit = match limit {
        Limit::Most(limit) => format!("≤ {limit} {}", row.unit),
        Limit::TimesPeer(times) => format!("≤ {times:.2} × {}", section.peer.as_deref().unwrap_or("?")),
    };
    match verdict {
        Verdict::Within => format!("within {limit}"),
        Verdict::Over => format!("OVER {limit}"),
        Verdict::NotJudged => format!("not judged {limit}"),
    }
}

/// Places after the point: three digits that matter in the median, and none where all are whole.
fn places(summary: &Summary) -> usize {
    let whole = [summary.min, summary.median, summary.max].iter().all(|value| value.fract() == 0.0);
    match summary.median.abs() {
        median if whole || median >= 100.0 => 0,
        median if median >= 10.0 => 1,
        _ => 2,
    }
}

/// A note in lines that a terminal has room for.
fn wrapped(note: &str) -> String {
    let mut text = String::new();
    let mut line = String::from(" ");
    for word in note.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > WIDTH {
            text.push_str(&line);
            text.push('\n');
            line = String::from("   ");
        }
        line.push(' ');
        line.push_str(word);
    }
    text + &line + "\n"
}

fn aligned(lines: &[Line]) -> String {
    let mut widths = [0; COLUMNS];
    for line in lines {
        let cells: &[String] = match line {
            Line::Cells(cells) => cells,
            Line::Remark(cells, _) => cells,
        };
        for (width, cell) in widths.iter_mut().zip(cells) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let pad = |column: usize, cell: &str| {
        let width = widths[column];
        if LEFT.contains(&column) { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
    };
    let mut text = String::new();
    for line in lines {
        let (cells, rest): (&[String], &str) = match line {
            Line::Cells(cells) => (cells, ""),
            Line::Remark(cells, rest) => (cells, rest),
        };
        let padded = cells.iter().enumerate().map(|(column, cell)| pad(column, cell));
        let padded: Vec<String> = padded.chain([rest.to_owned()]).collect();
        text.push_str(format!("  {}", padded.join("  ")).trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::section::tests::{row, section};

    #[test]
    fn a_table() {
        let mut rows = vec![
            row("nameserver", &[5.0, 6.0, 5.5], Some(Limit::TimesPeer(1.0))),
            row("named", &[8.5, 10.0], None),
            row("nsd", &[], None),
        ];
        let mut memory = row("nameserver", &[1234.5], Some(Limit::Most(30.0)));
        memory.measure = "memory".into();
        rows.push(memory);
        let expected = "\
dns: a title
  a note
  measure        of          unit  n   min  median    max  ÷ named  budget (median)
  CPU per query  nameserver  µs    3  5.00    5.50   6.00     0.59  within ≤ 1.00 × named
                 named       µs    2  8.50    9.25  10.00
                 nsd         skipped: apt-get install nsd
  memory         nameserver  µs    1  1234    1234   1234           OVER ≤ 30 µs
";
        assert_eq!(table(&section(rows)), expected);
    }

    #[test]
    fn places_after_the_point() {
        let check = |samples: &[f64], expected| assert_eq!(places(&Summary::of(samples).unwrap()), expected);
        check(&[0.0, 0.0, 7.0], 0);
        check(&[0.0, 0.5], 2);
        check(&[5.25, 12.5, 13.0], 1);
        check(&[99.5, 100.5, 1e6], 0);
    }

    #[test]
    fn notes_are_wrapped() {
        let note = "word ".repeat(25);
        let text = wrapped(&note);
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert_eq!(text.split_whitespace().count(), 25);
        assert!(text.lines().nth(1).unwrap().starts_with("    word"));
    }

    #[test]
    fn without_its_peer_a_budget_is_not_judged() {
        let rows = vec![row("nameserver", &[5.0], Some(Limit::TimesPeer(1.0))), row("named", &[], None)];
        assert!(table(&section(rows)).contains("not judged ≤ 1.00 × named"));
        let rows = vec![row("nameserver", &[], Some(Limit::Most(1.0)))];
        assert!(table(&section(rows)).contains("skipped: apt-get install nameserver; not judged ≤ 1 µs"));
    }
}

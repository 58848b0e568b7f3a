//! `--report`: what each fault came to, as a table in Markdown that two runs write alike.

use std::fmt::Write;

use world::{fault::Fault, scenario::Way};

use super::done::{Done, End, Visited};
use crate::report::clean;

/// A row for every visit that met faults, in the order of the scenarios; then what was skipped, and what was not as expected.
pub fn markdown(done: &[Done]) -> String {
    let mut text =
        String::from("| fault | host | verdict | exit code | stages that finished |\n|---|---|---|---|---|\n");
    let (mut skipped, mut failed) = (Vec::new(), Vec::new());
    for done in done {
        match &done.end {
            End::Played(visits) => {
                for visit in visits.iter().filter(|visit| !visit.faults.is_empty()) {
                    row(&mut text, visit);
                }
            }
            End::Skipped(why) => skipped.push(format!("- {}: {}\n", cell(&done.scenario.name), cell(why))),
            End::Broken(_) => {}
        }
        if !done.is_ok() {
            failed.push(format!("- {}\n", cell(&done.scenario.name)));
        }
    }
    let way = done.first().map_or("", |done| match done.way {
        Way::Loopback => "in labs on loopback",
        Way::Wire => "in labs with a network of their own",
        Way::Running => "in a lab that runs elsewhere",
    });
    // Nothing can fail that writes to a string.
    let _ = write!(text, "\n{} scenarios, played {way}.\n", done.len());
    for (title, lines) in [("Not as expected", failed), ("Skipped", skipped)] {
        if !lines.is_empty() {
            let _ = write!(text, "\n{title}:\n\n{}", lines.concat());
        }
    }
    text
}

fn row(text: &mut String, visit: &Visited) {
    let split = |fault: &String| match fault.parse::<Fault>() {
        Ok(parsed) => {
            let place = parsed.place.to_string();
            let rest = fault.strip_prefix(&place).and_then(|rest| rest.strip_prefix(':')).unwrap_or(fault);
            (format!("`{rest}`"), place)
        }
        Err(_) => (format!("`{fault}`"), String::new()),
    };
    let (faults, hosts): (Vec<_>, Vec<_>) = visit.faults.iter().map(split).unzip();
    let stages = if visit.stages.is_empty() { "—".to_owned() } else { visit.stages.join(" ") };
    let _ = writeln!(
        text,
        "| {} | {} | {} | {} | {stages} |",
        faults.join(", "),
        hosts.join(", "),
        cell(&masked(&visit.verdict)),
        visit.exit
    );
}

/// Text within a cell.
fn cell(text: &str) -> String {
    // What peers sent is in it: it is to be read as text, and not to become links, images or markup.
    let flat = clean(&text.split_whitespace().collect::<Vec<_>>().join(" "));
    let mut cell = String::with_capacity(flat.len());
    for c in flat.chars() {
        match c {
            '&' => cell.push_str("&amp;"),
            '<' => cell.push_str("&lt;"),
            '>' => cell.push_str("&gt;"),
            '\\' | '|' | '[' | ']' | '(' | ')' | '!' | '*' | '_' | '`' | '~' | '#' => cell.extend(['\\', c]),
            c => cell.push(c),
        }
    }
    cell
}

/// Without what differs from one run to the next: measured times, and ports of the kernel's choice on loopback.
pub fn masked(text: &str) -> String {
    let mut masked = String::new();
    let mut rest = text;
    while let Some(begin) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, from) = rest.split_at(begin);
        let end = from.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(from.len());
        let (mut number, mut behind) = from.split_at(end);
        // A full stop ends a sentence.
        if let Some(shorter) = number.strip_suffix('.') {
            (number, behind) = (shorter, &from[shorter.len()..]);
        }
        masked.push_str(before);
        masked.push_str(if is_time(number, behind) || is_port(number, &masked) { "…" } else { number });
        rest = behind;
    }
    masked + rest
}

/// Whole seconds are limits that somebody set; what was measured has a fraction, or is shorter.
fn is_time(number: &str, behind: &str) -> bool {
    let behind = behind.trim_start_matches([' ', '\u{a0}']);
    let unit =
        |unit: &str| behind.strip_prefix(unit).is_some_and(|more| !more.starts_with(|c: char| c.is_alphanumeric()));
    unit("ms") || unit("µs") || unit("us") || (unit("s") && number.contains('.'))
}

fn is_port(number: &str, before: &str) -> bool {
    let after_loopback = before.ends_with("127.0.0.1:") || before.ends_with("[::1]:");
    after_loopback && number.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_varies_is_masked() {
        let check = |text: &str, expected: &str| assert_eq!(masked(text), expected);
        check("answered after 3.41 ms. Then 12 µs", "answered after … ms. Then … µs");
        check("no answer within 10 s from 10.78.2.31:53", "no answer within 10 s from 10.78.2.31:53");
        check("it took 1.02 s at 127.0.0.1:40123.", "it took … s at 127.0.0.1:….");
        check("HTTP/1.1 503, 2 servers", "HTTP/1.1 503, 2 servers");
        check("", "");
    }

    #[test]
    fn one_cell() {
        assert_eq!(cell("a|b\n c `d`"), "a\\|b c \\`d\\`");
        assert_eq!(cell("![x](http://e/?a&b) <b> *_~#"), "\\!\\[x\\]\\(http://e/?a&amp;b\\) &lt;b&gt; \\*\\_\\~\\#");
        assert_eq!(cell("a\u{1b}[2J\u{202e}b"), "a\\u{1b}\\[2J\\u{202e}b".replace("\\u", "\\\\u"));
    }
}

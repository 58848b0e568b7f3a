//! `--report`: what each fault came to, as tables in Markdown that two runs write alike.

use std::{collections::BTreeSet, fmt::Write};

use journey::Cause;
use world::{
    fault::{Fault, Place, Role},
    scenario::Way,
};

use crate::{
    done::{Done, End, Visited, quoted},
    mask::masked,
};
use text::clean;

/// The parts of a report, and which faults are in each; the last one has all others.
const PARTS: [(&str, Option<Role>); 5] = [
    ("Name servers", Some(Role::Nameserver)),
    ("The resolver", Some(Role::Resolver)),
    ("Application servers", Some(Role::App)),
    ("The network", Some(Role::Wire)),
    ("Elsewhere", None),
];

const HEAD: &str =
    "| fault | at | exit code | what is found | verdict | stages that finished |\n|---|---|---|---|---|---|\n";

/// A row for every visit that met faults, in the order of the scenarios, by the part of the world that the first of its
/// faults is in; then what was skipped, and what was not as expected. `command` is what made it, and `role` says what plays
/// at a host.
pub fn markdown(done: &[Done], command: &[String], role: impl Fn(&str) -> Option<Role>) -> String {
    let mut text = preface(done, command);
    let visits = done.iter().flat_map(|done| match &done.end {
        End::Played(visits) => visits.as_slice(),
        End::Skipped(_) | End::Broken(_) => &[],
    });
    let rows: Vec<(Option<Role>, String)> =
        visits.filter(|visit| !visit.faults.is_empty()).map(|visit| (part(visit, &role), row(visit))).collect();
    for (title, of) in PARTS {
        let rows: String = rows.iter().filter(|(part, _)| *part == of).map(|(_, row)| row.as_str()).collect();
        if !rows.is_empty() {
            add(&mut text, format_args!("\n## {title}\n\n{HEAD}{rows}"));
        }
    }
    let failed = done.iter().filter(|done| !done.is_ok()).map(|done| format!("- {}\n", cell(&done.scenario.name)));
    let skipped = done.iter().filter_map(|done| match &done.end {
        End::Skipped(why) => Some(format!("- {}: {}\n", cell(&done.scenario.name), cell(why))),
        End::Played(_) | End::Broken(_) => None,
    });
    for (title, lines) in [("Not as expected", failed.collect::<String>()), ("Skipped", skipped.collect())] {
        if !lines.is_empty() {
            add(&mut text, format_args!("\n## {title}\n\n{lines}"));
        }
    }
    text
}

fn preface(done: &[Done], command: &[String]) -> String {
    let way = done.first().map_or("", |done| match done.way {
        Way::Loopback => "each in a lab of its own on loopback",
        Way::Wire => "each in a lab with a network of its own",
        Way::Running => "one after the other in a lab that runs elsewhere",
    });
    let command = command.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ");
    let mut text = String::from("# Faults, and what is found\n\n");
    add(
        &mut text,
        format_args!(
            "What a visit says when something is broken: a row is a visit, with the faults that were set for it, what was found \
             to be at fault and at which host, and the verdict on the screen. Where the visit reached its server all the same, \
             the verdict is followed by what was found besides. Nothing of this is written by hand: it came of {} scenarios, \
             played {way}, and `{command}` makes it anew. A … stands for what differs from one run to the next.\n",
            done.len()
        ),
    );
    text
}

/// Nothing can fail that writes to a string.
fn add(text: &mut String, more: std::fmt::Arguments<'_>) {
    let _ = text.write_fmt(more);
}

fn part(visit: &Visited, role: &impl Fn(&str) -> Option<Role>) -> Option<Role> {
    let first = visit.faults.first()?.parse::<Fault>().ok()?;
    match first.place {
        Place::Wire => Some(Role::Wire),
        // `auth` is auth1 and auth2.
        Place::Host(name) => role(&name).or_else(|| role(&format!("{name}1"))),
    }
}

fn row(visit: &Visited) -> String {
    let (mut faults, mut places) = (Vec::new(), Vec::new());
    for fault in &visit.faults {
        let place = fault.parse::<Fault>().map(|parsed| parsed.place.to_string()).unwrap_or_default();
        let rest = fault.strip_prefix(&place).and_then(|rest| rest.strip_prefix(':')).unwrap_or(fault);
        faults.push(format!("`{rest}`"));
        if !places.contains(&place) {
            places.push(place);
        }
    }
    let found = found(&visit.causes);
    let none_for_empty = |text: String| if text.is_empty() { "—".to_owned() } else { text };
    format!(
        "| {} | {} | {} | {} | {} | {} |\n",
        faults.join(", "),
        places.join(", "),
        visit.exit,
        none_for_empty(found),
        cell(&masked(&said(visit))),
        none_for_empty(visit.stages.join(" ")),
    )
}

/// What was found, and at which hosts, in the order in which it was found to matter.
fn found(causes: &[Cause]) -> String {
    let mut found: Vec<(String, BTreeSet<&str>)> = Vec::new();
    for cause in causes {
        let trouble = serde_json::to_value(cause.trouble).unwrap_or_default();
        let trouble = trouble.as_str().unwrap_or_default();
        let known = found.iter().position(|(known, _)| known == trouble);
        let nth = known.unwrap_or_else(|| {
            found.push((trouble.to_owned(), BTreeSet::new()));
            found.len() - 1
        });
        found[nth].1.extend(cause.host.as_deref());
    }
    let in_words = |(trouble, hosts): (String, BTreeSet<&str>)| {
        let hosts = hosts.into_iter().collect::<Vec<_>>().join(", ");
        if hosts.is_empty() { format!("`{trouble}`") } else { format!("`{trouble}` at {hosts}") }
    };
    found.into_iter().map(in_words).collect::<Vec<_>>().join("; ")
}

/// The verdict, and what was found besides where the visit did not fail.
fn said(visit: &Visited) -> String {
    let besides: Vec<&str> =
        visit.causes.iter().filter(|cause| !cause.broke).map(|cause| cause.what.as_str()).collect();
    let has_failed = visit.causes.iter().any(|cause| cause.broke);
    match besides.is_empty() || has_failed {
        true => visit.verdict.clone(),
        false => format!("{} Besides: {}.", visit.verdict, besides.join("; ")),
    }
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
            // Without brackets there is no link and no image.
            '\\' | '|' | '[' | ']' | '*' | '_' | '`' | '~' => cell.extend(['\\', c]),
            c => cell.push(c),
        }
    }
    cell
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use journey::{Sure, Trouble};
    use serde_json::Value;

    use super::*;

    fn cause(trouble: Trouble, host: &str, broke: bool, what: &str) -> Cause {
        Cause {
            trouble,
            host: Some(host.to_owned()),
            broke,
            what: what.to_owned(),
            basis: Vec::new(),
            sure: Sure::Certain,
            would_tell: None,
            next: None,
        }
    }

    fn visited(faults: &[&str], exit: u8, verdict: &str, causes: Vec<Cause>) -> Visited {
        Visited {
            args: vec!["a".to_owned()],
            faults: faults.iter().map(ToString::to_string).collect(),
            waited: None,
            expected: Value::Null,
            differences: Vec::new(),
            exit,
            verdict: verdict.to_owned(),
            causes,
            stages: vec!["url"],
            screen: String::new(),
            journey: None,
            took: Duration::ZERO,
        }
    }

    #[test]
    fn rows() {
        let servfail = |host: &str| cause(Trouble::DnsServerFailure, host, true, "");
        let slow = cause(Trouble::DnsSlow, "root", false, "root (10.78.2.10) took long: 230 ms");
        let visit = visited(&["auth:servfail"], 6, "It failed.", vec![servfail("auth2"), servfail("auth1")]);
        assert_eq!(
            row(&visit),
            "| `servfail` | auth | 6 | `dns_server_failure` at auth1, auth2 | It failed. | url |\n"
        );
        let visit = visited(&["root:truncate", "root:slow=1s"], 0, "Reached.", vec![slow]);
        assert_eq!(
            row(&visit),
            "| `truncate`, `slow=1s` | root | 0 | `dns_slow` at root | Reached. Besides: root took long: … ms. | url |\n"
        );
        assert!(row(&visited(&["app1:cut"], 18, "It was cut.", Vec::new())).contains("| 18 | — |"));
    }

    #[test]
    fn parts() {
        let role = |host: &str| world::fault::role_of(world::World::built_in().hosts.get(host)?);
        let part = |fault: &str| part(&visited(&[fault], 0, "", Vec::new()), &role);
        assert_eq!(part("auth:drop"), Some(Role::Nameserver));
        assert_eq!(part("wire:loss,at=app1"), Some(Role::Wire));
        assert_eq!(part("web7:cut"), None);
    }

    #[test]
    fn one_cell() {
        assert_eq!(cell("a|b\n c `d`"), "a\\|b c \\`d\\`");
        assert_eq!(cell("![x](http://e/?a&b) <b> *_~#"), "!\\[x\\](http://e/?a&amp;b) &lt;b&gt; \\*\\_\\~#");
        assert_eq!(cell("a\u{1b}[2J\u{202e}b"), "a\\u{1b}\\[2J\\u{202e}b".replace("\\u", "\\\\u"));
    }
}

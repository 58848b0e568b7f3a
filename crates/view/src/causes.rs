//! What a verdict stands on, and what went wrong besides.

use std::collections::BTreeSet;

use journey::{Basis, Cause, Journey, Sure, Trouble, chronicle::YOU};

use super::{
    page::{Ink, Page, dim, piece, plain},
    words::and,
};

/// More causes than these are counted, not shown.
const MOST_BESIDES: usize = 4;
/// More numbers than these are not listed.
const MOST_NUMBERS: usize = 6;

/// How sure the verdict is, and what would tell more. Where it is what this machine saw itself and nothing would, that is
/// said by the stage already.
pub(super) fn of_verdict(page: &mut Page, journey: &Journey) {
    let Some(cause) = journey.outcome.causes.first().filter(|cause| cause.broke) else { return };
    let stands = stands_on(journey, cause);
    if cause.sure != Sure::Certain || is_by_others(journey, cause) {
        page.line(10, &[dim("  sure: "), piece(ink(cause.sure), word(cause.sure)), dim(stands)]);
    }
    if let Some(tell) = &cause.would_tell {
        page.line(14, &[dim("  would tell: "), plain(tell)]);
    }
}

/// What went wrong besides, a line for each.
pub(super) fn besides(page: &mut Page, journey: &Journey) {
    let outcome = &journey.outcome;
    let first = usize::from(outcome.causes.first().is_some_and(|cause| cause.broke));
    // What is one trouble at several hosts is all in the verdict; a status and a limit are told there too.
    let is_told = |cause: &&Cause| {
        let is_in_verdict = cause.broke && outcome.causes.first().is_some_and(|first| first.trouble == cause.trouble);
        is_in_verdict || matches!(cause.trouble, Trouble::HttpStatus | Trouble::MaxTime | Trouble::Interrupted)
    };
    let others: Vec<&Cause> = outcome.causes.iter().skip(first).filter(|cause| !is_told(cause)).collect();
    for cause in others.iter().take(MOST_BESIDES) {
        let how_sure = if cause.sure == Sure::Certain { String::new() } else { format!(" ({})", word(cause.sure)) };
        page.line(11, &[piece(Ink::Warn, "  besides: "), plain(named(cause)), dim(how_sure)]);
    }
    if let Some(more @ 1..) = others.len().checked_sub(MOST_BESIDES) {
        page.line(11, &[dim(format!("  besides: {more} more, which --json lists"))]);
    }
}

/// A cause in a sentence that names its host.
fn named(cause: &Cause) -> String {
    match &cause.host {
        Some(host) if !cause.what.contains(host.as_str()) => format!("{host}: {}", cause.what),
        _ => cause.what.clone(),
    }
}

fn word(sure: Sure) -> &'static str {
    match sure {
        Sure::Certain => "certain",
        Sure::Likely => "likely",
        Sure::Possible => "possible",
    }
}

fn ink(sure: Sure) -> Ink {
    if sure == Sure::Certain { Ink::Plain } else { Ink::Warn }
}

fn is_by_others(journey: &Journey, cause: &Cause) -> bool {
    cause.basis.iter().any(|basis| match basis {
        Basis::Event { id } => journey.events.iter().any(|event| event.id == *id && event.host != YOU),
        Basis::Stage { .. } => false,
        Basis::Frame { .. } | Basis::Observer { .. } | Basis::Walk { .. } => true,
    })
}

/// `: seen by tld and the resolver (events 5, 9)`.
fn stands_on(journey: &Journey, cause: &Cause) -> String {
    let mut hosts: Vec<String> = Vec::new();
    let (mut events, mut frames) = (BTreeSet::new(), BTreeSet::new());
    let mut walked = false;
    for basis in &cause.basis {
        let host = match basis {
            Basis::Event { id } => {
                events.insert(u64::from(*id));
                journey.events.iter().find(|event| event.id == *id).map(|event| event.host.clone())
            }
            Basis::Frame { number } => {
                frames.insert(*number);
                None
            }
            Basis::Observer { host } => Some(host.clone()),
            Basis::Walk { .. } => {
                walked = true;
                None
            }
            Basis::Stage { .. } => None,
        };
        hosts.extend(host.filter(|host| !hosts.contains(host)));
    }
    let numbers = |what: &str, numbers: &BTreeSet<u64>| {
        let some: Vec<String> = numbers.iter().take(MOST_NUMBERS).map(u64::to_string).collect();
        let more = if numbers.len() > MOST_NUMBERS { ", …" } else { "" };
        let s = if numbers.len() == 1 { "" } else { "s" };
        (!some.is_empty()).then(|| format!("{what}{s} {}{more}", some.join(", ")))
    };
    let walk = walked.then(|| "your own walk".to_owned());
    let what: Vec<String> =
        [numbers("event", &events), numbers("frame", &frames), walk].into_iter().flatten().collect();
    match (hosts.is_empty(), what.is_empty()) {
        (true, true) => String::new(),
        (true, false) => format!(", by {}", and(&what)),
        (false, true) => format!(", seen by {}", and(&hosts)),
        (false, false) => format!(", seen by {} ({})", and(&hosts), and(&what)),
    }
}

//! What came of a visit, held against what was expected. Pure.

use std::time::Duration;

use journey::{Cause, Journey, StageState};
use serde_json::{Value, json};
use world::{
    fault::Fault,
    scenario::{self, subset},
};

use crate::{
    done::{Difference, Visited},
    play::Seen,
};
use view::{Detail, Style};

/// How a screen is looked at, whatever the terminal.
const SCREEN: Style = Style { color: false, unicode: true, width: 80 };
/// What was expected and what was seen are shown side by side, up to so many characters.
const LONGEST: usize = 240;

/// What came of a visit.
pub fn visited(visit: &scenario::Visit, faults: &[Fault], seen: Seen, took: Duration) -> Visited {
    let differences = differences(visit, &seen);
    let (verdict, causes, stages, screen) = match &seen.journey {
        Ok(journey) => (
            journey.outcome.verdict.clone(),
            journey.outcome.causes.clone(),
            finished(journey),
            view::screen(journey, &SCREEN, Detail::default()),
        ),
        Err(why) => (why.clone(), Vec::new(), Vec::new(), format!("visit: {why}\n")),
    };
    Visited {
        args: visit.args.clone(),
        faults: faults.iter().map(ToString::to_string).collect(),
        waited: visit.wait.clone(),
        expected: expected(visit),
        differences,
        exit: seen.exit,
        verdict,
        causes,
        stages,
        screen,
        journey: seen.journey.ok(),
        took,
    }
}

/// The stages that finished, of any hop, in the order of the first.
fn finished(journey: &Journey) -> Vec<&'static str> {
    let mut names = Vec::new();
    let stages = journey.hops.iter().flat_map(|hop| &hop.stages);
    for stage in stages.filter(|stage| stage.state == StageState::Done) {
        let name = stage.name().as_str();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// What is expected, without what is not looked at.
fn expected(visit: &scenario::Visit) -> Value {
    let mut value = json!({ "exit": visit.exit });
    let mut add = |key: &str, part: Value| value[key] = part;
    if let Some(verdict) = &visit.verdict {
        add("verdict", json!(verdict));
    }
    if let Some(cause) = &visit.cause {
        add("cause", json!(cause));
    }
    if !visit.journey.is_empty() {
        add("journey", Value::Object(visit.journey.clone()));
    }
    if !visit.never.is_empty() {
        add("never", json!(visit.never));
    }
    if !visit.screen.is_empty() {
        add("screen", json!(visit.screen));
    }
    value
}

fn differences(visit: &scenario::Visit, seen: &Seen) -> Vec<Difference> {
    let mut all = Vec::new();
    let mut differs = |what: &str, expected: String, seen: String| {
        all.push(Difference { what: what.to_owned(), expected: shortened(&expected), seen: shortened(&seen) });
    };
    if seen.exit != visit.exit {
        let why = seen.journey.as_ref().map_or_else(Clone::clone, |journey| journey.outcome.verdict.clone());
        differs("exit code", visit.exit.to_string(), format!("{}: {why}", seen.exit));
    }
    let journey = match &seen.journey {
        Ok(journey) => journey,
        // What it exited with says it all.
        Err(_) if seen.exit != visit.exit => return all,
        // A command line that cannot be has no journey, and none may be looked into.
        Err(why) => {
            let verdict = visit.verdict.as_ref().filter(|verdict| !why.contains(verdict.as_str()));
            if let Some(verdict) = verdict {
                differs("what it says", format!("…{verdict}…"), why.clone());
            }
            if visit.cause.is_some() || !(visit.journey.is_empty() && visit.screen.is_empty()) {
                differs("journey", "a journey".to_owned(), format!("none: {why}"));
            }
            return all;
        }
    };
    if let Some(verdict) = &visit.verdict
        && !journey.outcome.verdict.contains(verdict)
    {
        differs("verdict", format!("…{verdict}…"), journey.outcome.verdict.clone());
    }
    if let Some(cause) = &visit.cause
        && !is_at_fault(cause, journey)
    {
        let host = cause.host.as_ref().map_or_else(String::new, |host| format!(" at {host}"));
        let causes = journey.outcome.causes.iter().map(in_words).collect::<Vec<_>>().join(", ");
        let seen = if causes.is_empty() { "none".to_owned() } else { causes };
        differs("cause", format!("{}{host}", cause.trouble), seen);
    }
    let value = serde_json::to_value(&**journey).unwrap_or_default();
    if let Err(difference) = subset::contains(&value, &Value::Object(visit.journey.clone())) {
        let seen = difference.seen.as_ref().map_or_else(|| "nothing".to_owned(), Value::to_string);
        differs(&format!("journey {}", difference.at), difference.expected.to_string(), seen);
    }
    let events = value["events"].as_array().map(Vec::as_slice).unwrap_or_default();
    for unwanted in &visit.never {
        if let Some(event) = events.iter().find(|event| subset::contains(event, unwanted).is_ok()) {
            differs("events", format!("none with {unwanted}"), event.to_string());
        }
    }
    // Lines may be broken anywhere between words.
    let flat = view::screen(journey, &SCREEN, Detail::default());
    let flat = flat.split_whitespace().collect::<Vec<_>>().join(" ");
    for text in visit.screen.iter().filter(|text| !flat.contains(text.as_str())) {
        differs("screen", format!("…{text}…"), "not on it".to_owned());
    }
    all
}

/// Where the visit failed, the first cause is what it failed by; where it did not, causes are what went wrong besides.
pub fn is_at_fault(expected: &scenario::Cause, journey: &Journey) -> bool {
    let is_it = |cause: &Cause| {
        let trouble = serde_json::to_value(cause.trouble).ok();
        trouble.is_some_and(|trouble| trouble == expected.trouble)
            && (expected.host.is_none() || expected.host == cause.host)
    };
    let causes = &journey.outcome.causes;
    match causes.first() {
        Some(first) if first.broke => is_it(first),
        _ => causes.iter().any(is_it),
    }
}

/// A cause in short: `dns_no_answer at auth1`.
pub fn in_words(cause: &Cause) -> String {
    let trouble = serde_json::to_value(cause.trouble).unwrap_or_default();
    let host = cause.host.as_ref().map_or_else(String::new, |host| format!(" at {host}"));
    format!("{}{host}", trouble.as_str().unwrap_or_default())
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    fn check(visit: &str, expected: &[(&str, &str, &str)]) {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../cli/tests/journeys/no_such_name.json");
        let journey: Box<Journey> = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
        let text = format!("about = \"x\"\n[[visit]]\nargs = [\"a\"]\n{visit}");
        let scenario = scenario::read::file(&text, "x.toml").unwrap().remove(0);
        let seen = Seen { exit: journey.exit_code, journey: Ok(journey) };
        let differences = differences(&scenario.visit[0], &seen);
        assert_eq!(differences.len(), expected.len(), "{visit}: {differences:?}");
        for (difference, (what, expected, seen)) in differences.iter().zip(expected) {
            assert!(
                difference.what == *what && difference.expected == *expected && difference.seen.contains(seen),
                "{difference:?}"
            );
        }
    }

    #[test]
    fn what_is_not_as_expected() {
        check("exit = 6\nverdict = \"there is no name missing\"", &[]);
        check("exit = 0", &[("exit code", "0", "6: ")]);
        check("exit = 6\nverdict = \"reached\"", &[("verdict", "…reached…", "no name")]);
        let other = ("cause", "reset at app1", "no_such_name at auth1");
        check("exit = 6\ncause = { trouble = \"reset\", host = \"app1\" }", &[other]);
        check("exit = 6\njourney = { outcome = { reached = true } }", &[("journey /outcome/reached", "true", "false")]);
        check("exit = 6\nscreen = [\"no such text\"]", &[("screen", "…no such text…", "not on it")]);
    }

    #[test]
    fn a_command_line_that_cannot_be() {
        let visit = scenario::Visit { args: vec!["a".to_owned()], exit: 2, ..scenario::Visit::default() };
        let seen = || Seen { exit: 2, journey: Err("no such file".to_owned()) };
        assert!(visited(&visit, &[], seen(), Duration::ZERO).is_ok());
        let visit = scenario::Visit { verdict: Some("file".to_owned()), screen: vec!["x".to_owned()], ..visit };
        let done = visited(&visit, &[], seen(), Duration::ZERO);
        assert_eq!(done.differences.len(), 1);
        assert_eq!(done.differences[0].seen, "none: no such file");
    }
}

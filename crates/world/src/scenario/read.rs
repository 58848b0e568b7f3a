//! Scenarios from a file's text.

use std::ops::Range;

use serde::Deserialize;
use serde_json::Value;
use toml::Spanned;

use super::Scenario;
use crate::fault::{Fault, FaultError};

/// A file that holds no scenarios that can be played.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// It is not TOML, or has an unknown key or a wrong value; the text says which line.
    #[error("{path}: {source}")]
    Syntax {
        /// The file.
        path: String,
        /// Line, column and what is wrong.
        source: Box<toml::de::Error>,
    },
    /// A scenario says what cannot be.
    #[error("{path}:{line}: scenario {name:?}: {why}")]
    Content {
        /// The file.
        path: String,
        /// Where the scenario begins.
        line: usize,
        /// Its name.
        name: String,
        /// What is wrong.
        why: String,
    },
}

/// Many in a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Many {
    scenario: Vec<Spanned<Scenario>>,
}

/// Whether there are many in it, before the rest is read.
#[derive(Deserialize)]
struct Head {
    scenario: Option<serde::de::IgnoredAny>,
}

/// The scenarios of a file, in their order, templates filled in; `path` names it in errors.
pub fn file(text: &str, path: &str) -> Result<Vec<Scenario>, ScenarioError> {
    let syntax = |source| ScenarioError::Syntax { path: path.to_owned(), source: Box::new(source) };
    let head: Head = toml::from_str(text).map_err(syntax)?;
    let written: Vec<(Range<usize>, Scenario)> = match head.scenario {
        None => vec![(0..0, toml::from_str(text).map_err(syntax)?)],
        Some(_) => {
            let many: Many = toml::from_str(text).map_err(syntax)?;
            many.scenario.into_iter().map(|one| (one.span(), one.into_inner())).collect()
        }
    };
    let stem = path.rsplit(['/', '\\']).next().unwrap_or(path);
    let stem = stem.strip_suffix(".toml").unwrap_or(stem);
    let mut all: Vec<Scenario> = Vec::new();
    let count = written.len();
    for (nth, (span, mut scenario)) in written.into_iter().enumerate() {
        let line = text[..span.start.min(text.len())].matches('\n').count() + 1;
        if scenario.name.is_empty() {
            scenario.name = if count == 1 { stem.to_owned() } else { format!("{stem} {}", nth + 1) };
        }
        let wrong =
            |name: &str, why| ScenarioError::Content { path: path.to_owned(), line, name: name.to_owned(), why };
        let name = scenario.name.clone();
        for filled in fill_in(scenario).map_err(|why| wrong(&name, why))? {
            check(&filled).map_err(|why| wrong(&filled.name, why))?;
            if all.iter().any(|other| other.name == filled.name) {
                return Err(wrong(&filled.name, "another one has this name".to_owned()));
            }
            all.push(filled);
        }
    }
    Ok(all)
}

/// Members of an event by which one can be told.
const OF_EVENTS: [&str; 8] = ["kind", "host", "server", "peer", "question", "reply", "target", "status"];

/// One for each of its hosts, or itself.
fn fill_in(scenario: Scenario) -> Result<Vec<Scenario>, String> {
    if scenario.hosts.is_empty() {
        return Ok(vec![scenario]);
    }
    let mut template = scenario;
    let hosts = std::mem::take(&mut template.hosts);
    if !template.name.contains(PLACEHOLDER) {
        template.name = format!("{} at {PLACEHOLDER}", template.name);
    }
    let template = serde_json::to_value(&template).map_err(|error| error.to_string())?;
    let one = |host: &String| {
        let mut value = template.clone();
        replace(&mut value, host);
        serde_json::from_value(value).map_err(|error| error.to_string())
    };
    hosts.iter().map(one).collect()
}

const PLACEHOLDER: &str = "{host}";

fn replace(value: &mut Value, host: &str) {
    match value {
        Value::String(text) => *text = text.replace(PLACEHOLDER, host),
        Value::Array(list) => list.iter_mut().for_each(|value| replace(value, host)),
        Value::Object(map) => {
            let old = std::mem::take(map);
            map.extend(old.into_iter().map(|(key, mut value)| {
                replace(&mut value, host);
                (key.replace(PLACEHOLDER, host), value)
            }));
        }
        _ => {}
    }
}

fn check(scenario: &Scenario) -> Result<(), String> {
    let fault = |text: &str| text.parse::<Fault>().map(drop).map_err(|error: FaultError| error.to_string());
    scenario.faults.iter().try_for_each(|text| fault(text))?;
    if scenario.visit.is_empty() {
        return Err("it has no visit".to_owned());
    }
    for (nth, visit) in scenario.visit.iter().enumerate() {
        let at = |why: String| format!("visit {}: {why}", nth + 1);
        visit.faults.iter().try_for_each(|text| fault(text)).map_err(at)?;
        visit.waits().map_err(at)?;
        if visit.args.is_empty() {
            return Err(at("it has no args: what is typed behind `visit`".to_owned()));
        }
        // Anything else is in no event, and would never be found.
        let is_of_event = |never: &&Value| OF_EVENTS.iter().any(|member| never.get(member).is_some());
        if let Some(never) = visit.never.iter().find(|never| !is_of_event(never)) {
            return Err(at(format!(
                "never: {never} is no part of an event: write {{ kind = \"query_failed\", host = \"resolver\" }}"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANY: &str = r#"
[[scenario]]
name = "a"
about = "one"
[[scenario.visit]]
args = ["{host}"]
exit = 0

[[scenario]]
name = "slow"
about = "at {host}"
hosts = ["tld", "auth1"]
faults = ["{host}:slow=300ms"]
[[scenario.visit]]
args = ["www.example.local"]
exit = 0
wait = "61s"
journey = { events = [{ host = "{host}" }] }
"#;

    #[test]
    fn templates() {
        let all = file(MANY, "lab/x.toml").unwrap();
        let names: Vec<&str> = all.iter().map(|scenario| scenario.name.as_str()).collect();
        assert_eq!(names, ["a", "slow at tld", "slow at auth1"]);
        assert_eq!(all[0].visit[0].args, ["{host}"], "no template");
        assert_eq!((all[2].about.as_str(), all[2].faults[0].as_str()), ("at auth1", "auth1:slow=300ms"));
        assert_eq!(all[2].visit[0].journey["events"][0]["host"], "auth1");
        assert_eq!(all[2].visit[0].waits().unwrap(), Some(std::time::Duration::from_secs(61)));
        assert!(all[0].is_momentary() && !all[2].is_momentary());
    }

    #[test]
    fn those_built_in() {
        for (path, text) in crate::SCENARIOS {
            let world = crate::World::built_in();
            for scenario in file(text, path).unwrap() {
                let visits = scenario.visit.iter().flat_map(|visit| scenario.faults_of(visit));
                for fault in visits {
                    let checked = fault.parse::<Fault>().unwrap().check(&world);
                    assert_eq!(checked, Ok(()), "{path}: {}", scenario.name);
                }
                assert!(scenario.stopped.iter().all(|host| world.hosts.contains_key(host)), "{}", scenario.name);
            }
        }
    }

    #[test]
    fn what_must_never_be_is_an_event() {
        let with = |never: &str| {
            let text = format!("about = \"x\"\n[[visit]]\nargs = [\"a\"]\nexit = 6\nnever = [{never}]\n");
            file(&text, "a.toml").map_err(|error| error.to_string())
        };
        assert!(with("{ kind = \"query_sent\" }").is_ok());
        for wrong in ["\"Reached\"", "1", "{ exit_code = 0 }", "{}"] {
            assert!(with(wrong).is_err_and(|error| error.contains("is no part of an event")), "{wrong}");
        }
    }

    #[test]
    fn one_has_the_name_of_its_file() {
        let all = file("about = \"x\"\n[[visit]]\nargs = [\"a\"]\nexit = 6\n", "a/cname.toml").unwrap();
        assert_eq!((all.len(), all[0].name.as_str()), (1, "cname"));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let check = |text: &str, words: &[&str]| {
            let error = file(text, "x.toml").unwrap_err().to_string();
            assert!(words.iter().all(|word| error.contains(word)), "{error}");
        };
        check("about = 1", &["x.toml", "line 1"]);
        check(&MANY.replace("exit = 0\n\n", "exi = 0\n\n"), &["line 7", "exi"]);
        check(&MANY.replace("slow=300ms", "slwo"), &["x.toml:9", "\"slow at tld\"", "no fault \"slwo\""]);
        check(&MANY.replace("61s", "61"), &["x.toml:9", "visit 1", "\"61\" is no time"]);
        check(&MANY.replace("\"tld\", \"auth1\"", "\"tld\", \"tld\""), &["another one has this name"]);
        check("scenario = []\nabout = \"x\"", &["x.toml", "about"]);
    }
}

//! Scenarios, played by `visit scenario`: what a user would see is what is tested.

use std::{
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
};

use serde_json::Value;
use world::{
    SCENARIOS,
    fault::{Fault, Place},
    scenario::{self, Scenario, read},
};

use crate::way::{self, Stage, Way};

/// How a scenario ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// As expected.
    Well,
    /// It was not played.
    Skipped(String),
}

/// What came of one run of `visit scenario`.
#[derive(Clone, Debug, Default)]
pub struct Played {
    /// By scenario, its visits.
    results: BTreeMap<String, Vec<Value>>,
    /// What it said meanwhile.
    said: String,
}

/// Which scenarios.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Set {
    /// Those inside the program: the matrix of faults.
    BuiltIn,
    /// Those of `tests/scenarios`.
    Tests,
}

impl Set {
    /// Them, in their order.
    pub fn scenarios(self) -> Result<Vec<Scenario>, String> {
        let read = |text: &str, name: &str| read::file(text, name).map_err(|error| error.to_string());
        match self {
            Self::BuiltIn => {
                let all = SCENARIOS.iter().map(|(name, text)| read(text, name)).collect::<Result<Vec<_>, _>>();
                Ok(all?.concat())
            }
            Self::Tests => way::read_all(&Self::folder()),
        }
    }

    fn folder() -> PathBuf {
        way::root().join("tests/scenarios")
    }
}

/// Plays all of a set once, and has the report of them written to a file where one is named.
pub fn play(way: Way, set: Set, report: Option<&Path>) -> Result<Played, String> {
    let stage = way.set_up(&set_name(set), &[])?;
    let folder = (set == Set::Tests).then(Set::folder);
    // Their stories are compared, and held against the schema.
    let more = if set == Set::Tests { &["--journeys"][..] } else { &[] };
    let report = report.map(|file| file.display().to_string());
    let jobs = match way {
        Way::Running | Way::Compose => "1",
        // They wait for most of their time.
        Way::Embedded | Way::Wire => "4",
    };
    let mut args = vec!["--jobs", jobs];
    args.extend(more);
    args.extend(report.iter().flat_map(|file| ["--report", file]));
    played(&stage, folder.as_deref(), &args)
}

/// Plays one scenario in a lab that lasts, in which the hosts that are stopped in it have been stopped.
pub fn play_stopped(way: Way, set: Set, scenario: &Scenario) -> Result<Played, String> {
    let stage = way.set_up(&set_name(set), &scenario.stopped)?;
    let folder = (set == Set::Tests).then(Set::folder);
    played(&stage, folder.as_deref(), &["--journeys", "--only", &scenario.name])
}

fn played(stage: &Stage, files: Option<&Path>, args: &[&str]) -> Result<Played, String> {
    let args: Vec<&str> = ["--json", "-", "--color", "never"].into_iter().chain(args.iter().copied()).collect();
    let output = stage.scenario(files, &args)?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    // Exit code 1 says that something was not as expected: each says that for itself.
    match output.status.code() {
        Some(0 | 1) => Played::read(&output.stdout, said),
        _ => Err(format!("visit scenario: {}\n{said}", output.status)),
    }
}

fn set_name(set: Set) -> String {
    format!("{set:?}").to_lowercase()
}

impl Played {
    /// From what `--json` wrote.
    pub fn read(json: &[u8], said: String) -> Result<Self, String> {
        let records: Vec<Value> =
            serde_json::from_slice(json).map_err(|error| format!("visit scenario --json: {error}\n{said}"))?;
        let mut results: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for record in records {
            let name = record["scenario"].as_str().ok_or("a record names no scenario")?.to_owned();
            results.entry(name).or_default().push(record);
        }
        Ok(Self { results, said })
    }

    /// What came of a scenario.
    pub fn result(&self, scenario: &Scenario) -> Result<Ended, String> {
        let name = &scenario.name;
        let visits = self.results.get(name).ok_or_else(|| format!("{name:?} was not played\n{}", self.said))?;
        if let Some(why) = visits.iter().find_map(|visit| visit["skipped"].as_str()) {
            return Ok(Ended::Skipped(why.to_owned()));
        }
        if let Some(visit) = visits.iter().find(|visit| visit["ok"] != true) {
            return Err(not_as_expected(visit));
        }
        let (made, wanted) = (visits.len(), scenario.visit.len());
        if made == wanted { Ok(Ended::Well) } else { Err(format!("{made} of its {wanted} visits were made")) }
    }

    /// The journeys of a scenario's visits, where they were kept.
    pub fn journeys(&self, scenario: &Scenario) -> impl Iterator<Item = &Value> {
        let visits = self.results.get(&scenario.name).into_iter().flatten();
        visits.map(|visit| &visit["journey"]).filter(|journey| !journey.is_null())
    }

    /// The names of those that were not as expected.
    pub fn failed(&self) -> Vec<&str> {
        let failed = self.results.iter().filter(|(_, visits)| visits.iter().any(|visit| visit["ok"] != true));
        failed.map(|(name, _)| name.as_str()).collect()
    }

    /// How many were played or skipped.
    pub fn count(&self) -> usize {
        self.results.len()
    }
}

fn not_as_expected(visit: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    if let Some(error) = visit["error"].as_str() {
        return error.to_owned();
    }
    let mut lines = vec![text(&visit["visit"])];
    for difference in visit["seen"].as_array().into_iter().flatten() {
        let [what, expected, seen] = ["what", "expected", "seen"].map(|part| text(&difference[part]));
        lines.push(format!("  {what}: expected {expected}, seen {seen}"));
    }
    lines.push(format!("  {}", text(&visit["verdict"])));
    lines.join("\n")
}

/// Whether this way cannot play it: whatever else is skipped should have been played.
pub fn may_skip(way: Way, scenario: &Scenario) -> bool {
    let faults = scenario.visit.iter().flat_map(|visit| scenario.faults_of(visit));
    let in_the_network =
        || faults.filter_map(|fault| fault.parse::<Fault>().ok()).any(|fault| fault.place == Place::Wire);
    match way {
        Way::Wire => !scenario.fits(scenario::Way::Wire),
        Way::Embedded => !scenario.fits(scenario::Way::Loopback) || in_the_network(),
        Way::Running | Way::Compose => {
            let changes = scenario.changes_records();
            !scenario.fits(scenario::Way::Running) || changes || in_the_network()
        }
    }
}

/// A file for what a test writes, of a name of its own.
pub fn scratch(name: &str) -> PathBuf {
    env::temp_dir().join(format!("visit-e2e-{}-{name}", std::process::id()))
}

#[cfg(test)]
mod tests {
    use world::scenario::Visit;

    use super::*;

    /// As `visit scenario --json -` writes it.
    const JSON: &str = r#"[
        {"scenario": "a", "visit": "visit a", "ok": true, "seen": [], "skipped": null, "error": null, "verdict": "Reached"},
        {"scenario": "a", "visit": "visit b", "ok": false, "seen": [{"what": "exit code", "expected": "0", "seen": "6: no"}],
            "skipped": null, "error": null, "verdict": "No."},
        {"scenario": "b", "visit": "visit a", "ok": true, "seen": [], "skipped": null, "error": null, "verdict": "Reached"},
        {"scenario": "c", "visit": null, "ok": true, "seen": [], "skipped": "it stops hosts", "error": null},
        {"scenario": "d", "visit": null, "ok": false, "seen": [], "skipped": null, "error": "the lab does not start"}
    ]"#;

    fn named(name: &str, visits: usize) -> Scenario {
        Scenario { name: name.to_owned(), visit: vec![Visit::default(); visits], ..Scenario::default() }
    }

    #[test]
    fn results_are_read_from_what_the_program_writes() {
        let played = Played::read(JSON.as_bytes(), "what it said".to_owned()).unwrap();
        assert_eq!((played.failed(), played.count()), (vec!["a", "d"], 4));
        assert_eq!(played.result(&named("b", 1)), Ok(Ended::Well));
        assert_eq!(played.result(&named("c", 1)), Ok(Ended::Skipped("it stops hosts".to_owned())));
        let check = |name: &str, visits: usize, words: &[&str]| {
            let error = played.result(&named(name, visits)).unwrap_err();
            assert!(words.iter().all(|word| error.contains(word)), "{error}");
        };
        check("a", 2, &["visit b", "exit code: expected 0, seen 6: no", "No."]);
        check("b", 2, &["1 of its 2 visits"]);
        check("d", 1, &["the lab does not start"]);
        check("e", 1, &["\"e\" was not played", "what it said"]);
        assert!(Played::read(b"", String::new()).is_err());
    }

    #[test]
    fn what_may_be_skipped() {
        let with =
            |faults: &[&str]| Scenario { faults: faults.iter().map(ToString::to_string).collect(), ..named("a", 1) };
        let check = |scenario: &Scenario, ways: &[Way]| {
            let skipping: Vec<Way> = [Way::Embedded, Way::Running, Way::Wire, Way::Compose]
                .into_iter()
                .filter(|way| may_skip(*way, scenario))
                .collect();
            assert_eq!(skipping, ways, "{scenario:?}");
        };
        check(&with(&["auth1:drop"]), &[]);
        check(&with(&["auth1:drop", "wire:loss"]), &[Way::Embedded, Way::Running, Way::Compose]);
        check(&Scenario { stopped: vec!["app1".to_owned()], ..with(&[]) }, &[]);
    }
}

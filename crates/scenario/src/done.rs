//! What came of scenarios, as data.

use std::time::Duration;

use journey::{Cause, Journey, Trouble};
use serde::Serialize;
use serde_json::Value;
use world::scenario::{Scenario, Way};

/// What came of one scenario.
#[derive(Clone, Debug)]
pub struct Done {
    /// The scenario.
    pub scenario: Scenario,
    /// The file that it is in.
    pub file: String,
    /// How it was played.
    pub way: Way,
    /// What came of it.
    pub end: End,
    /// How often it was played before, and this machine was too busy to tell what came of it.
    pub too_busy: u32,
    /// How long it took, with its lab.
    pub took: Duration,
}

/// How a scenario ended.
#[derive(Clone, Debug)]
pub enum End {
    /// Its visits were made.
    Played(Vec<Visited>),
    /// It cannot be played here.
    Skipped(String),
    /// Something that it needs went wrong.
    Broken(String),
}

/// What came of one visit.
#[derive(Clone, Debug)]
pub struct Visited {
    /// What is typed behind `visit`.
    pub args: Vec<String>,
    /// The faults that were in force, as they are written.
    pub faults: Vec<String>,
    /// So much time passed before it, on the hosts' clocks.
    pub waited: Option<String>,
    /// What was expected.
    pub expected: Value,
    /// Where what came is not as expected.
    pub differences: Vec<Difference>,
    /// What it exited with.
    pub exit: u8,
    /// The verdict, or what was said instead.
    pub verdict: String,
    /// What was at fault.
    pub causes: Vec<Cause>,
    /// The stages that finished.
    pub stages: Vec<&'static str>,
    /// What was shown.
    pub screen: String,
    /// The last journey, where it is kept.
    pub journey: Option<Box<Journey>>,
    /// How long it took.
    pub took: Duration,
}

/// Something that is not as expected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What.
    pub what: String,
    /// As it should be.
    pub expected: String,
    /// As it is.
    pub seen: String,
}

/// How many went how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// As expected.
    pub passed: usize,
    /// Not as expected.
    pub failed: usize,
    /// Not played.
    pub skipped: usize,
    /// Not finished, since the user stopped it.
    pub missing: usize,
    /// How long all took together.
    pub took: Duration,
}

impl Done {
    /// Whether all came as expected; what was skipped did not fail.
    pub fn is_ok(&self) -> bool {
        match &self.end {
            End::Played(visits) => visits.iter().all(Visited::is_ok),
            End::Skipped(_) => true,
            End::Broken(_) => false,
        }
    }
}

impl Done {
    /// Lets go of the journeys, which are large.
    pub fn without_journeys(mut self) -> Self {
        if let End::Played(visits) = &mut self.end {
            visits.iter_mut().for_each(|visit| visit.journey = None);
        }
        self
    }
}

impl Visited {
    /// Whether it came as expected.
    pub fn is_ok(&self) -> bool {
        self.differences.is_empty()
    }

    /// Whether it is not as expected, and says itself that this machine was too busy to tell.
    pub fn is_too_busy(&self) -> bool {
        !self.is_ok() && self.causes.iter().any(|cause| cause.trouble == Trouble::MachineBusy)
    }

    /// As it is typed, with its faults.
    pub fn typed(&self) -> String {
        let faults = self.faults.iter().flat_map(|fault| ["--fault", fault]);
        let words = ["visit"].into_iter().chain(faults).chain(self.args.iter().map(String::as_str));
        words.map(quoted).collect::<Vec<_>>().join(" ")
    }
}

/// A word as a shell takes it.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

impl Summary {
    /// Of so many that were wanted.
    pub fn of(done: &[Done], wanted: usize, took: Duration) -> Self {
        let skipped = done.iter().filter(|done| matches!(done.end, End::Skipped(_))).count();
        let failed = done.iter().filter(|done| !done.is_ok()).count();
        Self { passed: done.len() - skipped - failed, failed, skipped, missing: wanted - done.len(), took }
    }
}

/// A visit, or a scenario without one, as `--json` has it.
#[derive(Clone, Debug, Serialize)]
pub struct Record {
    scenario: String,
    file: String,
    way: Way,
    too_busy: u32,
    visit: Option<String>,
    faults: Vec<String>,
    waited: Option<String>,
    expected: Value,
    seen: Vec<Difference>,
    exit: Option<u8>,
    verdict: Option<String>,
    causes: Vec<Cause>,
    stages: Vec<&'static str>,
    ok: bool,
    skipped: Option<String>,
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    journey: Option<Box<Journey>>,
}

/// All visits, in their order; a scenario that was not played is one without a visit.
pub fn records(done: &[Done]) -> Vec<Record> {
    done.iter().flat_map(of_scenario).collect()
}

fn of_scenario(done: &Done) -> Vec<Record> {
    let blank = |skipped: Option<&String>, error: Option<&String>| Record {
        scenario: done.scenario.name.clone(),
        file: done.file.clone(),
        way: done.way,
        too_busy: done.too_busy,
        visit: None,
        faults: Vec::new(),
        waited: None,
        expected: Value::Null,
        seen: Vec::new(),
        exit: None,
        verdict: None,
        causes: Vec::new(),
        stages: Vec::new(),
        ok: error.is_none(),
        skipped: skipped.cloned(),
        error: error.cloned(),
        journey: None,
    };
    match &done.end {
        End::Skipped(why) => vec![blank(Some(why), None)],
        End::Broken(why) => vec![blank(None, Some(why))],
        End::Played(visits) => visits
            .iter()
            .map(|visit| Record {
                visit: Some(visit.typed()),
                faults: visit.faults.clone(),
                waited: visit.waited.clone(),
                expected: visit.expected.clone(),
                seen: visit.differences.clone(),
                exit: Some(visit.exit),
                verdict: Some(visit.verdict.clone()),
                causes: visit.causes.clone(),
                stages: visit.stages.clone(),
                ok: visit.is_ok(),
                journey: visit.journey.clone(),
                ..blank(None, None)
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_machine_was_too_busy_to_tell_is_no_result() {
        let visited = |differs: bool, trouble: Trouble| {
            let difference = Difference { what: String::new(), expected: String::new(), seen: String::new() };
            Visited {
                args: Vec::new(),
                faults: Vec::new(),
                waited: None,
                expected: Value::Null,
                differences: differs.then_some(difference).into_iter().collect(),
                exit: 0,
                verdict: String::new(),
                causes: vec![Cause::new(trouble, None, "")],
                stages: Vec::new(),
                screen: String::new(),
                journey: None,
                took: Duration::ZERO,
            }
        };
        assert!(visited(true, Trouble::MachineBusy).is_too_busy());
        assert!(!visited(false, Trouble::MachineBusy).is_too_busy());
        assert!(!visited(true, Trouble::DnsSlow).is_too_busy());
    }

    #[test]
    fn for_a_shell() {
        assert_eq!(quoted("auth1:slow=300ms,type=A"), "auth1:slow=300ms,type=A");
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted(""), "''");
        assert_eq!(quoted("it's"), "'it'\\''s'");
    }
}

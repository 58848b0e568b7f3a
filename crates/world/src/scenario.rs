//! Scenarios: a state of the world, visits in it, and what must come of them, as data.
//!
//! | module | what |
//! |---|---|
//! | [`read`] | a file's text, templates filled in |
//! | [`subset`] | whether a journey is as it is expected |
//!
//! A file holds one scenario, its keys at the top, or many as `[[scenario]]`. With `hosts` a scenario is a template: one for
//! each host, whose name stands wherever `{host}` is written.
//!
//! ```
//! use world::scenario;
//!
//! let text = r#"
//!     [[scenario]]
//!     name = "{host} is silent"
//!     about = "A name server that does not answer: the other one does."
//!     hosts = ["auth1", "auth2"]
//!     faults = ["{host}:drop"]
//!
//!     [[scenario.visit]]
//!     args = ["www.example.local"]
//!     exit = 0
//!     cause = { trouble = "dns_no_answer", host = "{host}" }
//! "#;
//! let scenarios = scenario::read::file(text, "silent.toml")?;
//! assert_eq!(scenarios[1].name, "auth2 is silent");
//! assert_eq!(scenarios[1].faults, ["auth2:drop"]);
//! # Ok::<_, scenario::read::ScenarioError>(())
//! ```

pub mod read;
pub mod subset;

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Records that replace those of the same owner and type, by zone: see [`crate::zone::replace`].
pub type Records = BTreeMap<String, Vec<String>>;

/// A scenario.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Its name; that of the file where there is none.
    #[serde(default)]
    pub name: String,
    /// What it shows.
    pub about: String,
    /// A scenario for each of these hosts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// Where it can be played; everywhere where nothing is said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ways: Vec<Way>,
    /// Hosts that do not run.
    #[serde(default)]
    pub stopped: Vec<String>,
    /// Faults that are in force as long as it lasts.
    #[serde(default)]
    pub faults: Vec<String>,
    /// Records that the world has in place of its own.
    #[serde(default)]
    pub records: Records,
    /// The visits, in order, in one world: a later one meets what an earlier one left in caches.
    pub visit: Vec<Visit>,
}

/// A way to run the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// Inside the program, on loopback.
    Loopback,
    /// Inside the program, with a network of its own.
    Wire,
    /// Elsewhere.
    Running,
}

impl Way {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Loopback => "loopback",
            Self::Wire => "wire",
            Self::Running => "running",
        }
    }
}

/// One visit, and what has to come of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Visit {
    /// What is typed behind `visit`.
    pub args: Vec<String>,
    /// Before it, all faults end.
    #[serde(default)]
    pub clear: bool,
    /// Before it, these records replace others, and their servers read them.
    #[serde(default)]
    pub records: Records,
    /// Before it, so much time passes. Nobody waits: the clocks of the hosts are put forward, and in a lab that runs elsewhere
    /// they stay so.
    #[serde(default)]
    pub wait: Option<String>,
    /// Faults that are in force for this visit alone.
    #[serde(default)]
    pub faults: Vec<String>,
    /// What it exits with.
    pub exit: u8,
    /// What the verdict has to contain.
    #[serde(default)]
    pub verdict: Option<String>,
    /// What has to be at fault.
    #[serde(default)]
    pub cause: Option<Cause>,
    /// What the journey has to contain, see [`subset`].
    #[serde(default)]
    pub journey: Map<String, Value>,
    /// Events that must not be in it.
    #[serde(default)]
    pub never: Vec<Value>,
    /// Text that has to be on the screen.
    #[serde(default)]
    pub screen: Vec<String>,
}

/// What has to be at fault: the first cause where the visit failed, any of them where it did not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cause {
    /// What it is, as in a journey: `dns_no_answer`.
    pub trouble: String,
    /// At which host; not looked at where none is said.
    #[serde(default)]
    pub host: Option<String>,
}

/// The longest time that a scenario lets pass.
const LONGEST_WAIT: Duration = Duration::from_secs(366 * 86_400);

impl Scenario {
    /// Whether it can be played so.
    pub fn fits(&self, way: Way) -> bool {
        self.ways.is_empty() || self.ways.contains(&way)
    }

    /// Whether a lab will do that starts anew for every visit: nobody is stopped, and nothing has to be remembered.
    pub fn is_momentary(&self) -> bool {
        let changes = |visit: &Visit| visit.clear || visit.wait.is_some() || !visit.records.is_empty();
        self.stopped.is_empty() && self.records.is_empty() && self.visit.len() == 1 && !self.visit.iter().any(changes)
    }

    /// Whether it changes what zones say.
    pub fn changes_records(&self) -> bool {
        !self.records.is_empty() || self.visit.iter().any(|visit| !visit.records.is_empty())
    }

    /// The faults of one of its visits: the scenario's, and its own.
    pub fn faults_of<'a>(&'a self, visit: &'a Visit) -> impl Iterator<Item = &'a str> {
        self.faults.iter().chain(&visit.faults).map(String::as_str)
    }
}

impl Visit {
    /// How much time passes before it.
    pub fn waits(&self) -> Result<Option<Duration>, String> {
        self.wait.as_deref().map(|text| crate::fault::write::time(text, LONGEST_WAIT)).transpose()
    }
}

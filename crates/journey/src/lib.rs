//! The record of one visit.
//!
//! A [`Journey`] is what `visit` knows about opening one URL: the [`Hop`]s with their [`Stage`]s, the [`Event`]s that
//! this machine saw and that other hosts reported, and the [`Outcome`]. It is data: no sockets, no clock, no printing,
//! so every view of it (screen, JSON, …) is a pure function, and a saved journey can be shown again without a network.
//! What follows from a record is concluded by the crate `diagnosis`; the services use this one alone.
//!
//! | module | what |
//! |---|---|
//! | [`evidence`] | how a value came to be known |
//! | [`dns`] | DNS messages in words: questions, records, replies |
//! | [`event`] | what happened at a host at a time |
//! | [`stage`] | the steps of one request and what each found out |
//! | [`outcome`] | reached, or which stage failed at which host and why |
//! | [`cause`] | what was at fault, what that rests on, and how sure it is |
//! | [`capture`] | the frames that passed |
//! | [`chronicle`] | what this machine did, as events |
//! | [`report`] | what a service tells on `/events` |
//! | [`root_walk`] | this machine's own walk from the root, made beside a visit |
//! | [`trace`] | the id that joins what several hosts say about one visit |
//!
//! ```
//! use journey::{Evidence, Stage, StageState, stage::{Did, Url}};
//!
//! let stage = Stage {
//!     state: StageState::Done,
//!     start_us: Some(0),
//!     duration_us: Some(12),
//!     evidence: Evidence::Observed,
//!     did: Did::Url(Url { scheme: "http".into(), host: "www.example.local".into(), port: Some(80), target: "/".into() }),
//!     failure: None,
//!     note: None,
//!     calls: Vec::new(),
//! };
//! assert_eq!(serde_json::to_value(&stage).unwrap()["name"], "url");
//! ```

pub mod capture;
pub mod cause;
pub mod chronicle;
pub mod dns;
pub mod event;
pub mod evidence;
pub mod machine;
pub mod outcome;
pub mod report;
pub mod root_walk;
pub mod stage;
pub mod trace;

pub use cause::{Basis, Cause, Sure, Trouble};
pub use event::{Event, NoUse, What};
pub use evidence::Evidence;
pub use outcome::{Outcome, Reason};
pub use stage::{Hop, Stage, StageName, StageState};
pub use trace::TraceId;

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The version of the shape of [`Journey`] in JSON. It grows when a reader of the old shape could misread the new one.
///
/// | version | what changed |
/// |---|---|
/// | 1 | the first |
/// | 2 | the stage `tls`; `send.method`, `target` and `version` may be null |
/// | 3 | the stage `route`; `capture` |
pub const SCHEMA_VERSION: u32 = 3;

/// The whole record of one visit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Journey {
    /// The version of this shape. It grows when a reader of the old shape could misread the new one.
    pub schema_version: u32,
    /// Which program made this record.
    pub made_by: MadeBy,
    /// Wall-clock time at which the visit began, RFC 3339, UTC. For people; durations never come from it.
    pub started_at: String,
    /// What was asked for, secrets removed.
    pub url: String,
    /// The id under which the hosts of the world recorded this visit, or null where it was sent to nobody.
    pub trace: Option<TraceId>,
    /// Which engine spoke HTTP.
    #[serde(default)]
    pub engine: Engine,
    /// Where the visit took place.
    pub place: Place,
    /// The faults that were put in force for this visit, as they were written. No verdict looks at them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<String>,
    /// The hosts of the world; empty on the internet, where addresses have no such names.
    pub hosts: Vec<KnownHost>,
    /// How it ended.
    pub outcome: Outcome,
    /// What the process exits with.
    pub exit_code: u8,
    /// Microseconds from the begin of the first stage to the end of the last; collecting reports is not part of it.
    pub total_us: u64,
    /// The requests in order; more than one after a redirect.
    pub hops: Vec<Hop>,
    /// Everything that happened, as far as it is known; ordered by their times (`at_us`), then as reported.
    pub events: Vec<Event>,
    /// The hosts that were asked for a report, and what came of it.
    pub observers: Vec<Observer>,
    /// The frames that passed, or why they are not known.
    #[serde(default)]
    pub capture: capture::Captured,
    /// This machine's own walk from the root, where one was asked for or the answer was in doubt. It is no part of the visit:
    /// it began when that was over. What it found is held against what the resolver said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub walk: Option<root_walk::RootWalk>,
    /// How long threads of this process waited for a processor during the visit, the longest first; empty where the kernel
    /// does not count it, and without waits of 10 ms and more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub run_delays: Vec<machine::RunDelay>,
}

impl Journey {
    /// The host that has this address in the world, where that is known.
    pub fn host_of(&self, ip: IpAddr) -> Option<&str> {
        host_of(&self.hosts, ip)
    }
}

/// Which engine speaks HTTP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Engine {
    /// This program's own stages over hyper and rustls, each measured where it happens.
    #[default]
    Visit,
    /// reqwest, as far as it lets itself be watched.
    Reqwest,
}

/// A host of the world and its addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KnownHost {
    /// Its name.
    pub name: String,
    /// Its addresses in the world.
    pub addresses: Vec<IpAddr>,
}

/// The host among these that has this address.
pub fn host_of(hosts: &[KnownHost], ip: IpAddr) -> Option<&str> {
    hosts.iter().find(|host| host.addresses.contains(&ip)).map(|host| host.name.as_str())
}

/// The program that made a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MadeBy {
    /// Its name: `visit`.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// Where a visit took place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Place {
    /// In a lab inside this process.
    EmbeddedLab {
        /// Microseconds from the decision to start the lab until every service was ready.
        ready_us: u64,
        /// How many hosts run.
        hosts: usize,
        /// How they are joined.
        #[serde(default)]
        network: LabNetwork,
    },
    /// In a lab that runs elsewhere, described by an address book or a world file.
    RunningLab {
        /// The file that describes it.
        described_by: String,
    },
    /// On whatever network this machine is connected to.
    Internet,
}

/// How the hosts of a lab inside this process are joined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum LabNetwork {
    /// By sockets on loopback that stand in for the world's addresses.
    Loopback {
        /// Why it has no network of its own, where it was not told to have none.
        why: Option<String>,
    },
    /// By switches and a router: each host in a network namespace of its own.
    Wire {
        /// The segments, each with a switch.
        segments: Vec<String>,
        /// The faults of the network, in records of version 2; the journey's `faults` has them since.
        #[serde(default, skip_serializing)]
        faults: Vec<String>,
    },
}

impl Default for LabNetwork {
    fn default() -> Self {
        Self::Loopback { why: None }
    }
}

impl Place {
    /// The faults that are in a place of the kind that had them, taken out of it.
    pub fn take_faults(&mut self) -> Vec<String> {
        match self {
            Self::EmbeddedLab { network: LabNetwork::Wire { faults, .. }, .. } => std::mem::take(faults),
            _ => Vec::new(),
        }
    }

    /// Whether the world, its hosts and their admin ports are known.
    pub fn is_lab(&self) -> bool {
        !matches!(self, Self::Internet)
    }
}

/// A host that was asked what it recorded of the visit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Observer {
    /// The host's name in the world.
    pub host: String,
    /// What came of asking.
    #[serde(flatten)]
    pub said: HostReport,
}

/// What came of asking a host for its report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "said", rename_all = "snake_case")]
pub enum HostReport {
    /// It answered.
    Reported {
        /// How many events of this visit it told.
        events: usize,
        /// Whether its times could be placed on this machine's time line: they come from the same kernel's clock.
        same_clock: bool,
        /// How many of its events, of any visit, had been overwritten before it was asked.
        overwritten: u64,
        /// Its accept queues in which connections waited when it was asked.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        queues: Vec<report::AcceptQueue>,
    },
    /// It did not answer, or not with a report.
    Silent {
        /// Why, in words.
        why: String,
    },
    /// It was not asked, since nothing there reports.
    NotAsked {
        /// Why, in words.
        why: String,
    },
}

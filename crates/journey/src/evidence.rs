//! How a value came to be known.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a value came to be known. Nothing is shown without it, and nothing is invented to fill a gap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Evidence {
    /// This process saw it.
    Observed,
    /// The operating system reports it.
    Kernel,
    /// A packet on the wire shows it.
    Captured,
    /// Another host says so.
    Reported {
        /// That host.
        by: String,
        /// How its time was placed on this machine's time line.
        placed: Placed,
    },
    /// It could not be observed.
    NotObservable {
        /// Why not.
        why: String,
        /// What would make it observable, as one would type it, if anything would.
        how: Option<String>,
    },
}

/// How the time of a reported event was placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Placed {
    /// Both hosts read the same kernel's monotonic clock, so the times can be compared.
    Clock,
    /// The clocks cannot be compared: only the order in which that host recorded its events is known.
    Order,
}

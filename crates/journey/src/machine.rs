//! This machine during a visit: whether what had to run could run.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How long a thread of this process was ready to run during the visit and waited for a processor, by the kernel's count
/// (`/proc/self/task/*/schedstat`). In the embedded lab every host has a thread of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunDelay {
    /// Whose thread: `you`, a host of the lab, or `switch`.
    pub of: String,
    /// Microseconds, all waits together.
    pub us: u64,
}

/// The thread that passes the frames of the lab's own network on.
pub const SWITCH: &str = "switch";

//! The `connect` stage: every address tried.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::TcpInfo;

/// Opening a TCP connection: every address tried, in order of their begin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Connect {
    /// The attempts.
    pub attempts: Vec<Attempt>,
    /// The time in which no attempt was under way, as all had failed and the addresses of the other family had not come;
    /// null where there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waited: Option<Waited>,
}

/// A wait for addresses, within the `connect` stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Waited {
    /// Microseconds from the begin of the visit.
    pub start_us: u64,
    /// Microseconds until the answer came, or was not waited for any longer.
    pub duration_us: u64,
}

impl Connect {
    /// The attempt that succeeded.
    pub fn connected(&self) -> Option<&Attempt> {
        self.attempts.iter().find(|attempt| attempt.result == Tried::Connected)
    }
}

/// One attempt to open a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Attempt {
    /// Where to, by the world's address.
    pub server: SocketAddr,
    /// The host that has the address in the world, where known.
    pub host: Option<String>,
    /// The socket that stands in for it, where that is another address.
    pub via: Option<SocketAddr>,
    /// This side's socket, once connected.
    pub local: Option<SocketAddr>,
    /// Microseconds from the begin of the visit.
    pub start_us: u64,
    /// Microseconds until it was open or given up.
    pub duration_us: u64,
    /// What became of it.
    #[serde(flatten)]
    pub result: Tried,
    /// What the kernel said of the connection when it had just been opened; null where it is none, or an engine hides it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<Box<TcpInfo>>,
}

/// What became of an attempt to connect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum Tried {
    /// The connection is open.
    Connected,
    /// The machine answered that nothing listens on that port (RST).
    Refused,
    /// Nobody answered in time.
    Timeout,
    /// Another attempt was faster.
    Abandoned,
    /// There is no way to that address.
    Unreachable {
        /// Who says so and how.
        why: String,
    },
    /// Anything else.
    Failed {
        /// What, in words.
        why: String,
        /// The same for programs.
        #[serde(default, skip_serializing_if = "ConnectFailure::is_other")]
        failure: ConnectFailure,
    },
}

/// Why a connection did not open, where nothing more precise is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConnectFailure {
    /// It was reset.
    Reset,
    /// The visit ended before it was answered.
    NotWaitedFor,
    /// Anything else.
    #[default]
    Other,
}

impl ConnectFailure {
    fn is_other(&self) -> bool {
        *self == Self::Other
    }
}

//! The states of an end (RFC 9293 §3.3.2), how connections end, and whether frames arrive.

use std::fmt;

use super::Side;

/// The state of an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum State {
    Closed,
    Listen,
    SynSent,
    SynReceived,
    Established,
    FinWait1,
    FinWait2,
    CloseWait,
    Closing,
    LastAck,
    TimeWait,
}

impl State {
    /// Its name in RFC 9293.
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "CLOSED",
            Self::Listen => "LISTEN",
            Self::SynSent => "SYN-SENT",
            Self::SynReceived => "SYN-RECEIVED",
            Self::Established => "ESTABLISHED",
            Self::FinWait1 => "FIN-WAIT-1",
            Self::FinWait2 => "FIN-WAIT-2",
            Self::CloseWait => "CLOSE-WAIT",
            Self::Closing => "CLOSING",
            Self::LastAck => "LAST-ACK",
            Self::TimeWait => "TIME-WAIT",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It was not seen to end.
    Open,
    /// Both ends closed, the one in answer to the other; the first one waits in TIME-WAIT.
    Closed {
        /// Who closed first; null where that was not seen.
        first: Option<Side>,
    },
    /// Both ends closed before they heard of each other's closing (RFC 9293 §3.6, figure 13).
    ClosedAtOnce,
    /// The server's kernel answered the SYN with a reset: nothing listens there.
    Refused,
    /// An end gave it up.
    Reset {
        /// Which one.
        by: Side,
    },
}

/// Whether a frame got to the end that it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// It did.
    Yes,
    /// It did not.
    No,
    /// Nothing seen on its way tells.
    Unknown,
}

impl From<bool> for Arrival {
    fn from(delivered: bool) -> Self {
        if delivered { Self::Yes } else { Self::No }
    }
}

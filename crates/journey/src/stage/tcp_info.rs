//! What this machine's kernel says of a TCP connection (tcp(7), `TCP_INFO`).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the kernel says of a connection at one moment. Null is what it does not know, or, being older, does not tell.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TcpInfo {
    /// RFC 9293's name of its state: `ESTABLISHED`.
    pub state: String,
    /// The smoothed round-trip time in microseconds (RFC 6298).
    pub rtt_us: Option<u32>,
    /// How far single round trips are from it, in microseconds.
    pub rttvar_us: Option<u32>,
    /// The shortest round trip so far, in microseconds.
    pub min_rtt_us: Option<u32>,
    /// Segments that were sent again since the connection began; `SYN` is one.
    pub retransmits: Option<u32>,
    /// Segments that are taken for lost now.
    pub lost: Option<u32>,
    /// Segments that are sent and not acknowledged now.
    pub unacked: Option<u32>,
    /// Bytes that were handed over and are not sent yet.
    pub notsent_bytes: Option<u32>,
    /// The largest segment that is sent: content, without headers.
    pub snd_mss: Option<u32>,
    /// The largest segment that the kernel reckons with from the other side.
    pub rcv_mss: Option<u32>,
    /// The largest segment that the other side may send: the size that it was told (RFC 9293 §3.7.1), less the options that
    /// are in every segment.
    pub advmss: Option<u32>,
    /// The largest IP packet that the path takes, as far as it is known.
    pub pmtu: Option<u32>,
    /// The congestion window, in segments (RFC 5681).
    pub snd_cwnd: Option<u32>,
    /// The window that the other side offers, in bytes.
    pub snd_wnd: Option<u32>,
    /// The window that this side offers, in bytes.
    pub rcv_wnd: Option<u32>,
    /// Bytes that were acknowledged by the other side; `SYN` and `FIN` count one each.
    pub bytes_acked: Option<u64>,
    /// Bytes that came from the other side; its `FIN` counts one.
    pub bytes_received: Option<u64>,
}

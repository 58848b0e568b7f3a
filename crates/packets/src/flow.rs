//! TCP connections followed segment by segment. Pure.
//!
//! What a frame is within its connection, and what state each end is in after it (RFC 9293 §3.3.2). Nobody is asked: a
//! sender's state is what it must have been to send this, a receiver's changes only where the frame is known to have got
//! there, or where what it sends later proves it. What was not seen is not known, and is null.

mod end;
mod follower;
mod packet;
mod path;
mod ranges;
mod segment;
mod state;
#[cfg(test)]
mod tests;

use std::{collections::HashMap, net::SocketAddr};

use journey::capture::{Capture, LinkKind};

use self::path::Path;
use crate::decode::decode;
pub use follower::{Follower, Limits};
pub use packet::{Fragment, fragment, same};
pub use state::{Arrival, Ending, State};

/// The connections of a capture.
#[derive(Clone, Debug, Default)]
pub struct Flows {
    /// Each, on each link that it was seen on, ordered by its first frame.
    pub flows: Vec<Flow>,
    /// Segments that were not followed, since there were too many connections.
    pub unfollowed: u64,
    by_frame: HashMap<usize, (usize, usize)>,
    came_as: Vec<Option<usize>>,
}

/// A connection, as seen on one link.
#[derive(Clone, Debug)]
pub struct Flow {
    /// Whose it is.
    pub key: FlowKey,
    /// How the first of it that was seen began.
    pub begun: Begun,
    /// Its segments in the order they passed.
    pub segments: Vec<Segment>,
    /// Segments that came besides, when there were too many to note.
    pub unnoted: u64,
    /// Whether another connection of the same addresses and ports began before this one was seen to end.
    pub is_superseded: bool,
    ends: [end::End; 2],
    reset: Option<Side>,
    is_refused: bool,
}

/// A connection's link, addresses and ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlowKey {
    /// Which link of the capture.
    pub link: usize,
    /// The end that opened it; where that was not seen, the one that was seen to send first.
    pub client: SocketAddr,
    /// The other end.
    pub server: SocketAddr,
}

/// How the first of a connection that was seen began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    /// With the SYN that opens it.
    Opening,
    /// With the answer to a SYN that was not seen.
    Answer,
    /// In the middle: neither its first sequence numbers were seen, nor whether an end had closed before.
    Middle,
}

/// One of the two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// [`FlowKey::client`].
    Client,
    /// [`FlowKey::server`].
    Server,
}

impl Side {
    /// The other one.
    pub fn other(self) -> Self {
        if self == Self::Client { Self::Server } else { Self::Client }
    }
}

/// A segment within its connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Which frame of the capture.
    pub frame: usize,
    /// The frame's time.
    pub at_ns: i64,
    /// Who sent it.
    pub from: Side,
    /// Whether it got to the other end.
    pub arrival: Arrival,
    /// Its sequence number, raw.
    pub sequence: u32,
    /// Its acknowledgment number, raw; only where ACK is set.
    pub acknowledgment: Option<u32>,
    /// The sequence number counted from the sender's SYN, which is 0; in a connection seen in the middle, the first number
    /// seen is 1.
    pub relative_sequence: i64,
    /// The acknowledgment number, counted the same way from the other end's.
    pub relative_acknowledgment: Option<i64>,
    /// Bytes it carries.
    pub payload_len: usize,
    /// What its sender will take (RFC 7323 §2.3: scaled); null where the scale was not seen.
    pub window: Option<u32>,
    /// What it is.
    pub what: What,
    /// Where numbers of it had been on this link before.
    pub again: Option<Again>,
    /// It comes behind numbers that follow it: they overtook it, or it was lost before it came here and this is another try.
    pub is_out_of_order: bool,
    /// Numbers in front of it were not seen on this link when it came.
    pub is_after_gap: bool,
    /// It acknowledges what was not seen: the capture lacks a frame.
    pub acknowledges_unseen: bool,
    /// The client's state after it, where it is known.
    pub client: Option<State>,
    /// The server's.
    pub server: Option<State>,
}

/// What a segment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// SYN: it opens.
    Opens,
    /// SYN with ACK: it answers the opening.
    Answers,
    /// Bytes.
    Data,
    /// FIN, with bytes or without: its sender has no more to send.
    Closes,
    /// RST.
    Reset,
    /// ACK alone.
    Acknowledges,
    /// ACK alone that says again what was said, while there is more to acknowledge (RFC 5681 §2).
    DuplicateAck,
    /// ACK alone that changes the window and nothing else.
    WindowUpdate,
    /// ACK alone that says: send nothing, there is no room.
    ZeroWindow,
    /// A number that was acknowledged before, to hear whether the other end is there (RFC 9293 §3.8.4).
    KeepAlive,
    /// The same to an end that has no room, to hear whether it has now (RFC 9293 §3.8.6.1).
    WindowProbe,
    /// ACK alone that answers one of the two.
    ProbeAnswer,
}

/// Numbers that were on this link before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// The very same packet: something on the way doubled it, its sender sent it once.
    Copy {
        /// The frame that it is a copy of.
        of: usize,
    },
    /// Its sender sent them again.
    Retransmission {
        /// The frame that had them last, where it was noted.
        of: Option<usize>,
        /// How long after that one.
        after_ns: Option<i64>,
        /// Why, as far as that can be told.
        why: Why,
    },
}

/// Why an end sends again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Nothing had come that tells of a loss, so a timer of its own ran out: that of RFC 6298, or the probe's of RFC 8985 §7.
    Timeout,
    /// Acknowledgments told it: three duplicates (RFC 5681 §3.2), or SACK blocks behind a hole (RFC 6675 §5).
    Fast,
    /// What this one answers came again.
    Asked,
    /// It cannot be told.
    Unknown,
}

impl Flow {
    /// Whether it is over: both have closed and know it of each other, or one has given it up.
    pub fn is_over(&self) -> bool {
        let [client, server] = &self.ends;
        self.reset.is_some() || (client.is_done() && server.is_done())
    }

    /// Whether its SYN, and nothing else, was seen: whoever has given up says so to nobody.
    pub fn is_unanswered(&self) -> bool {
        let [client, server] = &self.ends;
        self.begun == Begun::Opening && client.next == 1 && !server.has_opened && self.reset.is_none()
    }

    /// How it ended.
    pub fn ending(&self) -> Ending {
        let [client, server] = &self.ends;
        match self.reset {
            Some(_) if self.is_refused => return Ending::Refused,
            Some(by) => return Ending::Reset { by },
            None if !self.is_over() => return Ending::Open,
            None => {}
        }
        match (client.closed_second(), server.closed_second()) {
            (Some(false), Some(false)) => Ending::ClosedAtOnce,
            (_, Some(true)) => Ending::Closed { first: Some(Side::Client) },
            (Some(true), _) => Ending::Closed { first: Some(Side::Server) },
            _ => Ending::Closed { first: None },
        }
    }

    /// The end that closed while the other one went on sending, and how many bytes came after that: a half-closed
    /// connection (RFC 9293 §3.6).
    pub fn half_closed(&self) -> Option<(Side, u64)> {
        let (at, closes) = self.segments.iter().enumerate().find(|(_, segment)| segment.what == What::Closes)?;
        let heard = closes.relative_sequence.saturating_add(closes.payload_len as i64);
        let after = self.segments[at..].iter().filter(|segment| {
            let knows = segment.relative_acknowledgment.is_some_and(|number| number > heard);
            segment.from != closes.from && segment.again.is_none() && knows
        });
        let bytes = after.map(|segment| segment.payload_len as u64).sum();
        (bytes > 0).then_some((closes.from, bytes))
    }

    /// The state of an end after the last segment.
    pub fn state(&self, side: Side) -> Option<State> {
        let [client, server] = &self.ends;
        if side == Side::Client { client.state() } else { server.state() }
    }
}

impl Flows {
    /// Follows the connections of a capture.
    pub fn follow(capture: &Capture) -> Self {
        let mut follower = Follower::new(Limits::default());
        let decoded = capture.frames.iter().map(|frame| {
            let kind = capture.links.get(frame.link).map_or(LinkKind::Ethernet, |link| link.kind);
            decode(kind, &frame.bytes.0, frame.len as usize)
        });
        let decoded: Vec<_> = decoded.collect();
        let path = Path::of(capture, &decoded);
        for (index, frame) in capture.frames.iter().enumerate() {
            follower.note(index, frame.link, frame.at_ns, &decoded[index], path.passages[index]);
        }
        let came_as = path.passages.iter().map(|passage| passage.came_as).collect();
        Self { came_as, ..follower.into_flows() }
    }

    /// The frame that carried the same packet on the link that it crossed before, of whatever protocol, if it did.
    pub fn came_as(&self, frame: usize) -> Option<usize> {
        self.came_as.get(frame).copied().flatten()
    }

    /// The connection that a frame belongs to, and what it is there.
    pub fn of_frame(&self, frame: usize) -> Option<(&Flow, &Segment)> {
        let &(flow, segment) = self.by_frame.get(&frame)?;
        let flow = self.flows.get(flow)?;
        Some((flow, flow.segments.get(segment)?))
    }
}

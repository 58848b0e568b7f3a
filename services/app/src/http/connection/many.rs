//! HTTP/2 on a connection: many streams at once.
//!
//! hyper says when a request is read and takes its answer, but not which stream it is nor when it is out. The frames say
//! that, and requests are given to the handler in the order in which their heads end: the n-th request is the n-th head
//! that hyper did not refuse. A client that sends what has to be refused may have its own later requests take each other's
//! sizes; nobody else's.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use frames::{Frames, Kind, Part};
use service::linger;

use super::{Answered, Expired, Sent, Written, after};
use crate::{
    Limits,
    http::breaking::{At, Breaks, How},
};

/// Heads that wait for their request. hyper refuses more than this many streams at once, long before they are so many.
const MOST_ARRIVED: usize = 1024;

/// Where the connection is.
#[derive(Debug)]
pub(super) struct Many {
    from_client: Frames,
    to_client: Frames,
    // The highest stream that the client has opened.
    last: u32,
    // A head that is not whole yet: its stream, its bytes so far, when it began.
    head: Option<(u32, u64, u64)>,
    arrived: VecDeque<Arrived>,
    // What is begun and not over.
    streams: BTreeMap<u32, Stream>,
    // When the last stream ended; at first, when the connection began.
    quiet_ns: u64,
    // When the client last took something of a response.
    taken_ns: u64,
    // Something of a response is on its way to the kernel.
    is_sending: bool,
    had_requests: bool,
    // Told to end: its client has been told, too.
    is_leaving: bool,
    // The client has said that it leaves (GOAWAY).
    client_leaves: bool,
}

/// A request's head that is read, and the request not yet begun.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Arrived {
    stream: u32,
    bytes: u64,
    is_reset: bool,
}

#[derive(Debug, Default)]
struct Stream {
    answered: Option<Answered>,
    // Of its response.
    bytes: u64,
    has_content: bool,
    // Its response is whole; what is left is for the kernel to take it.
    is_whole: bool,
    // What is written of its response: all so far, also of the frame that has only begun, and content of whole frames.
    so_far: u64,
    content: u64,
    breaks: Option<Breaks>,
}

impl Many {
    pub(super) fn new(now_ns: u64) -> Self {
        Self {
            from_client: Frames::from_client(),
            to_client: Frames::from_server(),
            last: 0,
            head: None,
            arrived: VecDeque::new(),
            streams: BTreeMap::new(),
            quiet_ns: now_ns,
            taken_ns: now_ns,
            is_sending: false,
            had_requests: false,
            is_leaving: false,
            client_leaves: false,
        }
    }

    /// hyper has a request: the head that has waited longest.
    pub(super) fn arrives(&mut self) -> Arrived {
        self.arrived.pop_front().unwrap_or_default()
    }

    /// The request is begun; how long its head was.
    pub(super) fn began(&mut self, arrived: Arrived) -> u64 {
        self.had_requests = true;
        if !arrived.is_reset && arrived.stream != 0 {
            self.streams.insert(arrived.stream, Stream::default());
        }
        arrived.bytes
    }

    pub(super) fn answered(&mut self, arrived: Arrived, answered: Answered) {
        // Where it is missing, the client has given it up meanwhile.
        if let Some(stream) = self.streams.get_mut(&arrived.stream) {
            stream.answered = Some(answered);
            self.taken_ns = self.taken_ns.max(answered.at_ns);
        }
    }

    pub(super) fn has_read(&mut self, bytes: &[u8], now_ns: u64) {
        let Self { from_client, last, head, arrived, streams, quiet_ns, client_leaves, .. } = self;
        from_client.feed(bytes, |frame| match frame.kind {
            _ if !frame.is_end => {}
            Kind::GoAway => *client_leaves = true,
            // What comes on a stream that is open already are trailers.
            Kind::Headers { is_whole, .. } if frame.stream > *last => {
                *last = frame.stream;
                *head = Some((frame.stream, frame.bytes, now_ns));
                arrive(is_whole, head, arrived);
            }
            Kind::Continuation { is_whole } => {
                if let Some((stream, so_far, _)) = head
                    && *stream == frame.stream
                {
                    *so_far += frame.bytes;
                    arrive(is_whole, head, arrived);
                }
            }
            Kind::Reset => {
                if let Some(arrived) = arrived.iter_mut().find(|arrived| arrived.stream == frame.stream) {
                    arrived.is_reset = true;
                }
                if streams.remove(&frame.stream).is_some() {
                    *quiet_ns = now_ns;
                }
            }
            _ => {}
        });
    }

    /// Whether the client has ended the connection, though its FIN may not be here yet.
    pub(super) fn client_leaves(&self) -> bool {
        self.client_leaves
    }

    pub(super) fn has_written(&mut self, bytes: &[u8], now_ns: u64) {
        let Self { to_client, arrived, streams, quiet_ns, is_sending, .. } = self;
        to_client.feed(bytes, |part| {
            let Part { kind, stream: id, bytes, is_end, here, .. } = part;
            if part.is_message()
                && let Some(stream) = streams.get_mut(&id)
            {
                stream.so_far += here;
            }
            if !is_end {
                return;
            }
            if kind == Kind::Reset {
                // Refused, or given up; but what is whole stays to be told of: a body that was not asked for to its end
                // is reset after the response (RFC 9113 §8.1).
                arrived.retain(|arrived| arrived.stream != id);
                if streams.get(&id).is_some_and(|stream| !stream.is_whole) {
                    streams.remove(&id);
                    *quiet_ns = now_ns;
                }
                return;
            }
            let Some(stream) = streams.get_mut(&id) else { return };
            match kind {
                Kind::Data { is_last } => {
                    (stream.has_content, stream.is_whole) = (true, is_last);
                    stream.bytes += bytes;
                    stream.content += bytes.saturating_sub(frames::HEADER as u64);
                }
                Kind::Headers { is_last, .. } => {
                    // What precedes the final response is none of its bytes.
                    stream.bytes = if stream.has_content { stream.bytes + bytes } else { bytes };
                    stream.is_whole = is_last;
                }
                Kind::Continuation { .. } => stream.bytes += bytes,
                Kind::Reset | Kind::GoAway | Kind::Other => return,
            }
            *is_sending = true;
        });
    }

    /// What is written to its last byte, now that the kernel has so much.
    pub(super) fn has_sent(&mut self, sent: Sent) -> Vec<Written> {
        let sent_ns = sent.at_ns;
        if self.is_sending {
            self.taken_ns = self.taken_ns.max(sent_ns);
        }
        if !sent.is_all || !self.is_sending {
            return Vec::new();
        }
        self.is_sending = false;
        let whole: Vec<u32> = self.streams.iter().filter(|(_, stream)| stream.is_whole).map(|(id, _)| *id).collect();
        let taken = whole.iter().filter_map(|id| self.streams.remove(id));
        let written = taken.filter_map(|stream| {
            let answered = stream.answered?;
            Some(Written { answered, at_ns: sent_ns, bytes: stream.bytes })
        });
        let written = written.collect();
        if !whole.is_empty() {
            self.quiet_ns = sent_ns;
        }
        written
    }

    /// A fault will end the connection within this response.
    pub(super) fn breaks(&mut self, arrived: Arrived, breaks: Breaks) {
        if let Some(stream) = self.streams.get_mut(&arrived.stream) {
            stream.breaks = Some(breaks);
        }
    }

    /// How much may be written before a fault ends the connection.
    pub(super) fn room(&self) -> Option<u64> {
        let room = |stream: &Stream| match stream.breaks?.at {
            At::Answer(bytes) => Some(bytes.saturating_sub(stream.so_far)),
            At::Content(_) => None,
        };
        self.streams.values().filter_map(room).min()
    }

    /// Whether it is to end now, and how.
    pub(super) fn is_due(&self) -> Option<How> {
        let due = |stream: &Stream| {
            let Breaks { at, how } = stream.breaks?;
            let is_due = match at {
                At::Answer(bytes) => stream.so_far >= bytes,
                // The head comes first.
                At::Content(bytes) => stream.so_far > 0 && stream.content >= bytes,
            };
            is_due.then_some(how)
        };
        self.streams.values().find_map(due)
    }

    /// The client need not take anything for so long.
    pub(super) fn pauses(&mut self, until_ns: u64) {
        self.taken_ns = self.taken_ns.max(until_ns);
    }

    pub(super) fn is_busy(&self) -> bool {
        !self.streams.is_empty()
    }

    /// The client is told to open no more streams; one that neither closes nor has anything under way is not waited for.
    pub(super) fn leaves(&mut self, now_ns: u64) {
        self.is_leaving = true;
        self.quiet_ns = now_ns;
    }

    /// Until when something must come or go, and what: nothing while a handler is at work.
    pub(super) fn expires(&self, limits: &Limits) -> Option<(u64, Expired)> {
        if self.streams.values().any(|stream| stream.answered.is_none()) {
            return None;
        }
        if self.is_busy() {
            return Some((after(self.taken_ns, limits.read), Expired::Response));
        }
        if self.is_leaving {
            return Some((after(self.quiet_ns, linger::SILENT), Expired::Idle));
        }
        if let Some((_, _, began_ns)) = self.head {
            return Some((after(began_ns, limits.read), Expired::Head));
        }
        let limit = if self.had_requests { limits.idle } else { limits.read };
        Some((after(self.quiet_ns, limit), Expired::Idle))
    }

    /// How soon something may expire that is not yet begun.
    pub(super) fn shortest(&self, usual: Duration) -> Duration {
        if self.is_leaving { usual.min(linger::SILENT) } else { usual }
    }
}

fn arrive(is_whole: bool, head: &mut Option<(u32, u64, u64)>, arrived: &mut VecDeque<Arrived>) {
    if is_whole
        && let Some((stream, bytes, _)) = head.take()
        && arrived.len() < MOST_ARRIVED
    {
        arrived.push_back(Arrived { stream, bytes, is_reset: false });
    }
}

//! HTTP/2 on a connection: many streams at once.
//!
//! h2 says when a request is read, and on which stream, and takes its answer, but not how many bytes its head had nor when
//! the answer is out. The frames say that. Both are told apart by the stream's number, so a stream that h2 refuses, answers
//! itself or resets leaves the others as they are.

use std::{collections::BTreeMap, time::Duration};

use h2_frames::{Frames, Kind, Part};
use service::linger;

use super::{Answered, Expired, Sent, Written, after, earn};
use crate::{
    Limits,
    http::breaking::{At, Breaks, How},
};

/// Heads that are read and wait for h2 to give their request. h2 refuses more than this many streams at once, long before
/// they are so many.
const MOST_HEADS: usize = 1024;

/// Where the connection is.
#[derive(Debug)]
pub(super) struct Many {
    from_client: Frames,
    to_client: Frames,
    // The highest stream that the client has opened.
    last: u32,
    // A head that is not whole yet.
    head: Option<Head>,
    // Heads that are whole, and whose request h2 has not given yet: it may never do so.
    heads: BTreeMap<u32, Arrived>,
    // What is begun and not over.
    streams: BTreeMap<u32, Stream>,
    // When the last stream ended; at first, when the connection began.
    quiet_ns: u64,
    // When the client last took something of a response.
    taken_ns: u64,
    // So long faults have kept responses back, all together.
    paused_ns: u64,
    // Something of a response is on its way to the kernel.
    is_sending: bool,
    had_requests: bool,
    // Told to end: its client has been told, too.
    is_leaving: bool,
    // The client has said that it leaves (GOAWAY).
    client_leaves: bool,
}

#[derive(Clone, Copy, Debug)]
struct Head {
    stream: u32,
    bytes: u64,
    began_ns: u64,
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
    // Content, also of the frame that has only begun: with a frame's header for each byte, a client would take as much again.
    given: u64,
    breaks: Option<Breaks>,
}

impl Many {
    pub(super) fn new(now_ns: u64) -> Self {
        Self {
            from_client: Frames::from_client(),
            to_client: Frames::from_server(),
            last: 0,
            head: None,
            heads: BTreeMap::new(),
            streams: BTreeMap::new(),
            quiet_ns: now_ns,
            taken_ns: now_ns,
            paused_ns: 0,
            is_sending: false,
            had_requests: false,
            is_leaving: false,
            client_leaves: false,
        }
    }

    /// h2 has a request. It gives them in the order of their streams, so those before it that were not given never will be.
    pub(super) fn arrives(&mut self, stream: u32) -> Arrived {
        let later = self.heads.split_off(&(stream + 1));
        let arrived = self.heads.remove(&stream).unwrap_or_else(|| Arrived { stream, ..Arrived::default() });
        self.heads = later;
        arrived
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

    /// The request is over without a whole response, whoever ended it.
    pub(super) fn gives_up(&mut self, arrived: Arrived, now_ns: u64) {
        if self.streams.remove(&arrived.stream).is_some() {
            self.quiet_ns = now_ns;
        }
    }

    pub(super) fn has_read(&mut self, bytes: &[u8], now_ns: u64) {
        let Self { from_client, last, head, heads, streams, quiet_ns, client_leaves, .. } = self;
        from_client.feed(bytes, |frame| match frame.kind {
            // A head begins with its first byte.
            Kind::Headers { .. } if frame.stream > *last => {
                let began_ns = head.filter(|head| head.stream == frame.stream).map_or(now_ns, |head| head.began_ns);
                *head = Some(Head { stream: frame.stream, bytes: frame.bytes, began_ns });
                if frame.is_end {
                    *last = frame.stream;
                }
                arrive(&frame, head, heads);
            }
            _ if !frame.is_end => {}
            Kind::GoAway => *client_leaves = true,
            Kind::Continuation { .. } => {
                if let Some(head) = head.as_mut().filter(|head| head.stream == frame.stream) {
                    head.bytes += frame.bytes;
                }
                arrive(&frame, head, heads);
            }
            Kind::Reset => {
                if let Some(arrived) = heads.get_mut(&frame.stream) {
                    arrived.is_reset = true;
                }
                if streams.remove(&frame.stream).is_some() {
                    *quiet_ns = now_ns;
                }
            }
            // HEADERS on a stream that is open already are trailers.
            _ => {}
        });
    }

    /// Whether the client has ended the connection, though its FIN may not be here yet.
    pub(super) fn client_leaves(&self) -> bool {
        self.client_leaves
    }

    pub(super) fn has_written(&mut self, bytes: &[u8], now_ns: u64) {
        let Self { to_client, heads, streams, quiet_ns, is_sending, .. } = self;
        to_client.feed(bytes, |part| {
            let Part { kind, stream: id, bytes, is_end, here, .. } = part;
            if part.is_message()
                && let Some(stream) = streams.get_mut(&id)
            {
                stream.so_far += here;
                stream.given += if matches!(kind, Kind::Data { .. }) { here } else { 0 };
            }
            if !is_end {
                return;
            }
            if kind == Kind::Reset {
                // Refused, or given up; but what is whole stays to be told of: a body that was not asked for to its end
                // is reset after the response (RFC 9113 §8.1).
                heads.remove(&id);
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
                    stream.content += bytes.saturating_sub(h2_frames::HEADER as u64);
                    stream.given = stream.given.saturating_sub(h2_frames::HEADER as u64);
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
    pub(super) fn pauses(&mut self, now_ns: u64, until_ns: u64) {
        self.taken_ns = self.taken_ns.max(until_ns);
        self.paused_ns += until_ns.saturating_sub(now_ns);
    }

    pub(super) fn is_busy(&self) -> bool {
        !self.streams.is_empty()
    }

    /// The client is told to open no more streams; one that neither closes nor has anything under way is not waited for.
    pub(super) fn leaves(&mut self, now_ns: u64) {
        self.is_leaving = true;
        self.quiet_ns = now_ns;
    }

    /// Until when something must come or go, and what. Frames that carry nothing of a request or a response (PING, SETTINGS,
    /// WINDOW_UPDATE) put nothing off.
    pub(super) fn expires(&self, limits: &Limits) -> Option<(u64, Expired)> {
        // Between a head's frames there may be no others (RFC 9113 §6.10): it holds up all streams.
        let head = self.head.map(|head| (after(head.began_ns, limits.read), Expired::Head));
        let other = if self.is_busy() {
            self.response_expires(limits).map(|at_ns| (at_ns, Expired::Response))
        } else if self.is_leaving {
            Some((after(self.quiet_ns, linger::SILENT), Expired::Idle))
        } else {
            let limit = if self.had_requests { limits.idle } else { limits.read };
            Some((after(self.quiet_ns, limit), Expired::Idle))
        };
        [head, other].into_iter().flatten().min_by_key(|(at_ns, _)| *at_ns)
    }

    /// The client must take something of what is answered, and enough of each response. While a handler is at work, what it
    /// waits for has a limit of its own.
    fn response_expires(&self, limits: &Limits) -> Option<u64> {
        let is_answered = self.streams.values().all(|stream| stream.answered.is_some());
        let taken = is_answered.then(|| after(self.taken_ns, limits.read));
        let earned = self.streams.values().filter_map(|stream| {
            let began_ns = stream.answered?.at_ns.saturating_add(self.paused_ns);
            Some(after(began_ns, limits.read + earn(stream.given)))
        });
        earned.chain(taken).min()
    }

    /// How soon something may expire that is not yet begun.
    pub(super) fn shortest(&self, usual: Duration) -> Duration {
        if self.is_leaving { usual.min(linger::SILENT) } else { usual }
    }
}

/// Puts a head that is whole where h2's request finds it. Where there are too many, the oldest is one that h2 has refused.
fn arrive(frame: &Part, head: &mut Option<Head>, heads: &mut BTreeMap<u32, Arrived>) {
    let is_whole = matches!(frame.kind, Kind::Headers { is_whole: true, .. } | Kind::Continuation { is_whole: true });
    if frame.is_end
        && is_whole
        && let Some(Head { stream, bytes, .. }) = head.take()
    {
        if heads.len() == MOST_HEADS {
            heads.pop_first();
        }
        heads.insert(stream, Arrived { stream, bytes, is_reset: false });
    }
}

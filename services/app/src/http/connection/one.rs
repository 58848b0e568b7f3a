//! HTTP/1.1 on a connection: one message after the other.

use std::task::{Context, Poll, Waker};

use super::{Answered, Expired, Written, after, earn};
use crate::{
    Limits,
    http::{
        breaking::{At, Breaks, How},
        heads::{Framing, Heads},
    },
};

/// Where the connection is.
#[derive(Debug)]
pub(super) struct One {
    heads: Heads,
    phase: Phase,
    // Until when something must come or go; none while the handler is at work.
    expires_ns: Option<u64>,
    // Waits for the response to be written, or to tell hyper of the client's FIN: the connection's own task.
    waiting: Option<Waker>,
    // A FIN of the client, now, means that it has gone.
    ends_with_client: bool,
    is_unread: bool,
    // Within the response that is on its way out.
    breaks: Option<Breaks>,
    // As much of its content is given as there will be.
    is_content_over: bool,
    is_flushed: bool,
    // So long the client gets nothing to take, and got nothing within this response.
    paused_until_ns: u64,
    paused_ns: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No byte of the next request has come.
    Idle,
    /// Some of its head has.
    Head,
    /// The head is read and the handler at work, which reads the body.
    Handling,
    /// The response is on its way out.
    Writing(Writing),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Writing {
    answered: Answered,
    // When the client last took some of it; at first, when it was made.
    at_ns: u64,
    bytes: u64,
    // hyper has taken all of its body.
    is_taken: bool,
}

impl One {
    pub(super) fn new(now_ns: u64, limits: &Limits) -> Self {
        Self {
            heads: Heads::default(),
            phase: Phase::Idle,
            expires_ns: Some(after(now_ns, limits.read)),
            waiting: None,
            ends_with_client: false,
            is_unread: false,
            breaks: None,
            is_content_over: false,
            is_flushed: false,
            paused_until_ns: 0,
            paused_ns: 0,
        }
    }

    /// Waits until no response is on its way out.
    pub(super) fn poll_written(&mut self, cx: &Context<'_>) -> Poll<()> {
        if matches!(self.phase, Phase::Writing(_)) {
            self.waiting = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    /// A request's head is read: how long it was, and its bytes where they are to be kept.
    pub(super) fn began(&mut self, framing: Framing, keep: bool) -> (u64, Vec<u8>) {
        self.phase = Phase::Handling;
        self.expires_ns = None;
        self.ends_with_client = false;
        let look = |head: &[u8]| (head.len() as u64, if keep { head.to_vec() } else { Vec::new() });
        self.heads.take(framing, look)
    }

    pub(super) fn waits(&mut self) {
        self.ends_with_client = true;
        self.wake();
    }

    pub(super) fn answered(&mut self, answered: Answered, limits: &Limits) {
        self.paused_ns = 0;
        self.phase = Phase::Writing(Writing { answered, at_ns: answered.at_ns, bytes: 0, is_taken: false });
        self.expires_ns = Some(after(answered.at_ns, limits.read));
        self.is_unread |= answered.leaves_body;
    }

    /// A fault will end the connection within this response.
    pub(super) fn breaks(&mut self, breaks: Breaks) {
        self.breaks = Some(breaks);
    }

    /// There will be no more content than was given so far, although there should be.
    pub(super) fn content_over(&mut self) {
        self.is_content_over = true;
    }

    /// How much may be written before a fault ends the connection.
    pub(super) fn room(&self) -> Option<u64> {
        match (self.breaks?.at, self.phase) {
            (At::Answer(bytes), Phase::Writing(writing)) => Some(bytes.saturating_sub(writing.bytes)),
            _ => None,
        }
    }

    /// Whether it is to end now, and how.
    pub(super) fn is_due(&self) -> Option<How> {
        let Breaks { at, how } = self.breaks?;
        let is_due = match (at, self.phase) {
            (At::Answer(bytes), Phase::Writing(writing)) => writing.bytes >= bytes,
            (At::Content(_), Phase::Writing(_)) => self.is_flushed,
            _ => false,
        };
        is_due.then_some(how)
    }

    /// The client need not take anything for so long.
    pub(super) fn pauses(&mut self, now_ns: u64, until_ns: u64, limits: &Limits) {
        self.paused_until_ns = until_ns;
        self.paused_ns += until_ns.saturating_sub(now_ns);
        self.expires_ns = Some(after(until_ns, limits.read));
    }

    pub(super) fn body_taken(&mut self) {
        if let Phase::Writing(writing) = &mut self.phase {
            writing.is_taken = true;
        }
    }

    pub(super) fn has_read(&mut self, bytes: &[u8], now_ns: impl FnOnce() -> u64, limits: &Limits) {
        self.heads.feed(bytes);
        // A head that came in one piece has no need of a time limit: it is handled next.
        if self.phase == Phase::Idle && !self.heads.is_complete() {
            self.phase = Phase::Head;
            self.expires_ns = Some(after(now_ns(), limits.read));
        }
    }

    pub(super) fn has_written(&mut self, bytes: u64) {
        if let Phase::Writing(writing) = &mut self.phase {
            writing.bytes += bytes;
        }
    }

    /// The kernel took bytes by a call that began then.
    pub(super) fn has_sent(&mut self, sent_ns: u64, limits: &Limits) {
        if let Phase::Writing(writing) = &mut self.phase {
            writing.at_ns = writing.at_ns.max(sent_ns);
            let next_ns = after(writing.at_ns.max(self.paused_until_ns), limits.read);
            let began_ns = writing.answered.at_ns.saturating_add(self.paused_ns);
            self.expires_ns = Some(next_ns.min(after(began_ns, limits.read + earn(writing.bytes))));
        }
    }

    pub(super) fn poll_end(&mut self, cx: &Context<'_>) -> Poll<()> {
        let is_kept = match self.phase {
            Phase::Idle | Phase::Head => self.heads.is_complete(),
            Phase::Handling => !self.heads.is_in_body() && !self.ends_with_client,
            Phase::Writing(_) => true,
        };
        if is_kept {
            self.waiting = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    /// hyper asks for a flush only when it has given all it has, so once the body is taken the response is out.
    pub(super) fn has_flushed(&mut self, limits: &Limits) -> Option<Written> {
        let Phase::Writing(writing) = self.phase else { return None };
        self.is_flushed |= self.is_content_over;
        if !writing.is_taken {
            return None;
        }
        self.breaks = None;
        let Writing { answered, at_ns, bytes, .. } = writing;
        (self.phase, self.expires_ns) = if self.heads.has_begun() {
            (Phase::Head, Some(after(at_ns, limits.read)))
        } else {
            (Phase::Idle, Some(after(at_ns, limits.idle)))
        };
        self.wake();
        Some(Written { answered, at_ns, bytes })
    }

    pub(super) fn is_busy(&self) -> bool {
        matches!(self.phase, Phase::Handling | Phase::Writing(_))
    }

    pub(super) fn is_unread(&self) -> bool {
        self.is_unread || self.heads.has_begun()
    }

    pub(super) fn expires(&self) -> Option<(u64, Expired)> {
        let why = match self.phase {
            Phase::Idle => Expired::Idle,
            Phase::Head | Phase::Handling => Expired::Head,
            Phase::Writing(_) => Expired::Response,
        };
        Some((self.expires_ns?, why))
    }

    pub(super) fn wake(&mut self) {
        if let Some(waiting) = self.waiting.take() {
            waiting.wake();
        }
    }
}

//! One end of a connection: its numbers, what it has heard, and the state that follows.

use std::collections::VecDeque;

use super::{
    State,
    ranges::{Before, Ranges},
};

/// What is known of an end.
#[derive(Clone, Debug, Default)]
pub(super) struct End {
    /// A number of its own, raw, and what it is counted from its SYN.
    anchor: Option<(u32, i64)>,
    /// It is seen from its first number on.
    pub(super) is_whole: bool,
    /// Whether it was seen to open: its SYN, or what comes behind one.
    pub(super) has_opened: bool,
    /// Its numbers that were seen on the link.
    sent: Ranges,
    /// The first number behind all that it was seen to send.
    pub(super) next: i64,
    /// Its numbers that are acknowledged, by acknowledgments that it has.
    pub(super) acknowledged: i64,
    /// The same by acknowledgments that nobody saw lost on their way to it.
    acknowledged_at_least_seen: i64,
    /// The other end's numbers that it has.
    heard: Ranges,
    /// Acknowledgments in segments to it that nothing tells the arrival of: it has them when it acknowledges the segment.
    promised: VecDeque<(i64, i64)>,
    fin: Fin,
    /// Whether it has heard the other end's FIN; null where that may have been before the first frame.
    has_heard_fin: Option<bool>,
    /// Whether it had heard the other end's FIN when it sent its own.
    closed_second: Option<bool>,
    /// It gave the connection up, or knows that the other end has.
    pub(super) is_gone: bool,
    /// What it said last: acknowledgment, window not scaled.
    pub(super) last: Option<(i64, u16)>,
    /// The shift of its window; null where its SYN was not seen.
    pub(super) scale: Option<u8>,
    /// Whether it said one.
    pub(super) scales: bool,
    /// How often it has acknowledged the same in a row since then, and when that was last.
    pub(super) duplicates: Duplicates,
    /// A fast retransmission is under way, up to this number.
    pub(super) recovers_to: Option<i64>,
    /// The last that it sent asks whether the other end is there.
    pub(super) is_probing: bool,
}

/// What an end's acknowledgments tell of loss.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Duplicates {
    pub(super) of: i64,
    pub(super) count: u32,
    pub(super) sacked_to: i64,
    pub(super) at_ns: Option<i64>,
}

/// Whether an end has closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Fin {
    /// It may have, before the first frame.
    #[default]
    Unknown,
    No,
    /// Its FIN has this number.
    At(i64),
}

impl End {
    /// An end of a connection that was seen to open.
    pub(super) fn new() -> Self {
        Self { is_whole: true, fin: Fin::No, has_heard_fin: Some(false), ..Self::default() }
    }

    /// A raw number of its own, counted from its SYN; where it is the first one that is heard of, it is that.
    pub(super) fn relative(&mut self, raw: u32, if_first: i64) -> i64 {
        self.anchor.get_or_insert((raw, if_first));
        self.known(raw).unwrap_or(if_first)
    }

    /// The same; null where no number is known.
    pub(super) fn known(&self, raw: u32) -> Option<i64> {
        let (known, place) = self.anchor?;
        Some(place.saturating_add(i64::from(raw.wrapping_sub(known).cast_signed())))
    }

    /// It sends these numbers; whether any of them was seen before.
    pub(super) fn sends(&mut self, raw: u32, from: i64, to: i64) -> Before {
        let before = self.sent.add(from, to);
        if to > self.next {
            (self.next, self.anchor) = (to, Some((raw, from)));
        }
        before
    }

    /// It sends bytes that it had not sent: it had not closed, and the other end had not heard it close.
    pub(super) fn is_open(&mut self, other: &mut Self) {
        if self.fin == Fin::Unknown {
            self.fin = Fin::No;
        }
        other.not_yet_heard_fin();
        // It may send bytes once its SYN is acknowledged (but for a server by RFC 7413, which is not met here).
        self.acknowledged = self.acknowledged.max(1);
    }

    /// It closes with that number.
    pub(super) fn closes(&mut self, at: i64, other: &mut Self) {
        if matches!(self.fin, Fin::At(_)) {
            return;
        }
        (self.fin, self.closed_second) = (Fin::At(at), self.has_heard_fin);
        other.not_yet_heard_fin();
    }

    fn not_yet_heard_fin(&mut self) {
        if self.has_heard_fin.is_none() {
            self.has_heard_fin = Some(false);
            if matches!(self.fin, Fin::At(_)) && self.closed_second.is_none() {
                self.closed_second = Some(false);
            }
        }
    }

    /// These numbers of the other end have got to it, and what they acknowledge.
    pub(super) fn hears(&mut self, from: i64, to: i64, acknowledges: Option<i64>, other: &Self) {
        self.heard.add(from, to);
        self.acknowledged = self.acknowledged.max(acknowledges.unwrap_or(0));
        self.learn(other);
    }

    /// It may have heard this.
    pub(super) fn may_hear(&mut self, to: i64, acknowledges: Option<i64>) {
        let Some(acknowledges) = acknowledges else { return };
        self.promised.push_back((to, acknowledges));
        if self.promised.len() > 64 {
            self.promised.pop_front();
        }
    }

    /// An acknowledgment to it passed that was not seen to be lost.
    pub(super) fn is_told(&mut self, acknowledged: i64) {
        self.acknowledged_at_least_seen = self.acknowledged_at_least_seen.max(acknowledged);
    }

    /// It acknowledges the other end's numbers up to there, so it has them, and what came with them.
    pub(super) fn acknowledges(&mut self, to: i64, other: &Self) {
        self.heard.fill_to(to);
        while let Some(&(_, acknowledged)) = self.promised.front().filter(|&&(end, _)| end <= to) {
            self.acknowledged = self.acknowledged.max(acknowledged);
            self.promised.pop_front();
        }
        self.learn(other);
    }

    fn learn(&mut self, other: &Self) {
        if let Fin::At(at) = other.fin
            && self.heard.next().is_some_and(|next| next > at)
        {
            self.has_heard_fin = Some(true);
        }
    }

    /// The next number that it waits for, where it has heard any.
    pub(super) fn waits_for(&self) -> Option<i64> {
        self.heard.next()
    }

    /// It has closed, and its closing is acknowledged.
    pub(super) fn is_done(&self) -> bool {
        matches!(self.fin, Fin::At(at) if self.acknowledged_at_least_seen > at)
    }

    /// Whether it closed in answer to the other end's closing.
    pub(super) fn closed_second(&self) -> Option<bool> {
        self.closed_second
    }

    /// Its state, where it is known.
    pub(super) fn state(&self) -> Option<State> {
        if self.is_gone {
            return Some(State::Closed);
        }
        if self.is_whole && !self.has_opened {
            return None;
        }
        if self.is_whole && self.fin == Fin::No {
            let has_heard_syn = self.heard.next().is_some_and(|next| next > 0);
            match (has_heard_syn, self.acknowledged > 0) {
                (false, _) => return Some(State::SynSent),
                (true, false) => return Some(State::SynReceived),
                (true, true) => {}
            }
        }
        let Fin::At(at) = self.fin else {
            return match (self.fin, self.has_heard_fin) {
                (Fin::No, Some(false)) if self.heard.next().is_some() => Some(State::Established),
                (Fin::No, Some(true)) => Some(State::CloseWait),
                _ => None,
            };
        };
        match (self.has_heard_fin?, self.acknowledged > at) {
            (false, false) => Some(State::FinWait1),
            (false, true) => Some(State::FinWait2),
            (true, is_acknowledged) => match (self.closed_second?, is_acknowledged) {
                (true, false) => Some(State::LastAck),
                (true, true) => Some(State::Closed),
                (false, false) => Some(State::Closing),
                (false, true) => Some(State::TimeWait),
            },
        }
    }
}

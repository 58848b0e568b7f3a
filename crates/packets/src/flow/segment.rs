//! What a segment is within its connection.

use std::net::SocketAddr;

use super::{
    Again, Arrival, Begun, Flow, FlowKey, Segment, Side, State, What, Why, end::End, path::Passage, ranges::Before,
};
use crate::decode::Tcp;

/// A transmission of a number is looked for so far back.
const LOOK_BACK: usize = 4096;

/// What is known of a segment besides its header.
#[derive(Clone, Copy)]
pub(super) struct Seen {
    pub(super) frame: usize,
    pub(super) at_ns: i64,
    pub(super) from: Side,
    pub(super) passage: Passage,
    /// Why its sender sent it again, as told on the link that it crossed before.
    pub(super) why: Option<Why>,
}

impl Flow {
    pub(super) fn begin(link: usize, source: SocketAddr, destination: SocketAddr, tcp: &Tcp) -> Self {
        let begun = match (tcp.flags.syn, tcp.flags.ack) {
            (true, false) => Begun::Opening,
            (true, true) => Begun::Answer,
            (false, _) => Begun::Middle,
        };
        let (client, server) = if begun == Begun::Answer { (destination, source) } else { (source, destination) };
        let end = if begun == Begun::Middle { End::default } else { End::new };
        Self {
            key: FlowKey { link, client, server },
            begun,
            segments: Vec::new(),
            unnoted: 0,
            is_superseded: false,
            ends: [end(), end()],
            reset: None,
            is_refused: false,
        }
    }

    /// Whether this SYN opens another connection between the same ports: another first number (RFC 9293 §3.4.1).
    pub(super) fn is_followed_by(&self, source: SocketAddr, tcp: &Tcp) -> bool {
        if !tcp.flags.syn || tcp.flags.ack {
            return false;
        }
        let from = if source == self.key.client { 0 } else { 1 };
        let is_fresh = !self.ends[from].has_opened;
        // The other end opens at the same time.
        if is_fresh && self.begun == Begun::Opening && !self.is_over() && self.ends[from].next == 0 {
            return false;
        }
        is_fresh || self.ends[from].clone().relative(tcp.sequence, 0) != 0
    }

    pub(super) fn see(&mut self, seen: Seen, tcp: &Tcp) -> Segment {
        let flags = tcp.flags;
        let [client, server] = &mut self.ends;
        let (sender, receiver) = if seen.from == Side::Client { (client, server) } else { (server, client) };
        let is_first = sender.next == 0;
        // A reset may be of an end that has no numbers (RFC 9293 §3.10.7.1).
        let from = match flags.rst {
            true => sender.known(tcp.sequence).unwrap_or(1),
            false => sender.relative(tcp.sequence, if flags.syn { 0 } else { 1 }),
        };
        let length = tcp.payload_len as i64 + i64::from(flags.syn) + i64::from(flags.fin);
        let to = from + length;
        let number = flags.ack.then(|| receiver.relative(tcp.acknowledgment, 1));
        sender.has_opened |= !flags.rst;
        if flags.syn {
            // Both say it or none does (RFC 7323 §2.2), and by 14 at most (§2.3).
            sender.scale = Some(tcp.options.window_scale.unwrap_or(0).min(14));
            sender.scales = tcp.options.window_scale.is_some();
        }
        let window = sender.window(receiver, tcp);
        let what = what(sender, receiver, tcp, from, number);
        let is_probe = matches!(what, What::KeepAlive | What::WindowProbe);
        let acknowledges_unseen =
            number.is_some_and(|number| number > receiver.next && receiver.next > 0) && !flags.rst;
        let mut segment = Segment {
            frame: seen.frame,
            at_ns: seen.at_ns,
            from: seen.from,
            arrival: seen.passage.arrival,
            sequence: tcp.sequence,
            acknowledgment: flags.ack.then_some(tcp.acknowledgment),
            relative_sequence: from,
            relative_acknowledgment: number,
            payload_len: tcp.payload_len,
            window,
            what,
            again: None,
            is_out_of_order: false,
            is_after_gap: !is_first && from > sender.next && !flags.rst,
            acknowledges_unseen,
            client: None,
            server: None,
        };
        if flags.rst {
            self.resets(&segment);
        } else {
            let next = sender.next;
            let before = if is_probe { Before::None } else { sender.sends(tcp.sequence, from, to) };
            let is_new = before == Before::None;
            segment.is_out_of_order = is_new && length > 0 && !is_probe && from < next;
            if is_new && tcp.payload_len > 0 && !is_probe && !flags.syn {
                sender.is_open(receiver);
            }
            if let Some(number) = number {
                sender.acknowledges(number, receiver);
                sender.hears_of_loss(number, what, tcp, seen.at_ns, seen.passage.arrival);
                sender.last = Some((number, tcp.window));
            }
            sender.is_probing = is_probe;
            receiver.is_probing &= what != What::ProbeAnswer;
            if flags.fin {
                sender.closes(to - 1, receiver);
            }
            match seen.passage.arrival {
                Arrival::Yes => receiver.hears(from, if is_probe { from } else { to }, number, sender),
                Arrival::Unknown if length > 0 && !is_probe => receiver.may_hear(to, number),
                _ => {}
            }
            if let Some(number) = number.filter(|_| seen.passage.arrival != Arrival::No) {
                receiver.is_told(number);
            }
            // A SYN ACK that asks for no fragmentation has the identification 0 at Linux: two in a row that answer two SYNs
            // are alike.
            let is_own_word = what == What::Answers && !seen.passage.is_told_apart && self.is_asked(seen.from, None);
            segment.again = match seen.passage.copy_of.filter(|_| !is_own_word) {
                Some(of) => Some(Again::Copy { of }),
                None if is_new => None,
                None => Some(self.retransmission(&segment, to, seen)),
            };
        }
        self.back_fill(&segment);
        let [client, server] = &self.ends;
        (segment.client, segment.server) = (client.state(), server.state());
        segment
    }

    /// An end gives the connection up. One that lies outside what the other end waits for is nobody's word (RFC 5961 §3.2).
    fn resets(&mut self, segment: &Segment) {
        let [client, server] = &mut self.ends;
        let (sender, receiver) = if segment.from == Side::Client { (client, server) } else { (server, client) };
        let is_opening = receiver.has_opened && !sender.has_opened && self.begun == Begun::Opening;
        // Before it has heard a number, an end can only tell by what is acknowledged (RFC 9293 §3.10.7.3).
        let (is_its, is_exact) = match receiver.waits_for() {
            _ if is_opening => {
                let is_its =
                    segment.relative_acknowledgment.is_some_and(|number| number > 0 && number <= receiver.next);
                (is_its, is_its)
            }
            None => (true, true),
            Some(next) => {
                let (_, window) = receiver.last.unwrap_or_default();
                let room = i64::from(window) << receiver.scale.unwrap_or(0);
                let ahead = segment.relative_sequence - next;
                // Frames that were not captured may be in between.
                ((0..=room).contains(&ahead) || segment.relative_sequence == sender.next, ahead == 0)
            }
        };
        if !is_its {
            return;
        }
        let answered = self.segments.iter().rposition(|earlier| {
            let number = earlier.relative_acknowledgment.filter(|number| (1..=sender.next).contains(number));
            let is_answer = segment.acknowledgment.is_none() && earlier.acknowledgment == Some(segment.sequence);
            earlier.from != segment.from && earlier.arrival != Arrival::No && is_answer && number.is_some()
        });
        sender.is_gone = true;
        receiver.is_gone |= segment.arrival == Arrival::Yes && is_exact;
        if segment.arrival != Arrival::No && self.reset.is_none() {
            self.reset = Some(segment.from);
            self.is_refused = is_opening && segment.from == Side::Server;
        }
        if let Some(answered) = answered {
            self.was_gone(segment.from, answered);
        }
    }

    /// A reset without ACK that begins where a segment acknowledged answers that one: what got there found no connection any
    /// more (RFC 9293 §3.10.7.1). Only of an end that had said nothing behind its SYN, or had closed, does it tell that: an
    /// open one may also break off with such a reset, of its own accord.
    fn was_gone(&mut self, side: Side, answered: usize) {
        let Some(before) = answered.checked_sub(1).and_then(|before| self.segments.get(before)) else { return };
        let is_open = match before.state(side) {
            Some(State::Established | State::CloseWait | State::SynReceived | State::Listen) | None => true,
            Some(State::SynSent | State::FinWait1 | State::FinWait2 | State::Closing | State::LastAck) => false,
            Some(State::TimeWait | State::Closed) => false,
        };
        let speaks = |later: &Segment| later.from == side && later.what != What::Reset;
        if is_open || self.segments[answered..].iter().any(speaks) {
            return;
        }
        for segment in &mut self.segments[answered..] {
            match side {
                Side::Client => segment.client = Some(State::Closed),
                Side::Server => segment.server = Some(State::Closed),
            }
        }
    }

    /// Which transmission this one repeats, and why.
    fn retransmission(&mut self, segment: &Segment, to: i64, seen: Seen) -> Again {
        let earlier = self.segments.iter().rev().take(LOOK_BACK);
        let previous = earlier.clone().find(|earlier| {
            let has = earlier.relative_sequence + earlier.payload_len as i64 + i64::from(earlier.is_control());
            let is_probe = matches!(earlier.what, What::KeepAlive | What::WindowProbe);
            let overlaps = earlier.relative_sequence < to && segment.relative_sequence < has;
            earlier.from == segment.from && overlaps && !is_probe
        });
        let Some(previous) = previous else {
            return Again::Retransmission { of: None, after_ns: None, why: Why::Unknown };
        };
        let is_asked = segment.what == What::Answers && self.is_asked(segment.from, Some(previous.frame));
        let (of, after_ns, previous_at) = (previous.frame, segment.at_ns - previous.at_ns, previous.at_ns);
        let [client, server] = &mut self.ends;
        let (sender, receiver) = if segment.from == Side::Client { (client, server) } else { (server, client) };
        let told = receiver.duplicates;
        let is_told = told.at_ns.is_some_and(|at| at >= previous_at);
        let why = if let Some(why) = seen.why {
            why
        } else if is_asked {
            Why::Asked
        } else if is_told && (told.sacked_to > segment.relative_sequence || told.count >= 3) {
            sender.recovers_to = Some(sender.next);
            Why::Fast
        } else if is_told || seen.passage.is_at_once || sender.recovers_to.is_some_and(|to| sender.acknowledged < to) {
            Why::Unknown
        } else {
            Why::Timeout
        };
        Again::Retransmission { of: Some(of), after_ns: Some(after_ns), why }
    }

    /// Whether this end was asked once more for its SYN ACK: by a SYN behind the last one, or by more SYNs than it has answered.
    fn is_asked(&self, from: Side, last: Option<usize>) -> bool {
        let opens =
            |earlier: &&Segment| earlier.from != from && earlier.what == What::Opens && earlier.arrival != Arrival::No;
        let recent = || self.segments.iter().rev().take(LOOK_BACK);
        let answers = recent().filter(|earlier| earlier.from == from && earlier.what == What::Answers).count();
        recent().take_while(|earlier| last.is_some_and(|last| earlier.frame != last)).any(|earlier| opens(&earlier))
            || recent().filter(opens).count() > answers
    }

    /// Before a server is heard of, nothing tells what it is in. Its first word tells also what it was in.
    fn back_fill(&mut self, first: &Segment) {
        let was = match first.what {
            What::Answers => State::Listen,
            What::Reset if self.is_refused => State::Closed,
            _ => return,
        };
        if first.from != Side::Server || self.segments.iter().any(|segment| segment.from == Side::Server) {
            return;
        }
        let mut state = was;
        for segment in &mut self.segments {
            if segment.what == What::Opens && segment.arrival == Arrival::Yes && was == State::Listen {
                state = State::SynReceived;
            }
            segment.server = Some(state);
        }
    }
}

impl Segment {
    /// The state of an end after it, where it is known.
    pub fn state(&self, side: Side) -> Option<State> {
        if side == Side::Client { self.client } else { self.server }
    }

    fn is_control(&self) -> bool {
        matches!(self.what, What::Opens | What::Answers | What::Closes)
    }
}

impl End {
    /// What it will take, where that is known. A window is scaled only where both ends have said by how much, and never in a
    /// SYN (RFC 7323 §2.2).
    fn window(&self, receiver: &Self, tcp: &Tcp) -> Option<u32> {
        let window = u32::from(tcp.window);
        match (tcp.flags.syn, self.scale?, receiver.scale) {
            (true, ..) => Some(window),
            (_, shift, Some(_)) if self.scales && receiver.scales => Some(window << shift),
            (_, _, Some(_)) => Some(window),
            _ => None,
        }
    }

    /// It acknowledges, which may tell that something is missing.
    fn hears_of_loss(&mut self, number: i64, what: What, tcp: &Tcp, at_ns: i64, arrival: Arrival) {
        if arrival == Arrival::No {
            return;
        }
        if number > self.duplicates.of {
            (self.duplicates.of, self.duplicates.count) = (number, 0);
        }
        let raw = tcp.acknowledgment;
        // A block below the acknowledgment tells of a duplicate, not of a hole (RFC 2883 §4).
        let blocks = tcp.options.sack.iter().map(|&(_, right)| i64::from(right.wrapping_sub(raw).cast_signed()));
        let sacked = blocks.max().filter(|&ahead| ahead > 0);
        if let Some(ahead) = sacked {
            self.duplicates.sacked_to = self.duplicates.sacked_to.max(number.saturating_add(ahead));
        }
        if what == What::DuplicateAck {
            self.duplicates.count += 1;
        }
        if what == What::DuplicateAck || sacked.is_some() {
            self.duplicates.at_ns = Some(at_ns);
        }
    }
}

/// What a segment is, by the numbers seen before it.
fn what(sender: &End, receiver: &End, tcp: &Tcp, from: i64, number: Option<i64>) -> What {
    let flags = tcp.flags;
    match (flags.rst, flags.syn, flags.fin) {
        (true, ..) => return What::Reset,
        (_, true, _) if flags.ack => return What::Answers,
        (_, true, _) => return What::Opens,
        (.., true) => return What::Closes,
        _ => {}
    }
    // One number before the next one, which is acknowledged: nothing that the other end lacks.
    if tcp.payload_len <= 1
        && sender.next > 0
        && from == sender.next - 1
        && receiver.last.is_some_and(|(n, _)| n > from)
    {
        return if receiver.last.is_some_and(|(_, window)| window == 0) { What::WindowProbe } else { What::KeepAlive };
    }
    if tcp.payload_len > 0 {
        return What::Data;
    }
    let is_same = sender.last.is_some_and(|(last, _)| Some(last) == number);
    let is_same_window = sender.last.is_some_and(|(_, window)| window == tcp.window);
    let has_holes = tcp.options.sack.iter().any(|&(_, right)| right.wrapping_sub(tcp.acknowledgment).cast_signed() > 0);
    let lacks = number.is_some_and(|number| receiver.next > number);
    if tcp.window == 0 && !(is_same && is_same_window) {
        What::ZeroWindow
    } else if is_same && is_same_window && receiver.is_probing {
        What::ProbeAnswer
    } else if is_same && lacks && (is_same_window || has_holes) {
        What::DuplicateAck
    } else if is_same && !is_same_window {
        What::WindowUpdate
    } else {
        What::Acknowledges
    }
}

//! This machine's own frames in few lines: what belongs together is one.

use std::collections::{HashMap, HashSet};

use journey::{capture::Fate, chronicle::YOU};
use packets::{
    decode::words::Says,
    flow::{Again, Flow, FlowKey, Segment, State, What},
};

use super::{
    line::{Kind, Line},
    mishaps,
    said::{app, bytes_words, content, has_flaw, is_answer, is_encrypted, is_error, peer},
    scene::{Scene, Seen},
};
use crate::{
    page::{Ink, Page, Piece, dim, piece, plain},
    words::{self, and, count},
};

/// More lines than these are counted, not shown; those that tell of something wrong go first.
const MOST: usize = 11;
/// An answer is looked for among so many of the last lines.
const RECENT: usize = 64;

/// The lines so far, and what is only counted.
#[derive(Default)]
struct Brief {
    lines: Vec<Line>,
    /// The last line of each connection.
    of: HashMap<FlowKey, usize>,
    /// The line of its closing, which others may come behind: one end may go on after the other has closed.
    closing: HashMap<FlowKey, usize>,
    acknowledgments: usize,
    others: usize,
    background: usize,
}

pub(super) fn told(page: &mut Page, scene: &Scene<'_>) {
    let related = related(scene);
    let mut brief = Brief::default();
    for seen in &scene.seen {
        let odd = mishaps(scene, seen);
        let is_own = scene.is_own(seen);
        if seen.is_background() && !seen.is_disturbed() {
            brief.background += 1;
        } else if is_own {
            brief.own(scene, seen, odd);
        } else if seen.is_disturbed() || !odd.is_empty() && !related.contains(&seen.nth) {
            brief.elsewhere(scene, seen, odd, related.contains(&seen.nth));
        } else {
            brief.others += 1;
        }
    }
    brief.shown(page);
}

/// The frames that carry a packet which is this machine's own on some other link.
fn related(scene: &Scene<'_>) -> HashSet<usize> {
    let mut related = HashSet::new();
    for seen in &scene.seen {
        let Some(before) = seen.came_as else { continue };
        if scene.is_own(seen) || related.contains(&before) || scene.is_own(&scene.seen[before]) {
            related.extend([seen.nth, before]);
        }
    }
    related
}

impl Brief {
    fn own(&mut self, scene: &Scene<'_>, seen: &Seen<'_>, odd: Vec<Piece>) {
        let is_out = seen.frame.from.as_deref() == Some(YOU);
        let Some((flow, segment)) = scene.segment(seen) else { return self.datagram(scene, seen, is_out, odd) };
        let last = self.of.get(&flow.key).copied();
        let kind = last.map(|nth| self.lines[nth].kind);
        if let (What::Opens, Some(Kind::Open(1)), Some(Again::Retransmission { after_ns: Some(ns), .. })) =
            (segment.what, kind, segment.again)
            && !seen.is_disturbed()
            && !has_flaw(seen)
        {
            self.step(last, seen, is_out, Kind::Open(1));
            let after = words::duration(ns.unsigned_abs() / 1_000);
            return self.add(last, piece(Ink::Warn, format!(" ! again after {after}")));
        }
        let is_plain = odd.is_empty() && !has_flaw(seen);
        if is_plain && self.goes_on(scene, seen, (flow, segment), last) {
            return;
        }
        self.begin(scene, seen, (flow, segment), odd);
    }

    /// A frame without a TCP segment.
    fn datagram(&mut self, scene: &Scene<'_>, seen: &Seen<'_>, is_out: bool, odd: Vec<Piece>) {
        let label = seen.summary.protocol;
        if odd.is_empty() && !has_flaw(seen) {
            if !is_out && self.answered(scene, seen) {
                return;
            }
            if let (true, Says::WhoHas(ip, _)) = (is_out, &seen.summary.says) {
                let question = format!("who has {ip}?");
                let peer = format!("  {}", peer(scene, seen, true));
                self.push(seen, label, peer, vec![dim("→ "), plain(&question)], false);
                let last = self.lines.last_mut().expect("it has just been put there");
                (last.kind, last.app) = (Kind::Asked, Some(question));
                return;
            }
        }
        let ink = if seen.decoded.flaw.is_some() || is_error(seen) { Ink::Warn } else { Ink::Plain };
        let said = vec![piece(ink, seen.summary.to_string())];
        self.alone(scene, seen, is_out, label, said, odd);
    }

    /// Whether a segment goes on what the last line of its connection tells, or needs no line; it is then told there.
    fn goes_on(
        &mut self,
        scene: &Scene<'_>,
        seen: &Seen<'_>,
        (flow, segment): (&Flow, &Segment),
        last: Option<usize>,
    ) -> bool {
        let is_out = seen.frame.from.as_deref() == Some(YOU);
        match (segment.what, last.map(|nth| self.lines[nth].kind)) {
            (What::Answers, Some(Kind::Open(1))) if segment.state(segment.from.other()) == Some(State::Closed) => {
                self.step(last, seen, is_out, Kind::Late);
                self.add(last, piece(Ink::Bad, "  ✘ came too late: RST"));
                if let Some(nth) = last {
                    self.lines[nth].label = seen.summary.protocol.to_owned();
                    self.lines[nth].is_odd = true;
                }
            }
            // Said with what it answers.
            (What::Reset, Some(Kind::Late)) => {}
            (What::Answers, Some(Kind::Open(1))) => self.step(last, seen, is_out, Kind::Open(2)),
            (What::Acknowledges, Some(Kind::Open(2))) if is_out != is_answer(flow.key, scene) => {
                self.step(last, seen, is_out, Kind::Open(3));
            }
            (What::Reset, Some(Kind::Reset)) => {
                if let Some(nth) = last {
                    self.lines[nth].times += 1;
                }
            }
            (What::Reset, Some(Kind::Open(1))) => {
                self.step(last, seen, is_out, Kind::Alone);
                self.add(last, piece(Ink::Bad, "  refused: nothing listens there"));
            }
            (What::Closes | What::Acknowledges, _) if self.closing.contains_key(&flow.key) => {
                let closing = self.closing.get(&flow.key).copied();
                self.step(closing, seen, is_out, Kind::Close);
            }
            (What::Data, Some(Kind::Encrypted(..))) if app(seen).is_none_or(is_encrypted) => {
                self.encrypted(last, seen, is_out, segment.payload_len);
            }
            (What::Data, Some(Kind::Bytes(was_out, bytes, segments))) if was_out == is_out && app(seen).is_none() => {
                self.more(last, seen, Kind::Bytes(is_out, bytes + segment.payload_len, segments + 1));
            }
            (What::Acknowledges | What::DuplicateAck | What::WindowUpdate | What::KeepAlive | What::ProbeAnswer, _) => {
                self.acknowledgments += 1
            }
            _ => return false,
        }
        true
    }

    /// A segment that a new line is told of.
    fn begin(&mut self, scene: &Scene<'_>, seen: &Seen<'_>, (flow, segment): (&Flow, &Segment), odd: Vec<Piece>) {
        let is_out = seen.frame.from.as_deref() == Some(YOU);
        let (label, kind) = match (segment.what, odd.is_empty()) {
            (What::Opens, true) => ("open", Kind::Open(1)),
            (What::Answers, true) => ("open", Kind::Open(2)),
            (What::Closes, true) => ("close", Kind::Close),
            (What::Reset, true) => ("reset", Kind::Reset),
            (What::Data, true) if app(seen).is_some_and(is_encrypted) => ("TLS", Kind::Encrypted(0, 0, 0)),
            (What::Data, true) => (seen.summary.protocol, Kind::Bytes(is_out, segment.payload_len, 1)),
            _ => (seen.summary.protocol, Kind::Alone),
        };
        match kind {
            Kind::Open(_) | Kind::Close => {
                self.push(seen, label, format!("  {}", peer(scene, seen, is_out)), Vec::new(), false);
                self.step(Some(self.lines.len() - 1), seen, is_out, kind);
            }
            Kind::Encrypted(..) => {
                self.push(seen, label, format!("↔ {}", peer(scene, seen, is_out)), Vec::new(), false);
                let nth = self.lines.len() - 1;
                self.lines[nth].kind = kind;
                self.encrypted(Some(nth), seen, is_out, segment.payload_len);
                self.of.insert(flow.key, nth);
                return;
            }
            _ => {
                let said = vec![content(seen, segment)];
                self.alone(scene, seen, is_out, label, said, odd);
            }
        }
        let nth = self.lines.len() - 1;
        self.lines[nth].kind = kind;
        self.lines[nth].app = app(seen).map(ToString::to_string);
        self.of.insert(flow.key, nth);
        if kind == Kind::Close {
            self.closing.insert(flow.key, nth);
        }
    }

    fn elsewhere(&mut self, scene: &Scene<'_>, seen: &Seen<'_>, odd: Vec<Piece>, is_related: bool) {
        // The faults tell one kind from another; how long after another a frame came does not.
        let kind = match &seen.frame.fate {
            Fate::Dropped { why } => why.clone(),
            Fate::Passed { altered: Some(what), .. } => what.clone(),
            _ => "sent again".to_owned(),
        };
        let kind = (!is_related).then(|| format!("{} {kind}", seen.link_name()));
        let is_it = |line: &&mut Line| line.elsewhere.is_some() && line.elsewhere == kind;
        if let Some(line) = self.lines.iter_mut().find(is_it) {
            line.times += 1;
            let odd = odd.into_iter().next_back().filter(|_| seen.is_disturbed());
            let odd = odd.unwrap_or_else(|| piece(Ink::Warn, "! sent again"));
            let frames = format!("{} of others on {}  ", count(line.times, "frame"), seen.link_name());
            (line.said, line.label) = (vec![dim(frames), odd], String::new());
            return;
        }
        let on = format!("{} → {} on {}: ", scene.sender(seen), scene.receiver(seen), seen.link_name());
        let mut said = vec![dim(on), plain(seen.summary.to_string())];
        for odd in odd {
            said.extend([plain("  "), odd]);
        }
        self.push(seen, seen.summary.protocol, String::new(), said, true);
        if let Some(line) = self.lines.last_mut() {
            line.elsewhere = kind;
        }
    }

    fn alone(
        &mut self,
        scene: &Scene<'_>,
        seen: &Seen<'_>,
        is_out: bool,
        label: &str,
        mut said: Vec<Piece>,
        odd: Vec<Piece>,
    ) {
        let is_odd = !odd.is_empty() || has_flaw(seen);
        for odd in odd {
            said.extend([plain("  "), odd]);
        }
        let arrow = if is_out { "→" } else { "←" };
        let peer = format!("{arrow} {}", peer(scene, seen, is_out));
        self.push(seen, label, peer, said, is_odd);
    }

    fn push(&mut self, seen: &Seen<'_>, label: &str, peer: String, said: Vec<Piece>, is_odd: bool) {
        let (at_ns, label) = (seen.frame.at_ns, label.to_owned());
        let (time, kind) = (seen.time(), Kind::Alone);
        self.lines.push(Line {
            begun_ns: at_ns,
            time,
            label,
            peer,
            said,
            kind,
            app: None,
            times: 1,
            is_odd,
            elsewhere: None,
            last_ns: at_ns,
        });
    }

    /// One more segment of the opening or the closing.
    fn step(&mut self, line: Option<usize>, seen: &Seen<'_>, is_out: bool, kind: Kind) {
        let Says::Segment(flags, len, _) = &seen.summary.says else { return };
        let arrow = if is_out { "→" } else { "←" };
        let bytes = if *len > 0 { format!(" {}", bytes_words(*len)) } else { String::new() };
        let gap = if line.is_some_and(|nth| self.lines[nth].said.is_empty()) { "" } else { "  " };
        let ink = if flags.rst { Ink::Bad } else { Ink::Plain };
        self.add(line, dim(format!("{gap}{arrow} ")));
        self.add(line, piece(ink, format!("{flags}{bytes}")));
        if let Some(nth) = line {
            self.lines[nth].kind = kind;
            self.lines[nth].last_ns = seen.frame.at_ns;
        }
    }

    /// More of what is encrypted. Who says what there is nobody's to see, so both directions are one line.
    fn encrypted(&mut self, line: Option<usize>, seen: &Seen<'_>, is_out: bool, more: usize) {
        let Some((nth, Kind::Encrypted(out, inwards, segments))) = line.map(|nth| (nth, self.lines[nth].kind)) else {
            return;
        };
        let (out, inwards) = if is_out { (out + more, inwards) } else { (out, inwards + more) };
        let line = &mut self.lines[nth];
        line.kind = Kind::Encrypted(out, inwards, segments + 1);
        line.last_ns = seen.frame.at_ns;
        let segments = count(segments + 1, "segment");
        let text = format!("encrypted: {} out, {} in, {segments}", bytes_words(out), bytes_words(inwards));
        line.said = vec![plain(text)];
    }

    fn more(&mut self, line: Option<usize>, seen: &Seen<'_>, kind: Kind) {
        let (Some(nth), Kind::Bytes(_, bytes, segments)) = (line, kind) else { return };
        let line = &mut self.lines[nth];
        let app = line.app.as_ref().map_or_else(String::new, |app| format!("{app}, "));
        line.said = vec![plain(format!("{app}{} in {segments} segments", bytes_words(bytes)))];
        (line.kind, line.last_ns) = (kind, seen.frame.at_ns);
    }

    /// A question for a link-layer address and its answer are one line.
    fn answered(&mut self, scene: &Scene<'_>, seen: &Seen<'_>) -> bool {
        let Says::IsAt(ip, mac) = &seen.summary.says else { return false };
        let question = format!("who has {ip}?");
        let is_it = |line: &Line| line.kind == Kind::Asked && line.app.as_ref() == Some(&question);
        let recent = self.lines.len().saturating_sub(RECENT);
        let Some(nth) = self.lines[recent..].iter().rposition(is_it).map(|nth| recent + nth) else { return false };
        let mac = mac.map_or_else(|| "here".to_owned(), |mac| mac.to_string());
        self.add(Some(nth), dim("  ← "));
        self.add(Some(nth), plain(mac));
        let line = &mut self.lines[nth];
        (line.kind, line.peer) = (Kind::Alone, format!("  {}", scene.sender(seen)));
        true
    }

    fn add(&mut self, line: Option<usize>, piece: Piece) {
        if let Some(nth) = line {
            self.lines[nth].said.push(piece);
        }
    }

    fn shown(&self, page: &mut Page) {
        let mut by_rank: Vec<&Line> = self.lines.iter().collect();
        by_rank.sort_by_key(|line| line.rank());
        let (shown, left) = by_rank.split_at(by_rank.len().min(MOST));
        let mut shown = shown.to_vec();
        shown.sort_by_key(|line| line.begun_ns);
        shown.iter().for_each(|line| line.shown(page));
        let odd = left.iter().filter(|line| line.is_odd).count();
        let hidden = (left.len() - odd, odd);
        if hidden.1 > 0 {
            let text = format!("             {} more of that kind: lost, late or sent again", hidden.1);
            page.line(13, &[piece(Ink::Warn, text)]);
        }
        let counted = [
            (hidden.0, "line like these"),
            (self.acknowledgments, "acknowledgment"),
            (self.others, "frame of other hosts and links"),
            (self.background, "frame of background"),
        ];
        let counted = counted.into_iter().filter(|(number, _)| *number > 0);
        let counted: Vec<String> = counted
            .map(|(number, what)| match (number, what.split_once(' ')) {
                (1, _) | (_, None) => count(number, what),
                (number, Some((first, rest))) => format!("{number} {first}s {rest}"),
            })
            .collect();
        let besides = if counted.is_empty() { String::new() } else { format!("besides {}; ", and(&counted)) };
        page.line(13, &[dim(format!("{:13}{besides}--packets shows every frame", ""))]);
    }
}

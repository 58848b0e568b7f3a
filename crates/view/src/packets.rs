//! The frames of a visit: in short, what this machine's own did; in full, every one of them, and what the hosts' kernels
//! and the switches knew before and after.
//!
//! | module | what |
//! |---|---|
//! | `scene` | a capture as views see it |
//! | `brief` | this machine's own frames in few lines |
//! | `line` | one of these lines |
//! | `said` | what a frame says there, and to whom |
//! | `frames` | every frame |
//! | `tables` | neighbours, what switches learned, sockets, counters |

mod brief;
mod frames;
mod line;
mod said;
pub(super) mod scene;
mod tables;

use journey::{
    Journey,
    capture::{Capture, Captured, Fate, Link, LinkKind},
};
use packets::flow::{Again, Segment, Why};

use self::scene::{Scene, Seen};
use super::{
    page::{Ink, Page, Piece, dim, piece, plain},
    words::{and, duration},
};
use secrets::Secrets;

/// The short form, where frames were captured.
pub(super) fn condensed(page: &mut Page, journey: &Journey) {
    let Some(capture) = journey.capture.frames() else { return };
    page.gap();
    head(page, capture);
    brief::told(page, &Scene::of(journey, capture));
}

/// Every frame, and the tables; why there are none, where there are none.
pub(super) fn full(page: &mut Page, journey: &Journey, verbose: bool, secrets: Secrets) {
    page.gap();
    let Some(capture) = observed(page, journey) else { return };
    head(page, capture);
    frames::listed(page, &Scene::of(journey, capture), verbose, secrets);
    tables::shown(page, capture);
}

/// The capture, or a line that says why there is none.
pub(super) fn observed<'a>(page: &mut Page, journey: &'a Journey) -> Option<&'a Capture> {
    match &journey.capture {
        Captured::Frames(capture) => Some(capture),
        Captured::NotObservable { why, how } => {
            // An option, or what to do besides.
            let how = match how {
                Some(option) if option.starts_with('-') => format!(" (with {option} they are)"),
                Some(how) => format!("; what helps: {how}"),
                None => String::new(),
            };
            let line = [piece(Ink::Bold, "Frames"), plain("  not observable: "), plain(why), dim(how)];
            page.line(10, &[&[plain("  ")], &line[..]].concat());
            None
        }
    }
}

/// How many frames, where, and whether these are all.
fn head(page: &mut Page, capture: &Capture) {
    let on = |nth: usize| capture.frames.iter().filter(|frame| frame.link == nth).count();
    let links: Vec<String> =
        capture.links.iter().enumerate().map(|(nth, link)| format!("{} on {}", on(nth), link.name)).collect();
    let mut line = vec![plain("  "), piece(Ink::Bold, "Frames"), plain(format!("  {}", capture.frames.len()))];
    match capture.links.as_slice() {
        [] => {}
        [link] => line.push(plain(format!(" on {}", link.name))),
        _ => line.push(dim(format!(": {}", and(&links)))),
    }
    match (&capture.cut, capture.lost) {
        (None, 0) => line.push(dim(format!("; {}", all(capture)))),
        (_, lost) => {
            if lost > 0 {
                line.push(piece(Ink::Warn, format!("; {lost} more passed and were lost to the capture")));
            }
            if let Some(why) = &capture.cut {
                line.push(piece(Ink::Warn, format!("; incomplete: {why}")));
            }
        }
    }
    page.line(10, &line);
    let kinds: Vec<LinkKind> = capture.links.iter().map(|link| link.kind).collect();
    if kinds.contains(&LinkKind::Loopback) {
        let text = "          loopback has no link layer: no addresses, no ARP, no checksums to speak of";
        page.line(10, &[dim(text)]);
    }
}

/// What frames these are, where none is missing: on this machine's interfaces others' are not kept.
fn all(capture: &Capture) -> String {
    let is_segment = |link: &Link| link.kind == LinkKind::Segment;
    let dropped = capture.frames.iter().filter(|frame| matches!(frame.fate, Fate::Dropped { .. })).count();
    match dropped {
        _ if capture.links.is_empty() || !capture.links.iter().all(is_segment) => "all of this visit".to_owned(),
        0 => "all that passed".to_owned(),
        dropped => format!("all that were sent, {dropped} of them lost on the way"),
    }
}

/// What went wrong with a frame, or was done to it.
fn mishaps(scene: &Scene<'_>, seen: &Seen<'_>) -> Vec<Piece> {
    let mut said = Vec::new();
    match scene.segment(seen).and_then(|(_, segment)| again(segment)) {
        Some(text) => said.push(piece(Ink::Warn, format!("! {text}"))),
        None => {
            if let Some(of) = seen.again {
                let after = duration((seen.frame.at_ns - scene.seen[of].frame.at_ns).unsigned_abs() / 1_000);
                said.push(piece(Ink::Warn, format!("! the same again after {after}")));
            }
        }
    }
    match &seen.frame.fate {
        Fate::Dropped { why } => said.push(piece(Ink::Bad, format!("✘ dropped: {why}"))),
        Fate::Passed { altered: Some(what), .. } => {
            said.push(piece(Ink::Warn, format!("! {what}")));
        }
        _ => {}
    }
    said
}

fn again(segment: &Segment) -> Option<String> {
    Some(match segment.again? {
        Again::Copy { .. } => "a copy: something on the way doubled it".to_owned(),
        Again::Retransmission { after_ns, why, .. } => {
            let after =
                after_ns.map_or_else(String::new, |ns| format!(" after {}", duration(ns.unsigned_abs() / 1_000)));
            let why = match why {
                Why::Timeout => ": a timer ran out",
                Why::Fast => ": acknowledgments told of a loss",
                Why::Asked => ": what it answers came again",
                Why::Unknown => "",
            };
            format!("sent again{after}{why}")
        }
    })
}

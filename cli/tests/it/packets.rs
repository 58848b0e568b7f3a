//! The frames of a visit as a person sees them. The journeys are of real visits in a lab with a network of its own.

use std::{fs, path::Path};

use journey::{
    Journey,
    capture::{Bytes, Capture, Captured, Fate, Frame, LinkKind},
};
use packets::layers::Model;
use proptest::prelude::*;
use secrets::Secrets;
use view::{Detail, Style};

const NARROW: Style = Style { color: false, unicode: true, width: 80 };
const FULL: Detail = Detail { verbose: false, head: false, packets: true, layers: None, secrets: Secrets::Removed };

fn saved(name: &str) -> Journey {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/journeys").join(name).with_extension("json");
    serde_json::from_slice(&fs::read(&file).unwrap()).unwrap()
}

/// The part of the screen that tells of frames.
fn frames(journey: &Journey, style: Style, detail: Detail) -> String {
    let text = view::screen(journey, &style, detail);
    for line in text.lines().filter(|_| !style.color) {
        let is_long_word = line.split(' ').any(|word| word.chars().count() > style.width / 2);
        assert!(is_long_word || line.chars().count() <= style.width, "{} columns: {line}", line.chars().count());
        assert_eq!(line, line.trim_end(), "spaces at the end of a line");
    }
    let begin = text.find("  Frames").or_else(|| text.find("Frames")).unwrap_or_default();
    let begin = text[..begin].rfind('\n').map_or(0, |at| at + 1);
    let end = text.rfind("\n\n").unwrap_or(text.len());
    text[begin..end.max(begin)].to_owned()
}

#[test]
fn in_few_lines() {
    for name in ["wire/plain", "wire/lossy", "wire/refused", "wire/secure", "wire_cut"] {
        let text = frames(&saved(name), NARROW, Detail::default());
        assert!(text.lines().count() <= 17, "{text}");
        insta::assert_snapshot!(format!("{}_frames", name.replace('/', "_")), text);
    }
}

#[test]
fn every_frame() {
    insta::assert_snapshot!("wire_plain_packets", frames(&saved("wire/plain"), NARROW, FULL));
    let verbose = Detail { verbose: true, ..FULL };
    let lossy = frames(&saved("wire/lossy"), Style { width: 140, ..NARROW }, verbose);
    insta::assert_snapshot!("wire_lossy_packets", lossy.split("Every event").next().unwrap());
}

#[test]
fn layer_by_layer() {
    for (name, model, width) in
        [("wire/refused", Model::Osi, 80), ("wire/secure", Model::Five, 120), ("wire/plain", Model::Four, 80)]
    {
        let detail = Detail { layers: Some(model), ..Detail::default() };
        let text = frames(&saved(name), Style { width, ..NARROW }, detail);
        let text = text.split_once("  Layer by layer").unwrap().1;
        insta::assert_snapshot!(format!("{}_layers_{model}", name.replace('/', "_")), text);
    }
}

#[test]
fn in_colour_and_without_unicode() {
    let text = frames(&saved("wire/lossy"), Style { color: true, ..NARROW }, Detail::default());
    insta::assert_snapshot!("wire_lossy_colour", text.replace('\x1b', "<ESC>"));
    let style = Style { unicode: false, ..NARROW };
    let everything = Detail { verbose: true, layers: Some(Model::Osi), ..FULL };
    for name in ["wire/plain", "wire/lossy", "wire/refused", "wire/secure"] {
        let journey = saved(name);
        assert!(view::screen(&journey, &style, Detail::default()).is_ascii());
        let text = view::screen(&journey, &style, everything);
        assert!(text.is_ascii());
        // Nothing that a view writes itself is without a likeness in ASCII.
        let marks = |text: &str| text.matches('?').count();
        assert_eq!(marks(&text), marks(&view::screen(&journey, &NARROW, everything)), "{name}");
    }
}

#[test]
fn where_nothing_was_captured() {
    let journey = saved("reached");
    assert!(!view::screen(&journey, &NARROW, Detail::default()).contains("Frames"));
    for detail in [FULL, Detail { layers: Some(Model::Osi), ..Detail::default() }] {
        let text = view::screen(&journey, &NARROW, detail);
        let told = "  Frames  not observable: this record was made by a visit that captured no frames\n";
        assert!(text.replace("\n          ", " ").contains(told), "{text}");
    }
}

/// On an interface others' frames pass as well, and are not kept.
#[test]
fn which_frames_are_all() {
    let check = |kinds: &[LinkKind], expected: &str| {
        let Captured::Frames(mut capture) = saved("wire/plain").capture else { panic!() };
        capture.links.truncate(kinds.len());
        capture.links.iter_mut().zip(kinds).for_each(|(link, kind)| link.kind = *kind);
        capture.frames.retain(|frame| frame.link < kinds.len());
        let journey = Journey { capture: Captured::Frames(capture), ..saved("wire/plain") };
        let text = frames(&journey, NARROW, Detail::default());
        assert!(text.lines().next().unwrap().ends_with(expected), "{kinds:?}: {text}");
    };
    check(&[LinkKind::Segment; 2], "; all that passed");
    check(&[LinkKind::Ethernet], "; all of this visit");
    check(&[LinkKind::Loopback, LinkKind::Ethernet], "; all of this visit");
    check(&[], "; all of this visit");
}

/// What an application sends is shown in full detail, but for what nobody should see.
#[test]
fn no_secrets() {
    let Captured::Frames(mut capture) = saved("wire/plain").capture else { panic!() };
    let request = b"GET /login?token=hunter2 HTTP/1.1\r\nhost: a\r\ncookie: sid=hunter2\r\nauthorization: hunter2\r\n\
        x-api-key: hunter2\r\n";
    let begin = capture.frames.iter().position(|frame| frame.bytes.0.windows(6).any(|six| six == b"GET / ")).unwrap();
    for cut in [0, 4] {
        // A head of which the end is in the next segment is one too.
        let frame = &mut capture.frames[begin];
        frame.bytes.0.truncate(66);
        frame.bytes.0.extend(&request[..request.len() - cut]);
        let total = u16::try_from(frame.bytes.0.len() - 14).unwrap();
        frame.bytes.0[16..18].copy_from_slice(&total.to_be_bytes());
        frame.len = u32::from(total) + 14;
        let capture = capture.clone();
        let journey = Journey { capture: Captured::Frames(capture), ..saved("wire/plain") };
        for layers in [None, Some(Model::Osi)] {
            let text = view::screen(&journey, &NARROW, Detail { verbose: true, layers, ..FULL });
            assert!(text.contains("/login?") && !text.contains("hunter"), "{text}");
        }
    }
}

/// A link with two hosts, and these frames on it.
fn with_frames(frames: Vec<(Vec<u8>, u32, Fate)>) -> Journey {
    let links = match saved("wire/plain").capture {
        Captured::Frames(capture) => capture.links,
        Captured::NotObservable { .. } => Vec::new(),
    };
    let frames = frames.into_iter().zip(0_i64..).map(|((bytes, more, fate), nth)| Frame {
        at_ns: nth * 1_000_000 - 2_000_000,
        // Also links that there are none of.
        link: usize::try_from(nth % 3).unwrap(),
        from: [Some("you"), Some("app1\u{1b}[2J"), None][usize::try_from(nth % 3).unwrap()].map(str::to_owned),
        fate,
        len: u32::try_from(bytes.len()).unwrap().saturating_add(more),
        bytes: Bytes(bytes),
        cut: None,
        unfilled_checksum: None,
    });
    let capture = Capture { links, frames: frames.collect(), ..Capture::default() };
    Journey { capture: Captured::Frames(Box::new(capture)), ..saved("reached") }
}

fn fates() -> impl Strategy<Value = Fate> {
    prop_oneof![
        Just(Fate::Seen),
        Just(Fate::Dropped { why: "\u{1b}]0;t\u{7}".to_owned() }),
        Just(Fate::Passed { to: vec!["you".to_owned()], flooded: true, altered: Some("twice\r\n".to_owned()) }),
    ]
}

/// Frames of the saved visits with some bytes changed, and some cut off.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let all: Vec<Vec<u8>> = ["wire/plain", "wire/secure"]
        .iter()
        .flat_map(|name| match saved(name).capture {
            Captured::Frames(capture) => capture.frames,
            Captured::NotObservable { .. } => Vec::new(),
        })
        .map(|frame| frame.bytes.0)
        .collect();
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8);
    (prop::sample::select(all), changes, any::<prop::sample::Index>()).prop_map(|(mut frame, changes, cut)| {
        for (at, byte) in changes {
            let at = at.index(frame.len());
            frame[at] = byte;
        }
        if cut.index(4) == 0 {
            frame.truncate(cut.index(frame.len() + 1));
        }
        frame
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// What is on a wire is foreign: whatever it is, views do not panic, and the terminal gets nothing that it obeys.
    #[test]
    fn no_frame_drives_the_terminal(
        frames in prop::collection::vec((prop_oneof![damaged(), prop::collection::vec(any::<u8>(), 0..100)], 0..9_u32, fates()), 0..12),
        model in prop::sample::select(Model::ALL.to_vec()),
    ) {
        let journey = with_frames(frames);
        let everything = Detail { verbose: true, layers: Some(model), ..FULL };
        for (width, detail) in [(40, everything), (140, everything), (80, Detail::default())] {
            let text = view::screen(&journey, &Style { width, ..NARROW }, detail);
            let bad = text.chars().find(|c| *c != '\n' && c.is_control());
            prop_assert_eq!(bad, None, "{}", text);
        }
    }
}

/// Known bytes that drive a terminal, in every place that a frame has for text.
#[test]
fn garbage_is_written_out() {
    let Captured::Frames(capture) = saved("wire/plain").capture else { panic!() };
    let with = |from: &[u8], to: &[u8]| {
        assert_eq!(from.len(), to.len());
        let mut frames = capture.frames.clone();
        for frame in &mut frames {
            if let Some(at) = frame.bytes.0.windows(from.len()).position(|part| part == from) {
                frame.bytes.0[at..at + to.len()].copy_from_slice(to);
            }
        }
        frames
    };
    let mut garbage = with(b"\x07example", b"\x07ex\x1b[2Jx");
    garbage.truncate(40);
    garbage.extend(with(b"content-type: text", b"content-type: \x1b]0;").into_iter().skip(40));
    let journey =
        Journey { capture: Captured::Frames(Box::new(Capture { frames: garbage, ..*capture })), ..saved("wire/plain") };
    let detail = Detail { layers: Some(Model::Five), ..FULL };
    let text = frames(&journey, Style { width: 100, ..NARROW }, detail);
    assert!(!text.contains('\x1b'));
    let lines: Vec<&str> = text.lines().filter(|line| line.contains("2J") || line.contains("]0;")).collect();
    insta::assert_snapshot!("garbage", lines.join("\n"));
}

/// What the record holds is shown where secrets are wanted, and only there.
#[test]
fn secrets_in_frames() {
    let Captured::Frames(mut capture) = saved("wire/plain").capture else { panic!() };
    let (from, to) = (b"content-type: text", b"set-cookie: hunter");
    for frame in &mut capture.frames {
        if let Some(at) = frame.bytes.0.windows(from.len()).position(|part| part == from) {
            frame.bytes.0[at..at + to.len()].copy_from_slice(to);
        }
    }
    let journey = Journey { capture: Captured::Frames(capture), ..saved("wire/plain") };
    for (secrets, is_shown) in [(Secrets::Removed, false), (Secrets::Shown, true)] {
        let detail = Detail { layers: Some(Model::Five), secrets, ..FULL };
        let text = frames(&journey, Style { width: 100, ..NARROW }, detail);
        assert_eq!(text.contains("set-cookie: hunter"), is_shown, "{secrets:?}");
    }
}

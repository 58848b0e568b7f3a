//! Any frames: every file is a sequence of whole blocks (draft-ietf-opsawg-pcapng §3.1).
#![no_main]

use journey::capture::{Bytes, Capture, Fate, Frame, Link, LinkKind};
use libfuzzer_sys::fuzz_target;
use packets::pcapng::{About, files};

/// A frame: which link, when, how much longer it was than what is kept, its bytes, and a word about it.
type Input = (u8, i64, u16, Vec<u8>, Option<String>);

fuzz_target!(|input: (u64, Vec<Input>, Option<String>)| {
    let (base_ns, frames, keys) = input;
    let link = |kind| Link {
        name: "link".to_owned(),
        kind,
        ports: Vec::new(),
        learned_before: Vec::new(),
        learned_after: Vec::new(),
    };
    let frame = |(link, at_ns, more, bytes, cut): Input| Frame {
        at_ns,
        link: usize::from(link % 2),
        from: None,
        fate: Fate::Seen,
        len: u32::try_from(bytes.len()).unwrap_or(u32::MAX).saturating_add(more.into()),
        bytes: Bytes(bytes),
        cut,
        unfilled_checksum: None,
    };
    let capture = Capture {
        links: vec![link(LinkKind::Segment), link(LinkKind::Ip)],
        frames: frames.into_iter().map(frame).collect(),
        ..Capture::default()
    };
    let about = About { base_ns, names: &[], keys: keys.as_deref() };
    for (_, file) in files(&capture, about) {
        let mut rest = &file[..];
        while !rest.is_empty() {
            let length = rest.get(4..8).and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes);
            let length = length.expect("a block has a length") as usize;
            assert!(length % 4 == 0 && length >= 12 && length <= rest.len());
            assert_eq!(rest[4..8], rest[length - 4..length]);
            rest = &rest[length..];
        }
    }
});

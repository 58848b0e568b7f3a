//! Any bytes as a frame: nothing panics, every range is within the frame, and the headers cover it without gaps.
//!
//! The first byte tells the kind of link, two more how many bytes the frame had that were not kept.
#![no_main]

use journey::capture::LinkKind;
use libfuzzer_sys::fuzz_target;
use packets::{decode, layers};

fuzz_target!(|input: (u8, u16, &[u8])| {
    let (kind, more, frame) = input;
    let kind = [LinkKind::Segment, LinkKind::Ethernet, LinkKind::Loopback, LinkKind::Ip][usize::from(kind % 4)];
    let len = frame.len() + usize::from(more);
    let decoded = decode::decode(kind, frame, len);
    assert!(decoded.payload.start <= decoded.payload.end && decoded.payload.end <= frame.len());
    let _ = decode::words::summary(&decoded, frame).to_string();
    let _ = decode::checksums::checksums(kind, frame, len);
    let mut at = 0;
    for header in layers::unfold(kind, frame, len) {
        assert_eq!(header.range.start, at);
        at = header.range.end;
        assert!(header.fields.iter().all(|field| header.range.start <= field.range.start && field.range.end <= at));
    }
    assert_eq!(at, frame.len());
});

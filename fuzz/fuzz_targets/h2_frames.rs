//! Any bytes as one direction of an HTTP/2 connection: the frames are the same however the bytes are split.
#![no_main]

use frames::{Frames, Part};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (bool, Vec<u8>, Vec<u8>)| {
    let (is_client, bytes, cuts) = input;
    let scanner = || if is_client { Frames::from_client() } else { Frames::from_server() };
    let mut whole = Vec::new();
    scanner().feed(&bytes, |part| whole.push(part));
    let (mut pieces, mut split, mut rest) = (scanner(), Vec::new(), &bytes[..]);
    for cut in cuts {
        let (piece, more) = rest.split_at(rest.len().min(usize::from(cut)));
        pieces.feed(piece, |part| split.push(part));
        rest = more;
    }
    pieces.feed(rest, |part| split.push(part));
    assert_eq!(ended(&whole), ended(&split));
    assert_eq!(whole.iter().map(|part| part.here).sum::<u64>(), split.iter().map(|part| part.here).sum::<u64>());
});

/// The frames that ended, as kind, stream and size.
fn ended(parts: &[Part]) -> Vec<(String, u32, u64)> {
    let ended = parts.iter().filter(|part| part.is_end);
    ended.map(|part| (format!("{:?}", part.kind), part.stream, part.bytes)).collect()
}

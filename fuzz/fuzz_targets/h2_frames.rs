//! Any bytes as one direction of an HTTP/2 connection: the frames are the same however the bytes are split.
//!
//! The first byte tells the direction and how large the pieces are, the others are what was sent.
#![no_main]

use h2_frames::{Frames, Part};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((&first, bytes)) = input.split_first() else { return };
    let is_client = first & 1 != 0;
    let whole = read(is_client, bytes, bytes.len().max(1));
    assert_eq!(whole, read(is_client, bytes, 1));
    assert_eq!(whole, read(is_client, bytes, usize::from(first >> 1) + 2));
});

/// The frames that ended, each without what is told of a piece, and how many bytes were told in all.
fn read(is_client: bool, bytes: &[u8], size: usize) -> (Vec<Part>, u64) {
    let mut frames = if is_client { Frames::from_client() } else { Frames::from_server() };
    let (mut ended, mut told) = (Vec::new(), 0);
    for piece in bytes.chunks(size) {
        frames.feed(piece, |part| {
            told += part.here;
            if part.is_end {
                ended.push(Part { here: 0, ..part });
            }
        });
    }
    assert!(told <= bytes.len() as u64);
    (ended, told)
}

//! Any frames: how far an answer has come is what the frames themselves say, however their bytes are cut.
#![no_main]

use h2_frames::{Answer, Frames};
use libfuzzer_sys::fuzz_target;

/// A frame: its type, its flags, its stream and its payload.
type Sent = (u8, u8, u8, Vec<u8>);

/// The stream of the answer.
const STREAM: u32 = 1;

const END_STREAM: u8 = 0x1;
const PADDED: u8 = 0x8;

fuzz_target!(|input: (Vec<Sent>, u8, u8)| {
    let (sent, cut, size) = input;
    let mut bytes = Vec::new();
    for (kind, flags, stream, payload) in &sent {
        bytes.extend(&u32::try_from(payload.len()).expect("a short payload").to_be_bytes()[1..]);
        bytes.extend([kind % 11, *flags]);
        // The first bit is reserved (RFC 9113 §4.1).
        bytes.extend((u32::from(stream & 0x80) << 24 | u32::from(stream & 0x3)).to_be_bytes());
        bytes.extend(payload);
    }
    // The last frame may be cut.
    let last = sent.last().map_or(0, |(.., payload)| h2_frames::HEADER + payload.len());
    let missing = usize::from(cut).min(last);
    bytes.truncate(bytes.len() - missing);
    let whole = if missing > 0 { &sent[..sent.len() - 1] } else { &sent[..] };
    let expected = expected(whole);
    assert_eq!(answer(&bytes, bytes.len().max(1)), expected);
    assert_eq!(answer(&bytes, usize::from(size) + 1), expected);
});

fn answer(bytes: &[u8], size: usize) -> Answer {
    let (mut frames, mut answer) = (Frames::from_server(), Answer::default());
    for piece in bytes.chunks(size) {
        frames.feed(piece, |part| answer.take(STREAM, &part));
    }
    answer
}

/// The same from the frames before they became bytes (RFC 9113 §6).
fn expected(sent: &[Sent]) -> Answer {
    let mut answer = Answer::default();
    for (kind, flags, stream, payload) in sent {
        let number = |at: usize| payload.get(at..at + 4).map(|code| u32::from_be_bytes(code.try_into().expect("four")));
        let (kind, is_ours, length) = (kind % 11, u32::from(stream & 0x3) == STREAM, payload.len() as u64);
        match kind {
            // GOAWAY is of the connection, whatever stream it names.
            7 => answer.goaway = number(4),
            _ if !is_ours => {}
            0 => {
                let padding = match payload.first() {
                    Some(padding) if flags & PADDED != 0 => 1 + u64::from(*padding),
                    _ => 0,
                };
                answer.content += length.saturating_sub(padding);
                answer.is_ended |= flags & END_STREAM != 0;
            }
            1 => {
                answer.fields = length;
                answer.is_ended |= flags & END_STREAM != 0;
            }
            3 => answer.reset = number(0),
            9 => answer.fields += length,
            _ => {}
        }
    }
    answer
}

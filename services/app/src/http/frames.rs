//! Finds the frames of HTTP/2 (RFC 9113 §4.1) in the bytes of a connection: which stream they belong to, how long they
//! are, and what ends with them. hyper speaks the protocol and does not tell; this only counts.

/// The client begins with so many bytes that are no frame (RFC 9113 §3.4).
const PREFACE: usize = 24;
/// A frame's header: three bytes of length, type, flags, four of the stream.
pub(super) const HEADER: usize = 9;

const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;

/// What a frame is, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Content, and whether the stream's sender is done with it.
    Data { is_last: bool },
    /// Fields; whether all of them, and whether the sender is done with them.
    Headers { is_whole: bool, is_last: bool },
    /// More of the fields, and whether the rest of them.
    Continuation { is_whole: bool },
    /// The stream is given up.
    Reset,
    /// Anything else.
    Other,
}

/// A frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) kind: Kind,
    pub(super) stream: u32,
    /// With its header.
    pub(super) bytes: u64,
}

/// The position in one direction of a connection.
#[derive(Debug)]
pub(super) struct Frames {
    // Of the preface, still to come.
    preface: usize,
    header: [u8; HEADER],
    // How much of the header is there.
    begun: usize,
    // How much of the payload is not.
    left: usize,
}

impl Frames {
    pub(super) fn from_client() -> Self {
        Self { preface: PREFACE, header: [0; HEADER], begun: 0, left: 0 }
    }

    pub(super) fn from_server() -> Self {
        Self { preface: 0, ..Self::from_client() }
    }

    /// These bytes crossed the connection; `whole` is told of every frame that ends within them.
    pub(super) fn feed(&mut self, mut bytes: &[u8], mut whole: impl FnMut(Frame)) {
        let skipped = self.preface.min(bytes.len());
        self.preface -= skipped;
        bytes = &bytes[skipped..];
        while !bytes.is_empty() {
            if self.begun < HEADER {
                let (taken, rest) = bytes.split_at(bytes.len().min(HEADER - self.begun));
                self.header[self.begun..self.begun + taken.len()].copy_from_slice(taken);
                self.begun += taken.len();
                bytes = rest;
                if self.begun < HEADER {
                    return;
                }
                self.left = length(&self.header);
            }
            let taken = self.left.min(bytes.len());
            self.left -= taken;
            bytes = &bytes[taken..];
            if self.left == 0 {
                self.begun = 0;
                whole(frame(&self.header));
            }
        }
    }
}

fn length(header: &[u8; HEADER]) -> usize {
    usize::from(header[0]) << 16 | usize::from(header[1]) << 8 | usize::from(header[2])
}

fn frame(header: &[u8; HEADER]) -> Frame {
    let has = |flag| header[4] & flag != 0;
    let kind = match header[3] {
        0x0 => Kind::Data { is_last: has(END_STREAM) },
        0x1 => Kind::Headers { is_whole: has(END_HEADERS), is_last: has(END_STREAM) },
        0x3 => Kind::Reset,
        0x9 => Kind::Continuation { is_whole: has(END_HEADERS) },
        _ => Kind::Other,
    };
    // The first bit is reserved.
    let stream = u32::from_be_bytes([header[5] & 0x7f, header[6], header[7], header[8]]);
    Frame { kind, stream, bytes: (HEADER + length(header)) as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(kind: u8, flags: u8, stream: u32, payload: usize) -> Vec<u8> {
        let mut bytes = u32::try_from(payload).unwrap().to_be_bytes()[1..].to_vec();
        bytes.extend([kind, flags]);
        bytes.extend(stream.to_be_bytes());
        bytes.resize(HEADER + payload, 0xff);
        bytes
    }

    #[test]
    fn in_pieces_of_every_size() {
        let mut sent = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        for frame in [bytes(4, 0, 0, 0), bytes(1, 1, 1, 70), bytes(9, 4, 1, 3), bytes(0, 1, 3, 300), bytes(3, 0, 1, 4)]
        {
            sent.extend(frame);
        }
        let expected = [
            Frame { kind: Kind::Other, stream: 0, bytes: 9 },
            Frame { kind: Kind::Headers { is_whole: false, is_last: true }, stream: 1, bytes: 79 },
            Frame { kind: Kind::Continuation { is_whole: true }, stream: 1, bytes: 12 },
            Frame { kind: Kind::Data { is_last: true }, stream: 3, bytes: 309 },
            Frame { kind: Kind::Reset, stream: 1, bytes: 13 },
        ];
        for size in 1..=sent.len() {
            let (mut frames, mut found) = (Frames::from_client(), Vec::new());
            for piece in sent.chunks(size) {
                frames.feed(piece, |frame| found.push(frame));
            }
            assert_eq!(found, expected, "in pieces of {size}");
        }
    }

    #[test]
    fn the_reserved_bit_is_no_part_of_the_stream() {
        let mut found = Vec::new();
        Frames::from_server().feed(&bytes(0, 0, 0x8000_0005, 1), |frame| found.push(frame.stream));
        assert_eq!(found, [5]);
    }
}

//! Finds the frames of HTTP/2 (RFC 9113 §4.1) in the bytes of a connection: which stream they belong to, how long they are,
//! and what ends with them. The library that speaks the protocol does not tell; this only counts, on either side.
//!
//! An HTTP/2 connection carries more than requests and responses: settings, window updates, pings. Their bytes and times
//! are not those of a request.
//!
//! ```
//! use h2_frames::{Frames, Kind};
//!
//! let mut direction = Frames::from_server();
//! let mut seen = Vec::new();
//! // DATA with END_STREAM on stream 1, in two pieces.
//! direction.feed(&[0, 0, 2, 0, 1, 0, 0, 0, 1, b'o'], |part| seen.push((part.here, part.is_end)));
//! direction.feed(b"k", |part| {
//!     assert_eq!((part.kind, part.stream), (Kind::Data { is_last: true }, 1));
//!     seen.push((part.here, part.is_end));
//! });
//! assert_eq!(seen, [(10, false), (1, true)]);
//! ```

mod answer;

pub use answer::Answer;

/// The client begins with so many bytes that are no frame (RFC 9113 §3.4).
const PREFACE: usize = 24;
/// A frame's header, in bytes: three of length, type, flags, four of the stream.
pub const HEADER: usize = 9;

const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;

/// So much of a payload is looked at: the last stream and the error code of GOAWAY (RFC 9113 §6.8).
const LOOKED_AT: usize = 8;

/// What a frame is, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Content, and whether the stream's sender is done with it.
    Data {
        /// END_STREAM.
        is_last: bool,
    },
    /// Fields; whether all of them, and whether the sender is done with them.
    Headers {
        /// END_HEADERS.
        is_whole: bool,
        /// END_STREAM.
        is_last: bool,
    },
    /// More of the fields, and whether the rest of them.
    Continuation {
        /// END_HEADERS.
        is_whole: bool,
    },
    /// The stream is given up (RST_STREAM).
    Reset,
    /// The sender leaves the connection (GOAWAY).
    GoAway,
    /// Anything else.
    Other,
}

/// What a piece of a connection has of one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// What the frame is.
    pub kind: Kind,
    /// Its stream.
    pub stream: u32,
    /// Bytes of it in this piece. What of its header came in earlier pieces is counted where the header ends: before that
    /// nobody knows whose bytes they are.
    pub here: u64,
    /// Bytes of the whole frame, its header included.
    pub bytes: u64,
    /// Whether it ends in this piece.
    pub is_end: bool,
    /// The error code of RST_STREAM or GOAWAY, once the frame is whole (RFC 9113 §6.4, §6.8).
    pub code: Option<u32>,
    /// Bytes of content in the whole frame, without its padding (RFC 9113 §6.1); known where the frame ends.
    pub content: u64,
}

impl Part {
    /// Whether it carries a request or a response: a head, content or trailers.
    pub fn is_message(&self) -> bool {
        let carries = matches!(self.kind, Kind::Data { .. } | Kind::Headers { .. } | Kind::Continuation { .. });
        carries && self.stream != 0
    }
}

/// The position in one direction of a connection.
#[derive(Clone, Debug)]
pub struct Frames {
    // Of the preface, still to come.
    preface: usize,
    header: [u8; HEADER],
    // How much of the header is there.
    begun: usize,
    // How much of the payload is not.
    left: usize,
    // How the payload begins, and how much of that is there.
    payload: [u8; LOOKED_AT],
    looked_at: usize,
}

impl Frames {
    /// The direction from the client.
    pub fn from_client() -> Self {
        Self { preface: PREFACE, header: [0; HEADER], begun: 0, left: 0, payload: [0; LOOKED_AT], looked_at: 0 }
    }

    /// The direction from the server.
    pub fn from_server() -> Self {
        Self { preface: 0, ..Self::from_client() }
    }

    /// These bytes crossed the connection; `told` hears of every frame that has a part in them, in order.
    pub fn feed(&mut self, mut bytes: &[u8], mut told: impl FnMut(Part)) {
        let skipped = self.preface.min(bytes.len());
        self.preface -= skipped;
        bytes = &bytes[skipped..];
        while !bytes.is_empty() {
            let mut here = 0;
            if self.begun < HEADER {
                let (taken, rest) = bytes.split_at(bytes.len().min(HEADER - self.begun));
                self.header[self.begun..self.begun + taken.len()].copy_from_slice(taken);
                self.begun += taken.len();
                bytes = rest;
                if self.begun < HEADER {
                    return;
                }
                self.left = length(&self.header);
                self.looked_at = 0;
                here = HEADER;
            }
            let (taken, rest) = bytes.split_at(self.left.min(bytes.len()));
            self.left -= taken.len();
            bytes = rest;
            self.look_at(taken);
            let is_end = self.left == 0;
            told(self.part(here + taken.len(), is_end));
            if is_end {
                self.begun = 0;
            }
        }
    }

    /// Keeps what the payload begins with.
    fn look_at(&mut self, payload: &[u8]) {
        let count = payload.len().min(LOOKED_AT - self.looked_at);
        self.payload[self.looked_at..self.looked_at + count].copy_from_slice(&payload[..count]);
        self.looked_at += count;
    }

    fn part(&self, here: usize, is_end: bool) -> Part {
        let header = &self.header;
        let has = |flag| header[4] & flag != 0;
        let kind = match header[3] {
            0x0 => Kind::Data { is_last: has(END_STREAM) },
            0x1 => Kind::Headers { is_whole: has(END_HEADERS), is_last: has(END_STREAM) },
            0x3 => Kind::Reset,
            0x7 => Kind::GoAway,
            0x9 => Kind::Continuation { is_whole: has(END_HEADERS) },
            _ => Kind::Other,
        };
        // The first bit is reserved.
        let stream = u32::from_be_bytes([header[5] & 0x7f, header[6], header[7], header[8]]);
        let length = length(header);
        let content = match kind {
            Kind::Data { .. } if has(PADDED) => length.saturating_sub(1 + usize::from(self.payload[0])),
            Kind::Data { .. } => length,
            _ => 0,
        };
        Part {
            kind,
            stream,
            here: here as u64,
            bytes: (HEADER + length) as u64,
            is_end,
            code: if is_end { self.code(kind) } else { None },
            content: if is_end { content as u64 } else { 0 },
        }
    }

    fn code(&self, kind: Kind) -> Option<u32> {
        let [a, b, c, d, e, f, g, h] = self.payload;
        match kind {
            Kind::Reset if self.looked_at >= 4 => Some(u32::from_be_bytes([a, b, c, d])),
            Kind::GoAway if self.looked_at >= 8 => Some(u32::from_be_bytes([e, f, g, h])),
            _ => None,
        }
    }
}

fn length(header: &[u8; HEADER]) -> usize {
    usize::from(header[0]) << 16 | usize::from(header[1]) << 8 | usize::from(header[2])
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
            (Kind::Other, 0, 9),
            (Kind::Headers { is_whole: false, is_last: true }, 1, 79),
            (Kind::Continuation { is_whole: true }, 1, 12),
            (Kind::Data { is_last: true }, 3, 309),
            (Kind::Reset, 1, 13),
        ];
        for size in 1..=sent.len() {
            let (mut frames, mut ended, mut of_messages) = (Frames::from_client(), Vec::new(), 0);
            for piece in sent.chunks(size) {
                let mut of_piece = 0;
                frames.feed(piece, |part| {
                    of_piece += part.here;
                    of_messages += if part.is_message() { part.here } else { 0 };
                    if part.is_end {
                        ended.push((part.kind, part.stream, part.bytes));
                    }
                });
                assert!(of_piece <= (piece.len() + HEADER) as u64);
            }
            assert_eq!(ended, expected, "in pieces of {size}");
            assert_eq!(of_messages, 79 + 12 + 309, "in pieces of {size}");
        }
    }

    #[test]
    fn codes_and_padding_in_pieces_of_every_size() {
        let mut padded = bytes(0, 0x8, 1, 10);
        padded[HEADER] = 4;
        let mut over_padded = bytes(0, 0x8, 1, 2);
        over_padded[HEADER] = 200;
        let mut reset = bytes(3, 0, 1, 4);
        reset[HEADER..].copy_from_slice(&[0, 0, 0, 13]);
        let mut goaway = bytes(7, 0, 0, 8);
        goaway[HEADER..].copy_from_slice(&[0, 0, 0, 1, 0, 0, 0, 2]);
        let sent = [padded, over_padded, reset, goaway, bytes(3, 0, 1, 2)].concat();
        for size in 1..=sent.len() {
            let (mut frames, mut found) = (Frames::from_server(), Vec::new());
            for piece in sent.chunks(size) {
                frames.feed(piece, |part| {
                    if part.is_end {
                        found.push((part.content, part.code));
                    }
                });
            }
            assert_eq!(found, [(5, None), (0, None), (0, Some(13)), (0, Some(2)), (0, None)], "in pieces of {size}");
        }
    }

    #[test]
    fn the_reserved_bit_is_no_part_of_the_stream() {
        let mut found = Vec::new();
        Frames::from_server().feed(&bytes(0, 0, 0x8000_0005, 1), |part| found.push(part.stream));
        assert_eq!(found, [5]);
    }

    #[test]
    fn what_is_of_the_connection_is_no_message() {
        let message = |kind, stream| {
            let mut is_message = None;
            Frames::from_server().feed(&bytes(kind, 0, stream, 0), |part| is_message = Some(part.is_message()));
            is_message.unwrap()
        };
        assert!(message(0, 1) && message(1, 1) && message(9, 1));
        assert!(
            !message(0, 0) && !message(4, 0) && !message(8, 1) && !message(3, 1) && !message(6, 0) && !message(7, 0)
        );
    }
}

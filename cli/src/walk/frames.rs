//! Which bytes of an HTTP/2 connection belong to a request or its response (RFC 9113 §4.1). Pure: it is fed one
//! direction of the connection, in pieces of any size.
//!
//! An HTTP/2 connection carries more than that: settings, window updates, pings. Their times are not those of a request.

/// The 24 bytes with which a client begins (RFC 9113 §3.4).
const PREFACE: usize = 24;
/// Length, type, flags and stream of a frame.
const HEADER: usize = 9;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;

/// One direction of a connection.
#[derive(Clone, Debug)]
pub struct Frames {
    // Bytes of the preface that are still to come.
    preface: usize,
    header: Vec<u8>,
    // Bytes of the current frame's payload that are still to come.
    payload: usize,
    is_message: bool,
}

impl Frames {
    /// The direction from the client.
    pub fn of_client() -> Self {
        Self { preface: PREFACE, ..Self::of_server() }
    }

    /// The direction from the server.
    pub fn of_server() -> Self {
        Self { preface: 0, header: Vec::with_capacity(HEADER), payload: 0, is_message: false }
    }

    /// Takes the next bytes; returns how many of them belong to frames that carry a request or a response: their heads,
    /// contents and trailers, with the frames' own headers.
    pub fn feed(&mut self, mut bytes: &[u8]) -> u64 {
        let mut count = 0;
        while !bytes.is_empty() {
            if self.preface > 0 {
                let skipped = self.preface.min(bytes.len());
                self.preface -= skipped;
                bytes = &bytes[skipped..];
            } else if self.payload > 0 {
                let taken = self.payload.min(bytes.len());
                self.payload -= taken;
                bytes = &bytes[taken..];
                count += if self.is_message { taken as u64 } else { 0 };
            } else {
                let taken = (HEADER - self.header.len()).min(bytes.len());
                self.header.extend_from_slice(&bytes[..taken]);
                bytes = &bytes[taken..];
                if self.header.len() == HEADER {
                    count += self.begin();
                }
            }
        }
        count
    }

    /// A frame's header is complete; what it is for is known only now.
    fn begin(&mut self) -> u64 {
        let header = std::mem::take(&mut self.header);
        self.payload = usize::from(header[0]) << 16 | usize::from(header[1]) << 8 | usize::from(header[2]);
        let stream = u32::from_be_bytes([header[5], header[6], header[7], header[8]]) & 0x7fff_ffff;
        self.is_message = stream != 0 && matches!(header[3], DATA | HEADERS | CONTINUATION);
        if self.is_message { HEADER as u64 } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, stream: u32, length: usize) -> Vec<u8> {
        let mut frame = vec![0, (length >> 8) as u8, length as u8, kind, 0];
        frame.extend(stream.to_be_bytes());
        frame.extend(std::iter::repeat_n(0xaa, length));
        frame
    }

    #[test]
    fn what_belongs_to_a_message() {
        let check = |frames: &[Vec<u8>], expected: u64| {
            let bytes = frames.concat();
            // The same in any pieces.
            for size in [1, 2, 7, 9, 10, bytes.len()] {
                let mut direction = Frames::of_server();
                let count: u64 = bytes.chunks(size).map(|piece| direction.feed(piece)).sum();
                assert_eq!(count, expected, "in pieces of {size}");
            }
        };
        let settings = frame(4, 0, 18);
        let (headers, data) = (frame(HEADERS, 1, 40), frame(DATA, 1, 300));
        check(std::slice::from_ref(&settings), 0);
        check(&[settings.clone(), headers.clone(), frame(8, 1, 4), data.clone(), frame(DATA, 1, 0)], 49 + 309 + 9);
        check(&[frame(CONTINUATION, 3, 5), frame(6, 0, 8), frame(3, 1, 4)], 14);
        let mut client = Frames::of_client();
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        assert_eq!(client.feed(&[preface, settings, headers].concat()), 49);
    }
}

//! Finds where the heads of requests end in the bytes of a connection, so that "bytes of the head" is what was really
//! read and not a guess: one read may bring a head, its body and the next request together.
//!
//! hyper parses the same bytes and decides what they mean; this only counts. A head begins where the message before it
//! ended and reaches to the end of its empty line (RFC 9112 §2.1), empty lines that precede it included (§2.2).

/// How a request's body is delimited (RFC 9112 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// No body.
    None,
    /// `Content-Length`.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
}

/// The position in a connection's stream of requests.
#[derive(Debug, Default)]
pub(crate) struct Heads {
    bytes: Vec<u8>,
    // Where the current head begins; what precedes it in `bytes` is forgotten at the next read.
    start: usize,
    // Where the line under `seen` begins.
    line: usize,
    // Up to here `bytes` are looked at.
    seen: usize,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Before the first line of a head that has something on it.
    #[default]
    Blank,
    /// In a head.
    Lines,
    /// The head ends at `seen`, and nobody has said yet how its body is delimited.
    Complete,
    /// So many bytes of the body are to come.
    Length(u64),
    /// In the line with a chunk's size: the size so far, and whether its digits are over.
    Size(u64, bool),
    /// So many bytes of the chunk are to come, with the CRLF behind it.
    Chunk(u64),
    /// In the trailer section, with so many bytes on the current line.
    Trailer(usize),
}

impl Heads {
    /// These bytes were read.
    pub(crate) fn feed(&mut self, read: &[u8]) {
        self.bytes.drain(..self.start);
        self.seen -= self.start;
        self.line = self.line.saturating_sub(self.start);
        self.start = 0;
        self.bytes.extend_from_slice(read);
        self.scan();
    }

    /// Whether bytes were read behind the last message that was taken: the next head has begun.
    pub(crate) fn has_begun(&self) -> bool {
        self.start < self.bytes.len()
    }

    /// Whether the head is read to its end, and waits to be taken.
    pub(crate) fn is_complete(&self) -> bool {
        self.state == State::Complete
    }

    /// Whether a body is not read to its end.
    pub(crate) fn is_in_body(&self) -> bool {
        matches!(self.state, State::Length(_) | State::Size(..) | State::Chunk(_) | State::Trailer(_))
    }

    /// The head that is complete, now that its body's framing is known; `look` sees its bytes. The search for the next
    /// head goes on behind its body.
    pub(crate) fn take<T>(&mut self, framing: Framing, look: impl FnOnce(&[u8]) -> T) -> T {
        let looked = look(&self.bytes[self.start..self.seen]);
        self.state = match framing {
            Framing::None | Framing::Length(0) => State::Blank,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Size(0, false),
        };
        self.start = self.seen;
        self.line = self.seen;
        self.scan();
        looked
    }

    fn scan(&mut self) {
        while self.seen < self.bytes.len() && self.state != State::Complete {
            self.state = match self.state {
                State::Blank | State::Lines => self.scan_line(),
                State::Complete => return,
                State::Length(left) => match left - self.skip(left) {
                    0 => State::Blank,
                    left => State::Length(left),
                },
                State::Chunk(left) => match left - self.skip(left) {
                    0 => State::Size(0, false),
                    left => State::Chunk(left),
                },
                State::Size(size, over) => after_size(size, over, self.skip_one()),
                State::Trailer(length) => match self.skip_one() {
                    b'\n' if length == 0 => State::Blank,
                    b'\n' => State::Trailer(0),
                    b'\r' => State::Trailer(length),
                    _ => State::Trailer(length + 1),
                },
            };
        }
    }

    /// To the end of the line, or of what was read.
    fn scan_line(&mut self) -> State {
        let Some(end) = self.bytes[self.seen..].iter().position(|byte| *byte == b'\n') else {
            self.seen = self.bytes.len();
            return self.state;
        };
        let line = &self.bytes[self.line..self.seen + end];
        let is_empty = matches!(line, [] | [b'\r']);
        self.seen += end + 1;
        self.line = self.seen;
        match self.state {
            // Empty lines before a request line are to be skipped (RFC 9112 §2.2).
            State::Blank if is_empty => State::Blank,
            _ if is_empty => State::Complete,
            _ => State::Lines,
        }
    }

    /// Skips bytes of a body, at most so many; returns how many.
    fn skip(&mut self, most: u64) -> u64 {
        let here = most.min((self.bytes.len() - self.seen) as u64);
        // It is no more than a length.
        self.seen += usize::try_from(here).unwrap_or_default();
        self.start = self.seen;
        self.line = self.seen;
        here
    }

    /// Skips a byte of a body, which is there.
    fn skip_one(&mut self) -> u8 {
        let byte = self.bytes[self.seen];
        self.skip(1);
        byte
    }
}

/// A chunk's size is in hexadecimal digits; after them come extensions, if any (RFC 9112 §7.1).
fn after_size(size: u64, over: bool, byte: u8) -> State {
    match char::from(byte).to_digit(16) {
        Some(digit) if !over => State::Size(size.saturating_mul(16).saturating_add(digit.into()), false),
        _ if byte != b'\n' => State::Size(size, true),
        _ if size == 0 => State::Trailer(0),
        _ => State::Chunk(size.saturating_add(2)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

    /// Feeds a stream in pieces of every size and takes each head as it is complete.
    fn check(messages: &[(&str, Framing, &str)]) {
        let stream: String = messages.iter().map(|(head, _, body)| format!("{head}{body}")).collect();
        for size in 1..=stream.len() {
            let mut heads = Heads::default();
            let mut expected = messages.iter();
            for piece in stream.as_bytes().chunks(size) {
                heads.feed(piece);
                while heads.is_complete() {
                    let (head, framing, _) = expected.next().expect("no more heads than messages");
                    heads.take(*framing, |found| assert_eq!(found, head.as_bytes(), "in pieces of {size}"));
                }
            }
            assert!(expected.next().is_none(), "all heads are found in pieces of {size}");
            assert!(!heads.has_begun());
        }
    }

    #[test]
    fn one_and_many() {
        check(&[(GET, Framing::None, "")]);
        check(&[(GET, Framing::None, ""), (GET, Framing::None, ""), (GET, Framing::None, "")]);
        check(&[("\r\n\nGET / HTTP/1.0\n\n", Framing::None, ""), (GET, Framing::None, "")]);
    }

    #[test]
    fn behind_bodies() {
        check(&[(GET, Framing::Length(6), "a\r\n\r\nb"), (GET, Framing::Length(0), ""), (GET, Framing::None, "")]);
        let chunked = "5;x=a\r\n12\r\n\r\r\nA\r\n0123456789\r\n0\r\nSome: trailer\r\n\r\n";
        check(&[(GET, Framing::Chunked, chunked), (GET, Framing::Chunked, "0\r\n\r\n"), (GET, Framing::None, "")]);
    }

    #[test]
    fn begun() {
        let mut heads = Heads::default();
        assert!(!heads.has_begun());
        heads.feed(b"G");
        assert!(heads.has_begun());
        heads.feed(b"ET / HTTP/1.1\r\n\r\nGET");
        heads.take(Framing::None, |head| assert_eq!(head.len(), 18));
        assert!(heads.has_begun(), "the next head has");
    }
}

//! The chunked transfer coding (RFC 9112 §7.1), up to the trailer section.

use crate::{MAX_CHUNK_LINE, QUOTED, Wrong};

/// Sizes from here on are broken: no content is that large.
const TOO_LARGE: u64 = 1 << 63;

/// Where in the coding the next byte is.
#[derive(Debug, Default)]
pub(crate) struct Chunks {
    at: At,
    // The line so far, to be quoted.
    line: Vec<u8>,
    line_len: usize,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum At {
    /// In front of the first digit of a size.
    #[default]
    Begin,
    /// In the digits of a size.
    Size(u64),
    /// Behind them: whitespace, an extension, the end of the line.
    Padding(u64),
    /// In an extension, which is skipped.
    Extension(u64),
    /// In a chunk's content.
    Content(u64),
    /// Behind it.
    ContentEnd,
    /// The same, behind CR.
    ContentLf,
}

/// What the coding holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part<'b> {
    /// A piece of content.
    Content(&'b [u8]),
    /// The last chunk; trailers or an empty line follow.
    Last,
}

impl Chunks {
    /// Takes bytes from the front; none is left when it returns `None`.
    pub(crate) fn next<'b>(&mut self, bytes: &mut &'b [u8]) -> Result<Option<Part<'b>>, Wrong> {
        while let Some((&byte, rest)) = bytes.split_first() {
            if let At::Content(left) = self.at {
                let count = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                let (content, rest) = bytes.split_at(count);
                *bytes = rest;
                let left = left - count as u64;
                self.at = if left == 0 { At::ContentEnd } else { At::Content(left) };
                return Ok(Some(Part::Content(content)));
            }
            *bytes = rest;
            if self.byte(byte)? {
                return Ok(Some(Part::Last));
            }
        }
        Ok(None)
    }

    /// Takes a byte that is not content; whether it ends the last chunk's line.
    fn byte(&mut self, byte: u8) -> Result<bool, Wrong> {
        if self.line.len() < QUOTED && byte != b'\n' {
            self.line.push(byte);
        }
        self.line_len += 1;
        if self.line_len > MAX_CHUNK_LINE {
            return Err(Wrong::ChunkLine);
        }
        self.at = match (&self.at, byte) {
            (At::ContentEnd, b'\r') => At::ContentLf,
            (At::ContentEnd | At::ContentLf, b'\n') => {
                self.new_line();
                At::Begin
            }
            (At::ContentEnd | At::ContentLf, _) => return Err(Wrong::ChunkEnd(self.line.clone())),
            (At::Begin, _) => At::Size(self.digit(0, byte)?),
            (At::Size(size), _) if byte.is_ascii_hexdigit() => At::Size(self.digit(*size, byte)?),
            (At::Size(size) | At::Padding(size) | At::Extension(size), b'\n') => {
                let size = *size;
                self.new_line();
                if size == 0 {
                    return Ok(true);
                }
                At::Content(size)
            }
            (At::Size(size) | At::Padding(size), b' ' | b'\t' | b'\r') => At::Padding(*size),
            (At::Size(size) | At::Padding(size), b';') => At::Extension(*size),
            (At::Extension(size), _) => At::Extension(*size),
            _ => return Err(Wrong::ChunkSize(self.line.clone())),
        };
        Ok(false)
    }

    fn digit(&self, size: u64, byte: u8) -> Result<u64, Wrong> {
        let digit = char::from(byte).to_digit(16).map(u64::from);
        let size = digit.and_then(|digit| size.checked_mul(16)?.checked_add(digit));
        size.filter(|size| *size < TOO_LARGE).ok_or_else(|| Wrong::ChunkSize(self.line.clone()))
    }

    fn new_line(&mut self) {
        self.line.clear();
        self.line_len = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(sent: &[u8], size: usize) -> (Vec<u8>, Result<bool, Wrong>) {
        let (mut chunks, mut content) = (Chunks::default(), Vec::new());
        for mut piece in sent.chunks(size) {
            loop {
                match chunks.next(&mut piece) {
                    Ok(None) => break,
                    Ok(Some(Part::Content(bytes))) => content.extend_from_slice(bytes),
                    Ok(Some(Part::Last)) => return (content, Ok(true)),
                    Err(wrong) => return (content, Err(wrong)),
                }
            }
        }
        (content, Ok(false))
    }

    #[test]
    fn chunks_in_pieces_of_every_size() {
        let check = |sent: &str, content: &str, end: Result<bool, Wrong>| {
            for size in 1..=sent.len() {
                assert_eq!(read(sent.as_bytes(), size), (content.into(), end.clone()), "{sent:?} in pieces of {size}");
            }
        };
        check("3\r\nhel\r\n2\r\nlo\r\n0\r\n", "hello", Ok(true));
        check("5\nhello\n0\n", "hello", Ok(true));
        check("5  ;a=b; c=\"d\"\r\nhello\r\n000;x\r\n", "hello", Ok(true));
        check("00000000000000000000A\r\n0123456789\r\n0\r\n", "0123456789", Ok(true));
        check("5\r\nhello\r\n0\r", "hello", Ok(false));
        check("5\r\nhel", "hel", Ok(false));
        check("zz\r\nhi", "", Err(Wrong::ChunkSize(b"z".to_vec())));
        check("\r\nhi", "", Err(Wrong::ChunkSize(b"\r".to_vec())));
        check("0x2\r\nhi", "", Err(Wrong::ChunkSize(b"0x".to_vec())));
        check(" 2\r\nhi", "", Err(Wrong::ChunkSize(b" ".to_vec())));
        check("+2\r\nhi", "", Err(Wrong::ChunkSize(b"+".to_vec())));
        check("2 2\r\nhi", "", Err(Wrong::ChunkSize(b"2 2".to_vec())));
        check("8000000000000000\r\nhi", "", Err(Wrong::ChunkSize(b"8000000000000000".to_vec())));
        check("7fffffffffffffff\r\nhi", "hi", Ok(false));
        check("2\r\nhix\r\n0\r\n", "hi", Err(Wrong::ChunkEnd(b"x".to_vec())));
        check("2\r\nhi\rx", "hi", Err(Wrong::ChunkEnd(b"\rx".to_vec())));
    }

    #[test]
    fn an_endless_extension_is_refused() {
        let sent = [&b"2;"[..], &[b'a'; MAX_CHUNK_LINE]].concat();
        assert_eq!(read(&sent, 1000), (Vec::new(), Err(Wrong::ChunkLine)));
    }
}

//! Reads HTTP/1 responses (RFC 9112) from the bytes of a connection, in pieces of any size. Pure: bytes in, events out.
//!
//! | module | what |
//! |---|---|
//! | `reader` | the state machine: heads, content, trailers, end |
//! | `status` | the status line |
//! | `fields` | field lines, also those that break the grammar |
//! | `framing` | where the content ends (RFC 9112 §6.3) |
//! | `chunked` | the chunked transfer coding |
//!
//! It accepts what curl and browsers accept, and reports each deviation from the grammar as an [`Oddity`] with the line
//! it stands on. What makes the end of the message uncertain is an error ([`Wrong`]).
//!
//! ```
//! use http1::{Asked, Event, Reader};
//!
//! let mut reader = Reader::new(Asked::default());
//! let mut bytes: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
//! let mut seen = Vec::new();
//! while let Some(event) = reader.next(&mut bytes)? {
//!     seen.push(match event {
//!         Event::Head(head) => head.status.to_string(),
//!         Event::Content(content) => String::from_utf8_lossy(content).into_owned(),
//!         Event::End => "end".to_owned(),
//!         _ => continue,
//!     });
//! }
//! assert_eq!(seen, ["200", "hi", "end"]);
//! # Ok::<(), http1::Wrong>(())
//! ```

mod chunked;
mod fields;
mod framing;
mod reader;
mod status;

pub use fields::Field;
pub use framing::{End, Framing, of as framing};
pub use reader::{Asked, Event, Head, Reader};

/// Bytes that the heads of a response may have, interim responses included. Chromium has the same limit.
pub const MAX_HEAD: usize = 256 * 1024;
/// Fields that a head may have, as in curl.
pub const MAX_FIELDS: usize = 5_000;
/// Bytes that the line in front of a chunk may have, extensions included.
pub const MAX_CHUNK_LINE: usize = 16 * 1024;
/// Bytes of a line that are kept to be quoted.
const QUOTED: usize = 120;
/// Oddities that are kept.
const MOST_ODDITIES: usize = 16;

/// A deviation from the grammar that does not change what the message means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Oddity {
    /// Which.
    pub kind: Kind,
    /// How the line begins that it is on.
    pub line: Vec<u8>,
}

impl Oddity {
    pub(crate) fn new(kind: Kind, line: &[u8]) -> Self {
        Self { kind, line: quoted(line) }
    }
}

/// What an [`Oddity`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Lines end in LF, without CR.
    LineFeedOnly,
    /// There are empty lines in front of the status line.
    LeadingLines,
    /// The protocol's name is not `HTTP` in upper case.
    ProtocolName,
    /// The status line says HTTP/2, and the message is one of HTTP/1.
    ProtocolVersion,
    /// The spaces of the status line are not one before and one after the code.
    StatusSpacing,
    /// A field goes on in the next line (obs-fold).
    Folded,
    /// There is whitespace between the status line and the first field.
    LeadingWhitespace,
    /// There is whitespace between a field's name and its colon.
    SpaceBeforeColon,
    /// A line without a colon; it is skipped.
    NoColon,
    /// A field without a name; it is skipped.
    NoName,
    /// A field's name has characters that it must not have; the field is skipped.
    BadName,
    /// A field's value has control characters.
    ControlCharacter,
    /// A CR that no LF follows; it is read as a space.
    BareCr,
    /// `Content-Length` is there more than once, always with the same value.
    RepeatedLength,
    /// `Content-Length` is not a number, and the response has no content.
    UnusedLength,
    /// Both `Content-Length` and `Transfer-Encoding` are there; the latter counts.
    LengthAndCoding,
    /// `Transfer-Encoding` in a response of HTTP/1.0.
    CodingInHttp10,
    /// `Transfer-Encoding` in a response that cannot have content.
    CodingWithoutContent,
    /// `Transfer-Encoding: identity`, which no longer exists.
    Identity,
    /// `chunked` is there more than once; it is removed once.
    RepeatedChunked,
    /// `Transfer-Encoding` without a value.
    NoCoding,
}

/// Why bytes are not a response, or not a whole one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// They do not begin with a status line.
    NotHttp,
    /// The status line has no status code from 100 to 999.
    Code(Vec<u8>),
    /// The status line has a version that is not of HTTP/1.
    Version(Vec<u8>),
    /// A line has a NUL byte.
    Nul(Vec<u8>),
    /// The heads are larger than [`MAX_HEAD`].
    HeadTooLarge,
    /// A head has more fields than [`MAX_FIELDS`].
    TooManyFields,
    /// The server switches protocols (101), and was not asked to.
    Switched,
    /// A `Content-Length` that is not a number.
    Length(Vec<u8>),
    /// `Content-Length` fields with different values.
    Lengths(Vec<u8>),
    /// Something was applied after `chunked`.
    NotChunkedLast(Vec<u8>),
    /// A chunk's size is not a hexadecimal number, or too large a one.
    ChunkSize(Vec<u8>),
    /// A chunk has more content than its size.
    ChunkEnd(Vec<u8>),
    /// The line in front of a chunk is longer than [`MAX_CHUNK_LINE`].
    ChunkLine,
    /// The connection ended before the head was complete.
    CutInHead,
    /// The connection ended before the content was complete.
    CutInContent,
}

/// The begin of a line, to be quoted.
pub(crate) fn quoted(line: &[u8]) -> Vec<u8> {
    line[..line.len().min(QUOTED)].to_vec()
}

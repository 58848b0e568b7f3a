//! The status line (RFC 9112 §4).

use crate::{Kind, Oddity, Wrong, quoted};

/// What a status line begins with.
pub(crate) const PROTOCOL: &[u8] = b"HTTP/";

/// A status line's parts.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) version: (u8, u8),
    pub(crate) code: u16,
    pub(crate) reason: Vec<u8>,
    pub(crate) oddities: Vec<Oddity>,
}

/// Whether these bytes may be the begin of a status line. Its name is compared without case, as curl and Chromium do.
pub(crate) fn may_begin(bytes: &[u8]) -> bool {
    let count = bytes.len().min(PROTOCOL.len());
    bytes[..count].eq_ignore_ascii_case(&PROTOCOL[..count])
}

/// Reads a line that begins with `HTTP/`, its end removed.
pub(crate) fn read(line: &[u8]) -> Result<Status, Wrong> {
    let mut oddities = Vec::new();
    if !line.starts_with(PROTOCOL) {
        oddities.push(Oddity::new(Kind::ProtocolName, line));
    }
    let rest = &line[PROTOCOL.len().min(line.len())..];
    let (version, rest) = version(rest).ok_or_else(|| Wrong::Version(quoted(line)))?;
    if version.0 == 2 {
        oddities.push(Oddity::new(Kind::ProtocolVersion, line));
    }
    let spaces = rest.iter().take_while(|byte| **byte == b' ').count();
    let rest = &rest[spaces..];
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (code, rest) = rest.split_at(digits);
    let code = std::str::from_utf8(code).ok().and_then(|code| code.parse().ok());
    let code =
        code.filter(|code| digits == 3 && (100..=999).contains(code)).ok_or_else(|| Wrong::Code(quoted(line)))?;
    if spaces != 1 || !matches!(rest.first(), None | Some(b' ')) {
        oddities.push(Oddity::new(Kind::StatusSpacing, line));
    }
    let reason = rest.strip_prefix(b" ").unwrap_or(rest).trim_ascii_end().to_vec();
    Ok(Status { version, code, reason, oddities })
}

/// The version and what follows it. RFC 9110 §2.5: a higher minor version is read as the highest that is known.
fn version(bytes: &[u8]) -> Option<((u8, u8), &[u8])> {
    match bytes {
        [b'1', b'.', minor @ b'0'..=b'9', rest @ ..] if is_delimited(rest) => Some(((1, minor - b'0'), rest)),
        // Written by servers that mean HTTP/1.1; curl and Chromium take it for that.
        [b'2', b'.', b'0', rest @ ..] | [b'2', rest @ ..] if is_delimited(rest) => Some(((2, 0), rest)),
        _ => None,
    }
}

fn is_delimited(rest: &[u8]) -> bool {
    matches!(rest.first(), None | Some(b' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_lines_that_are_read() {
        let check = |line: &[u8], version, code, reason: &[u8], kinds: &[Kind]| {
            let status = read(line).unwrap();
            assert_eq!((status.version, status.code, &*status.reason), (version, code, reason), "{line:?}");
            assert_eq!(status.oddities.iter().map(|odd| odd.kind).collect::<Vec<_>>(), kinds, "{line:?}");
        };
        check(b"HTTP/1.1 200 OK", (1, 1), 200, b"OK", &[]);
        check(b"HTTP/1.0 404 Not Found", (1, 0), 404, b"Not Found", &[]);
        check(b"HTTP/1.1 200", (1, 1), 200, b"", &[]);
        check(b"HTTP/1.1 200 ", (1, 1), 200, b"", &[]);
        check(b"HTTP/1.1 999 gr\xfc\xdfe", (1, 1), 999, b"gr\xfc\xdfe", &[]);
        check(b"HTTP/1.2 200 OK", (1, 2), 200, b"OK", &[]);
        check(b"http/1.1 200 OK", (1, 1), 200, b"OK", &[Kind::ProtocolName]);
        check(b"HTTP/2 200 OK", (2, 0), 200, b"OK", &[Kind::ProtocolVersion]);
        check(b"HTTP/2.0 200", (2, 0), 200, b"", &[Kind::ProtocolVersion]);
        check(b"HTTP/1.1  200 OK", (1, 1), 200, b"OK", &[Kind::StatusSpacing]);
        check(b"HTTP/1.1 200OK", (1, 1), 200, b"OK", &[Kind::StatusSpacing]);
    }

    #[test]
    fn status_lines_that_are_refused() {
        for line in ["HTTP/1.1 2000 OK", "HTTP/1.1 20 OK", "HTTP/1.1 099 X", "HTTP/1.1 abc", "HTTP/1.1", "HTTP/1.1 "] {
            assert_eq!(read(line.as_bytes()), Err(Wrong::Code(line.into())), "{line}");
        }
        for line in
            ["HTTP/", "HTTP/3 200", "HTTP/0.9 200 OK", "HTTP/11.1 200", "HTTP/1.10 200", "HTTP/1 200", "HTTP/1.1\t200"]
        {
            assert_eq!(read(line.as_bytes()), Err(Wrong::Version(line.into())), "{line}");
        }
    }
}

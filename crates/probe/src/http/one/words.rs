//! Oddities of a response and what is wrong with it, in words.

use std::{error::Error as _, io};

use http1::{Kind, Wrong};
use journey::{
    Reason,
    stage::{Failure, Oddity, Receive},
};
use secrets::Secrets;

use super::super::{
    super::{heard::Heard, meter::Seen, tls},
    explain::promised,
};

/// Characters of a line that are quoted.
const QUOTED: usize = 80;
/// Bytes that are shown of what is not text.
const IN_HEX: usize = 12;

/// A deviation from the grammar.
pub(super) fn oddity(oddity: &http1::Oddity, secrets: Secrets) -> Oddity {
    let line = line(&oddity.line, secrets);
    let quoted = quoted(&line);
    let what = match oddity.kind {
        Kind::LineFeedOnly => "lines end in LF instead of CRLF (RFC 9112 section 2.2)".to_owned(),
        Kind::LeadingLines => "there is an empty line in front of the status line (RFC 9112 section 4)".to_owned(),
        Kind::ProtocolName => {
            format!("the status line {quoted} does not begin with HTTP in capitals (RFC 9112 section 2.3)")
        }
        Kind::ProtocolVersion => format!("the status line {quoted} names HTTP/2 in a message of HTTP/1.1"),
        Kind::StatusSpacing => {
            format!(
                "the status line {quoted} does not have one space on each side of the status code (RFC 9112 section 4)"
            )
        }
        Kind::Folded => {
            format!("the line {quoted} continues a field (obs-fold, RFC 9112 section 5.2): read as one line")
        }
        Kind::LeadingWhitespace => {
            format!("the line {quoted} after the status line begins with whitespace (RFC 9112 section 2.2): skipped")
        }
        Kind::SpaceBeforeColon => {
            format!("the field {quoted} has a space before its colon (RFC 9112 section 5.1): removed")
        }
        Kind::NoColon => format!("the line {quoted} has no colon (RFC 9112 section 5): skipped"),
        Kind::NoName => format!("the line {quoted} has no field name (RFC 9112 section 5): skipped"),
        Kind::BadName => {
            format!("the line {quoted} has a field name that is not a token (RFC 9110 section 5.1): skipped")
        }
        Kind::ControlCharacter => format!("the field {quoted} has a control character (RFC 9110 section 5.5)"),
        Kind::BareCr => format!("the line {quoted} has a CR without LF (RFC 9112 section 2.2): read as a space"),
        Kind::RepeatedLength => format!("Content-Length is repeated (RFC 9110 section 8.6): {quoted}"),
        Kind::UnusedLength => {
            format!("the field {quoted} is not a number; the response has no content, so it is not used")
        }
        Kind::LengthAndCoding => {
            "the response has both Content-Length and Transfer-Encoding (RFC 9112 section 6.3): the length is not used"
                .to_owned()
        }
        Kind::CodingInHttp10 => format!("{quoted} in a response of HTTP/1.0 (RFC 9112 section 6.1)"),
        Kind::CodingWithoutContent => format!("{quoted} in a response that has no content (RFC 9112 section 6.1)"),
        Kind::Identity => format!("{quoted}: identity is not a transfer coding any more (RFC 9112 section 7): ignored"),
        Kind::RepeatedChunked => format!("{quoted}: chunked twice (RFC 9112 section 6.1): removed once"),
        Kind::NoCoding => "Transfer-Encoding has no value: the content is read until the connection closes".to_owned(),
    };
    Oddity { what, line }
}

/// What is wrong with a response.
pub(super) fn wrong(wrong: &Wrong, secrets: Secrets) -> Failure {
    let quote = |bytes: &[u8]| quoted(&line(bytes, secrets));
    let (reason, what) = match wrong {
        Wrong::NotHttp => (Reason::MalformedResponse, "the server did not send an HTTP response".to_owned()),
        Wrong::Code(line) => {
            (Reason::MalformedResponse, format!("the status line {} has no status code from 100 to 999", quote(line)))
        }
        Wrong::Version(line) => {
            (Reason::MalformedResponse, format!("the status line {} has a version that is not HTTP/1", quote(line)))
        }
        Wrong::Nul(line) => (Reason::MalformedResponse, format!("a line of the head has a NUL byte: {}", quote(line))),
        Wrong::HeadTooLarge => {
            let limit = http1::MAX_HEAD;
            (Reason::TooLarge, format!("the head of the response is larger than visit's limit of {limit} bytes"))
        }
        Wrong::TooManyFields => {
            let limit = http1::MAX_FIELDS;
            (Reason::TooLarge, format!("the head of the response has more than visit's limit of {limit} fields"))
        }
        Wrong::Switched => (
            Reason::MalformedResponse,
            "the server switched protocols (101), and the request did not ask for that".to_owned(),
        ),
        Wrong::Length(value) => {
            (Reason::MalformedResponse, format!("the Content-Length {} is not a number", quote(value)))
        }
        Wrong::Lengths(value) => {
            let value = line(value, secrets);
            (Reason::MalformedResponse, format!("the response has different values of Content-Length: {value}"))
        }
        Wrong::NotChunkedLast(line) => {
            (Reason::BadTransferCoding, format!("chunked is not the last transfer coding: {}", quote(line)))
        }
        Wrong::ChunkSize(line) => {
            (Reason::BrokenChunks, format!("a chunk begins with {}, which is not the size of a chunk", quote(line)))
        }
        Wrong::ChunkEnd(line) => {
            (Reason::BrokenChunks, format!("a chunk is longer than its size says: {} follows it", quote(line)))
        }
        Wrong::ChunkLine => {
            let limit = http1::MAX_CHUNK_LINE;
            (Reason::BrokenChunks, format!("the line in front of a chunk is longer than {limit} bytes"))
        }
        Wrong::CutInHead | Wrong::CutInContent => {
            (Reason::BodyCut, "the server closed the connection before the response was complete".to_owned())
        }
    };
    Failure { reason, what }
}

/// The server closed before the response was complete.
pub(super) fn ended(seen: &Seen, receive: &Receive, has_begun: bool) -> Failure {
    // A reset that the write has met is told once; the read then meets an end.
    let reset = seen.write_error.is_some();
    if !has_begun && seen.read == 0 {
        let (reason, what) = if reset {
            (Reason::Reset, "the server reset the connection before it sent any of a response")
        } else {
            (Reason::EmptyReply, "the server closed the connection without sending a byte")
        };
        return Failure { reason, what: what.to_owned() };
    }
    if reset {
        return was_reset(seen, receive);
    }
    Failure { reason: Reason::BodyCut, what: format!("the server closed the connection {}", so_far(receive)) }
}

/// Reading ended with an error.
pub(super) fn broke(error: &io::Error, seen: &Seen, receive: &Receive, has_begun: bool) -> Failure {
    if let Some(rustls::Error::AlertReceived(alert)) = tls_error(error) {
        let what = format!("the server ended TLS after the handshake: {}", tls::alert(*alert));
        return Failure { reason: Reason::TlsFailed, what };
    }
    match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe if !has_begun => Failure {
            reason: Reason::Reset,
            what: "the server reset the connection before it sent any of a response".to_owned(),
        },
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => was_reset(seen, receive),
        // In TLS a FIN without the word that goes before it comes as an error.
        io::ErrorKind::UnexpectedEof if !has_begun => ended(seen, receive, has_begun),
        io::ErrorKind::UnexpectedEof => {
            let so_far = so_far(receive);
            let what = format!("the server closed the connection {so_far}, without a TLS close_notify");
            Failure { reason: Reason::BodyCut, what }
        }
        _ => {
            let cause = error.source().map_or_else(|| error.to_string(), ToString::to_string);
            Failure { reason: Reason::ReceiveFailed, what: format!("the response broke off: {cause}") }
        }
    }
}

fn was_reset(seen: &Seen, receive: &Receive) -> Failure {
    let what = match receive.headers_at_us {
        Some(_) => format!("the server reset the connection {}", so_far(receive)),
        None => format!("the server reset the connection after {} bytes of the head", seen.read),
    };
    Failure { reason: Reason::Reset, what }
}

fn so_far(receive: &Receive) -> String {
    match (receive.headers_at_us, receive.interim.len()) {
        (None, 0) => "in the head of its response".to_owned(),
        (None, _) if receive.status.is_none() => "after interim responses (1xx), without a final one".to_owned(),
        (None, _) => "in the head of its response".to_owned(),
        (Some(_), _) => {
            let of = promised(receive).map_or_else(String::new, |length| format!(" of {length}"));
            format!("after {}{of} bytes of content", receive.content_bytes.unwrap_or(0))
        }
    }
}

fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// A line as it may be shown.
fn line(bytes: &[u8], secrets: Secrets) -> String {
    let text = String::from_utf8_lossy(bytes);
    match text.split_once(':') {
        Some((name, value)) => {
            let value = value.trim();
            let shown = secrets.field(name.trim(), value);
            if shown == value { text.into_owned() } else { format!("{name}: {shown}") }
        }
        None => secrets.text(&text),
    }
}

fn quoted(text: &str) -> String {
    match text.char_indices().nth(QUOTED) {
        Some((at, _)) => format!("{:?}…", &text[..at]),
        None => format!("{text:?}"),
    }
}

/// What a server began with: its first line where it is text, else the bytes.
pub(in super::super) fn first_bytes(begin: &[u8], secrets: Secrets) -> String {
    if let Some(text) = text(begin, secrets) {
        let line = text.trim_start_matches(['\r', '\n']).lines().next().unwrap_or_default().trim_end();
        return quoted(line);
    }
    let shown: Vec<String> = begin.iter().take(IN_HEX).map(|byte| format!("{byte:02x}")).collect();
    let more = if begin.len() > IN_HEX { " …" } else { "" };
    format!("the bytes {}{more}", shown.join(" "))
}

/// The begin as text, if it is text.
pub(super) fn text(begin: &[u8], secrets: Secrets) -> Option<String> {
    let mut heard = Heard::default();
    heard.push(begin);
    heard.text().map(|text| secrets.stream(&text))
}

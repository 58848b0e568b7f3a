//! Whether a response over HTTP/2 is complete, and why it is not: from its frames, not from the library's words.
//!
//! RFC 9113 §8.1: END_STREAM ends a response. A reset is no end, whatever its code: NO_ERROR (§8.1) says that the server
//! needs no more of the request, and only after a complete response.

use h2_frames::Answer;
use hyper::HeaderMap;
use journey::{
    Reason,
    stage::{Failure, Receive},
};

use super::{super::meter::Seen, MAX_HEAD, explain};

/// What the library takes of fields, decompressed; the number that is announced to servers, as large as that of browsers.
pub(super) const MAX_LIST: u32 = 256 * 1024;
/// Fewer bytes than this cannot become more than [`MAX_LIST`]: one byte stands for at most 4096, the size of the table that
/// is announced (RFC 7541 §4.2), and what it stands for has to be there before.
const LEAST_OF_TOO_LARGE: u64 = 2048;

/// Why a head is refused: it is over the same limit that HTTP/1.1 has. Counted as RFC 9113 §10.5.1 does.
pub(super) fn too_large(fields: &HeaderMap) -> Option<Failure> {
    let size: usize = fields.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum();
    (size > MAX_HEAD).then(head_too_large)
}

fn head_too_large() -> Failure {
    let what = format!("the head of the response is larger than visit's limit of {MAX_HEAD} bytes");
    Failure { reason: Reason::TooLarge, what }
}

/// Why the library gave up.
pub(super) fn failure(error: &hyper::Error, seen: &Seen, receive: &Receive) -> Failure {
    let answer = &seen.answer;
    if let Some(error) = explain::h2_error(error).filter(|error| error.is_library()) {
        return refused(error, answer, receive);
    }
    match (answer.reset, answer.goaway) {
        (Some(_), _) => unfinished(answer, receive),
        (None, Some(code)) => left(code, receive),
        (None, None) if seen.read == 0 && seen.peer_closed.is_some() => Failure {
            reason: Reason::EmptyReply,
            what: "the server closed the connection before it sent any of a response".to_owned(),
        },
        (None, None) => explain::failure(error, seen, receive),
    }
}

/// Why a response without END_STREAM ended.
pub(super) fn unfinished(answer: &Answer, receive: &Receive) -> Failure {
    let so_far = so_far(receive);
    let (reason, what) = match answer.reset {
        Some(code) if is_http1_required(code) => {
            (Reason::Http1Required, "the server wants HTTP/1.1 for this request (HTTP_1_1_REQUIRED)".to_owned())
        }
        Some(code) => (Reason::StreamFailed, format!("the server reset the stream: {}, {so_far}", name(code))),
        None if let Some(code) = answer.goaway => return left(code, receive),
        None => (Reason::StreamFailed, format!("the response ended without END_STREAM {so_far}")),
    };
    Failure { reason, what }
}

/// Why a response is too short, where the library that read it shows no frames.
pub(super) fn short(is_head: bool, receive: &Receive) -> Option<Failure> {
    // RFC 9110 §8.6: these announce the length of a content that they do not have.
    let has_none = is_head || matches!(receive.status, Some(204 | 304));
    let length = explain::promised(receive).filter(|_| !has_none && receive.version.as_deref() == Some("HTTP/2"))?;
    let is_short = receive.content_bytes.unwrap_or(0) < length;
    is_short.then(|| Failure {
        reason: Reason::StreamFailed,
        what: format!("the server ended the response {}", so_far(receive)),
    })
}

/// The server left the connection, and the response was not complete.
fn left(code: u32, receive: &Receive) -> Failure {
    if is_http1_required(code) {
        let what = "the server wants HTTP/1.1 (GOAWAY: HTTP_1_1_REQUIRED)".to_owned();
        return Failure { reason: Reason::Http1Required, what };
    }
    let reason = if receive.status.is_some() { Reason::BodyCut } else { Reason::ReceiveFailed };
    let what = format!("the server ended the connection with GOAWAY: {}, {}", name(code), so_far(receive));
    Failure { reason, what }
}

/// What the library did not take (RFC 9113 §5.4): an error of the stream, or of the connection.
fn refused(error: &h2::Error, answer: &Answer, receive: &Receive) -> Failure {
    if error.is_go_away() {
        let is_over_limit = error.reason() == Some(h2::Reason::ENHANCE_YOUR_CALM)
            || (error.reason() == Some(h2::Reason::COMPRESSION_ERROR) && answer.fields > MAX_HEAD as u64);
        // The library has no other name for it than its words.
        let is_flood = error.to_string().contains("too_many_continuations");
        return match receive.status {
            None if is_flood && answer.fields <= MAX_HEAD as u64 => Failure {
                reason: Reason::TooLarge,
                what: "the head of the response comes in more CONTINUATION frames than visit takes".to_owned(),
            },
            None if is_over_limit => head_too_large(),
            None if answer.fields == 0 => Failure {
                reason: Reason::MalformedResponse,
                what: format!("what the server sent is not HTTP/2: {error}"),
            },
            _ => Failure {
                reason: Reason::MalformedResponse,
                what: format!("the response breaks the rules of HTTP/2: {error}"),
            },
        };
    }
    match receive.status {
        None => bad_head(answer),
        Some(_) => bad_content(answer, receive),
    }
}

fn bad_head(answer: &Answer) -> Failure {
    const RULES: &str = "breaks the rules of HTTP/2 (RFC 9113 section 8): a field name in upper case, a field of the \
                         connection, a wrong :status, or a content-length that is not that of the content";
    let what = match answer.fields {
        0 => "the server sent content before the head of its response".to_owned(),
        size if size > MAX_HEAD as u64 => return head_too_large(),
        size if size >= LEAST_OF_TOO_LARGE => {
            format!("the head of the response is larger than visit's limit of {MAX_LIST} bytes, or it {RULES}")
        }
        _ => format!("the head of the response {RULES}"),
    };
    Failure { reason: Reason::StreamFailed, what }
}

fn bad_content(answer: &Answer, receive: &Receive) -> Failure {
    let what = match explain::promised(receive) {
        Some(length) if answer.content > length => {
            format!("the server sent {} bytes of content, and its content-length is {length}", answer.content)
        }
        Some(length) if answer.is_ended && answer.content < length => {
            format!("the server ended the response after {} of {length} bytes of content", answer.content)
        }
        _ if answer.fields > MAX_HEAD as u64 => {
            let what = format!("the fields behind the content are larger than visit's limit of {MAX_LIST} bytes");
            return Failure { reason: Reason::TooLarge, what };
        }
        _ => format!("the response breaks the rules of HTTP/2 (RFC 9113 section 8.1) {}", so_far(receive)),
    };
    Failure { reason: Reason::StreamFailed, what }
}

fn so_far(receive: &Receive) -> String {
    match (receive.status, explain::promised(receive)) {
        (None, _) => "before the head of its response was complete".to_owned(),
        (Some(_), Some(length)) => {
            format!("after {} of {length} bytes of content", receive.content_bytes.unwrap_or(0))
        }
        (Some(_), None) => format!("after {} bytes of content", receive.content_bytes.unwrap_or(0)),
    }
}

fn is_http1_required(code: u32) -> bool {
    h2::Reason::from(code) == h2::Reason::HTTP_1_1_REQUIRED
}

/// A code as RFC 9113 §7 names it.
fn name(code: u32) -> String {
    let reason = h2::Reason::from(code);
    if u32::from(h2::Reason::HTTP_1_1_REQUIRED) < code { format!("code {code}") } else { format!("{reason:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_the_names_of_the_rfc() {
        assert_eq!(name(0), "NO_ERROR");
        assert_eq!(name(13), "HTTP_1_1_REQUIRED");
        assert_eq!(name(14), "code 14");
        assert_eq!(name(u32::MAX), "code 4294967295");
    }
}

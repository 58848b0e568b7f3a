//! What went wrong in an exchange, from what the stream saw rather than from the library's words.

use std::{error::Error as _, io, time::Duration};

use journey::{
    Reason,
    stage::{Failure, Receive},
};

use super::{
    super::{bounds, meter::Seen, tls},
    MAX_FIELDS, MAX_HEAD,
};

/// A wait that was cut short.
pub(super) fn cut(reason: Reason, limit: Duration, seen: &Seen, receive: &Receive) -> Failure {
    let content = receive.content_bytes.unwrap_or(0);
    let of = promised(receive).map_or_else(String::new, |length| format!(" of {length}"));
    let what = match (seen.first_read, receive.status) {
        (None, _) => "the server sent nothing".to_owned(),
        (Some(_), None) => "the server did not finish the head of its response".to_owned(),
        (Some(_), Some(_)) => format!("the response was not complete, with {content}{of} bytes of content,"),
    };
    Failure { reason, what: bounds::cut(&what, reason, limit) }
}

/// Why the library gave up.
pub(super) fn failure(error: &hyper::Error, seen: &Seen, receive: &Receive) -> Failure {
    let reset = seen.read_error == Some(io::ErrorKind::ConnectionReset);
    // In TLS a FIN without the word that goes before it comes as an error.
    let torn = seen.read_error == Some(io::ErrorKind::UnexpectedEof);
    let closed = seen.peer_closed.is_some() || torn;
    let without_word = if torn { ", without saying that it had sent all (close_notify)" } else { "" };
    let in_body = receive.status.is_some();
    let (reason, what) = if let Some(alert) = tls_alert(error) {
        (Reason::TlsFailed, format!("the server ended TLS after the handshake: {alert}"))
    } else if seen.read == 0 && seen.write_error.is_some() && !reset && !closed {
        (Reason::SendFailed, "the connection broke while the request was written".to_owned())
    } else if seen.read == 0 && (reset || seen.write_error.is_some()) {
        (Reason::Reset, "the server reset the connection before it sent any of a response".to_owned())
    } else if seen.read == 0 && closed {
        (Reason::EmptyReply, "the server closed the connection without sending a byte".to_owned())
    } else if error.is_parse_too_large() {
        let limit =
            if seen.read > MAX_HEAD as u64 { format!("{MAX_HEAD} bytes") } else { format!("{MAX_FIELDS} fields") };
        (Reason::TooLarge, format!("the head of the response is larger than {limit}"))
    } else if error.is_parse() || is_invalid_data(error) {
        (Reason::MalformedResponse, format!("what the server sent is no HTTP/1.1 response: {}", words(error)))
    } else if reset && in_body {
        let sent = receive.content_bytes.unwrap_or(0);
        let of = promised(receive).map_or_else(String::new, |length| format!(" of {length}"));
        (Reason::Reset, format!("the server reset the connection after {sent}{of} bytes of content"))
    } else if reset {
        (Reason::Reset, format!("the server reset the connection after {} bytes of the head", seen.read))
    } else if in_body && (error.is_incomplete_message() || closed) {
        let sent = receive.content_bytes.unwrap_or(0);
        let of = promised(receive).map_or_else(String::new, |length| format!(" of {length}"));
        (Reason::BodyCut, format!("the server closed the connection after {sent}{of} bytes of content{without_word}"))
    } else if closed {
        (Reason::BodyCut, "the server closed the connection in the head of its response".to_owned())
    } else {
        (Reason::ReceiveFailed, format!("the response broke off: {}", words(error)))
    };
    Failure { reason, what }
}

/// HTTP/2's own error; not one of the socket, since what became of that says more.
pub(super) fn h2_error(error: &hyper::Error) -> Option<&h2::Error> {
    let cause = error.source()?.downcast_ref::<h2::Error>()?;
    (!cause.is_io()).then_some(cause)
}

fn tls_alert(error: &hyper::Error) -> Option<String> {
    let mut cause = error.source();
    while let Some(source) = cause {
        let inner = source.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(rustls::Error::AlertReceived(alert)) = inner.and_then(|inner| inner.downcast_ref()) {
            return Some(tls::alert(*alert));
        }
        cause = source.source();
    }
    None
}

/// The content-length of the head.
pub(super) fn promised(receive: &Receive) -> Option<u64> {
    let length = receive.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"))?;
    length.value.parse().ok()
}

/// Whether the library could not read the framing of the content, as a chunk's size that is no number.
fn is_invalid_data(error: &hyper::Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    cause.is_some_and(|cause| matches!(cause.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData))
}

/// Whether bytes came that nobody had asked for. The library has no other name for it than its words.
pub(super) fn is_surplus(error: &hyper::Error) -> bool {
    error.to_string().contains("unexpected message")
}

/// The library's words, with those of what caused it.
pub(super) fn words(error: &hyper::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

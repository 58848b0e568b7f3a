//! What went wrong, from what reqwest's errors have inside: the same reasons as of this program's own stages, as far as
//! they can be told from there.

use std::{error::Error, io};

use journey::{
    Reason,
    stage::{self, ConnectFailure, Failure, Receive, Tried},
};

use super::{
    super::{
        super::{connect::unreachable, tls},
        MAX_FIELDS,
    },
    way::Way,
};

/// Why there is no connection, and whether that was in TLS.
pub(super) fn connect(error: &reqwest::Error, way: &Way, did: Option<&stage::Tls>) -> (bool, Failure) {
    let cause = socket(error);
    // hyper-util's error of this step has no name outside of it.
    let in_tcp = causes(error).any(|cause| cause.to_string() == "tcp connect error");
    if let (Some(did), Some(cause), false) = (did, cause, in_tcp) {
        return (true, tls::why(cause, did));
    }
    let named = way.named();
    let (reason, what) = match cause {
        Some(cause) if cause.kind() == io::ErrorKind::ConnectionRefused => {
            let who = match way.only() {
                Some(_) => "the machine is there and refuses",
                None => "the last one tried refuses, and reqwest does not tell of the others",
            };
            (Reason::ConnectionRefused, format!("nothing listens on {named}: {who}"))
        }
        Some(cause) => match unreachable(cause) {
            Some(why) => (Reason::Unreachable, format!("{named}: {why}")),
            None => (Reason::ConnectFailed, format!("{named}: {cause}")),
        },
        None => (Reason::ConnectFailed, format!("reqwest has no connection to {named}: {}", words(error))),
    };
    (false, Failure { reason, what })
}

/// The same as of an attempt.
pub(super) fn tried(failure: &Failure) -> Tried {
    match failure.reason {
        Reason::ConnectionRefused => Tried::Refused,
        Reason::Timeout => Tried::Timeout,
        Reason::Unreachable => Tried::Unreachable { why: failure.what.clone() },
        _ => {
            let is_reset = failure.reason == Reason::Reset;
            let kind = if is_reset { ConnectFailure::Reset } else { ConnectFailure::Other };
            Tried::Failed { why: failure.what.clone(), failure: kind }
        }
    }
}

/// Why there is no response, or no more of it.
pub(super) fn exchange(error: &reqwest::Error, receive: &Receive) -> Failure {
    let http = causes(error).find_map(|cause| cause.downcast_ref::<hyper::Error>());
    let socket = socket(error).map(io::Error::kind);
    let in_body = receive.status.is_some();
    let reset = socket == Some(io::ErrorKind::ConnectionReset);
    let closed = http.is_some_and(hyper::Error::is_incomplete_message) || socket == Some(io::ErrorKind::UnexpectedEof);
    let unreadable = matches!(socket, Some(io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput));
    let (reason, what) = if http.is_some_and(hyper::Error::is_parse_too_large) {
        let what = format!(
            "reqwest refuses the head of the response as too large: in bytes, in fields (more than {MAX_FIELDS}), or its \
             Content-Length"
        );
        (Reason::TooLarge, what)
    } else if in_body && unreadable {
        (Reason::BrokenChunks, format!("the chunks of the content are broken: {}", words(error)))
    } else if http.is_some_and(hyper::Error::is_parse) || unreadable {
        (Reason::MalformedResponse, format!("what the server sent is no HTTP response: {}", words(error)))
    } else if reset {
        (Reason::Reset, "the server reset the connection".to_owned())
    } else if closed && in_body {
        let sent = receive.content_bytes.unwrap_or(0);
        (Reason::BodyCut, format!("the server closed the connection after {sent} bytes of content"))
    } else if closed {
        let what = "the server closed the connection before the head of its response was complete; reqwest does not tell \
                    whether a byte came";
        (Reason::EmptyReply, what.to_owned())
    } else if socket == Some(io::ErrorKind::BrokenPipe) {
        (Reason::Reset, "the server closed the connection before the request was written".to_owned())
    } else {
        (Reason::ReceiveFailed, format!("the response broke off: {}", words(error)))
    };
    Failure { reason, what }
}

/// An error and what caused it. `source` of an `io::Error` passes over the error that it wraps, and TLS's stand there.
fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    let first: &(dyn Error + 'static) = error;
    std::iter::successors(Some(first), |&cause| match cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(inner) => Some(inner),
        None => cause.source(),
    })
}

/// The innermost error of a socket: others may wrap it.
fn socket(error: &reqwest::Error) -> Option<&io::Error> {
    causes(error).filter_map(|cause| cause.downcast_ref::<io::Error>()).last()
}

/// The library's words, with those of what caused it.
fn words(error: &reqwest::Error) -> String {
    // The first says for which URL, and with all that is in it.
    let causes: Vec<String> = causes(error).skip(1).map(ToString::to_string).collect();
    if causes.is_empty() { "it does not say why".to_owned() } else { causes.join(": ") }
}

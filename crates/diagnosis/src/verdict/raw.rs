//! Outcomes where bytes are sent and received as they are (`tcp://`, `udp://`): there is no status, and over UDP not even
//! a failure when nobody answers.

use journey::{Hop, Outcome, Reason, StageName, stage::Did};

use super::server_of;

/// The outcome of a hop of which no stage failed.
pub(super) fn ended(hop: &Hop) -> Outcome {
    let server = server_of(hop);
    let at = server.clone().unwrap_or_default();
    let over_udp = hop.scheme() == "udp";
    let sent = match hop.stage(StageName::Send).map(|stage| &stage.did) {
        Some(Did::Send(send)) => send.bytes,
        _ => None,
    };
    let came = hop.received().and_then(|receive| receive.bytes);
    let outcome = |reached, verdict, next| Outcome {
        reached,
        failed_stage: None,
        host: server.clone(),
        reason: None,
        verdict,
        next,
        causes: Vec::new(),
    };
    match (sent, came) {
        (Some(_), Some(0)) if over_udp => outcome(true, format!("Reached {at}: an empty datagram came back."), None),
        (Some(_), Some(came)) => outcome(true, format!("Reached {at}: {} came back.", bytes(came)), None),
        (None, Some(came)) => outcome(true, format!("Reached {at}: it said {} on its own.", bytes(came)), None),
        (Some(sent), None) => {
            let to = socket_of(hop).unwrap_or(at);
            let verdict = format!("Sent {} to {to}; nothing came back. UDP promises nothing.", bytes(sent));
            let next = "lost on the way, dropped by a firewall, or a server that does not answer this: from here they \
                        look alike. Visit again, or look at the server's log";
            outcome(false, verdict, Some(next.to_owned()))
        }
        (None, None) => {
            let next = "say something with --send TEXT".to_owned();
            outcome(true, format!("Reached {at}: connected; neither side said anything."), Some(next))
        }
    }
}

/// What to try next where the words for HTTP would not fit.
pub(super) fn advice(reason: Reason, stage: StageName, hop: &Hop) -> Option<String> {
    let scheme = hop.scheme();
    let text = match (reason, stage) {
        (Reason::UrlMalformed, _) => format!("write it like {scheme}://host:port"),
        (Reason::Timeout, StageName::Wait) => {
            r"does it wait for the end of a line (--send 'TEXT\n'), or for something else? Look at its log".to_owned()
        }
        (Reason::EmptyReply | Reason::Reset, _) => {
            "the server hung up: is this what it expects to be sent? Look at its log".to_owned()
        }
        (Reason::SendFailed, _) if scheme == "udp" => {
            "all that is sent goes into one datagram: send less, or visit tcp://".to_owned()
        }
        (Reason::TooLarge, _) => "allow more with --max-filesize BYTES".to_owned(),
        _ => return None,
    };
    Some(text)
}

/// Host and port.
fn socket_of(hop: &Hop) -> Option<String> {
    let Did::Connect(connect) = &hop.stage(StageName::Connect)?.did else { return None };
    let attempt = connect.connected()?;
    Some(match &attempt.host {
        Some(host) => format!("{host}:{}", attempt.server.port()),
        None => attempt.server.to_string(),
    })
}

fn bytes(count: u64) -> String {
    if count == 1 { "1 byte".to_owned() } else { format!("{count} bytes") }
}

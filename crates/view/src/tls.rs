//! The `tls` stage: what was agreed on, the chain of certificates, and whether it was believed.

use jiff::Timestamp;
use journey::{
    Journey,
    stage::{Certificate, Handshake, Tls, Verified},
};

use super::{
    page::{Ink, Page, Piece, dim, piece, plain},
    screen::INDENT,
    words,
};

/// Names of a certificate that are shown without `-v`.
const FEW_NAMES: usize = 3;

/// What was agreed on, in one line.
pub(super) fn summary(tls: &Tls) -> Vec<Piece> {
    let Some(version) = &tls.version else { return Vec::new() };
    let agreed = [tls.alpn.as_deref(), tls.cipher_suite.as_deref(), tls.key_exchange.as_deref()];
    let agreed = agreed.into_iter().flatten().map(|word| format!(" · {word}")).collect::<String>();
    let how = match tls.handshake {
        Some(Handshake::Resumed) => " · resumed",
        Some(Handshake::FullWithRetry) => " · one round trip more (HelloRetryRequest)",
        Some(Handshake::Full) | None => "",
    };
    vec![plain(format!("{version}{agreed}")), dim(how)]
}

/// Who the server says it is, and whether that was believed.
pub(super) fn details(page: &mut Page, journey: &Journey, tls: &Tls, verbose: bool) {
    for (nth, certificate) in tls.chain.iter().enumerate() {
        let what = match nth.checked_sub(1).and_then(|before| tls.chain.get(before)) {
            None => "certificate",
            Some(before) if before.issuer == certificate.subject => "its issuer",
            Some(_) => "also sent",
        };
        one(page, journey, certificate, what, verbose);
    }
    let trusted = tls.trust.as_ref().map_or("", |trust| trust.source.as_str());
    let line = match &tls.verified {
        Verified::NotReached | Verified::Refused { .. } => None,
        Verified::Yes => Some(dim(format!("believed: vouched for by {trusted}, and for {}", tls.server_name))),
        Verified::Earlier => Some(dim("no certificate was sent: it was believed when the session began")),
        Verified::Ignored { why: Some(why) } => Some(piece(Ink::Bad, format!("NOT VERIFIED (--insecure): {why}"))),
        Verified::Ignored { why: None } => {
            Some(piece(Ink::Warn, "--insecure would have taken any certificate; this one is a good one"))
        }
    };
    if let Some(line) = line {
        page.line(INDENT + 2, &[plain(format!("{:INDENT$}", "")), line]);
    }
    if tls.keys_logged {
        let text =
            "the session's keys were written to the file that SSLKEYLOGFILE names: who has it can read this visit";
        page.line(INDENT + 2, &[plain(format!("{:INDENT$}", "")), piece(Ink::Warn, text)]);
    }
    if let Some(why) = &tls.keys_unwritten {
        let text = format!(
            "{:INDENT$}the session's keys could not be written to the file that SSLKEYLOGFILE names: {why}",
            ""
        );
        page.line(INDENT + 2, &[piece(Ink::Warn, text)]);
    }
    if verbose {
        let offered = tls.offered.join(", ");
        let sent = if tls.name_sent { "sent" } else { "not sent: it is an address" };
        let bytes = |count: Option<u64>| count.map_or_else(|| "unknown".to_owned(), words::bytes);
        let text = format!(
            "{:INDENT$}offered {offered}; server name {} ({sent}); {} out, {} in",
            "",
            tls.server_name,
            bytes(tls.bytes_out),
            bytes(tls.bytes_in)
        );
        page.line(INDENT + 2, &[dim(text)]);
    }
}

fn one(page: &mut Page, journey: &Journey, certificate: &Certificate, what: &str, verbose: bool) {
    let few = if verbose { certificate.names.len() } else { FEW_NAMES };
    let mut names = certificate.names.iter().take(few).cloned().collect::<Vec<_>>().join(", ");
    if let Some(more @ 1..) = certificate.names_count.checked_sub(few.min(certificate.names.len())) {
        names.push_str(&format!(" and {more} more"));
    }
    let names = if names.is_empty() { String::new() } else { format!(" for {names}") };
    let (ink, validity) = validity(journey, certificate);
    page.line(
        INDENT + 4,
        &[
            plain(format!("{:INDENT$}{what} ", "")),
            piece(Ink::Bold, &certificate.subject),
            plain(names),
            dim(" · "),
            piece(ink, validity),
            dim(format!(" · {}, by {}", certificate.key, certificate.issuer)),
        ],
    );
    if verbose {
        let indent = " ".repeat(INDENT + 4);
        let lines = [
            format!("{indent}valid from {} to {}", certificate.not_before, certificate.not_after),
            format!("{indent}signed with {}, serial {}", certificate.signature, certificate.serial),
            format!("{indent}sha256 {}", certificate.sha256),
        ];
        for line in lines {
            page.line(INDENT + 6, &[dim(line)]);
        }
    }
}

/// How long a certificate is valid, as seen from the time of the visit.
fn validity(journey: &Journey, certificate: &Certificate) -> (Ink, String) {
    let parsed = |text: &str| text.parse::<Timestamp>().ok();
    let (Some(now), Some(begin), Some(end)) =
        (parsed(&journey.started_at), parsed(&certificate.not_before), parsed(&certificate.not_after))
    else {
        return (Ink::Plain, format!("valid from {} to {}", certificate.not_before, certificate.not_after));
    };
    if end < now {
        (Ink::Bad, format!("expired {} ago", span(now, end)))
    } else if now < begin {
        (Ink::Bad, format!("valid in {} only", span(begin, now)))
    } else {
        (Ink::Plain, format!("valid {}", span(end, now).replacen(' ', " more ", 1)))
    }
}

fn span(later: Timestamp, earlier: Timestamp) -> String {
    let seconds = later.as_second().saturating_sub(earlier.as_second()).unsigned_abs();
    words::long(seconds)
}

//! This machine, its user, and their limits.

use super::evidence::Evidence;
use journey::{Cause, Reason, StageName, Sure, Trouble};

/// Which trouble the stage's own reason is; all of them, so that no failure is without a cause.
fn trouble(reason: Reason, stage: StageName) -> Trouble {
    match (reason, stage) {
        (Reason::UrlMalformed | Reason::SchemeUnsupported, _) => Trouble::BadUrl,
        (Reason::NoResolver | Reason::WriteFailed, _) => Trouble::ThisMachine,
        (Reason::MaxTime, _) => Trouble::MaxTime,
        (Reason::Interrupted, _) => Trouble::Interrupted,
        (Reason::NoSuchName, _) => Trouble::NoSuchName,
        (Reason::NoAddress, _) => Trouble::NoAddress,
        (Reason::ServerFailure, _) => Trouble::DnsServerFailure,
        (Reason::QueryRefused, _) => Trouble::DnsRefused,
        (Reason::NoRecursion, _) => Trouble::NoRecursion,
        (Reason::ResolverDown, _) => Trouble::DnsUnreachable,
        (Reason::BadReply, _) => Trouble::DnsError,
        (Reason::Timeout, StageName::Name) => Trouble::DnsNoAnswer,
        (Reason::Timeout, StageName::Connect) => Trouble::SynUnanswered,
        (Reason::Timeout, _) => Trouble::Silent,
        (Reason::Unreachable, StageName::Route) => Trouble::ThisMachine,
        (Reason::ConnectionRefused, _) => Trouble::NothingListens,
        (Reason::Unreachable | Reason::ConnectFailed, _) => Trouble::Unreachable,
        (Reason::CertificateExpired, _) => Trouble::CertificateExpired,
        (Reason::CertificateNotYetValid, _) => Trouble::CertificateNotYetValid,
        (Reason::CertificateWrongName, _) => Trouble::CertificateWrongName,
        (Reason::CertificateUntrusted, _) => Trouble::CertificateUntrusted,
        (Reason::CertificateRefused, _) => Trouble::CertificateRefused,
        (Reason::NotTls, _) => Trouble::NotTls,
        (Reason::TlsFailed, _) => Trouble::TlsFailed,
        (Reason::SendFailed | Reason::Reset, _) => Trouble::Reset,
        (Reason::EmptyReply, _) => Trouble::EmptyReply,
        (Reason::ReceiveFailed | Reason::BodyCut | Reason::StreamFailed | Reason::Http1Required, _) => {
            Trouble::CutShort
        }
        (Reason::MalformedResponse, _) => Trouble::NotHttp,
        (Reason::BrokenChunks, _) => Trouble::BadResponse,
        (Reason::BadContentCoding | Reason::BadTransferCoding, _) => Trouble::BadContent,
        (Reason::TooLarge, _) => Trouble::TooLarge,
        (Reason::TooManyRedirects, _) => Trouble::TooManyRedirects,
        (Reason::HttpStatus, _) => Trouble::HttpStatus,
    }
}

/// The stage's own word, where it is this trouble.
pub(super) fn stage(evidence: &Evidence<'_>, wanted: Trouble) -> Vec<Cause> {
    own_word(evidence, |found| found == wanted).into_iter().collect()
}

/// The stage's own word, whatever it is.
pub(super) fn any(evidence: &Evidence<'_>, _: Trouble) -> Vec<Cause> {
    own_word(evidence, |_| true).into_iter().collect()
}

fn own_word(evidence: &Evidence<'_>, is_wanted: impl Fn(Trouble) -> bool) -> Option<Cause> {
    let failed = evidence.failed?;
    let found = trouble(failed.reason, failed.name);
    if !is_wanted(found) {
        return None;
    }
    let is_own = matches!(found, Trouble::BadUrl | Trouble::ThisMachine);
    let host = match failed.name {
        _ if is_own => None,
        StageName::Url | StageName::Route => None,
        StageName::Name => evidence.resolver().map(|(_, host)| host),
        StageName::Connect => {
            let attempt = evidence.connect().and_then(|connect| connect.attempts.last());
            attempt.map(|attempt| attempt.host.clone().unwrap_or_else(|| attempt.server.ip().to_string()))
        }
        _ => evidence.server(),
    };
    // What the time went by is told by others; that it is over is seen.
    let is_seen = is_own || matches!(found, Trouble::MaxTime | Trouble::Interrupted);
    let sure = if is_seen { Sure::Certain } else { Sure::Possible };
    Some(Cause::new(found, host, failed.what).broke(true).sure(sure).on([evidence.stage(failed.name)]))
}

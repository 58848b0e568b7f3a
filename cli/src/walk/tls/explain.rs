//! Why a handshake failed, in words: whose fault, and what was expected.

use std::{error::Error as _, io};

use journey::{
    Reason,
    stage::{Certificate, Failure, Tls},
};
use rustls::{AlertDescription, CertificateError, Error, PeerIncompatible};

use crate::report::long;

/// Most names of a certificate in a sentence.
const NAMES_IN_A_SENTENCE: usize = 4;

/// Why a handshake ended.
pub(super) fn failure(error: &io::Error, did: &Tls) -> Failure {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<Error>());
    let Some(cause) = cause else { return of_socket(error, did) };
    if matches!(cause, Error::InvalidCertificate(_)) {
        return certificate(cause, did);
    }
    let server = &did.server_name;
    let (reason, what) = match cause {
        Error::InvalidMessage(_) => (Reason::NotTls, format!("what {server} sent is no TLS")),
        Error::AlertReceived(alert) => (
            Reason::TlsFailed,
            format!("{server} refused the handshake: {}{}", self::alert(*alert), meaning(*alert, did)),
        ),
        Error::PeerIncompatible(why) => (Reason::TlsFailed, format!("{server} cannot agree with us: {}", lacks(why))),
        Error::NoApplicationProtocol => {
            (Reason::TlsFailed, format!("{server} speaks none of {}", did.offered.join(", ")))
        }
        other => (Reason::TlsFailed, format!("the handshake with {server} failed: {other}")),
    };
    Failure { reason, what }
}

fn of_socket(error: &io::Error, did: &Tls) -> Failure {
    let server = &did.server_name;
    let what = match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
            format!("{server} reset the connection in the handshake")
        }
        io::ErrorKind::UnexpectedEof => format!("{server} closed the connection in the handshake"),
        _ => match error.source() {
            Some(source) => format!("the handshake with {server} broke off: {source}"),
            None => format!("the handshake with {server} broke off: {error}"),
        },
    };
    let reason = if error.kind() == io::ErrorKind::ConnectionReset { Reason::Reset } else { Reason::TlsFailed };
    Failure { reason, what }
}

/// Why a certificate was refused.
pub(super) fn certificate(error: &Error, did: &Tls) -> Failure {
    let Error::InvalidCertificate(error) = error else {
        return Failure { reason: Reason::CertificateRefused, what: format!("the certificate is refused: {error}") };
    };
    let server = &did.server_name;
    let own = did.chain.first();
    let (reason, what) = match error {
        CertificateError::Expired => (Reason::CertificateExpired, "a certificate has expired".to_owned()),
        CertificateError::ExpiredContext { time, not_after } => {
            let ago = long(time.as_secs().saturating_sub(not_after.as_secs()));
            (Reason::CertificateExpired, format!("{} expired {ago} ago", whose(did, not_after.as_secs())))
        }
        CertificateError::NotValidYet => (Reason::CertificateNotYetValid, "a certificate is not valid yet".to_owned()),
        CertificateError::NotValidYetContext { time, not_before } => {
            let ahead = long(not_before.as_secs().saturating_sub(time.as_secs()));
            (Reason::CertificateNotYetValid, format!("the certificate of {server} becomes valid in {ahead} only"))
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            (Reason::CertificateWrongName, format!("the certificate is for {}, and not for {server}", names(own)))
        }
        CertificateError::UnknownIssuer => (Reason::CertificateUntrusted, untrusted(did)),
        // What `openssl req -x509` makes unless it is told otherwise (RFC 5280 §4.2.1.9).
        CertificateError::Other(_) if own.is_some_and(|own| own.is_ca) => {
            let what = format!(
                "the certificate of {server} is one of an authority, and none for a server: issue one with CA:FALSE, by it or \
                 self-signed"
            );
            (Reason::CertificateRefused, what)
        }
        CertificateError::BadSignature => {
            let what = format!("a signature in the chain of {server} does not hold, or its key is too short to count");
            (Reason::CertificateRefused, what)
        }
        CertificateError::Revoked => (Reason::CertificateRefused, format!("the certificate of {server} is revoked")),
        other => (Reason::CertificateRefused, format!("the certificate of {server} is refused: {other}")),
    };
    Failure { reason, what }
}

/// The certificate of the chain that ends at this time; the server's own is not the only one that can expire.
fn whose(did: &Tls, not_after: u64) -> String {
    let ends = |certificate: &&Certificate| {
        let end: Option<jiff::Timestamp> = certificate.not_after.parse().ok();
        end.is_some_and(|end| u64::try_from(end.as_second()).is_ok_and(|second| second == not_after))
    };
    match did.chain.iter().position(|certificate| ends(&certificate)) {
        None | Some(0) => format!("the certificate of {}", did.server_name),
        Some(nth) => format!("the certificate of its issuer {}", did.chain[nth].subject),
    }
}

fn untrusted(did: &Tls) -> String {
    let server = &did.server_name;
    let trusted = match &did.trust {
        Some(trust) if trust.anchors == 0 => {
            return format!(
                "the certificate of {server} cannot be believed: this visit trusts nobody ({})",
                trust.source
            );
        }
        Some(trust) => trust.source.clone(),
        None => "this machine".to_owned(),
    };
    let own = did.chain.first();
    let issuer = did.chain.last().map_or_else(String::new, |last| last.issuer.clone());
    if own.is_some_and(|own| own.is_self_issued) {
        return format!("the certificate of {server} is signed by itself, and {trusted} does not have it");
    }
    // A chain ends where a trusted certificate goes on. If the last one sent is no root, either something is missing
    // behind it, or whoever comes next is not trusted; from here the two look alike.
    if did.chain.last().is_some_and(|last| last.is_self_issued) {
        format!("the certificate of {server} leads to {issuer}, which {trusted} does not have")
    } else {
        format!("the certificate of {server} is signed by {issuer}, which it does not send and {trusted} does not have")
    }
}

fn names(certificate: Option<&Certificate>) -> String {
    let Some(certificate) = certificate.filter(|certificate| certificate.names_count > 0) else {
        return "no name at all".to_owned();
    };
    let shown: Vec<&str> = certificate.names.iter().take(NAMES_IN_A_SENTENCE).map(String::as_str).collect();
    match certificate.names_count - shown.len() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// An alert by its registered name and number.
pub fn alert(alert: AlertDescription) -> String {
    // `HandshakeFailure` is `handshake_failure` in RFC 8446 §6.
    let mut words = String::new();
    for c in format!("{alert:?}").chars() {
        if c.is_ascii_uppercase() && !words.is_empty() {
            words.push('_');
        }
        words.push(c.to_ascii_lowercase());
    }
    format!("{words} (alert {})", u8::from(alert))
}

fn meaning(alert: AlertDescription, did: &Tls) -> String {
    match alert {
        AlertDescription::HandshakeFailure => ", nothing that both sides support".to_owned(),
        AlertDescription::ProtocolVersion => ", it speaks neither TLS 1.2 nor 1.3".to_owned(),
        AlertDescription::UnrecognisedName => format!(", it serves no {}", did.server_name),
        AlertDescription::NoApplicationProtocol => format!(", it speaks none of {}", did.offered.join(", ")),
        AlertDescription::CertificateRequired => ", it wants a certificate of this side".to_owned(),
        _ => String::new(),
    }
}

fn lacks(why: &PeerIncompatible) -> String {
    match why {
        PeerIncompatible::ServerDoesNotSupportTls12Or13 | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig => {
            "it speaks neither TLS 1.2 nor TLS 1.3".to_owned()
        }
        PeerIncompatible::NoCipherSuitesInCommon => "no cipher suite is known to both sides".to_owned(),
        PeerIncompatible::NoKxGroupsInCommon => "no key exchange is known to both sides".to_owned(),
        PeerIncompatible::NoSignatureSchemesInCommon => "no signature scheme is known to both sides".to_owned(),
        other => format!("{other:?}"),
    }
}

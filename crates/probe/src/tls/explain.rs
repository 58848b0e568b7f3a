//! Why a handshake failed, in words: whose fault, and what was expected.

use std::{error::Error as _, io};

use journey::{
    Reason,
    stage::{Failure, Tls, Verified},
};
use rustls::{Error, InvalidMessage, PeerIncompatible};

use super::{
    alert::{alert, meaning},
    faults,
};

/// Why a handshake ended.
pub(super) fn failure(error: &io::Error, did: &Tls) -> Failure {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<Error>());
    let Some(cause) = cause else { return of_socket(error, did) };
    if let (Verified::Refused { why }, Some(first)) = (&did.verified, did.faults.first()) {
        return Failure { reason: faults::reason(first.kind), what: why.clone() };
    }
    let (reason, what) = of_library(cause, did);
    Failure { reason, what }
}

fn of_library(error: &Error, did: &Tls) -> (Reason, String) {
    let server = &did.server_name;
    let failed = |what: String| (Reason::TlsFailed, what);
    match error {
        Error::InvalidMessage(InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion) => {
            (Reason::NotTls, format!("what {server} sent is no TLS"))
        }
        Error::InvalidMessage(why) => failed(format!("{server} broke the TLS protocol: {}", broken(*why))),
        Error::AlertReceived(received) => {
            failed(format!("{server} refused the handshake: {}{}", alert(*received), meaning(*received, did)))
        }
        Error::PeerIncompatible(why) => failed(format!("{server} cannot agree with us: {}", lacks(why))),
        Error::PeerMisbehaved(why) => {
            failed(format!("{server} broke the TLS protocol: {}", spelled(&format!("{why:?}"))))
        }
        Error::NoApplicationProtocol => failed(format!("{server} speaks none of {}", did.offered.join(", "))),
        Error::NoCertificatesPresented => failed(format!("{server} sent no certificate")),
        Error::InappropriateMessage { got_type, .. } => {
            failed(format!("{server} broke the TLS protocol: {} came too early", named(got_type.as_str())))
        }
        Error::InappropriateHandshakeMessage { got_type, .. } => {
            failed(format!("{server} broke the TLS protocol: {} came out of turn", named(got_type.as_str())))
        }
        Error::DecryptError => failed(format!("what {server} sent cannot be decrypted: it was altered on the way")),
        Error::PeerSentOversizedRecord => {
            failed(format!("{server} sent a TLS record that is larger than the 16 KiB that TLS allows"))
        }
        Error::InvalidCertificate(_) | Error::InvalidCertRevocationList(_) => {
            (Reason::CertificateRefused, format!("the certificate of {server} is refused"))
        }
        Error::General(why) => failed(format!("the handshake with {server} failed: {why}")),
        Error::FailedToGetCurrentTime => failed("this machine does not know the time".to_owned()),
        Error::FailedToGetRandomBytes => failed("this machine has no random numbers".to_owned()),
        // Of other roles than a client's, and of what was not asked for.
        other => failed(format!("the handshake with {server} failed: {other}")),
    }
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

fn broken(why: InvalidMessage) -> String {
    match why {
        InvalidMessage::HandshakePayloadTooLarge | InvalidMessage::CertificatePayloadTooLarge => {
            "its handshake message is larger than 64 KiB, the most that is accepted (too many certificates?)".to_owned()
        }
        InvalidMessage::MessageTooLarge => "its record is larger than TLS allows".to_owned(),
        InvalidMessage::MissingData(what) => format!("a message ends within {}", spelled(what)),
        InvalidMessage::TrailingData(what) => format!("surplus bytes follow {}", spelled(what)),
        InvalidMessage::UnexpectedMessage(what) => format!("unexpected message {}", spelled(what)),
        InvalidMessage::IllegalEmptyList(what) => format!("empty list of {}", spelled(what)),
        InvalidMessage::DuplicateExtension(number) => format!("extension {number} came twice"),
        InvalidMessage::UnsupportedKeyExchangeAlgorithm(_) => "unsupported key exchange algorithm".to_owned(),
        // The rest are names of what is wrong.
        other => spelled(&format!("{other:?}")),
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
        PeerIncompatible::ExtendedMasterSecretExtensionRequired => {
            "it does not bind the keys to the handshake (extended_master_secret, RFC 7627)".to_owned()
        }
        PeerIncompatible::ServerRejectedEncryptedClientHello(_) => "it rejected the encrypted client hello".to_owned(),
        // The rest are names of what is missing.
        other => spelled(&format!("{other:?}")),
    }
}

fn named(name: Option<&str>) -> String {
    name.map_or_else(|| "a message of an unknown type".to_owned(), spelled)
}

/// `SelectedUnofferedCipherSuite` as `selected unoffered cipher suite`; acronyms keep their capitals.
fn spelled(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut words = String::new();
    for (nth, letter) in letters.iter().enumerate() {
        let before = nth.checked_sub(1).map(|before| letters[before]);
        let after = letters.get(nth + 1);
        let begins = letter.is_uppercase()
            && (before.is_some_and(|before| !before.is_uppercase()) || after.is_some_and(|after| after.is_lowercase()));
        if begins && nth > 0 {
            words.push(' ');
        }
        let is_last = before.is_some_and(char::is_uppercase) && after.is_none_or(|after| !after.is_lowercase());
        let is_acronym = is_last || after.is_some_and(|after| after.is_uppercase());
        if is_acronym { words.push(*letter) } else { words.extend(letter.to_lowercase()) }
    }
    words
}

#[cfg(test)]
mod tests {
    use rustls::{AlertDescription, ContentType, HandshakeType, PeerMisbehaved};

    use super::*;

    fn said(error: Error) -> Failure {
        let did = Tls { server_name: "x.test".to_owned(), offered: vec!["h2".to_owned()], ..Tls::default() };
        failure(&io::Error::new(io::ErrorKind::InvalidData, error), &did)
    }

    #[test]
    fn a_handshake_above_the_librarys_limit_is_tls() {
        for why in [InvalidMessage::HandshakePayloadTooLarge, InvalidMessage::CertificatePayloadTooLarge] {
            let failure = said(why.into());
            assert_eq!(failure.reason, Reason::TlsFailed);
            assert!(failure.what.contains("larger than 64 KiB"), "{}", failure.what);
        }
        assert_eq!(said(InvalidMessage::InvalidContentType.into()).reason, Reason::NotTls);
    }

    #[test]
    fn no_error_is_told_in_the_words_of_its_source() {
        let errors: Vec<Error> = vec![
            InvalidMessage::MissingData("ServerHello").into(),
            InvalidMessage::TrailingData("Certificate").into(),
            InvalidMessage::DuplicateExtension(16).into(),
            InvalidMessage::UnsupportedCompression.into(),
            PeerIncompatible::ServerRejectedEncryptedClientHello(None).into(),
            PeerIncompatible::UncompressedEcPointsRequired.into(),
            PeerMisbehaved::SelectedUnofferedCipherSuite.into(),
            PeerMisbehaved::IllegalHelloRetryRequestWithUnofferedNamedGroup.into(),
            Error::NoCertificatesPresented,
            Error::InappropriateMessage { expect_types: Vec::new(), got_type: ContentType::ApplicationData },
            Error::InappropriateHandshakeMessage {
                expect_types: Vec::new(),
                got_type: HandshakeType::CertificateVerify,
            },
            Error::AlertReceived(AlertDescription::UnknownCA),
            Error::DecryptError,
            Error::PeerSentOversizedRecord,
        ];
        for error in errors {
            let what = said(error.clone()).what;
            // Words, without what a debug form has: names run together, braces, quotes.
            let run_together =
                what.split(' ').any(|word| word.chars().skip(1).any(char::is_uppercase) && word.len() > 4);
            assert!(!run_together && !what.contains(['{', '"']) && what.contains("x.test"), "{error:?}: {what}");
        }
        assert_eq!(spelled("SelectedUnofferedCipherSuite"), "selected unoffered cipher suite");
        assert_eq!(spelled("UnknownCAName"), "unknown CA name");
    }

    #[test]
    fn a_server_without_a_certificate_is_said_to_have_none() {
        assert_eq!(said(Error::NoCertificatesPresented).what, "x.test sent no certificate");
    }
}

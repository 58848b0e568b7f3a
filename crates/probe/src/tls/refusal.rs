//! What the library refuses certificates for, in words. Which certificate it is, and the details, are found by `faults`;
//! these sentences stand where it finds nothing.

use journey::stage::FaultKind;
use rustls::{CertRevocationListError, CertificateError, Error, ExtendedKeyPurpose};

use super::algorithm;

/// What kind of fault it is.
pub(super) fn kind(error: &Error) -> FaultKind {
    match error {
        Error::InvalidCertificate(error) => of_certificate(error).0,
        Error::InvalidCertRevocationList(_) => FaultKind::RevocationUnknown,
        _ => FaultKind::Other,
    }
}

/// What is said of the certificate, to follow "the certificate of …".
pub(super) fn words(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(error) => of_certificate(error).1,
        Error::InvalidCertRevocationList(error) => revocation_list(error),
        Error::UnsupportedNameType => "cannot be compared with a name of this type".to_owned(),
        Error::General(why) => format!("is refused: {why}"),
        _ => "is refused".to_owned(),
    }
}

fn of_certificate(error: &CertificateError) -> (FaultKind, String) {
    use CertificateError::*;
    let (kind, words) = match error {
        BadEncoding => (FaultKind::Encoding, "cannot be decoded (DER)"),
        Expired | ExpiredContext { .. } => (FaultKind::Expired, "or one of its issuers has expired"),
        NotValidYet | NotValidYetContext { .. } => (FaultKind::NotYetValid, "or one of its issuers is not valid yet"),
        Revoked => (FaultKind::Revoked, "or one of its issuers is revoked"),
        UnhandledCriticalExtension => (FaultKind::CriticalExtension, "has a critical extension that is not supported"),
        UnknownIssuer => (FaultKind::MissingIssuer, "does not lead to a certificate in the trust store"),
        UnknownRevocationStatus => (FaultKind::RevocationUnknown, "may be revoked: no revocation list tells"),
        ExpiredRevocationList | ExpiredRevocationListContext { .. } => {
            (FaultKind::RevocationUnknown, "may be revoked: the revocation list has expired")
        }
        BadSignature => (FaultKind::BadSignature, "or one of its issuers has a signature that does not verify"),
        UnsupportedSignatureAlgorithmContext { signature_algorithm_id, .. } => {
            let by = algorithm::signature(signature_algorithm_id);
            return (FaultKind::Algorithm, format!("or one of its issuers is signed with {by}, which is not accepted"));
        }
        UnsupportedSignatureAlgorithmForPublicKeyContext { signature_algorithm_id, public_key_algorithm_id } => {
            let (by, key) = (algorithm::signature(signature_algorithm_id), algorithm::key(public_key_algorithm_id));
            let what = format!("or one of its issuers is signed with {by}, which does not go with a key of {key}");
            return (FaultKind::Algorithm, what);
        }
        NotValidForName | NotValidForNameContext { .. } => (FaultKind::WrongName, "is for other names than this one"),
        InvalidPurpose => (FaultKind::Purpose, "is not for server authentication (extKeyUsage)"),
        InvalidPurposeContext { presented, .. } => {
            let purposes: Vec<String> = presented.iter().map(purpose).collect();
            let what = format!(
                "or one of its issuers is for {} (extKeyUsage), and not for server authentication",
                purposes.join(", ")
            );
            return (FaultKind::Purpose, what);
        }
        InvalidOcspResponse => (FaultKind::RevocationUnknown, "comes with an OCSP response that is not valid"),
        ApplicationVerificationFailure => (FaultKind::Other, "is refused by a rule of this program"),
        Other(other) => return of_library(other.0.downcast_ref()),
        #[allow(deprecated)]
        UnsupportedSignatureAlgorithm => {
            (FaultKind::Algorithm, "or one of its issuers is signed with an algorithm that is not accepted")
        }
        // What later versions add.
        _ => (FaultKind::Other, "is refused for a reason that this version of visit has no words for"),
    };
    (kind, words.to_owned())
}

/// What the verifier below has no kind of its own for.
fn of_library(error: Option<&webpki::Error>) -> (FaultKind, String) {
    use webpki::Error::*;
    let Some(error) = error else {
        return (FaultKind::Other, "is refused by the verifier, which does not say why".to_owned());
    };
    let (kind, words) = match error {
        CaUsedAsEndEntity => (FaultKind::CaAsServer, "is a CA certificate (CA:TRUE) used as a server certificate"),
        EndEntityUsedAsCa => (FaultKind::NotACa, "was issued with a certificate that is not a CA's"),
        PathLenConstraintViolated => {
            (FaultKind::PathLength, "has more CA certificates above it than one of them allows (pathLenConstraint)")
        }
        NameConstraintViolation => {
            (FaultKind::NameConstraint, "is for a name that a CA above it must not issue for (nameConstraints)")
        }
        MalformedNameConstraint | InvalidNetworkMaskConstraint => {
            (FaultKind::NameConstraint, "has a CA above it whose name constraints cannot be read")
        }
        MaximumNameConstraintComparisonsExceeded => {
            (FaultKind::NameConstraint, "has more names and name constraints above it than are compared")
        }
        UnsupportedCertVersion => (FaultKind::Version, "or one of its issuers is not an X.509 version 3 certificate"),
        UnsupportedCriticalExtension => {
            (FaultKind::CriticalExtension, "or one of its issuers has a critical extension that is not supported")
        }
        EmptyEkuExtension => (FaultKind::Purpose, "or one of its issuers is for nothing (an empty extKeyUsage)"),
        SignatureAlgorithmMismatch => {
            (FaultKind::Encoding, "or one of its issuers names two different signature algorithms, inside and outside")
        }
        MalformedDnsIdentifier => (FaultKind::Encoding, "has a DNS name that is not well formed"),
        MalformedExtensions | ExtensionValueInvalid => {
            (FaultKind::Encoding, "or one of its issuers has an extension that cannot be read, or has it twice")
        }
        InvalidSerialNumber => (FaultKind::Encoding, "or one of its issuers has a serial number that is not valid"),
        MaximumPathDepthExceeded => (FaultKind::PathLength, "has more CA certificates above it than are followed (6)"),
        MaximumPathBuildCallsExceeded | MaximumSignatureChecksExceeded => {
            (FaultKind::Other, "has so many possible issuers that not all of them are tried")
        }
        CertDistrusted => (FaultKind::Revoked, "or one of its issuers has a key that is known to be compromised"),
        IssuerNotCrlSigner
        | InvalidCrlNumber
        | UnsupportedCrlVersion
        | UnsupportedDeltaCrl
        | UnsupportedIndirectCrl
        | UnsupportedCrlIssuingDistributionPoint
        | UnsupportedRevocationReason
        | UnsupportedRevocationReasonsPartitioning => {
            (FaultKind::RevocationUnknown, "may be revoked: the revocation list cannot be used")
        }
        UnsupportedNameType => (FaultKind::WrongName, "cannot be compared with a name of this type"),
        // The others come as kinds of the library above.
        _ => (FaultKind::Other, "is refused for a reason that this version of visit has no words for"),
    };
    (kind, words.to_owned())
}

fn purpose(purpose: &ExtendedKeyPurpose) -> String {
    match purpose {
        ExtendedKeyPurpose::ClientAuth => "client authentication".to_owned(),
        ExtendedKeyPurpose::ServerAuth => "server authentication".to_owned(),
        ExtendedKeyPurpose::Other(oid) => oid.iter().map(ToString::to_string).collect::<Vec<_>>().join("."),
    }
}

fn revocation_list(_: &CertRevocationListError) -> String {
    "may be revoked: the revocation list cannot be used".to_owned()
}

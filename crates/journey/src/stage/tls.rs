//! The `tls` stage: what was agreed on, who the server says it is, and whether that was believed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Protocol;

/// A TLS handshake. Fields are null or empty where it did not get that far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tls {
    /// The name or address that the certificate must be for.
    pub server_name: String,
    /// Whether that was sent to the server (SNI, RFC 6066 §3); an address never is.
    pub name_sent: bool,
    /// The application protocols offered (ALPN, RFC 7301), in order of preference.
    pub offered: Vec<String>,
    /// The version agreed on: `TLS 1.3`.
    pub version: Option<String>,
    /// The cipher suite agreed on, by its registered name.
    pub cipher_suite: Option<String>,
    /// The group in which the keys were exchanged: `X25519`.
    pub key_exchange: Option<String>,
    /// The application protocol agreed on: `h2`, `http/1.1`.
    pub alpn: Option<String>,
    /// Whether certificates were exchanged, or an earlier session resumed.
    pub handshake: Option<Handshake>,
    /// The certificates as the server sent them, its own first. Empty when a session was resumed.
    pub chain: Vec<Certificate>,
    /// Who was trusted to vouch for the server.
    pub trust: Option<Trust>,
    /// Whether the certificate was believed.
    pub verified: Verified,
    /// What is wrong with the certificates: first what they were refused for, then everything else that was found.
    #[serde(default)]
    pub faults: Vec<CertificateFault>,
    /// Whether the server asked for a certificate of the client; `visit` has none to show.
    #[serde(default)]
    pub client_certificate_requested: bool,
    /// Bytes that this side wrote during the handshake.
    pub bytes_out: Option<u64>,
    /// Bytes that this side read during the handshake.
    pub bytes_in: Option<u64>,
    /// What the first bytes that came are of, where they are not TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Protocol>,
    /// Whether the keys were written to the file that `SSLKEYLOGFILE` names.
    #[serde(default)]
    pub keys_logged: bool,
    /// Why they were not, though the variable names a file.
    #[serde(default)]
    pub keys_unwritten: Option<String>,
}

/// How a handshake went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Handshake {
    /// Keys and certificates were exchanged.
    Full,
    /// As full, after the server asked for another key share (HelloRetryRequest): one round trip more.
    FullWithRetry,
    /// An earlier session was resumed: no certificates were sent.
    Resumed,
}

/// Who was trusted to vouch for a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Trust {
    /// Where the trusted certificates come from: `the lab's own CA`, `/etc/ssl/certs/…`, the file of `--cacert`.
    pub source: String,
    /// How many there are.
    pub anchors: usize,
}

/// Whether a certificate was believed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum Verified {
    /// The handshake did not get that far.
    #[default]
    NotReached,
    /// The chain leads to a trusted certificate, is valid now, and is for this name.
    Yes,
    /// It was checked when the session that was resumed began.
    Earlier,
    /// It was refused.
    Refused {
        /// Why, in words.
        why: String,
    },
    /// `--insecure`: whatever was sent was taken.
    Ignored {
        /// Why it would have been refused; null where it would not.
        why: Option<String>,
    },
}

/// Something that is wrong with a server's certificates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CertificateFault {
    /// What, for programs.
    pub kind: FaultKind,
    /// Which certificate of the chain is at fault, from 0; null where it is none of them.
    pub certificate: Option<usize>,
    /// What, in words.
    pub what: String,
}

/// What can be wrong with a server's certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// It is signed with its own key, and is not in the trust store.
    SelfSigned,
    /// The chain leads to a root certificate that is not in the trust store.
    UntrustedRoot,
    /// The chain breaks: an issuer was not sent, and is not in the trust store.
    MissingIssuer,
    /// No CA is trusted.
    NoTrust,
    /// A signature does not verify with the key of the issuer of that name.
    BadSignature,
    /// It has expired.
    Expired,
    /// It is not valid yet.
    NotYetValid,
    /// It is not for the server's name.
    WrongName,
    /// A CA certificate is used as a server's.
    CaAsServer,
    /// A certificate that is not a CA's issued another.
    NotACa,
    /// There are more CA certificates in the chain than one of them allows (pathLenConstraint).
    PathLength,
    /// It is not for servers (extKeyUsage).
    Purpose,
    /// It has a critical extension that is not supported.
    CriticalExtension,
    /// A CA in the chain must not issue certificates for this name (nameConstraints).
    NameConstraint,
    /// It is not of version 3 of X.509.
    Version,
    /// It is signed by an algorithm, or has a key, that is not accepted.
    Algorithm,
    /// It cannot be decoded.
    Encoding,
    /// It is revoked.
    Revoked,
    /// Whether it is revoked is not known.
    RevocationUnknown,
    /// Something else.
    Other,
}

/// What is in a certificate (RFC 5280).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Certificate {
    /// Whose it is, as a distinguished name.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// The names and addresses that it is for (subjectAltName); not all where there are many.
    pub names: Vec<String>,
    /// How many there are.
    pub names_count: usize,
    /// The serial number in hexadecimal digits.
    pub serial: String,
    /// The first moment of its validity, RFC 3339, UTC.
    pub not_before: String,
    /// The last.
    pub not_after: String,
    /// The public key: `ECDSA P-256`, `RSA 2048`.
    pub key: String,
    /// How it was signed: `ECDSA with SHA-256`.
    pub signature: String,
    /// Whether it may sign others.
    pub is_ca: bool,
    /// Whether it names itself as its issuer.
    pub is_self_issued: bool,
    /// The SHA-256 of its bytes, in hexadecimal digits.
    pub sha256: String,
}

/// Most names kept of a certificate.
pub const MOST_NAMES: usize = 24;

/// Most certificates kept of a chain.
pub const MOST_CERTIFICATES: usize = 10;

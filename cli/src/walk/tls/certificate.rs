//! What is in a certificate (RFC 5280), in words.

use std::net::{Ipv4Addr, Ipv6Addr};

use aws_lc_rs::digest::{SHA256, digest};
use journey::stage::{Certificate, MOST_NAMES};
use x509_parser::{
    der_parser::oid::Oid,
    extensions::GeneralName,
    prelude::{FromDer, X509Certificate},
    public_key::PublicKey,
    time::ASN1Time,
    x509::SubjectPublicKeyInfo,
};

/// Longest text kept of a name, in characters.
const LONGEST_TEXT: usize = 200;

/// Reads a certificate; of one that cannot be read there is only its fingerprint.
pub(super) fn read(der: &[u8]) -> Certificate {
    let sha256 = sha256(der);
    let Ok((_, x509)) = X509Certificate::from_der(der) else {
        return Certificate { sha256, ..unreadable() };
    };
    let names: Vec<String> = match x509.subject_alternative_name() {
        Ok(Some(extension)) => extension.value.general_names.iter().filter_map(name).collect(),
        _ => Vec::new(),
    };
    Certificate {
        subject: cut(&x509.subject().to_string()),
        issuer: cut(&x509.issuer().to_string()),
        names_count: names.len(),
        names: names.iter().take(MOST_NAMES).map(|name| cut(name)).collect(),
        serial: cut(&x509.raw_serial().iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
        not_before: time(x509.validity().not_before),
        not_after: time(x509.validity().not_after),
        key: key(x509.public_key()),
        signature: signature(&x509.signature_algorithm.algorithm),
        is_ca: x509.is_ca(),
        is_self_issued: x509.subject().as_raw() == x509.issuer().as_raw(),
        sha256,
    }
}

fn unreadable() -> Certificate {
    let text = || "cannot be read".to_owned();
    Certificate {
        subject: text(),
        issuer: text(),
        names: Vec::new(),
        names_count: 0,
        serial: String::new(),
        not_before: String::new(),
        not_after: String::new(),
        key: text(),
        signature: text(),
        is_ca: false,
        is_self_issued: false,
        sha256: String::new(),
    }
}

fn sha256(der: &[u8]) -> String {
    digest(&SHA256, der).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes).ok().map(|octets| Ipv4Addr::from(octets).to_string()),
            16 => <[u8; 16]>::try_from(*bytes).ok().map(|octets| Ipv6Addr::from(octets).to_string()),
            _ => None,
        },
        // The other kinds are for no server.
        _ => None,
    }
}

fn time(time: ASN1Time) -> String {
    jiff::Timestamp::from_second(time.timestamp()).map_or_else(|_| "out of range".to_owned(), |time| time.to_string())
}

fn key(key: &SubjectPublicKeyInfo<'_>) -> String {
    let curve = key.algorithm.parameters.as_ref().and_then(|parameters| parameters.as_oid().ok());
    match key.parsed() {
        Ok(PublicKey::RSA(rsa)) => format!("RSA {}", rsa.key_size()),
        Ok(PublicKey::EC(point)) => match curve.map(|oid| oid.to_id_string()).as_deref() {
            Some("1.2.840.10045.3.1.7") => "ECDSA P-256".to_owned(),
            Some("1.3.132.0.34") => "ECDSA P-384".to_owned(),
            Some("1.3.132.0.35") => "ECDSA P-521".to_owned(),
            _ => format!("elliptic curve {}", point.key_size()),
        },
        _ => match key.algorithm.algorithm.to_id_string().as_str() {
            "1.3.101.112" => "Ed25519".to_owned(),
            "1.3.101.113" => "Ed448".to_owned(),
            other => format!("algorithm {other}"),
        },
    }
}

/// RFC 8017 appendix A.2, RFC 5758 §3.2, RFC 8410 §3.
fn signature(oid: &Oid<'_>) -> String {
    let oid = oid.to_id_string();
    let known = match oid.as_str() {
        "1.2.840.113549.1.1.4" => "RSA with MD5",
        "1.2.840.113549.1.1.5" => "RSA with SHA-1",
        "1.2.840.113549.1.1.10" => "RSA-PSS",
        "1.2.840.113549.1.1.11" => "RSA with SHA-256",
        "1.2.840.113549.1.1.12" => "RSA with SHA-384",
        "1.2.840.113549.1.1.13" => "RSA with SHA-512",
        "1.2.840.10045.4.3.2" => "ECDSA with SHA-256",
        "1.2.840.10045.4.3.3" => "ECDSA with SHA-384",
        "1.2.840.10045.4.3.4" => "ECDSA with SHA-512",
        "1.3.101.112" => "Ed25519",
        _ => return format!("algorithm {oid}"),
    };
    known.to_owned()
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(LONGEST_TEXT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

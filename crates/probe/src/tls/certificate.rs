//! What is in a certificate (RFC 5280), in words.

use aws_lc_rs::digest::{SHA256, digest};
use journey::stage::{Certificate, MOST_NAMES};
use x509_parser::{
    extensions::{ExtendedKeyUsage, GeneralName},
    prelude::{FromDer, X509Certificate},
    public_key::PublicKey,
    time::ASN1Time,
    x509::{SubjectPublicKeyInfo, X509Name},
};

use super::{algorithm, faults::address};
use text::clean;

/// Longest text kept of a name, in characters.
const LONGEST_TEXT: usize = 200;

/// Reads a certificate; of one that cannot be read there is only its fingerprint.
pub(super) fn read(der: &[u8]) -> Certificate {
    let sha256 = sha256(der);
    let Ok((_, x509)) = X509Certificate::from_der(der) else {
        return Certificate { sha256, ..unreadable() };
    };
    let names: Vec<String> = match x509.subject_alternative_name() {
        Ok(Some(extension)) => extension.value.general_names.iter().filter_map(alternative).collect(),
        _ => Vec::new(),
    };
    Certificate {
        subject: name(x509.subject()),
        issuer: name(x509.issuer()),
        names_count: names.len(),
        names: names.into_iter().take(MOST_NAMES).collect(),
        serial: text(&x509.raw_serial().iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
        not_before: time(x509.validity().not_before),
        not_after: time(x509.validity().not_after),
        key: key(x509.public_key()),
        signature: algorithm::signature_of(&x509.signature_algorithm.algorithm.to_id_string()),
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

/// A distinguished name.
pub(super) fn name(name: &X509Name<'_>) -> String {
    text(&name.to_string())
}

/// A text of a certificate's, as it can be shown.
pub(super) fn text(text: &str) -> String {
    let text = clean(text);
    match text.char_indices().nth(LONGEST_TEXT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// The day of a moment.
pub(super) fn day(moment: ASN1Time) -> String {
    time(moment).split('T').next().unwrap_or_default().to_owned()
}

/// What a certificate is for (RFC 5280 §4.2.1.12).
pub(super) fn purposes(usage: &ExtendedKeyUsage<'_>) -> Vec<String> {
    let known = [
        (usage.any, "any purpose"),
        (usage.client_auth, "client authentication"),
        (usage.code_signing, "code signing"),
        (usage.email_protection, "e-mail protection"),
        (usage.time_stamping, "time stamping"),
        (usage.ocsp_signing, "OCSP signing"),
    ];
    let known = known.into_iter().filter(|(is_set, _)| *is_set).map(|(_, what)| what.to_owned());
    known.chain(usage.other.iter().map(|oid| oid.to_id_string())).collect()
}

/// Critical extensions that the library does not process, so that it has to refuse the certificate (RFC 5280 §4.2).
pub(super) fn unknown_critical(x509: &X509Certificate<'_>) -> Vec<String> {
    // keyUsage, subjectAltName, basicConstraints, nameConstraints, cRLDistributionPoints, extKeyUsage; and the list of
    // signed certificate timestamps (RFC 6962).
    const KNOWN: [&str; 7] =
        ["2.5.29.15", "2.5.29.17", "2.5.29.19", "2.5.29.30", "2.5.29.31", "2.5.29.37", "1.3.6.1.4.1.11129.2.4.2"];
    let critical = x509.extensions().iter().filter(|extension| extension.critical);
    let unknown = critical.map(|extension| extension.oid.to_id_string()).filter(|oid| !KNOWN.contains(&oid.as_str()));
    unknown.map(|oid| text(&extension_name(oid))).collect()
}

fn extension_name(oid: String) -> String {
    let name = match oid.as_str() {
        "2.5.29.32" => "certificatePolicies",
        "2.5.29.33" => "policyMappings",
        "2.5.29.36" => "policyConstraints",
        "2.5.29.54" => "inhibitAnyPolicy",
        "1.3.6.1.5.5.7.1.24" => "tlsFeature",
        "1.3.6.1.4.1.11129.2.4.3" => "precertificate poison",
        _ => return oid,
    };
    format!("{name} ({oid})")
}

fn alternative(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(text(name)),
        GeneralName::IPAddress(octets) => address(octets).map(|ip| ip.to_string()),
        // The other kinds are for no server.
        _ => None,
    }
}

fn time(time: ASN1Time) -> String {
    jiff::Timestamp::from_second(time.timestamp()).map_or_else(|_| "out of range".to_owned(), |time| time.to_string())
}

fn key(key: &SubjectPublicKeyInfo<'_>) -> String {
    if let Ok(PublicKey::RSA(rsa)) = key.parsed() {
        return format!("RSA {}", rsa.key_size());
    }
    let curve = key.algorithm.parameters.as_ref().and_then(|parameters| parameters.as_oid().ok());
    algorithm::key_of(&key.algorithm.algorithm.to_id_string(), curve.map(|oid| oid.to_id_string()).as_deref())
}

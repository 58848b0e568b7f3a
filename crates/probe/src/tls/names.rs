//! Whether a certificate is for a name (RFC 9525), and why it is not.

use std::net::IpAddr;

use rustls::{
    client::verify_server_name,
    pki_types::{CertificateDer, ServerName},
    server::ParsedCertificate,
};
use x509_parser::{extensions::GeneralName, prelude::X509Certificate};

use super::{certificate, faults::address};

/// Most names of a certificate in a sentence.
const NAMES_IN_A_SENTENCE: usize = 4;

/// A name in a certificate.
enum Name {
    Dns(String),
    Address(IpAddr),
}

impl Name {
    fn text(&self) -> String {
        match self {
            Self::Dns(name) => certificate::text(name),
            Self::Address(ip) => ip.to_string(),
        }
    }
}

/// Why a certificate is not for this server, to follow "the certificate"; nothing where it is.
pub(super) fn mismatch(x509: &X509Certificate<'_>, der: &CertificateDer<'_>, server: &str) -> Option<String> {
    let extension = x509.subject_alternative_name().ok().flatten();
    let names = extension.as_ref().map(|extension| names(&extension.value.general_names));
    let parsed = ParsedCertificate::try_from(der).ok().zip(ServerName::try_from(server.to_owned()).ok());
    let is_for = match parsed {
        Some((parsed, name)) => verify_server_name(&parsed, &name).is_ok(),
        // One that the library cannot read is refused anyway; this is about what to say of it.
        None => names.iter().flatten().any(|name| is_exactly(name, server)),
    };
    (!is_for).then(|| words(x509, names.as_deref(), server))
}

fn names(names: &[GeneralName<'_>]) -> Vec<Name> {
    // The tag of dNSName, whose text should be ASCII and need not be.
    const DNS: u32 = 2;
    let read = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some(Name::Dns((*name).to_owned())),
        GeneralName::Invalid(tag, bytes) if tag.0 == DNS => {
            Some(Name::Dns(String::from_utf8_lossy(bytes).into_owned()))
        }
        GeneralName::IPAddress(octets) => address(octets).map(Name::Address),
        _ => None,
    };
    names.iter().filter_map(read).collect()
}

fn is_exactly(name: &Name, server: &str) -> bool {
    match name {
        Name::Dns(name) if server.parse::<IpAddr>().is_err() => {
            name.eq_ignore_ascii_case(server) || label_for(name, server) == Some(1)
        }
        Name::Dns(_) => false,
        Name::Address(ip) => server.parse() == Ok(*ip),
    }
}

/// How many labels of a name a wildcard has to stand for: one, where it is for it (RFC 9525 §6.3).
fn label_for(pattern: &str, server: &str) -> Option<usize> {
    let base = pattern.strip_prefix("*.")?.to_ascii_lowercase();
    let server = server.to_ascii_lowercase();
    if server == base {
        return Some(0);
    }
    let front = server.strip_suffix(&base)?.strip_suffix('.')?;
    Some(front.split('.').count())
}

fn words(x509: &X509Certificate<'_>, names: Option<&[Name]>, server: &str) -> String {
    let common: Vec<String> =
        x509.subject().iter_common_name().filter_map(|name| name.as_str().ok()).map(certificate::text).collect();
    let Some(names) = names.filter(|names| !names.is_empty()) else {
        let has =
            if names.is_some() { "no DNS name and no address in its subjectAltName" } else { "no subjectAltName" };
        let common = match common.first() {
            Some(name) => format!("; the common name (CN={name}) is not used for that (RFC 9525)"),
            None => String::new(),
        };
        return format!("has {has}, so it is not valid for {server}{common}");
    };
    let shown: Vec<String> = names.iter().take(NAMES_IN_A_SENTENCE).map(Name::text).collect();
    let shown = match names.len() - shown.len() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    };
    let is_same = |name: &&str| name.trim_end_matches('.').eq_ignore_ascii_case(server);
    let dns = || {
        names.iter().filter_map(|name| match name {
            Name::Dns(name) => Some(name.as_str()),
            Name::Address(_) => None,
        })
    };
    if server.parse::<IpAddr>().is_ok() && dns().any(|name| is_same(&name)) {
        return format!(
            "has {server} as a DNS name (subjectAltName DNS:{server}); an address must be given as IP:{server}"
        );
    }
    let text = format!("is for {shown}, and not for {server}");
    match dns().find_map(|name| why(name, server)) {
        Some(why) => format!("{text}: {why}"),
        None => text,
    }
}

/// Why a name that looks like the server's does not count.
fn why(name: &str, server: &str) -> Option<String> {
    let shown = certificate::text(name);
    if name.ends_with('.') && name.trim_end_matches('.').eq_ignore_ascii_case(server) {
        return Some("a DNS name in a certificate must not end with a dot".to_owned());
    }
    if !name.is_ascii() {
        return Some(format!("{shown} must be written in ASCII (xn--…, RFC 9525 §6.3)"));
    }
    match label_for(name, server) {
        Some(0) => return Some(format!("{shown} stands for names of one more label, and not for {server} itself")),
        Some(labels @ 2..) => {
            return Some(format!("the * in {shown} stands for one label, and {server} has {labels} there"));
        }
        _ => {}
    }
    let is_odd = name.contains('*') && (!name.starts_with("*.") || name[1..].contains('*'));
    is_odd.then(|| format!("the * in {shown} does not count: it must be the whole first label"))
}

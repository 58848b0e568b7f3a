//! Everything that is wrong with a server's certificates, each fault with the certificate that has it. What they are refused
//! for is the library's decision; it names one fault, and often not the certificate.

use std::net::IpAddr;

use journey::{
    Reason,
    stage::{CertificateFault, FaultKind},
};
use rustls::{
    CertificateError, Error, RootCertStore,
    crypto::WebPkiSupportedAlgorithms,
    pki_types::{CertificateDer, TrustAnchor, UnixTime},
};
use x509_parser::{extensions::GeneralName, prelude::X509Certificate, x509::X509Version};

use super::{
    algorithm, certificate,
    chain::{self, End, Key, RSA_BITS, Sent, Way},
    names, refusal,
};
use text::words::long;

/// More faults than these are counted, and not named.
const MOST_NAMED: usize = 6;

/// What certificates are held against.
pub(super) struct Case<'a> {
    /// The name or address that they must be for.
    pub(super) server: &'a str,
    pub(super) chain: &'a [CertificateDer<'static>],
    pub(super) roots: &'a RootCertStore,
    /// Where the trusted certificates come from, in words.
    pub(super) source: &'a str,
    pub(super) known: &'a WebPkiSupportedAlgorithms,
    pub(super) now: UnixTime,
}

/// A fault: of which certificate, and what is to be said of it.
pub(super) struct Fault {
    pub(super) kind: FaultKind,
    /// The certificate's place among those that were sent.
    nth: Option<usize>,
    who: String,
    /// What follows `who`.
    what: String,
}

impl Fault {
    fn text(&self) -> String {
        format!("{} {}", self.who, self.what)
    }

    /// Whether it is said of the server's own certificate.
    fn is_of_server(&self) -> bool {
        self.nth == Some(0) || self.kind == FaultKind::UntrustedRoot
    }

    /// The same after another.
    fn after(&self, first: &Self) -> String {
        if self.is_of_server() && first.is_of_server() { format!("it {}", self.what) } else { self.text() }
    }
}

/// What the certificates were refused for, then everything else that is wrong with them. Never empty.
pub(super) fn find(error: &Error, case: &Case<'_>) -> Vec<Fault> {
    let mut faults = own(case);
    let kind = refusal::kind(error);
    // Of a signature by a key that is too short the library says that it does not verify.
    let is_weak = |fault: &Fault| kind == FaultKind::BadSignature && fault.kind == FaultKind::Algorithm;
    let is_alike = |fault: &Fault| is_of_trust(fault.kind) && is_of_trust(kind);
    let is_it = |fault: &Fault| fault.kind == kind || is_weak(fault) || is_alike(fault);
    let is_self_signed = faults.first().is_some_and(|first| first.kind == FaultKind::SelfSigned);
    match faults.iter().position(is_it) {
        // That nobody vouches for it goes before anything that it says of itself.
        Some(_) if is_self_signed => {}
        None if is_self_signed && kind != FaultKind::Other => {}
        Some(nth) => faults[..=nth].rotate_right(1),
        None => {
            let who = format!("the certificate of {}", case.server);
            let nth = (case.chain.len() == 1).then_some(0);
            faults.insert(0, Fault { kind, nth, who, what: refusal::words(error) });
        }
    }
    faults
}

/// For the record.
pub(super) fn record(faults: &[Fault]) -> Vec<CertificateFault> {
    let kept = |nth: &usize| *nth < journey::stage::MOST_CERTIFICATES;
    let record =
        |fault: &Fault| CertificateFault { kind: fault.kind, certificate: fault.nth.filter(kept), what: fault.text() };
    faults.iter().map(record).collect()
}

/// In one sentence.
pub(super) fn sentence(faults: &[Fault]) -> String {
    let Some((first, others)) = faults.split_first() else { return String::new() };
    let mut named: Vec<String> = others.iter().take(MOST_NAMED).map(|fault| fault.after(first)).collect();
    if let Some(more @ 1..) = others.len().checked_sub(MOST_NAMED) {
        named.push(format!("{more} more faults"));
    }
    if named.is_empty() { first.text() } else { format!("{}; also: {}", first.text(), named.join("; ")) }
}

/// The reason that a stage fails by.
pub(super) fn reason(kind: FaultKind) -> Reason {
    match kind {
        FaultKind::Expired => Reason::CertificateExpired,
        FaultKind::NotYetValid => Reason::CertificateNotYetValid,
        FaultKind::WrongName => Reason::CertificateWrongName,
        kind if is_of_trust(kind) => Reason::CertificateUntrusted,
        _ => Reason::CertificateRefused,
    }
}

fn is_of_trust(kind: FaultKind) -> bool {
    use FaultKind::*;
    matches!(kind, SelfSigned | UntrustedRoot | MissingIssuer | NoTrust | BadSignature)
}

/// What can be seen to be wrong, the trust first.
fn own(case: &Case<'_>) -> Vec<Fault> {
    let sent = chain::sent(case.chain);
    let now = i64::try_from(case.now.as_secs()).unwrap_or(i64::MAX);
    let Some(way) = chain::way(&sent, case.roots, case.known, now) else { return Vec::new() };
    let look = Look { case, sent: &sent, way: &way, now };
    let mut faults: Vec<Fault> = look.trust().into_iter().collect();
    for place in 0..way.certificates.len() {
        faults.extend(look.certificate(place));
    }
    faults.extend(look.name());
    faults
}

/// The certificates, and the way that leads upwards from the first.
struct Look<'a, 'b> {
    case: &'b Case<'b>,
    sent: &'b [Sent<'a>],
    way: &'b Way<'a, 'b>,
    now: i64,
}

impl Look<'_, '_> {
    fn who(&self, sent: &Sent<'_>) -> String {
        match sent.nth {
            0 => format!("the certificate of {}", self.case.server),
            _ if sent.is_self_issued() => format!("the root certificate {}", subject(&sent.x509)),
            _ => format!("the intermediate certificate {}", subject(&sent.x509)),
        }
    }

    fn fault(&self, kind: FaultKind, sent: &Sent<'_>, what: impl Into<String>) -> Fault {
        Fault { kind, nth: Some(sent.nth), who: self.who(sent), what: what.into() }
    }

    /// Where the way breaks.
    fn trust(&self) -> Option<Fault> {
        let last = self.way.certificates.last()?;
        let store = store(self.case.source);
        let issuer = certificate::name(last.x509.issuer());
        if matches!(self.way.end, End::SelfSigned) && last.nth == 0 {
            return Some(self.fault(FaultKind::SelfSigned, last, format!("is self-signed and not in {store}")));
        }
        if self.case.roots.is_empty() {
            let what = format!("cannot be trusted: no CA is trusted in this visit ({})", self.case.source);
            return Some(self.fault(FaultKind::NoTrust, self.way.certificates[0], what));
        }
        Some(match self.way.end {
            End::Trusted(_) => return None,
            End::SelfSigned => {
                let what = format!("leads to the self-signed root {issuer}, which is not in {store}");
                Fault { nth: Some(last.nth), ..self.fault(FaultKind::UntrustedRoot, self.way.certificates[0], what) }
            }
            End::Missing => {
                let what = format!(
                    "is issued by {issuer}, which the server did not send and which is not in {store}{}",
                    self.unused()
                );
                self.fault(FaultKind::MissingIssuer, last, what)
            }
            End::OtherKey { is_trusted } => {
                let whose =
                    if is_trusted { format!("the {issuer} in {store}") } else { format!("the {issuer} that was sent") };
                let what = format!(
                    "is not signed with the key of {whose}: another CA of that name issued it, or it was altered"
                );
                self.fault(FaultKind::BadSignature, last, what)
            }
            End::Circle => {
                let what = format!("is issued by {issuer}, which leads back to it and to no certificate in {store}");
                self.fault(FaultKind::MissingIssuer, last, what)
            }
        })
    }

    /// What was sent and has no place on the way.
    fn unused(&self) -> String {
        let is_used = |sent: &Sent<'_>| self.way.certificates.iter().any(|used| used.nth == sent.nth);
        let unused: Vec<String> =
            self.sent.iter().filter(|sent| !is_used(sent)).map(|sent| subject(&sent.x509)).collect();
        match unused.as_slice() {
            [] => String::new(),
            [one] => format!("; it sent {one}, which is not that issuer"),
            [one, more @ ..] => format!("; it sent {one} and {} more, none of which is that issuer", more.len()),
        }
    }

    /// What is wrong with one certificate on the way.
    fn certificate(&self, place: usize) -> Vec<Fault> {
        let sent = self.way.certificates[place];
        let checks = [
            self.version(sent),
            self.validity(sent),
            self.role(sent, place),
            self.purpose(sent),
            self.critical(sent),
            self.constraints(sent, place),
            self.algorithm(sent),
            self.key(sent),
        ];
        let anchor = match self.way.end {
            End::Trusted(anchor) if place + 1 == self.way.certificates.len() => self.anchor(anchor, sent),
            _ => None,
        };
        checks.into_iter().flatten().chain(anchor).collect()
    }

    fn version(&self, sent: &Sent<'_>) -> Option<Fault> {
        let version = sent.x509.version();
        (version != X509Version::V3).then(|| {
            let what =
                format!("is an X.509 version {} certificate; version 3 is required", version.0.saturating_add(1));
            self.fault(FaultKind::Version, sent, what)
        })
    }

    fn validity(&self, sent: &Sent<'_>) -> Option<Fault> {
        let validity = sent.x509.validity();
        let (begin, end) = (validity.not_before, validity.not_after);
        let span = format!("it is valid from {} to {}", certificate::day(begin), certificate::day(end));
        let (begin, end) = (begin.timestamp(), end.timestamp());
        let apart = |later: i64, earlier: i64| long(later.saturating_sub(earlier).unsigned_abs());
        if begin > end {
            let what = format!("has a validity that ends before it begins: {span}");
            Some(self.fault(FaultKind::Expired, sent, what))
        } else if self.now > end {
            Some(self.fault(FaultKind::Expired, sent, format!("expired {} ago: {span}", apart(self.now, end))))
        } else if self.now < begin {
            let what = format!("becomes valid in {}: {span}", apart(begin, self.now));
            Some(self.fault(FaultKind::NotYetValid, sent, what))
        } else {
            None
        }
    }

    /// RFC 5280 §4.2.1.9.
    fn role(&self, sent: &Sent<'_>, place: usize) -> Option<Fault> {
        let constraints = sent.x509.basic_constraints().ok().flatten().map(|extension| extension.value);
        let is_ca = constraints.is_some_and(|constraints| constraints.ca);
        if place == 0 {
            return is_ca.then(|| self.ca_as_server(sent));
        }
        if !is_ca {
            let below = self.who(self.way.certificates[place - 1]);
            let has = if constraints.is_some() { "CA:FALSE" } else { "no basicConstraints" };
            let what = format!("is not a CA certificate ({has}), but issued {below}");
            return Some(self.fault(FaultKind::NotACa, sent, what));
        }
        let allowed = constraints.and_then(|constraints| constraints.path_len_constraint)?;
        // Those below it, without the server's own.
        let below = u32::try_from(place - 1).unwrap_or(u32::MAX);
        (below > allowed).then(|| {
            let what =
                format!("allows {allowed} CA certificates below it (pathLenConstraint), and the chain has {below}");
            self.fault(FaultKind::PathLength, sent, what)
        })
    }

    fn ca_as_server(&self, sent: &Sent<'_>) -> Fault {
        let is_trusted = matches!(self.way.end, End::Trusted(_)) && self.way.certificates.len() == 1;
        let what = match sent.is_self_issued() && is_trusted {
            true => "is a self-signed CA certificate (CA:TRUE) used as a server certificate: issue one with CA:FALSE",
            false => "is a CA certificate (CA:TRUE) used as a server certificate",
        };
        self.fault(FaultKind::CaAsServer, sent, what)
    }

    /// RFC 5280 §4.2.1.12.
    fn purpose(&self, sent: &Sent<'_>) -> Option<Fault> {
        let extension = sent.x509.extended_key_usage().ok()??.value;
        if extension.server_auth {
            return None;
        }
        let purposes = certificate::purposes(extension);
        let purposes = if purposes.is_empty() { "nothing".to_owned() } else { purposes.join(", ") };
        let what = format!("is for {purposes} (extKeyUsage), and not for server authentication");
        Some(self.fault(FaultKind::Purpose, sent, what))
    }

    fn critical(&self, sent: &Sent<'_>) -> Option<Fault> {
        let unknown = certificate::unknown_critical(&sent.x509);
        (!unknown.is_empty()).then(|| {
            let what = format!("has a critical extension that is not supported: {}", unknown.join(", "));
            self.fault(FaultKind::CriticalExtension, sent, what)
        })
    }

    /// RFC 5280 §4.2.1.10, as far as the name of the visit and its certificate's DNS names go.
    fn constraints(&self, sent: &Sent<'_>, place: usize) -> Option<Fault> {
        let constraints = sent.x509.name_constraints().ok().flatten().filter(|_| place > 0)?.value;
        let own = self.way.certificates[0].x509.subject_alternative_name().ok()??.value;
        let under = |name: &str, base: &str| {
            let (name, base) = (name.to_ascii_lowercase(), base.trim_start_matches('.').to_ascii_lowercase());
            base.is_empty() || name == base || name.strip_suffix(&base).is_some_and(|rest| rest.ends_with('.'))
        };
        let of = |trees: &Option<Vec<x509_parser::extensions::GeneralSubtree<'_>>>| -> Option<Vec<String>> {
            let names = trees.iter().flatten().filter_map(|tree| match tree.base {
                GeneralName::DNSName(name) => Some(name.to_owned()),
                _ => None,
            });
            Some(names.collect()).filter(|names: &Vec<String>| !names.is_empty())
        };
        let names: Vec<&str> = own
            .general_names
            .iter()
            .filter_map(|name| match name {
                GeneralName::DNSName(name) => Some(*name),
                _ => None,
            })
            .collect();
        let clean = |names: &[String]| names.iter().map(|name| certificate::text(name)).collect::<Vec<_>>().join(", ");
        let what = if let Some(permitted) = of(&constraints.permitted_subtrees)
            && let Some(name) = names.iter().find(|name| !permitted.iter().any(|base| under(name, base)))
        {
            format!(
                "permits names under {} only (nameConstraints), and not {}",
                clean(&permitted),
                certificate::text(name)
            )
        } else if let Some(excluded) = of(&constraints.excluded_subtrees)
            && let Some(name) = names.iter().find(|name| excluded.iter().any(|base| under(name, base)))
        {
            format!("excludes names under {} (nameConstraints), and so {}", clean(&excluded), certificate::text(name))
        } else {
            return None;
        };
        Some(self.fault(FaultKind::NameConstraint, sent, what))
    }

    /// How it is signed. The signature of a root on itself counts for nothing.
    fn algorithm(&self, sent: &Sent<'_>) -> Option<Fault> {
        let is_known = self.case.known.all.iter().any(|one| one.signature_alg_id().as_ref() == sent.algorithm);
        (!is_known && !sent.is_self_issued()).then(|| {
            let what = format!("is signed with {}, which is not accepted", algorithm::signature(sent.algorithm));
            self.fault(FaultKind::Algorithm, sent, what)
        })
    }

    fn key(&self, sent: &Sent<'_>) -> Option<Fault> {
        let why = key(sent.key, self.case.known)?;
        Some(self.fault(FaultKind::Algorithm, sent, format!("has {why}")))
    }

    fn anchor(&self, anchor: &TrustAnchor<'_>, below: &Sent<'_>) -> Option<Fault> {
        // It is the same certificate, or one of the same key.
        if below.is_self_issued() {
            return None;
        }
        let why = key(Key::of(anchor)?, self.case.known)?;
        let who = format!("the trusted certificate {}", certificate::name(below.x509.issuer()));
        Some(Fault { kind: FaultKind::Algorithm, nth: None, who, what: format!("has {why}") })
    }

    /// Whom the server's own is for.
    fn name(&self) -> Option<Fault> {
        let own = self.way.certificates.first()?;
        let what = names::mismatch(&own.x509, &self.case.chain[own.nth], self.case.server)?;
        Some(Fault { kind: FaultKind::WrongName, nth: Some(own.nth), who: "the certificate".to_owned(), what })
    }
}

/// Why nothing can be verified with a key.
fn key(key: Key<'_>, known: &WebPkiSupportedAlgorithms) -> Option<String> {
    if let Some(bits) = key.rsa_bits().filter(|bits| !RSA_BITS.contains(bits)) {
        let (least, most) = (RSA_BITS.start(), RSA_BITS.end());
        return Some(format!("an RSA key of {bits} bits; {least} to {most} are accepted"));
    }
    let is_known = known.all.iter().any(|one| one.public_key_alg_id().as_ref() == key.algorithm);
    (!is_known).then(|| format!("a key of a kind that is not accepted: {}", algorithm::key(key.algorithm)))
}

fn subject(x509: &X509Certificate<'_>) -> String {
    certificate::name(x509.subject())
}

/// The trust store, in a sentence.
fn store(source: &str) -> String {
    format!("the trust store ({source})")
}

/// Why the signature over the handshake itself was refused.
pub(super) fn of_handshake(error: &Error, case: &Case<'_>) -> Fault {
    let own = case.chain.first().and_then(|der| Sent::read(0, der));
    let who = format!("the certificate of {}", case.server);
    let why = own.and_then(|own| key(own.key, case.known));
    let (kind, what) = match (error, why) {
        (_, Some(why)) => (FaultKind::Algorithm, format!("has {why}")),
        (Error::InvalidCertificate(CertificateError::BadSignature), None) => (
            FaultKind::BadSignature,
            "has another key than the one with which the server signed the handshake".to_owned(),
        ),
        _ => (refusal::kind(error), refusal::words(error)),
    };
    Fault { kind, nth: Some(0), who, what }
}

/// An address as a certificate's iPAddress has it: 4 or 16 octets.
pub(super) fn address(octets: &[u8]) -> Option<IpAddr> {
    match octets.len() {
        4 => <[u8; 4]>::try_from(octets).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(octets).ok().map(IpAddr::from),
        _ => None,
    }
}

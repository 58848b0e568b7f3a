//! The way from a server's certificate to a trusted one, over what the server sent and the trust store (RFC 5280 §6.1,
//! RFC 4158). The library says only that there is none, or why the best one was refused; this says where it breaks.

use rustls::{
    RootCertStore,
    crypto::WebPkiSupportedAlgorithms,
    pki_types::{CertificateDer, TrustAnchor},
};
use x509_parser::prelude::{FromDer, X509Certificate};

/// Certificates that are looked at, of those that a server sends.
const MOST_SENT: usize = 32;
/// Ways that are tried. A server that sends many certificates of one name could otherwise make us try without end.
const MOST_STEPS: usize = 100;

/// The contents of the first DER element, and what follows it (X.690 §8.1).
pub(super) fn element(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&length, rest) = bytes.get(1..)?.split_first()?;
    let (length, rest) = match length {
        ..=0x7f => (usize::from(length), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
            (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

/// A certificate that a server sent and that can be read.
pub(super) struct Sent<'a> {
    /// Its place among those that were sent, from 0.
    pub(super) nth: usize,
    pub(super) x509: X509Certificate<'a>,
    pub(super) key: Key<'a>,
    /// The contents of signatureAlgorithm.
    pub(super) algorithm: &'a [u8],
    to_be_signed: &'a [u8],
    signature: &'a [u8],
}

/// A public key: its algorithm with parameters, and its bits.
#[derive(Clone, Copy)]
pub(super) struct Key<'a> {
    pub(super) algorithm: &'a [u8],
    bits: &'a [u8],
}

impl<'a> Key<'a> {
    /// From the contents of subjectPublicKeyInfo.
    fn read(info: &'a [u8]) -> Option<Self> {
        let (algorithm, rest) = element(info)?;
        // The first octet of a bit string counts the unused bits of its last.
        let (_, bits) = element(rest)?.0.split_first()?;
        Some(Self { algorithm, bits })
    }

    /// The key of a trusted certificate.
    pub(super) fn of(anchor: &'a TrustAnchor<'_>) -> Option<Self> {
        Self::read(&anchor.subject_public_key_info)
    }

    /// The size of the modulus, if it is an RSA key (rsaEncryption, RFC 3279 §2.3.1).
    pub(super) fn rsa_bits(&self) -> Option<usize> {
        const RSA: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
        if element(self.algorithm)?.0 != RSA {
            return None;
        }
        let (modulus, _) = element(element(self.bits)?.0)?;
        let first = modulus.iter().position(|octet| *octet != 0)?;
        Some((modulus.len() - first) * 8 - modulus[first].leading_zeros() as usize)
    }
}

/// RSA keys that the library verifies with.
pub(super) const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// Whether a signature was made by a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signature {
    Holds,
    Broken,
    /// By an algorithm, or a key, with which nothing can be verified here.
    Unknown,
}

impl<'a> Sent<'a> {
    pub(super) fn read(nth: usize, der: &'a [u8]) -> Option<Self> {
        let (_, x509) = X509Certificate::from_der(der).ok()?;
        let (certificate, _) = element(der)?;
        let (_, rest) = element(certificate)?;
        let to_be_signed = &certificate[..certificate.len() - rest.len()];
        let (algorithm, rest) = element(rest)?;
        let (_, signature) = element(rest)?.0.split_first()?;
        let key = Key::read(element(x509.tbs_certificate.subject_pki.raw)?.0)?;
        Some(Self { nth, x509, key, algorithm, to_be_signed, signature })
    }

    /// Whether it names itself as its issuer.
    pub(super) fn is_self_issued(&self) -> bool {
        self.x509.subject().as_raw() == self.x509.issuer().as_raw()
    }

    fn signature(&self, key: Key<'_>, known: &WebPkiSupportedAlgorithms) -> Signature {
        let of_signature = || known.all.iter().filter(|one| one.signature_alg_id().as_ref() == self.algorithm);
        let is_of_key = known.all.iter().any(|one| one.public_key_alg_id().as_ref() == key.algorithm);
        let is_weak = key.rsa_bits().is_some_and(|bits| !RSA_BITS.contains(&bits));
        if of_signature().next().is_none() || !is_of_key || is_weak {
            return Signature::Unknown;
        }
        let mut fitting = of_signature().filter(|one| one.public_key_alg_id().as_ref() == key.algorithm);
        let holds = fitting.any(|one| one.verify_signature(key.bits, self.to_be_signed, self.signature).is_ok());
        if holds { Signature::Holds } else { Signature::Broken }
    }
}

/// The certificates that were sent, as far as they can be read.
pub(super) fn sent<'a>(chain: &'a [CertificateDer<'_>]) -> Vec<Sent<'a>> {
    chain.iter().take(MOST_SENT).enumerate().filter_map(|(nth, der)| Sent::read(nth, der)).collect()
}

/// A way from the server's certificate upwards.
pub(super) struct Way<'a, 'b> {
    /// The server's certificate, its issuer, and so on.
    pub(super) certificates: Vec<&'b Sent<'a>>,
    pub(super) end: End<'b>,
}

/// How a way ends, at its last certificate.
#[derive(Clone, Copy)]
pub(super) enum End<'b> {
    /// Its issuer is trusted.
    Trusted(&'b TrustAnchor<'static>),
    /// It is signed by its own key.
    SelfSigned,
    /// Its issuer was not sent, and is not trusted.
    Missing,
    /// There is a certificate with the issuer's name, and another key: a trusted one, or one that was sent.
    OtherKey { is_trusted: bool },
    /// Its issuer is on the way already.
    Circle,
}

/// The way to a trusted certificate; where there is none, the longest.
pub(super) fn way<'a, 'b>(
    sent: &'b [Sent<'a>],
    roots: &'b RootCertStore,
    known: &'b WebPkiSupportedAlgorithms,
    now: i64,
) -> Option<Way<'a, 'b>> {
    let first = sent.first().filter(|first| first.nth == 0)?;
    let mut search = Search { sent, roots, known, now, steps: MOST_STEPS };
    Some(search.from(&mut vec![first]))
}

struct Search<'a, 'b> {
    sent: &'b [Sent<'a>],
    roots: &'b RootCertStore,
    known: &'b WebPkiSupportedAlgorithms,
    now: i64,
    steps: usize,
}

impl<'a, 'b> Search<'a, 'b> {
    fn from(&mut self, path: &mut Vec<&'b Sent<'a>>) -> Way<'a, 'b> {
        let last = path[path.len() - 1];
        let mut end = match self.anchor(last) {
            end @ End::Trusted(_) => return Way { certificates: path.clone(), end },
            end => end,
        };
        if last.is_self_issued() && last.signature(last.key, self.known) != Signature::Broken {
            let end = if matches!(end, End::Missing) { End::SelfSigned } else { end };
            return Way { certificates: path.clone(), end };
        }
        let mut best: Option<Way<'a, 'b>> = None;
        for issuer in self.issuers(last) {
            if path.iter().any(|other| other.nth == issuer.nth) {
                end = if matches!(end, End::Missing) { End::Circle } else { end };
                continue;
            }
            if self.steps == 0 {
                break;
            }
            self.steps -= 1;
            if last.signature(issuer.key, self.known) == Signature::Broken {
                end = if matches!(end, End::Missing) { End::OtherKey { is_trusted: false } } else { end };
                continue;
            }
            path.push(issuer);
            let found = self.from(path);
            path.pop();
            if matches!(found.end, End::Trusted(_)) {
                return found;
            }
            if best.as_ref().is_none_or(|best| found.certificates.len() > best.certificates.len()) {
                best = Some(found);
            }
        }
        best.unwrap_or_else(|| Way { certificates: path.clone(), end })
    }

    /// What the trust store has of a certificate's issuer.
    fn anchor(&self, last: &Sent<'_>) -> End<'b> {
        let issuer = element(last.x509.issuer().as_raw()).map(|(name, _)| name);
        let named = || self.roots.roots.iter().filter(|anchor| Some(anchor.subject.as_ref()) == issuer);
        let holds = |anchor: &&'b TrustAnchor<'static>| {
            Key::of(anchor).is_some_and(|key| last.signature(key, self.known) != Signature::Broken)
        };
        match (named().find(holds), named().next()) {
            (Some(anchor), _) => End::Trusted(anchor),
            (None, Some(_)) => End::OtherKey { is_trusted: true },
            (None, None) => End::Missing,
        }
    }

    /// The certificates that were sent with the name of a certificate's issuer; those that are valid now first.
    fn issuers(&self, last: &Sent<'_>) -> Vec<&'b Sent<'a>> {
        let name = last.x509.issuer().as_raw();
        let mut found: Vec<_> = self.sent.iter().filter(|sent| sent.x509.subject().as_raw() == name).collect();
        found.sort_by_key(|sent| {
            let validity = sent.x509.validity();
            !(validity.not_before.timestamp()..=validity.not_after.timestamp()).contains(&self.now)
        });
        found
    }
}

//! Certificates that are wrong in every way: what is said of them, and which one is blamed.

use std::{sync::Arc, time::Duration};

use journey::{
    Reason,
    stage::{CertificateFault, FaultKind},
};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, GeneralSubtree,
    IsCa, Issuer, KeyPair, NameConstraints, SanType, string::Ia5String,
};
use rustls::{
    AlertDescription, CertRevocationListError, CertificateError, Error, ExtendedKeyPurpose, OtherError, RootCertStore,
    client::danger::ServerCertVerifier,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use super::{
    faults::{self, Case},
    refusal,
    witness::Witness,
};

const DAY: Duration = Duration::from_secs(86_400);

/// An authority, or a server, with what it needs to issue others.
struct Entity {
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Entity {
    fn der(&self) -> CertificateDer<'static> {
        self.certificate.der().clone()
    }
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn made(params: CertificateParams, by: Option<&Entity>) -> Entity {
    let key = KeyPair::generate().unwrap();
    made_with(params, by, key)
}

fn made_with(params: CertificateParams, by: Option<&Entity>, key: KeyPair) -> Entity {
    let certificate = match by {
        Some(by) => params.signed_by(&key, &by.issuer).unwrap(),
        None => params.self_signed(&key).unwrap(),
    };
    Entity { certificate, issuer: Issuer::new(params, key) }
}

/// An authority; `change` makes it special.
fn authority(name: &str, by: Option<&Entity>, change: impl FnOnce(&mut CertificateParams)) -> Entity {
    let mut params = params(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    change(&mut params);
    made(params, by)
}

fn root(name: &str) -> Entity {
    authority(name, None, |_| {})
}

/// A server's certificate for these names.
fn server(names: &[SanType], by: Option<&Entity>, change: impl FnOnce(&mut CertificateParams)) -> Entity {
    let mut params = params("server");
    params.is_ca = IsCa::ExplicitNoCa;
    params.subject_alt_names = names.to_vec();
    change(&mut params);
    made(params, by)
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(Ia5String::try_from(name).unwrap())
}

/// A server for x.test.
fn plain(by: &Entity) -> Entity {
    server(&[dns("x.test")], Some(by), |_| {})
}

/// What is said of this chain where these are trusted; nothing where it is accepted.
fn judge(name: &str, chain: &[&Entity], trusted: &[&Entity]) -> Option<(Vec<CertificateFault>, String, Reason)> {
    let chain: Vec<CertificateDer<'static>> = chain.iter().map(|entity| entity.der()).collect();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(trusted.iter().map(|entity| entity.der()));
    let (roots, provider, now) = (Arc::new(roots), Arc::new(aws_lc_rs::default_provider()), UnixTime::now());
    let witness = Witness::new(Arc::clone(&roots), Arc::clone(&provider), false);
    let server_name = ServerName::try_from(name.to_owned()).unwrap();
    let error = witness.verify_server_cert(&chain[0], &chain[1..], &server_name, &[], now).err()?;
    let case = Case {
        server: name,
        chain: &chain,
        roots: &roots,
        source: "root.pem",
        known: &provider.signature_verification_algorithms,
        now,
    };
    let found = faults::find(&error, &case);
    let record = faults::record(&found);
    let reason = faults::reason(record[0].kind);
    Some((record, faults::sentence(&found), reason))
}

/// What is first, of which certificate, and what has to be in the sentence.
#[track_caller]
fn check(
    name: &str,
    (chain, trusted): (&[&Entity], &[&Entity]),
    (kind, nth, reason): (FaultKind, Option<usize>, Reason),
    words: &[&str],
) -> String {
    let (faults, sentence, seen) = judge(name, chain, trusted).expect("the chain was accepted");
    assert_eq!((faults[0].kind, faults[0].certificate, seen), (kind, nth, reason), "{sentence}");
    for word in words {
        assert!(sentence.contains(word), "{word:?} is not in {sentence:?}");
    }
    assert!(!sentence.contains(['{', '"']) && !sentence.contains("Other"), "{sentence}");
    sentence
}

use FaultKind::*;
use Reason::{CertificateRefused, CertificateUntrusted, CertificateWrongName};

#[test]
fn the_issuer_where_the_chain_breaks_is_named() {
    let (root, foreign) = (root("root"), root("foreign"));
    let inter = authority("inter", Some(&root), |_| {});
    let leaf = plain(&inter);
    let missing = (MissingIssuer, Some(0), CertificateUntrusted);
    let words = ["issued by CN=inter, which the server did not send and which is not in the trust store (root.pem)"];
    check("x.test", (&[&leaf], &[&root]), missing, &words);
    // It sent a root, trusted or not, in place of the intermediate.
    check("x.test", (&[&leaf, &root], &[&root]), missing, &[words[0], "it sent CN=root, which is not that issuer"]);
    check("x.test", (&[&leaf, &foreign], &[&root]), missing, &[words[0], "it sent CN=foreign"]);
    // Further up.
    let low = authority("low", Some(&inter), |_| {});
    let leaf = plain(&low);
    let words = ["the intermediate certificate CN=low is issued by CN=inter, which the server did not send"];
    check("x.test", (&[&leaf, &low], &[&root]), (MissingIssuer, Some(1), CertificateUntrusted), &words);
    // Sent out of order, and twice, the gap is the same.
    check("x.test", (&[&leaf, &foreign, &low, &low], &[&root]), (MissingIssuer, Some(2), CertificateUntrusted), &words);
}

#[test]
fn chains_in_any_order_with_duplicates_and_strangers_are_accepted() {
    let (root, foreign) = (root("root"), root("foreign"));
    let inter = authority("inter", Some(&root), |_| {});
    let low = authority("low", Some(&inter), |_| {});
    let leaf = plain(&low);
    for chain in [
        vec![&leaf, &low, &inter],
        vec![&leaf, &inter, &low],
        vec![&leaf, &root, &inter, &low],
        vec![&leaf, &inter, &inter, &foreign, &low, &low],
    ] {
        assert!(judge("x.test", &chain, &[&root]).is_none());
    }
    // Cross-signed: the first issuer of that name leads nowhere, the second to what is trusted.
    let key = KeyPair::generate().unwrap();
    let der = key.serialize_der();
    let again = || KeyPair::try_from(der.as_slice()).unwrap();
    let mut cross = params("cross");
    cross.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let old = made_with(cross.clone(), Some(&foreign), again());
    let new = made_with(cross, Some(&root), again());
    let leaf = plain(&new);
    assert!(judge("x.test", &[&leaf, &old, &new], &[&root]).is_none());
    check(
        "x.test",
        (&[&leaf, &old], &[&root]),
        (MissingIssuer, Some(1), CertificateUntrusted),
        &["CN=cross is issued by CN=foreign"],
    );
}

#[test]
fn a_leaf_that_is_not_first_is_what_was_sent_first() {
    let root = root("root");
    let inter = authority("inter", Some(&root), |_| {});
    let leaf = plain(&inter);
    let words = ["is a CA certificate (CA:TRUE) used as a server certificate", "it has no subjectAltName"];
    check("x.test", (&[&inter, &leaf], &[&root]), (CaAsServer, Some(0), CertificateRefused), &words);
}

#[test]
fn an_untrusted_root_that_was_sent_is_named() {
    let (root, foreign) = (root("root"), root("foreign"));
    let inter = authority("inter", Some(&foreign), |_| {});
    let leaf = plain(&inter);
    let words = ["leads to the self-signed root CN=foreign, which is not in the trust store (root.pem)"];
    check("x.test", (&[&leaf, &inter, &foreign], &[&root]), (UntrustedRoot, Some(2), CertificateUntrusted), &words);
    check("x.test", (&[&leaf, &inter], &[]), (NoTrust, Some(0), CertificateUntrusted), &["no CA is trusted"]);
}

#[test]
fn another_ca_of_the_same_name_is_not_the_issuer() {
    let (ours, theirs) = (root("root"), root("root"));
    let leaf = plain(&theirs);
    let other = (BadSignature, Some(0), CertificateUntrusted);
    let words = ["is not signed with the key of the CN=root in the trust store (root.pem)"];
    check("x.test", (&[&leaf], &[&ours]), other, &words);
    let inter = authority("inter", Some(&ours), |_| {});
    let other_inter = authority("inter", Some(&ours), |_| {});
    let words = ["is not signed with the key of the CN=inter that was sent"];
    check("x.test", (&[&plain(&inter), &other_inter], &[&ours]), other, &words);
}

fn shifted(params: &mut CertificateParams, from: i64, to: i64) {
    let now = std::time::SystemTime::now();
    let at = |days: i64| match u32::try_from(days) {
        Ok(days) => now + DAY * days + DAY / 2,
        Err(_) => now - DAY * u32::try_from(-days).unwrap() + DAY / 2,
    };
    params.not_before = at(from).into();
    params.not_after = at(to).into();
}

#[test]
fn the_certificate_that_is_out_of_its_time_is_blamed() {
    let root = root("root");
    for (span, kind, reason, words) in [
        ((5, 40), NotYetValid, Reason::CertificateNotYetValid, "certificate CN=inter becomes valid in 5 days"),
        ((-40, -4), Expired, Reason::CertificateExpired, "certificate CN=inter expired 3 days ago"),
    ] {
        let inter = authority("inter", Some(&root), |params| shifted(params, span.0, span.1));
        let leaf = plain(&inter);
        let sentence = check("x.test", (&[&leaf, &inter], &[&root]), (kind, Some(1), reason), &[words]);
        assert!(!sentence.contains("the certificate of x.test"), "{sentence}");
        // Both: the server's own first.
        let leaf = server(&[dns("x.test")], Some(&inter), |params| shifted(params, span.0, span.1));
        let both = ["the certificate of x.test", "also: the intermediate certificate CN=inter"];
        check("x.test", (&[&leaf, &inter], &[&root]), (kind, Some(0), reason), &both);
    }
}

#[test]
fn everything_else_that_is_wrong_is_listed() {
    let (root, foreign) = (root("root"), root("foreign"));
    let leaf = server(&[dns("other.test")], Some(&foreign), |params| shifted(params, -40, -4));
    let words = ["expired 3 days ago", "also:", "issued by CN=foreign", "is for other.test, and not for x.test"];
    check("x.test", (&[&leaf], &[&root]), (Expired, Some(0), Reason::CertificateExpired), &words);
    // What `openssl req -x509` makes: an authority of its own, for a common name.
    let own = authority("localhost", None, |_| {});
    let words = [
        "the certificate of localhost is self-signed and not in the trust store (root.pem); also: ",
        "it is a CA certificate (CA:TRUE) used as a server certificate",
        "it has no subjectAltName",
        "(CN=localhost)",
    ];
    let untrusted = (SelfSigned, Some(0), CertificateUntrusted);
    check("localhost", (&[&own], &[&root]), untrusted, &words.map(|words| words.trim_start_matches("it ")));
    let own = authority("localhost", None, |params| shifted(params, -40, -4));
    check("localhost", (&[&own], &[&root]), untrusted, &["expired 3 days ago"]);
    // Trusting it leaves the rest.
    let words = ["self-signed CA certificate (CA:TRUE) used as a server certificate: issue one with CA:FALSE"];
    let own = authority("localhost", None, |params| params.subject_alt_names = vec![dns("localhost")]);
    check("localhost", (&[&own], &[&own]), (CaAsServer, Some(0), CertificateRefused), &words);
}

#[test]
fn names_that_look_alike_are_told_apart() {
    let root = root("root");
    let check = |names: &[SanType], name: &str, words: &str| {
        let leaf = server(names, Some(&root), |_| {});
        check(name, (&[&leaf], &[&root]), (WrongName, Some(0), CertificateWrongName), &[words]);
    };
    check(&[dns("127.0.0.1")], "127.0.0.1", "has 127.0.0.1 as a DNS name (subjectAltName DNS:127.0.0.1)");
    check(&[dns("::1")], "::1", "an address must be given as IP:::1");
    check(&[dns("x.test")], "127.0.0.1", "is for x.test, and not for 127.0.0.1");
    check(&[SanType::IpAddress([127, 0, 0, 1].into())], "x.test", "is for 127.0.0.1, and not for x.test");
    check(
        &[],
        "x.test",
        "has no subjectAltName, so it is not valid for x.test; the common name (CN=server) is not used",
    );
    check(
        &[SanType::URI(Ia5String::try_from("https://x.test").unwrap())],
        "x.test",
        "no DNS name and no address in its",
    );
    check(&[dns("*.x.test")], "a.b.x.test", "the * in *.x.test stands for one label, and a.b.x.test has 2 there");
    check(&[dns("*.x.test")], "x.test", "*.x.test stands for names of one more label, and not for x.test itself");
    check(&[dns("w*.x.test")], "www.x.test", "the * in w*.x.test does not count: it must be the whole first label");
    check(&[dns("www.*.test")], "www.x.test", "the * in www.*.test does not count");
    check(&[dns("x.test.")], "x.test", "must not end with a dot");
}

#[test]
fn a_name_in_unicode_has_to_be_ascii() {
    // id-ce-subjectAltName with a dNSName of UTF-8, which no library for making certificates allows.
    let root = root("root");
    let name = "bücher.test".as_bytes();
    let length = |bytes: usize| u8::try_from(bytes).unwrap();
    let content = [&[0x30, length(name.len() + 2), 0x82, length(name.len())], name].concat();
    let leaf = server(&[], Some(&root), |params| {
        params.custom_extensions = vec![CustomExtension::from_oid_content(&[2, 5, 29, 17], content)];
    });
    let words = ["is for bücher.test, and not for xn--bcher-kva.test: bücher.test must be written in ASCII"];
    let (faults, sentence, _) = judge("xn--bcher-kva.test", &[&leaf], &[&root]).unwrap();
    assert_eq!(faults[0].kind, WrongName, "{sentence}");
    assert!(sentence.contains(words[0]), "{sentence}");
}

#[test]
fn roles_purposes_and_extensions_are_told() {
    let root = root("root");
    // Not a CA, but used as one.
    let no_ca = server(&[], Some(&root), |params| {
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "noca");
    });
    let leaf = plain(&no_ca);
    let words = ["CN=noca is not a CA certificate (CA:FALSE), but issued the certificate of x.test"];
    check("x.test", (&[&leaf, &no_ca], &[&root]), (NotACa, Some(1), CertificateRefused), &words);
    // Too many CAs.
    let top = authority("top", Some(&root), |params| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)));
    let low = authority("low", Some(&top), |_| {});
    let leaf = plain(&low);
    let words = ["CN=top allows 0 CA certificates below it (pathLenConstraint), and the chain has 1"];
    check("x.test", (&[&leaf, &low, &top], &[&root]), (PathLength, Some(2), CertificateRefused), &words);
    // For something else than servers.
    let leaf = server(&[dns("x.test")], Some(&root), |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::CodeSigning];
    });
    let words = ["is for client authentication, code signing (extKeyUsage), and not for server authentication"];
    check("x.test", (&[&leaf], &[&root]), (Purpose, Some(0), CertificateRefused), &words);
    // A critical extension of nobody's, and one that the library does not process.
    let unknown = |oid: &'static [u64]| {
        let mut extension = CustomExtension::from_oid_content(oid, vec![5, 0]);
        extension.set_criticality(true);
        extension
    };
    let leaf =
        server(&[dns("x.test")], Some(&root), |params| params.custom_extensions = vec![unknown(&[1, 2, 3, 4, 5])]);
    let words = ["has a critical extension that is not supported: 1.2.3.4.5"];
    check("x.test", (&[&leaf], &[&root]), (CriticalExtension, Some(0), CertificateRefused), &words);
    let inter = authority("inter", Some(&root), |params| params.custom_extensions = vec![unknown(&[2, 5, 29, 54])]);
    let words = ["CN=inter has a critical extension that is not supported: inhibitAnyPolicy (2.5.29.54)"];
    check("x.test", (&[&plain(&inter), &inter], &[&root]), (CriticalExtension, Some(1), CertificateRefused), &words);
}

#[test]
fn name_constraints_are_told_with_what_they_permit() {
    let root = root("root");
    let constrained = |permitted: &[&str], excluded: &[&str]| {
        let trees = |names: &[&str]| names.iter().map(|name| GeneralSubtree::DnsName((*name).to_owned())).collect();
        let constraints = NameConstraints { permitted_subtrees: trees(permitted), excluded_subtrees: trees(excluded) };
        authority("nc", Some(&root), |params| params.name_constraints = Some(constraints))
    };
    let permits = constrained(&["allowed.test"], &[]);
    let words = ["CN=nc permits names under allowed.test only (nameConstraints), and not x.test"];
    check("x.test", (&[&plain(&permits), &permits], &[&root]), (NameConstraint, Some(1), CertificateRefused), &words);
    let excludes = constrained(&[], &["x.test"]);
    let words = ["CN=nc excludes names under x.test (nameConstraints), and so x.test"];
    check("x.test", (&[&plain(&excludes), &excludes], &[&root]), (NameConstraint, Some(1), CertificateRefused), &words);
}

#[test]
fn what_a_certificate_says_drives_no_terminal() {
    let root = root("root");
    let inter = authority("in\u{1b}[31mter\u{202e}", Some(&root), |_| {});
    let (faults, sentence, _) = judge("x.test", &[&plain(&inter)], &[&root]).unwrap();
    let clean = |text: &str| !text.chars().any(|c| c.is_control() || c == '\u{202e}');
    assert!(clean(&sentence) && faults.iter().all(|fault| clean(&fault.what)), "{sentence:?}");
    assert!(sentence.contains("in\\u{1b}[31mter"), "{sentence}");
}

#[test]
fn many_certificates_of_one_name_are_given_up_in_time() {
    let root = root("root");
    // Each could be the issuer of each: they share a name and a key.
    let der = KeyPair::generate().unwrap().serialize_der();
    let key = || KeyPair::try_from(der.as_slice()).unwrap();
    let mut same = params("same");
    same.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let by = made_with(same.clone(), Some(&root), key());
    let others: Vec<Entity> = (0..60).map(|_| made_with(same.clone(), Some(&by), key())).collect();
    let leaf = plain(&by);
    let chain: Vec<&Entity> = std::iter::once(&leaf).chain(&others).collect();
    let begin = std::time::Instant::now();
    let foreign = super::tests::root("foreign");
    assert!(judge("x.test", &chain, &[&foreign]).is_some());
    assert!(begin.elapsed() < Duration::from_secs(60));
}

/// Every reason of the library's, and of the verifier's below it.
fn reasons() -> Vec<Error> {
    use CertificateError as C;
    use webpki::Error as W;
    let time = UnixTime::now();
    let of_rustls = [
        C::BadEncoding,
        C::Expired,
        C::ExpiredContext { time, not_after: time },
        C::NotValidYet,
        C::NotValidYetContext { time, not_before: time },
        C::Revoked,
        C::UnhandledCriticalExtension,
        C::UnknownIssuer,
        C::UnknownRevocationStatus,
        C::ExpiredRevocationList,
        C::ExpiredRevocationListContext { time, next_update: time },
        C::BadSignature,
        C::UnsupportedSignatureAlgorithmContext {
            // RSA with SHA-1.
            signature_algorithm_id: vec![6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 5, 5, 0],
            supported_algorithms: Vec::new(),
        },
        C::UnsupportedSignatureAlgorithmForPublicKeyContext {
            signature_algorithm_id: vec![6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2],
            // A key on secp256k1.
            public_key_algorithm_id: vec![6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 5, 0x2b, 0x81, 4, 0, 10],
        },
        C::NotValidForName,
        C::NotValidForNameContext { expected: ServerName::try_from("x.test").unwrap(), presented: Vec::new() },
        C::InvalidPurpose,
        C::InvalidPurposeContext {
            required: ExtendedKeyPurpose::ServerAuth,
            presented: vec![ExtendedKeyPurpose::ClientAuth, ExtendedKeyPurpose::Other(vec![1, 3, 6])],
        },
        C::InvalidOcspResponse,
        C::ApplicationVerificationFailure,
    ];
    let below = [
        W::CaUsedAsEndEntity,
        W::CertDistrusted,
        W::EmptyEkuExtension,
        W::EndEntityUsedAsCa,
        W::ExtensionValueInvalid,
        W::InvalidCrlNumber,
        W::InvalidNetworkMaskConstraint,
        W::InvalidSerialNumber,
        W::MalformedDnsIdentifier,
        W::MalformedExtensions,
        W::MalformedNameConstraint,
        W::MaximumNameConstraintComparisonsExceeded,
        W::MaximumPathBuildCallsExceeded,
        W::MaximumPathDepthExceeded,
        W::MaximumSignatureChecksExceeded,
        W::NameConstraintViolation,
        W::PathLenConstraintViolated,
        W::SignatureAlgorithmMismatch,
        W::UnsupportedCertVersion,
        W::UnsupportedCriticalExtension,
        W::UnsupportedCrlIssuingDistributionPoint,
        W::UnsupportedCrlVersion,
        W::UnsupportedDeltaCrl,
        W::UnsupportedIndirectCrl,
        W::UnsupportedNameType,
        W::UnsupportedRevocationReason,
        W::UnsupportedRevocationReasonsPartitioning,
    ];
    let below = below.into_iter().map(|error| C::Other(OtherError(Arc::new(error))));
    let lists = [CertRevocationListError::BadSignature, CertRevocationListError::ParseError];
    let certificates = of_rustls.into_iter().chain(below).map(Error::InvalidCertificate);
    certificates.chain(lists.into_iter().map(Error::InvalidCertRevocationList)).collect()
}

#[test]
fn every_reason_of_the_library_has_a_sentence() {
    for error in reasons() {
        let (kind, words) = (refusal::kind(&error), refusal::words(&error));
        let is_named = kind != Other || words.contains("possible issuers") || words.contains("rule of this program");
        assert!(is_named && !words.contains("has no words for"), "{error:?}: {words}");
        assert!(words.len() > 20 && !words.contains(['{', '"', '[']), "{error:?}: {words}");
        // The library and this program agree on whether there is an alert for it.
        if let Error::InvalidCertificate(error) = error {
            let _ = AlertDescription::from(error);
        }
    }
    let said = |at: usize| refusal::words(&reasons()[at]);
    assert!(said(12).contains("signed with RSA with SHA-1"), "{}", said(12));
    assert!(said(13).contains("ECDSA with SHA-256, which does not go with a key of ECDSA secp256k1"), "{}", said(13));
    assert!(said(17).contains("client authentication, 1.3.6 (extKeyUsage)"), "{}", said(17));
}

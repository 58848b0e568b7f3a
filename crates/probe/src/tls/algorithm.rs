//! Algorithms by the names that people know (RFC 8017 appendix A.2, RFC 5480, RFC 5758, RFC 8410).

use x509_parser::der_parser::oid::Oid;

use super::chain::element;

/// How something was signed, from the contents of an AlgorithmIdentifier.
pub(super) fn signature(identifier: &[u8]) -> String {
    signature_of(&oid(identifier))
}

/// The same by its dotted object identifier.
pub(super) fn signature_of(oid: &str) -> String {
    let known = match oid {
        "1.2.840.113549.1.1.2" => "RSA with MD2",
        "1.2.840.113549.1.1.3" => "RSA with MD4",
        "1.2.840.113549.1.1.4" => "RSA with MD5",
        "1.2.840.113549.1.1.5" | "1.3.14.3.2.29" => "RSA with SHA-1",
        "1.2.840.113549.1.1.10" => "RSA-PSS",
        "1.2.840.113549.1.1.11" => "RSA with SHA-256",
        "1.2.840.113549.1.1.12" => "RSA with SHA-384",
        "1.2.840.113549.1.1.13" => "RSA with SHA-512",
        "1.2.840.113549.1.1.14" => "RSA with SHA-224",
        "1.2.840.113549.1.1.15" => "RSA with SHA-512/224",
        "1.2.840.113549.1.1.16" => "RSA with SHA-512/256",
        "1.2.840.10040.4.3" => "DSA with SHA-1",
        "2.16.840.1.101.3.4.3.1" => "DSA with SHA-224",
        "2.16.840.1.101.3.4.3.2" => "DSA with SHA-256",
        "2.16.840.1.101.3.4.3.10" => "ECDSA with SHA3-256",
        "2.16.840.1.101.3.4.3.11" => "ECDSA with SHA3-384",
        "2.16.840.1.101.3.4.3.12" => "ECDSA with SHA3-512",
        "2.16.840.1.101.3.4.3.14" => "RSA with SHA3-256",
        "2.16.840.1.101.3.4.3.15" => "RSA with SHA3-384",
        "2.16.840.1.101.3.4.3.16" => "RSA with SHA3-512",
        "1.2.840.10045.4.1" => "ECDSA with SHA-1",
        "1.2.840.10045.4.3.1" => "ECDSA with SHA-224",
        "1.2.840.10045.4.3.2" => "ECDSA with SHA-256",
        "1.2.840.10045.4.3.3" => "ECDSA with SHA-384",
        "1.2.840.10045.4.3.4" => "ECDSA with SHA-512",
        "1.2.156.10197.1.501" => "SM2 with SM3",
        other => return key_of(other, None),
    };
    known.to_owned()
}

/// A key, from the contents of an AlgorithmIdentifier.
pub(super) fn key(identifier: &[u8]) -> String {
    let parameters = element(identifier).map(|(_, rest)| rest).filter(|rest| rest.first() == Some(&OID));
    key_of(&oid(identifier), parameters.map(oid).as_deref())
}

/// The same by its dotted object identifier, and that of its curve.
pub(super) fn key_of(oid: &str, curve: Option<&str>) -> String {
    let known = match (oid, curve) {
        ("1.2.840.113549.1.1.1", _) => "RSA",
        ("1.2.840.113549.1.1.10", _) => "RSA-PSS",
        ("1.2.840.10040.4.1", _) => "DSA",
        ("1.2.840.10045.2.1", Some("1.2.840.10045.3.1.7")) => "ECDSA P-256",
        ("1.2.840.10045.2.1", Some("1.3.132.0.34")) => "ECDSA P-384",
        ("1.2.840.10045.2.1", Some("1.3.132.0.35")) => "ECDSA P-521",
        ("1.2.840.10045.2.1", Some("1.2.840.10045.3.1.1")) => "ECDSA P-192",
        ("1.2.840.10045.2.1", Some("1.3.132.0.33")) => "ECDSA P-224",
        ("1.2.840.10045.2.1", Some("1.3.132.0.10")) => "ECDSA secp256k1",
        ("1.2.840.10045.2.1", Some("1.3.36.3.3.2.8.1.1.7")) => "ECDSA brainpoolP256r1",
        ("1.2.840.10045.2.1", Some("1.3.36.3.3.2.8.1.1.11")) => "ECDSA brainpoolP384r1",
        ("1.2.840.10045.2.1", Some("1.3.36.3.3.2.8.1.1.13")) => "ECDSA brainpoolP512r1",
        ("1.2.840.10045.2.1", Some("1.2.156.10197.1.301")) => "SM2",
        ("1.2.840.10045.2.1", Some(curve)) => return format!("elliptic curve {curve}"),
        ("1.2.840.10045.2.1", None) => "elliptic curve with explicit parameters",
        ("1.3.101.110", _) => "X25519",
        ("1.3.101.112", _) => "Ed25519",
        ("1.3.101.113", _) => "Ed448",
        ("2.16.840.1.101.3.4.3.17", _) => "ML-DSA-44",
        ("2.16.840.1.101.3.4.3.18", _) => "ML-DSA-65",
        ("2.16.840.1.101.3.4.3.19", _) => "ML-DSA-87",
        _ => return format!("algorithm {oid}"),
    };
    known.to_owned()
}

/// The tag of an object identifier.
const OID: u8 = 6;

/// The object identifier that an AlgorithmIdentifier begins with, in dotted form.
fn oid(identifier: &[u8]) -> String {
    let bytes = element(identifier).filter(|_| identifier.first() == Some(&OID)).map(|(bytes, _)| bytes);
    bytes.map_or_else(|| "unknown".to_owned(), |bytes| Oid::new(bytes.into()).to_id_string())
}

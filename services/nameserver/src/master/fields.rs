//! What the data of each type consists of, as a table; one reading of it turns words into bytes (`rdata`), another checks
//! bytes that were written as such (RFC 3597 §5).

use hickory_proto::rr::RecordType;

use super::{
    numbers::{self, LOC_BYTES},
    svcb,
};

/// A number's names.
pub(super) type Mnemonics = &'static [(&'static str, u8)];

/// A piece of a record's data; the text says what it is where it is missing or wrong.
#[derive(Clone, Copy)]
pub(super) enum Field {
    /// A number of one byte.
    U8(&'static str),
    /// A number of two bytes.
    U16(&'static str),
    /// A number of four bytes.
    U32(&'static str),
    /// A number of one byte that may be written as a name.
    Named8(&'static str, Mnemonics),
    /// The same of two bytes.
    Named16(&'static str, Mnemonics),
    /// Seconds, or 1h30m.
    Seconds(&'static str),
    /// A point in time, as 20261130235959 or in seconds (RFC 4034 §3.2).
    Time(&'static str),
    /// An IPv4 address.
    V4,
    /// An IPv6 address.
    V6,
    /// A domain name, not compressed.
    Name(&'static str),
    /// A character-string (RFC 1035 §3.3).
    Text(&'static str),
    /// One or more of them.
    Texts,
    /// Letters and digits behind a length byte (RFC 8659 §4.1).
    Tag(&'static str),
    /// One word's bytes, to the end.
    Bytes(&'static str),
    /// Hexadecimal digits, to the end.
    Hex(&'static str),
    /// One word of hexadecimal digits behind a length byte; `-` for none.
    Salt(&'static str),
    /// One word in base32hex behind a length byte.
    Base32(&'static str),
    /// base64, to the end.
    Base64(&'static str),
    /// A type.
    Type(&'static str),
    /// A set of types as a bit map (RFC 4034 §4.1.2), to the end.
    Types,
    /// So many bytes in groups of hexadecimal digits, each group of so many bytes, with this separator.
    Groups(&'static str, usize, usize, char),
    /// What needs a reader of its own.
    Own(Own),
}

/// A reader of words and a check of bytes.
#[derive(Clone, Copy)]
pub(super) struct Own {
    pub(super) read: fn(&mut super::rdata::Words<'_, '_>) -> Result<Vec<u8>, crate::problem::Problem>,
    pub(super) conforms: fn(&[u8]) -> bool,
}

/// DNSSEC algorithms as BIND reads them (RFC 4034 §A.1 and IANA's registry).
const ALGORITHMS: Mnemonics = &[
    ("RSAMD5", 1),
    ("DH", 2),
    ("DSA", 3),
    ("ECC", 4),
    ("RSASHA1", 5),
    ("NSEC3DSA", 6),
    ("DSA-NSEC3-SHA1", 6),
    ("NSEC3RSASHA1", 7),
    ("RSASHA1-NSEC3-SHA1", 7),
    ("RSASHA256", 8),
    ("RSASHA512", 10),
    ("ECCGOST", 12),
    ("ECC-GOST", 12),
    ("ECDSAP256SHA256", 13),
    ("ECDSAP384SHA384", 14),
    ("ED25519", 15),
    ("ED448", 16),
    ("INDIRECT", 252),
    ("PRIVATEDNS", 253),
    ("PRIVATEOID", 254),
];
const PROTOCOLS: Mnemonics = &[("NONE", 0), ("TLS", 1), ("EMAIL", 2), ("DNSSEC", 3), ("IPSEC", 4), ("ALL", 255)];
const DIGESTS: Mnemonics =
    &[("SHA1", 1), ("SHA-1", 1), ("SHA256", 2), ("SHA-256", 2), ("GOST", 3), ("SHA384", 4), ("SHA-384", 4)];
const CERTIFICATES: Mnemonics = &[
    ("PKIX", 1),
    ("SPKI", 2),
    ("PGP", 3),
    ("IPKIX", 4),
    ("ISPKI", 5),
    ("IPGP", 6),
    ("ACPKIX", 7),
    ("IACPKIX", 8),
    ("URI", 253),
    ("OID", 254),
];

/// The fields of a type's data; `None` where this server knows it by number only.
pub(super) fn fields(rtype: RecordType) -> Option<&'static [Field]> {
    use Field::*;
    const KEY: &[Field] =
        &[U16("the flags"), Named8("the protocol", PROTOCOLS), Named8("the algorithm", ALGORITHMS), Base64("the key")];
    const DS: &[Field] = &[
        U16("the key tag"),
        Named8("the algorithm", ALGORITHMS),
        Named8("the digest type", DIGESTS),
        Hex("the digest"),
    ];
    const SIG: &[Field] = &[
        Type("the type covered"),
        Named8("the algorithm", ALGORITHMS),
        U8("the labels"),
        Seconds("the original TTL"),
        Time("the expiration"),
        Time("the inception"),
        U16("the key tag"),
        Name("the signer"),
        Base64("the signature"),
    ];
    const TLSA: &[Field] =
        &[U8("the usage"), U8("the selector"), U8("the matching type"), Hex("the certificate association data")];
    Some(match u16::from(rtype) {
        1 => &[V4],
        2 => &[Name("the name server")],
        3 | 4 => &[Name("the mail agent")],
        5 => &[Name("the canonical name")],
        6 => &[
            Name("the primary server"),
            Name("the mailbox"),
            U32("a serial number"),
            Seconds("refresh"),
            Seconds("retry"),
            Seconds("expire"),
            Seconds("minimum"),
        ],
        7..=9 => &[Name("the mailbox")],
        12 | 23 => &[Name("the name")],
        13 => &[Text("the CPU"), Text("the operating system")],
        14 => &[Name("the mailbox of requests"), Name("the mailbox of errors")],
        15 => &[U16("a preference"), Name("the mail exchange")],
        // TXT, SPF (RFC 7208 §3.1), and types that IANA lists with TXT's format.
        16 | 56 | 99 | 258 | 261 | 262 => &[Texts],
        17 => &[Name("the mailbox"), Name("the name of the text")],
        18 => &[U16("the subtype"), Name("the server")],
        19 => &[Text("the PSDN address")],
        20 => &[Own(numbers::ISDN)],
        21 => &[U16("a preference"), Name("the intermediate host")],
        22 => &[Own(numbers::NSAP)],
        24 | 46 => SIG,
        25 | 48 | 57 | 60 => KEY,
        26 => &[U16("a preference"), Name("the RFC 822 domain"), Name("the X.400 domain")],
        27 => &[Text("the longitude"), Text("the latitude"), Text("the altitude")],
        28 => &[V6],
        29 => &[Own(numbers::LOC)],
        33 => &[U16("a priority"), U16("a weight"), U16("a port"), Name("the target")],
        35 => &[
            U16("the order"),
            U16("a preference"),
            Text("the flags"),
            Text("the services"),
            Text("the regular expression"),
            Name("the replacement"),
        ],
        36 => &[U16("a preference"), Name("the key exchanger")],
        37 => &[
            Named16("the certificate's type", CERTIFICATES),
            U16("the key tag"),
            Named8("the algorithm", ALGORITHMS),
            Base64("the certificate"),
        ],
        39 => &[Name("the target")],
        42 => &[Own(numbers::APL)],
        43 | 59 | 32_768 | 32_769 => DS,
        44 => &[U8("the algorithm"), U8("the fingerprint's type"), Hex("the fingerprint")],
        45 => &[Own(numbers::IPSECKEY)],
        47 => &[Name("the next name"), Types],
        49 => &[Base64("the identifier")],
        50 => &[
            U8("the hash algorithm"),
            U8("the flags"),
            U16("the iterations"),
            Salt("the salt"),
            Base32("the next hashed owner"),
            Types,
        ],
        51 => &[U8("the hash algorithm"), U8("the flags"), U16("the iterations"), Salt("the salt")],
        52 | 53 => TLSA,
        55 => &[Own(numbers::HIP)],
        58 => &[Name("the previous name"), Name("the next name")],
        61 => &[Base64("the key")],
        62 => &[U32("a serial number"), U16("the flags"), Types],
        63 => &[U32("a serial number"), U8("the scheme"), U8("the hash algorithm"), Hex("the digest")],
        64 | 65 => &[U16("a priority"), Name("the target"), Own(svcb::PARAMETERS)],
        104 => &[U16("a preference"), Groups("the node identifier", 8, 2, ':')],
        105 => &[U16("a preference"), V4],
        106 => &[U16("a preference"), Groups("the locator", 8, 2, ':')],
        107 => &[U16("a preference"), Name("the name")],
        108 => &[Groups("an EUI-48 address", 6, 1, '-')],
        109 => &[Groups("an EUI-64 address", 8, 1, '-')],
        256 => &[U16("a priority"), U16("a weight"), Bytes("the target")],
        257 => &[U8("the flags"), Tag("the tag"), Bytes("the value")],
        _ => return None,
    })
}

/// Whether bytes are data of these fields.
pub(super) fn conforms(fields: &[Field], mut bytes: &[u8]) -> bool {
    fields.iter().all(|field| rest(*field, bytes).map(|rest| bytes = rest).is_some()) && bytes.is_empty()
}

/// What is behind a field.
fn rest(field: Field, bytes: &[u8]) -> Option<&[u8]> {
    let counted = || bytes.get(1 + usize::from(*bytes.first()?)..);
    match field {
        Field::U8(_) | Field::Named8(..) => bytes.get(1..),
        Field::U16(_) | Field::Named16(..) | Field::Type(_) => bytes.get(2..),
        Field::U32(_) | Field::Seconds(_) | Field::Time(_) | Field::V4 => bytes.get(4..),
        Field::V6 => bytes.get(16..),
        Field::Groups(_, length, ..) => bytes.get(length..),
        Field::Name(_) => after_name(bytes),
        Field::Text(_) | Field::Salt(_) => counted(),
        Field::Tag(_) | Field::Base32(_) => counted().filter(|_| bytes[0] > 0),
        Field::Texts => {
            let mut rest = bytes.get(1 + usize::from(*bytes.first()?)..)?;
            while let Some(&length) = rest.first() {
                rest = rest.get(1 + usize::from(length)..)?;
            }
            Some(rest)
        }
        Field::Bytes(_) | Field::Hex(_) | Field::Base64(_) => Some(&[]),
        Field::Types => is_bit_map(bytes).then_some(&[]),
        Field::Own(own) => (own.conforms)(bytes).then_some(&[]),
    }
}

/// What is behind a name that is not compressed.
pub(super) fn after_name(bytes: &[u8]) -> Option<&[u8]> {
    let mut at = 0;
    loop {
        let length = usize::from(*bytes.get(at)?);
        at += 1 + length;
        if length == 0 {
            return bytes.get(at..).filter(|_| at <= 255);
        }
        if length > 63 {
            return None;
        }
    }
}

/// Windows ascend, and none has a zero byte at its end (RFC 4034 §4.1.2).
fn is_bit_map(mut bytes: &[u8]) -> bool {
    let mut least = 0;
    while let [window, length @ 1..=32, rest @ ..] = bytes {
        let (window, length) = (u16::from(*window), usize::from(*length));
        if window < least || rest.get(length - 1).is_none_or(|last| *last == 0) {
            return false;
        }
        least = window + 1;
        bytes = &rest[length..];
    }
    bytes.is_empty()
}

/// Whether a digest is as long as its type says, for types that say it; a shorter one is a copy that lost its end.
pub(super) fn digest_fits(rtype: RecordType, wire: &[u8]) -> bool {
    let expected = |table: &[(u8, usize)], kind: Option<&u8>| {
        table.iter().find_map(|(known, length)| (Some(known) == kind).then_some(*length))
    };
    let (header, expected) = match u16::from(rtype) {
        43 | 59 | 32_768 | 32_769 => (4, expected(&[(1, 20), (2, 32), (3, 32), (4, 48)], wire.get(3))),
        44 => (2, expected(&[(1, 20), (2, 32)], wire.get(1))),
        52 | 53 => (3, expected(&[(1, 32), (2, 64)], wire.get(2))),
        63 => (6, expected(&[(1, 48), (2, 64)], wire.get(5))),
        _ => return true,
    };
    expected.is_none_or(|length| wire.len() == header + length)
}

/// The length of a LOC record's data is fixed.
pub(super) fn is_loc(bytes: &[u8]) -> bool {
    bytes.len() == LOC_BYTES && bytes[0] == 0 && bytes[1..4].iter().all(|size| size >> 4 <= 9 && size & 15 <= 9)
}

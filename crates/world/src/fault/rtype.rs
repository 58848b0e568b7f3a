//! The types of records that a fault may be meant for, with their numbers (IANA, "Resource Record (RR) TYPEs").

/// Those with names, which are the services' (the `dns` crate sees to it that both agree).
pub const NAMED: &[(&str, u16)] = &[
    ("ZERO", 0),
    ("A", 1),
    ("NS", 2),
    ("MD", 3),
    ("MF", 4),
    ("CNAME", 5),
    ("SOA", 6),
    ("MB", 7),
    ("MG", 8),
    ("MR", 9),
    ("NULL", 10),
    ("WKS", 11),
    ("PTR", 12),
    ("HINFO", 13),
    ("MINFO", 14),
    ("MX", 15),
    ("TXT", 16),
    ("RP", 17),
    ("AFSDB", 18),
    ("X25", 19),
    ("ISDN", 20),
    ("RT", 21),
    ("NSAP", 22),
    ("NSAP-PTR", 23),
    ("SIG", 24),
    ("KEY", 25),
    ("PX", 26),
    ("GPOS", 27),
    ("AAAA", 28),
    ("LOC", 29),
    ("NXT", 30),
    ("EID", 31),
    ("NIMLOC", 32),
    ("SRV", 33),
    ("ATMA", 34),
    ("NAPTR", 35),
    ("KX", 36),
    ("CERT", 37),
    ("A6", 38),
    ("DNAME", 39),
    ("SINK", 40),
    ("OPT", 41),
    ("APL", 42),
    ("DS", 43),
    ("SSHFP", 44),
    ("IPSECKEY", 45),
    ("RRSIG", 46),
    ("NSEC", 47),
    ("DNSKEY", 48),
    ("DHCID", 49),
    ("NSEC3", 50),
    ("NSEC3PARAM", 51),
    ("TLSA", 52),
    ("SMIMEA", 53),
    ("HIP", 55),
    ("NINFO", 56),
    ("RKEY", 57),
    ("TALINK", 58),
    ("CDS", 59),
    ("CDNSKEY", 60),
    ("OPENPGPKEY", 61),
    ("CSYNC", 62),
    ("ZONEMD", 63),
    ("SVCB", 64),
    ("HTTPS", 65),
    ("DSYNC", 66),
    ("HHIT", 67),
    ("BRID", 68),
    ("SPF", 99),
    ("UINFO", 100),
    ("UID", 101),
    ("GID", 102),
    ("UNSPEC", 103),
    ("NID", 104),
    ("L32", 105),
    ("L64", 106),
    ("LP", 107),
    ("EUI48", 108),
    ("EUI64", 109),
    ("TKEY", 249),
    ("TSIG", 250),
    ("IXFR", 251),
    ("AXFR", 252),
    ("MAILB", 253),
    ("MAILA", 254),
    ("ANY", 255),
    ("URI", 256),
    ("CAA", 257),
    ("AVC", 258),
    ("DOA", 259),
    ("AMTRELAY", 260),
    ("RESINFO", 261),
    ("WALLET", 262),
    ("TA", 32_768),
    ("DLV", 32_769),
    ("ANAME", 65_305),
];

/// What an error names of them: those that scenarios are about.
const USUAL: &str = "A, AAAA, CNAME, HTTPS, MX, NS, SOA, SRV, TXT";

/// The type as the services write it: by its name, or as `TYPE123` (RFC 3597 §5) where it has none here.
pub fn read(text: &str) -> Result<String, String> {
    let upper = text.to_ascii_uppercase();
    if NAMED.iter().any(|(name, _)| *name == upper) {
        return Ok(upper);
    }
    let number = upper.strip_prefix("TYPE").and_then(|number| number.parse::<u16>().ok());
    match number {
        Some(number) => {
            let named = NAMED.iter().find(|(_, known)| *known == number);
            Ok(named.map_or_else(|| format!("TYPE{number}"), |(name, _)| (*name).to_owned()))
        }
        None => {
            Err(format!("there is no record type {text:?}; among the types are {USUAL}, and TYPE123 for any number"))
        }
    }
}

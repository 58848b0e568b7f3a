//! The types of records that a fault may be meant for, with their numbers (IANA, "Resource Record (RR) TYPEs").

/// Those with names, which are the services' (the `dns` crate sees to it that both agree).
pub const NAMED: &[(&str, u16)] = &[
    ("ZERO", 0),
    ("A", 1),
    ("NS", 2),
    ("CNAME", 5),
    ("SOA", 6),
    ("NULL", 10),
    ("PTR", 12),
    ("HINFO", 13),
    ("MX", 15),
    ("TXT", 16),
    ("SIG", 24),
    ("KEY", 25),
    ("AAAA", 28),
    ("SRV", 33),
    ("NAPTR", 35),
    ("CERT", 37),
    ("DNAME", 39),
    ("OPT", 41),
    ("DS", 43),
    ("SSHFP", 44),
    ("RRSIG", 46),
    ("NSEC", 47),
    ("DNSKEY", 48),
    ("NSEC3", 50),
    ("NSEC3PARAM", 51),
    ("TLSA", 52),
    ("SMIMEA", 53),
    ("CDS", 59),
    ("CDNSKEY", 60),
    ("OPENPGPKEY", 61),
    ("CSYNC", 62),
    ("SVCB", 64),
    ("HTTPS", 65),
    ("TSIG", 250),
    ("IXFR", 251),
    ("AXFR", 252),
    ("ANY", 255),
    ("CAA", 257),
    ("ANAME", 65_305),
];

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
            let known = NAMED.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
            Err(format!("there is no record type {text:?}; types: {known}, or by number: TYPE123"))
        }
    }
}

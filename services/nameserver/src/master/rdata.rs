//! The data of one record, from its words.

use dns::words;
use hickory_proto::{
    rr::{
        Name, RData, Record, RecordType,
        rdata::{A, AAAA, CNAME, MX, NS, PTR, SOA, SRV, TXT},
    },
    serialize::{binary::BinDecodable, txt::parse_ttl},
};

use super::{
    name,
    token::{Token, unescaped},
};
use crate::problem::Problem;

/// A type by its name, or as `TYPEn` (RFC 3597 §5).
pub(super) fn rtype(text: &str) -> Result<RecordType, Problem> {
    let upper = text.to_ascii_uppercase();
    let unknown = || Problem::UnknownType(text.to_owned());
    let rtype = match upper.strip_prefix("TYPE").map(str::parse::<u16>) {
        Some(number) => RecordType::from(number.map_err(|_| unknown())?),
        None => upper.parse().map_err(|_| unknown())?,
    };
    // 128 to 255 are questions, OPT and the like (RFC 6895 §3.1). DNAME and ANAME would need answers made for them, which
    // this server does not make; serving them as plain data would be wrong. RRSIG and NSEC likewise.
    let served = !matches!(u16::from(rtype), 0 | 41 | 128..=255)
        && !matches!(
            rtype,
            RecordType::DNAME | RecordType::ANAME | RecordType::RRSIG | RecordType::NSEC | RecordType::NSEC3
        );
    if served { Ok(rtype) } else { Err(Problem::Type(rtype)) }
}

/// The data of a record of this type.
///
/// The types of everyday zones are read here, because hickory's reader of them takes `\DDD` for octal, ignores words that
/// are too much and splits quoted texts within parentheses; rarer types are left to it.
pub(super) fn rdata(rtype: RecordType, tokens: &[Token<'_>], origin: &Name) -> Result<RData, Problem> {
    let mut words = Words { rtype, rest: tokens };
    if tokens.first().is_some_and(|t| t.raw == r"\#" && !t.quoted) {
        return generic(rtype, &tokens[1..]);
    }
    let data = match rtype {
        RecordType::A => RData::A(A(words.parse("an IPv4 address")?)),
        RecordType::AAAA => RData::AAAA(AAAA(words.parse("an IPv6 address")?)),
        RecordType::NS => RData::NS(NS(words.name("the name server", origin)?)),
        RecordType::CNAME => RData::CNAME(CNAME(words.name("the canonical name", origin)?)),
        RecordType::PTR => RData::PTR(PTR(words.name("the name", origin)?)),
        RecordType::MX => RData::MX(MX::new(words.number("a preference")?, words.name("the mail exchange", origin)?)),
        RecordType::SRV => RData::SRV(SRV::new(
            words.number("a priority")?,
            words.number("a weight")?,
            words.number("a port")?,
            words.name("the target", origin)?,
        )),
        RecordType::SOA => soa(&mut words, origin)?,
        RecordType::TXT => {
            let texts: Vec<Vec<u8>> = words.texts()?;
            RData::TXT(TXT::from_bytes(texts.iter().map(Vec::as_slice).collect()))
        }
        _ => return foreign(rtype, tokens, origin),
    };
    match words.rest.first() {
        Some(more) => Err(Problem::TooMuch { rtype, text: more.raw.to_owned() }),
        None => Ok(data),
    }
}

fn soa(words: &mut Words<'_, '_>, origin: &Name) -> Result<RData, Problem> {
    Ok(RData::SOA(SOA::new(
        words.name("the primary server", origin)?,
        words.name("the mailbox", origin)?,
        words.number("a serial number")?,
        words.seconds("refresh")?,
        words.seconds("retry")?,
        words.seconds("expire")?,
        words.seconds("minimum")?.unsigned_abs(),
    )))
}

/// The words of a record's data that are still to be read.
struct Words<'w, 't> {
    rtype: RecordType,
    rest: &'w [Token<'t>],
}

impl<'t> Words<'_, 't> {
    fn next(&mut self, what: &str) -> Result<&'t str, Problem> {
        let (first, rest) =
            self.rest.split_first().ok_or_else(|| Problem::Missing(format!("{}: {what}", words::rtype(self.rtype))))?;
        self.rest = rest;
        Ok(first.raw)
    }

    fn parse<T: std::str::FromStr>(&mut self, what: &str) -> Result<T, Problem> {
        let text = self.next(what)?;
        text.parse().map_err(|_| self.bad(text, what))
    }

    /// A plain number; `FromStr` alone would take `+1` as well.
    fn number<T: std::str::FromStr>(&mut self, what: &str) -> Result<T, Problem> {
        let text = self.next(what)?;
        let digits = text.bytes().all(|b| b.is_ascii_digit());
        text.parse().ok().filter(|_| digits).ok_or_else(|| self.bad(text, what))
    }

    fn seconds(&mut self, what: &str) -> Result<i32, Problem> {
        let text = self.next(what)?;
        let seconds = parse_ttl(text).ok().and_then(|seconds| i32::try_from(seconds).ok());
        seconds.ok_or_else(|| self.bad(text, &format!("a time in seconds ({what})")))
    }

    fn name(&mut self, what: &str, origin: &Name) -> Result<Name, Problem> {
        name(self.next(what)?, origin)
    }

    fn texts(&mut self) -> Result<Vec<Vec<u8>>, Problem> {
        let mut texts = vec![text(self.next("a text")?)?];
        while !self.rest.is_empty() {
            texts.push(text(self.next("a text")?)?);
        }
        Ok(texts)
    }

    fn bad(&self, text: &str, wanted: &str) -> Problem {
        Problem::Data { rtype: self.rtype, text: text.to_owned(), wanted: wanted.to_owned() }
    }
}

/// A character-string: at most 255 bytes behind one length byte (RFC 1035 §3.3).
fn text(raw: &str) -> Result<Vec<u8>, Problem> {
    let bytes = unescaped(raw)?;
    if bytes.len() <= 255 { Ok(bytes) } else { Err(Problem::LongText(bytes.len())) }
}

/// `\# length hexadecimal`, for any type (RFC 3597 §5).
fn generic(rtype: RecordType, tokens: &[Token<'_>]) -> Result<RData, Problem> {
    let mut words = Words { rtype, rest: tokens };
    let length: u16 = words.number("a length")?;
    let hex: String = words.rest.iter().map(|token| token.raw).collect();
    let bad = |wanted: &str| Problem::Data { rtype, text: hex.clone(), wanted: wanted.to_owned() };
    let digits = hex.chars().map(|c| c.to_digit(16)).collect::<Option<Vec<u32>>>();
    let digits = digits.filter(|d| d.len() % 2 == 0).ok_or_else(|| bad("hexadecimal, two digits for a byte"))?;
    let bytes: Vec<u8> = digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect();
    if bytes.len() != usize::from(length) {
        return Err(bad(&format!("{length} bytes")));
    }
    // Read as if it came over the wire, so that a known type's data is what the type wants.
    let mut wire = vec![0];
    wire.extend_from_slice(&u16::from(rtype).to_be_bytes());
    wire.extend_from_slice(&[0, 1, 0, 0, 0, 0]);
    wire.extend_from_slice(&length.to_be_bytes());
    wire.extend_from_slice(&bytes);
    let record = Record::from_bytes(&wire).map_err(|error| bad(&format!("data of that type ({error})")))?;
    Ok(record.data)
}

/// A rarer type, read by hickory from one line of text.
fn foreign(rtype: RecordType, tokens: &[Token<'_>], origin: &Name) -> Result<RData, Problem> {
    let shown = || tokens.iter().map(|token| token.raw).collect::<Vec<_>>().join(" ");
    let bad = |wanted: String| Problem::Data { rtype, text: shown(), wanted };
    // hickory takes relative names in these types for absolute ones.
    let name_at = match rtype {
        RecordType::SVCB | RecordType::HTTPS => Some(1),
        RecordType::NAPTR => Some(5),
        _ => None,
    };
    let mut text = String::new();
    for (at, token) in tokens.iter().enumerate() {
        if token.raw.as_bytes().windows(2).any(|w| w[0] == b'\\' && w[1].is_ascii_digit()) {
            return Err(bad("free of \\DDD, which is supported in names and TXT only".to_owned()));
        }
        match name_at == Some(at) {
            true => text.push_str(&name(token.raw, origin)?.to_ascii()),
            false if token.quoted => text.extend(["\"", token.raw, "\""]),
            false => text.push_str(token.raw),
        }
        text.push(' ');
    }
    RData::try_from_str(rtype, &text).map_err(|error| bad(format!("data of that type ({error})")))
}

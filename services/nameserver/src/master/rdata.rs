//! The data of one record, from its words.

use data_encoding::{BASE32HEX_NOPAD, BASE64, HEXUPPER_PERMISSIVE};
use dns::words;
use hickory_proto::{
    rr::{Name, RData, Record, RecordType, rdata::NULL},
    serialize::{binary::BinDecodable, txt::parse_ttl},
};

use super::{
    fields::{self, Field, Mnemonics},
    name, numbers, printable,
    token::{Token, unescaped},
};
use crate::problem::Problem;

/// The longest data (RFC 1035 §3.2.1).
const LONGEST: usize = 65_535;

/// A type by its name, or as `TYPEn` (RFC 3597 §5).
pub(super) fn rtype(word: &Token<'_>) -> Result<RecordType, Problem> {
    let rtype = words::rtype_named(word.ascii()).ok_or_else(|| Problem::UnknownType(word.shown()))?;
    // 128 to 255 are questions and the like, OPT stands in messages (RFC 6895 §3.1). ANAME needs answers made for it.
    let served = !matches!(u16::from(rtype), 0 | 41 | 128..=255) && rtype != RecordType::ANAME;
    if served { Ok(rtype) } else { Err(Problem::Type(rtype)) }
}

/// The data of a record of this type.
pub(super) fn rdata(rtype: RecordType, tokens: &[Token<'_>], origin: &Name) -> Result<RData, Problem> {
    let fields = fields::fields(rtype);
    let mut words = Words { rtype, rest: tokens, origin, last: String::new() };
    let generic = tokens.first().is_some_and(|t| t.raw == br"\#" && !t.quoted);
    let wire = match fields {
        _ if generic => generic_data(&mut words.only(&tokens[1..]), fields)?,
        None => return Err(Problem::UnknownType(words::rtype(rtype))),
        Some(fields) => words.data(fields)?,
    };
    if wire.len() > LONGEST {
        return Err(Problem::LongData { rtype, bytes: wire.len() });
    }
    decoded(rtype, wire)
}

/// The types that look-ups look into are hickory's own; all others are bytes, which are served as they are.
fn decoded(rtype: RecordType, data: Vec<u8>) -> Result<RData, Problem> {
    use RecordType::{A, AAAA, CNAME, MX, NS, PTR, SOA, SRV, TXT};
    if data.is_empty() {
        return Ok(RData::Unknown { code: rtype, rdata: NULL::new() });
    }
    if !matches!(rtype, A | AAAA | CNAME | MX | NS | PTR | SOA | SRV | TXT) {
        return Ok(RData::Unknown { code: rtype, rdata: NULL::with(data) });
    }
    let mut wire = vec![0];
    wire.extend_from_slice(&u16::from(rtype).to_be_bytes());
    wire.extend_from_slice(&[0, 1, 0, 0, 0, 0]);
    wire.extend_from_slice(&u16::try_from(data.len()).unwrap_or(u16::MAX).to_be_bytes());
    wire.extend_from_slice(&data);
    let bad = |error| Problem::Data { rtype, text: printable(&data), wanted: format!("data of that type ({error})") };
    Ok(Record::from_bytes(&wire).map_err(bad)?.data)
}

/// `\# length hexadecimal`, for any type (RFC 3597 §5). A known type's data must be what the type wants.
fn generic_data(words: &mut Words<'_, '_>, fields: Option<&[Field]>) -> Result<Vec<u8>, Problem> {
    let length: u16 = words.number("a length")?;
    let bytes = if words.rest.is_empty() { Vec::new() } else { words.hex("the data")? };
    if bytes.len() != usize::from(length) {
        return Err(words.bad(&format!("{length} bytes of data, but {}", bytes.len())));
    }
    match fields {
        Some(fields) if !fields::conforms(fields, &bytes) => Err(words.bad("data of that type")),
        _ => Ok(bytes),
    }
}

/// The words of a record's data that are still to be read.
pub(super) struct Words<'w, 't> {
    pub(super) rtype: RecordType,
    pub(super) rest: &'w [Token<'t>],
    pub(super) origin: &'w Name,
    /// The word that was read last, as a message shows it.
    last: String,
}

impl<'t> Words<'_, 't> {
    fn data(&mut self, fields: &[Field]) -> Result<Vec<u8>, Problem> {
        let mut wire = Vec::new();
        for field in fields {
            self.field(*field, &mut wire)?;
        }
        match self.rest.first() {
            Some(more) => Err(Problem::TooMuch { rtype: self.rtype, text: more.shown() }),
            None if !fields::digest_fits(self.rtype, &wire) => Err(self.bad("as long as its type says")),
            None => Ok(wire),
        }
    }

    fn field(&mut self, field: Field, wire: &mut Vec<u8>) -> Result<(), Problem> {
        match field {
            Field::U8(what) => wire.push(self.number(what)?),
            Field::U16(what) => wire.extend(self.number::<u16>(what)?.to_be_bytes()),
            Field::U32(what) => wire.extend(self.number::<u32>(what)?.to_be_bytes()),
            Field::Named8(what, names) => wire.push(self.named(what, names)?),
            Field::Named16(what, names) => wire.extend(self.named::<u16>(what, names)?.to_be_bytes()),
            Field::Seconds(what) => wire.extend(self.seconds(what)?.to_be_bytes()),
            Field::Time(what) => {
                let text = self.next(what)?.ascii();
                wire.extend(numbers::time(text).ok_or_else(|| self.bad(what))?.to_be_bytes());
            }
            Field::V4 => wire.extend(self.parse::<std::net::Ipv4Addr>("an IPv4 address")?.octets()),
            Field::V6 => wire.extend(self.parse::<std::net::Ipv6Addr>("an IPv6 address")?.octets()),
            Field::Name(what) => self.name(what, wire)?,
            Field::Text(what) => self.text(what, wire)?,
            Field::Texts => {
                self.text("a text", wire)?;
                while !self.rest.is_empty() {
                    self.text("a text", wire)?;
                }
            }
            Field::Tag(what) => {
                let tag = self.next(what)?.ascii();
                let fits = (1..=255).contains(&tag.len()) && tag.bytes().all(|b| b.is_ascii_alphanumeric());
                let length =
                    u8::try_from(tag.len()).ok().filter(|_| fits).ok_or_else(|| self.bad("letters and digits"))?;
                wire.push(length);
                wire.extend_from_slice(tag.as_bytes());
            }
            Field::Bytes(what) => wire.extend(unescaped(self.next(what)?.raw)?),
            Field::Hex(what) => wire.extend(self.hex(what)?),
            Field::Base64(what) => wire.extend(self.base64(what)?),
            Field::Salt(what) => {
                let salt = self.next(what)?.ascii();
                let decoded = if salt == "-" { Some(Vec::new()) } else { decode_hex(salt) };
                self.counted(decoded, "hexadecimal, or - for none", wire)?;
            }
            Field::Base32(what) => {
                let decoded = BASE32HEX_NOPAD.decode(self.next(what)?.ascii().to_ascii_uppercase().as_bytes()).ok();
                self.counted(decoded.filter(|bytes| !bytes.is_empty()), "base32hex without padding", wire)?;
            }
            Field::Type(what) => wire.extend(u16::from(self.rtype_word(what)?).to_be_bytes()),
            Field::Types => self.bit_map(wire)?,
            Field::Groups(what, bytes, group, separator) => {
                let text = self.next(what)?.ascii();
                wire.extend(numbers::groups(text, bytes, group, separator).ok_or_else(|| self.bad(what))?);
            }
            Field::Own(own) => wire.extend((own.read)(self)?),
        }
        Ok(())
    }

    /// The next word.
    pub(super) fn next(&mut self, what: &str) -> Result<Token<'t>, Problem> {
        let (first, rest) =
            self.rest.split_first().ok_or_else(|| Problem::Missing(format!("{}: {what}", words::rtype(self.rtype))))?;
        self.rest = rest;
        self.last = first.shown();
        Ok(*first)
    }

    /// These words in place of its own.
    pub(super) fn only<'v>(&'v self, rest: &'v [Token<'t>]) -> Words<'v, 't> {
        Words { rtype: self.rtype, rest, origin: self.origin, last: String::new() }
    }

    /// The word that was read last is not what should stand there.
    pub(super) fn bad(&self, wanted: &str) -> Problem {
        Problem::Data { rtype: self.rtype, text: self.last.clone(), wanted: wanted.to_owned() }
    }

    /// A word that its type reads itself.
    pub(super) fn parse<T: std::str::FromStr>(&mut self, what: &str) -> Result<T, Problem> {
        self.next(what)?.ascii().parse().map_err(|_| self.bad(what))
    }

    /// A plain number; `FromStr` would take `+1` as well.
    pub(super) fn number<T: std::str::FromStr>(&mut self, what: &str) -> Result<T, Problem> {
        plain(self.next(what)?.ascii()).ok_or_else(|| self.bad(what))
    }

    fn named<T: std::str::FromStr + From<u8>>(&mut self, what: &str, names: Mnemonics) -> Result<T, Problem> {
        let text = self.next(what)?.ascii();
        let named = names.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, number)| T::from(*number));
        named.or_else(|| plain(text)).ok_or_else(|| self.bad(what))
    }

    fn seconds(&mut self, what: &str) -> Result<u32, Problem> {
        let seconds = parse_ttl(self.next(what)?.ascii()).ok().filter(|seconds| i32::try_from(*seconds).is_ok());
        seconds.ok_or_else(|| self.bad(&format!("a time in seconds ({what})")))
    }

    /// A name, not compressed.
    pub(super) fn name(&mut self, what: &str, wire: &mut Vec<u8>) -> Result<(), Problem> {
        for label in &name(&self.next(what)?, self.origin)? {
            // hickory keeps labels within 63 bytes.
            wire.push(label.len() as u8);
            wire.extend_from_slice(label);
        }
        wire.push(0);
        Ok(())
    }

    /// A character-string: at most 255 bytes behind one length byte (RFC 1035 §3.3).
    pub(super) fn text(&mut self, what: &str, wire: &mut Vec<u8>) -> Result<(), Problem> {
        let bytes = unescaped(self.next(what)?.raw)?;
        wire.push(u8::try_from(bytes.len()).map_err(|_| Problem::LongText(bytes.len()))?);
        wire.extend(bytes);
        Ok(())
    }

    /// Bytes behind their number.
    fn counted(&self, bytes: Option<Vec<u8>>, wanted: &str, wire: &mut Vec<u8>) -> Result<(), Problem> {
        let bytes = bytes.filter(|bytes| bytes.len() <= 255).ok_or_else(|| self.bad(wanted))?;
        wire.push(bytes.len() as u8);
        wire.extend(bytes);
        Ok(())
    }

    /// Hexadecimal digits in as many words as there are.
    pub(super) fn hex(&mut self, what: &str) -> Result<Vec<u8>, Problem> {
        let digits = self.joined(what)?;
        decode_hex(&digits).ok_or_else(|| self.bad("hexadecimal, two digits for a byte"))
    }

    /// base64 in as many words as there are.
    pub(super) fn base64(&mut self, what: &str) -> Result<Vec<u8>, Problem> {
        let text = self.joined(what)?;
        BASE64.decode(text.as_bytes()).map_err(|_| self.bad("base64"))
    }

    /// All the words that are left as one.
    fn joined(&mut self, what: &str) -> Result<String, Problem> {
        let mut text = self.next(what)?.ascii().to_owned();
        while let Ok(word) = self.next(what) {
            text.push_str(word.ascii());
        }
        self.last = printable(text.as_bytes());
        Ok(text)
    }

    fn rtype_word(&mut self, what: &str) -> Result<RecordType, Problem> {
        words::rtype_named(self.next(what)?.ascii()).ok_or_else(|| self.bad("a type"))
    }

    /// RFC 4034 §4.1.2.
    fn bit_map(&mut self, wire: &mut Vec<u8>) -> Result<(), Problem> {
        let mut types = std::collections::BTreeSet::new();
        while !self.rest.is_empty() {
            types.insert(u16::from(self.rtype_word("a type")?));
        }
        let mut types = types.into_iter().peekable();
        while let Some(&first) = types.peek() {
            let window = first >> 8;
            let mut bits = [0_u8; 32];
            let mut length = 0;
            while let Some(rtype) = types.next_if(|rtype| rtype >> 8 == window) {
                let low = usize::from(rtype & 0xff);
                bits[low / 8] |= 0x80 >> (low % 8);
                length = low / 8 + 1;
            }
            wire.extend([window as u8, length as u8]);
            wire.extend_from_slice(&bits[..length]);
        }
        Ok(())
    }
}

/// A number of digits only.
pub(super) fn plain<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.parse().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()))
}

fn decode_hex(text: &str) -> Option<Vec<u8>> {
    HEXUPPER_PERMISSIVE.decode(text.as_bytes()).ok()
}

//! Data in notations of its own: places on Earth, address prefixes, points in time.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{
    fields::{Own, after_name, is_loc},
    rdata::{Words, plain},
};
use crate::problem::Problem;

/// The length of a LOC record's data (RFC 1876 §2).
pub(super) const LOC_BYTES: usize = 16;

pub(super) const LOC: Own = Own { read: loc, conforms: is_loc };
pub(super) const APL: Own = Own { read: apl, conforms: is_apl };
pub(super) const IPSECKEY: Own = Own { read: ipseckey, conforms: |bytes| bytes.len() >= 3 };
pub(super) const HIP: Own = Own { read: hip, conforms: is_hip };
pub(super) const NSAP: Own = Own { read: nsap, conforms: |bytes| !bytes.is_empty() };
pub(super) const ISDN: Own = Own { read: isdn, conforms: |bytes| !bytes.is_empty() };

/// A point in time: seconds, or year, month, day, hour, minute and second in 14 digits (RFC 4034 §3.2). Years beyond 2106
/// come round (RFC 1982).
pub(super) fn time(text: &str) -> Option<u32> {
    if text.len() != 14 {
        return plain(text);
    }
    let part = |from: usize, to: usize| plain::<u64>(text.get(from..to)?);
    let (year, month, day) = (part(0, 4)?, part(4, 6)?, part(6, 8)?);
    let (hour, minute, second) = (part(8, 10)?, part(10, 12)?, part(12, 14)?);
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = [31, if leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let before = days.get(..usize::try_from(month).ok()?.checked_sub(1)?)?;
    let within = (1..=*days.get(before.len())?).contains(&day) && hour < 24 && minute < 60 && second < 61;
    if year < 1970 || !within {
        return None;
    }
    let years: u64 = (1970..year).map(|year| if leap(year) { 366 } else { 365 }).sum();
    let days = years + before.iter().sum::<u64>() + day - 1;
    Some((((days * 24 + hour) * 60 + minute) * 60 + second) as u32)
}

/// So many bytes in groups of so many, as `0014:4fff:ff20:ee64`.
pub(super) fn groups(text: &str, bytes: usize, group: usize, separator: char) -> Option<Vec<u8>> {
    let mut wire = Vec::with_capacity(bytes);
    for part in text.split(separator) {
        let digits = part.bytes().all(|b| b.is_ascii_hexdigit());
        // Identifiers may leave out leading zeros (RFC 6742 §2.1.1), EUI addresses not (RFC 7043 §3.2).
        let fits = (if group == 1 { part.len() == 2 } else { (1..=4).contains(&part.len()) }) && digits;
        let number = u16::from_str_radix(part, 16).ok().filter(|_| fits)?;
        wire.extend_from_slice(&number.to_be_bytes()[2 - group..]);
    }
    (wire.len() == bytes).then_some(wire)
}

/// RFC 1876 §3: `d1 [m1 [s1]] {N|S} d2 [m2 [s2]] {E|W} alt[m] [size[m] [hp[m] [vp[m]]]]`.
fn loc(words: &mut Words<'_, '_>) -> Result<Vec<u8>, Problem> {
    let latitude = angle(words, "the latitude", 90, ["N", "S"])?;
    let longitude = angle(words, "the longitude", 180, ["E", "W"])?;
    let altitude = words.next("the altitude")?;
    let centimetres = metres(altitude.ascii()).filter(|cm| (-10_000_000..=4_284_967_295).contains(cm));
    let altitude = centimetres.ok_or_else(|| words.bad("an altitude in metres"))? + 10_000_000;
    let mut sizes = [100_i64, 1_000_000, 1_000];
    for size in &mut sizes {
        if let Some(word) = words.rest.first() {
            words.next("a size")?;
            let cm = metres(word.ascii()).filter(|cm| (0..=9_000_000_000).contains(cm));
            *size = cm.ok_or_else(|| words.bad("a size in metres"))?;
        }
    }
    let mut wire = vec![0];
    wire.extend(sizes.map(exponential));
    for number in [latitude, longitude, altitude as u32] {
        wire.extend(number.to_be_bytes());
    }
    Ok(wire)
}

/// Thousandths of a second of arc around 2^31.
fn angle(words: &mut Words<'_, '_>, what: &str, most: u32, sides: [&str; 2]) -> Result<u32, Problem> {
    let degrees: u32 = words.number(what)?;
    let mut parts = [0_u32; 2];
    let mut at = 0;
    let side = loop {
        let word = words.next(what)?.ascii();
        if let Some(side) = sides.iter().position(|side| side.eq_ignore_ascii_case(word)) {
            break side;
        }
        let part = match at {
            0 => plain::<u32>(word).filter(|minutes| *minutes < 60),
            1 => decimal(word, 3).and_then(|thousandths| u32::try_from(thousandths).ok()).filter(|t| *t < 60_000),
            _ => None,
        };
        parts[at.min(1)] = part.ok_or_else(|| words.bad(what))?;
        at += 1;
    };
    let [minutes, thousandths] = parts;
    let thousandths =
        degrees.checked_mul(3_600_000).map(|all| u64::from(all) + u64::from(minutes) * 60_000 + u64::from(thousandths));
    let within = thousandths.filter(|all| *all <= u64::from(most) * 3_600_000);
    let within = within.ok_or_else(|| words.bad(what))? as u32;
    Ok(if side == 0 { (1 << 31) + within } else { (1 << 31) - within })
}

/// Metres with two places, in centimetres.
fn metres(text: &str) -> Option<i64> {
    let text = text.strip_suffix(['m', 'M']).unwrap_or(text);
    match text.strip_prefix('-') {
        Some(text) => Some(-decimal(text, 2)?),
        None => decimal(text, 2),
    }
}

/// A decimal number of at most so many places, without its point.
fn decimal(text: &str, places: usize) -> Option<i64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    if part.len() > places || whole.is_empty() || whole.len() > 12 {
        return None;
    }
    plain(&format!("{whole}{part:0<places$}"))
}

/// One digit and a power of ten, four bits each (RFC 1876 §2).
fn exponential(mut centimetres: i64) -> u8 {
    let mut exponent = 0;
    while centimetres > 9 {
        centimetres /= 10;
        exponent += 1;
    }
    (centimetres as u8) << 4 | exponent
}

/// RFC 3123 §5: `[!]family:address/prefix`, any number of them.
fn apl(words: &mut Words<'_, '_>) -> Result<Vec<u8>, Problem> {
    let mut wire = Vec::new();
    while !words.rest.is_empty() {
        let item = prefix(words.next("an address prefix")?.ascii());
        wire.extend(item.ok_or_else(|| words.bad("an address prefix, as 1:192.0.2.0/24"))?);
    }
    Ok(wire)
}

fn prefix(text: &str) -> Option<Vec<u8>> {
    let (negated, text) = text.strip_prefix('!').map_or((0, text), |text| (0x80, text));
    let (family, text) = text.split_once(':')?;
    let (address, length) = text.split_once('/')?;
    let (family, mut address, most) = match family {
        "1" => (1_u16, address.parse::<Ipv4Addr>().ok()?.octets().to_vec(), 32),
        "2" => (2, address.parse::<Ipv6Addr>().ok()?.octets().to_vec(), 128),
        _ => return None,
    };
    let length = plain::<u8>(length).filter(|length| *length <= most)?;
    while address.last() == Some(&0) {
        address.pop();
    }
    let mut wire = family.to_be_bytes().to_vec();
    wire.extend([length, negated | address.len() as u8]);
    wire.extend(address);
    Some(wire)
}

fn is_apl(mut bytes: &[u8]) -> bool {
    while let [_, _, _, length, rest @ ..] = bytes {
        match rest.get(usize::from(length & 0x7f)..) {
            Some(rest) => bytes = rest,
            None => return false,
        }
    }
    bytes.is_empty()
}

/// RFC 4025 §3.1: precedence, gateway type, algorithm, gateway, key. Algorithm 0 has no key.
fn ipseckey(words: &mut Words<'_, '_>) -> Result<Vec<u8>, Problem> {
    let [precedence, kind, algorithm] =
        [words.number::<u8>("the precedence")?, words.number("the gateway's type")?, words.number("the algorithm")?];
    let mut wire = vec![precedence, kind, algorithm];
    match kind {
        0 if words.next("the gateway")?.raw == b"." => {}
        1 => wire.extend(words.parse::<Ipv4Addr>("an IPv4 address")?.octets()),
        2 => wire.extend(words.parse::<Ipv6Addr>("an IPv6 address")?.octets()),
        3 => words.name("the gateway", &mut wire)?,
        _ => return Err(words.bad("a gateway of types 0 to 3 (RFC 4025 §2.3)")),
    }
    if algorithm != 0 {
        wire.extend(words.base64("the key")?);
    }
    Ok(wire)
}

/// RFC 8005 §6: algorithm, host identity tag, key, rendezvous servers.
fn hip(words: &mut Words<'_, '_>) -> Result<Vec<u8>, Problem> {
    let algorithm: u8 = words.number("the algorithm")?;
    let (tag, key) = ([words.next("the host identity tag")?], [words.next("the key")?]);
    let tag = words.only(&tag).hex("the host identity tag")?;
    let key = words.only(&key).base64("the key")?;
    let lengths = u8::try_from(tag.len()).ok().zip(u16::try_from(key.len()).ok());
    let (tag_length, key_length) = lengths.ok_or_else(|| words.bad("short enough"))?;
    let mut wire = vec![tag_length, algorithm];
    wire.extend(key_length.to_be_bytes());
    wire.extend(tag);
    wire.extend(key);
    while !words.rest.is_empty() {
        words.name("a rendezvous server", &mut wire)?;
    }
    Ok(wire)
}

fn is_hip(bytes: &[u8]) -> bool {
    let [tag, _, high, low, rest @ ..] = bytes else { return false };
    let mut rest = rest.get(usize::from(*tag) + usize::from(u16::from_be_bytes([*high, *low]))..);
    while let Some(names) = rest.filter(|names| !names.is_empty()) {
        rest = after_name(names);
    }
    rest.is_some()
}

/// RFC 1706 §5: hexadecimal digits behind 0x; dots have no meaning.
fn nsap(words: &mut Words<'_, '_>) -> Result<Vec<u8>, Problem> {
    let text = words.next("the address")?.ascii().replace('.', "");
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let bytes = digits.and_then(|digits| data_encoding::HEXUPPER_PERMISSIVE.decode(digits.as_bytes()).ok());
    bytes.filter(|bytes| !bytes.is_empty()).ok_or_else(|| words.bad("hexadecimal behind 0x"))
}

/// RFC 1183 §3.2: an address, and a subaddress where there is one.
fn isdn(words: &mut Words<'_, '_>) -> Result<Vec<u8>, Problem> {
    let mut wire = Vec::new();
    words.text("the address", &mut wire)?;
    if !words.rest.is_empty() {
        words.text("the subaddress", &mut wire)?;
    }
    Ok(wire)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_in_time() {
        for (text, seconds) in [
            ("19700101000000", Some(0)),
            ("20000229120000", Some(951_825_600)),
            ("20261130235959", Some(1_796_083_199)),
            ("21060207062816", Some(0)),
            ("0", Some(0)),
            ("4294967295", Some(u32::MAX)),
            ("4294967296", None),
            ("20010229000000", None),
            ("20001301000000", None),
            ("20000001000000", None),
            ("+2000010100000", None),
            ("19691231235959", None),
        ] {
            assert_eq!(time(text), seconds, "{text}");
        }
    }

    #[test]
    fn groups_of_digits() {
        assert_eq!(groups("14:4fff:0:ee64", 8, 2, ':').unwrap(), [0, 0x14, 0x4f, 0xff, 0, 0, 0xee, 0x64]);
        assert_eq!(groups("00-00-5e-00-53-2a", 6, 1, '-').unwrap(), [0, 0, 0x5e, 0, 0x53, 0x2a]);
        for (text, bytes, group, separator) in [
            ("14:4fff:0", 8, 2, ':'),
            ("14:4fff:0:", 8, 2, ':'),
            ("0-0-5e-0-53-2a", 6, 1, '-'),
            ("+1:1:1:1", 8, 2, ':'),
        ] {
            assert_eq!(groups(text, bytes, group, separator), None, "{text}");
        }
    }
}

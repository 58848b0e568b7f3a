//! The parameters of SVCB and HTTPS records (RFC 9460 §2.1, appendix A and D.3).

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, Ipv6Addr},
};

use data_encoding::BASE64;

use super::{
    fields::Own,
    rdata::{Words, plain},
    token::{Token, unescaped},
};
use crate::problem::Problem;

pub(super) const PARAMETERS: Own = Own { read: parameters, conforms };

const MANDATORY: u16 = 0;
const ALPN: u16 = 1;
const NO_DEFAULT_ALPN: u16 = 2;
const PORT: u16 = 3;
const IPV4HINT: u16 = 4;
const ECH: u16 = 5;
const IPV6HINT: u16 = 6;
const DOHPATH: u16 = 7;
const OHTTP: u16 = 8;
/// Reserved: it is no key (RFC 9460 §14.3.2).
const INVALID: u16 = 65_535;

/// Keys by name (RFC 9460 §14.3.2, RFC 9461 §5, RFC 9540 §4).
const KEYS: [(&str, u16); 9] = [
    ("mandatory", MANDATORY),
    ("alpn", ALPN),
    ("no-default-alpn", NO_DEFAULT_ALPN),
    ("port", PORT),
    ("ipv4hint", IPV4HINT),
    ("ech", ECH),
    ("ipv6hint", IPV6HINT),
    ("dohpath", DOHPATH),
    ("ohttp", OHTTP),
];

/// Parameters in any order, as bytes in the order of their keys.
fn parameters(words: &mut Words<'_, '_>) -> Result<Vec<u8>, Problem> {
    let mut all = BTreeMap::new();
    while !words.rest.is_empty() {
        let word = words.next("a parameter")?;
        let quoted = value_in_quotes(words, &word)?;
        let equals = word.raw.iter().position(|&byte| byte == b'=');
        let (name, inline) = equals.map_or((word.raw, None), |at| (&word.raw[..at], Some(&word.raw[at + 1..])));
        let key = key(name).filter(|_| !word.quoted && !word.joined).ok_or_else(|| words.bad("a parameter's key"))?;
        let value = match quoted.map(|token| token.raw).or(inline) {
            Some(raw) => unescaped(raw)?,
            None => Vec::new(),
        };
        let by_name = !name.starts_with(b"key");
        let wire = if by_name { encoded(key, &value) } else { Ok(value) }.map_err(|wanted| words.bad(wanted))?;
        if let Some(wanted) = wrong(key, &wire) {
            return Err(words.bad(wanted));
        }
        if wire.len() > usize::from(u16::MAX) {
            return Err(words.bad("a parameter of at most 65535 bytes"));
        }
        if all.insert(key, wire).is_some() {
            return Err(words.bad("a parameter that is there once (RFC 9460 §2.1)"));
        }
    }
    if let Some(wanted) = inconsistent(&all) {
        return Err(words.bad(wanted));
    }
    let mut wire = Vec::new();
    for (key, value) in all {
        wire.extend(key.to_be_bytes());
        wire.extend((value.len() as u16).to_be_bytes());
        wire.extend(value);
    }
    Ok(wire)
}

/// `key="value"` is two words without a blank between them.
fn value_in_quotes<'t>(words: &mut Words<'_, 't>, key: &Token<'t>) -> Result<Option<Token<'t>>, Problem> {
    match words.rest.first() {
        Some(next) if next.joined && next.quoted && key.raw.ends_with(b"=") => words.next("a value").map(Some),
        Some(next) if next.joined => Err(words.bad("followed by a blank")),
        _ => Ok(None),
    }
}

fn key(name: &[u8]) -> Option<u16> {
    let name = std::str::from_utf8(name).ok()?;
    if let Some((_, key)) = KEYS.iter().find(|(known, _)| *known == name) {
        return Some(*key);
    }
    let number = name.strip_prefix("key")?;
    // No leading zeros (RFC 9460 §2.1).
    let canonical = number == "0" || !number.starts_with('0');
    plain(number).filter(|key| canonical && *key != INVALID)
}

/// A value in its key's notation as bytes.
fn encoded(key: u16, value: &[u8]) -> Result<Vec<u8>, &'static str> {
    let text = || std::str::from_utf8(value).ok();
    let listed = |wanted: &'static str, item: &dyn Fn(&str) -> Option<Vec<u8>>| {
        let items = text().and_then(|text| text.split(',').map(item).collect::<Option<Vec<_>>>());
        items.map(|items| items.concat()).ok_or(wanted)
    };
    match key {
        MANDATORY => {
            let keys = text().map(|text| text.split(',').map(|name| self::key(name.as_bytes())).collect());
            let mut keys: Vec<u16> = keys.flatten().ok_or("a list of keys")?;
            keys.sort_unstable();
            Ok(keys.into_iter().flat_map(u16::to_be_bytes).collect())
        }
        ALPN => protocols(value).ok_or("a list of protocols of 1 to 255 bytes (RFC 9460 §7.1.1)"),
        PORT => text().and_then(plain::<u16>).map(|port| port.to_be_bytes().to_vec()).ok_or("a port"),
        IPV4HINT => listed("a list of IPv4 addresses", &|item| Some(item.parse::<Ipv4Addr>().ok()?.octets().to_vec())),
        IPV6HINT => listed("a list of IPv6 addresses", &|item| Some(item.parse::<Ipv6Addr>().ok()?.octets().to_vec())),
        ECH => BASE64.decode(value).map_err(|_| "an ECH configuration in base64"),
        _ => Ok(value.to_vec()),
    }
}

/// A list whose items may hold `\,` and `\\` (RFC 9460 appendix A.1), each behind its length.
fn protocols(value: &[u8]) -> Option<Vec<u8>> {
    let mut items = vec![Vec::new()];
    let mut bytes = value.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b',' => items.push(Vec::new()),
            b'\\' => items.last_mut()?.push(*bytes.next().filter(|next| matches!(next, b',' | b'\\'))?),
            byte => items.last_mut()?.push(byte),
        }
    }
    let mut wire = Vec::new();
    for item in items {
        wire.push(u8::try_from(item.len()).ok().filter(|length| *length > 0)?);
        wire.extend(item);
    }
    Some(wire)
}

/// What these bytes of a parameter should be and are not.
fn wrong(key: u16, wire: &[u8]) -> Option<&'static str> {
    let listed = |size: usize| !wire.is_empty() && wire.len().is_multiple_of(size);
    let (fits, wanted) = match key {
        MANDATORY => {
            let keys: Vec<[u8; 2]> = wire.as_chunks().0.to_vec();
            let ascending = keys.is_sorted_by(|a, b| a < b) && !keys.contains(&MANDATORY.to_be_bytes());
            (listed(2) && ascending, "a list of keys, each once and not \"mandatory\" (RFC 9460 §8)")
        }
        ALPN => (is_protocols(wire), "a list of protocols"),
        NO_DEFAULT_ALPN | OHTTP => (wire.is_empty(), "a parameter without a value"),
        PORT => (wire.len() == 2, "a port"),
        IPV4HINT => (listed(4), "a list of IPv4 addresses"),
        IPV6HINT => (listed(16), "a list of IPv6 addresses"),
        ECH => (!wire.is_empty(), "an ECH configuration"),
        DOHPATH => (is_template(wire), "a URI template with the variable dns, as /dns-query{?dns} (RFC 9461 §5)"),
        _ => (true, ""),
    };
    (!fits).then_some(wanted)
}

fn is_protocols(mut wire: &[u8]) -> bool {
    let any = !wire.is_empty();
    while let [length, rest @ ..] = wire {
        match rest.get(usize::from(*length)..).filter(|_| *length > 0) {
            Some(rest) => wire = rest,
            None => return false,
        }
    }
    any && wire.is_empty()
}

fn is_template(wire: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(wire) else { return false };
    let mut expressions = text.split('{').skip(1).filter_map(|rest| rest.split('}').next());
    text.starts_with('/') && expressions.any(|inner| inner.trim_start_matches('?').split(',').any(|name| name == "dns"))
}

/// What contradicts itself among parameters that are good each by itself.
fn inconsistent(all: &BTreeMap<u16, Vec<u8>>) -> Option<&'static str> {
    let mandatory = all.get(&MANDATORY).map(Vec::as_slice).unwrap_or_default();
    if mandatory.as_chunks().0.iter().any(|key| !all.contains_key(&u16::from_be_bytes(*key))) {
        return Some("a list with all its mandatory keys (RFC 9460 §8)");
    }
    let lonely = all.contains_key(&NO_DEFAULT_ALPN) && !all.contains_key(&ALPN);
    lonely.then_some("a list with alpn, which no-default-alpn needs (RFC 9460 §7.1.1)")
}

/// Whether bytes are parameters in the order of their keys.
fn conforms(mut bytes: &[u8]) -> bool {
    let mut all = BTreeMap::new();
    while let [k1, k2, l1, l2, rest @ ..] = bytes {
        let (key, length) = (u16::from_be_bytes([*k1, *k2]), usize::from(u16::from_be_bytes([*l1, *l2])));
        let Some((value, rest)) = rest.split_at_checked(length) else { return false };
        let ascending = all.last_key_value().is_none_or(|(last, _)| *last < key);
        if !ascending || key == INVALID || wrong(key, value).is_some() {
            return false;
        }
        all.insert(key, value.to_vec());
        bytes = rest;
    }
    bytes.is_empty() && inconsistent(&all).is_none()
}

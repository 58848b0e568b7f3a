//! How a fault is written and read: `PLACE:FAULT[=AMOUNT][,PARAMETER=VALUE…]`.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::{
    Amount, Client, Fault, FaultError, Frames, Kind, Only, Place, Role, Transport, When,
    kind::{self, Takes, WORDS, Word},
    rtype,
};

const FRAMES: [(&str, Frames); 9] = [
    ("all", Frames::All),
    ("arp", Frames::Arp),
    ("icmp", Frames::Icmp),
    ("udp", Frames::Udp),
    ("tcp", Frames::Tcp),
    ("syn", Frames::Syn),
    ("syn-ack", Frames::SynAck),
    ("fin", Frames::Fin),
    ("data", Frames::Data),
];

const TRANSPORTS: [(&str, Transport); 4] =
    [("udp", Transport::Udp), ("tcp", Transport::Tcp), ("tls", Transport::Tls), ("https", Transport::Https)];

/// The parameters of a fault at a host, and of one in the network.
const AT_HOSTS: &str = "zone=ZONE, name=NAME, type=TYPE, transport=udp|tcp|tls|https, client=HOST|ADDRESS, first=N, every=N, \
                        after=N, after=NB (bytes), chance=N%, seed=N, for=TIME";
const IN_THE_NETWORK: &str = "at=HOST, frames=KIND, first=N, every=N, after=N, chance=N%, seed=N, for=TIME";

/// The longest time of any kind: whatever waits is kept in memory.
const LONGEST: Duration = Duration::from_secs(60);
/// The longest life.
const LONGEST_LIFE: Duration = Duration::from_secs(86_400);

impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        parse(text).map_err(|why| FaultError { given: text.to_owned(), why })
    }
}

fn parse(text: &str) -> Result<Fault, String> {
    let shape = "write PLACE:FAULT[=AMOUNT][,PARAMETER=VALUE…], like auth1:servfail or wire:loss=20%,seed=7";
    let (place, rest) = text.split_once(':').ok_or(shape)?;
    let place = match place {
        "" => return Err(shape.to_owned()),
        "wire" => Place::Wire,
        host => Place::Host(host.to_owned()),
    };
    let mut words = rest.split(',');
    let (name, amount) = word(words.next().unwrap_or_default());
    let word = find(&place, name)?;
    let mut fault =
        Fault { place, kind: word.kind, amount: None, behind: None, only: Only::default(), when: When::default() };
    take_amount(&mut fault, word, amount)?;
    let mut seen: Vec<(&str, bool)> = Vec::new();
    for text in words {
        let (name, value) = self::word(text);
        // after=3 and after=100B are two things.
        let key = (name, value.is_some_and(|value| name == "after" && value.ends_with('B')));
        if seen.contains(&key) {
            return Err(format!("{name} stands twice"));
        }
        seen.push(key);
        let value = value
            .filter(|value| !value.is_empty())
            .ok_or_else(|| format!("{text:?} has no value; parameters: {}", parameters(&fault)))?;
        take(&mut fault, name, value)?;
    }
    Ok(fault)
}

fn parameters(fault: &Fault) -> &'static str {
    if fault.place == Place::Wire { IN_THE_NETWORK } else { AT_HOSTS }
}

fn find(place: &Place, name: &str) -> Result<&'static Word, String> {
    let fits = |word: &&Word| word.roles.contains(&Role::Wire) == (*place == Place::Wire);
    if let Some(word) = WORDS.iter().filter(fits).find(|word| word.name == name) {
        return Ok(word);
    }
    Err(match place {
        Place::Wire => format!("there is no fault of the network {name:?}; faults: {}", kind::names(Role::Wire)),
        Place::Host(_) => format!(
            "there is no fault {name:?}; faults of name servers: {}; of a resolver: {}; of application servers: {}",
            kind::names(Role::Nameserver),
            kind::names(Role::Resolver),
            kind::names(Role::App)
        ),
    })
}

fn word(text: &str) -> (&str, Option<&str>) {
    text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)))
}

fn take_amount(fault: &mut Fault, word: &Word, amount: Option<&str>) -> Result<(), String> {
    let name = word.name;
    fault.amount = match (word.takes, amount) {
        (Takes::Nothing, None) | (Takes::Share | Takes::Address, None) => None,
        (Takes::Nothing, Some(_)) => return Err(format!("{name} takes no amount: it {}", word.about)),
        (Takes::Time, None) => return Err(format!("{name} needs a time: {name}=40ms")),
        (Takes::Time, Some(text)) => Some(Amount::Time(time(text, LONGEST)?)),
        (Takes::Share, Some(text)) => {
            // All is what is meant without a word, too.
            fault.when.chance = Some(share(text)?).filter(|share| *share < 1.0);
            None
        }
        (Takes::Status, None) => Some(Amount::Status(503)),
        (Takes::Status, Some(text)) => match text.parse() {
            Ok(status @ 200..=599) => Some(Amount::Status(status)),
            _ => return Err(format!("{text:?} is no final HTTP status: 200 to 599")),
        },
        (Takes::Address, Some(text)) => {
            Some(Amount::Address(text.parse().map_err(|_| format!("{text:?} is no address"))?))
        }
    };
    Ok(())
}

fn take(fault: &mut Fault, name: &str, value: &str) -> Result<(), String> {
    let is_wire = fault.place == Place::Wire;
    let (only, when) = (&mut fault.only, &mut fault.when);
    match (name, is_wire) {
        ("first", _) => when.first = Some(number(name, value)?),
        ("every", _) => when.every = Some(number(name, value)?),
        ("after", false) if value.ends_with('B') => {
            if !matches!(fault.kind, Kind::Reset | Kind::Cut) {
                let name = fault.kind.name();
                return Err(format!("{name} does not happen behind some bytes of an answer; what does: reset, cut"));
            }
            // Behind no byte at all, an answer has not begun: that is reset and empty without more.
            let bytes = value.strip_suffix('B').and_then(|number| number.parse().ok()).filter(|bytes| *bytes > 0);
            let wrong = || format!("{value:?} is no number of bytes from 1 on: write after=100B");
            fault.behind = Some(bytes.ok_or_else(wrong)?);
        }
        ("after", _) => when.after = number(name, value)?,
        ("chance", _) if when.chance.is_some() => return Err("the share is its chance already".to_owned()),
        ("chance", _) => when.chance = Some(share(value)?),
        ("seed", _) => when.seed = value.parse().map_err(|_| format!("seed={value} is no number"))?,
        ("for", _) => when.lasting = Some(time(value, LONGEST_LIFE)?),
        ("at", true) => only.at = Some(value.to_owned()),
        ("frames", true) => only.frames = one_of(&FRAMES, value, "kind of frames", "kinds")?,
        ("zone", false) => only.zone = Some(name_of(value)?),
        ("name", false) => only.name = Some(name_of(value)?),
        ("type", false) => only.rtype = Some(rtype::read(value)?),
        ("transport", false) => only.transport = Some(one_of(&TRANSPORTS, value, "transport", "transports")?),
        ("client", false) => {
            only.client = Some(match value.parse() {
                Ok(ip) => Client::Address(ip),
                Err(_) => Client::Host(value.to_owned()),
            });
        }
        _ => return Err(format!("there is no parameter {name:?} here; parameters: {}", parameters(fault))),
    }
    Ok(())
}

fn name_of(text: &str) -> Result<String, String> {
    let bare = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let is_name = bare.split('.').all(|label| (1..=63).contains(&label.len())) && bare.len() <= 253;
    match bare.as_str() {
        "" => Ok(".".to_owned()),
        _ if is_name => Ok(format!("{bare}.")),
        _ => Err(format!("{text:?} is no name")),
    }
}

fn one_of<T: Copy>(all: &[(&str, T)], name: &str, what: &str, plural: &str) -> Result<T, String> {
    let found = all.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
    found.ok_or_else(|| {
        let known = all.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        format!("there is no {what} {name:?}; {plural}: {known}")
    })
}

fn share(text: &str) -> Result<f64, String> {
    let percent = text.strip_suffix('%').and_then(|number| number.parse::<f64>().ok());
    match percent {
        Some(percent) if (0.0..=100.0).contains(&percent) => Ok(percent / 100.0),
        _ => Err(format!("{text:?} is no share: write 0% to 100%")),
    }
}

/// `40ms`, `1.5s`, `200us`, `2m`, `1h`; of at most this.
pub fn time(text: &str, longest: Duration) -> Result<Duration, String> {
    let units = [("us", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3_600.0)];
    let read = units.iter().find_map(|(unit, seconds)| {
        let number: f64 = text.strip_suffix(unit)?.parse().ok()?;
        Duration::try_from_secs_f64(number * seconds).ok()
    });
    match read {
        Some(time) if time <= longest => Ok(time),
        Some(_) => Err(format!("{text:?} is too long: at most {} s", longest.as_secs())),
        None => Err(format!("{text:?} is no time: write 40ms, 1.5s or 2m")),
    }
}

fn number(name: &str, text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(number @ 1..) => Ok(number),
        _ => Err(format!("{name}={text} is no number from 1 on")),
    }
}

/// As it is written.
pub(super) fn word_of(transport: Transport) -> &'static str {
    word_for(&TRANSPORTS, transport)
}

fn word_for<T: Copy + PartialEq>(all: &[(&'static str, T)], value: T) -> &'static str {
    all.iter().find(|(_, known)| *known == value).map_or("", |(name, _)| name)
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wire => "wire",
            Self::Host(host) => host,
        })
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(ip) => ip.fmt(f),
            Self::Host(host) => f.write_str(host),
        }
    }
}

impl fmt::Display for Fault {
    /// As one writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, kind, amount, behind, only, when } = self;
        write!(f, "{place}:{}", kind.name())?;
        let is_share = matches!(kind, Kind::Loss | Kind::Duplicate);
        match amount {
            None => {}
            Some(Amount::Time(time)) => write!(f, "={}", Time(*time))?,
            Some(Amount::Status(status)) => write!(f, "={status}")?,
            Some(Amount::Address(ip)) => write!(f, "={ip}")?,
        }
        match when.chance {
            Some(chance) if is_share => write!(f, "={}", Percent(chance))?,
            _ => {}
        }
        let frames = Some(only.frames).filter(|frames| *frames != Frames::All);
        let words: [(&str, Option<String>); 13] = [
            ("at", only.at.clone()),
            ("frames", frames.map(|frames| word_for(&FRAMES, frames).to_owned())),
            ("zone", only.zone.clone()),
            ("name", only.name.clone()),
            ("type", only.rtype.clone()),
            ("transport", only.transport.map(|transport| word_of(transport).to_owned())),
            ("client", only.client.as_ref().map(ToString::to_string)),
            ("first", when.first.map(|number| number.to_string())),
            ("every", when.every.map(|number| number.to_string())),
            ("after", Some(when.after).filter(|number| *number > 0).map(|number| number.to_string())),
            ("chance", when.chance.filter(|_| !is_share).map(|chance| Percent(chance).to_string())),
            ("seed", Some(when.seed).filter(|seed| *seed > 0).map(|seed| seed.to_string())),
            ("for", when.lasting.map(|time| Time(time).to_string())),
        ];
        for (name, value) in words {
            if let Some(value) = value {
                write!(f, ",{name}={value}")?;
            }
        }
        match behind {
            Some(bytes) => write!(f, ",after={bytes}B"),
            None => Ok(()),
        }
    }
}

struct Percent(f64);

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // As it was written: 0.07 * 100 is no 7.
        write!(f, "{}%", (self.0 * 1e8).round() / 1e6)
    }
}

struct Time(Duration);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0.as_micros();
        match micros {
            micros if micros % 1_000_000 == 0 => write!(f, "{}s", micros / 1_000_000),
            micros if micros % 1_000 == 0 => write!(f, "{}ms", micros / 1_000),
            micros => write!(f, "{micros}us"),
        }
    }
}

impl Serialize for Fault {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fault {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read_and_written() {
        let check = |text: &str, written: &str| {
            let fault: Fault = text.parse().unwrap();
            assert_eq!(fault.to_string(), written);
            assert_eq!(written.parse::<Fault>().unwrap(), fault);
        };
        check("wire:loss=20%,seed=7", "wire:loss=20%,seed=7");
        check("wire:loss=7%", "wire:loss=7%");
        check("wire:loss=100%,frames=syn,first=1", "wire:loss,frames=syn,first=1");
        check("wire:delay=0.04s,at=app1", "wire:delay=40ms,at=app1");
        check("wire:delay=40ms,chance=50%", "wire:delay=40ms,chance=50%");
        check("wire:duplicate=10%,every=3,after=2", "wire:duplicate=10%,every=3,after=2");
        check("wire:cut-link,at=auth1,for=1500ms", "wire:cut-link,at=auth1,for=1500ms");
        check("auth:servfail", "auth:servfail");
        check("tld:drop,first=1", "tld:drop,first=1");
        check("auth1:slow=0.3s,type=a,zone=Example.Local", "auth1:slow=300ms,zone=example.local.,type=A");
        check("auth1:drop,name=.,transport=tcp,client=::1", "auth1:drop,name=.,transport=tcp,client=::1");
        check("auth1:servfail,chance=20%,seed=7,client=resolver", "auth1:servfail,client=resolver,chance=20%,seed=7");
        check("app1:reset,after=100B", "app1:reset,after=100B");
        check("app1:cut,after=3,after=100B", "app1:cut,after=3,after=100B");
        check("auth1:drop,type=type28", "auth1:drop,type=AAAA");
        check("auth1:drop,type=TYPE65280", "auth1:drop,type=TYPE65280");
        check("app1:status", "app1:status=503");
        check("tld:dead-ns=10.78.2.99", "tld:dead-ns=10.78.2.99");
        check("app1:refused,for=2s", "app1:refused,for=2s");
    }

    #[test]
    fn refused_with_what_there_is() {
        let check = |text: &str, expected: &str| {
            let error = text.parse::<Fault>().unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check("loss", "write PLACE:FAULT");
        check(":loss", "write PLACE:FAULT");
        check("wire:los", "faults: loss, delay, duplicate, cut-link");
        check("wire:servfail", "faults: loss, delay, duplicate, cut-link");
        check("auth:servfial", "faults of name servers: nxdomain, nodata, servfail");
        check("auth:loss", "there is no fault \"loss\"");
        check("wire:loss=2", "0% to 100%");
        check("wire:loss=101%", "0% to 100%");
        check("wire:loss=NaN%", "0% to 100%");
        check("wire:loss=5%,chance=5%", "already");
        check("wire:delay", "needs a time");
        check("wire:delay=-1s", "is no time");
        check("wire:delay=1h", "too long");
        check("wire:delay=61s", "too long");
        check("wire:cut-link=5%", "takes no amount");
        check("wire:loss,first=0", "from 1 on");
        check("wire:loss,first", "has no value");
        check("wire:loss,whence=you", "parameters: at=HOST");
        check("wire:loss,type=A", "parameters: at=HOST");
        check("auth:drop,at=you", "parameters: zone=ZONE");
        check("wire:loss,frames=ip", "kinds: all, arp");
        check("auth:drop,transport=sctp", "transports: udp, tcp");
        check("auth:drop,name=a..b", "is no name");
        check("app1:status=99", "200 to 599");
        check("app1:cut,after=xB", "number of bytes");
        check("app1:cut,after=0B", "\"0B\" is no number of bytes from 1 on: write after=100B");
        check("app1:drip=1ms,after=9B", "what does: reset, cut");
        check("auth1:servfail,after=9B", "what does: reset, cut");
        check("auth1:drop,type=AAA", "there is no record type \"AAA\"; among the types are A, AAAA");
        check("auth1:drop,type=TYPE65536", "there is no record type");
        check("wire:loss,first=1,first=2", "first stands twice");
    }
}

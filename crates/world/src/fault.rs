//! Faults: disturbances of the world that somebody asked for, as data.
//!
//! ```
//! use world::fault::{Amount, Fault};
//!
//! let fault: Fault = "wire:loss=20%,at=app1,seed=7".parse()?;
//! assert_eq!((fault.amount, fault.at.as_deref(), fault.seed), (Amount::Share(0.2), Some("app1"), 7));
//! # Ok::<_, world::fault::FaultError>(())
//! ```

use std::{fmt, str::FromStr, time::Duration};

/// A disturbance of the lab's network: what happens to which frames, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// What happens.
    pub kind: Kind,
    /// How much of it.
    pub amount: Amount,
    /// Only frames that this host sends or would get; with none, all.
    pub at: Option<String>,
    /// Only frames of this kind.
    pub frames: Frames,
    /// Only the first so many of these frames.
    pub first: Option<u64>,
    /// Only every so-manieth.
    pub every: Option<u64>,
    /// Only those after so many.
    pub after: u64,
    /// What chance begins with: the same seed, the same course.
    pub seed: u64,
}

/// What happens to a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It is lost.
    Loss,
    /// It comes later.
    Delay,
    /// It comes twice.
    Duplicate,
    /// It is lost, since the cable is out.
    CutLink,
}

/// How much.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Amount {
    /// Of all frames, this share: 0 to 1.
    Share(f64),
    /// So long.
    Time(Duration),
}

/// Which frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Frames {
    /// All.
    #[default]
    All,
    /// ARP alone.
    Arp,
    /// ICMP and ICMPv6.
    Icmp,
    /// UDP.
    Udp,
    /// TCP.
    Tcp,
    /// TCP segments that open a connection: SYN without ACK.
    Syn,
    /// TCP segments that answer those: SYN with ACK.
    SynAck,
    /// TCP segments that close one side: FIN.
    Fin,
    /// TCP segments that carry bytes.
    Data,
}

const KINDS: [(&str, Kind); 4] =
    [("loss", Kind::Loss), ("delay", Kind::Delay), ("duplicate", Kind::Duplicate), ("cut-link", Kind::CutLink)];

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

const PARAMETERS: &str = "at=HOST, frames=KIND, first=N, every=N, after=N, seed=N";

/// The longest delay: whatever waits is kept in memory.
const LONGEST_DELAY: Duration = Duration::from_secs(60);

/// A fault that cannot be had as it was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is no fault: {why}")]
pub struct FaultError {
    /// What was written.
    pub given: String,
    /// What is wrong with it, and what there is.
    pub why: String,
}

impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        parse(text).map_err(|why| FaultError { given: text.to_owned(), why })
    }
}

fn parse(text: &str) -> Result<Fault, String> {
    let shape = "write wire:FAULT[=AMOUNT][,PARAMETER=VALUE…], like wire:loss=20%,seed=7";
    let (place, rest) = text.split_once(':').ok_or(shape)?;
    if place != "wire" {
        return Err(format!("there is no place {place:?} for faults; places: wire"));
    }
    let mut words = rest.split(',');
    let (name, amount) = word(words.next().unwrap_or_default());
    let kind = one_of(&KINDS, name, "fault of the wire", "faults")?;
    let mut fault = Fault {
        kind,
        amount: amount_of(kind, name, amount)?,
        at: None,
        frames: Frames::All,
        first: None,
        every: None,
        after: 0,
        seed: 0,
    };
    let mut seen = Vec::new();
    for text in words {
        let (name, value) = word(text);
        if seen.contains(&name) {
            return Err(format!("{name} stands twice"));
        }
        seen.push(name);
        let value = value.ok_or_else(|| format!("{text:?} has no value; parameters: {PARAMETERS}"))?;
        match name {
            "at" => fault.at = Some(value.to_owned()),
            "frames" => fault.frames = one_of(&FRAMES, value, "kind of frames", "kinds")?,
            "first" => fault.first = Some(number(name, value)?),
            "every" => fault.every = Some(number(name, value)?),
            "after" => fault.after = number(name, value)?,
            "seed" => fault.seed = value.parse().map_err(|_| format!("seed={value} is no number"))?,
            _ => return Err(format!("there is no parameter {name:?}; parameters: {PARAMETERS}")),
        }
    }
    Ok(fault)
}

fn word(text: &str) -> (&str, Option<&str>) {
    text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)))
}

fn one_of<T: Copy>(all: &[(&str, T)], name: &str, what: &str, plural: &str) -> Result<T, String> {
    let found = all.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
    found.ok_or_else(|| {
        let known = all.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        format!("there is no {what} {name:?}; {plural}: {known}")
    })
}

fn amount_of(kind: Kind, name: &str, amount: Option<&str>) -> Result<Amount, String> {
    match (kind, amount) {
        (Kind::CutLink, None) => Ok(Amount::Share(1.0)),
        (Kind::CutLink, Some(_)) => Err(format!("{name} takes no amount: a cable is in or out")),
        (Kind::Delay, None) => Err(format!("{name} needs a time: {name}=40ms")),
        (Kind::Delay, Some(text)) => time(text).map(Amount::Time),
        (Kind::Loss | Kind::Duplicate, None) => Ok(Amount::Share(1.0)),
        (Kind::Loss | Kind::Duplicate, Some(text)) => share(text).map(Amount::Share),
    }
}

fn share(text: &str) -> Result<f64, String> {
    let percent = text.strip_suffix('%').and_then(|number| number.parse::<f64>().ok());
    match percent {
        Some(percent) if (0.0..=100.0).contains(&percent) => Ok(percent / 100.0),
        _ => Err(format!("{text:?} is no share: write 0% to 100%")),
    }
}

/// `40ms`, `1.5s`, `200us`.
fn time(text: &str) -> Result<Duration, String> {
    let units = [("us", 1e-6), ("ms", 1e-3), ("s", 1.0)];
    let read = units.iter().find_map(|(unit, seconds)| {
        let number: f64 = text.strip_suffix(unit)?.parse().ok()?;
        Duration::try_from_secs_f64(number * seconds).ok()
    });
    match read {
        Some(time) if time <= LONGEST_DELAY => Ok(time),
        Some(_) => Err(format!("{text:?} is too long: at most {} s", LONGEST_DELAY.as_secs())),
        None => Err(format!("{text:?} is no time: write 40ms, 1.5s or 200us")),
    }
}

fn number(name: &str, text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(number @ 1..) => Ok(number),
        _ => Err(format!("{name}={text} is no number from 1 on")),
    }
}

impl fmt::Display for Fault {
    /// As one writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = KINDS.iter().find(|(_, kind)| *kind == self.kind).map_or("", |(name, _)| name);
        write!(f, "wire:{name}")?;
        match self.amount {
            Amount::Share(share) if self.kind != Kind::CutLink && share < 1.0 => write!(f, "={}%", share * 100.0)?,
            Amount::Share(_) => {}
            Amount::Time(time) => write!(f, "={}ms", time.as_secs_f64() * 1e3)?,
        }
        if let Some(host) = &self.at {
            write!(f, ",at={host}")?;
        }
        if let Some((name, _)) = FRAMES.iter().find(|(_, kind)| *kind == self.frames && *kind != Frames::All) {
            write!(f, ",frames={name}")?;
        }
        let counts = [("first", self.first), ("every", self.every), ("after", Some(self.after).filter(|n| *n > 0))];
        for (name, count) in counts {
            if let Some(count) = count {
                write!(f, ",{name}={count}")?;
            }
        }
        if self.seed > 0 { write!(f, ",seed={}", self.seed) } else { Ok(()) }
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
        check("wire:loss=100%,frames=syn,first=1", "wire:loss,frames=syn,first=1");
        check("wire:delay=0.04s,at=app1", "wire:delay=40ms,at=app1");
        check("wire:duplicate=10%,every=3,after=2", "wire:duplicate=10%,every=3,after=2");
        check("wire:cut-link,at=auth1", "wire:cut-link,at=auth1");
    }

    #[test]
    fn refused_with_what_there_is() {
        let check = |text: &str, expected: &str| {
            let error = text.parse::<Fault>().unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check("loss", "write wire:FAULT");
        check("auth:servfail", "places: wire");
        check("wire:los", "faults: loss, delay, duplicate, cut-link");
        check("wire:loss=2", "0% to 100%");
        check("wire:loss=101%", "0% to 100%");
        check("wire:loss=NaN%", "0% to 100%");
        check("wire:delay", "needs a time");
        check("wire:delay=-1s", "is no time");
        check("wire:delay=1h", "is no time");
        check("wire:delay=61s", "too long");
        check("wire:cut-link=5%", "takes no amount");
        check("wire:loss,first=0", "from 1 on");
        check("wire:loss,first", "has no value");
        check("wire:loss,whence=you", "parameters: at=HOST");
        check("wire:loss,frames=ip", "kinds: all, arp");
        check("wire:loss,first=1,first=2", "first stands twice");
    }
}

//! What can be wrong with a zone file, and where.

use std::fmt;

use dns::words;
use hickory_proto::rr::{Name, RecordType};
use world::FileError;

use crate::master::Place;

/// What is wrong with one zone file.
#[derive(Debug, thiserror::Error)]
pub enum ZoneError {
    /// It cannot be read.
    #[error("{}", text::clean(&.0.to_string()))]
    Read(#[from] FileError),
    /// The world file names it for something that is no zone.
    #[error("{file}: {name:?} is no zone name: {why}")]
    ZoneName {
        /// The zone file.
        file: String,
        /// What stands in the world file.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Something in it, or in a file that it includes.
    #[error("{file}:{line}: {problem}")]
    At {
        /// The file.
        file: String,
        /// The line on which the entry begins, from 1.
        line: usize,
        /// What is wrong there.
        problem: Problem,
    },
    /// Something is not in it.
    #[error("{file}: {problem}")]
    Lacks {
        /// The file.
        file: String,
        /// What is wrong.
        problem: Problem,
    },
}

/// Everything that is wrong with a server's zone files.
#[derive(Debug)]
pub struct ZoneErrors(pub Vec<ZoneError>);

impl fmt::Display for ZoneErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, error) in self.0.iter().enumerate() {
            let line_break = if at == 0 { "" } else { "\n" };
            write!(f, "{line_break}{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ZoneErrors {}

/// What is wrong in a zone file. Second names are boxed to keep results small.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    // The text.
    /// A quote is not closed.
    #[error("the quote is not closed on this line")]
    OpenQuote,
    /// `(` without `)`.
    #[error("the parenthesis opened here is never closed")]
    OpenParenthesis,
    /// `)` without `(`.
    #[error("\")\" without \"(\"")]
    StrayParenthesis,
    /// `\` with nothing usable behind it.
    #[error("{0:?}: after \"\\\" comes a character, or three digits up to 255")]
    Escape(String),
    /// An entry of more words than any record has.
    #[error("an entry of more than {0} words")]
    LongEntry(usize),
    /// A control entry that is not known.
    #[error("{0} is not supported; known are $ORIGIN, $TTL, $INCLUDE and $GENERATE")]
    Directive(String),
    /// A file that cannot be included.
    #[error("$INCLUDE {file}: {why}")]
    Include {
        /// The file.
        file: String,
        /// Why not.
        why: String,
    },
    /// A template that makes no lines.
    #[error("$GENERATE: {0:?} is not {1}")]
    Generate(String, &'static str),
    /// Too many generated records.
    #[error("$GENERATE makes more than {0} records in this zone")]
    Generated(usize),
    /// A file that is no zone file.
    #[error("more than {0} problems; the rest of the file was not read")]
    TooMany(usize),
    /// No owner to go on with.
    #[error("the line begins with a blank, but no name stands before it")]
    NoOwner,
    /// A name that is none.
    #[error("{text:?} is no domain name: {why}")]
    Name {
        /// As it stands.
        text: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// No time to live.
    #[error("no time to live: none here, no $TTL and no earlier record's")]
    NoTtl,
    /// Too long a time to live.
    #[error("time to live {0}: a number of seconds up to 2147483647 (RFC 2181 §8)")]
    Ttl(String),
    /// Not the Internet's class.
    #[error("class {0}: only IN is served")]
    Class(String),
    /// The entry ends too early.
    #[error("{0} is missing")]
    Missing(String),
    /// More than the type has.
    #[error("{}: {text:?} is too much", words::rtype(*rtype))]
    TooMuch {
        /// The type.
        rtype: RecordType,
        /// The first word that is too much.
        text: String,
    },
    /// A type that no parser here knows.
    #[error("type {0} is not known here; its data can be written as TYPEn \\# length hexadecimal (RFC 3597 §5)")]
    UnknownType(String),
    /// A type that no zone holds, or that this server cannot serve rightly.
    #[error("type {} cannot stand in a zone of this server", words::rtype(*.0))]
    Type(RecordType),
    /// Data that does not fit its type.
    #[error("{}: {text:?} is not {wanted}", words::rtype(*rtype))]
    Data {
        /// The type.
        rtype: RecordType,
        /// As it stands.
        text: String,
        /// What should stand there.
        wanted: String,
    },
    /// A text longer than its length byte can say.
    #[error("a text of {0} bytes; one string holds 255, several may follow each other (RFC 1035 §3.3)")]
    LongText(usize),
    /// Data longer than a record can hold.
    #[error("{}: data of {bytes} bytes; a record holds 65535 (RFC 1035 §3.2.1)", words::rtype(*rtype))]
    LongData {
        /// The type.
        rtype: RecordType,
        /// How many bytes.
        bytes: usize,
    },

    // The zone.
    /// Data of another zone.
    #[error("{name} is outside the zone {origin}")]
    Outside {
        /// The record's owner.
        name: Name,
        /// The zone.
        origin: Box<Name>,
    },
    /// No SOA.
    #[error("the zone {0} has no SOA record")]
    NoSoa(Name),
    /// A second SOA.
    #[error("a second SOA record; the first is on {0}")]
    SecondSoa(Place),
    /// An SOA elsewhere.
    #[error("an SOA record at {0}, which is not the top of the zone")]
    StraySoa(Name),
    /// No NS.
    #[error("the zone {0} has no NS record at its top")]
    NoNs(Name),
    /// CNAME and something else.
    #[error("{name} has a CNAME record on {cname}, and nothing may stand beside it (RFC 1034 §3.6.2)")]
    BesideCname {
        /// The owner.
        name: Name,
        /// Where the CNAME record is.
        cname: Place,
    },
    /// Never to be seen.
    #[error("{name} lies below {cut}, which {line} delegates: only addresses of name servers may stand there")]
    Occluded {
        /// The owner.
        name: Name,
        /// The delegated name.
        cut: Box<Name>,
        /// Where it is delegated.
        line: Place,
    },
    /// The same at the cut itself.
    #[error("{name} is delegated by {line}: its {} record belongs into the zone below", words::rtype(*rtype))]
    AtCut {
        /// The owner.
        name: Name,
        /// The record's type.
        rtype: RecordType,
        /// Where it is delegated.
        line: Place,
    },
    /// A second record where there can be one.
    #[error("a second {} record at {name}; the first is on {line}, and a name has one (RFC 6672 §2.4)", words::rtype(*rtype))]
    Second {
        /// The owner.
        name: Name,
        /// The record's type.
        rtype: RecordType,
        /// Where the first is.
        line: Place,
    },
    /// Data below a DNAME record.
    #[error("{name} lies below {dname}, whose DNAME record on {line} renames everything there (RFC 6672 §2.4)")]
    BelowDname {
        /// The owner.
        name: Name,
        /// The renamed name.
        dname: Box<Name>,
        /// Where its DNAME record is.
        line: Place,
    },
    /// A DS without a delegation.
    #[error("a DS record at {0}, which is not delegated here (RFC 4035 §2.4)")]
    StrayDs(Name),
    /// A wildcard that delegates.
    #[error("{0}: a wildcard cannot be delegated (RFC 4592 §4.2)")]
    WildcardNs(Name),
    /// A server nobody can reach.
    #[error("{ns} serves {owner} and lies in this zone, but has no address here")]
    NoAddress {
        /// The name server.
        ns: Name,
        /// What it serves.
        owner: Box<Name>,
    },
    /// A server or exchange behind an alias.
    #[error("{target} is an alias ({line}); an {rtype} record must name a host itself (RFC 2181 §10.3)")]
    Alias {
        /// The target.
        target: Name,
        /// Where its CNAME record is.
        line: Place,
        /// The record that points at it.
        rtype: RecordType,
    },
    /// One set, two times to live.
    #[error("time to live {ttl}, but {line} of the same set says {first} (RFC 2181 §5.2)")]
    TtlsDiffer {
        /// This record's.
        ttl: u32,
        /// The other's.
        first: u32,
        /// Where the other is.
        line: Place,
    },
    /// Too much for a message.
    #[error("the {} records of {name} do not fit into a DNS message of 65535 bytes", words::rtype(*rtype))]
    TooLarge {
        /// The owner.
        name: Name,
        /// The type.
        rtype: RecordType,
    },
}

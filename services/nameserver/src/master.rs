//! Master files (RFC 1035 §5): text in, records with their places out.
//!
//! The library's readers stop at the first error: hickory's (`serialize::txt::Parser`) mostly without a line, that of
//! NLnet Labs' `domain` 0.12 (`zonefile::inplace`) "in an invalid state". Both lack `$GENERATE`. A teacher's typing errors
//! should all be told at once, so entries are cut here and their data is read by a table of fields (`rdata`).
//!
//! [`read`] does no I/O and is bounded: any bytes may be given to it. Files that a text includes come from the caller of
//! [`read_with`].

mod fields;
mod generate;
mod numbers;
mod rdata;
mod svcb;
mod token;

use std::{fmt, sync::Arc};

use hickory_proto::{
    rr::{Name, RData, Record, RecordType, domain::Label},
    serialize::txt::parse_ttl,
};
use text::clean;

use crate::problem::Problem;
use token::{Entries, Entry, Piece, Token, pieces};

/// Files within files.
const DEPTH: usize = 10;
/// Bytes of all files that one zone includes.
const INCLUDED: usize = 64 * 1024 * 1024;
/// What an included file counts at least, so that many empty ones end too.
const LEAST: usize = 1024;
/// Records of one zone that `$GENERATE` makes: a /16 in both directions.
const GENERATED: usize = 131_072;
/// Problems that are reported of one zone. A file that is no zone file has one on each line.
const PROBLEMS: usize = 1000;

/// Where an entry stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The included file; `None` in the zone's own.
    pub file: Option<Arc<str>>,
    /// The line, from 1.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            None => write!(f, "line {}", self.line),
            Some(file) => write!(f, "line {} of {file}", self.line),
        }
    }
}

/// A record and the place where its entry begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The place.
    pub place: Place,
    /// What stands there.
    pub record: Record,
}

/// A problem and, where it has one, its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// The place.
    pub place: Option<Place>,
    /// What is wrong.
    pub problem: Problem,
}

/// Where the text of an included file comes from: its name as it stands in the text, and in which file it stands (`None`
/// for the zone's own). Returns the file's name from then on and its text.
pub type Open<'o> = &'o mut dyn FnMut(&str, Option<&str>) -> Result<(String, Vec<u8>), Problem>;

/// Reads a master file that includes no others; relative names at its beginning are relative to `origin`. All problems
/// are reported, and entries that have none are returned beside them.
pub fn read(text: impl AsRef<[u8]>, origin: &Name) -> (Vec<Line>, Vec<Located>) {
    let mut none = |file: &str, _: Option<&str>| {
        Err(Problem::Include { file: file.to_owned(), why: "there are no other files here".to_owned() })
    };
    read_with(text.as_ref(), origin, &mut none)
}

/// As [`read`], with files to include.
pub fn read_with(text: &[u8], origin: &Name, open: Open<'_>) -> (Vec<Line>, Vec<Located>) {
    let mut reader = Reader {
        open,
        lines: Vec::new(),
        problems: Vec::new(),
        default_ttl: None,
        last_ttl: None,
        files: Vec::new(),
        included: INCLUDED,
        generated: GENERATED,
    };
    reader.file(text, origin.clone(), Owner::None);
    (reader.lines, reader.problems)
}

/// What is read of a zone, and what entries inherit from those before them, across files.
struct Reader<'o> {
    open: Open<'o>,
    lines: Vec<Line>,
    problems: Vec<Located>,
    default_ttl: Option<u32>,
    last_ttl: Option<u32>,
    /// The included files that are being read, the innermost last.
    files: Vec<Arc<str>>,
    /// Bytes that may still be included.
    included: usize,
    /// Records that may still be generated.
    generated: usize,
}

/// What entries inherit from those before them in the same file.
struct Context {
    origin: Name,
    owner: Owner,
}

/// Whose the next entry is if it does not say.
#[derive(Clone)]
enum Owner {
    None,
    Is(Name),
    /// It could not be read. That has been reported; what follows it is not reported as well.
    Broken,
}

impl Reader<'_> {
    /// Reads one file to its end, or until there are too many problems.
    fn file(&mut self, text: &[u8], origin: Name, owner: Owner) {
        let mut context = Context { origin, owner };
        for entry in Entries::new(text) {
            let (line, result) = match entry {
                Ok(entry) => (entry.line, self.take(&entry, &mut context)),
                Err((line, problem)) => (line, Err(problem)),
            };
            if let Err(problem) = result {
                let place = Some(self.place(line));
                self.problems.push(Located { place, problem });
            }
            if self.problems.len() == PROBLEMS {
                self.problems.push(Located { place: None, problem: Problem::TooMany(PROBLEMS) });
            }
            if self.problems.len() > PROBLEMS {
                return;
            }
        }
    }

    fn place(&self, line: usize) -> Place {
        Place { file: self.files.last().cloned(), line }
    }

    /// Reads an entry; one that follows an owner that could not be read is passed over.
    fn take(&mut self, entry: &Entry<'_>, context: &mut Context) -> Result<(), Problem> {
        let Some((first, rest)) = entry.tokens.split_first() else { return Ok(()) };
        if !entry.blank && !first.quoted && first.raw.starts_with(b"$") {
            return self.control(entry, context);
        }
        let tokens = if entry.blank { &entry.tokens[..] } else { rest };
        if !entry.blank {
            context.owner = Owner::Broken;
            context.owner = Owner::Is(name(first, &context.origin)?);
        }
        let owner = match &context.owner {
            Owner::Is(owner) => owner.clone(),
            Owner::Broken => return Ok(()),
            Owner::None => return Err(Problem::NoOwner),
        };
        let head = head(tokens)?;
        self.record(entry.line, owner, &head, &context.origin)
    }

    fn record(&mut self, line: usize, owner: Name, head: &Head<'_, '_>, origin: &Name) -> Result<(), Problem> {
        if head.ttl.is_some() {
            self.last_ttl = head.ttl;
        }
        let data = rdata::rdata(head.rtype, head.data, origin)?;
        let ttl = self.ttl(head.ttl, &data).ok_or(Problem::NoTtl)?;
        let place = self.place(line);
        self.lines.push(Line { place, record: Record::from_rdata(owner, ttl, data) });
        Ok(())
    }

    /// RFC 2308 §4: $TTL first; without one, what the last record said (RFC 1035 §5.1). Where nothing has been said when
    /// the SOA record comes, its MINIMUM field is the default, as it was before RFC 2308 and is to BIND.
    fn ttl(&mut self, own: Option<u32>, data: &RData) -> Option<u32> {
        let known = own.or(self.default_ttl).or(self.last_ttl);
        if let (None, RData::SOA(soa)) = (known, data) {
            self.default_ttl = Some(soa.minimum);
        }
        known.or(self.default_ttl)
    }

    fn control(&mut self, entry: &Entry<'_>, context: &mut Context) -> Result<(), Problem> {
        let (which, words) = (&entry.tokens[0], &entry.tokens[1..]);
        let value =
            |at: usize, what: &str| words.get(at).ok_or_else(|| Problem::Missing(format!("{}: {what}", which.shown())));
        let most = match which.ascii().to_ascii_uppercase().as_str() {
            "$ORIGIN" => {
                context.origin = name(value(0, "its name")?, &context.origin)?;
                1
            }
            "$TTL" => {
                self.default_ttl = Some(ttl(value(0, "its value")?)?);
                1
            }
            "$INCLUDE" => {
                let file = value(0, "the file")?;
                let origin = words.get(1).map_or_else(|| Ok(context.origin.clone()), |w| name(w, &context.origin))?;
                if words.len() <= 2 {
                    self.include(file, origin, context.owner.clone())?;
                }
                2
            }
            "$GENERATE" => return self.generate(entry.line, words, &context.origin),
            _ => return Err(Problem::Directive(which.shown())),
        };
        match words.get(most) {
            Some(more) => Err(Problem::Directive(format!("{} … {}", which.shown(), more.shown()))),
            None => Ok(()),
        }
    }

    /// Reads another file here. What it says of its origin and owner ends with it (RFC 1035 §5.1).
    fn include(&mut self, file: &Token<'_>, origin: Name, owner: Owner) -> Result<(), Problem> {
        let said = String::from_utf8_lossy(&token::unescaped(file.raw)?).into_owned();
        let fail = |why: String| Problem::Include { file: clean(&said), why };
        if self.files.len() == DEPTH {
            return Err(fail(format!("it would be file {} within a file", DEPTH + 1)));
        }
        let (path, text) = (self.open)(&said, self.files.last().map(|file| &**file))?;
        if self.files.iter().any(|file| **file == *path) {
            return Err(fail("it includes itself".to_owned()));
        }
        self.included = self
            .included
            .checked_sub(text.len().max(LEAST))
            .ok_or_else(|| fail(format!("the included files are longer than {} MiB together", INCLUDED >> 20)))?;
        self.files.push(path.into());
        self.file(&text, origin, owner);
        self.files.pop();
        Ok(())
    }
}

/// What stands before a record's data.
struct Head<'e, 't> {
    ttl: Option<u32>,
    rtype: RecordType,
    data: &'e [Token<'t>],
}

/// `[TTL] [class] type data…`, the first two in any order (RFC 1035 §5.1).
fn head<'e, 't>(mut tokens: &'e [Token<'t>]) -> Result<Head<'e, 't>, Problem> {
    let (mut time, mut class) = (None, false);
    loop {
        let (first, rest) = tokens.split_first().ok_or_else(|| Problem::Missing("the record's type".to_owned()))?;
        tokens = rest;
        let upper = first.ascii().to_ascii_uppercase();
        if upper.starts_with(|c: char| c.is_ascii_digit()) && time.is_none() {
            time = Some(ttl(first)?);
        } else if matches!(upper.as_str(), "IN" | "CLASS1") && !class {
            class = true;
        } else if matches!(upper.as_str(), "CH" | "HS" | "CS" | "NONE") || upper.starts_with("CLASS") {
            return Err(Problem::Class(first.shown()));
        } else {
            return Ok(Head { ttl: time, rtype: rdata::rtype(first)?, data: tokens });
        }
    }
}

fn ttl(word: &Token<'_>) -> Result<u32, Problem> {
    let ttl = parse_ttl(word.ascii()).ok().filter(|ttl| i32::try_from(*ttl).is_ok());
    ttl.ok_or_else(|| Problem::Ttl(word.shown()))
}

/// A name as a world file has it, absolute.
pub(crate) fn absolute_name(text: &str) -> Result<Name, Problem> {
    name(&Token { raw: text.as_bytes(), quoted: false, joined: false }, &Name::root())
}

/// A name, absolute where it ends with a dot, else relative to `origin`; `@` is `origin` itself.
fn name(word: &Token<'_>, origin: &Name) -> Result<Name, Problem> {
    let bad = |why| Problem::Name { text: word.shown(), why };
    match word.raw {
        b"@" if !word.quoted => return Ok(origin.clone()),
        b"." => return Ok(Name::root()),
        b"" => return Err(bad("it is empty")),
        _ => {}
    }
    let mut name = Name::root();
    // `append_label` keeps what is already said about being absolute.
    let append = |name: Name, label: &[u8]| {
        let label = Label::from_raw_bytes(label).map_err(|_| match label.len() {
            0 => bad("a label is empty"),
            _ => bad("a label has at most 63 bytes"),
        })?;
        name.append_label(label).map_err(|_| bad("a name has at most 255 bytes"))
    };
    let (mut label, mut absolute) = (Vec::new(), false);
    for piece in pieces(word.raw) {
        absolute = false;
        match piece? {
            Piece::Plain(b'.') => {
                name = append(name, &label)?;
                label.clear();
                absolute = true;
            }
            Piece::Plain(byte) if !byte.is_ascii() => {
                return Err(bad("letters beyond ASCII are written in punycode, as xn--…"));
            }
            Piece::Plain(byte) | Piece::Escaped(byte) => label.push(byte),
        }
    }
    if absolute {
        return Ok(name);
    }
    append(name, &label)?.append_name(origin).map_err(|_| bad("a name has at most 255 bytes"))
}

/// Letters of a word that a message shows.
const SHOWN: usize = 300;

/// Bytes of a file as a message shows them: no control characters, and not longer than a screen has lines.
fn printable(raw: &[u8]) -> String {
    let text = String::from_utf8_lossy(raw);
    match text.char_indices().nth(SHOWN) {
        None => clean(&text),
        Some((end, _)) => clean(&text[..end]) + "…",
    }
}

#[cfg(test)]
mod tests;

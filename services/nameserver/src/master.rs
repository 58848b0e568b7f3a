//! Master files (RFC 1035 §5): text in, records with their lines out.
//!
//! hickory has a reader of its own (`serialize::txt::Parser`), but it stops at the first error, does not tell its line,
//! and throws away what a check needs: the second CNAME or SOA of a name, the lines, which words were too much. So the
//! entries are cut and named here, and hickory reads the data of rarer types.

mod rdata;
mod token;

use hickory_proto::{
    rr::{Name, Record, RecordType, domain::Label},
    serialize::txt::parse_ttl,
};

use crate::problem::Problem;
use token::{Entry, Piece, Token, entries, pieces};

/// A record and the line on which its entry begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The line, from 1.
    pub number: usize,
    /// What stands there.
    pub record: Record,
}

/// A problem and, where it has one, its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// The line, from 1.
    pub line: Option<usize>,
    /// What is wrong.
    pub problem: Problem,
}

/// Reads a master file; relative names at its beginning are relative to `origin`. All problems are reported, and entries
/// that have none are returned beside them.
pub fn read(text: &str, origin: &Name) -> (Vec<Line>, Vec<Located>) {
    let mut problems = Vec::new();
    let mut lines = Vec::new();
    let mut context = Context { origin: origin.clone(), owner: Owner::None, default_ttl: None, last_ttl: None };
    for entry in entries(text, &mut problems) {
        match context.take(&entry) {
            Ok(record) => lines.extend(record.map(|record| Line { number: entry.line, record })),
            Err(problem) => problems.push(Located { line: Some(entry.line), problem }),
        }
    }
    problems.sort_by_key(|problem| problem.line);
    (lines, problems)
}

/// What entries inherit from those before them.
struct Context {
    origin: Name,
    owner: Owner,
    default_ttl: Option<u32>,
    last_ttl: Option<u32>,
}

/// Whose the next entry is if it does not say.
enum Owner {
    None,
    Is(Name),
    /// It could not be read. That has been reported; what follows it is not reported as well.
    Broken,
}

impl Context {
    /// The record of an entry; `None` where it is a control entry, or follows an owner that could not be read.
    fn take(&mut self, entry: &Entry<'_>) -> Result<Option<Record>, Problem> {
        let (first, rest) = entry.tokens.split_first().expect("an entry has a word");
        if !entry.blank && !first.quoted && first.raw.starts_with('$') {
            return self.control(first.raw, rest).map(|()| None);
        }
        let tokens = if entry.blank { &entry.tokens[..] } else { rest };
        if !entry.blank {
            self.owner = Owner::Broken;
            self.owner = Owner::Is(name(first.raw, &self.origin)?);
        }
        let owner = match &self.owner {
            Owner::Is(owner) => owner.clone(),
            Owner::Broken => return Ok(None),
            Owner::None => return Err(Problem::NoOwner),
        };
        let (ttl, rtype, data) = head(tokens)?;
        if ttl.is_some() {
            self.last_ttl = ttl;
        }
        let data = rdata::rdata(rtype, data, &self.origin)?;
        // RFC 2308 §4: $TTL first; without one, what the last record said (RFC 1035 §5.1).
        let ttl = ttl.or(self.default_ttl).or(self.last_ttl).ok_or(Problem::NoTtl)?;
        Ok(Some(Record::from_rdata(owner, ttl, data)))
    }

    fn control(&mut self, which: &str, words: &[Token<'_>]) -> Result<(), Problem> {
        let value =
            || words.first().map(|token| token.raw).ok_or_else(|| Problem::Missing(format!("{which}: its value")));
        match which.to_ascii_uppercase().as_str() {
            "$ORIGIN" => self.origin = name(value()?, &self.origin)?,
            "$TTL" => self.default_ttl = Some(ttl(value()?)?),
            _ => return Err(Problem::Directive(which.to_owned())),
        }
        match words.get(1) {
            Some(more) => Err(Problem::Directive(format!("{which} … {}", more.raw))),
            None => Ok(()),
        }
    }
}

/// `[TTL] [class] type data…`, the first two in any order (RFC 1035 §5.1).
fn head<'e, 't>(mut tokens: &'e [Token<'t>]) -> Result<(Option<u32>, RecordType, &'e [Token<'t>]), Problem> {
    let mut time = None;
    loop {
        let (first, rest) = tokens.split_first().ok_or_else(|| Problem::Missing("the record's type".to_owned()))?;
        tokens = rest;
        let upper = first.raw.to_ascii_uppercase();
        if upper.starts_with(|c: char| c.is_ascii_digit()) && time.is_none() {
            time = Some(ttl(first.raw)?);
        } else if matches!(upper.as_str(), "CH" | "HS" | "CS" | "NONE") || upper.starts_with("CLASS") {
            return Err(Problem::Class(first.raw.to_owned()));
        } else if upper != "IN" {
            return Ok((time, rdata::rtype(first.raw)?, tokens));
        }
    }
}

fn ttl(text: &str) -> Result<u32, Problem> {
    parse_ttl(text).ok().filter(|ttl| i32::try_from(*ttl).is_ok()).ok_or_else(|| Problem::Ttl(text.to_owned()))
}

/// A name, absolute where it ends with a dot, else relative to `origin`; `@` is `origin` itself.
pub(crate) fn name(raw: &str, origin: &Name) -> Result<Name, Problem> {
    let bad = |why| Problem::Name { text: raw.to_owned(), why };
    match raw {
        "@" => return Ok(origin.clone()),
        "." => return Ok(Name::root()),
        "" => return Err(bad("it is empty")),
        _ => {}
    }
    let mut labels: Vec<Vec<u8>> = vec![Vec::new()];
    for piece in pieces(raw) {
        match piece? {
            Piece::Plain('.') => labels.push(Vec::new()),
            Piece::Plain(c) | Piece::Literal(c) if c.is_ascii() => {
                labels.last_mut().expect("never empty").push(c as u8)
            }
            Piece::Byte(byte) => labels.last_mut().expect("never empty").push(byte),
            _ => return Err(bad("letters beyond ASCII are written in punycode, as xn--…")),
        }
    }
    let absolute = labels.last().is_some_and(Vec::is_empty);
    if absolute {
        labels.pop();
    }
    let mut name = Name::root();
    // `append_label` keeps what is already said about being absolute.
    for label in labels {
        let label = Label::from_raw_bytes(&label).map_err(|_| match label.len() {
            0 => bad("a label is empty"),
            _ => bad("a label has at most 63 bytes"),
        })?;
        name = name.append_label(label).map_err(|_| bad("a name has at most 255 bytes"))?;
    }
    if absolute { Ok(name) } else { name.append_name(origin).map_err(|_| bad("a name has at most 255 bytes")) }
}

#[cfg(test)]
mod tests;

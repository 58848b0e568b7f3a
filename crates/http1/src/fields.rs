//! Field lines (RFC 9112 §5), also those that break the grammar: what browsers do with each.

use crate::{Kind, MAX_FIELDS, MOST_ODDITIES, Oddity, Wrong, quoted};

/// A header or trailer field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name, as it was sent; a token (RFC 9110 §5.6.2).
    pub name: String,
    /// Its value without the whitespace around it; folds are replaced by spaces.
    pub value: Vec<u8>,
}

impl Field {
    /// Whether it has this name.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

/// The fields of a section, as its lines come.
#[derive(Debug, Default)]
pub(crate) struct Section {
    pub(crate) fields: Vec<Field>,
    pub(crate) oddities: Vec<Oddity>,
    // Whether the next line goes on with it is not known yet.
    pending: Option<Vec<u8>>,
}

impl Section {
    /// Takes a line, its end removed. Not the empty line that ends the section.
    pub(crate) fn line(&mut self, line: &[u8]) -> Result<(), Wrong> {
        if line.contains(&0) {
            return Err(Wrong::Nul(quoted(line)));
        }
        if matches!(line.first(), Some(b' ' | b'\t')) {
            match &mut self.pending {
                // RFC 9112 §5.2: a user agent replaces the fold by spaces.
                Some(pending) => {
                    pending.push(b' ');
                    pending.extend_from_slice(line.trim_ascii());
                    self.odd(Kind::Folded, line);
                }
                // RFC 9112 §2.2.
                None => self.odd(Kind::LeadingWhitespace, line),
            }
            return Ok(());
        }
        self.flush()?;
        self.pending = Some(line.to_vec());
        Ok(())
    }

    /// The section has ended.
    pub(crate) fn flush(&mut self) -> Result<(), Wrong> {
        let Some(mut line) = self.pending.take() else { return Ok(()) };
        if line.contains(&b'\r') {
            // RFC 9112 §2.2.
            self.odd(Kind::BareCr, &line);
            line.iter_mut().filter(|byte| **byte == b'\r').for_each(|byte| *byte = b' ');
        }
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            self.odd(Kind::NoColon, &line);
            return Ok(());
        };
        let (name, value) = (line[..colon].trim_ascii_end(), line[colon + 1..].trim_ascii());
        if name.is_empty() {
            self.odd(Kind::NoName, &line);
            return Ok(());
        }
        if !name.iter().copied().all(is_token) {
            self.odd(Kind::BadName, &line);
            return Ok(());
        }
        if name.len() < colon {
            self.odd(Kind::SpaceBeforeColon, &line);
        }
        if value.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
            self.odd(Kind::ControlCharacter, &line);
        }
        if self.fields.len() == MAX_FIELDS {
            return Err(Wrong::TooManyFields);
        }
        let name = String::from_utf8_lossy(name).into_owned();
        self.fields.push(Field { name, value: value.to_vec() });
        Ok(())
    }

    pub(crate) fn odd(&mut self, kind: Kind, line: &[u8]) {
        if self.oddities.len() < MOST_ODDITIES {
            self.oddities.push(Oddity::new(kind, line));
        }
    }
}

/// RFC 9110 §5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&[u8]]) -> Result<Section, Wrong> {
        let mut section = Section::default();
        for line in lines {
            section.line(line)?;
        }
        section.flush()?;
        Ok(section)
    }

    fn check(lines: &[&[u8]], fields: &[(&str, &[u8])], kinds: &[Kind]) {
        let section = read(lines).unwrap();
        let seen: Vec<_> = section.fields.iter().map(|field| (field.name.as_str(), &*field.value)).collect();
        assert_eq!(seen, fields, "{lines:?}");
        assert_eq!(section.oddities.iter().map(|odd| odd.kind).collect::<Vec<_>>(), kinds, "{lines:?}");
    }

    #[test]
    fn field_lines() {
        check(&[b"X: a", b"x:b", b"Y:"], &[("X", b"a"), ("x", b"b"), ("Y", b"")], &[]);
        check(&[b"X: \t a b\t "], &[("X", b"a b")], &[]);
        check(&[b"X: \xfc:\tb"], &[("X", b"\xfc:\tb")], &[]);
        check(&[b"X: a", b"  b", b"\tc"], &[("X", b"a b c")], &[Kind::Folded, Kind::Folded]);
        check(&[b"X:", b" a", b"Y: b"], &[("X", b"a"), ("Y", b"b")], &[Kind::Folded]);
        check(&[b" a: b", b"X: c"], &[("X", b"c")], &[Kind::LeadingWhitespace]);
        check(&[b"X-A : b"], &[("X-A", b"b")], &[Kind::SpaceBeforeColon]);
        check(&[b"PHP Warning", b"X: a"], &[("X", b"a")], &[Kind::NoColon]);
        check(&[b": a", b"X: a"], &[("X", b"a")], &[Kind::NoName]);
        check(&[b"PHP Warning: x", b"X: a"], &[("X", b"a")], &[Kind::BadName]);
        check(&[b"X: a\x01b\x7f"], &[("X", b"a\x01b\x7f")], &[Kind::ControlCharacter]);
        check(&[b"X: a\rb"], &[("X", b"a b")], &[Kind::BareCr]);
    }

    #[test]
    fn nul_is_refused_and_fields_are_counted() {
        assert_eq!(read(&[b"X: a\0"]).unwrap_err(), Wrong::Nul(b"X: a\0".to_vec()));
        let lines = vec![&b"X: a"[..]; MAX_FIELDS];
        assert_eq!(read(&lines).unwrap().fields.len(), MAX_FIELDS);
        assert_eq!(read(&[&lines[..], &[b"X: a"]].concat()).unwrap_err(), Wrong::TooManyFields);
        assert_eq!(read(&vec![&b"x"[..]; 1000]).unwrap().oddities.len(), MOST_ODDITIES);
    }
}

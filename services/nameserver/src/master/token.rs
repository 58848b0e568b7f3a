//! Master-file text, cut into entries (RFC 1035 §5.1).
//!
//! Text is bytes: a zone may hold any (RFC 2181 §11), and comments come in any encoding.

use super::printable;
use crate::problem::Problem;

/// One word of an entry, as it stands in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'t> {
    /// Its text, without the quotes and with its escapes.
    pub(super) raw: &'t [u8],
    /// Whether it stands in quotes.
    pub(super) quoted: bool,
    /// Whether nothing separates it from the word before: `key="value"` is two words (RFC 9460 §2.1).
    pub(super) joined: bool,
}

impl<'t> Token<'t> {
    /// The word as a message shows it.
    pub(super) fn shown(&self) -> String {
        printable(self.raw)
    }

    /// The word where it is plain ASCII text, as numbers and mnemonics are; otherwise something that is neither.
    pub(super) fn ascii(&self) -> &'t str {
        std::str::from_utf8(self.raw).ok().filter(|text| text.is_ascii()).unwrap_or("\u{fffd}")
    }
}

/// One entry: a line, or several where parentheses hold them together.
#[derive(Debug, Default)]
pub(super) struct Entry<'t> {
    /// The line of its first word, from 1.
    pub(super) line: usize,
    /// Whether it begins with a blank, so that its owner is the last one.
    pub(super) blank: bool,
    /// Its words; at least one.
    pub(super) tokens: Vec<Token<'t>>,
}

/// Cuts a text into its entries. An entry that cannot be cut is a problem with its line; the next one follows all the
/// same, so that one reading tells of all.
pub(super) struct Entries<'t> {
    rest: &'t [u8],
    line: usize,
}

impl<'t> Entries<'t> {
    /// The entries of this text. A byte order mark before the first is no part of it.
    pub(super) fn new(text: &'t [u8]) -> Self {
        Self { rest: text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text), line: 0 }
    }

    fn next_line(&mut self) -> Option<&'t [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        self.line += 1;
        let end = self.rest.iter().position(|&byte| byte == b'\n');
        let (line, rest) = end.map_or((self.rest, &[][..]), |end| (&self.rest[..end], &self.rest[end + 1..]));
        self.rest = rest;
        Some(line)
    }
}

impl<'t> Iterator for Entries<'t> {
    type Item = Result<Entry<'t>, (usize, Problem)>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut entry = Entry::default();
        let mut open = Open::default();
        let mut problem = None;
        while let Some(line) = self.next_line() {
            if open.depth == 0 {
                entry = Entry { line: self.line, blank: line.first().is_some_and(is_blank), tokens: Vec::new() };
            }
            if let Err(found) = words(line, self.line, &mut entry.tokens, &mut open) {
                problem.get_or_insert((self.line, found));
            }
            if open.depth == 0 {
                match problem {
                    Some(problem) => return Some(Err(problem)),
                    None if entry.tokens.is_empty() => {}
                    None => return Some(Ok(entry)),
                }
            }
        }
        let open = (open.depth > 0).then_some((open.line, Problem::OpenParenthesis));
        open.or(problem).map(Err)
    }
}

/// Parentheses that are open.
#[derive(Default)]
struct Open {
    depth: usize,
    /// The line of the outermost.
    line: usize,
}

/// Words of one entry: more than the longest record's data has as hexadecimal digits one by one.
const WORDS: usize = 150_000;

/// The words of a text that is one line, as `$GENERATE` makes them.
pub(super) fn words_of(line: &[u8]) -> Result<Vec<Token<'_>>, Problem> {
    let (mut tokens, mut open) = (Vec::new(), Open::default());
    words(line, 1, &mut tokens, &mut open)?;
    if open.depth == 0 { Ok(tokens) } else { Err(Problem::OpenParenthesis) }
}

/// Adds the words of one line to the entry.
fn words<'t>(line: &'t [u8], number: usize, tokens: &mut Vec<Token<'t>>, open: &mut Open) -> Result<(), Problem> {
    let mut at = 0;
    let mut joined = false;
    while let Some(first) = line.get(at) {
        let rest = &line[at + 1..];
        if tokens.len() > WORDS {
            return Err(Problem::LongEntry(WORDS));
        }
        match first {
            b';' => return Ok(()),
            blank if is_blank(blank) => joined = false,
            b'(' => {
                if open.depth == 0 {
                    open.line = number;
                }
                open.depth += 1;
                joined = false;
            }
            b')' => {
                open.depth = open.depth.checked_sub(1).ok_or(Problem::StrayParenthesis)?;
                joined = false;
            }
            b'"' => {
                let end = end_of(rest, |byte| *byte == b'"').ok_or(Problem::OpenQuote)?;
                tokens.push(Token { raw: &rest[..end], quoted: true, joined });
                at += 1 + end;
                joined = true;
            }
            _ => {
                let ends = |byte: &u8| is_blank(byte) || matches!(byte, b';' | b'(' | b')' | b'"');
                let end = at + end_of(&line[at..], ends).unwrap_or(line.len() - at);
                tokens.push(Token { raw: &line[at..end], quoted: false, joined });
                at = end - 1;
                joined = true;
            }
        }
        at += 1;
    }
    Ok(())
}

/// A carriage return is one, so that the line ends of other systems are read too.
fn is_blank(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | 0x0b | 0x0c)
}

/// Where the first byte is that `ends` a word and stands behind no `\`.
fn end_of(text: &[u8], ends: impl Fn(&u8) -> bool) -> Option<usize> {
    let mut escaped = false;
    for (at, byte) in text.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            byte if ends(byte) => return Some(at),
            _ => {}
        }
    }
    None
}

/// A text's bytes, its escapes resolved: `\X` is X, `\DDD` the byte of that decimal number (RFC 1035 §5.1).
pub(super) fn unescaped(raw: &[u8]) -> Result<Vec<u8>, Problem> {
    pieces(raw).map(|piece| piece.map(|(Piece::Plain(byte) | Piece::Escaped(byte))| byte)).collect()
}

/// A byte of a word, with what was said about it.
pub(super) enum Piece {
    /// It stands for itself and may have a meaning, as a dot between labels.
    Plain(u8),
    /// It stands behind `\` or was written as a number, and has no meaning.
    Escaped(u8),
}

/// The bytes of a word.
pub(super) fn pieces(raw: &[u8]) -> impl Iterator<Item = Result<Piece, Problem>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let first = *raw.get(at)?;
        at += 1;
        if first != b'\\' {
            return Some(Ok(Piece::Plain(first)));
        }
        let bad = || Err(Problem::Escape(printable(raw)));
        let Some(&next) = raw.get(at) else { return Some(bad()) };
        if !next.is_ascii_digit() {
            at += 1;
            return Some(Ok(Piece::Escaped(next)));
        }
        let digits = raw.get(at..at + 3).filter(|digits| digits.iter().all(u8::is_ascii_digit));
        at += 3;
        let number = digits.map(|digits| digits.iter().fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0')));
        Some(number.and_then(|number| u8::try_from(number).ok()).map_or_else(bad, |byte| Ok(Piece::Escaped(byte))))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Entries as `line:word|word`, `_` before the words for a leading blank, `+` for a word that is joined to the one
    /// before; quoted words in quotes. Problems as `line! problem`.
    fn check(text: &[u8], expected: &[&str]) {
        let word = |t: &Token<'_>| {
            let (join, text) = (if t.joined { "+" } else { "" }, String::from_utf8_lossy(t.raw));
            if t.quoted { format!("{join}{text:?}") } else { format!("{join}{text}") }
        };
        let shown: Vec<String> = Entries::new(text)
            .map(|entry| match entry {
                Ok(entry) => {
                    let words: Vec<String> = entry.tokens.iter().map(word).collect();
                    format!("{}:{}{}", entry.line, if entry.blank { "_" } else { "" }, words.join("|"))
                }
                Err((line, problem)) => format!("{line}! {problem}"),
            })
            .collect();
        assert_eq!(shown, expected, "{text:?}");
    }

    #[test]
    fn cut() {
        check(b"", &[]);
        check(b"a A 1 ; said\n\n ; only a comment\n\tTXT \"x ; y\"\r\n", &["1:a|A|1", "4:_TXT|\"x ; y\""]);
        check(b"@ SOA a b ( 1 ; serial\n 2 3\n) 4\nb A", &["1:@|SOA|a|b|1|2|3|4", "4:b|A"]);
        check(b"a TXT (\"b c\"\n\"d\")e", &["1:a|TXT|\"b c\"|\"d\"|e"]);
        check(br#"a\;b TXT "q\"r" c\ d"#, &[r#"1:a\;b|TXT|"q\\\"r"|c\ d"#]);
        check(b"a k=\"v\"w \"x\"", &["1:a|k=|+\"v\"|+w|\"x\""]);
        check(b"\xef\xbb\xbfa A 1\r\nb\tA\t1", &["1:a|A|1", "2:b|A|1"]);
        check(b"; \xe9t\xe9\na A 1", &["2:a|A|1"]);
        check(b"a TXT \"b\nc A 1", &["1! the quote is not closed on this line", "2:c|A|1"]);
        check(b"a A )\nc A 1", &["1! \")\" without \"(\"", "2:c|A|1"]);
        check(b"c A 1\na (\n A\n", &["1:c|A|1", "2! the parenthesis opened here is never closed"]);
        // A quote that stays open within parentheses spoils its own entry only.
        check(b"a ( \"b\n c )\nd A 1", &["1! the quote is not closed on this line", "3:d|A|1"]);
    }

    #[test]
    fn escapes() {
        assert_eq!(unescaped(br"a\046b\.c\255").unwrap(), b"a.b.c\xff");
        for bad in [r"a\", r"\25", r"\256", r"\2x4"] {
            assert_eq!(unescaped(bad.as_bytes()), Err(Problem::Escape(bad.to_owned())));
        }
    }
}

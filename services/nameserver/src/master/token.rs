//! Master-file text, cut into entries (RFC 1035 §5.1).

use super::Located;
use crate::problem::Problem;

/// One word of an entry, as it stands in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'t> {
    /// Its text, without the quotes and with its escapes.
    pub(super) raw: &'t str,
    /// Whether it stands in quotes.
    pub(super) quoted: bool,
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

/// Cuts a text into its entries. An entry that cannot be cut is left out and its problem reported, so that one reading
/// tells of all.
pub(super) fn entries<'t>(text: &'t str, problems: &mut Vec<Located>) -> Vec<Entry<'t>> {
    let mut entries = Vec::new();
    let mut entry = Entry::default();
    // The lines of parentheses that are open.
    let mut open = Vec::new();
    let mut usable = true;
    for (number, line) in (1..).zip(text.lines()) {
        if open.is_empty() {
            entry = Entry { line: number, blank: line.starts_with([' ', '\t']), tokens: Vec::new() };
            usable = true;
        }
        if let Err(problem) = words(line, number, &mut entry, &mut open) {
            problems.push(Located { line: Some(number), problem });
            usable = false;
        }
        if open.is_empty() && usable && !entry.tokens.is_empty() {
            entries.push(std::mem::take(&mut entry));
        }
    }
    if let Some(&line) = open.first() {
        problems.push(Located { line: Some(line), problem: Problem::OpenParenthesis });
    }
    entries
}

/// Adds the words of one line to the entry.
fn words<'t>(line: &'t str, number: usize, entry: &mut Entry<'t>, open: &mut Vec<usize>) -> Result<(), Problem> {
    let mut rest = line;
    loop {
        rest = rest.trim_start();
        let Some(first) = rest.chars().next() else { return Ok(()) };
        match first {
            ';' => return Ok(()),
            '(' => {
                open.push(number);
                rest = &rest[1..];
            }
            ')' => {
                open.pop().ok_or(Problem::StrayParenthesis)?;
                rest = &rest[1..];
            }
            '"' => {
                let end = 1 + end_of(&rest[1..], |c| c == '"').ok_or(Problem::OpenQuote)?;
                entry.tokens.push(Token { raw: &rest[1..end], quoted: true });
                rest = &rest[end + 1..];
            }
            _ => {
                let ends = |c: char| c.is_whitespace() || matches!(c, ';' | '(' | ')' | '"');
                let end = end_of(rest, ends).unwrap_or(rest.len());
                entry.tokens.push(Token { raw: &rest[..end], quoted: false });
                rest = &rest[end..];
            }
        }
    }
}

/// Where the first character is that `ends` a word and stands behind no `\`.
fn end_of(text: &str, ends: impl Fn(char) -> bool) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if ends(c) => return Some(at),
            _ => {}
        }
    }
    None
}

/// A text's bytes, its escapes resolved: `\X` is X, `\DDD` the byte of that decimal number (RFC 1035 §5.1).
pub(super) fn unescaped(raw: &str) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::with_capacity(raw.len());
    for piece in pieces(raw) {
        match piece? {
            Piece::Plain(c) | Piece::Literal(c) => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            Piece::Byte(byte) => bytes.push(byte),
        }
    }
    Ok(bytes)
}

/// A character of a word, with what was said about it.
pub(super) enum Piece {
    /// It stands for itself and may have a meaning, as a dot between labels.
    Plain(char),
    /// It stands behind `\` and has no meaning.
    Literal(char),
    /// It was written as a number.
    Byte(u8),
}

/// The characters of a word.
pub(super) fn pieces(raw: &str) -> impl Iterator<Item = Result<Piece, Problem>> {
    let mut chars = raw.chars();
    std::iter::from_fn(move || {
        let c = chars.next()?;
        if c != '\\' {
            return Some(Ok(Piece::Plain(c)));
        }
        let bad = || Err(Problem::Escape(raw.to_owned()));
        let Some(first) = chars.next() else { return Some(bad()) };
        if !first.is_ascii_digit() {
            return Some(Ok(Piece::Literal(first)));
        }
        let digits: String = std::iter::once(first).chain(chars.by_ref().take(2)).collect();
        let number = (digits.len() == 3).then(|| digits.parse().ok()).flatten();
        Some(number.map_or_else(bad, |byte| Ok(Piece::Byte(byte))))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Entries as `line:word|word`, `_` before the words for a leading blank; quoted words in quotes.
    fn check(text: &str, expected: &[&str], problem: Option<(usize, Problem)>) {
        let mut problems = Vec::new();
        let shown: Vec<String> = entries(text, &mut problems)
            .iter()
            .map(|entry| {
                let word = |t: &Token<'_>| if t.quoted { format!("{:?}", t.raw) } else { t.raw.to_owned() };
                let words: Vec<String> = entry.tokens.iter().map(word).collect();
                format!("{}:{}{}", entry.line, if entry.blank { "_" } else { "" }, words.join("|"))
            })
            .collect();
        assert_eq!(shown, expected, "{text:?}");
        let problem = problem.map(|(line, problem)| Located { line: Some(line), problem });
        assert_eq!(problems, Vec::from_iter(problem), "{text:?}");
    }

    #[test]
    fn cut() {
        check("", &[], None);
        check("a A 1 ; said\n\n ; only a comment\n\tTXT \"x ; y\"\r\n", &["1:a|A|1", "4:_TXT|\"x ; y\""], None);
        check("@ SOA a b ( 1 ; serial\n 2 3\n) 4\nb A", &["1:@|SOA|a|b|1|2|3|4", "4:b|A"], None);
        check("a TXT (\"b c\"\n\"d\")e", &["1:a|TXT|\"b c\"|\"d\"|e"], None);
        check(
            r#"a\;b TXT "q\"r" c\ d"#,
            &[r"1:a\;b|TXT|", r#""q\\\"r"|c\ d"#].concat().as_str().split('\u{0}').collect::<Vec<_>>(),
            None,
        );
        check("a TXT \"b\nc A 1", &["2:c|A|1"], Some((1, Problem::OpenQuote)));
        check("a A )\nc A 1", &["2:c|A|1"], Some((1, Problem::StrayParenthesis)));
        check("c A 1\na (\n A\n", &["1:c|A|1"], Some((2, Problem::OpenParenthesis)));
    }

    #[test]
    fn escapes() {
        assert_eq!(unescaped(r"a\046b\.c\255").unwrap(), b"a.b.c\xff");
        for bad in [r"a\", r"\25", r"\256", r"\2x4"] {
            assert_eq!(unescaped(bad), Err(Problem::Escape(bad.to_owned())));
        }
    }
}

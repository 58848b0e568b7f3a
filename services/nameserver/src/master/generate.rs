//! `$GENERATE`: many records from one line, as BIND has it.

use hickory_proto::rr::Name;

use super::{Reader, Token, head, name, token::words_of};
use crate::problem::Problem;

/// The longest line that a template makes; a `${0,99999}` must not fill the memory.
const LONGEST: usize = 4096;

impl Reader<'_> {
    /// `$GENERATE start-stop[/step] owner [TTL] [class] type data…`: a record for each number, which stands for `$` in
    /// owner and data. Data in one pair of quotes is unquoted first, as BIND does.
    pub(super) fn generate(&mut self, line: usize, words: &[Token<'_>], origin: &Name) -> Result<(), Problem> {
        let missing = |what: &str| Problem::Missing(format!("$GENERATE: {what}"));
        let (range, rest) = words.split_first().ok_or_else(|| missing("its range"))?;
        let (owner, rest) = rest.split_first().ok_or_else(|| missing("its owner"))?;
        let head = head(rest)?;
        let template = template(head.data);
        let (start, stop, step) =
            span(range.ascii()).ok_or_else(|| Problem::Generate(range.shown(), "a range, as 1-10 or 0-20/2"))?;
        for number in (start..=stop).step_by(step) {
            self.generated = self.generated.checked_sub(1).ok_or(Problem::Generated(super::GENERATED))?;
            let owner = expand(owner.raw, number)?;
            let owner = name(&Token { raw: &owner, quoted: false, joined: false }, origin)?;
            let data = expand(&template, number)?;
            let data = words_of(&data)?;
            self.record(line, owner, &super::Head { data: &data, ..head }, origin)?;
        }
        Ok(())
    }
}

/// The words of the data as one text.
fn template(words: &[Token<'_>]) -> Vec<u8> {
    if let [word] = words {
        return word.raw.to_vec();
    }
    let mut text = Vec::new();
    for word in words {
        if !word.joined {
            text.push(b' ');
        }
        let quote: &[u8] = if word.quoted { b"\"" } else { b"" };
        text.extend([quote, word.raw, quote].concat());
    }
    text
}

fn span(text: &str) -> Option<(u32, u32, usize)> {
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u32>().ok()).flatten();
    let (range, step) = text.split_once('/').unwrap_or((text, "1"));
    let (start, stop) = range.split_once('-')?;
    let (start, stop, step) = (number(start)?, number(stop)?, number(step)?);
    (start <= stop && step > 0 && i32::try_from(stop).is_ok()).then_some((start, stop, step as usize))
}

/// Writes the number where `$` and `${offset,width,base}` stand; `\$` and `$$` are the character itself.
fn expand(template: &[u8], number: u32) -> Result<Vec<u8>, Problem> {
    let mut text = Vec::with_capacity(template.len() + 8);
    let mut rest = template;
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        match (first, after.first()) {
            (b'\\', Some(&next)) => {
                text.extend([b'\\', next]);
                rest = &after[1..];
            }
            (b'$', Some(b'$')) => {
                text.push(b'$');
                rest = &after[1..];
            }
            (b'$', Some(b'{')) => {
                let end = after.iter().position(|&byte| byte == b'}');
                let inner = end.map(|end| &after[1..end]);
                let made = inner.and_then(|inner| formatted(std::str::from_utf8(inner).ok()?, number));
                let bad = || Problem::Generate(super::printable(template), "a template with ${offset,width,base}");
                text.extend(made.ok_or_else(bad)?.into_bytes());
                rest = &after[end.unwrap_or_default() + 1..];
            }
            (b'$', _) => text.extend(number.to_string().into_bytes()),
            (byte, _) => text.push(byte),
        }
        if text.len() > LONGEST {
            return Err(Problem::Generate(
                super::printable(template),
                "a template whose lines have at most 4096 bytes",
            ));
        }
    }
    Ok(text)
}

/// The number as `offset[,width[,base]]` says.
fn formatted(inner: &str, number: u32) -> Option<String> {
    let mut parts = inner.split(',').map(str::trim);
    let offset: i64 = parts.next()?.parse().ok()?;
    let width: usize = parts.next().map_or(Some(0), |width| width.parse().ok()).filter(|width| *width <= LONGEST)?;
    let base = parts.next().unwrap_or("d");
    if parts.next().is_some() {
        return None;
    }
    let value = i64::from(number) + offset;
    Some(match base {
        "d" => format!("{value:0width$}"),
        // A negative number has no digits in these.
        _ if value < 0 => return None,
        "o" => format!("{value:0width$o}"),
        "x" => format!("{value:0width$x}"),
        "X" => format!("{value:0width$X}"),
        "n" => nibbles(&format!("{value:x}"), width),
        "N" => nibbles(&format!("{value:X}"), width),
        _ => return None,
    })
}

/// Hexadecimal digits as labels, the last one first, as below ip6.arpa. The width counts the dots too, so that an even one
/// ends with a dot.
fn nibbles(digits: &str, width: usize) -> String {
    let mut labels: Vec<char> = digits.chars().rev().collect();
    while labels.len() * 2 < width {
        labels.push('0');
    }
    let mut text = labels.iter().map(char::to_string).collect::<Vec<_>>().join(".");
    if text.len() < width {
        text.push('.');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates() {
        for (template, number, expected) in [
            ("a", 7, Some("a")),
            ("h$", 7, Some("h7")),
            ("$.$", 7, Some("7.7")),
            ("$$", 7, Some("$")),
            (r"\$", 7, Some(r"\$")),
            ("${0}", 7, Some("7")),
            ("${-7,3}", 10, Some("003")),
            ("${1,4,x}", 254, Some("00ff")),
            ("${1,4,X}", 254, Some("00FF")),
            ("${0,3,o}", 9, Some("011")),
            ("${0,7,n}", 0x12, Some("2.1.0.0")),
            ("${0,8,n}", 0x12, Some("2.1.0.0.")),
            ("${-8}", 7, Some("-1")),
            ("${-8,0,x}", 7, None),
            ("${0,0,q}", 7, None),
            ("${0", 7, None),
            ("${}", 7, None),
            ("${0,99999}", 7, None),
        ] {
            let made = expand(template.as_bytes(), number).ok().map(|text| String::from_utf8(text).unwrap());
            assert_eq!(made.as_deref(), expected, "{template}");
        }
    }

    #[test]
    fn ranges() {
        assert_eq!(span("1-3"), Some((1, 3, 1)));
        assert_eq!(span("0-20/5"), Some((0, 20, 5)));
        for bad in ["", "1", "3-1", "1-3/0", "-1-3", "1-+3", "0-4294967295", "a-b"] {
            assert_eq!(span(bad), None, "{bad}");
        }
    }
}

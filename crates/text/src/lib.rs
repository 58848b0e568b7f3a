//! Text for people: foreign text made safe for a terminal, the columns that it takes, and numbers with their units.

pub mod words;

use unicode_width::UnicodeWidthChar;

/// Text that a terminal shows as it is. Control characters, and characters that are invisible or change the direction of
/// text, are written as escapes: what a file or a server holds cannot move the cursor, change colours or look like
/// something else.
pub fn clean(text: &str) -> String {
    let mut cleaned = String::with_capacity(text.len());
    for c in text.chars() {
        if is_escaped(c) {
            cleaned.extend(c.escape_unicode());
        } else {
            cleaned.push(c);
        }
    }
    cleaned
}

/// The same for text of several lines.
pub fn clean_lines(text: &str) -> String {
    text.split('\n').map(clean).collect::<Vec<_>>().join("\n")
}

/// Whether [`clean`] writes this character as an escape.
pub fn is_escaped(c: char) -> bool {
    c.is_control() || is_invisible(c)
}

fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The number of terminal columns that a text takes.
pub fn width(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_and_bidi_characters_are_escaped() {
        assert_eq!(clean("a\u{1b}[31m\u{9b}ü\u{202e}\n"), "a\\u{1b}[31m\\u{9b}ü\\u{202e}\\u{a}");
        assert_eq!(clean_lines("a\rb\nc"), "a\\u{d}b\nc");
    }

    #[test]
    fn wide_characters_take_two_columns() {
        assert_eq!((width("abc"), width("名字"), width("e\u{301}")), (3, 4, 1));
    }
}

//! Text from files and peers on its way to a terminal.

/// The text with control characters, and those that cannot be seen or change the direction of what follows, written out:
/// what a file holds cannot move the cursor, change colours or look like something else.
pub fn printable(text: &str) -> String {
    let mut printed = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || is_invisible(c) {
            printed.extend(c.escape_unicode());
        } else {
            printed.push(c);
        }
    }
    printed
}

/// The same for text of several lines.
pub fn printable_lines(text: &str) -> String {
    text.split('\n').map(printable).collect::<Vec<_>>().join("\n")
}

fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_and_bidi_characters_are_written_out() {
        assert_eq!(printable("a\u{1b}[31m\u{9b}ü\u{202e}\n"), "a\\u{1b}[31m\\u{9b}ü\\u{202e}\\u{a}");
        assert_eq!(printable_lines("a\rb\nc"), "a\\u{d}b\nc");
    }
}

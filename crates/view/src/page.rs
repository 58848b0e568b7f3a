//! Lines, colours and widths.

pub use text::width;

use text::clean;

/// What the place of output can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Escape sequences for colours.
    pub color: bool,
    /// Characters beyond ASCII.
    pub unicode: bool,
    /// Columns.
    pub width: usize,
}

/// What a piece of text is, which decides its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ink {
    /// Text.
    Plain,
    /// What one can do without.
    Dim,
    /// What one looks for first.
    Bold,
    /// It went well.
    Good,
    /// It did not.
    Bad,
    /// It deserves a look.
    Warn,
    /// A host.
    Host,
}

impl Ink {
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Dim => "2",
            Self::Bold => "1",
            Self::Good => "32",
            Self::Bad => "1;31",
            Self::Warn => "33",
            Self::Host => "36",
        }
    }
}

/// A piece of a line. Its text is cleaned as it is made.
#[derive(Clone, Debug)]
pub struct Piece {
    ink: Ink,
    text: String,
}

impl Piece {
    /// How many columns it takes.
    pub fn width(&self) -> usize {
        width(&self.text)
    }
}

/// A piece of a line.
pub fn piece(ink: Ink, text: impl AsRef<str>) -> Piece {
    Piece { ink, text: clean(text.as_ref()) }
}

/// Plain text.
pub fn plain(text: impl AsRef<str>) -> Piece {
    piece(Ink::Plain, text)
}

/// Text that one can do without.
pub fn dim(text: impl AsRef<str>) -> Piece {
    piece(Ink::Dim, text)
}

/// So many columns are room for a column of text.
const LEAST_COLUMN: usize = 16;

/// A page that grows line by line.
#[derive(Debug)]
pub struct Page {
    style: Style,
    text: String,
}

impl Page {
    /// An empty page.
    pub fn new(style: &Style) -> Self {
        Self { style: *style, text: String::new() }
    }

    /// What can be shown.
    pub fn style(&self) -> Style {
        self.style
    }

    /// The text, each line with its newline.
    pub fn into_text(self) -> String {
        self.text
    }

    /// An empty line.
    pub fn gap(&mut self) {
        self.text.push('\n');
    }

    /// A line, broken at spaces where it is too long; its continuation is indented by `hang` columns.
    pub fn line(&mut self, hang: usize, pieces: &[Piece]) {
        // In a narrow window a deep continuation would leave no room.
        self.place(hang.min(self.style.width / 3), pieces, self.style.width);
        self.text.push('\n');
    }

    /// The same for the last column of a table, whose continuation is below it where some room is left there.
    pub fn line_in_column(&mut self, hang: usize, pieces: &[Piece]) {
        if hang + LEAST_COLUMN > self.style.width {
            return self.line(hang, pieces);
        }
        self.place(hang, pieces, self.style.width);
        self.text.push('\n');
    }

    /// A line with something at its right edge.
    pub fn line_with_right(&mut self, hang: usize, pieces: &[Piece], right: &Piece) {
        if right.text.is_empty() {
            return self.line(hang, pieces);
        }
        let taken = width(&right.text);
        let hang = hang.min(self.style.width / 3);
        let column = self.place(hang, pieces, self.style.width.saturating_sub(taken + 2));
        let mut gap = self.style.width.saturating_sub(column + taken);
        if gap == 0 {
            // A long word has taken the place.
            self.text.push('\n');
            gap = self.style.width.saturating_sub(taken);
        }
        self.text.push_str(&" ".repeat(gap));
        self.ink(right.ink, &right.text);
        self.text.push('\n');
    }

    /// Writes pieces, breaking at spaces; returns the column after the last one.
    fn place(&mut self, hang: usize, pieces: &[Piece], limit: usize) -> usize {
        let mut column = 0;
        for piece in pieces {
            let mut chunk = String::new();
            for word in piece.text.split_inclusive(' ') {
                let long = width(word.trim_end());
                if column > hang && column + long > limit {
                    self.ink(piece.ink, chunk.trim_end());
                    chunk.clear();
                    self.text.truncate(self.text.trim_end_matches(' ').len());
                    self.text.push('\n');
                    self.text.push_str(&" ".repeat(hang));
                    column = hang;
                    if word.trim().is_empty() {
                        continue;
                    }
                }
                chunk.push_str(word);
                column += width(word);
            }
            self.ink(piece.ink, &chunk);
        }
        column
    }

    fn ink(&mut self, ink: Ink, text: &str) {
        let code = ink.code();
        if text.is_empty() {
            return;
        }
        if !self.style.color || code.is_empty() {
            self.push(text);
            return;
        }
        self.text.push_str(&format!("\x1b[{code}m"));
        self.push(text);
        self.text.push_str("\x1b[0m");
    }

    fn push(&mut self, text: &str) {
        if self.style.unicode {
            self.text.push_str(text);
        } else {
            self.text.extend(text.chars().map(plain_ascii));
        }
    }
}

/// The nearest ASCII for the characters that views use themselves; others become `?`.
fn plain_ascii(c: char) -> char {
    match c {
        ' '..='~' => c,
        'µ' => 'u',
        '·' | '•' | '—' | '–' => '-',
        '→' => '>',
        '←' => '<',
        '↔' => '-',
        '▬' => '=',
        '│' => '|',
        '…' => '.',
        '×' => 'x',
        '─' => '-',
        '✔' => '+',
        '✘' => 'x',
        '█' | '▉' | '▊' | '▋' | '▌' | '▍' | '▎' | '▏' => '#',
        '\u{a0}' => ' ',
        _ => '?',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_foreign_reaches_the_terminal_raw() {
        assert_eq!(clean("a\x1b[2Jb\r\n\t\u{7f}\u{9b}"), "a\\u{1b}[2Jb\\u{d}\\u{a}\\u{9}\\u{7f}\\u{9b}");
        assert_eq!(clean("gnp\u{202e}exe.\u{200b}"), "gnp\\u{202e}exe.\\u{200b}");
        assert_eq!(clean("grüße 百度"), "grüße 百度");
    }

    #[test]
    fn lines_break_at_spaces() {
        let style = Style { color: false, unicode: true, width: 20 };
        let mut page = Page::new(&style);
        page.line(4, &[plain("  one two "), dim("three four five six")]);
        assert_eq!(page.into_text(), "  one two three four\n    five six\n");
        let mut page = Page::new(&style);
        page.line_with_right(4, &[plain("one two")], &plain("5 ms"));
        assert_eq!(page.into_text(), "one two         5 ms\n");
    }

    #[test]
    fn ascii_where_nothing_else_is_shown() {
        let style = Style { color: false, unicode: false, width: 40 };
        let mut page = Page::new(&style);
        page.line(0, &[plain("✔ 5 µs · 百")]);
        assert_eq!(page.into_text(), "+ 5 us - ?\n");
    }
}

//! What goes over a socket as it is: how much, and the begin of it as text.

/// Bytes that are kept to be shown.
const KEPT: usize = 1024;

/// Bytes that were sent or came.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    /// How many.
    pub bytes: u64,
    begin: Vec<u8>,
}

impl Heard {
    /// More of them.
    pub fn push(&mut self, more: &[u8]) {
        self.bytes += more.len() as u64;
        let room = KEPT - self.begin.len();
        self.begin.extend_from_slice(&more[..more.len().min(room)]);
    }

    /// The first KiB as text, bytes that are no UTF-8 as U+FFFD; `None` for what is no text.
    pub fn text(&self) -> Option<String> {
        let mut begin = self.begin.as_slice();
        if self.bytes > KEPT as u64
            && let Err(error) = std::str::from_utf8(begin)
            && error.error_len().is_none()
        {
            // The limit has cut a character.
            begin = &begin[..error.valid_up_to()];
        }
        let text = String::from_utf8_lossy(begin);
        is_text(&text).then(|| text.into_owned())
    }
}

/// Whether a person would call it text: it has no control characters but those that lines and terminals have, and most of
/// it could be read. An older coding of text than UTF-8 has a few bytes that cannot.
fn is_text(text: &str) -> bool {
    let (mut all, mut unread) = (0, 0);
    for c in text.chars() {
        // Bell, backspace, tab, line feed, vertical tab, form feed, carriage return, escape.
        let of_terminals = matches!(c, '\u{7}'..='\r' | '\u{1b}');
        if c.is_ascii_control() && !of_terminals {
            return false;
        }
        all += 1;
        unread += usize::from(c == '\u{fffd}');
    }
    unread * 4 <= all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> Option<String> {
        let mut heard = Heard::default();
        for chunk in bytes.chunks(700) {
            heard.push(chunk);
        }
        assert_eq!(heard.bytes, bytes.len() as u64);
        heard.text()
    }

    #[test]
    fn text_and_what_is_none() {
        let check = |bytes: &[u8], expected: Option<&str>| assert_eq!(text(bytes).as_deref(), expected, "{bytes:?}");
        check(b"", Some(""));
        check(b"220 mail.test\r\n", Some("220 mail.test\r\n"));
        check("grüße".as_bytes(), Some("grüße"));
        check(b"gr\xfc\xdfe aus Z\xfcrich", Some("gr\u{fffd}\u{fffd}e aus Z\u{fffd}rich"));
        check(b"\x1b[31mred\x07", Some("\x1b[31mred\x07"));
        check(b"\xff\xfb\x01\xff\xfb\x03", None);
        check(b"a\0b", None);
        check(&[0x16, 3, 1], None);
    }

    #[test]
    fn the_begin_alone_is_kept() {
        assert_eq!(text(&[b'a'; 5_000]), Some("a".repeat(KEPT)));
        // 341 characters of three bytes, and the begin of one that does not fit.
        assert_eq!(text("你".repeat(500).as_bytes()), Some("你".repeat(341)));
    }
}

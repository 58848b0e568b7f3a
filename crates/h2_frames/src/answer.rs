//! How far the answer on one stream has come, from the frames of its sender.

use super::{HEADER, Kind, Part};

/// How far the answer on one stream has come (RFC 9113 §8.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Bytes of the newest block of fields, compressed.
    pub fields: u64,
    /// Bytes of content, without padding.
    pub content: u64,
    /// Whether END_STREAM came: without it an answer is not complete, whatever its length.
    pub is_ended: bool,
    /// The code of an RST_STREAM for this stream.
    pub reset: Option<u32>,
    /// The code of the last GOAWAY of the connection.
    pub goaway: Option<u32>,
}

impl Answer {
    /// Takes a part of a frame; only those of `stream` and of the connection count.
    pub fn take(&mut self, stream: u32, part: &Part) {
        if part.kind == Kind::GoAway && part.is_end {
            self.goaway = part.code;
        }
        if part.stream != stream || !part.is_end {
            return;
        }
        let payload = part.bytes.saturating_sub(HEADER as u64);
        match part.kind {
            Kind::Headers { is_last, .. } => {
                self.fields = payload;
                self.is_ended |= is_last;
            }
            Kind::Continuation { .. } => self.fields = self.fields.saturating_add(payload),
            Kind::Data { is_last } => {
                self.content = self.content.saturating_add(part.content);
                self.is_ended |= is_last;
            }
            Kind::Reset => self.reset = part.code,
            Kind::GoAway | Kind::Other => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Frames;

    fn answer(sent: &[u8]) -> Answer {
        let mut answer = Answer::default();
        Frames::from_server().feed(sent, |part| answer.take(1, &part));
        answer
    }

    #[test]
    fn only_end_stream_ends_an_answer() {
        let head = [0, 0, 1, 1, 4, 0, 0, 0, 1, 0x88];
        let data = |flags| [0, 0, 2, 0, flags, 0, 0, 0, 1, b'o', b'k'];
        let reset = [0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 0];
        let whole = Answer { fields: 1, content: 2, is_ended: true, ..Answer::default() };
        assert_eq!(answer(&[&head[..], &data(1)].concat()), whole);
        assert_eq!(answer(&[&head[..], &data(0)].concat()), Answer { is_ended: false, ..whole });
        let cut = Answer { is_ended: false, reset: Some(0), ..whole };
        assert_eq!(answer(&[&head[..], &data(0), &reset].concat()), cut);
    }

    #[test]
    fn other_streams_do_not_count() {
        let other = [0, 0, 2, 0, 1, 0, 0, 0, 3, b'n', b'o'];
        let goaway = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 11];
        assert_eq!(answer(&[&other[..], &goaway].concat()), Answer { goaway: Some(11), ..Answer::default() });
    }
}

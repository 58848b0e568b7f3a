//! The state machine of one response: interim heads, head, content, trailers.

use crate::{
    End, Field, Framing, Kind, MAX_HEAD, Oddity, Wrong,
    chunked::{Chunks, Part},
    fields::Section,
    framing, quoted,
    status::{self, Status},
};

/// Empty lines in front of a status line that are skipped.
const MOST_LEADING_LINES: usize = 4;

/// What the request was, as far as its response depends on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// HEAD: there is no content.
    pub is_head: bool,
    /// CONNECT: there is no content where it succeeds.
    pub is_connect: bool,
    /// The request has a field `Upgrade`, so the server may switch protocols (101).
    pub upgrades: bool,
}

/// A head, as far as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Major and minor.
    pub version: (u8, u8),
    /// The status code, from 100 to 999.
    pub status: u16,
    /// The reason phrase, as it was sent.
    pub reason: Vec<u8>,
    /// The fields.
    pub fields: Vec<Field>,
    /// What is odd about it.
    pub oddities: Vec<Oddity>,
    /// Whether it came to its end.
    pub is_whole: bool,
    /// How the content is framed; none of an interim response, and where an error follows.
    pub framing: Option<Framing>,
}

/// A piece of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'b> {
    /// The head of an interim response (1xx).
    Interim(Head),
    /// The head of the final response. Where it is not whole, or its framing is not known, an error follows.
    Head(Head),
    /// Content, without the framing.
    Content(&'b [u8]),
    /// Fields behind the content, and what is odd about them.
    Trailers(Vec<Field>, Vec<Oddity>),
    /// The response is complete. Bytes behind it are not taken.
    End,
}

/// Reads one response.
#[derive(Debug)]
pub struct Reader {
    asked: Asked,
    state: State,
    // The line so far.
    line: Vec<u8>,
    // Of all heads, or of the trailers.
    head_bytes: usize,
    leading_lines: usize,
    is_lf_only: bool,
}

#[derive(Debug)]
enum State {
    Begin,
    Fields(Box<Status>, Section),
    Length(u64),
    Chunks(Chunks),
    Trailers(Section),
    Close,
    // The response is complete, which is not told yet.
    Ending,
    Ended,
    Broken(Wrong),
}

impl Reader {
    /// Nothing has come yet.
    pub fn new(asked: Asked) -> Self {
        Self { asked, state: State::Begin, line: Vec::new(), head_bytes: 0, leading_lines: 0, is_lf_only: false }
    }

    /// Takes bytes from the front up to the next event; `None` once all are taken, or the response is complete.
    ///
    /// # Errors
    ///
    /// When the bytes are not a response; from then on always the same.
    pub fn next<'b>(&mut self, bytes: &mut &'b [u8]) -> Result<Option<Event<'b>>, Wrong> {
        loop {
            match &mut self.state {
                State::Broken(wrong) => return Err(wrong.clone()),
                State::Ended => return Ok(None),
                State::Ending => {
                    self.state = State::Ended;
                    return Ok(Some(Event::End));
                }
                _ if bytes.is_empty() => return Ok(None),
                State::Begin | State::Fields(..) | State::Trailers(_) => match self.in_head(bytes) {
                    Ok(None) => {}
                    Ok(Some(event)) => return Ok(Some(event)),
                    Err(wrong) => return self.broken(wrong),
                },
                State::Close => return Ok(Some(Event::Content(std::mem::take(bytes)))),
                State::Length(left) => {
                    let count = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                    let (content, rest) = bytes.split_at(count);
                    *bytes = rest;
                    *left -= count as u64;
                    if *left == 0 {
                        self.state = State::Ending;
                    }
                    return Ok(Some(Event::Content(content)));
                }
                State::Chunks(chunks) => match chunks.next(bytes) {
                    Ok(None) => {}
                    Ok(Some(Part::Content(content))) => return Ok(Some(Event::Content(content))),
                    Ok(Some(Part::Last)) => {
                        self.head_bytes = 0;
                        self.state = State::Trailers(Section::default());
                    }
                    Err(wrong) => return self.broken(wrong),
                },
            }
        }
    }

    /// The other side has closed. What [`next`](Self::next) would still return is returned first.
    ///
    /// # Errors
    ///
    /// When the response is not complete.
    pub fn end(&mut self) -> Result<Option<Event<'static>>, Wrong> {
        match &self.state {
            State::Begin | State::Fields(..) => self.broken(Wrong::CutInHead),
            State::Length(_) | State::Chunks(_) | State::Trailers(_) => self.broken(Wrong::CutInContent),
            State::Close | State::Ending => {
                self.state = State::Ended;
                Ok(Some(Event::End))
            }
            State::Ended => Ok(None),
            State::Broken(wrong) => Err(wrong.clone()),
        }
    }

    /// Whether the response is complete.
    pub fn is_complete(&self) -> bool {
        matches!(self.state, State::Ended)
    }

    /// Whether nothing but the end of the connection ends the response.
    pub fn ends_by_close(&self) -> bool {
        matches!(self.state, State::Close)
    }

    /// What is known of a head is told before the error.
    fn broken(&mut self, wrong: Wrong) -> Result<Option<Event<'static>>, Wrong> {
        match std::mem::replace(&mut self.state, State::Broken(wrong.clone())) {
            State::Fields(status, mut section) => {
                // An error of the last line is not the one to tell.
                let _ = section.flush();
                Ok(Some(Event::Head(head(*status, section, false, self.is_lf_only))))
            }
            _ => Err(wrong),
        }
    }

    /// Goes on in a section of lines.
    fn in_head(&mut self, bytes: &mut &[u8]) -> Result<Option<Event<'static>>, Wrong> {
        let is_line = self.take_line(bytes)?;
        if matches!(self.state, State::Begin) {
            let begin = self.line.as_slice();
            let may_be_empty = begin.is_empty() || begin == b"\r";
            if !may_be_empty && (!status::may_begin(begin) || (is_line && begin.len() < status::PROTOCOL.len())) {
                return Err(Wrong::NotHttp);
            }
        }
        if !is_line {
            return Ok(None);
        }
        let mut line = std::mem::take(&mut self.line);
        match line.last() {
            Some(b'\r') => drop(line.pop()),
            _ => self.is_lf_only = true,
        }
        self.whole_line(&line)
    }

    /// Takes bytes up to the end of a line; whether it is there.
    fn take_line(&mut self, bytes: &mut &[u8]) -> Result<bool, Wrong> {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let (taken, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
        *bytes = if end.is_some() { &rest[1..] } else { rest };
        self.head_bytes += taken.len() + usize::from(end.is_some());
        if self.head_bytes > MAX_HEAD {
            return Err(Wrong::HeadTooLarge);
        }
        self.line.extend_from_slice(taken);
        Ok(end.is_some())
    }

    fn whole_line(&mut self, line: &[u8]) -> Result<Option<Event<'static>>, Wrong> {
        match &mut self.state {
            State::Begin if line.is_empty() => {
                self.leading_lines += 1;
                if self.leading_lines > MOST_LEADING_LINES { Err(Wrong::NotHttp) } else { Ok(None) }
            }
            State::Begin => {
                if line.contains(&0) {
                    return Err(Wrong::Nul(quoted(line)));
                }
                let mut status = status::read(line.trim_ascii_end())?;
                if std::mem::take(&mut self.leading_lines) > 0 {
                    status.oddities.insert(0, Oddity::new(Kind::LeadingLines, line));
                }
                self.state = State::Fields(Box::new(status), Section::default());
                Ok(None)
            }
            State::Fields(_, section) | State::Trailers(section) if !line.is_empty() => {
                section.line(line)?;
                Ok(None)
            }
            State::Fields(_, section) | State::Trailers(section) => {
                section.flush()?;
                Ok(Some(self.end_of_section()))
            }
            _ => Ok(None),
        }
    }

    /// The empty line behind the fields has come.
    fn end_of_section(&mut self) -> Event<'static> {
        match std::mem::replace(&mut self.state, State::Ending) {
            State::Fields(status, section) => {
                let head = head(*status, section, true, std::mem::take(&mut self.is_lf_only));
                self.after_head(head)
            }
            State::Trailers(section) => Event::Trailers(section.fields, section.oddities),
            other => {
                self.state = other;
                Event::End
            }
        }
    }

    fn after_head(&mut self, mut head: Head) -> Event<'static> {
        if head.status < 200 && head.status != 101 {
            self.state = State::Begin;
            return Event::Interim(head);
        }
        if head.status == 101 && !self.asked.upgrades {
            self.state = State::Broken(Wrong::Switched);
            return Event::Head(head);
        }
        self.state = match framing::of(self.asked, head.version, head.status, &head.fields, &mut head.oddities) {
            Ok(framing) => {
                let state = match framing.end {
                    End::None | End::Length(0) => State::Ending,
                    End::Length(length) => State::Length(length),
                    End::Chunked => State::Chunks(Chunks::default()),
                    End::Close => State::Close,
                };
                head.framing = Some(framing);
                state
            }
            Err(wrong) => State::Broken(wrong),
        };
        Event::Head(head)
    }
}

fn head(status: Status, mut section: Section, is_whole: bool, is_lf_only: bool) -> Head {
    let mut oddities = status.oddities;
    if is_lf_only {
        oddities.push(Oddity { kind: Kind::LineFeedOnly, line: Vec::new() });
    }
    oddities.append(&mut section.oddities);
    Head {
        version: status.version,
        status: status.code,
        reason: status.reason,
        fields: section.fields,
        oddities,
        is_whole,
        framing: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The events of a response that comes in these pieces: pieces of content joined, and how it ended.
    fn read(asked: Asked, pieces: &[&[u8]], closes: bool) -> Vec<String> {
        let (mut reader, mut told) = (Reader::new(asked), Vec::<String>::new());
        let mut content = Vec::new();
        let mut tell = |event: Event<'_>, told: &mut Vec<String>| {
            if let Event::Content(bytes) = event {
                content.extend_from_slice(bytes);
                return;
            }
            if !content.is_empty() {
                told.push(format!("content {}", String::from_utf8_lossy(&std::mem::take(&mut content))));
            }
            told.push(match event {
                Event::Interim(head) => format!("interim {} {}", head.status, fields(&head.fields)),
                Event::Head(head) => {
                    let kinds: Vec<_> = head.oddities.iter().map(|odd| odd.kind).collect();
                    let end = head.framing.map(|framing| framing.end);
                    format!("head {} {} {end:?} {kinds:?} whole={}", head.status, fields(&head.fields), head.is_whole)
                }
                Event::Trailers(trailers, odd) => format!("trailers {} {}", fields(&trailers), odd.len()),
                Event::End => "end".to_owned(),
                Event::Content(_) => String::new(),
            });
        };
        for piece in pieces {
            let mut bytes = *piece;
            loop {
                match reader.next(&mut bytes) {
                    Ok(Some(event)) => tell(event, &mut told),
                    Ok(None) => break,
                    Err(wrong) => {
                        told.push(format!("{wrong:?}"));
                        return told;
                    }
                }
            }
        }
        if !closes {
            return told;
        }
        loop {
            match reader.end() {
                Ok(Some(event)) => tell(event, &mut told),
                Ok(None) => break,
                Err(wrong) => {
                    if !content.is_empty() {
                        told.push(format!("content {}", String::from_utf8_lossy(&content)));
                    }
                    told.push(format!("{wrong:?}"));
                    break;
                }
            }
        }
        told
    }

    fn fields(fields: &[Field]) -> String {
        let one = |field: &Field| format!("{}={}", field.name, String::from_utf8_lossy(&field.value));
        format!("[{}]", fields.iter().map(one).collect::<Vec<_>>().join(","))
    }

    /// The same comes of every two pieces, and of single bytes.
    fn check_as(asked: Asked, sent: &str, expected: &[&str]) {
        let sent = sent.as_bytes();
        assert_eq!(read(asked, &[sent], true), expected, "{}", String::from_utf8_lossy(sent));
        for at in 0..=sent.len() {
            let (one, other) = sent.split_at(at);
            assert_eq!(read(asked, &[one, other], true), expected, "cut at {at}");
        }
        let single: Vec<&[u8]> = sent.chunks(1).collect();
        assert_eq!(read(asked, &single, true), expected, "byte by byte");
    }

    fn check(sent: &str, expected: &[&str]) {
        check_as(Asked::default(), sent, expected);
    }

    #[test]
    fn responses_in_every_two_pieces() {
        check(
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhixx",
            &["head 200 [Content-Length=2] Some(Length(2)) [] whole=true", "content hi", "end"],
        );
        check(
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            &["head 200 [Content-Length=0] Some(Length(0)) [] whole=true", "end"],
        );
        check("HTTP/1.0 200 OK\r\n\r\nhi", &["head 200 [] Some(Close) [] whole=true", "content hi", "end"]);
        check("HTTP/1.1 204 X\r\n\r\n", &["head 204 [] Some(None) [] whole=true", "end"]);
        check(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n1;a\r\n!\r\n0\r\nX: y\r\n\r\n",
            &[
                "head 200 [Transfer-Encoding=chunked] Some(Chunked) [] whole=true",
                "content hi!",
                "trailers [X=y] 0",
                "end",
            ],
        );
        check(
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 X\r\nLink: a\r\n\r\nHTTP/1.1 404 N\r\nContent-Length: 1\r\n\r\n!",
            &[
                "interim 100 []",
                "interim 103 [Link=a]",
                "head 404 [Content-Length=1] Some(Length(1)) [] whole=true",
                "content !",
                "end",
            ],
        );
        check(
            "\r\nhttp/1.1 200 OK\n X\nA: b\n c\nnone\n\nhi",
            &[
                "head 200 [A=b c] Some(Close) [LeadingLines, ProtocolName, LineFeedOnly, LeadingWhitespace, Folded, \
                 NoColon] whole=true",
                "content hi",
                "end",
            ],
        );
    }

    #[test]
    fn what_is_wrong_keeps_what_is_known() {
        check("SSH-2.0-OpenSSH\r\n", &["NotHttp"]);
        check("HTTP 200 OK\r\n\r\n", &["NotHttp"]);
        check("HTT\r\n", &["NotHttp"]);
        check("\r\n\r\n\r\n\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", &["NotHttp"]);
        check("", &["CutInHead"]);
        check("HTTP/1.1 20", &["CutInHead"]);
        check("HTTP/1.1 200 OK\r\nA: b\r\nContent-Le", &["head 200 [A=b] None [] whole=false", "CutInHead"]);
        check(
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi",
            &["head 200 [Content-Length=9] Some(Length(9)) [] whole=true", "content hi", "CutInContent"],
        );
        for cut in ["5\r\nhel", "2\r\nhi\r\n", "2\r\nhi\r\n0", "2\r\nhi\r\n0\r\n", "2\r\nhi\r\n0\r\nX: y\r\n"] {
            let seen = read(
                Asked::default(),
                &[b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", cut.as_bytes()],
                true,
            );
            assert_eq!(seen.last().unwrap(), "CutInContent", "{cut:?}");
        }
        check(
            "HTTP/1.1 200 OK\r\nA: b\r\nX: \0\r\n\r\n",
            &["head 200 [A=b] None [] whole=false", r#"Nul([88, 58, 32, 0])"#],
        );
        check(
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            &["head 200 [Content-Length=1,Content-Length=2] None [] whole=true", "Lengths([49, 44, 32, 50])"],
        );
    }

    #[test]
    fn protocols_are_switched_only_on_request() {
        let sent = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n";
        check(sent, &["head 101 [Upgrade=x] None [] whole=true", "Switched"]);
        let asked = Asked { upgrades: true, ..Asked::default() };
        check_as(asked, sent, &["head 101 [Upgrade=x] Some(None) [] whole=true", "end"]);
        let asked = Asked { is_head: true, ..Asked::default() };
        let sent = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nmore";
        check_as(asked, sent, &["head 200 [Transfer-Encoding=chunked] Some(None) [] whole=true", "end"]);
    }

    #[test]
    fn heads_are_bounded_however_they_come() {
        let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "a".repeat(MAX_HEAD));
        let many = "HTTP/1.1 100 Continue\r\n\r\n".repeat(MAX_HEAD / 25 + 1);
        for size in [100, 1400, MAX_HEAD * 2] {
            let pieces: Vec<&[u8]> = long.as_bytes().chunks(size).collect();
            assert_eq!(read(Asked::default(), &pieces, true).last().unwrap(), "HeadTooLarge", "{size}");
            let pieces: Vec<&[u8]> = many.as_bytes().chunks(size).collect();
            assert_eq!(read(Asked::default(), &pieces, true).last().unwrap(), "HeadTooLarge", "{size}");
            let fits = format!("HTTP/1.1 200 OK\r\nX: {}\r\nContent-Length: 0\r\n\r\n", "a".repeat(MAX_HEAD - 60));
            let pieces: Vec<&[u8]> = fits.as_bytes().chunks(size).collect();
            assert_eq!(read(Asked::default(), &pieces, true).last().unwrap(), "end", "{size}");
        }
    }
}

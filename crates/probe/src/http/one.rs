//! The exchange in HTTP/1.1: the request is written and the response read at the same time, by this program itself. A library
//! would keep to itself how the response was written, and lose one that comes before all of the request is sent.
//!
//! | module | what |
//! |---|---|
//! | `message` | the request as bytes |
//! | `words` | oddities and errors in words |

mod message;
mod words;

use std::{future::poll_fn, io, pin::Pin, task::Poll, time::Duration};

use bytes::Buf;
use http1::{Event, Head, Reader, Wrong};
use journey::{
    Reason,
    stage::{self, Failure, Framing, Header, Interim, Protocol},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

use super::{
    super::meter::Metered,
    FIRST_BYTE, Output, STALL, Talk,
    content::{self, Content},
    head,
};
use crate::redirect::is_redirect;
pub(super) use message::Message;
pub(super) use words::first_bytes;

/// Bytes that are read at once.
const TAKEN: usize = 16 * 1024;
/// Bytes that are kept of what a server begins with.
const BEGIN: usize = 256;
/// How long the rest of a first line is waited for, where it is not one of HTTP.
const LINE: Duration = Duration::from_millis(300);

/// A response that is complete.
pub(super) struct Complete {
    /// Whether the server offered to keep the connection.
    pub(super) keep_alive: bool,
    /// Bytes that came behind the response.
    pub(super) surplus: u64,
}

/// What the stream did.
enum Step {
    Read(io::Result<usize>),
    Wrote(io::Result<usize>),
    Flushed,
}

struct Exchange<'t, 'a> {
    talk: &'t mut Talk<'a>,
    reader: Reader,
    content: Option<Content>,
    // Where the content goes.
    output: Option<&'a Output>,
    // How the server's first bytes are.
    begin: Vec<u8>,
    keep_alive: bool,
    surplus: u64,
    // When something last went on: bytes were taken, an interim response or content came.
    quiet_since: Instant,
}

/// Sends the request and reads the response to its end.
pub(super) async fn run(talk: &mut Talk<'_>, message: &Message, stream: &mut Metered) -> Result<Complete, Failure> {
    let mut exchange = Exchange {
        talk,
        reader: Reader::new(message.asked),
        content: None,
        output: None,
        begin: Vec::new(),
        keep_alive: false,
        surplus: 0,
        quiet_since: Instant::now(),
    };
    let result = exchange.go(message, stream).await;
    exchange.note_content();
    result?;
    exchange.look_behind(stream).await;
    Ok(Complete { keep_alive: exchange.keep_alive, surplus: exchange.surplus })
}

impl Exchange<'_, '_> {
    async fn go(&mut self, message: &Message, stream: &mut Metered) -> Result<(), Failure> {
        let mut unsent = message.bytes();
        let mut is_flushed = false;
        let mut buffer = vec![0; TAKEN];
        while !self.reader.is_complete() {
            let limit = self.limit()?;
            let step = step(stream, unsent.chunk(), is_flushed, &mut buffer);
            match self.talk.probe.bounds.within(limit, step).await {
                Err(reason) => return Err(self.cut(reason)),
                Ok(Step::Wrote(Ok(count))) if count > 0 => {
                    unsent.advance(count);
                    self.quiet_since = Instant::now();
                }
                // What the server has said before is there nevertheless, and is read now.
                Ok(Step::Wrote(_)) => {
                    unsent.advance(unsent.remaining());
                    is_flushed = true;
                }
                Ok(Step::Flushed) => is_flushed = true,
                Ok(Step::Read(Ok(0))) => return self.closed(),
                Ok(Step::Read(Ok(count))) => self.take(buffer.get(..count).unwrap_or_default(), stream).await?,
                Ok(Step::Read(Err(error))) => return Err(self.broke(&error)),
            }
        }
        Ok(())
    }

    /// How long the next step may take.
    fn limit(&mut self) -> Result<Duration, Failure> {
        let quiet = if self.content.is_some() { STALL } else { FIRST_BYTE };
        let limit = quiet.saturating_sub(self.quiet_since.elapsed()).min(self.talk.time_left());
        // A stream that is always ready leaves no wait in which a limit could be noticed.
        match self.talk.probe.bounds.over().or_else(|| limit.is_zero().then_some(Reason::Timeout)) {
            Some(reason) => Err(self.cut(reason)),
            None => Ok(limit),
        }
    }

    fn cut(&mut self, reason: Reason) -> Failure {
        self.tell_part();
        let limit = if self.content.is_some() { STALL } else { FIRST_BYTE };
        self.talk.cut(reason, if self.talk.time_left().is_zero() { super::LONGEST } else { limit })
    }

    async fn take(&mut self, bytes: &[u8], stream: &mut Metered) -> Result<(), Failure> {
        if self.content.is_none() {
            let room = BEGIN.saturating_sub(self.begin.len()).min(bytes.len());
            self.begin.extend_from_slice(&bytes[..room]);
        }
        match self.events(bytes)? {
            None => Ok(()),
            Some(Wrong::NotHttp) => {
                self.hear_out(stream).await;
                Err(self.not_http())
            }
            Some(wrong) => Err(self.wrong(&wrong)),
        }
    }

    /// What these bytes are; an error where the local side has one, and what is wrong with them where something is.
    fn events(&mut self, bytes: &[u8]) -> Result<Option<Wrong>, Failure> {
        let mut rest = bytes;
        loop {
            match self.reader.next(&mut rest) {
                Ok(None) => break,
                Ok(Some(event)) => self.event(event)?,
                Err(wrong) => return Ok(Some(wrong)),
            }
        }
        self.surplus += rest.len() as u64;
        Ok(None)
    }

    fn event(&mut self, event: Event<'_>) -> Result<(), Failure> {
        match event {
            Event::Interim(head) => self.interim(&head),
            Event::Head(head) => return self.head(head),
            Event::Content(bytes) => {
                self.quiet_since = Instant::now();
                *self.talk.receive.content_bytes.get_or_insert(0) += bytes.len() as u64;
                let limit = self.talk.probe.max_response;
                if self.talk.receive.content_bytes > Some(limit) {
                    return Err(too_large(format!("the content is larger than the limit of {limit} bytes")));
                }
                if let Some(content) = &mut self.content {
                    content.feed(bytes)?;
                }
            }
            Event::Trailers(fields, oddities) => {
                let talk = &mut *self.talk;
                talk.receive.trailers = shown(talk, &fields);
                talk.receive
                    .server_timing
                    .extend(head::server_timing(talk.probe.secrets, values(&fields, "server-timing")));
                talk.receive.oddities.extend(oddities.iter().map(|odd| words::oddity(odd, talk.probe.secrets)));
            }
            Event::End => {
                // A response to HEAD names a coding, and there is nothing to decode.
                if self.talk.receive.content_bytes > Some(0)
                    && let Some(content) = &mut self.content
                {
                    content.finish()?;
                }
            }
        }
        Ok(())
    }

    fn interim(&mut self, head: &Head) {
        self.quiet_since = Instant::now();
        let talk = &mut *self.talk;
        talk.receive.oddities.extend(head.oddities.iter().map(|odd| words::oddity(odd, talk.probe.secrets)));
        if talk.receive.interim.len() < head::MOST_INTERIM {
            let at_us = talk.probe.clock.us();
            let headers = shown(talk, &head.fields);
            talk.receive.interim.push(Interim { status: head.status, at_us, headers });
        }
    }

    fn head(&mut self, head: Head) -> Result<(), Failure> {
        let talk = &mut *self.talk;
        talk.location = head::location(values(&head.fields, "location"));
        // The read that brought the end of the head is the last one so far.
        let headers_at = talk.meter.seen().last_read.filter(|_| head.is_whole);
        let receive = &talk.receive;
        let mut oddities = receive.oddities.clone();
        oddities.extend(head.oddities.iter().map(|odd| words::oddity(odd, talk.probe.secrets)));
        talk.receive = stage::Receive {
            status: Some(head.status),
            reason_phrase: Some(String::from_utf8_lossy(&head.reason).into_owned()),
            version: Some(format!("HTTP/{}.{}", head.version.0, head.version.1)),
            headers: shown(talk, &head.fields),
            headers_at_us: headers_at.map(|at| talk.probe.clock.us_at(at)),
            content_bytes: head.is_whole.then_some(0),
            framing: head.framing.as_ref().map(|framing| told(framing.end)),
            transfer_codings: head.framing.as_ref().map_or_else(Vec::new, |framing| framing.codings.clone()),
            server_timing: head::server_timing(talk.probe.secrets, values(&head.fields, "server-timing")),
            interim: receive.interim.clone(),
            oddities,
            ..stage::Receive::default()
        };
        self.keep_alive = keeps_alive(&head);
        // An error follows, and tells why.
        let Some(framing) = head.framing else { return Ok(()) };
        if let http1::End::Length(length) = framing.end
            && length > talk.probe.max_response
        {
            let said = values(&head.fields, "content-length").next().map(String::from_utf8_lossy).unwrap_or_default();
            let limit = talk.probe.max_response;
            return Err(too_large(format!("the content has {said} bytes, more than the limit of {limit} bytes")));
        }
        // The content of a redirect that is followed is not what was asked for.
        let is_last = !(talk.follows && talk.location.is_some() && is_redirect(head.status));
        self.output = talk.probe.output.filter(|_| is_last);
        let codings = content::codings(values(&head.fields, "content-encoding"));
        talk.receive.codings.clone_from(&codings);
        let has_content = !matches!(framing.end, http1::End::None | http1::End::Length(0));
        let codings = if has_content { codings } else { Vec::new() };
        let content = Content::new(codings, &framing.codings, talk.probe.max_response, self.output)?;
        self.content = Some(content);
        Ok(())
    }

    /// The server's end has come.
    fn closed(&mut self) -> Result<(), Failure> {
        loop {
            match self.reader.end() {
                Ok(None) => return Ok(()),
                Ok(Some(event)) => self.event(event)?,
                Err(_) => {
                    let failure = words::ended(&self.talk.meter.seen(), &self.talk.receive, !self.begin.is_empty());
                    return Err(failure);
                }
            }
        }
    }

    fn broke(&mut self, error: &io::Error) -> Failure {
        self.tell_part();
        words::broke(error, &self.talk.meter.seen(), &self.talk.receive, !self.begin.is_empty())
    }

    /// What is known of a head that will not be complete.
    fn tell_part(&mut self) {
        if self.content.is_none()
            && let Ok(Some(Event::Head(head))) = self.reader.end()
        {
            // It has no framing, and so no content that could not be written.
            let _ = self.head(head);
        }
    }

    fn wrong(&mut self, wrong: &Wrong) -> Failure {
        // A status line that cannot be read is one nevertheless.
        if self.talk.receive.status.is_none() {
            self.talk.receive.protocol = Some(Protocol::Http);
        }
        words::wrong(wrong, self.talk.probe.secrets)
    }

    /// Waits a moment for the rest of a line that is not one of HTTP: it tells what the server speaks.
    async fn hear_out(&mut self, stream: &mut Metered) {
        let mut buffer = vec![0; BEGIN];
        while self.begin.len() < BEGIN && !self.begin.contains(&b'\n') {
            let step = step(stream, &[], true, &mut buffer);
            let Ok(Step::Read(Ok(count @ 1..))) = self.talk.probe.bounds.within(LINE, step).await else { return };
            let room = (BEGIN - self.begin.len()).min(count);
            self.begin.extend_from_slice(buffer.get(..room).unwrap_or_default());
        }
    }

    fn not_http(&mut self) -> Failure {
        let receive = &mut self.talk.receive;
        receive.protocol = Protocol::of(&self.begin);
        let quoted = first_bytes(&self.begin, self.talk.probe.secrets);
        receive.text = words::text(&self.begin, self.talk.probe.secrets);
        let what = match receive.protocol {
            Some(protocol @ (Protocol::Tls | Protocol::Http2)) => {
                format!("the server sent {}, not an HTTP/1.1 response: {quoted}", protocol.name())
            }
            _ => format!("the server did not send an HTTP response: it sent {quoted}"),
        };
        Failure { reason: Reason::MalformedResponse, what }
    }

    /// Whether the server has closed, or sent more, by the time the response is complete.
    async fn look_behind(&mut self, stream: &mut Metered) {
        // Gives the runtime a chance to hear of it.
        tokio::task::yield_now().await;
        let mut buffer = [0; 1024];
        let now = poll_fn(|cx| {
            let mut read = ReadBuf::new(&mut buffer);
            Poll::Ready(match Pin::new(&mut *stream).poll_read(cx, &mut read) {
                Poll::Ready(Ok(())) => read.filled().len(),
                _ => 0,
            })
        });
        self.surplus += now.await as u64;
    }

    /// What the content's codings came to, also where something failed.
    fn note_content(&mut self) {
        let Some(content) = &self.content else { return };
        let receive = &mut self.talk.receive;
        let has_content = receive.content_bytes > Some(0);
        receive.decoded_bytes = (content.is_decoded && has_content).then(|| content.count());
        self.talk.note = content.note().filter(|_| has_content);
        if self.reader.is_complete()
            && let Some(Output::File(path)) = self.output
        {
            receive.written_to = Some(path.display().to_string());
        }
    }
}

/// Waits until the stream gives or takes bytes. What comes is read first: a server may answer before it has all of a request.
async fn step(stream: &mut Metered, unsent: &[u8], is_flushed: bool, buffer: &mut [u8]) -> Step {
    poll_fn(|cx| {
        let mut read = ReadBuf::new(buffer);
        if let Poll::Ready(result) = Pin::new(&mut *stream).poll_read(cx, &mut read) {
            return Poll::Ready(Step::Read(result.map(|()| read.filled().len())));
        }
        if !unsent.is_empty() {
            return Pin::new(&mut *stream).poll_write(cx, unsent).map(Step::Wrote);
        }
        if is_flushed {
            return Poll::Pending;
        }
        Pin::new(&mut *stream).poll_flush(cx).map(|result| match result {
            Ok(()) => Step::Flushed,
            Err(error) => Step::Wrote(Err(error)),
        })
    })
    .await
}

fn too_large(what: String) -> Failure {
    Failure { reason: Reason::TooLarge, what }
}

fn values<'f>(fields: &'f [http1::Field], name: &'static str) -> impl Iterator<Item = &'f [u8]> {
    fields.iter().filter(move |field| field.is(name)).map(|field| &*field.value)
}

fn shown(talk: &Talk<'_>, fields: &[http1::Field]) -> Vec<Header> {
    let one = |field: &http1::Field| {
        let value = talk.probe.secrets.field(&field.name, &String::from_utf8_lossy(&field.value));
        Header { name: field.name.clone(), value }
    };
    fields.iter().map(one).collect()
}

pub(super) fn told(end: http1::End) -> Framing {
    match end {
        http1::End::None => Framing::None,
        http1::End::Length(_) => Framing::ContentLength,
        http1::End::Chunked => Framing::Chunked,
        http1::End::Close => Framing::Close,
    }
}

/// RFC 9112 §9.3. What only the end of the connection ends cannot be followed by anything.
fn keeps_alive(head: &Head) -> bool {
    let says = |word: &str| {
        let options = values(&head.fields, "connection").flat_map(|value| value.split(|byte| *byte == b','));
        options.map(<[u8]>::trim_ascii).any(|option| option.eq_ignore_ascii_case(word.as_bytes()))
    };
    let ends_by_close = head.framing.as_ref().is_some_and(|framing| framing.end == http1::End::Close);
    !ends_by_close && !says("close") && (head.version != (1, 0) || says("keep-alive"))
}

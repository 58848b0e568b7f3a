//! The stages `send`, `wait`, `receive` and `close` of `tcp://`: bytes over a connection, and no protocol that would tell
//! where an answer ends.
//!
//! What is to be sent is sent, and this side is kept open: some servers hang up on a client that has closed its half. Then
//! what comes is read until the server closes or has been quiet for a while; only then this side says that it is done
//! (`shutdown`), and reads on to the server's own end. What comes even then counts as well.

use std::{
    io,
    os::fd::AsFd,
    time::{Duration, Instant},
};

use journey::{
    Reason, Stage, StageName, StageState,
    stage::{self, Closer, Did, Failure, PeerEnd},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, Interest},
    net::TcpStream,
};

use super::{
    Probe,
    bounds::{cut, seconds},
    calls::{Calls, bytes, errno},
    heard::Heard,
    observed,
};
use crate::payload::Payload;

/// How long the first byte of an answer may take.
const FIRST_BYTE: Duration = Duration::from_secs(10);
/// How long a server that nothing is said to is given to speak first. That it does not is no failure.
const GREETING: Duration = Duration::from_secs(3);
/// How long a server is quiet when it is taken to have said all. Two writes in a row can be this far apart without the
/// server pausing: the second waits for the first's acknowledgement (Nagle, RFC 896), which may be held back for 200 ms
/// (RFC 1122 §4.2.3.2 allows 500), and then for a round trip, 300 ms around the world.
const QUIET: Duration = Duration::from_millis(500);
/// How long the server may take none of what is sent to it.
const STALL: Duration = Duration::from_secs(30);
/// How long a server that never pauses is listened to.
const LONGEST: Duration = Duration::from_secs(30);
/// How long the other side's FIN is waited for.
const LAST_FIN: Duration = Duration::from_millis(500);
/// Bytes that are read at once.
const TAKEN: usize = 16 * 1024;

/// Sends, listens and closes; the stages as far as they came.
pub async fn talk(probe: &Probe<'_>, payload: &Payload, mut stream: TcpStream) -> Vec<Stage> {
    let start_us = probe.clock.us();
    let new = || Calls::new(probe.clock);
    let mut talk = Talk {
        probe,
        buffer: vec![0; TAKEN],
        sent: Heard::default(),
        sent_at: None,
        came: Heard::default(),
        first: None,
        last: None,
        fin: None,
        closing: false,
        calls: ByStage { send: new(), wait: new(), receive: new(), close: new() },
    };
    let (said, why): (&[u8], &str) = match payload {
        Payload::Bytes(bytes) => (bytes, "--send '' is nothing to send: a stream has no empty messages"),
        Payload::Nothing { why } => (&[], why),
    };
    let result = talk.send(&mut stream, said).await;
    let did = Did::Send(talk.did_send(said));
    let send = match result {
        Ok(()) if said.is_empty() => Stage::skipped(StageName::Send, &format!("nothing to send: {why}")),
        Ok(()) => observed(StageState::Done, did, start_us, talk.us(talk.sent_at).unwrap_or(start_us), None),
        Err(failure) => observed(StageState::Failed, did, start_us, probe.clock.us(), Some(failure)),
    };
    let mut stages = vec![Stage { calls: talk.calls.send.take(), ..send }];
    if stages[0].state != StageState::Failed {
        let wait_us = stages[0].end_us().unwrap_or(start_us);
        stages.extend(talk.answer(stream, wait_us).await);
    }
    stages
}

struct Talk<'a> {
    probe: &'a Probe<'a>,
    buffer: Vec<u8>,
    sent: Heard,
    // When the last bytes were given to the kernel: the time before that call, as in `meter`.
    sent_at: Option<Instant>,
    came: Heard,
    first: Option<Instant>,
    last: Option<Instant>,
    fin: Option<Instant>,
    // This side has said that it is done.
    closing: bool,
    calls: ByStage,
}

struct ByStage {
    send: Calls,
    wait: Calls,
    receive: Calls,
    close: Calls,
}

/// Why reading ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// The server closed.
    Closed,
    /// It paused.
    Quiet,
    /// It did not pause for too long.
    Endless,
    /// Nothing was said to it, and it said nothing.
    Silent,
}

impl Talk<'_> {
    fn us(&self, at: Option<Instant>) -> Option<u64> {
        at.map(|at| self.probe.clock.us_at(at))
    }

    fn did_send(&self, said: &[u8]) -> stage::Send {
        if said.is_empty() {
            return stage::Send::default();
        }
        let text = self.sent.text().map(|text| self.probe.secrets.stream(&text));
        stage::Send { bytes: Some(self.sent.bytes), text, ..stage::Send::default() }
    }

    /// Writes all of it. What comes meanwhile is read only where the server takes no more: it may wait for its own words to
    /// be taken first.
    async fn send(&mut self, stream: &mut TcpStream, said: &[u8]) -> Result<(), Failure> {
        let mut rest = said;
        let mut asked = Instant::now();
        let mut taken = asked;
        while !rest.is_empty() {
            let began = Instant::now();
            match stream.try_write(rest) {
                Ok(count) => {
                    self.calls.send.note("send", bytes(rest.len()), bytes(count), asked);
                    self.sent.push(&rest[..count]);
                    self.sent_at = Some(began);
                    rest = &rest[count..];
                    asked = Instant::now();
                    taken = asked;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.room(stream, said.len(), taken).await? {
                        // Another call was made meanwhile: this one is made anew.
                        asked = Instant::now();
                    }
                }
                Err(error) => {
                    self.calls.send.note("send", bytes(rest.len()), errno(&error), asked);
                    return Err(self.send_broken(&error, said.len()));
                }
            }
        }
        Ok(())
    }

    /// Waits until the server takes more, which it last did at `taken`, or reads what it says meanwhile; whether it did.
    async fn room(&mut self, stream: &mut TcpStream, all: usize, taken: Instant) -> Result<bool, Failure> {
        let interest = if self.fin.is_some() { Interest::WRITABLE } else { Interest::READABLE | Interest::WRITABLE };
        let no_more = |sent: u64, reason| {
            let what = cut(&format!("the server took {sent} of {} and no more", bytes(all)), reason, STALL);
            Failure { reason, what }
        };
        // What it says meanwhile gives it no more time to take what is sent.
        let left = STALL.saturating_sub(taken.elapsed());
        if let Some(reason) = self.probe.bounds.over().or_else(|| left.is_zero().then_some(Reason::Timeout)) {
            return Err(no_more(self.sent.bytes, reason));
        }
        let ready = match self.probe.bounds.within(left, stream.ready(interest)).await {
            Ok(Ok(ready)) => ready,
            Ok(Err(error)) => return Err(self.send_broken(&error, all)),
            Err(reason) => return Err(no_more(self.sent.bytes, reason)),
        };
        if !ready.is_readable() || self.fin.is_some() {
            return Ok(false);
        }
        let began = Instant::now();
        let has_read = match stream.try_read(&mut self.buffer) {
            Ok(count) => {
                self.calls.send.note("recv", TAKEN.to_string(), gave(count), began);
                self.heard(count);
                true
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
            Err(error) => return Err(self.send_broken(&error, all)),
        };
        self.enough()?;
        Ok(has_read)
    }

    fn send_broken(&self, error: &io::Error, all: usize) -> Failure {
        let came = match self.came.bytes {
            0 => String::new(),
            came => format!("; {came} bytes had come from it"),
        };
        let what = format!(
            "the connection broke when {} of {} had been sent: {}{came}",
            self.sent.bytes,
            bytes(all),
            errno(error)
        );
        Failure { reason: Reason::SendFailed, what }
    }

    /// Listens and closes: the stages `wait`, `receive` and `close`, which begin when all has been sent.
    async fn answer(&mut self, mut stream: TcpStream, wait_us: u64) -> Vec<Stage> {
        let ended = self.listen(&mut stream).await;
        let heard_before = self.came.bytes;
        let closing_us = self.probe.clock.us();
        let close = match ended {
            Ok(_) => Some(self.close(stream).await),
            Err(_) => None,
        };
        let late = self.came.bytes - heard_before;
        let now_us = self.probe.clock.us();

        let (ended, failure) = match ended {
            Ok(ended) => (Some(ended), None),
            Err(failure) => (None, Some(failure)),
        };
        let wait = Did::Wait(stage::Wait {});
        let Some(first_us) = self.us(self.first) else {
            // Not a byte.
            let Some(close) = close else {
                let stage = observed(StageState::Failed, wait, wait_us, now_us, failure);
                return vec![Stage { calls: self.calls.wait.take(), ..stage }];
            };
            let wait = observed(StageState::Done, wait, wait_us, closing_us, None);
            let note = format!("neither side said anything within {}", seconds(GREETING));
            return vec![
                Stage { calls: self.calls.wait.take(), note: Some(note), ..wait },
                Stage::skipped(StageName::Receive, "nothing came"),
                self.closed(close, closing_us, now_us),
            ];
        };
        let mut wait = if first_us < wait_us {
            Stage::skipped(StageName::Wait, "the server spoke before all was sent")
        } else {
            observed(StageState::Done, wait, wait_us, first_us, None)
        };
        wait.calls = self.calls.wait.take();

        let text = self.came.text().map(|text| self.probe.secrets.stream(&text));
        let did = stage::Receive { bytes: Some(self.came.bytes), text, ..stage::Receive::default() };
        let did = Did::Receive(Box::new(did));
        let begin_us = first_us.max(wait_us);
        // The end of what came is its last byte, or the server's word that it was the last.
        let end = if ended == Some(Ended::Closed) { self.fin } else { self.last };
        let end_us = self.us(end).unwrap_or(begin_us).max(begin_us);
        let Some((close, ended)) = close.zip(ended) else {
            let receive = observed(StageState::Failed, did, begin_us, now_us.max(begin_us), failure);
            return vec![wait, Stage { calls: self.calls.receive.take(), ..receive }];
        };
        let receive = Stage {
            note: Some(why_ended(ended, late)),
            calls: self.calls.receive.take(),
            ..observed(StageState::Done, did, begin_us, end_us, None)
        };
        let close_us = if late > 0 { end_us } else { closing_us.max(end_us) };
        vec![wait, receive, self.closed(close, close_us, now_us)]
    }

    fn closed(&mut self, close: stage::Close, start_us: u64, end_us: u64) -> Stage {
        let stage = observed(StageState::Done, Did::Close(close), start_us, end_us, None);
        Stage { calls: self.calls.close.take(), ..stage }
    }

    /// Reads until the server closes or pauses.
    async fn listen(&mut self, stream: &mut TcpStream) -> Result<Ended, Failure> {
        loop {
            if self.fin.is_some() {
                return match self.first {
                    Some(_) => Ok(Ended::Closed),
                    None => {
                        let what = "the server closed the connection without sending a byte".to_owned();
                        Err(Failure { reason: Reason::EmptyReply, what })
                    }
                };
            }
            let limit = match (self.first, self.sent.bytes) {
                (Some(_), _) => QUIET,
                (None, 0) => GREETING,
                (None, _) => FIRST_BYTE,
            };
            match self.read(stream, limit).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Err(self.receive_broken(&error)),
                Err(Reason::Timeout) if self.first.is_some() => return Ok(Ended::Quiet),
                Err(Reason::Timeout) if self.sent.bytes == 0 => return Ok(Ended::Silent),
                Err(reason) => return Err(self.not_awaited(reason, limit)),
            }
            self.enough()?;
            // A server that never pauses leaves no wait in which a limit could be noticed.
            if let Some(reason) = self.probe.bounds.over() {
                return Err(self.not_awaited(reason, limit));
            }
            if self.first.is_some_and(|first| first.elapsed() > LONGEST) {
                return Ok(Ended::Endless);
            }
        }
    }

    /// One read, noted as a call of the stage in which it is made.
    async fn read(&mut self, stream: &mut TcpStream, limit: Duration) -> Result<io::Result<()>, Reason> {
        let began = Instant::now();
        let result = self.probe.bounds.within(limit, stream.read(&mut self.buffer)).await;
        let gave = match &result {
            Ok(Ok(count)) => gave(*count),
            Ok(Err(error)) => errno(error),
            Err(Reason::Timeout) => format!("nothing within {}", seconds(limit)),
            Err(_) => "not waited for any longer".to_owned(),
        };
        let is_first = self.first.is_none();
        let calls = &mut self.calls;
        let here = match (self.closing, is_first) {
            (true, _) => &mut calls.close,
            (false, true) => &mut calls.wait,
            (false, false) => &mut calls.receive,
        };
        here.note("recv", TAKEN.to_string(), gave, began);
        if self.closing && matches!(result, Ok(Ok(1..))) {
            // That this side was done is what the server waited for: the close has not begun yet.
            let before = if is_first { &mut calls.wait } else { &mut calls.receive };
            before.absorb(&mut calls.close);
        }
        Ok(result?.map(|count| self.heard(count)))
    }

    /// So much has come, and is in the buffer; nothing is the server's FIN.
    fn heard(&mut self, count: usize) {
        let now = Instant::now();
        if count == 0 {
            self.fin = Some(now);
            return;
        }
        self.came.push(&self.buffer[..count]);
        self.first.get_or_insert(now);
        self.last = Some(now);
    }

    fn enough(&self) -> Result<(), Failure> {
        let limit = self.probe.max_response;
        if self.came.bytes <= limit {
            return Ok(());
        }
        let what = format!("what comes is larger than the limit of {limit} bytes");
        Err(Failure { reason: Reason::TooLarge, what })
    }

    fn not_awaited(&self, reason: Reason, limit: Duration) -> Failure {
        let what = match self.came.bytes {
            0 => "the server sent nothing".to_owned(),
            came => format!("the server, of which {came} bytes had come, had not finished"),
        };
        Failure { reason, what: cut(&what, reason, limit) }
    }

    fn receive_broken(&self, error: &io::Error) -> Failure {
        let (reason, did) = match error.kind() {
            io::ErrorKind::ConnectionReset => (Reason::Reset, "the server reset the connection".to_owned()),
            _ => (Reason::ReceiveFailed, format!("the connection broke ({})", errno(error))),
        };
        let what = match self.came.bytes {
            0 => format!("{did} before it sent a byte"),
            came => format!("{did} after {came} bytes"),
        };
        Failure { reason, what }
    }

    /// This side's FIN, the server's, and the end of the socket.
    async fn close(&mut self, mut stream: TcpStream) -> stage::Close {
        self.closing = true;
        let mut did = stage::Close { first: Some(Closer::Server), peer: Some(PeerEnd::Fin), ..stage::Close::default() };
        did.kernel = netlab::kernel::tcp_info(stream.as_fd()).ok().map(Box::new);
        if self.fin.is_none() {
            did.first = Some(Closer::You);
            let began = Instant::now();
            let done = stream.shutdown().await;
            self.calls.close.note(
                "shutdown",
                "SHUT_WR",
                done.map_or_else(|error| errno(&error), |()| "0".to_owned()),
                began,
            );
            did.peer = Some(self.last_words(&mut stream).await);
        }
        let began = Instant::now();
        drop(stream);
        // What `close` gives is not told to those who drop a socket.
        self.calls.close.note("close", "", "", began);
        did
    }

    /// Reads to the server's end, as far as it comes in time.
    async fn last_words(&mut self, stream: &mut TcpStream) -> PeerEnd {
        let begin = Instant::now();
        while let Some(left) = LAST_FIN.checked_sub(begin.elapsed()) {
            match self.read(stream, left).await {
                Ok(Ok(())) if self.fin.is_some() => return PeerEnd::Fin,
                Ok(Ok(())) if self.enough().is_ok() => {}
                Ok(Err(_)) => return PeerEnd::Reset,
                Ok(Ok(())) | Err(_) => return PeerEnd::Silent,
            }
        }
        PeerEnd::Silent
    }
}

fn gave(count: usize) -> String {
    if count == 0 { "0: the end".to_owned() } else { bytes(count) }
}

fn why_ended(ended: Ended, late: u64) -> String {
    let why = match ended {
        Ended::Closed => "then the server closed".to_owned(),
        Ended::Quiet | Ended::Silent => format!("then nothing came for {}", seconds(QUIET)),
        Ended::Endless => format!("the server had not paused for {}, which is enough", seconds(LONGEST)),
    };
    match (ended, late) {
        (_, 0) => why,
        (Ended::Silent, _) => "they came once you had said that you were done".to_owned(),
        (_, late) => format!("{why}; {late} of them came once you had said that you were done"),
    }
}

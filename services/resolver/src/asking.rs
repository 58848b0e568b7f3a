//! A query on its way: what is counted and recorded of it, and what is left of its reply.

use std::net::SocketAddr;

use dns::words;
use hickory_proto::{
    op::{DnsResponse, Query},
    rr::{Name, Record},
};
use journey::{
    NoUse, TraceId, What,
    dns::{Question, SECTION_LIMIT, Transport},
};
use service::{Recorder, ring::now_ns};

use crate::{
    bailiwick,
    counters::Counters,
    reading::{Objection, Reading},
};

/// A query on its way: what is counted and recorded of it. Dropped before it ended, it says so.
pub(crate) struct Asking {
    recorder: Recorder,
    counters: Counters,
    trace: Option<TraceId>,
    server: SocketAddr,
    transport: Transport,
    // What each transmission asks. Only a visit's queries are put into words.
    questions: Vec<Question>,
    begun_ns: u64,
    sent: Vec<(usize, u64)>,
    ended: bool,
}

impl Asking {
    /// Begins to ask; the transmissions ask these questions, one after the other.
    pub(crate) fn new<'q>(
        means: (&Recorder, &Counters),
        (server, transport): (SocketAddr, Transport),
        trace: Option<TraceId>,
        questions: impl Iterator<Item = &'q Query>,
    ) -> Self {
        Self {
            recorder: means.0.clone(),
            counters: means.1.clone(),
            trace,
            server,
            transport,
            questions: if trace.is_some() { questions.map(words::question).collect() } else { Vec::new() },
            begun_ns: now_ns(),
            sent: Vec::new(),
            ended: false,
        }
    }

    /// The transmission of this number was made.
    pub(crate) fn sent(&mut self, nth: usize, at_ns: u64) {
        self.sent.push((nth, at_ns));
        self.counters.asked(self.transport);
        let (server, transport) = (self.server, self.transport);
        self.record(nth, at_ns, |question| What::QuerySent { server, transport, question });
    }

    /// A reply came to the transmission of this number: what can be read in it, or why it cannot be used. Records that
    /// its server has no say in, outside `zone`, are told of.
    pub(crate) fn answered(
        mut self,
        message: &DnsResponse,
        nth: usize,
        zone: &Name,
        reading: Result<Reading, Objection>,
    ) -> Result<Reading, Objection> {
        self.ended = true;
        let now = now_ns();
        let (server, transport) = (self.server, self.transport);
        let elapsed_us = now.saturating_sub(self.sent_at(nth)) / 1_000;
        self.record(nth, now, |question| What::ReplyReceived {
            server,
            transport,
            question,
            reply: words::reply(message, message.as_buffer().len()),
            elapsed_us,
        });
        if reading.is_ok() {
            self.record_strangers(message, nth, zone, now);
        }
        self.record_unanswered(nth, now);
        reading.inspect_err(|objection| {
            self.counters.failed();
            self.record_failure(nth, now, &objection.why, objection.failure);
        })
    }

    fn record_strangers(&self, message: &DnsResponse, nth: usize, zone: &Name, now: u64) {
        let Some(asked) = message.queries.first().map(Query::name).filter(|_| self.trace.is_some()) else { return };
        let strangers = bailiwick::strangers(message, asked, zone);
        if !strangers.is_empty() {
            let server = self.server;
            let records = strangers.into_iter().take(SECTION_LIMIT).map(line).collect();
            self.record(nth, now, |question| What::RecordsIgnored { server, question, records });
        }
    }

    /// The questions of this exchange that were not answered when another one was.
    fn record_unanswered(&self, answered: usize, now: u64) {
        let Some(reply) = self.questions.get(answered) else { return };
        for (nth, question) in self.unlike(reply) {
            let waited = now.saturating_sub(self.sent_at(nth)) / 1_000_000;
            let why = format!("no answer within {waited} ms to the question for {}", question.name);
            self.record_failure(nth, now, &why, NoUse::NoAnswer);
        }
    }

    /// The first transmissions of questions other than this one.
    fn unlike<'a>(&'a self, other: &'a Question) -> impl Iterator<Item = (usize, &'a Question)> {
        let asked = self.sent.iter().filter_map(|(nth, _)| Some((*nth, self.questions.get(*nth)?)));
        asked.filter(move |(_, question)| *question != other)
    }

    /// No reply came.
    pub(crate) fn failed(mut self, why: &str, failure: NoUse) {
        self.ended = true;
        self.end(now_ns(), why, failure);
    }

    fn end(&self, now: u64, why: &str, failure: NoUse) {
        self.counters.failed();
        self.record_failure(0, now, why, failure);
        if let Some((nth, _)) = self.questions.first().and_then(|first| self.unlike(first).next()) {
            self.record_failure(nth, now, why, failure);
        }
    }

    fn sent_at(&self, nth: usize) -> u64 {
        let sent = self.sent.iter().find(|(sent, _)| *sent == nth);
        sent.map_or(self.begun_ns, |(_, at)| *at)
    }

    fn record_failure(&self, nth: usize, now: u64, why: &str, failure: NoUse) {
        let (server, transport) = (self.server, self.transport);
        let elapsed_us = now.saturating_sub(self.sent_at(nth)) / 1_000;
        let why = why.to_owned();
        self.record(nth, now, |question| What::QueryFailed { server, transport, question, why, failure, elapsed_us });
    }

    fn record(&self, nth: usize, at_ns: u64, what: impl FnOnce(Question) -> What) {
        if let Some(question) = self.questions.get(nth) {
            self.recorder.record(self.trace, at_ns, what(question.clone()));
        }
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        if !self.ended {
            let now = now_ns();
            let waited = now.saturating_sub(self.begun_ns) / 1_000_000;
            let why = format!("no answer yet when the resolver stopped waiting, after {waited} ms");
            self.end(now, &why, NoUse::NoAnswer);
        }
    }
}

/// A record as one writes it.
fn line(record: &Record) -> String {
    let record = words::record(record);
    format!("{} {} {} {}", record.name, record.ttl, record.rtype, record.data)
}

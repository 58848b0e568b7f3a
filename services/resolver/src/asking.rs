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

use crate::{bailiwick, counters::Counters, judge::Objection};

/// A query on its way: what is counted and recorded of it. Dropped before it ended, it says so.
pub(crate) struct Asking {
    recorder: Recorder,
    counters: Counters,
    trace: Option<TraceId>,
    server: SocketAddr,
    transport: Transport,
    // Only a visit's queries are put into words.
    question: Option<Question>,
    begun_ns: u64,
    sent_ns: Vec<u64>,
    ended: bool,
}

impl Asking {
    pub(crate) fn new(
        means: (&Recorder, &Counters),
        (server, transport): (SocketAddr, Transport),
        trace: Option<TraceId>,
        question: &Query,
    ) -> Self {
        Self {
            recorder: means.0.clone(),
            counters: means.1.clone(),
            trace,
            server,
            transport,
            question: trace.map(|_| words::question(question)),
            begun_ns: now_ns(),
            sent_ns: Vec::new(),
            ended: false,
        }
    }

    pub(crate) fn sent(&mut self, at_ns: u64) {
        self.sent_ns.push(at_ns);
        self.counters.asked(self.transport);
        self.record(at_ns, |asking, question| What::QuerySent {
            server: asking.server,
            transport: asking.transport,
            question,
        });
    }

    /// A reply came. What is left of it without the records that are outside the zone which its server has a say in, or
    /// why it cannot be used.
    pub(crate) fn answered(
        mut self,
        message: DnsResponse,
        nth: usize,
        usable: Result<Option<Name>, Objection>,
    ) -> Result<DnsResponse, Objection> {
        self.ended = true;
        let now = now_ns();
        let sent = self.sent_ns.get(nth).copied().unwrap_or(self.begun_ns);
        self.record(now, |asking, question| What::ReplyReceived {
            server: asking.server,
            transport: asking.transport,
            question,
            reply: words::reply(&message, message.as_buffer().len()),
            elapsed_us: now.saturating_sub(sent) / 1_000,
        });
        let usable = usable.and_then(|zone| match zone {
            Some(zone) => self.scrubbed(message, &zone, now),
            None => Ok(message),
        });
        usable.inspect_err(|objection| self.record_failure(now, &objection.why, objection.failure))
    }

    fn scrubbed(&self, message: DnsResponse, zone: &Name, now: u64) -> Result<DnsResponse, Objection> {
        let is_inside = |record: &Record| zone.zone_of(&record.name);
        if message.all_sections().all(is_inside) {
            return Ok(message);
        }
        let had_answers = !message.answers.is_empty();
        let mut message = message.into_message();
        let Some(asked) = message.queries.first().map(|query| query.name().clone()) else {
            return Err(Objection::nothing_of(zone));
        };
        let strangers = bailiwick::scrub(&mut message, &asked, zone);
        if !strangers.is_empty() {
            self.record(now, |asking, question| What::RecordsIgnored {
                server: asking.server,
                question,
                records: strangers.iter().take(SECTION_LIMIT).map(line).collect(),
            });
        }
        if had_answers && message.answers.is_empty() {
            return Err(Objection::nothing_of(zone));
        }
        // What was read can be written.
        DnsResponse::from_message(message).map_err(|_| Objection::nothing_of(zone))
    }

    pub(crate) fn failed(mut self, why: &str, failure: NoUse) {
        self.ended = true;
        self.record_failure(now_ns(), why, failure);
    }

    fn record_failure(&self, now: u64, why: &str, failure: NoUse) {
        self.counters.failed();
        let begun = self.sent_ns.first().copied().unwrap_or(self.begun_ns);
        self.record(now, |asking, question| What::QueryFailed {
            server: asking.server,
            transport: asking.transport,
            question,
            why: why.to_owned(),
            failure,
            elapsed_us: now.saturating_sub(begun) / 1_000,
        });
    }

    fn record(&self, at_ns: u64, what: impl FnOnce(&Self, Question) -> What) {
        if let Some(question) = &self.question {
            self.recorder.record(self.trace, at_ns, what(self, question.clone()));
        }
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        if !self.ended {
            self.record_failure(now_ns(), "no answer yet when the client's time was over", NoUse::NoAnswer);
        }
    }
}

/// A record as one writes it.
fn line(record: &Record) -> String {
    let record = words::record(record);
    format!("{} {} {} {}", record.name, record.ttl, record.rtype, record.data)
}

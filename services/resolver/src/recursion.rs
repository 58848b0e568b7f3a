//! Questions to answers: the cache first, then hickory's `Recursor`, whose results are put into DNS words here.

use std::{
    future::{Future, poll_fn},
    io,
    pin::pin,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use dns::{options::ede, serve::Struck, words};
use hickory_net::{DnsError, NetError};
use hickory_proto::{
    op::{Message, Query, ResponseCode},
    rr::{Name, RData, Record, RecordType, rdata::SOA},
};
use hickory_resolver::recursor::RecursorError;
use journey::{TraceId, What};
use service::{Clock, Recorder, ring::now_ns};
use world::AddressBook;

use crate::{
    afresh::Afresh,
    answer::{Answer, End, Why, bare, follow},
    cache::{Cache, Hit},
    counters::Counters,
    directory::Directory,
    hints::Root,
    reach::Reach,
    tap::Tap,
    walk::{Failure, Walk},
};

/// Aliases that are looked up again to complete a negative answer; hickory itself follows 64.
const MAX_RECOVERED: usize = 16;

/// What a resolver may hold in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Answers kept.
    pub answers: usize,
    /// Delegations kept, and name servers remembered.
    pub servers: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { answers: 8_192, servers: 1_024 }
    }
}

/// What recursion needs.
#[derive(Clone, Debug)]
pub(crate) struct Means {
    pub(crate) book: Arc<AddressBook>,
    pub(crate) upstream_timeout: Duration,
    pub(crate) answer_timeout: Duration,
    pub(crate) bounds: Bounds,
    pub(crate) reach: Reach,
    pub(crate) recorder: Recorder,
    pub(crate) counters: Counters,
    /// What TTLs are counted by, hickory's and our own.
    pub(crate) clock: Clock,
}

/// A resolver from its roots to its cache. It has no way to forget; to begin afresh, another one is made.
pub(crate) struct Recursion {
    recursor: Afresh,
    cache: Cache,
    /// Answers that are not true: what a cache that has not forgotten holds, by a fault.
    old: Cache,
    directory: Arc<Directory>,
    means: Means,
}

impl Recursion {
    /// Begins with an empty cache at these roots.
    pub(crate) fn new(roots: &[Root], means: Means) -> io::Result<Self> {
        let directory = Arc::new(Directory::new(roots, means.bounds.servers));
        let tap = Tap::new(
            Arc::clone(&means.book),
            means.upstream_timeout,
            means.recorder.clone(),
            means.counters.clone(),
            Arc::clone(&directory),
            means.clock.clone(),
        );
        let roots = means.reach.among(roots.iter().map(|root| root.ip));
        if roots.is_empty() {
            return Err(io::Error::other("there is no root to begin at"));
        }
        let [cache, old] = [means.bounds.answers; 2].map(Cache::new);
        let recursor = Afresh::new(roots, tap, &means, Arc::clone(&directory))?;
        Ok(Self { recursor, cache, old, directory, means })
    }

    /// The answer to a question. Without `recurse`, only what is known already.
    pub(crate) async fn answer(&self, query: &Query, trace: Option<TraceId>, recurse: bool) -> Answer {
        let now = self.means.clock.now();
        if let Some(Hit { mut answer, age_s, remaining_ttl_s }) = self.cache.find(query, now) {
            self.means.counters.hit();
            self.record_hit(query, trace, age_s, remaining_ttl_s);
            answer.mark_cached();
            return answer;
        }
        if !recurse {
            // RFC 8914 §4.21 names this code for a resolver that is asked with RD=0.
            let text = "it is not in the cache, and recursion is not desired (RD=0)";
            return Answer::refusal(ResponseCode::Refused, Why::new(ede::NOT_AUTHORITATIVE, text));
        }
        self.means.counters.missed();
        self.walk(query, trace, now).await
    }

    /// The answer of a cache that has not forgotten: one of these addresses instead of the true ones. It is kept as any
    /// answer, so it ages, and is told of as what it is to the client: a hit. What true answer it stands for is asked
    /// without the visit's id, since no such cache would have asked for this visit.
    pub(crate) async fn stale(&self, query: &Query, trace: Option<TraceId>, recurse: bool, struck: &Struck) -> Answer {
        let (rtype, addresses) = (query.query_type(), &struck.addresses);
        let gives = |answer: &Answer| {
            let given = answer.answers.iter().filter(|record| record.record_type() == rtype);
            given.filter_map(|record| record.data.ip_addr()).all(|ip| addresses.contains(&ip))
        };
        let mut found = self.old.find(query, self.means.clock.now()).filter(|hit| gives(&hit.answer));
        if found.is_some() {
            found = found.filter(|_| struck.strikes());
        } else if matches!(rtype, RecordType::A | RecordType::AAAA) {
            let mut answer = self.answer(query, None, recurse).await;
            if answer.give_instead(rtype, addresses) && struck.strikes() {
                let now = self.means.clock.now();
                self.old.keep(query, &answer, Some(now), now);
                found = self.old.find(query, now);
            }
        }
        let Some(Hit { answer, age_s, remaining_ttl_s }) = found else {
            return self.answer(query, trace, recurse).await;
        };
        self.means.counters.hit();
        self.record_hit(query, trace, age_s, remaining_ttl_s);
        answer
    }

    async fn walk(&self, query: &Query, trace: Option<TraceId>, now: Instant) -> Answer {
        let walk = Walk::new(trace, Instant::now());
        let work = Arc::clone(&walk).scope(self.resolve(query, &walk, now));
        let (answer, waited) = match tokio::time::timeout(self.means.answer_timeout, waits(work)).await {
            Ok(done) => done,
            Err(_) => {
                let given_up = format!("given up after {} ms", self.means.answer_timeout.as_millis());
                (self.failure(query, &walk, Blame::Also(given_up)), true)
            }
        };
        if answer.rcode == ResponseCode::ServFail {
            self.means.counters.unresolved();
        }
        // Nobody asked and nothing waited for: hickory had it in its own cache. Who waits without asking goes along with
        // another client's look-up, and has no hit to tell of.
        let from_cache = !waited && walk.asked() == 0;
        if from_cache && answer.rcode != ResponseCode::ServFail {
            self.record_hit(query, trace, None, answer.ttl());
        }
        if waited && walk.asked() == 0 && trace.is_some() {
            self.means.recorder.record(trace, now_ns(), What::WentAlong { question: words::question(query) });
        }
        let done = self.means.clock.now();
        self.cache.keep(query, &answer, (!from_cache).then_some(done), done);
        answer
    }

    async fn resolve(&self, query: &Query, walk: &Walk, now: Instant) -> Answer {
        match self.recursor.get().resolve(query.clone(), now, false).await {
            Ok(message) => self.found(query, walk, message),
            Err(error) => self.not_found(query, walk, error, now).await,
        }
    }

    fn found(&self, query: &Query, walk: &Walk, message: Message) -> Answer {
        let rtype = query.query_type();
        let (chain, end) = follow(query.name(), &message.answers);
        if rtype == RecordType::CNAME {
            return Answer::positive(ResponseCode::NoError, message.answers);
        }
        match end {
            End::Loop(names) => self.looped(&names),
            End::Name(end) if message.answers.iter().any(|r| r.record_type() == rtype && r.name == end) => {
                Answer::positive(ResponseCode::NoError, message.answers)
            }
            // A chain that ends in nothing, without the word of an authority that there is nothing.
            End::Name(end) if !chain.is_empty() => self.failure(
                query,
                walk,
                Blame::Only(format!("the aliases lead to {}, which was not found", bare(&end))),
            ),
            End::Name(_) => Answer::negative(ResponseCode::NoError, Vec::new(), None),
        }
    }

    async fn not_found(&self, query: &Query, walk: &Walk, error: RecursorError, now: Instant) -> Answer {
        match No::of(error) {
            Ok(no) => {
                let aliases = self.aliases(query.name(), &no, walk, now).await;
                match aliases {
                    Ok(aliases) => Answer::negative(no.rcode, aliases, no.soa),
                    Err(names) => self.looped(&names),
                }
            }
            Err(error) => {
                tracing::debug!(qname = %query.name(), qtype = %query.query_type(), %error, "not resolved");
                match walk.aliases(query.name()) {
                    (_, End::Loop(names)) => self.looped(&names),
                    _ => self.failure(query, walk, Blame::of(&error)),
                }
            }
        }
    }

    /// The aliases from the name asked to the one that a "no" is about; hickory drops them. They are those that servers
    /// told on the way; where it had them in its cache, they are asked for once more.
    async fn aliases(&self, name: &Name, no: &No, walk: &Walk, now: Instant) -> Result<Vec<Record>, Vec<Name>> {
        for _ in 0..MAX_RECOVERED {
            let (chain, end) = walk.aliases(name);
            let end = match end {
                End::Name(end) => end,
                End::Loop(names) => return Err(names),
            };
            // A "no such name" is often found above the name itself (RFC 8020).
            if no.about.zone_of(&end) {
                return Ok(chain);
            }
            let alias = Query::query(end, RecordType::CNAME);
            match self.recursor.get().resolve(alias, now, false).await {
                Ok(message) if message.answers.iter().any(|r| matches!(r.data, RData::CNAME(_))) => {
                    walk.learn_aliases(&message.answers);
                }
                _ => return Ok(chain),
            }
        }
        Ok(walk.aliases(name).0)
    }

    fn looped(&self, names: &[Name]) -> Answer {
        let names: Vec<String> = names.iter().map(bare).collect();
        Answer::failure(Why::new(ede::OTHER, format!("the aliases go in a circle: {}", names.join(" → "))))
    }

    /// No answer, and which servers are to blame for it.
    fn failure(&self, query: &Query, walk: &Walk, blame: Blame) -> Answer {
        let (servers, text) = match blame {
            Blame::Only(text) => (Vec::new(), Some(text)),
            Blame::Also(text) => (walk.failures(), Some(text)),
            Blame::Servers(otherwise) => {
                let servers = self.failures(query, walk);
                let text = servers.is_empty().then_some(otherwise);
                (servers, text)
            }
        };
        let code = if servers.is_empty() { ede::OTHER } else { ede::NO_REACHABLE_AUTHORITY };
        let told: Vec<String> = servers.iter().map(ToString::to_string).chain(text).collect();
        Answer::failure(Why::new(code, told.join("; ")))
    }

    /// The servers that failed this walk, or the one that it went along with.
    fn failures(&self, query: &Query, walk: &Walk) -> Vec<Failure> {
        let own = walk.failures();
        if !own.is_empty() {
            return own;
        }
        let others = self.directory.failures(query.name(), walk.began).into_iter();
        let told = |(server, name, why)| Failure { server, name: Some(name), question: query.clone(), why };
        others.map(told).collect()
    }

    fn record_hit(&self, query: &Query, trace: Option<TraceId>, age_s: Option<u32>, remaining_ttl_s: u32) {
        if trace.is_some() {
            let question = words::question(query);
            self.means.recorder.record(trace, now_ns(), What::CacheHit { question, age_s, remaining_ttl_s });
        }
    }

    /// How many answers are kept.
    pub(crate) fn kept(&self) -> usize {
        self.cache.len()
    }
}

/// An authority's word that there is nothing.
struct No {
    rcode: ResponseCode,
    /// The name that does not exist or has nothing of the type.
    about: Name,
    soa: Option<Record<SOA>>,
}

impl No {
    /// hickory hands negative answers out as errors.
    fn of(error: RecursorError) -> Result<Self, RecursorError> {
        match error {
            // Its way to say that it has thrown all records away.
            RecursorError::Negative(data) if data.is_nx_domain() && !data.is_no_records_found() => {
                Err(RecursorError::Negative(data))
            }
            RecursorError::Negative(data) => Ok(Self {
                rcode: if data.is_nx_domain() { ResponseCode::NXDomain } else { ResponseCode::NoError },
                about: data.query.name().clone(),
                soa: data.soa.map(|soa| *soa),
            }),
            RecursorError::Net(NetError::Dns(DnsError::NoRecordsFound(no))) if no.ns.is_none() => {
                Ok(Self { rcode: no.response_code, about: no.query.name().clone(), soa: no.soa.map(|soa| *soa) })
            }
            other => Err(other),
        }
    }
}

/// What made a walk fail.
enum Blame {
    /// This, whatever servers did.
    Only(String),
    /// This, and servers that were asked in vain.
    Also(String),
    /// Servers that were asked in vain; this, where there were none.
    Servers(String),
}

impl Blame {
    fn of(error: &RecursorError) -> Self {
        match error {
            RecursorError::Negative(_) => Self::Only(
                "what came were only records from outside the asked server's zone, which are not believed".to_owned(),
            ),
            RecursorError::RecursionLimitExceeded { .. } | RecursorError::MaxRecordLimitExceeded { .. } => {
                Self::Also("the aliases or delegations do not come to an end".to_owned())
            }
            RecursorError::QueryBudgetExceeded => Self::Also("too many questions to servers for one answer".to_owned()),
            RecursorError::ForwardNS(_) => Self::Servers("the name's servers only refer to others".to_owned()),
            other => Self::Servers(other.to_string()),
        }
    }
}

/// Runs to the end and tells whether there was anything to wait for.
async fn waits<F: Future>(work: F) -> (F::Output, bool) {
    let mut work = pin!(work);
    let mut waited = false;
    poll_fn(move |context| match work.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready((output, waited)),
        Poll::Pending => {
            waited = true;
            Poll::Pending
        }
    })
    .await
}

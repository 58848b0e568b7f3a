//! Everything that is known of a visit, in the form that rules ask for. Built once.

use std::net::{IpAddr, SocketAddr};

use super::{
    traffic::{Traffic, Way},
    words::{bare, is_under, same},
};
use journey::{
    Basis, Event, Hop, HostReport, NoUse, Reason, Stage, StageName, StageState, What,
    chronicle::YOU,
    dns::{Meaning, Question, Reply, Transport},
    root_walk::Search,
    stage::{Attempt, Connect, Did, Name, NameSource, QueryResult},
};

use crate::verdict::Facts;

/// What rules ask.
pub(super) struct Evidence<'a> {
    pub(super) case: &'a Facts<'a>,
    /// The request at which the visit ended.
    pub(super) hop: &'a Hop,
    pub(super) nth: usize,
    /// The stage that failed.
    pub(super) failed: Option<Failed<'a>>,
    /// What other hosts asked each other for this visit.
    pub(super) queries: Vec<Query<'a>>,
    pub(super) traffic: Option<Traffic<'a>>,
}

/// The stage that failed.
#[derive(Clone, Copy)]
pub(super) struct Failed<'a> {
    pub(super) stage: &'a Stage,
    pub(super) name: StageName,
    pub(super) reason: Reason,
    pub(super) what: &'a str,
}

/// A query of a resolver to another server, and what came of it.
pub(super) struct Query<'a> {
    pub(super) asker: &'a str,
    pub(super) server: SocketAddr,
    pub(super) transport: Transport,
    pub(super) question: &'a Question,
    /// Why what came was of no use; null where it was.
    pub(super) no_use: Option<NoUse>,
    pub(super) reply: Option<&'a Reply>,
    pub(super) elapsed_us: u64,
    pub(super) event: &'a Event,
    /// Whether it was made for the request at which the visit ended.
    pub(super) is_of_hop: bool,
}

impl Query<'_> {
    /// Whether its answer could be used. One that is cut says no more than that it has to be asked again.
    fn is_of_use(&self) -> bool {
        self.no_use.is_none() && self.reply.is_none_or(|reply| reply.meaning != Meaning::Truncated)
    }

    /// Whether the same was asked by the same for the same request.
    fn is_same(&self, other: &Query<'_>) -> bool {
        (self.asker, self.question, self.is_of_hop) == (other.asker, other.question, other.is_of_hop)
    }
}

/// Who delegates a zone to an address.
pub(super) struct Referral<'a> {
    pub(super) host: String,
    pub(super) zone: &'a str,
    pub(super) server: &'a str,
    pub(super) event: &'a Event,
}

impl<'a> Evidence<'a> {
    pub(super) fn of(case: &'a Facts<'a>) -> Option<Self> {
        let nth = case.hops.len().checked_sub(1)?;
        let hop = &case.hops[nth];
        let failed = hop.failed().map(|stage| {
            // A failed stage always says why.
            let (reason, what) = match &stage.failure {
                Some(failure) => (failure.reason, failure.what.as_str()),
                None => (Reason::Timeout, "no reason was recorded"),
            };
            Failed { stage, name: stage.name(), reason, what }
        });
        let queries = queries(case.events, hop, nth == 0);
        let traffic = case.capture.frames().map(|capture| Traffic::of(capture, case.hosts));
        Some(Self { case, hop, nth, failed, queries, traffic })
    }

    /// Whether the stage of that name failed.
    pub(super) fn failed_at(&self, name: StageName) -> Option<Failed<'a>> {
        self.failed.filter(|failed| failed.name == name)
    }

    pub(super) fn stage(&self, stage: StageName) -> Basis {
        Basis::Stage { hop: self.nth, stage }
    }

    pub(super) fn name(&self) -> Option<&'a Name> {
        match &self.hop.stage(StageName::Name)?.did {
            Did::Name(name) => Some(name),
            _ => None,
        }
    }

    pub(super) fn connect(&self) -> Option<&'a Connect> {
        match &self.hop.stage(StageName::Connect)?.did {
            Did::Connect(connect) => Some(connect),
            _ => None,
        }
    }

    /// The attempt by which the server was reached.
    pub(super) fn connected(&self) -> Option<&'a Attempt> {
        self.connect()?.connected()
    }

    /// The server that was reached, by name where it has one.
    pub(super) fn server(&self) -> Option<String> {
        let attempt = self.connected()?;
        Some(attempt.host.clone().unwrap_or_else(|| attempt.server.to_string()))
    }

    /// The resolver that this machine asked, and its name.
    pub(super) fn resolver(&self) -> Option<(SocketAddr, String)> {
        match self.name()?.source.as_ref()? {
            NameSource::Resolver { host, address, .. } => {
                Some((*address, host.clone().unwrap_or_else(|| address.ip().to_string())))
            }
            _ => None,
        }
    }

    /// The name that has the addresses: the end of the alias chain, as far as it is known.
    pub(super) fn end_of_aliases(&self) -> &'a str {
        self.name().map_or("", |name| bare(name.aliases.last().unwrap_or(&name.asked)))
    }

    /// The host that has an address: by the world, or by what the capture knows (a router).
    pub(super) fn host_of(&self, ip: IpAddr) -> Option<&str> {
        let of_traffic = || self.traffic.as_ref().and_then(|traffic| traffic.host_of(ip));
        journey::host_of(self.case.hosts, ip).or_else(of_traffic)
    }

    pub(super) fn named(&self, ip: IpAddr) -> String {
        self.host_of(ip).map_or_else(|| ip.to_string(), str::to_owned)
    }

    /// Whether a host told what it recorded, with nothing of it overwritten: then what it does not tell did not happen.
    pub(super) fn told_all(&self, host: &str) -> bool {
        self.said(host).is_some_and(|said| matches!(said, HostReport::Reported { overwritten: 0, .. }))
    }

    pub(super) fn said(&self, host: &str) -> Option<&'a HostReport> {
        self.case.observers.iter().find(|observer| observer.host == host).map(|observer| &observer.said)
    }

    /// What a host said of the request at which the visit ended.
    pub(super) fn events_of<'b>(&'b self, host: &'b str) -> impl Iterator<Item = &'a Event> + 'b {
        self.case.events.iter().filter(move |event| event.host == host && self.is_now(event))
    }

    /// Whether something happened for the request at which the visit ended. What has no time may be of an earlier one.
    pub(super) fn is_now(&self, event: &Event) -> bool {
        let begin = self.hop.span_us().map_or(0, |(begin, _)| i64::try_from(begin).unwrap_or(i64::MAX));
        self.nth == 0 || event.at_us.is_some_and(|at| at >= begin)
    }

    /// What a server says of a query of somebody else's: of the same request, and to whoever asked.
    pub(super) fn words_on<'b>(&'b self, query: &'b Query<'_>, host: &'b str) -> impl Iterator<Item = &'a Event> + 'b {
        let is_to_asker = |event: &Event| {
            let asker = event.what.peer().and_then(|peer| self.host_of(peer.ip()));
            asker.is_none_or(|asker| asker == query.asker)
        };
        self.case
            .events
            .iter()
            .filter(move |event| event.host == host && (self.is_now(event) || !query.is_of_hop) && is_to_asker(event))
    }

    /// A resolver's report that it asked nobody and waited for a look-up that was under way already: what that met is told
    /// to whoever began it.
    pub(super) fn went_along(&self, host: &str) -> Option<&'a Event> {
        self.events_of(host).find(|event| matches!(event.what, What::WentAlong { .. }))
    }

    /// Whether it was the network that kept a host from hearing of a server.
    pub(super) fn is_lost(&self, way: &Way) -> bool {
        self.traffic.as_ref().is_some_and(|traffic| traffic.is_lost(way))
    }

    /// The way of a question for the name, this machine's or another's.
    pub(super) fn way_of_name(&self, asker: &str, server: SocketAddr, local: Option<SocketAddr>) -> Way {
        Way { asker: asker.to_owned(), server, local, span_us: self.span_us(&[StageName::Name]) }
    }

    /// The same of a query of another host, which may be of an earlier request.
    pub(super) fn way_of(&self, query: &Query<'_>) -> Way {
        let way = self.way_of_name(query.asker, query.server, None);
        Way { span_us: way.span_us.filter(|_| query.is_of_hop), ..way }
    }

    /// The way of an attempt to connect.
    pub(super) fn way_of_attempt(&self, attempt: &Attempt) -> Way {
        let span_us = self.span_us(&[StageName::Connect]);
        Way { asker: YOU.to_owned(), server: attempt.server, local: attempt.local, span_us }
    }

    /// The way of what was said once the connection was there.
    pub(super) fn way_of_connection(&self) -> Option<Way> {
        use StageName::{Receive, Send, Tls, Wait};
        let attempt = self.connected()?;
        // What waited for an answer in one stage was sent in another.
        Some(Way { span_us: self.span_us(&[Tls, Send, Wait, Receive]), ..self.way_of_attempt(attempt) })
    }

    fn span_us(&self, stages: &[StageName]) -> Option<(u64, u64)> {
        let spans = stages.iter().filter_map(|stage| self.hop.stage(*stage));
        spans
            .filter_map(|stage| stage.start_us.zip(stage.end_us()))
            .reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)))
    }

    /// What this machine's own walk found of the name visited.
    pub(super) fn search(&self) -> Option<&'a Search> {
        let name = self.name()?;
        let asked = name.exchanges.last().map_or(name.asked.as_str(), |exchange| exchange.question.name.as_str());
        self.case.walk?.visited().find(|search| same(&search.name, asked) || same(&search.name, &name.asked))
    }

    /// Whether another answer to the same question could be used.
    pub(super) fn is_made_good(&self, query: &Query<'_>) -> bool {
        self.queries.iter().any(|other| other.is_of_use() && other.is_same(query))
    }

    /// The server that answered in the place of one that was of no use.
    pub(super) fn made_good_by(&self, query: &Query<'_>) -> Option<String> {
        let is_it = |other: &&Query<'_>| other.is_of_use() && other.is_same(query) && other.server != query.server;
        let other = self.queries.iter().find(is_it)?;
        Some(self.named(other.server.ip()))
    }

    /// Whether the stage `name` failed because those that were asked for the name did not do what they are for.
    pub(super) fn name_is_broken(&self) -> bool {
        self.failed_at(StageName::Name).is_some_and(|failed| {
            !matches!(failed.reason, Reason::NoSuchName | Reason::NoAddress | Reason::NoResolver | Reason::QueryRefused)
        })
    }

    /// Who delegates a zone to this address, and which; the nearest to the name.
    pub(super) fn referral_to(&self, ip: IpAddr) -> Option<Referral<'a>> {
        let mut found: Option<Referral<'a>> = None;
        for event in self.case.events {
            let (host, reply) = match &event.what {
                What::AnswerSent { reply, .. } if event.host != YOU => (event.host.clone(), reply),
                What::ReplyReceived { reply, server, .. } if event.host != YOU => (self.named(server.ip()), reply),
                _ => continue,
            };
            if reply.meaning != Meaning::Referral {
                continue;
            }
            let text = ip.to_string();
            let glue = reply.additional.iter().find(|record| record.data == text);
            let Some(glue) = glue else { continue };
            let zone = reply.authority.iter().find(|ns| ns.rtype == "NS" && same(&ns.data, &glue.name));
            let Some(zone) = zone else { continue };
            let is_nearer = |found: &Referral<'_>| zone.name.len() > found.zone.len();
            // What a host says of itself goes before what the resolver says of it.
            if found.as_ref().is_none_or(is_nearer) && is_under(self.end_of_aliases(), &zone.name) {
                found = Some(Referral { host, zone: bare(&zone.name), server: bare(&glue.name), event });
            }
        }
        found
    }
}

/// The id of an event as a basis; none where the record numbers no events.
pub(super) fn id(event: &Event) -> Option<Basis> {
    (event.id > 0).then_some(Basis::Event { id: event.id })
}

fn queries<'a>(events: &'a [Event], hop: &Hop, is_only: bool) -> Vec<Query<'a>> {
    let others = || events.iter().filter(|event| event.host != YOU);
    let mut queries: Vec<Query<'a>> = Vec::new();
    for event in others() {
        let (server, transport, question, elapsed_us, no_use, reply) = match &event.what {
            What::ReplyReceived { server, transport, question, reply, elapsed_us } => {
                (server, transport, question, elapsed_us, None, Some(reply))
            }
            What::QueryFailed { server, transport, question, elapsed_us, failure, .. } => {
                (server, transport, question, elapsed_us, Some(*failure), None)
            }
            _ => continue,
        };
        // A reply that is of no use is told twice, as it came and as what is wrong with it.
        let twin = queries.iter_mut().find(|query| {
            (query.asker, query.server, query.transport, query.question, query.elapsed_us)
                == (&*event.host, *server, *transport, question, *elapsed_us)
                && query.no_use.is_some() != no_use.is_some()
        });
        if let Some(twin) = twin {
            twin.no_use = twin.no_use.or(no_use);
            twin.reply = twin.reply.or(reply);
            continue;
        }
        // What has no time may be of any request.
        let is_of_hop = if event.at_us.is_none() { is_only } else { hop.holds(event.at_us) };
        queries.push(Query {
            asker: &event.host,
            server: *server,
            transport: *transport,
            question,
            no_use,
            reply,
            elapsed_us: *elapsed_us,
            event,
            is_of_hop,
        });
    }
    queries
}

/// What became of a query of this machine's own.
pub(super) fn own(told: &QueryResult, after_truncation: bool) -> Option<NoUse> {
    let tcp = |no_use| if after_truncation { NoUse::Truncated } else { no_use };
    match told {
        QueryResult::Reply { reply } => match reply.meaning {
            Meaning::ServerFailure => Some(NoUse::ServerFailure),
            Meaning::Refused => Some(NoUse::Refused),
            Meaning::Other => Some(NoUse::OtherError),
            _ => None,
        },
        QueryResult::Timeout => Some(tcp(NoUse::NoAnswer)),
        QueryResult::Abandoned => None,
        QueryResult::NothingListens => Some(tcp(NoUse::NothingListens)),
        QueryResult::Failed { failure: NoUse::Other, .. } => Some(tcp(NoUse::Unreachable)),
        QueryResult::Failed { failure, .. } => Some(tcp(*failure)),
        QueryResult::BadReply { failure: NoUse::Other, .. } => Some(NoUse::Malformed),
        QueryResult::BadReply { failure, .. } => Some(*failure),
    }
}

/// Whether a stage did what it is for.
pub(super) fn is_done(stage: &Stage) -> bool {
    stage.state == StageState::Done
}

//! What the resolver's questions to other servers met: by its own report, by theirs, and by this machine's walk.

use std::net::IpAddr;

use super::{
    evidence::{Evidence, Query, Referral, id},
    late, own,
    words::{self, ask, bare, is_under, ms, same},
};
use journey::{
    Basis, Cause, Event, HostReport, NoUse, StageName, Sure, Trouble, What,
    chronicle::YOU,
    dns::Meaning,
    root_walk::{End, Finding},
    stage::QueryResult,
};

/// A question that was given up so early was not left unanswered: somebody else was faster.
const SHORT_US: u64 = 100_000;

/// Which trouble a useless answer is, with what is known of the delegation that led there.
fn trouble(evidence: &Evidence<'_>, query: &Query<'_>) -> Trouble {
    let ip = query.server.ip();
    match query.no_use {
        // A server that answers this machine, if not the resolver in time, is not dead.
        Some(NoUse::NoAnswer | NoUse::Other) if walk_answer(evidence, query).is_some() => Trouble::DnsSlow,
        Some(NoUse::NoAnswer | NoUse::Unreachable | NoUse::NothingListens | NoUse::Other)
            if is_undescribed(evidence, ip) && !has_answered(evidence, ip) && evidence.referral_to(ip).is_some() =>
        {
            Trouble::DeadDelegation
        }
        // A referral back to the zone that was delegated is a circle; one further up is a server that knows nothing of it.
        Some(NoUse::Lame | NoUse::LeadsBack) => match (referred_to(query), evidence.referral_to(ip)) {
            (Some(zone), Some(referral)) if same(zone, referral.zone) => Trouble::DelegationLoop,
            (Some(_), Some(_)) => Trouble::LameDelegation,
            _ => own::trouble(query.no_use.unwrap_or_default()),
        },
        Some(no_use) => own::trouble(no_use),
        None => Trouble::DnsNoAnswer,
    }
}

/// Whether the lab's description has no host at an address. There may be one all the same: a description of a lab that runs
/// elsewhere need not be of all that is there.
fn is_undescribed(evidence: &Evidence<'_>, ip: IpAddr) -> bool {
    evidence.case.place.is_lab() && journey::host_of(evidence.case.hosts, ip).is_none()
}

/// Whether something at an address ever answered: a query of anybody's for this visit, or this machine's walk.
fn has_answered(evidence: &Evidence<'_>, ip: IpAddr) -> bool {
    let by_query = || evidence.queries.iter().any(|query| query.server.ip() == ip && query.reply.is_some());
    let by_frame = || evidence.traffic.as_ref().is_some_and(|traffic| traffic.has_sent(ip));
    by_query() || by_frame() || replies_to_walk(evidence, ip).next().is_some()
}

/// How long a server took to answer this machine's own walk, each time.
fn replies_to_walk(evidence: &Evidence<'_>, ip: IpAddr) -> impl Iterator<Item = u64> {
    let searches = evidence.case.walk.into_iter().flat_map(|walk| &walk.searches);
    let asked = searches.flat_map(journey::root_walk::Search::asked).filter(move |asked| asked.address.ip() == ip);
    let replies = asked
        .flat_map(|asked| &asked.exchanges)
        .filter(|exchange| matches!(exchange.result, QueryResult::Reply { .. }));
    replies.map(|exchange| exchange.duration_us)
}

/// The same, where that is longer than the resolver waited for an answer.
fn walk_answer(evidence: &Evidence<'_>, query: &Query<'_>) -> Option<u64> {
    let waited = query.elapsed_us.max(SHORT_US);
    replies_to_walk(evidence, query.server.ip()).filter(|us| *us >= waited).max()
}

/// Whether it is seen, and not only missing from a description, that no host has an address: the kernel or a router says
/// that there is no way to it, or nobody answers to it on its link.
fn is_nobodys(evidence: &Evidence<'_>, query: &Query<'_>) -> bool {
    let is_unclaimed = || evidence.traffic.as_ref().is_some_and(|traffic| traffic.is_unclaimed(query.server.ip()));
    query.no_use == Some(NoUse::Unreachable) || is_unclaimed()
}

/// Whether a server that refers elsewhere serves another zone, as one that it delegates from shows. It does what it is for,
/// and the delegation to it is wrong. One that refers to the root misses a zone that it may well be meant to have.
fn serves_another(evidence: &Evidence<'_>, query: &Query<'_>) -> bool {
    let zone = evidence.referral_to(query.server.ip()).map(|referral| referral.zone);
    referred_to(query).zip(zone).is_some_and(|(to, zone)| to != "." && !same(to, zone) && is_under(zone, to))
}

/// The zone that a reply refers to.
fn referred_to<'a>(query: &Query<'a>) -> Option<&'a str> {
    let reply = query.reply.filter(|reply| reply.meaning == Meaning::Referral)?;
    reply.authority.iter().find(|record| record.rtype == "NS").map(|record| bare(&record.name))
}

/// Servers that were of no use to the resolver.
pub(super) fn useless(evidence: &Evidence<'_>, wanted: Trouble) -> Vec<Cause> {
    let mut found: Vec<Cause> = Vec::new();
    for query in evidence.queries.iter().filter(|query| query.no_use.is_some()) {
        if trouble(evidence, query) != wanted {
            continue;
        }
        let is_silent = matches!(query.no_use, Some(NoUse::NoAnswer | NoUse::Unreachable));
        let made_good = evidence.is_made_good(query);
        if made_good && is_silent && query.elapsed_us < SHORT_US && query.no_use == Some(NoUse::NoAnswer) {
            continue;
        }
        // The network is told of by itself; and a late answer is late.
        let is_lost = evidence.is_lost(&evidence.way_of(query));
        if is_silent && (is_lost || late_answer(evidence, query).is_some() || late::explains(evidence, query)) {
            continue;
        }
        let cause = of_query(evidence, query, wanted).broke(evidence.name_is_broken() && query.is_of_hop && !made_good);
        match found.iter_mut().find(|other| other.host == cause.host) {
            // One cause for all that one server did; what broke the visit goes before what did not.
            Some(other) if cause.broke && !other.broke => *other = cause,
            Some(other) => *other = other.clone().on(cause.basis),
            None => found.push(cause),
        }
    }
    found
}

/// The answer that a server says it sent, and that took it so long that nobody waited for it any more.
pub(super) fn late_answer<'a>(evidence: &Evidence<'a>, query: &Query<'_>) -> Option<(&'a Event, u64)> {
    let host = evidence.named(query.server.ip());
    answer_of(evidence, query, &host).filter(|(_, elapsed_us)| *elapsed_us >= query.elapsed_us / 2)
}

/// The answer that a server says it sent to this question.
pub(super) fn answer_of<'a>(evidence: &Evidence<'a>, query: &Query<'_>, host: &str) -> Option<(&'a Event, u64)> {
    evidence.words_on(query, host).find_map(|event| match &event.what {
        What::AnswerSent { question, elapsed_us, transport, .. }
            if question == query.question && *transport == query.transport =>
        {
            Some((event, *elapsed_us))
        }
        _ => None,
    })
}

/// What a server did, where the query and its reply say all of it. `at` is the server, `zone` what it should serve.
fn by_itself(query: &Query<'_>, wanted: Trouble, at: &str, zone: &str) -> Option<String> {
    let (name, server) = (bare(&query.question.name), query.server);
    Some(match wanted {
        Trouble::LameDelegation => match referred_to(query) {
            Some(to) => format!("{at} is no authority for {zone}: it refers to {} instead", words::zone(to)),
            None => format!("{at} is no authority for {zone}"),
        },
        Trouble::DelegationLoop => {
            let to = referred_to(query)
                .map_or_else(|| "where it came from".to_owned(), |zone| format!("{} again", words::zone(zone)));
            format!("{at} refers to {to} when asked for {name}: the delegation leads back")
        }
        Trouble::DnsNothingListens => {
            format!("nothing listens on {server} over {}, where {zone} should be served", query.transport.as_str())
        }
        Trouble::DnsUnreachable => format!("the resolver has no way to {at}, for {name}"),
        Trouble::DnsRefused => format!("{at} answers REFUSED when the resolver asks for {name}"),
        Trouble::DnsServerFailure => format!("{at} answers SERVFAIL when the resolver asks for {name}"),
        Trouble::DnsError => {
            let rcode = query.reply.map_or("an error", |reply| reply.rcode.as_str());
            format!("{at} answers {rcode} when the resolver asks for {name}")
        }
        Trouble::DnsWrongId => format!("{at} answers the resolver's question for {name} under another id"),
        Trouble::DnsNotAResponse => format!("{at} sends the resolver queries where responses should be, for {name}"),
        Trouble::DnsMalformed => format!("what {at} sends for {name} is no DNS message"),
        Trouble::DnsTcpRefused => {
            format!("{at} cuts its answer for {name} over udp, and cannot be asked over tcp")
        }
        _ => return None,
    })
}

fn of_query(evidence: &Evidence<'_>, query: &Query<'_>, wanted: Trouble) -> Cause {
    let (ip, server) = (query.server.ip(), query.server);
    let host = evidence.named(ip);
    let referral = evidence.referral_to(ip);
    let name = bare(&query.question.name);
    let at = if host == ip.to_string() { host.clone() } else { format!("{host} ({ip})") };
    let zone = referral.as_ref().map_or_else(
        || format!("what {name} is in"),
        |Referral { zone, host, .. }| format!("{zone}, which {host} delegates to it"),
    );
    let mut cause = Cause::new(wanted, Some(host.clone()), String::new()).seen();
    let what = match wanted {
        Trouble::DeadDelegation => {
            let Some(Referral { host, zone, server, .. }) = &referral else { return cause };
            cause.host = Some(host.clone());
            if is_nobodys(evidence, query) {
                format!("{host} delegates {zone} to {server} at {ip}, an address that no host has")
            } else {
                let tell = own::packets(evidence).unwrap_or_else(|| format!("whether anything answers at {ip}"));
                cause = cause.sure(Sure::Likely).tell(tell);
                format!(
                    "{host} delegates {zone} to {server} at {ip}, which does not answer the resolver, and where the lab's \
                     description has no host"
                )
            }
        }
        Trouble::DnsSlow => {
            let us = walk_answer(evidence, query).unwrap_or_default();
            format!(
                "{at} did not answer the resolver for {name} within {}; it answered this machine's walk after {}",
                ms(query.elapsed_us),
                ms(us)
            )
        }
        Trouble::LameDelegation if serves_another(evidence, query) => {
            let (Some(to), Some(Referral { host: parent, zone, server, .. })) = (referred_to(query), &referral) else {
                return cause;
            };
            cause.host = Some(parent.clone());
            format!(
                "{parent} delegates {zone} to {server}, which is {at} and does not serve it: it refers to {} instead. The \
                 record is {zone} NS {server}",
                words::zone(to)
            )
        }
        _ if let Some(what) = by_itself(query, wanted, &at, &zone) => what,
        _ => {
            let (what, sure, tell) = silent(evidence, query, &at, &host);
            cause = cause.sure(sure).tell(tell);
            what
        }
    };
    let what = match evidence.made_good_by(query) {
        Some(other) => format!("{what}; {other} answered in its place: after {}", ms(query.elapsed_us)),
        None => what,
    };
    let theirs = answer_of(evidence, query, &host).and_then(|(event, _)| id(event));
    let of_referral = referral.and_then(|referral| id(referral.event));
    let basis = of_referral.into_iter().chain(id(query.event)).chain(theirs);
    // Without an id in the record, the stage still stands for what this machine saw.
    let stage = Some(evidence.stage(StageName::Name)).filter(|_| query.event.id == 0);
    let next = ask(evidence, server, evidence.end_of_aliases());
    Cause { what, ..cause }.on(basis.chain(stage)).next(next)
}

/// A server that did not answer the resolver: what it says of that itself.
fn silent(evidence: &Evidence<'_>, query: &Query<'_>, at: &str, host: &str) -> (String, Sure, Option<String>) {
    let name = bare(&query.question.name);
    let what = format!("{at} does not answer the resolver's question for {name}");
    let read = evidence
        .words_on(query, host)
        .any(|event| matches!(&event.what, What::QueryReceived { question, .. } if question == query.question));
    if query.no_use == Some(NoUse::HungUp) {
        return (format!("{at} closes the resolver's connection without an answer for {name}"), Sure::Certain, None);
    }
    if answer_of(evidence, query, host).is_some() {
        let tell = own::packets(evidence);
        return (format!("{what}, as the resolver says; it says itself that it did"), Sure::Likely, tell);
    }
    match (read, evidence.said(host)) {
        (true, _) => {
            let sure = if evidence.told_all(host) { Sure::Certain } else { Sure::Likely };
            (format!("{what}: it read it, and had sent nothing when the visit was over"), sure, None)
        }
        (false, Some(HostReport::Silent { .. })) => {
            let what = format!("{what}, and gives no report either");
            (what, Sure::Likely, Some(format!("is {host} up at all? Look at it by itself")))
        }
        (false, Some(HostReport::Reported { .. })) => {
            (format!("{what}; it reports no such question"), Sure::Likely, own::packets(evidence))
        }
        // Another vendor's server reports nothing, whatever it does.
        (false, Some(HostReport::NotAsked { .. }) | None) => {
            let tell = ask(evidence, query.server, name).map(|command| format!("ask it yourself: {command}"));
            (what, Sure::Likely, tell)
        }
    }
}

/// A question that the resolver had to repeat before it was answered.
pub(super) fn asked_again(evidence: &Evidence<'_>, wanted: Trouble) -> Vec<Cause> {
    let mut found: Vec<Cause> = Vec::new();
    for query in evidence.queries.iter().filter(|query| query.no_use.is_none()) {
        let sent: Vec<&Event> = evidence
            .case
            .events
            .iter()
            .filter(|event| {
                event.host == query.asker
                    && (evidence.is_now(event) || !query.is_of_hop)
                    && matches!(&event.what, What::QuerySent { server, transport, question }
                    if (*server, *transport, question) == (query.server, query.transport, query.question))
            })
            .collect();
        let replies = evidence.queries.iter().filter(|other| {
            let is_of_same = other.is_of_hop || !query.is_of_hop;
            (other.asker, other.server, other.transport, other.question)
                == (query.asker, query.server, query.transport, query.question)
                && is_of_same
        });
        // As many answers as questions: each was answered.
        let ([first, second, ..], 1) = (sent.as_slice(), replies.count()) else { continue };
        let host = evidence.named(query.server.ip());
        let told = |is_it: fn(&What) -> Option<&journey::dns::Question>| {
            evidence.words_on(query, &host).filter(|event| is_it(&event.what) == Some(query.question)).count()
        };
        let read = told(|what| match what {
            What::QueryReceived { question, .. } => Some(question),
            _ => None,
        });
        let answered = told(|what| match what {
            What::AnswerSent { question, .. } => Some(question),
            _ => None,
        });
        // It answered each, if late: how late, and why, others tell.
        if answered >= sent.len() {
            continue;
        }
        let after = first.at_us.zip(second.at_us).filter(|_| own::is_placed(first));
        let after = after.map_or_else(String::new, |(first, second)| format!(", after {}", ms(second.abs_diff(first))));
        let name = bare(&query.question.name);
        let what = match read >= sent.len() {
            true => {
                format!("{host} left the resolver's question for {name} unanswered until it was asked again{after}")
            }
            false => {
                format!("{host} had not answered the resolver's question for {name} when it was asked again{after}")
            }
        };
        let sure = if read >= sent.len() { Sure::Certain } else { Sure::Likely };
        let tell = own::packets(evidence).filter(|_| sure != Sure::Certain);
        let basis = [*first, *second, query.event].into_iter().filter_map(id);
        found.push(Cause::new(wanted, Some(host), what).sure(sure).tell(tell).on(basis));
    }
    found
}

/// A question that nobody had answered yet when the time was over.
pub(super) fn pending(evidence: &Evidence<'_>, wanted: Trouble) -> Vec<Cause> {
    if !evidence.name_is_broken() {
        return Vec::new();
    }
    let mut found: Vec<Cause> = Vec::new();
    for event in evidence.case.events.iter().filter(|event| event.host != YOU && evidence.is_now(event)) {
        let What::QuerySent { server, transport, question } = &event.what else { continue };
        let is_over = evidence.queries.iter().any(|query| {
            (query.asker, query.server, query.transport, query.question) == (&event.host, *server, *transport, question)
                && evidence.is_now(query.event)
        });
        let is_lost = || evidence.is_lost(&evidence.way_of_name(&event.host, *server, None));
        if is_over || is_lost() {
            continue;
        }
        let host = evidence.named(server.ip());
        let what = format!(
            "{host} had not answered the resolver's question for {} when the time was over",
            bare(&question.name)
        );
        found.push(
            Cause::new(wanted, Some(host), what)
                .broke(true)
                .sure(Sure::Likely)
                .tell(Some("more time (--max-time), or a report of that server".to_owned()))
                .next(ask(evidence, *server, &question.name))
                .on(id(event)),
        );
    }
    found
}

/// Servers that this machine's own walk found of no use, where nobody else tells.
pub(super) fn by_walk(evidence: &Evidence<'_>, wanted: Trouble) -> Vec<Cause> {
    let Some(walk) = evidence.case.walk.filter(|_| evidence.name_is_broken()) else { return Vec::new() };
    let Some(End::NoAuthority { zone: end }) = evidence.search().map(|search| &search.end) else { return Vec::new() };
    let mut found = Vec::new();
    for (nth, finding) in walk.findings.iter().enumerate() {
        let (trouble, zone, server, address, why) = match finding {
            Finding::Lame { zone, server, address, why } => (Trouble::LameDelegation, zone, server, address, why),
            Finding::Dead { zone, server, address, why } => (dead(evidence, address.ip()), zone, server, address, why),
            _ => continue,
        };
        if trouble != wanted || !same(zone, end) {
            continue;
        }
        let host = evidence.named(address.ip());
        let named = server.as_deref().map_or_else(String::new, |name| format!(" as {}", bare(name)));
        let by = evidence.search().and_then(|search| {
            let delegated = search.zones.iter().find(|delegated| same(&delegated.zone, zone))?;
            Some(format!(" (delegated by {})", words::zone(delegated.referred_by.as_deref()?)))
        });
        let what = format!(
            "{host}, which serves {}{named}{}, gives this machine no usable answer: {}",
            words::zone(zone),
            by.unwrap_or_default(),
            why.trim_end_matches('.')
        );
        found.push(
            Cause::new(wanted, Some(host), what)
                .broke(true)
                .sure(Sure::Likely)
                .next(ask(evidence, *address, evidence.end_of_aliases()))
                .on([Basis::Walk { finding: nth }, evidence.stage(StageName::Name)]),
        );
    }
    found
}

fn dead(evidence: &Evidence<'_>, ip: IpAddr) -> Trouble {
    let is_dead = is_undescribed(evidence, ip) && !has_answered(evidence, ip);
    if is_dead { Trouble::DeadDelegation } else { Trouble::DnsNoAnswer }
}

/// Records that a server has no say in, and that the resolver left out.
pub(super) fn ignored(evidence: &Evidence<'_>, wanted: Trouble) -> Vec<Cause> {
    let found = evidence.case.events.iter().filter_map(|event| match &event.what {
        What::RecordsIgnored { server, question, records } => {
            let host = evidence.named(server.ip());
            let about = records.first().map_or_else(String::new, |record| format!(": {record}"));
            let more = if records.len() > 1 { format!(" and {} more", records.len() - 1) } else { String::new() };
            let name = bare(&question.name);
            let under = if is_under(evidence.end_of_aliases(), name) { "" } else { ", on the way" };
            let what = format!(
                "{host} added records that it has no say in to its answer for {name}{under}; the resolver left them out{about}{more}"
            );
            Some(Cause::new(wanted, Some(host), what).seen().on(id(event)))
        }
        _ => None,
    });
    found.collect()
}

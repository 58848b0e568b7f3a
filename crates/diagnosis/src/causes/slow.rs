//! Whose work finding the name waited for.

use super::{
    evidence::{Evidence, Query, id},
    own::{events, packets},
    servers::late_answer,
    words::{ask, bare, ms, same, walk},
};
use journey::{
    Cause, Event, NoUse, Reason, StageName, Sure, Trouble, What,
    stage::{Exchange, QueryResult},
};

/// The name was found, and finding it took most of its time at one place.
pub(super) fn name(evidence: &Evidence<'_>, wanted: Trouble) -> Vec<Cause> {
    const LONG_US: u64 = 200_000;
    let Some(stage) = evidence.hop.stage(StageName::Name) else { return Vec::new() };
    let all = stage.duration_us.unwrap_or_default();
    let is_long = |us: u64| us >= LONG_US && us >= all / 2;
    // One that is asked several times may take the time in parts.
    let took_most = |query: &Query<'_>| {
        let of_it = evidence.queries.iter().filter(|other| other.server.ip() == query.server.ip() && other.is_of_hop);
        query.elapsed_us >= LONG_US && of_it.map(|other| other.elapsed_us).sum::<u64>() >= all / 2
    };
    let broke = evidence.failed.is_some_and(|failed| {
        failed.name == StageName::Name && matches!(failed.reason, Reason::MaxTime | Reason::Timeout)
    });
    // What a server says of its own work goes before what whoever waited for it says.
    let own_work = |host: &str, name: &str| {
        evidence.events_of(host).find_map(|event| match &event.what {
            What::AnswerSent { question, elapsed_us, .. } if same(&question.name, name) && *elapsed_us >= LONG_US => {
                Some((event, *elapsed_us))
            }
            _ => None,
        })
    };
    let mut found = Vec::new();
    for query in evidence.queries.iter().filter(|query| query.is_of_hop) {
        let host = evidence.named(query.server.ip());
        let name = bare(&query.question.name);
        let own = match query.no_use {
            Some(NoUse::NoAnswer) => late_answer(evidence, query),
            Some(_) => None,
            None if took_most(query) => own_work(&host, name),
            None => continue,
        };
        // One that did not answer at all is another matter, unless it says that it did, later.
        if query.no_use.is_some() && own.is_none() {
            continue;
        }
        let (sure, us, tell) = match own {
            Some((_, us)) => (Sure::Certain, us, None),
            None => (Sure::Likely, query.elapsed_us, packets(evidence)),
        };
        let too_late = if query.no_use.is_some() { ", longer than the resolver waits" } else { "" };
        let what = format!("{host} took long to answer the resolver for {name}{too_late}: {}", ms(us));
        let basis = [Some(query.event), own.map(|(event, _)| event)].into_iter().flatten();
        found.push(
            Cause::new(wanted, Some(host), what)
                .broke(broke || query.no_use.is_some() && evidence.name_is_broken() && !evidence.is_made_good(query))
                .sure(sure)
                .tell(tell)
                .next(ask(evidence, query.server, name))
                .on(basis.filter_map(id)),
        );
    }
    if found.is_empty() {
        found.extend(slow_resolver(evidence, wanted, &is_long, &own_work));
    }
    found
}

/// What a host says of its own work for a name, where that is long.
type OwnWork<'b, 'a> = dyn Fn(&str, &str) -> Option<(&'a Event, u64)> + 'b;

/// How long somebody waited for an answer, from the first time that this was asked.
fn waited_us(evidence: &Evidence<'_>, query: &Query<'_>) -> u64 {
    let is_it = |event: &&Event| {
        event.host == query.asker
            && matches!(&event.what, What::QuerySent { server, transport, question }
                if (*server, *transport, question) == (query.server, query.transport, query.question))
    };
    let first = evidence.case.events.iter().filter(is_it).filter_map(|event| event.at_us).min();
    let since_first = first.zip(query.event.at_us).map_or(0, |(first, at)| at.abs_diff(first));
    query.elapsed_us.max(since_first)
}

fn slow_resolver<'a>(
    evidence: &Evidence<'a>,
    wanted: Trouble,
    is_long: &dyn Fn(u64) -> bool,
    own_work: &OwnWork<'_, 'a>,
) -> Option<Cause> {
    let name = evidence.name()?;
    let (address, host) = evidence.resolver()?;
    // An answer that came when the stage was over took none of its time.
    let end_us = evidence.hop.stage(StageName::Name)?.end_us()?;
    let answered = |exchange: &&Exchange| {
        exchange.start_us.saturating_add(exchange.duration_us) <= end_us
            && exchange.server == address
            && is_long(exchange.duration_us)
            && matches!(exchange.result, QueryResult::Reply { .. })
    };
    let exchange = name.exchanges.iter().find(answered)?;
    let asked = bare(&exchange.question.name);
    // What it waited for others is told of those, where they are to be blamed.
    let others = evidence.queries.iter().filter(|query| query.asker == host && query.is_of_hop);
    if others.map(|query| waited_us(evidence, query)).sum::<u64>() >= exchange.duration_us / 2 {
        return None;
    }
    let own = own_work(&host, asked);
    let (sure, tell) = match own {
        Some(_) => (Sure::Certain, None),
        None => (Sure::Likely, walk(evidence, "--walk").map(|command| format!("walk yourself: {command}"))),
    };
    let us = own.map_or(exchange.duration_us, |(_, us)| us);
    let what = format!("{host} took long to answer for {asked}: {}", ms(us));
    let own = own.and_then(|(event, _)| id(event));
    Some(
        Cause::new(wanted, Some(host), what).sure(sure).tell(tell).on(own.into_iter().chain(events(evidence, address))),
    )
}

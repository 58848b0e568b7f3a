//! Who says that there is no such name or no address, and who contradicts whom.

use std::{collections::BTreeSet, net::IpAddr};

use super::{
    evidence::{Evidence, id},
    words::{and, is_under, same, walk, walk_or_ask_another, zone},
};
use journey::{
    Basis, Cause, Event, Reason, StageName, Sure, Trouble, What,
    dns::{Meaning, Question, Reply},
    root_walk::{End, Finding},
    stage::{Did, NameSource, QueryResult, Tried},
};

/// An authority's "no".
struct Denial<'a> {
    host: String,
    reply: &'a Reply,
    event: &'a Event,
    /// Whether the authority says so itself, and not somebody of it.
    is_own_word: bool,
}

/// There is no such name, or it has no address.
pub(super) fn denied(evidence: &Evidence<'_>, wanted: Trouble) -> Vec<Cause> {
    let reason = if wanted == Trouble::NoSuchName { Reason::NoSuchName } else { Reason::NoAddress };
    let Some(failed) = evidence.failed_at(StageName::Name).filter(|failed| failed.reason == reason) else {
        return one_of_two(evidence, wanted).into_iter().collect();
    };
    let Some(name) = evidence.name() else { return Vec::new() };
    let stage = evidence.stage(StageName::Name);
    let Some((_, resolver)) = evidence.resolver() else {
        return vec![Cause::new(wanted, None, failed.what).broke(true).seen().on([stage])];
    };
    let end = evidence.end_of_aliases();
    if let Some(denial) = denial(evidence, reason, end) {
        let soa = denial.reply.authority.iter().find(|record| record.rtype == "SOA");
        let of = soa.map_or_else(String::new, |soa| format!(" of {}", zone(&soa.name)));
        let host = denial.host;
        let what = format!("{}, says {host}, the authority{of}", name.denial(reason == Reason::NoSuchName));
        let sure = if denial.is_own_word { Sure::Certain } else { Sure::Likely };
        let on = id(denial.event).into_iter().chain([stage]);
        // That it says so is seen; whether it is so, its zone's other servers make doubtful.
        if let Some((others, finding)) = others_differ(evidence, &host, end) {
            let next = format!("compare what {host} and {others} have of the zone");
            let what = format!("{what}; {others} answers otherwise, as the walk found");
            let cause = Cause::new(wanted, Some(host), what).broke(true).sure(Sure::Likely).next(Some(next));
            return vec![cause.on(on.chain([Basis::Walk { finding }]))];
        }
        return vec![Cause::new(wanted, Some(host), what).broke(true).sure(sure).on(on)];
    }
    // From here on only the resolver has said it. What it made up, or remembers wrongly, is told by another rule.
    if contradiction(evidence).is_some() || is_invented(evidence) {
        return Vec::new();
    }
    let (what, on) = match hit_of_no(evidence, end) {
        Some((event, left)) => {
            (format!("{}; {resolver} has that in its cache for another {left} s", failed.what), id(event))
        }
        None => (failed.what.to_owned(), None),
    };
    let by_walk = evidence.search().filter(|search| match reason {
        Reason::NoSuchName => search.end == End::NoSuchName,
        _ => search.end == End::NoData,
    });
    let sure = if by_walk.is_some() { Sure::Certain } else { Sure::Likely };
    let tell = walk(evidence, "--walk").map(|command| format!("ask its authorities yourself: {command}"));
    vec![Cause::new(wanted, Some(resolver), what).broke(true).sure(sure).tell(tell).on(on.into_iter().chain([stage]))]
}

/// The other servers of the zone that answer otherwise for this name than a host, as this machine's walk found.
fn others_differ(evidence: &Evidence<'_>, host: &str, name: &str) -> Option<(String, usize)> {
    evidence.case.walk?.findings.iter().enumerate().find_map(|(nth, finding)| {
        let Finding::Answers { name: asked, groups, .. } = finding else { return None };
        let has_it = |servers: &[std::net::SocketAddr]| servers.iter().any(|at| evidence.named(at.ip()) == host);
        if !is_under(name, asked) || !groups.iter().any(|group| has_it(&group.servers)) {
            return None;
        }
        let others = groups.iter().filter(|group| !has_it(&group.servers)).flat_map(|group| &group.servers);
        let others: BTreeSet<String> = others.map(|at| evidence.named(at.ip())).collect();
        (!others.is_empty()).then(|| (and(&others.into_iter().collect::<Vec<_>>()), nth))
    })
}

/// One authority says no, and the visit found the name all the same.
fn one_of_two(evidence: &Evidence<'_>, wanted: Trouble) -> Option<Cause> {
    evidence.name().filter(|name| !name.addresses.is_empty())?;
    if wanted != Trouble::NoSuchName || evidence.resolver().is_none() {
        return None;
    }
    let denial = denial(evidence, Reason::NoSuchName, evidence.end_of_aliases())?;
    let end = evidence.end_of_aliases();
    let what = format!("{} says that there is no name {end}, and another says that there is", denial.host);
    let sure = if denial.is_own_word { Sure::Certain } else { Sure::Likely };
    Some(Cause::new(wanted, Some(denial.host), what).sure(sure).on(id(denial.event)))
}

/// The authoritative answer that says no to this name, and who gave it. "No such name" also goes for all names below (RFC
/// 8020); "no address" is said only when an address was asked for.
fn denial<'a>(evidence: &Evidence<'a>, reason: Reason, name: &str) -> Option<Denial<'a>> {
    let says_no = |reply: &Reply, question: &Question| {
        let denied = end_of_chain(reply, &question.name);
        reply.flags.aa
            && match reason {
                Reason::NoSuchName => reply.meaning == Meaning::NoSuchName && is_under(name, denied),
                _ => {
                    let of_address = matches!(question.rtype.as_str(), "A" | "AAAA");
                    let says_nothing = reply.meaning == Meaning::NoData
                        || (reply.meaning == Meaning::Alias && reply.authority.iter().any(|r| r.rtype == "SOA"));
                    says_nothing && of_address && same(denied, name)
                }
            }
    };
    // A resolver is none, whatever it says of itself.
    let (resolver, host) = evidence.resolver().unzip();
    let of_authority = evidence.case.events.iter().rev().find_map(|event| match &event.what {
        What::AnswerSent { reply, question, .. } if Some(&event.host) != host.as_ref() && says_no(reply, question) => {
            Some(Denial { host: event.host.clone(), reply, event, is_own_word: true })
        }
        _ => None,
    });
    let as_heard = || {
        evidence.case.events.iter().rev().find_map(|event| match &event.what {
            What::ReplyReceived { reply, question, server, .. }
                if Some(*server) != resolver && says_no(reply, question) =>
            {
                Some(Denial { host: evidence.named(server.ip()), reply, event, is_own_word: false })
            }
            _ => None,
        })
    };
    of_authority.or_else(as_heard)
}

/// The name that a "no" is about: the last one of the aliases in the answer (RFC 6604 §2.1).
fn end_of_chain<'r>(reply: &'r Reply, asked: &'r str) -> &'r str {
    let mut name = asked;
    for _ in &reply.answer {
        let alias = reply.answer.iter().find(|record| record.rtype == "CNAME" && same(&record.name, name));
        match alias {
            Some(alias) => name = &alias.data,
            None => break,
        }
    }
    name
}

/// The resolver's report that it had its "no" in its cache: for each type to which it said no.
fn hit_of_no<'a>(evidence: &Evidence<'a>, end: &str) -> Option<(&'a Event, u32)> {
    let denied = evidence.name()?.exchanges.iter().filter_map(|exchange| match &exchange.result {
        QueryResult::Reply { reply } if matches!(reply.meaning, Meaning::NoSuchName | Meaning::NoData) => {
            Some(&*exchange.question.rtype)
        }
        _ => None,
    });
    let hits: Option<Vec<_>> = denied.map(|rtype| hit(evidence, end, rtype)).collect();
    hits?.into_iter().min_by_key(|(_, left)| *left)
}

/// The same for any address.
fn any_hit<'a>(evidence: &Evidence<'a>, name: &str) -> Option<(&'a Event, u32)> {
    ["A", "AAAA"].into_iter().find_map(|rtype| hit(evidence, name, rtype))
}

/// The resolver's report that it had the answer for this name and type in its cache, and for how many seconds more.
fn hit<'a>(evidence: &Evidence<'a>, name: &str, rtype: &str) -> Option<(&'a Event, u32)> {
    let asked = evidence.name().map_or("", |name| name.asked.as_str());
    let (_, resolver) = evidence.resolver()?;
    let mut own = evidence.case.events.iter().filter(|event| event.host == resolver && evidence.is_now(event));
    own.find_map(|event| match &event.what {
        What::CacheHit { question, remaining_ttl_s, .. }
            if question.rtype == rtype && (same(&question.name, name) || same(&question.name, asked)) =>
        {
            Some((event, *remaining_ttl_s))
        }
        _ => None,
    })
}

/// Whether the resolver answered this visit's question, asked nobody for it, had nothing in its cache, and waited for nobody
/// who asked, by a report that tells all.
fn is_invented(evidence: &Evidence<'_>) -> bool {
    let Some((_, resolver)) = evidence.resolver() else { return false };
    let Some(name) = evidence.name() else { return false };
    let own = || evidence.events_of(&resolver);
    let is_it = |question: &Question| same(&question.name, &name.asked);
    let answered = own().any(|event| matches!(&event.what, What::AnswerSent { question, .. } if is_it(question)));
    let asked = evidence.case.events.iter().any(|event| {
        event.host == resolver
            && matches!(event.what, What::QuerySent { .. } | What::ReplyReceived { .. } | What::QueryFailed { .. })
    });
    answered
        && !asked
        && any_hit(evidence, evidence.end_of_aliases()).is_none()
        && evidence.went_along(&resolver).is_none()
        && evidence.told_all(&resolver)
}

/// Why the resolver's word is to be held against the authorities', where nobody has told theirs.
pub(super) fn doubt(evidence: &Evidence<'_>) -> Option<String> {
    let failed = evidence.failed?;
    let (_, resolver) = evidence.resolver()?;
    let is_of_answer = match failed.name {
        StageName::Name => matches!(failed.reason, Reason::NoSuchName | Reason::NoAddress),
        StageName::Url | StageName::Close => false,
        _ => !matches!(failed.reason, Reason::Interrupted | Reason::MaxTime | Reason::WriteFailed | Reason::TooLarge),
    };
    if !is_of_answer || ["A", "AAAA"].into_iter().any(|rtype| by_report(evidence, rtype).is_some()) {
        return None;
    }
    let name = evidence.end_of_aliases();
    if any_hit(evidence, name).is_some() {
        return Some(format!(
            "{resolver} answered for {name} from its cache, and the {} stage failed",
            failed.name.as_str()
        ));
    }
    if evidence.went_along(&resolver).is_some() {
        return Some(format!(
            "{resolver} answered for {name} with what a look-up brought that was under way already, and the {} stage failed",
            failed.name.as_str()
        ));
    }
    is_invented(evidence).then(|| {
        format!("{resolver} answered for {name} without asking anybody, and the {} stage failed", failed.name.as_str())
    })
}

/// What a resolver said, and what goes against it.
struct Contradiction {
    rtype: &'static str,
    resolver: Vec<String>,
    authority: Vec<String>,
    /// Who says so: an authority by its own report, or the walk.
    by: String,
    basis: Vec<Basis>,
    wrong: Vec<IpAddr>,
}

/// A resolver's answer that is not what the authority says.
fn contradiction(evidence: &Evidence<'_>) -> Option<Contradiction> {
    let name = evidence.name()?;
    if !matches!(name.source, Some(NameSource::Resolver { .. })) {
        return None;
    }
    ["A", "AAAA"].into_iter().find_map(|rtype| {
        let reply = name.exchanges.iter().rev().find_map(|exchange| match &exchange.result {
            QueryResult::Reply { reply } if exchange.question.rtype == rtype => Some(reply),
            _ => None,
        })?;
        let resolver = said(reply, rtype)?;
        let (authority, by, basis) = by_report(evidence, rtype).or_else(|| by_walk(evidence, rtype))?;
        // One address too few is no lie; one that the authority does not have is.
        let differs = match (resolver.is_empty(), authority.is_empty()) {
            (false, _) => !resolver.is_subset(&authority),
            (true, is_empty) => !is_empty,
        };
        let wrong = resolver.difference(&authority).filter_map(|text| text.parse().ok()).collect();
        differs.then(|| Contradiction {
            rtype,
            resolver: resolver.into_iter().collect(),
            authority: authority.into_iter().collect(),
            by,
            basis,
            wrong,
        })
    })
}

/// The addresses in a reply, none where it says that there are none; null where it says neither, or not all was kept.
fn said(reply: &Reply, rtype: &str) -> Option<BTreeSet<String>> {
    match reply.meaning {
        Meaning::Answer if reply.counts[0] <= reply.answer.len() => {
            Some(reply.answer.iter().filter(|record| record.rtype == rtype).map(|record| record.data.clone()).collect())
        }
        Meaning::NoData | Meaning::NoSuchName => Some(BTreeSet::new()),
        _ => None,
    }
}

/// Addresses, who says so, and where.
type Word = (BTreeSet<String>, String, Vec<Basis>);

fn by_report(evidence: &Evidence<'_>, rtype: &str) -> Option<Word> {
    let end = evidence.end_of_aliases();
    let resolver = evidence.resolver().map(|(_, host)| host);
    let mut all: Option<Word> = None;
    for event in evidence.case.events.iter().filter(|event| Some(&event.host) != resolver.as_ref()) {
        let What::AnswerSent { reply, question, .. } = &event.what else { continue };
        if !reply.flags.aa || question.rtype != rtype || !same(&question.name, end) {
            continue;
        }
        let Some(addresses) = said(reply, rtype) else { continue };
        // Where authorities differ, what any of them says is no lie of the resolver's.
        let (known, by, basis) = all.get_or_insert_with(|| (BTreeSet::new(), event.host.clone(), Vec::new()));
        known.extend(addresses);
        basis.extend(id(event));
        if !by.contains(&event.host) {
            *by = format!("{by} and {}", event.host);
        }
    }
    all
}

fn by_walk(evidence: &Evidence<'_>, rtype: &str) -> Option<Word> {
    let search = evidence.search()?;
    let findings = &evidence.case.walk?.findings;
    let basis = findings.iter().enumerate().filter_map(|(finding, found)| {
        matches!(found, Finding::Resolver { rtype: of, .. } if of == rtype).then_some(Basis::Walk { finding })
    });
    // The walk itself holds the two against each other, and knows what was asked in full.
    let basis: Vec<Basis> = basis.collect();
    if basis.is_empty() {
        return None;
    }
    let addresses = match search.end {
        End::Answer => {
            let of_type = search.addresses.iter().filter(|address| address.ip.is_ipv6() == (rtype == "AAAA"));
            of_type.map(|address| address.ip.to_string()).collect()
        }
        End::NoSuchName | End::NoData => BTreeSet::new(),
        _ => return None,
    };
    let asked = search.zones.last()?.servers.iter().flat_map(|server| &server.addresses);
    let by = asked
        .filter(|asked| asked.said.as_ref().is_some_and(journey::root_walk::ServerAnswer::is_usable))
        .map(|asked| asked.address.ip());
    let by = by.map(|ip| evidence.named(ip)).next().unwrap_or_else(|| "the authority".to_owned());
    Some((addresses, by, basis))
}

/// A resolver's answer is not the authority's: from its cache (stale), or not.
pub(super) fn contradicted(evidence: &Evidence<'_>, wanted: Trouble) -> Vec<Cause> {
    let Some((_, host)) = evidence.resolver() else { return Vec::new() };
    let Some(found) = contradiction(evidence) else {
        let is_wanted = wanted == Trouble::ResolverContradicts;
        return is_wanted.then(|| invented(evidence, wanted, host)).flatten().into_iter().collect();
    };
    let hit = hit(evidence, evidence.end_of_aliases(), found.rtype);
    let is_stale = hit.is_some();
    if is_stale != (wanted == Trouble::StaleAnswer) {
        return Vec::new();
    }
    let name = evidence.end_of_aliases();
    let shown = |addresses: &[String]| match addresses {
        [] if evidence.failed.is_some_and(|failed| failed.reason == Reason::NoSuchName) => "no such name".to_owned(),
        [] => "no address".to_owned(),
        some => and(some),
    };
    let said = if is_stale { "answered from its cache with" } else { "answered with" };
    let (theirs, ours) = (shown(&found.authority), shown(&found.resolver));
    let what = format!("{host} {said} {ours} for {name}, and {} has {theirs}", found.by);
    // Elsewhere authorities answer one client so and another otherwise, and that is no lie.
    let is_lab = evidence.case.place.is_lab();
    let sure = if is_lab { Sure::Certain } else { Sure::Possible };
    let on =
        found.basis.into_iter().chain(hit.and_then(|(event, _)| id(event))).chain([evidence.stage(StageName::Name)]);
    let next = match hit {
        Some((_, left)) => {
            format!("its cache keeps that for another {left} s: flush it, or ask another resolver with --resolver ADDR")
        }
        None => "ask another resolver with --resolver ADDR".to_owned(),
    };
    let broke = is_lab && is_broken_by(evidence, &found.wrong, found.resolver.is_empty());
    vec![Cause::new(wanted, Some(host), what).broke(broke).sure(sure).on(on).next(Some(next))]
}

/// Whether the visit failed at addresses that are wrong, or for want of any.
fn is_broken_by(evidence: &Evidence<'_>, wrong: &[IpAddr], said_no: bool) -> bool {
    let Some(failed) = evidence.failed else { return false };
    if failed.name == StageName::Name {
        return said_no && matches!(failed.reason, Reason::NoSuchName | Reason::NoAddress);
    }
    match evidence.hop.stage(StageName::Connect).map(|stage| &stage.did) {
        Some(Did::Connect(connect)) => {
            let tried = || connect.attempts.iter().filter(|attempt| attempt.result != Tried::Abandoned);
            let reached = tried().find(|attempt| attempt.result == Tried::Connected);
            match reached {
                Some(attempt) => wrong.contains(&attempt.server.ip()),
                None => tried().any(|attempt| wrong.contains(&attempt.server.ip())),
            }
        }
        _ => false,
    }
}

/// A "no", or an answer, that the resolver has from nobody.
fn invented(evidence: &Evidence<'_>, wanted: Trouble, host: String) -> Option<Cause> {
    let failed = evidence.failed_at(StageName::Name)?;
    if !matches!(failed.reason, Reason::NoSuchName | Reason::NoAddress) || !is_invented(evidence) {
        return None;
    }
    // An authority that says the same has been asked before.
    let says_so = |end: &End| matches!(end, End::NoSuchName | End::NoData);
    if evidence.search().is_some_and(|search| says_so(&search.end)) {
        return None;
    }
    let what =
        format!("{host} says {} by itself: it asked no authority, and had nothing in its cache", no(failed.reason));
    let own = evidence.events_of(&host).filter(|event| matches!(event.what, What::AnswerSent { .. })).filter_map(id);
    let on: Vec<Basis> = own.chain([evidence.stage(StageName::Name)]).collect();
    let next = Some(walk_or_ask_another(evidence));
    // What a report that tells all does not tell did not happen.
    Some(Cause::new(wanted, Some(host), what).broke(true).seen().on(on).next(next))
}

fn no(reason: Reason) -> &'static str {
    if reason == Reason::NoSuchName { "that there is no such name" } else { "that the name has no address" }
}

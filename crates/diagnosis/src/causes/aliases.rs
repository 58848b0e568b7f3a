//! Aliases that lead in a circle, and who serves them.

use super::{
    evidence::{Evidence, id},
    words::{and, bare, same, walk},
};
use journey::{Basis, Cause, StageName, Sure, Trouble, What, root_walk::End};

/// Aliases that lead in a circle, and who says them.
pub(super) fn alias_loop(evidence: &Evidence<'_>, wanted: Trouble) -> Vec<Cause> {
    let Some(failed) = evidence.failed_at(StageName::Name) else { return Vec::new() };
    let Some(name) = evidence.name() else { return Vec::new() };
    let mut links: Vec<Link<'_>> = Vec::new();
    for (nth, event) in evidence.case.events.iter().enumerate().filter(|(_, event)| evidence.is_now(event)) {
        let (host, reply) = match &event.what {
            What::AnswerSent { reply, .. } if reply.flags.aa => (event.host.clone(), reply),
            What::ReplyReceived { reply, server, .. } => (evidence.named(server.ip()), reply),
            _ => continue,
        };
        for record in reply.answer.iter().filter(|record| record.rtype == "CNAME") {
            let (from, to) = (bare(&record.name), bare(&record.data));
            links.push(Link { from, to, host: host.clone(), event: nth, basis: id(event) });
        }
    }
    // What an authority says of itself goes before what somebody heard.
    links.sort_by_key(|link| evidence.resolver().is_some_and(|(_, resolver)| resolver == link.host));
    let asked = bare(&name.asked);
    // A server may say one thing first and another later: a circle within one answer goes before one of several.
    let of_one = |nth: usize| links.iter().filter(|link| link.event == nth).collect::<Vec<_>>();
    let answers = links.iter().map(|link| circle(asked, &of_one(link.event)));
    let within_one = answers.flatten().next().map(|circle| (circle, Sure::Certain));
    // Answers of different times need not hold together.
    let across = || circle(asked, &links.iter().collect::<Vec<_>>()).map(|circle| (circle, Sure::Likely));
    if let Some((Circle { names, by, basis }, sure)) = within_one.or_else(across) {
        let what = format!("the aliases that {} serves lead in a circle: {}", and(&by), names.join(" → "));
        let cause = Cause::new(wanted, by.into_iter().next(), what).broke(true).sure(sure);
        let basis = basis.into_iter().chain([evidence.stage(failed.name)]);
        let walk = walk(evidence, "--walk=all");
        let tell = walk.as_ref().filter(|_| sure != Sure::Certain);
        let tell = tell.map(|command| format!("walk from the root yourself: {command}"));
        return vec![cause.on(basis).tell(tell).next(walk)];
    }
    by_walk_in_a_circle(evidence, wanted).into_iter().collect()
}

/// An alias, and who served it.
struct Link<'a> {
    from: &'a str,
    to: &'a str,
    host: String,
    /// The position of the event.
    event: usize,
    basis: Option<Basis>,
}

/// Aliases that lead in a circle, who served them, and in which events.
struct Circle<'a> {
    names: Vec<&'a str>,
    by: Vec<String>,
    basis: Vec<Basis>,
}

/// The circle to which these aliases lead from a name.
fn circle<'a>(from: &'a str, links: &[&Link<'a>]) -> Option<Circle<'a>> {
    let mut chain = vec![from];
    let (mut by, mut basis): (Vec<String>, Vec<Basis>) = (Vec::new(), Vec::new());
    while let Some(link) = links.iter().find(|link| same(link.from, chain[chain.len() - 1])) {
        let seen = chain.iter().position(|name| same(name, link.to));
        chain.push(link.to);
        basis.extend(link.basis.clone());
        if !by.contains(&link.host) {
            by.push(link.host.clone());
        }
        if let Some(begin) = seen {
            return Some(Circle { names: chain.split_off(begin), by, basis });
        }
    }
    None
}

fn by_walk_in_a_circle(evidence: &Evidence<'_>, wanted: Trouble) -> Option<Cause> {
    let search = evidence.search()?;
    let End::Loop { what } = &search.end else { return None };
    let by = search
        .zones
        .last()?
        .servers
        .iter()
        .flat_map(|server| &server.addresses)
        .find(|asked| asked.said.as_ref().is_some_and(journey::root_walk::ServerAnswer::is_usable))?;
    let host = evidence.named(by.address.ip());
    let what = format!("the aliases that {host} serves lead in a circle, as the walk found: {what}");
    Some(Cause::new(wanted, Some(host), what).broke(true).sure(Sure::Likely).on([evidence.stage(StageName::Name)]))
}

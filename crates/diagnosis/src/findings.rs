//! What does not fit together in a walk: between the servers of a zone, between a zone and the one above it, and between
//! the authorities and the resolver.

use std::net::{IpAddr, SocketAddr};

use journey::{
    Hop, StageName,
    dns::{Meaning, Reply},
    root_walk::{Asked, End, Finding, Group, Learned, SERVER_FAILURE, Search, Server, ServerAnswer, Zone},
    stage::{Did, Name, NameSource, QueryResult},
};

/// Everything that does not fit together in these searches, and between them and what the resolver said in these hops.
pub fn findings(searches: &[Search], hops: &[Hop]) -> Vec<Finding> {
    let mut found = Vec::new();
    no_way(searches, &mut found);
    for zone in searches.iter().flat_map(|search| &search.zones) {
        of_servers(zone, &found.clone(), &mut found);
        between_servers(zone, &mut found);
        against_parent(zone, &mut found);
    }
    for search in searches.iter().filter(|search| search.server_of.is_none()) {
        names(hops).for_each(|name| against_resolver(search, name, &mut found));
    }
    // A zone that is met again on the way to another name has the same faults.
    let mut unique: Vec<Finding> = Vec::new();
    for finding in found {
        if !unique.contains(&finding) {
            unique.push(finding);
        }
    }
    unique
}

/// A family of which not a single address could be asked is this machine's lack, not each server's.
fn no_way(searches: &[Search], found: &mut Vec<Finding>) {
    for (family, is_v6) in [("IPv4", false), ("IPv6", true)] {
        let asked = searches.iter().flat_map(Search::asked).filter(|asked| asked.address.is_ipv6() == is_v6);
        let said: Vec<&ServerAnswer> = asked.filter_map(|asked| asked.said.as_ref()).collect();
        if let Some(ServerAnswer::Unreachable { why }) = said.first()
            && said.iter().all(|said| matches!(said, ServerAnswer::Unreachable { .. }))
        {
            found.push(Finding::NoWay { family: family.to_owned(), why: why.clone() });
        }
    }
}

fn of_servers(zone: &Zone, before: &[Finding], found: &mut Vec<Finding>) {
    let has_no_way = |address: SocketAddr| {
        let family = if address.is_ipv6() { "IPv6" } else { "IPv4" };
        before.iter().any(|finding| matches!(finding, Finding::NoWay { family: f, .. } if f == family))
    };
    for server in &zone.servers {
        if let (Some(name), Some(why)) = (&server.name, &server.note) {
            found.push(Finding::NoAddress { zone: zone.zone.clone(), server: name.clone(), why: why.clone() });
        }
        for asked in &server.addresses {
            let (zone, server, address) = (zone.zone.clone(), server.name.clone(), asked.address);
            match &asked.said {
                Some(ServerAnswer::Lame { why }) => {
                    found.push(Finding::Lame { zone, server, address, why: why.clone() })
                }
                Some(ServerAnswer::Dead { why }) => {
                    found.push(Finding::Dead { zone, server, address, why: why.clone() })
                }
                Some(ServerAnswer::Unreachable { why }) if !has_no_way(address) => {
                    found.push(Finding::Dead { zone, server, address, why: why.clone() });
                }
                _ => {}
            }
        }
    }
}

/// What the servers of one zone say, each against the others.
fn between_servers(zone: &Zone, found: &mut Vec<Finding>) {
    let name = &zone.zone;
    let name_servers = grouped(zone, |asked| asked.name_servers.clone());
    if name_servers.len() > 1 {
        found.push(Finding::NameServers { zone: name.clone(), groups: name_servers });
    }
    let serials = grouped(zone, |asked| asked.serial.map(|serial| vec![serial.to_string()]));
    if serials.len() > 1 {
        found.push(Finding::Serials { zone: name.clone(), groups: serials });
    }
    let answers = grouped(zone, |asked| asked.said.as_ref().filter(|said| said.is_usable()).map(in_words));
    if answers.len() > 1 {
        found.push(Finding::Answers { zone: name.clone(), name: zone.asked.clone(), groups: answers });
    }
}

fn grouped(zone: &Zone, says: impl Fn(&Asked) -> Option<Vec<String>>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for asked in zone.servers.iter().flat_map(|server| &server.addresses) {
        let Some(mut says) = says(asked) else { continue };
        says.sort_unstable();
        match groups.iter_mut().find(|group| group.says == says) {
            Some(group) => group.servers.push(asked.address),
            None => groups.push(Group { says, servers: vec![asked.address] }),
        }
    }
    groups
}

fn in_words(said: &ServerAnswer) -> Vec<String> {
    match said {
        ServerAnswer::Referral { zone, servers } => {
            let servers = servers.iter().map(|server| format!("{zone} is served by {server}"));
            servers.collect()
        }
        ServerAnswer::Answer { addresses } => addresses.iter().map(|address| address.ip.to_string()).collect(),
        ServerAnswer::Alias { of } => vec![format!("an alias of {of}")],
        ServerAnswer::AliasLoop => vec!["aliases in a circle".to_owned()],
        ServerAnswer::NoSuchName => vec!["no such name".to_owned()],
        ServerAnswer::NoData => vec!["no address".to_owned()],
        ServerAnswer::Lame { why } | ServerAnswer::Dead { why } | ServerAnswer::Unreachable { why } => {
            vec![why.clone()]
        }
    }
}

/// The zone as the one above it has it, and as it has itself.
fn against_parent(zone: &Zone, found: &mut Vec<Finding>) {
    if zone.referred_by.is_none() {
        return;
    }
    let lower = |name: &str| name.to_ascii_lowercase();
    let parent: Vec<String> = zone.servers.iter().filter_map(|server| server.name.as_deref()).map(lower).collect();
    let own = zone.servers.iter().flat_map(|server| &server.addresses).filter_map(|asked| asked.name_servers.as_ref());
    // Where the servers do not agree, that is told on its own; what any of them names counts as named here.
    let mut child: Vec<String> = Vec::new();
    for name in own.flatten().map(|name| lower(name)) {
        if !child.contains(&name) {
            child.push(name);
        }
    }
    let only = |these: &[String], others: &[String]| {
        let mut only: Vec<String> = these.iter().filter(|name| !others.contains(name)).cloned().collect();
        only.sort_unstable();
        only
    };
    let (parent_only, child_only) = (only(&parent, &child), only(&child, &parent));
    if !child.is_empty() && (!parent_only.is_empty() || !child_only.is_empty()) {
        found.push(Finding::Delegation { zone: zone.zone.clone(), parent_only, child_only });
    }
    for server in &zone.servers {
        glue(zone, server, found);
    }
}

/// The addresses of a server as the referral and as the zone itself have them; a family that the referral left out is no
/// contradiction.
fn glue(zone: &Zone, server: &Server, found: &mut Vec<Finding>) {
    let Some(name) = &server.name else { return };
    let of_glue = server.addresses.iter().filter(|asked| matches!(asked.learned, Learned::Glue { .. }));
    let glue: Vec<IpAddr> = of_glue.map(|asked| asked.address.ip()).collect();
    let own: Vec<IpAddr> = zone
        .servers
        .iter()
        .flat_map(|server| &server.addresses)
        .flat_map(|asked| &asked.own_addresses)
        .filter(|own| own.name.eq_ignore_ascii_case(name))
        .flat_map(|own| own.addresses.iter().copied())
        .collect();
    for is_v6 in [false, true] {
        let of = |ips: &[IpAddr]| {
            let mut ips: Vec<IpAddr> = ips.iter().copied().filter(|ip| ip.is_ipv6() == is_v6).collect();
            ips.sort_unstable();
            ips.dedup();
            ips
        };
        let (glue, own) = (of(&glue), of(&own));
        if !glue.is_empty() && !own.is_empty() && glue != own {
            found.push(Finding::Glue { zone: zone.zone.clone(), server: name.clone(), glue, own });
        }
    }
}

/// Whether all that the resolver said of the names visited could be held against what the authorities say.
pub fn is_compared(searches: &[Search], hops: &[Hop]) -> bool {
    let visited = searches.iter().filter(|search| search.server_of.is_none());
    let mut both = visited.flat_map(|search| names(hops).flat_map(move |name| both_words(search, name))).peekable();
    both.peek().is_some() && both.all(|(_, resolver, walk)| resolver.is_some() && walk.is_some())
}

fn names(hops: &[Hop]) -> impl Iterator<Item = &Name> {
    hops.iter().filter_map(|hop| match &hop.stage(StageName::Name)?.did {
        Did::Name(name) => Some(name),
        _ => None,
    })
}

/// What the resolver said in the `name` stage, and what the authorities say now, where that differs.
fn against_resolver(search: &Search, name: &Name, found: &mut Vec<Finding>) {
    for (rtype, resolver, walk) in both_words(search, name) {
        if let (Some(resolver), Some(walk)) = (resolver, walk)
            && resolver != walk
        {
            let name = search.name.clone();
            found.push(Finding::Resolver { name, rtype: rtype.to_owned(), resolver, walk });
        }
    }
}

/// A type that a resolver was asked for, what it said, and what the authorities say; None where that is not known whole.
type BothWords = (&'static str, Option<Vec<String>>, Option<Vec<String>>);

fn both_words(search: &Search, name: &Name) -> Vec<BothWords> {
    if !matches!(name.source, Some(NameSource::Resolver { .. })) {
        return Vec::new();
    }
    let of_type = |rtype: &'static str| {
        let replies = name.exchanges.iter().filter_map(|exchange| match &exchange.result {
            QueryResult::Reply { reply } if exchange.question.rtype == rtype => Some((&exchange.question.name, reply)),
            _ => None,
        });
        let (_, reply) = replies.rev().find(|(name, _)| name.eq_ignore_ascii_case(&search.name))?;
        Some((rtype, of_resolver(reply, rtype), of_walk(search, rtype)))
    };
    ["A", "AAAA"].into_iter().filter_map(of_type).collect()
}

fn of_resolver(reply: &Reply, rtype: &str) -> Option<Vec<String>> {
    // Records beyond the limit are not kept, and what is not known cannot be compared.
    if reply.counts[0] > reply.answer.len() {
        return None;
    }
    match reply.meaning {
        Meaning::Answer => {
            let addresses = reply.answer.iter().filter(|record| record.rtype == rtype);
            let mut addresses: Vec<String> = addresses.map(|record| record.data.clone()).collect();
            addresses.sort_unstable();
            addresses.dedup();
            Some(addresses)
        }
        Meaning::NoData | Meaning::Alias => Some(vec![NO_ADDRESS.to_owned()]),
        Meaning::NoSuchName => Some(vec![NO_NAME.to_owned()]),
        Meaning::ServerFailure => Some(vec![SERVER_FAILURE.to_owned()]),
        Meaning::Truncated | Meaning::Refused | Meaning::Referral | Meaning::Other => None,
    }
}

const NO_ADDRESS: &str = "no address";
const NO_NAME: &str = "no such name";

fn of_walk(search: &Search, rtype: &str) -> Option<Vec<String>> {
    match search.end {
        // A type that no authority was asked for, or that none answered, is not one that there is none of.
        End::Answer | End::NoData if !is_told(search, rtype) => None,
        End::Answer => {
            let of_type = search.addresses.iter().filter(|address| address.ip.is_ipv6() == (rtype == "AAAA"));
            let mut addresses: Vec<String> = of_type.map(|address| address.ip.to_string()).collect();
            addresses.sort_unstable();
            addresses.dedup();
            Some(if addresses.is_empty() { vec![NO_ADDRESS.to_owned()] } else { addresses })
        }
        End::NoData => Some(vec![NO_ADDRESS.to_owned()]),
        End::NoSuchName => Some(vec![NO_NAME.to_owned()]),
        // Who did not come to an end has nothing to compare.
        End::Loop { .. } | End::NoAuthority { .. } | End::Stopped { .. } => None,
    }
}

fn is_told(search: &Search, rtype: &str) -> bool {
    let mut exchanges = search.asked().flat_map(|asked| &asked.exchanges);
    exchanges.any(|exchange| {
        let is_own_word = matches!(&exchange.result, QueryResult::Reply { reply } if reply.flags.aa);
        exchange.question.rtype == rtype && is_own_word
    })
}

#[cfg(test)]
mod tests;

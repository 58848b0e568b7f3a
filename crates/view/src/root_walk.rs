//! This machine's own walk from the root: what it asked, zone by zone, and what does not fit together. It is no part of
//! the visit, and is shown apart from what the resolver did.

use std::net::SocketAddr;

use diagnosis::findings::is_compared;
use journey::{
    Journey,
    root_walk::{Asked, End, Finding, Group, Learned, RootWalk, Search, Server, ServerAnswer, Servers, Zone},
    stage::{Exchange, QueryResult},
};

use super::{
    name::{bare, shown},
    page::{Ink, Page, Piece, dim, piece, plain},
    words::{and, count, duration},
};

/// Columns before what belongs to a zone.
const INDENT: usize = 4;
/// Columns before what a server said.
const DEEP: usize = 6;
/// More addresses than these are counted, not shown.
const MOST_ADDRESSES: usize = 6;
/// More servers than these are counted, not named.
const MOST_NAMED: usize = 4;

/// The whole walk, where there was one.
pub(super) fn section(page: &mut Page, journey: &Journey, verbose: bool) {
    let Some(walk) = &journey.walk else { return };
    page.gap();
    let how = match walk.servers {
        Servers::First => ", after the visit",
        Servers::All => ", after the visit, to every server",
    };
    let head = [piece(Ink::Bold, "You walked from the root yourself"), dim(how)];
    page.line_with_right(2, &head, &dim(duration(walk.duration_us)));
    // Nobody asked for it.
    if let Some(why) = &walk.why {
        page.line(INDENT, &[plain("  "), piece(Ink::Warn, format!("because {why}"))]);
    }
    for (nth, search) in walk.searches.iter().enumerate() {
        one(page, walk, nth, search, verbose);
    }
    if let Some(note) = &walk.note {
        let early = if walk.searches.is_empty() { "" } else { "it ended early: " };
        page.line(DEEP, &[piece(Ink::Warn, format!("{:INDENT$}{early}{note}", ""))]);
    }
    concluded(page, journey, walk);
}

fn one(page: &mut Page, walk: &RootWalk, nth: usize, search: &Search, verbose: bool) {
    match &search.server_of {
        Some(zone) => {
            let text = format!("  search {nth}: the address of {}, a server of {zone}", search.name);
            page.line(INDENT, &[dim(text)]);
        }
        None if walk.visited().count() > 1 => page.line(INDENT, &[dim("  to "), piece(Ink::Bold, bare(&search.name))]),
        None => {}
    }
    for zone in &search.zones {
        one_zone(page, zone, verbose);
    }
    if search.aliases.len() > 1 && !matches!(search.end, End::Loop { .. }) {
        let chain: Vec<&str> = search.aliases.iter().map(|name| bare(name)).collect();
        page.line(DEEP + 2, &[dim(format!("{:INDENT$}aliases ", "")), plain(chain.join(" → "))]);
    }
    page.line(DEEP + 2, &ended(search));
}

/// How a search ended, in one line.
fn ended(search: &Search) -> Vec<Piece> {
    let of = bare(search.aliases.last().unwrap_or(&search.name));
    let indent = plain(format!("{:INDENT$}", ""));
    let (ink, text) = match &search.end {
        End::Answer => {
            let shown = search.addresses.iter().take(MOST_ADDRESSES).map(|address| match &address.host {
                Some(host) => format!("{} {host}", address.ip),
                None => address.ip.to_string(),
            });
            let more = match search.addresses.len().saturating_sub(MOST_ADDRESSES) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            (Ink::Good, format!("{of} has {}{more}", shown.collect::<Vec<_>>().join(", ")))
        }
        End::NoSuchName => (Ink::Bad, format!("there is no name {of}")),
        End::NoData => (Ink::Warn, format!("{of} exists and has no address")),
        End::Loop { what } => (Ink::Bad, format!("it goes in a circle: {what}")),
        End::NoAuthority { zone } => (Ink::Bad, format!("no server of {zone} answers as its authority: no way on")),
        End::Stopped { what } => (Ink::Warn, format!("given up: {what}")),
    };
    vec![indent, piece(ink, text)]
}

fn one_zone(page: &mut Page, zone: &Zone, verbose: bool) {
    let names: Vec<&str> = zone.servers.iter().filter_map(|server| server.name.as_deref()).collect();
    let told = match (&zone.referred_by, zone.known) {
        (_, true) => "  its servers are known already".to_owned(),
        (Some(parent), false) => format!("  {parent} says: ask {}", or(&names)),
        (None, false) => format!("  {}", hints(zone)),
    };
    page.line(DEEP + 2, &[plain(format!("{:INDENT$}", "")), piece(Ink::Bold, &zone.zone), dim(told)]);
    for server in &zone.servers {
        for asked in server.addresses.iter().filter(|asked| asked.said.is_some() || !asked.exchanges.is_empty()) {
            one_server(page, server, asked, verbose);
        }
        if let (Some(name), Some(note)) = (&server.name, &server.note) {
            page.line(DEEP + 2, &[plain(format!("{:DEEP$}{name}  ", "")), piece(Ink::Bad, note)]);
        }
    }
}

fn hints(zone: &Zone) -> String {
    let source = zone.servers.iter().flat_map(|server| &server.addresses).find_map(|asked| match &asked.learned {
        Learned::Hints { source } => Some(source.as_str()),
        _ => None,
    });
    let count = zone.servers.len();
    format!("{} from the hints: {}", self::count(count, "server"), source.unwrap_or("none"))
}

/// `a, b or c`, where they are not too many.
fn or(names: &[&str]) -> String {
    match names {
        [] => "nobody".to_owned(),
        [one] => (*one).to_owned(),
        names if names.len() > MOST_NAMED => {
            format!("{} or {} more", names[..MOST_NAMED - 1].join(", "), names.len() - MOST_NAMED + 1)
        }
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}

/// One address: who it is, how that is known, what was said and how long it took.
fn one_server(page: &mut Page, server: &Server, asked: &Asked, verbose: bool) {
    let who = asked.host.clone().or_else(|| server.name.clone()).unwrap_or_default();
    let learned = match &asked.learned {
        Learned::Hints { .. } => String::new(),
        Learned::Glue { .. } => " (glue)".to_owned(),
        Learned::Search { nth } => format!(" (search {nth})"),
    };
    let (ink, said) = match &asked.said {
        Some(said) => in_words(said),
        None => (Ink::Dim, "not waited for any longer".to_owned()),
    };
    let line = [
        plain(format!("{:DEEP$}", "")),
        piece(Ink::Host, &who),
        dim(format!(" {}{learned} ", asked.address.ip())),
        piece(ink, said),
    ];
    let times: Vec<String> = asked.exchanges.iter().map(|exchange| duration(exchange.duration_us)).collect();
    let shown_times = match times.as_slice() {
        [one, more @ ..] if more.len() > 1 => format!("{one} +{}", more.len()),
        times => times.join(", "),
    };
    page.line_with_right(DEEP + 2, &line, &dim(shown_times));
    if let Some(nsid) = asked.exchanges.iter().find_map(nsid)
        && (verbose || asked.host.as_deref().is_some_and(|host| host != nsid))
    {
        page.line(DEEP + 4, &[dim(format!("{:1$}it names itself {nsid} (NSID)", "", DEEP + 2))]);
    }
    if verbose {
        asked.exchanges.iter().for_each(|exchange| one_exchange(page, exchange));
    }
}

fn nsid(exchange: &Exchange) -> Option<&str> {
    match &exchange.result {
        QueryResult::Reply { reply } => reply.edns.as_ref()?.nsid.as_deref(),
        _ => None,
    }
}

fn in_words(said: &ServerAnswer) -> (Ink, String) {
    match said {
        ServerAnswer::Referral { zone, .. } => (Ink::Plain, format!("→ {zone}")),
        ServerAnswer::Answer { addresses } => {
            let ttl = addresses.iter().filter_map(|address| address.ttl).min();
            let ttl = ttl.map_or_else(String::new, |ttl| format!(", the zone's TTL {ttl} s"));
            (Ink::Good, format!("{}{ttl}", count(addresses.len(), "record")))
        }
        ServerAnswer::Alias { of } => (Ink::Plain, format!("an alias of {of}")),
        ServerAnswer::AliasLoop => (Ink::Bad, "aliases in a circle".to_owned()),
        ServerAnswer::NoSuchName => (Ink::Bad, "no such name".to_owned()),
        ServerAnswer::NoData => (Ink::Warn, "the name has no address".to_owned()),
        ServerAnswer::Lame { why } | ServerAnswer::Dead { why } | ServerAnswer::Unreachable { why } => {
            (Ink::Bad, why.clone())
        }
    }
}

/// One message, with every record of its answer.
fn one_exchange(page: &mut Page, exchange: &Exchange) {
    let deep = DEEP + 2;
    let question = format!(
        "{:deep$}{:4} {} {} ",
        "",
        exchange.question.rtype,
        exchange.question.name,
        exchange.transport.as_str()
    );
    let result = match &exchange.result {
        QueryResult::Reply { reply } => format!("{} {}", reply.rcode, reply.flags.names().join(" ")),
        QueryResult::Timeout => "no answer in time".to_owned(),
        QueryResult::Abandoned => "not waited for any longer".to_owned(),
        QueryResult::NothingListens => "refused: nothing listens on that port".to_owned(),
        QueryResult::Failed { why, .. } | QueryResult::BadReply { why, .. } => why.clone(),
    };
    page.line_with_right(deep + 5, &[dim(question), dim(result)], &dim(duration(exchange.duration_us)));
    let QueryResult::Reply { reply } = &exchange.result else { return };
    for (section, records) in
        [("answer", &reply.answer), ("authority", &reply.authority), ("additional", &reply.additional)]
    {
        for record in records {
            page.line(deep + 13, &[dim(format!("{:1$}{section:10} {2}", "", deep + 2, shown(record)))]);
        }
    }
}

/// What does not fit together, or that all does. Servers that are of no use stand in their zones already.
fn concluded(page: &mut Page, journey: &Journey, walk: &RootWalk) {
    let stands_above =
        |finding: &Finding| matches!(finding, Finding::Lame { .. } | Finding::Dead { .. } | Finding::NoAddress { .. });
    for finding in walk.findings.iter().filter(|finding| !stands_above(finding)) {
        let line = [piece(Ink::Warn, format!("{:INDENT$}! ", "")), plain(found(journey, finding))];
        page.line(DEEP, &line);
    }
    if !walk.findings.is_empty() || walk.note.is_some() {
        return;
    }
    let agreed = match (walk.servers, is_compared(&walk.searches, &journey.hops)) {
        (Servers::First, true) => "the resolver said the same",
        (Servers::All, true) => "all servers of each zone agree, and the resolver said the same",
        (Servers::All, false) => "all servers of each zone agree",
        (Servers::First, false) => return,
    };
    page.line(DEEP, &[dim(format!("{:INDENT$}{agreed}", ""))]);
}

fn found(journey: &Journey, finding: &Finding) -> String {
    let who = |server: &Option<String>, address: &SocketAddr| match (journey.host_of(address.ip()), server) {
        (Some(host), _) => format!("{host} ({})", address.ip()),
        (None, Some(name)) => format!("{name} ({})", address.ip()),
        (None, None) => address.ip().to_string(),
    };
    match finding {
        Finding::Lame { zone, server, address, why } => {
            format!("{} is a server of {zone} in name alone: {why}", who(server, address))
        }
        Finding::Dead { zone, server, address, why } => {
            format!("{} is a server of {zone} that is of no use: {why}", who(server, address))
        }
        Finding::NoAddress { zone, server, why } => format!("{server}, a server of {zone}, has no address: {why}"),
        Finding::NoWay { family, why } => format!("no server could be asked over {family} from here: {why}"),
        Finding::Delegation { zone, parent_only, child_only } => {
            let only = |who: &str, names: &[String]| match names {
                [] => None,
                names => Some(format!("only {who} names {}", and(names))),
            };
            let parts = [only("the zone above", parent_only), only(&format!("{zone} itself"), child_only)];
            let parts: Vec<String> = parts.into_iter().flatten().collect();
            format!("{zone} and the zone above it name different servers: {}", parts.join("; "))
        }
        Finding::NameServers { zone, groups } => {
            format!("the servers of {zone} name different servers: {}", grouped(journey, groups))
        }
        Finding::Serials { zone, groups } => {
            format!("the servers of {zone} have different copies of it: {}", grouped(journey, groups))
        }
        Finding::Answers { zone, name, groups } => {
            format!("the servers of {zone} answer differently for {}: {}", bare(name), grouped(journey, groups))
        }
        Finding::Glue { zone, server, glue, own } => {
            let text = |ips: &[std::net::IpAddr]| and(&ips.iter().map(ToString::to_string).collect::<Vec<_>>());
            format!("the zone above {zone} gives {server} the address {}, the zone itself {}", text(glue), text(own))
        }
        Finding::Resolver { name, rtype, resolver, walk } => {
            let why = match resolver.as_slice() {
                [one] if one == journey::root_walk::SERVER_FAILURE => {
                    "it had no answer to give, and the authority gives one now"
                }
                _ => "an old answer in its cache, or answers made for whoever asks",
            };
            let (said, says) = (and(resolver), and(walk));
            format!("{} {rtype}: the resolver said {said}, the authority says {says}: {why}", bare(name))
        }
    }
}

fn grouped(journey: &Journey, groups: &[Group]) -> String {
    let who = |address: &SocketAddr| match journey.host_of(address.ip()) {
        Some(host) => host.to_owned(),
        None => address.ip().to_string(),
    };
    let one = |group: &Group| {
        let servers: Vec<String> = group.servers.iter().map(who).collect();
        format!("{} from {}", group.says.join(", "), and(&servers))
    };
    groups.iter().map(one).collect::<Vec<_>>().join("; ")
}

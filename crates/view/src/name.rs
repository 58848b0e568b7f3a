//! The `name` stage in two parts that are never mixed: what this machine asked and was told, and what the resolver then
//! asked on its own, as it reports.

use std::net::SocketAddr;

use journey::{
    Event, Hop, Journey, Stage, StageName, What,
    chronicle::YOU,
    dns::{Meaning, Question, Record, Reply, Transport},
    event::ClosedBy,
    stage::{Exchange, LessEdns, Name, NameSource, Opt, QueryResult, SearchCost, Verified},
};

use super::{
    page::{Ink, Page, dim, piece, plain},
    raw,
    screen::INDENT,
    words::{count, duration},
};

/// Both parts.
pub(super) fn details(page: &mut Page, journey: &Journey, hop: &Hop, name: &Name, verbose: bool) {
    if let Some(host) = &name.instead_of {
        let text = format!("{:INDENT$}{} is looked up in place of {host}, as --connect-to says", "", name.asked);
        page.line(INDENT + 2, &[dim(text)]);
    }
    asked(page, journey, name, hop.stage(StageName::Name).and_then(Stage::end_us), verbose);
    if !name.late.is_empty() {
        let late: Vec<String> = name.late.iter().map(|address| address.ip.to_string()).collect();
        let text = format!("{:INDENT$}{} came while a connection was being opened", "", late.join(", "));
        page.line(INDENT + 2, &[dim(text)]);
    }
    if name.aliases.len() > 1 {
        let chain: Vec<&str> = name.aliases.iter().map(|name| bare(name)).collect();
        page.line(INDENT + 8, &[dim(format!("{:INDENT$}aliases ", "")), plain(chain.join(" → "))]);
    }
    walked(page, journey, hop, verbose);
}

fn asked(page: &mut Page, journey: &Journey, name: &Name, end_us: Option<u64>, verbose: bool) {
    if let Some(bootstrap) = &name.bootstrap {
        let (source, addresses) = match (&bootstrap.source, bootstrap.addresses.as_slice()) {
            (_, []) => ("", "no address".to_owned()),
            (source, addresses) => {
                let addresses: Vec<String> = addresses.iter().map(|address| address.ip.to_string()).collect();
                let source = if let Some(NameSource::HostsFile { path }) = source { path.as_str() } else { "" };
                (source, addresses.join(", "))
            }
        };
        let sep = if source.is_empty() { "" } else { ", from " };
        let text =
            format!("{:INDENT$}first the address of the resolver, {}: {addresses}{sep}{source}", "", bootstrap.asked);
        page.line(INDENT + 2, &[dim(text)]);
        asked(page, journey, bootstrap, None, verbose);
    }
    let Some(NameSource::Resolver { host, address, url, chosen_by, .. }) = &name.source else { return };
    let host = host.as_deref().unwrap_or("");
    let sep = if host.is_empty() { "" } else { " " };
    let url = url.as_ref().map_or_else(String::new, |url| format!("{url} at "));
    page.line(
        INDENT + 2,
        &[
            plain(format!("{:INDENT$}{}you asked ", "", if name.bootstrap.is_some() { "then " } else { "" })),
            piece(Ink::Host, host),
            plain(format!("{sep}{url}{address}")),
            dim(format!(" ({chosen_by})")),
        ],
    );
    searched(page, name);
    let mut named = None;
    for exchange in &name.exchanges {
        let known = Known { asked: &name.asked, server: *address, end_us };
        one_exchange(page, journey, known, exchange, verbose);
        nsid(page, journey, exchange, verbose, &mut named);
    }
    name.less_edns().iter().for_each(|less| without_edns(page, less));
}

/// A server that does not handle EDNS, or not its options.
fn without_edns(page: &mut Page, less: &LessEdns) {
    let reaction = match &less.refused_with {
        Some(rcode) => format!("replied {rcode} to"),
        None => "did not reply to".to_owned(),
    };
    let (sent, to) = match less.answered {
        Opt::Bare => ("a query with EDNS options", "one without options"),
        _ => ("a query with EDNS", "one without"),
    };
    let text =
        format!("{:1$}{2} {reaction} {sent} (an OPT record, RFC 6891) and answered {to}", "", INDENT + 2, less.server);
    page.line(INDENT + 4, &[piece(Ink::Warn, text)]);
}

/// The names that a search list made of the one that was typed, in the order in which they were tried.
fn searched(page: &mut Page, name: &Name) {
    let mut tried: Vec<&str> = Vec::new();
    for exchange in &name.exchanges {
        if tried.last() != Some(&exchange.question.name.as_str()) && !tried.contains(&exchange.question.name.as_str()) {
            tried.push(&exchange.question.name);
        }
    }
    if tried.iter().any(|tried| bare(tried) != bare(&name.asked)) {
        let text = format!("{:1$}the search list made of it, in this order: ", "", INDENT + 2);
        page.line(INDENT + 4, &[dim(text), plain(tried.join(", "))]);
    }
    if let Some(SearchCost { queries, of, direct }) = name.search_cost() {
        let text = format!(
            "{:1$}{queries} of {of} queries were for the search list's other names; to skip it, write {direct} with the final dot",
            "",
            INDENT + 2
        );
        page.line(INDENT + 4, &[dim(text)]);
    }
}

/// The server's name for itself: that of one instance among many behind an address, where it is not the host's own.
fn nsid(page: &mut Page, journey: &Journey, exchange: &Exchange, verbose: bool, named: &mut Option<String>) {
    let QueryResult::Reply { reply } = &exchange.result else { return };
    let Some(nsid) = reply.edns.as_ref().and_then(|edns| edns.nsid.as_deref()) else { return };
    let is_known = journey.host_of(exchange.server.ip()) == Some(nsid) || named.as_deref() == Some(nsid);
    if verbose || !is_known {
        let text = format!("{:1$}it names itself {nsid} (NSID)", "", INDENT + 4);
        page.line(INDENT + 6, &[dim(text)]);
    }
    *named = Some(nsid.to_owned());
}

/// What the line above the exchanges has said already.
#[derive(Clone, Copy)]
struct Known<'a> {
    asked: &'a str,
    server: SocketAddr,
    // When the stage was over.
    end_us: Option<u64>,
}

fn one_exchange(page: &mut Page, journey: &Journey, known: Known<'_>, exchange: &Exchange, verbose: bool) {
    let transport = format!("{:3} ", exchange.transport.as_str());
    let mut line = vec![plain(format!("{:1$}{2:5} {transport}", "", INDENT + 2, exchange.question.rtype))];
    // Another resolver of the list, asked before this one.
    if exchange.server != known.server {
        line.push(plain(format!("{}: ", exchange.server)));
    }
    // A search list makes other names of the one that was typed.
    if bare(&exchange.question.name) != bare(known.asked) {
        line.push(plain(format!("{} ", exchange.question.name)));
    }
    // It went on beside the other stages; what was given up with the stage ended with it.
    let went_on = known
        .end_us
        .is_some_and(|end| exchange.start_us.saturating_add(exchange.duration_us) > end.saturating_add(1_000));
    match exchange.opt {
        Opt::Full => {}
        Opt::Bare => line.push(plain("without EDNS options: ")),
        Opt::Absent => line.push(plain("without EDNS: ")),
    }
    match &exchange.result {
        QueryResult::Reply { reply } => {
            line.push(piece(ink(reply), meaning(journey, reply)));
            line.push(dim(format!("  {} {}", reply.rcode, reply.flags.names().join(" "))));
            if went_on {
                line.push(piece(Ink::Warn, "  after this stage"));
            }
        }
        QueryResult::Timeout => line.push(piece(Ink::Bad, "no answer in time")),
        QueryResult::Abandoned if went_on => line.push(piece(Ink::Bad, "no answer, also not after this stage")),
        QueryResult::Abandoned => line.push(dim("not waited for any longer")),
        QueryResult::NothingListens => line.push(piece(Ink::Bad, "refused: nothing listens on that port")),
        QueryResult::Failed { why, .. } | QueryResult::BadReply { why, .. } => line.push(piece(Ink::Bad, why)),
    }
    page.line_with_right(INDENT + 13, &line, &dim(duration(exchange.duration_us)));
    opened(page, journey, exchange, verbose);
    let QueryResult::Reply { reply } = &exchange.result else { return };
    for error in reply.edns.iter().flat_map(|edns| &edns.errors) {
        // Code 0 is "Other Error": the text alone says something.
        let name = if error.code == 0 { String::new() } else { format!("{} ({}): ", error.name, error.code) };
        let text = format!("{:1$}it says: {name}{2}", "", INDENT + 4, error.text);
        page.line(INDENT + 6, &[piece(Ink::Warn, text)]);
    }
    if verbose {
        for (section, records) in
            [("answer", &reply.answer), ("authority", &reply.authority), ("additional", &reply.additional)]
        {
            for record in records {
                let text = format!("{:1$}{section:10} {2}", "", INDENT + 4, shown(record));
                page.line(INDENT + 15, &[dim(text)]);
            }
        }
    }
}

/// The connection that was opened for a question, where it goes over TLS.
fn opened(page: &mut Page, journey: &Journey, exchange: &Exchange, verbose: bool) {
    let (Some(opening), Some(tls)) = (&exchange.opening, &exchange.tls) else { return };
    let connect = duration(opening.connect_us);
    let handshake = duration(opening.handshake_us);
    let text = match tls.version {
        Some(_) => format!("{:1$}connected in {connect}, TLS in {handshake}: ", "", INDENT + 4),
        None => format!("{:1$}connected in {connect}, TLS broke off after {handshake}", "", INDENT + 4),
    };
    let mut line = vec![dim(text)];
    line.extend(super::tls::summary(tls));
    page.line(INDENT + 6, &line);
    if verbose || matches!(tls.verified, Verified::Refused { .. } | Verified::Ignored { .. }) {
        super::tls::details(page, journey, tls, verbose);
    }
}

/// What the resolver did, from its own report.
fn walked(page: &mut Page, journey: &Journey, hop: &Hop, verbose: bool) {
    let steps = steps(journey, hop);
    let Some(first) = steps.first() else { return };
    page.line(
        INDENT + 2,
        &[
            piece(Ink::Host, format!("{:INDENT$}{}", "", first.by)),
            plain(" then did on its own"),
            dim(", as it reports"),
        ],
    );
    for step in &steps {
        let line = [
            piece(Ink::Host, format!("{:1$}{2:6} ", "", INDENT + 2, step.host)),
            plain(format!("{:4} {} ", step.question.rtype, step.question.name)),
            piece(if step.over_tcp { Ink::Warn } else { Ink::Plain }, if step.over_tcp { "over tcp " } else { "" }),
            piece(step.ink, &step.came),
        ];
        let times: Vec<String> = step.times.iter().map(|us| duration(*us)).collect();
        page.line_with_right(INDENT + 14, &line, &dim(times.join(", ")));
        if verbose {
            own_word(page, journey, step);
        }
    }
}

/// Whether this question is for a part of a name that was asked for.
fn is_part(journey: &Journey, part: &Question) -> bool {
    let is_below = |name: &str| {
        let above = name.len().checked_sub(part.name.len()).filter(|above| *above > 0);
        above.is_some_and(|above| {
            name.get(above..).is_some_and(|end| end.eq_ignore_ascii_case(&part.name))
                && name.get(..above).is_some_and(|front| front.ends_with('.'))
        })
    };
    journey.events.iter().any(|event| match &event.what {
        What::QuerySent { question, .. } => is_below(&question.name),
        _ => false,
    })
}

/// One thing that the resolver did, perhaps several times with the same result: it looks for the addresses of both
/// families at once, and each search walks on its own.
struct Step<'a> {
    by: &'a str,
    host: String,
    question: &'a Question,
    over_tcp: bool,
    ink: Ink,
    came: String,
    times: Vec<u64>,
}

fn steps<'a>(journey: &'a Journey, hop: &Hop) -> Vec<Step<'a>> {
    let mut steps: Vec<Step<'_>> = Vec::new();
    // What has no time may be of any request; where there is one alone, all is its own.
    let is_of_hop = |event: &&Event| event.at_us.is_none() || journey.hops.len() == 1 || hop.holds(event.at_us);
    for event in journey.events.iter().filter(|event| event.host != YOU).filter(is_of_hop) {
        let asked =
            |server: &SocketAddr| journey.host_of(server.ip()).map_or_else(|| server.ip().to_string(), str::to_owned);
        let (host, question, transport, ink, came, time) = match &event.what {
            What::ReplyReceived { server, question, transport, reply, elapsed_us } => {
                // Resolvers ask label by label where a zone begins; that none does is no lack. Ours asks for an address
                // (RFC 9156), others for name servers.
                let (ink, came) = match (reply.meaning, question.rtype.as_str()) {
                    (Meaning::NoData, "NS") => (Ink::Plain, "is no zone of its own".to_owned()),
                    (Meaning::NoData, "A") if is_part(journey, question) => {
                        (Ink::Plain, "is not a zone cut".to_owned())
                    }
                    _ => (ink(reply), meaning(journey, reply)),
                };
                (asked(server), question, *transport, ink, came, Some(*elapsed_us))
            }
            What::QueryFailed { server, question, transport, why, elapsed_us, .. } => {
                // A reply that is of no use is told twice: as it came, and what is wrong with it.
                let of_same_query = |step: &Step<'_>| {
                    step.question == question && step.host == asked(server) && step.times.contains(elapsed_us)
                };
                if let Some(nth) = steps.iter().rposition(of_same_query) {
                    steps[nth].times.retain(|time| time != elapsed_us);
                    if steps[nth].times.is_empty() {
                        steps.remove(nth);
                    }
                }
                (asked(server), question, *transport, Ink::Bad, why.clone(), Some(*elapsed_us))
            }
            What::CacheHit { question, age_s, remaining_ttl_s } => {
                let age = age_s.map_or_else(String::new, |age| format!("{age} s old, "));
                let came = format!("{age}good for another {remaining_ttl_s} s");
                ("cache".to_owned(), question, Transport::Udp, Ink::Good, came, None)
            }
            What::WentAlong { question } => {
                let came = "waited for a look-up that was under way, and asked nobody".to_owned();
                ("others".to_owned(), question, Transport::Udp, Ink::Plain, came, None)
            }
            _ => continue,
        };
        let over_tcp = transport == Transport::Tcp;
        let same = |step: &&mut Step<'_>| {
            step.host == host && step.question == question && step.over_tcp == over_tcp && step.came == came
        };
        match steps.iter_mut().find(same) {
            Some(step) => step.times.extend(time),
            None => {
                let times = time.into_iter().collect();
                steps.push(Step { by: &event.host, host, question, over_tcp, ink, came, times });
            }
        }
    }
    steps
}

/// What the asked server says of the same answer: how long it had the query itself.
fn own_word(page: &mut Page, journey: &Journey, step: &Step<'_>) {
    for event in &journey.events {
        if let What::AnswerSent { question, elapsed_us, reply, transport, .. } = &event.what
            && event.host == step.host
            && question == step.question
            && (*transport == Transport::Tcp) == step.over_tcp
        {
            let text = format!(
                "{:1$}{2} reports: answered within {3}, {4} bytes",
                "",
                INDENT + 9,
                event.host,
                duration(*elapsed_us),
                reply.bytes
            );
            page.line(INDENT + 11, &[dim(text)]);
        }
    }
}

fn ink(reply: &Reply) -> Ink {
    match reply.meaning {
        Meaning::Answer | Meaning::Alias | Meaning::Referral => Ink::Plain,
        Meaning::Truncated | Meaning::NoData => Ink::Warn,
        Meaning::NoSuchName | Meaning::ServerFailure | Meaning::Refused | Meaning::Other => Ink::Bad,
    }
}

/// The aliases that a reply leads along.
fn aliases(reply: &Reply) -> Option<String> {
    let of = reply.answer.iter().filter(|record| record.rtype == "CNAME").map(|record| match bare(&record.data) {
        "." => "the root (.)",
        name => name,
    });
    let of: Vec<&str> = of.collect();
    (!of.is_empty()).then(|| of.join(" → "))
}

/// A reply in a few words.
fn meaning(journey: &Journey, reply: &Reply) -> String {
    match reply.meaning {
        Meaning::Alias => match aliases(reply) {
            Some(alias) => format!("an alias of {alias}, no more"),
            None => "an alias, no more".to_owned(),
        },
        Meaning::Answer => {
            format!("{}{}", count(reply.counts[0], "record"), kept(reply))
        }
        Meaning::Referral => format!("→ ask {}", referred_to(journey, reply).join(" or ")),
        Meaning::NoData => match aliases(reply) {
            Some(alias) => format!("an alias of {alias}, which has no such record"),
            None => "the name has no such record".to_owned(),
        },
        // The code is about the end of the aliases (RFC 6604 §2).
        Meaning::NoSuchName => match aliases(reply) {
            Some(alias) => format!("an alias of {alias}, which does not exist"),
            None => "no such name".to_owned(),
        },
        Meaning::Truncated => "cut: ask again over tcp".to_owned(),
        Meaning::ServerFailure => "it could not get an answer".to_owned(),
        Meaning::Refused => "it refuses to answer".to_owned(),
        Meaning::Other => format!("it answers {}", reply.rcode),
    }
}

/// How long the answer may be kept, and by whom that is told: an authority (AA) tells the time that the zone gives, a
/// resolver what is left of that in its cache (RFC 1035 §3.2.1, §7.4).
fn kept(reply: &Reply) -> String {
    let Some(ttl) = reply.answer.iter().map(|record| record.ttl).min() else { return String::new() };
    match (reply.flags.aa, reply.flags.ra) {
        (true, _) => format!(", the zone's TTL {ttl} s"),
        (false, true) => format!(", {ttl} s left at the resolver"),
        (false, false) => format!(", to be kept {ttl} s"),
    }
}

/// The servers that a referral names: by the host in the world that has the glue's address, else by their names.
fn referred_to(journey: &Journey, reply: &Reply) -> Vec<String> {
    let host = |name: &str| {
        let glue = reply.additional.iter().filter(|record| record.name.eq_ignore_ascii_case(name));
        glue.filter_map(|record| record.data.parse().ok()).find_map(|ip| journey.host_of(ip))
    };
    let servers = reply.authority.iter().filter(|record| record.rtype == "NS");
    let mut servers: Vec<String> =
        servers.map(|record| host(&record.data).unwrap_or_else(|| bare(&record.data)).to_owned()).collect();
    servers.sort_unstable();
    servers.dedup();
    servers
}

pub(super) fn shown(record: &Record) -> String {
    format!("{} {} {} {}", record.name, record.ttl, record.rtype, record.data)
}

pub(super) fn bare(name: &str) -> &str {
    name.strip_suffix('.').filter(|name| !name.is_empty()).unwrap_or(name)
}

fn is_raw(journey: &Journey) -> bool {
    journey.hops.last().is_some_and(Hop::is_raw)
}

/// An event in one line.
pub(super) fn event(journey: &Journey, event: &Event) -> String {
    let at = |ip: SocketAddr| match journey.host_of(ip.ip()) {
        Some(host) => host.to_owned(),
        None => ip.to_string(),
    };
    match &event.what {
        What::QuerySent { server, transport, question } => {
            format!("asks {} over {}: {} {}", at(*server), transport.as_str(), question.rtype, question.name)
        }
        What::ReplyReceived { server, question, reply, .. } => {
            format!("has from {}: {} {}: {}", at(*server), question.rtype, question.name, meaning(journey, reply))
        }
        What::QueryFailed { server, question, why, .. } => {
            format!("has nothing from {}: {} {}: {why}", at(*server), question.rtype, question.name)
        }
        What::RecordsIgnored { server, records, .. } => {
            format!("leaves out what {} has no say in: {}", at(*server), records.join(", "))
        }
        What::QueryReceived { peer, transport, question } => {
            format!("is asked by {} over {}: {} {}", at(*peer), transport.as_str(), question.rtype, question.name)
        }
        What::CacheHit { question, remaining_ttl_s, .. } => {
            format!("finds {} {} in its cache, {remaining_ttl_s} s left", question.rtype, question.name)
        }
        What::WentAlong { question } => {
            format!(
                "goes along with a look-up that is under way already: {} {}; it asks nobody itself",
                question.rtype, question.name
            )
        }
        What::AnswerSent { question, reply, .. } => {
            format!("answers {} {}: {} ({} bytes)", question.rtype, question.name, meaning(journey, reply), reply.bytes)
        }
        What::ConnectStarted { server } => format!("connects to {server}"),
        What::Connected { server, local } => format!("is connected: {local} to {server}"),
        What::ConnectFailed { server, why } => format!("cannot connect to {server}: {why}"),
        What::HandshakeDone { version, cipher_suite } => format!("has agreed on {version}, {cipher_suite}"),
        What::HandshakeFailed { why } => format!("has no TLS connection: {why}"),
        What::RequestSent { .. } | What::FirstByte | What::ResponseReceived { .. } if is_raw(journey) => {
            raw::event(&event.what)
        }
        What::RequestSent { bytes } => format!("has sent the request, {bytes} bytes"),
        What::FirstByte => "has the first byte of the response".to_owned(),
        What::ResponseReceived { bytes } => format!("has the whole response, {bytes} bytes"),
        What::ConnectionAccepted { peer, local } => format!("accepts {peer} on {local}"),
        What::RequestRead { target, bytes, .. } if target.is_empty() => format!("has read {bytes} bytes"),
        What::RequestRead { method, target, bytes, .. } => format!("has read {method} {target}, {bytes} bytes"),
        What::ResponseWritten { status, bytes, .. } => match status {
            Some(status) => format!("has written the response {status}, {bytes} bytes"),
            None => format!("has written its answer, {bytes} bytes"),
        },
        What::ConnectionClosed { by, bytes_in, bytes_out, .. } => {
            let by = match by {
                ClosedBy::Me => "itself",
                ClosedBy::MeReset => "itself, with a reset",
                ClosedBy::Peer => "the other side",
                ClosedBy::PeerReset => "the other side, with a reset",
                ClosedBy::TimeLimit => "itself, after a time limit",
            };
            format!("sees the connection closed by {by}; {bytes_in} bytes in, {bytes_out} out")
        }
    }
}

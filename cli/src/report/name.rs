//! The `name` stage in two parts that are never mixed: what this machine asked and was told, and what the resolver then
//! asked on its own, as it reports.

use journey::{
    Event, Journey, What,
    chronicle::YOU,
    dns::{Meaning, Record, Reply},
    event::ClosedBy,
    stage::{Exchange, Name, NameSource, Told},
};

use super::{
    page::{Ink, Page, dim, piece, plain},
    screen::INDENT,
    words::{count, duration},
};

/// Both parts.
pub(super) fn details(page: &mut Page, journey: &Journey, name: &Name, verbose: bool) {
    asked(page, name, verbose);
    if name.aliases.len() > 1 {
        let chain: Vec<&str> = name.aliases.iter().map(|name| bare(name)).collect();
        page.line(INDENT + 8, &[dim(format!("{:INDENT$}aliases ", "")), plain(chain.join(" → "))]);
    }
    walked(page, journey, verbose);
}

fn asked(page: &mut Page, name: &Name, verbose: bool) {
    let Some(NameSource::Resolver { host, address, chosen_by }) = &name.source else { return };
    let host = host.as_deref().unwrap_or("");
    let sep = if host.is_empty() { "" } else { " " };
    page.line(
        INDENT + 2,
        &[
            plain(format!("{:INDENT$}you asked ", "")),
            piece(Ink::Host, host),
            plain(format!("{sep}{address}")),
            dim(format!(" ({chosen_by})")),
        ],
    );
    for exchange in &name.exchanges {
        one_exchange(page, exchange, verbose);
    }
}

fn one_exchange(page: &mut Page, exchange: &Exchange, verbose: bool) {
    let mut line =
        vec![plain(format!("{:1$}{2:5} {3:4}", "", INDENT + 2, exchange.question.rtype, exchange.transport.as_str()))];
    match &exchange.result {
        Told::Reply { reply } => {
            line.push(piece(ink(reply), meaning(reply)));
            line.push(dim(format!("  {} {}", reply.rcode, reply.flags.names().join(" "))));
        }
        Told::Timeout => line.push(piece(Ink::Bad, "no answer in time")),
        Told::Abandoned => line.push(dim("not waited for any longer")),
        Told::NothingListens => line.push(piece(Ink::Bad, "refused: nothing listens on that port")),
        Told::Failed { why } | Told::BadReply { why } => line.push(piece(Ink::Bad, why)),
    }
    page.line_with_right(INDENT + 13, &line, &dim(duration(exchange.duration_us)));
    let Told::Reply { reply } = &exchange.result else { return };
    for error in reply.edns.iter().flat_map(|edns| &edns.errors) {
        let text = format!("{:1$}says {2} ({3}): {4}", "", INDENT + 4, error.name, error.code, error.text);
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

/// What the resolver did, from its own report.
fn walked(page: &mut Page, journey: &Journey, verbose: bool) {
    let is_resolvers = |event: &&Event| {
        event.host != YOU
            && matches!(event.what, What::ReplyReceived { .. } | What::QueryFailed { .. } | What::CacheHit { .. })
    };
    let events: Vec<&Event> = journey.events.iter().filter(is_resolvers).collect();
    let Some(first) = events.first() else { return };
    page.line(
        INDENT + 2,
        &[
            piece(Ink::Host, format!("{:INDENT$}{}", "", first.host)),
            plain(" then did on its own"),
            dim(", as it reports"),
        ],
    );
    for event in events {
        match &event.what {
            What::CacheHit { question, age_s, remaining_ttl_s } => {
                let age = age_s.map_or_else(String::new, |age| format!(", kept for {age} s so far"));
                let text = format!("found {} {} in its cache", question.rtype, bare(&question.name));
                let left = format!("{age}, {remaining_ttl_s} s left");
                page.line(INDENT + 6, &[plain(format!("{:1$}", "", INDENT + 2)), piece(Ink::Good, text), plain(left)]);
            }
            What::ReplyReceived { server, question, reply, elapsed_us, transport } => {
                let host = journey.host_of(server.ip()).map_or_else(|| server.ip().to_string(), str::to_owned);
                let over = if *transport == journey::dns::Transport::Tcp { "tcp " } else { "" };
                let line = [
                    plain(format!("{:1$}asked ", "", INDENT + 2)),
                    piece(Ink::Host, format!("{host:6}")),
                    plain(format!("{over}{:5}{} ", question.rtype, question.name)),
                    piece(ink(reply), meaning(reply)),
                ];
                page.line_with_right(INDENT + 14, &line, &dim(duration(*elapsed_us)));
                if verbose {
                    own_word(page, journey, &host, event);
                }
            }
            What::QueryFailed { server, question, why, elapsed_us, .. } => {
                let host = journey.host_of(server.ip()).map_or_else(|| server.ip().to_string(), str::to_owned);
                let line = [
                    plain(format!("{:1$}asked ", "", INDENT + 2)),
                    piece(Ink::Host, format!("{host:6}")),
                    plain(format!("{:5}{} ", question.rtype, question.name)),
                    piece(Ink::Bad, why),
                ];
                page.line_with_right(INDENT + 14, &line, &dim(duration(*elapsed_us)));
            }
            _ => {}
        }
    }
}

/// What the asked server says of the same answer: how long it had the query itself.
fn own_word(page: &mut Page, journey: &Journey, host: &str, asked: &Event) {
    let What::ReplyReceived { question, transport, .. } = &asked.what else { return };
    let theirs = journey.events.iter().find_map(|event| match &event.what {
        What::AnswerSent { question: q, transport: t, elapsed_us, reply, .. }
            if event.host == host && q == question && t == transport =>
        {
            Some((*elapsed_us, reply.bytes))
        }
        _ => None,
    });
    if let Some((us, bytes)) = theirs {
        let text = format!("{:1$}{host} reports: answered in {2}, {bytes} bytes", "", INDENT + 8, duration(us));
        page.line(INDENT + 10, &[dim(text)]);
    }
}

fn ink(reply: &Reply) -> Ink {
    match reply.meaning {
        Meaning::Answer | Meaning::Alias | Meaning::Referral => Ink::Plain,
        Meaning::Truncated | Meaning::NoData => Ink::Warn,
        Meaning::NoSuchName | Meaning::ServerFailure | Meaning::Refused | Meaning::Other => Ink::Bad,
    }
}

/// A reply in a few words.
fn meaning(reply: &Reply) -> String {
    match reply.meaning {
        Meaning::Answer | Meaning::Alias => {
            let ttl = reply.answer.iter().map(|record| record.ttl).min();
            let kept = ttl.map_or_else(String::new, |ttl| format!(", to be kept {ttl} s"));
            format!("{}{kept}", count(reply.counts[0], "record"))
        }
        Meaning::Referral => {
            let mut servers: Vec<&str> =
                reply.authority.iter().filter(|r| r.rtype == "NS").map(|r| bare(&r.data)).collect();
            servers.sort_unstable();
            format!("→ ask {}", servers.join(" or "))
        }
        Meaning::NoData => "the name has no such record".to_owned(),
        Meaning::NoSuchName => "no such name".to_owned(),
        Meaning::Truncated => "cut: ask again over tcp".to_owned(),
        Meaning::ServerFailure => "it could not get an answer".to_owned(),
        Meaning::Refused => "it refuses to answer".to_owned(),
        Meaning::Other => format!("it answers {}", reply.rcode),
    }
}

fn shown(record: &Record) -> String {
    format!("{} {} {} {}", record.name, record.ttl, record.rtype, record.data)
}

fn bare(name: &str) -> &str {
    name.strip_suffix('.').filter(|name| !name.is_empty()).unwrap_or(name)
}

/// An event in one line.
pub(super) fn event(journey: &Journey, event: &Event) -> String {
    let at = |ip: std::net::SocketAddr| match journey.host_of(ip.ip()) {
        Some(host) => host.to_owned(),
        None => ip.to_string(),
    };
    match &event.what {
        What::QuerySent { server, transport, question } => {
            format!("asks {} over {}: {} {}", at(*server), transport.as_str(), question.rtype, question.name)
        }
        What::ReplyReceived { server, question, reply, .. } => {
            format!("has from {}: {} {}: {}", at(*server), question.rtype, question.name, meaning(reply))
        }
        What::QueryFailed { server, question, why, .. } => {
            format!("has nothing from {}: {} {}: {why}", at(*server), question.rtype, question.name)
        }
        What::QueryReceived { peer, transport, question } => {
            format!("is asked by {} over {}: {} {}", at(*peer), transport.as_str(), question.rtype, question.name)
        }
        What::CacheHit { question, remaining_ttl_s, .. } => {
            format!("finds {} {} in its cache, {remaining_ttl_s} s left", question.rtype, question.name)
        }
        What::AnswerSent { question, reply, .. } => {
            format!("answers {} {}: {} ({} bytes)", question.rtype, question.name, meaning(reply), reply.bytes)
        }
        What::ConnectStarted { server } => format!("connects to {server}"),
        What::Connected { server, local } => format!("is connected: {local} to {server}"),
        What::ConnectFailed { server, why } => format!("cannot connect to {server}: {why}"),
        What::RequestSent { bytes } => format!("has sent the request, {bytes} bytes"),
        What::FirstByte => "has the first byte of the response".to_owned(),
        What::ResponseReceived { bytes } => format!("has the whole response, {bytes} bytes"),
        What::ConnectionAccepted { peer, local } => format!("accepts {peer} on {local}"),
        What::RequestRead { method, target, bytes, .. } => format!("has read {method} {target}, {bytes} bytes"),
        What::ResponseWritten { status, bytes, .. } => match status {
            Some(status) => format!("has written the response {status}, {bytes} bytes"),
            None => format!("has written its answer, {bytes} bytes"),
        },
        What::ConnectionClosed { by, bytes_in, bytes_out, .. } => {
            let by = match by {
                ClosedBy::Me => "itself",
                ClosedBy::Peer => "the other side",
                ClosedBy::PeerReset => "the other side, with a reset",
                ClosedBy::TimeLimit => "itself, after a time limit",
            };
            format!("sees the connection closed by {by}; {bytes_in} bytes in, {bytes_out} out")
        }
    }
}

//! What a visit found out, as facts with a name and a value in words; two lists of them side by side.

use serde::Serialize;

use super::{Change, Facts};
use journey::{
    Journey, LabNetwork, Place, StageName, StageState,
    stage::{
        Certificate, Close, Connect, Did, Exchange, Header, Hop, Name, NameSource, Next, QueryResult, Receive, Route,
        Send, TcpInfo, Tls, Tried, Url, Verified,
    },
};

use crate::series::{Counted, Series, Visit};

/// A fact: the stage that it is of, its name, its value. A name stands once in a list.
type Fact = (Option<StageName>, String, String);

/// The facts that differ, and the names of those that do not.
pub(super) fn differing(a: &[Fact], b: &[Fact]) -> Facts {
    let mut facts = Facts::default();
    for (stage, what, value) in a {
        let other = b.iter().find(|fact| (&fact.0, &fact.1) == (stage, what)).map(|fact| &fact.2);
        if other == Some(value) {
            facts.same.push(what.clone());
        } else {
            facts.changed.push(change(*stage, what, Some(value), other));
        }
    }
    for (stage, what, value) in b {
        if !a.iter().any(|fact| (&fact.0, &fact.1) == (stage, what)) {
            facts.changed.push(change(*stage, what, None, Some(value)));
        }
    }
    facts.changed.sort_by_key(|change| StageName::ALL.iter().position(|stage| Some(*stage) == change.stage));
    facts
}

fn change(stage: Option<StageName>, what: &str, a: Option<&String>, b: Option<&String>) -> Change {
    Change { stage, what: what.to_owned(), a: a.cloned(), b: b.cloned() }
}

/// A growing list of facts of one stage.
struct List<'a> {
    stage: Option<StageName>,
    facts: &'a mut Vec<Fact>,
}

impl List<'_> {
    fn add(&mut self, what: impl Into<String>, value: impl ToString) {
        self.facts.push((self.stage, what.into(), value.to_string()));
    }

    fn add_some(&mut self, what: &str, value: Option<impl ToString>) {
        if let Some(value) = value {
            self.add(what, value);
        }
    }

    fn add_list(&mut self, what: &str, values: &[impl ToString]) {
        if !values.is_empty() {
            self.add(what, joined(values));
        }
    }

    /// Fields of a header by name; several of one name are one fact.
    fn add_fields(&mut self, kind: &str, fields: &[Header]) {
        let mut names: Vec<String> = Vec::new();
        for field in fields {
            let name = field.name.to_ascii_lowercase();
            if !names.contains(&name) {
                names.push(name);
            }
        }
        for name in names {
            let values = fields.iter().filter(|field| field.name.eq_ignore_ascii_case(&name));
            let values: Vec<&str> = values.map(|field| field.value.as_str()).collect();
            self.add(format!("{kind} {name}"), values.join(" | "));
        }
    }
}

fn joined(values: &[impl ToString]) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// A value of a plain enum by its name in JSON, as words.
fn word(value: impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => name.replace('_', " "),
        _ => String::new(),
    }
}

/// What a visit is as a whole.
pub(super) fn of_journey(journey: &Journey) -> Vec<Fact> {
    let mut facts = Vec::new();
    let mut list = List { stage: None, facts: &mut facts };
    list.add("url", &journey.url);
    list.add("place", place(&journey.place));
    list.add_some("faults", faults(&journey.faults));
    list.add("engine", word(journey.engine));
    list.add("program", format!("{} {}", journey.made_by.name, journey.made_by.version));
    list.add("verdict", &journey.outcome.verdict);
    list.add("exit code", journey.exit_code);
    list.add("requests", journey.hops.len());
    list.add_some("the resolver's answers", Visit::of(journey).names_from.map(|from| format!("from {}", word(from))));
    facts
}

fn faults(faults: &[String]) -> Option<String> {
    (!faults.is_empty()).then(|| faults.join("; "))
}

fn place(place: &Place) -> String {
    match place {
        Place::EmbeddedLab { hosts, network, .. } => {
            let network = match network {
                LabNetwork::Loopback { .. } => "on loopback",
                LabNetwork::Wire { .. } => "with a network of its own",
            };
            format!("embedded lab {network}, {hosts} hosts")
        }
        Place::RunningLab { described_by } => format!("lab of {described_by}"),
        Place::Internet => "internet".to_owned(),
    }
}

/// What differs between two requests. Of a stage that one of them did not come to, everything would; that it was not
/// reached says it.
pub(super) fn of_hops(a: &Hop, b: &Hop) -> Facts {
    let reached = |hop: &Hop, name| hop.stage(name).is_some_and(|stage| stage.state != StageState::NotReached);
    let both = |fact: &Fact| fact.0.is_none_or(|name| reached(a, name) && reached(b, name));
    let of = |hop| of_hop(hop).into_iter().filter(both).collect::<Vec<_>>();
    differing(&of(a), &of(b))
}

/// What a request found out, stage by stage.
fn of_hop(hop: &Hop) -> Vec<Fact> {
    let mut facts = Vec::new();
    // Each name once, whatever a record says.
    for name in StageName::ALL {
        let Some(stage) = hop.stage(name) else { continue };
        let mut list = List { stage: Some(name), facts: &mut facts };
        match &stage.did {
            Did::Url(url) => of_url(&mut list, url),
            Did::Name(name) => of_name(&mut list, name),
            Did::Route(route) => of_route(&mut list, route),
            Did::Connect(connect) => of_connect(&mut list, connect),
            Did::Tls(tls) => of_tls(&mut list, tls),
            Did::Send(send) => of_send(&mut list, send),
            Did::Wait(_) => {}
            Did::Receive(receive) => of_receive(&mut list, receive),
            Did::Close(close) => of_close(&mut list, close),
        }
    }
    facts
}

fn of_url(list: &mut List<'_>, url: &Url) {
    list.add("scheme", &url.scheme);
    list.add("host", &url.host);
    list.add_some("port", url.port);
    list.add("target", &url.target);
}

fn of_name(list: &mut List<'_>, name: &Name) {
    if let Some(source) = &name.source {
        let source = match source {
            NameSource::Resolver { address, url, chosen_by, .. } => {
                let at = url.clone().unwrap_or_else(|| address.to_string());
                format!("resolver {at} ({chosen_by})")
            }
            NameSource::HostsFile { path } => path.clone(),
            NameSource::CommandLine { option } => option.clone(),
            NameSource::Localhost => "this machine by definition".to_owned(),
        };
        list.add("asked", source);
    }
    let mut types: Vec<&str> = Vec::new();
    for exchange in &name.exchanges {
        let rtype = exchange.question.rtype.as_str();
        if !types.contains(&rtype) {
            types.push(rtype);
        }
    }
    for rtype in types {
        let of_type = || name.exchanges.iter().filter(|exchange| exchange.question.rtype == rtype);
        let way: Vec<&str> = of_type().map(|exchange| exchange.transport.as_str()).collect();
        list.add(format!("{rtype} asked over"), way.join(", "));
        let Some(last) = of_type().next_back() else { continue };
        list.add(format!("{rtype} answer"), told(last));
        if let QueryResult::Reply { reply } = &last.result {
            list.add_some(
                &format!("{rtype} ttl"),
                reply.answer.iter().map(|record| record.ttl).min().map(|ttl| format!("{ttl} s")),
            );
        }
    }
    list.add_list("aliases", &name.aliases);
    let mut addresses: Vec<_> = name.addresses.iter().map(|address| address.ip).collect();
    addresses.sort_unstable();
    list.add_list("addresses", &addresses);
}

fn told(exchange: &Exchange) -> String {
    match &exchange.result {
        QueryResult::Reply { reply } => {
            let records = reply.counts[0];
            format!("{}, {records} {}", reply.rcode, if records == 1 { "record" } else { "records" })
        }
        QueryResult::Timeout => "no answer in time".to_owned(),
        QueryResult::Abandoned => "not waited for any longer".to_owned(),
        QueryResult::NothingListens => "nothing listens there".to_owned(),
        QueryResult::Failed { why, .. } | QueryResult::BadReply { why, .. } => why.clone(),
    }
}

fn of_route(list: &mut List<'_>, route: &Route) {
    for way in &route.ways {
        let by = way.interface.as_ref().map_or_else(String::new, |interface| format!(" by {interface}"));
        let from = way.source.map_or_else(String::new, |source| format!(" from {source}"));
        let next = match &way.next {
            Next::Neighbour => format!("straight{by}{from}"),
            Next::Gateway { ip, .. } => format!("to {ip}{by}{from}"),
            Next::ThisMachine => "this machine".to_owned(),
            Next::Nowhere { why } => why.clone(),
        };
        list.add(format!("way to {}", way.server), next);
    }
}

fn of_connect(list: &mut List<'_>, connect: &Connect) {
    if let Some(attempt) = connect.connected() {
        let host = attempt.host.as_ref().map_or_else(String::new, |host| format!(" {host}"));
        list.add("server", format!("{}{host}", attempt.server));
    }
    let others = connect.attempts.iter().filter_map(|attempt| {
        let why = match &attempt.result {
            Tried::Connected => return None,
            Tried::Refused => "refused",
            Tried::Timeout => "no answer in time",
            Tried::Abandoned => "given up",
            Tried::Unreachable { why } | Tried::Failed { why, .. } => why,
        };
        Some(format!("{} {why}", attempt.server))
    });
    list.add_list("other attempts", &others.collect::<Vec<_>>());
}

fn of_tls(list: &mut List<'_>, tls: &Tls) {
    if !tls.server_name.is_empty() {
        list.add("server name", &tls.server_name);
    }
    list.add_some("tls version", tls.version.as_ref());
    list.add_some("cipher suite", tls.cipher_suite.as_ref());
    list.add_some("key exchange", tls.key_exchange.as_ref());
    list.add_some("alpn", tls.alpn.as_ref());
    list.add_some("handshake", tls.handshake.map(word));
    if let Some(Certificate { subject, issuer, not_before, not_after, sha256, names, key, .. }) = tls.chain.first() {
        list.add("certificate subject", subject);
        list.add("certificate names", joined(names));
        list.add("certificate issuer", issuer);
        list.add("certificate valid from", not_before);
        list.add("certificate expires", not_after);
        list.add("certificate key", key);
        list.add("certificate sha256", sha256);
        list.add("certificates sent", tls.chain.len());
    }
    list.add_some("trusted", tls.trust.as_ref().map(|trust| &trust.source));
    match &tls.verified {
        Verified::NotReached => {}
        Verified::Yes => list.add("verified", "yes"),
        Verified::Earlier => list.add("verified", "when the session began"),
        Verified::Refused { why } => list.add("verified", format!("refused: {why}")),
        Verified::Ignored { why: Some(why) } => list.add("verified", format!("ignored: {why}")),
        Verified::Ignored { why: None } => list.add("verified", "not asked for, but it would be"),
    }
}

fn of_send(list: &mut List<'_>, send: &Send) {
    list.add_some("method", send.method.as_ref());
    list.add_some("request version", send.version.as_ref());
    let fields: Vec<Header> = send.headers.iter().filter(|field| !is_of_one_visit(&field.name)).cloned().collect();
    list.add_fields("request field", &fields);
    list.add_some("bytes sent", send.bytes);
    list.add_some("text sent", send.text.as_ref());
}

/// The visit's own id.
fn is_of_one_visit(name: &str) -> bool {
    name.eq_ignore_ascii_case("traceparent")
}

fn of_receive(list: &mut List<'_>, receive: &Receive) {
    let phrase = receive.reason_phrase.as_deref().unwrap_or("");
    list.add_some("status", receive.status.map(|status| format!("{status} {phrase}").trim().to_owned()));
    list.add_some("version", receive.version.as_ref());
    list.add_list("interim answers", &receive.interim.iter().map(|interim| interim.status).collect::<Vec<_>>());
    list.add_fields("field", &receive.headers);
    list.add_some("bytes received", receive.bytes);
    list.add_some("content bytes", receive.content_bytes);
    list.add_list("codings", &receive.codings);
    list.add_some("decoded bytes", receive.decoded_bytes);
    list.add_some("framing", receive.framing.map(word));
    list.add_fields("trailer", &receive.trailers);
    list.add_some("text received", receive.text.as_ref());
}

fn of_close(list: &mut List<'_>, close: &Close) {
    list.add_some("closed first", close.first.map(word));
    list.add_some("stay offered", close.keep_alive_offered.map(|offered| if offered { "yes" } else { "no" }));
    list.add_some("its end", close.peer.map(word));
    list.add_some("close_notify", close.close_notify.map(|sent| if sent { "yes" } else { "no" }));
    // How often it is not is no difference: records of before have no place for it.
    let sent_again = |kernel: &TcpInfo| kernel.retransmits.filter(|count| *count > 0);
    list.add_some("segments sent again", close.kernel.as_deref().and_then(sent_again));
}

/// What a series is besides its times.
pub(super) fn of_series(series: &Series) -> Vec<Fact> {
    let mut facts = Vec::new();
    let mut list = List { stage: None, facts: &mut facts };
    let summary = &series.summary;
    list.add("url", &series.url);
    list.add("place", place(&series.place));
    list.add_some("faults", faults(&series.faults));
    list.add("engine", word(series.engine));
    list.add("program", format!("{} {}", series.made_by.name, series.made_by.version));
    list.add("failed", share(summary.failed, series.visits.len()));
    for group in &summary.failures {
        let stage = group.stage.map_or("no", StageName::as_str);
        let at = group.host.as_ref().map_or_else(String::new, |host| format!(" at {host}"));
        let what = format!("failed in {stage}{at}, {}", group.reason.map(word).unwrap_or_default());
        list.add(what, share(group.count, series.visits.len()));
    }
    list.add_counted("statuses", &summary.statuses, ToString::to_string);
    list.add_counted("addresses", &summary.addresses, |ips| joined(ips));
    list.add_counted("servers", &summary.servers, ToString::to_string);
    list.add_counted("the resolver's answers", &summary.names_from, |from| format!("from {}", word(from)));
    list.add_counted("handshakes", &summary.handshakes, |handshake| word(handshake));
    facts
}

fn share(count: usize, of: usize) -> String {
    format!("{count} of {of}")
}

impl List<'_> {
    fn add_counted<T>(&mut self, what: &str, all: &[Counted<T>], words: impl Fn(&T) -> String) {
        match all {
            [] => {}
            [one] => self.add(what, words(&one.what)),
            several => {
                let each = several.iter().map(|counted| format!("{} ({}×)", words(&counted.what), counted.count));
                self.add(what, each.collect::<Vec<_>>().join("; "));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fact(stage: Option<StageName>, what: &str, value: &str) -> Fact {
        (stage, what.to_owned(), value.to_owned())
    }

    #[test]
    fn side_by_side() {
        let receive = Some(StageName::Receive);
        let name = Some(StageName::Name);
        let a = [fact(None, "url", "x"), fact(receive, "status", "200"), fact(receive, "field a", "1")];
        let b = [fact(name, "A ttl", "5 s"), fact(receive, "status", "404"), fact(None, "url", "x")];
        let facts = differing(&a, &b);
        let seen: Vec<_> = facts.changed.iter().map(|c| (c.what.as_str(), c.a.as_deref(), c.b.as_deref())).collect();
        assert_eq!(
            seen,
            [("A ttl", None, Some("5 s")), ("status", Some("200"), Some("404")), ("field a", Some("1"), None)]
        );
        assert_eq!(facts.same, ["url"]);
    }

    #[test]
    fn fields_of_one_name_are_one_fact() {
        let header = |name: &str, value: &str| Header { name: name.to_owned(), value: value.to_owned() };
        let mut facts = Vec::new();
        let mut list = List { stage: None, facts: &mut facts };
        list.add_fields("field", &[header("Via", "a"), header("etag", "x"), header("via", "b")]);
        let seen: Vec<_> = facts.iter().map(|fact| (fact.1.as_str(), fact.2.as_str())).collect();
        assert_eq!(seen, [("field via", "a | b"), ("field etag", "x")]);
    }
}

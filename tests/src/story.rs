//! What a visit tells, without what differs from one way of running the world to another: times, ports of the kernel's
//! choice, what only some ways let be observed, and which of two equal name servers was asked.

use std::{collections::BTreeSet, net::SocketAddr};

use serde_json::{Value, json};

/// The story of a journey: two ways of running the world have to tell the same one.
pub fn story(journey: &Value) -> Value {
    let events = journey["events"].as_array().into_iter().flatten();
    let hosts: Vec<&str> = journey["hosts"].as_array().into_iter().flatten().flat_map(addresses).collect();
    let chains: Vec<Vec<&str>> = journey["hops"].as_array().into_iter().flatten().filter_map(chain).collect();
    let events: BTreeSet<String> =
        events.filter(|event| is_told(event, &hosts)).map(|one| event(one, &chains)).collect();
    let hops: Vec<Value> = journey["hops"].as_array().into_iter().flatten().map(hop).collect();
    let outcome = &journey["outcome"];
    json!({
        "exit_code": journey["exit_code"],
        "outcome": {
            "reached": outcome["reached"],
            "failed_stage": outcome["failed_stage"],
            "reason": outcome["reason"],
            "host": host(&outcome["host"]),
        },
        "hops": hops,
        "events": events,
    })
}

/// Where two stories differ, in words; `None` where they are the same.
pub fn difference(one: &Value, other: &Value) -> Option<String> {
    match (one, other) {
        (Value::Object(a), Value::Object(b)) => {
            let missing = a.keys().find(|key| !b.contains_key(*key)).map(|key| format!("only in the first: {key}"));
            let added = b.keys().find(|key| !a.contains_key(*key)).map(|key| format!("only in the second: {key}"));
            let differs =
                || a.iter().find_map(|(key, value)| Some(format!("{key}: {}", difference(value, b.get(key)?)?)));
            missing.or(added).or_else(differs)
        }
        (Value::Array(a), Value::Array(b)) => {
            let missing = a.iter().find(|value| !b.contains(value)).map(|value| format!("only in the first: {value}"));
            let added = b.iter().find(|value| !a.contains(value)).map(|value| format!("only in the second: {value}"));
            missing.or(added).or_else(|| (a != b).then(|| format!("in another order: {one} and {other}")))
        }
        _ => (one != other).then(|| format!("{one} and {other}")),
    }
}

fn hop(hop: &Value) -> Value {
    // On loopback nothing is routed.
    let stages = hop["stages"].as_array().into_iter().flatten().filter(|stage| stage["name"] != "route");
    json!({ "url": hop["url"], "stages": stages.map(stage).collect::<Vec<_>>() })
}

fn stage(stage: &Value) -> Value {
    let each = |list: &str, of: fn(&Value) -> Value| {
        let mut told: Vec<String> = stage[list].as_array().into_iter().flatten().map(|v| of(v).to_string()).collect();
        told.sort();
        told.dedup();
        told
    };
    let mut told = json!({ "name": stage["name"], "state": stage["state"], "reason": stage["failure"]["reason"] });
    let found = match stage["name"].as_str() {
        Some("name") => json!({
            "source": stage["source"],
            "addresses": each("addresses", |address| json!([address["ip"], address["host"], address["ttl_s"].is_null()])),
            "exchanges": each("exchanges", |exchange| {
                json!([exchange["question"], exchange["transport"], exchange["server"], exchange["result"],
                    exchange["reply"]["rcode"], exchange["reply"]["meaning"]])
            }),
        }),
        Some("connect") => json!({
            "attempts": each("attempts", |attempt| json!([attempt["server"], attempt["host"], attempt["result"]])),
        }),
        Some("tls") => json!({
            "version": stage["version"],
            "alpn": stage["alpn"],
            "verified": stage["verified"]["result"],
            "chain": each("chain", |certificate| certificate["subject"].clone()),
        }),
        Some("send") => json!({ "method": stage["method"], "target": stage["target"], "version": stage["version"] }),
        Some("receive") => json!({
            "status": stage["status"],
            "version": stage["version"],
            "framing": stage["framing"],
            "headers": each("headers", |header| header["name"].clone()),
            "text": stage["text"],
        }),
        Some("close") => json!({ "first": stage["first"], "peer": stage["peer"] }),
        _ => Value::Null,
    };
    told["found"] = found;
    told
}

fn addresses(host: &Value) -> impl Iterator<Item = &str> {
    host["addresses"].as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// Whether an event is one that every way tells.
fn is_told(event: &Value, hosts: &[&str]) -> bool {
    match event["kind"].as_str() {
        // A and AAAA are asked at once, and either may find what the other has just fetched. Reports are collected at once
        // when a visit has ended, and a server may notice later.
        Some("cache_hit" | "connection_closed") => false,
        // Where an address has no host, loopback has no socket to send to. That nothing comes of it is told everywhere.
        Some("query_sent" | "connect_started") => {
            let server = event["server"].as_str().and_then(|server| server.parse::<SocketAddr>().ok());
            server.is_none_or(|server| hosts.is_empty() || hosts.contains(&server.ip().to_string().as_str()))
        }
        _ => true,
    }
}

/// The name that a hop asked for, and the aliases that it led to, without final dots.
fn chain(hop: &Value) -> Option<Vec<&str>> {
    let name = hop["stages"].as_array()?.iter().find(|stage| stage["name"] == "name")?;
    let aliases = name["aliases"].as_array().into_iter().flatten().filter_map(Value::as_str);
    Some(name["asked"].as_str().into_iter().chain(aliases).map(|name| name.trim_end_matches('.')).collect())
}

fn event(event: &Value, chains: &[Vec<&str>]) -> String {
    let of = |name: &str| &event[name];
    let told = json!([
        host(of("host")),
        of("kind"),
        of("transport"),
        question(event, chains),
        of("reply")["rcode"],
        of("reply")["meaning"],
        of("method"),
        of("target"),
        of("status"),
        of("by"),
    ]);
    told.to_string()
}

/// A and AAAA are asked at once. Where the first answer has led to an alias, the resolver asks for the second at the end of
/// the chain, or not at all. So neither the type nor the place in the chain of a question behind the resolver is compared.
fn question(event: &Value, chains: &[Vec<&str>]) -> Value {
    let question = &event["question"];
    match (event["host"].as_str(), question["type"].as_str(), question["name"].as_str()) {
        (Some(host), Some("A" | "AAAA"), Some(name)) if host != "you" => {
            let is_in = |chain: &&Vec<&str>| chain.contains(&name.trim_end_matches('.'));
            let name = chains.iter().find(is_in).map_or(name, |chain| chain[0]);
            json!({ "name": name.trim_end_matches('.'), "type": "A or AAAA" })
        }
        _ => question.clone(),
    }
}

/// Two name servers serve the same zone, and the resolver takes one by chance.
fn host(host: &Value) -> Value {
    match host.as_str() {
        Some("auth1" | "auth2") => "auth".into(),
        _ => host.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences() {
        let check = |one: Value, other: Value, expected: Option<&str>| {
            assert_eq!(difference(&one, &other).as_deref(), expected);
        };
        check(json!({"a": [1, 2]}), json!({"a": [1, 2]}), None);
        check(json!({"a": [1, 2]}), json!({"a": [1]}), Some("a: only in the first: 2"));
        check(json!({"a": [1]}), json!({"a": [1, 2]}), Some("a: only in the second: 2"));
        check(json!({"a": [1, 2]}), json!({"a": [2, 1]}), Some("a: in another order: [1,2] and [2,1]"));
        check(json!({"a": {"b": 1}}), json!({"a": {"b": 2}}), Some("a: b: 1 and 2"));
        check(json!({"a": 1, "b": 1}), json!({"a": 2}), Some("only in the first: b"));
        check(json!({"a": 1}), json!({"a": 1, "b": null}), Some("only in the second: b"));
        check(json!({"c": {"a": 1}}), json!({"c": {}}), Some("c: only in the first: a"));
    }

    #[test]
    fn what_differs_by_chance_is_left_out() {
        let journey = |server: &str, at: u64, rcode: &str| {
            json!({"exit_code": 0, "events": [{"host": server, "kind": "answer_sent", "at_us": at,
                "reply": {"rcode": rcode}}]})
        };
        let first = story(&journey("auth1", 5, "NOERROR"));
        assert_eq!(difference(&first, &story(&journey("auth2", 7, "NOERROR"))), None);
        assert!(difference(&first, &story(&journey("auth1", 5, "SERVFAIL"))).is_some());
        assert!(difference(&first, &story(&journey("tld", 5, "NOERROR"))).is_some());
    }

    #[test]
    fn an_alias_may_be_found_by_either_type() {
        let told = |host: &str, rtypes: &[&str]| {
            let asked = |rtype: &&str| {
                let question = json!({"name": "www.x.", "type": rtype});
                json!({"host": host, "kind": "answer_sent", "question": question, "reply": {"meaning": "alias"}})
            };
            story(&json!({"events": rtypes.iter().map(asked).collect::<Vec<_>>()}))
        };
        assert_eq!(difference(&told("auth1", &["A"]), &told("auth2", &["A", "AAAA"])), None);
        assert!(difference(&told("you", &["A"]), &told("you", &["A", "AAAA"])).is_some());
        assert!(difference(&told("auth1", &["A"]), &told("auth1", &["A", "TXT"])).is_some());
    }

    #[test]
    fn an_alias_may_be_followed_from_any_place_of_its_chain() {
        let told = |names: &[&str]| {
            let asked = |name: &&str| {
                let question = json!({"name": name, "type": "A"});
                json!({"host": "auth1", "kind": "answer_sent", "question": question, "reply": {"meaning": "answer"}})
            };
            let stages = json!([{"name": "name", "asked": "a.x", "aliases": ["b.x.", "c.x."]}]);
            story(&json!({"hops": [{"stages": stages}], "events": names.iter().map(asked).collect::<Vec<_>>()}))
        };
        assert_eq!(difference(&told(&["a.x."]), &told(&["a.x.", "c.x."])), None);
        assert!(difference(&told(&["a.x."]), &told(&["a.x.", "d.x."])).is_some());
    }
}

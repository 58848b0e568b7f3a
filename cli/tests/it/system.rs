//! Visits with this machine's own files, /etc/hosts and /etc/resolv.conf, which are others there: each test calls itself
//! once more in namespaces of its own, where it may lay files over the machine's and bind port 53.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use e2e::inside::inside;
use hickory_proto::op::{Edns, Message, ResponseCode};
use serde_json::{Value, json};

use crate::peer::{
    dns::{good, reply, serve},
    run, visit,
};

/// Runs the rest of the test of this name with these files; true inside.
fn with_files(test: &str, resolv_conf: &str) -> bool {
    let hosts = "127.0.0.1 localhost\n127.0.0.9 filed.corp.test filed\n";
    inside(module_path!(), test, &[("/etc/hosts", hosts), ("/etc/resolv.conf", resolv_conf)])
}

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn name_stage(journey: &Value) -> &Value {
    &journey["hops"][0]["stages"][1]
}

#[needs::tools(ip, unshare)]
#[test]
fn the_hosts_file_goes_first() {
    if !with_files("the_hosts_file_goes_first", "nameserver 127.0.0.1\n") {
        return;
    }
    let (_, journey) = visit(&["http://filed:1/"]);
    let stage = name_stage(&journey);
    assert_eq!(stage["source"], json!({"kind": "hosts_file", "path": "/etc/hosts"}), "{journey:#}");
    assert_eq!((&stage["addresses"][0]["ip"], &stage["exchanges"]), (&json!("127.0.0.9"), &json!([])));
    let screen = String::from_utf8(run(&["http://filed:1/"]).stdout).unwrap();
    assert!(screen.contains("127.0.0.9  from /etc/hosts"), "{screen}");
}

#[needs::tools(ip, unshare)]
#[test]
fn the_search_list_and_the_second_resolver() {
    // Nothing listens on the first; the second knows the name below the second suffix alone.
    let conf = "nameserver 127.0.0.1\nnameserver 127.0.0.2\nsearch lan corp.test\noptions timeout:1 attempts:2\n";
    if !with_files("the_search_list_and_the_second_resolver", conf) {
        return;
    }
    serve(at("127.0.0.2:53"), |query, _| {
        let known = query.queries[0].name().to_ascii() == "web.corp.test.";
        let message = if known { good(query) } else { reply(query, ResponseCode::NXDomain) };
        vec![message.to_vec().unwrap()]
    });
    let (_, journey) = visit(&["-4", "http://web:1/"]);
    let stage = name_stage(&journey);
    let seen: Vec<(&str, &str, &str)> = stage["exchanges"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| {
            let text = |value: &'static str| e.pointer(value).and_then(Value::as_str).unwrap();
            (text("/server"), text("/question/name"), text("/result"))
        })
        .collect();
    assert_eq!(
        seen,
        [
            ("127.0.0.1:53", "web.lan.", "nothing_listens"),
            ("127.0.0.2:53", "web.lan.", "reply"),
            ("127.0.0.1:53", "web.corp.test.", "nothing_listens"),
            ("127.0.0.2:53", "web.corp.test.", "reply"),
        ]
    );
    assert_eq!(
        (&stage["source"]["address"], &stage["source"]["chosen_by"]),
        (&json!("127.0.0.2:53"), &json!("/etc/resolv.conf"))
    );
    let screen = String::from_utf8(run(&["-4", "http://web:1/"]).stdout).unwrap();
    for words in [
        "you asked 127.0.0.2:53 (/etc/resolv.conf)",
        "the search list made of it, in this order: web.lan., web.corp.test.",
        "A     udp 127.0.0.1:53: web.lan. refused: nothing listens",
    ] {
        assert!(screen.contains(words), "{words:?}: {screen}");
    }
}

#[needs::tools(ip, unshare)]
#[test]
fn enough_dots_go_first() {
    let conf = "nameserver 127.0.0.1\nsearch lan\noptions ndots:2\n";
    if !with_files("enough_dots_go_first", conf) {
        return;
    }
    serve(at("127.0.0.1:53"), |query, _| vec![reply(query, ResponseCode::NXDomain).to_vec().unwrap()]);
    let check = |url: &str, expected: &[&str]| {
        let (code, journey) = visit(&["-4", url]);
        let exchanges = name_stage(&journey)["exchanges"].as_array().unwrap();
        let asked: Vec<&str> = exchanges.iter().map(|e| e["question"]["name"].as_str().unwrap()).collect();
        assert_eq!((code, asked.as_slice()), (6, expected), "{url}");
    };
    check("http://web.a/", &["web.a.lan.", "web.a."]);
    check("http://www.web.a/", &["www.web.a.", "www.web.a.lan."]);
    check("http://web.a./", &["web.a."]);
}

#[needs::tools(ip, unshare)]
#[test]
fn every_transmission_is_shown() {
    if !with_files("every_transmission_is_shown", "nameserver 127.0.0.1\noptions timeout:1 attempts:3\n") {
        return;
    }
    let count = Arc::new(AtomicUsize::new(0));
    // Nothing to the first query, and nothing to its copy without EDNS.
    serve(at("127.0.0.1:53"), move |query, _| match count.fetch_add(1, Ordering::SeqCst) {
        0 | 1 => Vec::new(),
        _ => vec![good(query).to_vec().unwrap()],
    });
    let (_, journey) = visit(&["-4", "http://name.test:1/"]);
    let exchanges = &name_stage(&journey)["exchanges"];
    let members =
        |member: &str| exchanges.as_array().unwrap().iter().map(|one| one[member].clone()).collect::<Vec<_>>();
    assert_eq!(members("result"), ["timeout", "timeout", "reply"], "{journey:#}");
    assert_eq!(members("opt"), [Value::Null, json!("absent"), Value::Null], "{journey:#}");
    // One socket, three messages: a late answer to the first would be known as such.
    assert_eq!(exchanges[0]["local"], exchanges[2]["local"]);
    assert!(exchanges[0]["duration_us"].as_u64().unwrap() >= 1_000_000, "{journey:#}");
}

#[needs::tools(ip, unshare)]
#[test]
fn a_silent_resolver_is_the_name_stages_time_out() {
    if !with_files(
        "a_silent_resolver_is_the_name_stages_time_out",
        "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n",
    ) {
        return;
    }
    serve(at("127.0.0.1:53"), |_, _| Vec::new());
    let (code, journey) = visit(&["http://name.test/"]);
    let outcome = &journey["outcome"];
    assert_eq!(
        (code, &outcome["failed_stage"], &outcome["reason"]),
        (6, &json!("name"), &json!("timeout")),
        "{journey:#}"
    );
    assert_eq!(journey["hops"][0]["stages"][3]["state"], "not_reached");
    assert!(outcome["verdict"].as_str().unwrap().contains("did not answer any of 2 queries over udp within 1 s"));
}

/// What the name stage says when the server at 127.0.0.1 does this with queries that have an OPT record.
fn edns_fallback(test: &str, conf: &str, with_opt: fn(&Message) -> Vec<Vec<u8>>) -> Option<(Value, String)> {
    if !with_files(test, conf) {
        return None;
    }
    serve(at("127.0.0.1:53"), move |query, _| match &query.edns {
        Some(_) => with_opt(query),
        None => vec![good(query).to_vec().unwrap()],
    });
    let (_, journey) = visit(&["-4", "http://name.test:1/"]);
    let screen = String::from_utf8(run(&["-4", "http://name.test:1/"]).stdout).unwrap();
    Some((journey, screen))
}

fn check_fallback(found: Option<(Value, String)>, opts: &[Value], words: &str) {
    let Some((journey, screen)) = found else { return };
    let stage = name_stage(&journey);
    assert_eq!(stage["addresses"][0]["ip"], "127.0.0.1", "{journey:#}");
    let sent: Vec<Value> = stage["exchanges"].as_array().unwrap().iter().map(|one| one["opt"].clone()).collect();
    assert_eq!(sent, opts, "{journey:#}");
    let screen = screen.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(screen.contains(words), "{words:?}: {screen}");
}

#[needs::tools(ip, unshare)]
#[test]
fn edns_is_left_out_after_formerr() {
    let found = edns_fallback(
        "edns_is_left_out_after_formerr",
        "nameserver 127.0.0.1
",
        |query| vec![reply(query, ResponseCode::FormErr).to_vec().unwrap()],
    );
    let words = "127.0.0.1:53 replied FORMERR to a query with EDNS (an OPT record, RFC 6891) and answered one without";
    check_fallback(found, &[Value::Null, json!("absent")], words);
}

#[needs::tools(ip, unshare)]
#[test]
fn edns_options_are_left_out_first_where_the_reply_has_an_opt_record() {
    let test = "edns_options_are_left_out_first_where_the_reply_has_an_opt_record";
    let found = edns_fallback(
        test,
        "nameserver 127.0.0.1
",
        |query| {
            let edns = query.edns.as_ref().unwrap();
            let mut message =
                if edns.options().as_ref().is_empty() { good(query) } else { reply(query, ResponseCode::FormErr) };
            message.edns = Some(Edns::new());
            vec![message.to_vec().unwrap()]
        },
    );
    let words = "127.0.0.1:53 replied FORMERR to a query with EDNS options (an OPT record, RFC 6891) and answered one without options";
    check_fallback(found, &[Value::Null, json!("bare")], words);
}

#[needs::tools(ip, unshare)]
#[test]
fn edns_is_left_out_after_servfail_without_an_opt_record() {
    let test = "edns_is_left_out_after_servfail_without_an_opt_record";
    let found = edns_fallback(
        test,
        "nameserver 127.0.0.1
",
        |query| vec![reply(query, ResponseCode::ServFail).to_vec().unwrap()],
    );
    check_fallback(found, &[Value::Null, json!("absent")], "127.0.0.1:53 replied SERVFAIL to a query with EDNS");
}

#[needs::tools(ip, unshare)]
#[test]
fn a_server_that_drops_edns_is_asked_without_it_in_the_same_attempt() {
    let test = "a_server_that_drops_edns_is_asked_without_it_in_the_same_attempt";
    let found = edns_fallback(test, "nameserver 127.0.0.1\noptions timeout:2 attempts:1\n", |_| Vec::new());
    let words = "127.0.0.1:53 did not reply to a query with EDNS (an OPT record, RFC 6891) and answered one without";
    check_fallback(found, &[Value::Null, json!("absent")], words);
}

#[needs::tools(ip, unshare)]
#[test]
fn the_cost_of_the_search_list_is_told() {
    if !with_files(
        "the_cost_of_the_search_list_is_told",
        "nameserver 127.0.0.1\nsearch lan corp.test\noptions ndots:5\n",
    ) {
        return;
    }
    serve(at("127.0.0.1:53"), |query, _| {
        let is_it = query.queries[0].name().to_ascii() == "www.x.test.";
        vec![if is_it { good(query) } else { reply(query, ResponseCode::NXDomain) }.to_vec().unwrap()]
    });
    let screen = |url: &str| {
        let screen = String::from_utf8(run(&[url]).stdout).unwrap();
        screen.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let words =
        "4 of 6 queries were for the search list's other names; to skip it, write www.x.test. with the final dot";
    let found = screen("http://www.x.test:1/");
    assert!(found.contains(words), "{found}");
    let found = screen("http://www.x.test.:1/");
    assert!(!found.contains("search list"), "{found}");
}

//! Conversations with name servers that are broken, hostile or unusual: what a client of our resolver gets, and how many
//! queries that may cost.

use std::{net::IpAddr, time::Duration};

use crate::{
    fake::Ground,
    running::{Running, config, errors},
    script::{self, Ask, Case, Script, shown},
};

async fn converse(case: &Case) {
    let script = Script::read(&case.script);
    let servers = script.start(Ground::Loopback).await;
    let mut config = config(&servers.iter().collect::<Vec<_>>());
    config.upstream_timeout = Duration::from_millis(300);
    config.answer_timeout = Duration::from_secs(4);
    let resolver = Running::start(config).await;
    for Ask { names, rtype, expected } in &script.asks {
        for qname in names {
            let answer = resolver.ask(qname, *rtype, None).await;
            let asked: Vec<(IpAddr, Vec<String>)> = servers.iter().map(|server| (server.ip, server.asked())).collect();
            assert_eq!(shown(&answer), *expected, "{}: {qname} {:?} {asked:#?}", case.name, errors(&answer));
        }
    }
    let queries: usize = servers.iter().map(|server| server.seen().len()).sum();
    assert!(case.queries.is_none_or(|most| queries <= most), "{}: {queries} queries", case.name);
}

#[tokio::test]
async fn what_clients_get_of_broken_and_hostile_servers() {
    for case in script::all().into_iter().filter(|case| !case.far) {
        converse(&case).await;
    }
}

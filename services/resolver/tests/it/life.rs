//! How it starts and ends.

use std::time::Duration;

use hickory_proto::rr::RecordType;
use resolver::{ConfigError, Resolver};
use service::{Configured, Service};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use world::{Files, World};

use crate::{
    fake::{Act, FIRST, Fake, ONE, root, zone},
    running::{Running, config, eventually},
};

#[tokio::test]
async fn stopped_while_it_is_busy_it_answers_what_it_has_begun() {
    let one = Fake::new(ONE, |query, _| match zone(query) {
        Act::Say(message) => Act::Late(Duration::from_millis(60), message),
        other => other,
    });
    let (root, one) = (root(FIRST).await, one.await);
    let resolver = Running::before(&[&root, &one]).await;
    let (dns, admin, signals) = (resolver.dns, resolver.admin, resolver.signals.clone());
    let asking = tokio::spawn(async move {
        crate::running::exchange(dns, &crate::running::query("www.zone.test.", RecordType::A, None)).await
    });
    eventually("the server is asked", || !one.seen().is_empty()).await;
    signals.stop.cancel();
    eventually("it is no longer ready", || !signals.ready.is_ready()).await;
    // The admin port still tells that, while it drains.
    let mut stream = TcpStream::connect(admin).await.unwrap();
    stream.write_all(b"GET /ready HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    assert!(response.starts_with("HTTP/1.1 503"), "{response}");
    assert_eq!(asking.await.unwrap().answers.len(), 2);
    assert_eq!(resolver.ended().await.cut_off, 0);
}

#[tokio::test]
async fn what_is_not_done_within_the_grace_period_is_cut_off() {
    let (root, one) = (root(FIRST).await, Fake::silent(ONE).await);
    let mut config = config(&[&root, &one]);
    config.upstream_timeout = Duration::from_secs(60);
    config.answer_timeout = Duration::from_secs(60);
    config.grace = Duration::from_millis(20);
    let resolver = Running::start(config).await;
    let dns = resolver.dns;
    let asking = tokio::spawn(async move {
        crate::running::exchange(dns, &crate::running::query("www.zone.test.", RecordType::A, None)).await
    });
    eventually("the server is asked", || !one.seen().is_empty()).await;
    assert_eq!(resolver.stop().await.cut_off, 1);
    asking.abort();
}

#[test]
fn configured_by_the_world() {
    let world = World::built_in().renumbered("172.20".parse().unwrap());
    let told = |name: &str| Configured {
        name: name.to_owned(),
        host: world.hosts[name].clone(),
        world: world.clone(),
        files: Files::BuiltIn,
        authority: None,
    };
    let config = Resolver::configure(&told("resolver")).unwrap();
    assert_eq!(config.roots[0].ip.to_string(), "172.20.2.10");
    assert_eq!(config.upstream_timeout, Duration::from_millis(500));
    assert!(config.allow.iter().any(|net| net.to_string() == "172.20.0.0/16"));
    assert!(matches!(Resolver::configure(&told("app1")), Err(ConfigError::NotAResolver(name)) if name == "app1"));
    let mut broken = told("resolver");
    broken.host.resolver.as_mut().unwrap().roots = "world.toml".to_owned();
    let error = Resolver::configure(&broken).unwrap_err().to_string();
    assert!(error.starts_with("root hints cannot be used: (built in) lab/world.toml:1: "), "{error}");
}

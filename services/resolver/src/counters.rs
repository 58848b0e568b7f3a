//! Counters of a resolver, beside those of every DNS server.

use std::sync::Arc;

use journey::dns::Transport;
use prometheus_client::{
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

type Label = [(&'static str, &'static str); 1];

/// Counters of a resolver. Every label is resolved at the start, so that counting is an addition.
#[derive(Clone, Debug)]
pub(crate) struct Counters(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    udp: Counter,
    tcp: Counter,
    failures: Counter,
    hits: Counter,
    misses: Counter,
    unresolved: Counter,
    flushes: Counter,
    flushes_failed: Counter,
}

impl Counters {
    pub(crate) fn new(registry: &mut Registry) -> Self {
        let asked = Family::<Label, Counter>::default();
        let cache = Family::<Label, Counter>::default();
        let counter = |registry: &mut Registry, name: &str, help: &str| {
            let counter = Counter::default();
            registry.register(name, help, counter.clone());
            counter
        };
        registry.register("upstream_queries", "Queries sent to name servers, again included", asked.clone());
        registry.register("cache_lookups", "Questions of clients that were looked up in the cache", cache.clone());
        let of = |family: &Family<Label, Counter>, label, value| family.get_or_create(&[(label, value)]).clone();
        Self(Arc::new(Inner {
            udp: of(&asked, "transport", "udp"),
            tcp: of(&asked, "transport", "tcp"),
            hits: of(&cache, "result", "hit"),
            misses: of(&cache, "result", "miss"),
            failures: counter(registry, "upstream_failures", "Times that a name server gave no usable reply"),
            unresolved: counter(registry, "unresolved", "Walks that ended without an answer"),
            flushes: counter(
                registry,
                "cache_flushed",
                "Times that the cache was emptied and the hints were read again",
            ),
            flushes_failed: counter(
                registry,
                "hints_reload_failed",
                "Times that the hints were read again and could not be used",
            ),
        }))
    }

    pub(crate) fn asked(&self, transport: Transport) {
        match transport {
            Transport::Udp => self.0.udp.inc(),
            // Name servers are asked over these two alone, see `tap`.
            Transport::Tcp | Transport::Tls | Transport::Https => self.0.tcp.inc(),
        };
    }

    pub(crate) fn failed(&self) {
        self.0.failures.inc();
    }

    pub(crate) fn hit(&self) {
        self.0.hits.inc();
    }

    pub(crate) fn missed(&self) {
        self.0.misses.inc();
    }

    pub(crate) fn unresolved(&self) {
        self.0.unresolved.inc();
    }

    pub(crate) fn flushed(&self) {
        self.0.flushes.inc();
    }

    pub(crate) fn flush_failed(&self) {
        self.0.flushes_failed.inc();
    }
}

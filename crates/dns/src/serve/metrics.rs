//! Counters of a DNS server.

use journey::dns::Transport;
use prometheus_client::{metrics::counter::Counter, metrics::family::Family, registry::Registry};
use service::tls::Failed;

type Label = [(&'static str, String); 1];

/// Counters of a DNS server. Every label is resolved at the start, so that a query costs an addition and no look-up.
#[derive(Debug)]
pub struct Metrics {
    udp: Counter,
    tcp: Counter,
    tls: Counter,
    https: Counter,
    ignored: Counter,
    overloaded: Counter,
    unshaken: Family<Label, Counter>,
    replies: [Counter; 16],
}

const RCODES: [&str; 16] = [
    "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET", "NOTAUTH",
    "NOTZONE", "RCODE11", "RCODE12", "RCODE13", "RCODE14", "RCODE15",
];

impl Metrics {
    /// Counters that show in this registry.
    pub fn new(registry: &mut Registry) -> Self {
        let queries = Family::<Label, Counter>::default();
        let replies = Family::<Label, Counter>::default();
        let (ignored, overloaded) = (Counter::default(), Counter::default());
        registry.register("dns_queries", "Queries read", queries.clone());
        registry.register("dns_replies", "Replies made, by the response code in the header", replies.clone());
        registry.register("dns_ignored", "Messages too short to answer, or answers themselves", ignored.clone());
        registry.register("dns_overloaded", "Queries dropped because too many were waiting", overloaded.clone());
        let unshaken = Family::<Label, Counter>::default();
        registry.register("dns_tls_unshaken", "TLS handshakes that came to nothing, by reason", unshaken.clone());
        let counter = |family: &Family<Label, Counter>, label, value: &str| {
            family.get_or_create(&[(label, value.to_owned())]).clone()
        };
        Self {
            udp: counter(&queries, "transport", "udp"),
            tcp: counter(&queries, "transport", "tcp"),
            tls: counter(&queries, "transport", "tls"),
            https: counter(&queries, "transport", "https"),
            ignored,
            overloaded,
            unshaken,
            replies: RCODES.map(|rcode| counter(&replies, "rcode", rcode)),
        }
    }

    pub(super) fn query(&self, transport: Transport) {
        match transport {
            Transport::Udp => self.udp.inc(),
            Transport::Tcp => self.tcp.inc(),
            Transport::Tls => self.tls.inc(),
            Transport::Https => self.https.inc(),
        };
    }

    pub(super) fn reply(&self, bytes: &[u8]) {
        // The low four bits of the header's fourth byte (RFC 1035 §4.1.1).
        if let Some(byte) = bytes.get(3) {
            self.replies[usize::from(byte & 0x0f)].inc();
        }
    }

    pub(super) fn ignored(&self) {
        self.ignored.inc();
    }

    pub(super) fn unshaken(&self, why: Failed) {
        self.unshaken.get_or_create(&[("reason", why.as_str().to_owned())]).inc();
    }

    pub(super) fn overloaded(&self) {
        self.overloaded.inc();
    }
}

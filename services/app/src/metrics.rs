//! What is counted for `/metrics`. Every label is resolved at the start, so that a request costs additions and no look-up.

use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};

use service::tls::Failed;

use crate::http::RouteName;

/// What the server counts.
#[derive(Debug)]
pub(crate) struct Metrics {
    requests: [[Counter; CLASSES.len()]; RouteName::ALL.len()],
    unread: [Counter; UNREAD.len()],
    unshaken: [Counter; Failed::ALL.len()],
    pub(crate) http: Port,
    pub(crate) https: Port,
    pub(crate) talk: Port,
    pub(crate) talk_exchanges: Counter,
    pub(crate) echo_datagrams: Counter,
    pub(crate) echo_bytes: Counter,
    pub(crate) echo_ignored: Counter,
}

/// What is counted of one TCP port.
#[derive(Debug)]
pub(crate) struct Port {
    accepted: Counter,
    open: Gauge,
    bytes_in: Counter,
    bytes_out: Counter,
}

const CLASSES: [&str; 4] = ["2xx", "3xx", "4xx", "5xx"];

/// Why a request never reached a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    /// It was not HTTP/1.1, or not the HTTP/2 that had been agreed on.
    Malformed,
    /// Its head was over the limit.
    HeadTooLarge,
    /// Its head did not come in time.
    Timeout,
}

const UNREAD: [(Unread, &str); 3] =
    [(Unread::Malformed, "malformed"), (Unread::HeadTooLarge, "head_too_large"), (Unread::Timeout, "timeout")];

type Labels<const N: usize> = [(&'static str, &'static str); N];

impl Metrics {
    pub(crate) fn new(registry: &mut Registry) -> Self {
        let requests = Family::<Labels<2>, Counter>::default();
        let unread = Family::<Labels<1>, Counter>::default();
        let unshaken = Family::<Labels<1>, Counter>::default();
        let accepted = Family::<Labels<1>, Counter>::default();
        let open = Family::<Labels<1>, Gauge>::default();
        let bytes = Family::<Labels<2>, Counter>::default();
        let [talk_exchanges, echo_datagrams, echo_bytes, echo_ignored] = [(); 4].map(|()| Counter::default());
        registry.register("app_http_requests", "Requests answered, by route and class of status", requests.clone());
        registry.register("app_http_unread", "Requests whose head could not be read, by reason", unread.clone());
        registry.register("app_tls_unshaken", "TLS handshakes that came to nothing, by reason", unshaken.clone());
        registry.register("app_connections_accepted", "TCP connections accepted", accepted.clone());
        registry.register("app_connections_open", "TCP connections open now", open.clone());
        registry.register_with_unit(
            "app_tcp",
            "Bytes read from and written to connections that have ended, over TLS those of HTTP",
            Unit::Bytes,
            bytes.clone(),
        );
        registry.register("app_talk_exchanges", "Reads of the talk port that were answered", talk_exchanges.clone());
        registry.register("app_echo_datagrams", "Datagrams sent back", echo_datagrams.clone());
        registry.register_with_unit("app_echo", "Bytes of datagrams sent back", Unit::Bytes, echo_bytes.clone());
        registry.register(
            "app_echo_ignored",
            "Datagrams not sent back: their sender would answer the answer, or it could not be sent",
            echo_ignored.clone(),
        );
        // Owned: a borrowed one would hold its family's lock to the end of the expression, and the next wait for it.
        let port = |port| Port {
            accepted: accepted.get_or_create_owned(&[("port", port)]),
            open: open.get_or_create_owned(&[("port", port)]),
            bytes_in: bytes.get_or_create_owned(&[("port", port), ("direction", "in")]),
            bytes_out: bytes.get_or_create_owned(&[("port", port), ("direction", "out")]),
        };
        Self {
            requests: RouteName::ALL.map(|route| {
                CLASSES.map(|class| requests.get_or_create_owned(&[("route", route.as_str()), ("class", class)]))
            }),
            unread: UNREAD.map(|(_, reason)| unread.get_or_create_owned(&[("reason", reason)])),
            unshaken: Failed::ALL.map(|why| unshaken.get_or_create_owned(&[("reason", why.as_str())])),
            http: port("http"),
            https: port("https"),
            talk: port("talk"),
            talk_exchanges,
            echo_datagrams,
            echo_bytes,
            echo_ignored,
        }
    }

    /// A request was answered with this status, which is between 200 and 599.
    pub(crate) fn answered(&self, route: RouteName, status: u16) {
        let class = usize::from(status / 100).clamp(2, 5) - 2;
        self.requests[route as usize][class].inc();
    }

    pub(crate) fn unshaken(&self, why: Failed) {
        for (known, counter) in Failed::ALL.iter().zip(&self.unshaken) {
            if *known == why {
                counter.inc();
            }
        }
    }

    pub(crate) fn unread(&self, why: Unread) {
        for ((known, _), counter) in UNREAD.iter().zip(&self.unread) {
            if *known == why {
                counter.inc();
            }
        }
    }
}

impl Port {
    pub(crate) fn opened(&self) {
        self.accepted.inc();
        self.open.inc();
    }

    pub(crate) fn closed(&self, bytes_in: u64, bytes_out: u64) {
        self.open.dec();
        self.bytes_in.inc_by(bytes_in);
        self.bytes_out.inc_by(bytes_out);
    }
}

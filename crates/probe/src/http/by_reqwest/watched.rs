//! What reqwest lets one see of opening a connection: a layer around its connector.

use std::{
    future::Future,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use hyper::http::Extensions;
use hyper_util::client::legacy::connect::{Connection, HttpInfo};
use reqwest::tls::{TlsInfo, Version};
use tokio::sync::Notify;
use tower_layer::Layer;
use tower_service::Service;

use super::super::super::clock::Clock;

/// An open connection, TLS included where there is TLS.
#[derive(Clone, Debug)]
pub(super) struct Opened {
    /// Microseconds from the begin of the visit until the connector was called.
    pub(super) start_us: u64,
    /// Until it was done.
    pub(super) end_us: u64,
    /// The socket that it leads to.
    pub(super) remote: Option<SocketAddr>,
    /// This side's socket.
    pub(super) local: Option<SocketAddr>,
    /// The version of TLS.
    pub(super) tls_version: Option<String>,
}

/// Watches one connector.
#[derive(Clone, Debug, Default)]
pub(super) struct Watch {
    seen: Arc<Mutex<Seen>>,
    opened: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Seen {
    started_us: Option<u64>,
    opened: Option<Opened>,
}

impl Watch {
    /// The layer for the client's builder.
    pub(super) fn layer(&self, clock: Clock) -> Watcher {
        Watcher { watch: self.clone(), clock }
    }

    /// Waits until a connection is open.
    pub(super) async fn until_opened(&self) {
        self.opened.notified().await;
    }

    /// The connection, once it is open.
    pub(super) fn opened(&self) -> Option<Opened> {
        self.lock().opened.clone()
    }

    /// When the connector was called.
    pub(super) fn started_us(&self) -> Option<u64> {
        self.lock().started_us
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The layer.
#[derive(Clone, Debug)]
pub(super) struct Watcher {
    watch: Watch,
    clock: Clock,
}

impl<S> Layer<S> for Watcher {
    type Service = Watched<S>;

    fn layer(&self, inner: S) -> Watched<S> {
        Watched { inner, watch: self.watch.clone(), clock: self.clock }
    }
}

/// reqwest's connector, watched. The types of its request and its connection have no names outside of reqwest.
#[derive(Clone, Debug)]
pub(super) struct Watched<S> {
    inner: S,
    watch: Watch,
    clock: Clock,
}

impl<S, Q> Service<Q> for Watched<S>
where
    S: Service<Q>,
    S::Response: Connection,
    S::Future: Send + 'static,
    S::Response: Send,
    S::Error: Send,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Q) -> Self::Future {
        let (watch, clock) = (self.watch.clone(), self.clock);
        let connecting = self.inner.call(request);
        Box::pin(async move {
            let start_us = clock.us();
            watch.lock().started_us.get_or_insert(start_us);
            let connection = connecting.await?;
            let end_us = clock.us();
            let mut extras = Extensions::new();
            connection.connected().get_extras(&mut extras);
            let info = extras.get::<HttpInfo>();
            let opened = Opened {
                start_us,
                end_us,
                remote: info.map(HttpInfo::remote_addr),
                local: info.map(HttpInfo::local_addr),
                tls_version: extras.get::<TlsInfo>().and_then(TlsInfo::version).map(version),
            };
            watch.lock().opened.get_or_insert(opened);
            watch.opened.notify_one();
            Ok(connection)
        })
    }
}

fn version(version: Version) -> String {
    match version {
        Version::TLS_1_2 => "TLS 1.2".to_owned(),
        Version::TLS_1_3 => "TLS 1.3".to_owned(),
        other => format!("{other:?}"),
    }
}

//! A service's side of TLS: its certificate, from the lab's authority, and handshakes that cannot be held up.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    slice,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use ca::{Authority, Scope};
use rustls::{ServerConfig, server::Acceptor, sign::CertifiedKey};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    time::{Instant, timeout, timeout_at},
};
use tokio_rustls::{LazyConfigAcceptor, TlsAcceptor, server::TlsStream};
use world::World;

use crate::{Configured, Stop, linger};

/// What the authority of this world may speak for.
pub fn scope(world: &World) -> Scope {
    Scope::new(world.tls_names(), [world.network.v4.into(), world.network.v6.into()])
}

impl Configured {
    /// The host's side of TLS, with a fresh key and a certificate for its names, its addresses and loopback, where the
    /// sockets of the embedded lab are; none where it was given no authority. `alpn` as [`ca::server_config`] wants it.
    pub fn server_config(&self, alpn: &[&str]) -> Result<Option<Arc<ServerConfig>>, ca::Error> {
        let Some(authority) = &self.authority else { return Ok(None) };
        Ok(Some(Arc::new(ca::server_config(self.issue(authority)?, alpn))))
    }

    /// The same with certificates that something is wrong with, each made when it is first wanted.
    pub fn flawed(&self, alpn: &'static [&'static str]) -> Option<Flawed> {
        let authority = Arc::clone(self.authority.as_ref()?);
        let (names, addresses) = self.subjects();
        // A certificate's `*.` stands for one label (RFC 6125 §6.4.3), and this one has two more than any name here.
        let zone = self.world.network.names.first().map_or("localhost", |name| name.trim_end_matches('.'));
        let other = format!("another.host.{zone}");
        let scope = scope(&self.world);
        Some(Flawed(Arc::new(Makings { authority, scope, names, addresses, other, alpn, made: Mutex::default() })))
    }

    fn issue(&self, authority: &Authority) -> Result<CertifiedKey, ca::Error> {
        let (names, addresses) = self.subjects();
        authority.issue(&names, &addresses, SystemTime::now())
    }

    fn subjects(&self) -> (Vec<String>, Vec<IpAddr>) {
        let mut names = self.host.tls_names(&self.world.network);
        names.push("localhost".to_owned());
        let loopback: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        (names, self.host.addresses.iter().copied().chain(loopback).collect())
    }
}

/// What can be wrong with a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// It was good until yesterday.
    Expired,
    /// It is another host's.
    WrongName,
    /// Its authority is nobody's.
    Untrusted,
}

/// A host's side of TLS with certificates that something is wrong with.
#[derive(Clone, Debug)]
pub struct Flawed(Arc<Makings>);

#[derive(Debug)]
struct Makings {
    authority: Arc<Authority>,
    scope: Scope,
    names: Vec<String>,
    addresses: Vec<IpAddr>,
    other: String,
    alpn: &'static [&'static str],
    made: Mutex<Vec<(Flaw, Arc<ServerConfig>)>>,
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How long the expired certificate was good for.
const LIVED: Duration = DAY.saturating_mul(90);

impl Flawed {
    /// The one with that flaw. It shares no sessions with any other, so that every handshake shows the certificate.
    pub fn server_config(&self, flaw: Flaw) -> Result<Arc<ServerConfig>, ca::Error> {
        let mut made = self.0.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, config)) = made.iter().find(|(known, _)| *known == flaw) {
            return Ok(Arc::clone(config));
        }
        let config = Arc::new(ca::server_config(self.0.issue(flaw)?, self.0.alpn));
        made.push((flaw, Arc::clone(&config)));
        Ok(config)
    }
}

impl Makings {
    fn issue(&self, flaw: Flaw) -> Result<CertifiedKey, ca::Error> {
        let now = SystemTime::now();
        match flaw {
            Flaw::Expired => {
                let ended = now - DAY;
                self.authority.issue_valid(&self.names, &self.addresses, ended - LIVED..ended)
            }
            Flaw::WrongName => self.authority.issue(slice::from_ref(&self.other), &[], now),
            Flaw::Untrusted => Authority::stranger(&self.scope, now)?.issue(&self.names, &self.addresses, now),
        }
    }
}

/// Why a handshake came to nothing, as it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failed {
    /// The client was not done in time.
    Timeout,
    /// What came was no TLS.
    NotTls,
    /// The client does not want this server: mostly, it does not trust its certificate.
    Refused,
    /// The client has gone.
    Gone,
    /// The two have nothing in common, or the client breaks the rules.
    Other,
}

impl Failed {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Timeout, Self::NotTls, Self::Refused, Self::Gone, Self::Other];

    /// The reason, as a label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::NotTls => "not_tls",
            Self::Refused => "refused_by_client",
            Self::Gone => "client_gone",
            Self::Other => "other",
        }
    }

    fn of(error: &io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(rustls::Error::InvalidMessage(_)) => Self::NotTls,
            Some(rustls::Error::AlertReceived(_)) => Self::Refused,
            Some(_) => Self::Other,
            None => Self::Gone,
        }
    }
}

/// Shakes hands with a client, within `limit`. A failure comes with its error, and with the stream where there is one to
/// be closed in order: the alert that tells the client why (RFC 8446 §6.2) is on its way.
pub async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
    config: Arc<ServerConfig>,
    stream: S,
    limit: Duration,
) -> Result<TlsStream<S>, (Failed, io::Error, Option<S>)> {
    let handshake = TlsAcceptor::from(config).accept(stream).into_fallible();
    match timeout(limit, handshake).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err((error, stream))) => Err((Failed::of(&error), error, Some(stream))),
        Err(_) => Err((Failed::Timeout, io::ErrorKind::TimedOut.into(), None)),
    }
}

/// The same, where it depends on the name that the client asks for (RFC 6066 §3) what it is shown.
pub async fn accept_by_name<S: AsyncRead + AsyncWrite + Unpin>(
    choose: impl FnOnce(Option<&str>) -> Arc<ServerConfig>,
    stream: S,
    limit: Duration,
) -> Result<TlsStream<S>, (Failed, io::Error, Option<S>)> {
    let end = Instant::now() + limit;
    let mut acceptor = LazyConfigAcceptor::new(Acceptor::default(), stream);
    let begun = match timeout_at(end, &mut acceptor).await {
        Ok(Ok(begun)) => begun,
        Ok(Err(error)) => return Err((Failed::of(&error), error, acceptor.take_io())),
        Err(_) => return Err((Failed::Timeout, io::ErrorKind::TimedOut.into(), None)),
    };
    let config = choose(begun.client_hello().server_name());
    match timeout_at(end, begun.into_stream(config).into_fallible()).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err((error, stream))) => Err((Failed::of(&error), error, Some(stream))),
        Err(_) => Err((Failed::Timeout, io::ErrorKind::TimedOut.into(), None)),
    }
}

/// Closes what [`accept`] gave back, so that the client can read the alert: what it has sent meanwhile is read too, or a RST
/// would overtake it. A client that has gone is not waited for, and `stop` cuts this short.
pub async fn close<S: AsyncRead + AsyncWrite + Unpin>(why: Failed, stream: Option<S>, stop: &Stop) {
    let Some(mut stream) = stream.filter(|_| why != Failed::Gone) else { return };
    let close = async {
        // Fails where the client has reset the connection.
        let _ = stream.shutdown().await;
        linger(&mut stream).await;
    };
    tokio::select! {
        () = close => {}
        () = stop.cancelled() => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Users are told how to give this authority to a browser: it must not be able to speak for a site of somebody else.
    #[test]
    fn the_built_in_world_speaks_for_nobody_else() {
        let scope = scope(&World::built_in());
        // RFC 6761 §6.2 and §6.3, RFC 6762 §3.
        let special = ["test", "localhost", "local"];
        assert!(scope.has_name("www.example.local") && scope.has_name("www.example.test"));
        for name in scope.names() {
            let top = name.rsplit('.').next().unwrap();
            assert!(special.contains(&top), "{name}");
            assert!(name.contains('.') || name == "localhost", "{name} is all of a top-level domain");
        }
        for net in scope.networks() {
            for ip in [net.network(), net.broadcast()] {
                let is_private = match ip {
                    IpAddr::V4(ip) => ip.is_private() || ip.is_loopback(),
                    IpAddr::V6(ip) => ip.is_unique_local() || ip.is_loopback(),
                };
                assert!(is_private, "{net}");
            }
        }
    }
}

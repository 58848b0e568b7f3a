//! A service's side of TLS: its certificate, from the lab's authority, and handshakes that cannot be held up.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
    time::{Duration, SystemTime},
};

use ca::{Authority, Scope};
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use world::World;

use crate::{Stop, Told, linger};

/// What the authority of this world may speak for.
pub fn scope(world: &World) -> Scope {
    Scope::new(world.tls_names(), [world.network.v4.into(), world.network.v6.into()])
}

impl Told {
    /// The host's side of TLS, with a fresh key and a certificate for its names, its addresses and loopback, where the
    /// sockets of the embedded lab are; none where it was given no authority. `alpn` as [`ca::server_config`] wants it.
    pub fn server_config(&self, alpn: &[&str]) -> Result<Option<Arc<ServerConfig>>, ca::Error> {
        let Some(authority) = &self.authority else { return Ok(None) };
        Ok(Some(Arc::new(ca::server_config(self.issue(authority)?, alpn))))
    }

    fn issue(&self, authority: &Authority) -> Result<rustls::sign::CertifiedKey, ca::Error> {
        let mut names = self.host.tls_names(&self.world.network);
        names.push("localhost".to_owned());
        let loopback: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        let addresses: Vec<IpAddr> = self.host.addresses.iter().copied().chain(loopback).collect();
        authority.issue(&names, &addresses, SystemTime::now())
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

//! TLS before HTTP: the handshake, and what was agreed on.

use std::{io, net::SocketAddr, sync::Arc};

use rustls::{ServerConfig, ServerConnection};
use serde_json::{Value, json};
use service::tls::{self, Failed, Flaw};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tracing::{debug, warn};
use world::fault::Kind;

use super::{connection::Accepted, stream::Socket};
use crate::{Server, disturb};

/// The protocols offered, the better one first (RFC 7301).
pub(crate) const ALPN: [&str; 2] = ["h2", "http/1.1"];

/// What was agreed on in a handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tls {
    version: &'static str,
    cipher: &'static str,
    alpn: Option<&'static str>,
    server_name: Option<String>,
}

impl Tls {
    fn of(connection: &ServerConnection) -> Self {
        let chosen = connection.alpn_protocol();
        Self {
            version: match connection.protocol_version() {
                Some(rustls::ProtocolVersion::TLSv1_3) => "TLS 1.3",
                // There is no third, see `ca::server_config`.
                _ => "TLS 1.2",
            },
            cipher: connection.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str()).unwrap_or_default(),
            alpn: ALPN.into_iter().find(|name| chosen == Some(name.as_bytes())),
            server_name: connection.server_name().map(str::to_owned),
        }
    }

    /// Whether HTTP/2 follows (RFC 9113 §3.2).
    pub(crate) fn is_http_2(&self) -> bool {
        self.alpn == Some(ALPN[0])
    }

    pub(crate) fn version(&self) -> &'static str {
        self.version
    }

    pub(crate) fn json(&self) -> Value {
        json!({ "version": self.version, "cipher": self.cipher, "alpn": self.alpn, "server_name": self.server_name })
    }
}

/// Shakes hands with a client, or counts and says why not. It ends with the server; a client that stalls has as long as
/// for a request's head.
pub(crate) async fn handshake(
    server: &Server,
    config: Arc<ServerConfig>,
    stream: TcpStream,
    accepted: Accepted,
) -> Option<(TlsStream<Socket>, Tls)> {
    let shaken = tokio::select! {
        shaken = shake(server, config, Socket::new(stream), accepted) => shaken,
        () = server.stop.cancelled() => return None,
    };
    match shaken {
        Ok(stream) => {
            let tls = Tls::of(stream.get_ref().1);
            Some((stream, tls))
        }
        Err((why, error, stream)) => {
            server.metrics.unshaken(why);
            debug!(peer = %accepted.peer, why = why.as_str(), %error, "no TLS");
            tls::close(why, stream, &server.stop).await;
            None
        }
    }
}

type Shaken = Result<TlsStream<Socket>, (Failed, io::Error, Option<Socket>)>;

/// With the host's certificate, or the one that a fault has it show.
async fn shake(server: &Server, config: Arc<ServerConfig>, socket: Socket, accepted: Accepted) -> Shaken {
    let limit = server.config.limits.read;
    if server.faults.is_empty() {
        return tls::accept(config, socket, limit).await;
    }
    let choose = |name: Option<&str>| flawed(server, name, accepted.peer).unwrap_or(config);
    tls::accept_by_name(choose, socket, limit).await
}

fn flawed(server: &Server, name: Option<&str>, peer: SocketAddr) -> Option<Arc<ServerConfig>> {
    let flaw = match disturb::handshake(server, name, peer)?.kind {
        Kind::TlsExpired => Flaw::Expired,
        Kind::TlsWrongName => Flaw::WrongName,
        Kind::TlsUntrusted => Flaw::Untrusted,
        _ => return None,
    };
    let made = server.config.flawed.as_ref()?.server_config(flaw);
    made.inspect_err(|error| warn!(%error, ?flaw, "there is no such certificate, so the right one is shown")).ok()
}

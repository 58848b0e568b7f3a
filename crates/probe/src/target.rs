//! What is to be visited: scheme, host, port and path.

use std::net::IpAddr;

/// What is to be visited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// What is spoken there.
    pub scheme: Scheme,
    /// Where.
    pub host: Host,
    /// The port.
    pub port: u16,
    /// Path and query, secrets included; empty for schemes without.
    pub path: String,
    /// The value of the `Host` field: host, and port unless it is the scheme's own.
    pub authority: String,
}

/// What is spoken with a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// HTTP over TCP.
    Http,
    /// HTTP over TLS over TCP.
    Https,
    /// Bytes over TCP.
    Tcp,
    /// Datagrams.
    Udp,
}

impl Scheme {
    /// As it is written in a URL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }

    pub(crate) fn of(text: &str) -> Option<Self> {
        [Self::Http, Self::Https, Self::Tcp, Self::Udp].into_iter().find(|scheme| scheme.as_str() == text)
    }
}

/// The host of a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// A name, in its ASCII form, lower case.
    Name(String),
    /// An address.
    Ip(IpAddr),
}

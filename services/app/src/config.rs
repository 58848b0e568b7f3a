//! What an application server is told, checked.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use rustls::ServerConfig;
use service::{Configured, tls::Flawed};

use crate::http::{ALPN, MEMORY};

/// Shorter limits could not hold the request line and `Host` of an ordinary client.
const SMALLEST_HEAD: usize = 256;

/// What one application server needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// The host's name.
    pub host: String,
    /// Its addresses in the world, whatever sockets stand in for them.
    pub addresses: Vec<IpAddr>,
    /// The world's port of HTTP.
    pub http_port: u16,
    /// The world's port of HTTPS.
    pub https_port: u16,
    /// Its side of TLS; without it, it cannot serve HTTPS.
    pub tls: Option<Arc<ServerConfig>>,
    /// The same with certificates that faults want.
    pub flawed: Option<Flawed>,
    /// The world's port of `talk`.
    pub talk_port: u16,
    /// The world's port of `echo`.
    pub echo_port: u16,
    /// Names at or under these are the lab's own; fully qualified, lower case.
    pub names: Vec<String>,
    /// The hosts that may be clients, with their addresses in the world.
    pub clients: Vec<(String, Vec<IpAddr>)>,
    /// How much clients may use.
    pub limits: Limits,
}

/// How much clients may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections open at once on each port; more wait in the accept queue.
    pub connections: usize,
    /// Bytes of a request's head.
    pub head_bytes: usize,
    /// Bytes of a request's body.
    pub body_bytes: u64,
    /// For a TLS handshake, for a request's head, for the next bytes of its body, and for a client to take the next bytes of a response.
    pub read: Duration,
    /// For the next request on a kept-alive connection to begin.
    pub idle: Duration,
    /// Bytes of memory for the requests of HTTP/2 that are under way, on all connections; the first of each connection comes
    /// on top.
    pub memory: usize,
}

/// Whoever visits, as the world calls him.
const YOU: &str = "you";

fn clients(told: &Configured) -> Vec<(String, Vec<IpAddr>)> {
    let hosts = told.world.hosts.iter().map(|(name, host)| (name.clone(), host.addresses.clone()));
    hosts.chain([(YOU.to_owned(), told.world.network.you.clone())]).collect()
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The host runs something else.
    #[error("host {host} is no application server: it has no `app`")]
    NoApp {
        /// The host.
        host: String,
    },
    /// A value that makes no sense.
    #[error("host {host}: app.{key} = {value}: {why}")]
    Value {
        /// The host.
        host: String,
        /// The key.
        key: &'static str,
        /// Its value.
        value: u64,
        /// What is wrong with it.
        why: &'static str,
    },
    /// There is no certificate for it.
    #[error("host {host}: {source}")]
    Certificate {
        /// The host.
        host: String,
        /// Why.
        source: ca::Error,
    },
}

impl Config {
    /// What the world says about this host.
    pub fn new(told: &Configured) -> Result<Self, ConfigError> {
        let host = told.name.clone();
        let Some(app) = &told.host.app else { return Err(ConfigError::NoApp { host }) };
        let check = |fine: bool, key, value, why| {
            if fine { Ok(()) } else { Err(ConfigError::Value { host: host.clone(), key, value, why }) }
        };
        check(app.connections > 0, "connections", 0, "nobody could connect")?;
        let head = app.max_head_bytes;
        check(head >= SMALLEST_HEAD, "max_head_bytes", head as u64, "no client's request fits; at least 256")?;
        check(app.read_timeout_ms > 0, "read_timeout_ms", 0, "no client is that fast")?;
        check(app.idle_timeout_ms > 0, "idle_timeout_ms", 0, "no client is that fast")?;
        for (port, key, others) in [
            (
                app.talk_port,
                "talk_port",
                [(app.http_port, "http_port is the same"), (app.https_port, "https_port is the same")],
            ),
            (
                app.https_port,
                "https_port",
                [(app.http_port, "http_port is the same"), (app.talk_port, "talk_port is the same")],
            ),
        ] {
            for (other, why) in others {
                // Port 0 is any free one.
                check(port != other || port == 0, key, port.into(), why)?;
            }
        }
        let limits = Limits {
            connections: app.connections,
            head_bytes: app.max_head_bytes,
            body_bytes: app.max_body_bytes,
            read: Duration::from_millis(app.read_timeout_ms),
            idle: Duration::from_millis(app.idle_timeout_ms),
            memory: MEMORY,
        };
        let tls =
            told.server_config(&ALPN).map_err(|source| ConfigError::Certificate { host: host.clone(), source })?;
        Ok(Self {
            host,
            addresses: told.host.addresses.clone(),
            http_port: app.http_port,
            https_port: app.https_port,
            tls,
            flawed: told.flawed(&ALPN),
            talk_port: app.talk_port,
            echo_port: app.echo_port,
            names: told.world.network.names.clone(),
            clients: clients(told),
            limits,
        })
    }

    /// Whether this address is that host's. On loopback the program that runs the lab is the only one that stands for none of
    /// the world's addresses.
    pub(crate) fn is_client(&self, host: &str, ip: IpAddr) -> bool {
        let has = |(name, addresses): &(String, Vec<IpAddr>)| name == host && addresses.contains(&ip);
        self.clients.iter().any(has) || host == YOU && ip.is_loopback()
    }

    /// The world's address that a real socket stands for: in the embedded lab a socket on loopback stands for the host's
    /// address of the same family; elsewhere it is that address.
    pub(crate) fn in_world(&self, socket: SocketAddr, port: u16) -> SocketAddr {
        let ip = socket.ip();
        let same_family = |known: &&IpAddr| known.is_ipv4() == ip.is_ipv4();
        if self.addresses.contains(&ip) {
            return SocketAddr::new(ip, port);
        }
        self.addresses.iter().find(same_family).map_or(socket, |known| SocketAddr::new(*known, port))
    }
}

#[cfg(test)]
mod tests {
    use world::{Files, World};

    use super::*;

    fn told(host: &str, change: impl FnOnce(&mut world::App)) -> Configured {
        let world = World::built_in();
        let mut told = Configured {
            name: host.to_owned(),
            host: world.hosts[host].clone(),
            world: world.clone(),
            files: Files::BuiltIn,
            authority: None,
        };
        told.host.app.as_mut().map(change);
        told
    }

    #[test]
    fn the_built_in_world() {
        let config = Config::new(&told("app1", |_| {})).unwrap();
        assert_eq!((config.host.as_str(), config.http_port, config.limits.connections), ("app1", 80, 1024));
        let check = |socket: &str, expected: &str| {
            assert_eq!(config.in_world(socket.parse().unwrap(), 80).to_string(), expected);
        };
        let [v4, v6] = [0, 1].map(|index| SocketAddr::new(config.addresses[index], 80).to_string());
        check("127.0.0.1:41234", &v4);
        check("[::1]:41234", &v6);
        check(&v4, &v4);
        check("[::ffff:1.2.3.4]:5", &v6);
    }

    #[test]
    fn refused_with_the_key() {
        let check = |change: fn(&mut world::App), expected: &str| {
            assert_eq!(Config::new(&told("app2", change)).unwrap_err().to_string(), expected);
        };
        check(|app| app.connections = 0, "host app2: app.connections = 0: nobody could connect");
        check(|app| app.talk_port = 80, "host app2: app.talk_port = 80: http_port is the same");
        check(|app| app.https_port = 80, "host app2: app.https_port = 80: http_port is the same");
        check(|app| app.https_port = 8080, "host app2: app.talk_port = 8080: https_port is the same");
        assert!(Config::new(&told("app2", |app| app.max_head_bytes = 100)).is_err());
        assert!(Config::new(&told("app2", |app| app.read_timeout_ms = 0)).is_err());
        assert_eq!(
            Config::new(&told("root", |_| {})).unwrap_err().to_string(),
            "host root is no application server: it has no `app`"
        );
    }
}

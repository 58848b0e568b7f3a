//! Hosts that the lab does not start, since another vendor's server plays them.

use std::net::SocketAddr;

use crate::{Host, Network, Protocol};

/// What such a host offers where its description does not say more: the services that every server of its role has.
const USUAL: [&str; 3] = ["dns", "http", "https"];

impl Host {
    /// Whether it offers this service. A host that another vendor's server plays has no admin port, and of what is this
    /// lab's own only what its description names.
    pub(crate) fn offers(&self, service: &str) -> bool {
        match &self.played_by {
            None => true,
            Some(_) if self.sockets.is_empty() => USUAL.contains(&service),
            Some(_) => self.sockets.contains_key(service),
        }
    }

    /// The socket that really listens for one of this host's addresses where the lab is on loopback: the one that was
    /// told of the address's family.
    pub fn told_socket(&self, service: &str, address: SocketAddr) -> Option<SocketAddr> {
        self.sockets.get(service)?.iter().find(|socket| socket.is_ipv4() == address.is_ipv4()).copied()
    }

    /// What has to be written into its description for a lab on loopback, where that is missing.
    pub fn missing_sockets(&self, network: &Network) -> Option<String> {
        let by = self.played_by.as_ref()?;
        if !self.sockets.is_empty() {
            return None;
        }
        let mut services: Vec<_> = self.listens(network).into_iter().map(|(service, ..)| service).collect();
        services.sort_unstable();
        services.dedup();
        let lines = services.iter().map(|service| format!("sockets.{service} = [\"127.0.0.1:PORT\", \"[::1]:PORT\"]"));
        Some(format!(
            "it is played by {by}, and on loopback its description has to say where that listens: {}",
            lines.collect::<Vec<_>>().join(" and ")
        ))
    }

    /// What is wrong with what its description says of that.
    pub(crate) fn check_played(&self) -> Result<(), String> {
        if self.played_by.is_none() {
            return match self.sockets.is_empty() {
                true => Ok(()),
                false => Err("sockets are told of a host that the lab does not start: played_by = \"NSD 4.6\", say, \
                              names what plays it"
                    .to_owned()),
            };
        }
        if self.played_by.as_deref().is_some_and(|by| by.trim().is_empty()) {
            return Err("played_by must say what plays it: \"NSD 4.6\", say".to_owned());
        }
        let known = self.services();
        for (service, sockets) in &self.sockets {
            if !known.contains(&service.as_str()) {
                return Err(format!("sockets.{service}: it has no such service; services: {}", known.join(", ")));
            }
            if sockets.is_empty() {
                return Err(format!("sockets.{service} must not be empty: [\"127.0.0.1:PORT\", \"[::1]:PORT\"]"));
            }
            let (v4, v6) = sockets.iter().partition::<Vec<&SocketAddr>, _>(|socket| socket.is_ipv4());
            if v4.len() > 1 || v6.len() > 1 {
                return Err(format!("sockets.{service}: one socket of each address family is enough"));
            }
            if let Some(socket) = sockets.iter().find(|socket| !socket.ip().is_loopback() || socket.port() == 0) {
                return Err(format!(
                    "sockets.{service}: {socket} is no socket on loopback: an address of it and a port"
                ));
            }
        }
        Ok(())
    }

    /// The names of the services that a server of its role can have, but for the admin port.
    fn services(&self) -> Vec<&'static str> {
        let mut names: Vec<&str> = self.ports().into_iter().map(|(service, ..)| service).collect();
        names.dedup();
        names
    }

    /// The ports of its role, but for the admin port: service, transport, port.
    pub(crate) fn ports(&self) -> Vec<(&'static str, Protocol, u16)> {
        use Protocol::{Tcp, Udp};
        let mut ports = Vec::new();
        if let Some(port) = self.nameserver.as_ref().map(|s| s.port).or_else(|| self.resolver.as_ref().map(|s| s.port))
        {
            ports.extend([("dns", Udp, port), ("dns", Tcp, port)]);
        }
        if let Some(resolver) = &self.resolver {
            ports.extend([("dot", Tcp, resolver.dot_port), ("doh", Tcp, resolver.doh_port)]);
        }
        if let Some(app) = &self.app {
            ports.extend([
                ("http", Tcp, app.http_port),
                ("https", Tcp, app.https_port),
                ("talk", Tcp, app.talk_port),
                ("echo", Udp, app.echo_port),
            ]);
            ports.extend(app.stall_port.map(|port| ("stall", Tcp, port)));
        }
        ports
    }
}

#[cfg(test)]
mod tests {
    use crate::{AddressBook, Files, World};

    /// The built-in world with these lines added to a host.
    fn with(host: &str, lines: &str) -> Result<World, String> {
        let head = format!("[hosts.{host}]\n");
        let text = Files::BuiltIn.read("world.toml").unwrap().replace(&head, &format!("{head}{lines}\n"));
        World::parse(&text, "w.toml").map_err(|error| error.to_string())
    }

    /// What the host listens on, as `dns/udp`.
    fn services(world: &World, host: &str) -> Vec<&'static str> {
        let mut names: Vec<_> = world.hosts[host].listens(&world.network).into_iter().map(|(name, ..)| name).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    #[test]
    fn it_offers_what_every_server_of_its_role_does_or_what_is_told() {
        let check = |host: &str, lines: &str, expected: &[&str]| {
            assert_eq!(services(&with(host, lines).unwrap(), host), expected, "{host}: {lines}");
        };
        check("auth1", "", &["admin", "dns"]);
        check("auth1", "played_by = \"NSD 4.6\"", &["dns"]);
        check("resolver", "played_by = \"Unbound 1.17\"", &["dns"]);
        check("app1", "played_by = \"nginx\"", &["http", "https"]);
        check("app1", "played_by = \"nginx\"\nsockets.http = [\"127.0.0.1:8080\"]", &["http"]);
        let dot = "played_by = \"Unbound\"\nsockets = { dns = [\"127.0.0.1:53\"], dot = [\"[::1]:853\"] }";
        check("resolver", dot, &["dns", "dot"]);
    }

    #[test]
    fn a_wrong_description_says_what_is_needed() {
        let check = |host: &str, lines: &str, expected: &str| {
            let error = with(host, lines).unwrap_err();
            assert!(error.starts_with(&format!("w.toml: host {host}: ")) && error.contains(expected), "{error}");
        };
        check("auth1", "sockets.dns = [\"127.0.0.1:53\"]", "played_by = \"NSD 4.6\", say, names what plays it");
        check("auth1", "played_by = \" \"", "played_by must say what plays it");
        check("auth1", "played_by = \"NSD\"\nsockets.http = [\"127.0.0.1:80\"]", "no such service; services: dns");
        check(
            "app1",
            "played_by = \"nginx\"\nsockets.admin = [\"127.0.0.1:80\"]",
            "services: http, https, talk, echo, stall",
        );
        check("auth1", "played_by = \"NSD\"\nsockets.dns = []", "must not be empty");
        check(
            "auth1",
            "played_by = \"NSD\"\nsockets.dns = [\"10.78.2.31:53\"]",
            "10.78.2.31:53 is no socket on loopback",
        );
        check("auth1", "played_by = \"NSD\"\nsockets.dns = [\"127.0.0.1:0\"]", "is no socket on loopback");
        let two = "played_by = \"NSD\"\nsockets.dns = [\"127.0.0.1:53\", \"127.0.0.2:53\"]";
        check("auth1", two, "one socket of each address family");
        let missing = with("app1", "played_by = \"nginx 1.22\"").unwrap();
        assert_eq!(
            missing.hosts["app1"].missing_sockets(&missing.network).unwrap(),
            "it is played by nginx 1.22, and on loopback its description has to say where that listens: sockets.http = \
             [\"127.0.0.1:PORT\", \"[::1]:PORT\"] and sockets.https = [\"127.0.0.1:PORT\", \"[::1]:PORT\"]"
        );
    }

    #[test]
    fn the_book_says_who_plays() {
        let world = with("auth1", "played_by = \"NSD 4.6\"").unwrap();
        let book = AddressBook::direct(&world);
        let host = book.host("auth1").unwrap();
        assert_eq!(host.played_by.as_deref(), Some("NSD 4.6"));
        assert!(host.services.iter().all(|service| service.name == "dns") && host.services.len() == 4);
        assert!(book.host("auth2").unwrap().played_by.is_none());
        let text = serde_json::to_string(&book).unwrap();
        assert_eq!(text.matches("played_by").count(), 1);
        assert_eq!(serde_json::from_str::<AddressBook>(&text).unwrap(), book);
    }
}

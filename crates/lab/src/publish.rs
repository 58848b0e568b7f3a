//! Services that are published: at fixed sockets beside those on loopback, for whoever is to reach them from elsewhere.
//!
//! Ports are those of the service. Where a further host has the same service, its ports are 8000 and so many hundreds
//! above: `app1` is at 80 and 443, `app2` at 8180 and 8543.

use std::{fmt, net::SocketAddr, str::FromStr};

use world::{Host, Protocol, Published, World};

use crate::{
    LabError,
    sockets::{ADMIN, HostSockets},
};

/// A service of a host, and where it is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// The host.
    pub host: String,
    /// The service: `dns`, `http`.
    pub service: String,
    /// Where; port 0 is one of the kernel's choice.
    pub socket: SocketAddr,
}

impl FromStr for Publish {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let how = "HOST/SERVICE=ADDRESS:PORT is needed, as in resolver/dns=0.0.0.0:53";
        let (what, socket) = text.split_once('=').ok_or(how)?;
        let (host, service) = what.split_once('/').ok_or(how)?;
        let socket = socket.parse().map_err(|_| format!("{socket:?} is no ADDRESS:PORT; {how}"))?;
        Ok(Self { host: host.to_owned(), service: service.to_owned(), socket })
    }
}

impl fmt::Display for Publish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}={}", self.host, self.service, self.socket)
    }
}

/// What clients of a lab use, at this address: DNS and DNS over TLS of its resolvers, HTTP and HTTPS of its application
/// servers. Hosts that others play, and those that are left out, have nothing to publish.
pub fn usual(world: &World, without: &[String], ip: std::net::IpAddr) -> Vec<Publish> {
    let plays = |(name, host): &(&String, &Host)| host.played_by.is_none() && !without.contains(name);
    let mut all = Vec::new();
    let (mut resolvers, mut apps) = (0, 0);
    for (name, host) in world.hosts.iter().filter(plays) {
        let (services, nth) = match host {
            Host { resolver: Some(_), .. } => (["dns", "dot"], &mut resolvers),
            Host { app: Some(_), .. } => (["http", "https"], &mut apps),
            _ => continue,
        };
        for service in services {
            let listens = host.listens(&world.network);
            let port = listens.iter().find(|(name, ..)| *name == service).map(|(.., address)| address.port());
            let port = port.and_then(|port| if *nth == 0 { Some(port) } else { port.checked_add(8000 + 100 * *nth) });
            let at =
                |port| Publish { host: name.clone(), service: service.to_owned(), socket: SocketAddr::new(ip, port) };
            all.extend(port.map(at));
        }
        *nth += 1;
    }
    all
}

/// Opens the sockets of what this host has published.
pub(crate) fn open(
    publish: &[Publish],
    name: &str,
    world: &World,
    sockets: &mut HostSockets,
) -> Result<Vec<Published>, LabError> {
    let mut opened: Vec<Published> = Vec::new();
    let listens = world.hosts[name].listens(&world.network);
    for one in publish.iter().filter(|one| one.host == name) {
        let mut ways: Vec<(&'static str, Protocol)> = listens.iter().map(|(name, how, _)| (*name, *how)).collect();
        ways.dedup();
        let mut socket = one.socket;
        for (service, protocol) in [Protocol::Udp, Protocol::Tcp].into_iter().filter_map(|protocol| {
            ways.iter().copied().find(|(service, how)| *service == one.service && *how == protocol)
        }) {
            // Over TCP the port is the one that UDP has.
            socket = sockets
                .bound
                .bind(service, protocol, socket, false)
                .map_err(|source| LabError::NotPublished { source, instead: instead(publish) })?;
            opened.push(Published { name: service.to_owned(), protocol, socket });
        }
    }
    Ok(opened)
}

/// The same services at ports that every user may have, and that no usual service has: 8053 for 53, 8080 for 80.
fn instead(publish: &[Publish]) -> String {
    let high = |one: &Publish| {
        let mut one = one.clone();
        if (1..1024).contains(&one.socket.port()) {
            one.socket.set_port(8000 + one.socket.port());
        }
        format!("--publish {one}")
    };
    publish.iter().map(high).collect::<Vec<_>>().join(" ")
}

/// Whether all of it is there to be published; the error lists what is.
pub(crate) fn check(publish: &[Publish], world: &World, without: &[String]) -> Result<(), LabError> {
    for one in publish {
        let wrong = |why: String| LabError::Publish { what: one.to_string(), why };
        let runs = |(name, host): &(&String, &Host)| host.played_by.is_none() && !without.contains(name);
        let Some((_, host)) = world.hosts.iter().filter(runs).find(|(name, _)| **name == one.host) else {
            let known: Vec<&str> = world.hosts.iter().filter(runs).map(|(name, _)| name.as_str()).collect();
            return Err(wrong(format!("this lab runs no host {:?}; hosts: {}", one.host, known.join(", "))));
        };
        if one.service == ADMIN {
            let why = "whoever reaches it can break the host and put its clock forward; it stays on this machine, where `visit \
                       lab fault` finds it by the address book";
            return Err(wrong(format!("the admin port is not published: {why}")));
        }
        let all = host.listens(&world.network).into_iter().map(|(service, ..)| service);
        let mut services: Vec<&str> = all.filter(|service| *service != ADMIN).collect();
        services.sort_unstable();
        services.dedup();
        if !services.contains(&one.service.as_str()) {
            let known = services.join(", ");
            return Err(wrong(format!("{} has no service {:?}; services: {known}", one.host, one.service)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_ones() {
        let check = |without: &[&str], expected: &str| {
            let without: Vec<String> = without.iter().map(ToString::to_string).collect();
            let all = usual(&World::built_in(), &without, [0, 0, 0, 0].into());
            assert_eq!(all.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "), expected);
        };
        let resolver = "resolver/dns=0.0.0.0:53 resolver/dot=0.0.0.0:853";
        let app2 = "app2/http=0.0.0.0:8180 app2/https=0.0.0.0:8543";
        check(&[], &format!("app1/http=0.0.0.0:80 app1/https=0.0.0.0:443 {app2} {resolver}"));
        check(&["resolver", "app1"], "app2/http=0.0.0.0:80 app2/https=0.0.0.0:443");
    }

    #[test]
    fn ports_that_cannot_be_had_have_others_in_their_place() {
        let usual = usual(&World::built_in(), &["app2".to_owned()], [0, 0, 0, 0].into());
        let said = "--publish app1/http=0.0.0.0:8080 --publish app1/https=0.0.0.0:8443 --publish resolver/dns=0.0.0.0:8053 \
                    --publish resolver/dot=0.0.0.0:8853";
        assert_eq!(instead(&usual), said);
        let free: Publish = "app1/talk=[::]:0".parse().unwrap();
        assert_eq!(instead(&[free]), "--publish app1/talk=[::]:0");
    }

    #[test]
    fn read_and_checked() {
        let world = World::built_in();
        let told = |text: &str| {
            let one: Publish = text.parse()?;
            check(&[one], &world, &["app2".to_owned()]).map_err(|error| error.to_string())
        };
        assert_eq!(told("resolver/dns=[::1]:53"), Ok(()));
        let refused = |text: &str, expected: &str| {
            let why = told(text).unwrap_err();
            assert!(why.contains(expected), "{text}: {why}");
        };
        refused("resolver=0.0.0.0:53", "HOST/SERVICE=ADDRESS:PORT is needed");
        refused("resolver/dns=53", "\"53\" is no ADDRESS:PORT");
        refused("app2/http=0.0.0.0:80", "this lab runs no host \"app2\"; hosts: app1, auth1");
        refused("app1/dns=0.0.0.0:53", "app1 has no service \"dns\"; services: echo, http, https, stall, talk");
        refused("app1/admin=0.0.0.0:9080", "the admin port is not published: whoever reaches it can break the host");
        refused("resolver/admin=127.0.0.1:0", "the admin port is not published");
    }
}

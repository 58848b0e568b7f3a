//! The world as a network of namespaces: its hosts on their segments, the router between them, and whoever visits.

use std::{
    collections::HashSet,
    net::{IpAddr, Ipv4Addr},
};

use ipnet::IpNet;
use netlab::net::{Host, Interface, Plan};
use world::{Network, World};

use crate::LabError;

/// The host that visits are made from.
pub const YOU: &str = "you";
/// The host between the segments.
pub const ROUTER: &str = "router";

/// The network of this world, with so many clients; the first of them is [`YOU`].
pub(crate) fn plan(world: &World, clients: usize) -> Result<Plan, LabError> {
    let network = &world.network;
    if network.segments.is_empty() || network.you.is_empty() {
        return Err(LabError::NoSegments);
    }
    let mut hosts: Vec<Host> = Vec::new();
    let mut add = |name: &str, addresses: &[IpAddr]| {
        hosts.push(host(network, name, addresses));
    };
    for (name, host) in &world.hosts {
        add(name, &host.addresses);
    }
    add(YOU, &network.you);
    for (nth, addresses) in further(world, clients.saturating_sub(1))?.into_iter().enumerate() {
        add(&format!("client{}", nth + 2), &addresses);
    }
    hosts.push(router(network));
    Ok(Plan { segments: network.segments.keys().cloned().collect(), hosts })
}

fn host(network: &Network, name: &str, addresses: &[IpAddr]) -> Host {
    // A world whose hosts are not each on one segment is not read.
    let segments = network.segments.values().enumerate();
    let mut mine = segments.filter(|(_, segment)| addresses.iter().all(|ip| segment.network_of(*ip).is_some()));
    let (interfaces, gateways) = match mine.next() {
        Some((nth, segment)) => {
            let addresses = addresses.iter().filter_map(|ip| on(*ip, segment.network_of(*ip)?)).collect();
            (vec![Interface { segment: nth, addresses }], segment.router.clone())
        }
        None => (Vec::new(), Vec::new()),
    };
    Host { name: name.to_owned(), interfaces, gateways, forwards: false }
}

fn router(network: &Network) -> Host {
    let interface = |(nth, segment): (usize, &world::Segment)| Interface {
        segment: nth,
        addresses: segment.router.iter().filter_map(|ip| on(*ip, segment.network_of(*ip)?)).collect(),
    };
    let interfaces = network.segments.values().enumerate().map(interface).collect();
    Host { name: ROUTER.to_owned(), interfaces, gateways: Vec::new(), forwards: true }
}

fn on(ip: IpAddr, network: IpNet) -> Option<IpNet> {
    IpNet::new(ip, network.prefix_len()).ok()
}

/// Addresses for so many more clients: the free ones of the segment of [`YOU`], each with the IPv6 address whose last
/// part is written the same.
fn further(world: &World, count: usize) -> Result<Vec<Vec<IpAddr>>, LabError> {
    let network = &world.network;
    let segment = network.segment_of(&network.you).and_then(|name| network.segments.get(name));
    let segment = segment.ok_or(LabError::NoSegments)?;
    let of_hosts = world.hosts.values().flat_map(|host| &host.addresses);
    let taken: HashSet<IpAddr> = of_hosts.chain(&network.you).chain(&segment.router).copied().collect();
    let is_free = |ip: &Ipv4Addr| !taken.contains(&IpAddr::V4(*ip));
    let free: Vec<Ipv4Addr> = segment.v4.hosts().filter(is_free).take(count).collect();
    if free.len() < count {
        return Err(LabError::TooManyClients { wanted: count + 1, most: free.len() + 1, segment: segment.v4 });
    }
    let mut taken = taken;
    let mut both = |v4: Ipv4Addr| {
        let written = u128::from_str_radix(&v4.octets()[3].to_string(), 16).unwrap_or_default();
        let at = |number: u128| IpAddr::V6((segment.v6.network().to_bits() | number).into());
        // Where another has that one, the first that is free behind what is written so.
        let v6 = [written].into_iter().chain(0x1000..).map(at).find(|ip| taken.insert(*ip))?;
        Some(vec![IpAddr::V4(v4), v6])
    };
    Ok(free.into_iter().filter_map(&mut both).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_world() {
        let plan = plan(&World::built_in(), 3).unwrap();
        assert_eq!(plan.segments, ["clients", "servers"]);
        let show = |name: &str| {
            let host = plan.hosts.iter().find(|host| host.name == name).unwrap();
            let one = |interface: &Interface| {
                let addresses = interface.addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
                format!("{}: {addresses}", plan.segments[interface.segment])
            };
            let gateways = host.gateways.iter().map(|ip| format!(" via {ip}")).collect::<String>();
            host.interfaces.iter().map(one).collect::<Vec<_>>().join("; ") + &gateways
        };
        let clients = " via 10.78.1.1 via fd10:78:1ab::1:1";
        assert_eq!(show("you"), format!("clients: 10.78.1.100/24 fd10:78:1ab::1:100/112{clients}"));
        assert_eq!(show("client2"), format!("clients: 10.78.1.2/24 fd10:78:1ab::1:2/112{clients}"));
        assert_eq!(show("client3"), format!("clients: 10.78.1.3/24 fd10:78:1ab::1:3/112{clients}"));
        let servers = "servers: 10.78.2.81/24 fd10:78:1ab::2:81/112 via 10.78.2.1 via fd10:78:1ab::2:1";
        assert_eq!(show("app1"), servers);
        let router = "clients: 10.78.1.1/24 fd10:78:1ab::1:1/112; servers: 10.78.2.1/24 fd10:78:1ab::2:1/112";
        assert_eq!(show("router"), router);
    }

    #[test]
    fn too_many_clients() {
        let clients = |count| further(&World::built_in(), count).map(|all| all.len());
        assert_eq!(clients(251).unwrap(), 251);
        let error = clients(252).unwrap_err().to_string();
        assert_eq!(error, "10.78.1.0/24 has room for 252 clients, not for 253");
    }
}

//! Where a walk from the root begins: at the lab's own root, or at the internet's thirteen.

use std::net::{IpAddr, SocketAddr};

use hickory_proto::rr::Name;
use journey::root_walk::Learned;
use world::AddressBook;

use super::{Candidate, Delegation};

/// The root's name servers as IANA publishes them (<https://www.internic.net/domain/named.root>), as of 2024-06-14; the
/// letters' names are all under `root-servers.net.`
const ROOTS: [(char, &str, &str); 13] = [
    ('a', "198.41.0.4", "2001:503:ba3e::2:30"),
    ('b', "170.247.170.2", "2801:1b8:10::b"),
    ('c', "192.33.4.12", "2001:500:2::c"),
    ('d', "199.7.91.13", "2001:500:2d::d"),
    ('e', "192.203.230.10", "2001:500:a8::e"),
    ('f', "192.5.5.241", "2001:500:2f::f"),
    ('g', "192.112.36.4", "2001:500:12::d0d"),
    ('h', "198.97.190.53", "2001:500:1::53"),
    ('i', "192.36.148.17", "2001:7fe::53"),
    ('j', "192.58.128.30", "2001:503:c27::2:30"),
    ('k', "193.0.14.129", "2001:7fd::1"),
    ('l', "199.7.83.42", "2001:500:9f::42"),
    ('m', "202.12.27.33", "2001:dc3::35"),
];

/// The root zone and its servers; None where a lab's address book names none.
pub(super) fn root(book: Option<&AddressBook>) -> Option<Delegation> {
    let servers = match book {
        Some(book) => of_book(book)?,
        None => built_in(),
    };
    Some(Delegation { zone: Name::root(), parent: None, servers })
}

/// The book knows addresses alone; a host's belong together.
fn of_book(book: &AddressBook) -> Option<Vec<Candidate>> {
    let mut hosts: Vec<(Option<&str>, Candidate)> = Vec::new();
    for &address in &book.roots {
        let learned = Learned::Hints { source: "the lab's address book".to_owned() };
        let host = book.host_of(address.ip());
        match hosts.iter_mut().find(|(other, _)| host.is_some() && *other == host) {
            Some((_, candidate)) => candidate.addresses.push((address, learned)),
            None => hosts.push((host, Candidate { name: None, addresses: vec![(address, learned)], note: None })),
        }
    }
    let servers: Vec<Candidate> = hosts.into_iter().map(|(_, candidate)| candidate).collect();
    (!servers.is_empty()).then_some(servers)
}

fn built_in() -> Vec<Candidate> {
    let one = |(letter, v4, v6): &(char, &str, &str)| {
        let ips = [v4, v6].into_iter().filter_map(|ip| ip.parse::<IpAddr>().ok());
        let learned = Learned::Hints { source: "built in (IANA, 2024-06-14)".to_owned() };
        Candidate {
            name: Name::from_ascii(format!("{letter}.root-servers.net.")).ok(),
            addresses: ips.map(|ip| (SocketAddr::new(ip, 53), learned.clone())).collect(),
            note: None,
        }
    };
    ROOTS.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use world::World;

    use super::*;

    #[test]
    fn the_internets_roots_are_written_right() {
        let root = root(None).unwrap();
        assert_eq!(root.servers.len(), 13);
        for server in &root.servers {
            let families: Vec<bool> = server.addresses.iter().map(|(address, _)| address.is_ipv6()).collect();
            assert_eq!((families.as_slice(), server.name.is_some()), (&[false, true][..], true), "{server:?}");
        }
    }

    #[test]
    fn a_labs_root_is_its_own() {
        let mut book = AddressBook::direct(&World::built_in());
        let servers = root(Some(&book)).unwrap().servers;
        assert_eq!((servers.len(), servers[0].addresses.len()), (1, 2));
        // The internet's roots know nothing of a lab.
        book.roots.clear();
        assert!(root(Some(&book)).is_none());
    }
}

//! Which address families can be asked over.
//!
//! Name servers have addresses of both families, and hickory takes them in turn. Where a machine has no IPv6, every
//! other question would begin with an error; so addresses that cannot be asked are left out from the beginning.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, UdpSocket};

use ipnet::IpNet;
use world::AddressBook;

/// Which address families can be asked over. IPv4 always: a world without it does not exist yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reach {
    pub(crate) v6: bool,
}

impl Reach {
    /// Finds out. Where addresses are stood in for by sockets, the book shows it; otherwise the kernel's routes are asked
    /// for the way into the world's network, by connecting a UDP socket, which sends nothing.
    pub(crate) fn find(book: &AddressBook) -> Self {
        let v6 = if book.closed.is_some() {
            book.hosts.iter().flat_map(|host| &host.services).any(|service| service.address.is_ipv6())
        } else {
            let to = SocketAddr::new(book.v6.addr().into(), 53);
            UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).and_then(|socket| socket.connect(to)).is_ok()
        };
        Self { v6 }
    }

    /// Networks whose servers are not asked.
    pub(crate) fn denied(self) -> Vec<IpNet> {
        if self.v6 { Vec::new() } else { vec!["::/0".parse().expect("a literal network")] }
    }

    /// Those of these addresses that can be asked; all where that would be none, so that the failure names them.
    pub(crate) fn among(self, addresses: impl Iterator<Item = IpAddr>) -> Vec<IpAddr> {
        let all: Vec<IpAddr> = addresses.collect();
        let some: Vec<IpAddr> = all.iter().copied().filter(|ip| self.v6 || ip.is_ipv4()).collect();
        if some.is_empty() { all } else { some }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_ipv6() {
        let (four, six) = ("10.0.0.1".parse().unwrap(), "fd10::1".parse().unwrap());
        let among = |v6, ips: &[IpAddr]| Reach { v6 }.among(ips.iter().copied());
        assert_eq!(among(false, &[four, six]), [four]);
        assert_eq!(among(true, &[four, six]), [four, six]);
        assert_eq!(among(false, &[six]), [six]);
        assert!(Reach { v6: false }.denied()[0].contains(&six));
    }
}

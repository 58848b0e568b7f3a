//! Which address families can be asked over.
//!
//! Name servers have addresses of both families. Where a machine has no IPv6, questions would begin with an error; so
//! addresses that cannot be asked are left out from the beginning.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, UdpSocket};

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

    /// Whether this address can be asked.
    pub(crate) fn reaches(self, ip: IpAddr) -> bool {
        self.v6 || ip.is_ipv4()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_ipv6() {
        let (four, six) = ("10.0.0.1".parse().unwrap(), "fd10::1".parse().unwrap());
        let reaches = |v6| [four, six].map(|ip| Reach { v6 }.reaches(ip));
        assert_eq!((reaches(false), reaches(true)), ([true, false], [true, true]));
    }
}

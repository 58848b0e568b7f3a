//! The sockets of hosts: at the world's addresses, or on loopback where they stand in for these.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use service::{Bound, bind::BindError};
use socket2::{Domain, Socket, Type};
use world::{Closed, Host, Network, Protocol};

use crate::LabError;

/// The name of the admin service's socket.
pub(crate) const ADMIN: &str = "admin";

/// The real sockets of one host.
#[derive(Debug, Default)]
pub(crate) struct HostSockets {
    pub(crate) bound: Bound,
    real: HashMap<(Protocol, SocketAddr), SocketAddr>,
}

impl HostSockets {
    /// A socket on loopback for everything the host listens on; address families that this machine lacks are left out.
    pub(crate) fn on_loopback(host: &Host, network: &Network) -> Result<Self, BindError> {
        let mut sockets = Self::default();
        for (name, protocol, address) in host.listens(network) {
            sockets.stand_in(name, protocol, address)?;
        }
        Ok(sockets)
    }

    /// Sockets at the world's addresses, in the network namespace of the calling thread, for everything but the admin
    /// service.
    pub(crate) fn at_addresses(&mut self, host: &Host, network: &Network) -> Result<(), BindError> {
        for (name, protocol, address) in host.listens(network).into_iter().filter(|(name, ..)| *name != ADMIN) {
            let bound = self.bound.bind(name, protocol, address, false).map(|_| address);
            self.note(protocol, address, bound)?;
        }
        Ok(())
    }

    /// Sockets on loopback, in the network namespace of the calling thread, for the admin service.
    pub(crate) fn admin_beside(&mut self, host: &Host, network: &Network) -> Result<(), BindError> {
        for (name, protocol, address) in host.listens(network).into_iter().filter(|(name, ..)| *name == ADMIN) {
            self.stand_in(name, protocol, address)?;
        }
        Ok(())
    }

    /// A socket on loopback that stands in for this address.
    fn stand_in(&mut self, name: &'static str, protocol: Protocol, address: SocketAddr) -> Result<(), BindError> {
        // The same service over UDP and TCP gets the same port, as clients expect: dig asks again over TCP there.
        let twin = self.real.get(&(other(protocol), address)).map_or(0, SocketAddr::port);
        let loopback = loopback_like(address.ip());
        // Another program may have the twin's port for this protocol; a service on two ports is better than none.
        let bound = self
            .bound
            .bind(name, protocol, SocketAddr::new(loopback, twin), false)
            .or_else(|_| self.bound.bind(name, protocol, SocketAddr::new(loopback, 0), false));
        self.note(protocol, address, bound)
    }

    /// Takes note of a socket; an address family that this machine lacks is left out.
    fn note(
        &mut self,
        protocol: Protocol,
        address: SocketAddr,
        bound: Result<SocketAddr, BindError>,
    ) -> Result<(), BindError> {
        match bound {
            Ok(real) => {
                self.real.insert((protocol, address), real);
                Ok(())
            }
            Err(error) if address.is_ipv6() && no_such_family(&error.source) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The real socket behind one of the world's addresses.
    pub(crate) fn real(&self, protocol: Protocol, address: SocketAddr) -> Option<SocketAddr> {
        self.real.get(&(protocol, address)).copied()
    }
}

/// TCP ports that are bound and never listened on: the kernel refuses connections to them, as a host refuses them on a
/// port without a service.
#[derive(Debug)]
pub(crate) struct Reserved {
    v4: (Socket, SocketAddr),
    v6: Option<(Socket, SocketAddr)>,
}

impl Reserved {
    pub(crate) fn new() -> Result<Self, LabError> {
        let v4 = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let bound = bind_only(v4).map_err(|source| LabError::Reserve { address: v4, source })?;
        Ok(Self { v4: bound, v6: bind_only(Ipv6Addr::LOCALHOST.into()).ok() })
    }

    pub(crate) fn closed(&self) -> Closed {
        Closed { tcp_v4: self.v4.1, tcp_v6: self.v6.as_ref().map(|(_, address)| *address) }
    }
}

fn bind_only(ip: IpAddr) -> io::Result<(Socket, SocketAddr)> {
    let address = SocketAddr::new(ip, 0);
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.bind(&address.into())?;
    let address = socket.local_addr()?.as_socket().expect("an IP socket has an IP address");
    Ok((socket, address))
}

fn loopback_like(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    }
}

fn other(protocol: Protocol) -> Protocol {
    match protocol {
        Protocol::Udp => Protocol::Tcp,
        Protocol::Tcp => Protocol::Udp,
    }
}

fn no_such_family(error: &io::Error) -> bool {
    // EAFNOSUPPORT has no stable `ErrorKind`; a disabled IPv6 answers EADDRNOTAVAIL.
    error.kind() == io::ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(97)
}

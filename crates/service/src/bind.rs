//! Sockets, bound before anything else is started: an address that is taken is known at once, and whoever runs a service
//! decides which sockets it gets.

use std::{
    io,
    net::{SocketAddr, TcpListener, UdpSocket},
};

use socket2::{Domain, Socket, Type};
use world::Protocol;

/// Connections that the kernel completes and keeps until the service accepts them (also limited by `somaxconn`).
pub(crate) const BACKLOG: i32 = 1024;

/// Bytes of received datagrams that the kernel keeps for a UDP socket, its own overhead included (also limited by
/// `net.core.rmem_max`).
const RECEIVE_BUFFER: usize = 1024 * 1024;

/// The sockets of one host, each under the name of what it is for: `dns`, `http`, `talk`, `echo`, `admin`.
#[derive(Debug, Default)]
pub struct Bound {
    udp: Vec<(&'static str, UdpSocket)>,
    tcp: Vec<(&'static str, TcpListener)>,
}

/// An address could not be bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} ({protocol}) for {name}: {source}{}", hint(source, *address))]
pub struct BindError {
    /// What the socket is for.
    pub name: &'static str,
    /// `udp` or `tcp`.
    pub protocol: &'static str,
    /// The address.
    pub address: SocketAddr,
    /// Why.
    pub source: io::Error,
}

fn hint(error: &io::Error, address: SocketAddr) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "; another program has it".to_owned(),
        io::ErrorKind::AddrNotAvailable => format!("; {} is no address of this machine", address.ip()),
        io::ErrorKind::PermissionDenied if address.port() < 1024 => {
            "; ports below 1024 need root, CAP_NET_BIND_SERVICE or net.ipv4.ip_unprivileged_port_start".to_owned()
        }
        _ => String::new(),
    }
}

impl Bound {
    /// Binds and keeps one socket; returns its address, which has a port of the kernel's choice where port 0 was asked.
    /// `shared` lets further sockets of this process be bound to the same UDP address, and the kernel spread the load.
    pub fn bind(
        &mut self,
        name: &'static str,
        protocol: Protocol,
        address: SocketAddr,
        shared: bool,
    ) -> Result<SocketAddr, BindError> {
        let label = match protocol {
            Protocol::Udp => "udp",
            Protocol::Tcp => "tcp",
        };
        let bound = match protocol {
            Protocol::Udp => udp(address, shared).and_then(|socket| {
                let local = socket.local_addr()?;
                self.udp.push((name, socket));
                Ok(local)
            }),
            Protocol::Tcp => tcp(address).and_then(|listener| {
                let local = listener.local_addr()?;
                self.tcp.push((name, listener));
                Ok(local)
            }),
        };
        bound.map_err(|source| BindError { name, protocol: label, address, source })
    }

    /// Every address that is bound: what for, over what.
    pub fn addresses(&self) -> Vec<(&'static str, &'static str, SocketAddr)> {
        let udp = self.udp.iter().map(|(name, socket)| (*name, "udp", socket.local_addr()));
        let tcp = self.tcp.iter().map(|(name, listener)| (*name, "tcp", listener.local_addr()));
        udp.chain(tcp).filter_map(|(name, protocol, local)| Some((name, protocol, local.ok()?))).collect()
    }

    /// Takes the UDP sockets of that name, for the current tokio runtime.
    pub fn take_udp(&mut self, name: &str) -> io::Result<Vec<tokio::net::UdpSocket>> {
        let taken = self.udp.extract_if(.., |(known, _)| *known == name);
        taken.map(|(_, socket)| tokio::net::UdpSocket::from_std(socket)).collect()
    }

    /// Takes the TCP listeners of that name, for the current tokio runtime.
    pub fn take_tcp(&mut self, name: &str) -> io::Result<Vec<tokio::net::TcpListener>> {
        let taken = self.tcp.extract_if(.., |(known, _)| *known == name);
        taken.map(|(_, listener)| tokio::net::TcpListener::from_std(listener)).collect()
    }
}

fn udp(address: SocketAddr, shared: bool) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None)?;
    if shared {
        socket.set_reuse_port(true)?;
    }
    // A burst must not be lost because this process was not running just then: the kernel's usual room is some 150 small
    // datagrams. It may grant less, and that is no reason not to serve.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    prepare(&socket, address)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

fn tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // A restarted service must not wait for connections of its former life to leave TIME_WAIT.
    socket.set_reuse_address(true)?;
    prepare(&socket, address)?;
    socket.bind(&address.into())?;
    if address.port() == 0 {
        let address = socket.local_addr()?.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
        // A port of the kernel's choice is lost when the socket stops listening (`SOCK_BINDPORT_LOCK`), as a door does;
        // one that was asked for is kept. The first socket holds it meanwhile.
        return tcp(address);
    }
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn prepare(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    if address.is_ipv6() {
        // Each family has a socket of its own; otherwise `[::]` would take the IPv4 address as well.
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)
}

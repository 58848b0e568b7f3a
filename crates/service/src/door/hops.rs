//! How far a segment may have come, by the hops that it has left (RFC 5082 §3; `ip(7)`, `IP_MINTTL`): the kernel drops those
//! with fewer without a word, counts them (`TCPMinTTLDrop`), and wants no right for it.

use std::{io, net::SocketAddr, os::fd::AsFd};

use nix::{
    libc::{self, IP_MINTTL, IPPROTO_IP, IPPROTO_IPV6, IPV6_MINHOPCOUNT},
    setsockopt_impl,
    sys::socket::{SetSockOpt, sockopt::SetStruct},
};

/// More than any system sends by default (`ip_default_ttl` is 64; 128 elsewhere), so that nobody's segments pass who does not
/// ask for it.
const MOST: i32 = 255;

#[derive(Clone, Copy)]
struct MinTtl;
setsockopt_impl!(MinTtl, IPPROTO_IP, IP_MINTTL, i32, SetStruct<i32>);

#[derive(Clone, Copy)]
struct MinHopCount;
setsockopt_impl!(MinHopCount, IPPROTO_IPV6, IPV6_MINHOPCOUNT, i32, SetStruct<i32>);

/// Lets nothing pass to the socket at that address.
pub(super) fn none_pass(socket: &impl AsFd, local: SocketAddr) -> io::Result<()> {
    set(socket, local, MOST)
}

/// Lets everything pass.
pub(super) fn all_pass(socket: &impl AsFd, local: SocketAddr) -> io::Result<()> {
    set(socket, local, 0)
}

fn set(socket: &impl AsFd, local: SocketAddr, least: i32) -> io::Result<()> {
    if local.is_ipv6() {
        MinHopCount.set(socket, &least)?;
    }
    // To a socket of IPv6 those of IPv4 come too, unless it was told otherwise.
    MinTtl.set(socket, &least)?;
    Ok(())
}

//! A host's namespace: its interfaces, addresses and routes.

use std::{
    fs, io,
    net::IpAddr,
    os::fd::AsRawFd,
    sync::{Mutex, PoisonError},
    thread,
};

use ipnet::IpNet;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    address::{AddressAttribute, AddressHeaderFlags, AddressMessage, AddressScope},
    link::{
        AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo,
        LinkMessage,
    },
    route::{RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType},
};

use super::{
    NetError,
    plan::{WiredHost, WiredInterface},
};
use crate::{
    kernel::netlink::Netlink,
    sys::{ethtool, namespace::Namespace},
};

/// A thread that makes a host needs little.
pub(super) const STACK: usize = 256 * 1024;

const LOOPBACK: u32 = 1;

/// Where the switches' ports are.
pub(super) struct Ports {
    pub(super) namespace: Namespace,
    netlink: Mutex<Netlink>,
}

/// The namespace of the switches' ports. Nothing in it has an address, and it says nothing of its own.
pub(super) fn ports() -> io::Result<Ports> {
    let make = || {
        let namespace = Namespace::enter_new()?;
        // IPv6 on a port would only announce itself. Where it cannot be switched off, ports get no address all the same.
        let _ = fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
        Ok(Ports { namespace, netlink: Mutex::new(Netlink::route()?) })
    };
    let thread = thread::Builder::new().name("making the switches".to_owned()).stack_size(STACK).spawn(make)?;
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Moves the calling thread to a new namespace and makes it the host's.
pub(super) fn build(host: &WiredHost, switch: &Ports) -> Result<Namespace, NetError> {
    let at = |step| NetError::at(&host.name, step);
    let namespace = Namespace::enter_new().map_err(at("a network namespace"))?;
    quiet();
    let mut netlink = Netlink::route().map_err(at("a netlink socket"))?;
    let mut ask = |step, message, flags| netlink.act(message, flags).map_err(at(step));
    ask("its loopback interface", up(LOOPBACK), 0)?;
    let create = NLM_F_CREATE | NLM_F_EXCL;
    let mut has_v6 = true;
    // Before it has a link-local address: a router does not look for routers.
    if host.forwards {
        has_v6 = forward().map_err(at("forwarding"))?;
    }
    for interface in &host.interfaces {
        ask("an interface (veth)", veth(interface, &switch.namespace), create)?;
        ethtool::sum_in_software(&interface.name).map_err(at("its checksums by the kernel"))?;
        // A kernel without IPv6 refuses it, and has no such addresses.
        let _ = ask("its interface's own addresses", no_addresses_of_its_own(interface.index), 0);
        ask("its interface up", up(interface.index), 0)?;
        // A port cannot go up as it is made: its kernel's other end is not there yet.
        let mut ports = switch.netlink.lock().unwrap_or_else(PoisonError::into_inner);
        ports.act(up(interface.port_index), 0).map_err(at("the switch's port up"))?;
        drop(ports);
        // A router asks for whom it sends on to from its link-local address (RFC 4861 §7.2.2), others from their own.
        for address in interface.addresses.iter().chain(&interface.own_address(host)) {
            match ask("an address", address_of(interface, address), create) {
                // A machine whose kernel has no IPv6, or has it switched off.
                Err(NetError::Kernel { source, .. }) if address.addr().is_ipv6() && no_v6(&source) => has_v6 = false,
                done => done?,
            }
        }
    }
    for gateway in host.gateways.iter().filter(|gateway| gateway.is_ipv4() || has_v6) {
        ask("a default route", default_route(*gateway), create)?;
    }
    Ok(namespace)
}

fn no_v6(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EOPNOTSUPP | libc::EAFNOSUPPORT | libc::EACCES | libc::EPERM | libc::EINVAL)
    )
}

/// A pair of interfaces that are each other's cable: the host's here, the switch's port there.
fn veth(interface: &WiredInterface, switch: &Namespace) -> RouteNetlinkMessage {
    let mut port = LinkMessage::default();
    port.header.index = interface.port_index;
    port.attributes
        .extend([LinkAttribute::IfName(interface.port_name.clone()), LinkAttribute::NetNsFd(switch.as_raw_fd())]);
    let mut link = LinkMessage::default();
    link.header.index = interface.index;
    link.attributes.extend([
        LinkAttribute::IfName(interface.name.clone()),
        LinkAttribute::Address(interface.mac.0.to_vec()),
        LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Veth),
            LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(port))),
        ]),
    ]);
    RouteNetlinkMessage::NewLink(link)
}

/// No link-local IPv6 address: a host has the world's addresses and no others, and does not look for routers.
fn no_addresses_of_its_own(index: u32) -> RouteNetlinkMessage {
    let mut link = LinkMessage::default();
    link.header.index = index;
    let mode = AfSpecInet6::AddrGenMode(In6AddrGenMode::None);
    link.attributes.push(LinkAttribute::AfSpecUnspec(vec![AfSpecUnspec::Inet6(vec![mode])]));
    RouteNetlinkMessage::SetLink(link)
}

fn up(index: u32) -> RouteNetlinkMessage {
    let mut link = LinkMessage::default();
    link.header.index = index;
    (link.header.flags, link.header.change_mask) = (LinkFlags::Up, LinkFlags::Up);
    RouteNetlinkMessage::SetLink(link)
}

fn address_of(interface: &WiredInterface, address: &IpNet) -> RouteNetlinkMessage {
    let mut message = AddressMessage::default();
    message.header.index = interface.index;
    message.header.prefix_len = address.prefix_len();
    message.header.scope = AddressScope::Universe;
    message.header.family = family(address.addr());
    if let IpNet::V6(_) = address {
        // Nobody else can have it, so there is no need to ask and wait (RFC 4862 §5.4).
        message.header.flags = AddressHeaderFlags::Nodad;
    }
    message.attributes.push(AddressAttribute::Address(address.addr()));
    message.attributes.push(AddressAttribute::Local(address.addr()));
    if let IpNet::V4(net) = address {
        message.attributes.push(AddressAttribute::Broadcast(net.broadcast()));
    }
    RouteNetlinkMessage::NewAddress(message)
}

fn default_route(gateway: IpAddr) -> RouteNetlinkMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = family(gateway);
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    message.header.protocol = RouteProtocol::Static;
    message.header.scope = RouteScope::Universe;
    message.header.kind = RouteType::Unicast;
    message.attributes.push(RouteAttribute::Gateway(gateway.into()));
    RouteNetlinkMessage::NewRoute(message)
}

fn family(ip: IpAddr) -> AddressFamily {
    if ip.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}

/// Keeps the kernel from saying what nobody asked for, as far as it can be told. These files are those of the calling
/// thread's namespace, and read-only in some containers.
fn quiet() {
    // Groups that an interface joins are reported again after this time (RFC 3810 §9.11): not while somebody looks.
    let _ = fs::write("/proc/sys/net/ipv6/conf/default/mldv2_unsolicited_report_interval", "3600000");
    // A tail loss probe (RFC 8985 §7) comes two round trips after the last segment. Here a round trip takes microseconds, and
    // a host that has to wait for its turn on the processor would count as a loss.
    let _ = fs::write("/proc/sys/net/ipv4/tcp_early_retrans", "0");
}

/// Has the kernel send on what is not for this host; says whether there is IPv6. These files are those of the calling
/// thread's namespace.
fn forward() -> io::Result<bool> {
    fs::write("/proc/sys/net/ipv4/ip_forward", "1")?;
    Ok(fs::write("/proc/sys/net/ipv6/conf/all/forwarding", "1").is_ok())
}

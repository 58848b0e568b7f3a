//! What the kernel is asked, in a network of its own: two ends of a cable, a few routes, a neighbour.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    process::Command,
};

use netlab::kernel::{NoWay, RouteKind, Routed, interfaces, neighbours, netlink::Netlink, route, sockets};
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage as Message,
    address::{AddressAttribute, AddressHeaderFlags, AddressMessage},
    link::{InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo, LinkMessage},
    neighbour::{NeighbourAttribute, NeighbourMessage, NeighbourState},
    route::{RouteAttribute, RouteMessage, RouteProtocol, RouteScope, RouteType},
};

/// A user namespace must be the first thing that a process makes, so the checks are run by a process of their own.
#[needs::tools(unshare)]
#[test]
fn in_a_network_of_its_own() {
    let test = std::env::current_exe().unwrap();
    let run = Command::new("unshare").arg("-Urn").arg(&test).args(["--exact", "inside", "--ignored"]).output();
    let output = run.expect("unshare(1) runs");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
#[ignore = "it is run by `in_a_network_of_its_own`"]
fn inside() {
    // With every interface down there is no way to anywhere.
    assert_eq!(way("10.78.2.81"), Err(NoWay::NoRoute));
    assert_eq!(way("2001:db8::1"), Err(NoWay::NoRoute));
    assert!(neighbours().unwrap().is_empty());
    assert!(sockets().unwrap().is_empty());

    let index = build();
    let mac = interfaces().unwrap().into_iter().find(|interface| interface.name == "left").unwrap().mac;
    assert_eq!(mac.unwrap().to_string(), "02:0a:4e:01:00:64");

    let check = |to: &str, kind, source: &str, gateway: Option<&str>, own: Option<&str>| {
        let route = way(to).unwrap_or_else(|why| panic!("{to}: {why}"));
        assert_eq!(route.kind, kind, "{to}");
        assert_eq!(route.source, Some(source.parse().unwrap()), "{to}");
        assert_eq!(route.gateway, gateway.map(|ip| ip.parse().unwrap()), "{to}");
        assert_eq!(route.own.map(|own| own.to_string()).as_deref(), own, "{to}");
        if kind == RouteKind::Unicast {
            assert_eq!((route.interface.index, route.interface.mac, route.interface.mtu), (index, mac, 1400), "{to}");
        }
    };
    let (own, own6) = (Some("10.78.1.100/24"), Some("fd10:78:1ab::1:100/64"));
    check("10.78.1.1", RouteKind::Unicast, "10.78.1.100", None, own);
    check("10.78.2.81", RouteKind::Unicast, "10.78.1.100", Some("10.78.1.1"), own);
    check("10.78.1.100", RouteKind::Local, "10.78.1.100", None, None);
    check("fd10:78:1ab::1:1", RouteKind::Unicast, "fd10:78:1ab::1:100", None, own6);
    check("2001:db8::1", RouteKind::Unicast, "fd10:78:1ab::1:100", Some("fd10:78:1ab::1:1"), own6);
    for (to, why) in [
        ("10.97.0.1", NoWay::Blackhole),
        ("10.98.0.1", NoWay::Prohibited),
        ("10.99.0.1", NoWay::Unreachable),
        ("fd10:99::1", NoWay::Unreachable),
    ] {
        assert_eq!(way(to), Err(why), "{to}");
    }

    let known: Vec<_> = neighbours().unwrap();
    let known: Vec<_> =
        known.iter().map(|n| (n.ip.to_string(), n.mac.unwrap().to_string(), &*n.interface, &*n.state)).collect();
    let mac = "02:0a:4e:01:00:01".to_owned();
    assert_eq!(
        known,
        [
            ("10.78.1.1".to_owned(), mac.clone(), "left", "permanent"),
            ("fd10:78:1ab::1:1".to_owned(), mac, "left", "stale")
        ]
    );
}

fn way(to: &str) -> Result<netlab::kernel::Route, NoWay> {
    match route(to.parse().unwrap()).unwrap() {
        Routed::Way(route) => Ok(*route),
        Routed::Nowhere(why) => Err(why),
    }
}

/// A cable with both ends here, addresses, routes and neighbours; the number of its left end.
fn build() -> u32 {
    let mut netlink = Netlink::route().unwrap();
    let mut make = |message| netlink.act(message, NLM_F_CREATE | NLM_F_EXCL).unwrap();

    let mut right = LinkMessage::default();
    right.attributes = vec![LinkAttribute::IfName("right".to_owned())];
    let mut left = LinkMessage::default();
    left.attributes = vec![
        LinkAttribute::IfName("left".to_owned()),
        LinkAttribute::Mtu(1400),
        LinkAttribute::Address(vec![2, 0x0a, 0x4e, 1, 0, 0x64]),
        LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Veth),
            LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(right))),
        ]),
    ];
    make(Message::NewLink(left));
    let named = |name: &str| interfaces().unwrap().into_iter().find(|interface| interface.name == name).unwrap().index;
    let index = named("left");
    for end in [1, index, named("right")] {
        let mut up = LinkMessage::default();
        up.header.index = end;
        (up.header.flags, up.header.change_mask) = (LinkFlags::Up, LinkFlags::Up);
        make(Message::SetLink(up));
    }

    for (own, prefix_len) in [("10.78.1.100", 24), ("fd10:78:1ab::1:100", 64)] {
        let own: IpAddr = own.parse().unwrap();
        let mut message = AddressMessage::default();
        message.header.family = family(own);
        message.header.index = index;
        message.header.prefix_len = prefix_len;
        // Nobody else is on this cable to have it already (RFC 4862 §5.4).
        message.header.flags = AddressHeaderFlags::Nodad;
        message.attributes = vec![AddressAttribute::Local(own), AddressAttribute::Address(own)];
        make(Message::NewAddress(message));
    }

    let any4 = (Ipv4Addr::UNSPECIFIED.into(), 0);
    let any6 = (Ipv6Addr::UNSPECIFIED.into(), 0);
    let net = |ip: &str, length| (ip.parse().unwrap(), length);
    let routes: [((IpAddr, u8), RouteType, Option<&str>); 6] = [
        (any4, RouteType::Unicast, Some("10.78.1.1")),
        (any6, RouteType::Unicast, Some("fd10:78:1ab::1:1")),
        (net("10.97.0.0", 16), RouteType::BlackHole, None),
        (net("10.98.0.0", 16), RouteType::Prohibit, None),
        (net("10.99.0.0", 16), RouteType::Unreachable, None),
        (net("fd10:99::", 32), RouteType::Unreachable, None),
    ];
    for ((to, length), kind, gateway) in routes {
        let mut message = RouteMessage::default();
        message.header.address_family = family(to);
        message.header.destination_prefix_length = length;
        message.header.table = 254;
        message.header.protocol = RouteProtocol::Static;
        message.header.scope = RouteScope::Universe;
        message.header.kind = kind;
        if length > 0 {
            message.attributes.push(RouteAttribute::Destination(to.into()));
        }
        if let Some(gateway) = gateway {
            message.attributes.push(RouteAttribute::Gateway(gateway.parse::<IpAddr>().unwrap().into()));
        }
        make(Message::NewRoute(message));
    }

    let neighbours = [
        ("10.78.1.1", NeighbourState::Permanent),
        ("fd10:78:1ab::1:1", NeighbourState::Stale),
        // It needs no asking.
        ("10.78.1.7", NeighbourState::Noarp),
    ];
    for (ip, state) in neighbours {
        let ip: IpAddr = ip.parse().unwrap();
        let mut message = NeighbourMessage::default();
        message.header.family = family(ip);
        message.header.ifindex = index;
        message.header.state = state;
        message.attributes = vec![
            NeighbourAttribute::Destination(ip.into()),
            NeighbourAttribute::LinkLayerAddress(vec![2, 0x0a, 0x4e, 1, 0, 1]),
        ];
        make(Message::NewNeighbour(message));
    }
    index
}

fn family(ip: IpAddr) -> AddressFamily {
    if ip.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}

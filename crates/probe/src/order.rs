//! In which order addresses are tried. [`sorted`] is pure; [`source`] asks the kernel.

use std::{
    cmp::Reverse,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
};

use world::{Protocol, Route};

use super::Probe;

/// What this machine would send to an address from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// This address of its own.
    Address(IpAddr),
    /// A socket of the lab stands in for the destination; it has no source address of the same kind.
    StandIn,
    /// Nothing: it has no way there, or no address of that family.
    None,
}

/// What this machine would send to an address from. The kernel chooses it for a UDP socket that is connected, as it does
/// for getaddrinfo; no packet is sent.
pub fn source(probe: &Probe<'_>, ip: IpAddr, port: u16) -> Source {
    let to = SocketAddr::new(ip, port);
    match probe.book.map_or(Route::Direct, |book| book.route(Protocol::Tcp, to)) {
        Route::Direct => of_kernel(ip).map_or(Source::None, Source::Address),
        Route::Via(_) | Route::NothingListens(Some(_)) | Route::NoHost => Source::StandIn,
        Route::NothingListens(None) => Source::None,
    }
}

fn of_kernel(ip: IpAddr) -> Option<IpAddr> {
    let ip = ip.to_canonical();
    let any: IpAddr = if ip.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    // Any port but 0, which some kernels refuse.
    socket.connect((ip, 53)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// Whether packets to an address go over IPv4: also those to an IPv4-mapped one (RFC 4291 §2.5.5.2).
pub fn is_v4(ip: IpAddr) -> bool {
    ip.to_canonical().is_ipv4()
}

/// Sorts addresses by RFC 6724 §6, then lets the families take turns (RFC 8305 §4), keeping the resolver's order among
/// equals. Those that this machine has no way to come last (rule 1): the attempt then fails at once and is shown, instead
/// of being left out in silence.
///
/// Rules 3, 4 and 7 are about source addresses that the kernel has chosen already. Rule 9, the longest common prefix, is
/// for IPv6 only: for IPv4 it would undo the order in which a server spreads its load, and glibc limits it to the own
/// subnet for that reason.
pub fn sorted<T>(
    mut addresses: Vec<T>,
    policy: Policy,
    ip: impl Fn(&T) -> IpAddr,
    source: impl Fn(IpAddr) -> Source,
) -> Vec<T> {
    addresses.sort_by_cached_key(|address| Reverse(rank(policy, ip(address), source(ip(address)))));
    let unusable = addresses.iter().position(|address| source(ip(address)) == Source::None);
    let unusable = addresses.split_off(unusable.unwrap_or(addresses.len()));
    taking_turns(addresses, &ip).into_iter().chain(unusable).collect()
}

/// The first of each family, then the second of each, and so on.
fn taking_turns<T>(addresses: Vec<T>, ip: impl Fn(&T) -> IpAddr) -> Vec<T> {
    let Some(first) = addresses.first() else { return addresses };
    let first_is_v4 = is_v4(ip(first));
    let (one, other): (Vec<T>, Vec<T>) = addresses.into_iter().partition(|a| is_v4(ip(a)) == first_is_v4);
    let (mut one, mut other) = (one.into_iter(), other.into_iter());
    let mut turns = Vec::new();
    loop {
        match (one.next(), other.next()) {
            (None, None) => return turns,
            (a, b) => turns.extend(a.into_iter().chain(b)),
        }
    }
}

/// What RFC 6724 §6 compares, the weightiest first: a way there, the same scope, the same label, the precedence, the
/// smaller scope, the longer common prefix.
type Rank = (bool, bool, bool, u8, Reverse<u8>, u32);

fn rank(policy: Policy, to: IpAddr, source: Source) -> Rank {
    let to = to.to_canonical();
    let (same_scope, same_label, common) = match source {
        Source::Address(from) => {
            let from = from.to_canonical();
            (scope(from) == scope(to), policy.row(from).1 == policy.row(to).1, common_prefix(from, to))
        }
        Source::StandIn => (true, true, 0),
        Source::None => (false, false, 0),
    };
    (source != Source::None, same_scope, same_label, policy.precedence(to), Reverse(scope(to)), common)
}

/// The policy table of RFC 6724 §2.1: which of several kinds of addresses goes first where this machine can send to all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The precedence of unique local addresses (RFC 4193).
    unique_local: u8,
}

impl Policy {
    /// As glibc, Chromium and Firefox have it: unique local addresses go first like all of IPv6.
    pub const CLIENTS: Self = Self { unique_local: 40 };
    /// As it stands in the RFC, where they come after IPv4.
    pub const LAB: Self = Self { unique_local: 3 };
    /// The precedence of IPv4.
    const V4: u8 = 35;

    /// The one by which this visit's addresses are sorted.
    pub fn of(probe: &Probe<'_>) -> Self {
        if probe.book.is_some() { Self::LAB } else { Self::CLIENTS }
    }

    /// The higher goes first.
    pub fn precedence(self, ip: IpAddr) -> u8 {
        self.row(ip.to_canonical()).0
    }

    /// Whether an address goes before those of IPv4.
    pub fn is_before_ipv4(self, ip: IpAddr) -> bool {
        self.precedence(ip) > Self::V4
    }

    /// Precedence and label.
    fn row(self, ip: IpAddr) -> (u8, u8) {
        match ip {
            IpAddr::V4(_) => (Self::V4, 4),
            IpAddr::V6(Ipv6Addr::LOCALHOST) => (50, 0),
            IpAddr::V6(ip) => match ip.segments() {
                [0x2002, ..] => (30, 2),
                [0x2001, 0, ..] => (5, 5),
                [first, ..] if first & 0xfe00 == 0xfc00 => (self.unique_local, 13),
                [first, ..] if first & 0xffc0 == 0xfec0 => (1, 11),
                [0x3ffe, ..] => (1, 12),
                [0, 0, 0, 0, 0, 0, ..] => (1, 3),
                _ => (40, 1),
            },
        }
    }
}

/// The scope of an address (RFC 6724 §3.1, §3.2), by the numbers of RFC 4291 §2.7.
fn scope(ip: IpAddr) -> u8 {
    const LINK: u8 = 2;
    const SITE: u8 = 5;
    const GLOBAL: u8 = 14;
    match ip {
        IpAddr::V4(ip) if ip.is_loopback() || ip.is_link_local() => LINK,
        IpAddr::V4(_) => GLOBAL,
        IpAddr::V6(ip) => match ip.segments()[0] {
            first if first & 0xff00 == 0xff00 => u8::try_from(first & 0xf).unwrap_or(GLOBAL),
            first if first & 0xffc0 == 0xfe80 => LINK,
            _ if ip == Ipv6Addr::LOCALHOST => LINK,
            first if first & 0xffc0 == 0xfec0 => SITE,
            _ => GLOBAL,
        },
    }
}

/// How many leading bits two IPv6 addresses share, at most those of a network's prefix (RFC 4291 §2.5.1).
fn common_prefix(one: IpAddr, other: IpAddr) -> u32 {
    match (one, other) {
        (IpAddr::V6(one), IpAddr::V6(other)) => (one.to_bits() ^ other.to_bits()).leading_zeros().min(64),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sorts what a machine with these addresses would find; one without a `/` is its source for that kind of destination.
    fn check(own: &[(&str, &str)], given: &[&str], expected: &[&str]) {
        let given: Vec<IpAddr> = given.iter().map(|ip| ip.parse().unwrap()).collect();
        let source = |to: IpAddr| {
            let to = to.to_canonical().to_string();
            let found = own.iter().find(|(prefix, _)| to.starts_with(prefix));
            found.map_or(Source::None, |(_, from)| Source::Address(from.parse().unwrap()))
        };
        let sorted: Vec<String> =
            sorted(given, Policy::CLIENTS, |ip| *ip, source).iter().map(ToString::to_string).collect();
        assert_eq!(sorted, expected, "{own:?}");
    }

    #[test]
    fn families_take_turns_and_global_ipv6_goes_first() {
        let dual = [("2001:db8", "2001:db8::9"), ("192.0.2", "192.0.2.9"), ("10.", "10.0.0.9")];
        check(&dual, &["192.0.2.1", "2001:db8::1"], &["2001:db8::1", "192.0.2.1"]);
        check(
            &dual,
            &["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2"],
            &["2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2"],
        );
        check(&[("127", "127.0.0.1"), ("::1", "::1")], &["127.0.0.1", "::1"], &["::1", "127.0.0.1"]);
        check(&dual, &["10.0.0.2", "10.0.0.1"], &["10.0.0.2", "10.0.0.1"]);
        check(&dual, &[], &[]);
    }

    /// The results of glibc 2.36's getaddrinfo on such a machine, the families' turns apart.
    #[test]
    fn orders_of_getaddrinfo() {
        let v4 = ("10.", "10.0.0.9");
        let (ula, gua) = (("fd", "fd00::9"), ("2001:db8", "2001:db8::9"));
        // A host without IPv6, and one without IPv4.
        check(&[v4], &["2001:db8::1", "10.0.0.1"], &["10.0.0.1", "2001:db8::1"]);
        check(&[v4], &["fd00::1", "10.0.0.1", "10.0.0.2"], &["10.0.0.1", "10.0.0.2", "fd00::1"]);
        check(&[ula], &["10.0.0.1", "fd00::1"], &["fd00::1", "10.0.0.1"]);
        check(&[gua], &["10.0.0.1", "2001:db8::1"], &["2001:db8::1", "10.0.0.1"]);
        check(&[v4, ula], &["10.0.0.1", "fd00::1"], &["fd00::1", "10.0.0.1"]);
        check(&[v4, ula, gua], &["10.0.0.1", "fd00::1", "2001:db8::1"], &["fd00::1", "10.0.0.1", "2001:db8::1"]);
        // A way to all of IPv6, and only a unique local address to take it from: the labels differ (rule 5).
        let ula_only = ("2001:db8", "fd00::9");
        check(&[v4, ula_only], &["2001:db8::1", "10.0.0.1"], &["10.0.0.1", "2001:db8::1"]);
        // 6to4 behind native IPv6 and IPv4; NAT64 is an address like others.
        let (to_6to4, nat64) = (("2002", "2001:db8::9"), ("64:ff9b", "2001:db8::9"));
        check(
            &[v4, gua, to_6to4, nat64],
            &["10.0.0.1", "2002:a00:1::1", "64:ff9b::a00:1"],
            &["64:ff9b::a00:1", "10.0.0.1", "2002:a00:1::1"],
        );
        // Rules 2 and 9.
        check(&[v4, ("169.254", "10.0.0.9")], &["169.254.1.1", "10.0.0.1"], &["10.0.0.1", "169.254.1.1"]);
        check(&[gua], &["2001:db8:ffff::1", "2001:db8::1"], &["2001:db8::1", "2001:db8:ffff::1"]);
        // An IPv4-mapped address is an IPv4 address.
        check(&[v4, gua], &["::ffff:10.0.0.2", "2001:db8::1"], &["2001:db8::1", "::ffff:10.0.0.2"]);
        check(&[v4], &["2001:db8::1", "::ffff:10.0.0.2"], &["::ffff:10.0.0.2", "2001:db8::1"]);
    }

    #[test]
    fn unique_local_addresses_come_after_ipv4_in_the_lab() {
        let given: Vec<IpAddr> = ["fd10::1", "10.0.0.1", "fd10::2"].iter().map(|ip| ip.parse().unwrap()).collect();
        let sorted = |policy| sorted(given.clone(), policy, |ip| *ip, |_| Source::StandIn)[0].is_ipv4();
        assert_eq!((sorted(Policy::LAB), sorted(Policy::CLIENTS)), (true, false));
        let is_before = |policy: Policy, ip: &str| policy.is_before_ipv4(ip.parse().unwrap());
        assert!(is_before(Policy::CLIENTS, "fd10::1") && !is_before(Policy::LAB, "fd10::1"));
        assert!(is_before(Policy::LAB, "2001:db8::1") && !is_before(Policy::CLIENTS, "::ffff:10.0.0.1"));
    }
}

//! In which order addresses are tried. Pure.

use std::net::{IpAddr, Ipv6Addr};

/// Sorts addresses as RFC 6724 §6 rule 6 (precedence of their kind) and RFC 8305 §4 (the families take turns) ask,
/// keeping the resolver's order among equals. Rule 1, whether there is a way to an address at all, is left to the
/// attempt itself: it then fails at once and is shown, instead of being left out in silence.
pub fn sorted<T>(mut addresses: Vec<T>, ip: impl Fn(&T) -> IpAddr) -> Vec<T> {
    addresses.sort_by_key(|address| std::cmp::Reverse(precedence(ip(address))));
    let Some(first) = addresses.first() else { return addresses };
    let first_is_v4 = ip(first).is_ipv4();
    let (one, other): (Vec<T>, Vec<T>) = addresses.into_iter().partition(|a| ip(a).is_ipv4() == first_is_v4);
    let (mut one, mut other) = (one.into_iter(), other.into_iter());
    let mut turns = Vec::new();
    loop {
        match (one.next(), other.next()) {
            (None, None) => return turns,
            (a, b) => turns.extend(a.into_iter().chain(b)),
        }
    }
}

/// The precedence of RFC 6724 §2.1's default policy table.
fn precedence(ip: IpAddr) -> u8 {
    match ip {
        IpAddr::V4(_) => 35,
        IpAddr::V6(Ipv6Addr::LOCALHOST) => 50,
        IpAddr::V6(ip) => match ip.segments() {
            [0x2002, ..] => 30,
            [0x2001, 0, ..] => 5,
            // Unique local addresses (RFC 4193): in the table they come after IPv4, so a lab's IPv4 addresses go first.
            [first, ..] if first & 0xfe00 == 0xfc00 => 3,
            [first, ..] if first & 0xffc0 == 0xfec0 => 1,
            [0x3ffe, ..] => 1,
            [0, 0, 0, 0, 0, 0xffff, ..] => 35,
            [0, 0, 0, 0, 0, 0, ..] => 1,
            _ => 40,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(given: &[&str], expected: &[&str]) {
        let given: Vec<IpAddr> = given.iter().map(|ip| ip.parse().unwrap()).collect();
        let sorted: Vec<String> = sorted(given, |ip| *ip).iter().map(ToString::to_string).collect();
        assert_eq!(sorted, expected);
    }

    #[test]
    fn kinds_and_turns() {
        check(&["10.0.0.1", "10.0.0.2", "fd10::1", "fd10::2"], &["10.0.0.1", "fd10::1", "10.0.0.2", "fd10::2"]);
        check(&["192.0.2.1", "2001:db8::1"], &["2001:db8::1", "192.0.2.1"]);
        check(&["127.0.0.1", "::1"], &["::1", "127.0.0.1"]);
        check(&["10.0.0.2", "10.0.0.1"], &["10.0.0.2", "10.0.0.1"]);
        check(&[], &[]);
    }
}

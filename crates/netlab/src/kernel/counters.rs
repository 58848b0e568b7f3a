//! The kernel's counters of one network namespace: what `netstat -s` and `nstat` read.

use std::{collections::BTreeMap, fs, io};

use journey::capture::Counter;

/// The counters at one moment, by their names.
pub type Counters = BTreeMap<String, u64>;

/// What is told of a visit, in this order: what went wrong, and what had to be done again.
///
/// The names are the kernel's; of those that several protocols have, the protocol stands before it, as `nstat` does it.
const TOLD: [&str; 24] = [
    "ListenOverflows",
    "ListenDrops",
    "TCPReqQFullDrop",
    "TCPReqQFullDoCookies",
    "TCPBacklogDrop",
    "TCPTimeouts",
    "TCPSynRetrans",
    "RetransSegs",
    "TCPLostRetransmit",
    "TCPFastRetrans",
    "TCPSlowStartRetrans",
    "TCPLossProbes",
    "TCPSpuriousRTOs",
    "TCPRcvQDrop",
    "TcpInErrs",
    "TcpInCsumErrors",
    "AttemptFails",
    "EstabResets",
    "OutRsts",
    "UdpNoPorts",
    "UdpInErrors",
    "UdpRcvbufErrors",
    "Udp6InErrors",
    "Udp6RcvbufErrors",
];

/// The counters of the calling thread's network namespace.
pub fn counters() -> io::Result<Counters> {
    let read = |name: &str| fs::read_to_string(format!("/proc/thread-self/net/{name}"));
    let mut counters = Counters::new();
    two_lines(&read("netstat")?, &mut counters);
    two_lines(&read("snmp")?, &mut counters);
    // There is none without IPv6.
    if let Ok(text) = read("snmp6") {
        one_line(&text, &mut counters);
    }
    Ok(counters)
}

/// Those of use that grew between the two.
pub fn grown(before: &Counters, after: &Counters) -> Vec<Counter> {
    let grew = TOLD.iter().filter_map(|name| {
        let now = *after.get(*name)?;
        let grew_by = now.saturating_sub(before.get(*name).copied().unwrap_or(0));
        (grew_by > 0).then(|| Counter { name: (*name).to_owned(), grew_by })
    });
    grew.collect()
}

/// A line of names, and a line of their values; both begin with the protocol. Names that another protocol has as well are
/// those with the protocol in front.
fn two_lines(text: &str, counters: &mut Counters) {
    let mut lines = text.lines();
    while let (Some(names), Some(values)) = (lines.next(), lines.next()) {
        let (Some((protocol, names)), Some((of, values))) = (names.split_once(':'), values.split_once(':')) else {
            continue;
        };
        if protocol != of {
            continue;
        }
        for (name, value) in names.split_ascii_whitespace().zip(values.split_ascii_whitespace()) {
            // Some are no counters and may be negative (`MaxConn`).
            let Ok(value) = value.parse() else { continue };
            let is_its_own = match protocol {
                "TcpExt" => true,
                "Tcp" => !matches!(name, "InErrs" | "InCsumErrors"),
                _ => false,
            };
            let name = if is_its_own { name.to_owned() } else { format!("{protocol}{name}") };
            counters.insert(name, value);
        }
    }
}

/// A name and its value on each line (`snmp6`).
fn one_line(text: &str, counters: &mut Counters) {
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        if let (Some(name), Some(Ok(value))) = (words.next(), words.next().map(str::parse)) {
            counters.insert(name.to_owned(), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn what_the_files_say() {
        let check = |text: &str, expected: &[(&str, u64)]| {
            let mut counters = Counters::new();
            two_lines(text, &mut counters);
            let expected: Counters = expected.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
            assert_eq!(counters, expected, "{text:?}");
        };
        check("", &[]);
        check("TcpExt: ListenDrops TCPTimeouts\nTcpExt: 3 4\n", &[("ListenDrops", 3), ("TCPTimeouts", 4)]);
        check("Tcp: MaxConn OutRsts InErrs\nTcp: -1 7 8\n", &[("OutRsts", 7), ("TcpInErrs", 8)]);
        check("Udp: InErrors\nUdp: 5\nUdpLite: InErrors\nUdpLite: 6\n", &[("UdpInErrors", 5), ("UdpLiteInErrors", 6)]);
        // What does not fit together is nobody's.
        check("Tcp: OutRsts\nUdp: 5\n", &[]);
        check("Tcp: OutRsts RetransSegs\nTcp: 5\n", &[("OutRsts", 5)]);
        check("Tcp OutRsts\nTcp 5\nTcp: OutRsts\n", &[]);
    }

    #[test]
    fn what_grew_is_told_in_order() {
        let counters = |all: &[(&str, u64)]| all.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        let before: Counters = counters(&[("OutRsts", 5), ("ListenDrops", 1), ("TCPHPHits", 1)]);
        let after = counters(&[("OutRsts", 7), ("ListenDrops", 1), ("TCPHPHits", 9), ("UdpInErrors", 2)]);
        let grew: Vec<_> = grown(&before, &after).into_iter().map(|counter| (counter.name, counter.grew_by)).collect();
        assert_eq!(grew, [("OutRsts".to_owned(), 2), ("UdpInErrors".to_owned(), 2)]);
        assert!(grown(&after, &before).is_empty());
    }

    #[test]
    fn this_kernel_has_what_is_told() {
        let before = counters().unwrap();
        let missing: Vec<_> = TOLD.iter().filter(|name| !before.contains_key(**name)).collect();
        assert!(missing.is_empty(), "{missing:?}");
        // A datagram to a port that is closed is counted by whoever has the port.
        let closed = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.send_to(b"x", closed).unwrap();
        let grew = grown(&before, &counters().unwrap());
        assert!(grew.iter().any(|counter| counter.name == "UdpNoPorts"), "{grew:?}");
    }
}

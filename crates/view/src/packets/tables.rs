//! What the hosts' kernels and the switches knew, before and after.

use std::collections::BTreeMap;

use journey::capture::{Capture, Kernel, Link, Neighbour, Socket};

use crate::page::{Ink, Page, Piece, dim, piece, plain};

/// Columns of a host's name.
const HOST: usize = 9;
/// Columns before what belongs to a host.
const DEEP: usize = 4 + HOST + 1;

pub(super) fn shown(page: &mut Page, capture: &Capture) {
    let kernels = &capture.kernels;
    let has = |has: fn(&Kernel) -> bool| kernels.iter().any(has);
    if has(|kernel| !kernel.neighbours_before.is_empty() || !kernel.neighbours_after.is_empty()) {
        title(page, "Neighbours (ARP, NDP)", "as each host's kernel knew them before and after");
        kernels.iter().for_each(|kernel| neighbours(page, kernel));
    }
    if capture.links.iter().any(|link| !link.learned_before.is_empty() || !link.learned_after.is_empty()) {
        title(page, "What the switches learned", "which address is at which port");
        capture.links.iter().for_each(|link| learned(page, link));
    }
    if has(|kernel| !kernel.sockets.is_empty()) {
        title(page, "Sockets after the visit", "");
        kernels.iter().for_each(|kernel| sockets(page, kernel));
    }
    if has(|kernel| !kernel.counters.is_empty()) {
        title(page, "Counters that grew", "by the kernels' own names");
        for kernel in kernels {
            for (nth, counter) in kernel.counters.iter().enumerate() {
                row(page, &kernel.host, nth, &[plain(format!("{} +{}", counter.name, counter.grew_by))]);
            }
        }
    }
}

fn title(page: &mut Page, text: &str, about: &str) {
    page.gap();
    let about = if about.is_empty() { String::new() } else { format!("  {about}") };
    page.line(4, &[plain("  "), piece(Ink::Bold, text), dim(about)]);
}

/// A line of a table; the host stands in the first alone.
fn row(page: &mut Page, host: &str, nth: usize, pieces: &[Piece]) {
    let host = if nth == 0 { host } else { "" };
    let first = [plain("    "), piece(Ink::Host, format!("{host:HOST$} "))];
    page.line(DEEP + 2, &[&first, pieces].concat());
}

fn neighbours(page: &mut Page, kernel: &Kernel) {
    let mut all: BTreeMap<_, (Option<&Neighbour>, Option<&Neighbour>)> = BTreeMap::new();
    for neighbour in &kernel.neighbours_before {
        all.entry((neighbour.ip, &neighbour.interface)).or_default().0 = Some(neighbour);
    }
    for neighbour in &kernel.neighbours_after {
        all.entry((neighbour.ip, &neighbour.interface)).or_default().1 = Some(neighbour);
    }
    let widest = all.keys().map(|(ip, _)| ip.to_string().len()).max().unwrap_or_default();
    for (nth, ((ip, interface), (before, after))) in all.into_iter().enumerate() {
        let mac = |neighbour: Option<&Neighbour>| neighbour.and_then(|neighbour| neighbour.mac);
        let state =
            |neighbour: Option<&Neighbour>| neighbour.map_or("not there", |neighbour| &neighbour.state).to_owned();
        let known = mac(after).or_else(|| mac(before)).map_or_else(|| "no address".to_owned(), |mac| mac.to_string());
        let mut line = vec![
            plain(format!("{:widest$} ", ip.to_string())),
            plain(format!("{known:17} ")),
            dim(format!("{interface}  ")),
        ];
        if before.map(|n| (&n.state, n.mac)) == after.map(|n| (&n.state, n.mac)) {
            line.push(dim(state(after)));
        } else {
            line.extend([dim(format!("{} → ", state(before))), piece(Ink::Good, state(after))]);
        }
        if let (Some(old), Some(new)) = (mac(before), mac(after))
            && old != new
        {
            line.push(piece(Ink::Warn, format!("  it was {old}")));
        }
        row(page, &kernel.host, nth, &line);
    }
}

fn learned(page: &mut Page, link: &Link) {
    let mut all: BTreeMap<_, (Option<&str>, Option<&str>)> = BTreeMap::new();
    for learned in &link.learned_before {
        all.entry(learned.mac).or_default().0 = Some(&learned.host);
    }
    for learned in &link.learned_after {
        all.entry(learned.mac).or_default().1 = Some(&learned.host);
    }
    for (nth, (mac, (before, after))) in all.into_iter().enumerate() {
        let mut line =
            vec![plain(format!("{mac} ")), piece(Ink::Host, format!("{:HOST$}", after.or(before).unwrap_or_default()))];
        line.push(match (before, after) {
            (None, _) => piece(Ink::Good, " learned during the visit"),
            (Some(_), None) => piece(Ink::Warn, " forgotten"),
            (Some(before), Some(after)) if before != after => piece(Ink::Warn, format!(" it was at {before}")),
            _ => dim(" known before"),
        });
        row(page, &link.name, nth, &line);
    }
}

/// Those that wait for whoever comes are one line for each protocol; others have one each.
fn sockets(page: &mut Page, kernel: &Kernel) {
    let mut nth = 0;
    let mut next = |page: &mut Page, line: &[Piece]| {
        row(page, &kernel.host, nth, line);
        nth += 1;
    };
    let is_idle = |socket: &&Socket| {
        socket.remote.is_none() && socket.receive_queue == 0 && (socket.state == "LISTEN" || socket.send_queue == 0)
    };
    let mut idle: BTreeMap<(&str, &str), Vec<String>> = BTreeMap::new();
    for socket in kernel.sockets.iter().filter(is_idle) {
        idle.entry((&socket.protocol, &socket.state)).or_default().push(socket.local.to_string());
    }
    for ((protocol, state), addresses) in idle {
        next(page, &[plain(format!("{protocol:3} {state:11} ")), dim(addresses.join(", "))]);
    }
    for socket in kernel.sockets.iter().filter(|socket| !is_idle(socket)) {
        let remote = socket.remote.map_or_else(String::new, |remote| format!(" ↔ {remote}"));
        let text = format!("{:3} {:11} {}{remote}", socket.protocol, socket.state, socket.local);
        next(page, &[plain(text), piece(Ink::Warn, queues(socket))]);
    }
}

/// What waits at a socket.
fn queues(socket: &Socket) -> String {
    match (socket.state.as_str(), socket.receive_queue, socket.send_queue) {
        // Linux lets one more wait than it was told to.
        ("LISTEN", waiting, backlog) => {
            let full = if waiting > backlog { ": full" } else { "" };
            format!("  {waiting} wait to be accepted, backlog {backlog}{full}")
        }
        (_, 0, 0) => String::new(),
        (_, unread, unacknowledged) => format!("  {unread} bytes not read, {unacknowledged} bytes not acknowledged"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits() {
        let check = |state: &str, receive_queue: u32, send_queue: u32, expected: &str| {
            let socket = Socket {
                protocol: "tcp".to_owned(),
                state: state.to_owned(),
                local: ([10, 0, 0, 1], 80).into(),
                remote: None,
                receive_queue,
                send_queue,
            };
            assert_eq!(queues(&socket).trim_start(), expected);
        };
        check("LISTEN", 1, 1, "1 wait to be accepted, backlog 1");
        check("LISTEN", 2, 1, "2 wait to be accepted, backlog 1: full");
        check("LISTEN", 1, 0, "1 wait to be accepted, backlog 0: full");
        check("ESTABLISHED", 0, 0, "");
        check("CLOSE-WAIT", 5, 7, "5 bytes not read, 7 bytes not acknowledged");
    }
}

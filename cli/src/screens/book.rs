//! The lab's address book, for people.

use std::{net::SocketAddr, time::Duration};

use lab::{ROUTER, YOU};
use world::{AddressBook, BookHost, BookService, Inside, Protocol, Published};

use crate::publish::Reach;

use text::words;
use view::page::{Ink, Page, Style, dim, piece, plain};

/// More clients are counted, not shown.
const MOST_CLIENTS: usize = 3;

/// The hosts with their addresses and the sockets that stand in for them, and what to type next.
pub fn book(book: &AddressBook, ready_in: Duration, reach: &Reach, style: &Style) -> String {
    let mut page = Page::new(style);
    let is_published = book.hosts.iter().any(|host| !host.published.is_empty());
    let us = u64::try_from(ready_in.as_micros()).unwrap_or(u64::MAX);
    page.line(
        0,
        &[
            piece(Ink::Bold, "The lab runs"),
            plain(format!(": {}, ready in {}. ", words::count(book.hosts.len(), "host"), words::duration(us))),
            dim(match &book.inside {
                None if is_published => {
                    "Its addresses are stood in for by sockets on loopback; beyond, what is published listens. Ctrl-C stops it."
                }
                None => {
                    "Its addresses are stood in for by sockets on loopback; nothing listens beyond. Ctrl-C stops it."
                }
                Some(_) => "It has a network of its own, which is entered and not reached. Ctrl-C stops it.",
            }),
        ],
    );
    for host in &book.hosts {
        one(&mut page, book, host);
    }
    page.gap();
    page.line(0, &[piece(Ink::Bold, "To try")]);
    match &book.inside {
        Some(inside) => to_enter(&mut page, book, inside),
        None if is_published => to_reach(&mut page, book, reach),
        None => to_ask(&mut page, book),
    }
    page.into_text()
}

fn one(page: &mut Page, book: &AddressBook, host: &BookHost) {
    page.gap();
    page.line(11, &[piece(Ink::Host, format!("{:9}", host.name)), plain("  "), dim(&host.about)]);
    if let Some(by) = &host.played_by {
        let them = piece(Ink::Bold, by);
        page.line(11, &[plain("           played by "), them, plain(": yours to start; it does not report")]);
    }
    // Its admin port is not at its address there.
    let is_inside = |service: &&BookService| book.inside.is_none() || service.address == service.socket;
    for service in host.services.iter().filter(is_inside) {
        // A service over both transports is one line, where both have the same port.
        let twins: Vec<&BookService> = host.services.iter().filter(|other| is_twin(service, other)).collect();
        if twins.first().is_some_and(|first| first.protocol != service.protocol) {
            continue;
        }
        let protocols: Vec<&str> = twins.iter().map(|twin| word(twin.protocol)).collect();
        let mut line =
            vec![plain(format!("           {:6} {:8} {}", service.name, protocols.join("+"), service.address))];
        if service.address != service.socket {
            let gap = 26_usize.saturating_sub(service.address.to_string().len());
            line.extend([dim(format!("{:gap$} → ", "")), plain(service.socket.to_string())]);
        }
        page.line(27, &line);
    }
    published(page, host);
}

/// Commands for a lab on loopback.
fn to_ask(page: &mut Page, book: &AddressBook) {
    if let Some((_, dns)) = book.resolver() {
        let (ip, port) = (dns.socket.ip(), dns.socket.port());
        page.line(2, &[plain(format!("  dig @{ip} -p {port} www.example.test"))]);
    }
    let http = book.hosts.iter().find_map(|host| host.service("http", Protocol::Tcp));
    if let Some(http) = http {
        page.line(2, &[plain(format!("  curl -H 'Host: www.example.test' http://{}/", http.socket))]);
    }
    page.line(
        2,
        &[
            plain("  visit lab serve --json > book.json   "),
            dim("and, elsewhere, "),
            plain("VISIT_WORLD=book.json visit www.example.local"),
        ],
    );
}

/// How to run programs at the hosts of a lab that has a network of its own.
fn to_enter(page: &mut Page, book: &AddressBook, inside: &Inside) {
    page.line(2, &[plain("  visit lab serve --wire --json > book.json   "), dim("instead, and, elsewhere:")]);
    page.line(2, &[plain("  VISIT_WORLD=book.json visit --packets www.example.local")]);
    if let Some(enter) = inside.enter(YOU) {
        page.line(2, &[dim("  or any program, at the host "), piece(Ink::Host, YOU), dim(":")]);
        // In two lines that can be pasted, whatever the width.
        page.line(4, &[plain(format!("  {} \\", enter.before))]);
        page.line(4, &[plain(format!("    {} dig @10.78.1.53 www.example.test", enter.net))]);
    }
    for host in book.hosts.iter().filter(|host| host.played_by.is_some()) {
        let (Some(by), Some(enter)) = (&host.played_by, inside.enter(&host.name)) else { continue };
        page.line(2, &[dim("  start "), piece(Ink::Bold, by), dim(" at "), piece(Ink::Host, &host.name), dim(":")]);
        page.line(4, &[plain(format!("  {} \\", enter.before))]);
        page.line(4, &[plain(format!("    {} PROGRAM", enter.net))]);
    }
    page.line(2, &[dim("  and at the others, by another --net=")]);
    let one = |page: &mut Page, host: &str| {
        let Some(net) = inside.hosts.get(host) else { return };
        page.line(6, &[piece(Ink::Host, format!("    {host:9} ")), plain(net.display().to_string())]);
    };
    let others = inside.hosts.keys().map(String::as_str).filter(|host| *host != YOU);
    let serves = |host: &&str| *host == ROUTER || book.hosts.iter().any(|known| known.name == **host);
    let (servers, mut clients): (Vec<&str>, Vec<&str>) = others.partition(serves);
    // By their numbers: client2 is before client10.
    clients.sort_by_key(|client| (client.len(), client.to_string()));
    let rest = clients.split_off(clients.len().min(MOST_CLIENTS));
    servers.into_iter().chain(clients).for_each(|host| one(page, host));
    if let Some(last) = rest.last() {
        let more = format!("    and {} up to ", words::count(rest.len(), "more client"));
        page.line(6, &[dim(more), piece(Ink::Host, *last), dim(": .inside.hosts of --json has all")]);
    }
}

/// Where a host listens besides.
fn published(page: &mut Page, host: &BookHost) {
    for one in &host.published {
        let twins: Vec<&Published> =
            host.published.iter().filter(|other| (&other.name, other.socket) == (&one.name, one.socket)).collect();
        if twins.first().is_some_and(|first| first.protocol != one.protocol) {
            continue;
        }
        let protocols: Vec<&str> = twins.iter().map(|twin| word(twin.protocol)).collect();
        let line = [
            plain(format!("           {:6} {:8} ", one.name, protocols.join("+"))),
            piece(Ink::Bold, "published at "),
            piece(Ink::Bold, one.socket.to_string()),
        ];
        page.line(27, &line);
    }
}

/// How to ask a lab that is published.
fn to_reach(page: &mut Page, book: &AddressBook, reach: &Reach) {
    let all = || book.hosts.iter().flat_map(|host| host.published.iter().map(move |one| (host, one)));
    let find = |name: &str| all().find(|(_, one)| one.name == name);
    let at = |one: &Published| SocketAddr::new(reach.address(one.socket.ip()), one.socket.port());
    if let Some((_, dns)) = find("dns") {
        let at = at(dns);
        let port = if at.port() == 53 { String::new() } else { format!(" -p {}", at.port()) };
        page.line(2, &[plain(format!("  dig @{}{port} www.example.test", at.ip()))]);
    }
    if let Some((host, http)) = find("http") {
        let name = &host.name;
        page.line(2, &[plain(format!("  curl --connect-to ::{} http://{name}.example.test/", at(http)))]);
    }
    if let Some((_, tls)) = find("https") {
        let at = at(tls);
        page.line(2, &[plain(format!("  curl --cacert lab-ca.pem --connect-to ::{at} \\"))]);
        page.line(4, &[plain("    https://www.example.test/   "), dim("with `ca` of --book as lab-ca.pem")]);
    }
    page.line(2, &[plain("  visit lab ready --wait 30 --world FILE   "), dim("by --book FILE")]);
    if !reach.recursion.is_empty() {
        let nets: Vec<String> = reach.recursion.iter().map(ToString::to_string).collect();
        let text = format!(
            "  The resolver answers {}, and refuses all others (`allow` in the world's file)",
            words::and(&nets)
        );
        page.line(2, &[dim(text)]);
    }
}

fn is_twin(one: &BookService, other: &BookService) -> bool {
    (&one.name, one.address, one.socket) == (&other.name, other.address, other.socket)
}

fn word(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Udp => "udp",
        Protocol::Tcp => "tcp",
    }
}

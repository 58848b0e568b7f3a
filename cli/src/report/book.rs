//! The lab's address book, for people.

use std::time::Duration;

use world::{AddressBook, BookService, Protocol};

use super::{
    page::{Ink, Page, Style, dim, piece, plain},
    words,
};

/// The hosts with their addresses and the sockets that stand in for them, and what to type next.
pub fn book(book: &AddressBook, ready_in: Duration, style: &Style) -> String {
    let mut page = Page::new(style);
    let us = u64::try_from(ready_in.as_micros()).unwrap_or(u64::MAX);
    page.line(
        0,
        &[
            piece(Ink::Bold, "The lab runs"),
            plain(format!(": {}, ready in {}. ", words::count(book.hosts.len(), "host"), words::duration(us))),
            dim("Its addresses are stood in for by sockets on loopback; nothing listens beyond. Ctrl-C stops it."),
        ],
    );
    for host in &book.hosts {
        page.gap();
        page.line(11, &[piece(Ink::Host, format!("{:9}", host.name)), plain("  "), dim(&host.about)]);
        for service in &host.services {
            // A service over both transports is one line, where both have the same port.
            let twins: Vec<&BookService> = host.services.iter().filter(|other| is_twin(service, other)).collect();
            if twins.first().is_some_and(|first| first.protocol != service.protocol) {
                continue;
            }
            let protocols: Vec<&str> = twins.iter().map(|twin| word(twin.protocol)).collect();
            page.line(
                27,
                &[
                    plain(format!("           {:6} {:8} ", service.name, protocols.join("+"))),
                    plain(format!("{:26} ", service.address.to_string())),
                    dim("→ "),
                    plain(service.socket.to_string()),
                ],
            );
        }
    }
    page.gap();
    page.line(0, &[piece(Ink::Bold, "To try")]);
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
    page.into_text()
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

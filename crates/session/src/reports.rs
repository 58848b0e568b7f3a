//! After the visit: what the hosts of the world recorded of it, laid on this machine's time line.

mod talk;

pub use talk::Conversation;

use std::{collections::HashMap, net::SocketAddr, time::Duration};

use futures_util::future::join_all;
use journey::{
    Event, Evidence, HostReport, Observer, TraceId, chronicle,
    evidence::Placed,
    report::{AcceptQueue, Report, Reported},
};
use probe::clock::Clock;
use reqwest::StatusCode;
use world::{AddressBook, BookHost, Protocol};

/// A host that has not told by then is noted as silent; the visit itself is over.
const PATIENCE: Duration = Duration::from_millis(1_500);
/// A report is small; what is longer is none.
const LONGEST_REPORT: usize = 4 * 1024 * 1024;

/// What the hosts said.
#[derive(Debug, Default)]
pub struct Collected {
    /// The events of this visit, in the order of their times.
    pub events: Vec<Event>,
    /// What came of asking each host.
    pub observers: Vec<Observer>,
}

/// How many events each host had recorded when it was asked; without those that did not tell.
#[derive(Clone, Debug, Default)]
pub struct Recorded(HashMap<String, u64>);

/// Asks every host of the book how many events it has recorded so far: what is recorded later can be of a visit that
/// begins now.
pub async fn recorded(book: &AddressBook) -> Recorded {
    let Ok(client) = service::admin::client(PATIENCE, book.token.as_ref()) else { return Recorded::default() };
    let asked = book.hosts.iter().filter(|host| host.played_by.is_none()).map(|host| {
        let client = &client;
        // A socket that nobody has: the count alone is wanted.
        async move { (host, ask(client, host, "peer=0.0.0.0:0").await) }
    });
    let told = join_all(asked).await.into_iter();
    Recorded(told.filter_map(|(host, said)| Some((host.name.clone(), said.ok()?.recorded?))).collect())
}

/// Asks every host of the book what it recorded under this id, and the host of a conversation that carried no id what it
/// recorded of this machine's socket; `before` is what they had recorded before the visit.
pub async fn collect(
    book: &AddressBook,
    trace: TraceId,
    clock: Clock,
    conversation: Option<&Conversation>,
    before: &Recorded,
) -> Collected {
    let Ok(client) = service::admin::client(PATIENCE, book.token.as_ref()) else { return Collected::default() };
    let asked = book.hosts.iter().map(|host| {
        let client = &client;
        let conversation = conversation.filter(|conversation| conversation.host == host.name);
        async move {
            if let Some(by) = &host.played_by {
                return (host, Err(HostReport::NotAsked { why: format!("played by {by}, which does not report") }));
            }
            let traced = ask(client, host, &format!("trace={trace}")).await;
            let said = match (traced, conversation) {
                (Ok(traced), Some(conversation)) => {
                    let of_socket = ask(client, host, &peer(conversation.local)).await;
                    of_socket.map(|of_socket| merged(traced, of_socket, conversation, before, clock))
                }
                (traced, _) => traced,
            };
            (host, said.map_err(|why| HostReport::Silent { why }))
        }
    });
    let mut collected = Collected::default();
    for (host, said) in join_all(asked).await {
        let said = match said {
            Ok(report) => place(report, host, clock, &mut collected.events),
            Err(said) => said,
        };
        collected.observers.push(Observer { host: host.name.clone(), said });
    }
    collected.events = chronicle::in_order(std::mem::take(&mut collected.events));
    collected
}

fn peer(socket: SocketAddr) -> String {
    // Brackets are no characters of a query (RFC 3986 §3.4).
    format!("peer={}", socket.to_string().replace('[', "%5B").replace(']', "%5D"))
}

/// What a host recorded under the visit's id, and the conversation's part of what it recorded of the socket.
fn merged(
    mut traced: Report,
    of_socket: Report,
    conversation: &Conversation,
    before: &Recorded,
    clock: Clock,
) -> Report {
    let place = |event: &Reported| clock.us_of_kernel(event.at_ns);
    let at_us: Option<&dyn Fn(&Reported) -> i64> = if is_this_clock(&of_socket) { Some(&place) } else { None };
    let before = before.0.get(&conversation.host).copied();
    traced.overwritten = of_socket.overwritten;
    traced.events.extend(conversation.events_in(of_socket, before, at_us));
    traced.events.sort_by_key(|event| event.seq);
    traced
}

fn is_this_clock(report: &Report) -> bool {
    report.clock == service::ring::clock_id()
}

async fn ask(client: &reqwest::Client, host: &BookHost, query: &str) -> Result<Report, String> {
    let admin = host.service("admin", Protocol::Tcp).ok_or("it has no admin port in the address book")?;
    let url = format!("http://{}/events?{query}", admin.socket);
    let mut response = client.get(url).send().await.map_err(|error| words(&error))?;
    if response.status() == StatusCode::UNAUTHORIZED {
        return Err("its admin port asks for a token that the address book lacks, or has another one".to_owned());
    }
    if !response.status().is_success() {
        return Err(format!("its admin port answered {}", response.status()));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| words(&error))? {
        body.extend_from_slice(&chunk);
        if body.len() > LONGEST_REPORT {
            return Err("its report is too long".to_owned());
        }
    }
    serde_json::from_slice(&body).map_err(|error| format!("its report cannot be read: {error}"))
}

/// Lays a report's events on the visit's clock, where they are of the same kernel's; otherwise only their order is kept.
fn place(report: Report, host: &BookHost, clock: Clock, events: &mut Vec<Event>) -> HostReport {
    let same_clock = is_this_clock(&report);
    let placed = if same_clock { Placed::Clock } else { Placed::Order };
    let count = report.events.len();
    events.extend(report.events.into_iter().map(|reported| Event {
        id: 0,
        at_us: same_clock.then(|| clock.us_of_kernel(reported.at_ns)),
        host: host.name.clone(),
        evidence: Evidence::Reported { by: host.name.clone(), placed },
        what: reported.what,
    }));
    let queues = report.queues.into_iter().map(|queue| in_world(queue, host)).collect();
    HostReport::Reported { events: count, same_clock, overwritten: report.overwritten, queues }
}

/// The host knows its sockets; the journey has the world's addresses, which some stand in for.
fn in_world(queue: AcceptQueue, host: &BookHost) -> AcceptQueue {
    let mut tcp = host.services.iter().filter(|service| service.protocol == Protocol::Tcp);
    let address = tcp.find(|service| service.socket == queue.address).map_or(queue.address, |service| service.address);
    AcceptQueue { address, ..queue }
}

fn words(error: &reqwest::Error) -> String {
    if error.is_connect() {
        "nothing answers on its admin port".to_owned()
    } else if error.is_timeout() {
        format!("its admin port did not answer within {} ms", PATIENCE.as_millis())
    } else {
        "its admin port gave no answer".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use world::World;

    use super::*;

    #[test]
    fn queues_have_the_addresses_of_the_world() {
        let book = AddressBook::new(&World::built_in(), None, |_, _, _, address| {
            Some(([127, 0, 0, 1], 40_000 + address.port()).into()).filter(|_| address.is_ipv4())
        });
        let check = |socket: &str, expected: &str| {
            let queue = AcceptQueue { address: socket.parse().unwrap(), waiting: 2, limit: 1 };
            let queue = in_world(queue, book.host("app1").unwrap());
            assert_eq!((queue.address.to_string().as_str(), queue.is_full()), (expected, true));
        };
        check("127.0.0.1:40080", "10.78.2.81:80");
        check("127.0.0.1:40443", "10.78.2.81:443");
        check("127.0.0.1:9", "127.0.0.1:9");
    }
}

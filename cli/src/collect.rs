//! After the visit: what the hosts of the world recorded of it, laid on this machine's time line.

use std::time::Duration;

use futures_util::future::join_all;
use journey::{Event, Evidence, Observer, Said, TraceId, chronicle, evidence::Placed, report::Report};
use world::{AddressBook, BookHost, Protocol};

use crate::walk::clock::Clock;

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

/// Asks every host of the book what it recorded under this id.
pub async fn collect(book: &AddressBook, trace: TraceId, clock: Clock) -> Collected {
    // A client without anything of its own has nothing to fail with.
    let Ok(client) = service::admin::client(PATIENCE) else { return Collected::default() };
    let asked = book.hosts.iter().map(|host| {
        let client = &client;
        async move { (host, ask(client, host, trace).await) }
    });
    let mut collected = Collected::default();
    for (host, said) in join_all(asked).await {
        let said = match said {
            Ok(report) => place(report, &host.name, clock, &mut collected.events),
            Err(why) => Said::Silent { why },
        };
        collected.observers.push(Observer { host: host.name.clone(), said });
    }
    collected.events = chronicle::in_order(std::mem::take(&mut collected.events));
    collected
}

async fn ask(client: &reqwest::Client, host: &BookHost, trace: TraceId) -> Result<Report, String> {
    let admin = host.service("admin", Protocol::Tcp).ok_or("it has no admin port in the address book")?;
    let url = format!("http://{}/events?trace={trace}", admin.socket);
    let mut response = client.get(url).send().await.map_err(|error| words(&error))?;
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
fn place(report: Report, host: &str, clock: Clock, events: &mut Vec<Event>) -> Said {
    let same_clock = report.clock == service::ring::clock_id();
    let placed = if same_clock { Placed::Clock } else { Placed::Order };
    let count = report.events.len();
    events.extend(report.events.into_iter().map(|reported| Event {
        at_us: same_clock.then(|| clock.us_of_kernel(reported.at_ns)),
        host: host.to_owned(),
        evidence: Evidence::Reported { by: host.to_owned(), placed },
        what: reported.what,
    }));
    Said::Reported { events: count, same_clock, overwritten: report.overwritten }
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

//! The frames of a visit. The lab inside this program records its own network; a visit on the internet, or in a lab that runs
//! elsewhere, is captured on this machine's interfaces.
//!
//! | module | what |
//! |---|---|
//! | [`watch`] | how the frames are had, if at all |
//! | [`ours`] | which of the machine's frames are the visit's |
//! | [`secrets`] | what is taken out of a capture, whoever made it |

pub mod ours;
pub mod secrets;
pub mod watch;

use std::{net::IpAddr, time::Duration};

use journey::{
    Engine, Hop,
    capture::{Capture, Captured, Kernel, Neighbour, Socket},
};
use netlab::{
    kernel::{self, Counters, RouteKind, Routed},
    net::Limits,
    tap::{Filter, Refused, Tap},
};
use probe::clock::Clock;
use tokio::task::spawn_blocking;
use world::AddressBook;

use ours::Hand;

/// How long connections may take to be closed by both sides, once the visit is over.
const LAST_FRAMES: Duration = Duration::from_secs(1);
/// The same, where the user wants to stop: what is to be sent at the end has been.
const INTERRUPTED: Duration = Duration::from_millis(50);

/// What a visit says that nobody asked for frames of.
fn not_asked_for() -> Captured {
    Captured::NotObservable { why: "nobody asked for frames".to_owned(), how: Some("--packets".to_owned()) }
}

/// What each visit of a series says.
fn not_of_a_series() -> Captured {
    Captured::NotObservable {
        why: "no frames are kept where the same is visited again and again".to_owned(),
        how: Some("without -n".to_owned()),
    }
}

/// A capture under way.
#[derive(Debug)]
pub struct Tapped {
    tap: Tap,
    before: Known,
}

impl Tapped {
    /// Begins, on all interfaces: which ones the visit will use is not known before.
    pub fn start() -> Result<Self, Refused> {
        let before = Known::now();
        let sockets = before.sockets.as_deref().unwrap_or_default();
        Ok(Self { tap: Tap::start(Limits::default().bytes, sockets)?, before })
    }

    /// Ends when the visit's connections are over, and keeps what is the visit's.
    pub async fn end(
        self,
        hops: &[Hop],
        engine: Engine,
        book: Option<&AddressBook>,
        clock: Clock,
        patience: Duration,
    ) -> Captured {
        let filter = ours::filter(ours::conversations(hops, engine, book), hand);
        let (begin, ours) = (clock.moment(), filter.clone());
        let Self { tap, before } = self;
        // On a thread of its own, which stands in the same network as this one. Meanwhile the runtime goes on, and closes
        // what a visit that failed has let go of.
        let stopped = spawn_blocking(move || tap.stop(&ours, begin, std::time::Instant::now() + patience)).await;
        let Ok(capture) = stopped else {
            return Captured::NotObservable { why: "the thread that took frames has failed".to_owned(), how: None };
        };
        let kernels = vec![knew(&filter, before, Known::now())];
        Captured::Frames(Box::new(Capture { began_ns: clock.start_realtime_ns(), kernels, ..capture }))
    }
}

/// What this machine's kernel knows at a moment. What it does not tell is left out: the frames are there without it.
#[derive(Debug, Default)]
struct Known {
    neighbours: Option<Vec<Neighbour>>,
    sockets: Option<Vec<Socket>>,
    counters: Option<Counters>,
}

impl Known {
    fn now() -> Self {
        Self {
            neighbours: kernel::neighbours().ok(),
            sockets: kernel::sockets().ok(),
            counters: kernel::counters().ok(),
        }
    }
}

/// What this machine's kernel knew, where it told so both before and after: else all that is there would look as if the
/// visit had brought it. Its neighbours and sockets that the visit had nothing to do with are not kept. Pure.
fn knew(filter: &Filter, before: Known, after: Known) -> Kernel {
    let (mut neighbours_before, mut neighbours_after) = before.neighbours.zip(after.neighbours).unwrap_or_default();
    for neighbours in [&mut neighbours_before, &mut neighbours_after] {
        neighbours.retain(|neighbour| filter.neighbours.contains(&neighbour.ip));
    }
    let (sockets_before, mut sockets) = before.sockets.zip(after.sockets).unwrap_or_default();
    // Where this side's port is not known, those that were there before are others'.
    let is_new = |socket: &Socket| {
        !sockets_before
            .iter()
            .any(|old| (&old.protocol, old.local, old.remote) == (&socket.protocol, socket.local, socket.remote))
    };
    sockets.retain(|socket| is_new(socket) && ours::is_ours(filter, socket));
    let counters = before.counters.zip(after.counters);
    let counters = counters.map_or_else(Vec::new, |(before, after)| kernel::grown(&before, &after));
    Kernel { host: lab::YOU.to_owned(), neighbours_before, neighbours_after, sockets, counters }
}

/// Whom this machine's kernel hands packets to that are for an address.
fn hand(to: IpAddr) -> Option<Hand> {
    let Ok(Routed::Way(route)) = kernel::route(to) else { return None };
    let next = match (route.kind, route.gateway) {
        (_, Some(gateway)) => Some(gateway),
        (RouteKind::Unicast, None) => Some(to),
        _ => None,
    };
    Some(Hand { interface: route.interface.index, next })
}

#[cfg(test)]
mod tests {
    use netlab::tap::Endpoint;

    use super::*;

    #[test]
    fn what_the_kernel_told_before_and_after() {
        let remote = "10.0.0.2:80".parse().unwrap();
        let filter = Filter {
            endpoints: vec![Endpoint { protocol: 6, local: None, remote }],
            neighbours: vec![remote.ip()],
            ..Filter::default()
        };
        let known = |port: u16, state: &str, count: u64| Known {
            neighbours: Some(vec![Neighbour {
                ip: remote.ip(),
                mac: None,
                interface: "eth0".to_owned(),
                state: state.to_owned(),
            }]),
            sockets: Some(vec![Socket {
                protocol: "tcp".to_owned(),
                state: "TIME-WAIT".to_owned(),
                local: ([10, 0, 0, 1], port).into(),
                remote: Some(remote),
                receive_queue: 0,
                send_queue: 0,
            }]),
            counters: Some([("OutRsts".to_owned(), count)].into()),
        };
        // Neighbours before and after, sockets, and by how much a counter grew.
        let check = |before: Known, after: Known, expected: (usize, usize, usize, Option<u64>)| {
            let kernel = knew(&filter, before, after);
            let counter = kernel.counters.first().map(|counter| counter.grew_by);
            let seen = (kernel.neighbours_before.len(), kernel.neighbours_after.len(), kernel.sockets.len(), counter);
            assert_eq!(seen, expected);
        };
        check(known(1000, "stale", 5), known(1001, "reachable", 7), (1, 1, 1, Some(2)));
        check(known(1000, "stale", 5), known(1000, "stale", 5), (1, 1, 0, None));
        check(Known::default(), known(1000, "stale", 5), (0, 0, 0, None));
        check(known(1000, "stale", 5), Known::default(), (0, 0, 0, None));
        let no_counters = Known { counters: None, ..known(1000, "stale", 5) };
        check(no_counters, known(1001, "stale", 7), (1, 1, 1, None));
    }
}

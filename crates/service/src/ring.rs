//! The bounded ring of a service's own events.
//!
//! Events that belong to a visit are recorded, and events of protocols that cannot carry a visit's id (`talk`, `echo`).
//! A query or request without an id is counted in `/metrics` and logged, but not recorded: a load of them would push the
//! visits out of the ring, and would cost every query a lock. Where somebody wants to see them ([`Recorder::record_all`]),
//! they are recorded too.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use journey::{
    TraceId, What,
    report::{Report, Reported},
};
use rustix::time::{ClockId, clock_gettime};

use crate::Bound;

/// How many events a service keeps unless it is told otherwise.
pub const DEFAULT_CAPACITY: usize = 4096;

/// Most events of one report, the newest; a visit has a tenth of them. Whoever asks for all must not make a service hold
/// its whole ring once more for each time it is asked.
pub const LONGEST_REPORT: usize = 512;

/// Most events of one visit that are kept: an id costs its sender nothing, and must not push other visits out.
const MOST_OF_ONE_VISIT: usize = 512;

/// Nanoseconds on the kernel's monotonic clock, the clock that `std::time::Instant` reads too.
pub fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    // Both parts are never negative on the monotonic clock.
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}

/// Which clock [`now_ns`] reads: two processes with the same id read the same one.
///
/// Linux gives every boot an id, and containers share their kernel's clock. A time namespace may shift the monotonic
/// clock, so its offset is part of the id. Elsewhere the id is this process's own, and nothing is compared.
pub fn clock_id() -> &'static str {
    static ID: OnceLock<String> = OnceLock::new();
    ID.get_or_init(|| match std::fs::read_to_string("/proc/sys/kernel/random/boot_id") {
        Ok(boot) => {
            let offsets = std::fs::read_to_string("/proc/self/timens_offsets").unwrap_or_default();
            let monotonic = offsets.lines().find_map(|line| line.strip_prefix("monotonic")).unwrap_or_default();
            let shift: Vec<&str> = monotonic.split_whitespace().filter(|n| *n != "0").collect();
            if shift.is_empty() { boot.trim().to_owned() } else { format!("{}+{}", boot.trim(), shift.join(".")) }
        }
        Err(_) => format!("process-{}-{}", std::process::id(), now_ns()),
    })
}

/// Which events a caller of [`Recorder::report`] wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Only those of this visit.
    pub trace: Option<TraceId>,
    /// Only those that name this peer.
    pub peer: Option<SocketAddr>,
}

/// Records a host's events. Cheap to clone; all clones write to one ring.
#[derive(Clone, Debug)]
pub struct Recorder(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    host: String,
    service: &'static str,
    capacity: usize,
    all: AtomicBool,
    // Where the host listens for TCP, once that is known.
    listening: OnceLock<Vec<SocketAddr>>,
    // A std mutex: it is held for a push or a scan, never across an await.
    ring: Mutex<Ring>,
}

#[derive(Debug, Default)]
struct Ring {
    next: u64,
    // Shared, so that a report copies pointers while it holds the lock.
    events: VecDeque<Arc<Reported>>,
}

impl Recorder {
    /// A ring for this host and service that keeps at most `capacity` events.
    pub fn new(host: impl Into<String>, service: &'static str, capacity: usize) -> Self {
        let ring = Mutex::new(Ring::default());
        Self(Arc::new(Inner {
            host: host.into(),
            service,
            capacity: capacity.max(1),
            all: AtomicBool::new(false),
            listening: OnceLock::new(),
            ring,
        }))
    }

    /// The host's name.
    pub fn host(&self) -> &str {
        &self.0.host
    }

    /// The service's name.
    pub fn service(&self) -> &'static str {
        self.0.service
    }

    /// Has what belongs to no visit recorded as well, from now on.
    pub fn record_all(&self) {
        self.0.all.store(true, Ordering::Relaxed);
    }

    /// Whether what this belongs to is to be recorded: a visit, or anything where all is.
    pub fn wants(&self, trace: Option<TraceId>) -> bool {
        trace.is_some() || self.0.all.load(Ordering::Relaxed)
    }

    /// All events that are still there, oldest first.
    pub fn events(&self) -> Vec<Reported> {
        let events: Vec<_> = {
            let ring = self.0.ring.lock().unwrap_or_else(PoisonError::into_inner);
            ring.events.iter().cloned().collect()
        };
        events.into_iter().map(|event| (*event).clone()).collect()
    }

    /// Where the host listens: of these sockets `/events` tells who waits in their accept queues.
    pub fn listens_on(&self, sockets: &Bound) {
        let tcp = sockets.addresses().into_iter().filter(|(_, protocol, _)| *protocol == "tcp");
        // The first to say so is right.
        let _ = self.0.listening.set(tcp.map(|(.., address)| address).collect());
    }

    /// What [`Recorder::listens_on`] was told.
    pub fn listening(&self) -> &[SocketAddr] {
        self.0.listening.get().map_or(&[], Vec::as_slice)
    }

    /// Records what happened at `at_ns`, a time of [`now_ns`].
    pub fn record(&self, trace: Option<TraceId>, at_ns: u64, what: What) {
        let mut ring = self.0.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let of_this_visit = |event: &&Arc<Reported>| trace.is_some() && event.trace == trace;
        if ring.events.iter().filter(of_this_visit).count() >= MOST_OF_ONE_VISIT {
            return;
        }
        if ring.events.len() == self.0.capacity {
            ring.events.pop_front();
        }
        let seq = ring.next;
        ring.next += 1;
        ring.events.push_back(Arc::new(Reported { seq, at_ns, trace, what }));
    }

    /// The events that are wanted and still there, oldest first, without the accept queues; of more than [`LONGEST_REPORT`], the newest.
    pub fn report(&self, wanted: Wanted) -> Report {
        let matches = |event: &&Arc<Reported>| {
            wanted.trace.is_none_or(|trace| event.trace == Some(trace))
                && wanted.peer.is_none_or(|peer| event.what.peer() == Some(peer))
        };
        let (recorded, overwritten, newest_first) = {
            let ring = self.0.ring.lock().unwrap_or_else(PoisonError::into_inner);
            let chosen: Vec<_> = ring.events.iter().rev().filter(matches).take(LONGEST_REPORT).cloned().collect();
            (ring.next, ring.next - ring.events.len() as u64, chosen)
        };
        Report {
            host: self.0.host.clone(),
            service: self.0.service.to_owned(),
            clock: clock_id().to_owned(),
            overwritten,
            recorded: Some(recorded),
            queues: Vec::new(),
            events: newest_first.into_iter().rev().map(|event| (*event).clone()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed(port: u16) -> What {
        What::ConnectionClosed {
            peer: ([127, 0, 0, 1], port).into(),
            by: journey::event::ClosedBy::Peer,
            bytes_in: 1,
            bytes_out: 2,
        }
    }

    #[test]
    fn bounded_and_says_what_it_lost() {
        let recorder = Recorder::new("app1", "app", 2);
        for port in 1..=5 {
            recorder.record(None, u64::from(port), closed(port));
        }
        let report = recorder.report(Wanted::default());
        assert_eq!((report.overwritten, report.recorded, report.events.len()), (3, Some(5), 2));
        assert_eq!(report.events[0].seq, 3);
    }

    #[test]
    fn one_visit_does_not_push_out_the_others() {
        let recorder = Recorder::new("app1", "app", 4_096);
        let (quiet, loud) = (TraceId::new([1; 16]).unwrap(), TraceId::new([2; 16]).unwrap());
        recorder.record(Some(quiet), 0, closed(1));
        for at in 0..10_000 {
            recorder.record(Some(loud), at, closed(2));
        }
        let of = |trace| recorder.report(Wanted { trace: Some(trace), peer: None }).events.len();
        assert_eq!((of(quiet), of(loud)), (1, MOST_OF_ONE_VISIT));
        assert_eq!(recorder.report(Wanted::default()).events.len(), LONGEST_REPORT);
    }

    #[test]
    fn one_visit_or_one_peer() {
        let recorder = Recorder::new("app1", "app", 10);
        let trace = TraceId::new([7; 16]).unwrap();
        recorder.record(Some(trace), 1, closed(1));
        recorder.record(None, 2, closed(2));
        let of_trace = recorder.report(Wanted { trace: Some(trace), peer: None });
        assert_eq!(of_trace.events.iter().map(|e| e.seq).collect::<Vec<_>>(), [0]);
        let of_peer = recorder.report(Wanted { trace: None, peer: Some(([127, 0, 0, 1], 2).into()) });
        assert_eq!(of_peer.events.iter().map(|e| e.seq).collect::<Vec<_>>(), [1]);
    }
}

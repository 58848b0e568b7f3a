//! What is recorded of a network: its frames, and what the kernels of its hosts knew before and after.

use std::{io, mem, thread, time::SystemTime};

use journey::capture::{Bytes, Capture, Fate, Frame, Kernel, Learned, LinkKind, Neighbour, Socket};

use super::Net;
use crate::kernel::{self, Counters};
use packets::{decode::decode, flow::Follower};

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of frames; what comes when they are full is counted.
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 32 * 1024 * 1024 }
    }
}

/// What costs memory besides a frame's bytes.
const OVERHEAD: usize = 128;

/// A recording under way.
#[derive(Debug)]
pub struct Recording<'a> {
    net: &'a Net,
    learned: Vec<Vec<Learned>>,
    before: Vec<(String, Option<Known>)>,
    dropped: u64,
    // What was taken out of the switches' hands so far, and followed.
    taken: Vec<Taken>,
    follower: Follower,
}

/// What a kernel knew: what there is to compare.
#[derive(Debug, Default)]
struct Known {
    neighbours: Vec<Neighbour>,
    counters: Option<Counters>,
}

impl<'a> Recording<'a> {
    /// Begins: every frame from now on is recorded.
    pub(super) fn begin(net: &'a Net, limits: Limits) -> Self {
        let before = of_hosts(net, || Ok(known()));
        let shared = net.fabric.shared();
        let mut state = shared.lock();
        // As if they were plugged in now: while hosts come up, they say things of their own.
        if !mem::replace(&mut state.is_watched, true) {
            state.forget();
        }
        let (learned, dropped) = (shared.learned(&state), state.dropped);
        let since_ns = Some(now_ns());
        state.record = Some(Record { since_ns, taken: Vec::new(), bytes: 0, limit: limits.bytes, lost: 0 });
        drop(state);
        Self { net, learned, before, dropped, taken: Vec::new(), follower: Follower::default() }
    }

    /// Whether every connection that was seen so far is over, and no frame waits for its time.
    pub fn is_over(&mut self) -> bool {
        let mut state = self.net.fabric.shared().lock();
        let new = state.record.as_mut().map(|record| mem::take(&mut record.taken)).unwrap_or_default();
        let delayed = state.delayed;
        // The switches do not wait for what follows.
        drop(state);
        for frame in new {
            let decoded = decode(LinkKind::Segment, &frame.bytes, frame.len as usize);
            let arrived = matches!(frame.fate, Fate::Passed { .. });
            self.follower.see(self.taken.len(), frame.link, frame.at_ns, &decoded, arrived);
            self.taken.push(frame);
        }
        delayed == 0 && self.follower.all_over(|_| true)
    }

    /// Ends; what is [not over](Self::is_over) is said to be cut. Times are told from `begin_ns` on, of CLOCK_REALTIME.
    pub fn end(mut self, begin_ns: i64) -> Capture {
        let cut = (!self.is_over()).then(|| "a connection was still open when the record ended".to_owned());
        let shared = self.net.fabric.shared();
        let mut state = shared.lock();
        let record = state.record.take();
        let (learned, dropped) = (shared.learned(&state), state.dropped - self.dropped);
        drop(state);
        let mut links = self.net.links.clone();
        for (link, (before, after)) in links.iter_mut().zip(mem::take(&mut self.learned).into_iter().zip(learned)) {
            (link.learned_before, link.learned_after) = (before, after);
        }
        let lost = record.as_ref().map_or(0, |record| record.lost) + dropped;
        let frame = |taken: Taken| Frame {
            at_ns: taken.at_ns - begin_ns,
            link: taken.link,
            from: Some(shared.host_at(taken.port)),
            fate: taken.fate,
            len: taken.len,
            cut: (taken.bytes.len() < taken.len as usize).then(|| "it is longer than any frame here".to_owned()),
            bytes: Bytes(taken.bytes),
            unfilled_checksum: None,
        };
        let late = record.map(|record| record.taken).unwrap_or_default();
        let mut frames: Vec<Frame> = mem::take(&mut self.taken).into_iter().chain(late).map(frame).collect();
        // The kernel stamps a frame on the sender's CPU and lines it up later: two of them can change places.
        frames.sort_by_key(|frame| frame.at_ns);
        let before = mem::take(&mut self.before);
        let after = of_hosts(self.net, || Ok((known(), sockets().unwrap_or_default())));
        let kernels = before.into_iter().zip(after).map(|((host, before), (_, after))| {
            let (after, sockets) = after.unwrap_or_default();
            let counters = |known: &Known| known.counters.clone();
            // What grew is known where both are.
            let grown = before.as_ref().and_then(counters).zip(after.counters.as_ref());
            Kernel {
                host,
                counters: grown.map(|(before, after)| kernel::grown(&before, after)).unwrap_or_default(),
                neighbours_before: before.unwrap_or_default().neighbours,
                neighbours_after: after.neighbours,
                sockets,
            }
        });
        let kernels = kernels.collect();
        Capture { began_ns: begin_ns, links, frames, lost, cut, kernels }
    }
}

impl Drop for Recording<'_> {
    fn drop(&mut self) {
        // Where it was not ended, nobody wants it.
        self.net.fabric.shared().lock().record = None;
    }
}

/// What every host's kernel says now, asked at the same time; `None` where its namespace could not be entered.
fn of_hosts<T: Send>(net: &Net, ask: impl Fn() -> io::Result<T> + Sync) -> Vec<(String, Option<T>)> {
    thread::scope(|scope| {
        let ask = &ask;
        let mut asked = Vec::new();
        for (host, namespace) in net.hosts() {
            let work = move || namespace.enter().and_then(|()| ask());
            asked.push((host.to_owned(), thread::Builder::new().spawn_scoped(scope, work)));
        }
        let said = |asked: thread::ScopedJoinHandle<'_, io::Result<T>>| asked.join().ok()?.ok();
        asked.into_iter().map(|(host, asked)| (host, asked.ok().and_then(said))).collect()
    })
}

/// What the calling thread's kernel knows. What it does not tell is left out: it is not what the network is for.
fn known() -> Known {
    Known { neighbours: kernel::neighbours().unwrap_or_default(), counters: kernel::counters().ok() }
}

/// Asked for at the end alone: to tell the sockets of a namespace the kernel goes through those of all.
fn sockets() -> io::Result<Vec<Socket>> {
    let mut sockets = kernel::sockets()?;
    // What never leaves the host is no part of the network: admin ports are there.
    sockets.retain(|socket| !socket.local.ip().is_loopback());
    Ok(sockets)
}

/// CLOCK_REALTIME, in which the kernel stamps frames.
fn now_ns() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// The frames so far.
#[derive(Debug)]
pub(super) struct Record {
    /// Frames that were sent before, and that the switch comes to only now, are no part of it. None once they are through:
    /// should the clock be set back later, nothing is left out.
    since_ns: Option<i64>,
    taken: Vec<Taken>,
    bytes: usize,
    limit: usize,
    lost: u64,
}

#[derive(Debug)]
struct Taken {
    /// CLOCK_REALTIME.
    at_ns: i64,
    link: usize,
    port: usize,
    fate: Fate,
    len: u32,
    bytes: Vec<u8>,
}

impl Record {
    pub(super) fn take(&mut self, at_ns: i64, link: usize, port: usize, fate: Fate, len: usize, frame: &[u8]) {
        if self.since_ns.is_some_and(|since| at_ns < since) {
            return;
        }
        self.since_ns = None;
        if self.bytes + frame.len() + OVERHEAD > self.limit {
            self.lost += 1;
            return;
        }
        self.bytes += frame.len() + OVERHEAD;
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        self.taken.push(Taken { at_ns, link, port, fate, len, bytes: frame.to_vec() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_before_is_no_part_of_it() {
        let mut record = Record { since_ns: Some(100), taken: Vec::new(), bytes: 0, limit: 1000, lost: 0 };
        for at_ns in [98, 99, 100, 101, 50] {
            record.take(at_ns, 0, 0, Fate::Seen, 1, &[0]);
        }
        assert_eq!(record.taken.iter().map(|taken| taken.at_ns).collect::<Vec<_>>(), [100, 101, 50]);
        assert_eq!(record.lost, 0);
    }
}

//! What is recorded of a network: its frames, and what the kernels of its hosts knew before and after.

use std::{io, mem, thread};

use journey::capture::{Bytes, Capture, Fate, Frame, Kernel, Learned, LinkKind, Neighbour, Socket};

use super::Net;
use crate::{
    decode::decode,
    flow::Follower,
    kernel::{self, Counters},
};

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
    before: Vec<(String, Facts)>,
    dropped: u64,
    follower: Follower,
    // How many of the frames the follower has seen.
    followed: usize,
}

/// What a kernel knew.
#[derive(Debug, Default)]
struct Facts {
    neighbours: Vec<Neighbour>,
    sockets: Vec<Socket>,
    counters: Counters,
}

impl<'a> Recording<'a> {
    /// Begins: every frame from now on is recorded.
    pub(super) fn begin(net: &'a Net, limits: Limits) -> Self {
        let before = facts(net);
        let shared = net.fabric.shared();
        let mut state = shared.lock();
        let (learned, dropped) = (shared.learned(&state), state.dropped);
        state.record = Some(Record { taken: Vec::new(), bytes: 0, limit: limits.bytes, lost: 0 });
        drop(state);
        Self { net, learned, before, dropped, follower: Follower::default(), followed: 0 }
    }

    /// Whether every connection that was seen so far is over.
    pub fn is_over(&mut self) -> bool {
        let state = self.net.fabric.shared().lock();
        let taken = state.record.as_ref().map_or(&[][..], |record| &record.taken);
        for (index, frame) in taken.iter().enumerate().skip(self.followed) {
            let decoded = decode(LinkKind::Segment, &frame.bytes, frame.len as usize);
            let arrived = matches!(frame.fate, Fate::Passed { .. });
            self.follower.see(index, frame.link, frame.at_ns, &decoded, arrived);
        }
        self.followed = taken.len();
        self.follower.all_over(|_| true)
    }

    /// Ends; what is [not over](Self::is_over) is said to be cut. Times are told from `begin_ns` on, of CLOCK_REALTIME.
    pub fn end(mut self, begin_ns: i64) -> Capture {
        let cut = (!self.is_over()).then(|| "a connection was still open when the record ended".to_owned());
        let shared = self.net.fabric.shared();
        let mut state = shared.lock();
        let record = state.record.take().expect("it was put there when this began");
        let (learned, dropped) = (shared.learned(&state), state.dropped - self.dropped);
        drop(state);
        let mut links = self.net.links.clone();
        for (link, (before, after)) in links.iter_mut().zip(mem::take(&mut self.learned).into_iter().zip(learned)) {
            (link.learned_before, link.learned_after) = (before, after);
        }
        let frame = |taken: Taken| Frame {
            at_ns: taken.at_ns - begin_ns,
            link: taken.link,
            from: Some(shared.host_at(taken.port)),
            fate: taken.fate,
            len: taken.len,
            bytes: Bytes(taken.bytes),
            cut: None,
            unfilled_checksum: None,
        };
        let mut frames: Vec<Frame> = record.taken.into_iter().map(frame).collect();
        // The kernel stamps a frame on the sender's CPU and lines it up later: two of them can change places.
        frames.sort_by_key(|frame| frame.at_ns);
        let before = mem::take(&mut self.before);
        let kernels = before.into_iter().zip(facts(self.net)).map(|((host, before), (_, after))| Kernel {
            host,
            counters: kernel::grown(&before.counters, &after.counters),
            neighbours_before: before.neighbours,
            neighbours_after: after.neighbours,
            sockets: after.sockets,
        });
        let kernels = kernels.collect();
        Capture { began_ns: begin_ns, links, frames, lost: record.lost + dropped, cut, kernels }
    }
}

impl Drop for Recording<'_> {
    fn drop(&mut self) {
        // Where it was not ended, nobody wants it.
        self.net.fabric.shared().lock().record = None;
    }
}

/// What every host's kernel knows now, asked at the same time. What cannot be had is left out: it is not what the network
/// is for.
fn facts(net: &Net) -> Vec<(String, Facts)> {
    thread::scope(|scope| {
        let mut asked = Vec::new();
        for (host, namespace) in net.hosts() {
            asked.push((host, scope.spawn(|| namespace.enter().and_then(|()| facts_here()).unwrap_or_default())));
        }
        asked.into_iter().map(|(host, asked)| (host.to_owned(), asked.join().unwrap_or_default())).collect()
    })
}

fn facts_here() -> io::Result<Facts> {
    let mut sockets = kernel::sockets()?;
    // What never leaves the host is no part of the network: admin ports are there.
    sockets.retain(|socket| !socket.local.ip().is_loopback());
    Ok(Facts { neighbours: kernel::neighbours()?, sockets, counters: kernel::counters()? })
}

/// The frames so far.
#[derive(Debug)]
pub(super) struct Record {
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
        if self.bytes + frame.len() + OVERHEAD > self.limit {
            self.lost += 1;
            return;
        }
        self.bytes += frame.len() + OVERHEAD;
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        self.taken.push(Taken { at_ns, link, port, fate, len, bytes: frame.to_vec() });
    }
}

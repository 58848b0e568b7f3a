//! The switches: one thread that takes every frame in, and sends it where it belongs.

use std::{
    collections::{BinaryHeap, HashMap},
    io::{self, PipeReader, PipeWriter},
    os::fd::AsFd,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::Instant,
};

use journey::capture::{Fate, Learned, LinkKind, Mac};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use world::fault::Faults;

use super::{plan::Wired, record::Record};
use crate::sys::{
    namespace::Namespace,
    packet::{PacketKind, PacketSocket},
};
use packets::{
    decode::decode,
    rules::{self, Verdict},
    switch::{Forward, Table},
};

/// Room for frames that were not taken in yet; as much as an ordinary user may have, where that is less.
const RECEIVE_BUFFER: usize = 16 * 1024 * 1024;

/// Longer frames there are not: the interfaces have an MTU of 1500.
const LONGEST_FRAME: usize = 2048;

/// Frames that are taken in before it is looked whether others are due.
const AT_ONCE: usize = 64;

/// Frames that wait for their time; a fault that delays cannot take all memory.
const MOST_DELAYED: usize = 10_000;

/// The switches of a network. They stop when this is dropped.
#[derive(Debug)]
pub(super) struct Fabric {
    shared: Arc<Shared>,
    // Closed to stop the thread, which then sees the other end hang up.
    stop: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
pub(super) struct Shared {
    began: Instant,
    pub(super) faults: Faults,
    ports: Vec<PortOf>,
    state: Mutex<State>,
}

/// A port of a switch, and who is behind it.
#[derive(Debug)]
struct PortOf {
    segment: usize,
    host: String,
    index: u32,
}

#[derive(Debug)]
pub(super) struct State {
    tables: Vec<Table>,
    pub(super) record: Option<Record>,
    /// Whether anybody has recorded yet.
    pub(super) is_watched: bool,
    /// Frames that wait for their time.
    pub(super) delayed: usize,
    /// Frames taken in, and their bytes.
    pub(super) frames: u64,
    pub(super) bytes: u64,
    /// Frames that the kernel had no room for, as it told so far.
    pub(super) dropped: u64,
}

impl Fabric {
    /// Begins to switch: when this has returned, no frame is missed.
    pub(super) fn start(inside: &Namespace, wired: &Wired) -> io::Result<Self> {
        let socket = inside.run(|| {
            let socket = PacketSocket::open()?;
            let _ = socket.set_receive_buffer(RECEIVE_BUFFER);
            socket.timestamps()?;
            socket.ignore_outgoing()?;
            // One socket for all ports: what they take in then has one order.
            socket.bind(None)?;
            Ok::<_, io::Error>(socket)
        })??;
        let port = |(host, interface): (&super::plan::WiredHost, &super::plan::WiredInterface)| PortOf {
            segment: interface.segment,
            host: host.name.clone(),
            index: interface.port_index,
        };
        let state = State {
            tables: vec![Table::default(); wired.segments.len()],
            record: None,
            is_watched: false,
            delayed: 0,
            frames: 0,
            bytes: 0,
            dropped: 0,
        };
        let shared = Arc::new(Shared {
            began: Instant::now(),
            faults: Faults::default(),
            ports: wired.ports().map(port).collect(),
            state: Mutex::new(state),
        });
        let (stopped, stop) = io::pipe()?;
        let switching = Switching::new(socket, Arc::clone(&shared));
        let thread = thread::Builder::new().name("switch".to_owned()).spawn(move || switching.until(&stopped))?;
        Ok(Self { shared, stop: Some(stop), thread: Some(thread) })
    }

    /// Tells the switches to stop; does not wait.
    pub(super) fn tell_to_stop(&mut self) {
        drop(self.stop.take());
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }
}

impl Drop for Fabric {
    fn drop(&mut self) {
        self.tell_to_stop();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed by it.
            let _ = thread.join();
        }
    }
}

impl State {
    pub(super) fn forget(&mut self) {
        self.tables.fill(Table::default());
    }
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // A table is right after every step, so a panic elsewhere has left nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What each switch has learned.
    pub(super) fn learned(&self, state: &State) -> Vec<Vec<Learned>> {
        let now = self.began.elapsed();
        let entry = |(mac, port): (Mac, usize)| Learned { mac, host: self.host_at(port) };
        state.tables.iter().map(|table| table.learned(now).into_iter().map(entry).collect()).collect()
    }

    pub(super) fn host_at(&self, port: usize) -> String {
        self.ports[port].host.clone()
    }
}

struct Switching {
    socket: PacketSocket,
    shared: Arc<Shared>,
    by_index: HashMap<u32, usize>,
    by_segment: HashMap<usize, Vec<usize>>,
    delayed: BinaryHeap<Delayed>,
    // Makes the order of those with the same time that of their coming.
    nth: u64,
}

/// A frame that goes out later.
#[derive(PartialEq, Eq)]
struct Delayed {
    due: Instant,
    nth: u64,
    to: usize,
    frame: Vec<u8>,
}

impl Ord for Delayed {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        // The heap gives the greatest first, and the earliest is wanted.
        (other.due, other.nth).cmp(&(self.due, self.nth))
    }
}

impl PartialOrd for Delayed {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Switching {
    fn new(socket: PacketSocket, shared: Arc<Shared>) -> Self {
        let by_index = shared.ports.iter().enumerate().map(|(nth, port)| (port.index, nth)).collect();
        let mut by_segment: HashMap<usize, Vec<usize>> = HashMap::new();
        for (nth, port) in shared.ports.iter().enumerate() {
            by_segment.entry(port.segment).or_default().push(nth);
        }
        Self { socket, shared, by_index, by_segment, delayed: BinaryHeap::new(), nth: 0 }
    }

    fn until(mut self, stopped: &PipeReader) {
        let mut buffer = [0; LONGEST_FRAME];
        loop {
            let mut waited =
                [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN), PollFd::new(stopped.as_fd(), PollFlags::POLLIN)];
            let due = self.delayed.peek().map(|next| next.due.saturating_duration_since(Instant::now()));
            // Rounded up: a frame may come late, but the thread must not spin until it is due.
            let limit = due.map_or(PollTimeout::NONE, |due| {
                PollTimeout::try_from(due.as_micros().div_ceil(1_000)).unwrap_or(PollTimeout::MAX)
            });
            let _ = poll(&mut waited, limit);
            if waited[1].any().unwrap_or(false) {
                return;
            }
            // A few at a time: what waits for its time must not wait for a lull.
            for _ in 0..AT_ONCE {
                // Besides that there is none, an interface that goes down is an error, once.
                let Ok(received) = self.socket.receive(&mut buffer) else { break };
                if received.kind == PacketKind::Outgoing {
                    continue;
                }
                if let Some(&port) = self.by_index.get(&received.ifindex) {
                    self.take_in(port, received.at_ns, received.len, &buffer[..received.kept]);
                }
            }
            self.send_due();
        }
    }

    /// Takes a frame in at a port, and sends it on.
    fn take_in(&mut self, port: usize, at_ns: i64, len: usize, frame: &[u8]) {
        let (Some(destination), Some(source)) = (mac_at(frame, 0), mac_at(frame, 6)) else { return };
        let shared = Arc::clone(&self.shared);
        let now = shared.began.elapsed();
        let segment = shared.ports[port].segment;
        let mut state = shared.lock();
        state.frames += 1;
        state.bytes += len as u64;
        let forward = state.tables[segment].forward(destination, port, now);
        let mut to: Vec<usize> = match forward {
            Forward::To(other) => vec![other],
            Forward::Flood => self.by_segment[&segment].iter().copied().filter(|other| *other != port).collect(),
            Forward::Stay => Vec::new(),
        };
        let verdict = self.judged(port, &to, frame, len);
        to.retain(|port| !verdict.not_to.iter().any(|(host, _)| *host == shared.ports[*port].host));
        // What got lost on its way in was never heard.
        if verdict.lost.is_none() {
            state.tables[segment].learn(source, port, now);
        }
        let fate = self.fate(&verdict, forward, &to, len);
        let is_lost = matches!(fate, Fate::Dropped { .. });
        if let Some(record) = &mut state.record {
            record.take(at_ns, segment, port, fate, len, frame);
        }
        if is_lost {
            return;
        }
        let received = Instant::now();
        for port in to {
            let (delay, copies) = verdict.for_host(&shared.ports[port].host);
            for _ in 0..=copies {
                if delay.is_zero() {
                    self.send(port, frame);
                } else {
                    self.nth += 1;
                    self.delayed.push(Delayed {
                        due: received + delay,
                        nth: self.nth,
                        to: port,
                        frame: frame.to_vec(),
                    });
                }
            }
        }
        state.delayed = self.delayed.len();
    }

    fn judged(&self, from: usize, to: &[usize], frame: &[u8], len: usize) -> Verdict {
        let faults = &self.shared.faults;
        if faults.is_empty() {
            return Verdict::default();
        }
        let host = |port: &usize| self.shared.ports[*port].host.as_str();
        let to: Vec<&str> = to.iter().map(host).collect();
        let decoded = decode(LinkKind::Segment, frame, len);
        rules::judge(&mut faults.lock(), Instant::now(), host(&from), &to, &decoded, frame)
    }

    fn fate(&self, verdict: &Verdict, forward: Forward, to: &[usize], len: usize) -> Fate {
        if let Some(why) = &verdict.lost {
            return Fate::Dropped { why: why.clone() };
        }
        if len > LONGEST_FRAME {
            return Fate::Dropped { why: format!("it is longer than {LONGEST_FRAME} bytes") };
        }
        if self.delayed.len() >= MOST_DELAYED && verdict.altered.iter().any(|altered| !altered.delay.is_zero()) {
            return Fate::Dropped { why: format!("{MOST_DELAYED} frames wait for their time already") };
        }
        let not_to = verdict.not_to.iter().map(|(host, why)| format!("not to {host}: {why}"));
        if to.is_empty() {
            let why = match forward {
                Forward::Stay => "its destination is on the side that it came from".to_owned(),
                _ => verdict.not_to.first().map_or_else(|| "nobody else is there".to_owned(), |(_, why)| why.clone()),
            };
            return Fate::Dropped { why };
        }
        let altered = verdict.altered.iter().map(|altered| match &altered.to {
            Some(host) => format!("to {host} {altered}"),
            None => altered.to_string(),
        });
        let altered: Vec<String> = not_to.chain(altered).collect();
        Fate::Passed {
            to: to.iter().map(|port| self.shared.host_at(*port)).collect(),
            flooded: forward == Forward::Flood,
            altered: (!altered.is_empty()).then(|| altered.join("; ")),
        }
    }

    fn send(&self, port: usize, frame: &[u8]) {
        // A port whose interface is not up yet, or not any more, loses what is sent to it, as a cable does.
        let _ = self.socket.send(self.shared.ports[port].index, frame);
    }

    fn send_due(&mut self) {
        let now = Instant::now();
        while let Some(next) = self.delayed.peek()
            && next.due <= now
        {
            let Some(next) = self.delayed.pop() else { return };
            self.send(next.to, &next.frame);
            self.shared.lock().delayed = self.delayed.len();
        }
        if let Ok((_, dropped @ 1..)) = self.socket.statistics() {
            self.shared.lock().dropped += u64::from(dropped);
        }
    }
}

fn mac_at(frame: &[u8], from: usize) -> Option<Mac> {
    Some(Mac(*frame.get(from..)?.first_chunk()?))
}

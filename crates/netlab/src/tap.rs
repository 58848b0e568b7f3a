//! Capture on this machine's interfaces.
//!
//! Frames of all interfaces are taken while a visit is made, since nobody knows before which ones it will use. When it is
//! over, those of the visit are kept and the others are forgotten; they are never shown, and never written anywhere.

mod filter;
mod others;
mod refused;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    io::{self, PipeReader, PipeWriter},
    net::{IpAddr, Ipv4Addr, UdpSocket},
    os::fd::AsFd,
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use journey::capture::{Bytes, Capture, Fate, Frame, Link, LinkKind, Port, Socket};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::{
    kernel::{self, Interface},
    sys::packet::{PacketKind, PacketSocket, Received},
};
pub use filter::{Endpoint, Filter};
use others::Others;
use packets::flow::{Follower, Limits};
pub use refused::Refused;

/// Bytes of a frame that are kept. Devices that cut segments themselves are handed up to 64 KiB at once.
const LONGEST: usize = 128 * 1024;

/// What the kernel may hold back for a thread that does not come to run.
const RECEIVE_BUFFER: usize = 8 * 1024 * 1024;

/// Frames that are taken at a time: more than the kernel holds back in [`RECEIVE_BUFFER`], which it doubles, and of which
/// a frame takes half a KiB at least (socket(7)). Whoever has taken so many has taken all that had come when he began,
/// though ever more may come.
const AT_A_TIME: usize = 1 << 15;

/// How long it is waited for stamps.
const LONGEST_UNSTAMPED: Duration = Duration::from_millis(20);

/// What costs memory besides a frame's bytes.
const OVERHEAD: usize = 128;

/// The same moment on two clocks.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// CLOCK_REALTIME, in nanoseconds: what frames are stamped with. It can be set.
    pub realtime_ns: i64,
    /// CLOCK_MONOTONIC: what a visit is measured with.
    pub at: Instant,
}

impl Moment {
    /// Now.
    pub fn now() -> Self {
        let (at, realtime) = (Instant::now(), SystemTime::now());
        let realtime = realtime.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { realtime_ns: i64::try_from(realtime.as_nanos()).unwrap_or(i64::MAX), at }
    }

    /// Nanoseconds from here to there, by the monotonic clock.
    fn until(&self, then: Instant) -> i64 {
        let ns = |duration: Duration| i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX);
        match then.checked_duration_since(self.at) {
            Some(ahead) => ns(ahead),
            None => -ns(self.at.duration_since(then)),
        }
    }
}

/// A capture under way.
#[derive(Debug)]
pub struct Tap {
    // Closed to end the thread.
    end: PipeWriter,
    thread: JoinHandle<Drain>,
}

impl Tap {
    /// Takes every frame from now on, `limit` bytes of them at most. When it has returned, capture has begun. Connections
    /// among the sockets `before` are somebody else's, and take no room.
    pub fn start(limit: usize, before: &[Socket]) -> Result<Self, Refused> {
        let step = |step: &'static str| move |error: io::Error| Refused::new(step, error);
        let socket = PacketSocket::open().map_err(step("opening a packet socket"))?;
        // With a smaller one more may be lost, which is counted.
        let _ = socket.set_receive_buffer(RECEIVE_BUFFER);
        socket.timestamps().map_err(step("asking for times of frames"))?;
        socket.aux_data().map_err(step("asking for VLAN tags and checksums"))?;
        let (woken, end) = io::pipe().map_err(step("opening a pipe"))?;
        socket.bind(None).map_err(step("binding the packet socket to all interfaces"))?;
        stamped(|buffer| socket.receive(buffer), Instant::now() + LONGEST_UNSTAMPED);
        let drain = Drain {
            others: Others::among(before),
            socket,
            begun: Moment::now(),
            step_ns: 0,
            taken: Vec::new(),
            bytes: 0,
            limit,
            lost: 0,
            failed: None,
        };
        let thread = thread::Builder::new().name("tap".to_owned()).spawn(move || drain.until(woken));
        Ok(Self { end, thread: thread.map_err(step("starting a thread"))? })
    }

    /// Ends when every connection of the visit is over, at the latest then, and keeps the visit's frames. Blocks so long.
    /// Times are told from `begin` on.
    pub fn stop(self, ours: &Filter, begin: Moment, latest: Instant) -> Capture {
        drop(self.end);
        let Ok(mut drain) = self.thread.join() else {
            return Capture { cut: Some("the thread that took frames has failed".to_owned()), ..Capture::default() };
        };
        let cut = drain.rest(ours, latest);
        let interfaces = kernel::interfaces().unwrap_or_default();
        let dropped = drain.socket.statistics().map_or(0, |(_, dropped)| u64::from(dropped));
        let (lost, offset) = (drain.lost + dropped, drain.begun.until(begin.at));
        let mut capture = keep(drain.taken, ours, &interfaces);
        for frame in &mut capture.frames {
            frame.at_ns = frame.at_ns.saturating_sub(offset);
        }
        Capture { lost, cut, ..capture }
    }
}

/// Waits until frames are stamped as they pass. Where nobody else has asked for stamps, the kernel begins with them some
/// time after it was asked, and stamps a frame that has none when it is read. A datagram to ourselves over loopback tells: it
/// is queued here when it has been sent, so an earlier stamp is its own. Where there is no loopback, or it takes too long,
/// the first frames' times are those of their reading.
fn stamped(mut receive: impl FnMut(&mut [u8]) -> io::Result<Received>, latest: Instant) {
    let Ok(here) = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)) else { return };
    let Ok(address) = here.local_addr() else { return };
    let mut buffer = [0; 64];
    while Instant::now() < latest && here.send_to(&[0], address).is_ok() {
        let (sent, mut is_stamped) = (Moment::now().realtime_ns, false);
        // Where much passes there is always one more.
        while Instant::now() < latest
            && let Ok(received) = receive(&mut buffer)
        {
            // Behind 14 bytes of Ethernet and 20 of IP: its port.
            let is_ours = received.hatype == libc::ARPHRD_LOOPBACK && buffer[34..36] == address.port().to_be_bytes();
            is_stamped |= is_ours && received.at_ns <= sent;
        }
        if is_stamped {
            return;
        }
        thread::sleep(Duration::from_micros(50));
    }
}

/// A frame as it was taken.
#[derive(Clone, Debug)]
struct Taken {
    /// Since capture began, by the monotonic clock.
    at_ns: i64,
    ifindex: u32,
    kind: LinkKind,
    is_outgoing: bool,
    len: u32,
    bytes: Vec<u8>,
    is_unfilled: bool,
}

/// Takes frames.
#[derive(Debug)]
struct Drain {
    socket: PacketSocket,
    begun: Moment,
    /// By how much CLOCK_REALTIME was set since then.
    step_ns: i64,
    taken: Vec<Taken>,
    bytes: usize,
    limit: usize,
    others: Others,
    lost: u64,
    failed: Option<String>,
}

impl Drain {
    /// Takes frames until the other end of the pipe is closed, and those that have come by then.
    fn until(mut self, end: PipeReader) -> Self {
        loop {
            let mut ready =
                [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN), PollFd::new(end.as_fd(), PollFlags::POLLIN)];
            let polled = poll(&mut ready, PollTimeout::NONE);
            let is_end = ready[1].any().unwrap_or(true);
            if let Err(error) = polled
                && error != nix::errno::Errno::EINTR
            {
                self.failed = Some(format!("waiting for frames failed: {error}"));
            }
            self.drain(PacketSocket::receive);
            if is_end || self.failed.is_some() {
                return self;
            }
        }
    }

    /// Takes what has come; of what comes meanwhile not more than [`AT_A_TIME`].
    fn drain(&mut self, receive: impl Fn(&PacketSocket, &mut [u8]) -> io::Result<Received>) {
        let now = Moment::now();
        let step = now.realtime_ns.saturating_sub(self.begun.realtime_ns).saturating_sub(self.begun.until(now.at));
        // Below this it is not the clock that was set, but the time between two readings.
        if (step - self.step_ns).abs() > 1_000_000 {
            self.step_ns = step;
        }
        let mut buffer = vec![0; LONGEST];
        for _ in 0..AT_A_TIME {
            match receive(&self.socket, &mut buffer) {
                Ok(received) => self.take(&received, &buffer[..received.kept]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // An interface went down; the others go on (packet(7)).
                Err(error)
                    if error.kind() == io::ErrorKind::Interrupted || error.raw_os_error() == Some(libc::ENETDOWN) => {}
                Err(error) => {
                    self.failed = Some(format!("receiving frames failed: {error}"));
                    return;
                }
            }
        }
    }

    fn take(&mut self, received: &Received, frame: &[u8]) {
        let Some(kind) = filter::kind(received.hatype, received.protocol, frame) else { return };
        let is_outgoing = received.kind == PacketKind::Outgoing;
        // Loopback gives each frame twice: as it goes out, and as it comes in.
        if kind == LinkKind::Loopback && is_outgoing {
            return;
        }
        if self.others.have(kind, frame, received.len) {
            return;
        }
        let (mut bytes, mut len) = (frame.to_vec(), received.len);
        if let Some(tag) = received.vlan.filter(|_| kind == LinkKind::Ethernet && bytes.len() >= 12) {
            // It was on the wire; the kernel has taken it out.
            let tag = [received.vlan_protocol.to_be_bytes(), tag.to_be_bytes()].concat();
            bytes.splice(12..12, tag);
            len += 4;
        }
        if self.bytes + bytes.len() + OVERHEAD > self.limit {
            self.lost += 1;
            return;
        }
        self.bytes += bytes.len() + OVERHEAD;
        self.taken.push(Taken {
            at_ns: received.at_ns.saturating_sub(self.begun.realtime_ns).saturating_sub(self.step_ns),
            ifindex: received.ifindex,
            kind,
            is_outgoing,
            len: u32::try_from(len).unwrap_or(u32::MAX),
            bytes,
            is_unfilled: received.checksum_unfilled,
        });
    }

    /// Goes on until the visit's connections are over; why it had to end before, where it had to.
    fn rest(&mut self, ours: &Filter, latest: Instant) -> Option<String> {
        let mut follower = Follower::new(Limits { segments: 0, ..Limits::default() });
        let mut seen = 0;
        loop {
            for (index, taken) in self.taken.iter().enumerate().skip(seen) {
                let decoded = taken.decoded();
                // Others' connections shall not use up what can be followed.
                if ours.wants(&decoded, &[]) {
                    follower.see(index, taken.ifindex as usize, taken.at_ns, &decoded, true);
                }
            }
            seen = self.taken.len();
            if self.failed.is_some() || follower.all_over(|key| ours.is_ours(key)) {
                return self.failed.take();
            }
            let rest = latest.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                return Some("a connection was still open when the visit had been over for a while".to_owned());
            }
            // Rounded up: a millisecond is the least that can be waited for.
            let rest = PollTimeout::try_from(rest.as_millis() + 1).unwrap_or(PollTimeout::MAX);
            let _ = poll(&mut [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)], rest);
            self.drain(PacketSocket::receive);
        }
    }
}

/// The visit's frames, and the interfaces that they passed.
fn keep(taken: Vec<Taken>, ours: &Filter, interfaces: &[Interface]) -> Capture {
    let own: Vec<IpAddr> =
        interfaces.iter().flat_map(|interface| &interface.addresses).map(ipnet::IpNet::addr).collect();
    let chosen = ours.choose(&taken, &own);
    let mut kept: Vec<_> =
        taken.into_iter().zip(chosen).filter(|(_, is_ours)| *is_ours).map(|(taken, _)| taken).collect();
    // The kernel stamps a frame on one CPU and lines it up on another: two of them can change places.
    kept.sort_by_key(|taken| taken.at_ns);
    let mut kinds = BTreeMap::new();
    for taken in &kept {
        kinds.entry(taken.ifindex).or_insert(taken.kind);
    }
    let indexes: Vec<_> = kinds.keys().copied().collect();
    let links = kinds.iter().map(|(&index, &kind)| link(index, kind, interfaces)).collect();
    let frame = |taken: Taken| Frame {
        at_ns: taken.at_ns,
        link: indexes.partition_point(|&index| index < taken.ifindex),
        from: (taken.is_outgoing || taken.kind == LinkKind::Loopback).then(|| "you".to_owned()),
        fate: Fate::Seen,
        cut: (taken.bytes.len() < taken.len as usize)
            .then(|| format!("no more than {LONGEST} bytes of a frame are kept")),
        len: taken.len,
        bytes: Bytes(taken.bytes),
        unfilled_checksum: Some(taken.is_unfilled),
    };
    Capture { links, frames: kept.into_iter().map(frame).collect(), ..Capture::default() }
}

fn link(index: u32, kind: LinkKind, interfaces: &[Interface]) -> Link {
    let known = interfaces.iter().find(|interface| interface.index == index);
    // One that is gone since has a number alone.
    let name = known.map_or_else(|| format!("if{index}"), |interface| interface.name.clone());
    let port = Port {
        host: "you".to_owned(),
        interface: name.clone(),
        mac: known.and_then(|interface| interface.mac),
        addresses: known.map_or_else(Vec::new, |it| it.addresses.iter().map(ToString::to_string).collect()),
    };
    Link { name, kind, ports: vec![port], learned_before: Vec::new(), learned_after: Vec::new() }
}

//! A listening TCP socket whose door follows the faults in force: open, or shut in one of the ways in which the doors of
//! real servers are shut. The kernel answers whoever comes; nothing is simulated.
//!
//! | state | what is done | what a client sees |
//! |---|---|---|
//! | open | `listen(2)`, `accept(2)` | a connection |
//! | refusing | `shutdown(2)`: the socket keeps its port and listens no more | RST |
//! | unanswering | what has not 255 hops left is dropped (`IP_MINTTL`), and no system sends so much by default | nothing |
//! | stalled | a short accept queue, full, and nobody who takes from it | nothing, while the kernel counts overflows |
//!
//! Connections that were taken before go on in all of them. None of them takes a right that not every process has.

mod hops;

use std::{
    fmt,
    future::pending,
    io, mem,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use socket2::{Domain, SockRef, Socket, Type};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Notify,
    time::{Instant, sleep_until, timeout},
};
use tracing::{info, warn};
use world::fault::{Fault, Faults};

use crate::bind::BACKLOG;

/// The length of a stalled queue. The kernel lets in one connection more than it is told (`sk_acceptq_is_full`); with 0 it
/// would take every SYN for one too many, and answer with cookies.
const STALLED_BACKLOG: i32 = 1;
/// Connections of our own that fill a stalled queue.
const FILLERS: usize = STALLED_BACKLOG as usize + 1;
/// A connection of our own that is not open by then has found the queue full of others, as one to one's own host takes
/// microseconds.
const FILLED: Duration = Duration::from_millis(200);

/// What a fault makes of a door, if anything.
type Which = dyn Fn(&Fault) -> Option<State> + Send + Sync;

/// What a door is like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Clients come in.
    #[default]
    Open,
    /// Nothing listens: the kernel refuses.
    Refusing,
    /// SYNs get no answer, as behind a firewall that drops them.
    Unanswering,
    /// The accept queue is full and nobody takes from it.
    Stalled,
}

/// A listening socket, and whether one may come in.
#[derive(Debug)]
pub struct Door {
    local: SocketAddr,
    changed: Arc<Notify>,
    leaf: Arc<Mutex<Leaf>>,
    // Registered with the runtime; none while the socket does not listen. A socket that was shut down stays "closed for
    // reading" in the runtime's books, so a new registration is made for each life.
    listener: Option<(u64, TcpListener)>,
    fillers: Vec<Filler>,
    // Fillers whose other ends are still in the queue.
    leaving: Vec<Filler>,
}

/// The socket itself, which whoever changes the faults turns at once.
struct Leaf {
    local: SocketAddr,
    socket: Socket,
    faults: Faults,
    which: Box<Which>,
    state: State,
    // Whether nothing has passed for a while: a connection that was half open then has inherited it.
    was_unanswering: bool,
    // How often the socket was told to listen after it had been shut down.
    life: u64,
}

/// One of our own connections in a stalled queue.
#[derive(Debug)]
struct Filler {
    local: SocketAddr,
    stream: TcpStream,
}

impl Door {
    /// Takes over a socket that listens on a port that it was bound to explicitly (as all of [`crate::Bound`] are). `which`
    /// says what a fault makes of the door; the first fault of which it says something counts.
    pub fn new(
        listener: TcpListener,
        faults: &Faults,
        which: impl Fn(&Fault) -> Option<State> + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let local = listener.local_addr()?;
        let leaf = Leaf {
            local,
            socket: SockRef::from(&listener).try_clone()?,
            faults: faults.clone(),
            which: Box::new(which),
            state: State::Open,
            was_unanswering: false,
            life: 0,
        };
        let (leaf, changed) = (Arc::new(Mutex::new(leaf)), Arc::new(Notify::new()));
        // At once, and not when the task that accepts has its turn: who has put a fault into force may rely on it. A door
        // that is gone has no socket any more.
        let (weak, tell) = (Arc::downgrade(&leaf), Arc::clone(&changed));
        faults.on_change(move || {
            if let Some(leaf) = weak.upgrade() {
                lock(&leaf).follow();
                tell.notify_one();
            }
        });
        lock(&leaf).follow();
        let (fillers, leaving) = (Vec::new(), Vec::new());
        Ok(Self { local, changed, leaf, listener: Some((0, listener)), fillers, leaving })
    }

    /// The socket's address.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// What the door is like now.
    pub fn state(&self) -> State {
        lock(&self.leaf).state
    }

    /// The next client, once the door is open and one is there; where SYNs go unanswered, also who was in the queue before.
    /// Nothing is lost when this is given up.
    pub async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        loop {
            let (state, end) = self.follow()?;
            if state == State::Stalled {
                self.fill().await?;
            } else {
                self.empty(state);
            }
            let takes = matches!(state, State::Open | State::Unanswering);
            let accepted = tokio::select! {
                biased;
                () = self.changed.notified() => continue,
                () = until(end) => continue,
                accepted = accept(self.listener.as_ref().filter(|_| takes)) => accepted,
            };
            // What accept(2) says of a socket that has just been shut down is about nobody.
            if accepted.is_err() && self.state() != state {
                continue;
            }
            let (stream, peer) = accepted?;
            match self.leaving.iter().position(|filler| filler.local == peer) {
                Some(ours) => drop(self.leaving.swap_remove(ours)),
                None => {
                    if lock(&self.leaf).was_unanswering {
                        hops::all_pass(&stream, self.local)?;
                    }
                    return Ok((stream, peer));
                }
            }
        }
    }

    /// Follows the faults and takes nobody in: for whoever has no room for another client meanwhile. It never ends, and
    /// nothing is lost when it is given up.
    pub async fn attend(&mut self) -> ! {
        loop {
            // What fails here is told of by the next accept, which tries it again.
            let end = match self.follow() {
                Ok((State::Stalled, end)) => {
                    let _ = self.fill().await;
                    end
                }
                Ok((state, end)) => {
                    self.empty(state);
                    end
                }
                Err(_) => None,
            };
            tokio::select! {
                () = self.changed.notified() => {}
                () = until(end) => {}
            }
        }
    }

    /// Makes the socket what the faults want now, and the registration what the socket is. Says until when that holds.
    fn follow(&mut self) -> io::Result<(State, Option<Instant>)> {
        let mut leaf = lock(&self.leaf);
        let state = leaf.follow();
        match &self.listener {
            _ if state == State::Refusing => self.listener = None,
            Some((life, _)) if *life == leaf.life => {}
            _ => {
                let listener = TcpListener::from_std(leaf.socket.try_clone()?.into())?;
                self.listener = Some((leaf.life, listener));
            }
        }
        let end = if leaf.faults.is_empty() { None } else { leaf.faults.next_end() };
        Ok((state, end.map(Instant::from_std)))
    }

    /// Fills the queue, as far as it is not full. Each connection is counted before it is waited for, so that this may be
    /// given up and begun again.
    async fn fill(&mut self) -> io::Result<()> {
        while self.fillers.len() + self.leaving.len() < FILLERS {
            self.fillers.push(Filler::begin(self.local)?);
            if let Some(filler) = self.fillers.last() {
                let _ = timeout(FILLED, filler.stream.writable()).await;
            }
        }
        Ok(())
    }

    /// Takes our own connections back: those that are in the queue as they are accepted, the others at once.
    fn empty(&mut self, state: State) {
        let is_in = |filler: &Filler| filler.stream.peer_addr().is_ok();
        self.leaving.extend(mem::take(&mut self.fillers).into_iter().filter(is_in));
        if state == State::Refusing {
            // The kernel has reset what was in the queue.
            self.leaving.clear();
        }
    }
}

impl Filler {
    fn begin(server: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(server), Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        let ip = match server.ip() {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        // Under way, which the caller waits for; or in vain, which leaves the queue as full as it is.
        let _ = socket.connect(&SocketAddr::new(ip, server.port()).into());
        let stream = TcpStream::from_std(socket.into())?;
        Ok(Self { local: stream.local_addr()?, stream })
    }
}

async fn accept(listener: Option<&(u64, TcpListener)>) -> io::Result<(TcpStream, SocketAddr)> {
    match listener {
        Some((_, listener)) => listener.accept().await,
        None => pending().await,
    }
}

async fn until(end: Option<Instant>) {
    match end {
        Some(end) => sleep_until(end).await,
        None => pending().await,
    }
}

fn lock(leaf: &Mutex<Leaf>) -> MutexGuard<'_, Leaf> {
    // A panic elsewhere leaves a socket that is in one of the states, and the next change turns it.
    leaf.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Leaf {
    /// Makes the socket what the faults want now; returns what it is. Should the kernel refuse, the next change tries again.
    fn follow(&mut self) -> State {
        let fault = self.faults.standing(|fault| (self.which)(fault).is_some());
        let wanted = fault.and_then(|fault| (self.which)(&fault)).unwrap_or_default();
        let local = self.local;
        if self.state != wanted {
            match self.turn(wanted) {
                Ok(()) => info!(%local, state = ?wanted, "the door was turned"),
                Err(error) => warn!(%local, %error, state = ?wanted, "the door cannot be turned"),
            }
        }
        self.state
    }

    /// By way of an open door, so that each state has its own two moves and no others.
    fn turn(&mut self, wanted: State) -> io::Result<()> {
        match self.state {
            State::Open => {}
            State::Refusing => {
                self.socket.listen(BACKLOG)?;
                self.life += 1;
            }
            State::Unanswering => hops::all_pass(&self.socket, self.local)?,
            State::Stalled => self.socket.listen(BACKLOG)?,
        }
        self.state = State::Open;
        match wanted {
            State::Open => {}
            // Of a listening socket this is the end of listening (`inet_shutdown`): what is in its queue is reset.
            State::Refusing => self.socket.shutdown(Shutdown::Read)?,
            State::Unanswering => {
                self.was_unanswering = true;
                hops::none_pass(&self.socket, self.local)?;
            }
            // Told again, a socket that listens already takes the new length.
            State::Stalled => self.socket.listen(STALLED_BACKLOG)?,
        }
        self.state = wanted;
        Ok(())
    }
}

impl fmt::Debug for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { local, state, life, .. } = self;
        f.debug_struct("Leaf").field("local", local).field("state", state).field("life", life).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

//! A listening socket that `tcp-refused` shuts: while the fault is in force nothing listens, and the kernel refuses.
//!
//! shutdown(2) ends the listening and keeps the port, where the socket was bound to it explicitly (as all of
//! [`service::Bound`] are); listen(2) begins it anew. Who was in the accept queue is reset, connections that were taken go
//! on.

use std::{
    future::pending,
    io,
    net::{Shutdown, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use socket2::{SockRef, Socket};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Notify,
    time::{Instant, sleep_until},
};
use tracing::{info, warn};
use world::fault::{Faults, Kind, Place};

/// Connections that the kernel completes and keeps until they are taken (also limited by `somaxconn`).
const BACKLOG: i32 = 1024;

/// A listening socket that follows the faults in force.
#[derive(Debug)]
pub(super) struct Listener {
    changed: Arc<Notify>,
    leaf: Arc<Mutex<Leaf>>,
    /// With the life of the socket that it was registered in: one that was shut down stays "closed" in the runtime's
    /// books.
    registered: Option<(u64, TcpListener)>,
}

#[derive(Debug)]
struct Leaf {
    host: String,
    local: SocketAddr,
    socket: Socket,
    faults: Faults,
    shut: bool,
    life: u64,
}

impl Listener {
    pub(super) fn new(listener: TcpListener, host: &str, faults: &Faults) -> io::Result<Self> {
        let leaf = Leaf {
            host: host.to_owned(),
            local: listener.local_addr()?,
            socket: SockRef::from(&listener).try_clone()?,
            faults: faults.clone(),
            shut: false,
            life: 0,
        };
        let (leaf, changed) = (Arc::new(Mutex::new(leaf)), Arc::new(Notify::new()));
        // At once, and not when the task that accepts has its turn: who has put a fault into force may rely on it.
        let (weak, tell) = (Arc::downgrade(&leaf), Arc::clone(&changed));
        faults.on_change(move || {
            if let Some(leaf) = weak.upgrade() {
                lock(&leaf).follow();
                tell.notify_one();
            }
        });
        lock(&leaf).follow();
        Ok(Self { changed, leaf, registered: Some((0, listener)) })
    }

    /// The next client, once the socket listens and one is there. Nothing is lost when this is given up.
    pub(super) async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        loop {
            let (shut, end) = self.follow()?;
            let accepted = tokio::select! {
                biased;
                () = self.changed.notified() => continue,
                () = until(end) => continue,
                accepted = accept(self.registered.as_ref()) => accepted,
            };
            // What accept(2) says of a socket that has just been shut is about nobody.
            if accepted.is_err() && lock(&self.leaf).shut != shut {
                continue;
            }
            return accepted;
        }
    }

    /// Makes the socket what the faults want, and its registration what the socket is; says until when that holds.
    fn follow(&mut self) -> io::Result<(bool, Option<Instant>)> {
        let mut leaf = lock(&self.leaf);
        leaf.follow();
        match &self.registered {
            _ if leaf.shut => self.registered = None,
            Some((life, _)) if *life == leaf.life => {}
            _ => self.registered = Some((leaf.life, TcpListener::from_std(leaf.socket.try_clone()?.into())?)),
        }
        let end = if leaf.faults.is_empty() { None } else { leaf.faults.next_end() };
        Ok((leaf.shut, end.map(Instant::from_std)))
    }
}

impl Leaf {
    fn follow(&mut self) {
        let is_meant = |fault: &world::fault::Fault| {
            fault.kind == Kind::TcpRefused && matches!(fault.place, Place::Host(_)) && fault.place.is(&self.host)
        };
        let shut = self.faults.standing(is_meant).is_some();
        if shut == self.shut {
            return;
        }
        let turned = if shut { self.socket.shutdown(Shutdown::Read) } else { self.socket.listen(BACKLOG) };
        match turned {
            Ok(()) => {
                self.shut = shut;
                self.life += u64::from(!shut);
                info!(host = self.host, local = %self.local, shut, "listening was changed");
            }
            Err(error) => warn!(host = self.host, local = %self.local, %error, shut, "listening cannot be changed"),
        }
    }
}

async fn accept(registered: Option<&(u64, TcpListener)>) -> io::Result<(TcpStream, SocketAddr)> {
    match registered {
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
    // A panic elsewhere leaves a socket that listens or does not, and the next change turns it.
    leaf.lock().unwrap_or_else(PoisonError::into_inner)
}

//! The lab's own admin port, for the faults of its network: nobody else's port would be the place for them.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    thread::{self, JoinHandle},
};

use netlab::sys::namespace::Namespace;
use prometheus_client::registry::Registry;
use service::{
    Recorder, Signals, Stop,
    admin::{self, Admin},
};
use world::{Token, fault::Faults};

/// The name that the network has there.
const NAME: &str = "wire";

/// The port, served until this is dropped.
#[derive(Debug)]
pub(crate) struct Control {
    address: SocketAddr,
    stop: Stop,
    thread: Option<JoinHandle<()>>,
}

impl Control {
    /// On the loopback interface of whoever visits.
    pub(crate) fn start(faults: &Faults, token: Option<Token>, at: &Arc<Namespace>) -> io::Result<Self> {
        let listener = at.run(|| std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))??;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let signals = Signals { faults: faults.clone(), token, ..Signals::default() };
        signals.ready.set(true);
        let admin = Admin { recorder: Recorder::new(NAME, NAME, 1), registry: Registry::default(), signals };
        let stop = Stop::new();
        let until = stop.clone();
        let serve = move || {
            runtime.block_on(async {
                match tokio::net::TcpListener::from_std(listener) {
                    Ok(listener) => admin::serve(vec![listener], admin, until).await,
                    Err(error) => tracing::error!(%error, "the lab's control does not listen"),
                }
            });
        };
        let thread = thread::Builder::new().name("lab control".to_owned()).spawn(serve)?;
        Ok(Self { address, stop, thread: Some(thread) })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            // Its panic has been printed.
            let _ = thread.join();
        }
    }
}

//! A host: a thread with a runtime of its own, in *wire* in a network namespace of its own.

use std::{
    io,
    sync::{Arc, OnceLock},
    thread::{self, JoinHandle},
    time::Duration,
};

use app::App;
use nameserver::Nameserver;
use netlab::sys::namespace::Namespace;
use resolver::Resolver;
use service::{Bound, Configured, Ended, Service, Signals};
use world::AddressBook;

use crate::LabError;

/// A host that runs.
#[derive(Debug)]
pub(crate) struct Running {
    thread: JoinHandle<()>,
    signals: Signals,
    // Set once, when the service has ended.
    ended: Arc<OnceLock<io::Result<Ended>>>,
}

impl Running {
    pub(crate) fn start(
        told: &Configured,
        sockets: Bound,
        book: &AddressBook,
        inside: Option<Arc<Namespace>>,
        signals: Signals,
    ) -> Result<Self, LabError> {
        if told.host.nameserver.is_some() {
            let mut config = configure::<Nameserver>(told)?;
            config.book = book.clone();
            Self::spawn::<Nameserver>(told, sockets, config, inside, signals)
        } else if told.host.resolver.is_some() {
            let mut config = configure::<Resolver>(told)?;
            // The resolver asks the world's addresses, which here are other sockets.
            config.book = book.clone();
            Self::spawn::<Resolver>(told, sockets, config, inside, signals)
        } else {
            Self::spawn::<App>(told, sockets, configure::<App>(told)?, inside, signals)
        }
    }

    fn spawn<S: Service + 'static>(
        told: &Configured,
        sockets: Bound,
        config: S::Config,
        inside: Option<Arc<Namespace>>,
        signals: Signals,
    ) -> Result<Self, LabError> {
        let ended = Arc::new(OnceLock::new());
        let (theirs, told_end) = (signals.clone(), Arc::clone(&ended));
        let life = move || {
            // What the service opens later, to ask others, has to be there too.
            let entered = inside.map_or(Ok(()), |namespace| namespace.enter());
            let runtime = entered.and_then(|()| tokio::runtime::Builder::new_current_thread().enable_all().build());
            let result = runtime.and_then(|runtime| runtime.block_on(S::run(sockets, config, theirs.clone())));
            // The cell is this thread's alone to set.
            let _ = told_end.set(result);
            theirs.ready.wake();
        };
        let thread = thread::Builder::new()
            .name(format!("host {}", told.name))
            .spawn(life)
            .map_err(|source| LabError::Thread { host: told.name.clone(), source })?;
        Ok(Self { thread, signals, ended })
    }

    /// What it can be told, and what it tells.
    pub(crate) fn signals(&self) -> &Signals {
        &self.signals
    }

    /// Blocks until the host is ready; the error says why it is not.
    pub(crate) fn wait_ready(&self, limit: Duration) -> Result<(), String> {
        if self.signals.ready.wait(limit, || self.ended.get().is_some()) {
            return Ok(());
        }
        Err(match self.ended.get() {
            Some(Err(error)) => error.to_string(),
            Some(Ok(_)) => "it ended at once".to_owned(),
            None => format!("it was not ready after {} s", limit.as_secs()),
        })
    }

    pub(crate) fn tell_to_stop(&self) {
        self.signals.stop.cancel();
    }

    pub(crate) fn stop(self) {
        self.tell_to_stop();
        // A panic of the host has been printed by its thread.
        let _ = self.thread.join();
    }
}

fn configure<S: Service>(told: &Configured) -> Result<S::Config, LabError> {
    S::configure(told).map_err(|error| LabError::Configure { host: told.name.clone(), source: Box::new(error) })
}

//! Runs a world in this process.
//!
//! Every host of the world gets a thread with a runtime of its own. In *wire* it is in a network namespace of its own,
//! with the world's addresses, behind a switch that sees every frame ([`wire::net`]). On *loopback* it has real sockets on
//! 127.0.0.1 and ::1 with ports of the kernel's choice; the [`AddressBook`] says which socket stands behind which of the
//! world's addresses. No root, no containers, nothing that listens beyond loopback. Dropping the [`Lab`] stops it.
//!
//! ```no_run
//! let lab = lab::Lab::start(lab::Options::default())?;
//! let (_, dns) = lab.book().resolver().expect("the built-in world has a resolver");
//! println!("dig @{} -p {} www.example.test", dns.socket.ip(), dns.socket.port());
//! # Ok::<_, lab::LabError>(())
//! ```

mod ground;
mod host;
mod plan;
mod sockets;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use ca::Authority;
use ipnet::Ipv4Net;
use service::{Told, bind::BindError};
use wire::net::{Net, NetError};
use world::{AddressBook, Files, World};

use ground::Ground;
use host::Running;

pub use plan::{ROUTER, YOU};

/// A service that is not ready by then never will be.
const READY_LIMIT: Duration = Duration::from_secs(10);

/// What to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The world.
    pub world: World,
    /// Where the files are that it names.
    pub files: Files,
    /// Hosts that are in the world but do not run: their ports refuse, as those of a machine without the service.
    pub without: Vec<String>,
    /// Where the authority is kept that the lab's services have their certificates from; with none, or where nothing can
    /// be written, it begins and ends with the lab.
    pub data_dir: Option<PathBuf>,
    /// How the hosts are joined.
    pub way: Way,
}

/// How the hosts of a lab are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By sockets on loopback that stand in for the world's addresses.
    Loopback,
    /// By switches and a router, each host in a network namespace of its own. The calling thread must be allowed to make
    /// them: see [`wire::sys::namespace::prepare`].
    Wire {
        /// How many clients there are; the first is [`YOU`].
        clients: usize,
    },
}

impl Default for Options {
    /// The whole built-in world on loopback, and the user's data directory.
    fn default() -> Self {
        let data_dir = ca::data_dir(|name| std::env::var_os(name));
        Self { world: World::built_in(), files: Files::BuiltIn, without: Vec::new(), data_dir, way: Way::Loopback }
    }
}

/// A running lab.
#[derive(Debug)]
pub struct Lab {
    book: AddressBook,
    hosts: BTreeMap<String, Running>,
    authority: Arc<Authority>,
    ready_in: Duration,
    ground: Ground,
}

/// Why a lab does not run.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// No socket.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// A socket on loopback could not be reserved.
    #[error("cannot reserve a port on {address}: {source}")]
    Reserve {
        /// Where.
        address: std::net::IpAddr,
        /// Why.
        source: std::io::Error,
    },
    /// A host's namespace cannot be entered.
    #[error("host {host}: its namespace cannot be entered: {source}")]
    Namespace {
        /// The host.
        host: String,
        /// Why.
        source: std::io::Error,
    },
    /// A host has no thread to run on.
    #[error("host {host}: no thread for it: {source}")]
    Thread {
        /// The host.
        host: String,
        /// Why.
        source: std::io::Error,
    },
    /// There is no network.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The world does not say where its hosts stand.
    #[error("this world has no network.segments and no network.you, so it cannot be run with a network of its own")]
    NoSegments,
    /// There are not enough addresses.
    #[error("{segment} has room for {most} clients, not for {wanted}")]
    TooManyClients {
        /// How many were asked for.
        wanted: usize,
        /// How many there can be.
        most: usize,
        /// Where.
        segment: Ipv4Net,
    },
    /// There is no authority to have certificates from.
    #[error(transparent)]
    Authority(#[from] ca::Error),
    /// A host's configuration or a file that it names cannot be used.
    #[error("host {host}: {source}")]
    Configure {
        /// The host.
        host: String,
        /// What is wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A host did not come up.
    #[error("host {host} did not start: {why}")]
    NotReady {
        /// The host.
        host: String,
        /// Why.
        why: String,
    },
    /// There is no such host.
    #[error("there is no host {host:?} in this lab; hosts: {known}")]
    NoSuchHost {
        /// The name asked for.
        host: String,
        /// Those that exist.
        known: String,
    },
}

impl Lab {
    /// Starts every host and waits until all are ready.
    pub fn start(options: Options) -> Result<Self, LabError> {
        let begin = Instant::now();
        let Options { world, files, without, data_dir, way } = options;
        let known = |name: &str| world.hosts.contains_key(name);
        if let Some(host) = without.iter().find(|name| !known(name)) {
            let known = world.hosts.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            return Err(LabError::NoSuchHost { host: host.clone(), known });
        }
        let scope = service::tls::scope(&world);
        let authority = Arc::new(Authority::open_or_in_memory(data_dir.as_deref(), &scope, SystemTime::now())?);
        let ground = Ground::new(&world, way)?;
        let mut sockets = BTreeMap::new();
        for (name, host) in &world.hosts {
            if !without.contains(name) {
                sockets.insert(name.clone(), ground.bind(name, host, &world.network)?);
            }
        }
        let mut book = AddressBook::new(&world, ground.closed(), |name, protocol, address| {
            sockets.get(name)?.real(protocol, address)
        });
        book.ca = Some(authority.certificate_pem().to_owned());
        let mut hosts = BTreeMap::new();
        for (name, sockets) in sockets {
            let told = Told {
                name: name.clone(),
                host: world.hosts[&name].clone(),
                world: world.clone(),
                files: files.clone(),
                authority: Some(Arc::clone(&authority)),
            };
            hosts.insert(name.clone(), Running::start(&told, sockets.bound, &book, ground.inside(&name))?);
        }
        for (name, host) in &hosts {
            host.wait_ready(READY_LIMIT).map_err(|why| LabError::NotReady { host: name.clone(), why })?;
        }
        Ok(Self { book, hosts, authority, ready_in: begin.elapsed(), ground })
    }

    /// Which real socket stands behind each of the world's addresses.
    pub fn book(&self) -> &AddressBook {
        &self.book
    }

    /// Its network, where it has one of its own: its hosts, the router, and the clients, of whom the first is [`YOU`].
    pub fn net(&self) -> Option<&Net> {
        self.ground.net()
    }

    /// Who the services have their certificates from.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// How long it took until all hosts were ready.
    pub fn ready_in(&self) -> Duration {
        self.ready_in
    }

    /// The hosts that run.
    pub fn running(&self) -> impl Iterator<Item = &str> {
        self.hosts.keys().map(String::as_str)
    }

    /// Stops a host and waits until it has ended; its ports then refuse.
    pub fn stop(&mut self, host: &str) -> Result<(), LabError> {
        let Some(running) = self.hosts.remove(host) else {
            let known = self.running().collect::<Vec<_>>().join(", ");
            return Err(LabError::NoSuchHost { host: host.to_owned(), known });
        };
        running.stop();
        Ok(())
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // All are told before the first is waited for, and before them what takes longest.
        self.ground.tell_to_stop();
        for host in self.hosts.values() {
            host.tell_to_stop();
        }
        while let Some((_, host)) = self.hosts.pop_first() {
            host.stop();
        }
    }
}

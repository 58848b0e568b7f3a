//! Runs a world in this process.
//!
//! Every host of the world gets a thread with a runtime of its own. In *wire* it is in a network namespace of its own,
//! with the world's addresses, behind a switch that sees every frame ([`netlab::net`]). On *loopback* it has real sockets on
//! 127.0.0.1 and ::1 with ports of the kernel's choice; the [`AddressBook`] says which socket stands behind which of the
//! world's addresses. No root, no containers, nothing that listens beyond loopback. Dropping the [`Lab`] stops it.
//!
//! A test of a client's own:
//!
//! ```
//! use std::{io::{Read, Write}, net::TcpStream};
//! use lab::Lab;
//!
//! let lab = Lab::builder().data_dir(None).history(true).start()?;
//! let mut stream = TcpStream::connect(lab.socket("app1", "http")?)?;
//! stream.write_all(b"GET /status/204 HTTP/1.1\r\nHost: www.example.test\r\nConnection: close\r\n\r\n")?;
//! let mut answer = String::new();
//! stream.read_to_string(&mut answer)?;
//! assert!(answer.starts_with("HTTP/1.1 204"));
//!
//! // What the server saw of it.
//! let events = lab.history("app1")?;
//! assert!(events.iter().any(|event| matches!(&event.what, lab::What::RequestRead { target, .. } if target == "/status/204")));
//!
//! // From here on the authorities of the zone answer SERVFAIL, until the guard is dropped.
//! let guard = lab.fault("auth:servfail")?;
//! assert_eq!(lab.faults().len(), 2);
//! drop(guard);
//! assert!(lab.faults().is_empty());
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! `examples/servfail.rs` is a whole test file: what a client sees when an authoritative server answers SERVFAIL, and that it
//! recovers.

mod builder;
mod control;
mod disturb;
mod ground;
mod host;
mod plan;
pub mod publish;
mod sockets;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use ca::Authority;
use ipnet::Ipv4Net;
use netlab::net::{Net, NetError};
use service::{Configured, Signals, bind::BindError};
use world::{
    AddressBook, Changed, FileError, Files, Token, World, WorldError,
    fault::{Fault, FaultError, Place},
};

use control::Control;
use ground::Ground;
use host::Running;
use publish::Publish;

pub use builder::Builder;
pub use disturb::{FaultGuard, InForce};
/// For tests whose client speaks DNS: messages, names and records, in the version that the lab's servers have.
pub use hickory_proto;
/// What hosts record: [`Lab::history`].
pub use journey::{What, report::Reported};
pub use plan::{ROUTER, YOU};

/// A service that is not ready by then never will be.
const READY_LIMIT: Duration = Duration::from_secs(10);

/// Reading small files again takes a moment.
const RELOAD_LIMIT: Duration = Duration::from_secs(10);

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
    /// Faults that are in force from the beginning.
    pub faults: Vec<Fault>,
    /// Whether hosts record what belongs to no visit as well, for [`Lab::history`].
    pub history: bool,
    /// What of it listens at further sockets, of a lab on loopback: nothing else does beyond that.
    pub publish: Vec<Publish>,
}

/// How the hosts of a lab are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By sockets on loopback that stand in for the world's addresses.
    Loopback,
    /// By switches and a router, each host in a network namespace of its own. The calling thread must be allowed to make
    /// them: see [`netlab::sys::namespace::prepare`].
    Wire {
        /// How many clients there are; the first is [`YOU`].
        clients: usize,
    },
}

impl Default for Options {
    /// The whole built-in world on loopback, and the user's data directory.
    fn default() -> Self {
        let data_dir = ca::data_dir(|name| std::env::var_os(name));
        Self {
            world: World::built_in(),
            files: Files::BuiltIn,
            without: Vec::new(),
            data_dir,
            way: Way::Loopback,
            faults: Vec::new(),
            history: false,
            publish: Vec::new(),
        }
    }
}

/// A running lab.
#[derive(Debug)]
pub struct Lab {
    book: AddressBook,
    hosts: BTreeMap<String, Running>,
    authority: Arc<Authority>,
    ready_in: Duration,
    world: World,
    files: Changed,
    // It serves until it is dropped, before the network goes.
    control: Option<Control>,
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
    /// Another vendor's server plays a host, and it is not said where.
    #[error("host {host}: {why}; or give the lab a network of its own (--wire), where it listens at {addresses}")]
    NoSockets {
        /// The host.
        host: String,
        /// What is needed.
        why: String,
        /// The host's own addresses.
        addresses: String,
    },
    /// It cannot be published.
    #[error("--publish {what}: {why}")]
    Publish {
        /// What was asked for.
        what: String,
        /// Why not, and what there is.
        why: String,
    },
    /// An address to publish at could not be bound.
    #[error("{source}; at ports that need no rights: visit lab serve {instead}")]
    NotPublished {
        /// Which, and why.
        source: BindError,
        /// What to say instead.
        instead: String,
    },
    /// A host did not come up.
    #[error("host {host} did not start: {why}")]
    NotReady {
        /// The host.
        host: String,
        /// Why.
        why: String,
    },
    /// What was written is no fault, or cannot be had in this world.
    #[error(transparent)]
    Fault(#[from] FaultError),
    /// A fault of the network, in a lab that has none.
    #[error(
        "{fault} disturbs the lab's own network, and this lab is on loopback, where sockets stand in for its addresses: build \
         it with `wire`"
    )]
    NoNetwork {
        /// The fault.
        fault: String,
    },
    /// The world cannot be used.
    #[error(transparent)]
    World(#[from] WorldError),
    /// A file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The host has no such service.
    #[error("{host} has no service {service:?}; services: {known}")]
    NoSuchService {
        /// The host.
        host: String,
        /// The name asked for.
        service: String,
        /// Those that exist.
        known: String,
    },
    /// Records cannot be replaced.
    #[error("records of {zone}: {why}")]
    Records {
        /// The zone.
        zone: String,
        /// Why.
        why: String,
    },
    /// A host has not read its files again in time.
    #[error("host {host} has not read its files again after {} s", RELOAD_LIMIT.as_secs())]
    Reload {
        /// The host.
        host: String,
    },
    /// A host cannot use what it has read.
    #[error("host {host}: {why}")]
    NotReloaded {
        /// The host.
        host: String,
        /// Why, in its words.
        why: String,
    },
    /// There is no socket to control the lab by.
    #[error("the lab's control: {0}")]
    Control(std::io::Error),
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
    /// What a lab can be built of; the built-in world on loopback where nothing more is said.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Starts every host and waits until all are ready.
    pub fn start(options: Options) -> Result<Self, LabError> {
        let begin = Instant::now();
        let Options { world, files, without, data_dir, way, faults, history, publish } = options;
        check_hosts(&world, &without)?;
        faults.iter().try_for_each(|fault| fault.check(&world))?;
        let files = Changed::new(files);
        let scope = service::tls::scope(&world);
        let authority = Arc::new(Authority::open_or_in_memory(data_dir.as_deref(), &scope, SystemTime::now())?);
        let takes_part = |name: &&String| !without.contains(name);
        publish::check(&publish, &world, &without)?;
        if way == Way::Loopback {
            for name in world.hosts.keys().filter(takes_part) {
                check_sockets(name, &world)?;
            }
        }
        let ground = Ground::new(&world, way)?;
        for fault in faults.iter().filter(|fault| fault.place == Place::Wire) {
            disturb::network(&ground, fault)?.add(fault.clone(), None);
        }
        let (mut sockets, mut published) = (BTreeMap::new(), BTreeMap::new());
        for name in world.hosts.keys().filter(takes_part) {
            let host = &world.hosts[name];
            match host.played_by {
                Some(_) => ground.make_room_for_another(name)?,
                None => {
                    let mut bound = ground.bind(name, host, &world.network)?;
                    published.insert(name.clone(), publish::open(&publish, name, &world, &mut bound)?);
                    sockets.insert(name.clone(), bound);
                }
            }
        }
        let mut book = AddressBook::new(&world, ground.closed(), |name, service, protocol, address| {
            let host = &world.hosts[name];
            match (&host.played_by, way) {
                (None, _) => sockets.get(name)?.real(protocol, address),
                _ if without.iter().any(|left_out| left_out == name) => None,
                (Some(_), Way::Loopback) => host.told_socket(service, address),
                (Some(_), Way::Wire { .. }) => Some(address),
            }
        });
        book.ca = Some(authority.certificate_pem().to_owned());
        // On loopback every user of this machine reaches its admin ports.
        let token = Token::random();
        book.token = Some(token.clone());
        for host in &mut book.hosts {
            host.published = published.remove(&host.name).unwrap_or_default();
        }
        let mut hosts = BTreeMap::new();
        for (name, sockets) in sockets {
            let told = Configured {
                name: name.clone(),
                host: world.hosts[&name].clone(),
                world: world.clone(),
                files: Files::Changed(files.clone()),
                authority: Some(Arc::clone(&authority)),
            };
            let signals = signals(&name, &token, &faults, history);
            let inside = ground.inside(&name);
            hosts.insert(name.clone(), Running::start(&told, sockets.bound, &book, inside, signals)?);
        }
        for (name, host) in &hosts {
            host.wait_ready(READY_LIMIT).map_err(|why| LabError::NotReady { host: name.clone(), why })?;
        }
        Ok(Self { book, hosts, authority, ready_in: begin.elapsed(), world, files, control: None, ground })
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
        let running = self.hosts.remove(host).ok_or_else(|| self.no_such_host(host))?;
        running.stop();
        Ok(())
    }
}

fn check_hosts(world: &World, without: &[String]) -> Result<(), LabError> {
    match without.iter().find(|name| !world.hosts.contains_key(*name)) {
        None => Ok(()),
        Some(host) => {
            let known = world.hosts.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            Err(LabError::NoSuchHost { host: host.clone(), known })
        }
    }
}

fn signals(name: &str, token: &Token, faults: &[Fault], history: bool) -> Signals {
    let signals = Signals { token: Some(token.clone()), ..Signals::default() };
    // Before it starts: a fault that is a state of its sockets is there from the first moment.
    for fault in faults.iter().filter(|fault| fault.place.is(name)) {
        signals.faults.add(fault.clone(), None);
    }
    if history {
        signals.history.record_all();
    }
    signals
}

/// Where another vendor's server plays this host of a lab on loopback, it has to be said where.
fn check_sockets(name: &str, world: &World) -> Result<(), LabError> {
    let host = &world.hosts[name];
    let Some(why) = host.missing_sockets(&world.network) else { return Ok(()) };
    let addresses = host.addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ");
    Err(LabError::NoSockets { host: name.to_owned(), why, addresses })
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.control = None;
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

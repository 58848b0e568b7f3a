//! Application server: HTTP and HTTPS, line TCP, UDP.
//!
//! | module | what |
//! |---|---|
//! | `config` | what the server is told, checked |
//! | `disturb` | what the faults in force do to doors, connections and requests |
//! | `accept` | TCP connections: a limit, patience with errors, draining |
//! | `http` | HTTP/1.1 on hyper and HTTP/2 on h2: TLS, the measured socket, the routes, the pages |
//! | `talk` | a TCP port that answers whatever bytes it gets |
//! | `echo` | a UDP port that sends back what it gets (RFC 862) |
//! | `journal` | what is recorded for `/events`, and how much of it |
//! | `metrics` | what is counted for `/metrics` |
//!
//! ```no_run
//! use service::{Bound, Service, Signals, Configured};
//! use world::{Files, Protocol, World};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let world = World::built_in();
//! let host = world.hosts["app1"].clone();
//! let config = app::App::configure(&Configured { name: "app1".into(), host, world, files: Files::BuiltIn, authority: None })?;
//! let mut sockets = Bound::default();
//! let address = sockets.bind("http", Protocol::Tcp, "127.0.0.1:0".parse()?, false)?;
//! println!("http://{address}/");
//! app::App::run(sockets, config, Signals::default()).await?;
//! # Ok(())
//! # }
//! ```

mod accept;
mod config;
mod disturb;
mod echo;
mod http;
mod journal;
mod metrics;
mod talk;

pub use config::{Config, ConfigError, Limits};

use std::{io, sync::Arc};

use prometheus_client::registry::Registry;
use service::{Bound, Configured, Door, Ended, Recorder, Seats, Service, Signals, Stop, admin::Admin, ring};
use socket2::SockRef;
use tokio::{net::TcpListener, sync::Semaphore, task::JoinSet};
use tracing::info;
use world::fault::Faults;

use journal::Journal;
use metrics::Metrics;

/// The application server.
#[derive(Debug)]
pub struct App;

/// What all connections of a server share.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) config: Config,
    pub(crate) journal: Journal,
    pub(crate) metrics: Metrics,
    pub(crate) pages: http::Pages,
    pub(crate) stop: Stop,
    pub(crate) faults: Faults,
    /// Bytes for the requests of HTTP/2 that are under way.
    pub(crate) memory: Arc<Semaphore>,
}

impl Service for App {
    const NAME: &'static str = "app";
    type Config = Config;
    type Error = ConfigError;

    fn configure(told: &Configured) -> Result<Config, ConfigError> {
        Config::new(told)
    }

    async fn run(mut sockets: Bound, config: Config, signals: Signals) -> io::Result<Ended> {
        let recorder = Recorder::new(config.host.clone(), Self::NAME, ring::DEFAULT_CAPACITY);
        recorder.listens_on(&sockets);
        let mut registry = Registry::default();
        let listening = |name| sockets.addresses().into_iter().filter(move |(known, ..)| *known == name);
        let others = http::Others {
            talk: listening("talk").map(|(.., address)| address).collect(),
            echo: listening("echo").map(|(.., address)| address).collect(),
        };
        // A token of its own, so that `/ready` says 503 before the first client is refused.
        let stop = Stop::new();
        let server = Arc::new(Server {
            journal: Journal::new(recorder.clone()),
            metrics: Metrics::new(&mut registry),
            pages: http::Pages::new(&config, others),
            stop: stop.clone(),
            faults: signals.faults.clone(),
            memory: Arc::new(Semaphore::new(config.limits.memory)),
            config,
        });
        let admins = sockets.take_tcp("admin")?;
        // Held until the end, and never accepted from.
        let _stalled = stalled(sockets.take_tcp("stall")?)?;
        let serving = serve(&server, &mut sockets, &signals, &stop)?;
        // Stopped last, so that `/ready` can say 503 while connections drain.
        let admin_stop = Stop::new();
        signals.history.is_of(&recorder);
        let admin = Admin { recorder, registry, signals: signals.clone() };
        let admin = tokio::spawn(service::admin::serve(admins, admin, admin_stop.clone()));

        signals.ready.set(true);
        signals.stop.cancelled().await;
        signals.ready.set(false);
        info!(host = server.config.host, "draining");
        stop.cancel();
        let cut_off = serving.join_all().await.into_iter().sum();
        admin_stop.cancel();
        admin.await.map_err(io::Error::other)?;
        Ok(Ended { cut_off })
    }
}

/// Begins to serve all its clients; each task gives how many it has left unfinished.
fn serve(server: &Arc<Server>, sockets: &mut Bound, signals: &Signals, stop: &Stop) -> io::Result<JoinSet<usize>> {
    let [plain, secure, talks] = ["http", "https", "talk"].map(|name| sockets.take_tcp(name));
    let (plain, secure, talks, echoes) = (plain?, secure?, talks?, sockets.take_udp("echo")?);

    // No admin port has such a door: by it faults are ended.
    let door = |listener| Door::new(listener, &signals.faults, disturb::door);

    let mut serving = JoinSet::new();
    let seats = Seats::new(server.config.limits.connections);
    for listener in plain {
        let server = Arc::clone(server);
        let converse = move |stream, peer, seat| http::converse(Arc::clone(&server), stream, peer, seat);
        serving.spawn(accept::serve(door(listener)?, Arc::clone(&seats), stop.clone(), converse));
    }
    let seats = Seats::new(server.config.limits.connections);
    for listener in secure {
        let server = Arc::clone(server);
        let Some(tls) = server.config.tls.clone() else {
            return Err(io::Error::other("there is a socket for HTTPS, and no authority for its certificate"));
        };
        let converse = move |stream, peer, seat| {
            http::converse_over_tls(Arc::clone(&server), Arc::clone(&tls), stream, peer, seat)
        };
        serving.spawn(accept::serve(door(listener)?, Arc::clone(&seats), stop.clone(), converse));
    }
    let seats = Seats::new(server.config.limits.connections);
    for listener in talks {
        let server = Arc::clone(server);
        let converse = move |stream, peer, seat| talk::converse(Arc::clone(&server), stream, peer, seat);
        serving.spawn(accept::serve(door(listener)?, Arc::clone(&seats), stop.clone(), converse));
    }
    for socket in echoes {
        serving.spawn(echo::serve(Arc::clone(server), socket));
    }
    Ok(serving)
}

/// Shortens these listeners' accept queues: the kernel lets in one connection more than it is told (listen(2), and
/// `sk_acceptq_is_full` in Linux).
fn stalled(listeners: Vec<TcpListener>) -> io::Result<Vec<TcpListener>> {
    // Told again, a socket that listens already takes the new length.
    listeners.iter().try_for_each(|listener| SockRef::from(listener).listen(1))?;
    Ok(listeners)
}

//! The service: configuration, sockets to answers, flush, drain.

use std::{io, net::IpAddr, sync::Arc, time::Duration};

use dns::serve::{Faulty, Limits, Metrics, Secure, Server};
use ipnet::IpNet;
use prometheus_client::registry::Registry;
use service::{Bound, Configured, Ended, Recorder, Service, Signals, ring::DEFAULT_CAPACITY, start::GRACE};
use tracing::{error, info};
use world::{AddressBook, Files, Renumber, fault::Role};

use crate::{
    counters::Counters,
    handler::Handler,
    hints::{self, HintsError, Root},
    reach::Reach,
    recursion::{Bounds, Means, Recursion},
};

/// UDP queries that wait for servers at once, per socket; more are dropped, as a client asks again anyway.
const PENDING: usize = 1_024;

/// The recursive resolver.
#[derive(Debug)]
pub struct Resolver;

/// What it needs to run.
#[derive(Clone, Debug)]
pub struct Config {
    /// The host's name, which it tells to whom asks for its NSID.
    pub host: String,
    /// Where it begins.
    pub roots: Vec<Root>,
    /// Where they were read from.
    pub source: Source,
    /// Who may ask.
    pub allow: Vec<IpNet>,
    /// Which real sockets stand behind the world's addresses.
    pub book: AddressBook,
    /// A server that has not answered by then counts as dead for this question.
    pub upstream_timeout: Duration,
    /// A client waits no longer than this for its answer.
    pub answer_timeout: Duration,
    /// What it may hold in memory.
    pub bounds: Bounds,
    /// TCP connections held open at once.
    pub tcp_connections: usize,
    /// A TCP connection without a query for so long is closed.
    pub tcp_idle: Duration,
    /// Its side of TLS; without it, it cannot serve DNS over TLS and HTTPS.
    pub secure: Option<Secure>,
    /// How long what was begun may take after the stop.
    pub grace: Duration,
    /// The addresses of whoever visits: its faults may be meant for one client alone.
    pub you: Vec<IpAddr>,
}

/// Where root hints are read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The file's name.
    pub file: String,
    /// Where it is.
    pub files: Files,
    /// How addresses in it are changed.
    pub renumber: Option<Renumber>,
}

impl Source {
    /// Reads the hints.
    pub fn load(&self) -> Result<Vec<Root>, HintsError> {
        let text = self.files.read(&self.file)?;
        hints::parse(&text, &self.files.path(&self.file), self.renumber)
    }
}

/// It cannot be configured.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The host is something else.
    #[error("host {0} is no resolver: the world gives it no root hints")]
    NotAResolver(String),
    /// The root hints cannot be used.
    #[error("root hints cannot be used: {0}")]
    Hints(#[from] HintsError),
    /// There is no certificate for it.
    #[error(transparent)]
    Certificate(#[from] ca::Error),
}

impl Service for Resolver {
    const NAME: &'static str = "resolver";
    const RELOADS: &'static str = "root hints; the cache is emptied";
    type Config = Config;
    type Error = ConfigError;

    fn configure(told: &Configured) -> Result<Config, ConfigError> {
        let Some(spec) = &told.host.resolver else {
            return Err(ConfigError::NotAResolver(told.name.clone()));
        };
        let source = Source { file: spec.roots.clone(), files: told.files.clone(), renumber: told.world.renumber };
        Ok(Config {
            host: told.name.clone(),
            roots: source.load()?,
            source,
            allow: told.world.recursion_allowed(spec),
            book: AddressBook::direct(&told.world),
            upstream_timeout: Duration::from_millis(spec.upstream_timeout_ms),
            answer_timeout: Duration::from_millis(spec.answer_timeout_ms),
            bounds: Bounds::default(),
            tcp_connections: spec.tcp_connections,
            tcp_idle: Duration::from_millis(spec.tcp_idle_ms),
            secure: told.server_config(&Secure::TLS)?.map(Secure::new),
            grace: GRACE,
            you: told.world.network.you.clone(),
        })
    }

    async fn run(sockets: Bound, config: Config, signals: Signals) -> io::Result<Ended> {
        let mut registry = Registry::default();
        let metrics = Metrics::new(&mut registry);
        let counters = Counters::new(&mut registry);
        let recorder = Recorder::new(&config.host, Self::NAME, DEFAULT_CAPACITY);
        let faults = Faulty::new(Role::Resolver, &config.host, Vec::new(), &config.book, &config.you, &signals);
        recorder.listens_on(&sockets);
        let means = Means {
            reach: Reach::find(&config.book),
            book: Arc::new(config.book),
            upstream_timeout: config.upstream_timeout,
            answer_timeout: config.answer_timeout,
            bounds: config.bounds,
            recorder: recorder.clone(),
            counters: counters.clone(),
            clock: signals.clock.clone(),
        };
        begins(&config.host, &config.roots, &means);
        let recursion = Recursion::new(&config.roots, means.clone())?;
        let server = Arc::new(Server {
            handler: Handler::new(recursion, config.allow, &config.host),
            nsid: Some(config.host.clone()),
            recorder,
            metrics,
            secure: config.secure,
            faults,
            limits: Limits {
                tcp_connections: config.tcp_connections,
                tcp_idle: config.tcp_idle,
                pending: PENDING,
                grace: config.grace,
            },
        });
        let beside = flush(Arc::clone(&server), config.source, config.roots, means, signals.clone());
        server.live(sockets, registry, beside, signals).await
    }
}

/// Empties the cache and reads the hints again, whenever told to. Broken hints leave the old ones; the cache is emptied
/// all the same, as that is what the signal is mostly sent for.
async fn flush(server: Arc<Server<Handler>>, source: Source, mut roots: Vec<Root>, means: Means, signals: Signals) {
    let host = server.recorder.host();
    loop {
        signals.reload.notified().await;
        let mut result = Ok(());
        match source.load() {
            Ok(read) => roots = read,
            Err(error) => {
                result =
                    Err(format!("the cache is emptied, but root hints not reloaded, the old ones are kept: {error}"));
                means.counters.flush_failed();
                error!(host, %error, "root hints not reloaded; the old ones are kept");
            }
        }
        let kept = server.handler.recursion().kept();
        match Recursion::new(&roots, means.clone()) {
            Ok(recursion) => {
                begins(host, &roots, &means);
                server.handler.exchange(recursion);
                means.counters.flushed();
                info!(host, answers = kept, "cache emptied");
            }
            Err(error) => {
                result = Err(format!("the cache is not emptied: {error}"));
                error!(host, %error, "cache not emptied");
            }
        }
        signals.reload.done(result);
    }
}

fn begins(host: &str, roots: &[Root], means: &Means) {
    for root in roots {
        info!(host, root = %root.name, address = %root.ip, ipv6 = means.reach.v6, "begins at");
    }
}

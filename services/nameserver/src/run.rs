//! The service: configuration, sockets to answers, reload, drain.

use std::{io, net::IpAddr, sync::Arc, thread, time::Duration};

use dns::serve::{Faulty, Limits, Metrics, Server};
use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use service::{Bound, Configured, Ended, Recorder, Service, Signals, ring::DEFAULT_CAPACITY, start::GRACE};
use tokio::{sync::oneshot, time::timeout};
use tracing::{error, info};
use world::{AddressBook, fault::Role};

use crate::{
    handler::Authority,
    problem::ZoneErrors,
    zones::{Source, Zones},
};

/// UDP queries that wait at once. An authority waits for nothing, so this is never met.
const PENDING: usize = 64;

/// The authoritative name server.
#[derive(Debug)]
pub struct Nameserver;

/// What it needs to run: zones that have been checked, and how to read them again.
#[derive(Debug)]
pub struct Config {
    /// The host's name, which it tells to whom asks for its NSID.
    pub host: String,
    /// Its zones.
    pub zones: Zones,
    /// Where they were read from.
    pub source: Source,
    /// TCP connections held open at once.
    pub tcp_connections: usize,
    /// A TCP connection without a query for so long is closed.
    pub tcp_idle: Duration,
    /// How long what was begun may take after the stop.
    pub grace: Duration,
    /// Who has which address: its faults may be meant for one client alone.
    pub book: AddressBook,
    /// The addresses of whoever visits.
    pub you: Vec<IpAddr>,
}

/// It cannot be configured.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The host is something else.
    #[error("host {0} is no name server: the world gives it no zones")]
    NotANameserver(String),
    /// Zone files cannot be used.
    #[error("zone files cannot be used:\n{0}")]
    Zones(#[from] ZoneErrors),
}

impl Service for Nameserver {
    const NAME: &'static str = "nameserver";
    const RELOADS: &'static str = "zones";
    type Config = Config;
    type Error = ConfigError;

    fn configure(told: &Configured) -> Result<Config, ConfigError> {
        let Some(spec) = &told.host.nameserver else {
            return Err(ConfigError::NotANameserver(told.name.clone()));
        };
        let source = Source {
            zones: spec.zones.iter().map(|(zone, file)| (zone.clone(), file.clone())).collect(),
            files: told.files.clone(),
            renumber: told.world.renumber,
        };
        Ok(Config {
            host: told.name.clone(),
            zones: source.load()?,
            source,
            tcp_connections: spec.tcp_connections,
            tcp_idle: spec.tcp_idle(),
            grace: GRACE,
            book: AddressBook::direct(&told.world),
            you: told.world.network.you.clone(),
        })
    }

    async fn run(sockets: Bound, config: Config, signals: Signals) -> io::Result<Ended> {
        let mut registry = Registry::default();
        let metrics = Metrics::new(&mut registry);
        let reloads = Reloads::new(&mut registry);
        reloads.loaded(&config.host, &config.zones);
        let recorder = Recorder::new(&config.host, Self::NAME, DEFAULT_CAPACITY);
        // What zones there are stays, whatever is read again of them.
        let zones = config.zones.iter().map(|zone| zone.origin().clone()).collect();
        let faults = Faulty::new(Role::Nameserver, &config.host, zones, &config.book, &config.you, &signals);
        recorder.listens_on(&sockets);
        let server = Arc::new(Server {
            handler: Authority::new(config.zones, &config.host),
            nsid: Some(config.host.clone()),
            recorder,
            metrics,
            secure: None,
            faults,
            limits: Limits {
                tcp_connections: config.tcp_connections,
                tcp_idle: config.tcp_idle,
                pending: PENDING,
                grace: config.grace,
            },
        });
        let beside = reload(Arc::clone(&server), config.source, reloads, signals.clone());
        server.live(sockets, registry, beside, signals).await
    }
}

/// How long reading the zones again may take. A file system that hangs must not keep whoever asked for it waiting.
const READING: Duration = Duration::from_secs(60);

/// Reads the zones again whenever told to.
async fn reload(server: Arc<Server<Authority>>, source: Source, reloads: Reloads, signals: Signals) {
    let host = server.recorder.host();
    let mut reading = Reading::default();
    loop {
        signals.reload.notified().await;
        let result = match reading.read(&source).await {
            Ok(Ok(zones)) => {
                reloads.loaded(host, &zones);
                reloads.done.inc();
                server.handler.exchange(zones);
                Ok(())
            }
            Ok(Err(errors)) => {
                let words = format!("zones not reloaded, the old ones are still served: {errors}");
                let ZoneErrors(errors) = errors;
                for error in &errors {
                    error!(host, %error, "zone file");
                }
                error!(host, errors = errors.len(), "zones not reloaded; the old ones are still served");
                Err(words)
            }
            Err(why) => {
                error!(host, why, "zones not reloaded; the old ones are still served");
                Err(format!("zones not reloaded, the old ones are still served: {why}"))
            }
        };
        if result.is_err() {
            reloads.failed.inc();
        }
        signals.reload.done(result);
    }
}

/// A thread that reads the zones. It is the system's own and not one of the runtime's, which waits for all of its threads
/// when it ends: a read that never returns would keep the service from ending. There is one at a time.
#[derive(Debug, Default)]
struct Reading(Option<oneshot::Receiver<Result<Zones, ZoneErrors>>>);

impl Reading {
    /// The zones as their files are now, or why they could not be read to the end.
    async fn read(&mut self, source: &Source) -> Result<Result<Zones, ZoneErrors>, String> {
        if let Some(earlier) = &mut self.0
            && matches!(earlier.try_recv(), Err(oneshot::error::TryRecvError::Empty))
        {
            return Err("an earlier reading of the zone files has not ended".to_owned());
        }
        let (tell, mut told) = oneshot::channel();
        let source = source.clone();
        let begun = thread::Builder::new().name("zones".to_owned()).spawn(move || {
            // The service may have ended meanwhile.
            let _ = tell.send(source.load());
        });
        begun.map_err(|error| format!("no thread to read the zone files: {error}"))?;
        match timeout(READING, &mut told).await {
            Ok(Ok(zones)) => Ok(zones),
            Ok(Err(_)) => Err("the thread that read the zone files panicked".to_owned()),
            Err(_) => {
                self.0 = Some(told);
                Err(format!("the zone files were not read within {} s", READING.as_secs()))
            }
        }
    }
}

/// Counters of reading zones.
#[derive(Clone, Debug)]
struct Reloads {
    serial: Family<[(&'static str, String); 1], Gauge>,
    done: Counter,
    failed: Counter,
}

impl Reloads {
    fn new(registry: &mut Registry) -> Self {
        let reloads = Self { serial: Family::default(), done: Counter::default(), failed: Counter::default() };
        registry.register("zone_serial", "The serial number of the zone that is served", reloads.serial.clone());
        registry.register("zones_reloaded", "Times that all zones were read again and used", reloads.done.clone());
        registry.register(
            "zones_reload_failed",
            "Times that zones were read again and could not be used",
            reloads.failed.clone(),
        );
        reloads
    }

    fn loaded(&self, host: &str, zones: &Zones) {
        for zone in zones.iter() {
            let (name, serial) = (zone.origin().to_ascii(), zone.serial());
            info!(host, zone = name, serial, records = zone.records(), "zone loaded");
            self.serial.get_or_create(&[("zone", name)]).set(serial.into());
        }
    }
}

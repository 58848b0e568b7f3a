//! How a service starts and ends: the [`Service`] trait and its [`main`], logging, signals, the health check.

use std::{
    future::Future,
    io,
    io::Write as _,
    net::SocketAddr,
    process::ExitCode,
    sync::Arc,
    time::{Duration, SystemTime},
};

use ca::Authority;
use clap::Parser;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};
use tracing_subscriber::{
    Layer,
    filter::{LevelFilter, Targets},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};
use world::{Protocol, Token, fault::Faults};

use crate::{Args, Bound, Clock, Command, Configured, History, Ready, Reload, Stop, admin, tls};

/// How long a service may finish what it has begun once it was told to stop.
pub const GRACE: Duration = Duration::from_secs(3);

/// Sends logs to stderr. `RUST_LOG` decides what is said; without it, `info` of our own crates and errors of hickory,
/// which warns of every name without data.
pub fn log_to_stderr() {
    let said = std::env::var("RUST_LOG").ok().and_then(|said| said.parse::<Targets>().ok());
    let filter = said.unwrap_or_else(|| {
        let quiet = ["hickory_server", "hickory_resolver", "hickory_net"].map(|of| (of, LevelFilter::ERROR));
        Targets::new().with_default(LevelFilter::INFO).with_targets(quiet)
    });
    let ansi = io::IsTerminal::is_terminal(&io::stderr()) && std::env::var_os("NO_COLOR").is_none();
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(ansi).log_internal_errors(false);
    tracing_subscriber::registry().with(lines.with_filter(filter)).init();
}

/// Cancels `stop` at the first SIGTERM or SIGINT and says so. Signals are taken over when this is called, not later.
pub fn stop_on_signals(stop: Stop) -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        info!(signal = name, "stopping");
        stop.cancel();
    })
}

/// Why a service is not healthy.
#[derive(Debug, thiserror::Error)]
pub enum Unhealthy {
    /// Nobody answered.
    #[error("no answer from http://{admin}/ready: {source}")]
    NoAnswer {
        /// The admin port asked.
        admin: SocketAddr,
        /// What went wrong.
        source: reqwest::Error,
    },
    /// It answered, but not with 200.
    #[error("http://{admin}/ready answered {status}")]
    NotReady {
        /// The admin port asked.
        admin: SocketAddr,
        /// What it said.
        status: u16,
    },
}

/// Asks the admin port of a running service whether it is ready: the `healthcheck` sub-command of containers, which have
/// no shell to do it with.
pub async fn healthcheck(admin: SocketAddr) -> Result<(), Unhealthy> {
    let no_answer = |source| Unhealthy::NoAnswer { admin, source };
    let client = admin::client(Duration::from_secs(2), None).map_err(no_answer)?;
    let status = client.get(format!("http://{admin}/ready")).send().await.map_err(no_answer)?.status();
    if status.is_success() { Ok(()) } else { Err(Unhealthy::NotReady { admin, status: status.as_u16() }) }
}

/// A service, as [`main`] and the embedded lab run it.
pub trait Service {
    /// Its name: `nameserver`, `resolver`, `app`.
    const NAME: &'static str;
    /// What it reads again on SIGHUP, in words.
    const RELOADS: &'static str = "nothing";
    /// What it needs to run, read and checked.
    type Config: Send + 'static;
    /// Why it cannot be configured; the text names the file and the line, the key or the name.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Reads and checks everything; touches no socket.
    fn configure(told: &Configured) -> Result<Self::Config, Self::Error>;

    /// Serves on these sockets until it is told to stop, then finishes what it began.
    fn run(sockets: Bound, config: Self::Config, signals: Signals) -> impl Future<Output = io::Result<Ended>> + Send;
}

/// What a running service is told from outside.
#[derive(Clone, Debug, Default)]
pub struct Signals {
    /// Cancelled when the service must end.
    pub stop: Stop,
    /// Told when it should read its files again.
    pub reload: Reload,
    /// Says whether it takes clients; `/ready` reads it.
    pub ready: Ready,
    /// The faults in force at this host.
    pub faults: Faults,
    /// The clock by which it reckons ages.
    pub clock: Clock,
    /// What it recorded, for whoever started it in the same process.
    pub history: History,
    /// What its admin port asks for before it tells or changes anything; none: it answers everybody.
    pub token: Option<Token>,
}

/// How a service ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// What was still unfinished when the grace period was over.
    pub cut_off: usize,
}

/// The whole life of a service as a program. Exit codes: 0 it ended as told, 1 it could not start or is not healthy, 2
/// wrong usage.
pub fn main<S: Service>() -> ExitCode {
    let args = Args::parse();
    match act::<S>(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The one message of a program that could not start; the subscriber may not be there yet.
            let _ = writeln!(io::stderr(), "{}: {}", S::NAME, text::clean_lines(&error.to_string()));
            ExitCode::FAILURE
        }
    }
}

fn act<S: Service>(args: &Args) -> Result<(), Box<dyn std::error::Error>> {
    let mut told = args.read()?;
    match args.command {
        Some(Command::Healthcheck) => {
            let admin = told.admin().ok_or("the host has no address")?;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            Ok(runtime.block_on(healthcheck(admin))?)
        }
        Some(Command::Check) => {
            S::configure(&told)?;
            Ok(())
        }
        None => serve::<S>(&mut told),
    }
}

/// Lets this process have as many files and sockets as it may. The usual soft limit of 1024 is meant for programs that
/// use `select`; at it, a resolver would take its own lack of sockets for its servers' silence.
pub fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    // Raising the soft limit up to the hard one is always allowed.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

/// The authority that services on this machine share, in the user's data directory.
fn authority(told: &Configured) -> Result<Arc<Authority>, ca::Error> {
    let dir = ca::data_dir(|name| std::env::var_os(name));
    let authority = Authority::open_or_in_memory(dir.as_deref(), &tls::scope(&told.world), SystemTime::now())?;
    match authority.kept_in() {
        Some(dir) => info!(host = told.name, dir = %dir.display(), "certificate by the authority in"),
        None => warn!(
            host = told.name,
            "certificate by an authority that ends with this process, so that nobody can trust it: VISIT_DATA names no \
             directory that can be written"
        ),
    }
    Ok(Arc::new(authority))
}

fn serve<S: Service>(told: &mut Configured) -> Result<(), Box<dyn std::error::Error>> {
    log_to_stderr();
    raise_file_limit();
    if told.host.speaks_tls() {
        told.authority = Some(authority(told)?);
    }
    let token = admin::token_from_environment()?;
    let config = S::configure(told)?;
    let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut sockets = Bound::default();
    for (name, protocol, address) in told.host.listens(&told.world.network) {
        // One UDP socket for each worker: a single one would be the server's bottleneck.
        let copies = if protocol == Protocol::Udp { workers } else { 1 };
        for _ in 0..copies {
            sockets.bind(name, protocol, address, copies > 1)?;
        }
    }
    let mut said = sockets.addresses();
    said.dedup();
    for (name, protocol, address) in said {
        info!(host = told.name, service = S::NAME, socket = name, protocol, %address, "listening");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build()?;
    let ended = runtime.block_on(async {
        let signals = Signals { token, ..Signals::default() };
        tokio::spawn(stop_on_signals(signals.stop.clone())?);
        tokio::spawn(reload_on_signal(signals.reload.clone(), S::RELOADS)?);
        S::run(sockets, config, signals).await
    })?;
    if ended.cut_off > 0 {
        warn!(host = told.name, service = S::NAME, cut_off = ended.cut_off, "stopped before all was done");
    } else {
        info!(host = told.name, service = S::NAME, cut_off = 0, "stopped");
    }
    Ok(())
}

fn reload_on_signal(reload: Reload, reloads: &'static str) -> io::Result<impl Future<Output = ()>> {
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        while hangup.recv().await.is_some() {
            info!(signal = "SIGHUP", reloads, "reloading");
            reload.notify_one();
        }
    })
}

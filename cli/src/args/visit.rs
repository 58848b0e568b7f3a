//! How to visit, and what. Where curl has a word for something, it is curl's.

use std::path::PathBuf;

use clap::{ArgAction, Args, ValueEnum};
use packets::layers;
use probe::Family;
use world::{
    LabNet,
    fault::{Fault, Role, kind::WORDS},
};

use super::{Color, seconds};

/// How to visit, and what.
#[derive(Clone, Debug, Args)]
pub struct Visit {
    /// What to visit, one after the other; http:// where no scheme is given
    ///
    /// http://, https://, tcp://HOST:PORT and udp://HOST:PORT.
    #[arg(value_name = "URL", required_unless_present = "compare")]
    pub urls: Vec<String>,
    /// Visit in the lab, whatever the name; WAY: wire, loopback
    ///
    /// In `wire` every host has a network namespace, addresses and a MAC of its own, behind switches and a router, and every
    /// frame is seen; it needs no root, but a kernel that lets users have namespaces. On `loopback` sockets stand in for the
    /// addresses. Without a word it is wire where that is possible; VISIT_LAB says so for names of the lab too.
    #[arg(long, value_name = "WAY", value_enum, num_args = 0..=1, default_missing_value = "auto", require_equals = true,
        hide_possible_values = true)]
    pub lab: Option<LabWay>,
    /// Break something in the lab, as auth1:servfail does (repeatable)
    ///
    /// `PLACE:FAULT[=AMOUNT][,PARAMETER=VALUE…]` at a host, at all whose names it begins (`auth`: auth1, auth2), or in the
    /// network (`wire`): tld:drop,first=1; app1:reset,after=100B; wire:loss=20%,seed=7. What is unknown is answered with what
    /// there is. Parameters: zone, name, type, transport, client (at hosts), at, frames (in the network), first=N, every=N, after=N,
    /// chance=N%, seed=N, for=TIME. Frames are counted on each segment that they cross. In a lab that runs elsewhere (VISIT_WORLD)
    /// faults end with the visit.
    #[arg(long, value_name = "FAULT", long_help = fault_help())]
    pub fault: Vec<Fault>,
    /// The lab that runs elsewhere: address book or world file
    #[arg(long, value_name = "FILE", env = "VISIT_WORLD", hide_env = true, hide_short_help = true)]
    pub world: Option<PathBuf>,
    /// That lab's first two numbers, where it runs on another network than its world file says
    #[arg(long, value_name = "N.N", env = "VISIT_LAB_NET", hide_env = true, hide_short_help = true)]
    pub lab_net: Option<LabNet>,
    /// The names
    #[command(flatten)]
    pub names: Names,
    /// The request
    #[command(flatten)]
    pub request: Request,
    /// TLS
    #[command(flatten)]
    pub tls: Tls,
    /// How long, how much, how often
    #[command(flatten)]
    pub limits: Limits,
    /// What is shown, and where it goes
    #[command(flatten)]
    pub output: Output,
}

/// How faults are written, and all the words for them.
fn fault_help() -> String {
    let mut text = "Break something in the lab, as auth1:servfail does (repeatable)

PLACE:FAULT[=AMOUNT][,PARAMETER=VALUE…] at a host, at all whose names it begins (auth: auth1, auth2), or in the network \
                    (wire): tld:drop,first=1; app1:reset,after=100B; wire:loss=20%,seed=7. Parameters: zone, name, type, \
                    transport, client (at hosts), at, frames (in the network), first=N, every=N, after=N, chance=N%, \
                    seed=N, for=TIME. Frames are counted on each segment that they cross. In a lab that runs elsewhere \
                    (VISIT_WORLD) faults end with the visit.
"
    .to_owned();
    for (role, title) in [
        (Role::Nameserver, "name servers (root, tld, auth1, auth2)"),
        (Role::Resolver, "the resolver"),
        (Role::App, "application servers (app1, app2)"),
        (Role::Wire, "the network (wire)"),
    ] {
        text.push_str(&format!("\nAt {title}:\n"));
        for word in WORDS.iter().filter(|word| word.roles.contains(&role)) {
            text.push_str(&format!("  {:21}{}\n", word.written(), word.about));
        }
    }
    text
}

/// How the lab inside this program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LabWay {
    /// With a network of its own where that is possible, else on loopback
    Auto,
    /// With a network of its own
    Wire,
    /// On loopback
    Loopback,
}

impl From<LabWay> for session::LabWay {
    fn from(way: LabWay) -> Self {
        match way {
            LabWay::Auto => Self::Auto,
            LabWay::Wire => Self::Wire,
            LabWay::Loopback => Self::Loopback,
        }
    }
}

/// How names become addresses.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Names and addresses")]
pub struct Names {
    /// Ask this resolver: ADDR, tls://HOST, https://HOST/PATH, system
    ///
    /// ADDR or ADDR:PORT over UDP and TCP; tls://HOST over TLS (RFC 7858); https://HOST/PATH over HTTPS (RFC 8484);
    /// `system` is this machine's own.
    #[arg(long, value_name = "ADDR", env = "VISIT_RESOLVER", hide_env = true)]
    pub resolver: Option<String>,
    /// Take these addresses for that host and port, and ask nobody (repeatable)
    // A leading - is curl's, and is refused with words of its own.
    #[arg(long, value_name = "HOST:PORT:ADDR[,ADDR]", hide_short_help = true, allow_hyphen_values = true)]
    pub resolve: Vec<String>,
    /// Connect to HOST2:PORT2 where the URL says HOST1:PORT1; empty parts mean any, or the same (repeatable)
    #[arg(long, value_name = "HOST1:PORT1:HOST2:PORT2", hide_short_help = true)]
    pub connect_to: Vec<String>,
    /// IPv4 addresses alone
    #[arg(short = '4', long = "ipv4", conflicts_with = "v6", hide_short_help = true)]
    pub v4: bool,
    /// IPv6 addresses alone
    #[arg(short = '6', long = "ipv6", hide_short_help = true)]
    pub v6: bool,
    /// Walk from the root as well, as a resolver does
    ///
    /// --walk=all asks every server of every zone, and compares what they say.
    #[arg(long, value_name = "SERVERS", value_enum, num_args = 0..=1, default_missing_value = "first",
        require_equals = true, hide_possible_values = true)]
    pub walk: Option<WalkServers>,
}

/// Which servers of a zone this machine's own walk asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WalkServers {
    /// The first that answers
    First,
    /// All of them, and what they say is compared
    All,
}

impl Names {
    /// Which addresses are wanted.
    pub fn family(&self) -> Family {
        match (self.v4, self.v6) {
            (true, _) => Family::V4,
            (_, true) => Family::V6,
            _ => Family::Any,
        }
    }
}

impl From<WalkServers> for journey::root_walk::Servers {
    fn from(servers: WalkServers) -> Self {
        match servers {
            WalkServers::First => Self::First,
            WalkServers::All => Self::All,
        }
    }
}

/// What is asked of the server.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Request")]
pub struct Request {
    /// Follow where the answer points, hop by hop
    #[arg(short = 'L', long)]
    pub location: bool,
    /// Follow no more redirects than these
    #[arg(long, value_name = "N", default_value_t = 20, hide_short_help = true)]
    pub max_redirs: usize,
    /// Ask for the head alone (HEAD)
    #[arg(short = 'I', long, conflicts_with = "data", hide_short_help = true)]
    pub head: bool,
    /// The method
    #[arg(short = 'X', long, value_name = "METHOD", hide_short_help = true)]
    pub request: Option<String>,
    /// Add or replace a field of the head (repeatable)
    ///
    /// `Name: value`; `Name:` leaves it out, `Name;` sends it without a value.
    #[arg(short = 'H', long, value_name = "FIELD")]
    pub header: Vec<String>,
    /// Send this as the body, by POST; @FILE reads a file, @- stdin (repeatable: joined by &)
    #[arg(short, long, value_name = "DATA", hide_short_help = true)]
    pub data: Vec<String>,
    /// Name this program so to the server
    #[arg(short = 'A', long, value_name = "NAME", hide_short_help = true)]
    pub user_agent: Option<String>,
    /// Speak HTTP/1.1, and do not offer HTTP/2
    #[arg(long = "http1.1", conflicts_with = "http2", hide_short_help = true)]
    pub http1: bool,
    /// Speak HTTP/2, and offer nothing else (https:// alone)
    #[arg(long, hide_short_help = true)]
    pub http2: bool,
    /// Send this to tcp:// and udp://; \n, \r, \t, \xHH and \\ are read. Without it stdin, where that is a pipe or file
    #[arg(long, value_name = "TEXT", hide_short_help = true)]
    pub send: Option<String>,
    /// Count a status of 400 and above as a failure
    #[arg(short, long)]
    pub fail: bool,
    /// Who speaks HTTP: visit, or reqwest as far as it lets itself be watched
    ///
    /// reqwest does not tell when a request was written, when the first byte came, or when a connection was closed; what it
    /// does not tell is said to be not observable.
    #[arg(long, value_enum, default_value_t = Engine::Visit, hide_short_help = true, hide_possible_values = true)]
    pub engine: Engine,
}

/// Who speaks HTTP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Engine {
    /// This program's own stages
    #[default]
    Visit,
    /// reqwest
    Reqwest,
}

impl From<Engine> for journey::Engine {
    fn from(engine: Engine) -> Self {
        match engine {
            Engine::Visit => Self::Visit,
            Engine::Reqwest => Self::Reqwest,
        }
    }
}

/// Whom to believe.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "TLS")]
pub struct Tls {
    /// Trust the certificates in this file (PEM), and no others
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub cacert: Option<PathBuf>,
    /// Visit whatever the certificate, and say what is wrong
    ///
    /// Whatever its names, its dates and whoever signed it; the handshake's own signature must hold, and with it the key.
    #[arg(short = 'k', long)]
    pub insecure: bool,
}

/// How long, how much, how often.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Limits and repetition")]
pub struct Limits {
    /// Give up after so long, all stages together
    ///
    /// Otherwise each stage gives up on its own, after 30 s at most in which nothing came, and a response that keeps coming,
    /// however slowly, 120 s after its first byte. Starting the lab before the visit and collecting the hosts' reports after it are not counted.
    #[arg(short, long, value_name = "SECS", value_parser = seconds)]
    pub max_time: Option<f64>,
    /// Give up connecting after so long, all addresses together
    #[arg(long, value_name = "SECS", value_parser = seconds, default_value = "10", hide_short_help = true)]
    pub connect_timeout: f64,
    /// Give up a response that is larger, as it comes or decoded
    #[arg(long, value_name = "BYTES", default_value_t = 64 * 1024 * 1024, hide_short_help = true)]
    pub max_filesize: u64,
    /// Visit so often; p50, p95 and max of every stage
    ///
    /// By nearest rank, of the visits after the first one, which meets what is still cold. Exits with the code of the first
    /// visit that failed.
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=10_000))]
    pub repeat: Option<u32>,
    /// Pause so long between them
    #[arg(long, value_name = "SECS", value_parser = seconds, requires = "repeat", hide_short_help = true)]
    pub interval: Option<f64>,
}

/// A model of layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Model {
    /// Seven: ISO/IEC 7498-1
    Osi,
    /// Five: four with the physical layer, as textbooks have it
    Five,
    /// Four: RFC 1122
    Four,
}

impl From<Model> for layers::Model {
    fn from(model: Model) -> Self {
        match model {
            Model::Osi => Self::Osi,
            Model::Five => Self::Five,
            Model::Four => Self::Four,
        }
    }
}

/// What is shown, and where it goes.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct Output {
    /// The whole journey as JSON
    #[arg(long)]
    pub json: bool,
    /// Keep the journey; `visit show FILE` shows it again
    ///
    /// With -n the whole series.
    #[arg(long, value_name = "FILE")]
    pub save: Option<PathBuf>,
    /// Compare two kept journeys, stage by stage
    ///
    /// Or two series (-n), by the medians of their warm visits. Exits with 0 whether they differ or not, with 2 where one
    /// cannot be read.
    #[arg(long, value_names = ["A", "B"], num_args = 2, conflicts_with = "urls", hide_short_help = true)]
    pub compare: Option<Vec<PathBuf>>,
    /// Write the content to this file; - is stdout
    ///
    /// With -o - the screen goes to stderr.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Show the response's head
    #[arg(short, long, hide_short_help = true)]
    pub include: bool,
    /// Show nothing but what was asked for (--json, -o)
    #[arg(short, long, hide_short_help = true)]
    pub silent: bool,
    /// Every frame that passed, and what the kernels knew
    #[arg(long, conflicts_with = "repeat")]
    pub packets: bool,
    /// Every frame of your own connection unfolded, header by header, on the model: osi, five, four
    #[arg(
        long,
        value_name = "MODEL",
        value_enum,
        hide_possible_values = true,
        hide_short_help = true,
        conflicts_with = "repeat"
    )]
    pub layers: Option<Model>,
    /// Write the frames for Wireshark, a file for each segment; - is stdout, with the segment that the visit was made from
    ///
    /// FILE.pcapng becomes FILE.clients.pcapng and FILE.servers.pcapng: a reader would take a frame's copy behind the router
    /// for a retransmission.
    #[arg(long, value_name = "FILE", hide_short_help = true, conflicts_with = "repeat")]
    pub pcap: Option<PathBuf>,
    /// Put the keys of the TLS sessions into these files, so that whoever has them can read what was said
    ///
    /// Credentials and tokens inside TLS are then readable too, whatever --show-secrets says. Such files are made for their
    /// owner alone (mode 0600).
    #[arg(long, requires = "pcap", hide_short_help = true)]
    pub pcap_keys: bool,
    /// Every record, header and event of every host
    #[arg(short, long, action = ArgAction::SetTrue)]
    pub verbose: bool,
    /// Show and keep credentials and tokens as they are
    ///
    /// Without it they are removed from the journey, and of frames of connections without TLS that may hold some the headers
    /// alone are kept.
    #[arg(long, hide_short_help = true)]
    pub show_secrets: bool,
    /// Colours: auto, always, never
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = Color::Auto, hide_possible_values = true,
        hide_short_help = true)]
    pub color: Color,
}

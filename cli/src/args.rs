//! What was said on the command line.

mod visit;

pub use visit::{Engine, LabWay, Limits, Model, Names, Output, Request, Tls, Visit, WalkServers};

use std::{num::NonZero, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use world::{LabNet, fault::Fault};

use crate::publish;

/// What happens when I open this URL, and which step is it that fails?
///
/// visit does what a browser does, end to end and for real: it parses the URL, resolves the name, opens a TCP connection,
/// agrees on TLS, sends the request, reads the response and closes; it shows every step with its time, and names the one
/// that fails.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "visit",
    version,
    max_term_width = 100,
    args_conflicts_with_subcommands = true,
    // As in curl, an option may be repeated, and the last one counts: shell aliases bring their own.
    args_override_self = true,
    disable_help_subcommand = true,
    subcommand_negates_reqs = true
)]
#[command(override_usage = "visit [OPTIONS] <URL>...\n       visit <COMMAND>")]
#[command(after_help = "Names under example.local and example.test live in the lab. More: --help")]
#[command(after_long_help = LONG_HELP)]
pub struct Cli {
    /// What to do besides visiting
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The visit
    #[command(flatten)]
    pub visit: Visit,
}

const LONG_HELP: &str = "\
Examples:
  visit www.example.local         in the lab inside this program
  visit https://www.example.local with TLS; the lab has its own authority
  visit --lab www.baidu.com       the lecture's example, played in the lab
  visit https://example.com       on the real internet
  visit --resolver tls://9.9.9.9 example.com
  visit --walk www.example.local  and walk from the root, as a resolver does
  visit -n 20 www.example.local   p50, p95 and max of every stage
  visit --save a.json URL; visit show a.json; visit --compare a.json b.json
  visit --send 'hello\\n' tcp://www.example.local:8080
  visit --send hello udp://www.example.local:7
  visit --json www.example.local | jq .outcome
  visit --fault auth1:servfail www.example.local
  visit scenario --junit a.xml    play scenarios, and say what failed
  visit lab serve                 the lab for dig, curl and browsers
  visit doctor                    what this machine allows

Whose network:
  A name under example.local or example.test is visited in the lab, as is every \
name with --lab; with --resolver only where that is one of the lab's addresses. With VISIT_WORLD the lab is one that runs elsewhere: its \
address book (from `visit lab serve --json`) or, where its addresses are real, \
its world file. Every other name is asked of this machine's resolver: the real \
internet.
  .local belongs to multicast DNS (RFC 6762): operating systems do not send such \
names to DNS servers, but visit asks the lab's resolver itself. For browsers \
use the twin, example.test.

Exit codes, curl's number for the stage where it has one:
   0 reached                        2 wrong usage, or no lab
   3 URL malformed                  1 scheme not spoken
   6 name failed                    7 connect failed
  35 TLS failed                    60 certificate refused
  55 send failed                   52 closed without a byte
  56 receive failed                18 body cut
   8 no HTTP response              61 content cannot be decoded
  63 response too large           92 HTTP/2 stream failed
  22 status >= 400 with --fail     47 too many redirects
  28 over --max-time
  23 output cannot be written     130 interrupted

What it does not do:
  It is no second curl: it has curl's words for what it does, and refuses the \
others. Proxies that the environment names are not used, and that is said. \
Credentials and tokens are neither shown nor kept without --show-secrets.

Environment:
  VISIT_RESOLVER  as --resolver
  VISIT_WORLD     as --world
  VISIT_LAB       how the lab runs: wire, loopback, auto
  VISIT_LAB_NET   as --lab-net
  VISIT_ADMIN_TOKEN  what the hosts of VISIT_WORLD=lab/world.toml ask for
  VISIT_DATA      where the lab keeps its authority (~/.local/share/visit)
  RUST_LOG        what `lab serve` logs to stderr: info, app=debug
  SSLKEYLOGFILE   the file that the keys of TLS sessions are written to
  SSL_CERT_FILE   certificates to trust instead of this machine's store
  NO_COLOR        no colours
";

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal that shows them, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// What to do besides visiting.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// The lab: a small internet of real services
    Lab {
        /// What to do with it
        #[command(subcommand)]
        command: LabCommand,
    },
    /// Play scenarios: faults, visits, and what must come of them
    ///
    /// A scenario stays in its lab and touches no files. One that waits puts the clocks of the lab's hosts forward: in a lab that
    /// runs elsewhere (VISIT_WORLD, --world) for good, until its hosts are started anew.
    #[command(after_long_help = SCENARIO)]
    Scenario(Scenarios),
    /// Show a kept journey again, without a network
    Show(Show),
    /// What this machine allows, and how to get the rest
    Doctor(Doctor),
}

/// What a scenario looks like.
const SCENARIO: &str = r#"A file holds one scenario, or several under [[scenario]], each with a name:

  about = "the second authority answers in place of the first"
  faults = ["auth1:servfail"]           # until `clear`; also stopped, records
  hosts = ["app1", "app2"]              # one scenario for each; {host} stands for it everywhere
  ways = ["loopback", "wire"]           # where it can be played; also "running"

  [[visit]]
  wait = "301s"                         # before it; clocks are put forward, nobody sleeps
  faults = ["app1:refused"]             # for this visit
  args = ["www.example.local"]          # as typed behind `visit`
  exit = 0
  cause = { trouble = "nothing_listens", host = "app1" }     # of outcome.causes in --json
  verdict = "Reached app2"              # part of it
  journey = { outcome = { reached = true } }                 # part of --json
  never = [{ kind = "query_failed" }]   # no event that contains this
  screen = ["app2"]                     # on it

Exit codes: 0 all as expected, 1 some not, 2 a file that cannot be used, 130 interrupted."#;

/// Which scenarios to play, and where what comes of them goes.
#[derive(Clone, Debug, Args)]
pub struct Scenarios {
    /// Files of scenarios, or folders of them; without any those inside this program
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Name them, and play none
    #[arg(long)]
    pub list: bool,
    /// Only those whose name contains this
    #[arg(long, value_name = "TEXT")]
    pub only: Option<String>,
    /// So many at once, each in a lab of its own; as many as there are CPUs without it
    #[arg(long, value_name = "N")]
    pub jobs: Option<NonZero<usize>>,
    /// Write what came of them as JUnit XML, for continuous integration
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Write it as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// With --json: the journey of each visit, too, for `visit show`
    #[arg(long, requires = "json")]
    pub journeys: bool,
    /// Write a table of faults and verdicts, in Markdown
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// How the labs run: wire, loopback
    ///
    /// Without it wire where that is possible; VISIT_LAB says so too. What needs a network of its own is skipped on loopback.
    #[arg(long, value_name = "WAY", value_enum, hide_possible_values = true)]
    pub lab: Option<LabWay>,
    /// Play them in a lab that runs; what that cannot have is skipped
    #[command(flatten)]
    pub running: RunningLab,
    /// Colours: auto, always, never
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = Color::Auto, hide_possible_values = true)]
    pub color: Color,
}

/// How to show what this machine allows.
#[derive(Clone, Debug, Args)]
pub struct Doctor {
    /// As JSON
    #[arg(long)]
    pub json: bool,
    /// Colours: auto, always, never
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = Color::Auto, hide_possible_values = true)]
    pub color: Color,
}

/// What to show again, and how.
#[derive(Clone, Debug, Args)]
pub struct Show {
    /// The file that --save or --json wrote; - is stdin
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The whole journey as JSON
    #[arg(long)]
    pub json: bool,
    /// Show the response's head
    #[arg(short, long)]
    pub include: bool,
    /// Every frame that passed, and what the kernels knew
    #[arg(long)]
    pub packets: bool,
    /// Every frame of its own connection unfolded, header by header, on the model: osi, five, four
    #[arg(long, value_name = "MODEL", value_enum, hide_possible_values = true)]
    pub layers: Option<Model>,
    /// Write its frames for Wireshark, and show nothing; - is stdout
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    pub pcap: Option<PathBuf>,
    /// Every record, every header, every event of every host
    #[arg(short, long)]
    pub verbose: bool,
    /// Show credentials and tokens in frames, where the file holds them
    #[arg(long)]
    pub show_secrets: bool,
    /// Colours: auto, always, never
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = Color::Auto, hide_possible_values = true)]
    pub color: Color,
}

/// What to do with the lab.
#[derive(Clone, Debug, Subcommand)]
// There is one of it.
#[allow(clippy::large_enum_variant)]
pub enum LabCommand {
    /// Run it in the foreground, for dig, curl, browsers and other visits; Ctrl-C stops it
    Serve(Serve),
    /// Whether a lab that runs takes clients: exits with 0 if every host does, with 1 if not
    Ready(Ready),
    /// Break something in a lab that runs, and mend it
    Fault {
        /// What to do
        #[command(subcommand)]
        command: FaultCommand,
    },
}

/// What to do with the faults of a lab that runs.
#[derive(Clone, Debug, Subcommand)]
// There is one of it.
#[allow(clippy::large_enum_variant)]
pub enum FaultCommand {
    /// Put a fault in force, as in `visit --fault`
    Add {
        /// `PLACE:FAULT[=AMOUNT][,PARAMETER=VALUE…]`
        #[arg(value_name = "FAULT")]
        fault: Fault,
        /// It ends by itself after so long: 90s
        #[arg(long = "for", value_name = "TIME", value_parser = lasting)]
        lasting: Option<Duration>,
        /// The lab
        #[command(flatten)]
        lab: RunningLab,
    },
    /// Show those in force
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
        /// Colours: auto, always, never
        #[arg(long, value_name = "WHEN", value_enum, default_value_t = Color::Auto, hide_possible_values = true)]
        color: Color,
        /// The lab
        #[command(flatten)]
        lab: RunningLab,
    },
    /// End them: HOST/ID, all of a HOST, or all
    Clear {
        /// Which; all where nothing is said
        #[arg(value_name = "WHICH")]
        which: Vec<String>,
        /// The lab
        #[command(flatten)]
        lab: RunningLab,
    },
}

/// A lab that runs elsewhere.
#[derive(Clone, Debug, Args)]
pub struct RunningLab {
    /// Its address book or world file
    #[arg(long, value_name = "FILE", env = "VISIT_WORLD", hide_env = true)]
    pub world: Option<PathBuf>,
    /// Its first two numbers, where it runs on another network than its world file says
    #[arg(long, value_name = "N.N", env = "VISIT_LAB_NET", hide_env = true)]
    pub lab_net: Option<LabNet>,
}

/// Clients that the built-in world's addresses are enough for.
pub const MOST_CLIENTS: usize = 252;

/// Which lab, and how long to wait for it.
#[derive(Clone, Debug, Args)]
pub struct Ready {
    /// The file that describes it: what `visit lab serve --book` writes, or a world file whose addresses are real
    #[arg(long, value_name = "FILE", env = "VISIT_WORLD", hide_env = true)]
    pub world: PathBuf,
    /// Wait so many seconds for it, the file too
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "0.001", hide_default_value = true)]
    pub wait: f64,
}

/// How to serve the lab.
#[derive(Clone, Debug, Args)]
pub struct Serve {
    /// Print the address book as JSON; `VISIT_WORLD` reads it
    ///
    /// It has the token that the hosts' admin ports ask for: whoever reads it can set faults. A file that stdout goes to gets
    /// mode 0600; on a terminal the token is left out.
    #[arg(long)]
    pub json: bool,
    /// Give it a network of its own: every host a namespace with the world's addresses, behind switches and a router
    ///
    /// Nothing of it can be reached from outside but by entering it: visits with VISIT_WORLD do so by themselves, other
    /// programs by nsenter, as is shown for each host.
    #[arg(long)]
    pub wire: bool,
    /// Put so many clients into that network, each a host of its own
    ///
    /// The kernel's table of neighbours is one for the whole machine (net.ipv4.neigh.default.gc_thresh3, usually 1024): several
    /// labs of hundreds of clients at once overflow it, and visits then fail that have nothing to do with it.
    #[arg(long, value_name = "N", requires = "wire", default_value_t = 1,
        value_parser = clap::value_parser!(u16).range(1..=MOST_CLIENTS as i64))]
    pub clients: u16,
    /// Have every client visit so often, tell what came of it, and end
    #[arg(long, value_name = "N", requires = "wire", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub repeat: Option<u32>,
    /// So many clients at once; all without it
    #[arg(long, value_name = "N", requires = "repeat")]
    pub concurrency: Option<NonZero<usize>>,
    /// What they visit
    #[arg(value_name = "URL", requires = "repeat", default_value = "www.example.local")]
    pub url: String,
    /// Let others reach it, at fixed ports: by every address of this machine, or by ADDRESS, or HOST/SERVICE=ADDRESS:PORT
    /// (repeatable)
    ///
    /// Without it nothing listens beyond loopback. The usual ones are resolver/dns at 53 (UDP and TCP), resolver/dot at 853,
    /// app1/http at 80, app1/https at 443; the same services of a second host are 8100 above, app2/http at 8180 and app2/https
    /// at 8543. Others are published one by one: app1/talk=0.0.0.0:8080, auth1/dns=0.0.0.0:5353. An admin port
    /// cannot be published.
    ///
    /// Names still resolve to the lab's own addresses, which is why curl is told where to go: --connect-to ::ADDRESS:80. The
    /// resolver answers loopback, the lab's network and the private networks that it is published on, strangers not, unless
    /// `allow` in the world's file says whom.
    #[arg(long, value_name = "WHAT", num_args = 0..=1, default_missing_value = publish::EVERYWHERE, conflicts_with = "wire")]
    pub publish: Vec<publish::Published>,
    /// Write the address book as JSON to this file (mode 0600) when all hosts are ready; it goes when the lab ends
    #[arg(long, value_name = "FILE")]
    pub book: Option<PathBuf>,
    /// Break something in it (repeatable), as in `visit --fault`
    #[arg(long, value_name = "FAULT")]
    pub fault: Vec<Fault>,
    /// The world to run instead of the built-in one
    #[arg(long, value_name = "FILE")]
    pub world: Option<PathBuf>,
    /// Do not start this host; its ports refuse (repeatable)
    #[arg(long, value_name = "HOST")]
    pub without: Vec<String>,
    /// Colours: auto, always, never
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = Color::Auto, hide_possible_values = true)]
    pub color: Color,
}

fn lasting(text: &str) -> Result<Duration, String> {
    match world::fault::write::time(text, Duration::from_secs(86_400))? {
        Duration::ZERO => Err("a time above 0".to_owned()),
        time => Ok(time),
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if seconds > 0.0 && seconds <= 86_400.0 => Ok(seconds),
        _ => Err("a number of seconds above 0, at most 86400".to_owned()),
    }
}

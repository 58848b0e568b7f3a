//! What was said on the command line.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use world::LabNet;

/// What happens when I open this URL, and which step is it that fails?
///
/// visit does what a browser does, end to end and for real: it parses the URL, resolves the name, opens a TCP connection,
/// sends the request, reads the response and closes; it shows every step with its time, and names the one that fails.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "visit",
    version,
    max_term_width = 100,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    subcommand_negates_reqs = true
)]
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
  visit --lab www.baidu.com       the lecture's example, played in the lab
  visit example.com               on the real internet
  visit --resolver 9.9.9.9 example.com
  visit www.example.local www.example.local
                                  twice: the second meets the resolver's cache
  visit --json www.example.local | jq .outcome
  visit lab serve                 the lab for dig, curl and browsers

Whose network:
  A name under example.local or example.test is visited in the lab, as is every \
name with --lab. With VISIT_WORLD the lab is one that runs elsewhere: its \
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
  55 send failed                   52 closed without a byte
  56 receive failed                18 body cut
   8 no HTTP response              63 response too large
  22 status >= 400 with --fail     47 too many redirects
  28 over --max-time
  23 output cannot be written     130 interrupted

Environment:
  VISIT_RESOLVER  as --resolver
  VISIT_WORLD     as --world
  VISIT_LAB_NET   as --lab-net
  NO_COLOR        no colours
";

/// How to visit, and what.
#[derive(Clone, Debug, Args)]
pub struct Visit {
    /// What to visit, one after the other; http:// where no scheme is given
    #[arg(value_name = "URL", required = true)]
    pub urls: Vec<String>,
    /// Visit in the lab, whatever the name
    #[arg(long)]
    pub lab: bool,
    /// Ask this resolver: ADDR, ADDR:PORT or `system`
    #[arg(long, value_name = "ADDR", env = "VISIT_RESOLVER", hide_env = true)]
    pub resolver: Option<String>,
    /// The lab that runs elsewhere: address book or world file
    #[arg(long, value_name = "FILE", env = "VISIT_WORLD", hide_env = true, hide_short_help = true)]
    pub world: Option<PathBuf>,
    /// That lab's first two numbers, where it runs on another network than its world file says
    #[arg(long, value_name = "N.N", env = "VISIT_LAB_NET", hide_env = true, hide_short_help = true)]
    pub lab_net: Option<LabNet>,
    /// The whole journey as JSON
    #[arg(long)]
    pub json: bool,
    /// IPv4 addresses alone
    #[arg(short = '4', long = "ipv4", conflicts_with = "v6", hide_short_help = true)]
    pub v4: bool,
    /// IPv6 addresses alone
    #[arg(short = '6', long = "ipv6", hide_short_help = true)]
    pub v6: bool,
    /// Follow where the answer points, hop by hop
    #[arg(short = 'L', long)]
    pub location: bool,
    /// Follow no more redirects than these
    #[arg(long, value_name = "N", default_value_t = 20, hide_short_help = true)]
    pub max_redirs: usize,
    /// Count a status of 400 and above as a failure
    #[arg(short, long)]
    pub fail: bool,
    /// Give up after so long, all stages together
    ///
    /// Starting the lab before the visit and collecting the hosts' reports after it are not counted.
    #[arg(short, long, value_name = "SECS", value_parser = seconds)]
    pub max_time: Option<f64>,
    /// Give up connecting after so long, all addresses together
    #[arg(long, value_name = "SECS", value_parser = seconds, default_value = "10", hide_short_help = true)]
    pub connect_timeout: f64,
    /// Give up a response that is larger
    #[arg(long, value_name = "BYTES", default_value_t = 64 * 1024 * 1024, hide_short_help = true)]
    pub max_filesize: u64,
    /// Colours: auto, always, never
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = Color::Auto, hide_possible_values = true,
        hide_short_help = true)]
    pub color: Color,
    /// Every record, every header, every event of every host
    #[arg(short, long, action = ArgAction::SetTrue)]
    pub verbose: bool,
}

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
}

/// What to do with the lab.
#[derive(Clone, Debug, Subcommand)]
pub enum LabCommand {
    /// Run it in the foreground on loopback, for dig, curl, browsers and other visits; Ctrl-C stops it
    Serve(Serve),
}

/// How to serve the lab.
#[derive(Clone, Debug, Args)]
pub struct Serve {
    /// Print the address book as JSON; `VISIT_WORLD` reads it
    #[arg(long)]
    pub json: bool,
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

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if seconds > 0.0 && seconds <= 86_400.0 => Ok(seconds),
        _ => Err("a number of seconds above 0, at most 86400".to_owned()),
    }
}

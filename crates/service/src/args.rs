//! The command line that all services share.

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc};

use ca::Authority;
use clap::Parser;
use world::{FileError, Files, Host, LabNet, World, WorldError};

/// What has no place on a command line, which every user of the machine can read.
const ENVIRONMENT: &str = "\
Environment:
  VISIT_ADMIN_TOKEN  what the admin port asks for (Authorization: Bearer TOKEN), but for /live, /ready and /metrics;
                     without it, it answers everybody who reaches it
  VISIT_DATA         where the lab's certificate authority is kept
  RUST_LOG           what is logged to stderr
";

/// What a service is told on its command line.
#[derive(Clone, Debug, Parser)]
#[command(after_help = ENVIRONMENT)]
pub struct Args {
    /// What to do; nothing: serve until SIGTERM or SIGINT
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The file that describes the world: its hosts and what runs on them
    #[arg(long, global = true, env = "VISIT_WORLD", value_name = "FILE", default_value = "lab/world.toml")]
    pub world: PathBuf,
    /// Which of its hosts this is
    #[arg(long, global = true, env = "VISIT_HOST", value_name = "NAME", default_value = "")]
    pub host: String,
    /// The lab on another private /16 network, given by its first two numbers; and behind a comma on another IPv6 /64, given
    /// by its begin: 10.99,fd10:99:1ab
    #[arg(long, global = true, env = "VISIT_LAB_NET", value_name = "N.N[,PREFIX]")]
    pub lab_net: Option<LabNet>,
}

/// What a service can do besides serving.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::Subcommand)]
pub enum Command {
    /// Ask the running service whether it is ready; exits 0 or 1
    Healthcheck,
    /// Read the configuration and the files that it names, say what is wrong, exit 0 or 1
    Check,
}

/// What a service was told, read.
#[derive(Clone, Debug)]
pub struct Configured {
    /// The host's name.
    pub name: String,
    /// The host.
    pub host: Host,
    /// The world it lives in.
    pub world: World,
    /// Where the world's other files are.
    pub files: Files,
    /// Who gives it a certificate; none where it needs none, as for a check.
    pub authority: Option<Arc<Authority>>,
}

/// The world could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ArgsError {
    /// No file, or it cannot be read.
    #[error("cannot read the world's file {path}: {source} (--world FILE, or VISIT_WORLD)")]
    Read {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// What is in it cannot be used.
    #[error(transparent)]
    World(#[from] WorldError),
    /// A file that it names cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// Another server is to run there.
    #[error("{path}: host {host} is played by {by}: start that, or take played_by out of its description")]
    PlayedBy {
        /// The file.
        path: String,
        /// The host.
        host: String,
        /// What plays it.
        by: String,
    },
}

impl Args {
    /// Reads the world and finds the host in it.
    pub fn read(&self) -> Result<Configured, ArgsError> {
        let path = self.world.display().to_string();
        let text = world::read_text(&self.world).map_err(|source| ArgsError::Read { path: path.clone(), source })?;
        let mut world = World::parse(&text, &path)?;
        if let Some(lab_net) = self.lab_net {
            world = world.renumbered(lab_net);
        }
        let host = world.host(&self.host, &path)?.clone();
        if let Some(by) = host.played_by {
            return Err(ArgsError::PlayedBy { path, host: self.host.clone(), by });
        }
        let files = Files::beside(&self.world);
        Ok(Configured { name: self.host.clone(), host, world, files, authority: None })
    }
}

impl Configured {
    /// The host's admin port, as `healthcheck` asks it: its first address.
    pub fn admin(&self) -> Option<SocketAddr> {
        Some(SocketAddr::new(*self.host.addresses.first()?, self.world.network.admin_port))
    }
}

//! On whose network a URL is visited, and who is asked for names.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use probe::{name::Resolvers, stub::Server, target::Host, visitable::Visitable};
use world::{AddressBook, LabNet, World};

use crate::{Settings, resolver::Named};

/// Where a visit takes place.
#[derive(Clone, Debug)]
pub enum Ground {
    /// A lab inside this process.
    Embedded,
    /// A lab that runs elsewhere.
    Running {
        /// Its address book.
        book: Box<AddressBook>,
        /// The file that described it.
        file: PathBuf,
    },
    /// Whatever network this machine is connected to.
    Internet,
}

/// Who is to be asked for names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// The lab's resolver.
    Lab,
    /// The one that was named.
    Named(Named),
    /// This machine's.
    System,
}

/// What cannot be done as it was said.
#[derive(Debug, thiserror::Error)]
pub enum GroundError {
    /// The file of `VISIT_WORLD` cannot be read.
    #[error("cannot read {file}: {source} (VISIT_WORLD or --world)")]
    Read {
        /// The file.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// There is nothing in it.
    #[error("{file} is empty; if `visit lab serve --json` writes it, its lab is not ready yet")]
    Empty {
        /// The file.
        file: String,
    },
    /// What is in it is neither an address book nor a world.
    #[error("{file} is no address book: {source}")]
    Book {
        /// The file.
        file: String,
        /// Why.
        source: serde_json::Error,
    },
    /// The certificate of the lab's authority cannot be used.
    #[error(transparent)]
    Authority(#[from] ca::Error),
    /// The token in the environment cannot be used.
    #[error(transparent)]
    Token(#[from] service::admin::BadToken),
    /// It is a world, but not a right one.
    #[error(transparent)]
    World(#[from] world::WorldError),
    /// A lab without a resolver.
    #[error("{file} describes a lab without a resolver; name one with --resolver ADDR")]
    NoResolver {
        /// The file.
        file: String,
    },
}

/// The lab that runs elsewhere, if one was named.
pub fn running_lab(file: Option<&Path>, lab_net: Option<LabNet>) -> Result<Option<Ground>, GroundError> {
    let Some(path) = file.filter(|path| !path.as_os_str().is_empty()) else { return Ok(None) };
    let file = path.display().to_string();
    let text = world::read_text(path).map_err(|source| GroundError::Read { file: file.clone(), source })?;
    if text.trim().is_empty() {
        return Err(GroundError::Empty { file });
    }
    let book = if text.trim_start().starts_with('{') {
        serde_json::from_str(&text).map_err(|source| GroundError::Book { file, source })?
    } else {
        let world = World::parse(&text, &file)?;
        let mut book = AddressBook::direct(&match lab_net {
            Some(lab_net) => world.renumbered(lab_net),
            None => world,
        });
        book.token = service::admin::token_from_environment()?;
        // Its servers keep their authority where this user's labs do, or share a directory with this program.
        if let Some(directory) = ca::data_dir(|name| std::env::var_os(name)) {
            book.ca = ca::certificate_of(&directory)?;
        }
        book
    };
    Ok(Some(Ground::Running { book: Box::new(book), file: path.to_path_buf() }))
}

impl Settings {
    /// Where this URL is to be visited, and who is asked for names. `running` is the lab that runs elsewhere, where one was
    /// named.
    pub fn ground(&self, url: &Visitable, running: Option<&Ground>) -> (Ground, Asked) {
        let asked = self.resolver.as_ref().map(|named| match named {
            Named::System => Asked::System,
            named => Asked::Named(named.clone()),
        });
        // A URL that cannot be read belongs to no network; its stage will say what is wrong with it. Where --connect-to leads
        // elsewhere, that is where the visit takes place.
        let in_lab = self.lab.is_some()
            || url.target.as_ref().is_ok_and(|target| {
                let leads_to = self.overrides.way(target).host;
                belongs_to_lab(&leads_to, running) || is_inside(&target.host, &leads_to, running)
            });
        match (asked, in_lab, running) {
            (Some(asked), _, None) if self.lab.is_some() => (Ground::Embedded, asked),
            // A name of the lab, asked of a resolver of the lab: nobody else knows either.
            (Some(Asked::Named(named)), true, None) if is_built_in(&named) => (Ground::Embedded, Asked::Named(named)),
            (Some(asked), _, None) => (Ground::Internet, asked),
            (Some(asked), true, Some(lab)) => (lab.clone(), asked),
            (Some(asked), false, Some(_)) => (Ground::Internet, asked),
            (None, true, None) => (Ground::Embedded, Asked::Lab),
            (None, true, Some(lab)) => (lab.clone(), Asked::Lab),
            (None, false, _) => (Ground::Internet, Asked::System),
        }
    }
}

/// Whether a name of the lab is led to one of the lab's addresses: it stays there.
fn is_inside(host: &Host, leads_to: &Host, running: Option<&Ground>) -> bool {
    let Host::Ip(ip) = leads_to else { return false };
    running.is_none() && belongs_to_lab(host, None) && World::built_in().network.contains(*ip)
}

fn belongs_to_lab(host: &Host, running: Option<&Ground>) -> bool {
    match (host, running) {
        (Host::Name(name), Some(Ground::Running { book, .. })) => book.claims(name),
        (Host::Name(name), _) => World::built_in().claims(name),
        // The lab's addresses may be somebody's real ones; they are the lab's only where a lab was named.
        (Host::Ip(ip), Some(Ground::Running { book, .. })) => book.contains(*ip),
        (Host::Ip(_), _) => false,
    }
}

fn is_built_in(named: &Named) -> bool {
    let world = World::built_in();
    let book = AddressBook::direct(&world);
    named.is_in(|ip| book.contains(ip), |name| world.claims(name))
}

impl Asked {
    /// The resolvers for the walk. The lab's resolver may be busy for as long as its own limit of 2.5 s, so it is given
    /// that time before it is asked again.
    pub fn resolvers(self, book: Option<&AddressBook>, file: &str) -> Result<Resolvers, GroundError> {
        let waits = [5, 5].map(Duration::from_secs).to_vec();
        let at = |address| Server { address, waits, recursion_desired: true, tcp_only: false };
        let lab = || {
            let found = book.and_then(AddressBook::resolver_address);
            found.ok_or_else(|| GroundError::NoResolver { file: file.to_owned() })
        };
        let by_option = "--resolver".to_owned();
        Ok(match self {
            Self::System | Self::Named(Named::System) => Resolvers::System,
            Self::Lab => Resolvers::Given { server: at(lab()?), chosen_by: "the lab's own".to_owned() },
            Self::Named(Named::Plain(address)) => Resolvers::Given { server: at(address), chosen_by: by_option },
            Self::Named(Named::Secure(upstream)) => {
                // A name for the resolver itself is asked of whoever would be asked without the option.
                let bootstrap = match (&upstream.host, book) {
                    (Host::Ip(_), _) | (_, None) => Resolvers::System,
                    (Host::Name(_), Some(_)) => {
                        Resolvers::Given { server: at(lab()?), chosen_by: "the lab's own".to_owned() }
                    }
                };
                Resolvers::Secure { upstream, bootstrap: Box::new(bootstrap), chosen_by: by_option }
            }
        })
    }
}

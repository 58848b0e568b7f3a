//! What the command line means: on whose network to visit, and whom to ask for names.

pub mod request;
pub mod resolver;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use probe::{
    name::Resolvers,
    overrides::{OverrideError, Overrides},
    stub::Server,
    target::{self, Host},
};
use secrets::Secrets;
use world::{AddressBook, LabNet, World};

use crate::args::Visit;
use resolver::Named;

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
pub enum PlanError {
    /// `--resolver` names none.
    #[error(
        "--resolver {given:?} names no resolver: {why}; write 10.78.1.53, [fd10::1]:53, tls://HOST, https://HOST/PATH or \
         system"
    )]
    Resolver {
        /// What was given.
        given: String,
        /// What is wrong with it.
        why: String,
    },
    /// `--resolve` or `--connect-to` cannot be used.
    #[error(transparent)]
    Override(#[from] OverrideError),
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
pub fn running_lab(file: Option<&Path>, lab_net: Option<LabNet>) -> Result<Option<Ground>, PlanError> {
    let Some(path) = file.filter(|path| !path.as_os_str().is_empty()) else { return Ok(None) };
    let file = path.display().to_string();
    let text = world::read_text(path).map_err(|source| PlanError::Read { file: file.clone(), source })?;
    if text.trim().is_empty() {
        return Err(PlanError::Empty { file });
    }
    let book = if text.trim_start().starts_with('{') {
        serde_json::from_str(&text).map_err(|source| PlanError::Book { file, source })?
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

/// What the command line says about names.
pub fn overrides(visit: &Visit) -> Result<Overrides, PlanError> {
    Ok(Overrides::parse(&visit.names.resolve, &visit.names.connect_to)?)
}

/// Where this URL is to be visited, and whom to ask. `running` is the lab that runs elsewhere, where one was named.
pub fn plan(
    visit: &Visit,
    url: &str,
    overrides: &Overrides,
    running: Option<&Ground>,
) -> Result<(Ground, Asked), PlanError> {
    let asked = match visit.names.resolver.as_deref().map(str::trim) {
        None | Some("") => None,
        Some(given) => match Named::parse(given) {
            Ok(Named::System) => Some(Asked::System),
            Ok(named) => Some(Asked::Named(named)),
            Err(why) => return Err(PlanError::Resolver { given: given.to_owned(), why }),
        },
    };
    // A URL that cannot be read belongs to no network; its stage will say what is wrong with it. Where --connect-to leads
    // elsewhere, that is where the visit takes place.
    let in_lab = visit.lab.is_some()
        || target::parse(url, Secrets::Removed).is_ok_and(|(_, target)| {
            let leads_to = overrides.way(&target).host;
            belongs_to_lab(&leads_to, running) || is_inside(&target.host, &leads_to, running)
        });
    Ok(match (asked, in_lab, running) {
        (Some(asked), _, None) if visit.lab.is_some() => (Ground::Embedded, asked),
        // A name of the lab, asked of a resolver of the lab: nobody else knows either.
        (Some(Asked::Named(named)), true, None) if is_built_in(&named) => (Ground::Embedded, Asked::Named(named)),
        (Some(asked), _, None) => (Ground::Internet, asked),
        (Some(asked), true, Some(lab)) => (lab.clone(), asked),
        (Some(asked), false, Some(_)) => (Ground::Internet, asked),
        (None, true, None) => (Ground::Embedded, Asked::Lab),
        (None, true, Some(lab)) => (lab.clone(), Asked::Lab),
        (None, false, _) => (Ground::Internet, Asked::System),
    })
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
    pub fn resolvers(self, book: Option<&AddressBook>, file: &str) -> Result<Resolvers, PlanError> {
        let waits = [5, 5].map(Duration::from_secs).to_vec();
        let at = |address| Server { address, waits, recursion_desired: true, tcp_only: false };
        let lab = || {
            let found = book.and_then(AddressBook::resolver_address);
            found.ok_or_else(|| PlanError::NoResolver { file: file.to_owned() })
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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::Cli;

    fn check(line: &[&str], expected: &str) {
        let cli = Cli::parse_from(["visit"].iter().chain(line));
        let seen =
            match overrides(&cli.visit).and_then(|overrides| plan(&cli.visit, &cli.visit.urls[0], &overrides, None)) {
                Ok((ground, asked)) => {
                    let ground = match ground {
                        Ground::Embedded => "embedded",
                        Ground::Running { .. } => "running",
                        Ground::Internet => "internet",
                    };
                    let asked = match asked {
                        Asked::Named(Named::Plain(address)) => format!("Given({address})"),
                        Asked::Named(Named::Secure(upstream)) => upstream.url(Secrets::Removed),
                        asked => format!("{asked:?}"),
                    };
                    format!("{ground} {asked}")
                }
                Err(error) => error.to_string(),
            };
        assert!(seen.starts_with(expected), "{line:?}: {seen}");
    }

    #[test]
    fn whose_network() {
        check(&["www.example.local"], "embedded Lab");
        check(&["http://EXAMPLE.test:8080/x"], "embedded Lab");
        check(&["www.baidu.com"], "internet System");
        check(&["--connect-to", "::10.78.2.82:80", "www.example.local"], "embedded Lab");
        check(&["--connect-to", "::127.0.0.1:99", "www.example.local"], "internet System");
        check(&["--lab", "www.baidu.com"], "embedded Lab");
        check(&["--lab", "http://10.78.2.81/"], "embedded Lab");
        check(&["http://10.78.2.81/"], "internet System");
        check(&["notexample.local"], "internet System");
        check(&["http://a b"], "internet System");
        check(&["--resolver", "10.1.1.1", "www.example.local"], "internet Given(10.1.1.1:53)");
        check(&["--resolver", "[::1]:5353", "a"], "internet Given([::1]:5353)");
        check(&["--resolver", "fd10::1", "a"], "internet Given([fd10::1]:53)");
        check(&["--resolver", "10.78.1.53", "www.example.local"], "embedded Given(10.78.1.53:53)");
        check(&["--resolver", "10.78.1.53", "www.baidu.com"], "internet Given(10.78.1.53:53)");
        check(&["--resolver", "fd10:78:1ab::1:53", "www.example.test"], "embedded Given([fd10:78:1ab::1:53]:53)");
        check(&["--connect-to", "::www.example.local:", "www.baidu.com"], "embedded Lab");
        check(&["--connect-to", "::127.0.0.1:8080", "www.example.local"], "internet System");
        check(&["--resolve", "www.example.local:80:127.0.0.1", "www.example.local"], "embedded Lab");
        check(&["--resolve", "www.example.local", "www.example.local"], "--resolve \"www.example.local\": it needs");
        check(&["--lab", "--resolver", "10.78.2.31", "a"], "embedded Given(10.78.2.31:53)");
        check(&["--resolver", "system", "www.example.local"], "internet System");
        check(&["--resolver", "dns.test", "a"], "--resolver \"dns.test\" names no resolver: it is no address; write");
        check(&["--resolver", "tls://10.78.1.53", "www.example.local"], "embedded tls://10.78.1.53");
        check(&["--resolver", "tls://10.78.1.53", "www.baidu.com"], "internet tls://10.78.1.53");
        check(&["--resolver", "tls://dns.example.test", "www.example.local"], "embedded tls://dns.example.test");
        check(&["--resolver", "https://dns.test", "www.example.local"], "internet https://dns.test/dns-query");
        check(&["--lab", "--resolver", "https://10.78.1.53/q", "a"], "embedded https://10.78.1.53/q");
        check(&["--resolver", "10.1.1.1:0", "a"], "--resolver");
    }
}

//! A walk from the root by this machine itself (RFC 1034 §5.3.3), beside the visit: the whole name is asked for, zone by
//! zone, by referral and glue. A resolver does the same with a cache and shortcuts of its own; the two are never mixed.
//!
//! | module | what |
//! |---|---|
//! | `roots` | where it begins |
//! | `reply` | what a reply means: pure |
//! | `zone` | the servers of one zone, asked |

mod reply;
mod roots;
mod zone;

use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    pin::Pin,
    time::Duration,
};

use hickory_proto::rr::Name;
use journey::{
    Hop, StageName,
    root_walk::{self, End, Learned, RootWalk, Search, Servers},
    stage::{self, Address, Did, NameSource, QueryResult},
};
use tokio::time::Instant;

use super::{Probe, bounds::Bounds};
use reply::{Meaning, Referral, What};

/// Most zones on the way to one name.
const MOST_ZONES: usize = 24;
/// Most links of an alias chain.
const MOST_ALIASES: usize = 16;
/// How deep searches for the addresses of name servers may lie in each other.
const DEEPEST: usize = 5;

/// The limits of a whole walk.
#[derive(Clone, Copy, Debug)]
struct Limits {
    questions: usize,
    time: Duration,
}

impl Limits {
    fn of(servers: Servers) -> Self {
        match servers {
            Servers::First => Self { questions: 100, time: Duration::from_secs(20) },
            // Thirteen roots and thirteen servers of com., each at two addresses, with four questions for each.
            Servers::All => Self { questions: 1_000, time: Duration::from_secs(60) },
        }
    }
}

/// Walks to the names that these hops looked up. What does not fit together in it (`findings`) is left to `diagnosis`.
pub async fn from_root(probe: &Probe<'_>, hops: &[Hop], servers: Servers) -> RootWalk {
    let start_us = probe.clock.us();
    let limits = Limits::of(servers);
    let bounds = Bounds { deadline: Some(Instant::now() + limits.time), ..probe.bounds.clone() };
    let probe = &Probe { bounds: &bounds, ..probe.clone() };
    let (note, searches) = match (names(hops), roots::root(probe.book)) {
        (names, _) if names.is_empty() => {
            (Some("no name was looked up, so there is nothing to walk to".to_owned()), Vec::new())
        }
        (_, None) => (Some("the lab's address book names no root servers".to_owned()), Vec::new()),
        (names, Some(root)) => {
            let tree = Tree {
                probe,
                servers,
                limits,
                known: RefCell::new(vec![root]),
                searches: RefCell::default(),
                open: RefCell::default(),
                questions: Cell::new(0),
                stopped: RefCell::default(),
            };
            for name in names {
                tree.search(name, None).await;
            }
            (tree.stopped.into_inner(), tree.searches.into_inner())
        }
    };
    let duration_us = probe.clock.us().saturating_sub(start_us);
    RootWalk { servers, why: None, start_us, duration_us, note, searches, findings: Vec::new() }
}

/// The names that were looked up, in their order, each once. Where a search list made several names of one, it is the
/// last that was asked for.
fn names(hops: &[Hop]) -> Vec<Name> {
    let mut names: Vec<Name> = Vec::new();
    for hop in hops {
        let Some(Did::Name(did)) = hop.stage(StageName::Name).map(|stage| &stage.did) else { continue };
        let Some(name) = looked_up(did) else { continue };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn looked_up(did: &stage::Name) -> Option<Name> {
    // Names of this machine are in no tree (RFC 6761 §6.3), and an address is no name.
    if matches!(did.source, Some(NameSource::Localhost)) || did.asked.parse::<std::net::IpAddr>().is_ok() {
        return None;
    }
    let replied = |exchange: &&stage::Exchange| matches!(exchange.result, QueryResult::Reply { .. });
    let asked = did.exchanges.iter().rev().find(replied).map(|exchange| exchange.question.name.clone());
    let asked = asked.unwrap_or_else(|| format!("{}.", did.asked.trim_end_matches('.')));
    Name::from_ascii(asked).ok().filter(|name| !name.is_root())
}

/// A zone and its servers, as far as they are known.
#[derive(Clone, Debug)]
struct Delegation {
    zone: Name,
    parent: Option<Name>,
    servers: Vec<Candidate>,
}

/// A name server.
#[derive(Clone, Debug)]
struct Candidate {
    name: Option<Name>,
    addresses: Vec<(SocketAddr, Learned)>,
    // Why no address is known.
    note: Option<String>,
}

/// A walk under way.
struct Tree<'a> {
    probe: &'a Probe<'a>,
    servers: Servers,
    limits: Limits,
    // The root, and every zone that a referral has told of.
    known: RefCell<Vec<Delegation>>,
    searches: RefCell<Vec<Search>>,
    // The names that are being searched for, each because of the one before it.
    open: RefCell<Vec<Name>>,
    questions: Cell<usize>,
    // Which limit has ended the walk.
    stopped: RefCell<Option<String>>,
}

/// A search that has come to its end.
struct Ended {
    zones: Vec<root_walk::Zone>,
    aliases: Vec<Name>,
    end: End,
    addresses: Vec<Address>,
}

impl Tree<'_> {
    /// Searches for the addresses of a name; which of the searches it is.
    fn search(&self, name: Name, server_of: Option<&Name>) -> Pin<Box<dyn Future<Output = usize> + '_>> {
        let server_of = server_of.map(Name::to_ascii);
        Box::pin(async move {
            let nth = self.searches.borrow().len();
            // In its place already, so that searches stand in the order of their begin.
            let end = End::Stopped { what: String::new() };
            self.searches.borrow_mut().push(Search {
                name: name.to_ascii(),
                server_of,
                zones: Vec::new(),
                aliases: Vec::new(),
                end,
                addresses: Vec::new(),
            });
            self.open.borrow_mut().push(name.clone());
            let Ended { zones, aliases, end, addresses } = self.descend(name).await;
            self.open.borrow_mut().pop();
            let search = &mut self.searches.borrow_mut()[nth];
            if aliases.len() > 1 {
                search.aliases = aliases.iter().map(Name::to_ascii).collect();
            }
            (search.zones, search.end, search.addresses) = (zones, end, addresses);
            nth
        })
    }

    async fn descend(&self, name: Name) -> Ended {
        let (mut delegation, mut known) = self.closest(&name);
        let mut aliases = vec![name];
        let mut zones = Vec::new();
        loop {
            let name = aliases[aliases.len() - 1].clone();
            let (zone, found) = self.ask_zone(&mut delegation, &name, known).await;
            zones.push(zone);
            let end = match found {
                _ if self.stopped.borrow().is_some() => {
                    End::Stopped { what: self.stopped.borrow().clone().unwrap_or_default() }
                }
                None => End::NoAuthority { zone: delegation.zone.to_ascii() },
                Some(Found { meaning: Meaning::Referral(referral), .. }) => {
                    if zones.len() < MOST_ZONES {
                        delegation = self.delegated(referral, &delegation.zone);
                        known = false;
                        continue;
                    }
                    End::Stopped { what: format!("there are more than {MOST_ZONES} zones on the way") }
                }
                Some(Found { meaning: Meaning::End { aliases: more, what }, addresses }) => {
                    let circle = more.iter().skip(1).any(|alias| aliases.contains(alias));
                    aliases.extend(more.into_iter().skip(1));
                    match what {
                        What::Circle => End::Loop { what: arrows(&aliases) },
                        _ if circle => End::Loop { what: arrows(&aliases) },
                        What::Elsewhere if aliases.len() > MOST_ALIASES || zones.len() >= MOST_ZONES => {
                            End::Stopped { what: format!("there are more than {MOST_ALIASES} aliases on the way") }
                        }
                        What::Elsewhere => {
                            (delegation, _) = self.closest(&aliases[aliases.len() - 1]);
                            known = true;
                            continue;
                        }
                        What::NoData => End::NoData,
                        What::NoSuchName => End::NoSuchName,
                        What::Addresses(_) => return Ended { zones, aliases, end: End::Answer, addresses },
                    }
                }
                // `ask_zone` tells of no lame server's word.
                Some(Found { meaning: Meaning::Lame(what), .. }) => End::Stopped { what },
            };
            return Ended { zones, aliases, end, addresses: Vec::new() };
        }
    }

    /// The closest zone to a name whose servers are known, and whether that is from earlier in this walk.
    fn closest(&self, name: &Name) -> (Delegation, bool) {
        let known = self.known.borrow();
        let enclosing = known.iter().filter(|delegation| delegation.zone.zone_of(name));
        // The root encloses every name.
        let closest = enclosing.max_by_key(|delegation| delegation.zone.num_labels()).unwrap_or(&known[0]).clone();
        (closest, self.questions.get() > 0)
    }

    fn delegated(&self, referral: Referral, parent: &Name) -> Delegation {
        let learned = Learned::Glue { zone: parent.to_ascii() };
        let server = |(name, glue): (Name, Vec<std::net::IpAddr>)| Candidate {
            addresses: glue.into_iter().map(|ip| (SocketAddr::new(ip, 53), learned.clone())).collect(),
            // Nobody can be asked for it but the zone's own servers.
            note: None,
            name: Some(name),
        };
        let servers = referral.servers.into_iter().map(server).collect();
        let delegation = Delegation { zone: referral.zone, parent: Some(parent.clone()), servers };
        self.remember(&delegation);
        delegation
    }

    fn remember(&self, delegation: &Delegation) {
        let mut known = self.known.borrow_mut();
        match known.iter_mut().find(|known| known.zone == delegation.zone) {
            Some(known) => known.clone_from(delegation),
            None => known.push(delegation.clone()),
        }
    }

    /// Which servers are asked here: where only the address of another server is looked for, one that answers will do.
    fn servers(&self) -> Servers {
        if self.open.borrow().len() > 1 { Servers::First } else { self.servers }
    }

    fn stop(&self, what: String) {
        self.stopped.borrow_mut().get_or_insert(what);
    }
}

/// What a zone's servers say of a name: the first usable word, and the addresses in it.
struct Found {
    meaning: Meaning,
    addresses: Vec<Address>,
}

fn arrows(names: &[Name]) -> String {
    let names: Vec<String> = names.iter().map(Name::to_ascii).collect();
    names.join(" → ")
}

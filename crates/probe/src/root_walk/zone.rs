//! The servers of one zone, asked.

use std::net::SocketAddr;

use futures_util::{StreamExt, stream};
use hickory_proto::{
    op::{Message, Query},
    rr::{Name, RecordType},
};
use journey::{
    Reason,
    root_walk::{self, Asked, End, Learned, OwnAddress, ServerAnswer, Servers},
    stage::{Address, QueryResult},
};

use super::{DEEPEST, Delegation, Found, Tree, reply};
use crate::{
    Family,
    stub::{self, Log, NoReply, Server},
};
use reply::{Meaning, What};

/// How long is waited after each transmission to a name server.
const WAITS: [std::time::Duration; 2] = [std::time::Duration::from_secs(1), std::time::Duration::from_secs(2)];
/// How many addresses are asked at the same time, where all are.
const AT_ONCE: usize = 8;

/// Where a server stands: which of the zone's servers, and which of its addresses.
type Place = (usize, usize);

impl Tree<'_> {
    /// Asks the zone's servers for a name, as many as are to be asked.
    pub(super) async fn ask_zone(
        &self,
        delegation: &mut Delegation,
        name: &Name,
        known: bool,
    ) -> (root_walk::Zone, Option<Found>) {
        let mut asked: Vec<(Place, Asked)> = Vec::new();
        let mut found = None;
        match self.servers() {
            Servers::First => {
                for place in places(delegation, 0..delegation.servers.len()) {
                    if found.is_some() || self.stopped.borrow().is_some() {
                        break;
                    }
                    let (one, meaning) = self.ask_at(delegation, place, name).await;
                    asked.push((place, one));
                    found = meaning;
                }
                // Only now: a server whose address is not known costs a walk of its own.
                for nth in 0..delegation.servers.len() {
                    if found.is_some() || !self.find_address(delegation, nth).await {
                        continue;
                    }
                    for place in places(delegation, nth..nth + 1) {
                        if found.is_none() && self.stopped.borrow().is_none() {
                            let (one, meaning) = self.ask_at(delegation, place, name).await;
                            asked.push((place, one));
                            found = meaning;
                        }
                    }
                }
            }
            Servers::All => {
                for nth in 0..delegation.servers.len() {
                    self.find_address(delegation, nth).await;
                }
                let places = places(delegation, 0..delegation.servers.len());
                let all = places.into_iter().map(|place| {
                    let delegation = &*delegation;
                    async move { (place, self.ask_at(delegation, place, name).await) }
                });
                let all: Vec<_> = stream::iter(all).buffered(AT_ONCE).collect().await;
                for (place, (one, meaning)) in all {
                    asked.push((place, one));
                    found = found.or(meaning);
                }
                self.check_glue(delegation, &mut asked).await;
            }
        }
        self.remember(delegation);
        (self.recorded(delegation, name, known, asked), found)
    }

    /// Looks for the address of a server that came without one; whether there is one now that was not before.
    async fn find_address(&self, delegation: &mut Delegation, nth: usize) -> bool {
        let server = &delegation.servers[nth];
        let (Some(name), true, None) = (server.name.clone(), server.addresses.is_empty(), &server.note) else {
            return false;
        };
        if self.stopped.borrow().is_some() {
            return false;
        }
        let mut addresses = Vec::new();
        let mut note = None;
        let earlier = {
            let open = self.open.borrow();
            if delegation.zone.zone_of(&name) {
                note = Some("its name is in this zone itself, and the referral has no glue for it".to_owned());
            } else if open.contains(&name) {
                note = Some("to find its address one would have to know it already: a circle".to_owned());
            } else if open.len() >= DEEPEST {
                note = Some(format!("more than {DEEPEST} searches for addresses lie in each other"));
            }
            let searches = self.searches.borrow();
            searches.iter().position(|search| search.name.eq_ignore_ascii_case(&name.to_ascii()))
        };
        if note.is_none() {
            let nth = match earlier {
                Some(nth) => nth,
                None => self.search(name, Some(&delegation.zone)).await,
            };
            let search = &self.searches.borrow()[nth];
            let learned = Learned::Search { nth };
            addresses = search.addresses.iter().map(|a| (SocketAddr::new(a.ip, 53), learned.clone())).collect();
            note = addresses.is_empty().then(|| in_words(&search.end));
        }
        let is_found = !addresses.is_empty();
        let server = &mut delegation.servers[nth];
        (server.addresses, server.note) = (addresses, note);
        is_found
    }

    /// Asks a server at one of its addresses for the name, and for all that is to be compared.
    async fn ask_at(&self, delegation: &Delegation, place: Place, name: &Name) -> (Asked, Option<Found>) {
        let (address, learned) = delegation.servers[place.0].addresses[place.1].clone();
        let zone = &delegation.zone;
        let server = Server { address, waits: WAITS.to_vec(), recursion_desired: false, tcp_only: false };
        let log = Log::default();
        let mut asked = Asked {
            address,
            host: self.probe.host_of(address.ip()),
            learned,
            exchanges: Vec::new(),
            said: None,
            name_servers: None,
            serial: None,
            own_addresses: Vec::new(),
        };
        let first = if self.probe.family == Family::V6 { RecordType::AAAA } else { RecordType::A };
        let mut found = None;
        match self.ask(&server, name, first, &log).await {
            Err(said) => asked.said = said,
            Ok(message) => {
                note_own_word(&mut asked, zone, &message);
                let mut meaning = reply::read(zone, name, first, &message);
                if self.probe.family == Family::Any
                    && has_no_other_way(&meaning)
                    && let Ok(message) = self.ask(&server, name, RecordType::AAAA, &log).await
                {
                    meaning = both(meaning, reply::read(zone, name, RecordType::AAAA, &message));
                }
                if self.servers() == Servers::All && !matches!(meaning, Meaning::Lame(_)) {
                    for rtype in [RecordType::NS, RecordType::SOA] {
                        let is_known = match rtype {
                            RecordType::NS => asked.name_servers.is_some(),
                            _ => asked.serial.is_some(),
                        };
                        if !is_known && let Ok(message) = self.ask(&server, zone, rtype, &log).await {
                            note_own_word(&mut asked, zone, &message);
                        }
                    }
                }
                let said = self.said(&meaning);
                if said.is_usable() {
                    let addresses = match &said {
                        ServerAnswer::Answer { addresses } => addresses.clone(),
                        _ => Vec::new(),
                    };
                    found = Some(Found { meaning, addresses });
                }
                asked.said = Some(said);
            }
        }
        asked.exchanges = log.into_inner();
        (asked, found)
    }

    /// Asks the zone itself for the addresses of its servers that the zone above gave as glue. Only where everything is
    /// compared: to go on, the glue is enough.
    async fn check_glue(&self, delegation: &Delegation, asked: &mut [(Place, Asked)]) {
        let is_good = |asked: &Asked| asked.said.as_ref().is_some_and(ServerAnswer::is_usable);
        let Some((_, one)) = asked.iter_mut().find(|(_, asked)| is_good(asked)) else { return };
        let server = Server { address: one.address, waits: WAITS.to_vec(), recursion_desired: false, tcp_only: false };
        let log = Log::default();
        for candidate in &delegation.servers {
            let of_glue = candidate.addresses.iter().filter(|(_, learned)| matches!(learned, Learned::Glue { .. }));
            let families: Vec<bool> = of_glue.map(|(address, _)| address.is_ipv6()).collect();
            let Some(name) = candidate.name.as_ref().filter(|name| delegation.zone.zone_of(name)) else { continue };
            let mut addresses = Vec::new();
            for (rtype, is_v6) in [(RecordType::A, false), (RecordType::AAAA, true)] {
                if families.contains(&is_v6)
                    && let Ok(message) = self.ask(&server, name, rtype, &log).await
                    && message.metadata.authoritative
                {
                    let of_name = reply::addresses_of(name, rtype, &message.answers);
                    addresses.extend(of_name.into_iter().map(|(ip, _)| ip));
                }
            }
            if !addresses.is_empty() {
                one.own_addresses.push(OwnAddress { name: name.to_ascii(), addresses });
            }
        }
        one.exchanges.extend(log.into_inner());
    }

    /// One question to one server; the error is what it means that no reply came, or None where a limit was met.
    async fn ask(
        &self,
        server: &Server,
        name: &Name,
        rtype: RecordType,
        log: &Log,
    ) -> Result<Message, Option<ServerAnswer>> {
        if self.questions.get() >= self.limits.questions {
            self.stop(format!("{} questions were asked, and no more are", self.limits.questions));
        }
        if self.stopped.borrow().is_some() {
            return Err(None);
        }
        self.questions.set(self.questions.get() + 1);
        let query = Query::query(name.clone(), rtype);
        stub::ask(self.probe, server, &query, log).await.map_err(|no_reply| match no_reply.reason {
            Reason::MaxTime => {
                self.stop(format!("the walk took longer than {} s", self.limits.time.as_secs()));
                None
            }
            Reason::Interrupted => {
                self.stop("the walk was interrupted".to_owned());
                None
            }
            _ => Some(silence(no_reply, log)),
        })
    }

    fn said(&self, meaning: &Meaning) -> ServerAnswer {
        let end = |aliases: &[Name]| aliases[aliases.len() - 1].to_ascii();
        match meaning {
            Meaning::Referral(referral) => ServerAnswer::Referral {
                zone: referral.zone.to_ascii(),
                servers: referral.servers.iter().map(|(name, _)| name.to_ascii()).collect(),
            },
            Meaning::Lame(why) => ServerAnswer::Lame { why: why.clone() },
            Meaning::End { aliases, what } => match what {
                What::Addresses(addresses) => {
                    let one = |&(ip, ttl)| Address { ip, ttl: Some(ttl), host: self.probe.host_of(ip) };
                    ServerAnswer::Answer { addresses: addresses.iter().map(one).collect() }
                }
                What::Elsewhere => ServerAnswer::Alias { of: end(aliases) },
                What::Circle => ServerAnswer::AliasLoop,
                What::NoData => ServerAnswer::NoData,
                What::NoSuchName => ServerAnswer::NoSuchName,
            },
        }
    }

    fn recorded(
        &self,
        delegation: &Delegation,
        name: &Name,
        known: bool,
        mut asked: Vec<(Place, Asked)>,
    ) -> root_walk::Zone {
        let mut servers = Vec::new();
        for (nth, candidate) in delegation.servers.iter().enumerate() {
            let mut addresses = Vec::new();
            for (mth, (address, learned)) in candidate.addresses.iter().enumerate() {
                let one = asked.iter().position(|(place, _)| *place == (nth, mth)).map(|at| asked.swap_remove(at).1);
                addresses.push(one.unwrap_or_else(|| Asked {
                    address: *address,
                    host: self.probe.host_of(address.ip()),
                    learned: learned.clone(),
                    exchanges: Vec::new(),
                    said: None,
                    name_servers: None,
                    serial: None,
                    own_addresses: Vec::new(),
                }));
            }
            let name = candidate.name.as_ref().map(Name::to_ascii);
            servers.push(root_walk::Server { name, addresses, note: candidate.note.clone() });
        }
        root_walk::Zone {
            zone: delegation.zone.to_ascii(),
            asked: name.to_ascii(),
            referred_by: delegation.parent.as_ref().map(Name::to_ascii),
            known,
            servers,
        }
    }
}

/// The addresses of these servers in the order in which they are asked: IPv4 first, as nearly every name server has it
/// and not every machine has IPv6.
fn places(delegation: &Delegation, servers: std::ops::Range<usize>) -> Vec<Place> {
    let of = |nth: usize| (0..delegation.servers[nth].addresses.len()).map(move |mth| (nth, mth));
    let mut places: Vec<Place> = servers.flat_map(of).collect();
    places.sort_by_key(|&(nth, mth)| delegation.servers[nth].addresses[mth].0.is_ipv6());
    places
}

/// Whether the other family has to be asked for here as well, and not further on.
fn has_no_other_way(meaning: &Meaning) -> bool {
    matches!(meaning, Meaning::End { what: What::Addresses(_) | What::NoData, .. })
}

/// What the answers for both families mean together.
fn both(one: Meaning, other: Meaning) -> Meaning {
    match (one, other) {
        (
            Meaning::End { aliases, what: What::Addresses(mut addresses) },
            Meaning::End { what: What::Addresses(more), .. },
        ) => {
            addresses.extend(more);
            Meaning::End { aliases, what: What::Addresses(addresses) }
        }
        (Meaning::End { what: What::NoData, .. }, other @ Meaning::End { what: What::Addresses(_), .. }) => other,
        (one, _) => one,
    }
}

fn note_own_word(asked: &mut Asked, zone: &Name, message: &Message) {
    if asked.name_servers.is_none() {
        let names = reply::name_servers(zone, message);
        asked.name_servers = names.map(|names| names.iter().map(|name| name.to_ascii().to_lowercase()).collect());
    }
    asked.serial = asked.serial.or_else(|| reply::serial(zone, message));
}

/// What it means that no reply came.
fn silence(no_reply: NoReply, log: &Log) -> ServerAnswer {
    let log = log.borrow();
    // A lab without that host, or without that port, is not even sent the question.
    let Some(last) = log.last() else { return ServerAnswer::Dead { why: no_reply.what } };
    match &last.result {
        QueryResult::Timeout => {
            let limit: std::time::Duration = WAITS.iter().sum();
            ServerAnswer::Dead { why: format!("no answer within {} s", limit.as_secs()) }
        }
        QueryResult::NothingListens => ServerAnswer::Dead { why: "nothing listens there".to_owned() },
        QueryResult::BadReply { why, .. } => {
            ServerAnswer::Dead { why: format!("it sent no answer to the question: {why}") }
        }
        QueryResult::Failed { why, .. } => ServerAnswer::Unreachable { why: why.clone() },
        QueryResult::Reply { .. } | QueryResult::Abandoned => ServerAnswer::Dead { why: no_reply.what },
    }
}

/// Why a search found no address of a server.
fn in_words(end: &End) -> String {
    match end {
        End::Answer => "its address was not told".to_owned(),
        End::NoSuchName => "there is no such name".to_owned(),
        End::NoData => "its name has no address".to_owned(),
        End::Loop { what } => format!("its aliases go in a circle: {what}"),
        End::NoAuthority { zone } => format!("no server of {zone} answers for it"),
        End::Stopped { what } => what.clone(),
    }
}

//! From the root, or the closest zone that is known, down to an answer (RFC 1034 §5.3.3).
//!
//! What to ask next, whom, and what a reply says are decided elsewhere, without I/O: `minimise`, `slist`, `reading`. Here
//! they are put together; `tap` asks.

use std::{net::IpAddr, sync::Arc, time::Instant};

use futures_util::{
    FutureExt, StreamExt,
    future::{BoxFuture, OptionFuture},
    stream::FuturesUnordered,
};
use hickory_proto::{
    op::{Query, ResponseCode},
    rr::{Name, RecordType},
};
use service::Clock;

use crate::{
    answer::Answer,
    delegations::{Delegations, Zone},
    limits::{MAX_ALIASES, MAX_DEPTH, MAX_REFERRALS},
    links::{Link, Links},
    minimise::Minimise,
    reach::Reach,
    reading::{Said, address},
    slist::Slist,
    tap::{Asked, Heard, Outcome, Tap, Target, Useless},
    walk::{Failure, Walk},
};

/// The way down, and what was learned on it.
pub(crate) struct Descent {
    pub(crate) links: Links,
    pub(crate) delegations: Arc<Delegations>,
    pub(crate) tap: Tap,
    pub(crate) reach: Reach,
    pub(crate) clock: Clock,
}

/// Why no answer was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Vain {
    /// These aliases lead back to one of them.
    Circle(Vec<Name>),
    /// More aliases than are followed.
    Aliases,
    /// More referrals than are followed.
    Referrals,
    /// The query has cost as much as it may.
    Spent,
    /// The servers that were asked; the walk knows why.
    Servers,
}

impl Descent {
    /// The answer to a question, from the name asked over all aliases. `above`: the name servers whose addresses this
    /// look-up is for, each for the next.
    pub(crate) fn resolve<'a>(
        &'a self,
        walk: &'a Arc<Walk>,
        query: &'a Query,
        above: &'a [Name],
    ) -> BoxFuture<'a, Result<Answer, Vain>> {
        async move {
            let mut names = vec![query.name().clone()];
            let mut chain = Vec::new();
            loop {
                let asked = Query::query(names[names.len() - 1].clone(), query.query_type());
                let link = self.link(walk, &asked, above).await?;
                chain.extend_from_slice(link.records());
                let target = match link {
                    Link::Data(_) => return Ok(Answer::positive(ResponseCode::NoError, chain)),
                    Link::TooLong(_) => return Ok(Answer::positive(ResponseCode::YXDomain, chain)),
                    Link::No(rcode, soa) => return Ok(Answer::negative(rcode, chain, soa)),
                    Link::Alias(_, target) => target,
                };
                let is_known = names.contains(&target);
                names.push(target);
                if is_known {
                    return Err(Vain::Circle(names));
                }
                if names.len() > MAX_ALIASES {
                    return Err(Vain::Aliases);
                }
            }
        }
        .boxed()
    }

    /// What there is at one name.
    async fn link(&self, walk: &Arc<Walk>, question: &Query, above: &[Name]) -> Result<Link, Vain> {
        match self.known(walk, question) {
            Some(link) => Ok(link),
            None => self.descend(walk, question, above).await,
        }
    }

    fn known(&self, walk: &Walk, question: &Query) -> Option<Link> {
        walk.learned(question).or_else(|| self.links.find(question, self.clock.now()))
    }

    async fn descend(&self, walk: &Arc<Walk>, full: &Query, above: &[Name]) -> Result<Link, Vain> {
        let is_the_parents = full.query_type() == RecordType::DS;
        let mut zone = self.delegations.closest(full.name(), is_the_parents, self.clock.now());
        let mut minimise = Minimise::below(&zone.name);
        let mut outdated: Option<Zone> = None;
        let mut referrals = 0;
        loop {
            let first = minimise.next(full);
            if first != *full
                && let Some(link) = self.known(walk, &first)
            {
                settle(&mut minimise, first.name(), &link);
                continue;
            }
            let asked = Asked { first, full: full.clone() };
            let heard = match self.ask_zone(walk, &zone, asked, above).await {
                Ok(heard) => heard,
                // Its servers may be others by now: the parent is asked once more.
                Err(Vain::Servers) if zone.remembered && !zone.name.is_root() && outdated.is_none() => {
                    self.delegations.forget(&zone.name);
                    let parent = self.delegations.closest(&zone.name, true, self.clock.now());
                    minimise = Minimise::below(&parent.name);
                    outdated = Some(std::mem::replace(&mut zone, parent));
                    continue;
                }
                Err(vain) => return Err(vain),
            };
            walk.answered(&zone.name);
            if let Some(own) = &heard.reading.own {
                self.delegations.learn_own(&zone.name, own, self.clock.now());
            }
            match &heard.reading.said {
                Said::Referral(to, set) => {
                    referrals += 1;
                    zone = self.delegations.learn(to, &zone.name, set, self.clock.now());
                    minimise.reached(to);
                    if referrals > MAX_REFERRALS {
                        return Err(Vain::Referrals);
                    }
                    if outdated.as_ref().is_some_and(|old| old.name == zone.name && !leave_out(&mut zone, old)) {
                        return Err(Vain::Servers);
                    }
                }
                Said::Links(links) => {
                    let link = self.learn(walk, links).ok_or(Vain::Servers)?;
                    if heard.question == *full {
                        return Ok(link);
                    }
                    settle(&mut minimise, heard.question.name(), &link);
                }
            }
        }
    }

    /// Keeps what a reply says; the first is of the name asked.
    fn learn(&self, walk: &Walk, links: &[(Query, Link)]) -> Option<Link> {
        let now = self.clock.now();
        let mut first = None;
        for (question, link) in links {
            let link = self.links.capped(link.clone());
            self.links.keep(question, &link, now);
            walk.learn(question, &link);
            first.get_or_insert(link);
        }
        first
    }

    /// Asks the servers of a zone, one after the other, until one gives an authority's answer or a referral. One that
    /// may be far away is given time while the next is asked already.
    async fn ask_zone(&self, walk: &Arc<Walk>, zone: &Zone, asked: Asked, above: &[Name]) -> Result<Arc<Heard>, Vain> {
        let zone = self.with_looked_up(zone, self.clock.now());
        let slist = Slist::new(&zone, self.reach, |ip| self.delegations.is_avoided(ip, self.clock.now()));
        let mut round = Round { descent: self, walk, zone: &zone, asked, slist, above };
        let mut pending: FuturesUnordered<BoxFuture<'_, Came>> = FuturesUnordered::new();
        let mut last_resort = None;
        loop {
            let begun = if walk.is_spent() { None } else { round.begin() };
            let may_overlap = begun.as_ref().is_some_and(|begun| begun.may_overlap) && !round.slist.is_over();
            pending.extend(begun.map(|begun| begun.work));
            if pending.is_empty() {
                let vain = if walk.is_spent() { Vain::Spent } else { Vain::Servers };
                return last_resort.ok_or(vain);
            }
            let stagger: OptionFuture<_> = may_overlap.then(|| tokio::time::sleep(self.tap.stagger())).into();
            let came = tokio::select! {
                biased;
                Some(came) = pending.next() => came,
                Some(()) = stagger => continue,
            };
            match round.take(came) {
                Some(heard) if heard.reading.is_authority => return Ok(heard),
                Some(heard) => last_resort = last_resort.or(Some(heard)),
                None => {}
            }
        }
    }

    /// The zone with the addresses that its servers' own zones gave; they rank above glue.
    fn with_looked_up(&self, zone: &Zone, now: Instant) -> Zone {
        let mut zone = zone.clone();
        for server in &mut zone.servers {
            let mut addresses = Vec::new();
            for rtype in [RecordType::A, RecordType::AAAA] {
                let question = Query::query(server.name.clone(), rtype);
                if let Some(Link::Data(records)) = self.links.find(&question, now) {
                    addresses.extend(records.iter().filter_map(address));
                }
            }
            server.addresses.retain(|ip| !addresses.contains(ip));
            server.addresses.splice(0..0, addresses);
        }
        zone
    }

    /// The addresses of a name server.
    async fn addresses(&self, walk: &Arc<Walk>, name: &Name, above: &[Name]) -> Vec<IpAddr> {
        // A name server whose address depends on itself has none (RFC 1034 §4.2.1).
        if above.len() >= MAX_DEPTH || above.contains(name) {
            return Vec::new();
        }
        let above = [above, std::slice::from_ref(name)].concat();
        let families: &[RecordType] = if self.reach.v6 { &[RecordType::A, RecordType::AAAA] } else { &[RecordType::A] };
        let mut found: Vec<IpAddr> = Vec::new();
        for rtype in families {
            let query = Query::query(name.clone(), *rtype);
            if let Ok(answer) = self.resolve(walk, &query, &above).await {
                found.extend(answer.answers.iter().filter_map(address));
                if !found.is_empty() || answer.rcode == ResponseCode::NXDomain {
                    break;
                }
            }
        }
        found.extend(self.delegations.glue_of(name, self.clock.now()));
        found
    }
}

/// One question to the servers of one zone.
struct Round<'a> {
    descent: &'a Descent,
    walk: &'a Arc<Walk>,
    zone: &'a Zone,
    asked: Asked,
    slist: Slist,
    above: &'a [Name],
}

/// Work that was begun.
struct Begun<'a> {
    work: BoxFuture<'a, Came>,
    /// Whether the next may be begun before this is over.
    may_overlap: bool,
}

/// What came of it.
enum Came {
    Outcome { name: Name, ip: IpAddr, asked: Asked, outcome: Outcome },
    Addresses { name: Name, addresses: Vec<IpAddr> },
}

impl<'a> Round<'a> {
    fn begin(&mut self) -> Option<Begun<'a>> {
        let Self { descent, walk, above, .. } = *self;
        while let Some((name, ip)) = self.slist.next_server() {
            if walk.is_silent(ip) {
                continue;
            }
            let target = Target { ip, zone: self.zone.name.clone() };
            let asked = self.asked.clone();
            let work = async move {
                let outcome = descent.tap.ask(walk, target, asked.clone()).await;
                Came::Outcome { name, ip, asked, outcome }
            };
            return Some(Begun { work: work.boxed(), may_overlap: descent.tap.is_stranger(ip) });
        }
        let name = self.slist.next_look_up()?;
        let work = async move {
            let addresses = descent.addresses(walk, &name, above).await;
            Came::Addresses { name, addresses }
        };
        Some(Begun { work: work.boxed(), may_overlap: false })
    }

    /// What a server said, if that can be used; otherwise notes why not.
    fn take(&mut self, came: Came) -> Option<Arc<Heard>> {
        match came {
            Came::Outcome { outcome: Ok(heard), .. } => return Some(heard),
            Came::Outcome { name, ip, asked, outcome: Err(Useless { why, silent }) } => {
                // What it refuses may be a part of the name only (RFC 9156 §2.3): the whole is asked, of the others first.
                if asked.first != asked.full && !silent {
                    self.slist.again(name.clone(), ip);
                }
                self.asked.first = self.asked.full.clone();
                let zone = self.zone.name.clone();
                self.walk.failed(Failure { zone, name, server: Some(ip), why: why.to_string() }, silent);
            }
            Came::Addresses { name, addresses } => {
                let had_none =
                    |server: &&crate::delegations::Server| server.name == name && server.addresses.is_empty();
                if addresses.is_empty() && self.zone.servers.iter().any(|server| had_none(&server)) {
                    let (zone, why) = (self.zone.name.clone(), "its address was not found".to_owned());
                    self.walk.failed(Failure { zone, name: name.clone(), server: None, why }, false);
                }
                self.slist.found(&name, &addresses);
            }
        }
        None
    }
}

/// Goes on below a name of which this was found, or asks for the whole name where that says nothing of names below.
fn settle(minimise: &mut Minimise, name: &Name, link: &Link) {
    // "No such name" would hold for all names below (RFC 8020), and there are servers that say it of names that only
    // have others below them (RFC 9156 §2.3).
    if link.is_no_such_name() || link.is_by_dname() {
        minimise.give_up();
    } else {
        minimise.reached(name);
    }
}

/// Takes out of a zone the addresses that were asked already; false if none is left to ask.
fn leave_out(zone: &mut Zone, asked: &Zone) -> bool {
    let known: Vec<IpAddr> = asked.servers.iter().flat_map(|server| server.addresses.iter().copied()).collect();
    for server in &mut zone.servers {
        server.addresses.retain(|ip| !known.contains(ip));
    }
    zone.servers.iter().any(|server| !server.addresses.is_empty())
}

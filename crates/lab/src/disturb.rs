//! What is done to a lab that runs, and what is asked of it: faults, time, caches, records, history.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use journey::report::Reported;
use service::{NotReloaded, Signals};
use world::{
    Protocol,
    fault::{Fault, Faults, Listed, Place},
    scenario::Records,
    zone,
};

use crate::{Lab, LabError, RELOAD_LIMIT, YOU, control::Control, ground::Ground};

/// Faults that end when this is dropped.
#[derive(Debug)]
#[must_use = "the faults end when this is dropped"]
pub struct FaultGuard {
    in_force: Vec<(Faults, u64)>,
}

impl FaultGuard {
    /// How often they have struck so far, at all hosts.
    pub fn struck(&self) -> u64 {
        let of = |(faults, id): &(Faults, u64)| faults.list().into_iter().find(|one| one.id == *id);
        self.in_force.iter().filter_map(of).map(|one| one.struck).sum()
    }

    /// Lets them stay as long as the lab.
    pub fn keep(mut self) {
        self.in_force.clear();
    }
}

impl Drop for FaultGuard {
    fn drop(&mut self) {
        for (faults, id) in &self.in_force {
            faults.remove(*id);
        }
    }
}

/// A fault in force, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InForce {
    /// The host, or `wire`.
    pub host: String,
    /// The fault.
    pub fault: Listed,
}

/// The faults of the lab's network.
pub(crate) fn network<'a>(ground: &'a Ground, fault: &Fault) -> Result<&'a Faults, LabError> {
    let net = ground.net().ok_or_else(|| LabError::NoNetwork { fault: fault.to_string() })?;
    if let Some(at) = &fault.only.at
        && net.host(at).is_none()
    {
        let known = net.hosts().map(|(name, _)| name).collect::<Vec<_>>().join(", ");
        return Err(LabError::NoSuchHost { host: at.clone(), known });
    }
    Ok(net.faults())
}

impl Lab {
    /// Puts a fault into force, written as `visit --fault` takes it, until the guard is dropped. A place that means several
    /// hosts is all of them; one that does not run has none.
    pub fn fault(&self, fault: &str) -> Result<FaultGuard, LabError> {
        self.disturb(&fault.parse()?)
    }

    /// The same with a fault that has been read.
    pub fn disturb(&self, fault: &Fault) -> Result<FaultGuard, LabError> {
        fault.check(&self.world)?;
        let at = match &fault.place {
            Place::Wire => vec![network(&self.ground, fault)?],
            Place::Host(place) => {
                let meant = self.hosts.iter().filter(|(name, _)| fault.place.is(name));
                let at: Vec<&Faults> = meant.map(|(_, host)| &host.signals().faults).collect();
                if at.is_empty() {
                    return Err(self.no_such_host(place));
                }
                at
            }
        };
        let add = |faults: &Faults| (faults.clone(), faults.add(fault.clone(), None));
        Ok(FaultGuard { in_force: at.into_iter().map(add).collect() })
    }

    /// All faults in force.
    pub fn faults(&self) -> Vec<InForce> {
        let at_hosts = self.hosts.iter().map(|(name, host)| (name.as_str(), &host.signals().faults));
        let in_network = self.net().map(|net| ("wire", net.faults()));
        let listed = |(host, faults): (&str, &Faults)| {
            let host = host.to_owned();
            faults.list().into_iter().map(move |fault| InForce { host: host.clone(), fault })
        };
        at_hosts.chain(in_network).flat_map(listed).collect()
    }

    /// Ends all faults.
    pub fn clear_faults(&self) {
        self.hosts.values().for_each(|host| host.signals().faults.clear());
        if let Some(net) = self.net() {
            net.faults().clear();
        }
    }

    /// Puts the clocks of all hosts forward: what they remember is so much older, without anybody having waited.
    pub fn advance(&self, by: Duration) {
        for host in self.hosts.values() {
            host.signals().clock.advance(by);
        }
    }

    /// Empties the caches of the resolvers; returns when they are empty.
    pub fn flush(&self) -> Result<(), LabError> {
        self.reload(|host| host.resolver.is_some())
    }

    /// Records that replace those of the same owner and type in zones of this world, with a higher serial number; returns when
    /// their servers have read them. What resolvers remember stays. Nothing is written to files.
    ///
    /// ```
    /// let lab = lab::Lab::builder().data_dir(None).start()?;
    /// lab.set_records("example.local.", &["www 300 IN A 10.78.2.82"])?;
    /// # Ok::<_, lab::LabError>(())
    /// ```
    pub fn set_records(&self, zone: &str, records: &[impl AsRef<str>]) -> Result<(), LabError> {
        let records = records.iter().map(|record| record.as_ref().to_owned()).collect();
        self.replace(&Records::from([(zone.to_owned(), records)]))
    }

    /// The same for several zones: all, or where one of them cannot be, none.
    pub fn replace(&self, records: &Records) -> Result<(), LabError> {
        let (mut before, mut after) = (BTreeMap::new(), BTreeMap::new());
        for (zone, records) in records {
            let servers = self.world.hosts.values().filter_map(|host| host.nameserver.as_ref());
            let mut files: Vec<&String> = servers.clone().filter_map(|server| server.zones.get(zone)).collect();
            files.sort();
            files.dedup();
            if files.is_empty() {
                let mut known: Vec<&str> = servers.flat_map(|server| server.zones.keys()).map(String::as_str).collect();
                known.sort_unstable();
                known.dedup();
                let why = format!("nobody serves it; zones: {}", known.join(" "));
                return Err(LabError::Records { zone: zone.clone(), why });
            }
            for file in files {
                let text = match after.remove(file) {
                    Some(text) => text,
                    None => {
                        let text = world::Files::Changed(self.files.clone()).read(file)?;
                        before.insert(file, text.clone());
                        text
                    }
                };
                let text =
                    zone::replace(&text, records).map_err(|why| LabError::Records { zone: zone.clone(), why })?;
                after.insert(file, text);
            }
        }
        after.into_iter().for_each(|(file, text)| self.files.set(file, text));
        let is_meant = |host: &world::Host| {
            host.nameserver.as_ref().is_some_and(|server| records.keys().any(|zone| server.zones.contains_key(zone)))
        };
        let reloaded = self.reload(is_meant);
        if reloaded.is_err() {
            before.into_iter().for_each(|(file, text)| self.files.set(file, text));
            // Some may have taken what others have not; the first error is the one to tell.
            let _ = self.reload(is_meant);
        }
        reloaded
    }

    fn reload(&self, is_meant: impl Fn(&world::Host) -> bool) -> Result<(), LabError> {
        for (name, host) in self.hosts.iter().filter(|(name, _)| is_meant(&self.world.hosts[*name])) {
            host.signals().reload.and_block(RELOAD_LIMIT).map_err(|error| match error {
                NotReloaded::Late => LabError::Reload { host: name.clone() },
                NotReloaded::Failed(why) => LabError::NotReloaded { host: name.clone(), why },
            })?;
        }
        Ok(())
    }

    /// The real socket of a host's service, for a client of one's own: the first of that name, over TCP where it is there.
    pub fn socket(&self, host: &str, service: &str) -> Result<SocketAddr, LabError> {
        let at = self.book.host(host).ok_or_else(|| self.no_such_host(host))?;
        let found = [Protocol::Tcp, Protocol::Udp].iter().find_map(|protocol| at.service(service, *protocol));
        found.map(|found| found.socket).ok_or_else(|| {
            let mut known: Vec<&str> = at.services.iter().map(|service| service.name.as_str()).collect();
            known.dedup();
            LabError::NoSuchService { host: host.to_owned(), service: service.to_owned(), known: known.join(", ") }
        })
    }

    /// The real socket of the resolver, over UDP.
    pub fn resolver(&self) -> Option<SocketAddr> {
        self.book.resolver().map(|(_, service)| service.socket)
    }

    /// The certificate of the authority that the services have theirs from, in PEM: whom a client has to trust.
    pub fn ca_pem(&self) -> &str {
        self.authority.certificate_pem()
    }

    /// What a host has recorded and still has, oldest first: the last few thousand events of visits, and with
    /// [`history`](crate::Builder::history) those of all clients.
    pub fn history(&self, host: &str) -> Result<Vec<Reported>, LabError> {
        let host = self.hosts.get(host).ok_or_else(|| self.no_such_host(host))?;
        Ok(host.signals().history.events())
    }

    /// Opens the port by which other processes put faults of its network into force: on the loopback interface of [`YOU`]. There
    /// is none where it has no such network.
    pub fn open_control(&mut self) -> Result<Option<SocketAddr>, LabError> {
        if let (None, Some(net)) = (&self.control, self.ground.net())
            && let Some(you) = net.host(YOU)
        {
            let control = Control::start(net.faults(), self.book.token.clone(), you).map_err(LabError::Control)?;
            self.book.control = Some(control.address());
            self.control = Some(control);
        }
        Ok(self.book.control)
    }

    /// What a host can be told, and what it tells.
    pub fn signals(&self, host: &str) -> Option<&Signals> {
        self.hosts.get(host).map(crate::host::Running::signals)
    }

    pub(crate) fn no_such_host(&self, host: &str) -> LabError {
        LabError::NoSuchHost { host: host.to_owned(), known: self.running().collect::<Vec<_>>().join(", ") }
    }
}

//! What the lab inside this program runs on: a network of its own where that is possible, else sockets on loopback.

use std::{io, os::fd::AsRawFd, sync::Arc};

use anyhow::{Context, anyhow, ensure};
use journey::{LabNetwork, capture::Captured};
use lab::{Lab, Options, ROUTER, Way, YOU};
use netlab::{
    net::Net,
    sys::namespace::{self, Allowed, Namespace, Refusal},
};
use nix::unistd::getuid;
use world::{
    Inside,
    fault::{Fault, FaultError, Place},
};

use crate::capacity::{self, Size};

/// The variable that says how the lab runs where the command line does not.
pub const VARIABLE: &str = "VISIT_LAB";

/// How the lab inside this program is to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabWay {
    /// With a network of its own where that is possible, else on loopback.
    Auto,
    /// With a network of its own.
    Wire,
    /// On loopback.
    Loopback,
}

/// How the lab is to run, and what became of that.
#[derive(Clone, Debug)]
pub struct LabBackend {
    way: LabWay,
    // Whether it is that way by itself, and another would do.
    is_auto: bool,
    allowed: Option<Allowed>,
    refusal: Option<Refused>,
}

/// Why the lab has no network of its own.
#[derive(Clone, Debug)]
struct Refused {
    why: String,
    how: String,
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self { why: refusal.to_string(), how: refusal.ways_out() }
    }
}

impl Default for LabBackend {
    /// Loopback, which asks for nothing.
    fn default() -> Self {
        Self { way: LabWay::Loopback, is_auto: false, allowed: None, refusal: None }
    }
}

impl LabBackend {
    /// As it was said: on the command line, or in the environment.
    pub fn chosen(said: Option<LabWay>, variable: Option<&str>) -> anyhow::Result<LabWay> {
        match (said, variable) {
            (Some(way @ (LabWay::Wire | LabWay::Loopback)), _) => Ok(way),
            (_, None | Some("" | "auto")) => Ok(LabWay::Auto),
            (_, Some("wire")) => Ok(LabWay::Wire),
            (_, Some("loopback")) => Ok(LabWay::Loopback),
            (_, Some(other)) => Err(anyhow!("{VARIABLE}={other} is no way to run the lab: auto, wire, loopback")),
        }
    }

    /// Makes this process one that may give the lab a network of its own, where it is to have one. Has to be called while
    /// there is one thread.
    pub fn prepare(way: LabWay) -> anyhow::Result<Self> {
        if way == LabWay::Loopback {
            return Ok(Self::default());
        }
        match (namespace::prepare(), way) {
            (Ok(allowed), _) => {
                let is_auto = way == LabWay::Auto;
                Ok(Self { way: LabWay::Wire, is_auto, allowed: Some(allowed), refusal: None })
            }
            (Err(refusal), LabWay::Wire) => {
                Err(anyhow!("the lab cannot have a network of its own here: {refusal}; {}", refusal.ways_out()))
            }
            (Err(refusal), _) => Ok(Self { refusal: Some(refusal.into()), ..Self::default() }),
        }
    }

    /// Enters the lab that runs elsewhere, where it has a network of its own; gives the place that visits are made from.
    /// Has to be called while there is one thread.
    pub fn enter(inside: &Inside, file: &str) -> anyhow::Result<Arc<Namespace>> {
        let cannot = |source: io::Error| {
            anyhow!(
                "cannot enter the network of the lab that {file} describes: it has ended, or is another user's ({source})"
            )
        };
        if let Some(user) = &inside.user {
            namespace::join(user).map_err(cannot)?;
        }
        let you = inside.hosts.get(YOU).with_context(|| format!("{file} names no namespace of {YOU:?}"))?;
        Ok(Arc::new(Namespace::open(you).map_err(cannot)?))
    }

    /// Starts the lab, of whose clients so many visit at once. Where it may have namespaces, and the kernel then refuses what
    /// else a network takes, it is on loopback, unless that was ruled out.
    pub fn start(&mut self, options: Options, clients: usize, at_once: usize, faults: &[Fault]) -> anyhow::Result<Lab> {
        faults.iter().try_for_each(|fault| fault.check(&options.world).map_err(explained))?;
        let (in_network, at_hosts): (Vec<_>, Vec<_>) = faults.iter().partition(|fault| fault.place == Place::Wire);
        let options = Options { faults: at_hosts.into_iter().cloned().collect(), ..options };
        let lab = match self.try_start(options.clone(), clients, at_once) {
            Err(error) if self.is_auto => {
                let root = if getuid().is_root() { "" } else { " run it as root," };
                let how = format!("`--lab=wire` to insist,{root} or `docker compose up` and visit from there");
                let refusal = Some(Refused { why: error.to_string(), how });
                *self = Self { refusal, ..Self::default() };
                self.try_start(options, 0, 1)?
            }
            started => started?,
        };
        self.disturb(&lab, &in_network)?;
        Ok(lab)
    }

    fn try_start(&self, options: Options, clients: usize, at_once: usize) -> anyhow::Result<Lab> {
        let (way, clients) = match self.way {
            LabWay::Wire => (Way::Wire { clients }, clients),
            LabWay::Auto | LabWay::Loopback => (Way::Loopback, 0),
        };
        capacity::make(Size::of(&options.world, &options.without, clients, at_once))?;
        Lab::start(Options { way, ..options }).map_err(capacity::explained)
    }

    /// Why a fault of the network cannot be had here, where it cannot.
    pub fn no_network(&self) -> Option<String> {
        let why = self.refusal.as_ref().map_or("it is on loopback here", |refused| &refused.why);
        (self.way == LabWay::Loopback).then(|| why.to_owned())
    }

    fn disturb(&self, lab: &Lab, faults: &[&Fault]) -> anyhow::Result<()> {
        if faults.is_empty() {
            return Ok(());
        }
        let net = lab.net().ok_or_else(|| {
            let why = self.refusal.as_ref().map_or("it is on loopback here", |refused| &refused.why);
            anyhow!("{} disturbs the lab's own network, and the lab has none: {why}", faults[0])
        })?;
        for fault in faults {
            if let Some(at) = &fault.only.at {
                ensure!(net.host(at).is_some(), "--fault {fault}: there is no host {at:?} in the lab; {}", hosts(lab));
            }
        }
        net.set_faults(faults.iter().map(|fault| (*fault).clone()));
        Ok(())
    }

    /// The files of this process by which others find this lab's namespaces.
    pub fn inside(&self, lab: &Lab) -> Option<Inside> {
        let pid = std::process::id();
        let file = |namespace: &Namespace| format!("/proc/{pid}/fd/{}", namespace.as_raw_fd()).into();
        let user = (self.allowed == Some(Allowed::UserNamespace)).then(|| format!("/proc/{pid}/ns/user").into());
        let hosts = lab.net()?.hosts().map(|(name, namespace)| (name.to_owned(), file(namespace))).collect();
        Some(Inside { user, hosts })
    }

    /// How the hosts of this lab are joined, as a journey tells it.
    pub fn network(&self, lab: &Lab) -> LabNetwork {
        match lab.net() {
            None => LabNetwork::Loopback { why: self.refusal.as_ref().map(|refused| refused.why.clone()) },
            Some(net) => LabNetwork::Wire {
                segments: net.links().iter().map(|link| link.name.clone()).collect(),
                faults: Vec::new(),
            },
        }
    }

    /// Why no frames are seen of a lab that has no network of its own.
    pub fn no_frames(&self) -> Captured {
        let why = "the lab is on loopback, where sockets stand in for its addresses: there is no link to capture on";
        match &self.refusal {
            None => Captured::NotObservable { why: why.to_owned(), how: Some("--lab=wire".to_owned()) },
            Some(Refused { why: refused, how }) => Captured::NotObservable {
                why: format!("{why}. It has no network of its own, since this was refused: {refused}"),
                how: Some(how.clone()),
            },
        }
    }
}

/// A fault that this world cannot have, as the command line is told of it.
pub fn explained(error: FaultError) -> anyhow::Error {
    anyhow!("{error}")
}

/// The names of its hosts; many clients are not listed.
fn hosts(lab: &Lab) -> String {
    let names = lab.net().into_iter().flat_map(Net::hosts).map(|(name, _)| name);
    let serves = |name: &&str| *name == ROUTER || *name == YOU || lab.book().host(name).is_some();
    let (known, clients): (Vec<&str>, Vec<&str>) = names.partition(serves);
    match clients.len() {
        0 => format!("hosts: {}", known.join(", ")),
        more => format!("hosts: {}, client2 to client{}", known.join(", "), more + 1),
    }
}

/// Where visits to this lab are made from; `None` is where this program is.
pub fn seat(lab: &Lab) -> Option<Arc<Namespace>> {
    lab.net()?.host(YOU).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chosen() {
        let check = |said: Option<LabWay>, variable: Option<&str>, expected: Option<LabWay>| {
            assert_eq!(LabBackend::chosen(said, variable).ok(), expected, "{said:?} {variable:?}");
        };
        check(None, None, Some(LabWay::Auto));
        check(Some(LabWay::Wire), Some("loopback"), Some(LabWay::Wire));
        check(Some(LabWay::Auto), Some("loopback"), Some(LabWay::Loopback));
        check(None, Some("wire"), Some(LabWay::Wire));
        check(None, Some(""), Some(LabWay::Auto));
        check(None, Some("wires"), None);
    }
}

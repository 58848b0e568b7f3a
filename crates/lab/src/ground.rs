//! What the hosts stand on: where their sockets are.

use std::{fs, sync::Arc};

use netlab::{net::Net, sys::namespace::Namespace};
use world::{Closed, Host, Network, World};

use crate::{
    LabError, Way,
    plan::{self, YOU},
    sockets::{HostSockets, Reserved},
};

#[derive(Debug)]
pub(crate) enum Ground {
    /// The sockets are held so that the kernel refuses connections to these ports, and gives them to nobody else.
    Loopback(Reserved),
    /// Namespaces.
    Wire(Net),
}

impl Ground {
    pub(crate) fn new(world: &World, way: Way) -> Result<Self, LabError> {
        match way {
            Way::Loopback => Ok(Self::Loopback(Reserved::new()?)),
            Way::Wire { clients } => Ok(Self::Wire(Net::build(&plan::plan(world, clients)?)?)),
        }
    }

    /// The sockets of a host.
    pub(crate) fn bind(&self, name: &str, host: &Host, network: &Network) -> Result<HostSockets, LabError> {
        match self {
            Self::Loopback(_) => Ok(HostSockets::on_loopback(host, network)?),
            Self::Wire(net) => {
                let at = |name: &str| net.host(name).expect("the plan has every host of the world, and you");
                let mut sockets = HostSockets::default();
                let inside = at(name).run(|| sockets.at_addresses(host, network));
                inside.map_err(|source| LabError::Namespace { host: name.to_owned(), source })??;
                // What a host reports of itself does not cross the network that it reports about: the admin port is on
                // the loopback interface of whoever asks.
                let beside = at(YOU).run(|| sockets.admin_beside(host, network));
                beside.map_err(|source| LabError::Namespace { host: YOU.to_owned(), source })??;
                Ok(sockets)
            }
        }
    }

    /// Lets a server of another vendor listen on the ports of this host, whoever starts it there: a program that is
    /// started in a namespace has none of the rights that the lab has there, unless root starts it.
    pub(crate) fn make_room_for_another(&self, name: &str) -> Result<(), LabError> {
        let Some(namespace) = self.inside(name) else { return Ok(()) };
        // Refused where /proc/sys is read-only; then root has to start it.
        let all_ports = || fs::write("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0").unwrap_or_default();
        namespace.run(all_ports).map_err(|source| LabError::Namespace { host: name.to_owned(), source })
    }

    /// What stands in for ports on which nothing listens.
    pub(crate) fn closed(&self) -> Option<Closed> {
        match self {
            Self::Loopback(reserved) => Some(reserved.closed()),
            Self::Wire(_) => None,
        }
    }

    /// The namespace of a host.
    pub(crate) fn inside(&self, name: &str) -> Option<Arc<Namespace>> {
        self.net()?.host(name).cloned()
    }

    /// The network ends, and whoever waits for it waits less.
    pub(crate) fn tell_to_stop(&mut self) {
        if let Self::Wire(net) = self {
            net.tell_to_stop();
        }
    }

    pub(crate) fn net(&self) -> Option<&Net> {
        match self {
            Self::Loopback(_) => None,
            Self::Wire(net) => Some(net),
        }
    }
}

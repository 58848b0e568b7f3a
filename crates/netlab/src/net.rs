//! Hosts as namespaces, joined by switches and a router.
//!
//! Every host has a network namespace of its own and in it an Ethernet interface for each segment that it is on: one end
//! of a veth pair, whose other end is a port of the segment's switch. The switches are one thread of this program, in a
//! namespace with nothing but the ports. It sees every frame once, in order, and so it can record each, and lose, delay
//! or double those that a fault is meant for. No way leads out.
//!
//! ```no_run
//! use netlab::{net::{Host, Interface, Net, Plan}, sys::namespace};
//!
//! // Before this process has a second thread.
//! namespace::prepare()?;
//! let host = |name: &str, ip: &str| Host {
//!     name: name.to_owned(),
//!     interfaces: vec![Interface { segment: 0, addresses: vec![ip.parse().unwrap()] }],
//!     gateways: Vec::new(),
//!     forwards: false,
//! };
//! let plan = Plan { segments: vec!["lan".to_owned()], hosts: vec![host("a", "10.0.0.1/24"), host("b", "10.0.0.2/24")] };
//! let net = Net::build(&plan)?;
//! let bound = net.run("a", || std::net::UdpSocket::bind("10.0.0.1:7"))?;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```

mod fabric;
mod host;
mod plan;
mod record;

use std::{collections::BTreeMap, io, sync::Arc, thread};

use journey::capture::Link;
use world::fault::{Fault, Faults};

pub use plan::{Host, Interface, Plan, PlanError};
pub use record::{Limits, Recording};

use crate::sys::namespace::Namespace;
use fabric::Fabric;

/// A network that runs. It ends with this.
#[derive(Debug)]
pub struct Net {
    hosts: BTreeMap<String, Arc<Namespace>>,
    links: Vec<Link>,
    fabric: Fabric,
}

/// Why there is no network.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// The plan is no network.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The kernel refused something.
    #[error("host {host}: {step}: {source}")]
    Kernel {
        /// The host that it was for.
        host: String,
        /// What was asked of the kernel.
        step: &'static str,
        /// What it said.
        source: io::Error,
    },
}

impl NetError {
    fn at(host: &str, step: &'static str) -> impl FnOnce(io::Error) -> Self {
        let host = host.to_owned();
        move |source| Self::Kernel { host, step, source }
    }
}

/// The name of the switches in errors.
const SWITCH: &str = "switch";

impl Net {
    /// Makes the namespaces and their interfaces and starts the switches. The calling thread must be allowed to (see
    /// [`crate::sys::namespace`]); its own network stays what it is.
    pub fn build(plan: &Plan) -> Result<Self, NetError> {
        let wired = plan.wired()?;
        let ports = host::ports().map_err(NetError::at(SWITCH, "a network namespace"))?;
        let fabric = Fabric::start(&ports.namespace, &wired).map_err(NetError::at(SWITCH, "a packet socket"))?;
        let hosts = thread::scope(|scope| {
            let build = |wired| {
                let ports = &ports;
                let name = |host: &plan::WiredHost| format!("making {}", host.name);
                let made = thread::Builder::new()
                    .name(name(wired))
                    .stack_size(host::STACK)
                    .spawn_scoped(scope, move || host::build(wired, ports));
                (wired.name.as_str(), made)
            };
            let building: Vec<_> = wired.hosts.iter().map(build).collect();
            let finish = |(name, made): (&str, io::Result<thread::ScopedJoinHandle<'_, _>>)| {
                let made = made.map_err(NetError::at(name, "a thread"))?;
                let namespace = made.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
                Ok((name.to_owned(), Arc::new(namespace)))
            };
            building.into_iter().map(finish).collect::<Result<BTreeMap<_, _>, NetError>>()
        })?;
        Ok(Self { hosts, links: wired.links(), fabric })
    }

    /// The namespace of that host.
    pub fn host(&self, name: &str) -> Option<&Arc<Namespace>> {
        self.hosts.get(name)
    }

    /// Its hosts.
    pub fn hosts(&self) -> impl Iterator<Item = (&str, &Namespace)> {
        self.hosts.iter().map(|(name, namespace)| (name.as_str(), &**namespace))
    }

    /// Does something at a host, on a thread of its own there: sockets that are made there are the host's.
    pub fn run<T: Send>(&self, host: &str, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        let namespace = self.host(host).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        namespace.run(work)?
    }

    /// Its segments, and what is on them; without what their switches have learned.
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    /// The faults of the network.
    pub fn faults(&self) -> &Faults {
        &self.fabric.shared().faults
    }

    /// Sets the faults of the network; those before end.
    pub fn set_faults(&self, faults: impl IntoIterator<Item = Fault>) {
        self.faults().clear();
        for fault in faults {
            self.faults().add(fault, None);
        }
    }

    /// How many frames its switches have taken in so far, and how many bytes these had.
    pub fn taken_in(&self) -> (u64, u64) {
        let state = self.fabric.shared().lock();
        (state.frames, state.bytes)
    }

    /// Ends it, without waiting: nothing is sent on from now on. The kernel closes the switches' socket only when all CPUs
    /// have passed by (an RCU grace period), which takes some milliseconds that others can use.
    pub fn tell_to_stop(&mut self) {
        self.fabric.tell_to_stop();
    }

    /// Records every frame from now on. One at a time: a second one would take the frames of the first.
    pub fn record(&self, limits: Limits) -> Recording<'_> {
        Recording::begin(self, limits)
    }
}

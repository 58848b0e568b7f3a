//! Faults of a lab that runs elsewhere, over the admin ports of its hosts.

pub mod command;

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, anyhow};
use service::admin::remote::Remote;
use tokio::task::JoinHandle;
use world::{
    AddressBook, BookHost, Protocol,
    fault::{Fault, Place},
};

use crate::ground::explained;

/// A fault that is set for a visit ends by itself so long after this program has last been heard of.
const LEASE: Duration = Duration::from_secs(30);
/// It is heard of so often.
const RENEWAL: Duration = Duration::from_secs(8);

/// The name under which the network's faults are listed.
pub const WIRE: &str = "wire";

/// Where faults are put in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The host, or [`WIRE`].
    pub host: String,
    /// Its admin port.
    pub admin: SocketAddr,
}

/// Whether that lab can have these faults, as far as its address book tells.
pub fn check(book: &AddressBook, faults: &[Fault]) -> anyhow::Result<()> {
    faults.iter().try_for_each(|fault| targets(book, fault).map(drop))
}

/// Where this fault is put in force.
pub fn targets(book: &AddressBook, fault: &Fault) -> anyhow::Result<Vec<Target>> {
    fault.check_in(book).map_err(explained)?;
    let Place::Host(place) = &fault.place else { return Ok(vec![network(book, fault)?]) };
    let meant = book.hosts.iter().filter(|host| fault.place.is(&host.name));
    let found: Vec<Target> = meant.filter_map(target).collect();
    if found.is_empty() {
        let running = all_targets(book).into_iter().map(|target| target.host).collect::<Vec<_>>().join(", ");
        return Err(anyhow!("{place} does not run in this lab, and can have no fault; what runs: {running}"));
    }
    Ok(found)
}

/// Everything that has faults in this lab.
pub fn all_targets(book: &AddressBook) -> Vec<Target> {
    let network = book.control.map(|admin| Target { host: WIRE.to_owned(), admin });
    book.hosts.iter().filter_map(target).chain(network).collect()
}

fn target(host: &BookHost) -> Option<Target> {
    let admin = host.service("admin", Protocol::Tcp)?;
    Some(Target { host: host.name.clone(), admin: admin.socket })
}

fn network(book: &AddressBook, fault: &Fault) -> anyhow::Result<Target> {
    let admin = book.control.ok_or_else(|| match &book.closed {
        Some(_) => anyhow!(
            "{fault} disturbs the lab's own network, and the lab has none: it is on loopback; serve it with `visit lab \
             serve --wire`"
        ),
        None => anyhow!(
            "{fault} disturbs a network of the lab's own, and this lab stands on one that is not: serve it with `visit \
             lab serve --wire`"
        ),
    })?;
    Ok(Target { host: WIRE.to_owned(), admin })
}

/// A fault that was put in force.
#[derive(Clone, Debug)]
pub struct Set {
    /// Where.
    pub host: String,
    /// By which it is ended there.
    pub id: u64,
    remote: Remote,
}

/// Puts a fault in force wherever it is meant to be; where that fails half-way, what was done is undone.
pub async fn set(book: &AddressBook, fault: &Fault, lease: Option<Duration>) -> anyhow::Result<Vec<Set>> {
    let (mut done, text) = (Vec::new(), fault.to_string());
    for Target { host, admin } in targets(book, fault)? {
        let set = async {
            let remote = Remote::new(admin)?;
            let id = remote.add(&text, lease).await?;
            Ok::<_, service::admin::remote::RemoteError>(Set { host: host.clone(), id, remote })
        };
        match set.await {
            Ok(set) => done.push(set),
            Err(error) => {
                // What cannot be undone ends by its lease; the first error is the one to tell.
                let _ = end(&done).await;
                return Err(anyhow!("{text} cannot be put in force at {host}: {error}"));
            }
        }
    }
    Ok(done)
}

async fn end(sets: &[Set]) -> anyhow::Result<()> {
    let mut ended = Ok(());
    for Set { host, id, remote } in sets {
        // One that is not there any more has ended by itself, or with its host.
        if let Err(error) = remote.remove(*id).await {
            ended = Err(anyhow!("a fault at {host} could not be ended: {error}"));
        }
    }
    ended
}

/// Faults in force for as long as this program lives, and a little longer where it cannot say that it ends.
#[derive(Debug)]
pub struct InForce {
    sets: Vec<Set>,
    renewing: JoinHandle<()>,
}

impl InForce {
    /// Puts them in force.
    pub async fn begin(book: &AddressBook, faults: &[Fault]) -> anyhow::Result<Self> {
        let mut sets = Vec::new();
        for fault in faults {
            match set(book, fault, Some(LEASE)).await {
                Ok(more) => sets.extend(more),
                Err(error) => {
                    let _ = end(&sets).await;
                    return Err(error);
                }
            }
        }
        let theirs = sets.clone();
        let renewing = tokio::spawn(async move {
            loop {
                tokio::time::sleep(RENEWAL).await;
                for Set { id, remote, .. } in &theirs {
                    // A host that does not answer now may do so the next time.
                    let _ = remote.renew(*id, LEASE).await;
                }
            }
        });
        Ok(Self { sets, renewing })
    }

    /// Ends them.
    pub async fn end(self) -> anyhow::Result<()> {
        self.renewing.abort();
        let by_itself = || format!("it ends by itself within {} s", LEASE.as_secs());
        end(&self.sets).await.with_context(by_itself)
    }
}

#[cfg(test)]
mod tests {
    use world::{Closed, World};

    use super::*;

    #[test]
    fn where_faults_are_put() {
        let loopback = AddressBook {
            closed: Some(Closed { tcp_v4: ([127, 0, 0, 1], 1).into(), tcp_v6: None }),
            ..AddressBook::direct(&World::built_in())
        };
        let mut compose = AddressBook::direct(&World::built_in());
        let check = |book: &AddressBook, fault: &str, expected: &str| {
            let seen = match targets(book, &fault.parse().unwrap()) {
                Ok(targets) => targets
                    .iter()
                    .map(|target| format!("{} {}", target.host, target.admin))
                    .collect::<Vec<_>>()
                    .join(" "),
                Err(error) => error.to_string(),
            };
            assert!(seen.contains(expected), "{fault}: {seen}");
        };
        check(&compose, "auth:servfail", "auth1 10.78.2.31:9080 auth2 10.78.2.32:9080");
        check(&compose, "auth3:servfail", "there is no host \"auth3\"; places: app1");
        check(&loopback, "wire:loss", "the lab has none: it is on loopback");
        check(&compose, "wire:loss", "serve it with `visit lab serve --wire`");
        compose.control = Some(([127, 0, 0, 1], 9).into());
        check(&compose, "wire:loss", "wire 127.0.0.1:9");
        compose.hosts.iter_mut().filter(|host| host.name == "auth1").for_each(|host| host.services.clear());
        check(&compose, "auth:servfail", "auth2 10.78.2.32:9080");
        check(
            &compose,
            "auth1:servfail",
            "auth1 does not run in this lab, and can have no fault; what runs: app1, app2, auth2",
        );
    }
}

//! Faults of a lab that runs elsewhere, over the admin ports of its hosts.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, anyhow};
use futures_util::future::join_all;
use service::admin::remote::{Remote, RemoteError};
use tokio::task::JoinHandle;
use world::{
    AddressBook, BookHost, Protocol, Token,
    fault::{Fault, Place},
};

use crate::lab_backend::explained;

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
    /// What that asks for.
    pub token: Option<Token>,
}

impl Target {
    /// Its admin port, to be asked.
    pub fn remote(&self) -> Result<Remote, RemoteError> {
        Remote::new(self.admin, self.token.as_ref())
    }
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
    let found: Vec<Target> = meant.filter_map(|host| target(book, host)).collect();
    if found.is_empty() {
        let running = all_targets(book).into_iter().map(|target| target.host).collect::<Vec<_>>().join(", ");
        return Err(anyhow!("{place} does not run in this lab, and can have no fault; what runs: {running}"));
    }
    Ok(found)
}

/// Everything that has faults in this lab.
pub fn all_targets(book: &AddressBook) -> Vec<Target> {
    let network = book.control.map(|admin| Target { host: WIRE.to_owned(), admin, token: book.token.clone() });
    book.hosts.iter().filter_map(|host| target(book, host)).chain(network).collect()
}

fn target(book: &AddressBook, host: &BookHost) -> Option<Target> {
    let admin = host.service("admin", Protocol::Tcp)?;
    Some(Target { host: host.name.clone(), admin: admin.socket, token: book.token.clone() })
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
    Ok(Target { host: WIRE.to_owned(), admin, token: book.token.clone() })
}

/// A fault that was put in force.
#[derive(Clone, Debug)]
pub struct Set {
    /// Where.
    pub host: String,
    /// By which it is ended there.
    pub id: u64,
    fault: Fault,
    remote: Remote,
}

/// Puts a fault in force wherever it is meant to be; where that fails half-way, what was done is undone.
pub async fn set(book: &AddressBook, fault: &Fault, lease: Option<Duration>) -> anyhow::Result<Vec<Set>> {
    let (mut done, text) = (Vec::new(), fault.to_string());
    for target in targets(book, fault)? {
        let host = target.host.clone();
        let set = async {
            let remote = target.remote()?;
            let id = remote.add(&text, lease).await?;
            Ok::<_, RemoteError>(Set { host: host.clone(), id, fault: fault.clone(), remote })
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
    for Set { host, id, remote, .. } in sets {
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
    /// Puts them in force; `tell` is told of one that has ended before its time.
    pub async fn begin(book: &AddressBook, faults: &[Fault], tell: fn(&str)) -> anyhow::Result<Self> {
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
        let mut theirs = sets.clone();
        let renewing = tokio::spawn(async move {
            loop {
                tokio::time::sleep(RENEWAL).await;
                let lost = renew(&mut theirs).await;
                lost.iter().for_each(|lost| tell(lost));
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

impl Drop for InForce {
    fn drop(&mut self) {
        // Nobody is there any more for whom they would be kept in force.
        self.renewing.abort();
    }
}

/// Lets all stay for another lease, all at once: one host that does not answer costs the others none of theirs. Those that
/// are not there any more are given up; what is to be said of them is returned.
async fn renew(sets: &mut Vec<Set>) -> Vec<String> {
    let answers = join_all(sets.iter().map(|set| set.remote.renew(set.id, LEASE))).await;
    let mut lost = Vec::new();
    let mut answers = answers.into_iter();
    sets.retain(|Set { host, fault, .. }| {
        // A host that does not answer now may do so the next time.
        let is_there = !matches!(answers.next(), Some(Ok(false)));
        // One that was to end by itself has done so.
        if !is_there && fault.when.lasting.is_none() {
            lost.push(format!(
                "{fault} is not in force at {host} any more, and what comes of visits from now on is without it: somebody has \
                 ended it, or the host was started anew"
            ));
        }
        is_there
    });
    lost
}

#[cfg(test)]
mod tests {
    use service::{
        Recorder, Signals, Stop,
        admin::{self, Admin},
    };
    use tokio::net::TcpListener;
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

    /// A lab in which one host alone has an admin port.
    async fn lab_of(host: &str) -> (AddressBook, Signals) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, signals) = (listener.local_addr().unwrap(), Signals::default());
        let recorder = Recorder::new(host, "nameserver", 1);
        let admin = Admin { recorder, registry: Default::default(), signals: signals.clone() };
        tokio::spawn(admin::serve(vec![listener], admin, Stop::new()));
        let mut book = AddressBook::direct(&World::built_in());
        for one in &mut book.hosts {
            one.services.retain(|service| service.name == "admin" && one.name == host);
            one.services.iter_mut().for_each(|service| service.socket = address);
        }
        (book, signals)
    }

    #[tokio::test]
    async fn one_that_is_lost_is_told_of_once() {
        let (book, signals) = lab_of("auth1").await;
        let mut sets = Vec::new();
        for fault in ["auth1:drop", "auth1:servfail", "auth1:refused,for=60s"] {
            sets.extend(set(&book, &fault.parse().unwrap(), Some(LEASE)).await.unwrap());
        }
        assert_eq!(renew(&mut sets).await, Vec::<String>::new());
        signals.faults.remove(sets[0].id);
        // As if its time were over.
        signals.faults.remove(sets[2].id);
        let lost = renew(&mut sets).await;
        assert_eq!(lost.len(), 1);
        assert!(lost[0].starts_with("auth1:drop is not in force at auth1 any more"), "{lost:?}");
        assert_eq!(renew(&mut sets).await, Vec::<String>::new());
        assert_eq!(sets.len(), 1);
    }

    #[tokio::test]
    async fn nobody_renews_for_one_that_is_gone() {
        let (book, _signals) = lab_of("auth1").await;
        let in_force = InForce::begin(&book, &["auth1:drop".parse().unwrap()], |_| ()).await.unwrap();
        let renewing = in_force.renewing.abort_handle();
        assert!(!renewing.is_finished());
        drop(in_force);
        while !renewing.is_finished() {
            tokio::task::yield_now().await;
        }
    }
}

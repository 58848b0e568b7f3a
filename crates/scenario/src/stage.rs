//! A lab in a scenario's state: one inside this program, or one that runs elsewhere.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, anyhow};
use lab::{FaultGuard, Lab, Options};
use netlab::sys::namespace::Namespace;
use service::admin::remote::Remote;
use session::{
    Ground, LabBackend, Lent,
    faults::{self, InForce},
};
use tokio::runtime::Runtime;
use world::{
    AddressBook, BookHost, World,
    fault::{self, Fault, Role},
    scenario::{Records, Scenario, Way},
};

/// Where scenarios are played.
#[derive(Clone, Debug)]
pub enum Place {
    /// Each in a lab of its own, inside this program.
    Embedded {
        /// What these stand on.
        backend: LabBackend,
    },
    /// In a lab that runs elsewhere, one after the other.
    Running {
        /// Its address book.
        book: Box<AddressBook>,
        /// The file that describes it.
        file: PathBuf,
        /// Where visits are made from, where it has a network of its own.
        inside: Option<Arc<Namespace>>,
    },
}

/// Why a scenario is not played.
#[derive(Debug)]
pub enum NotPlayed {
    /// It cannot be, here.
    Skipped(String),
    /// Something that it needs went wrong.
    Broken(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for NotPlayed {
    fn from(error: E) -> Self {
        Self::Broken(error.into())
    }
}

/// A lab in a scenario's state; it is back in its usual state when [`Stage::end`] is done.
#[derive(Debug)]
pub struct Stage<'a> {
    kind: Kind<'a>,
    runtime: &'a Runtime,
    tell: fn(&str),
}

#[derive(Debug)]
enum Kind<'a> {
    Embedded {
        lab: Arc<Lab>,
        backend: LabBackend,
        guards: Vec<FaultGuard>,
    },
    Running {
        book: &'a AddressBook,
        file: PathBuf,
        inside: Option<Arc<Namespace>>,
        scenario: Option<InForce>,
        visit: Option<InForce>,
    },
}

impl Place {
    /// The way in which scenarios are played here.
    pub fn way(&self) -> Way {
        match self {
            Self::Embedded { backend } if backend.no_network().is_none() => Way::Wire,
            Self::Embedded { .. } => Way::Loopback,
            Self::Running { .. } => Way::Running,
        }
    }

    /// The lab that runs elsewhere, where it is one.
    pub fn ground(&self) -> Option<Ground> {
        match self {
            Self::Embedded { .. } => None,
            Self::Running { book, file, .. } => Some(Ground::Running { book: book.clone(), file: file.clone() }),
        }
    }

    /// What plays at a host.
    pub fn role(&self, host: &str) -> Option<Role> {
        match self {
            Self::Embedded { .. } => fault::role_of(World::built_in().hosts.get(host)?),
            Self::Running { book, .. } => book.hosts.iter().find(|of| of.name == host)?.role(),
        }
    }

    /// Says beforehand what will change what comes of scenarios.
    pub fn announce(&self, runtime: &Runtime, tell: fn(&str)) {
        let Self::Running { book, inside, .. } = self else { return };
        let listed = within(inside.as_ref(), runtime, async {
            let mut all = Vec::new();
            for target in faults::all_targets(book) {
                // One that does not answer will be missed by the visits, and told of there.
                let said = async { target.remote()?.faults().await }.await.unwrap_or_default();
                all.extend(said.into_iter().map(|one| format!("{} at {}", one.fault, target.host)));
            }
            Ok(all)
        });
        if let Ok(all) = listed
            && !all.is_empty()
        {
            tell(&format!("in that lab faults are in force already, and scenarios will meet them: {}", all.join(", ")));
        }
    }

    /// A lab in the state that the scenario begins with.
    pub fn set<'a>(
        &'a self,
        scenario: &Scenario,
        runtime: &'a Runtime,
        tell: fn(&str),
    ) -> Result<Stage<'a>, NotPlayed> {
        let way = self.way();
        if !scenario.fits(way) {
            let ways = scenario.ways.iter().map(|way| way.name()).collect::<Vec<_>>().join(", ");
            return Err(NotPlayed::Skipped(format!("it is for {ways}, and this is {}", way.name())));
        }
        let kind = match self {
            Self::Embedded { backend } => embedded(backend.clone(), scenario)?,
            Self::Running { book, file, inside } => running(book, file, inside.as_ref(), scenario, runtime, tell)?,
        };
        Ok(Stage { kind, runtime, tell })
    }
}

fn parse<'a>(faults: impl Iterator<Item = &'a str>) -> anyhow::Result<Vec<Fault>> {
    faults.map(|fault| Ok(fault.parse::<Fault>()?)).collect()
}

fn embedded(mut backend: LabBackend, scenario: &Scenario) -> Result<Kind<'static>, NotPlayed> {
    let all = parse(scenario.visit.iter().flat_map(|visit| scenario.faults_of(visit)))?;
    let needs_network = all.iter().find(|fault| fault.place == fault::Place::Wire);
    if let (Some(fault), Some(why)) = (needs_network, backend.no_network()) {
        return Err(NotPlayed::Skipped(format!("{fault} needs a network of the lab's own: {why}")));
    }
    let options = Options { without: scenario.stopped.clone(), ..Options::default() };
    let faults = parse(scenario.faults.iter().map(String::as_str))?;
    let lab = backend.start(options, 1, 1, &faults).context("the lab does not start")?;
    lab.replace(&scenario.records)?;
    Ok(Kind::Embedded { lab: Arc::new(lab), backend, guards: Vec::new() })
}

fn running<'a>(
    book: &'a AddressBook,
    file: &std::path::Path,
    inside: Option<&Arc<Namespace>>,
    scenario: &Scenario,
    runtime: &Runtime,
    tell: fn(&str),
) -> Result<Kind<'a>, NotPlayed> {
    let cannot = |what: &str| {
        Err(NotPlayed::Skipped(format!("it {what}, which a lab that runs elsewhere does not do for a visit")))
    };
    if scenario.changes_records() {
        return cannot("changes zones");
    }
    for fault in parse(scenario.visit.iter().flat_map(|visit| scenario.faults_of(visit)))? {
        fault.check_in(book)?;
        if let Err(error) = faults::targets(book, &fault) {
            return Err(NotPlayed::Skipped(error.to_string()));
        }
    }
    let runs = within(inside, runtime, async {
        for name in &scenario.stopped {
            let target = faults::all_targets(book).into_iter().find(|target| target.host == *name);
            let Some(target) = target else { continue };
            if async { target.remote()?.faults().await }.await.is_ok() {
                return Ok(Some(name));
            }
        }
        Ok(None)
    })?;
    if let Some(name) = runs {
        return Err(NotPlayed::Skipped(format!("it is for a lab in which {name} is stopped, and {name} runs")));
    }
    let faults = parse(scenario.faults.iter().map(String::as_str))?;
    let in_force = within(inside, runtime, async {
        let is_asked = |host: &&BookHost| host.role() == Some(Role::Resolver) && !scenario.stopped.contains(&host.name);
        for host in book.hosts.iter().filter(is_asked) {
            let Some(admin) = host.service("admin", world::Protocol::Tcp) else { continue };
            let flush = async { Remote::new(admin.socket, book.token.as_ref())?.reload().await };
            flush.await.with_context(|| format!("the cache of {} cannot be emptied", host.name))?;
        }
        InForce::begin(book, &faults, tell).await
    })?;
    Ok(Kind::Running { book, file: file.to_owned(), inside: inside.cloned(), scenario: Some(in_force), visit: None })
}

/// Does something from where visits are made.
fn within<T: Send>(
    inside: Option<&Arc<Namespace>>,
    runtime: &Runtime,
    work: impl Future<Output = anyhow::Result<T>> + Send,
) -> anyhow::Result<T> {
    match inside {
        None => runtime.block_on(work),
        Some(namespace) => namespace.run(|| runtime.block_on(work))?,
    }
}

impl Stage<'_> {
    /// The lab, for a visitor.
    pub fn lend(&self) -> Lent {
        match &self.kind {
            Kind::Embedded { lab, backend, .. } => Lent::Embedded { lab: Arc::clone(lab), backend: backend.clone() },
            Kind::Running { book, file, inside, .. } => {
                let ground = Ground::Running { book: Box::new((*book).clone()), file: file.clone() };
                Lent::Running { ground, inside: inside.clone() }
            }
        }
    }

    /// All faults end.
    pub fn clear(&mut self) -> anyhow::Result<()> {
        match &mut self.kind {
            Kind::Embedded { lab, guards, .. } => {
                guards.clear();
                lab.clear_faults();
                Ok(())
            }
            Kind::Running { inside, scenario, visit, .. } => {
                let ending: Vec<InForce> = scenario.take().into_iter().chain(visit.take()).collect();
                within(inside.as_ref(), self.runtime, async {
                    let mut ended = Ok(());
                    for in_force in ending {
                        ended = in_force.end().await.and(ended);
                    }
                    ended
                })
            }
        }
    }

    /// Records are replaced by these.
    pub fn replace(&self, records: &Records) -> anyhow::Result<()> {
        match &self.kind {
            _ if records.is_empty() => Ok(()),
            Kind::Embedded { lab, .. } => Ok(lab.replace(records)?),
            Kind::Running { .. } => Err(anyhow!("records of a lab that runs elsewhere cannot be changed from here")),
        }
    }

    /// So much time passes.
    pub fn advance(&self, by: Duration) -> anyhow::Result<()> {
        match &self.kind {
            Kind::Embedded { lab, .. } => {
                lab.advance(by);
                Ok(())
            }
            Kind::Running { book, inside, .. } => within(inside.as_ref(), self.runtime, async {
                for target in faults::all_targets(book) {
                    let advance = async { target.remote()?.advance(by).await };
                    advance.await.with_context(|| format!("the clock of {} cannot be put forward", target.host))?;
                }
                Ok(())
            }),
        }
    }

    /// These faults are in force until the next visit's.
    pub fn disturb(&mut self, faults: &[Fault]) -> anyhow::Result<()> {
        match &mut self.kind {
            Kind::Embedded { lab, guards, .. } => {
                guards.clear();
                for fault in faults {
                    guards.push(lab.disturb(fault)?);
                }
                Ok(())
            }
            Kind::Running { book, inside, visit, .. } => {
                let before = visit.take();
                let begun = within(inside.as_ref(), self.runtime, async {
                    if let Some(before) = before {
                        before.end().await?;
                    }
                    InForce::begin(book, faults, self.tell).await
                })?;
                *visit = Some(begun);
                Ok(())
            }
        }
    }

    /// The lab is left as it was found.
    pub fn end(mut self) -> anyhow::Result<()> {
        match &self.kind {
            Kind::Embedded { .. } => Ok(()),
            Kind::Running { .. } => self.clear(),
        }
    }
}

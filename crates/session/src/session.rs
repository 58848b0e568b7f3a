//! What visits share: the lab, the faults in force in it, and what is trusted.

use std::{path::PathBuf, sync::Arc};

use anyhow::anyhow;
use journey::{Journey, Place};
use lab::Lab;
use netlab::sys::namespace::Namespace;
use probe::{
    payload::Payload,
    tls::{self, trust::Source},
    visitable::Visitable,
};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use world::{AddressBook, World};

use crate::{
    Ground, LabBackend, LabWay, Settings,
    faults::{self, InForce},
    lab_backend::{self, explained},
    visit::{Scene, Visit},
};

/// A lab that visits are made in, and that stays when they are over.
#[derive(Clone, Debug)]
pub enum Lent {
    /// One inside this program.
    Embedded {
        /// The lab.
        lab: Arc<Lab>,
        /// What it runs on.
        backend: LabBackend,
    },
    /// One that runs elsewhere.
    Running {
        /// Where.
        ground: Ground,
        /// Where visits are made from, where it has a network of its own.
        inside: Option<Arc<Namespace>>,
    },
}

/// Who has visits made.
#[derive(Clone, Debug)]
pub struct Caller {
    /// By which it ends them early.
    pub interrupt: CancellationToken,
    /// How it is told what is in no visit's record.
    pub tell: fn(&str),
}

/// Visits with the same settings, one after the other.
#[derive(Debug)]
pub struct Session {
    pub(crate) settings: Settings,
    pub(crate) caller: Caller,
    // Whether the hosts of a lab are asked what they saw.
    pub(crate) asks: bool,
    pub(crate) backend: LabBackend,
    running: Option<Ground>,
    // Started when the first visit needs it, and kept.
    lab: Option<Arc<Lab>>,
    // What was put in force for these visits in the lab that runs elsewhere.
    in_force: Option<InForce>,
    // Whether faults are put in force here; somebody else has done so otherwise.
    sets_faults: bool,
    // Where visits to the lab that runs elsewhere are made from, where that has a network of its own.
    inside: Option<Arc<Namespace>>,
    // One for each kind of trust; kept, so that a later visit can resume what an earlier one agreed on.
    tls: Vec<tls::Setup>,
}

impl Session {
    /// A session that visits these URLs, in a lab that runs elsewhere where one is named; starts nothing. Has to be called
    /// while there is one thread. `variable` is what the environment says of how the lab inside this program runs.
    pub fn new(
        settings: Settings,
        urls: &[Visitable],
        running: Option<Ground>,
        variable: Option<&str>,
        caller: Caller,
    ) -> anyhow::Result<Self> {
        if let (Some(Ground::Running { file, .. }), Some(LabWay::Wire | LabWay::Loopback)) = (&running, settings.lab) {
            return Err(anyhow!(
                "--lab=WAY says how the lab inside this program runs, and {} describes one that runs elsewhere (VISIT_WORLD \
                 or --world)",
                file.display()
            ));
        }
        let way = LabBackend::chosen(settings.lab, variable)?;
        let embedded = |url: &Visitable| matches!(settings.ground(url, running.as_ref()), (Ground::Embedded, _));
        let way = if urls.iter().any(embedded) { way } else { LabWay::Loopback };
        match &running {
            Some(Ground::Running { book, .. }) => faults::check(book, &settings.faults)?,
            _ => {
                let world = World::built_in();
                settings.faults.iter().try_for_each(|fault| fault.check(&world).map_err(explained))?;
            }
        }
        let inside = match &running {
            Some(Ground::Running { book, file }) => {
                let enter = |inside| LabBackend::enter(inside, &file.display().to_string());
                book.inside.as_ref().map(enter).transpose()?
            }
            _ => None,
        };
        let session = Self::standing(settings, caller, running)?;
        Ok(Self { inside, backend: LabBackend::prepare(way)?, ..session })
    }

    /// A client of a lab, one of many: from where the calling thread stands, and without asking the hosts what they saw.
    pub fn of_client(settings: Settings, book: AddressBook, caller: Caller) -> anyhow::Result<Self> {
        let lab = Ground::Running { book: Box::new(book), file: PathBuf::from("lab") };
        let session = Self::standing(settings, caller, Some(lab))?;
        Ok(Self { asks: false, ..session })
    }

    /// In a lab that is lent by whoever sets its faults: those of the settings are in force there already.
    pub fn lent(settings: Settings, lab: Lent, caller: Caller) -> anyhow::Result<Self> {
        let session = match lab {
            Lent::Embedded { lab, backend } => {
                let session = Self::standing(settings, caller, None)?;
                Self { lab: Some(lab), backend, ..session }
            }
            Lent::Running { ground, inside } => {
                let session = Self::standing(settings, caller, Some(ground))?;
                Self { inside, ..session }
            }
        };
        Ok(Self { sets_faults: false, ..session })
    }

    fn standing(settings: Settings, caller: Caller, running: Option<Ground>) -> anyhow::Result<Self> {
        if let Some(path) = &settings.cacert {
            Source::File(path.clone()).check().map_err(|why| anyhow!("{why} (--cacert)"))?;
        }
        Ok(Self {
            settings,
            caller,
            running,
            lab: None,
            backend: LabBackend::default(),
            in_force: None,
            sets_faults: true,
            inside: None,
            asks: true,
            tls: Vec::new(),
        })
    }

    /// Where a visit of this URL is made from; `None` is where this program is. Starts the lab where it is made there.
    pub fn seat(&mut self, url: &Visitable) -> anyhow::Result<Option<Arc<Namespace>>> {
        let faults = &self.settings.faults;
        match (self.settings.ground(url, self.running.as_ref()), faults.first()) {
            ((Ground::Embedded, _), _) => {}
            ((Ground::Running { .. }, _), _) => return Ok(self.inside.clone()),
            ((Ground::Internet, _), None) => return Ok(None),
            ((Ground::Internet, _), Some(fault)) => {
                return Err(anyhow!("--fault {fault} disturbs a lab, and {} is visited elsewhere", url.shown));
            }
        }
        if self.lab.is_none() {
            let started = self.backend.start(lab::Options::default(), 1, 1, faults);
            let lab = started.map_err(|error| anyhow!("the lab inside this program does not start: {error}"))?;
            self.lab = Some(Arc::new(lab));
        }
        Ok(self.lab.as_deref().and_then(lab_backend::seat))
    }

    /// Ends the faults that were put in force for these visits. One that cannot be ended now ends by itself; the error says
    /// so.
    pub fn end_faults(&mut self, runtime: &Runtime) -> anyhow::Result<()> {
        let Some(in_force) = self.in_force.take() else { return Ok(()) };
        let end = || runtime.block_on(in_force.end());
        match &self.inside {
            None => end(),
            Some(namespace) => namespace.run(end).unwrap_or_else(|error| Err(error.into())),
        }
    }

    /// What is sent from now on to servers that are not spoken HTTP to.
    pub fn send(&mut self, payload: Payload) {
        self.settings.payload = Some(payload);
    }

    /// The keys of the TLS sessions so far, where they are wanted.
    pub fn keys(&self) -> String {
        self.tls.iter().map(tls::Setup::keys).collect()
    }

    /// Visits a URL, from its [seat](Self::seat). The error says what on this machine is not as it must be.
    pub async fn visit(&mut self, url: &Visitable) -> anyhow::Result<Journey> {
        let (ground, asked) = self.settings.ground(url, self.running.as_ref());
        self.put_in_force(&ground).await?;
        let nth = self.tls_for(&ground);
        let scene = self.scene(&ground);
        self.settings.check(url, scene.book)?;
        Visit { session: self, url, scene, tls: &self.tls[nth] }.make(asked).await
    }

    async fn put_in_force(&mut self, ground: &Ground) -> anyhow::Result<()> {
        let is_wanted = self.sets_faults && self.in_force.is_none() && !self.settings.faults.is_empty();
        if let (Ground::Running { book, .. }, true) = (ground, is_wanted) {
            self.in_force = Some(InForce::begin(book, &self.settings.faults, self.caller.tell).await?);
        }
        Ok(())
    }

    fn scene<'a>(&'a self, ground: &'a Ground) -> Scene<'a> {
        match (ground, self.lab.as_deref()) {
            (Ground::Embedded, Some(lab)) => {
                let ready_us = u64::try_from(lab.ready_in().as_micros()).unwrap_or(u64::MAX);
                let network = self.backend.network(lab);
                let place = Place::EmbeddedLab { ready_us, hosts: lab.running().count(), network };
                Scene { book: Some(lab.book()), place, file: String::new(), net: lab.net() }
            }
            (Ground::Running { book, file }, _) => {
                let file = file.display().to_string();
                let place = Place::RunningLab { described_by: file.clone() };
                Scene { book: Some(book), place, file, net: None }
            }
            _ => Scene { book: None, place: Place::Internet, file: String::new(), net: None },
        }
    }

    /// The position of what is set up for this ground: the file that was named, the lab's own authority in the lab, this
    /// machine's store elsewhere.
    fn tls_for(&mut self, ground: &Ground) -> usize {
        let book = match (ground, self.lab.as_deref()) {
            (Ground::Embedded, Some(lab)) => Some(lab.book()),
            (Ground::Running { book, .. }, _) => Some(&**book),
            _ => None,
        };
        let source = match (&self.settings.cacert, book) {
            (Some(path), _) => Source::File(path.clone()),
            (None, Some(book)) => Source::Lab(book.ca.clone()),
            (None, None) => Source::System,
        };
        self.tls.iter().position(|setup| *setup.source() == source).unwrap_or_else(|| {
            let setup = tls::Setup::new(source, self.settings.insecure);
            self.tls.push(if self.settings.keeps_keys { setup.keeping_keys() } else { setup });
            self.tls.len() - 1
        })
    }
}

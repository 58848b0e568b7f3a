//! How a lab is described, one word after the other.

use std::path::{Path, PathBuf};

use world::{Files, World, fault::Fault};

use crate::{Lab, LabError, Options, Way};

/// A lab that does not run yet; [`Lab::builder`] makes one. What is wrong is told by [`Builder::start`].
#[derive(Clone, Debug, Default)]
pub struct Builder {
    options: Options,
    world_file: Option<PathBuf>,
    faults: Vec<String>,
}

impl Builder {
    /// This world instead of the built-in one.
    #[must_use]
    pub fn world(mut self, world: World) -> Self {
        self.options.world = world;
        self
    }

    /// The world that this file describes; the files that it names are beside it.
    #[must_use]
    pub fn world_file(mut self, file: impl AsRef<Path>) -> Self {
        self.options.files = Files::beside(file.as_ref());
        self.world_file = Some(file.as_ref().to_owned());
        self
    }

    /// Where the files are that the world names.
    #[must_use]
    pub fn files(mut self, files: Files) -> Self {
        self.options.files = files;
        self
    }

    /// Without this host: its ports refuse.
    #[must_use]
    pub fn without(mut self, host: impl Into<String>) -> Self {
        self.options.without.push(host.into());
        self
    }

    /// With this fault from the beginning, written as `visit --fault` takes it: `auth1:servfail`.
    #[must_use]
    pub fn fault(mut self, fault: impl Into<String>) -> Self {
        self.faults.push(fault.into());
        self
    }

    /// With a network of its own, and so many clients in it. The process has to be allowed to make one, and to have said so
    /// while it had one thread: see [`netlab::sys::namespace::prepare`].
    #[must_use]
    pub fn wire(mut self, clients: usize) -> Self {
        self.options.way = Way::Wire { clients };
        self
    }

    /// Joined so.
    #[must_use]
    pub fn way(mut self, way: Way) -> Self {
        self.options.way = way;
        self
    }

    /// Where the lab's authority is kept; with none it begins and ends with the lab.
    #[must_use]
    pub fn data_dir(mut self, dir: Option<PathBuf>) -> Self {
        self.options.data_dir = dir;
        self
    }

    /// Whether hosts record every query and request, for [`Lab::history`], and not those of visits alone.
    #[must_use]
    pub fn history(mut self, all: bool) -> Self {
        self.options.history = all;
        self
    }

    /// Starts it.
    pub fn start(self) -> Result<Lab, LabError> {
        let Self { mut options, world_file, faults } = self;
        if let Some(file) = world_file {
            let path = file.display().to_string();
            let text = world::read_text(&file).map_err(|source| world::FileError { path: path.clone(), source })?;
            options.world = World::parse(&text, &path)?;
        }
        for fault in faults {
            options.faults.push(fault.parse::<Fault>()?);
        }
        Lab::start(options)
    }
}

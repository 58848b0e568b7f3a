//! The files that a world names: zone files and root hints.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

/// The built-in copies, so that the embedded lab needs nothing but the program.
const BUILT_IN: [(&str, &str); 9] = [
    ("world.toml", include_str!("../../../lab/world.toml")),
    ("root.hints", include_str!("../../../lab/root.hints")),
    ("zones/root.zone", include_str!("../../../lab/zones/root.zone")),
    ("zones/local.zone", include_str!("../../../lab/zones/local.zone")),
    ("zones/test.zone", include_str!("../../../lab/zones/test.zone")),
    ("zones/com.zone", include_str!("../../../lab/zones/com.zone")),
    ("zones/example.local.zone", include_str!("../../../lab/zones/example.local.zone")),
    ("zones/example.test.zone", include_str!("../../../lab/zones/example.test.zone")),
    ("zones/baidu.com.zone", include_str!("../../../lab/zones/baidu.com.zone")),
];

/// The scenarios inside this program: each file's name in `lab/` and its text.
pub const SCENARIOS: &[(&str, &str)] = &[
    ("scenarios/basics.toml", include_str!("../../../lab/scenarios/basics.toml")),
    ("scenarios/faults.toml", include_str!("../../../lab/scenarios/faults.toml")),
];

/// Where the files that a world names are read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Files {
    /// The copies inside this program.
    BuiltIn,
    /// A folder: the one that holds the world's own file.
    Folder(PathBuf),
    /// Others, some of them changed in memory.
    Changed(Changed),
}

/// Files of which some are changed in memory. Cheap to clone; all clones are the same files.
#[derive(Clone, Debug)]
pub struct Changed {
    base: Box<Files>,
    texts: Arc<RwLock<BTreeMap<String, String>>>,
}

impl PartialEq for Changed {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.texts, &other.texts)
    }
}

impl Eq for Changed {}

impl Changed {
    /// These files, unchanged so far.
    pub fn new(base: Files) -> Self {
        Self { base: Box::new(base), texts: Arc::default() }
    }

    /// From now on the file of that name has this text. Nothing is written.
    pub fn set(&self, name: &str, text: String) {
        self.texts.write().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), text);
    }

    fn text(&self, name: &str) -> Option<String> {
        self.texts.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }
}

/// A file could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {path}: {source}")]
pub struct FileError {
    /// Which.
    pub path: String,
    /// Why.
    pub source: io::Error,
}

/// Longer files are none of a world's.
const LONGEST_FILE: u64 = 64 * 1024 * 1024;

/// The text of a file, if it is not too long to be one of a world's.
pub fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let read = File::open(path)?.take(LONGEST_FILE + 1).read_to_string(&mut text)?;
    if read as u64 > LONGEST_FILE {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is longer than 64 MiB"));
    }
    Ok(text)
}

/// The bytes of a regular file, if it is not too long to be one of a world's. A FIFO would be waited for, and a device
/// may never end.
fn read_regular(path: &Path) -> io::Result<Vec<u8>> {
    let (kind, mut bytes) = (std::fs::metadata(path)?.file_type(), Vec::new());
    if kind.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if !kind.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    let read = File::open(path)?.take(LONGEST_FILE + 1).read_to_end(&mut bytes)?;
    if read as u64 > LONGEST_FILE {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is longer than 64 MiB"));
    }
    Ok(bytes)
}

impl Files {
    /// The folder of this world file.
    pub fn beside(world_file: &Path) -> Self {
        Self::Folder(world_file.parent().map_or_else(PathBuf::new, Path::to_path_buf))
    }

    /// The text of the file of that name.
    pub fn read(&self, name: &str) -> Result<String, FileError> {
        String::from_utf8(self.read_bytes(name)?).map_err(|_| {
            let source = io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text");
            FileError { path: self.path(name), source }
        })
    }

    /// The bytes of the file of that name, which must be a regular one.
    pub fn read_bytes(&self, name: &str) -> Result<Vec<u8>, FileError> {
        let fail = |source| FileError { path: self.path(name), source };
        match self {
            Self::BuiltIn => BUILT_IN
                .iter()
                .find_map(|(known, text)| (*known == name).then(|| text.as_bytes().to_vec()))
                .ok_or_else(|| fail(io::ErrorKind::NotFound.into())),
            Self::Folder(folder) => read_regular(&folder.join(name)).map_err(fail),
            Self::Changed(changed) => {
                changed.text(name).map_or_else(|| changed.base.read_bytes(name), |text| Ok(text.into_bytes()))
            }
        }
    }

    /// How to name that file to a person.
    pub fn path(&self, name: &str) -> String {
        match self {
            Self::BuiltIn => format!("(built in) lab/{name}"),
            Self::Folder(folder) => folder.join(name).display().to_string(),
            Self::Changed(changed) => changed.base.path(name),
        }
    }
}

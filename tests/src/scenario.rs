//! What a scenario file says.

use std::{fs, path::Path};

use serde::Deserialize;
use serde_json::{Map, Value};

/// A scenario: a state of the world, and visits with what must come of them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// The file's name without its ending.
    #[serde(skip)]
    pub name: String,
    /// What it shows.
    pub about: String,
    /// Hosts that are stopped while it runs.
    #[serde(default)]
    pub stopped: Vec<String>,
    /// The visits, in order, in one world: a later one meets what an earlier one left in caches.
    pub visit: Vec<Visit>,
}

/// One visit.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Visit {
    /// What is typed behind `visit`.
    pub args: Vec<String>,
    /// What it exits with.
    pub exit: u8,
    /// What the journey must contain, see [`crate::subset`].
    #[serde(default)]
    pub journey: Map<String, Value>,
    /// Events that must not be in it.
    #[serde(default)]
    pub never: Vec<Value>,
    /// Text that must be on the screen.
    #[serde(default)]
    pub screen: Vec<String>,
}

/// Reads all scenarios of a folder, in the order of their names.
pub fn read_all(folder: &Path) -> Result<Vec<Scenario>, String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut files: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|file| file.extension().is_some_and(|ending| ending == "toml"));
    files.sort();
    if files.is_empty() {
        return Err(format!("{}: no scenarios", folder.display()));
    }
    let read = |file: &std::path::PathBuf| {
        let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
        let mut scenario: Scenario = toml::from_str(&text).map_err(|error| format!("{}: {error}", file.display()))?;
        scenario.name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(scenario)
    };
    files.iter().map(read).collect()
}

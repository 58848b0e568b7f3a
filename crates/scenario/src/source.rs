//! Which scenarios are played: those of files and folders, or those inside this program.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow, ensure};
use world::{SCENARIOS, scenario::read};

use crate::play::{ReadLine, Script};

/// The scenarios of these files and folders, in their order, of folders in the order of the files' names; without any those
/// inside this program. `line` reads their command lines.
pub fn read(files: &[PathBuf], only: Option<&str>, line: ReadLine<'_>) -> anyhow::Result<Vec<Script>> {
    let mut scripts = Vec::new();
    if files.is_empty() {
        for (name, text) in SCENARIOS {
            add(&mut scripts, text, &format!("(built in) lab/{name}"), line)?;
        }
    }
    for path in files {
        for file in toml_files(path)? {
            let name = file.display().to_string();
            let text = world::read_text(&file).with_context(|| format!("cannot read {name}"))?;
            add(&mut scripts, &text, &name, line)?;
        }
    }
    if let Some(only) = only {
        let all: Vec<String> = scripts.iter().map(|script| script.scenario.name.clone()).collect();
        scripts.retain(|script| script.scenario.name.contains(only));
        ensure!(!scripts.is_empty(), "no scenario's name contains {only:?}; there are: {}", all.join(", "));
    }
    Ok(scripts)
}

fn add(scripts: &mut Vec<Script>, text: &str, file: &str, line: ReadLine<'_>) -> anyhow::Result<()> {
    for scenario in read::file(text, file)? {
        scripts.push(Script::new(scenario, file, line)?);
    }
    Ok(())
}

fn toml_files(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let name = path.display();
    let entries = fs::read_dir(path).with_context(|| format!("cannot read {name}"))?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, std::io::Error>>()?;
    files.retain(|file| file.extension().is_some_and(|ending| ending == "toml"));
    files.sort();
    match files.is_empty() {
        true => Err(anyhow!("{name} holds no scenarios: no file in it ends with .toml")),
        false => Ok(files),
    }
}

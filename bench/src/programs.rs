//! Our own programs, as they are released.

use std::{
    collections::HashMap,
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, anyhow, bail};

use crate::progress;

/// Where they are.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    pub(crate) visit: PathBuf,
    pub(crate) nameserver: PathBuf,
    pub(crate) resolver: PathBuf,
    pub(crate) app: PathBuf,
}

const NAMES: [&str; 4] = ["visit", "nameserver", "resolver", "app"];

impl Programs {
    /// Those in a folder.
    pub(crate) fn in_folder(folder: &Path) -> Result<Self> {
        // A program that is started from another working folder must still be found.
        let folder = folder.canonicalize().with_context(|| format!("no folder {}", folder.display()))?;
        Self::from(|name| Some(folder.join(name)).filter(|file| file.is_file()))
    }

    /// Builds them with the profile that is released, whatever this program itself was built with.
    pub(crate) fn build() -> Result<Self> {
        progress::say("building visit, nameserver, resolver and app (release)");
        // Cargo tells who it is and where, when it runs this program.
        let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
        let mut command = Command::new(cargo);
        command.args(["build", "--release", "--message-format", "json-render-diagnostics"]);
        command.args(NAMES.iter().flat_map(|name| ["--package", name]));
        if let Some(folder) = env::var_os("CARGO_MANIFEST_DIR") {
            command.current_dir(folder);
        }
        let output = command.stderr(Stdio::inherit()).output().context("cannot start cargo; --programs FOLDER?")?;
        if !output.status.success() {
            bail!("our programs do not build");
        }
        let built = executables(&String::from_utf8_lossy(&output.stdout));
        Self::from(|name| built.get(name).cloned())
    }

    fn from(find: impl Fn(&str) -> Option<PathBuf>) -> Result<Self> {
        let one = |name: &str| find(name).ok_or_else(|| anyhow!("there is no program {name}"));
        let [visit, nameserver, resolver, app] = NAMES.map(one);
        Ok(Self { visit: visit?, nameserver: nameserver?, resolver: resolver?, app: app? })
    }

    /// The folder that they are in.
    pub(crate) fn folder(&self) -> &Path {
        self.visit.parent().unwrap_or_else(|| Path::new("."))
    }
}

/// The executables that cargo's messages name.
fn executables(messages: &str) -> HashMap<String, PathBuf> {
    let one = |line: &str| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let file = PathBuf::from(message.get("executable")?.as_str()?);
        Some((message["target"]["name"].as_str()?.to_owned(), file))
    };
    messages.lines().filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cargo_says() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"dns"},"executable":null}
{"reason":"compiler-artifact","target":{"name":"visit"},"executable":"/t/release/visit"}
{"reason":"build-finished","success":true}
"#;
        let built = executables(messages);
        assert_eq!(built.len(), 1);
        assert_eq!(built["visit"], Path::new("/t/release/visit"));
    }

    #[test]
    fn a_folder_without_them() {
        let folder = tempfile::tempdir().unwrap();
        let error = Programs::in_folder(folder.path()).unwrap_err();
        assert_eq!(error.to_string(), "there is no program visit");
    }
}

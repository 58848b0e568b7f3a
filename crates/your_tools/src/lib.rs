//! The outside programs that tests call: which are here, and what installs the others. A test that lacks one is ignored with
//! the reason.
//!
//! Tests of the usual harness are marked with the attribute of the crate `needs`. Tests of libtest-mimic ask [`lacking`] when
//! they run.

use std::{
    env,
    path::{Path, PathBuf},
};

/// Where this is set, no test is left out for what a machine lacks.
pub const REQUIRED: &str = "VISIT_E2E_REQUIRED";

/// Every program that a test calls, and the Debian package that it is in. The C library, the shell and what a system cannot
/// start without are not among them.
pub const TOOLS: [(&str, &str); 19] = [
    ("dig", "bind9-dnsutils"),
    ("curl", "curl"),
    ("python3", "python3"),
    ("openssl", "openssl"),
    ("nginx", "nginx-light"),
    ("tshark", "tshark"),
    ("jq", "jq"),
    ("ip", "iproute2"),
    ("unshare", "util-linux"),
    ("nsenter", "util-linux"),
    ("setpriv", "util-linux"),
    ("prlimit", "util-linux"),
    ("nsd", "nsd"),
    ("nsd-checkzone", "nsd"),
    ("knotd", "knot"),
    ("named", "bind9"),
    ("named-checkzone", "bind9"),
    ("named-compilezone", "bind9"),
    ("unbound", "unbound"),
];

/// Servers are often here, which an ordinary user's search path leaves out.
const SYSTEM_FOLDERS: [&str; 2] = ["/usr/sbin", "/usr/local/sbin"];

fn folders() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).chain(SYSTEM_FOLDERS.map(PathBuf::from)).collect()
}

fn find(tool: &str, folders: &[PathBuf]) -> Option<PathBuf> {
    folders.iter().map(|folder| folder.join(tool)).find(|file| file.is_file())
}

/// Those of these programs that are not here, unless none may be left out.
pub fn missing<'a>(tools: &[&'a str]) -> Vec<&'a str> {
    if env::var_os(REQUIRED).is_some() {
        return Vec::new();
    }
    let folders = folders();
    tools.iter().copied().filter(|tool| find(tool, &folders).is_none()).collect()
}

/// What installs these, in the order of [`TOOLS`]; `None` where there are none.
pub fn install(missing: &[&str]) -> Option<String> {
    let mut packages: Vec<&str> = Vec::new();
    for (tool, package) in TOOLS {
        if missing.contains(&tool) && !packages.contains(&package) {
            packages.push(package);
        }
    }
    (!packages.is_empty()).then(|| format!("apt-get install {}", packages.join(" ")))
}

/// What a test that lacks these is ignored with; `None` where it lacks none.
pub fn reason(missing: &[&str]) -> Option<String> {
    install(missing).map(|install| format!("needs {}: {install}", missing.join(", ")))
}

/// Why a test that calls these is ignored on this machine, where it is.
pub fn lacking(tools: &[&str]) -> Option<String> {
    reason(&missing(tools))
}

/// Whether [`TOOLS`] has it.
pub fn is_known(tool: &str) -> bool {
    TOOLS.iter().any(|(name, _)| *name == tool)
}

/// For the build script of `needs`: `LEFT_OUT` are the tools that are missing, and it runs again when that changes.
#[allow(clippy::print_stdout)]
pub fn emit() {
    let (folders, names) = (folders(), TOOLS.map(|(name, _)| name));
    println!("cargo::rustc-env=LEFT_OUT={}", missing(&names).join(","));
    println!("cargo::rerun-if-changed=build.rs");
    let found = names.map(|tool| find(tool, &folders));
    // One that is here may go.
    found.iter().flatten().for_each(|file| watch(file));
    // Where nothing is missing nothing else matters, and nothing is built twice for it.
    if found.iter().any(Option::is_none) {
        println!("cargo::rerun-if-env-changed={REQUIRED}");
        println!("cargo::rerun-if-env-changed=PATH");
        // One that comes changes its folder. A file that is not there would be taken for one that has changed.
        folders.iter().filter(|folder| folder.is_dir()).for_each(|folder| watch(folder));
    }
}

#[allow(clippy::print_stdout)]
fn watch(path: &Path) {
    println!("cargo::rerun-if-changed={}", path.display());
}

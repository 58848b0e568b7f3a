//! `visit` as an ordinary user runs it, whoever runs the tests.

use std::{
    fs,
    io::BufReader,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::OnceLock,
};

use journey::{Journey, capture::Capture};
use netlab::sys::namespace;
use nix::unistd::geteuid;
use serde_json::{Deserializer, Value};

use crate::peer;

/// Nobody.
const USER: &str = "65534";

/// Becomes an ordinary user in front of a program, where one may do so. Where the tests have a network of their own, there is
/// no other user.
fn as_ordinary(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    if geteuid().is_root() && std::env::var_os(crate::ALONE).is_none() {
        command.args(["--reuid", USER, "--regid", USER, "--clear-groups"]);
    }
    command.arg(program);
    command
}

/// Why an ordinary user cannot have namespaces here.
pub(crate) fn refused() -> Option<&'static str> {
    static REFUSED: OnceLock<Option<String>> = OnceLock::new();
    let probe = || {
        if !geteuid().is_root() {
            return namespace::probe().err().map(|refusal| refusal.to_string());
        }
        // As for that user: root may have what others have not.
        let output = as_ordinary(Path::new("unshare")).args(["--map-root-user", "--net", "true"]).output();
        let output = output.expect("`setpriv` starts: it is in the package util-linux");
        (!output.status.success()).then(|| String::from_utf8_lossy(&output.stderr).trim().to_owned())
    };
    REFUSED.get_or_init(probe).as_deref()
}

/// Why nobody here is refused to capture: the tests run with that right, and cannot give it up.
pub(crate) fn not_ordinary() -> Option<&'static str> {
    let output = as_ordinary(Path::new("true")).output().expect("`setpriv` starts: it is in the package util-linux");
    (!output.status.success()).then_some("nobody can be made an ordinary user")
}

/// `visit` where everybody may look: what is built may be where nobody else may. It is large, so there is one for all tests,
/// until they are [`done`].
fn program() -> PathBuf {
    PROGRAM
        .get_or_init(|| {
            let folder = tempfile::tempdir().unwrap();
            let program = folder.path().join("visit");
            fs::copy(env!("CARGO_BIN_EXE_visit"), &program).unwrap();
            open(&program, 0o755);
            open(folder.path(), 0o755);
            folder
        })
        .path()
        .join("visit")
}

static PROGRAM: OnceLock<tempfile::TempDir> = OnceLock::new();

fn open(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Removes what all tests shared.
pub(crate) fn done() {
    if let Some(folder) = PROGRAM.get() {
        let _ = fs::remove_dir_all(folder.path());
    }
}

/// `visit`, and a folder that it may write to.
pub(crate) struct User {
    folder: tempfile::TempDir,
}

impl User {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        open(folder.path(), 0o1777);
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self) -> Command {
        let mut command = as_ordinary(&program());
        for (name, value) in peer::program().get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.env("VISIT_DATA", self.path("data")).current_dir(self.folder.path());
        command
    }

    /// Runs it; `env` are variables besides.
    pub(crate) fn run(&self, env: &[(&str, &Path)], args: &[&str]) -> Output {
        self.command().envs(env.iter().copied()).args(args).output().unwrap()
    }

    /// Runs it with `--json`; the exit code and the journey.
    pub(crate) fn visit(&self, env: &[(&str, &Path)], args: &[&str]) -> (i32, Journey) {
        let output = self.run(env, &[&["--json"], args].concat());
        let journey = serde_json::from_slice(&output.stdout);
        let journey = journey.unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
        (output.status.code().unwrap(), journey)
    }

    /// `visit lab serve`, with its address book in a file.
    pub(crate) fn serve(&self, args: &[&str]) -> Served {
        let mut command = self.command();
        let process = command.args(["lab", "serve", "--json"]).args(args).stdout(Stdio::piped()).spawn().unwrap();
        let mut served = Served { process, book: self.path("book.json") };
        // The stream stays open; the book is the first value in it.
        let out = BufReader::new(served.process.stdout.take().unwrap());
        let book: Value = Deserializer::from_reader(out).into_iter().next().unwrap().unwrap();
        fs::write(&served.book, book.to_string()).unwrap();
        served
    }
}

/// A lab that runs until this is dropped.
pub(crate) struct Served {
    process: Child,
    pub(crate) book: PathBuf,
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Whether a connection of the visit was not over in time: the two ends had no second to themselves. Nothing else may be
/// missing of the capture.
pub(crate) fn is_cut(capture: &Capture) -> bool {
    assert_eq!(capture.lost, 0);
    let still_open = capture.cut.as_ref().map(|cut| cut.starts_with("a connection was still open when "));
    assert_ne!(still_open, Some(false), "{:?}", capture.cut);
    still_open.is_some()
}

pub(crate) fn frames(journey: &Journey) -> &Capture {
    journey.capture.frames().unwrap_or_else(|| panic!("no frames: {:?}", journey.capture))
}

/// How many frames of this file the filter shows.
pub(crate) fn count(file: &Path, filter: &str) -> usize {
    tshark(file, filter).lines().count()
}

/// The lines that tshark shows of the frames of this file that the filter lets through.
pub(crate) fn tshark(file: &Path, filter: &str) -> String {
    let mut command = Command::new("tshark");
    for what in ["ip", "tcp", "udp"] {
        command.args(["-o", &format!("{what}.check_checksum:TRUE")]);
    }
    let output = command.arg("-r").arg(file).args(["-Y", filter]).output();
    let output = output.expect("tshark is needed: apt-get install tshark");
    assert!(output.status.success(), "{filter}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

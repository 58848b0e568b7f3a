//! The ways to run the world.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::{Duration, Instant},
};

use lab::{Lab, Options};
use netlab::sys::namespace;
use world::scenario::{self, Scenario};

/// Where this is set, what a machine refuses is no reason to leave a test out.
const REQUIRED: &str = "VISIT_E2E_REQUIRED";

/// A way to run the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Every visit starts the lab inside itself, on loopback.
    Embedded,
    /// The lab has a network of its own: inside each visit, or run beside them where a scenario needs it to last.
    Wire,
    /// The lab runs here, and visits find it by its address book.
    Running,
    /// Every host is a container.
    Compose,
}

impl Way {
    /// Those that `VISIT_E2E` chooses.
    pub fn chosen() -> Result<Vec<Self>, String> {
        match env::var("VISIT_E2E").as_deref() {
            Err(_) | Ok("") => Ok(vec![Self::Embedded, Self::Running, Self::Wire]),
            Ok("loopback") => Ok(vec![Self::Embedded, Self::Running]),
            Ok("wire") => Ok(vec![Self::Wire]),
            Ok("compose") => Ok(vec![Self::Compose]),
            Ok(other) => Err(format!("VISIT_E2E={other}: known are loopback, wire and compose")),
        }
    }

    /// Its name in the names of tests.
    pub fn name(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Running => "running",
            Self::Wire => "wire",
            Self::Compose => "compose",
        }
    }

    /// Whether what comes of it is compared with what comes of it on loopback.
    pub fn is_compared(self) -> bool {
        matches!(self, Self::Wire | Self::Compose)
    }

    /// Whether the lab is there before and after a scenario.
    pub fn lasts(self) -> bool {
        matches!(self, Self::Running | Self::Compose)
    }

    /// Why it cannot be played on this machine, where it cannot.
    pub fn refused(self) -> Option<String> {
        match self {
            Self::Wire => namespace::probe().err().map(|refusal| refusal.to_string()),
            _ => None,
        }
    }

    /// The same, where that is a reason to leave its tests out.
    pub fn left_out(self) -> Option<String> {
        self.refused().filter(|_| env::var_os(REQUIRED).is_none())
    }

    /// A world in which these hosts are stopped. It is back in its usual state when the stage is dropped. Inside a program
    /// the lab is started by whoever plays a scenario in it, and stops nothing before.
    pub fn set_up(self, name: &str, stopped: &[String]) -> Result<Stage, String> {
        match self {
            Self::Embedded => Ok(Stage::Embedded { network: "loopback" }),
            Self::Wire => Ok(Stage::Embedded { network: "wire" }),
            Self::Running => {
                let options = Options { data_dir: Some(data_dir()), ..Options::default() };
                let mut lab = Lab::start(options).map_err(|error| error.to_string())?;
                let book = serde_json::to_string(lab.book()).map_err(|error| error.to_string())?;
                let book = Book::write(&format!("{name}-running"), &book)?;
                for host in stopped {
                    lab.stop(host).map_err(|error| error.to_string())?;
                }
                Ok(Stage::Running { _lab: Box::new(lab), book })
            }
            Self::Compose => {
                if !stopped.is_empty() {
                    let hosts = stopped.iter().map(String::as_str);
                    compose(&["stop", "--timeout", "2"].into_iter().chain(hosts).collect::<Vec<_>>())?;
                }
                Ok(Stage::Compose(Containers { stopped: stopped.to_vec() }))
            }
        }
    }
}

/// A world in a scenario's state.
#[derive(Debug)]
pub enum Stage {
    /// The lab inside each visit.
    Embedded {
        /// What it is to stand on.
        network: &'static str,
    },
    /// See [`Way::Running`].
    Running {
        /// Stops when dropped.
        _lab: Box<Lab>,
        /// Its address book.
        book: Book,
    },
    /// See [`Way::Compose`].
    Compose(Containers),
}

/// A file that is removed when dropped.
#[derive(Debug)]
pub struct Book(PathBuf);

impl Book {
    fn write(name: &str, text: &str) -> Result<Self, String> {
        let file = env::temp_dir().join(format!("visit-e2e-{}-{name}.json", std::process::id()));
        fs::write(&file, text).map_err(|error| format!("{}: {error}", file.display()))?;
        Ok(Self(file))
    }
}

impl Drop for Book {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Containers that are started again when dropped.
#[derive(Debug)]
pub struct Containers {
    stopped: Vec<String>,
}

impl Drop for Containers {
    fn drop(&mut self) {
        for host in &self.stopped {
            // A host that does not come back makes the following scenarios fail, which is loud enough.
            let _ = compose(&["start", host]).and_then(|_| wait_healthy(host));
        }
    }
}

impl Stage {
    /// The containers as they are.
    pub fn containers() -> Self {
        Self::Compose(Containers { stopped: Vec::new() })
    }

    /// Runs `visit` with these arguments.
    pub fn visit(&self, args: &[&str]) -> Result<Output, String> {
        self.run(&[], args)
    }

    /// Runs `visit scenario` with these arguments, on a file or folder of this workspace where one is named.
    pub fn scenario(&self, files: Option<&Path>, args: &[&str]) -> Result<Output, String> {
        let name = files.map(|files| files.display().to_string());
        let words = ["scenario"].iter().chain(args);
        match (self, name) {
            (_, None) => self.run(&[], &words.copied().collect::<Vec<_>>()),
            // A container has files of its own.
            (Self::Compose(_), Some(name)) => {
                let laid = format!("{name}:{name}:ro");
                self.run(&["--volume", &laid], &words.copied().chain([name.as_str()]).collect::<Vec<_>>())
            }
            (_, Some(name)) => self.run(&[], &words.copied().chain([name.as_str()]).collect::<Vec<_>>()),
        }
    }

    /// `options` are those of a container.
    fn run(&self, options: &[&str], args: &[&str]) -> Result<Output, String> {
        let mut command = match self {
            Self::Embedded { network } => {
                let mut command = Command::new(visit_binary()?);
                command.env("VISIT_LAB", network);
                command
            }
            Self::Running { book, .. } => {
                let mut command = Command::new(visit_binary()?);
                command.env("VISIT_WORLD", &book.0);
                command
            }
            Self::Compose(_) => {
                let mut command = compose_command()?;
                // Without --no-deps it would start the hosts that the scenario has stopped.
                command.args(["run", "--rm", "--no-deps", "-T"]).args(options).arg("visit");
                command
            }
        };
        if !matches!(self, Self::Running { .. }) {
            command.env_remove("VISIT_WORLD");
        }
        // Containers have their own.
        command.env_remove("VISIT_RESOLVER").env("VISIT_DATA", data_dir()).args(args);
        command.output().map_err(|error| format!("{command:?}: {error}"))
    }
}

/// Where labs of tests keep their authority: not where this user's labs do.
fn data_dir() -> PathBuf {
    root().join("target/e2e-data")
}

/// The `visit` that was built with these tests: `cargo test --workspace` builds it beside them.
pub fn visit_binary() -> Result<PathBuf, String> {
    let own = env::current_exe().map_err(|error| error.to_string())?;
    let found = own.ancestors().skip(1).take(2).map(|folder| folder.join("visit")).find(|file| file.is_file());
    found.ok_or_else(|| "visit is not built: run `cargo test --workspace`, or `cargo build -p visit` first".to_owned())
}

/// The root of the workspace.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in the workspace")
}

/// All scenarios of a folder, in the order of the files' names.
pub fn read_all(folder: &Path) -> Result<Vec<Scenario>, String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut files: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|file| file.extension().is_some_and(|ending| ending == "toml"));
    files.sort();
    if files.is_empty() {
        return Err(format!("{}: no scenarios", folder.display()));
    }
    let mut all = Vec::new();
    for file in files {
        let name = file.display().to_string();
        let text = fs::read_to_string(&file).map_err(|error| format!("{name}: {error}"))?;
        all.extend(scenario::read::file(&text, &name).map_err(|error| error.to_string())?);
    }
    Ok(all)
}

/// Starts the whole lab in containers and waits until all are healthy.
pub fn compose_up() -> Result<(), String> {
    compose(&["up", "--detach", "--no-build"])?;
    ["resolver", "app1", "app2"].into_iter().try_for_each(wait_healthy)
}

fn compose_command() -> Result<Command, String> {
    let words = env::var("VISIT_COMPOSE").unwrap_or_else(|_| "docker-compose".to_owned());
    let mut words = words.split_whitespace();
    let mut command = Command::new(words.next().ok_or("VISIT_COMPOSE is empty")?);
    command.args(words).current_dir(root());
    Ok(command)
}

fn compose(args: &[&str]) -> Result<String, String> {
    run(compose_command()?.args(args))
}

fn wait_healthy(host: &str) -> Result<(), String> {
    let end = Instant::now() + Duration::from_secs(60);
    let container = compose(&["ps", "--quiet", host])?.trim().to_owned();
    loop {
        let format = "{{.State.Health.Status}}";
        let health = run(Command::new("docker").args(["inspect", "--format", format, &container]))?;
        if health.trim() == "healthy" {
            return Ok(());
        }
        if Instant::now() > end {
            return Err(format!("{host} is {} after 60 s", health.trim()));
        }
        // The engine tells of health by polling only.
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn run(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{command:?}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

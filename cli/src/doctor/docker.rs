//! Docker's engine and Compose, for the lab in containers. Their own programs are asked; nobody needs them.

use std::{
    io::{self, Read},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use super::{Check, State};

/// How long one of them may take.
const LIMIT: Duration = Duration::from_secs(5);
/// How often it is looked whether a program has ended that has said all.
const PAUSE: Duration = Duration::from_millis(5);
/// Bytes that are taken of what it says.
const MOST: u64 = 16 * 1024;

/// What a program came to.
#[derive(Debug)]
enum Ran {
    /// It is not there.
    Missing,
    /// It could not be started.
    Refused(io::Error),
    /// It did not end in time.
    Hung,
    /// How it ended cannot be told: where this process was started with SIGCHLD ignored, the kernel keeps no status.
    Untold(io::Error),
    /// It ended well, or not, and said this last.
    Ended(bool, String),
}

pub(super) fn checks() -> Vec<Check> {
    let engine = engine();
    // Where there is no engine there is nothing to compose.
    let is_there = engine.state != State::Absent;
    let mut checks = vec![engine];
    checks.extend(is_there.then(compose));
    checks
}

fn engine() -> Check {
    let check = "docker";
    let means = "the lab can run in containers as well: docker compose up";
    let without = "the lab does not run in containers here; the one inside this program does not need them";
    let absent = |found: String| Check { state: State::Absent, ..Check::yes(check, found, without) };
    // An engine elsewhere would be asked over a network. Old programs have no contexts, and an engine on this machine.
    let context = ran("docker", &["context", "inspect", "--format", "{{.Endpoints.docker.Host}}"]);
    let host = match &context {
        Ran::Missing => return absent("there is no program docker".to_owned()),
        Ran::Ended(true, host) => Some(host.as_str()),
        _ => None,
    };
    let variable = std::env::var("DOCKER_HOST").unwrap_or_default();
    let host = host.or(Some(variable.as_str())).filter(|host| !host.is_empty() && !host.starts_with("unix://"));
    if let Some(host) = host {
        return absent(format!("docker's engine is at {host}, and is not asked: no packet is to leave this machine"));
    }
    match ran("docker", &["version", "--format", "{{.Server.Version}}"]) {
        Ran::Ended(true, version) => Check::yes(check, format!("engine {version}"), means),
        Ran::Missing => absent("there is no program docker".to_owned()),
        refused => {
            Check::no(check, words("docker version", &refused), without, "start its engine, or join the group docker")
        }
    }
}

fn compose() -> Check {
    let check = "compose";
    let means = "docker-compose.yml can be brought up";
    if let Ran::Ended(true, version) = ran("docker", &["compose", "version", "--short"]) {
        return Check::yes(check, format!("docker compose {version}"), means);
    }
    match ran("docker-compose", &["--version"]) {
        Ran::Ended(true, version) => Check::yes(check, version, means),
        Ran::Missing => Check {
            state: State::Absent,
            how: Some("install docker's plugin compose".to_owned()),
            ..Check::yes(
                check,
                "neither docker compose nor docker-compose is there",
                "docker-compose.yml is of no use here",
            )
        },
        refused => {
            let found = words("docker-compose --version", &refused);
            Check::no(check, found, "docker-compose.yml is of no use here", "install docker's plugin compose")
        }
    }
}

fn words(what: &str, ran: &Ran) -> String {
    match ran {
        Ran::Missing => format!("{what}: there is no such program"),
        Ran::Refused(error) => format!("{what}: {error}"),
        Ran::Hung => format!("{what} did not end within {} s", LIMIT.as_secs()),
        Ran::Untold(error) => format!("how {what} ended cannot be told: {error}"),
        Ran::Ended(_, said) if said.is_empty() => format!("{what} failed without a word"),
        Ran::Ended(_, said) => format!("{what} failed: {said}"),
    }
}

/// Runs a program that is not waited for without end.
fn ran(program: &str, args: &[&str]) -> Ran {
    let (said, says) = match io::pipe() {
        Ok(pipe) => pipe,
        Err(error) => return Ran::Refused(error),
    };
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null());
    match says.try_clone() {
        Ok(copy) => command.stdout(says).stderr(copy),
        Err(error) => return Ran::Refused(error),
    };
    let began = Instant::now();
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ran::Missing,
        Err(error) => return Ran::Refused(error),
    };
    // With it this side's ends of the pipe are closed, so that the other side's end can be seen.
    drop(command);
    // What it starts may hold the pipe open for longer than it lives itself.
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let mut text = Vec::new();
        let _ = said.take(MOST).read_to_end(&mut text);
        let _ = tell.send(text);
    });
    let text = told.recv_timeout(LIMIT);
    loop {
        match child.try_wait() {
            Ok(Some(status)) => {
                let text = text.unwrap_or_default();
                let text = String::from_utf8_lossy(&text);
                let last = text.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default();
                return Ran::Ended(status.success(), last.to_owned());
            }
            Ok(None) if began.elapsed() < LIMIT => thread::sleep(PAUSE),
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                return Ran::Hung;
            }
            Err(error) => return Ran::Untold(error),
        }
    }
}

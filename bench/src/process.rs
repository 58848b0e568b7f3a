//! Processes that are started here: bounded in time, ended by their pid however this program ends, and measured.

use std::{
    ffi::OsStr,
    fs::File,
    os::fd::AsFd,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open},
};
use wait4::Wait4;

use crate::{interrupt, tree};

/// What is told to end has so long to do so; then it is killed.
const GRACE: Duration = Duration::from_secs(5);
/// How often a wait looks whether this program was told to stop.
const LOOK: Duration = Duration::from_millis(100);

/// A command that gets nothing of this program's environment but the search path: proxies, `VISIT_*`, `RUST_LOG` or a
/// locale would change what is measured.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    command
}

/// A child that does not outlive its guard.
#[derive(Debug)]
pub(crate) struct Guarded(Option<Child>);

impl Guarded {
    /// Starts it.
    pub(crate) fn spawn(command: &mut Command) -> Result<Self> {
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command.spawn().with_context(|| format!("cannot start {program}"))?;
        Ok(Self(Some(child)))
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(self.child())
    }

    /// The child itself.
    pub(crate) fn child(&self) -> &Child {
        self.0.as_ref().expect("it is taken by `wait` alone, which takes the guard with it")
    }

    /// Waits until it has ended; ends it where it takes longer than `limit`.
    pub(crate) fn wait(mut self, began: Instant, limit: Duration) -> Result<Run> {
        wait_readable(&pidfd_open(self.pid(), PidfdFlags::empty())?, limit)?;
        let wall = began.elapsed();
        let child = self.0.take().expect("nobody else takes it");
        let used = child.wait4()?;
        let cpu = used.rusage.utime + used.rusage.stime;
        Ok(Run { status: used.status, wall, cpu, peak_rss: used.rusage.maxrss })
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn end(mut self) -> Result<()> {
        self.end_now()
    }

    fn end_now(&mut self) -> Result<()> {
        let Some(mut child) = self.0.take() else { return Ok(()) };
        let pid = Pid::from_child(&child);
        // A server that is killed cannot end the processes that it started: they are remembered before it is gone.
        let family = tree::family(pid.as_raw_pid());
        kill_process(pid, Signal::TERM)?;
        let ended =
            pidfd_open(pid, PidfdFlags::empty()).map(|pidfd| poll_until(&pidfd, Instant::now() + GRACE, || Ok(())));
        if !matches!(ended, Ok(Ok(true))) {
            child.kill()?;
        }
        child.wait()?;
        tree::kill(&family);
        Ok(())
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // Nobody is left to be told that a process could not be ended.
        let _ = self.end_now();
    }
}

/// A process that ran to its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    /// How it ended.
    pub(crate) status: ExitStatus,
    /// From before it was started until it had ended.
    pub(crate) wall: Duration,
    /// User and system time, its own children included.
    pub(crate) cpu: Duration,
    /// Its largest resident set in bytes. On Linux never less than this program's own, which it was forked from.
    pub(crate) peak_rss: u64,
}

/// Runs it to its end.
pub(crate) fn run(command: &mut Command, limit: Duration) -> Result<Run> {
    interrupt::check()?;
    let began = Instant::now();
    Guarded::spawn(command)?.wait(began, limit)
}

/// Runs it to its end, which must be a good one, and returns what it said on stdout.
pub(crate) fn said(command: &mut Command, limit: Duration, scratch: &Path) -> Result<String> {
    let (run, out, err) = heard(command, limit, scratch)?;
    if !run.status.success() {
        let program = command.get_program().to_string_lossy().into_owned();
        bail!("{program} ended with {}: {}", run.status, last_lines(&err));
    }
    Ok(out)
}

/// Runs it to its end, good or not, and returns what it said on stdout and on stderr.
pub(crate) fn heard(command: &mut Command, limit: Duration, scratch: &Path) -> Result<(Run, String, String)> {
    // Files, not pipes: nobody has to read while it runs, and it can say as much as it likes.
    let (out, err) = (scratch.join("stdout"), scratch.join("stderr"));
    let run = run(command.stdout(File::create(&out)?).stderr(File::create(&err)?), limit)?;
    let (out, err) = (std::fs::read(&out)?, std::fs::read(&err)?);
    Ok((run, String::from_utf8_lossy(&out).into_owned(), String::from_utf8_lossy(&err).into_owned()))
}

/// The end of a log, in one line.
pub(crate) fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(3)..].join(" | ")
}

/// Waits until this can be read, which for a pidfd means that the process has ended.
pub(crate) fn wait_readable(fd: &impl AsFd, limit: Duration) -> Result<()> {
    if poll_until(fd, Instant::now() + limit, || Ok(interrupt::check()?))? {
        return Ok(());
    }
    bail!("it took longer than {} s", limit.as_secs())
}

/// `Ok(false)`: the deadline came first.
fn poll_until(fd: &impl AsFd, deadline: Instant, look: impl Fn() -> Result<()>) -> Result<bool> {
    loop {
        look()?;
        let left = deadline.saturating_duration_since(Instant::now());
        let wait = Timespec::try_from(left.min(LOOK)).expect("a tenth of a second at most");
        match poll(&mut [PollFd::new(fd, PollFlags::IN)], Some(&wait)) {
            Ok(0) if left.is_zero() => return Ok(false),
            Ok(0) | Err(Errno::INTR) => {}
            Ok(_) => return Ok(true),
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_measured() {
        let run = run(command("sleep").arg("0.05"), Duration::from_secs(5)).unwrap();
        assert!(run.status.success());
        assert!((50..2000).contains(&run.wall.as_millis()), "{run:?}");
        assert!(run.cpu < run.wall && run.peak_rss > 100_000, "{run:?}");
    }

    #[test]
    fn what_takes_too_long_is_ended() {
        let mut child = command("sleep");
        let began = Instant::now();
        let error = run(child.arg("60"), Duration::from_millis(50)).unwrap_err();
        assert!(error.to_string().contains("longer"), "{error}");
        assert!(began.elapsed() < GRACE);
    }

    #[test]
    fn a_family_is_ended_with_its_head() {
        let shell = Guarded::spawn(command("sh").args(["-c", "sleep 61 & wait"])).unwrap();
        let head = shell.pid().as_raw_pid();
        let family = loop {
            let family = tree::family(head);
            if family.len() == 2 {
                break family;
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        // The signal ends the shell, which does not pass it on.
        shell.end().unwrap();
        assert!(family.iter().all(|member| !member.is_alive()));
    }
}

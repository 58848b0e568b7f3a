//! How long this process's threads wait for a processor. The kernel counts it for each
//! (`Documentation/scheduler/sched-stats.rst`); where it does not, nothing is known.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use journey::{
    chronicle::YOU,
    machine::{RunDelay, SWITCH},
};

/// Shorter waits are not told.
const SHORT_US: u64 = 10_000;

/// The threads of this process and what the kernel has counted so far.
#[derive(Debug)]
pub struct Threads(HashMap<PathBuf, u64>);

impl Threads {
    /// What has been counted until now.
    pub fn now() -> Self {
        let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
        Self(tasks.filter_map(|task| Some((task.path(), waited_ns(&task.path())?))).collect())
    }

    /// How long the calling thread has waited until its visit ended, and the lab's hosts and its switch until now, the
    /// longest first: a host that has not run yet is counted when it does. Of several threads of one name (a lab for each
    /// scenario) it is the longest.
    pub fn delays(&self, visit_ends: &Self) -> Vec<RunDelay> {
        let me = fs::read_link("/proc/thread-self").unwrap_or_default();
        let mut delays: HashMap<String, u64> = HashMap::new();
        for (task, now_ns) in Self::now().0 {
            let is_me = task.file_name() == me.file_name();
            let Some(of) = (if is_me { Some(YOU.to_owned()) } else { owner(&task) }) else { continue };
            let ns = if is_me { visit_ends.0.get(&task).copied().unwrap_or_default() } else { now_ns };
            let us = ns.saturating_sub(self.0.get(&task).copied().unwrap_or_default()) / 1_000;
            let known = delays.entry(of).or_default();
            *known = (*known).max(us);
        }
        let mut delays: Vec<RunDelay> = delays.into_iter().map(|(of, us)| RunDelay { of, us }).collect();
        delays.retain(|delay| delay.us >= SHORT_US);
        delays.sort_by(|one, other| other.us.cmp(&one.us).then_with(|| one.of.cmp(&other.of)));
        delays
    }
}

/// Nanoseconds that a thread was ready to run and did not: the second number.
fn waited_ns(task: &Path) -> Option<u64> {
    fs::read_to_string(task.join("schedstat")).ok()?.split_whitespace().nth(1)?.parse().ok()
}

/// Whom of the lab a thread belongs to, by its name.
fn owner(task: &Path) -> Option<String> {
    let name = fs::read_to_string(task.join("comm")).ok()?;
    let name = name.trim_end();
    name.strip_prefix("host ").or_else(|| Some(name).filter(|name| *name == SWITCH)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::{thread, time::Duration};

    use super::*;

    #[test]
    fn a_thread_that_never_ran_late_is_not_told_of() {
        let before = Threads(Threads::now().0.into_keys().map(|task| (task, u64::MAX)).collect());
        assert!(before.delays(&Threads::now()).iter().all(|delay| delay.of != YOU));
    }

    #[test]
    fn waits_are_told_by_whose_they_are() {
        // All that this thread has ever waited is more than nothing, so it is told as soon as it is long enough.
        let all = Threads(HashMap::new()).delays(&Threads::now());
        let waited = waited_ns(Path::new("/proc/thread-self"));
        let is_told = all.iter().any(|delay| delay.of == YOU);
        assert_eq!(is_told, waited.is_some_and(|ns| ns / 1_000 >= SHORT_US), "{all:?} {waited:?}");
        let (done, end) = std::sync::mpsc::channel::<()>();
        let (started, start) = std::sync::mpsc::channel::<()>();
        let named = thread::Builder::new().name("host root".to_owned()).spawn(move || {
            let _ = started.send(());
            let _ = end.recv_timeout(Duration::from_secs(60));
        });
        let named = named.unwrap();
        start.recv().unwrap();
        let tasks = Threads::now().0;
        assert!(tasks.keys().any(|task| owner(task).as_deref() == Some("root")), "{tasks:?}");
        drop(done);
        named.join().unwrap();
    }
}

//! A process and all that it started, as `/proc` tells: CPU time and memory.

use std::{collections::HashMap, fs, time::Duration};

use rustix::process::{Pid, Signal, kill_process};

/// One process. Its start tells it from a later one with the same number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) pid: i32,
    parent: i32,
    started: u64,
    /// Ticks of its own and of the children that it has waited for.
    ticks: u64,
    zombie: bool,
}

impl Member {
    /// Whether it still runs.
    pub(crate) fn is_alive(&self) -> bool {
        read(self.pid).is_some_and(|now| now.started == self.started && !now.zombie)
    }
}

/// The process and its descendants, as far as they live now.
pub(crate) fn family(head: i32) -> Vec<Member> {
    let numbers = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = numbers.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let all: HashMap<i32, Member> = pids.filter_map(|pid| Some((pid, read(pid)?))).collect();
    let belongs = |member: &&Member| {
        let mut pid = member.pid;
        // A chain of parents ends at the head or at process 0, and none is longer than there are processes.
        for _ in 0..=all.len() {
            if pid == head {
                return true;
            }
            match all.get(&pid) {
                Some(member) => pid = member.parent,
                None => return false,
            }
        }
        false
    };
    all.values().filter(belongs).cloned().collect()
}

/// Kills those that still run, and waits a little until they are gone; somebody else reaps them.
pub(crate) fn kill(family: &[Member]) {
    for member in family.iter().filter(|member| member.is_alive()) {
        let _ = Pid::from_raw(member.pid).map(|pid| kill_process(pid, Signal::KILL));
    }
    for _ in 0..200 {
        if !family.iter().any(Member::is_alive) {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// User and system time of the whole family until now.
pub(crate) fn cpu(head: i32) -> Duration {
    let ticks: u64 = family(head).iter().map(|member| member.ticks).sum();
    Duration::from_secs(ticks) / u32::try_from(rustix::param::clock_ticks_per_second()).unwrap_or(100)
}

/// Bytes that the whole family holds in memory; pages that several processes share are counted once (Pss).
pub(crate) fn memory(head: i32) -> Option<u64> {
    let sizes = family(head).into_iter().map(|member| {
        let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", member.pid)).ok()?;
        kibibytes(&rollup, "Pss")
    });
    sizes.sum()
}

/// A value of `/proc/PID/status` in bytes: `VmRSS`, `VmHWM`.
pub(crate) fn status_bytes(pid: i32, key: &str) -> Option<u64> {
    kibibytes(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?, key)
}

/// The threads of a process.
pub(crate) fn threads(pid: i32) -> Option<usize> {
    Some(fs::read_dir(format!("/proc/{pid}/task")).ok()?.count())
}

/// Bytes in the unit of the tables.
pub(crate) fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / (1024.0 * 1024.0)
}

fn kibibytes(text: &str, key: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    let number: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(number * 1024)
}

fn read(pid: i32) -> Option<Member> {
    parse(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Reads `/proc/PID/stat`, proc_pid_stat(5).
fn parse(pid: i32, stat: &str) -> Option<Member> {
    // The second field is the program's name in parentheses and may itself hold spaces and parentheses.
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    // `fields[0]` is the third field of the manual.
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    Some(Member {
        pid,
        parent: fields.get(1)?.parse().ok()?,
        started: field(22)?,
        ticks: field(14)? + field(15)? + field(16)? + field(17)?,
        zombie: fields.first() == Some(&"Z"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line() {
        let line =
            "77 (a) b (c)) S 12 77 77 0 -1 4194560 100 200 0 0 11 7 3 2 20 0 5 0 4242 1000 200 18446744073709551615";
        let expected = Member { pid: 77, parent: 12, started: 4242, ticks: 23, zombie: false };
        assert_eq!(parse(77, line), Some(expected));
        assert_eq!(parse(77, "77 (cut"), None);
    }

    #[test]
    fn sizes() {
        let text = "Name:\tx\nVmHWM:\t    5120 kB\nVmRSS:\t     300 kB\n";
        assert_eq!(kibibytes(text, "VmHWM"), Some(5120 * 1024));
        assert_eq!(kibibytes(text, "VmR"), None);
    }

    #[test]
    fn this_process_is_its_own_family() {
        let me = i32::try_from(std::process::id()).unwrap();
        assert!(family(me).iter().any(|member| member.pid == me && member.is_alive()));
        assert!(memory(me).unwrap() > 100_000);
    }
}

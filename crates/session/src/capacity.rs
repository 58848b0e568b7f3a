//! What a lab needs of this machine, and whether there is room for it: said before anything is made, and where something
//! was refused all the same.

use std::{fs::File, io};

use anyhow::{anyhow, ensure};
use nix::{
    errno::Errno,
    sys::resource::{Resource, getrlimit},
};
use world::World;

/// Files of the program itself.
const PROGRAM: u64 = 32;
/// The runtime of a host that serves, or of a client that visits.
const RUNTIME: u64 = 4;
/// Sockets of a visit under way: two that ask or connect, one more where they fail over, and the server's end.
const VISIT: u64 = 4;
/// A namespace of a host, in wire.
const NAMESPACE: u64 = 1;
/// What a host's namespace is made and asked with; all may be at it at once.
const MAKING: u64 = 2;

/// What a runtime with its signals and one connection open, beside stdin, stdout and stderr.
const LEAST: usize = 7;
/// What malloc(3) of glibc reserves of the address space for the first threads (mallopt(3), M_ARENA_MAX).
const ARENA: u64 = 64 << 20;
/// Of the address space: the program, its stacks and what it works with.
const PROGRAM_SPACE: u64 = 256 << 20;

/// A lab, as far as its size matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Hosts that serve.
    servers: u64,
    /// Their listening sockets.
    sockets: u64,
    /// Clients; none where the lab has no network of its own.
    clients: u64,
    /// How many of them visit at once.
    at_once: u64,
}

impl Size {
    /// A lab of this world.
    pub fn of(world: &World, without: &[String], clients: usize, at_once: usize) -> Self {
        let served = world.hosts.iter().filter(|(name, _)| !without.contains(name));
        let sockets = served.clone().map(|(_, host)| host.listens(&world.network).len() as u64).sum();
        let (clients, at_once) = (clients as u64, at_once.min(clients) as u64);
        Self { servers: served.count() as u64, sockets, clients, at_once }
    }

    /// Hosts with a namespace of their own.
    fn namespaces(self) -> u64 {
        // The router is one more.
        if self.clients == 0 { 0 } else { self.servers + 1 + self.clients }
    }

    /// Files and sockets at most. A test holds the lab to it.
    pub fn files(self) -> u64 {
        let standing = PROGRAM + self.servers * RUNTIME + self.sockets + self.namespaces() * NAMESPACE;
        standing + (self.namespaces() * MAKING).max(self.at_once.max(1) * (RUNTIME + VISIT))
    }

    /// Address space at most: each host has a thread.
    fn address_space(self, cpus: u64) -> u64 {
        PROGRAM_SPACE + (self.servers + self.namespaces() + self.at_once).min(8 * cpus) * ARENA
    }

    /// How many clients have room within so many files, all visiting at once if these do.
    pub fn fitting(self, files: u64) -> u64 {
        let all = self.at_once == self.clients;
        let fits = |clients: &u64| {
            let at_once = if all { *clients } else { self.at_once.min(*clients) };
            Self { clients: *clients, at_once, ..self }.files() <= files
        };
        (1..=self.clients).take_while(fits).last().unwrap_or(0)
    }
}

/// How many files this process may have at once: now, and if it asks for more.
pub fn file_limits() -> Result<(u64, u64), Errno> {
    getrlimit(Resource::RLIMIT_NOFILE)
}

/// Makes sure that a visit can be made at all: where there are fewer descriptors, tokio panics.
pub fn descriptors() -> anyhow::Result<()> {
    let spare: io::Result<Vec<File>> = (0..LEAST).map(|_| File::open("/dev/null")).collect();
    match spare.err().and_then(|error| error.raw_os_error()).map(Errno::from_raw) {
        Some(Errno::EMFILE) => {
            let most = file_limits().map_or_else(|_| String::new(), |(soft, _)| format!(" {soft}"));
            let least = LEAST + 3;
            Err(anyhow!("this process may have only{most} open files (ulimit -n), and a visit needs at least {least}"))
        }
        Some(Errno::ENFILE) => Err(anyhow!("this machine may have no more open files (sysctl fs.file-max)")),
        _ => Ok(()),
    }
}

/// What gives a process more files.
pub fn more_files(needed: u64) -> String {
    let enough = needed.next_power_of_two();
    format!("ulimit -Hn {enough} as root, or LimitNOFILE={enough} of the service that starts it")
}

/// Takes as many files as this process may have, and makes sure that they are enough.
pub fn make(size: Size) -> anyhow::Result<()> {
    service::start::raise_file_limit();
    let cpus = std::thread::available_parallelism().map_or(1, |cpus| cpus.get() as u64);
    if let Ok((most, _)) = getrlimit(Resource::RLIMIT_AS) {
        enough_space(size.address_space(cpus), most)?;
    }
    // Where it cannot be known, the lab tries.
    let Ok((_, most)) = file_limits() else { return Ok(()) };
    enough(size, most)
}

fn enough_space(needed: u64, most: u64) -> anyhow::Result<()> {
    ensure!(
        needed <= most,
        "a lab takes up to {} MiB of address space, and this process may have {} MiB (ulimit -v)",
        needed >> 20,
        most >> 20,
    );
    Ok(())
}

fn enough(size: Size, most: u64) -> anyhow::Result<()> {
    let needed = size.files();
    let more = more_files(needed);
    ensure!(
        needed <= most || size.clients == 0,
        "a lab of {} hosts takes up to {needed} files and sockets, and this process may have {most} (ulimit -Hn): {}; {more}",
        size.namespaces(),
        match size.fitting(most) {
            0 => "it has no room for a single client".to_owned(),
            1 => "it has room for one client".to_owned(),
            fitting => format!("it has room for {fitting} clients"),
        },
    );
    ensure!(
        needed <= most,
        "a lab of {} hosts takes up to {needed} files and sockets, and this process may have {most} (ulimit -Hn); {more}",
        size.servers,
    );
    Ok(())
}

/// The error, and what there is too little of where it comes from that.
pub fn explained(error: impl Into<anyhow::Error>) -> anyhow::Error {
    let error = error.into();
    let refused = error.chain().find_map(|cause| cause.downcast_ref::<io::Error>()?.raw_os_error());
    match refused.and_then(short_of) {
        Some(what) => anyhow!("{error}; {what}"),
        None => error,
    }
}

/// What this machine has too little of when it says that. A lab does nothing else of which it would say so.
fn short_of(errno: i32) -> Option<String> {
    Some(match Errno::from_raw(errno) {
        Errno::EMFILE => {
            "this process may have no more files and sockets: ulimit -Hn, or LimitNOFILE= of the service that starts it"
                .to_owned()
        }
        Errno::ENFILE => "this machine may have no more files and sockets: sysctl fs.file-max".to_owned(),
        Errno::ENOSPC => "user.max_net_namespaces allows no more network namespaces, and every host has one: \
             `sysctl user.max_net_namespaces=1000`, outside the container if it is in one"
            .to_owned(),
        Errno::EAGAIN => {
            let limit = getrlimit(Resource::RLIMIT_NPROC).ok().map(|(soft, _)| soft);
            let limit = limit.filter(|limit| *limit < u64::from(u32::MAX));
            let limit = limit.map_or_else(String::new, |limit| format!(" (it is {limit})"));
            format!(
                "there may be no more threads: ulimit -u for those of this user{limit}, pids.max (docker run --pids-limit, \
                 TasksMax=) for those of a container or a service, sysctl kernel.threads-max for all"
            )
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built_in(clients: usize, at_once: usize) -> Size {
        Size::of(&World::built_in(), &[], clients, at_once)
    }

    #[test]
    fn sizes() {
        let lab = built_in(93, 93);
        assert_eq!(lab.namespaces(), 101);
        // What fits, fits, and one more does not.
        for limit in [64, 150, 256, 1024, 20_000] {
            let fitting = usize::try_from(lab.fitting(limit)).unwrap();
            assert!(fitting == 0 || built_in(fitting, fitting).files() <= limit, "{limit}: {fitting}");
            assert!(fitting == 93 || built_in(fitting + 1, fitting + 1).files() > limit, "{limit}: {fitting}");
        }
        // Who waits costs less than who visits.
        assert!(built_in(93, 1).fitting(512) > built_in(93, 93).fitting(512));
        assert!(built_in(0, 0).files() < built_in(1, 1).files());
        let without = Size::of(&World::built_in(), &["app1".to_owned()], 1, 1);
        assert!(without.files() < built_in(1, 1).files());
    }

    #[test]
    fn too_few_files() {
        let check = |size: Size, most, words: &str| {
            let error = enough(size, most).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
            assert!(error.contains(&format!("up to {} files", size.files())), "{error}");
            assert!(error.contains("ulimit -Hn") && error.contains("LimitNOFILE="), "{error}");
        };
        let fitting = built_in(93, 93).fitting(256);
        check(built_in(93, 93), 256, &format!("has room for {fitting} clients"));
        check(built_in(1, 1), 64, "no room for a single client");
        check(built_in(0, 0), 64, "a lab of 7 hosts");
        let enough_of = |size: Size| enough(size, size.files()).is_ok() && enough(size, size.files() - 1).is_err();
        assert!(enough_of(built_in(93, 93)) && enough_of(built_in(0, 0)));
    }

    #[test]
    fn too_little_address_space() {
        let size = built_in(1, 1);
        assert!(size.address_space(2) < size.address_space(64));
        let error = enough_space(1 << 30, 500 << 20).unwrap_err().to_string();
        assert_eq!(error, "a lab takes up to 1024 MiB of address space, and this process may have 500 MiB (ulimit -v)");
        assert!(enough_space(1 << 30, u64::MAX).is_ok());
    }

    #[test]
    fn what_is_short() {
        let check = |errno: Errno, words: Option<&str>| {
            let error = explained(anyhow!(io::Error::from(errno)).context("a step")).to_string();
            match words {
                Some(words) => assert!(error.starts_with("a step") && error.contains(words), "{error}"),
                None => assert_eq!(error, "a step"),
            }
        };
        check(Errno::EMFILE, Some("ulimit -Hn"));
        check(Errno::ENFILE, Some("fs.file-max"));
        check(Errno::ENOSPC, Some("user.max_net_namespaces"));
        check(Errno::EAGAIN, Some("ulimit -u"));
        check(Errno::EPERM, None);
    }
}

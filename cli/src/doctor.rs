//! `visit doctor`: what this machine allows, what each of it is good for, and how to get what is missing. Everything is
//! asked of this machine alone; no packet leaves it.

mod docker;

use std::{
    io::{self, IsTerminal},
    net::{IpAddr, Ipv6Addr, TcpListener},
    os::fd::AsFd,
    path::{Path, PathBuf},
};

use journey::MadeBy;
use netlab::{
    kernel::{self, Routed},
    sys::{
        namespace::{self, Allowed},
        packet::PacketSocket,
    },
};
use nix::{
    errno::Errno,
    time::{ClockId, clock_getres},
    unistd::{AccessFlags, eaccess, getuid},
};
use probe::{calls::errno, system};
use serde::Serialize;
use session::capacity::{self, Size};
use view::Style;
use world::World;

use crate::{
    Stopped,
    args::{Doctor, MOST_CLIENTS},
    print, screens, terminal,
};

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct Diagnosis {
    /// The program that looked.
    pub made_by: MadeBy,
    /// One by one.
    pub checks: Vec<Check>,
}

/// One thing that a machine may allow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at.
    pub check: &'static str,
    /// Whether it is there.
    pub state: State,
    /// What was found.
    pub found: String,
    /// What that means for visits.
    pub means: String,
    /// How to get what is missing, as one would type or do it.
    pub how: Option<String>,
}

/// Whether something is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is.
    Yes,
    /// It is not, or is refused.
    No,
    /// It is not, and nobody needs it to be.
    Absent,
}

/// Looks, and shows; returns 0 whatever was found.
pub fn run(doctor: &Doctor) -> Result<u8, Stopped> {
    let style = terminal::style(doctor.color);
    let diagnosis = Diagnosis {
        made_by: MadeBy { name: "visit".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() },
        checks: checks(&style),
    };
    print(&if doctor.json { view::json(&diagnosis) } else { screens::doctor(&diagnosis, &style) })?;
    Ok(0)
}

fn checks(style: &Style) -> Vec<Check> {
    let mut checks = vec![
        namespaces(),
        capture(),
        loopback_v6(),
        // Addresses for documentation (RFC 5737, RFC 3849): they are on hardly any network, so that the way to them is that
        // to all of the internet.
        way("ipv4 route", IpAddr::from([203, 0, 113, 1])),
        way("ipv6 route", IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1])),
        open_files(),
        clock(),
        resolver(),
        authority(ca::data_dir(|name| std::env::var_os(name)).as_deref()),
    ];
    checks.extend(docker::checks());
    checks.push(terminal(style));
    checks
}

impl Check {
    fn yes(check: &'static str, found: impl Into<String>, means: impl Into<String>) -> Self {
        Self { check, state: State::Yes, found: found.into(), means: means.into(), how: None }
    }

    fn no(check: &'static str, found: impl Into<String>, means: impl Into<String>, how: impl Into<String>) -> Self {
        Self { state: State::No, how: Some(how.into()), ..Self::yes(check, found, means) }
    }
}

fn namespaces() -> Check {
    let check = "namespaces";
    match namespace::probe() {
        Ok(allowed) => {
            let how = match allowed {
                Allowed::Privileged => "with the rights that this program has",
                Allowed::UserNamespace => "in a user namespace of its own, without root",
            };
            Check::yes(
                check,
                format!("it may have network namespaces, {how}"),
                "the lab has a network of its own: every frame in it is real, and is seen",
            )
        }
        Err(refusal) => Check::no(
            check,
            refusal.to_string(),
            "the lab runs on loopback, where sockets stand in for its addresses and no frames are seen",
            refusal.ways_out(),
        ),
    }
}

fn capture() -> Check {
    let check = "capture";
    match PacketSocket::open() {
        Ok(_) => {
            let names = kernel::interfaces().map(|all| {
                all.into_iter().filter(|interface| interface.is_up).map(|interface| interface.name).collect::<Vec<_>>()
            });
            let of = match names {
                Ok(names) if names.is_empty() => "; no interface is up".to_owned(),
                Ok(names) => format!(": {}", names.join(", ")),
                Err(_) => String::new(),
            };
            let means = "the frames of visits outside the lab can be seen";
            Check::yes(check, format!("it may capture on this machine's interfaces{of}"), means)
        }
        Err(error) => {
            let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("visit"));
            let how = match getuid().is_root() {
                // Root has no such right where somebody took it away.
                true => "start the container with NET_RAW (docker run --cap-add NET_RAW), or run it outside".to_owned(),
                false => {
                    format!(
                        "run it as root, or give the program the right: setcap cap_net_raw+ep {}",
                        program.display()
                    )
                }
            };
            Check::no(
                check,
                format!("socket(AF_PACKET): {}", errno(&error)),
                "frames of visits outside the lab are not seen; the lab's own network does not need this",
                how,
            )
        }
    }
}

fn loopback_v6() -> Check {
    let check = "ipv6 loopback";
    match TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) {
        Ok(_) => Check::yes(check, "a socket can be bound to ::1", "a lab on loopback has IPv6 as well"),
        Err(error) => Check::no(
            check,
            format!("a socket cannot be bound to ::1: {}", errno(&error)),
            "a lab on loopback has IPv4 alone",
            "sysctl net.ipv6.conf.lo.disable_ipv6=0, and ip link set lo up",
        ),
    }
}

fn way(check: &'static str, to: IpAddr) -> Check {
    let means = "addresses of that family can be tried; whether anybody answers shows in a visit";
    let without = "visits to the internet have no way to addresses of that family";
    match kernel::route(to) {
        Ok(Routed::Way(route)) => {
            let gateway = route.gateway.map_or_else(String::new, |gateway| format!(" to the gateway {gateway}"));
            let from = route.source.map_or_else(String::new, |source| format!(", from {source}"));
            let found = format!("by {}{gateway}{from}", route.interface.name);
            Check::yes(check, found, means)
        }
        Ok(Routed::Nowhere(why)) => Check::no(
            check,
            format!("this machine's routing table has {why} for the internet"),
            without,
            "connect this machine to a network that has it",
        ),
        Err(error) => Check::no(
            check,
            format!("the kernel does not tell: {}", errno(&error)),
            "the stage route is left out of visits",
            "allow netlink sockets (a system call filter forbids them)",
        ),
    }
}

fn open_files() -> Check {
    let check = "open files";
    let (soft, hard) = match capacity::file_limits() {
        Ok(limits) => limits,
        Err(why) => {
            return Check::no(check, format!("getrlimit: {why}"), "how many there may be is not known", "ulimit -n");
        }
    };
    let found = format!("{soft} at once, and up to {hard} if asked for (RLIMIT_NOFILE); a lab asks");
    let most = Size::of(&World::built_in(), &[], MOST_CLIENTS, MOST_CLIENTS);
    let one = Size::of(&World::built_in(), &[], 1, 1);
    let takes = format!("the lab with one client takes up to {}", one.files());
    match most.fitting(hard) {
        0 => Check::no(check, found, format!("no lab has room: {takes}"), capacity::more_files(one.files())),
        fitting => {
            let fitting =
                if fitting == MOST_CLIENTS as u64 { "all that it can have".to_owned() } else { fitting.to_string() };
            Check::yes(check, found, format!("{takes}; clients that have room at once: {fitting}"))
        }
    }
}

fn clock() -> Check {
    let check = "clock";
    let (found, steps_ns) = match clock_getres(ClockId::CLOCK_MONOTONIC) {
        Ok(step) => {
            let ns = step.tv_sec().saturating_mul(1_000_000_000).saturating_add(step.tv_nsec());
            (format!("CLOCK_MONOTONIC in steps of {ns} ns"), ns)
        }
        Err(why) => (format!("CLOCK_MONOTONIC: {why}"), i64::MAX),
    };
    if steps_ns <= 1_000 {
        return Check::yes(check, found, "times are as fine as they are shown, in microseconds");
    }
    Check::no(
        check,
        found,
        "times are coarser than they are shown",
        "a kernel with high-resolution timers (CONFIG_HIGH_RES_TIMERS)",
    )
}

fn resolver() -> Check {
    let check = "resolver";
    let system = system::resolv_conf(Path::new(system::RESOLV_CONF), &system::Environment::read());
    let servers: Vec<String> = system.servers.iter().map(|server| server.address.to_string()).collect();
    let servers = servers.join(", ");
    if system.is_default {
        return Check::no(
            check,
            format!("{} names no resolver", system::RESOLV_CONF),
            format!("names outside the lab are asked of the default, {servers}"),
            "visit --resolver ADDR, or a line `nameserver ADDR` in that file",
        );
    }
    Check::yes(
        check,
        format!("{} names {servers}", system::RESOLV_CONF),
        "names outside the lab are asked of it; whether it answers shows in a visit",
    )
}

fn authority(directory: Option<&Path>) -> Check {
    let check = "authority";
    let anew = "the lab makes a new authority each time: what trusted an earlier one does not trust the next";
    let how = "name a directory of your own that can be written to: VISIT_DATA=DIRECTORY";
    let Some(directory) = directory else {
        return Check::no(check, "no directory for it is known: HOME is not set", anew, how);
    };
    let kept = match ca::certificate_of(directory) {
        Ok(kept) => kept,
        Err(error) => return Check::no(check, error.to_string(), anew, how),
    };
    // What is not there yet would be made in the first directory above it that is.
    let there = directory.ancestors().find(|there| there.exists()).unwrap_or_else(|| Path::new("/"));
    let writable = eaccess(there, AccessFlags::W_OK | AccessFlags::X_OK);
    let shown = directory.display();
    match (kept.is_some(), writable) {
        (true, Ok(())) => {
            Check::yes(check, format!("kept in {shown}"), "programs that trust it once trust every lab of yours")
        }
        (true, Err(_)) => {
            Check::yes(check, format!("kept in {shown}, which cannot be written to"), "it is used until it expires")
        }
        (false, Ok(())) => Check::yes(
            check,
            format!("it will be kept in {shown}"),
            "programs that trust it once trust every lab of yours",
        ),
        (false, Err(why)) => {
            Check::no(check, format!("{} cannot be written to: {}", there.display(), words(why)), anew, how)
        }
    }
}

fn words(why: Errno) -> String {
    errno(&io::Error::from(why))
}

fn terminal(style: &Style) -> Check {
    let has = |yes: bool, what: &str| format!("{}{what}", if yes { "" } else { "no " });
    let looks = format!(
        "{} columns, {}, {}",
        style.width,
        has(style.color, "colours"),
        has(style.unicode, "characters beyond ASCII")
    );
    let means = "this is how screens are drawn here".to_owned();
    if io::stdout().is_terminal() {
        let known = terminal_size::terminal_size_of(io::stdout().as_fd()).is_some();
        let found = if known { looks } else { format!("{looks}; it does not tell its width") };
        return Check::yes("terminal", found, means);
    }
    let found = format!("the output goes to no terminal: {looks}");
    Check { state: State::Absent, ..Check::yes("terminal", found, means) }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn where_the_authority_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let check = |directory: Option<&Path>, state, words: &str| {
            let found = authority(directory);
            assert!(found.state == state && found.found.contains(words), "{directory:?}: {found:?}");
        };
        check(None, State::No, "HOME is not set");
        check(Some(&folder.path().join("not/yet")), State::Yes, "will be kept in");
        check(Some(Path::new("/proc/1/visit")), State::No, "cannot be written to: E");
        let open = folder.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
        check(Some(&open), State::No, "may be written to by others");
        assert!(!folder.path().join("not").exists(), "nothing was made");
    }
}

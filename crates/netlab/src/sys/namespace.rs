//! Network namespaces without root: a user namespace of this process's own, in which it may make them.

use std::{
    ffi::CStr,
    fmt, fs,
    fs::File,
    io::{self, Write},
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    path::Path,
    thread,
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, open},
    sched::{CloneFlags, setns, unshare},
    sys::{socket, stat::Mode, wait::waitpid},
    unistd::{ForkResult, getgid, getuid},
};

/// How this process may have network namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// As it is: it has the rights of root.
    Privileged,
    /// In a user namespace of its own.
    UserNamespace,
}

/// What was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Step {
    /// A user namespace.
    User,
    /// `deny` in /proc/self/setgroups.
    Setgroups,
    /// The map of user ids.
    UidMap,
    /// The map of group ids.
    GidMap,
    /// A network namespace.
    Net,
    /// A packet socket in it.
    Packet,
    /// Forwarding in it, for a router.
    Forward,
    /// The process that was to try.
    Probe,
    /// This process has more than one thread.
    Threads,
}

impl Step {
    const ALL: [Self; 9] = [
        Self::User,
        Self::Setgroups,
        Self::UidMap,
        Self::GidMap,
        Self::Net,
        Self::Packet,
        Self::Forward,
        Self::Probe,
        Self::Threads,
    ];

    /// The call, as it is written.
    pub fn call(self) -> &'static str {
        match self {
            Self::User => "unshare(CLONE_NEWUSER)",
            Self::Setgroups => "write to /proc/self/setgroups",
            Self::UidMap => "write to /proc/self/uid_map",
            Self::GidMap => "write to /proc/self/gid_map",
            Self::Net => "unshare(CLONE_NEWNET)",
            Self::Packet => "socket(AF_PACKET)",
            Self::Forward => "write to /proc/sys/net/ipv4/ip_forward",
            Self::Probe => "fork",
            Self::Threads => "one thread",
        }
    }
}

/// This process may not have network namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What was refused.
    pub step: Step,
    /// Why, in the kernel's words.
    pub errno: Errno,
}

impl Refusal {
    /// What the refusal mostly comes from, where that is known.
    pub fn cause(&self) -> Option<String> {
        let read = |file: &str| fs::read_to_string(file).ok().map(|text| text.trim().to_owned());
        match (self.step, self.errno) {
            (Step::User, Errno::ENOSPC) => Some("user.max_user_namespaces allows no more user namespaces".to_owned()),
            (Step::Net, Errno::ENOSPC) => Some("user.max_net_namespaces allows no more network namespaces".to_owned()),
            (Step::Probe, Errno::EAGAIN) => Some("this user may have no more processes (ulimit -u)".to_owned()),
            (Step::User, Errno::EUSERS) => Some("user namespaces are nested too deep".to_owned()),
            (Step::User, Errno::EINVAL) => Some("this kernel has no user namespaces".to_owned()),
            (Step::User, Errno::EPERM)
                if read("/proc/sys/kernel/unprivileged_userns_clone").as_deref() == Some("0") =>
            {
                Some("kernel.unprivileged_userns_clone is 0".to_owned())
            }
            (Step::Forward, Errno::EROFS) => Some("/proc/sys is read-only, as in most containers".to_owned()),
            (Step::User, Errno::EPERM) => {
                Some("a container's system call filter (seccomp) or a chroot forbids it".to_owned())
            }
            (
                Step::Setgroups | Step::UidMap | Step::GidMap | Step::Net | Step::Packet,
                Errno::EPERM | Errno::EACCES,
            ) if read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns").as_deref() == Some("1") => Some(
                "AppArmor restricts user namespaces (kernel.apparmor_restrict_unprivileged_userns is 1)".to_owned(),
            ),
            _ => None,
        }
    }

    /// What would allow it, in words.
    pub fn ways_out(&self) -> String {
        self.ways_out_of(self.cause().as_deref().unwrap_or_default(), getuid().is_root())
    }

    /// What helps depends on what refused it. Root needs no user namespace, but has been refused too where this is root: a
    /// container has taken rights from it.
    fn ways_out_of(&self, cause: &str, is_root: bool) -> String {
        let is_container = match (self.step, self.errno) {
            (Step::Forward, _) => true,
            (Step::User, Errno::EPERM) => !cause.contains("userns_clone"),
            _ => is_root,
        };
        let setting = match (self.step, self.errno) {
            (Step::User, Errno::ENOSPC) => Some("`sysctl user.max_user_namespaces=1000`"),
            (Step::Net, Errno::ENOSPC) => Some("`sysctl user.max_net_namespaces=1000`"),
            (Step::Probe, Errno::EAGAIN) => Some("raise `ulimit -u`"),
            (Step::User, Errno::EPERM) if !is_container => Some("`sysctl kernel.unprivileged_userns_clone=1`"),
            _ if cause.contains("AppArmor") => Some("`sysctl kernel.apparmor_restrict_unprivileged_userns=0`"),
            _ => None,
        };
        let root = match is_container {
            true => "run it outside the container, or start the container with `docker run --privileged`",
            false => "run it as root",
        };
        // The limit of network namespaces holds for root, too.
        let root = Some(root).filter(|_| (self.step, self.errno) != (Step::Net, Errno::ENOSPC) || is_container);
        let ways = [setting, root, Some("`docker compose up` and visit from there")];
        ways.into_iter().flatten().collect::<Vec<_>>().join(", or ")
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.step.call(), self.errno.desc(), errno_name(self.errno))?;
        self.cause().map_or(Ok(()), |cause| write!(f, "; {cause}"))
    }
}

impl std::error::Error for Refusal {}

/// `EPERM`.
fn errno_name(errno: Errno) -> String {
    format!("{errno:?}")
}

/// Whether this process may have network namespaces, and how. A child process tries, since a process that came half the
/// way is spoilt.
pub fn probe() -> Result<Allowed, Refusal> {
    try_in_child(Allowed::Privileged).or_else(|_| try_in_child(Allowed::UserNamespace))
}

/// Makes this process one that may have network namespaces. Its own network stays. Has to be called while there is one
/// thread.
pub fn prepare() -> Result<Allowed, Refusal> {
    let allowed = probe()?;
    if allowed == Allowed::UserNamespace {
        let threads = fs::read_dir("/proc/self/task").map_or(1, Iterator::count);
        if threads > 1 {
            // unshare(2) says EINVAL then, which would be taken for a kernel without user namespaces.
            return Err(Refusal { step: Step::Threads, errno: Errno::EINVAL });
        }
        enter_user_namespace()?;
        // With its new rights the process has become one whose files in /proc are root's (proc(5)); others of this user are
        // to find its namespaces there.
        let _ = nix::sys::prctl::set_dumpable(true);
    }
    Ok(allowed)
}

/// Moves this process into the user namespace of that file. Has to be called while there is one thread. Its own network
/// stays.
pub fn join(user: &Path) -> io::Result<()> {
    Ok(setns(File::open(user)?, CloneFlags::CLONE_NEWUSER)?)
}

/// Does all of it in a child, which ends at once.
fn try_in_child(way: Allowed) -> Result<Allowed, Refusal> {
    let no_probe = |errno| Refusal { step: Step::Probe, errno };
    let (told, tell) = io::pipe().map_err(|error| no_probe(Errno::from_raw(error.raw_os_error().unwrap_or(0))))?;
    // SAFETY: until it ends, the child makes system calls and nothing else: it allocates nothing, takes no lock and
    // returns to nobody, so it does not matter what other threads held when it was made.
    #[allow(unsafe_code)]
    let forked = unsafe { nix::unistd::fork() };
    match forked.map_err(no_probe)? {
        ForkResult::Child => {
            let entered = match way {
                Allowed::Privileged => Ok(()),
                Allowed::UserNamespace => enter_user_namespace(),
            };
            let said = match entered.and_then(|()| has_network()) {
                Ok(()) => [DONE, 0],
                Err(refusal) => [refusal.step as u8, refusal.errno as i32 as u8],
            };
            let _ = nix::unistd::write(&tell, &said);
            // SAFETY: ends the child without running anything of the parent's.
            #[allow(unsafe_code)]
            unsafe {
                libc::_exit(0)
            }
        }
        ForkResult::Parent { child } => {
            drop(tell);
            let mut said = [0; 2];
            let length = again(|| nix::unistd::read(&told, &mut said));
            // What it was is known by what it said: where this process was started with SIGCHLD ignored, the kernel has taken
            // it away already.
            let _ = again(|| waitpid(child, None));
            match (length, said) {
                (Ok(2), [DONE, _]) => Ok(way),
                (Ok(2), [step, errno]) => {
                    let step = Step::ALL.into_iter().find(|known| *known as u8 == step).unwrap_or(Step::Probe);
                    Err(Refusal { step, errno: Errno::from_raw(errno.into()) })
                }
                // It said nothing: a system call filter that kills instead of refusing.
                _ => Err(no_probe(Errno::EPERM)),
            }
        }
    }
}

/// What a child says that could do all.
const DONE: u8 = 0xff;

/// Makes a call again that a signal has cut short.
fn again<T>(mut call: impl FnMut() -> nix::Result<T>) -> nix::Result<T> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            done => return done,
        }
    }
}

/// Makes a user namespace in which this process's user and group are what they were. Allocates nothing.
fn enter_user_namespace() -> Result<(), Refusal> {
    let (uid, gid) = (getuid().as_raw(), getgid().as_raw());
    let refused = |step| move |errno| Refusal { step, errno };
    unshare(CloneFlags::CLONE_NEWUSER).map_err(refused(Step::User))?;
    // user_namespaces(7): without it the map of groups is refused.
    write_file(c"/proc/self/setgroups", b"deny").map_err(refused(Step::Setgroups))?;
    for (file, id, step) in [(c"/proc/self/uid_map", uid, Step::UidMap), (c"/proc/self/gid_map", gid, Step::GidMap)] {
        let mut line = [0; 40];
        let mut rest = &mut line[..];
        // Three numbers of at most ten digits fit.
        let _ = writeln!(rest, "{id} {id} 1");
        let unused = rest.len();
        write_file(file, &line[..line.len() - unused]).map_err(refused(step))?;
    }
    Ok(())
}

/// Makes a network namespace, and in it a socket as the switch needs it.
fn has_network() -> Result<(), Refusal> {
    unshare(CloneFlags::CLONE_NEWNET).map_err(|errno| Refusal { step: Step::Net, errno })?;
    let refused = |errno| Refusal { step: Step::Packet, errno };
    let family = (socket::AddressFamily::Packet, socket::SockType::Raw);
    socket::socket(family.0, family.1, socket::SockFlag::SOCK_CLOEXEC, None).map_err(refused)?;
    // The new namespace's own.
    write_file(c"/proc/sys/net/ipv4/ip_forward", b"1").map_err(|errno| Refusal { step: Step::Forward, errno })
}

fn write_file(path: &CStr, bytes: &[u8]) -> Result<(), Errno> {
    let file = open(path, OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty())?;
    nix::unistd::write(&file, bytes).map(drop)
}

/// A network namespace. It lasts as long as this, a thread in it or a socket of it does.
#[derive(Debug)]
pub struct Namespace(OwnedFd);

impl Namespace {
    /// Moves the calling thread to a new one, for good.
    pub fn enter_new() -> io::Result<Self> {
        unshare(CloneFlags::CLONE_NEWNET)?;
        Self::current()
    }

    /// The one that the calling thread is in.
    pub fn current() -> io::Result<Self> {
        Ok(Self(File::open("/proc/thread-self/ns/net")?.into()))
    }

    /// The one of that file.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(File::open(path)?.into()))
    }

    /// Moves the calling thread there, for good. Threads and sockets that it makes from now on are there too.
    pub fn enter(&self) -> io::Result<()> {
        Ok(setns(&self.0, CloneFlags::CLONE_NEWNET)?)
    }

    /// Does something in it, on a thread of its own.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> io::Result<T> {
        thread::scope(|scope| {
            let inside = move || self.enter().map(|()| work());
            let worker = thread::Builder::new().name("in a namespace".to_owned()).spawn_scoped(scope, inside)?;
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Namespace {
    fn as_raw_fd(&self) -> i32 {
        self.0.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_advised_helps_at_that_step() {
        let check = |step, errno, cause: &str, is_root, has: &[&str], lacks: &[&str]| {
            let ways = Refusal { step, errno }.ways_out_of(cause, is_root);
            let case = format!("{step:?} {errno:?} root {is_root}: {ways}");
            assert!(has.iter().all(|word| ways.contains(word)), "{case}");
            assert!(lacks.iter().all(|word| !ways.contains(word)), "{case}");
        };
        let (root, outside) = ("run it as root", "outside the container");
        check(Step::User, Errno::ENOSPC, "", false, &["max_user_namespaces", root], &[outside]);
        check(Step::User, Errno::ENOSPC, "", true, &["max_user_namespaces", outside], &[root]);
        check(Step::User, Errno::EPERM, "a container's system call filter", false, &[outside], &[root, "userns_clone"]);
        check(Step::User, Errno::EPERM, "a container's system call filter", true, &[outside], &[root]);
        let clone = "kernel.unprivileged_userns_clone is 0";
        check(Step::User, Errno::EPERM, clone, false, &["unprivileged_userns_clone=1", root], &[outside]);
        check(Step::User, Errno::EINVAL, "this kernel has no user namespaces", false, &[root], &[outside]);
        check(Step::Forward, Errno::EROFS, "/proc/sys is read-only", true, &[outside], &[root]);
        check(Step::Forward, Errno::EROFS, "/proc/sys is read-only", false, &[outside], &[root]);
        check(Step::Net, Errno::ENOSPC, "", false, &["max_net_namespaces"], &[root, outside]);
        check(Step::UidMap, Errno::EPERM, "AppArmor restricts", false, &["apparmor_restrict", root], &[outside]);
        check(Step::Probe, Errno::EAGAIN, "", false, &["ulimit -u", root], &[]);
    }
}

//! Programs of others: where they are, which version, and how to get them.

use std::{
    env,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Result;

use crate::{
    process::{command, heard},
    section::Found,
};

/// A program of others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    /// The program.
    pub(crate) name: &'static str,
    /// The Debian package that has it.
    package: &'static str,
    /// How it is asked for its version.
    version: &'static str,
}

pub(crate) const NAMED: Peer = Peer { name: "named", package: "bind9", version: "-v" };
pub(crate) const NSD: Peer = Peer { name: "nsd", package: "nsd", version: "-v" };
pub(crate) const KNOTD: Peer = Peer { name: "knotd", package: "knot", version: "-V" };
pub(crate) const DNSPERF: Peer = Peer { name: "dnsperf", package: "dnsperf", version: "-h" };
pub(crate) const NGINX: Peer = Peer { name: "nginx", package: "nginx-light", version: "-v" };
pub(crate) const WRK: Peer = Peer { name: "wrk", package: "wrk", version: "-v" };
pub(crate) const CURL: Peer = Peer { name: "curl", package: "curl", version: "--version" };
pub(crate) const UNSHARE: Peer = Peer { name: "unshare", package: "util-linux", version: "--version" };
pub(crate) const NSENTER: Peer = Peer { name: "nsenter", package: "util-linux", version: "--version" };
pub(crate) const IP: Peer = Peer { name: "ip", package: "iproute2", version: "-V" };

/// Servers are often here, which an ordinary user's search path leaves out.
const SYSTEM_FOLDERS: [&str; 2] = ["/usr/sbin", "/usr/local/sbin"];

impl Peer {
    /// Where it is, or what to do to have it.
    pub(crate) fn find(self) -> Result<PathBuf, Found> {
        let path = env::var_os("PATH").unwrap_or_default();
        let folders = env::split_paths(&path).chain(SYSTEM_FOLDERS.map(PathBuf::from));
        let mut files = folders.map(|folder| folder.join(self.name));
        files.find(|file| file.is_file()).ok_or_else(|| Found::Skipped { why: self.how_to_get() })
    }

    /// The command that installs it.
    pub(crate) fn how_to_get(self) -> String {
        format!("apt-get install {}", self.package)
    }

    /// `nginx 1.22.1`, or that it is not here.
    pub(crate) fn version(self, scratch: &Path) -> String {
        let Ok(program) = self.find() else { return format!("{} not installed", self.name) };
        // Some tell it on stderr, and not every program ends well after it has told it; what was said counts.
        let told = heard(command(program).arg(self.version), Duration::from_secs(5), scratch);
        let told = told.map(|(_, out, err)| out + &err).unwrap_or_default();
        format!("{} {}", self.name, number(&told).unwrap_or("of unknown version"))
    }
}

/// The first word that looks like a version number.
fn number(text: &str) -> Option<&str> {
    let words = text.split(|c: char| c.is_whitespace() || matches!(c, '/' | ',' | '(' | ')'));
    let mut numbers = words.filter(|word| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.'));
    numbers.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_numbers() {
        let check = |text, expected| assert_eq!(number(text), expected, "{text}");
        check("BIND 9.18.49-1~deb12u3-Debian (Extended Support Version) <id:>", Some("9.18.49-1~deb12u3-Debian"));
        check("NSD version 4.6.1\nWritten by NLnet Labs.", Some("4.6.1"));
        check("knotd (Knot DNS), version 3.2.6", Some("3.2.6"));
        check("nginx version: nginx/1.22.1", Some("1.22.1"));
        check("wrk debian/4.1.0-3+b2 [epoll] Copyright (C) 2012 Will Glozer", Some("4.1.0-3+b2"));
        check("nothing", None);
    }

    #[test]
    fn what_is_missing_is_skipped() {
        let peer = Peer { name: "no-such-program-here", package: "some-package", version: "-v" };
        assert_eq!(peer.find(), Err(Found::Skipped { why: "apt-get install some-package".into() }));
        assert_eq!(peer.version(Path::new("/nonexistent")), "no-such-program-here not installed");
    }
}

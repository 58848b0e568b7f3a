//! The name servers: how each is told to serve the zone, in the foreground, without logs of queries and without limits.

use std::{
    fmt, fs,
    net::{SocketAddr, UdpSocket},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::Result;

use super::workload::ZONE;
use crate::{
    peer::{KNOTD, NAMED, NSD, Peer},
    process::command,
    programs::Programs,
    section::Found,
    server::{Server, free_port},
};

/// An authoritative name server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Authority {
    Ours,
    Named,
    Nsd,
    Knot,
}

/// Where one of them is to work.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// Its folder, for its configuration and what it writes.
    pub(crate) folder: PathBuf,
    /// The zone's file.
    pub(crate) zone: PathBuf,
    /// Processes or threads that answer.
    pub(crate) workers: usize,
}

impl Authority {
    pub(crate) const ALL: [Self; 4] = [Self::Ours, Self::Named, Self::Nsd, Self::Knot];

    /// Its name in the table.
    pub(crate) fn name(self) -> &'static str {
        self.peer().map_or("nameserver", |peer| peer.name)
    }

    fn peer(self) -> Option<Peer> {
        match self {
            Self::Ours => None,
            Self::Named => Some(NAMED),
            Self::Nsd => Some(NSD),
            Self::Knot => Some(KNOTD),
        }
    }

    /// Where the program is, or how to get it.
    pub(crate) fn find(self, programs: &Programs) -> Result<PathBuf, Found> {
        self.peer().map_or_else(|| Ok(programs.nameserver.clone()), Peer::find)
    }

    /// Starts it and waits until it serves the zone.
    pub(crate) fn start(self, program: &Path, place: &Place) -> Result<Server> {
        fs::create_dir(&place.folder)?;
        let address = free_port()?;
        let file = place.folder.join("configuration");
        fs::write(&file, self.configuration(place, address)?)?;
        Server::start(&mut self.command(program, &file, place), &place.folder.join("log"), address, serves)
    }

    fn command(self, program: &Path, file: &Path, place: &Place) -> Command {
        let mut command = command(program);
        match self {
            Self::Ours => command.arg("--world").arg(file).args(["--host", "bench"]),
            Self::Named => command.args(["-g", "-n", &place.workers.to_string(), "-c"]).arg(file),
            Self::Nsd => command.args(["-d", "-c"]).arg(file),
            Self::Knot => command.arg("-c").arg(file),
        };
        command
    }

    fn configuration(self, place: &Place, address: SocketAddr) -> Result<String> {
        let (folder, zone, workers) = (quoted(&place.folder), quoted(&place.zone), place.workers);
        let (ip, port, origin) = (address.ip(), address.port(), ZONE.trim_end_matches('.'));
        Ok(match self {
            // The service takes as many workers as there are cores.
            Self::Ours => format!(
                "[network]\nv4 = \"127.0.0.0/8\"\nv6 = \"fd00:53::/64\"\nadmin_port = {}\n\
                 [hosts.bench]\naddresses = [\"{ip}\"]\n\
                 nameserver = {{ port = {port}, zones = {{ \"{ZONE}\" = {zone} }} }}\n",
                free_port()?.port()
            ),
            // Minimal responses, as ours are: named would otherwise add the NS records to every answer.
            Self::Named => format!(
                "options {{ directory {folder}; listen-on port {port} {{ {ip}; }}; listen-on-v6 {{ none; }}; pid-file none; \
                 session-keyfile none; recursion no; allow-query {{ any; }}; dnssec-validation no; notify no; \
                 minimal-responses yes; querylog no; }};\n\
                 controls {{ }};\nzone \"{origin}\" {{ type primary; file {zone}; }};\n"
            ),
            // Without a limit on responses nsd would drop most of what one address asks.
            Self::Nsd => format!(
                "server:\n ip-address: {ip}@{port}\n server-count: {workers}\n reuseport: yes\n username: \"\"\n \
                 zonesdir: {folder}\n database: \"\"\n pidfile: \"\"\n xfrdfile: \"\"\n zonelistfile: {list}\n xfrdir: {folder}\n \
                 minimal-responses: yes\n rrl-ratelimit: 0\n rrl-whitelist-ratelimit: 0\n \
                 remote-control:\n control-enable: no\nzone:\n name: \"{origin}\"\n zonefile: {zone}\n",
                list = quoted(&place.folder.join("zones"))
            ),
            Self::Knot => format!(
                "server:\n  rundir: {folder}\n  listen: {ip}@{port}\n  udp-workers: {workers}\n  tcp-workers: {workers}\n  \
                 background-workers: {workers}\nlog:\n  - target: stderr\n    any: warning\ndatabase:\n  storage: {folder}\n\
                 zone:\n  - domain: {origin}\n    file: {zone}\n    zonefile-sync: -1\n    journal-content: none\n"
            ),
        })
    }
}

/// A path in double quotes; all four languages know them, and TOML's escapes are those that a path can need.
fn quoted(path: &Path) -> impl fmt::Display {
    let text = path.display().to_string();
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Whether the server answers with authority and a record for a host of the zone.
fn serves(address: SocketAddr) -> bool {
    let ask = || {
        let socket = UdpSocket::bind((address.ip(), 0))?;
        socket.set_read_timeout(Some(Duration::from_millis(200)))?;
        socket.connect(address)?;
        socket.send(&query())?;
        let mut buffer = [0; 512];
        let length = socket.recv(&mut buffer)?;
        Ok::<_, std::io::Error>(length > 12 && buffer[2] & 0x84 == 0x84 && buffer[3] & 0x0f == 0 && buffer[7] == 1)
    };
    ask().unwrap_or(false)
}

/// `host0.bench.test. A`, RFC 1035 §4.1.
fn query() -> Vec<u8> {
    let mut bytes = vec![0x4d, 0x5a, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in format!("host0.{ZONE}").trim_end_matches('.').split('.') {
        bytes.push(u8::try_from(label.len()).expect("labels here are short"));
        bytes.extend(label.as_bytes());
    }
    bytes.extend([0, 0, 1, 0, 1]);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_configuration_is_one_that_the_service_reads() {
        let place = Place { folder: "/tmp/a \"b\"".into(), zone: "/tmp/bench.zone".into(), workers: 2 };
        let text = Authority::Ours.configuration(&place, "127.0.0.1:5300".parse().unwrap()).unwrap();
        let world = world::World::parse(&text, "configuration").unwrap();
        let nameserver = world.hosts["bench"].nameserver.as_ref().unwrap();
        assert_eq!((nameserver.port, nameserver.zones[ZONE].as_str()), (5300, "/tmp/bench.zone"));
    }

    #[test]
    fn a_query() {
        let bytes = query();
        assert_eq!(&bytes[12..], b"\x05host0\x05bench\x04test\0\0\x01\0\x01");
    }
}

//! Each vendor's program and its configuration: the zones as they are, no logs of queries, no limits, no keys.

use std::{
    fs,
    net::{SocketAddr, UdpSocket},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use e2e::process::{self, Running};

use crate::stage::{Lab, World};

/// A server of another vendor.
#[derive(Debug)]
pub(crate) struct Vendor {
    /// Its name for people.
    pub(crate) name: &'static str,
    program: &'static str,
    package: &'static str,
    /// What it is started with, in front of its configuration's file.
    arguments: &'static [&'static str],
    configuration: fn(&Place<'_>) -> String,
}

/// Where it is to work.
struct Place<'a> {
    folder: &'a Path,
    zones: &'a Path,
    sockets: &'a [SocketAddr],
}

pub(crate) const NSD: Vendor =
    Vendor { name: "NSD", program: "nsd", package: "nsd", arguments: &["-d", "-c"], configuration: nsd };
pub(crate) const KNOT: Vendor =
    Vendor { name: "Knot DNS", program: "knotd", package: "knot", arguments: &["-c"], configuration: knot };
pub(crate) const BIND: Vendor =
    Vendor { name: "BIND", program: "named", package: "bind9", arguments: &["-g", "-c"], configuration: bind };
pub(crate) const UNBOUND: Vendor = Vendor {
    name: "Unbound",
    program: "unbound",
    package: "unbound",
    arguments: &["-d", "-c"],
    configuration: unbound,
};
pub(crate) const NGINX: Vendor =
    Vendor { name: "nginx", program: "nginx", package: "nginx-light", arguments: &["-c"], configuration: nginx };

/// What auth1 and auth2 of the lab serve.
const ZONES: [&str; 3] = ["example.local", "example.test", "baidu.com"];

impl Vendor {
    /// Starts it on these sockets of each address family, and waits until it answers.
    pub(crate) fn start(&self, world: &World, sockets: &[Vec<SocketAddr>]) -> Result<Running, String> {
        let sockets = sockets.concat();
        let mut running = self.spawn(world, &sockets, None)?;
        for socket in sockets {
            let answers = || if self.program == "nginx" { accepts(socket) } else { serves(socket) };
            running.until(&format!("{} answers at {socket}", self.name), answers)?;
        }
        Ok(running)
    }

    /// Starts it at a host of a lab that has a network of its own, at the host's own addresses.
    pub(crate) fn start_inside(&self, world: &World, lab: &Lab, host: &str) -> Result<Running, String> {
        let sockets: Vec<SocketAddr> = world.addresses(host).into_iter().map(|ip| SocketAddr::new(ip, 53)).collect();
        self.spawn(world, &sockets, Some(lab.enter(host)?))
    }

    fn spawn(&self, world: &World, sockets: &[SocketAddr], before: Option<Vec<String>>) -> Result<Running, String> {
        let program = self.find()?;
        let folder = world.folder(self.program)?;
        let place = Place { folder: &folder, zones: &world.path("zones"), sockets };
        let file = folder.join("configuration");
        fs::write(&file, (self.configuration)(&place)).map_err(|error| error.to_string())?;
        let mut command = match before.as_deref() {
            Some([first, rest @ ..]) => {
                let mut command = Command::new(first);
                command.args(rest).arg(program);
                command
            }
            _ => Command::new(program),
        };
        Running::start(command.args(self.arguments).arg(file), &folder.join("log"))
    }

    fn find(&self) -> Result<PathBuf, String> {
        process::find(self.program, self.package)
    }

    /// The first words of what it says of its version.
    pub(crate) fn version(&self, argument: &str, words: usize) -> Result<String, String> {
        process::version(&self.find()?, argument, words)
    }
}

fn lines(each: impl IntoIterator<Item = String>) -> String {
    each.into_iter().collect()
}

fn nsd(place: &Place<'_>) -> String {
    let Place { folder, zones, sockets } = place;
    let (folder, zones) = (folder.display(), zones.display());
    let listen = lines(sockets.iter().map(|socket| format!(" ip-address: {}@{}\n", socket.ip(), socket.port())));
    let zone = |zone: &&str| format!("zone:\n name: \"{zone}\"\n zonefile: \"{zones}/{zone}.zone\"\n");
    format!(
        "server:\n{listen} server-count: 1\n username: \"\"\n zonesdir: \"{folder}\"\n database: \"\"\n pidfile: \"\"\n \
         xfrdfile: \"\"\n zonelistfile: \"{folder}/zones\"\n xfrdir: \"{folder}\"\n rrl-ratelimit: 0\n\
         remote-control:\n control-enable: no\n{}",
        lines(ZONES.iter().map(zone))
    )
}

fn knot(place: &Place<'_>) -> String {
    let Place { folder, zones, sockets } = place;
    let (folder, zones) = (folder.display(), zones.display());
    let listen = lines(sockets.iter().map(|socket| format!("  listen: {}@{}\n", socket.ip(), socket.port())));
    let zone = |zone: &&str| {
        format!(
            "  - domain: {zone}\n    file: \"{zones}/{zone}.zone\"\n    zonefile-sync: -1\n    journal-content: none\n"
        )
    };
    format!(
        "server:\n  rundir: \"{folder}\"\n{listen}  udp-workers: 1\n  tcp-workers: 1\n  background-workers: 1\n\
         log:\n  - target: stderr\n    any: warning\ndatabase:\n  storage: \"{folder}\"\nzone:\n{}",
        lines(ZONES.iter().map(zone))
    )
}

fn bind(place: &Place<'_>) -> String {
    let Place { folder, zones, sockets } = place;
    let (folder, zones) = (folder.display(), zones.display());
    let listen = |socket: &SocketAddr| {
        let family = if socket.is_ipv4() { "listen-on" } else { "listen-on-v6" };
        format!(" {family} port {} {{ {}; }};\n", socket.port(), socket.ip())
    };
    let zone = |zone: &&str| format!("zone \"{zone}\" {{ type primary; file \"{zones}/{zone}.zone\"; }};\n");
    format!(
        "options {{\n directory \"{folder}\";\n{} pid-file none;\n session-keyfile none;\n recursion no;\n \
         allow-query {{ any; }};\n dnssec-validation no;\n notify no;\n}};\ncontrols {{ }};\n{}",
        lines(sockets.iter().map(listen)),
        lines(ZONES.iter().map(zone))
    )
}

/// `test.` is one of the names that it answers by itself (RFC 6761 §6.2), unless it is told not to.
fn unbound(place: &Place<'_>) -> String {
    let Place { folder, zones, sockets } = place;
    let (folder, hints) = (folder.display(), zones.with_file_name("root.hints"));
    let listen = lines(sockets.iter().map(|socket| format!(" interface: {}@{}\n", socket.ip(), socket.port())));
    format!(
        "server:\n{listen} directory: \"{folder}\"\n chroot: \"\"\n username: \"\"\n pidfile: \"\"\n use-syslog: no\n \
         num-threads: 1\n module-config: \"iterator\"\n root-hints: \"{}\"\n access-control: 0.0.0.0/0 allow\n \
         access-control: ::/0 allow\n local-zone: \"test.\" nodefault\n do-not-query-localhost: no\n\
         remote-control:\n control-enable: no\n",
        hints.display()
    )
}

fn nginx(place: &Place<'_>) -> String {
    let Place { folder, sockets, .. } = place;
    let folder = folder.display();
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    format!(
        "daemon off;\nworker_processes 1;\npid \"{folder}/pid\";\nerror_log \"{folder}/errors\";\nevents {{ }}\nhttp {{\n\
         access_log off;\n{}server {{\n{}location / {{ return 200 \"hello of nginx\\n\"; }}\n}}\n}}\n",
        lines(temporary.iter().map(|kind| format!("{kind}_temp_path \"{folder}/{kind}\";\n"))),
        lines(sockets.iter().map(|socket| format!("listen {socket};\n")))
    )
}

fn accepts(socket: SocketAddr) -> bool {
    std::net::TcpStream::connect(socket).is_ok()
}

/// Whether the server answers with authority for `example.local. SOA` (RFC 1035 §4.1).
fn serves(address: SocketAddr) -> bool {
    let mut query = vec![0x56, 0x49, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    query.extend(b"\x07example\x05local\0\0\x06\0\x01");
    let ask = || {
        let socket = UdpSocket::bind((address.ip(), 0))?;
        socket.set_read_timeout(Some(Duration::from_millis(200)))?;
        socket.connect(address)?;
        socket.send(&query)?;
        let mut buffer = [0; 1232];
        let length = socket.recv(&mut buffer)?;
        Ok::<_, std::io::Error>(length > 12 && buffer[2] & 0x84 == 0x84 && buffer[3] & 0x0f == 0 && buffer[7] == 1)
    };
    ask().unwrap_or(false)
}

//! The lab beside servers of other vendors, and visits to it.

use std::{
    fs,
    io::BufReader,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use e2e::way::{root, visit_binary};
use journey::{HostReport, Journey};
use lab::Options;
use serde_json::Deserializer;
use tempfile::TempDir;
use world::{AddressBook, Files};

use crate::vendor::Vendor;

const LIMIT: Duration = Duration::from_secs(15);

/// A world in a folder of its own: the lab's, with others at some hosts.
#[derive(Debug)]
pub(crate) struct World {
    folder: TempDir,
    text: String,
}

impl World {
    pub(crate) fn new() -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let world = Self { folder, text: read(&root().join("lab/world.toml"))? };
        fs::create_dir(world.path("zones")).map_err(|error| error.to_string())?;
        fs::write(world.path("root.hints"), read(&root().join("lab/root.hints"))?)
            .map_err(|error| error.to_string())?;
        for entry in fs::read_dir(root().join("lab/zones")).map_err(|error| error.to_string())? {
            let file = entry.map_err(|error| error.to_string())?;
            let to = world.path("zones").join(file.file_name());
            fs::copy(file.path(), to).map_err(|error| error.to_string())?;
        }
        Ok(world)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A new folder in it.
    pub(crate) fn folder(&self, name: &str) -> Result<PathBuf, String> {
        let folder = self.path(name);
        fs::create_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        Ok(folder)
    }

    /// Has a vendor's server play a host; gives the sockets on which it has to offer that service on loopback.
    pub(crate) fn play(&mut self, host: &str, service: &str, vendor: &Vendor) -> Result<Vec<SocketAddr>, String> {
        let sockets = free_sockets()?;
        let head = format!("[hosts.{host}]\n");
        let told = sockets.iter().map(|socket| format!("\"{socket}\"")).collect::<Vec<_>>().join(", ");
        let lines = format!("{head}played_by = \"{}\"\nsockets.{service} = [{told}]\n", vendor.name);
        if !self.text.contains(&head) {
            return Err(format!("the world has no host {host}"));
        }
        self.text = self.text.replace(&head, &lines);
        Ok(sockets)
    }

    /// The addresses of a host.
    pub(crate) fn addresses(&self, host: &str) -> Vec<IpAddr> {
        world::World::parse(&self.text, "world.toml")
            .map(|world| world.hosts[host].addresses.clone())
            .unwrap_or_default()
    }

    /// The lab on loopback, in this process.
    pub(crate) fn start(&self) -> Result<Lab, String> {
        let world = world::World::parse(&self.text, "world.toml").map_err(|error| error.to_string())?;
        let files = Files::Folder(self.folder.path().to_owned());
        let options = Options { world, files, data_dir: Some(self.path("data")), ..Options::default() };
        let lab = lab::Lab::start(options).map_err(|error| error.to_string())?;
        let book = lab.book().clone();
        Lab::new(self, Keeper::Here { _lab: Box::new(lab) }, book)
    }

    /// `visit lab serve --wire`.
    pub(crate) fn serve_wire(&self) -> Result<Lab, String> {
        let file = self.path("world.toml");
        fs::write(&file, &self.text).map_err(|error| error.to_string())?;
        let mut command = Command::new(visit_binary()?);
        command.args(["lab", "serve", "--wire", "--json", "--world"]).arg(file).env("VISIT_DATA", self.path("data"));
        let mut process = command.stdout(Stdio::piped()).spawn().map_err(|error| format!("{command:?}: {error}"))?;
        let out = process.stdout.take();
        let keeper = Keeper::There(process);
        // The stream stays open; the book is the first value in it.
        let book = Deserializer::from_reader(BufReader::new(out.ok_or("no stdout")?)).into_iter::<AddressBook>().next();
        let book = book.ok_or("the lab ended at once")?.map_err(|error| error.to_string())?;
        Lab::new(self, keeper, book)
    }
}

/// Who runs the lab.
#[derive(Debug)]
enum Keeper {
    /// This process.
    Here {
        /// Stops when dropped.
        _lab: Box<lab::Lab>,
    },
    /// `visit lab serve`.
    There(Child),
}

impl Drop for Keeper {
    fn drop(&mut self) {
        if let Self::There(process) = self {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// A running lab; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Lab {
    _keeper: Keeper,
    book: AddressBook,
    file: PathBuf,
    data: PathBuf,
}

impl Lab {
    fn new(world: &World, keeper: Keeper, book: AddressBook) -> Result<Self, String> {
        let file = world.path("book.json");
        let text = serde_json::to_string(&book).map_err(|error| error.to_string())?;
        fs::write(&file, text).map_err(|error| error.to_string())?;
        Ok(Self { _keeper: keeper, book, file, data: world.path("data") })
    }

    /// The words in front of a program that is to run at a host.
    pub(crate) fn enter(&self, host: &str) -> Result<Vec<String>, String> {
        let enter = self.book.inside.as_ref().and_then(|inside| inside.enter(host));
        let enter = enter.ok_or_else(|| format!("the book names no namespace of {host}"))?;
        Ok(enter.before.split_whitespace().map(str::to_owned).chain([enter.net]).collect())
    }

    /// Waits until dig, at the host of the visitor, is told that.
    pub(crate) fn until_dig_says(&self, server: &str, name: &str, expected: &str) -> Result<(), String> {
        let enter = self.enter(lab::YOU)?;
        let end = Instant::now() + LIMIT;
        loop {
            let mut command = Command::new(&enter[0]);
            command.args(&enter[1..]).args(["dig", &format!("@{server}"), "+time=1", "+tries=1", "+short", name]);
            let output =
                command.output().map_err(|error| format!("{command:?}: {error}: apt-get install bind9-dnsutils"))?;
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            if said.contains(expected) {
                return Ok(());
            }
            if Instant::now() > end {
                let words = String::from_utf8_lossy(&output.stderr);
                return Err(format!("dig never says {expected}, at last {said:?} {words}"));
            }
            // Where nothing listens it is told so at once.
            thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn visit(&self, url: &str) -> Result<Told, String> {
        let output = self.run(&["--json", url])?;
        let journey = serde_json::from_slice(&output.stdout)
            .map_err(|error| format!("no journey: {error}\n{}", String::from_utf8_lossy(&output.stderr)))?;
        Ok(Told { journey })
    }

    /// What is on the screen, each row of white space one space.
    pub(crate) fn screen(&self, url: &str) -> Result<String, String> {
        let text = String::from_utf8_lossy(&self.run(&[url])?.stdout).into_owned();
        Ok(text.split_whitespace().collect::<Vec<_>>().join(" "))
    }

    fn run(&self, args: &[&str]) -> Result<Output, String> {
        let mut command = Command::new(visit_binary()?);
        command.args(args).env("VISIT_WORLD", &self.file).env("VISIT_DATA", &self.data).env_remove("VISIT_RESOLVER");
        command.output().map_err(|error| format!("{command:?}: {error}"))
    }
}

/// What a visit told.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) journey: Journey,
}

impl Told {
    pub(crate) fn said(&self, host: &str) -> Result<&HostReport, String> {
        let observer = self.journey.observers.iter().find(|observer| observer.host == host);
        observer.map(|observer| &observer.said).ok_or_else(|| format!("{host} is no observer"))
    }

    pub(crate) fn host_of(&self, ip: IpAddr) -> &str {
        journey::host_of(&self.journey.hosts, ip).unwrap_or_default()
    }
}

fn read(file: &Path) -> Result<String, String> {
    fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))
}

/// Sockets with one port that nobody has, for UDP and TCP, of each address family that this machine has.
fn free_sockets() -> Result<Vec<SocketAddr>, String> {
    let has_v6 = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
    for _ in 0..100 {
        let first = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|error| error.to_string())?;
        let port = first.local_addr().map_err(|error| error.to_string())?.port();
        let all =
            [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)].map(|ip| SocketAddr::new(ip, port));
        let wanted = if has_v6 { &all[..] } else { &all[..1] };
        let is_free = |socket: &SocketAddr| {
            UdpSocket::bind(socket).is_ok() && (socket.is_ipv4() || TcpListener::bind(socket).is_ok())
        };
        if wanted.iter().all(is_free) {
            return Ok(wanted.to_vec());
        }
    }
    Err("no port on loopback is free for UDP and TCP".to_owned())
}

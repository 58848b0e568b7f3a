//! A resolver whose upstream breaks, in one way after the other.

use std::{
    fs,
    net::{SocketAddr, UdpSocket},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail, ensure};
use world::World;

use super::{
    PART,
    broken::{Broken, Fault},
    message::{self, NXDOMAIN, SERVFAIL},
    row, socket,
};
use crate::{args::Effort, interrupt, lab::Serving, programs::Programs, progress, section::Section, visit};

/// What a resolver of the lab may take for an answer (`answer_timeout_ms`), and what this machine may add.
const ANSWER_LIMIT_MS: f64 = 2_500.0 + 250.0;
/// Whoever is not answered by then never is.
const PATIENCE: Duration = Duration::from_secs(5);
/// Clients at once.
const CLIENTS: usize = 8;

/// Measures it.
pub(crate) fn measure(programs: &Programs, effort: Effort, scratch: &Path) -> Result<Section> {
    let folder = scratch.join("soak");
    fs::create_dir_all(&folder)?;
    let broken = Broken::start()?;
    let file = visit::write_world(&folder, &World::built_in())?;
    fs::write(&file, in_front(&fs::read_to_string(&file)?, &broken.sockets))?;
    let lab = Serving::start(&programs.visit, &["--world", &file.display().to_string()])?;
    broken.in_front_of(socket(&lab.book, "tld2", "dns", "udp")?);
    let dns = socket(&lab.book, "resolver", "dns", "udp")?;
    let mut names = Names(0);
    ensure!(ask(dns, &names.next())?.is_right(), "the resolver does not answer before anything is broken");
    let waves = if effort.quick { 1 } else { 2 };
    let mut found = Vec::new();
    for fault in Fault::ALL {
        interrupt::check()?;
        progress::say(&format!("soak: {}", fault.name()));
        broken.set(fault);
        let mut told = Vec::new();
        for _ in 0..waves {
            let asked: Vec<String> = (0..CLIENTS).map(|_| names.next()).collect();
            told.extend(thread::scope(|scope| {
                let asking: Vec<_> = asked.iter().map(|name| scope.spawn(|| ask(dns, name))).collect();
                asking.into_iter().map(|one| one.join().unwrap_or_else(|_| bail!("a client ended"))).collect::<Vec<_>>()
            }));
        }
        broken.set(Fault::None);
        found.push((fault, told.into_iter().collect::<Result<Vec<_>>>()?, recovered(dns, &mut names)?));
    }
    progress::clear();
    lab.end()?;
    let mut rows = Vec::new();
    let ms = |told: &[Told]| told.iter().map(|one| one.ms).collect::<Vec<_>>();
    for (fault, told, _) in &found {
        let without = told.iter().filter(|one| !one.says_why()).count() as f64 * 100.0 / told.len() as f64;
        rows.push(row("not SERVFAIL with EDE", fault.name(), "%", vec![without], Some(0.0)));
    }
    rows.extend(found.iter().map(|(fault, told, _)| row("answer after", fault.name(), "ms", ms(told), None)));
    for (fault, told, _) in &found {
        let slowest = ms(told).into_iter().fold(0.0, f64::max);
        rows.push(row("slowest answer", fault.name(), "ms", vec![slowest], Some(ANSWER_LIMIT_MS)));
    }
    rows.extend(
        found.iter().map(|(fault, _, after)| row("right again after", fault.name(), "ms", vec![*after], Some(1_000.0))),
    );
    let notes = vec![
        format!(
            "a server of this program plays `tld` in front of the lab's own, and breaks; {CLIENTS} clients at once ask the resolver, \
             {waves} times, for names that it does not know yet"
        ),
        "right again after: from the end of the fault until the first right answer for a name that is new; asked again at \
         once where the answer is not right"
            .into(),
    ];
    Ok(Section { part: PART.into(), title: "an upstream that breaks".into(), notes, peer: None, rows })
}

/// The world with our server at `tld`, and the lab's own beside it.
fn in_front(world: &str, sockets: &[SocketAddr]) -> String {
    let sockets: Vec<String> = sockets.iter().map(|socket| format!("\"{socket}\"")).collect();
    let head = "[hosts.tld]\n";
    let played = format!("{head}played_by = \"bench\"\nsockets.dns = [{}]\n", sockets.join(", "));
    let behind = "\n[hosts.tld2]\naddresses = [\"10.78.2.21\", \"fd10:78:1ab::2:21\"]\nnameserver.zones = { \"local.\" = \
                  \"zones/local.zone\", \"test.\" = \"zones/test.zone\", \"com.\" = \"zones/com.zone\" }\n";
    world.replace(head, &played) + behind
}

/// Names that nobody has asked for, nor has.
struct Names(u32);

impl Names {
    fn next(&mut self) -> String {
        self.0 += 1;
        format!("soak{}.test", self.0)
    }
}

/// What the resolver said, and when.
#[derive(Clone, Copy, Debug)]
struct Told {
    ms: f64,
    reply: Option<message::Reply>,
}

impl Told {
    /// There is no such name, and the authority says so.
    fn is_right(self) -> bool {
        self.reply.is_some_and(|reply| reply.rcode == NXDOMAIN)
    }

    fn says_why(self) -> bool {
        self.reply.is_some_and(|reply| reply.rcode == SERVFAIL && reply.says_why)
    }
}

fn ask(dns: SocketAddr, name: &str) -> Result<Told> {
    let socket = UdpSocket::bind((dns.ip(), 0))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.connect(dns)?;
    let began = Instant::now();
    socket.send(&message::query(0x5649, name))?;
    let mut buffer = [0; 4096];
    // Silence is what is looked for, and no error of this program's.
    let reply = socket.recv(&mut buffer).ok().and_then(|length| message::reply(&buffer[..length]));
    Ok(Told { ms: began.elapsed().as_secs_f64() * 1e3, reply })
}

/// Milliseconds until the resolver answers rightly again.
fn recovered(dns: SocketAddr, names: &mut Names) -> Result<f64> {
    let began = Instant::now();
    while began.elapsed() < 2 * PATIENCE {
        interrupt::check()?;
        if ask(dns, &names.next())?.is_right() {
            return Ok(began.elapsed().as_secs_f64() * 1e3);
        }
    }
    bail!("it had not recovered after {} s", (2 * PATIENCE).as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_server_stands_in_front_of_the_labs() {
        let text = world::Files::BuiltIn.read("world.toml").unwrap();
        let world = World::parse(&in_front(&text, &["127.0.0.1:5301".parse().unwrap()]), "w.toml").unwrap();
        assert_eq!(world.hosts["tld"].played_by.as_deref(), Some("bench"));
        let zones = |host: &str| world.hosts[host].nameserver.as_ref().unwrap().zones.clone();
        assert_eq!(zones("tld"), zones("tld2"));
    }
}

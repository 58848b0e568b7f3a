//! The embedded lab under clients that misbehave, and a resolver whose upstream breaks in every way: whether those who
//! behave are served meanwhile, what that costs in memory, and whether all is well again afterwards. Bounded in time.

mod broken;
mod good;
mod message;
mod pests;

use std::{
    fs,
    net::{SocketAddr, UdpSocket},
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use world::World;

use crate::{
    args::Effort,
    contest::failed,
    interrupt,
    lab::Serving,
    programs::Programs,
    progress,
    section::{Found, Limit, Row, Section},
    tree, visit,
};
use broken::{Broken, Fault};
use good::Served;
use message::{NXDOMAIN, SERVFAIL};
use pests::Targets;

const PART: &str = "soak";
/// What a resolver of the lab may take for an answer (`answer_timeout_ms`), and what this machine may add.
const ANSWER_LIMIT_MS: f64 = 2_500.0 + 250.0;
/// Whoever is not answered by then never is.
const PATIENCE: Duration = Duration::from_secs(5);
/// All hosts together, with whatever is done to them.
const MOST_MEMORY: f64 = 128.0;

/// Measures both.
pub(crate) fn measure(programs: &Programs, effort: Effort, scratch: &Path) -> Result<Vec<Section>> {
    let or_failed = |title: &str, measured: Result<Section>| {
        measured.or_else(|error| Ok::<_, anyhow::Error>(Section::unmeasured(PART, title, failed(error)?, None)))
    };
    Ok(vec![
        or_failed("clients that misbehave", clients(programs, effort))?,
        or_failed("an upstream that breaks", upstream(programs, effort, scratch))?,
    ])
}

/// What was seen while one kind of client misbehaved.
struct Phase {
    of: &'static str,
    names: Served,
    pages: Served,
    memory: f64,
}

fn row(measure: &str, of: &str, unit: &str, samples: Vec<f64>, limit: Option<f64>) -> Row {
    let found = match samples.is_empty() {
        true => Found::Failed { why: "nothing came of it".to_owned() },
        false => Found::Measured { samples },
    };
    Row { measure: measure.into(), of: of.into(), unit: unit.into(), found, limit: limit.map(Limit::Most) }
}

fn clients(programs: &Programs, effort: Effort) -> Result<Section> {
    more_files();
    let lab = Serving::start(&programs.visit, &[])?;
    let at = |host: &str, service: &str| socket(&lab.book, host, service, "tcp");
    let targets = Targets { dns: at("resolver", "dns")?, http: at("app1", "http")?, https: at("app1", "https")? };
    ensure!(socket(&lab.book, "resolver", "dns", "udp")? == targets.dns, "the resolver has two ports");
    let memory = |key: &str| {
        tree::status_bytes(lab.pid(), key).map(tree::mebibytes).context("/proc does not tell the lab's memory")
    };
    let length = if effort.quick { Duration::from_millis(800) } else { Duration::from_secs(3) };
    let before = memory("VmRSS")?;
    let mut found = Vec::new();
    for pest in pests::ALL {
        interrupt::check()?;
        progress::say(&format!("soak: {}", pest.name));
        let over = AtomicBool::new(false);
        let (names, pages) = thread::scope(|scope| {
            scope.spawn(|| pest.run(targets, &over));
            let good = scope.spawn(|| good::clients(targets.dns, targets.http, &over));
            thread::sleep(length);
            over.store(true, Ordering::Relaxed);
            good.join().unwrap_or_default()
        });
        found.push(Phase { of: pest.name, names, pages, memory: memory("VmRSS")? });
    }
    progress::clear();
    let peak = memory("VmHWM")?;
    let (again, _) = {
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let good = scope.spawn(|| good::clients(targets.dns, targets.http, &over));
            thread::sleep(length / 2);
            over.store(true, Ordering::Relaxed);
            good.join().unwrap_or_default()
        })
    };
    let after = memory("VmRSS")?;
    lab.end()?;
    let mut rows = Vec::new();
    let kinds: [(&str, fn(&Phase) -> &Served); 2] = [("DNS", |phase| &phase.names), ("HTTP", |phase| &phase.pages)];
    for (kind, of) in kinds {
        let mut each = |measure: &str, unit: &str, limit: Option<f64>, samples: &dyn Fn(&Served) -> Vec<f64>| {
            let measure = format!("{kind} {measure}");
            rows.extend(found.iter().map(|phase| row(&measure, phase.of, unit, samples(of(phase)), limit)));
        };
        each("lost", "%", Some(0.0), &|served| vec![served.lost_share()]);
        each("time", "ms", None, &|served| served.ms.clone());
        each("p99", "ms", None, &|served| served.p99().into_iter().collect());
    }
    rows.push(row("DNS lost", "afterwards", "%", vec![again.lost_share()], Some(0.0)));
    rows.push(row("memory", "before", "MiB", vec![before], None));
    rows.extend(found.iter().map(|one| row("memory", one.of, "MiB", vec![one.memory], None)));
    rows.push(row("memory", "peak", "MiB", vec![peak], Some(MOST_MEMORY)));
    rows.push(row("memory", "after", "MiB", vec![after], None));
    let notes = vec![
        format!("one client asks the resolver, one the application server, every 10 ms, while others misbehave for {length:?}"),
        "lost: no right answer within 2 s. Times have all samples, so the median is p50. Memory: resident set of the \
         process that has all hosts; peak: VmHWM"
            .into(),
        "left: 256 connections each to HTTP and HTTPS, 200 to the resolver, which takes 128; half requests: 128, 128 and 64; \
         slow readers: 128, each of 1 MB"
            .into(),
    ];
    Ok(Section { part: PART.into(), title: "clients that misbehave".into(), notes, peer: None, rows })
}

/// The soft limit is meant for programs that use `select`.
fn more_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

/// The real socket of a host's service over IPv4.
fn socket(book: &Value, host: &str, service: &str, protocol: &str) -> Result<SocketAddr> {
    let all = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
    let host =
        all(book, "hosts").into_iter().find(|known| known["name"] == host).context("no such host in the book")?;
    let found = all(&host, "services").into_iter().find(|one| one["name"] == service && one["protocol"] == protocol);
    Ok(found.context("no such service in the book")?["socket"].as_str().context("it has no socket")?.parse()?)
}

fn upstream(programs: &Programs, effort: Effort, scratch: &Path) -> Result<Section> {
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
            let asked: Vec<String> = (0..8).map(|_| names.next()).collect();
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
            "a server of this program plays `tld` in front of the lab's own, and breaks; {} clients at once ask the resolver, \
             {waves} times, for names that it does not know yet",
            8
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

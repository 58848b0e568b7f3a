//! The conversations, had by our resolver, Unbound and BIND. Each has each of them in a network namespace of its own, as a
//! program that has just started: the fake servers are at their own addresses there, on port 53. What comes of it is in
//! `docs/compatibility.md`.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    path::Path,
    process::Command,
    sync::Mutex,
    thread,
    time::Duration,
};

use e2e::{
    compatibility::{Row, Section},
    inside::inside,
    process::{self, Running},
};
use hickory_proto::op::Message;
use netlab::sys::namespace::Namespace;
use tempfile::TempDir;
use tokio::runtime;

use crate::{
    fake::{Fake, Ground, ROOT},
    running::{bytes_within, query},
    script::{self, Case, Script, shown},
};

/// Conversations at once. Most of the time is spent waiting for servers that say nothing.
const AT_ONCE: usize = 12;
/// A client has gone by then. Where servers say nothing, BIND gives up after 10 or 12 s, and Unbound much later.
const PATIENCE: Duration = Duration::from_secs(15);
/// Where the resolvers listen.
const AT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 78, 1, 53)), 53);
/// All of the servers' addresses are this machine's; BIND listens only at those that an interface has by itself.
const NETWORK: &str = "ip link set lo up && ip address add 10.78.0.1/16 dev lo && ip address add 10.78.1.53/32 dev lo";

/// Writes a resolver's files into a folder that has the root hints, and says what starts it. Other than that nobody
/// validates, and nobody uses IPv6, the programs do as they come.
type Prepare = fn(&Path) -> Result<Command, String>;

const RESOLVERS: [Prepare; 3] = [ours, unbound, bind];

fn ours(folder: &Path) -> Result<Command, String> {
    let world = "[network]\nv4 = \"10.78.0.0/16\"\nv6 = \"fd10:78:1ab::/64\"\n\
                 [hosts.resolver]\naddresses = [\"10.78.1.53\"]\nresolver.roots = \"root.hints\"\n";
    fs::write(folder.join("world.toml"), world).map_err(|error| error.to_string())?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_resolver"));
    command.args(["--host", "resolver", "--world"]).arg(folder.join("world.toml")).env_remove("RUST_LOG");
    Ok(command)
}

/// `test.` is one of the names that it answers by itself (RFC 6761 §6.2), unless it is told not to.
fn unbound(folder: &Path) -> Result<Command, String> {
    let shown = folder.display();
    let text = format!(
        "server:\n interface: {}\n do-ip6: no\n directory: \"{shown}\"\n chroot: \"\"\n username: \"\"\n \
         pidfile: \"\"\n use-syslog: no\n num-threads: 1\n module-config: \"iterator\"\n \
         root-hints: \"{shown}/root.hints\"\n access-control: 0.0.0.0/0 allow\n local-zone: \"test.\" nodefault\n \
        remote-control:\n control-enable: no\n",
        AT.ip()
    );
    let file = folder.join("unbound.conf");
    fs::write(&file, text).map_err(|error| error.to_string())?;
    let mut command = Command::new(process::find("unbound", "unbound")?);
    command.args(["-d", "-c"]).arg(file);
    Ok(command)
}

/// A cache of a usual size is laid out when it starts, which takes longer than a conversation.
fn bind(folder: &Path) -> Result<Command, String> {
    let shown = folder.display();
    let text = format!(
        "options {{\n directory \"{shown}\";\n listen-on {{ {}; }};\n pid-file none;\n session-keyfile none;\n \
         allow-query {{ any; }};\n allow-recursion {{ any; }};\n dnssec-validation no;\n empty-zones-enable no;\n max-cache-size 8M;\n}};\n\
         controls {{ }};\nzone \".\" {{ type hint; file \"{shown}/root.hints\"; }};\n",
        AT.ip()
    );
    let file = folder.join("named.conf");
    fs::write(&file, text).map_err(|error| error.to_string())?;
    let mut command = Command::new(process::find("named", "bind9")?);
    command.args(["-4", "-n", "1", "-g", "-c"]).arg(file);
    Ok(command)
}

/// What a client of a resolver gets in a conversation; where its costs are bounded, also what it cost.
fn play(case: &Case, prepare: Prepare) -> Result<String, String> {
    let told = |error: std::io::Error| error.to_string();
    // Lasts until the next one is entered.
    let _namespace = Namespace::enter_new().map_err(told)?;
    let network = Command::new("sh").args(["-c", NETWORK]).status().map_err(told)?;
    if !network.success() {
        return Err(format!("{NETWORK}: {network}"));
    }
    // Its threads are in the namespace of the one that makes it.
    let runtime = runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().map_err(told)?;
    let script = Script::read(&case.script);
    let servers = runtime.block_on(script.start(Ground::Own));
    let folder = tempfile::tempdir().map_err(told)?;
    let mut running = start(&folder, prepare)?;
    running.until(&format!("the resolver answers at {AT}"), answers)?;
    let mut cells = Vec::new();
    for ask in &script.asks {
        // Which of several servers is asked first is often chosen by chance.
        let of = |name: &String| {
            let answer = runtime.block_on(bytes_within(AT, &query(name, ask.rtype, None), PATIENCE));
            answer.map_or_else(|| "no answer".to_owned(), |answer| read(&answer))
        };
        let all: BTreeSet<String> = ask.names.iter().map(of).collect();
        cells.push(all.into_iter().collect::<Vec<_>>().join(" or "));
    }
    if case.queries.is_some() {
        cells.push(rounded(&servers));
    }
    running.stop()?;
    Ok(cells.join("; "))
}

fn start(folder: &TempDir, prepare: Prepare) -> Result<Running, String> {
    let hints = format!(". 3600000 NS ns.root.\nns.root. 3600000 A {ROOT}\n");
    fs::write(folder.path().join("root.hints"), hints).map_err(|error| error.to_string())?;
    let mut command = prepare(folder.path())?;
    Running::start(&mut command, &folder.path().join("log"))
}

/// An answer in short. Other resolvers pass on records that cannot be read here.
fn read(answer: &[u8]) -> String {
    Message::from_vec(answer).map_or_else(|_| "a record that cannot be read".to_owned(), |answer| shown(&answer))
}

/// How many queries the servers were sent, as a class: the number itself may differ from run to run.
fn rounded(servers: &[Fake]) -> String {
    let queries: usize = servers.iter().map(|server| server.seen().len()).sum();
    match [10, 20, 50, 100].into_iter().find(|most| queries <= *most) {
        Some(most) => format!("up to {most} queries"),
        None => "more than 100 queries".to_owned(),
    }
}

/// Whether a server answers a question that it needs nobody for: its version, in class CH.
fn answers() -> bool {
    let query = b"\x56\x49\0\0\0\x01\0\0\0\0\0\0\x07version\x04bind\0\0\x10\0\x03";
    let ask = || {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.set_read_timeout(Some(Duration::from_millis(200)))?;
        socket.connect(AT)?;
        socket.send(query)?;
        socket.recv(&mut [0; 512])
    };
    ask().is_ok()
}

/// Plays all, and has the cells by number of case and resolver.
fn play_all(cases: &[Case]) -> BTreeMap<(usize, usize), String> {
    let pairs = (0..cases.len()).flat_map(|case| (0..RESOLVERS.len()).map(move |resolver| (case, resolver)));
    let mut pairs: Vec<(usize, usize)> = pairs.collect();
    // Those in which somebody waits go first, and the others pass meanwhile.
    pairs.sort_by_key(|(case, _)| !cases[*case].slow);
    let left = Mutex::new(VecDeque::from(pairs));
    let cells = Mutex::new(BTreeMap::new());
    let work = || {
        while let Some((case, resolver)) = { left.lock().unwrap().pop_front() } {
            let cell = play(&cases[case], RESOLVERS[resolver]);
            let cell = cell.unwrap_or_else(|error| panic!("{}: {error}", cases[case].name));
            cells.lock().unwrap().insert((case, resolver), cell);
        }
    };
    thread::scope(|scope| (0..AT_ONCE).for_each(|_| drop(scope.spawn(work))));
    cells.into_inner().unwrap()
}

#[needs::tools(unshare, ip, unbound, named)]
#[test]
fn next_to_other_resolvers() {
    if !inside(module_path!(), "next_to_other_resolvers", &[]) {
        return;
    }
    let cases: Vec<Case> = script::all().into_iter().filter(|case| case.alone.is_none()).collect();
    let cells = play_all(&cases);
    for (nth, case) in cases.iter().enumerate() {
        let expected: Vec<String> = Script::read(&case.script).asks.into_iter().map(|ask| ask.expected).collect();
        let ours = &cells[&(nth, 0)];
        assert!(ours.starts_with(&expected.join("; ")), "{}: {ours} and not {expected:?}", case.name);
    }
    let row = |(nth, case): (usize, &Case)| Row {
        case: case.name.clone(),
        input: case.rfc.clone(),
        ours: cells[&(nth, 0)].clone(),
        peers: (1..RESOLVERS.len()).map(|resolver| cells[&(nth, resolver)].clone()).collect(),
        why: case.why.clone(),
    };
    let rows = cases.iter().enumerate().map(row).collect();
    let version = |program, package, argument, words| {
        process::find(program, package).and_then(|file| process::version(&file, argument, words)).unwrap()
    };
    let unbound = version("unbound", "unbound", "-V", 2).replace("Version", "Unbound");
    let peers = vec![unbound, version("named", "bind9", "-v", 2)];
    let section = Section { name: "recursion", input: "standard", ours: "resolver", peers, rows };
    section.check().unwrap_or_else(|wrong| panic!("{wrong}"));
}

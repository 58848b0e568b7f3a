//! Our application server beside nginx: a body of 13 bytes over connections that are kept.

mod plain;
mod wrk;

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::{
    args::Effort,
    contest::{self, Contestant, Measure},
    machine,
    peer::{NGINX, WRK},
    process::command,
    programs::Programs,
    section::Section,
    server::{Server, free_port},
    tree,
};

pub(crate) use plain::get;

const PART: &str = "http";
/// What both send: `/bytes/13` of ours has a body of so many bytes.
const PATH: &str = "/bytes/13";
const BODY: usize = 13;

const MEASURES: [Measure; 4] = [
    Measure { name: "CPU per request", unit: "µs", budget: None },
    Measure { name: "throughput", unit: "requests/s", budget: None },
    Measure { name: "latency p99", unit: "ms", budget: None },
    Measure { name: "memory", unit: "MiB", budget: None },
];

/// Measures both.
pub(crate) fn measure(programs: &Programs, effort: Effort, scratch: &Path) -> Result<Vec<Section>> {
    let wrk = match WRK.find() {
        Ok(wrk) => wrk,
        Err(found) => return Ok(vec![Section::unmeasured(PART, "web servers", found, None)]),
    };
    let workers = machine::cores();
    let nginx = match NGINX.find() {
        Ok(program) => Contestant::new(NGINX.name, start_nginx(&program, workers, &scratch.join("nginx")))?,
        Err(why) => Contestant::absent(NGINX.name, why),
    };
    let app = start_app(&programs.app, &scratch.join("app")).map(|app| app.server);
    let ours = Contestant::new("app", app)?;
    let mut contestants = [ours, nginx];
    let load = wrk::Load { program: &wrk, path: PATH, workers, scratch };
    let mut compared = Vec::new();
    contest::hold("http, warming up", &[], &mut contestants, 1, |server| {
        let reply = get(server.address, PATH)?;
        anyhow::ensure!(reply.status == 200 && reply.body.len() == BODY, "GET {PATH}: {reply}");
        compared.push(reply.to_string());
        load.run(server.address, 1)?;
        Ok(Vec::new())
    })?;
    let rows = contest::hold(PART, &MEASURES, &mut contestants, effort.rounds, |server| {
        let before = server.cpu();
        let told = load.run(server.address, effort.seconds)?;
        let cpu = server.cpu().saturating_sub(before);
        let memory = server.memory().context("/proc does not tell its memory")?;
        Ok(vec![cpu.as_secs_f64() * 1e6 / told.requests, told.per_second, told.p99_ms, tree::mebibytes(memory)])
    })?;
    let notes = vec![
        format!("GET {PATH} of app beside nginx's `return 200` (a body from memory, no file): {}", compared.join("; ")),
        format!(
            "wrk {}, keep-alive; {} rounds of {} s in turn, after one that does not count; {workers} workers each, which \
             share the cores with wrk; nginx without access log",
            load.options().join(" "),
            effort.rounds,
            effort.seconds,
        ),
    ];
    let title = "application server".into();
    Ok(vec![Section { part: PART.into(), title, notes, peer: Some(NGINX.name.into()), rows }])
}

/// Our application server, on ports of its own.
pub(crate) struct App {
    pub(crate) server: Server,
    /// Where it speaks HTTPS.
    pub(crate) https: SocketAddr,
    /// The certificate of the authority that vouches for it.
    pub(crate) ca: PathBuf,
}

/// Starts our application server.
pub(crate) fn start_app(program: &Path, folder: &Path) -> Result<App> {
    fs::create_dir_all(folder)?;
    let (address, https) = (free_port()?, free_port()?);
    let [talk, echo, admin] = [free_port()?, free_port()?, free_port()?].map(|address| address.port());
    let world = format!(
        "[network]\nv4 = \"127.0.0.0/8\"\nv6 = \"fd00:53::/64\"\nadmin_port = {admin}\n\
         [hosts.bench]\naddresses = [\"{}\"]\n\
         app = {{ http_port = {}, https_port = {}, talk_port = {talk}, echo_port = {echo} }}\n",
        address.ip(),
        address.port(),
        https.port()
    );
    let file = folder.join("world.toml");
    fs::write(&file, world)?;
    let mut app = command(program);
    app.arg("--world").arg(&file).args(["--host", "bench"]).env("VISIT_DATA", folder);
    let server = Server::start(&mut app, &folder.join("log"), address, answers)?;
    Ok(App { server, https, ca: folder.join("lab-ca.pem") })
}

fn start_nginx(program: &Path, workers: usize, folder: &Path) -> Result<Server> {
    fs::create_dir_all(folder)?;
    let address = free_port()?;
    let body = "x".repeat(BODY);
    // Kept connections would otherwise end after 1000 requests; ours have no such limit.
    let configuration = format!(
        "daemon off;\nworker_processes {workers};\npid nginx.pid;\nerror_log stderr error;\n\
         events {{ worker_connections 1024; }}\n\
         http {{\n access_log off;\n default_type text/plain;\n keepalive_requests 1000000000;\n\
         client_body_temp_path b;\n proxy_temp_path p;\n fastcgi_temp_path f;\n uwsgi_temp_path u;\n scgi_temp_path s;\n\
         server {{ listen {address} reuseport; location / {{ return 200 '{body}'; }} }}\n}}\n"
    );
    let file = folder.join("nginx.conf");
    fs::write(&file, configuration)?;
    let mut nginx = command(program);
    nginx.arg("-p").arg(folder).arg("-c").arg(&file).args(["-e", "stderr"]);
    Server::start(&mut nginx, &folder.join("log"), address, answers)
}

fn answers(address: SocketAddr) -> bool {
    get(address, PATH).is_ok()
}

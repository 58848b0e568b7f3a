//! What comes of a server's bytes, here and with curl. A server plays each case twice, once for each client.

use std::{
    env, fs,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Command, Output},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use e2e::{
    compatibility::{Row, Section},
    way::{root, visit_binary},
};
use serde::Deserialize;
use serde_json::Value;
use socket2::SockRef;
use tempfile::TempDir;

/// The longest that a client may take; the cases in which it waits for more end by their own `--max-time`.
const MAX_TIME: &str = "20";
/// A client that has gone silent is not waited for any longer.
const LIMIT: Duration = Duration::from_secs(30);

#[derive(Debug, Deserialize)]
struct Cases {
    case: Vec<Case>,
}

/// A case: what the server sends, and what the clients are called with.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    rfc: String,
    /// The parts of the first response, each in a segment of its own; `{port}` is the server's.
    send: Vec<Bytes>,
    /// The same of every later response; the first one again where it is empty.
    #[serde(default)]
    then: Vec<Bytes>,
    /// Whether every byte is a segment of its own.
    #[serde(default)]
    split: bool,
    #[serde(default)]
    end: End,
    /// Whether the server answers before it has read the request.
    #[serde(default)]
    at_once: bool,
    #[serde(default)]
    args: Vec<String>,
    /// The same words for curl, where it needs others.
    curl: Option<Vec<String>>,
    why: Option<String>,
}

/// Text, or bytes in hexadecimal.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Bytes {
    Text(String),
    Hex { hex: String },
    Repeated { text: String, times: usize },
}

/// What the server does after its last byte.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum End {
    #[default]
    Close,
    Reset,
    /// It waits until the client closes.
    Hold,
}

/// Plays every case and compares what comes of it with the document.
pub(crate) fn compare() -> Result<(), String> {
    let file = root().join("tests/compatibility/http.toml");
    let text = fs::read_to_string(&file).map_err(|error| error.to_string())?;
    let cases: Cases = toml::from_str(&text).map_err(|error| format!("{}: {error}", file.display()))?;
    let rows = cases.case.iter().map(play).collect::<Result<_, _>>()?;
    Section { name: "http", input: "standard", ours: "visit", peers: vec![curl_version()?], rows }.check()
}

fn play(case: &Case) -> Result<Row, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    Ok(Row {
        case: case.name.clone(),
        input: case.rfc.clone(),
        ours: visit(case, &folder)?,
        peers: vec![curl(case, &folder)?],
        why: case.why.clone(),
    })
}

fn visit(case: &Case, folder: &TempDir) -> Result<String, String> {
    let server = Server::start(case)?;
    let body = folder.path().join("visit");
    let mut command = alone(Command::new(visit_binary()?));
    command.args(["--json", "--max-time", MAX_TIME]).args(&case.args).arg("-o").arg(&body).arg(server.url());
    let output = run(&mut command)?;
    let journey: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let stages = |hop: &Value| hop["stages"].as_array().cloned().unwrap_or_default();
    let hops = journey["hops"].as_array().cloned().unwrap_or_default();
    let status = hops.iter().flat_map(stages).filter_map(|stage| stage["status"].as_u64()).next_back();
    Ok(outcome(&output, status, &body, &server))
}

fn curl(case: &Case, folder: &TempDir) -> Result<String, String> {
    let server = Server::start(case)?;
    let body = folder.path().join("curl");
    let mut command = alone(Command::new("curl"));
    command.args(["-q", "--silent", "--compressed", "--write-out", "%{http_code}", "--max-time", MAX_TIME]);
    command.args(case.curl.as_ref().unwrap_or(&case.args)).arg("--output").arg(&body).arg(server.url());
    let output = run(&mut command)?;
    let status = String::from_utf8_lossy(&output.stdout).parse().ok().filter(|status| *status != 0);
    Ok(outcome(&output, status, &body, &server))
}

/// Exit code, last status, size of the content as written, and how many requests the server read.
fn outcome(output: &Output, status: Option<u64>, body: &Path, server: &Server) -> String {
    let exit = output.status.code().map_or_else(|| "killed".to_owned(), |code| format!("exit {code}"));
    let status = status.map_or_else(|| "no status".to_owned(), |status| status.to_string());
    let size = fs::metadata(body).map(|metadata| metadata.len()).unwrap_or_default();
    match server.requests.load(Ordering::Acquire) {
        1 => format!("{exit}, {status}, {size} B"),
        requests => format!("{exit}, {status}, {size} B, {requests} requests"),
    }
}

fn curl_version() -> Result<String, String> {
    let output = run(Command::new("curl").arg("--version"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(text.split_whitespace().take(2).collect::<Vec<_>>().join(" "))
}

/// Without what the environment says of proxies, labs and trust.
fn alone(mut command: Command) -> Command {
    for (name, _) in env::vars_os() {
        let lower = name.to_string_lossy().to_ascii_lowercase();
        if lower.ends_with("_proxy") || lower.starts_with("visit_") {
            command.env_remove(name);
        }
    }
    command
}

fn run(command: &mut Command) -> Result<Output, String> {
    command.output().map_err(|error| format!("{command:?}: {error}: apt-get install curl"))
}

/// A server that plays a case for every connection.
struct Server {
    address: SocketAddr,
    requests: Arc<AtomicUsize>,
}

impl Server {
    fn start(case: &Case) -> Result<Self, String> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|error| error.to_string())?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let requests = Arc::new(AtomicUsize::new(0));
        let (case, count) = (case.clone(), Arc::clone(&requests));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that breaks off is part of some cases.
                let _ = serve(stream, &case, address.port(), &count);
            }
        });
        Ok(Self { address, requests })
    }

    fn url(&self) -> String {
        format!("http://{}/", self.address)
    }
}

fn serve(mut stream: TcpStream, case: &Case, port: u16, requests: &AtomicUsize) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(LIMIT))?;
    if !case.at_once {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            if stream.read(&mut byte)? == 0 {
                return Ok(());
            }
            head.push(byte[0]);
        }
    }
    let is_first = requests.fetch_add(1, Ordering::AcqRel) == 0;
    let parts = if is_first || case.then.is_empty() { &case.send } else { &case.then };
    for part in parts {
        let bytes = part.bytes(port);
        let size = if case.split { 1 } else { bytes.len().max(1) };
        for segment in bytes.chunks(size) {
            stream.write_all(segment)?;
        }
    }
    match case.end {
        End::Close => {
            // What the client still sends would otherwise be answered with a reset, which can overtake the response.
            stream.shutdown(std::net::Shutdown::Write)?;
            stream.read_to_end(&mut Vec::new())?;
        }
        End::Reset => SockRef::from(&stream).set_linger(Some(Duration::ZERO))?,
        End::Hold => {
            stream.read_to_end(&mut Vec::new())?;
        }
    }
    Ok(())
}

impl Bytes {
    fn bytes(&self, port: u16) -> Vec<u8> {
        match self {
            Self::Text(text) => text.replace("{port}", &port.to_string()).into_bytes(),
            Self::Hex { hex } => {
                let digits: Vec<u32> = hex.chars().filter_map(|digit| digit.to_digit(16)).collect();
                digits
                    .chunks(2)
                    .filter_map(|pair| u8::try_from(pair.iter().fold(0, |sum, digit| sum * 16 + digit)).ok())
                    .collect()
            }
            Self::Repeated { text, times } => text.repeat(*times).into_bytes(),
        }
    }
}

//! Throw-away servers, and the program that visits them.

// The test programs beside this one use a part of it.
#![allow(dead_code)]

pub(crate) mod dns;
pub(crate) mod raw;

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    process::{Command, Output},
    thread,
};

use serde_json::Value;

/// How a server ends a connection once it has sent everything.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    /// With FIN.
    Close,
    /// With RST.
    Reset,
    /// It waits for the other side's FIN.
    WhenPeerCloses,
}

/// A server on loopback; it serves until the test process ends.
pub(crate) struct Server(SocketAddr);

impl Server {
    /// Reads a request's head, sends these bytes, ends like this.
    pub(crate) fn start(answer: Vec<u8>, end: End) -> Self {
        Self::start_with(move |mut stream| {
            let _ = stream.write_all(&answer);
            match end {
                End::Close => {}
                End::Reset => reset(&stream),
                End::WhenPeerCloses => {
                    let _ = stream.read_to_end(&mut Vec::new());
                }
            }
        })
    }

    /// Reads a request's head and leaves the rest to `answer`.
    pub(crate) fn start_with(answer: impl Fn(TcpStream) + Send + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|count| count == 1) {
                    head.push(byte[0]);
                }
                answer(stream);
            }
        });
        Self(address)
    }

    /// Sends these bytes and closes, whatever the other side does.
    pub(crate) fn at_once(answer: &'static [u8]) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let _ = stream.write_all(answer);
                let _ = stream.shutdown(std::net::Shutdown::Write);
                if !answer.is_empty() {
                    // Without this the request would be answered with a reset that overtakes the answer.
                    let _ = stream.read_to_end(&mut Vec::new());
                }
            }
        });
        Self(address)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.0)
    }
}

/// Makes the close of this connection a reset.
fn reset(stream: &TcpStream) {
    socket2::SockRef::from(stream).set_linger(Some(std::time::Duration::ZERO)).unwrap();
}

/// A port on which nothing listens, and nobody else can while it is held: bound, and never listened on.
pub(crate) struct ClosedPort(socket2::Socket);

impl ClosedPort {
    pub(crate) fn new() -> Self {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        Self(socket)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.0.local_addr().unwrap().as_socket().unwrap())
    }
}

/// `visit` in an environment that says nothing, with a lab that runs on every machine; what it keeps is kept beside the
/// tests.
pub(crate) fn program() -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_visit"));
    for name in [
        "VISIT_WORLD",
        "VISIT_RESOLVER",
        "NO_COLOR",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "SSLKEYLOGFILE",
        "http_proxy",
        "https_proxy",
        "HTTPS_PROXY",
        "all_proxy",
        "ALL_PROXY",
        "no_proxy",
        "NO_PROXY",
    ] {
        program.env_remove(name);
    }
    program.env("VISIT_LAB", "loopback");
    program.env("LANG", "C.UTF-8").env("VISIT_DATA", concat!(env!("CARGO_TARGET_TMPDIR"), "/data"));
    program
}

/// Runs `visit`.
pub(crate) fn run(args: &[&str]) -> Output {
    program().args(args).output().unwrap()
}

/// Runs `visit --json`; the exit code and the journey.
pub(crate) fn visit(args: &[&str]) -> (i32, Value) {
    let output = run(&[&["--json"], args].concat());
    let journey = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{error}: {}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    });
    (output.status.code().unwrap(), journey)
}

//! One plain request, to see what a server sends.

use std::{
    fmt,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result};

const LIMIT: Duration = Duration::from_secs(2);

/// A whole response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    server: String,
    head_bytes: usize,
    pub(crate) body: Vec<u8>,
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} sends {}, head {} bytes, body {} bytes",
            self.server,
            self.status,
            self.head_bytes,
            self.body.len()
        )
    }
}

/// GETs a path and reads until the server closes.
pub(crate) fn get(server: SocketAddr, path: &str) -> Result<Reply> {
    let mut stream = TcpStream::connect_timeout(&server, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\r\n")?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    parse(&bytes).with_context(|| format!("{server} does not speak HTTP"))
}

fn parse(bytes: &[u8]) -> Option<Reply> {
    let head_bytes = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let (head, body) = bytes.split_at(head_bytes);
    let head = String::from_utf8_lossy(head);
    let server = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("server").then(|| value.trim().to_owned())
    });
    Some(Reply {
        status: head.split(' ').nth(1)?.parse().ok()?,
        server: server.unwrap_or_else(|| "no name".to_owned()),
        head_bytes,
        body: body.to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply() {
        let reply = parse(b"HTTP/1.1 200 OK\r\nserver: x/1\r\n\r\nabc").unwrap();
        assert_eq!(reply.to_string(), "x/1 sends 200, head 32 bytes, body 3 bytes");
        assert_eq!(parse(b"HTTP/1.1 200 OK\r\n"), None);
    }
}

//! Clients that behave, and what comes of it while others do not.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream, UdpSocket},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;

use super::message;

/// Who has waited so long has not been served.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between two questions, and between two requests.
const PAUSE: Duration = Duration::from_millis(10);

/// What came of asking.
#[derive(Clone, Debug, Default)]
pub(crate) struct Served {
    /// Milliseconds until each answer that was right.
    pub(crate) ms: Vec<f64>,
    /// How many got none in time, or not a right one.
    pub(crate) lost: usize,
}

impl Served {
    fn note(&mut self, began: Instant, is_right: bool) {
        match is_right {
            true => self.ms.push(began.elapsed().as_secs_f64() * 1e3),
            false => self.lost += 1,
        }
    }

    /// In percent.
    pub(crate) fn lost_share(&self) -> f64 {
        let all = self.ms.len() + self.lost;
        if all == 0 { 100.0 } else { self.lost as f64 * 100.0 / all as f64 }
    }

    /// The time within which 99 of 100 were served.
    pub(crate) fn p99(&self) -> Option<f64> {
        let mut sorted = self.ms.clone();
        sorted.sort_by(f64::total_cmp);
        let nth = (sorted.len() * 99).div_ceil(100);
        sorted.get(nth.checked_sub(1)?).copied()
    }
}

/// Asks the resolver and the application server, each one after the other, until it is over.
pub(crate) fn clients(dns: SocketAddr, http: SocketAddr, over: &AtomicBool) -> (Served, Served) {
    thread::scope(|scope| {
        let names = scope.spawn(|| until(over, |nth| look_up(dns, nth)));
        let pages = until(over, |_| is_page_within(http, PATIENCE));
        (names.join().unwrap_or_default(), pages)
    })
}

fn until(over: &AtomicBool, one: impl Fn(u16) -> Result<bool>) -> Served {
    let mut served = Served::default();
    let mut nth: u16 = 0;
    while !over.load(Ordering::Relaxed) {
        let began = Instant::now();
        served.note(began, one(nth).unwrap_or(false));
        nth = nth.wrapping_add(1);
        thread::sleep(PAUSE);
    }
    served
}

fn look_up(dns: SocketAddr, id: u16) -> Result<bool> {
    let socket = UdpSocket::bind((dns.ip(), 0))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.connect(dns)?;
    socket.send(&message::query(id, "www.example.test"))?;
    let mut buffer = [0; 4096];
    let length = socket.recv(&mut buffer)?;
    let reply = message::reply(&buffer[..length]);
    Ok(reply.is_some_and(|reply| (reply.id, reply.rcode, reply.answers) == (id, 0, 2)))
}

/// Whether a page is served within that time.
pub(crate) fn is_page_within(http: SocketAddr, patience: Duration) -> Result<bool> {
    let mut stream = TcpStream::connect_timeout(&http, patience)?;
    stream.set_read_timeout(Some(patience))?;
    stream.write_all(b"GET /bytes/13 HTTP/1.1\r\nHost: www.example.test\r\nConnection: close\r\n\r\n")?;
    let mut response = Vec::new();
    stream.take(64 * 1024).read_to_end(&mut response)?;
    Ok(response.starts_with(b"HTTP/1.1 200 "))
}

/// Whether a question is answered over TCP within that time.
pub(crate) fn is_answer_within(dns: SocketAddr, patience: Duration) -> Result<bool> {
    let mut stream = TcpStream::connect_timeout(&dns, patience)?;
    stream.set_read_timeout(Some(patience))?;
    let query = message::query(1, "www.example.test");
    stream.write_all(&[&u16::try_from(query.len())?.to_be_bytes(), &query[..]].concat())?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut reply = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut reply)?;
    Ok(message::reply(&reply).is_some_and(|reply| (reply.rcode, reply.answers) == (0, 2)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares() {
        let served = Served { ms: (1..=200).map(f64::from).collect(), lost: 50 };
        assert_eq!((served.lost_share(), served.p99()), (20.0, Some(198.0)));
        assert_eq!((Served::default().lost_share(), Served::default().p99()), (100.0, None));
    }
}

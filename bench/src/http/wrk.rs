//! wrk: the load, and what it tells.

use std::{net::SocketAddr, path::Path, time::Duration};

use anyhow::{Context, Result, ensure};

use crate::process::{command, said};

/// How the load is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load<'a> {
    pub(crate) program: &'a Path,
    pub(crate) path: &'a str,
    pub(crate) workers: usize,
    pub(crate) scratch: &'a Path,
}

/// What wrk tells at its end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Told {
    /// Requests that were answered.
    pub(crate) requests: f64,
    /// In a second.
    pub(crate) per_second: f64,
    /// All but the slowest hundredth were answered within so many milliseconds.
    pub(crate) p99_ms: f64,
}

impl Load<'_> {
    /// The options that shape the load: 64 connections.
    pub(crate) fn options(&self) -> Vec<String> {
        let threads = self.workers.to_string();
        ["-c", "64", "-t", &threads].map(str::to_owned).to_vec()
    }

    /// Loads the server for so many seconds. A response that is no success, or a broken connection, is an error: what
    /// fails fast is not fast.
    pub(crate) fn run(&self, server: SocketAddr, seconds: u64) -> Result<Told> {
        let mut wrk = command(self.program);
        wrk.args(self.options()).args(["--latency", "-d", &format!("{seconds}s")]);
        wrk.arg(format!("http://{server}{}", self.path));
        let text = said(&mut wrk, Duration::from_secs(seconds + 10), self.scratch)?;
        let bad = text.lines().find(|line| line.contains("Socket errors") || line.contains("Non-2xx"));
        ensure!(bad.is_none(), "{}", bad.unwrap_or_default().trim());
        read(&text).with_context(|| format!("wrk said: {text}"))
    }
}

fn read(text: &str) -> Option<Told> {
    let mut lines = text.lines().map(str::trim);
    let p99 = lines.clone().find_map(|line| line.strip_prefix("99%"))?;
    let requests = lines.clone().find_map(|line| line.split_once(" requests in ")?.0.parse().ok())?;
    let per_second = lines.find_map(|line| line.strip_prefix("Requests/sec:")?.trim().parse().ok())?;
    Some(Told { requests, per_second, p99_ms: milliseconds(p99.trim())? })
}

/// `87.00us`, `3.27ms`, `1.02s`.
fn milliseconds(text: &str) -> Option<f64> {
    let units = [("us", 1e-3), ("ms", 1.0), ("s", 1e3)];
    units.iter().find_map(|(unit, factor)| Some(text.strip_suffix(unit)?.parse::<f64>().ok()? * factor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics() {
        let text = "\
Running 1s test @ http://127.0.0.1:8000/
  2 threads and 64 connections
  Latency Distribution
     50%  400.00us
     99%    3.27ms
  130048 requests in 1.00s, 19.10MB read
Requests/sec: 129876.53
Transfer/sec:     19.07MB
";
        assert_eq!(read(text), Some(Told { requests: 130_048.0, per_second: 129_876.53, p99_ms: 3.27 }));
        assert_eq!(read("Requests/sec: 5"), None);
    }

    #[test]
    fn times() {
        let check = |text, expected| assert_eq!(milliseconds(text), expected, "{text}");
        check("500.00us", Some(0.5));
        check("3.27ms", Some(3.27));
        check("1.02s", Some(1020.0));
        check("1m", None);
    }
}

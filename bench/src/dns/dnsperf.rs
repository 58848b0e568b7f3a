//! dnsperf: the load, and what it tells.

use std::{net::SocketAddr, path::Path, time::Duration};

use anyhow::{Context, Result};

use crate::process::{command, said};

/// How the load is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load<'a> {
    pub(crate) program: &'a Path,
    pub(crate) queries: &'a Path,
    pub(crate) workers: usize,
    pub(crate) scratch: &'a Path,
}

/// What dnsperf tells at its end.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Told {
    /// Queries that were answered.
    pub(crate) completed: f64,
    /// Queries that were not, within the time-out.
    pub(crate) lost: f64,
    /// Answers in a second.
    pub(crate) per_second: f64,
    /// Bytes of a response, on average.
    pub(crate) response_bytes: f64,
    /// Per cent of the answers.
    pub(crate) noerror: f64,
    /// Per cent of the answers.
    pub(crate) nxdomain: f64,
}

impl Load<'_> {
    /// The options that shape the load: 16 clients, 200 queries under way at most, one second of patience.
    pub(crate) fn options(&self) -> Vec<String> {
        let threads = self.workers.to_string();
        ["-c", "16", "-T", &threads, "-q", "200", "-t", "1"].map(str::to_owned).to_vec()
    }

    /// Loads the server for so many seconds.
    pub(crate) fn run(&self, server: SocketAddr, seconds: u64) -> Result<Told> {
        let mut dnsperf = command(self.program);
        dnsperf.args(["-s", &server.ip().to_string(), "-p", &server.port().to_string(), "-d"]).arg(self.queries);
        dnsperf.args(self.options()).args(["-l", &seconds.to_string()]);
        let text = said(&mut dnsperf, Duration::from_secs(seconds + 10), self.scratch)?;
        read(&text).with_context(|| format!("dnsperf said: {text}"))
    }
}

/// Reads the statistics that dnsperf prints.
fn read(text: &str) -> Option<Told> {
    let value = |label: &str| text.lines().find_map(|line| line.trim().strip_prefix(label)).map(str::trim);
    let number = |label: &str| value(label)?.split_whitespace().next()?.parse::<f64>().ok();
    let codes = value("Response codes:").unwrap_or_default();
    // "NOERROR 53981 (90.00%), NXDOMAIN 5998 (10.00%)"
    let share = |code: &str| {
        let part = codes.split(", ").find_map(|part| part.strip_prefix(code)?.strip_prefix(' '));
        part.and_then(|part| part.split_once('(')?.1.split_once('%')?.0.parse().ok()).unwrap_or(0.0)
    };
    Some(Told {
        completed: number("Queries completed:")?,
        lost: number("Queries lost:")?,
        per_second: number("Queries per second:")?,
        response_bytes: value("Average packet size:")?.rsplit_once("response ")?.1.parse().ok()?,
        noerror: share("NOERROR"),
        nxdomain: share("NXDOMAIN"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics() {
        let text = "\
[Status] Testing complete (time limit)

Statistics:

  Queries sent:         59980
  Queries completed:    59979 (100.00%)
  Queries lost:         1 (0.00%)

  Response codes:       NOERROR 53981 (90.00%), NXDOMAIN 5998 (10.00%)
  Average packet size:  request 33, response 57
  Run time (s):         1.000201
  Queries per second:   59966.946644
";
        let expected = Told {
            completed: 59979.0,
            lost: 1.0,
            per_second: 59966.946644,
            response_bytes: 57.0,
            noerror: 90.0,
            nxdomain: 10.0,
        };
        assert_eq!(read(text), Some(expected));
        assert_eq!(read("Queries completed: x"), None);
    }
}

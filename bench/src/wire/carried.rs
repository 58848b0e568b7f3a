//! How much the switches carry: a large body from a server to `you`, across the router.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{LOOPBACK, PART, WIRE, section};
use crate::{
    args::Effort,
    contest::{self, Contestant, Measure},
    lab::Serving,
    peer::{CURL, NSENTER},
    process::{command, said},
    programs::Programs,
    section::Section,
    tree,
};

const MEASURES: [Measure; 2] = [
    Measure { name: "throughput", unit: "Mbit/s", budget: None },
    Measure { name: "lab's CPU", unit: "ms/MiB", budget: None },
];
const FRAMES: [Measure; 1] = [Measure { name: "frames", unit: "frames/s", budget: None }];
const SERVER: &str = "app1";
const LIMIT: Duration = Duration::from_secs(60);

/// A lab, and how to get at its server.
struct Lab {
    serving: Serving,
    /// What stands before a program that is to run at the visitor.
    enter: Vec<String>,
    url: String,
    curl: PathBuf,
    bytes: u64,
    scratch: PathBuf,
}

/// Measures the transfer, and the same on loopback.
pub(super) fn measure(programs: &Programs, effort: Effort, scratch: &Path) -> Result<Section> {
    let title = "what the switches carry";
    let (curl, nsenter) = match (CURL.find(), NSENTER.find()) {
        (Ok(curl), Ok(nsenter)) => (curl, nsenter),
        (Err(found), _) | (_, Err(found)) => {
            return Ok(Section { title: title.into(), ..Section::unmeasured(PART, title, found, None) });
        }
    };
    let bytes = if effort.quick { 8 } else { 128 } * 1024 * 1024;
    let lab = |args: &[&str]| -> Result<Lab> {
        let serving = Serving::start(&programs.visit, args)?;
        let url = format!("http://{}/bytes/{bytes}", socket(&serving.book)?);
        let enter = enter(&serving.book, &nsenter);
        Ok(Lab { serving, enter, url, curl: curl.clone(), bytes, scratch: scratch.to_path_buf() })
    };
    let mut labs = [Contestant::new(WIRE, lab(&["--wire"]))?, Contestant::new(LOOPBACK, lab(&[]))?];
    let mut rows = contest::hold(&format!("{PART}, bulk"), &MEASURES, &mut labs, effort.rounds, |lab| {
        let before = tree::cpu(lab.serving.pid());
        let seconds = lab.get()?;
        let cpu = tree::cpu(lab.serving.pid()).saturating_sub(before);
        let mebibytes = lab.bytes as f64 / (1024.0 * 1024.0);
        Ok(vec![lab.bytes as f64 * 8.0 / 1e6 / seconds, cpu.as_secs_f64() * 1e3 / mebibytes])
    })?;
    let [wire, _] = &mut labs;
    rows.extend(contest::hold(
        &format!("{PART}, frames"),
        &FRAMES,
        std::slice::from_mut(wire),
        effort.rounds,
        |lab| {
            let before = lab.frames()?;
            let seconds = lab.get()?;
            Ok(vec![(lab.frames()? - before) as f64 / seconds])
        },
    )?);
    let notes = vec![
        format!(
            "curl at the visitor gets {} MiB of {SERVER} over TCP, in wire across the router and two switches, on loopback by \
             one socket; {} rounds each, in turn; the lab's services and switches are one process, which shares the cores \
             with curl",
            bytes / 1024 / 1024,
            effort.rounds,
        ),
        "frames: of both segments, as each frame between the visitor and the server is switched in both; of at most 1514 \
         bytes, since nothing is offloaded"
            .into(),
    ];
    Ok(section(title, notes, Some(LOOPBACK), rows))
}

/// Where the server is for whoever visits.
fn socket(book: &Value) -> Result<String> {
    let all = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let hosts = all(&book["hosts"]);
    let server = hosts.iter().find(|host| host["name"] == SERVER).context("the lab has no such server")?;
    let services = all(&server["services"]);
    let http = services.iter().find(|service| service["name"] == "http").context("it has no http")?;
    Ok(http["socket"].as_str().context("it has no socket")?.to_owned())
}

fn enter(book: &Value, nsenter: &Path) -> Vec<String> {
    let inside = &book["inside"];
    let Some(net) = inside["hosts"]["you"].as_str() else { return Vec::new() };
    let mut words = vec![nsenter.display().to_string()];
    words.extend(inside["user"].as_str().map(|user| format!("--user={user}")));
    words.extend(["--preserve-credentials".to_owned(), format!("--net={net}"), "--".to_owned()]);
    words
}

impl Lab {
    /// A program at the visitor.
    fn at_visitor(&self, program: &Path) -> Command {
        match self.enter.split_first() {
            None => command(program),
            Some((nsenter, words)) => {
                let mut entered = command(nsenter);
                entered.args(words).arg(program);
                entered
            }
        }
    }

    /// Seconds of a transfer.
    fn get(&self) -> Result<f64> {
        let mut curl = self.at_visitor(&self.curl);
        curl.args(["-q", "--silent", "--show-error", "--fail", "--output", "/dev/null"]);
        curl.args(["--write-out", "%{size_download} %{time_total}", &self.url]);
        let told = said(&mut curl, LIMIT, &self.scratch)?;
        let (size, seconds) = told.split_once(' ').context("curl tells no size and time")?;
        ensure!(size.parse() == Ok(self.bytes), "curl got {size} bytes of {}", self.bytes);
        Ok(seconds.trim().parse()?)
    }

    /// Frames that were switched so far.
    fn frames(&self) -> Result<u64> {
        let devices = said(self.at_visitor(Path::new("cat")).arg("/proc/thread-self/net/dev"), LIMIT, &self.scratch)?;
        let mine = of_interface(&devices).context("the visitor's kernel tells no frames")?;
        Ok(mine * 2)
    }
}

/// Frames received and sent by the one interface besides loopback, proc_pid_net(5).
fn of_interface(devices: &str) -> Option<u64> {
    let mut lines = devices.lines().filter_map(|line| line.trim().split_once(':'));
    let (_, counters) = lines.find(|(name, _)| *name != "lo")?;
    let counters: Vec<&str> = counters.split_whitespace().collect();
    Some(counters.get(1)?.parse::<u64>().ok()? + counters.get(9)?.parse::<u64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters() {
        let text = "Inter-|   Receive  |  Transmit\n face |bytes    packets errs drop fifo frame compressed multicast|bytes\n    \
                    lo:       5       5    0    0    0     0          0         0        5       5    0    0    0     0       \
                    0          0\n  eth0:   16216      22    0    0    0     0          0         0     1816      18    0    0 \
                    0     0       0          0\n";
        assert_eq!(of_interface(text), Some(40));
        assert_eq!(of_interface(""), None);
    }
}

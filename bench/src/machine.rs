//! On which machine the numbers were found.

use std::{fs, path::Path};

use serde::Serialize;

use crate::peer::{self, Peer};

/// The machine and what is installed on it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    cores: usize,
    cpu: String,
    kernel: String,
    /// Runnable processes in the last minute, before anything was measured.
    load: Option<f64>,
    peers: Vec<String>,
}

impl Machine {
    /// Asks the kernel, and those of `peers` that are there for their versions.
    pub(crate) fn read(peers: &[Peer], scratch: &Path) -> Self {
        let kernel = rustix::system::uname();
        let word = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
        let cpu_info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpu_info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let load = fs::read_to_string("/proc/loadavg").ok();
        Self {
            cores: cores(),
            cpu: model.map_or_else(|| word(kernel.machine()), |(_, model)| model.to_owned()),
            kernel: format!("{} {} {}", word(kernel.sysname()), word(kernel.release()), word(kernel.machine())),
            load: load.and_then(|load| load.split_whitespace().next()?.parse().ok()),
            peers: peers.iter().map(|peer| peer.version(scratch)).collect(),
        }
    }

    /// In a few lines, each ended with a line feed.
    pub(crate) fn lines(&self) -> String {
        let mut text = format!("machine: {} × {}, {}", self.cores, self.cpu, self.kernel);
        match self.load {
            Some(load) if load > 0.25 * to_f64(self.cores) => {
                text.push_str(&format!(
                    "; load {load:.2} (a build just before, or others at work: repeat before you judge)"
                ));
            }
            Some(load) => text.push_str(&format!("; load {load:.2}")),
            None => {}
        }
        text.push('\n');
        if !self.peers.is_empty() {
            text.push_str(&format!("peers: {}\n", self.peers.join(", ")));
        }
        text
    }
}

fn to_f64(cores: usize) -> f64 {
    u32::try_from(cores).map_or(f64::INFINITY, f64::from)
}

/// Cores that this process may use; every server gets as many workers.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// The programs of others that a part needs.
pub(crate) fn peers(part: crate::args::Part) -> &'static [Peer] {
    use crate::args::Part;
    match part {
        Part::Dns => &[peer::NAMED, peer::NSD, peer::KNOTD, peer::DNSPERF],
        Part::Http => &[peer::NGINX, peer::WRK],
        Part::Visit | Part::Wire => &[peer::CURL],
        Part::Lab | Part::Soak => &[],
    }
}

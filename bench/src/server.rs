//! A server under load: started with a log of its own, known to answer, ended with its guard.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::{
    interrupt,
    process::{Guarded, last_lines},
    tree,
};

/// A server that does not answer by then never will.
const START_LIMIT: Duration = Duration::from_secs(15);

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    process: Guarded,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    log: PathBuf,
}

impl Server {
    /// Starts it and waits until `answers` does.
    pub(crate) fn start(
        command: &mut Command,
        log: &Path,
        address: SocketAddr,
        answers: impl Fn(SocketAddr) -> bool,
    ) -> Result<Self> {
        let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let process = Guarded::spawn(command.stdout(file.try_clone()?).stderr(file))?;
        let server = Self { process, address, log: log.to_path_buf() };
        let deadline = Instant::now() + START_LIMIT;
        while !answers(address) {
            interrupt::check()?;
            server.check_alive()?;
            if Instant::now() > deadline {
                bail!("it does not answer on {address}: {}", server.last_words());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        // Another program on that port would have answered as well.
        server.check_alive()?;
        Ok(server)
    }

    /// CPU time of all its processes until now.
    pub(crate) fn cpu(&self) -> Duration {
        tree::cpu(self.process.pid().as_raw_pid())
    }

    /// Bytes that all its processes hold in memory now.
    pub(crate) fn memory(&self) -> Option<u64> {
        tree::memory(self.process.pid().as_raw_pid())
    }

    fn check_alive(&self) -> Result<()> {
        let pid = self.process.pid().as_raw_pid();
        if !tree::family(pid).iter().any(|member| member.pid == pid && member.is_alive()) {
            bail!("it ended: {}", self.last_words());
        }
        Ok(())
    }

    fn last_words(&self) -> String {
        last_lines(&fs::read_to_string(&self.log).unwrap_or_default())
    }
}

/// A port on loopback that is free for UDP and TCP alike, at this moment.
pub(crate) fn free_port() -> Result<SocketAddr> {
    for _ in 0..100 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        if UdpSocket::bind(address).is_ok() {
            return Ok(address);
        }
    }
    bail!("no port on 127.0.0.1 is free for UDP and TCP")
}

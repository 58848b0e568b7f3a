//! Programs of other vendors, which are started here and end with their test.

use std::{
    env,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// A server that does not answer by then never will; one that has not ended by then is killed.
const LIMIT: Duration = Duration::from_secs(15);
/// How often is looked: of neither does the kernel tell who waits.
const LOOK: Duration = Duration::from_millis(20);

/// Servers are often here, which an ordinary user's search path leaves out.
const SYSTEM_FOLDERS: [&str; 2] = ["/usr/sbin", "/usr/local/sbin"];

/// Where a program is; `package` has it.
pub fn find(program: &str, package: &str) -> Result<PathBuf, String> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(SYSTEM_FOLDERS.map(PathBuf::from));
    let found = folders.map(|folder| folder.join(program)).find(|file| file.is_file());
    found.ok_or_else(|| format!("{program} is needed: apt-get install {package}"))
}

/// The first words of what a program says of its version.
pub fn version(program: &Path, argument: &str, words: usize) -> Result<String, String> {
    let output = Command::new(program).arg(argument).output();
    let output = output.map_err(|error| format!("{}: {error}", program.display()))?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    Ok(text.split_whitespace().take(words).collect::<Vec<_>>().join(" "))
}

/// A running program; it ends when this is dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    /// Starts it, with what it says in a file.
    pub fn start(command: &mut Command, log: &Path) -> Result<Self, String> {
        let file = File::create(log).map_err(|error| error.to_string())?;
        let both = file.try_clone().map_err(|error| error.to_string())?;
        let child = command.stdin(Stdio::null()).stdout(file).stderr(both).spawn();
        let child = child.map_err(|error| format!("{command:?}: {error}"))?;
        Ok(Self { child, log: log.to_owned() })
    }

    /// Waits until that is so.
    pub fn until(&mut self, what: &str, is_so: impl Fn() -> bool) -> Result<(), String> {
        let end = Instant::now() + LIMIT;
        while !is_so() {
            let ended = self.child.try_wait().map_err(|error| error.to_string())?;
            if ended.is_some() || Instant::now() > end {
                let log = fs::read_to_string(&self.log).unwrap_or_default();
                let state = ended.map_or_else(|| "it runs".to_owned(), |status| format!("it ended: {status}"));
                return Err(format!("not within {} s: {what}; {state}; it says:\n{log}", LIMIT.as_secs()));
            }
            thread::sleep(LOOK);
        }
        Ok(())
    }

    /// Ends it as its operator would, and waits until it has ended, with all that it had started.
    pub fn stop(mut self) -> Result<(), String> {
        self.terminate()
    }

    fn terminate(&mut self) -> Result<(), String> {
        if self.child.try_wait().map_err(|error| error.to_string())?.is_some() {
            return Ok(());
        }
        let told =
            Command::new("sh").args(["-c", "kill \"$@\"", "kill", "-TERM", &self.child.id().to_string()]).status();
        told.map_err(|error| format!("kill: {error}"))?;
        let end = Instant::now() + LIMIT;
        while self.child.try_wait().map_err(|error| error.to_string())?.is_none() {
            if Instant::now() > end {
                let _ = self.child.kill();
                let _ = self.child.wait();
                return Err(format!("{} had to be killed", self.log.display()));
            }
            thread::sleep(LOOK);
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.terminate();
    }
}

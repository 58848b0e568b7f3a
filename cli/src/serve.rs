//! `visit lab serve`: the embedded lab in the foreground.

use std::{
    fs::{self, File, Permissions},
    io::{self, IsTerminal},
    num::NonZero,
    os::{fd::AsFd, unix::fs::PermissionsExt},
    path::Path,
    thread,
};

use anyhow::anyhow;
use journey::outcome::exit;
use lab::{Lab, Options};
use service::start::{log_to_stderr, stop_on_signals};
use session::{LabBackend, LabWay, capacity};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use world::{AddressBook, Files, World};

use crate::{
    Stopped,
    args::Serve,
    complain,
    load::{self, Load},
    print, publish, record_file, screens, terminal,
};

/// Runs the lab until Ctrl-C or SIGTERM; returns the exit code.
pub fn run(serve: &Serve) -> Result<u8, Stopped> {
    // What the hosts log is for whoever asks for it: the screen is the address book's.
    if std::env::var_os("RUST_LOG").is_some_and(|filter| !filter.is_empty()) {
        log_to_stderr();
    }
    let clients = usize::from(serve.clients);
    if let Some(repeat) = serve.repeat
        && let Err((what, code)) = load::check(&serve.url, clients, repeat)
    {
        complain(&what);
        return Ok(code);
    }
    let at_once = serve.repeat.map_or(1, |_| serve.concurrency.map_or(clients, NonZero::get));
    let mut options = options(serve)?;
    let reach = publish::publish(&serve.publish, &mut options)
        .map_err(|error| anyhow!("cannot read this machine's interfaces: {error}"))?;
    let mut backend = LabBackend::prepare(if serve.wire { LabWay::Wire } else { LabWay::Loopback })?;
    // Signals are taken over before the address book is printed: who reads it may stop the lab at once.
    capacity::descriptors()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let stop = CancellationToken::new();
    runtime.block_on(async {
        tokio::spawn(stop_on_signals(stop.clone())?);
        let mut lab = backend.start(options, clients, at_once, &serve.fault)?;
        if let Some(repeat) = serve.repeat {
            let network = backend.network(&lab);
            let faults = serve.fault.iter().map(ToString::to_string).collect();
            let plan = load::Plan { url: serve.url.clone(), repeat, concurrency: serve.concurrency, network, faults };
            let (_lab, done) = beside(lab, plan, stop).await?;
            return tell(serve, done?.as_ref());
        }
        lab.open_control()?;
        let mut book = lab.book().clone();
        book.inside = backend.inside(&lab);
        let text = if serve.json {
            printed(&book)?
        } else {
            screens::book(&book, lab.ready_in(), &reach, &terminal::style(serve.color))
        };
        let _kept = serve.book.as_deref().map(|file| Book::keep(file, &book)).transpose()?;
        print(&text)?;
        stop.cancelled().await;
        drop(lab);
        Ok(0)
    })
}

/// The book for stdout. It has the token of the admin ports: a file that it goes to is its owner's alone, and a terminal shows
/// the book without it.
fn printed(book: &AddressBook) -> io::Result<String> {
    let stdout = io::stdout();
    if stdout.is_terminal() {
        complain(
            "the address book on a terminal lacks the token of the lab's admin ports; --book FILE, or > FILE, has it",
        );
        return Ok(view::json(&AddressBook { token: None, ..book.clone() }));
    }
    let file = File::from(stdout.as_fd().try_clone_to_owned()?);
    if file.metadata()?.is_file() {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    Ok(view::json(book))
}

/// An address book in a file, which goes when this is dropped.
struct Book<'a>(&'a Path);

impl<'a> Book<'a> {
    fn keep(file: &'a Path, book: &AddressBook) -> Result<Self, Stopped> {
        let cannot = |source| Stopped::Save { file: file.display().to_string(), option: "--book", source };
        record_file::save_private(file, view::json(book).as_bytes()).map_err(cannot)?;
        Ok(Self(file))
    }
}

impl Drop for Book<'_> {
    fn drop(&mut self) {
        // Whoever reads it later finds a lab that does not answer, which is true.
        let _ = fs::remove_file(self.0);
    }
}

/// Has the clients visit, beside this thread, which goes on to listen for signals.
async fn beside(
    lab: Lab,
    plan: load::Plan,
    stop: CancellationToken,
) -> anyhow::Result<(Lab, Result<Option<Load>, Stopped>)> {
    let (tell, told) = oneshot::channel();
    let visit = move || {
        let done = load::run(&lab, plan, &stop);
        // Nobody has gone away: it is waited for below.
        let _ = tell.send((lab, done));
    };
    let thread = thread::Builder::new().name("clients".to_owned()).spawn(visit);
    thread.map_err(|error| capacity::explained(anyhow::Error::new(error).context("no thread for the clients")))?;
    Ok(told.await?)
}

fn tell(serve: &Serve, done: Option<&Load>) -> Result<u8, Stopped> {
    let Some(done) = done else {
        complain("interrupted before the first visit");
        return Ok(exit::INTERRUPTED);
    };
    let style = terminal::style(serve.color);
    print(&if serve.json { view::json(done) } else { screens::load(done, &style) })?;
    Ok(done.exit_code())
}

fn options(serve: &Serve) -> anyhow::Result<Options> {
    let without = serve.without.clone();
    let Some(path) = &serve.world else { return Ok(Options { without, ..Options::default() }) };
    let file = path.display().to_string();
    let text = world::read_text(path).map_err(|error| anyhow!("cannot read the world's file {file}: {error}"))?;
    Ok(Options { world: World::parse(&text, &file)?, files: Files::beside(path), without, ..Options::default() })
}

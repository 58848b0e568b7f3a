//! `visit lab ready`: whether every host of a lab takes clients, for scripts that have to wait for it.

use std::{path::Path, sync::Arc, thread, time::Duration};

use futures_util::future::join_all;
use netlab::sys::namespace::Namespace;
use session::{Ground, LabBackend, capacity, ground};
use tokio::time::Instant;
use world::{AddressBook, Protocol};

use crate::{Stopped, args::Ready, complain, print};

/// It exits with this where the lab is not ready: a health check must not exit with 2 (Docker keeps that).
const NOT_READY: u8 = 1;
/// How often it looks again: neither a file that comes nor a port that is opened is told of.
const LOOK: Duration = Duration::from_millis(50);

/// Waits until the lab is ready, no longer than it is told; returns the exit code.
pub fn run(ready: &Ready) -> Result<u8, Stopped> {
    let file = &ready.world;
    let end = std::time::Instant::now() + Duration::from_secs_f64(ready.wait);
    let is_over = || std::time::Instant::now() >= end;
    let book = loop {
        // A file that cannot be used now may be one that is not there yet.
        match ground::running_lab(Some(file), None) {
            Ok(Some(Ground::Running { book, .. })) => break book,
            Ok(_) => return Err(anyhow::anyhow!("VISIT_WORLD or --world names no lab").into()),
            Err(error) if is_over() => {
                complain(&format!("not ready: {error}"));
                return Ok(NOT_READY);
            }
            Err(_) => thread::sleep(LOOK),
        }
    };
    let seat = seat(&book, file)?;
    loop {
        let why = not_ready(&book, seat.as_deref())?;
        if why.is_empty() {
            print(&said(&book))?;
            return Ok(0);
        }
        if is_over() {
            complain(&format!("not ready: {}", text::words::and(&why)));
            return Ok(NOT_READY);
        }
        thread::sleep(LOOK);
    }
}

/// Where the admin ports of this lab are asked from. Has to be called while there is one thread.
fn seat(book: &AddressBook, file: &Path) -> anyhow::Result<Option<Arc<Namespace>>> {
    let enter = |inside| LabBackend::enter(inside, &file.display().to_string());
    book.inside.as_ref().map(enter).transpose()
}

/// The hosts that are not ready, and why.
fn not_ready(book: &AddressBook, seat: Option<&Namespace>) -> std::io::Result<Vec<String>> {
    capacity::descriptors().map_err(std::io::Error::other)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ask = || runtime.block_on(ask(book));
    match seat {
        None => Ok(ask()),
        Some(namespace) => namespace.run(ask),
    }
}

async fn ask(book: &AddressBook) -> Vec<String> {
    let reporting = book.hosts.iter().filter(|host| host.played_by.is_none());
    let asked = reporting.map(|host| async {
        // A host that was left out is none that could be ready.
        let admin = host.service("admin", Protocol::Tcp)?;
        let begin = Instant::now();
        match service::start::healthcheck(admin.socket).await {
            Ok(()) => None,
            Err(service::start::Unhealthy::NotReady { .. }) => Some(format!("{} (it says so)", host.name)),
            Err(service::start::Unhealthy::NoAnswer { .. }) => {
                let ms = begin.elapsed().as_millis();
                Some(format!("{} (its admin port {} gave no answer in {ms} ms)", host.name, admin.socket))
            }
        }
    });
    join_all(asked).await.into_iter().flatten().collect()
}

fn said(book: &AddressBook) -> String {
    let asked = book.hosts.iter().filter(|host| host.service("admin", Protocol::Tcp).is_some()).count();
    let others: Vec<String> = book
        .hosts
        .iter()
        .filter_map(|host| Some(format!("{} (played by {})", host.name, host.played_by.as_ref()?)))
        .collect();
    let others = match others.is_empty() {
        true => String::new(),
        false => format!("; not asked: {}", text::words::and(&others)),
    };
    // Names are those of a file that somebody else has written.
    text::clean(&format!("ready: {}{others}", text::words::count(asked, "host"))) + "\n"
}

#[cfg(test)]
mod tests {
    use world::World;

    use super::*;

    #[test]
    fn names_of_a_file_are_shown_as_text() {
        let mut book = AddressBook::direct(&World::built_in());
        let played = book.hosts.iter_mut().find(|host| host.name == "app1").unwrap();
        (played.played_by, played.services) = (Some("nginx\u{1b}[2J".to_owned()), Vec::new());
        assert_eq!(said(&book), "ready: 6 hosts; not asked: app1 (played by nginx\\u{1b}[2J)\n");
    }
}

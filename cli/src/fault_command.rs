//! `visit lab fault`: faults of a lab that runs, added, shown and ended by hand.

use std::time::Duration;

use anyhow::{anyhow, ensure};
use futures_util::future::join_all;
use journey::outcome::exit;
use serde::Serialize;
use session::{
    Ground, LabBackend, capacity,
    faults::{Set, Target, all_targets, set},
    ground,
};
use view::Style;
use world::{
    AddressBook,
    fault::{Fault, Listed},
};

use crate::{
    Stopped,
    args::{FaultCommand, RunningLab},
    complain, print, screens, terminal,
};

/// A fault in force, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The host, or `wire`.
    pub host: String,
    /// The fault.
    #[serde(flatten)]
    pub fault: Listed,
}

/// Does what was said; returns the exit code.
pub fn run(command: &FaultCommand) -> Result<u8, Stopped> {
    let (FaultCommand::Add { lab, .. } | FaultCommand::List { lab, .. } | FaultCommand::Clear { lab, .. }) = command;
    let (book, file) = running(lab)?;
    // Before the runtime, which may have threads.
    let seat = book.inside.as_ref().map(|inside| LabBackend::enter(inside, &file)).transpose()?;
    capacity::descriptors()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let act = || {
        runtime.block_on(async {
            match command {
                FaultCommand::Add { fault, lasting, .. } => add(&book, fault, *lasting).await,
                FaultCommand::List { json, color, .. } => list(&book, *json, &terminal::style(*color)).await,
                FaultCommand::Clear { which, .. } => clear(&book, which).await,
            }
        })
    };
    match seat {
        None => act(),
        Some(namespace) => namespace.run(act)?,
    }
}

fn running(lab: &RunningLab) -> anyhow::Result<(AddressBook, String)> {
    match ground::running_lab(lab.world.as_deref(), lab.lab_net)? {
        Some(Ground::Running { book, file }) => Ok((*book, file.display().to_string())),
        _ => Err(anyhow!(
            "which lab? Name one that runs: VISIT_WORLD=FILE or --world FILE, its address book (`visit lab serve --json > FILE`) \
             or its world file; for a visit in the lab inside this program it is `visit --fault`"
        )),
    }
}

async fn add(book: &AddressBook, fault: &Fault, lease: Option<Duration>) -> Result<u8, Stopped> {
    let sets = set(book, fault, lease).await?;
    let ids: Vec<String> = sets.iter().map(|Set { host, id, .. }| format!("{host}/{id}")).collect();
    let ends = [fault.when.lasting, lease].into_iter().flatten().min();
    let by_itself = if ids.len() == 1 { "it ends by itself" } else { "they end by themselves" };
    let ends = ends.map_or_else(String::new, |ends| format!(" ({by_itself} in {} s)", ends.as_secs_f64()));
    let in_force = text::clean(&format!("In force: {fault} as {}{ends}", ids.join(", ")));
    let to_end = text::clean(&format!("To end it: visit lab fault clear {}", ids.join(" ")));
    print(&format!("{in_force}\n{to_end}\n"))?;
    Ok(exit::REACHED)
}

/// What every host says. An error where nobody says anything: then nothing is known of faults.
async fn ask(book: &AddressBook) -> anyhow::Result<(Vec<Row>, Vec<anyhow::Error>)> {
    let one = |target: Target| async move {
        let asked = async { target.remote()?.faults().await }.await;
        (target.host, asked)
    };
    let (mut rows, mut silent) = (Vec::new(), Vec::new());
    for (host, said) in join_all(all_targets(book).into_iter().map(one)).await {
        match said {
            Ok(listed) => rows.extend(listed.into_iter().map(|fault| Row { host: host.clone(), fault })),
            Err(error) => silent.push(anyhow!("{host}: {error}")),
        }
    }
    let nobody = silent.len() == all_targets(book).len();
    ensure!(!nobody, "no host of this lab answers: does it still run? (visit lab serve)");
    Ok((rows, silent))
}

async fn list(book: &AddressBook, json: bool, style: &Style) -> Result<u8, Stopped> {
    let (rows, silent) = ask(book).await?;
    if json {
        print(&view::json(&rows))?;
    } else if silent.is_empty() || !rows.is_empty() {
        print(&screens::faults(&rows, style))?;
    }
    silent.iter().for_each(|error| complain(&error.to_string()));
    Ok(if silent.is_empty() { exit::REACHED } else { exit::LOCAL })
}

async fn clear(book: &AddressBook, which: &[String]) -> Result<u8, Stopped> {
    let (rows, silent) = ask(book).await?;
    let chosen = chosen(book, &rows, which)?;
    for row in &chosen {
        let target = all_targets(book).into_iter().find(|target| target.host == row.host);
        let Some(target) = target else { continue };
        let end = async { target.remote()?.remove(row.fault.id).await };
        end.await.map_err(|error| anyhow!("{}/{} could not be ended: {error}", row.host, row.fault.id))?;
    }
    let ended: Vec<String> = chosen.iter().map(|row| ended(row)).collect();
    print(&if ended.is_empty() { "No fault was in force.\n".to_owned() } else { ended.concat() })?;
    silent.iter().for_each(|error| complain(&error.to_string()));
    Ok(if silent.is_empty() { exit::REACHED } else { exit::LOCAL })
}

/// What is said of one that was ended; how it is written is what its host said.
fn ended(row: &Row) -> String {
    let line = format!("Ended: {}/{} {}", row.host, row.fault.id, row.fault.fault);
    text::clean(&line) + "\n"
}

/// Those that were meant: by `HOST/ID`, by an id that one host alone has, by a host, or all.
fn chosen<'a>(book: &AddressBook, rows: &'a [Row], which: &[String]) -> anyhow::Result<Vec<&'a Row>> {
    let mut chosen: Vec<&Row> = Vec::new();
    if which.is_empty() || which.iter().any(|which| which == "all") {
        return Ok(rows.iter().collect());
    }
    let known = || match rows {
        [] => "none is in force".to_owned(),
        _ => format!(
            "in force: {}",
            rows.iter().map(|row| format!("{}/{}", row.host, row.fault.id)).collect::<Vec<_>>().join(", ")
        ),
    };
    for which in which {
        let found: Vec<&Row> = match (which.split_once('/'), which.parse::<u64>()) {
            (Some((host, id)), _) => {
                rows.iter().filter(|row| row.host == host && id.parse() == Ok(row.fault.id)).collect()
            }
            (None, Ok(id)) => rows.iter().filter(|row| row.fault.id == id).collect(),
            (None, Err(_)) => {
                let hosts = all_targets(book).into_iter().map(|target| target.host).collect::<Vec<_>>();
                ensure!(
                    hosts.contains(which),
                    "{which:?} is no fault and no host; hosts: {}; {}",
                    hosts.join(", "),
                    known()
                );
                chosen.extend(rows.iter().filter(|row| row.host == *which));
                continue;
            }
        };
        match found.as_slice() {
            [] => return Err(anyhow!("there is no fault {which:?}; {}", known())),
            [one] => chosen.push(one),
            more => {
                let ids = more.iter().map(|row| format!("{}/{which}", row.host)).collect::<Vec<_>>().join(" or ");
                return Err(anyhow!("several hosts have a fault {which}: write {ids}"));
            }
        }
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use world::World;

    use super::*;

    #[test]
    fn which_are_meant() {
        let row = |host: &str, id| Row {
            host: host.to_owned(),
            fault: Listed { id, fault: format!("{host}:drop"), struck: 0, left_ms: None },
        };
        let raw = Row {
            fault: Listed { fault: "auth1:\u{1b}[2J\nx".to_owned(), ..row("auth1", 1).fault },
            ..row("auth1", 1)
        };
        assert_eq!(ended(&raw), "Ended: auth1/1 auth1:\\u{1b}[2J\\u{a}x\n");
        let rows = [row("auth1", 1), row("auth1", 2), row("auth2", 1)];
        let book = AddressBook::direct(&World::built_in());
        let check = |which: &[&str], expected: &str| {
            let which: Vec<String> = which.iter().map(|which| (*which).to_owned()).collect();
            let seen = match chosen(&book, &rows, &which) {
                Ok(rows) => {
                    rows.iter().map(|row| format!("{}/{}", row.host, row.fault.id)).collect::<Vec<_>>().join(" ")
                }
                Err(error) => error.to_string(),
            };
            assert_eq!(seen, expected, "{which:?}");
        };
        check(&[], "auth1/1 auth1/2 auth2/1");
        check(&["all"], "auth1/1 auth1/2 auth2/1");
        check(&["auth1"], "auth1/1 auth1/2");
        check(&["2"], "auth1/2");
        check(&["auth2/1", "auth1/2"], "auth2/1 auth1/2");
        check(&["tld"], "");
        check(&["1"], "several hosts have a fault 1: write auth1/1 or auth2/1");
        check(&["auth1/7"], "there is no fault \"auth1/7\"; in force: auth1/1, auth1/2, auth2/1");
        check(
            &["auth"],
            "\"auth\" is no fault and no host; hosts: app1, app2, auth1, auth2, resolver, root, tld; in force: auth1/1, auth1/2, \
             auth2/1",
        );
    }
}

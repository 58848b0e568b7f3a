//! A network of our own, in which curl can be given a resolver without touching this machine.
//!
//! curl asks whom /etc/resolv.conf names, on port 53. So this program calls itself once more through unshare(1), in a
//! user, network and mount namespace: there the lab's hosts get their own addresses on the loopback interface, their
//! services run as processes on ports 53 and 80, and a resolv.conf of our own lies over that of the machine. When the last
//! process in it has ended, the kernel removes all of that.

use std::{
    fs::{self, File},
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, ensure};
use rustix::mount::mount_bind;
use world::{Host, World};

use crate::{
    args::{Args, Effort},
    contest::failed,
    http,
    interrupt::Interrupted,
    peer::{CURL, IP, UNSHARE},
    process::{Guarded, command, last_lines, said},
    programs::Programs,
    section::{Found, Section},
    server::Server,
    visit::{PART, by_name, write_world},
};

const TITLE: &str = "name in the URL, the same resolver";
// No name of the lab's own: to one of those `visit` would bring its own lab.
const URL: &str = "http://www.a.baidu.com/";
/// Longer than all runs of the inner program together.
const LIMIT: Duration = Duration::from_secs(300);

/// Runs the comparison by name in a network of its own.
pub(crate) fn measure(programs: &Programs, effort: Effort, scratch: &Path) -> Result<Section> {
    let skipped = |found| Ok(Section::unmeasured(PART, TITLE, found, Some((1.0, CURL.name))));
    let unshare = match (UNSHARE.find(), IP.find()) {
        (Ok(unshare), Ok(_)) => unshare,
        (Err(found), _) | (_, Err(found)) => return skipped(found),
    };
    // Containers and some distributions do not let an ordinary user have namespaces.
    if let Err(error) = said(isolated(&unshare).arg("true"), Duration::from_secs(5), scratch) {
        failed(anyhow!(error.to_string()))?;
        let why = format!("this machine does not allow network namespaces without root ({error:#})");
        return skipped(Found::Skipped { why });
    }
    let folder = scratch.join("private");
    fs::create_dir(&folder)?;
    call_inner(&unshare, programs, effort, &folder)
        .or_else(|error| Ok(Section::unmeasured(PART, TITLE, failed(error)?, None)))
}

fn isolated(unshare: &Path) -> Command {
    let mut command = command(unshare);
    command.args(["--user", "--map-root-user", "--net", "--mount", "--"]);
    command
}

fn call_inner(unshare: &Path, programs: &Programs, effort: Effort, folder: &Path) -> Result<Section> {
    let (out, err) = (folder.join("section.json"), folder.join("stderr"));
    let mut inner = isolated(unshare);
    inner.arg(std::env::current_exe()?).arg("--inside").arg(folder).arg("--programs").arg(programs.folder());
    if effort.quick {
        inner.arg("--quick");
    }
    let began = Instant::now();
    let inner = Guarded::spawn(inner.stdout(File::create(&out)?).stderr(File::create(&err)?))?;
    let run = inner.wait(began, LIMIT)?;
    // Ctrl-C reaches all processes of a terminal; the inner program may be the first to end of it.
    if run.status.code() == Some(130) {
        return Err(Interrupted.into());
    }
    ensure!(run.status.success(), "{}: {}", run.status, last_lines(&fs::read_to_string(&err)?));
    Ok(serde_json::from_str(&fs::read_to_string(&out)?)?)
}

/// The inner program: builds the network, starts the lab's services, compares, and prints the section as JSON.
pub(crate) fn inside(args: &Args, folder: &Path) -> Result<String> {
    let programs = Programs::in_folder(args.programs.as_deref().context("--inside needs --programs")?)?;
    let world = World::built_in();
    let file = write_world(folder, &world)?;
    let resolver = world.hosts.values().find(|host| host.resolver.is_some()).and_then(|host| host.addresses.first());
    let resolver = *resolver.context("the lab has no resolver")?;
    add_addresses(&world, folder)?;
    lay_over("/etc/resolv.conf", &format!("nameserver {resolver}\n"), folder)?;
    lay_over("/etc/nsswitch.conf", "hosts: files dns\n", folder)?;
    let mut servers = Vec::new();
    for (name, host) in &world.hosts {
        servers.push(start(&programs, name, host, &world, &file, folder).with_context(|| format!("host {name}"))?);
    }
    let section = by_name(&programs, Effort::new(args.quick), &resolver.to_string(), URL)?;
    Ok(serde_json::to_string(&section)?)
}

fn add_addresses(world: &World, folder: &Path) -> Result<()> {
    let mut lines = "link set lo up\n".to_owned();
    for address in world.hosts.values().flat_map(|host| &host.addresses) {
        let whole = if address.is_ipv4() { 32 } else { 128 };
        lines.push_str(&format!("address add {address}/{whole} dev lo\n"));
    }
    let batch = folder.join("addresses");
    fs::write(&batch, lines)?;
    let ip = IP.find().map_err(|_| anyhow!("{}", IP.how_to_get()))?;
    said(command(ip).arg("-batch").arg(&batch), Duration::from_secs(5), folder)?;
    Ok(())
}

/// Puts a file of ours over one of the machine's, for the processes of this mount namespace alone.
fn lay_over(target: &str, text: &str, folder: &Path) -> Result<()> {
    let file = folder.join(Path::new(target).file_name().context("a file has a name")?);
    fs::write(&file, text)?;
    mount_bind(&file, target).with_context(|| format!("cannot lay a file over {target}"))
}

fn start(programs: &Programs, name: &str, host: &Host, world: &World, file: &Path, folder: &Path) -> Result<Server> {
    let program: &PathBuf = match host {
        Host { nameserver: Some(_), .. } => &programs.nameserver,
        Host { resolver: Some(_), .. } => &programs.resolver,
        _ => &programs.app,
    };
    let admin: IpAddr = *host.addresses.first().context("it has no address")?;
    let mut service = command(program);
    service.arg("--world").arg(file).args(["--host", name]);
    let ready = |admin: SocketAddr| http::get(admin, "/ready").is_ok_and(|reply| reply.status == 200);
    Server::start(&mut service, &folder.join(format!("{name}.log")), (admin, world.network.admin_port).into(), ready)
}

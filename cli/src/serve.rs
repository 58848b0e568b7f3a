//! `visit lab serve`: the embedded lab in the foreground.

use anyhow::anyhow;
use lab::Options;
use service::start::stop_on_signals;
use tokio_util::sync::CancellationToken;
use world::{Files, World};

use crate::{
    Stopped,
    args::{LabWay, Serve},
    ground::Footing,
    load, print, report,
};

/// Runs the lab until Ctrl-C or SIGTERM; returns the exit code.
pub fn run(serve: &Serve) -> Result<u8, Stopped> {
    let options = options(serve)?;
    service::start::raise_file_limit();
    let footing = Footing::prepare(if serve.wire { LabWay::Wire } else { LabWay::Loopback })?;
    // Signals are taken over before the address book is printed: who reads it may stop the lab at once.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let stop = CancellationToken::new();
    runtime.block_on(async {
        tokio::spawn(stop_on_signals(stop.clone())?);
        let lab = footing.start(options, serve.clients.into(), &serve.fault)?;
        if let Some(repeat) = serve.repeat {
            let network = footing.network(&lab, &serve.fault);
            let (url, concurrency) = (serve.url.clone(), serve.concurrency);
            let plan = load::Plan { url, repeat, concurrency, network };
            let stop = stop.clone();
            // Beside this thread, which goes on to listen for signals.
            let done = tokio::task::spawn_blocking(move || load::run(&lab, plan, &stop)).await??;
            let style = report::Style::detect(serve.color);
            print(&if serve.json { report::json(&done) } else { report::load(&done, &style) })?;
            return Ok(done.series.visits.iter().map(|visit| visit.exit_code).find(|code| *code != 0).unwrap_or(0));
        }
        let mut book = lab.book().clone();
        book.inside = footing.inside(&lab);
        let text = if serve.json {
            report::book_json(&book)
        } else {
            report::book(&book, lab.ready_in(), &report::Style::detect(serve.color))
        };
        print(&text)?;
        stop.cancelled().await;
        drop(lab);
        Ok(0)
    })
}

fn options(serve: &Serve) -> anyhow::Result<Options> {
    let without = serve.without.clone();
    let Some(path) = &serve.world else { return Ok(Options { without, ..Options::default() }) };
    let file = path.display().to_string();
    let text = world::read_text(path).map_err(|error| anyhow!("cannot read the world's file {file}: {error}"))?;
    Ok(Options { world: World::parse(&text, &file)?, files: Files::beside(path), without, ..Options::default() })
}

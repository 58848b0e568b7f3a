//! `visit show`: a kept journey or series, shown again without a network.

use anyhow::anyhow;
use secrets::Secrets;
use view::Detail;

use crate::{
    Stopped,
    args::Show,
    pcap, print,
    record_file::{self, Kept},
    terminal,
};

/// Shows what a file holds as it was shown when it was made; returns 0, whatever the journey's own exit code was.
pub fn run(show: &Show) -> Result<u8, Stopped> {
    let kept = record_file::read(&show.file)?;
    let style = terminal::style(show.color);
    let layers = show.layers.map(Into::into);
    let secrets = if show.show_secrets { Secrets::Shown } else { Secrets::Removed };
    let detail = Detail { verbose: show.verbose, head: show.include, packets: show.packets, layers, secrets };
    if let Some(file) = &show.pcap {
        let Kept::Journey(journey) = &kept else {
            return Err(anyhow!("{} holds a series, which keeps no frames", show.file.display()).into());
        };
        return pcap::of_journey(file, journey, "", false).map(|()| 0);
    }
    print(&match (&kept, show.json) {
        (Kept::Journey(journey), true) => view::json(&**journey),
        (Kept::Journey(journey), false) => view::screen(journey, &style, detail),
        (Kept::Series(series), true) => view::json(&**series),
        (Kept::Series(series), false) => view::series(series, &style, detail),
    })?;
    Ok(0)
}

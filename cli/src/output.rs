//! Where the records go that a command makes: the screen, JSON, a file.

use std::{io, path::Path};

use anyhow::ensure;
use secrets::Secrets;
use serde::Serialize;
use view::{Detail, Style};

use crate::{
    Stopped,
    args::{self, Visit},
    pcap,
    record_file::{self, Kept},
    terminal, write_to,
};

/// What is shown of records, and where.
#[derive(Debug)]
pub struct Output<'a> {
    args: &'a args::Output,
    style: Style,
    detail: Detail,
    on_stderr: bool,
    shown: usize,
}

impl<'a> Output<'a> {
    /// As the command line says; an error where it contradicts itself.
    pub fn new(visit: &'a Visit) -> Result<Self, Stopped> {
        let args = &visit.output;
        let content_on_stdout = is_stdout(args.output.as_deref());
        let on_stderr = content_on_stdout || is_stdout(args.pcap.as_deref());
        let check = || {
            ensure!(
                !(content_on_stdout && args.json),
                "-o - and --json both write to stdout: write the content to a file (-o FILE), or keep the journey in one \
                 (--save FILE)"
            );
            ensure!(
                !(is_stdout(args.pcap.as_deref()) && (args.json || content_on_stdout)),
                "--pcap - writes to stdout, and so does another option: write the frames to a file (--pcap FILE)"
            );
            ensure!(
                args.pcap.is_none() || visit.urls.len() < 2,
                "--pcap keeps the frames of one visit, and {} URLs are given: visit them one at a time",
                visit.urls.len()
            );
            ensure!(
                args.save.is_none() || visit.urls.len() < 2,
                "--save keeps one URL in a file, and {} are given: save one at a time; for several visits of one URL use \
                 -n N",
                visit.urls.len()
            );
            Ok(())
        };
        check()?;
        let style = match on_stderr {
            true => terminal::style_of(args.color, &io::stderr()),
            false => terminal::style(args.color),
        };
        let layers = args.layers.map(Into::into);
        let secrets = if args.show_secrets { Secrets::Shown } else { Secrets::Removed };
        let detail = Detail { verbose: args.verbose, head: args.include, packets: args.packets, layers, secrets };
        Ok(Self { args, style, detail, on_stderr, shown: 0 })
    }

    /// Whether somebody wants the whole journeys of a series.
    pub fn wants_journeys(&self) -> bool {
        self.args.json || self.args.save.is_some()
    }

    /// Whether anything may be said while visits are made.
    pub fn is_silent(&self) -> bool {
        self.args.silent
    }

    /// Shows a record, and keeps it where that is wanted. It is kept also where nobody looks any more. `keys` are those of
    /// its TLS sessions, for whoever asked for them.
    pub fn hand_out(&mut self, record: &Kept, keys: &str) -> Result<(), Stopped> {
        let shown = match record {
            Kept::Journey(journey) => self.show(&**journey, |style, detail| view::screen(journey, style, detail)),
            Kept::Series(series) => self.show(&**series, |style, detail| view::series(series, style, detail)),
        };
        if let Some(file) = &self.args.save {
            let text = match record {
                Kept::Journey(journey) => view::json(&**journey),
                Kept::Series(series) => view::json(&**series),
            };
            record_file::save(file, &text).map_err(|source| {
                let file = file.display().to_string();
                Stopped::Save { file, option: "--save", source }
            })?;
        }
        if let (Some(file), Kept::Journey(journey)) = (&self.args.pcap, record) {
            pcap::of_journey(file, journey, keys, self.args.silent)?;
        }
        shown
    }

    /// Shows one record as JSON or as this screen.
    pub fn show(
        &mut self,
        record: &impl Serialize,
        screen: impl FnOnce(&Style, Detail) -> String,
    ) -> Result<(), Stopped> {
        self.shown += 1;
        match (self.args.json, self.args.silent) {
            (true, _) => write_to(io::stdout(), &view::json(record)),
            (false, true) => Ok(()),
            (false, false) => {
                let gap = if self.shown > 1 { "\n" } else { "" };
                let text = format!("{gap}{}", screen(&self.style, self.detail));
                match self.on_stderr {
                    true => write_to(io::stderr(), &text),
                    false => write_to(io::stdout(), &text),
                }
            }
        }
    }
}

fn is_stdout(file: Option<&Path>) -> bool {
    file.is_some_and(|file| file.as_os_str() == "-")
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::Cli;

    #[test]
    fn the_journeys_of_a_series_are_kept_where_they_are_wanted() {
        let check = |args: &[&str], expected: bool| {
            let all = ["visit", "-n", "2", "http://a.test/"].iter().chain(args);
            let cli = Cli::try_parse_from(all).unwrap();
            assert_eq!(Output::new(&cli.visit).unwrap().wants_journeys(), expected, "{args:?}");
        };
        check(&[], false);
        check(&["-s"], false);
        check(&["-v"], false);
        check(&["--json"], true);
        check(&["--save", "file"], true);
    }
}

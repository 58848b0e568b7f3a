//! Many clients of the lab at once, for people.

use crate::load::Load;
use text::words::{bytes, count, duration};
use view::{
    Detail,
    page::{Ink, Page, Style, dim, piece, plain},
    series,
};

/// What the clients did, and the spread of their visits' times.
pub fn load(load: &Load, style: &Style) -> String {
    let mut page = Page::new(style);
    let visits = load.series.visits.len();
    let a_second = visits as f64 / (load.elapsed_us.max(1) as f64 / 1e6);
    page.line(
        0,
        &[
            piece(Ink::Bold, count(load.clients, "client")),
            plain(format!(
                ", {} at once: {} in {}, ",
                load.concurrency,
                count(visits, "visit"),
                duration(load.elapsed_us)
            )),
            piece(Ink::Bold, format!("{a_second:.0} a second")),
        ],
    );
    let ready = format!(
        "{} ready in {}; the switches took in {} frames of {}",
        count(load.hosts, "host"),
        duration(load.ready_us),
        load.frames,
        bytes(load.frame_bytes)
    );
    page.line(0, &[dim(ready)]);
    if load.concurrency > 1 {
        page.line(0, &[dim("The visits are in the order of their ends: the cold one is that which ended first")]);
    }
    page.gap();
    page.into_text() + &series(&load.series, style, Detail::default())
}

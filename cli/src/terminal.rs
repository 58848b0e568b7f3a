//! What the place of output can show.

use std::{
    io::{self, IsTerminal},
    os::fd::AsFd,
};
use view::Style;

use crate::args::Color;

/// Where the width is not known, and in pipes.
const USUAL_WIDTH: usize = 80;
/// Longer lines are hard to read however wide the window is.
const WIDEST: usize = 120;

/// The style of stdout.
pub fn style(color: Color) -> Style {
    style_of(color, &io::stdout())
}

/// The style of stdout or stderr.
pub fn style_of(color: Color, place: &(impl IsTerminal + AsFd)) -> Style {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let terminal = place.is_terminal();
    let color = match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => terminal && set("NO_COLOR").is_none() && set("TERM").is_some_and(|term| term != "dumb"),
    };
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set);
    // No locale at all is what containers and CI have; their output is read as UTF-8 today.
    let unicode = locale.is_none_or(|locale| {
        let locale = locale.to_string_lossy().to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8") || locale.starts_with("c.")
    });
    let columns = terminal_size::terminal_size_of(place).filter(|_| terminal).map(|(width, _)| usize::from(width.0));
    Style { color, unicode, width: columns.unwrap_or(USUAL_WIDTH).clamp(40, WIDEST) }
}

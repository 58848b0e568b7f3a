//! What a person sees. The journeys in `journeys/` were made by real visits and saved with `--json`; a screen is a pure
//! view of one, so it is the same every time.

use std::{fs, path::Path};

use journey::Journey;
use visit::report::{self, Detail, Style};

const NARROW: Style = Style { color: false, unicode: true, width: 80 };

fn saved(name: &str) -> Journey {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/journeys").join(name).with_extension("json");
    serde_json::from_slice(&fs::read(&file).unwrap()).unwrap()
}

fn screen(name: &str, style: Style, verbose: bool) -> String {
    let text = report::screen(&saved(name), &style, Detail { verbose, head: false });
    for line in text.lines() {
        assert!(style.color || line.chars().count() <= style.width, "{} columns: {line}", line.chars().count());
        assert_eq!(line, line.trim_end(), "spaces at the end of a line");
    }
    text
}

#[test]
fn at_80_columns() {
    for name in ["reached", "no_such_name", "truncated", "lame", "second_server", "from_cache"] {
        insta::assert_snapshot!(name, screen(name, NARROW, false));
    }
}

#[test]
fn at_40_columns() {
    insta::assert_snapshot!("narrow", screen("second_server", Style { width: 40, ..NARROW }, false));
}

#[test]
fn wide_with_everything() {
    insta::assert_snapshot!("verbose", screen("reached", Style { width: 120, ..NARROW }, true));
}

#[test]
fn in_colour() {
    let text = screen("no_such_name", Style { color: true, ..NARROW }, false);
    insta::assert_snapshot!("colour", text.replace('\x1b', "<ESC>"));
}

#[test]
fn without_unicode() {
    let text = screen("reached", Style { unicode: false, ..NARROW }, false);
    assert!(text.is_ascii(), "{text}");
    insta::assert_snapshot!("ascii", text);
}

#[test]
fn a_saved_journey_is_read_and_written_alike() {
    for name in ["reached", "no_such_name", "truncated", "lame", "second_server", "from_cache"] {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/journeys").join(name).with_extension("json");
        assert_eq!(report::json(&saved(name)), fs::read_to_string(file).unwrap(), "{name}");
    }
}

#[test]
fn help() {
    let help = |flag: &str| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_visit")).arg(flag).env("COLUMNS", "80").output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    insta::assert_snapshot!("help_short", help("-h"));
    assert!(help("-h").lines().count() <= 46, "-h is one screen");
    insta::assert_snapshot!("help_long", help("--help"));
}

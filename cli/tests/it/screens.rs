//! What a person sees. The journeys in `journeys/` were made by real visits and saved with `--json`; a screen is a pure
//! view of one, so it is the same every time.

use std::{fs, path::Path};

use journey::Journey;
use view::{Detail, Style};

const NARROW: Style = Style { color: false, unicode: true, width: 80 };

fn saved(name: &str) -> Journey {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/journeys").join(name).with_extension("json");
    serde_json::from_slice(&fs::read(&file).unwrap()).unwrap()
}

fn screen(name: &str, style: Style, verbose: bool) -> String {
    let text = view::screen(&saved(name), &style, Detail { verbose, ..Detail::default() });
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
fn a_walk_from_the_root() {
    for name in ["walked", "walked_dead"] {
        insta::assert_snapshot!(name, screen(name, NARROW, false));
    }
    insta::assert_snapshot!("walked_verbose", screen("walked_dead", Style { width: 120, ..NARROW }, true));
}

#[test]
fn inside_tls() {
    for name in ["secure", "wrong_name"] {
        insta::assert_snapshot!(name, screen(name, NARROW, false));
    }
    insta::assert_snapshot!("secure_verbose", screen("secure", Style { width: 120, ..NARROW }, true));
}

#[test]
fn by_a_router() {
    insta::assert_snapshot!("routed", screen("routed", NARROW, false));
    insta::assert_snapshot!("routed_verbose", screen("routed", NARROW, true));
}

#[test]
fn by_reqwest() {
    insta::assert_snapshot!("by_reqwest", screen("by_reqwest", NARROW, false));
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

fn saved_series(name: &str) -> diagnosis::Series {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/journeys/series").join(name).with_extension("json");
    serde_json::from_slice(&fs::read(&file).unwrap()).unwrap()
}

fn check_lines(text: &str, style: Style) {
    for line in text.lines() {
        assert!(style.color || line.chars().count() <= style.width, "{} columns: {line}", line.chars().count());
        assert_eq!(line, line.trim_end(), "spaces at the end of a line");
    }
}

#[test]
fn several_visits() {
    for (name, width) in [("reached", 80), ("refused", 80), ("reached", 120), ("reached", 40)] {
        let style = Style { width, ..NARROW };
        let text = view::series(&saved_series(name), &style, Detail { verbose: width == 120, ..Detail::default() });
        check_lines(&text, style);
        insta::assert_snapshot!(format!("series_{name}_{width}"), text);
    }
    let ascii = Style { unicode: false, ..NARROW };
    assert!(view::series(&saved_series("reached"), &ascii, Detail::default()).is_ascii());
}

#[test]
fn side_by_side() {
    let made_by = || journey::MadeBy { name: "visit".to_owned(), version: "0.1.0".to_owned() };
    let names = ["a.json", "b.json"];
    for (a, b, width) in [("reached", "second_server", 80), ("reached", "no_such_name", 120), ("reached", "lame", 40)] {
        let style = Style { width, ..NARROW };
        let comparison = diagnosis::compare::visits(&saved(a), &saved(b), made_by());
        let text = view::comparison(&comparison, names, &style, Detail { verbose: width == 120, ..Detail::default() });
        check_lines(&text, style);
        insta::assert_snapshot!(format!("compare_{b}_{width}"), text);
    }
    let comparison = diagnosis::compare::series(&saved_series("reached"), &saved_series("refused"), made_by());
    let text = view::comparison(&comparison, names, &NARROW, Detail::default());
    check_lines(&text, NARROW);
    insta::assert_snapshot!("compare_series_80", text);
    let ascii = Style { unicode: false, ..NARROW };
    assert!(view::comparison(&comparison, names, &ascii, Detail::default()).is_ascii());
}

#[test]
fn a_saved_journey_is_read_and_written_alike() {
    let text = |name: &str| {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/journeys").join(name).with_extension("json");
        fs::read_to_string(file).unwrap()
    };
    assert_eq!(view::json(&saved("routed")), text("routed"));
    // These are of version 2, which had no place for frames, and whose labs had no network.
    for name in ["reached", "no_such_name", "truncated", "lame", "second_server", "from_cache"] {
        let mut written = serde_json::to_value(saved(name)).unwrap();
        assert_eq!(written.as_object_mut().unwrap().remove("capture").unwrap()["state"], "not_observable");
        if let Some(network) = written["place"].as_object_mut().and_then(|place| place.remove("network")) {
            assert_eq!(network["kind"], "loopback", "{name}");
        }
        // Members of stage tls that came later have their empty values.
        let tls = written["hops"][0]["stages"][3].as_object_mut().unwrap();
        assert_eq!(tls.remove("faults"), Some(serde_json::json!([])));
        assert_eq!(tls.remove("client_certificate_requested"), Some(false.into()));
        assert_eq!(written, serde_json::from_str::<serde_json::Value>(&text(name)).unwrap(), "{name}");
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

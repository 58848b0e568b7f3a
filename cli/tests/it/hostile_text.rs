//! Text from elsewhere in every output: no control character and nothing that turns text round reaches a terminal.

use std::{fs, path::Path};

use crate::peer::{End, Server, raw, run};
use diagnosis::Series;
use journey::Journey;
use packets::layers::Model;
use secrets::Secrets;
use serde_json::Value;
use view::{Detail, Style};

/// CSI in 8 and in 7 bits, a title, a bell, text turned round, a zero-width space, a tag character.
const HOSTILE: &str = "\u{9b}31m\u{1b}[2J\u{1b}]0;x\u{7}\u{202e}\u{200b}\u{e0041}\u{85}\u{2028}";

/// Nothing but text and the ends of lines.
fn check(text: &str, what: &str) {
    let is_hostile = |c: &char| c.is_control() && *c != '\n' || HOSTILE.contains(*c) && !c.is_ascii();
    let found = text.chars().find(is_hostile);
    assert_eq!(found, None, "{what}");
}

/// The places of all strings in a value.
fn strings(value: &Value, at: String, found: &mut Vec<String>) {
    match value {
        Value::String(_) => found.push(at),
        Value::Array(all) => all.iter().enumerate().for_each(|(nth, one)| strings(one, format!("{at}/{nth}"), found)),
        Value::Object(all) => all.iter().for_each(|(name, one)| {
            let name = name.replace('~', "~0").replace('/', "~1");
            strings(one, format!("{at}/{name}"), found);
        }),
        _ => {}
    }
}

/// A kept journey or series with hostile text wherever it may have any text.
fn poisoned(file: &Path, is_read: impl Fn(&Value) -> bool) -> Value {
    let mut value: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    let mut places = Vec::new();
    strings(&value, String::new(), &mut places);
    // Frames are bytes, and have their own tests.
    places.retain(|place| !place.contains("/frames/"));
    // All at once where that is read; else one by one, and what was not taken is as it was.
    for place in places {
        let before = value.pointer(&place).unwrap().clone();
        let text = format!("{}{HOSTILE}", before.as_str().unwrap());
        *value.pointer_mut(&place).unwrap() = text.into();
        if !is_read(&value) {
            *value.pointer_mut(&place).unwrap() = before;
        }
    }
    assert!(value.to_string().contains('\u{202e}'), "{}", file.display());
    value
}

fn files(folder: &str) -> Vec<std::path::PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/journeys").join(folder);
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|ending| ending == "json")).collect()
}

const STYLE: Style = Style { color: false, unicode: true, width: 100 };

#[test]
fn kept_journeys_with_hostile_text_are_shown_clean() {
    for file in files(".").into_iter().filter(|file| fs::metadata(file).unwrap().len() < 60_000) {
        let value = poisoned(&file, |value| serde_json::from_value::<Journey>(value.clone()).is_ok());
        let journey: Journey = serde_json::from_value(value).unwrap();
        let name = file.display().to_string();
        for layers in [None, Some(Model::Osi)] {
            for secrets in [Secrets::Removed, Secrets::Shown] {
                let detail = Detail { verbose: true, head: true, packets: true, layers, secrets };
                check(&view::screen(&journey, &STYLE, detail), &name);
            }
        }
        let json = view::json(&journey);
        check(&json, &name);
        assert_eq!(serde_json::from_str::<Journey>(&json).unwrap(), journey, "{name}");
    }
}

#[test]
fn kept_series_with_hostile_text_are_shown_clean() {
    for file in files("series").into_iter().filter(|file| fs::metadata(file).unwrap().len() < 60_000) {
        let value = poisoned(&file, |value| serde_json::from_value::<Series>(value.clone()).is_ok());
        let series: Series = serde_json::from_value(value).unwrap();
        check(
            &view::series(&series, &STYLE, Detail { verbose: true, ..Detail::default() }),
            &file.display().to_string(),
        );
        check(&view::json(&series), &file.display().to_string());
    }
}

#[test]
fn json_escapes_what_a_terminal_must_not_see_and_means_the_same() {
    let mut answer = b"HTTP/1.1 200 OK\r\nx-hostile: ".to_vec();
    answer.extend("\u{9b}31m \u{202e}\u{e0041} grüße".as_bytes());
    answer.extend(b"\r\ncontent-length: 2\r\n\r\nok");
    let server = Server::start(answer, End::WhenPeerCloses);
    let output = run(&["--json", &server.url("/")]);
    let text = String::from_utf8(output.stdout).unwrap();
    check(&text, "--json");
    assert!(text.contains(r"\u009b31m \u202e\udb40\udc41 grüße"), "{text}");
    let journey: Value = serde_json::from_str(&text).unwrap();
    assert!(journey.to_string().contains("\u{9b}31m \u{202e}\u{e0041} grüße"));
}

#[test]
fn hostile_peers_are_shown_clean() {
    let field = |head: &str| {
        let answer = format!("HTTP/1.1 {head}\r\ncontent-length: 2\r\n\r\nok");
        Server::start(answer.into_bytes(), End::WhenPeerCloses).url("/")
    };
    let talk = raw::stream(|mut stream| {
        use std::io::Write;
        let _ = stream.write_all(HOSTILE.as_bytes());
    });
    let eight_bit = "\u{9b}31m\u{202e}\u{e0041}";
    for (url, args) in [
        (field(&format!("200 OK\r\nx: {eight_bit}")), &[][..]),
        (field(&format!("200 {eight_bit}")), &[]),
        (field(&format!("302 Found\r\nlocation: http://h.test/{eight_bit}")), &[]),
        (field(&format!("302 Found\r\nlocation: my-{eight_bit}:x")), &["-L"]),
        (field(&format!("302 Found\r\nlocation: http://{eight_bit}/")), &["-L"]),
        (field(&format!("200 OK\r\nserver-timing: a;desc=\"{eight_bit}\"")), &[]),
        (field(&format!("200 OK\r\ncontent-encoding: {eight_bit}")), &[]),
        (field(&format!("{eight_bit} OK")), &[]),
        (talk, &[]),
        (format!("http://{eight_bit}/"), &[]),
        (format!("no-{eight_bit}://x"), &[]),
    ] {
        for look in [&["-v", "-i"][..], &["--json"], &["-n", "2"], &["-n", "2", "--json"]] {
            let output = run(&[look, &["--max-time", "10"], args, &[&url]].concat());
            check(&String::from_utf8(output.stdout).unwrap(), &format!("{url:?} {look:?}, stdout"));
            check(&String::from_utf8(output.stderr).unwrap(), &format!("{url:?} {look:?}, stderr"));
        }
    }
    let output = run(&["show", &format!("/none{HOSTILE}")]);
    check(&String::from_utf8(output.stderr).unwrap(), "show");
}

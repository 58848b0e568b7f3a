//! Any text around secrets of every shape that is known: none of them stays, and what stays holds none.
#![no_main]

use libfuzzer_sys::fuzz_target;
use secrets::Secrets::{Removed, Shown};

/// Stands in every secret. A JSON Web Token as well, so that it is one wherever nothing else tells.
const MARK: &str = "eyJhbGciOiJub25lIn0.eyJxIjoxfQ";

/// A text grows where values are encoded anew: each of the levels that are looked at adds two bytes to a character.
const MOST_GROWTH: usize = 20;

fuzz_target!(|text: &str| {
    for (how, clean) in [("text", text_of as fn(&str) -> String), ("field", field_of), ("stream", stream_of)] {
        let once = clean(text);
        assert_eq!(clean(&once), once, "{how} of {text:?} again");
        assert!(once.len() <= MOST_GROWTH * (text.len() + 1), "{how} of {text:?}");
    }
    assert_eq!(Shown.text(text), text);
    assert_eq!(Shown.field("location", text), text);
    assert_eq!(Shown.stream(text), text);

    // The mark without what makes a token of it, so that the shape around it alone tells.
    let secret = &MARK[4..12];
    if text.contains(secret) {
        return;
    }
    let gone = |how: &str, with: &str, kept: String| {
        assert!(!kept.contains(secret), "{how}: {with:?} became {kept:?}");
    };
    let everywhere = |with: &str| {
        gone("text", with, Removed.text(with));
        gone("field", with, Removed.field("location", with));
        gone("stream", with, Removed.stream(with));
    };
    let a_value = |with: String| {
        gone("field", &with, Removed.field("x-value", &with));
        gone("stream", &with, Removed.stream(&with));
    };
    let value = encoded(text);
    // One shape of each text: a text that is changed a little has another one.
    match text.bytes().map(usize::from).sum::<usize>() % 12 {
        0 => everywhere(&format!("{text} http://me:{secret}@h.test/a")),
        1 => everywhere(&format!("{text} http://h.test/a?x=1&token={secret}&y=2")),
        2 => everywhere(&format!("http://h.test/a?{value}={value}&key={secret}")),
        3 => everywhere(&format!("http://h.test/a?password={value}{secret}")),
        4 => everywhere(&format!("{text} Bearer {secret}")),
        5 => everywhere(&format!("{text} {MARK}")),
        // A URL in a parameter of a URL, and so on.
        levels @ 6..=8 => {
            let mut url = format!("http://h.test/a?{value}&sig={secret}");
            for _ in 6..=levels {
                url = format!("http://h.test/b?x=1&next={}&y={value}", encoded(&url));
            }
            everywhere(&url);
        }
        9 => a_value(format!("a={value}&client_secret={secret}&b=2")),
        10 => {
            a_value(serde_json::json!({ "a": text, "password": format!("{text}{secret}"), "z": text }).to_string());
            a_value(serde_json::json!({ "a": { text: [text] }, "b": [{ "apiKey": secret }] }).to_string());
        }
        _ => {
            for line in ["PASS ", "Authorization: Basic ", "Cookie: a=", "APOP joe ", "AUTH ", "a1 LOGIN joe "] {
                let lines = format!("{text}\n{line}{secret}\r\n{text}");
                gone("stream", &lines, Removed.stream(&lines));
            }
        }
    }
});

fn text_of(text: &str) -> String {
    Removed.text(text)
}

fn field_of(text: &str) -> String {
    Removed.field("location", text)
}

fn stream_of(text: &str) -> String {
    Removed.stream(text)
}

/// As browsers encode the values of a form.
fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

//! Any text as a URL, and any bytes as a reference in an answer to it: what is visited is what is shown, can be written in
//! a request, and has no user information.
//!
//! The URL ends at the first line feed; the reference follows it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use probe::{
    target::{Host, Scheme, Target},
    visitable::{Visitable, of_field},
};
use secrets::Secrets::{Removed, Shown};

/// A password that nothing else has in it.
const MARK: &str = "q7Zx9w3V";

fuzz_target!(|input: &[u8]| {
    let mut parts = input.splitn(2, |byte| *byte == b'\n');
    let (typed, reference) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let Ok(typed) = std::str::from_utf8(typed) else { return };
    check(typed);

    let reference = of_field(reference);
    assert!(reference.is_ascii());
    let read = Visitable::read(typed, Shown);
    let next = read.next(&reference, Shown);
    let Ok(found) = &read.target else { return };
    // RFC 3986 §4.4: an empty reference is the URL itself.
    if matches!(found.scheme, Scheme::Http | Scheme::Https) {
        let itself = read.next("", Shown).expect("a URL that can be visited");
        assert!(read.has_origin_of(&itself));
    }
    let Ok(next) = next else { return };
    // Only these are followed, and what is followed is read like what was typed.
    assert!(next.target.is_err() || matches!(next.scheme(), Some(Scheme::Http | Scheme::Https)));
    check(&next.shown);
});

fn check(typed: &str) {
    let (shown, cleaned) = (Visitable::read(typed, Shown), Visitable::read(typed, Removed));
    let again = Visitable::read(&cleaned.shown, Removed);
    assert!(!again.has_userinfo(), "{typed:?} is shown as {:?}", cleaned.shown);
    if let Ok(found) = &cleaned.target {
        assert_eq!(again.shown, cleaned.shown, "{typed:?} again");
        visitable(found);
        // What is shown leads to the same place.
        let same = Visitable::read(&shown.shown, Shown);
        assert_eq!(same.target.as_ref().ok(), Some(found), "{typed:?} is shown as {:?}", shown.shown);
        let place = again.target.map(|target| (target.host, target.port)).ok();
        assert_eq!(place, Some((found.host.clone(), found.port)), "{typed:?} is shown as {:?}", cleaned.shown);
    }
    if !typed.contains(MARK) {
        let user: String = typed.chars().filter(|c| !matches!(c, '/' | '\\' | '?' | '#')).collect();
        for with in [format!("http://{user}:{MARK}@h.test/"), format!("http://me:{MARK}@{typed}")] {
            let cleaned = Visitable::read(&with, Removed).shown;
            assert!(!cleaned.contains(MARK), "{with:?} is shown as {cleaned:?}");
        }
    }
}

/// Its parts can be written in the head of a request (RFC 9112 §3.2, RFC 9110 §7.2).
fn visitable(found: &Target) {
    let is_visible = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    assert!(is_visible(&found.authority) && !found.authority.contains(['/', '@', '?', '#', '\\']), "{found:?}");
    assert!(is_visible(&found.path) && !found.path.contains('#'), "{found:?}");
    assert_ne!(found.port, 0);
    match found.scheme {
        Scheme::Http | Scheme::Https => assert!(found.path.starts_with('/'), "{found:?}"),
        Scheme::Tcp | Scheme::Udp => assert!(found.path.is_empty(), "{found:?}"),
    }
    if let Host::Name(name) = &found.host {
        assert!(!name.is_empty() && name.len() <= 254 && !name.bytes().any(|byte| byte.is_ascii_uppercase()));
        assert!(name.parse::<std::net::IpAddr>().is_err(), "{found:?}");
    }
}

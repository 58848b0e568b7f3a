//! Any text as a URL, and any bytes as a reference in an answer to it: what is visited is what is shown, can be written in
//! a request, and has no user information.
//!
//! The URL ends at the first line feed; the reference follows it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use secrets::Secrets::{Removed, Shown};
use probe::target::{self, Host, Scheme, Target};

/// A password that nothing else has in it.
const MARK: &str = "q7Zx9w3V";

fuzz_target!(|input: &[u8]| {
    let mut parts = input.splitn(2, |byte| *byte == b'\n');
    let (typed, reference) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let Ok(typed) = std::str::from_utf8(typed) else { return };
    check(typed);

    let reference = target::of_field(reference);
    assert!(reference.is_ascii());
    let joined = target::join(typed, &reference);
    if target::parse(typed, Shown).is_err() {
        return;
    }
    // RFC 3986 §4.4: an empty reference is the URL itself.
    let itself = target::join(typed, "").expect("a URL that can be visited");
    assert!(target::same_origin(typed, itself.as_str()) || !matches!(itself.scheme(), "http" | "https"));
    let Ok(next) = joined else { return };
    // Only these are followed, and what is followed is read like what was typed.
    if matches!(next.scheme(), "http" | "https") {
        check(next.as_str());
        if let Ok((_, found)) = target::parse(next.as_str(), Shown) {
            assert_eq!(found.scheme.as_str(), next.scheme());
            assert_eq!(Some(found.port), next.port_or_known_default());
        }
    }
});

fn check(typed: &str) {
    let shown = target::shown(typed, Shown);
    let cleaned = target::shown(typed, Removed);
    assert!(!target::has_userinfo(&cleaned), "{typed:?} is shown as {cleaned:?}");
    if let Ok((_, found)) = target::parse(typed, Removed) {
        assert_eq!(target::shown(&cleaned, Removed), cleaned, "{typed:?} again");
        visitable(&found);
        // What is shown leads to the same place.
        let (_, again) = target::parse(&shown, Shown).unwrap_or_else(|_| panic!("{typed:?} is shown as {shown:?}"));
        assert_eq!(again, found, "{typed:?} is shown as {shown:?}");
        let (_, again) = target::parse(&cleaned, Removed).unwrap_or_else(|_| panic!("{typed:?} is {cleaned:?}"));
        assert_eq!((again.host, again.port), (found.host, found.port), "{typed:?} is shown as {cleaned:?}");
    }
    if !typed.contains(MARK) {
        let user: String = typed.chars().filter(|c| !matches!(c, '/' | '\\' | '?' | '#')).collect();
        for with in [format!("http://{user}:{MARK}@h.test/"), format!("http://me:{MARK}@{typed}")] {
            let cleaned = target::shown(&with, Removed);
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

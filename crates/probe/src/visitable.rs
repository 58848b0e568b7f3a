//! The `url` stage: from what was typed to scheme, host, port and target, as a browser reads it (WHATWG URL). A URL is read
//! once, and travels in this form.

use std::time::{Duration, Instant};

use journey::{
    Reason,
    stage::{self, Failure},
};
use secrets::Secrets;
use url::{ParseError, Url};

use crate::target::{Host, Scheme, Target};

/// A URL as it was typed, or as an answer pointed to it, and what it means.
#[derive(Clone, Debug)]
pub struct Visitable {
    /// As it may be shown and kept.
    pub shown: String,
    /// What is to be visited, or why nothing can be.
    pub target: Result<Target, Failure>,
    /// What the stage found out.
    pub(crate) did: stage::Url,
    /// How long the reading took.
    pub took: Duration,
    url: Result<Url, ParseError>,
}

/// Why a reference in an answer is not followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfollowed {
    /// It is not a URL.
    NotAUrl(ParseError),
    /// It has this scheme. A server must not choose what else is sent where: `tcp://` and `udp://` are visited only where
    /// they were typed.
    Scheme(String),
}

impl Visitable {
    /// Reads what was typed. Without a scheme it is taken for `http://`, as an address bar does.
    pub fn read(text: &str, secrets: Secrets) -> Self {
        let began = Instant::now();
        let full = with_scheme(text);
        let url = Url::parse(&full);
        Self::of(began, text, &full, url, secrets)
    }

    /// The URL that a reference in an answer to this URL means (RFC 3986 §5). Unlike what is typed, it is never guessed at:
    /// what has no scheme is relative, and `mailto:x` or `app:8080` are URLs of schemes that are not followed.
    pub fn next(&self, reference: &str, secrets: Secrets) -> Result<Self, Unfollowed> {
        let began = Instant::now();
        let url = self.url.as_ref().map_err(|error| *error).and_then(|url| url.join(reference));
        match url {
            Ok(url) if matches!(url.scheme(), "http" | "https") => {
                let text = url.to_string();
                Ok(Self::of(began, &text, &text, Ok(url), secrets))
            }
            Ok(url) => Err(Unfollowed::Scheme(url.scheme().to_owned())),
            Err(error) => Err(Unfollowed::NotAUrl(error)),
        }
    }

    fn of(began: Instant, text: &str, full: &str, url: Result<Url, ParseError>, secrets: Secrets) -> Self {
        let (did, target) = match meaning(text, full, &url, secrets) {
            Ok((did, target)) => (did, Ok(target)),
            Err(failure) => (stage::Url::default(), Err(failure)),
        };
        let took = began.elapsed();
        let shown = shown(full, url.as_ref().ok(), secrets);
        Self { shown, target, did, took, url }
    }

    /// What is spoken there, where that is known.
    pub fn scheme(&self) -> Option<Scheme> {
        self.target.as_ref().ok().map(|target| target.scheme)
    }

    /// Whether it has a user name or a password in it.
    pub fn has_userinfo(&self) -> bool {
        self.url.as_ref().is_ok_and(|url| !url.username().is_empty() || url.password().is_some())
    }

    /// Whether two URLs have scheme, host and port in common (RFC 6454 §5).
    pub fn has_origin_of(&self, other: &Self) -> bool {
        matches!((&self.url, &other.url), (Ok(one), Ok(other)) if one.origin() == other.origin())
    }
}

fn refuse(reason: Reason, what: String) -> Failure {
    Failure { reason, what }
}

fn malformed(what: String) -> Failure {
    refuse(Reason::UrlMalformed, what)
}

fn meaning(
    text: &str,
    full: &str,
    url: &Result<Url, ParseError>,
    secrets: Secrets,
) -> Result<(stage::Url, Target), Failure> {
    if text.trim().is_empty() {
        return Err(malformed("it is empty".to_owned()));
    }
    let scheme = full.split_once(':').map_or("", |(scheme, _)| scheme).to_ascii_lowercase();
    let Some(scheme) = Scheme::of(&scheme) else {
        let what = format!("visit speaks http, https, tcp and udp, and not {scheme:?}");
        return Err(refuse(Reason::SchemeUnsupported, what));
    };
    let shown = || shown(full, url.as_ref().ok(), secrets);
    let (url, port) = read(full, scheme, url).map_err(|why| malformed(format!("{:?} is no URL: {why}", shown())))?;
    let (host, host_text) = match url.host() {
        Some(url::Host::Domain(name)) => {
            let checked =
                checked_name(name).map_err(|why| malformed(format!("{name:?} cannot be a host name: {why}")))?;
            (Host::Name(checked), name.to_owned())
        }
        Some(url::Host::Ipv4(ip)) => (Host::Ip(ip.into()), ip.to_string()),
        Some(url::Host::Ipv6(ip)) => (Host::Ip(ip.into()), format!("[{ip}]")),
        None => return Err(malformed(format!("{:?} has no host", shown()))),
    };
    let port = port_of(scheme, port, &host_text)?;
    let path = path_of(scheme, &url)?;
    // RFC 9110 §7.2: the Host field names the port only where it is not the scheme's own. `url` has dropped that one.
    let authority = url.port().map_or_else(|| host_text.clone(), |port| format!("{host_text}:{port}"));
    let did = stage::Url {
        scheme: scheme.as_str().to_owned(),
        host: host_text,
        port: Some(port),
        target: secrets.text(&path),
    };
    Ok((did, Target { scheme, host, port, path, authority }))
}

fn port_of(scheme: Scheme, port: Option<u16>, host: &str) -> Result<u16, Failure> {
    match port {
        Some(0) => Err(malformed("port 0 is no port that can be visited".to_owned())),
        Some(port) => Ok(port),
        None => {
            let scheme = scheme.as_str();
            Err(malformed(format!("{scheme}:// has no port of its own: write {scheme}://{host}:PORT")))
        }
    }
}

/// Path and query; empty for schemes without.
fn path_of(scheme: Scheme, url: &Url) -> Result<String, Failure> {
    match (scheme, url.query()) {
        (Scheme::Tcp | Scheme::Udp, None) if url.path() == "/" => Ok(String::new()),
        (Scheme::Tcp | Scheme::Udp, _) => {
            let scheme = scheme.as_str();
            Err(malformed(format!("{scheme}:// has no path: what is to be sent goes behind --send")))
        }
        (_, Some(query)) => Ok(format!("{}?{query}", url.path())),
        (_, None) => Ok(url.path().to_owned()),
    }
}

/// The URL, and its port or the scheme's own. URLs of schemes that the URL standard does not know have hosts that are
/// taken as they are; here they are read as those of `http` are.
fn read(full: &str, scheme: Scheme, url: &Result<Url, ParseError>) -> Result<(Url, Option<u16>), ParseError> {
    match scheme {
        Scheme::Http | Scheme::Https => {
            let url = url.clone()?;
            let port = url.port_or_known_default();
            Ok((url, port))
        }
        Scheme::Tcp | Scheme::Udp => {
            let rest = &full[full.find(':').unwrap_or(full.len())..];
            let with = |scheme: &str| Url::parse(&format!("{scheme}{rest}"));
            // A port that is the scheme's own is not kept, and these two have different ones.
            let (url, other) = (with("http")?, with("https")?);
            let port = url.port().or_else(|| other.port());
            Ok((url, port))
        }
    }
}

/// The text with a scheme: `http://` is put before what has none, as an address bar does. What comes before the first
/// slash decides, so a URL in a query is no scheme, and neither is the port in `localhost:3000`.
fn with_scheme(text: &str) -> String {
    let text = text.trim();
    let end = text.find(['/', '\\', '?', '#']).unwrap_or(text.len());
    let slash_follows = text[end..].starts_with(['/', '\\']);
    let has_scheme = slash_follows && text[..end].strip_suffix(':').is_some_and(is_scheme);
    if has_scheme { text.to_owned() } else { format!("http://{text}") }
}

/// RFC 3986 §3.1.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
}

/// A name that DNS can carry (RFC 1035 §2.3.4); the final dot of a fully qualified name is kept for the resolver.
fn checked_name(name: &str) -> Result<String, &'static str> {
    let bare = name.strip_suffix('.').unwrap_or(name);
    if bare.is_empty() {
        return Err("it is empty");
    }
    if bare.len() > 253 {
        return Err("it is longer than 253 characters");
    }
    if bare.split('.').any(str::is_empty) {
        return Err("there is nothing between two of its dots");
    }
    if bare.split('.').any(|label| label.len() > 63) {
        return Err("one of its labels is longer than 63 characters");
    }
    Ok(name.to_owned())
}

/// The URL as it may be shown and saved: the fragment, which never leaves this machine, is removed; user name, password
/// and other secrets are, too, where they are not to be shown; all of this also from what is no valid URL.
fn shown(full: &str, url: Option<&Url>, secrets: Secrets) -> String {
    if let Some(mut url) = url.cloned() {
        url.set_fragment(None);
        if secrets == Secrets::Removed {
            // Both fail only for URLs that cannot have them.
            let _ = url.set_username("");
            let _ = url.set_password(None);
        }
        return secrets.text(url.as_str());
    }
    if secrets == Secrets::Shown {
        return full.to_owned();
    }
    let (scheme, rest) = full.split_once(':').unwrap_or(("http", full));
    let rest = rest.trim_start_matches(['/', '\\']);
    let rest = match user_information(rest) {
        Some(end) => &rest[end..],
        None => rest,
    };
    secrets.text(&format!("{scheme}://{rest}"))
}

/// Where the user information ends of what follows the scheme of a text that is no URL. It stands in front of an @ in the
/// authority (RFC 3986 §3.2), and one in the path, the query or the fragment is none of it; unless the authority ends in
/// something that is a password with a slash in it rather than a port.
fn user_information(rest: &str) -> Option<usize> {
    let authority = &rest[..rest.find(['/', '\\', '?', '#']).unwrap_or(rest.len())];
    if let Some(at) = authority.rfind('@') {
        return Some(at + 1);
    }
    let is_port = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let has_password = !authority.starts_with('[') && authority.split_once(':').is_some_and(|(_, port)| !is_port(port));
    if has_password { rest.rfind('@').map(|at| at + 1) } else { None }
}

/// A field's value as the text of a URL: bytes beyond ASCII are percent-encoded as they are, in whatever encoding they are
/// meant (RFC 3986 §2.1).
pub fn of_field(value: &[u8]) -> String {
    let mut text = String::with_capacity(value.len());
    for byte in value {
        if byte.is_ascii() { text.push(char::from(*byte)) } else { text.push_str(&format!("%{byte:02X}")) }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Visitable {
        Visitable::read(text, Secrets::Removed)
    }

    fn read(text: &str) -> (stage::Url, Target) {
        let read = of(text);
        (read.did, read.target.unwrap())
    }

    fn check(text: &str, host: &str, port: u16, path: &str, authority: &str) {
        let (did, target) = read(text);
        assert_eq!((did.host.as_str(), target.port, target.path.as_str()), (host, port, path), "{text}");
        assert_eq!(target.authority, authority, "{text}");
    }

    #[test]
    fn read_as_an_address_bar_does() {
        check("www.example.local", "www.example.local", 80, "/", "www.example.local");
        check("WWW.Example.LOCAL:8080/a?b#c", "www.example.local", 8080, "/a?b", "www.example.local:8080");
        check("http://user:secret@h.test:80/", "h.test", 80, "/", "h.test");
        check("http://[fd10::1]/x", "[fd10::1]", 80, "/x", "[fd10::1]");
        check("localhost:3000", "localhost", 3000, "/", "localhost:3000");
        check("http://bücher.test/", "xn--bcher-kva.test", 80, "/", "xn--bcher-kva.test");
        check("127.1", "127.0.0.1", 80, "/", "127.0.0.1");
        check("h.test/?next=http://a.b/", "h.test", 80, "/?next=http://a.b/", "h.test");
        check("http:\\\\me:pw@h.test\\a", "h.test", 80, "/a", "h.test");
    }

    #[test]
    fn ports_of_schemes() {
        let check = |text: &str, scheme: Scheme, port: u16| {
            let target = read(text).1;
            assert_eq!((target.scheme, target.port), (scheme, port), "{text}");
        };
        check("https://h.test/", Scheme::Https, 443);
        check("HTTPS://h.test:80/", Scheme::Https, 80);
        check("tcp://h.test:80", Scheme::Tcp, 80);
        check("tcp://h.test:443", Scheme::Tcp, 443);
        check("udp://[::1]:7/", Scheme::Udp, 7);
        assert_eq!(read("tcp://H.Test:81").1.host, Host::Name("h.test".to_owned()));
    }

    #[test]
    fn refused() {
        let check = |text: &str, reason: Reason| {
            let failure = of(text).target.unwrap_err();
            assert_eq!(failure.reason, reason, "{text}: {}", failure.what);
        };
        for text in ["", "http://", "http://a b/", "http://:80/", "h:99999", "http://a..b/", "http://[::1", "h:0"] {
            check(text, Reason::UrlMalformed);
        }
        check(&format!("http://{}.test/", "a".repeat(64)), Reason::UrlMalformed);
        check("ftp://example.local/", Reason::SchemeUnsupported);
        for text in ["tcp://h.test", "tcp://h.test:80/x", "udp://h.test:7?x", "tcp://:80", "udp://h:0"] {
            check(text, Reason::UrlMalformed);
        }
    }

    #[test]
    fn origins() {
        assert!(of("h.test/a").has_origin_of(&of("http://H.test:80/b")));
        assert!(!of("http://h.test/").has_origin_of(&of("https://h.test/")));
        assert!(!of("http://h.test/").has_origin_of(&of("http://www.h.test/")));
    }

    #[test]
    fn references() {
        let check = |base: &str, reference: &str, expected: Option<&str>| {
            let seen = of(base).next(reference, Secrets::Removed).ok().map(|next| next.url.unwrap().to_string());
            assert_eq!(seen.as_deref(), expected, "{base} {reference}");
        };
        check("h.test/a/b", "../c?d", Some("http://h.test/c?d"));
        check("http://h.test/a?b", "?c", Some("http://h.test/a?c"));
        check("http://h.test/a?b", "#c", Some("http://h.test/a?b#c"));
        check("http://h.test/", "//other.test:81/x", Some("http://other.test:81/x"));
        check("http://h.test/", "https://h.test/", Some("https://h.test/"));
        check("http://h.test/", "HTTPS://h.test", Some("https://h.test/"));
        check("http://h.test/", "a b\tc", Some("http://h.test/a%20bc"));
        check("http://h.test/", "\\\\other.test\\a", Some("http://other.test/a"));
        check("https://h.test/", "http:", None);
        check("http://h.test/", "http://h.test:99999/", None);
        check("http://h.test/", "//[::1", None);
        for reference in ["mailto:me@h.test", "app:8080", "javascript:alert(1)", "tel:1", "tcp://h.test:25"] {
            let scheme = reference.split(':').next().unwrap().to_owned();
            let refused = of("http://h.test/").next(reference, Secrets::Removed).unwrap_err();
            assert_eq!(refused, Unfollowed::Scheme(scheme));
        }
    }

    #[test]
    fn bytes_of_a_field() {
        assert_eq!(of_field(b"/jos\xe9?\xc3\xa9#a b"), "/jos%E9?%C3%A9#a b");
        assert_eq!(
            of("http://h.test/").next(&of_field(b"http://b\xc3\xbccher.test/"), Secrets::Removed).unwrap().shown,
            "http://xn--bcher-kva.test/"
        );
    }

    #[test]
    fn secrets_are_removed() {
        let check = |text: &str, expected: &str| assert_eq!(of(text).shown, expected);
        check("http://me:pw@h.test/a", "http://h.test/a");
        check("me:pw@h.test", "http://h.test/");
        check("http://me:pw@h:99999/a", "http://h:99999/a");
        // An @ behind the authority belongs to the URL.
        check("http://a.1/p?x=@b", "http://a.1/p?x=@b");
        check("http://a.1/@b", "http://a.1/@b");
        check("http://a.1?@b", "http://a.1?@b");
        check("http://h:99999/@b", "http://h:99999/@b");
        check("http://[::1/@b", "http://[::1/@b");
        check("http://me:pw@a.1/p?x=@b", "http://a.1/p?x=@b");
        check("h.test/a?b#c", "http://h.test/a?b");
        check("h.test/a?token=b#c", "http://h.test/a?token=(removed)");
        assert_eq!(Visitable::read("http://me:pw@h.test/?key=a#b", Secrets::Shown).shown, "http://me:pw@h.test/?key=a");
        // In all of these a browser, too, sees user information.
        for text in [
            "me:pw@h.test/?x=http://a",
            "http://me:p/w@h.test/",
            "http:\\\\me:pw@h.test\\a",
            "http:/me:pw@h.test",
            "x://me:pw@",
        ] {
            let shown = of(text).shown;
            assert!(!shown.contains("me:p"), "{text}: {shown}");
        }
        let (did, target) = read("h.test/?key=a");
        assert_eq!((did.target.as_str(), target.path.as_str()), ("/?key=(removed)", "/?key=a"));
    }
}

//! The `url` stage: from what was typed to scheme, host, port and target, as a browser reads it (WHATWG URL).

use std::net::IpAddr;

use journey::{
    Reason,
    stage::{self, Did, Failure},
};

use super::Broken;

/// What is to be visited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Where.
    pub host: Host,
    /// The port.
    pub port: u16,
    /// Path and query.
    pub path: String,
    /// The value of the `Host` field: host, and port unless it is the scheme's own.
    pub authority: String,
}

/// The host of a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// A name, in its ASCII form, lower case.
    Name(String),
    /// An address.
    Ip(IpAddr),
}

/// Reads a URL. Without a scheme it is taken for `http://`, as an address bar does.
pub fn parse(text: &str) -> Result<(Did, Target), Box<Broken>> {
    let refuse = |reason, what: String| Box::new((Did::Url(stage::Url::default()), Failure { reason, what }));
    if text.trim().is_empty() {
        return Err(refuse(Reason::UrlMalformed, "it is empty".to_owned()));
    }
    let url = url::Url::parse(&with_scheme(text))
        .map_err(|why| refuse(Reason::UrlMalformed, format!("{:?} is no URL: {why}", without_secrets(text))))?;
    if url.scheme() != "http" {
        let built = "visit speaks http";
        return Err(refuse(Reason::SchemeUnsupported, format!("{built}, and not {:?}", url.scheme())));
    }
    let (host, shown) = match url.host() {
        Some(url::Host::Domain(name)) => (
            Host::Name(
                checked_name(name)
                    .map_err(|why| refuse(Reason::UrlMalformed, format!("{name:?} cannot be a host name: {why}")))?,
            ),
            name.to_owned(),
        ),
        Some(url::Host::Ipv4(ip)) => (Host::Ip(ip.into()), ip.to_string()),
        Some(url::Host::Ipv6(ip)) => (Host::Ip(ip.into()), format!("[{ip}]")),
        None => return Err(refuse(Reason::UrlMalformed, format!("{:?} has no host", without_secrets(text)))),
    };
    let Some(port) = url.port_or_known_default().filter(|port| *port != 0) else {
        return Err(refuse(Reason::UrlMalformed, "port 0 is no port that can be visited".to_owned()));
    };
    let path = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    // RFC 9110 §7.2: the Host field names the port only where it is not the scheme's own. `url` has dropped that one.
    let authority = url.port().map_or_else(|| shown.clone(), |port| format!("{shown}:{port}"));
    let did = stage::Url { scheme: url.scheme().to_owned(), host: shown, port: Some(port), target: path.clone() };
    Ok((Did::Url(did), Target { host, port, path, authority }))
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

/// The URL as it may be shown and saved: user name, password and fragment are removed, also from what is no valid URL.
pub fn without_secrets(text: &str) -> String {
    let full = with_scheme(text);
    if let Ok(mut url) = url::Url::parse(&full) {
        // Both fail only for URLs that cannot have them.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        // It never leaves this machine.
        url.set_fragment(None);
        return url.to_string();
    }
    // Where a password has a slash nobody can tell what belongs to it: all before the last @ goes.
    let (scheme, rest) = full.split_once(':').unwrap_or(("http", &full));
    let rest = rest.trim_start_matches(['/', '\\']);
    let rest = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    format!("{scheme}://{rest}")
}

/// A text without the user information of the URLs in it; what follows `//` up to the `@` of an authority goes.
pub fn without_userinfo(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("//") {
        let (before, authority) = rest.split_at(at + 2);
        kept.push_str(before);
        let end = authority.find(['/', '?', '#', ' ', '\t', ',', ';', '"', '<', '>']).unwrap_or(authority.len());
        rest = match authority[..end].rfind('@') {
            Some(userinfo) => &authority[userinfo + 1..],
            None => authority,
        };
    }
    kept + rest
}

/// The URL that a reference in an answer to this URL means (RFC 3986 §5); what cannot be joined is taken as it is, and
/// its own `url` stage will say what is wrong with it.
pub fn join(base: &str, reference: &str) -> String {
    let base = url::Url::parse(&with_scheme(base));
    match base.and_then(|base| base.join(reference)) {
        Ok(url) => url.to_string(),
        Err(_) => reference.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, host: &str, port: u16, path: &str, authority: &str) {
        let (did, target) = parse(text).unwrap();
        let Did::Url(url) = did else { panic!("not a url stage") };
        assert_eq!((url.host.as_str(), target.port, target.path.as_str()), (host, port, path), "{text}");
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
    fn refused() {
        let check = |text: &str, reason: Reason| {
            let broken = parse(text).unwrap_err();
            assert_eq!(broken.1.reason, reason, "{text}: {}", broken.1.what);
        };
        for text in ["", "http://", "http://a b/", "http://:80/", "h:99999", "http://a..b/", "http://[::1", "h:0"] {
            check(text, Reason::UrlMalformed);
        }
        check(&format!("http://{}.test/", "a".repeat(64)), Reason::UrlMalformed);
        check("ftp://example.local/", Reason::SchemeUnsupported);
        check("https://example.local/", Reason::SchemeUnsupported);
    }

    #[test]
    fn references() {
        assert_eq!(join("h.test/a/b", "../c?d"), "http://h.test/c?d");
        assert_eq!(join("http://h.test/", "//other.test:81/x"), "http://other.test:81/x");
        assert_eq!(join("http://h.test/", "https://h.test/"), "https://h.test/");
    }

    #[test]
    fn secrets_are_removed() {
        assert_eq!(without_secrets("http://me:pw@h.test/a"), "http://h.test/a");
        assert_eq!(without_secrets("me:pw@h.test"), "http://h.test/");
        assert_eq!(without_secrets("http://me:pw@h:99999/a"), "http://h:99999/a");
        // In all of these a browser, too, sees user information.
        for text in [
            "me:pw@h.test/?x=http://a",
            "http://me:p/w@h.test/",
            "http:\\\\me:pw@h.test\\a",
            "http:/me:pw@h.test",
            "x://me:pw@",
        ] {
            assert!(!without_secrets(text).contains("me:p"), "{text}: {}", without_secrets(text));
        }
        assert_eq!(without_secrets("h.test/a?b#c"), "http://h.test/a?b");
        assert_eq!(without_userinfo("https://me:pw@h.test/a"), "https://h.test/a");
        assert_eq!(without_userinfo("<//me:pw@h.test/a>; rel=x, <http://b@c>"), "<//h.test/a>; rel=x, <http://c>");
        assert_eq!(without_userinfo("/a?b=c@d"), "/a?b=c@d");
    }
}

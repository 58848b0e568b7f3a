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
    let url = with_scheme(text)
        .and_then(|text| url::Url::parse(&text).map_err(|error| error.to_string()))
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
        None => return Err(refuse(Reason::UrlMalformed, format!("{text:?} has no host"))),
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
    let did = stage::Url { scheme: url.scheme().to_owned(), host: shown, port, target: path.clone() };
    Ok((Did::Url(did), Target { host, port, path, authority }))
}

fn with_scheme(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("it is empty".to_owned());
    }
    if text.contains("://") { Ok(text.to_owned()) } else { Ok(format!("http://{text}")) }
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

/// The URL as it may be shown and saved: user name and password are removed, also from what is no valid URL.
pub fn without_secrets(text: &str) -> String {
    let text = text.trim();
    let full = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    if let Ok(mut url) = url::Url::parse(&full) {
        // Both fail only for URLs that cannot have them.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        return url.to_string();
    }
    let Some((scheme, rest)) = full.split_once("://") else { return full };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

/// The URL that a reference in an answer to this URL means (RFC 3986 §5); what cannot be joined is taken as it is, and
/// its own `url` stage will say what is wrong with it.
pub fn join(base: &str, reference: &str) -> String {
    let base = with_scheme(base).ok().and_then(|base| url::Url::parse(&base).ok());
    match base.and_then(|base| base.join(reference).ok()) {
        Some(url) => url.to_string(),
        None => reference.to_owned(),
    }
}

/// As [`without_secrets`], for references, which may be relative and are then shown as they are.
pub fn without_secrets_in_reference(reference: &str) -> String {
    let has_authority = reference.contains("://") || reference.trim_start().starts_with("//");
    if !has_authority || !reference.contains('@') {
        return reference.to_owned();
    }
    match url::Url::parse(reference) {
        Ok(_) => without_secrets(reference),
        Err(_) => without_secrets(&format!("http:{}", reference.trim_start())),
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
        assert_eq!(without_secrets_in_reference("https://me:pw@h.test/a"), "https://h.test/a");
        assert_eq!(without_secrets_in_reference("//me:pw@h.test/a"), "http://h.test/a");
        assert_eq!(without_secrets_in_reference("/a?b=c@d"), "/a?b=c@d");
    }
}

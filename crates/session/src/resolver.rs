//! What `--resolver` says: an address, `tls://` (RFC 7858), `https://` (RFC 8484), or `system`. Pure.

use probe::{
    secure::{Over, Upstream},
    target::Host,
};
use secrets::Secrets;
use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

/// A resolver that was named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// This machine's own.
    System,
    /// At this address, over UDP and TCP.
    Plain(SocketAddr),
    /// Over TLS, alone or under HTTP.
    Secure(Upstream),
}

/// The port of DNS.
const PORT: u16 = 53;
/// The port of DNS over TLS (RFC 7858 §3.1).
const TLS_PORT: u16 = 853;
/// The port of HTTPS.
const HTTPS_PORT: u16 = 443;
/// Where DNS over HTTPS is served, where nothing else is said: what RFC 8484 has in its examples.
const PATH: &str = "/dns-query";

impl Named {
    /// Reads what was said; the error says what is wrong with it.
    pub fn parse(given: &str) -> Result<Self, String> {
        let scheme = given.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
        match scheme.as_deref() {
            None if given == "system" => Ok(Self::System),
            None => plain(given).map(Self::Plain),
            Some("tls") => secure(given, false).map(Self::Secure),
            Some("https") => secure(given, true).map(Self::Secure),
            Some(other) => Err(format!("{other}:// is none of tls:// and https://")),
        }
    }

    /// Whether it is one of a lab, by its address or its name.
    pub fn is_in(&self, contains: impl Fn(IpAddr) -> bool, claims: impl Fn(&str) -> bool) -> bool {
        match self {
            Self::System => false,
            Self::Plain(address) => contains(address.ip()),
            Self::Secure(Upstream { host: Host::Ip(ip), .. }) => contains(*ip),
            Self::Secure(Upstream { host: Host::Name(name), .. }) => claims(name),
        }
    }
}

impl fmt::Display for Named {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => out.write_str("system"),
            Self::Plain(address) if address.port() == PORT => write!(out, "{}", address.ip()),
            Self::Plain(address) => write!(out, "{address}"),
            Self::Secure(upstream) => out.write_str(&upstream.url(Secrets::Removed)),
        }
    }
}

fn plain(given: &str) -> Result<SocketAddr, String> {
    let bare = given.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(given);
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return Ok(SocketAddr::new(ip, PORT));
    }
    match given.parse::<SocketAddr>() {
        Ok(address) if address.port() != 0 => Ok(address),
        Ok(_) => Err("port 0 is no port".to_owned()),
        Err(_) => Err("it is no address".to_owned()),
    }
}

fn secure(given: &str, https: bool) -> Result<Upstream, String> {
    // The `{?dns}` of a URI template is for GET; here it is POST (RFC 8484 §4.1).
    let given = given.strip_suffix("{?dns}").unwrap_or(given);
    // The URL standard has its rules for hosts of the schemes that it knows alone.
    let rest = given.split_once(':').map_or("", |(_, rest)| rest);
    let url = url::Url::parse(&format!("https:{rest}")).map_err(|error| error.to_string())?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("user names and passwords have no place in it".to_owned());
    }
    let host = match url.host() {
        Some(url::Host::Domain(name)) => Host::Name(name.trim_end_matches('.').to_owned()),
        Some(url::Host::Ipv4(ip)) => Host::Ip(ip.into()),
        Some(url::Host::Ipv6(ip)) => Host::Ip(ip.into()),
        None => return Err("it has no host".to_owned()),
    };
    // The parser drops the port that is its own scheme's; what was written decides.
    let port = match url.port() {
        Some(0) => return Err("port 0 is no port".to_owned()),
        Some(port) => port,
        None if https || authority(rest).ends_with(":443") => HTTPS_PORT,
        None => TLS_PORT,
    };
    let over = match (https, url.path(), url.query()) {
        (false, "/" | "", None) => Over::Tls,
        (false, ..) => return Err("tls:// has no path".to_owned()),
        (true, "/" | "", None) => Over::Https { path: PATH.to_owned() },
        (true, path, None) => Over::Https { path: path.to_owned() },
        (true, path, Some(query)) => Over::Https { path: format!("{path}?{query}") },
    };
    Ok(Upstream { over, host, port })
}

fn authority(rest: &str) -> &str {
    let rest = rest.trim_start_matches('/');
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(given: &str, expected: &str) {
        let seen = match Named::parse(given) {
            Ok(Named::System) => "system".to_owned(),
            Ok(Named::Plain(address)) => address.to_string(),
            Ok(Named::Secure(upstream)) => format!("{} port {}", upstream.url(Secrets::Removed), upstream.port),
            Err(why) => why,
        };
        assert_eq!(seen, expected, "{given}");
    }

    #[test]
    fn what_can_be_said() {
        check("system", "system");
        check("10.1.1.1", "10.1.1.1:53");
        check("[::1]:5353", "[::1]:5353");
        check("[fd10::1]", "[fd10::1]:53");
        check("fd10::1", "[fd10::1]:53");
        check("tls://dns.test", "tls://dns.test port 853");
        check("TLS://Dns.Test.:853/", "tls://dns.test port 853");
        check("tls://10.78.1.53:8853", "tls://10.78.1.53:8853 port 8853");
        check("tls://dns.test:443", "tls://dns.test:443 port 443");
        check("tls://[fd10::1]", "tls://[fd10::1] port 853");
        check("https://dns.test", "https://dns.test/dns-query port 443");
        check("https://dns.test/", "https://dns.test/dns-query port 443");
        check("https://dns.test:8443/q", "https://dns.test:8443/q port 8443");
        check("https://dns.test/dns-query{?dns}", "https://dns.test/dns-query port 443");
        check("https://dns.test/q?a=b", "https://dns.test/q?a=b port 443");
        check("https://[fd10::1]/q", "https://[fd10::1]/q port 443");
    }

    #[test]
    fn what_cannot() {
        check("dns.test", "it is no address");
        check("10.1.1.1:0", "port 0 is no port");
        check("tls://dns.test:0", "port 0 is no port");
        check("tls://dns.test/x", "tls:// has no path");
        check("http://dns.test/", "http:// is none of tls:// and https://");
        check("https://me:pw@dns.test/", "user names and passwords have no place in it");
        check("tls://", "empty host");
        check("https://a b/", "invalid international domain name");
    }
}

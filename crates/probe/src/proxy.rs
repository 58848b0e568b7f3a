//! Whether the environment names a proxy for a URL. `visit` measures the way to the server itself and uses none, and
//! says so: otherwise it would show another way than the one that other programs take here.

use crate::target::{Host, Scheme};

/// What to say where the environment names a proxy for this host, in curl's way of reading it.
pub fn unused(scheme: Scheme, host: &Host, env: impl Fn(&str) -> Option<String>) -> Option<String> {
    let names: &[&str] = match scheme {
        // `HTTP_PROXY` in capitals is not read: in a CGI program a client could set it.
        Scheme::Http => &["http_proxy", "all_proxy", "ALL_PROXY"],
        Scheme::Https => &["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"],
        Scheme::Tcp | Scheme::Udp => return None,
    };
    let set = |name: &str| env(name).filter(|value| !value.trim().is_empty());
    let name = names.iter().find(|name| set(name).is_some())?;
    let exceptions = set("no_proxy").or_else(|| set("NO_PROXY")).unwrap_or_default();
    (!is_excepted(&exceptions, host)).then(|| {
        format!("{name} names a proxy, and visit does not use it: what you see is the direct way to the server")
    })
}

/// Whether a list of names, domains and addresses, separated by commas, has this host; `*` has all.
fn is_excepted(list: &str, host: &Host) -> bool {
    let host = match host {
        Host::Name(name) => name.trim_end_matches('.').to_owned(),
        Host::Ip(ip) => ip.to_string(),
    };
    list.split(',').map(str::trim).filter(|entry| !entry.is_empty()).any(|entry| {
        let entry = entry.trim_start_matches('.').trim_end_matches('.').to_ascii_lowercase();
        entry == "*" || host == entry || host.ends_with(&format!(".{entry}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_never_ignored_in_silence() {
        let check = |scheme, host: &str, set: &[(&str, &str)], expected: Option<&str>| {
            let env = |name: &str| set.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
            let note = unused(scheme, &Host::Name(host.to_owned()), env);
            assert_eq!(note.as_deref().and_then(|note| note.split(' ').next()), expected, "{host} {set:?}");
        };
        check(Scheme::Http, "h.test", &[("http_proxy", "http://p:3128")], Some("http_proxy"));
        check(Scheme::Http, "h.test", &[("HTTP_PROXY", "http://p:3128")], None);
        check(Scheme::Https, "h.test", &[("ALL_PROXY", "socks5://p")], Some("ALL_PROXY"));
        check(Scheme::Https, "h.test", &[("https_proxy", "p"), ("no_proxy", "a, .test")], None);
        check(Scheme::Https, "h.test", &[("https_proxy", "p"), ("NO_PROXY", "est")], Some("https_proxy"));
        check(Scheme::Https, "h.test", &[("https_proxy", "p"), ("no_proxy", "*")], None);
        check(Scheme::Https, "h.test", &[("https_proxy", " ")], None);
        check(Scheme::Tcp, "h.test", &[("all_proxy", "p")], None);
    }
}

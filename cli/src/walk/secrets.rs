//! What is never shown or saved unless one asks for it: credentials in URLs and header fields. Pure.

use std::borrow::Cow;

/// What stands in the place of a secret; as a value in a query it is still a legal one.
pub const REMOVED: &str = "(removed)";

/// Whether secrets are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Secrets {
    /// [`REMOVED`] stands in their place.
    #[default]
    Removed,
    /// `--show-secrets`.
    Shown,
}

impl Secrets {
    /// A header field's value.
    pub fn field(self, name: &str, value: &str) -> String {
        match self {
            Self::Shown => value.to_owned(),
            Self::Removed if is_secret_field(name) => REMOVED.to_owned(),
            Self::Removed => without_query_secrets(&without_userinfo(value)).into_owned(),
        }
    }

    /// A text with URLs in it, or with a path and its query.
    pub fn text(self, text: &str) -> String {
        match self {
            Self::Shown => text.to_owned(),
            Self::Removed => without_query_secrets(&without_userinfo(text)).into_owned(),
        }
    }
}

impl Secrets {
    /// What goes over a socket in a protocol that this program does not speak: each line as a text, those that look like a
    /// header's field as one, and those by which mail, files and caches take passwords (`PASS`, `AUTH`) without them.
    pub fn stream(self, text: &str) -> String {
        if self == Self::Shown {
            return text.to_owned();
        }
        text.split_inclusive('\n').map(|line| self.line(line)).collect()
    }

    fn line(self, whole: &str) -> String {
        let line = whole.trim_end_matches(['\r', '\n']);
        let end = &whole[line.len()..];
        let word = line.split([' ', ':']).next().unwrap_or_default();
        let is_token = !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        let kept = match line.get(word.len()..).filter(|rest| is_token && rest.len() > 1) {
            Some(rest) if rest.starts_with(':') => {
                let value = rest[1..].trim_start();
                let gap = &rest[..rest.len() - value.len()];
                format!("{word}{gap}{}", self.field(word, value))
            }
            Some(_) if matches!(word.to_ascii_uppercase().as_str(), "PASS" | "AUTH") => format!("{word} {REMOVED}"),
            _ => self.text(line),
        };
        kept + end
    }
}

/// Fields that are credentials or grant them.
fn is_secret_field(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    matches!(name.as_str(), "authorization" | "cookie" | "proxy-authorization" | "set-cookie") || is_secret_name(&name)
}

/// Names of parameters and fields by which credentials go: whole names, and words that make any name one.
fn is_secret_name(name: &str) -> bool {
    const WHOLE: [&str; 10] = ["auth", "code", "jwt", "key", "pass", "pwd", "session", "sid", "sig", "ticket"];
    const WORDS: [&str; 10] = [
        "accesskey",
        "apikey",
        "assertion",
        "authorization",
        "credential",
        "passwd",
        "password",
        "secret",
        "signature",
        "token",
    ];
    let letters = name.bytes().filter(u8::is_ascii_alphanumeric).map(|b| char::from(b.to_ascii_lowercase()));
    let name: String = letters.collect();
    WHOLE.contains(&name.as_str()) || WORDS.iter().any(|word| name.contains(word))
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

/// A text in which the values of secret parameters of queries are removed: what stands behind `?`, `&` or `;` and a
/// name, up to the parameter's end.
fn without_query_secrets(text: &str) -> Cow<'_, str> {
    if !text.contains('?') {
        return Cow::Borrowed(text);
    }
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    let mut in_query = false;
    while let Some(at) = rest.find(['?', '&', ';']) {
        in_query |= rest[at..].starts_with('?');
        let (before, parameter) = rest.split_at(at + 1);
        kept.push_str(before);
        rest = parameter;
        let end = parameter.find(['&', ';', '#', ' ', '"', '<', '>', ',']).unwrap_or(parameter.len());
        if let Some((name, _)) = parameter[..end].split_once('=')
            && in_query
            && is_secret_name(name)
        {
            kept.push_str(name);
            kept.push('=');
            kept.push_str(REMOVED);
            rest = &parameter[end..];
        }
    }
    kept.push_str(rest);
    Cow::Owned(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields() {
        let check = |name: &str, value: &str, expected: &str| {
            assert_eq!(Secrets::Removed.field(name, value), expected, "{name}: {value}");
            assert_eq!(Secrets::Shown.field(name, value), value);
        };
        check("Authorization", "Basic abc", REMOVED);
        check("set-cookie", "a=b; Path=/", REMOVED);
        check("x-api-key", "abc", REMOVED);
        check("X-Auth-Token", "abc", REMOVED);
        check(
            "location",
            "https://me:pw@h.test/a?b=1&access_token=abc&c=2",
            "https://h.test/a?b=1&access_token=(removed)&c=2",
        );
        check("link", "<//me:pw@h.test/a?sig=1>; rel=x, <http://b@c>", "<//h.test/a?sig=(removed)>; rel=x, <http://c>");
        check("content-type", "text/html; charset=utf-8", "text/html; charset=utf-8");
        check("etag", "\"key=1\"", "\"key=1\"");
    }

    #[test]
    fn streams() {
        let check = |text: &str, expected: &str| {
            assert_eq!(Secrets::Removed.stream(text), expected);
            assert_eq!(Secrets::Shown.stream(text), text);
        };
        check("hello", "hello");
        check("app1 got 5 bytes: hello\n", "app1 got 5 bytes: hello\n");
        check("", "");
        check(
            "GET /?key=1 HTTP/1.0\r\nAuthorization: Basic abc\r\nHost:h\r\n\r\n",
            "GET /?key=(removed) HTTP/1.0\r\nAuthorization: (removed)\r\nHost:h\r\n\r\n",
        );
        check("USER me\r\nPASS hunter2\r\n", "USER me\r\nPASS (removed)\r\n");
        check("auth PLAIN abc", "auth (removed)");
        check("PASS", "PASS");
    }

    #[test]
    fn queries() {
        let check = |text: &str, expected: &str| assert_eq!(Secrets::Removed.text(text), expected);
        check("/a?X-Amz-Signature=ab%20c&x=1", "/a?X-Amz-Signature=(removed)&x=1");
        check("/a?monkey=1&key=2#frag", "/a?monkey=1&key=(removed)#frag");
        check("/a;key=1", "/a;key=1");
        check("/a?q=token&page=2", "/a?q=token&page=2");
        check("/a?token", "/a?token");
        check("/a?TOKEN=", "/a?TOKEN=(removed)");
    }
}

//! Which parts of a text are credentials, and the same text without them: the only place where that is decided. What the
//! client shows and saves and what services record goes through here.
//!
//! | module | what |
//! |---|---|
//! | `names` | names of fields and parameters that carry credentials |
//! | `url` | user information and parameters of URLs, also of a URL inside a parameter |
//! | `schemes` | credentials behind the name of an authentication scheme, and JSON Web Tokens |
//! | `json` | members of JSON objects |
//! | `stream` | protocols that send a line at a time |
//!
//! A secret in none of these shapes cannot be told from other text and is left as it is.
//!
//! ```
//! use secrets::Secrets;
//!
//! let location = "https://app.test/cb#access_token=abc&state=1";
//! assert_eq!(Secrets::Removed.field("location", location), "https://app.test/cb#access_token=(removed)&state=(removed)");
//! assert_eq!(Secrets::Shown.field("location", location), location);
//! ```

mod json;
mod names;
mod schemes;
mod stream;
mod url;

pub use names::is_secret_field;
pub use url::{of_target, without_userinfo};

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
            Self::Removed if is_secret_field(name) && !value.is_empty() => REMOVED.to_owned(),
            Self::Removed if names::is_challenge(name) => schemes::without_tokens(&self.text(value)),
            Self::Removed => self.body(value),
        }
    }

    /// A text with URLs in it, or with a path and its query.
    pub fn text(self, text: &str) -> String {
        match self {
            Self::Shown => text.to_owned(),
            Self::Removed => schemes::without_credentials(&url::without_parameters(&without_userinfo(text))),
        }
    }

    /// A text that may be a form or JSON, too. JSON first: where its strings end is no longer to be seen once something is
    /// taken out of them.
    fn body(self, text: &str) -> String {
        url::without_form_secrets(&self.text(&json::without_secrets(text))).into_owned()
    }

    /// What goes over a socket in a protocol that this program does not speak, without what looks like a secret: header
    /// fields, forms and JSON members with such names, and what follows the words by which mail, files and caches take
    /// passwords. It knows those shapes and no others: a secret in any other is left as it is.
    pub fn stream(self, text: &str) -> String {
        match self {
            Self::Shown => text.to_owned(),
            Self::Removed => stream::without_secrets(text),
        }
    }
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
        check("Authentication-Info", "nextnonce=\"a\", rspauth=\"b\"", REMOVED);
        check("Proxy-Authentication-Info", "abc", REMOVED);
        check("x-empty-token", "", "");
        check(
            "location",
            "https://me:pw@h.test/a?b=1&access_token=abc&c=2",
            "https://h.test/a?b=1&access_token=(removed)&c=2",
        );
        check("link", "<//me:pw@h.test/a?sig=1>; rel=x, <http://b@c>", "<//h.test/a?sig=(removed)>; rel=x, <http://c>");
        check("refresh", "5; url=/cb?token=a;b", "5; url=/cb?token=(removed)");
        check("www-authenticate", "Negotiate oYG2", "Negotiate (removed)");
        check("WWW-Authenticate", "Bearer realm=\"a\", error=\"b\"", "Bearer realm=\"a\", error=\"b\"");
        check("www-authenticate", "Basic realm=\"log in\"", "Basic realm=\"log in\"");
        check(
            "proxy-authenticate",
            "SCRAM-SHA-256 abc==, Basic realm=\"x\"",
            "SCRAM-SHA-256 (removed), Basic realm=\"x\"",
        );
        check("x-debug", "sent Bearer abcdef.ghi", "sent Bearer (removed)");
        check("x-form", "user=joe&password=hunter2", "user=joe&password=(removed)");
        check("x-json", r#"{"token":"abc"}"#, r#"{"token":"(removed)"}"#);
        check(
            "x-json",
            r#"{"html":"<a href=\"/?key=a\">","password":"b","z":"\\"}"#,
            r#"{"html":"<a href=\"/?key=(removed)\">","password":"(removed)","z":"\\"}"#,
        );
        check("content-type", "text/html; charset=utf-8", "text/html; charset=utf-8");
        check("etag", "\"key=1\"", "\"key=1\"");
        check("cache-control", "max-age=5", "max-age=5");
    }
}

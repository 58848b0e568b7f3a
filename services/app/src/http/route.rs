//! What a path asks for.

/// Most bytes that `/bytes/{n}` sends: 1 GiB.
pub(crate) const MOST_BYTES: u64 = 1 << 30;
/// Longest that `/delay/{ms}` waits, in milliseconds.
pub(crate) const LONGEST_DELAY_MS: u64 = 60_000;
/// Most redirects that `/redirect/{n}` begins with.
pub(crate) const MOST_REDIRECTS: u64 = 1000;

/// What a path asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// The page.
    Root,
    /// What the page says, as JSON.
    Json,
    /// The request as the server read it.
    Headers,
    /// So many bytes.
    Bytes(u64),
    /// An answer after so many milliseconds.
    Delay(u64),
    /// An answer with this status.
    Status(u16),
    /// So many redirects, and then the page.
    Redirect(u64),
    /// A known path with a number that is none, or out of range.
    BadNumber(RouteName),
    /// Nothing.
    Unknown,
}

/// The names of routes, as `/metrics` has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RouteName {
    Root,
    Json,
    Headers,
    Bytes,
    Delay,
    Status,
    Redirect,
    Unknown,
}

impl Route {
    /// Reads a path, without its query. Paths are compared as they are: nothing here needs percent-encoding.
    pub(crate) fn of(path: &str) -> Self {
        match path {
            "/" => return Self::Root,
            "/json" => return Self::Json,
            "/headers" => return Self::Headers,
            _ => {}
        }
        let Some((kind, number)) = path.strip_prefix('/').and_then(|path| path.split_once('/')) else {
            return Self::Unknown;
        };
        // What a range does not hold, and a number that is none, are one case.
        let number = |range: std::ops::RangeInclusive<u64>| parse(number).filter(|number| range.contains(number));
        let (name, route) = match kind {
            "bytes" => (RouteName::Bytes, number(0..=MOST_BYTES).map(Self::Bytes)),
            "delay" => (RouteName::Delay, number(0..=LONGEST_DELAY_MS).map(Self::Delay)),
            // 1xx are no final answers (RFC 9110 §15.2).
            "status" => {
                let status = number(200..=599).and_then(|status| u16::try_from(status).ok());
                (RouteName::Status, status.map(Self::Status))
            }
            "redirect" => (RouteName::Redirect, number(1..=MOST_REDIRECTS).map(Self::Redirect)),
            _ => return Self::Unknown,
        };
        route.unwrap_or(Self::BadNumber(name))
    }

    pub(crate) fn name(self) -> RouteName {
        match self {
            Self::Root => RouteName::Root,
            Self::Json => RouteName::Json,
            Self::Headers => RouteName::Headers,
            Self::Bytes(_) => RouteName::Bytes,
            Self::Delay(_) => RouteName::Delay,
            Self::Status(_) => RouteName::Status,
            Self::Redirect(_) => RouteName::Redirect,
            Self::BadNumber(name) => name,
            Self::Unknown => RouteName::Unknown,
        }
    }
}

impl RouteName {
    pub(crate) const ALL: [Self; 8] =
        [Self::Root, Self::Json, Self::Headers, Self::Bytes, Self::Delay, Self::Status, Self::Redirect, Self::Unknown];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Root => "/",
            Self::Json => "/json",
            Self::Headers => "/headers",
            Self::Bytes => "/bytes",
            Self::Delay => "/delay",
            Self::Status => "/status",
            Self::Redirect => "/redirect",
            Self::Unknown => "unknown",
        }
    }

    /// What the number of such a path may be.
    pub(crate) fn range(self) -> String {
        match self {
            Self::Bytes => format!("/bytes/N sends N bytes, 0 to {MOST_BYTES}"),
            Self::Delay => format!("/delay/MS answers after MS milliseconds, 0 to {LONGEST_DELAY_MS}"),
            Self::Status => "/status/CODE answers with that status, 200 to 599".to_owned(),
            Self::Redirect => format!("/redirect/N redirects N times, 1 to {MOST_REDIRECTS}"),
            Self::Root | Self::Json | Self::Headers | Self::Unknown => String::new(),
        }
    }
}

/// Digits and nothing else: `+1`, which Rust would read as a number, is none here.
fn parse(text: &str) -> Option<u64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes() {
        let check = |path: &str, expected: Route| assert_eq!(Route::of(path), expected, "{path}");
        check("/", Route::Root);
        check("/json", Route::Json);
        check("/headers", Route::Headers);
        check("/bytes/0", Route::Bytes(0));
        check("/bytes/1073741824", Route::Bytes(MOST_BYTES));
        check("/bytes/1073741825", Route::BadNumber(RouteName::Bytes));
        check("/bytes/99999999999999999999999", Route::BadNumber(RouteName::Bytes));
        check("/bytes/", Route::BadNumber(RouteName::Bytes));
        check("/bytes/+1", Route::BadNumber(RouteName::Bytes));
        check("/bytes/1/", Route::BadNumber(RouteName::Bytes));
        check("/bytes", Route::Unknown);
        check("/delay/250", Route::Delay(250));
        check("/delay/60001", Route::BadNumber(RouteName::Delay));
        check("/status/404", Route::Status(404));
        check("/status/100", Route::BadNumber(RouteName::Status));
        check("/status/600", Route::BadNumber(RouteName::Status));
        check("/redirect/3", Route::Redirect(3));
        check("/redirect/0", Route::BadNumber(RouteName::Redirect));
        check("/nothing/1", Route::Unknown);
        check("", Route::Unknown);
        check("*", Route::Unknown);
        check("//", Route::Unknown);
    }

    #[test]
    fn names_are_their_own_index() {
        for (index, name) in RouteName::ALL.into_iter().enumerate() {
            assert_eq!(name as usize, index);
        }
    }
}

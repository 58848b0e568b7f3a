//! One hop after the other, as the answers point.

use journey::{
    Hop, Reason, StageName, StageState,
    stage::{Did, Failure},
};

use crate::{
    Probe,
    beside::Beside,
    request::Request,
    visitable::{Unfollowed, Visitable},
};

/// Statuses whose `Location` a client follows (RFC 9110 §15.4).
const REDIRECTS: [u16; 5] = [301, 302, 303, 307, 308];

/// Whether an answer with this status is one whose `Location` a client follows.
pub fn is_redirect(status: u16) -> bool {
    REDIRECTS.contains(&status)
}

/// Visits a URL, and what its answers point to, at most `most` times where the request follows them. The name of each hop
/// is resolved again, and each has its own connection.
pub async fn follow<'w>(
    probe: &'w Probe<'_>,
    beside: &Beside<'w>,
    url: &Visitable,
    request: &Request,
    most: usize,
) -> Vec<Hop> {
    let mut url = url.clone();
    let mut request = request.clone();
    let mut hops = Vec::new();
    loop {
        let (hop, location) = probe.hop(hops.len(), beside, &url, &request).await;
        let status = status(&hop).filter(|status| is_redirect(*status));
        hops.push(hop);
        let (true, Some(status), Some(location)) = (request.follows, status, location) else { return hops };
        if hops.len() > most {
            give_up(&mut hops, most);
            return hops;
        }
        let next = match url.next(&location, probe.secrets) {
            Ok(next) => next,
            Err(unfollowed) => {
                refuse(&mut hops, &unfollowed, &probe.secrets.text(&location));
                return hops;
            }
        };
        request = request.redirected(status, url.has_origin_of(&next));
        url = next;
    }
}

fn refuse(hops: &mut [Hop], unfollowed: &Unfollowed, location: &str) {
    let (reason, what) = match unfollowed {
        Unfollowed::NotAUrl(why) => {
            (Reason::UrlMalformed, format!("the answer points to {location:?}, which is not a URL: {why}"))
        }
        Unfollowed::Scheme(scheme) => {
            let only = "redirects are followed only to http:// and https://";
            (Reason::SchemeUnsupported, format!("the answer points to a {scheme}: URL, and {only}"))
        }
    };
    fail_last(hops, reason, what);
}

fn status(hop: &Hop) -> Option<u16> {
    match &hop.stage(StageName::Receive)?.did {
        Did::Receive(receive) => receive.status,
        _ => None,
    }
}

/// The last answer came as it should, but it is one redirect too many.
fn give_up(hops: &mut [Hop], follow: usize) {
    let chain: Vec<&str> = hops.iter().map(|hop| hop.url.as_str()).collect();
    let what = match circle(&chain) {
        Some(circle) => format!("the redirects go in a circle: {}; {follow} were followed", circle.join(" → ")),
        None => format!("more than {follow} redirects: {}", chain.join(" → ")),
    };
    fail_last(hops, Reason::TooManyRedirects, what);
}

fn fail_last(hops: &mut [Hop], reason: Reason, what: String) {
    let receive = hops.last_mut().and_then(|hop| hop.stages.iter_mut().find(|s| s.name() == StageName::Receive));
    if let Some(stage) = receive {
        stage.state = StageState::Failed;
        stage.failure = Some(Failure { reason, what });
    }
}

/// The shortest part of a chain that leads back to where it began.
fn circle<'a>(chain: &[&'a str]) -> Option<Vec<&'a str>> {
    let (begin, end) = (0..chain.len())
        .filter_map(|begin| Some((begin, begin + 1 + chain[begin + 1..].iter().position(|url| *url == chain[begin])?)))
        .min_by_key(|(begin, end)| end - begin)?;
    Some(chain[begin..=end].to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn circles() {
        let check = |chain: &[&'static str], expected: Option<&[&'static str]>| {
            assert_eq!(circle(chain).as_deref(), expected, "{chain:?}");
        };
        check(&["a", "b", "c"], None);
        check(&["a", "a"], Some(&["a", "a"]));
        check(&["x", "a", "b", "a", "b"], Some(&["a", "b", "a"]));
    }
}

//! One hop after the other, as the answers point.

use journey::{
    Hop, Reason, StageName, StageState,
    stage::{Did, Failure},
};

use crate::walk::{Walk, target};

/// Statuses whose `Location` a client follows (RFC 9110 §15.4).
const REDIRECTS: [u16; 5] = [301, 302, 303, 307, 308];

/// Visits a URL, and what its answers point to, at most `follow` times; `None` follows nothing. The name of each hop is
/// resolved again, and each has its own connection.
pub async fn walk(walk: &Walk<'_>, url: &str, follow: Option<usize>) -> Vec<Hop> {
    let mut url = url.to_owned();
    let mut hops = Vec::new();
    loop {
        let (hop, location) = walk.hop(&url).await;
        let status = status(&hop);
        hops.push(hop);
        let next = location.filter(|_| status.is_some_and(|status| REDIRECTS.contains(&status)));
        let (Some(follow), Some(next)) = (follow, next) else { return hops };
        if hops.len() > follow {
            give_up(&mut hops, follow);
            return hops;
        }
        url = target::join(&url, &next);
    }
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
    let what = format!("more than {follow} redirects: {}", chain.join(" → "));
    let receive = hops.last_mut().and_then(|hop| hop.stages.iter_mut().find(|s| s.name() == StageName::Receive));
    if let Some(stage) = receive {
        stage.state = StageState::Failed;
        stage.failure = Some(Failure { reason: Reason::TooManyRedirects, what });
    }
}

//! The two questions for the addresses of a name, A and AAAA: how long the second answer is waited for (RFC 8305 §3).

use std::{net::IpAddr, time::Duration};

use futures_util::future::{Either, LocalBoxFuture, select};
use tokio::time::timeout;

use super::{
    answer::{Resolved, merge},
    order::Policy,
    stub::NoReply,
};

/// How long the answer for the other family is waited for, where that family may go first (RFC 8305 §3, "Resolution
/// Delay").
const RESOLUTION_DELAY: Duration = Duration::from_millis(50);
/// Both questions leave together. What comes within this time of the first answer counts as having come with it, so that
/// the order of two datagrams does not decide which addresses are known. RFC 8305 §3 connects at once; nothing
/// that a user waits for takes so short a time.
const TOGETHER: Duration = Duration::from_millis(10);

/// What became of a question.
pub type Answer = Result<Resolved, NoReply>;

/// A question under way.
pub type Question<'w> = LocalBoxFuture<'w, Answer>;

/// Waits for both answers, but for the second only as long as it may matter; gives the addresses, and the question that
/// is still under way.
pub async fn both<'w>(
    a: Question<'w>,
    aaaa: Question<'w>,
    policy: Policy,
    usable: impl Fn(IpAddr) -> bool,
) -> (Answer, Option<Question<'w>>) {
    let (first, mut other) = match select(a, aaaa).await {
        Either::Left((first, other)) | Either::Right((first, other)) => (first, other),
    };
    let second = match patience(&first, policy, usable) {
        None => Ok((&mut other).await),
        Some(limit) => timeout(limit, &mut other).await,
    };
    match second {
        Ok(second) => (merge(vec![first, second]), None),
        Err(_) => (first, Some(other)),
    }
}

/// How long the second answer is waited for; none is as long as it takes, where the first is of no use for connecting.
fn patience(first: &Answer, policy: Policy, usable: impl Fn(IpAddr) -> bool) -> Option<Duration> {
    let addresses = first.as_ref().ok()?.addresses.iter().map(|address| address.ip);
    let best = addresses.filter(|ip| usable(*ip)).max_by_key(|ip| policy.precedence(*ip))?;
    Some(if policy.is_before_ipv4(best) { TOGETHER } else { RESOLUTION_DELAY })
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use futures_util::{FutureExt, future};
    use journey::{Reason, stage::Address};

    use super::*;

    /// What a resolver does with one question.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Says {
        Addresses,
        NoSuchName,
        NoData,
        ServFail,
        Refused,
        Nothing,
    }
    use Says::*;

    const ALL: [Says; 6] = [Addresses, NoSuchName, NoData, ServFail, Refused, Nothing];

    /// When the second answer comes: with the first, within the time that it is waited for, or later.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Comes {
        Together,
        Soon,
        Late,
    }

    fn says(what: Says, ip: &str) -> Answer {
        let no = |reason| Err(NoReply::new(reason, format!("{what:?}")));
        match what {
            Addresses => Ok(Resolved {
                aliases: Vec::new(),
                addresses: vec![Address { ip: ip.parse().unwrap(), ttl: None, host: None }],
            }),
            NoSuchName => no(Reason::NoSuchName),
            NoData => no(Reason::NoAddress),
            ServFail => no(Reason::ServerFailure),
            Refused => no(Reason::QueryRefused),
            // The resolver's own limit ends the wait.
            Nothing => no(Reason::Timeout),
        }
    }

    /// An answer that is there at once, after a turn of the event loop, or after longer than anything is waited for.
    fn question(what: Says, ip: &'static str, comes: Comes) -> Question<'static> {
        async move {
            match comes {
                Comes::Together => {}
                Comes::Soon => tokio::task::yield_now().await,
                Comes::Late => tokio::time::sleep(RESOLUTION_DELAY * 20).await,
            }
            says(what, ip)
        }
        .boxed_local()
    }

    /// What is known in the end, and whether the second question went on beside.
    #[derive(Debug, PartialEq, Eq)]
    struct Seen {
        known: Result<Vec<String>, Reason>,
        goes_on: bool,
    }

    async fn seen(a: Question<'static>, aaaa: Question<'static>, has_v6: bool) -> Seen {
        let (answer, rest) = both(a, aaaa, Policy::CLIENTS, |ip| ip.is_ipv4() || has_v6).await;
        let known = answer.map(|told| told.addresses.iter().map(|address| address.ip.to_string()).collect());
        Seen { known: known.map_err(|no_reply| no_reply.reason), goes_on: rest.is_some() }
    }

    /// What is right, in words of RFC 8305 §3: an answer that can be connected to is not held up by the other one.
    fn right(first: (Says, &str), second: (Says, &str), comes: Comes, has_v6: bool) -> Seen {
        let usable = |(says, ip): (Says, &str)| says == Addresses && (has_v6 || !ip.contains(':'));
        if usable(first) && comes == Comes::Late {
            return Seen { known: Ok(vec![first.1.to_owned()]), goes_on: true };
        }
        let known: Vec<String> =
            [first, second].iter().filter(|(says, _)| *says == Addresses).map(|(_, ip)| (*ip).to_owned()).collect();
        let worst = |one: Says, other: Says| {
            let of = |says| match says {
                NoSuchName => 0,
                NoData => 2,
                _ => 1,
            };
            if of(other) < of(one) { other } else { one }
        };
        let known =
            if known.is_empty() { Err(says(worst(first.0, second.0), "::").unwrap_err().reason) } else { Ok(known) };
        Seen { known, goes_on: false }
    }

    #[test]
    fn every_order_and_delay_of_answers_failures_and_silence() {
        const V4: &str = "192.0.2.1";
        const V6: &str = "2001:db8::1";
        let mut rows = Vec::new();
        for (one, other) in ALL.iter().flat_map(|one| ALL.iter().map(move |other| (*one, *other))) {
            for comes in [Comes::Together, Comes::Soon, Comes::Late] {
                for (a_first, has_v6) in [(true, true), (true, false), (false, true), (false, false)] {
                    rows.push((one, other, comes, a_first, has_v6));
                }
            }
        }
        assert_eq!(rows.len(), 6 * 6 * 3 * 4);
        let check = |(one, other, comes, a_first, has_v6): (Says, Says, Comes, bool, bool)| async move {
            // With both there at once, A is the first that is looked at.
            if comes == Comes::Together && !a_first {
                return;
            }
            let (first, second) = if a_first { (V4, V6) } else { (V6, V4) };
            let first_question = question(one, first, Comes::Together);
            let second_question = question(other, second, comes);
            let seen = match a_first {
                true => seen(first_question, second_question, has_v6).await,
                false => seen(second_question, first_question, has_v6).await,
            };
            let right = right((one, first), (other, second), comes, has_v6);
            assert_eq!(seen, right, "{first} {one:?}, then {comes:?} {second} {other:?}, IPv6 here: {has_v6}");
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let (late, soon): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.2 == Comes::Late);
        // What comes late is waited for by all at once; the others would wait for each other.
        runtime.block_on(future::join_all(late.into_iter().map(check)));
        soon.into_iter().for_each(|row| runtime.block_on(check(row)));
    }

    #[test]
    fn a_question_that_goes_on_gives_its_answer_later() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let aaaa = question(Addresses, "2001:db8::1", Comes::Together);
            let (told, rest) =
                both(question(Addresses, "192.0.2.1", Comes::Late), aaaa, Policy::CLIENTS, |_| true).await;
            assert_eq!(told.unwrap().addresses.len(), 1);
            let mut rest = rest.unwrap();
            // It is the same question, still under way, and not one that was asked again.
            assert!(matches!(future::poll_fn(|cx| Poll::Ready(rest.poll_unpin(cx))).await, Poll::Pending));
            assert_eq!(rest.await.unwrap().addresses[0].ip.to_string(), "192.0.2.1");
        });
    }

    #[test]
    fn the_answer_that_may_go_first_is_waited_for() {
        let check = |policy, ip: &str, expected: Option<Duration>| {
            let usable = |ip| ip != IpAddr::from([9, 9, 9, 9]);
            assert_eq!(patience(&says(Addresses, ip), policy, usable), expected, "{policy:?} {ip}");
        };
        check(Policy::CLIENTS, "192.0.2.1", Some(RESOLUTION_DELAY));
        check(Policy::CLIENTS, "::ffff:192.0.2.1", Some(RESOLUTION_DELAY));
        check(Policy::CLIENTS, "2001:db8::1", Some(TOGETHER));
        check(Policy::CLIENTS, "fd00::1", Some(TOGETHER));
        check(Policy::LAB, "fd00::1", Some(RESOLUTION_DELAY));
        check(Policy::CLIENTS, "9.9.9.9", None);
        assert_eq!(patience(&says(ServFail, "::"), Policy::CLIENTS, |_| true), None);
    }
}

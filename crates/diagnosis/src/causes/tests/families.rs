//! An answer for one family of addresses, and none or a late one for the other.

use super::scene::{NAME, Scene, addresses};
use journey::{
    Cause, Trouble,
    stage::{Did, Exchange, NameSource, QueryResult},
};

/// A is answered after 1 ms, and AAAA has come to this after so long (ms); the stage took 51 ms.
fn scene(aaaa: QueryResult, ms: u64, timeout_s: Option<u64>, chosen_by: &str) -> Scene {
    let mut scene =
        Scene::found(&["10.78.2.81"]).connect(&[("10.78.2.81:80", journey::stage::Tried::Connected)], (5, 6), None);
    for stage in &mut scene.hops[0].stages {
        if let Did::Name(name) = &mut stage.did {
            let other: Exchange =
                Exchange { duration_us: ms * 1_000, result: aaaa.clone(), ..name.exchanges[0].clone() };
            name.exchanges.push(other);
            name.exchanges[1].question.rtype = "AAAA".to_owned();
            if let Some(NameSource::Resolver { timeout_s: known, chosen_by: by, .. }) = &mut name.source {
                *known = timeout_s;
                chosen_by.clone_into(by);
            }
        }
    }
    scene.events.clear();
    scene.events.extend(journey::chronicle::own(&scene.hops));
    scene
}

fn of_resolver(scene: &Scene) -> Vec<Cause> {
    scene.causes().into_iter().filter(|cause| cause.host.as_deref() == Some("resolver")).collect()
}

#[test]
fn an_unanswered_family_is_told_with_how_long_others_wait() {
    let found = of_resolver(&scene(QueryResult::Abandoned, 3_000, Some(5), "--resolver"));
    assert_eq!((found[0].trouble, found[0].broke), (Trouble::DnsNoAnswer, false), "{found:#?}");
    assert!(found[0].what.contains("did not answer the AAAA query for www.example.local within 3.00 s"), "{found:#?}");
    assert!(found[0].what.contains("hang for 15 s by default"), "{found:#?}");
    let found = of_resolver(&scene(QueryResult::Timeout, 2_000, Some(1), "/etc/resolv.conf"));
    assert!(found[0].what.contains("hang for 3 s with /etc/resolv.conf"), "{found:#?}");
    assert_eq!(found[0].sure, journey::Sure::Certain);
    // One asked over TLS is not asked by the C library.
    let found = of_resolver(&scene(QueryResult::Abandoned, 3_000, None, "--resolver"));
    assert!(found[0].what.ends_with("clients that wait for both answers before they connect hang"), "{found:#?}");
}

#[test]
fn a_query_that_goes_on_for_seconds_is_not_explained_by_a_short_wait_for_a_processor() {
    let silent = || scene(QueryResult::Abandoned, 3_000, Some(5), "--resolver");
    silent().waited("you", 100).check_besides(Trouble::DnsNoAnswer, Some("resolver"));
    silent().waited("you", 1_600).check_besides(Trouble::MachineBusy, None);
}

#[test]
fn a_late_family_is_slow_and_a_short_wait_tells_nothing() {
    let late = || QueryResult::Reply { reply: addresses(NAME, &["fd10::1"]) };
    let found = of_resolver(&scene(late(), 900, Some(5), "--resolver"));
    assert_eq!(found.iter().map(|cause| cause.trouble).collect::<Vec<_>>(), [Trouble::DnsSlow], "{found:#?}");
    assert!(found[0].what.contains("answered the AAAA query for www.example.local after 900 ms"), "{found:#?}");
    for (told, ms) in [(late(), 100), (QueryResult::Abandoned, 60), (QueryResult::Abandoned, 900)] {
        let found = of_resolver(&scene(told, ms, Some(5), "--resolver"));
        assert!(found.is_empty(), "{ms}: {found:#?}");
    }
}

//! Troubles of the network.

use super::scene::{NAME, Scene, arp, fate, reply, tcp};
use journey::{
    LabNetwork, NoUse, Place, Reason, Sure, Trouble,
    capture::{Captured, Fate},
    dns::Meaning,
    stage::{Did, Tried, Wait},
};

const ENDS: (&str, &str) = ("10.78.1.100:4000", "10.78.2.81:80");
const BACK: (&str, &str) = ("10.78.2.81:80", "10.78.1.100:4000");
const SYN: u8 = 2;
const SYN_ACK: u8 = 0x12;

/// A SYN that came as far as the router, which looks for `app1`.
fn unanswered(more: Vec<journey::capture::Frame>) -> Scene {
    let mut frames = vec![
        arp(5, 0, "you", "10.78.1.100", "10.78.1.1", &["resolver", "router"]),
        tcp(6, 0, "you", ENDS, "10.78.1.1", SYN, 0, &["router"]),
    ];
    frames.extend(more);
    Scene::found(&["10.78.2.81"])
        .connect(&[("10.78.2.81:80", Tried::Timeout)], (5, 900), Some((Reason::Timeout, "it did not answer")))
        .frames(frames)
}

#[test]
fn the_network() {
    let unheard = |n| arp(n, 1, "router", "10.78.2.1", "10.78.2.81", &["root", "tld", "auth1", "auth2", "app2"]);
    unanswered(vec![unheard(7)]).check(Trouble::LinkDown, Some("app1"), Sure::Likely);
    let cause = unanswered(vec![unheard(7), unheard(8)]).check(Trouble::LinkDown, Some("app1"), Sure::Certain);
    let what = "the ARP requests of router for app1 got lost on servers (2 frames), and nothing else passed on the link of app1";
    assert_eq!(cause.what, what);
    // The request comes to it, and nothing comes back: that is the host.
    let asked = arp(7, 1, "router", "10.78.2.1", "10.78.2.81", &["root", "app1"]);
    unanswered(vec![asked.clone()]).check(Trouble::SynUnanswered, Some("app1"), Sure::Likely);
    let came = tcp(8, 1, "router", ENDS, "10.78.2.81", SYN, 0, &["app1"]);
    let cause =
        unanswered(vec![asked.clone(), came.clone()]).check(Trouble::SynUnanswered, Some("app1"), Sure::Certain);
    assert!(cause.what.contains("the SYN came to app1"), "{}", cause.what);
    // ARP passes, and SYNs do not.
    let lost = tcp(8, 1, "router", ENDS, "10.78.2.81", SYN, 0, &[]);
    unanswered(vec![asked.clone(), lost.clone()]).check(Trouble::FramesLost, None, Sure::Likely);
    // The answer is what got lost.
    let back = tcp(9, 1, "app1", BACK, "10.78.2.1", SYN_ACK, 0, &[]);
    let cause = unanswered(vec![asked, came.clone(), back.clone()]).check(Trouble::FramesLost, None, Sure::Likely);
    assert_eq!(cause.what, "1 frame between app1 and router got lost on servers (SYN-ACK)");
    let at_you = Scene::found(&["10.78.2.81"])
        .connect(&[("10.78.2.81:80", Tried::Timeout)], (5, 900), Some((Reason::Timeout, "it did not answer")))
        .frames(vec![arp(5, 0, "you", "10.78.1.100", "10.78.1.1", &[])]);
    let cause = at_you.check(Trouble::LinkDown, Some("you"), Sure::Likely);
    assert!(cause.what.starts_with("no frame passed anywhere: the ARP request of you for router"), "{}", cause.what);
    // Lost once, and sent again.
    let reached = Scene::connected().frames(vec![
        lost,
        tcp(1_008, 1, "router", ENDS, "10.78.2.81", SYN, 0, &["app1"]),
        tcp(1_009, 1, "app1", BACK, "10.78.2.1", SYN_ACK, 0, &["router"]),
    ]);
    assert!(reached.check_besides(Trouble::FramesLost, None).what.ends_with("sent again after 1.00 s at most"));
    // It is not late: others came after it.
    reached.waited("switch", 900).check_besides(Trouble::FramesLost, None);
    let twice = |n: i64| tcp(n, 1, "router", ENDS, "10.78.2.81", 0x18, 9, &["app1"]);
    let doubled =
        Scene::connected().frames(vec![tcp(6, 0, "you", ENDS, "10.78.1.1", 0x18, 9, &["router"]), twice(7), twice(8)]);
    doubled.check_besides(Trouble::FramesDoubled, Some("you"));
    let late = Scene::connected().frames(vec![
        tcp(6, 1, "router", ENDS, "10.78.2.81", SYN, 0, &["app1"]),
        tcp(66, 1, "app1", BACK, "10.78.2.1", SYN_ACK, 0, &["router"]),
        tcp(126, 0, "router", BACK, "10.78.1.100", SYN_ACK, 0, &["you"]),
    ]);
    late.check_besides(Trouble::FramesLate, Some("app1"));
}

#[test]
fn a_request_that_never_came_is_why_the_server_closed() {
    let closed = |reason, frames| {
        let wait = Did::Wait(Wait {});
        Scene::connected().stage(wait, (6, 900), Some((reason, "the server closed the connection"))).frames(frames)
    };
    let passed = tcp(6, 0, "you", ENDS, "10.78.1.1", 0x18, 9, &["router"]);
    let lost = |n, to| tcp(n, 1, "router", ENDS, "10.78.2.81", 0x18, 9, to);
    let finished = tcp(800, 1, "app1", BACK, "10.78.2.1", 0x11, 0, &["router"]);
    for reason in [Reason::EmptyReply, Reason::Reset, Reason::Timeout] {
        let cause = closed(reason, vec![passed.clone(), lost(7, &[]), finished.clone()]).check(
            Trouble::FramesLost,
            None,
            Sure::Likely,
        );
        assert_eq!(cause.what, "1 frame between app1 and router got lost on servers (TCP segment)");
    }
    // Sent again, and come: the server closed though it had it.
    let again = vec![passed, lost(7, &[]), lost(300, &["app1"]), finished];
    closed(Reason::EmptyReply, again).check(Trouble::EmptyReply, Some("app1"), Sure::Certain);
}

#[test]
fn what_is_lost_on_several_links_is_nobodys() {
    let lost = unanswered(vec![tcp(7, 0, "you", ENDS, "10.78.1.1", SYN, 0, &[])]);
    let lost = lost.causes();
    assert!(lost.iter().all(|cause| cause.host.as_deref() != Some("router")), "{lost:#?}");
    let both = Scene::found(&["10.78.2.81"])
        .connect(&[("10.78.2.81:80", Tried::Timeout)], (5, 900), Some((Reason::Timeout, "it did not answer")))
        .frames(vec![
            arp(4, 0, "you", "10.78.1.100", "10.78.1.1", &["resolver", "router"]),
            tcp(5, 0, "you", ("10.78.1.100:4001", "10.78.2.81:80"), "10.78.1.1", SYN, 0, &[]),
            tcp(6, 0, "you", ENDS, "10.78.1.1", SYN, 0, &["router"]),
            tcp(7, 1, "router", ENDS, "10.78.2.81", SYN, 0, &[]),
        ]);
    let cause = both.check(Trouble::FramesLost, None, Sure::Likely);
    assert!(cause.what.contains("got lost on clients and on servers"), "{}", cause.what);
}

#[test]
fn what_is_held_up() {
    // Only content is: the connection is opened at once.
    let frames = vec![
        tcp(6, 1, "router", ENDS, "10.78.2.81", SYN, 0, &["app1"]),
        tcp(7, 1, "app1", BACK, "10.78.2.1", SYN_ACK, 0, &["router"]),
        tcp(8, 0, "router", BACK, "10.78.1.100", SYN_ACK, 0, &["you"]),
        tcp(9, 1, "app1", BACK, "10.78.2.1", 0x18, 9, &["router"]),
        tcp(2_009, 0, "router", BACK, "10.78.1.100", 0x18, 9, &["you"]),
    ];
    let cause = Scene::connected().frames(frames).check_besides(Trouble::FramesLate, Some("app1"));
    assert_eq!(cause.what, "frames to or from app1 are held up on servers (TCP segment): each for 2.00 s and more");
    // A router that looks for its neighbour holds a packet up, and not the link that it came by.
    let searched = vec![
        tcp(6, 0, "you", ENDS, "10.78.1.1", SYN, 0, &["router"]),
        arp(6, 1, "router", "10.78.2.1", "10.78.2.81", &["app1"]),
        tcp(606, 1, "router", ENDS, "10.78.2.81", SYN, 0, &["app1"]),
        tcp(607, 1, "app1", BACK, "10.78.2.1", SYN_ACK, 0, &["router"]),
    ];
    let found = Scene::connected().frames(searched).causes();
    assert!(!found.iter().any(|cause| cause.trouble == Trouble::FramesLate), "{found:#?}");
    // The server says that it answered at once.
    let asked = Scene::servfail().fails("auth1", 40, NAME, NoUse::NoAnswer, "no answer within 500 ms").answers(
        "auth1",
        30,
        NAME,
        reply(Meaning::NoSuchName, true),
        9,
    );
    let slow = asked.frames(vec![
        tcp(6, 1, "router", ("10.78.1.53:4000", "10.78.2.31:53"), "10.78.2.31", SYN, 0, &["auth1"]),
        tcp(266, 1, "auth1", ("10.78.2.31:53", "10.78.1.53:4000"), "10.78.2.1", SYN_ACK, 0, &["router"]),
    ]);
    slow.check(Trouble::FramesLate, Some("auth1"), Sure::Likely);
}

#[test]
fn what_was_set_is_not_looked_at() {
    let hint = |scene: &Scene, word: &str| {
        let mut scene = scene.clone();
        scene.place = Place::EmbeddedLab {
            ready_us: 1,
            hosts: 7,
            network: LabNetwork::Wire { segments: Vec::new(), faults: vec![word.to_owned()] },
        };
        if let Captured::Frames(capture) = &mut scene.capture {
            for frame in &mut capture.frames {
                match &mut frame.fate {
                    Fate::Dropped { why } => *why = word.to_owned(),
                    Fate::Passed { altered, .. } => *altered = (!word.is_empty()).then(|| word.to_owned()),
                    Fate::Seen => {}
                }
            }
        }
        scene.causes()
    };
    let scene = unanswered(vec![
        arp(7, 1, "router", "10.78.2.1", "10.78.2.81", &["app1"]),
        tcp(8, 1, "router", ENDS, "10.78.2.81", SYN, 0, &[]),
    ]);
    assert_eq!(hint(&scene, ""), hint(&scene, "wire:cut-link,at=auth1"));
    assert!(fate(&[]) != fate(&["you"]));
}

#[test]
fn a_request_that_came_to_a_server_that_is_silent() {
    let waited = |frames| {
        let failed = Some((Reason::Timeout, "it did not answer"));
        Scene::connected().stage(Did::Wait(Wait {}), (6, 900), failed).frames(frames)
    };
    let sent = tcp(6, 0, "you", ENDS, "10.78.1.1", 0x18, 9, &["router"]);
    let came = tcp(7, 1, "router", ENDS, "10.78.2.81", 0x18, 9, &["app1"]);
    let back = tcp(9, 1, "app1", BACK, "10.78.2.1", 0x18, 9, &["router"]);
    let cause = waited(vec![sent.clone(), came.clone()]).check(Trouble::Silent, Some("app1"), Sure::Certain);
    assert!(cause.what.contains("nothing came back"), "{}", cause.what);
    waited(vec![sent.clone()]).check(Trouble::Silent, Some("app1"), Sure::Likely);
    waited(vec![sent, came, back]).check(Trouble::Silent, Some("app1"), Sure::Likely);
}

#[test]
fn what_got_lost_elsewhere_does_not_explain_a_silence() {
    let failed = Some((Reason::Timeout, "it did not answer"));
    let waited = Scene::connected().stage(Did::Wait(Wait {}), (6, 900), failed);
    let came = tcp(7, 1, "router", ENDS, "10.78.2.81", 0x18, 9, &["app1"]);
    let check = |lost, trouble, host| {
        waited.clone().frames(vec![came.clone(), lost]).causes().iter().find(|cause| cause.broke).map_or_else(
            || panic!("no cause"),
            |cause| assert_eq!((cause.trouble, cause.host.as_deref()), (trouble, host), "{cause:#?}"),
        );
    };
    let lost = |ms, ends, flags, len| tcp(ms, 1, "app1", ends, "10.78.2.1", flags, len, &[]);
    // The answer itself.
    check(lost(8, BACK, 0x18, 9), Trouble::FramesLost, None);
    // Another port of the same machine; the end of a connection; an acknowledgment; long before, and long after.
    for other in [
        lost(8, ("10.78.2.81:81", "10.78.1.100:4001"), 0x18, 9),
        lost(8, BACK, 0x11, 0),
        lost(8, BACK, 0x14, 0),
        lost(8, BACK, 0x10, 0),
        lost(-90, BACK, 0x18, 9),
        lost(990, BACK, 0x18, 9),
    ] {
        check(other, Trouble::Silent, Some("app1"));
    }
    // What was lost came again, as part of more.
    let again = tcp(20, 1, "app1", BACK, "10.78.2.1", 0x18, 12, &["router"]);
    let again = waited.frames(vec![came, lost(8, BACK, 0x18, 9), again]);
    assert!(again.causes()[0].trouble == Trouble::Silent, "{:#?}", again.causes());
}

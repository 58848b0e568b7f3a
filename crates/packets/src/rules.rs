//! Which frames are lost, delayed or doubled. Pure: what chance says follows from a fault's seed and the frames before it in
//! the same flow (`flow`).

mod flow;

use std::{
    fmt,
    time::{Duration, Instant},
};

use world::fault::{Amount, Fault, Frames, Kind, Set, set::Entry};

use crate::decode::{Decoded, Network, Transport};

/// What becomes of a frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Why it is lost on its way into the network, as the fault is written; null where it is not.
    pub lost: Option<String>,
    /// The hosts that it does not get to, and why.
    pub not_to: Vec<(String, String)>,
    /// What else is done to it.
    pub altered: Vec<Altered>,
}

/// What a fault does to a frame that it does not lose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Altered {
    /// To the frame that this host gets; to all of them where there is none.
    pub to: Option<String>,
    /// How much later it comes.
    pub delay: Duration,
    /// How often it comes besides the first time.
    pub copies: u32,
    /// The fault, as it is written.
    pub why: String,
}

impl fmt::Display for Altered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.delay.is_zero() {
            write!(f, "held back {} ms: ", self.delay.as_secs_f64() * 1e3)?;
        }
        match self.copies {
            0 => {}
            1 => f.write_str("sent on twice: ")?,
            copies => write!(f, "sent on {} times: ", copies + 1)?,
        }
        f.write_str(&self.why)
    }
}

impl Verdict {
    /// How much later the frame that this host gets comes, and how often besides the first time.
    pub fn for_host(&self, host: &str) -> (Duration, u32) {
        let meant = self.altered.iter().filter(|altered| altered.to.as_deref().is_none_or(|to| to == host));
        meant.fold((Duration::ZERO, 0), |(delay, copies), altered| (delay + altered.delay, copies + altered.copies))
    }
}

/// What becomes of a frame that `from` sends and `to` would get, under these faults.
pub fn judge(faults: &mut Set, now: Instant, from: &str, to: &[&str], frame: &Decoded, bytes: &[u8]) -> Verdict {
    let mut verdict = Verdict::default();
    for entry in faults.in_force(now) {
        // What is lost already comes to no further fault.
        if verdict.lost.is_none() {
            meet(entry, from, to, (frame, bytes), &mut verdict);
        }
    }
    verdict
}

fn meet(entry: &mut Entry, from: &str, to: &[&str], (frame, bytes): (&Decoded, &[u8]), verdict: &mut Verdict) {
    let at = entry.fault().only.at.as_deref();
    let on_its_way_in = at.is_none_or(|at| at == from);
    let on_its_way_out = at.filter(|at| !on_its_way_in && to.contains(at)).map(str::to_owned);
    if !(on_its_way_in || on_its_way_out.is_some()) || !is_of(entry.fault().only.frames, frame) {
        return;
    }
    let strikes = match entry.fault().when.chance {
        Some(_) => entry.strikes_in(&flow::of(from, frame, bytes)),
        None => entry.strikes(),
    };
    if !strikes {
        return;
    }
    let Fault { kind, amount, .. } = *entry.fault();
    let why = entry.fault().to_string();
    match (kind, amount) {
        (Kind::Loss | Kind::CutLink, _) => match on_its_way_out {
            Some(host) => verdict.not_to.push((host, why)),
            None => verdict.lost = Some(why),
        },
        (Kind::Delay, Some(Amount::Time(delay))) => {
            verdict.altered.push(Altered { to: on_its_way_out, delay, copies: 0, why });
        }
        (Kind::Duplicate, _) => {
            verdict.altered.push(Altered { to: on_its_way_out, delay: Duration::ZERO, copies: 1, why });
        }
        // Faults of hosts are not the network's.
        _ => {}
    }
}

fn is_of(wanted: Frames, frame: &Decoded) -> bool {
    let tcp = match &frame.transport {
        Some(Transport::Tcp(tcp)) => Some(tcp),
        _ => None,
    };
    match wanted {
        Frames::All => true,
        Frames::Arp => matches!(frame.network, Some(Network::Arp(_))),
        Frames::Icmp => matches!(frame.transport, Some(Transport::Icmp(_))),
        Frames::Udp => matches!(frame.transport, Some(Transport::Udp(_))),
        Frames::Tcp => tcp.is_some(),
        Frames::Syn => tcp.is_some_and(|tcp| tcp.flags.syn && !tcp.flags.ack),
        Frames::SynAck => tcp.is_some_and(|tcp| tcp.flags.syn && tcp.flags.ack),
        Frames::Fin => tcp.is_some_and(|tcp| tcp.flags.fin),
        Frames::Data => tcp.is_some_and(|tcp| tcp.payload_len > 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::{Tcp, TcpFlags, TcpOptions, Udp};

    fn udp() -> Decoded {
        let udp = Udp { source_port: 1, destination_port: 53, payload_len: 9 };
        Decoded { transport: Some(Transport::Udp(udp)), ..Decoded::default() }
    }

    fn syn() -> Decoded {
        let tcp = Tcp {
            source_port: 1,
            destination_port: 80,
            sequence: 7,
            acknowledgment: 0,
            flags: TcpFlags { syn: true, ..TcpFlags::default() },
            window: 0,
            options: TcpOptions::default(),
            payload_len: 0,
        };
        Decoded { transport: Some(Transport::Tcp(tcp)), ..Decoded::default() }
    }

    fn set(faults: &[&str]) -> Set {
        let mut set = Set::default();
        for fault in faults {
            set.add(fault.parse().unwrap(), Instant::now(), None);
        }
        set
    }

    /// What becomes of so many frames: `x` lost, `-` not to app1, `2` doubled, `d` delayed, `.` nothing.
    fn course(fault: &str, from: &str, frame: &Decoded, times: usize) -> String {
        let mut faults = set(&[fault]);
        let one = |_| match judge(&mut faults, Instant::now(), from, &["app1", "router"], frame, &[]) {
            Verdict { lost: Some(_), .. } => 'x',
            Verdict { not_to, .. } if !not_to.is_empty() => '-',
            verdict => match verdict.for_host("app1") {
                (_, 1..) => '2',
                (delay, _) if !delay.is_zero() => 'd',
                _ => '.',
            },
        };
        (0..times).map(one).collect()
    }

    #[test]
    fn when_and_where() {
        let check = |fault: &str, from: &str, frame: &Decoded, expected: &str| {
            assert_eq!(course(fault, from, frame, expected.len()), expected, "{fault}");
        };
        check("wire:loss", "you", &udp(), "xxx");
        check("wire:loss,frames=syn,first=1", "you", &syn(), "x...");
        check("wire:loss,frames=syn", "you", &udp(), "...");
        check("wire:loss,every=3", "you", &udp(), "..x..x.");
        check("wire:loss,after=2,first=2", "you", &udp(), "..xx..");
        check("wire:cut-link,at=app1", "app1", &udp(), "xx");
        check("wire:cut-link,at=app1", "you", &udp(), "--");
        check("wire:cut-link,at=app2", "you", &udp(), "..");
        check("wire:duplicate,first=1", "you", &udp(), "2.");
        check("wire:delay=5ms,frames=udp", "you", &udp(), "dd");
        check("wire:loss=0%", "you", &udp(), "....");
    }

    #[test]
    fn what_is_meant_for_one_host_leaves_the_others_alone() {
        let faults = ["wire:delay=5ms,at=app1", "wire:delay=1ms", "wire:duplicate,at=app1"];
        let mut faults = set(&faults);
        let verdict = judge(&mut faults, Instant::now(), "you", &["app1", "router"], &udp(), &[]);
        assert_eq!(verdict.for_host("app1"), (Duration::from_millis(6), 1));
        assert_eq!(verdict.for_host("router"), (Duration::from_millis(1), 0));
        let verdict = judge(&mut faults, Instant::now(), "app1", &["router"], &udp(), &[]);
        assert_eq!(verdict.for_host("router"), (Duration::from_millis(6), 1));
    }

    #[test]
    fn chance_follows_the_seed() {
        let seven = course("wire:loss=20%,seed=7", "you", &udp(), 1000);
        assert_eq!(seven, course("wire:loss=20%,seed=7", "you", &udp(), 1000));
        assert_ne!(seven, course("wire:loss=20%,seed=8", "you", &udp(), 1000));
        let lost = seven.matches('x').count();
        assert!((150..250).contains(&lost), "{lost} of 1000");
    }

    /// Which of the datagrams of one flow are lost, while others come between them.
    fn lost_of_flow(port: u16, others: usize) -> Vec<bool> {
        let mut faults = set(&["wire:loss=20%,seed=7"]);
        let datagram = |source_port, destination_port| {
            let udp = Udp { source_port, destination_port, payload_len: 9 };
            Decoded { transport: Some(Transport::Udp(udp)), ..Decoded::default() }
        };
        let mut judged =
            |frame: &Decoded| judge(&mut faults, Instant::now(), "you", &["app1"], frame, &[]).lost.is_some();
        let mut one = |nth: usize| {
            for other in 0..nth % (others + 1) {
                judged(&datagram(50_000 + u16::try_from(other).unwrap(), 53));
                judged(&syn());
            }
            judged(&datagram(port, 7))
        };
        (0..200).map(&mut one).collect()
    }

    #[test]
    fn chance_loses_the_same_frames_of_a_flow_whatever_other_flows_do() {
        let alone = lost_of_flow(40_000, 0);
        assert!(alone.contains(&true) && alone.contains(&false));
        assert_eq!(lost_of_flow(40_001, 1), alone);
        assert_eq!(lost_of_flow(61_234, 5), alone);
    }

    #[test]
    fn the_lost_meet_no_further_fault() {
        let mut faults = set(&["wire:loss,first=1", "wire:duplicate,first=1"]);
        let mut next = || judge(&mut faults, Instant::now(), "you", &[], &udp(), &[]);
        assert!(next().lost.is_some());
        assert_eq!(next().altered[0].why, "wire:duplicate,first=1");
    }
}

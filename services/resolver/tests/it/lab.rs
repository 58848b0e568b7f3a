//! Before the lab's own name servers and zones.

use hickory_proto::{op::ResponseCode, rr::RecordType};
use nameserver::Nameserver;
use resolver::{Config, Resolver};
use service::{Bound, Configured, Service, Signals};
use std::collections::HashMap;

use tokio::task::JoinSet;
use world::{AddressBook, Closed, Files, World, fault::Faults};

use crate::running::{Running, failed, over_tcp, query, records, trace};

/// The lab's name servers.
pub(crate) struct Servers {
    /// A resolver before them.
    pub(crate) config: Config,
    /// Their faults.
    pub(crate) faults: HashMap<String, Faults>,
    _servers: JoinSet<()>,
}

struct Lab {
    resolver: Running,
    _servers: Servers,
}

impl Lab {
    async fn start() -> Self {
        let servers = Servers::start();
        Self { resolver: Running::start(servers.config.clone()).await, _servers: servers }
    }
}

impl Servers {
    pub(crate) fn start() -> Self {
        let world = World::built_in();
        let mut servers = JoinSet::new();
        let (mut real, mut faults) = (HashMap::new(), HashMap::new());
        let told = |name: &str| Configured {
            name: name.to_owned(),
            host: world.hosts[name].clone(),
            world: world.clone(),
            files: Files::BuiltIn,
            authority: None,
        };
        for (name, host) in world.hosts.iter().filter(|(_, host)| host.nameserver.is_some()) {
            let mut sockets = Bound::default();
            for (service, protocol, address) in host.listens(&world.network) {
                if address.is_ipv4() {
                    let socket = sockets.bind(service, protocol, ([127, 0, 0, 1], 0).into(), false).unwrap();
                    real.insert((protocol, address), socket);
                }
            }
            let config = Nameserver::configure(&told(name)).unwrap();
            let signals = Signals::default();
            faults.insert(name.clone(), signals.faults.clone());
            servers.spawn(async move {
                Nameserver::run(sockets, config, signals).await.unwrap();
            });
        }
        let closed = Closed { tcp_v4: ([127, 0, 0, 1], 1).into(), tcp_v6: None };
        let mut config = Resolver::configure(&told("resolver")).unwrap();
        config.book =
            AddressBook::new(&world, Some(closed), |_, _, protocol, address| real.get(&(protocol, address)).copied());
        Self { config, faults, _servers: servers }
    }
}

#[tokio::test]
async fn every_name_of_the_lab() {
    let lab = Lab::start().await;
    let ask = async |name: &str, rtype| lab.resolver.ask(name, rtype, None).await;
    let both = |name: &str| vec![format!("{name} 300 A 10.78.2.81"), format!("{name} 300 A 10.78.2.82")];
    for zone in ["example.local.", "example.test."] {
        let name = |host: &str| format!("{host}.{zone}");
        let mut www = records(&ask(&name("www"), RecordType::A).await);
        www.sort();
        assert_eq!(www, both(&name("www")));
        assert_eq!(ask(&name("www"), RecordType::AAAA).await.answers.len(), 2);
        assert_eq!(ask(zone, RecordType::A).await.answers.len(), 2);
        assert_eq!(ask(zone, RecordType::NS).await.answers.len(), 2);
        let alias = records(&ask(&name("alias"), RecordType::A).await);
        assert_eq!(alias.len(), 4);
        assert!(alias[0].ends_with(&format!("CNAME alias2.{zone}")), "{alias:?}");
        let alias = ask(&name("alias"), RecordType::MX).await;
        assert_eq!((alias.metadata.response_code, alias.answers.len()), (ResponseCode::NoError, 2));
        let missing = ask(&name("missing"), RecordType::A).await;
        assert_eq!(missing.metadata.response_code, ResponseCode::NXDomain);
        assert_eq!((missing.authorities[0].record_type(), missing.authorities[0].ttl), (RecordType::SOA, 60));
        let nodata = ask(&name("nodata"), RecordType::A).await;
        assert_eq!((nodata.metadata.response_code, nodata.answers.len()), (ResponseCode::NoError, 0));
        assert_eq!(
            records(&ask(&name("any.wild"), RecordType::A).await),
            [format!("any.wild.{zone} 300 A 10.78.2.81")]
        );
        let big = query(&name("big"), RecordType::TXT, None);
        assert!(ask(&name("big"), RecordType::TXT).await.metadata.truncation);
        assert_eq!(over_tcp(lab.resolver.dns_tcp, &big).await.answers.len(), 6);

        let (code, text) = failed(&ask(&name("loop"), RecordType::A).await);
        assert_eq!(code, 0);
        assert!(text.contains(&format!("loop.{} → loop2.", zone.trim_end_matches('.'))), "{text}");
        let (code, text) = failed(&ask(&name("x.dead"), RecordType::A).await);
        assert_eq!(code, 22);
        let dead = format!("ns.dead.{} 10.78.2.99: no host of the lab has this address", zone.trim_end_matches('.'));
        assert_eq!(text, dead);
        let (code, text) = failed(&ask(&name("x.lame"), RecordType::A).await);
        assert_eq!(code, 22);
        assert!(text.contains("10.78.2.10: lame: it refers back to"), "{text}");
    }
    let baidu = records(&ask("www.baidu.com.", RecordType::A).await);
    assert_eq!(baidu.len(), 3);
    assert!(baidu[0].ends_with("CNAME www.a.baidu.com."), "{baidu:?}");
    let root = ask("ns.root-servers.test.", RecordType::A).await;
    assert_eq!(root.answers.len(), 1);
    let nowhere = ask("nowhere.", RecordType::A).await;
    assert_eq!(nowhere.metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(nowhere.authorities[0].name, crate::fake::name("."));
    assert_eq!(records(&ask(".", RecordType::NS).await).len(), 1);
    assert_eq!(ask("local.", RecordType::SOA).await.answers.len(), 1);
    let unsigned = ask("example.local.", RecordType::DS).await;
    assert_eq!((unsigned.metadata.response_code, unsigned.answers.len()), (ResponseCode::NoError, 0));
    assert_eq!(unsigned.authorities[0].name, crate::fake::name("local."));
}

#[tokio::test]
async fn the_lectures_own_walk() {
    let lab = Lab::start().await;
    let visit = trace();
    lab.resolver.ask("www.baidu.com.", RecordType::A, Some(visit)).await;
    assert_eq!(
        lab.resolver.story(visit).await,
        [
            "10.78.2.10 udp A com.?",
            "10.78.2.10 A com.: Referral",
            "10.78.2.20 udp A baidu.com.?",
            "10.78.2.20 A baidu.com.: Referral",
            "10.78.2.31 udp A www.baidu.com.?",
            "10.78.2.31 A www.baidu.com.: Answer",
        ]
    );
}

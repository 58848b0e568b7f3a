//! On loopback, with clients of the kernel's own.

use std::{io::Write, net::TcpStream as Client};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use world::{Protocol, fault::Kind};

use super::*;
use crate::Bound;

/// Nothing here takes so long unless it hangs.
const PATIENCE: Duration = Duration::from_secs(10);
/// A SYN on loopback that has no answer by then gets none: the kernel says what it has to say within the call.
const UNANSWERED: Duration = Duration::from_millis(300);

fn which(fault: &Fault) -> Option<State> {
    match fault.kind {
        Kind::Refused => Some(State::Refusing),
        Kind::Blackhole => Some(State::Unanswering),
        Kind::AcceptStall => Some(State::Stalled),
        _ => None,
    }
}

fn listen(ip: &str) -> TcpListener {
    let mut bound = Bound::default();
    bound.bind("http", Protocol::Tcp, SocketAddr::new(ip.parse().unwrap(), 0), false).unwrap();
    bound.take_tcp("http").unwrap().remove(0)
}

/// Says a byte to whoever comes, for ever.
async fn greet(mut door: Door) {
    loop {
        let (mut stream, _) = door.accept().await.unwrap();
        tokio::spawn(async move {
            stream.write_all(b"A").await.unwrap();
            let _ = stream.read_to_end(&mut Vec::new()).await;
        });
    }
}

async fn knock(at: SocketAddr) -> io::Result<Client> {
    tokio::task::spawn_blocking(move || Client::connect_timeout(&at, UNANSWERED)).await.unwrap()
}

async fn refused(at: SocketAddr) {
    assert_eq!(knock(at).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
}

async fn unanswered(at: SocketAddr) {
    assert_eq!(knock(at).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
}

async fn greeted(at: SocketAddr) -> TcpStream {
    let connect = async {
        let mut stream = TcpStream::connect(at).await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), b'A');
        stream
    };
    timeout(PATIENCE, connect).await.expect("it takes too long")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn follows_the_faults_and_keeps_who_is_in() {
    for ip in ["127.0.0.1", "::1"] {
        let (faults, listener) = (Faults::default(), listen(ip));
        let at = listener.local_addr().unwrap();
        let serving = tokio::spawn(greet(Door::new(listener, &faults, which).unwrap()));
        let mut guest = greeted(at).await;
        for round in 0..2 {
            let id = faults.add("app1:refused".parse().unwrap(), None);
            refused(at).await;
            faults.remove(id);
            drop(greeted(at).await);
            let id = faults.add("app1:blackhole".parse().unwrap(), None);
            unanswered(at).await;
            faults.add("app1:refused".parse().unwrap(), None);
            unanswered(at).await;
            faults.remove(id);
            refused(at).await;
            faults.clear();
            drop(greeted(at).await);
            // Of another kind: nothing of the door's.
            faults.add("app1:empty".parse().unwrap(), None);
            drop(greeted(at).await);
            faults.clear();
            assert!(!serving.is_finished(), "round {round}");
        }
        guest.shutdown().await.unwrap();
        assert_eq!(timeout(PATIENCE, guest.read(&mut [0])).await.expect("it is cut off").unwrap(), 0);
        serving.abort();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn who_is_in_keeps_nothing_of_an_unanswering_door() {
    for ip in ["127.0.0.1", "::1"] {
        let (faults, listener) = (Faults::default(), listen(ip));
        let at = listener.local_addr().unwrap();
        let mut door = Door::new(listener, &faults, which).unwrap();
        faults.add("app1:blackhole".parse().unwrap(), None);
        // What is accepted while nothing passes inherits that: here from one whose segments do pass.
        let socket = Socket::new(Domain::for_address(at), Type::STREAM, None).unwrap();
        let set = |hops| match at {
            SocketAddr::V4(_) => socket.set_ttl_v4(hops),
            SocketAddr::V6(_) => socket.set_unicast_hops_v6(hops),
        };
        set(255).unwrap();
        socket.connect_timeout(&at.into(), PATIENCE).unwrap();
        let (mut stream, _) = timeout(PATIENCE, door.accept()).await.unwrap().unwrap();
        set(64).unwrap();
        Client::from(socket.try_clone().unwrap()).write_all(b"A").unwrap();
        assert_eq!(timeout(PATIENCE, stream.read_u8()).await.expect("nothing comes in").unwrap(), b'A');
        unanswered(at).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn from_the_beginning_and_until_a_lease_ends() {
    let (faults, listener) = (Faults::default(), listen("127.0.0.1"));
    let at = listener.local_addr().unwrap();
    faults.add("app1:refused,for=400ms".parse().unwrap(), None);
    let door = Door::new(listener, &faults, which).unwrap();
    refused(at).await;
    let serving = tokio::spawn(greet(door));
    // Nobody says that it is over.
    let opened = async {
        while knock(at).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, opened).await.expect("it stays shut");
    drop(greeted(at).await);
    serving.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn stalled_with_a_full_queue() {
    let (faults, listener) = (Faults::default(), listen("127.0.0.1"));
    let at = listener.local_addr().unwrap();
    let mut door = Door::new(listener, &faults, which).unwrap();
    let (taken, mut peers) = tokio::sync::mpsc::unbounded_channel();
    let serving = tokio::spawn(async move {
        loop {
            taken.send(door.accept().await.unwrap()).unwrap();
        }
    });
    for _ in 0..2 {
        faults.add("app1:accept-stall".parse().unwrap(), None);
        // Who comes before the queue is full waits in it.
        let mut waiting = Vec::new();
        while let Ok(client) = timeout(PATIENCE, knock(at)).await.unwrap() {
            waiting.push(client);
        }
        assert!(waiting.len() <= FILLERS, "{}", waiting.len());
        unanswered(at).await;
        assert!(peers.try_recv().is_err());
        faults.clear();
        waiting.push(timeout(PATIENCE, knock(at)).await.unwrap().unwrap());
        for client in waiting {
            let (_, peer) = timeout(PATIENCE, peers.recv()).await.unwrap().unwrap();
            assert_eq!(peer, client.local_addr().unwrap(), "none of the door's own");
        }
        // The old length is back.
        let mut many = Vec::new();
        for _ in 0..3 * FILLERS {
            many.push(knock(at).await.unwrap());
        }
        for _ in many {
            timeout(PATIENCE, peers.recv()).await.unwrap().unwrap();
        }
    }
    serving.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_lease_ends_while_nobody_is_taken_in() {
    let (faults, listener) = (Faults::default(), listen("127.0.0.1"));
    let at = listener.local_addr().unwrap();
    let mut door = Door::new(listener, &faults, which).unwrap();
    let attending = tokio::spawn(async move { door.attend().await });
    faults.add("app1:refused,for=400ms".parse().unwrap(), None);
    refused(at).await;
    let opened = async {
        while knock(at).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, opened).await.expect("it stays shut");
    attending.abort();
}

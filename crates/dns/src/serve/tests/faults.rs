//! Faults at the sockets: what is not sent, what is sent later, and what listens.

use std::io::ErrorKind;

use super::*;

impl Front {
    fn fault(&self, fault: &str) -> u64 {
        self.faults.add(fault.parse().unwrap(), None)
    }

    async fn told(&self, client: &UdpSocket, id: u8, name: &str) -> Vec<u8> {
        client.send(&query(id, name)).await.unwrap();
        let mut buffer = vec![0; 512];
        let length = timely(client.recv(&mut buffer)).await.unwrap();
        buffer.truncate(length);
        buffer
    }
}

#[tokio::test]
async fn what_is_dropped_is_dropped_on_every_transport() {
    let front = Front::start(LIMITS).await;
    let (client, mut stream) = (front.client().await, front.connect().await);
    front.fault("auth1:drop,name=lost");
    client.send(&query(1, "lost")).await.unwrap();
    client.send(&query(2, "now")).await.unwrap();
    assert_eq!(udp_reply(&client).await, 2);
    // The connection stays: the next query on it is answered.
    stream.write_all(&[framed(&query(3, "lost")), framed(&query(4, "now"))].concat()).await.unwrap();
    assert_eq!(tcp_reply(&mut stream).await, Some(4));
    assert_eq!(front.faults.list()[0].struck, 2);
    assert_eq!(front.end().await, 0);
}

#[tokio::test]
async fn a_connection_on_which_nothing_is_said_ends_with_its_idle_time() {
    let front = Front::start(Limits { tcp_idle: Duration::from_millis(50), ..LIMITS }).await;
    front.fault("auth1:drop");
    let mut stream = front.connect().await;
    stream.write_all(&framed(&query(1, "now"))).await.unwrap();
    assert_eq!(tcp_reply(&mut stream).await, None);
}

#[tokio::test]
async fn a_slow_answer_holds_up_no_other_and_no_end() {
    let front = Front::start(LIMITS).await;
    let client = front.client().await;
    front.fault("auth1:slow=60ms,first=1");
    let began = std::time::Instant::now();
    client.send(&query(1, "now")).await.unwrap();
    client.send(&query(2, "now")).await.unwrap();
    assert_eq!((udp_reply(&client).await, udp_reply(&client).await), (2, 1));
    assert!(began.elapsed() >= Duration::from_millis(60));
    front.fault("auth1:slow=60s,first=1");
    client.send(&query(3, "now")).await.unwrap();
    front.eventually("dns_queries_total{transport=\"udp\"} 3").await;
    // A server that is told to end does not wait until it has been slow enough.
    assert_eq!(front.end().await, 0);
}

#[tokio::test]
async fn bytes_that_are_not_as_they_should_be() {
    let front = Front::start(LIMITS).await;
    let client = front.client().await;
    for fault in ["wrong-id,name=a", "not-a-response,name=b", "garbage,name=c"] {
        front.fault(&format!("auth1:{fault}"));
    }
    let wrong = front.told(&client, 7, "a").await;
    assert_eq!((&wrong[..2], wrong[2] & 0x80), (&[0xff, 0xf8][..], 0x80));
    assert_eq!(front.told(&client, 8, "b").await, query(8, "b"));
    let garbage = front.told(&client, 9, "c").await;
    assert_eq!((&garbage[..2], garbage[2] & 0x80), (&[0, 9][..], 0x80));
    assert!(hickory_proto::op::Message::from_vec(&garbage).is_err());
    assert_eq!(words::sent(&garbage).bytes, garbage.len());
}

#[tokio::test]
async fn nothing_listens_while_tcp_is_refused() {
    let front = Front::start(LIMITS).await;
    let mut before = front.connect().await;
    let refused = async || TcpStream::connect(front.tcp[0]).await.err().map(|error| error.kind());
    assert_eq!(refused().await, None);
    let fault = front.fault("auth1:tcp-refused");
    front.fault("auth2:tcp-refused");
    for address in [front.tcp[0], front.tcp[1]] {
        assert_eq!(TcpStream::connect(address).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    }
    // Who was there stays, and datagrams are answered.
    before.write_all(&framed(&query(1, "now"))).await.unwrap();
    assert_eq!(tcp_reply(&mut before).await, Some(1));
    let client = front.client().await;
    assert_eq!(front.told(&client, 2, "now").await[1], 2);
    // By hand.
    assert!(front.faults.remove(fault));
    let mut after = front.connect().await;
    after.write_all(&framed(&query(3, "now"))).await.unwrap();
    assert_eq!(tcp_reply(&mut after).await, Some(3));
    // By itself.
    front.fault("auth1:tcp-refused,for=50ms");
    assert_eq!(refused().await, Some(ErrorKind::ConnectionRefused));
    let again = async {
        while refused().await.is_some() {
            tokio::task::yield_now().await;
        }
    };
    timely(again).await;
    let mut after = front.connect().await;
    after.write_all(&framed(&query(4, "now"))).await.unwrap();
    assert_eq!(tcp_reply(&mut after).await, Some(4));
}

#[tokio::test]
async fn what_changes_nothing_has_not_struck() {
    let front = Front::start(LIMITS).await;
    let client = front.client().await;
    // Nothing in this server's answers leads anywhere.
    front.fault("auth1:dead-ns,first=1");
    front.fault("auth1:loop,first=1");
    front.fault("auth1:servfail,first=1");
    assert_eq!(front.told(&client, 1, "now").await[3] & 0x0f, 2, "the one behind them strikes");
    assert_ne!(front.told(&client, 2, "now").await[3] & 0x0f, 2);
    let struck: Vec<u64> = front.faults.list().iter().map(|fault| fault.struck).collect();
    assert_eq!(struck, [0, 0, 1]);
}

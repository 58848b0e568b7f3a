//! TCP connections: how many at once, what to do when none can be had, and how they end.

use std::{future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use service::{Door, Seats, Stop, seats::Seat, start::GRACE};
use tokio::{
    net::TcpStream,
    task::JoinSet,
    time::{sleep, timeout},
};
use tracing::{debug, warn};

/// The first pause after a failed accept; it doubles up to [`LONGEST_PAUSE`] until one succeeds.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Accepts at one door and converses with every client in a task of its own, until `stop`; the conversations, which
/// watch `stop` themselves, then have [`GRACE`] to end. Returns how many did not.
pub(crate) async fn serve<C>(
    mut door: Door,
    seats: Arc<Seats>,
    stop: Stop,
    converse: impl Fn(TcpStream, SocketAddr, Arc<Seat>) -> C,
) -> usize
where
    C: Future<Output = ()> + Send + 'static,
{
    let mut conversations = JoinSet::new();
    let mut pause = FIRST_PAUSE;
    loop {
        let accepted = tokio::select! {
            accepted = accept(&mut door, &seats) => accepted,
            () = stop.cancelled() => break,
        };
        while conversations.try_join_next().is_some() {}
        match accepted {
            Ok((seat, stream, peer)) => {
                pause = FIRST_PAUSE;
                let conversation = converse(stream, peer, Arc::clone(&seat));
                // Until it has had its first turn, its seat is nobody else's.
                let arriving = seat.busy();
                let wanted = async move {
                    drop(arriving);
                    seat.is_wanted().await;
                };
                conversations.spawn(async move {
                    tokio::select! {
                        biased;
                        () = conversation => {}
                        () = wanted => debug!(%peer, "closed for another client"),
                    }
                });
            }
            Err(error) if is_of_one_client(&error) => debug!(%error, "a client left the accept queue"),
            Err(error) => {
                // Out of descriptors or memory: without a pause this loop would spin until there is one.
                warn!(%error, ?pause, "cannot accept");
                tokio::select! {
                    () = sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
                    () = stop.cancelled() => break,
                }
            }
        }
    }
    // From here on the kernel refuses new clients.
    drop(door);
    let _ = timeout(GRACE, async { while conversations.join_next().await.is_some() {} }).await;
    let cut_off = conversations.len();
    conversations.shutdown().await;
    cut_off
}

/// A full house closes a connection that has nothing under way. Where all have, it leaves clients in the kernel's accept
/// queue, and one of each listener just out of it, instead of turning them away. The seat comes second: several listeners
/// share the seats, and one without clients must not hold any.
async fn accept(door: &mut Door, seats: &Arc<Seats>) -> io::Result<(Arc<Seat>, TcpStream, SocketAddr)> {
    let (stream, peer) = door.accept().await?;
    let seat = tokio::select! {
        seat = seats.take(peer.ip()) => seat,
        // A fault may end by itself in a full house.
        never = door.attend() => never,
    };
    // A response is one write; waiting to fill a segment would only delay it.
    stream.set_nodelay(true)?;
    Ok((Arc::new(seat), stream, peer))
}

/// Errors that accept(2) passes on from the connection it would have returned.
fn is_of_one_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, InvalidInput, NotConnected};
    // macOS answers EINVAL when an option is set on a connection that the client has already reset.
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | InvalidInput | NotConnected)
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };
    use world::fault::Faults;

    use super::*;

    /// Nothing here takes so long unless it hangs.
    const PATIENCE: Duration = Duration::from_secs(10);

    /// Says a byte, and is over when the client closes.
    async fn greet(mut stream: TcpStream, seat: Arc<Seat>) {
        let _busy = seat.busy();
        stream.write_all(b"A").await.unwrap();
        stream.read_to_end(&mut Vec::new()).await.unwrap();
    }

    async fn is_greeted(client: &mut TcpStream) {
        let greeted = timeout(PATIENCE, client.read_u8()).await.expect("it takes too long");
        assert_eq!(greeted.unwrap(), b'A');
    }

    #[tokio::test]
    async fn a_listener_without_clients_holds_up_no_other() {
        let (seats, stop) = (Seats::new(1), Stop::new());
        let (mut serving, mut addresses) = (JoinSet::new(), Vec::new());
        for _ in 0..2 {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            addresses.push(listener.local_addr().unwrap());
            let door = Door::new(listener, &Faults::default(), |_| None).unwrap();
            serving.spawn(serve(door, Arc::clone(&seats), stop.clone(), |stream, _, seat| greet(stream, seat)));
        }
        // Whichever of the two is served first, the other one has its turn.
        for at in [addresses[0], addresses[1], addresses[0]] {
            let mut client = TcpStream::connect(at).await.unwrap();
            is_greeted(&mut client).await;
        }
        let mut first = TcpStream::connect(addresses[0]).await.unwrap();
        is_greeted(&mut first).await;
        let mut waiting =
            [TcpStream::connect(addresses[0]).await.unwrap(), TcpStream::connect(addresses[1]).await.unwrap()];
        let [one, other] = &mut waiting;
        tokio::select! {
            biased;
            _ = one.read_u8() => panic!("the house is full"),
            _ = other.read_u8() => panic!("the house is full"),
            // Both listeners have run meanwhile, as the whole test has one thread.
            () = async { for _ in 0..100 { tokio::task::yield_now().await } } => {}
        }
        drop(first);
        // In the order in which they were accepted, which is the kernel's to say.
        let [one, other] = waiting;
        let turn = |mut client: TcpStream| async move { is_greeted(&mut client).await };
        tokio::join!(turn(one), turn(other));
        stop.cancel();
        assert_eq!(serving.join_all().await, [0, 0]);
    }

    #[tokio::test]
    async fn a_full_house_of_silent_clients_has_room_for_another_one() {
        let (seats, stop) = (Seats::new(2), Stop::new());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let door = Door::new(listener, &Faults::default(), |_| None).unwrap();
        let silent = |mut stream: TcpStream, _, _seat| async move {
            stream.write_all(b"A").await.unwrap();
            std::future::pending().await
        };
        let serving = tokio::spawn(serve(door, seats, stop.clone(), silent));
        let mut clients = Vec::new();
        for _ in 0..5 {
            let mut client = TcpStream::connect(address).await.unwrap();
            is_greeted(&mut client).await;
            clients.push(client);
        }
        for client in &mut clients[..3] {
            let end = timeout(PATIENCE, client.read_u8()).await.expect("it is closed");
            assert_eq!(end.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        }
        stop.cancel();
        // The two that are left would stay for ever.
        assert_eq!(serving.await.unwrap(), 2);
    }
}

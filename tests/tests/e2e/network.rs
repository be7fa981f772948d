//! The network that cases put between a gate and its backend: it does to bytes what it says.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};
use tollgate_tests::{Network, run, until};

const LIMIT: Duration = Duration::from_secs(10);
/// Much longer than an echo takes.
const SILENCE: Duration = Duration::from_millis(300);

/// A network with an echo behind it.
async fn network() -> Network {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                drop(tokio::io::copy(&mut from, &mut to).await);
            });
        }
    });
    Network::to(address)
}

/// A connection that is carried.
async fn connect(address: SocketAddr) -> TcpStream {
    until("a connection that is carried", LIMIT, async || {
        let mut stream = TcpStream::connect(address).await.ok()?;
        (echo(&mut stream, b"?").await? == b"?").then_some(stream)
    })
    .await
}

/// What comes back for these bytes; `None` where the connection ended.
async fn echo(stream: &mut TcpStream, bytes: &[u8]) -> Option<Vec<u8>> {
    stream.write_all(bytes).await.ok()?;
    read(stream, bytes.len()).await
}

async fn read(stream: &mut TcpStream, count: usize) -> Option<Vec<u8>> {
    let mut back = vec![0; count];
    let read = timeout(LIMIT, stream.read_exact(&mut back)).await.expect("bytes, or the end");
    read.ok().map(|_| back)
}

/// Fails if anything comes, or the end.
async fn assert_silent(stream: &mut TcpStream) {
    let came = timeout(SILENCE, stream.read(&mut [0])).await;
    assert!(came.is_err(), "{came:?}");
}

#[test]
fn each_way_takes_as_long_as_it_is_told() {
    run(async {
        let network = network().await;
        let mut stream = connect(network.address()).await;
        for delays in [[200, 0], [0, 200], [200, 300]] {
            let [there, back] = delays.map(Duration::from_millis);
            network.delay(there, back);
            let asked = Instant::now();
            assert_eq!(echo(&mut stream, b"late").await.unwrap(), b"late");
            assert!(asked.elapsed() >= there + back, "{:?}", asked.elapsed());
            assert!(asked.elapsed() < there + back + LIMIT / 10, "{:?}", asked.elapsed());
        }
    });
}

#[test]
fn a_cut_ends_every_connection_and_what_is_under_way_and_lets_new_ones_in() {
    run(async {
        let network = network().await;
        let mut streams = [connect(network.address()).await, connect(network.address()).await];
        network.delay(Duration::ZERO, SILENCE);
        streams[0].write_all(b"under way").await.unwrap();
        network.cut();
        for stream in &mut streams {
            assert_eq!(read(stream, 1).await, None);
        }
        connect(network.address()).await;
    });
}

#[test]
fn a_network_that_is_down_refuses_until_it_is_up() {
    run(async {
        let network = network().await;
        let mut stream = connect(network.address()).await;
        network.down();
        assert_eq!(read(&mut stream, 1).await, None);
        until("it to refuse", LIMIT, async || TcpStream::connect(network.address()).await.is_err().then_some(())).await;
        network.up();
        connect(network.address()).await;
    });
}

#[test]
fn what_is_swallowed_never_comes_and_nobody_is_told() {
    run(async {
        let network = network().await;
        let (mut stream, mut idle) = (connect(network.address()).await, connect(network.address()).await);
        network.swallow();
        stream.write_all(b"lost").await.unwrap();
        let mut new = TcpStream::connect(network.address()).await.unwrap();
        new.write_all(b"lost").await.unwrap();
        assert_silent(&mut stream).await;
        network.heal();
        for stream in [&mut stream, &mut new] {
            stream.write_all(b"after a gap").await.unwrap();
            assert_silent(stream).await;
        }
        assert_eq!(echo(&mut idle, b"nothing lost").await.unwrap(), b"nothing lost");
    });
}

#[test]
fn what_is_held_comes_late_and_in_order() {
    run(async {
        let network = network().await;
        let mut stream = connect(network.address()).await;
        network.hold();
        stream.write_all(b"one, ").await.unwrap();
        assert_silent(&mut stream).await;
        stream.write_all(b"two").await.unwrap();
        network.heal();
        assert_eq!(read(&mut stream, 8).await.unwrap(), b"one, two");
    });
}

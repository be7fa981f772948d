//! Connections of slow, silent and greedy clients, on a listener with short bounds.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tollgate_server::ending::{End, ending};
use tollgate_server::http::connection::Bounds;
use tollgate_server::http::listener::Listener;
use tollgate_server::telemetry;

use crate::client::{Http2, call};
use crate::locked::wait_for;

const SHORT: Bounds = Bounds { connections: 4, share: 4, streams: 2, head: Duration::from_millis(300), idle: Duration::from_millis(400) };

/// A listener whose `/held` answers when it is let go.
struct Listening {
    address: SocketAddr,
    held: Arc<Semaphore>,
    /// How many wait there, and have not been counted.
    arrived: Arc<Semaphore>,
    end: End,
    serving: JoinHandle<usize>,
}

async fn listen() -> Listening {
    listen_within(SHORT).await
}

async fn listen_within(bounds: Bounds) -> Listening {
    let listener = Listener::bind("test", "127.0.0.1:0".parse().unwrap(), None, bounds).await.unwrap();
    serve(listener)
}

fn serve(listener: Listener) -> Listening {
    let (end, ending) = ending();
    let address = listener.address();
    let held = Arc::new(Semaphore::new(0));
    let arrived = Arc::new(Semaphore::new(0));
    let (holding, arriving) = (Arc::clone(&held), Arc::clone(&arrived));
    let hold = move || async move {
        arriving.add_permits(1);
        holding.acquire().await.unwrap().forget();
        "let go"
    };
    let router = Router::new().route("/", get(|| async { "here" })).route("/held", get(hold));
    Listening { address, held, arrived, end, serving: tokio::spawn(listener.serve(router, ending, Duration::from_secs(5))) }
}

/// What comes until the other side ends the connection, and after how long it does.
async fn until_closed(stream: &mut TcpStream) -> (Vec<u8>, Duration) {
    let started = Instant::now();
    let mut read = Vec::new();
    let closed = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut read)).await;
    assert!(closed.is_ok(), "still open");
    (read, started.elapsed())
}

#[tokio::test(flavor = "multi_thread")]
async fn both_versions_of_http_are_spoken_without_tls() {
    let Listening { address, end: _end, .. } = listen().await;
    assert_eq!(call(address, "GET", "/").send().await.text(), "here");
    assert_eq!(call(address, "GET", "/").send_http2().await.text(), "here");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_line_that_comes_in_pieces_is_understood() {
    let Listening { address, end: _end, .. } = listen().await;
    // `P` may begin both a method and the preface of HTTP/2.
    let mut stream = TcpStream::connect(address).await.unwrap();
    for piece in [&b"P"[..], b"R", b"OPFIND / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"] {
        stream.write_all(piece).await.unwrap();
        stream.flush().await.unwrap();
        tokio::task::yield_now().await;
    }
    let (answer, _) = until_closed(&mut stream).await;
    assert!(answer.starts_with(b"HTTP/1.1 405"), "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_nothing_or_too_little_is_let_go() {
    let Listening { address, end: _end, .. } = listen_within(Bounds { idle: Duration::from_secs(60), ..SHORT }).await;
    for said in [&b""[..], b"PRI * HT", b"GET / HTTP/1.1\r\nhost: x\r\nx-slow: "] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(said).await.unwrap();
        let (answer, after) = until_closed(&mut stream).await;
        assert!(!answer.starts_with(b"HTTP/1.1 2"), "{answer:?}");
        assert!(after >= Duration::from_millis(250) && after < Duration::from_secs(5), "{after:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_without_requests_ends_and_one_with_a_slow_one_does_not() {
    let Listening { address, held, end: _end, .. } = listen().await;
    let mut connection = Http2::new(TcpStream::connect(address).await.unwrap()).await.unwrap();
    let held_call = call(address, "GET", "/held");
    let mut slow = Box::pin(connection.send(&held_call));
    assert!(tokio::time::timeout(SHORT.idle * 3, &mut slow).await.is_err(), "answered before it was let go");
    held.add_permits(1);
    assert_eq!(slow.await.unwrap().text(), "let go");
    wait_for(async || connection.is_closed()).await;

    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let (answer, after) = until_closed(&mut stream).await;
    assert!(answer.starts_with(b"HTTP/1.1 200") && after < Duration::from_secs(5), "{after:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_beyond_the_bound_wait_for_a_place() {
    let Listening { address, held, end: _end, .. } = listen().await;
    let mut places = Vec::new();
    for _ in 0..SHORT.connections {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /held HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
        places.push(stream);
    }
    let mut beyond = Box::pin(call(address, "GET", "/").send());
    assert!(tokio::time::timeout(SHORT.head, &mut beyond).await.is_err(), "served beyond the bound");
    held.add_permits(1);
    assert_eq!(beyond.await.text(), "here");
}

/// A connection from another address than the usual one.
async fn connect_from(source: &str, address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(source.parse().unwrap(), 0)).unwrap();
    socket.connect(address).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_beyond_its_share_is_closed_at_once_and_others_are_served() {
    let metrics = telemetry::metrics().unwrap();
    let bounds = Bounds { connections: 3, share: 2, head: Duration::from_secs(60), ..SHORT };
    let Listening { address, end: _end, .. } = listen_within(bounds).await;
    let mut silent = vec![TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap()];
    silent[1].write_all(b"GET / HTTP/1.1\r\nhost: x\r\nx-slow: ").await.unwrap();
    // More than there are places, so that none of them keeps one.
    for _ in 0..bounds.connections {
        let (answer, after) = until_closed(&mut TcpStream::connect(address).await.unwrap()).await;
        assert!(answer.is_empty() && after < Duration::from_secs(5), "{after:?}");
    }
    assert!(metrics.render().contains("tollgate_connections_refused_total{listener=\"test\"}"), "it is not counted");
    let other = connect_from("127.0.0.2", address).await;
    assert_eq!(call(address, "GET", "/").send_over(other).await.unwrap().text(), "here");

    silent.pop();
    wait_for(async || {
        let stream = TcpStream::connect(address).await.unwrap();
        call(address, "GET", "/").send_over(stream).await.is_ok_and(|reply| reply.text() == "here")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_exempt_has_no_share() {
    let bounds = Bounds { share: 1, head: Duration::from_secs(60), ..SHORT };
    let listener = Listener::bind("test", "127.0.0.1:0".parse().unwrap(), None, bounds).await.unwrap();
    let Listening { address, end: _end, .. } = serve(listener.exempting(vec!["127.0.0.1/32".parse().unwrap()]));
    let _silent = [TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap()];
    assert_eq!(call(address, "GET", "/").send().await.text(), "here");
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_beyond_the_bound_wait_for_a_place() {
    let Listening { address, held, arrived, end: _end, .. } = listen().await;
    let mut connection = Http2::new(TcpStream::connect(address).await.unwrap()).await.unwrap();
    // The bound is known to the client once it has had an answer.
    connection.send(&call(address, "GET", "/")).await.unwrap();
    let places: Vec<_> = (0..SHORT.streams)
        .map(|_| {
            let mut connection = connection.clone();
            tokio::spawn(async move { connection.send(&call(address, "GET", "/held")).await.unwrap() })
        })
        .collect();
    arrived.acquire_many(SHORT.streams).await.unwrap().forget();
    let here = call(address, "GET", "/");
    let mut beyond = Box::pin(connection.send(&here));
    assert!(tokio::time::timeout(SHORT.head, &mut beyond).await.is_err(), "served beyond the bound");
    held.add_permits(places.len());
    assert_eq!(beyond.await.unwrap().text(), "here");
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_that_are_too_large_are_refused() {
    let Listening { address, end: _end, .. } = listen().await;
    let large = "x".repeat(40_000);
    assert_eq!(call(address, "GET", "/").header("x-large", &large).send().await.status, 431);
    let mut connection = Http2::new(TcpStream::connect(address).await.unwrap()).await.unwrap();
    let refused = connection.send(&call(address, "GET", "/").header("x-large", &large)).await;
    assert!(refused.is_err() || refused.unwrap().status == 431);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_leaves_no_silent_connection_behind() {
    let Listening { address, end, serving, .. } = listen().await;
    let mut silent = TcpStream::connect(address).await.unwrap();
    let mut answered = TcpStream::connect(address).await.unwrap();
    answered.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    answered.read_exact(&mut [0; 12]).await.unwrap();
    end.begin();
    assert_eq!(serving.await.unwrap(), 0, "nothing had to be cut off");
    until_closed(&mut silent).await;
    until_closed(&mut answered).await;
}

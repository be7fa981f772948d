use std::collections::HashMap;
use std::sync::Mutex;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use super::*;

/// Names and what they resolve to: one answer for each time somebody asks, the last one for ever.
#[derive(Debug)]
struct Names(Mutex<HashMap<String, Vec<Vec<IpAddr>>>>);

impl Resolve for Names {
    fn addresses<'a>(&'a self, name: &'a str, port: u16) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>> {
        let mut names = self.0.lock().unwrap();
        let answers = names.get_mut(name);
        let answer = answers.map(|answers| if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() });
        Box::pin(async move {
            let answer = answer.ok_or(io::ErrorKind::NotFound)?;
            Ok(answer.into_iter().map(|address| SocketAddr::new(address, port)).collect())
        })
    }
}

fn names(names: &[(&str, &[&[&str]])]) -> Arc<dyn Resolve> {
    let parsed = |answer: &&[&str]| answer.iter().map(|address| address.parse().unwrap()).collect();
    Arc::new(Names(Mutex::new(names.iter().map(|(name, answers)| ((*name).to_owned(), answers.iter().map(parsed).collect())).collect())))
}

fn outgoing(allowed: &[&str], resolver: Arc<dyn Resolve>) -> Outgoing {
    let allowed: Vec<Allow> = allowed.iter().map(|allow| allow.parse().unwrap()).collect();
    Outgoing::new(&allowed, Vec::new(), resolver).unwrap()
}

fn get(url: &str) -> Request<Bytes> {
    Request::get(url).body(Bytes::new()).unwrap()
}

async fn refusal(outgoing: &Outgoing, url: &str) -> OutgoingError {
    outgoing.send(get(url)).await.unwrap_err()
}

/// A server that says this once, whatever it is asked, and tells what that was.
async fn server(says: &'static str) -> (u16, oneshot::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (heard, hears) = oneshot::channel();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = Vec::new();
        while !asked.windows(4).any(|end| end == b"\r\n\r\n") {
            assert!(stream.read_buf(&mut asked).await.unwrap() > 0, "the client went away");
        }
        let _ = heard.send(String::from_utf8(asked).unwrap());
        stream.write_all(says.as_bytes()).await.unwrap();
        // Goes on until the client has read what it wants.
        let _ = stream.read(&mut [0]).await;
    });
    (port, hears)
}

#[tokio::test]
async fn what_is_not_public_is_refused_however_it_is_written() {
    let system = outgoing(&[], Arc::new(SystemResolver));
    for host in [
        "127.0.0.1",
        "localhost",
        "LOCALHOST.",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "0.0.0.0",
        "10.0.0.1",
        "169.254.169.254",
        "[fd00:ec2::254]",
        "[64:ff9b::7f00:1]",
    ] {
        let error = refusal(&system, &format!("https://{host}/")).await;
        // Not every system takes a number for an address.
        assert!(matches!(error, OutgoingError::Private(_) | OutgoingError::Unresolved(_)), "{host}: {error}");
    }
}

#[tokio::test]
async fn one_address_that_is_not_public_spoils_a_name() {
    let resolver = names(&[("mixed.example", &[&["1.1.1.1", "10.0.0.1"]]), ("mapped.example", &[&["::ffff:169.254.169.254"]])]);
    let outgoing = outgoing(&[], resolver);
    for host in ["mixed.example", "mapped.example"] {
        let error = refusal(&outgoing, &format!("https://{host}/")).await;
        assert!(matches!(error, OutgoingError::Private(_)), "{host}: {error}");
    }
    assert!(matches!(refusal(&outgoing, "https://unknown.example/").await, OutgoingError::Unresolved(_)));
}

#[tokio::test]
async fn the_connection_goes_to_the_address_that_was_judged() {
    let (port, heard) = server("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").await;
    // The second time it would resolve to what is refused.
    let resolver = names(&[("rebinding.example", &[&["127.0.0.1"], &["10.0.0.1"]])]);
    let outgoing = outgoing(&["127.0.0.1"], resolver);
    let url = format!("http://rebinding.example:{port}/path?query=1");
    let answer = outgoing.send(get(&url)).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.body().as_ref()), (200, &b"hi"[..]));
    let heard = heard.await.unwrap();
    assert!(heard.starts_with("GET /path?query=1 HTTP/1.1\r\n"), "{heard}");
    assert!(heard.contains(&format!("host: rebinding.example:{port}\r\n")), "{heard}");
    assert!(matches!(refusal(&outgoing, &url).await, OutgoingError::Private(_)));
}

#[tokio::test]
async fn without_tls_only_what_is_allowed_is_asked() {
    let resolver = names(&[("public.example", &[&["1.1.1.1"]]), ("inside.example", &[&["10.0.0.1"]])]);
    let outgoing = outgoing(&["inside.example:8080"], resolver);
    assert!(matches!(refusal(&outgoing, "http://public.example/").await, OutgoingError::Clear(_)));
    assert!(matches!(refusal(&outgoing, "http://inside.example/").await, OutgoingError::Private(_)), "another port");
}

#[tokio::test]
async fn a_url_is_a_scheme_and_a_host_and_nothing_that_hides_it() {
    let outgoing = outgoing(&["127.0.0.1"], names(&[]));
    for url in ["/path", "ftp://1.1.1.1/", "https://user@1.1.1.1/", "https://user:word@1.1.1.1/", "http://1.1.1.1@127.0.0.1/"] {
        assert!(matches!(refusal(&outgoing, url).await, OutgoingError::Url), "{url}");
    }
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let (port, _heard) = server("HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n").await;
    let error = refusal(&outgoing(&["127.0.0.1"], names(&[])), &format!("http://127.0.0.1:{port}/")).await;
    assert!(matches!(error, OutgoingError::Redirect { status: 302, .. }), "{error}");
}

#[tokio::test]
async fn a_long_answer_is_not_read_to_its_end() {
    for says in ["HTTP/1.1 200 OK\r\ncontent-length: 999999999\r\n\r\nx", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1fffff\r\n"]
    {
        let long: &'static str = Box::leak((says.to_owned() + &"x".repeat(LARGEST_ANSWER + 1)).into_boxed_str());
        let (port, _heard) = server(long).await;
        let error = refusal(&outgoing(&["127.0.0.1"], names(&[])), &format!("http://127.0.0.1:{port}/")).await;
        assert!(matches!(error, OutgoingError::Broken { .. }), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_nothing_is_waited_for_so_long_and_no_longer() {
    let (port, _heard) = server("HTTP/1.1 200 OK\r\n").await;
    let error = refusal(&outgoing(&["127.0.0.1"], names(&[])), &format!("http://127.0.0.1:{port}/")).await;
    assert!(matches!(error, OutgoingError::Late(_)), "{error}");
}

#[tokio::test]
async fn a_server_must_be_who_its_name_says() {
    let rcgen::CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(["known.example".to_owned()]).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(signing_key.serialize_der().into());
    let config = config.with_no_client_auth().with_single_cert(vec![cert.der().clone()], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // Those who do not trust it leave.
                if let Ok(mut stream) = acceptor.accept(stream).await {
                    let _ = stream.read(&mut [0; 1_024]).await;
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").await;
                    let _ = stream.read(&mut [0]).await;
                }
            });
        }
    });
    let resolver = || names(&[("known.example", &[&["127.0.0.1"]]), ("other.example", &[&["127.0.0.1"]])]);
    let allowed = ["127.0.0.0/8".parse().unwrap()];
    let stranger = Outgoing::new(&allowed, Vec::new(), resolver()).unwrap();
    let trusting = Outgoing::new(&allowed, vec![cert.der().clone()], resolver()).unwrap();
    let url = |host: &str| format!("https://{host}:{port}/");
    assert_eq!(trusting.send(get(&url("known.example"))).await.unwrap().body().as_ref(), b"hi");
    for (outgoing, host) in [(&trusting, "other.example"), (&stranger, "known.example")] {
        let error = refusal(outgoing, &url(host)).await;
        assert!(matches!(error, OutgoingError::Connect { .. }), "{error}");
    }
}

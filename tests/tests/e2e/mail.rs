//! Mail by a foreign mail server: taken once, whatever it says first, and to nobody who is not the server.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use tollgate_tests::{Backend, Call, Connection, Http, MailServer, run, until};

const LIMIT: Duration = Duration::from_secs(40);

/// How a backend is told to send by a server.
fn settings<'a>(address: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["--mail", "smtp", "--smtp-server", address, "--mail-from", "gate@example.com", "--registration"], more].concat()
}

async fn register(backend: &Backend, email: &str) {
    let asked = json!({"name": "Ada", "email": email});
    let call = Call::new("POST", "/api/v1/auth/register").header("content-type", "application/json").body(asked.to_string());
    let mut connection = Connection::open(backend.public_address(), Http::One).await;
    assert_eq!(connection.send(call).await.unwrap().status, 202);
}

/// The mails that were brought, once there are so many.
async fn seen(server: &MailServer, count: usize) -> Vec<Value> {
    until("the mail", LIMIT, async || Some(server.seen()).filter(|seen| seen.len() >= count)).await
}

#[test]
fn mail_that_is_put_off_is_brought_again_and_taken_once() {
    run(async {
        let server = MailServer::start(1, None);
        let backend = Backend::start_with("mail-plain", &settings(&server.address(), &["--smtp-tls", "none"])).await;
        register(&backend, "ada@example.com").await;
        let seen = seen(&server, 2).await;
        assert_eq!([&seen[0]["taken"], &seen[1]["taken"]], [&json!(false), &json!(true)]);
        assert_eq!((&seen[1]["from"], &seen[1]["to"]), (&json!("gate@example.com"), &json!(["ada@example.com"])));
        let text = seen[1]["text"].as_str().unwrap();
        assert!(text.contains("password#") && text.contains("To: ada@example.com"), "{text}");
        until("the outbox to know", LIMIT, async || {
            let sent = backend.call("GET", "/api/v1/outbox?state=sent", None).await;
            (sent["items"][0]["attempts"] == 2).then_some(())
        })
        .await;
        assert_eq!(server.seen().len(), 2);
    });
}

#[test]
fn mail_goes_by_starttls_with_a_password_to_a_server_of_our_own_authority() {
    run(async {
        // The backend's own authority stands for that of the house.
        let house = Backend::start("mail-house").await;
        let identity: [PathBuf; 2] = ["tls/server.pem", "tls/server.key"].map(|file| house.data().join(file));
        let server = MailServer::start(0, Some(&identity));
        let (authority, address) = (house.authority(), server.address());
        let password = ("smtp.password", "a password of the tests");
        let with = ["--smtp-tls", "starttls", "--smtp-user", "tollgate", "--outgoing-ca", authority.to_str().unwrap()];
        let backend = Backend::start_with_secret("mail-tls", password, &settings(&address, &with)).await;
        register(&backend, "ada@example.com").await;
        let seen = seen(&server, 1).await;
        assert_eq!((&seen[0]["taken"], &seen[0]["secure"]), (&json!(true), &json!(true)), "{seen:?}");
        // Who is not known by its certificate is told nothing.
        let stranger = Backend::start_with_secret("mail-stranger", password, &settings(&address, &with[..4])).await;
        register(&stranger, "eve@example.com").await;
        let failed = until("it to give up for now", LIMIT, async || {
            let waiting = stranger.call("GET", "/api/v1/outbox?state=waiting", None).await;
            Some(waiting["items"][0]["error"].clone()).filter(Value::is_string)
        })
        .await;
        assert!(failed.as_str().unwrap().to_lowercase().contains("certificate"), "{failed}");
        assert_eq!(server.seen().len(), 1);
    });
}

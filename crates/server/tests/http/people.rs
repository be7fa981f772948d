//! People: users whose mail is read, and the browsers they sign in with.

use std::path::Path;

use serde_json::{Value, json};

use crate::client::{Call, Reply};
use crate::locked::wait_for;
use crate::service::{Service, unique};

pub(crate) const PASSWORD: &str = "a sentence of some words";

/// A browser that somebody is signed in with.
#[derive(Clone, Debug)]
pub(crate) struct Browser {
    pub cookie: String,
    pub csrf: String,
    pub session: String,
}

/// The value of a cookie that a reply sets.
pub(crate) fn cookie(reply: &Reply, name: &str) -> Option<String> {
    let lines = reply.headers.get_all("set-cookie").iter().map(|line| line.to_str().unwrap());
    let pairs = lines.filter_map(|line| line.split(';').next()?.split_once('='));
    pairs.filter(|(own, _)| *own == name).map(|(_, value)| value.to_owned()).next_back()
}

/// All mail that has left, oldest first: to whom, and what it says.
pub(crate) fn mail(data: &Path) -> Vec<(String, String)> {
    let Ok(entries) = std::fs::read_dir(data.join("mail")) else {
        return Vec::new();
    };
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap()).filter(|entry| entry.path().extension().is_some()).collect();
    files.sort_by_key(|entry| entry.metadata().unwrap().modified().unwrap());
    let read = |entry: &std::fs::DirEntry| {
        let text = std::fs::read_to_string(entry.path()).unwrap();
        let to = text.lines().find_map(|line| line.strip_prefix("To: ")).unwrap().to_owned();
        (to, text.replace("\r\n", "\n"))
    };
    files.iter().map(read).collect()
}

/// Waits until so much mail to an address has left; the newest of it.
pub(crate) async fn newest_mail(service: &Service, to: &str, count: usize) -> String {
    let own = || mail(service.data.path()).into_iter().filter(|(own, _)| own == to).collect::<Vec<_>>();
    wait_for(async || own().len() >= count).await;
    own().pop().unwrap().1
}

/// Waits until a message in this state is as it is wanted.
pub(crate) async fn message(service: &Service, state: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let mut found = None;
    wait_for(async || {
        let listed = service.get(&format!("/api/v1/outbox?state={state}&limit=200")).await.expect(200);
        found = listed["items"].as_array().unwrap().iter().find(|message| wanted(message)).cloned();
        found.is_some()
    })
    .await;
    found.unwrap()
}

/// The word in a mail.
pub(crate) fn word(mail: &str) -> String {
    mail.split_once("/password#").unwrap_or_else(|| panic!("no word in {mail}")).1.lines().next().unwrap().to_owned()
}

pub(crate) async fn login(service: &Service, email: &str, password: &str) -> Reply {
    service.anonymous("POST", "/api/v1/auth/login").json(&json!({"email": email, "password": password})).send().await
}

impl Browser {
    /// That which a reply to a login makes.
    pub(crate) fn of(reply: &Reply) -> Self {
        let document = reply.expect(200);
        Self {
            cookie: cookie(reply, "__Host-tollgate_session").unwrap(),
            csrf: document["csrf_token"].as_str().unwrap().to_owned(),
            session: document["session"]["id"].as_str().unwrap().to_owned(),
        }
    }

    /// A call as a page of ours makes it.
    pub(crate) fn call(&self, service: &Service, method: &str, path: &str) -> Call {
        self.bare(service, method, path).header("x-csrf-token", &self.csrf)
    }

    /// A call with the cookie alone.
    pub(crate) fn bare(&self, service: &Service, method: &str, path: &str) -> Call {
        service.anonymous(method, path).header("cookie", &format!("__Host-tollgate_session={}", self.cookie))
    }

    pub(crate) async fn is_signed_in(&self, service: &Service) -> bool {
        let reply = self.bare(service, "GET", "/api/v1/auth/session").send().await;
        assert!([200, 401].contains(&reply.status), "{}", reply.text());
        reply.status == 200
    }
}

impl Service {
    /// A user who has chosen [`PASSWORD`]; a developer is bound to this consumer. Their document.
    pub(crate) async fn user(&self, role: &str, consumer: &str) -> Value {
        let email = format!("{role}{}@example.com", unique());
        let mut new = json!({"name": format!("A {role}"), "email": email, "role": role});
        if role == "developer" {
            new["consumer"] = json!(consumer);
        }
        let made = self.post("/api/v1/users", &new).await.expect(201);
        let chosen = json!({"token": word(&newest_mail(self, &email, 1).await), "password": PASSWORD});
        self.anonymous("POST", "/api/v1/auth/password/choose").json(&chosen).send().await.expect(204);
        made
    }

    /// A browser that this user is signed in with.
    pub(crate) async fn browser(&self, user: &Value) -> Browser {
        Browser::of(&login(self, user["email"].as_str().unwrap(), PASSWORD).await)
    }
}

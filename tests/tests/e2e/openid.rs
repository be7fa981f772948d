//! Signing in at the backend through a foreign OpenID provider, and what nobody gets in with.

use serde_json::{Value, json};
use tollgate_tests::{Backend, Browser, Call, OpenIdProvider, Page, run};

/// A backend and a provider that know each other.
struct House {
    backend: Backend,
    provider: OpenIdProvider,
}

impl House {
    /// `more` is added to what the backend is told of the provider.
    async fn new(name: &str, more: &Value) -> Self {
        let backend = Backend::start_with(name, &["--outgoing-allow", "127.0.0.1", "--registration"]).await;
        let provider = OpenIdProvider::start(&[callback(&backend, "idp"), callback(&backend, "other")]);
        let house = Self { backend, provider };
        house.introduce("idp", more).await;
        house
    }

    async fn introduce(&self, id: &str, more: &Value) {
        let mut new = json!({"id": id, "issuer": self.provider.issuer(), "client_id": "tollgate", "client_secret": "a secret & more"});
        for (name, value) in more.as_object().unwrap() {
            new[name] = value.clone();
        }
        self.backend.call("POST", "/api/v1/identity-providers", Some(&new)).await;
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.backend.public_address())
    }

    /// Sends a browser off; where to.
    async fn depart(&self, browser: &mut Browser, id: &str) -> String {
        let page = browser.get(&self.url(&format!("/api/v1/auth/openid/{id}/login?return_to=/keys"))).await;
        assert_eq!(page.answer.status, 303, "{page:?}");
        page.answer.header("location").unwrap().to_owned()
    }

    /// Sends a browser off and lets somebody sign in there; the URL that it is to come back with.
    async fn return_of(&self, browser: &mut Browser, person: &str) -> String {
        let to = self.depart(browser, "idp").await;
        self.provider.sign_in(browser, &to, person).await
    }

    async fn sign_in(&self, browser: &mut Browser, person: &str) -> Page {
        let back = self.return_of(browser, person).await;
        browser.get(&back).await
    }

    /// Who is signed in with a browser.
    async fn session(&self, browser: &mut Browser) -> Option<Value> {
        let page = browser.get(&self.url("/api/v1/auth/session")).await;
        (page.answer.status == 200).then(|| page.answer.json())
    }

    async fn users(&self) -> usize {
        self.backend.call("GET", "/api/v1/users", None).await["items"].as_array().unwrap().len()
    }

    /// A browser that somebody with a password is signed in with.
    async fn with_password(&self, email: &str) -> Browser {
        let mut browser = Browser::default();
        let (password, url) = ("a sentence of some words", |path: &str| self.url(path));
        let post = |path: &str, body: &Value| Call::new("POST", path).header("content-type", "application/json").body(body.to_string());
        let asked = json!({"name": "Ada", "email": email});
        assert_eq!(browser.go(post("/api/v1/auth/register", &asked), &url("/")).await.answer.status, 202);
        let data = self.backend.data();
        let word = tollgate_tests::until("a mail", std::time::Duration::from_secs(10), async || {
            let files = std::fs::read_dir(data.join("mail")).ok()?.flatten();
            let texts = files.filter_map(|file| std::fs::read_to_string(file.path()).ok());
            let text = texts.filter(|text| text.contains(&format!("To: {email}"))).last()?;
            Some(text.split_once("/password#")?.1.lines().next()?.to_owned())
        })
        .await;
        let chosen = json!({"token": word, "password": password});
        assert_eq!(browser.go(post("/api/v1/auth/password/choose", &chosen), &url("/")).await.answer.status, 204);
        let login = json!({"email": email, "password": password});
        assert_eq!(browser.go(post("/api/v1/auth/login", &login), &url("/")).await.answer.status, 200);
        browser
    }

    /// Begins to link an identity to who is signed in; where the browser is to go.
    async fn link(&self, browser: &mut Browser) -> String {
        let csrf = self.session(browser).await.unwrap()["csrf_token"].as_str().unwrap().to_owned();
        let call = Call::new("POST", "/api/v1/auth/openid/idp/link").header("x-csrf-token", &csrf);
        let page = browser.go(call, &self.url("/")).await;
        assert_eq!(page.answer.status, 200, "{page:?}");
        page.answer.json()["location"].as_str().unwrap().to_owned()
    }
}

fn callback(backend: &Backend, id: &str) -> String {
    format!("http://{}/api/v1/auth/openid/{id}/callback", backend.public_address())
}

fn newcomers() -> Value {
    json!({"new_users": "viewer"})
}

#[test]
fn somebody_signs_in_and_is_the_same_the_next_time() {
    run(async {
        let house = House::new("openid", &newcomers()).await;
        let mut browser = Browser::default();
        let page = house.sign_in(&mut browser, "ada").await;
        assert_eq!((page.answer.status.as_u16(), page.answer.header("location")), (303, Some("/keys")), "{page:?}");
        let first = house.session(&mut browser).await.unwrap();
        assert_eq!((&first["user"]["role"], &first["user"]["name"]), (&json!("viewer"), &json!("Name of ada")));
        // What the provider says of an address makes nobody anybody.
        assert_eq!(first["user"]["email"], Value::Null);
        let mut another = Browser::default();
        house.sign_in(&mut another, "ada").await;
        let second = house.session(&mut another).await.unwrap();
        assert_eq!(second["user"]["id"], first["user"]["id"]);
        assert_ne!(second["session"]["id"], first["session"]["id"]);
        let mut third = Browser::default();
        house.sign_in(&mut third, "grace").await;
        assert_ne!(house.session(&mut third).await.unwrap()["user"]["id"], first["user"]["id"]);
        assert_eq!(house.users().await, 2);
        // Disabled here, nobody gets in by another door.
        let path = format!("/api/v1/users/{}", first["user"]["id"].as_str().unwrap());
        house.backend.call("PATCH", &path, Some(&json!({"disabled": true}))).await;
        assert_eq!(house.sign_in(&mut another, "ada").await.answer.status, 403);
        assert_eq!(house.session(&mut another).await, None);
    });
}

#[test]
fn who_is_not_known_gets_no_account_unless_newcomers_do() {
    run(async {
        let house = House::new("openid-closed", &json!({})).await;
        let mut browser = Browser::default();
        assert_eq!(house.sign_in(&mut browser, "ada").await.answer.status, 403);
        assert_eq!((house.session(&mut browser).await, house.users().await), (None, 0));
    });
}

#[test]
fn an_account_is_opened_by_what_its_owner_links_and_never_by_an_address() {
    run(async {
        let house = House::new("openid-linked", &newcomers()).await;
        // The provider says this address of everybody.
        let mut owner = house.with_password("ada@example.com").await;
        let own = house.session(&mut owner).await.unwrap()["user"].clone();
        let mut stranger = Browser::default();
        house.sign_in(&mut stranger, "mallory").await;
        assert_ne!(house.session(&mut stranger).await.unwrap()["user"]["id"], own["id"]);
        let to = house.link(&mut owner).await;
        let back = house.provider.sign_in(&mut owner, &to, "ada").await;
        assert_eq!(owner.get(&back).await.answer.status, 303);
        let mut elsewhere = Browser::default();
        house.sign_in(&mut elsewhere, "ada").await;
        assert_eq!(house.session(&mut elsewhere).await.unwrap()["user"]["id"], own["id"]);
        // What opens one account is linked to no other.
        let mut other = house.with_password("grace@example.com").await;
        let to = house.link(&mut other).await;
        let back = house.provider.sign_in(&mut other, &to, "ada").await;
        assert_eq!(other.get(&back).await.answer.status, 409);
        // Who signs out, or is somebody else by now, does not finish what was begun.
        let to = house.link(&mut other).await;
        let back = house.provider.sign_in(&mut other, &to, "grace").await;
        let mut without_session = other.clone();
        let csrf = house.session(&mut other).await.unwrap()["csrf_token"].as_str().unwrap().to_owned();
        other.go(Call::new("POST", "/api/v1/auth/logout").header("x-csrf-token", &csrf), &house.url("/")).await;
        assert_eq!(without_session.get(&back).await.answer.status, 400);
    });
}

#[test]
fn a_return_is_good_once_in_the_browser_that_left() {
    run(async {
        let house = House::new("openid-attacked", &newcomers()).await;
        house.introduce("other", &newcomers()).await;
        let mut browser = Browser::default();
        let back = house.return_of(&mut browser, "ada").await;
        // In another browser it would sign its owner in as somebody else.
        assert_eq!(Browser::default().get(&back).await.answer.status, 400);
        // And that has used it up.
        assert_eq!(browser.get(&back).await.answer.status, 400);
        let back = house.return_of(&mut browser, "ada").await;
        let replayed = browser.clone();
        assert_eq!(browser.get(&back).await.answer.status, 303);
        assert_eq!(replayed.clone().get(&back).await.answer.status, 400, "replayed");
        for (from, to) in
            [("state=", "state=x"), ("state=", "other="), ("iss=", "iss=x"), ("code=", "code=x"), ("code=", "other="), ("/idp/", "/other/")]
        {
            let back = house.return_of(&mut browser, "ada").await;
            assert!(back.contains(from), "{back}");
            let page = browser.get(&back.replacen(from, to, 1)).await;
            assert!([400, 503].contains(&page.answer.status.as_u16()), "{from} → {to}: {page:?}");
        }
        for twice in ["state=x", "code=x", "iss=x"] {
            let back = house.return_of(&mut browser, "ada").await;
            assert_eq!(browser.get(&format!("{back}&{twice}")).await.answer.status, 400, "{twice}");
        }
        // Somebody else's code, put into one's own return: it was asked for with another verifier.
        let mut mallory = Browser::default();
        let stolen = house.return_of(&mut browser, "ada").await;
        let own = house.return_of(&mut mallory, "mallory").await;
        let code = |url: &str| url.split(['?', '&']).find_map(|pair| pair.strip_prefix("code=")).unwrap().to_owned();
        let mixed = own.replace(&code(&own), &code(&stolen));
        assert_eq!(mallory.get(&mixed).await.answer.status, 503);
        assert_eq!(house.session(&mut mallory).await, None);
        // A place of somebody else's to come back to is none.
        for place in ["https://evil.example", "//evil.example", "/%5Cevil.example", ""] {
            let page = browser.get(&house.url(&format!("/api/v1/auth/openid/idp/login?return_to={place}"))).await;
            assert_eq!(page.answer.status, 400, "{place}");
        }
        assert_eq!(house.users().await, 1, "ada, once");
    });
}

#[test]
fn a_provider_inside_is_not_asked_unless_the_operator_allows_it() {
    run(async {
        let backend = Backend::start("openid-inside").await;
        let provider = OpenIdProvider::start(&[callback(&backend, "idp")]);
        let new = json!({"id": "idp", "issuer": provider.issuer(), "client_id": "tollgate"});
        backend.call("POST", "/api/v1/identity-providers", Some(&new)).await;
        let url = format!("http://{}/api/v1/auth/openid/idp/login", backend.public_address());
        let page = Browser::default().get(&url).await;
        assert_eq!(page.answer.status, 503, "{page:?}");
        assert!(!String::from_utf8_lossy(&page.answer.body).contains("public"), "that is for the log: {page:?}");
        assert!(backend.log().contains("an address that is not public"), "{}", backend.log());
    });
}

#[test]
fn the_secret_with_a_provider_is_not_shown_and_not_kept_in_the_clear() {
    run(async {
        let house = House::new("openid-secret", &newcomers()).await;
        let shown = house.backend.call("GET", "/api/v1/identity-providers/idp", None).await;
        assert_eq!(shown["has_client_secret"], true);
        assert!(!shown.to_string().contains("a secret"));
        house.sign_in(&mut Browser::default(), "ada").await;
        for (path, bytes) in house.backend.kept() {
            assert!(!bytes.windows(8).any(|window| window == b"a secret"), "{}", path.display());
        }
        assert!(!house.backend.log().contains("a secret"));
    });
}

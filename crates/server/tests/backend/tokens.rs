//! Access tokens, what renews them, and the keys that sign them, by a clock that the tests set.

use std::time::Duration;

use serde_json::Value;
use tollgate_core::jwk::KeySet;
use tollgate_core::jws::{Compact, NoAccelerator, Signed};
use tollgate_server::failure::Failure;
use tollgate_server::page::Page;
use tollgate_server::permission::Principal;
use tollgate_server::signing_keys::{self, LEAD, LEEWAY, RotateSigningKey, Signing, SigningAlgorithm, SigningKeyState};
use tollgate_server::tokens::{self, Asker, Client, FamilyFilter, GRACE, Granted, MOST_FAMILIES, MOST_REVOKED, Terms, TokenError};
use tollgate_server::{api_keys, consumers};

use crate::setup::*;

const DAY: Duration = Duration::from_secs(86_400);
const LIFE: Duration = Duration::from_secs(600);

fn terms(algorithm: SigningAlgorithm) -> Terms {
    Terms {
        issuer: "https://us.example".to_owned(),
        audience: "api".to_owned(),
        signing: Signing { algorithm, key_life: 30 * DAY, token_life: LIFE },
        family_life: 30 * DAY,
        signer: signing_keys::Signer::default(),
    }
}

/// A backend with a consumer, a key of theirs with two scopes, and terms.
async fn backend() -> (Backend, Terms, String, String) {
    let backend = Backend::new().await;
    let terms = terms(SigningAlgorithm::Es256);
    signing_keys::upkeep(&backend.store, &backend.secrets, &terms.signing).await.unwrap();
    backend.consumer("c").await;
    backend.grant("c", &["read", "write"]).await;
    let new = api_keys::NewApiKey { scopes: words(&["read", "write"]), ..new_key("c") };
    let made = committed!(backend, |write| api_keys::create(write, &backend.secrets, &backend.admin, new)).unwrap();
    (backend, terms, made.key.id, made.api_key.unwrap().expose().to_owned())
}

async fn client(backend: &Backend, key: &str) -> Client {
    tokens::client(&backend.store, &backend.secrets, key).await.unwrap()
}

async fn exchanged(backend: &Backend, terms: &Terms, key: &str) -> Granted {
    tokens::of_key(&backend.store, &backend.secrets, terms, &client(backend, key).await, None).await.unwrap()
}

async fn renewed(backend: &Backend, terms: &Terms, token: &str) -> Result<Granted, TokenError> {
    tokens::renewed(&backend.store, &backend.secrets, terms, None, token, None).await
}

fn refresh(granted: &Granted) -> String {
    granted.refresh_token.as_ref().unwrap().expose().to_owned()
}

fn kid(granted: &Granted) -> String {
    Compact::parse(granted.access_token.expose().as_bytes()).unwrap().header().key_id.clone().unwrap()
}

fn claims(granted: &Granted) -> Value {
    serde_json::from_slice(Compact::parse(granted.access_token.expose().as_bytes()).unwrap().unverified_payload()).unwrap()
}

async fn introspected(backend: &Backend, terms: &Terms, token: &str) -> bool {
    let asker = Asker::Principal(&backend.admin);
    tokens::introspect(&backend.store, &backend.secrets, terms, &asker, token).await.unwrap().active
}

/// Ids that nodes are told to refuse.
async fn told(backend: &Backend, after: u64) -> Vec<String> {
    backend.changes(after).await.changes.into_iter().filter_map(|change| change.revoked).map(|revoked| revoked.id).collect()
}

#[tokio::test]
async fn every_algorithm_signs_what_its_published_key_verifies() {
    for algorithm in SigningAlgorithm::ALL {
        let (backend, _, id, key) = backend().await;
        let terms = terms(algorithm);
        let secrets = tollgate_server::secrets::Secrets::load(
            std::path::Path::new("/nonexistent"),
            environment(&[1]).into_iter().chain([("TOLLGATE_SIGNING_SECRET_3".to_owned(), "s".repeat(32))]),
            "foil",
            tollgate_server::secrets::KeyHashing::default(),
        )
        .unwrap();
        signing_keys::upkeep(&backend.store, &secrets, &terms.signing).await.unwrap();
        let granted = tokens::of_client(&backend.store, &secrets, &terms, &client(&backend, &key).await, None).await.unwrap();
        let token = granted.access_token.expose().to_owned();
        let compact = Compact::parse(token.as_bytes()).unwrap();
        assert_eq!(compact.header().kind.as_deref(), Some("at+jwt"));
        let published = signing_keys::published(&backend.store).await.unwrap().to_string();
        assert!(!published.contains("\"d\"") && !published.contains("\"k\"") && !published.contains("\"p\""), "{published}");
        if algorithm == SigningAlgorithm::Hs256 {
            assert_eq!(compact.header().key_id.as_deref(), Some("hs256-3"));
        } else {
            let set = KeySet::read(published.as_bytes()).unwrap();
            let kid = compact.header().key_id.clone().unwrap();
            assert!(set.names(&kid) && set.keys().iter().any(|key| compact.signed_by(key, &mut NoAccelerator) == Signed::Yes));
        }
        let claims = claims(&granted);
        let now = u64::try_from(backend.now().millis() / 1_000).unwrap();
        assert_eq!(claims["iss"], "https://us.example");
        assert_eq!((&claims["sub"], &claims["client_id"], &claims["aud"]), (&"c".into(), &id.clone().into(), &"api".into()));
        assert_eq!((&claims["scope"], &claims["iat"], &claims["exp"]), (&"read write".into(), &now.into(), &(now + 600).into()));
        assert!(claims["jti"].is_string() && claims.get("sid").is_none() && granted.refresh_token.is_none());
        let asker = Asker::Principal(&backend.admin);
        assert!(tokens::introspect(&backend.store, &secrets, &terms, &asker, &token).await.unwrap().active, "{algorithm:?}");
    }
}

#[tokio::test]
async fn scopes_are_narrowed_and_never_widened() {
    let (backend, terms, _, key) = backend().await;
    let client = client(&backend, &key).await;
    let ask = async |scope: &'static str| tokens::of_client(&backend.store, &backend.secrets, &terms, &client, Some(scope)).await;
    assert_eq!(ask("read").await.unwrap().scope, "read");
    assert_eq!(ask("read read").await.unwrap().scope, "read");
    assert!(matches!(ask("read admin").await, Err(TokenError::InvalidScope(scope)) if scope == "admin"));
    let narrow = tokens::of_key(&backend.store, &backend.secrets, &terms, &client, Some("read")).await.unwrap();
    let wide = tokens::renewed(&backend.store, &backend.secrets, &terms, None, &refresh(&narrow), Some("write")).await;
    assert!(matches!(wide, Err(TokenError::InvalidScope(_))), "{wide:?}");
    // What is taken from the consumer is gone from what is renewed.
    let both = exchanged(&backend, &terms, &key).await;
    backend.grant("c", &["write"]).await;
    assert_eq!(renewed(&backend, &terms, &refresh(&both)).await.unwrap().scope, "write");
}

#[tokio::test]
async fn a_refresh_token_is_good_once_and_its_successor_comes_again_within_the_grace() {
    let (backend, terms, _, key) = backend().await;
    let first = refresh(&exchanged(&backend, &terms, &key).await);
    let second = refresh(&renewed(&backend, &terms, &first).await.unwrap());
    assert_ne!(first, second);
    // The answer was lost.
    backend.clock.advance(GRACE);
    let again = renewed(&backend, &terms, &first).await.unwrap();
    assert_eq!(refresh(&again), second);
    let third = refresh(&renewed(&backend, &terms, &second).await.unwrap());
    assert!(introspected(&backend, &terms, &third).await && !introspected(&backend, &terms, &second).await);
    assert!(!backend.holds(third.as_bytes()) && !backend.holds(third.rsplit('_').next().unwrap().as_bytes()));
}

#[tokio::test]
async fn a_token_that_comes_again_later_revokes_the_whole_family_and_nodes_hear_of_it() {
    let (backend, terms, _, key) = backend().await;
    let before = exchanged(&backend, &terms, &key).await;
    let (first, access) = (refresh(&before), before.access_token.expose().to_owned());
    let second = refresh(&renewed(&backend, &terms, &first).await.unwrap());
    let revision = backend.revision().await;
    backend.clock.advance(GRACE + SECOND);
    assert!(matches!(renewed(&backend, &terms, &first).await, Err(TokenError::InvalidGrant)));
    assert!(matches!(renewed(&backend, &terms, &second).await, Err(TokenError::InvalidGrant)), "the family is revoked");
    assert_eq!(told(&backend, revision).await, [claims(&before)["sid"].as_str().unwrap()]);
    let listed = tokens::revocations(&backend.store, 0).await.unwrap().revoked;
    assert_eq!(listed[0].ends_in_ms, u64::try_from((LIFE + LEEWAY).as_millis()).unwrap(), "as long as its newest token lasts");
    assert!(!introspected(&backend, &terms, &access).await);
    let families = tokens::families(&backend.store, &backend.admin, &FamilyFilter::default(), &Page::default()).await.unwrap().items;
    assert!(families[0].reused && families[0].revoked_at.is_some());
    // Another family of the same key goes on.
    let other = exchanged(&backend, &terms, &key).await;
    assert!(renewed(&backend, &terms, &refresh(&other)).await.is_ok());
}

#[tokio::test]
async fn one_before_the_last_is_reused_even_within_the_grace() {
    let (backend, terms, _, key) = backend().await;
    let first = refresh(&exchanged(&backend, &terms, &key).await);
    let second = refresh(&renewed(&backend, &terms, &first).await.unwrap());
    renewed(&backend, &terms, &second).await.unwrap();
    assert!(matches!(renewed(&backend, &terms, &first).await, Err(TokenError::InvalidGrant)));
    assert!(matches!(renewed(&backend, &terms, &second).await, Err(TokenError::InvalidGrant)));
}

#[tokio::test]
async fn a_clock_that_is_set_back_gives_no_grace() {
    let (backend, terms, _, key) = backend().await;
    let first = refresh(&exchanged(&backend, &terms, &key).await);
    renewed(&backend, &terms, &first).await.unwrap();
    backend.clock.set(backend.now().before(DAY));
    assert!(matches!(renewed(&backend, &terms, &first).await, Err(TokenError::InvalidGrant)));
}

#[tokio::test]
async fn of_many_at_once_with_one_refresh_token_all_get_the_same_successor() {
    let (backend, terms, _, key) = backend().await;
    let first = refresh(&exchanged(&backend, &terms, &key).await);
    let asked = (0..16).map(|_| renewed(&backend, &terms, &first));
    let mut successors: Vec<String> =
        futures_util::future::join_all(asked).await.into_iter().map(|granted| refresh(&granted.unwrap())).collect();
    successors.dedup();
    assert_eq!(successors.len(), 1);
}

#[tokio::test]
async fn what_was_never_given_out_is_refused_and_revokes_nothing() {
    let (backend, terms, _, key) = backend().await;
    let good = refresh(&exchanged(&backend, &terms, &key).await);
    let parts: Vec<&str> = good.splitn(4, '_').collect();
    let [_, family, _, tag] = parts.as_slice() else { panic!("{good}") };
    let wrong = [
        format!("tgr_{family}_1_{tag}"),
        format!("tgr_{family}_00_{tag}"),
        format!("tgr_{family}_+0_{tag}"),
        format!("tgr_{family}_4294967295_{tag}"),
        format!("tgr_{}_0_{tag}", "A".repeat(16)),
        format!("tgr_{family}_0_{}", "A".repeat(43)),
        format!("{good}="),
        format!("{good}A"),
        good.replace("tgr_", "tgx_"),
        format!("tgr_{}", "_".repeat(70)),
        String::new(),
        "tgr_".to_owned(),
        "x".repeat(100_000),
    ];
    for token in wrong {
        assert!(matches!(renewed(&backend, &terms, &token).await, Err(TokenError::InvalidGrant)), "{token}");
        tokens::revoke(&backend.store, &backend.secrets, &terms, None, &token).await.unwrap();
        assert!(!introspected(&backend, &terms, &token).await, "{token}");
    }
    assert!(renewed(&backend, &terms, &good).await.is_ok());
}

#[tokio::test]
async fn a_token_from_before_a_restore_is_refused_and_costs_nobody_the_family() {
    let (backend, terms, _, key) = backend().await;
    let first = refresh(&exchanged(&backend, &terms, &key).await);
    let second = refresh(&renewed(&backend, &terms, &first).await.unwrap());
    sqlx::query("UPDATE families SET number = 0").execute(&backend.raw().await).await.unwrap();
    assert!(matches!(renewed(&backend, &terms, &second).await, Err(TokenError::InvalidGrant)));
    assert!(renewed(&backend, &terms, &first).await.is_ok());
}

#[tokio::test]
async fn tokens_die_with_the_key_they_came_from() {
    let (backend, terms, id, key) = backend().await;
    let held = client(&backend, &key).await;
    let granted = exchanged(&backend, &terms, &key).await;
    assert!(introspected(&backend, &terms, granted.access_token.expose()).await);
    committed!(backend, |write| api_keys::revoke(write, &backend.admin, api_keys::Reach::All, &id, None)).unwrap();
    assert!(!introspected(&backend, &terms, granted.access_token.expose()).await);
    assert!(!introspected(&backend, &terms, &refresh(&granted)).await);
    assert!(matches!(renewed(&backend, &terms, &refresh(&granted)).await, Err(TokenError::InvalidGrant)));
    assert!(matches!(tokens::client(&backend.store, &backend.secrets, &key).await, Err(TokenError::InvalidClient)));
    // It was revoked between the look and the transaction.
    assert!(matches!(tokens::of_client(&backend.store, &backend.secrets, &terms, &held, None).await, Err(TokenError::InvalidClient)));
    assert!(matches!(tokens::of_key(&backend.store, &backend.secrets, &terms, &held, None).await, Err(TokenError::InvalidGrant)));
}

#[tokio::test]
async fn a_disabled_consumer_gets_and_renews_nothing() {
    let (backend, terms, _, key) = backend().await;
    let granted = exchanged(&backend, &terms, &key).await;
    let patch = consumers::ConsumerPatch { disabled: Some(true), ..Default::default() };
    committed!(backend, |write| consumers::update(write, &backend.admin, "c", None, patch)).unwrap();
    assert!(matches!(renewed(&backend, &terms, &refresh(&granted)).await, Err(TokenError::InvalidGrant)));
    assert!(!introspected(&backend, &terms, granted.access_token.expose()).await);
}

#[tokio::test]
async fn a_token_ends_no_later_than_its_key_and_a_family_at_its_end() {
    let (backend, terms, _, key) = backend().await;
    let soon = api_keys::NewApiKey { expires_at: Some(backend.now().after(60 * SECOND)), ..new_key("c") };
    let soon = committed!(backend, |write| api_keys::create(write, &backend.secrets, &backend.admin, soon)).unwrap();
    let short = exchanged(&backend, &terms, soon.api_key.unwrap().expose()).await;
    assert_eq!(short.expires_in, 60);
    let granted = exchanged(&backend, &terms, &key).await;
    backend.clock.advance(60 * SECOND);
    assert!(matches!(renewed(&backend, &terms, &refresh(&short)).await, Err(TokenError::InvalidGrant)));
    backend.clock.advance(30 * DAY - 61 * SECOND);
    let last = renewed(&backend, &terms, &refresh(&granted)).await.unwrap();
    assert!(introspected(&backend, &terms, last.access_token.expose()).await);
    assert!(!introspected(&backend, &terms, granted.access_token.expose()).await, "it has ended");
    backend.clock.advance(SECOND);
    assert!(matches!(renewed(&backend, &terms, &refresh(&last)).await, Err(TokenError::InvalidGrant)));
    assert!(!introspected(&backend, &terms, &refresh(&last)).await);
}

#[tokio::test]
async fn an_access_token_is_revoked_for_as_long_as_it_could_pass() {
    let (backend, terms, _, key) = backend().await;
    let granted = tokens::of_client(&backend.store, &backend.secrets, &terms, &client(&backend, &key).await, None).await.unwrap();
    let (jti, revision) = (claims(&granted)["jti"].clone(), backend.revision().await);
    for _ in 0..2 {
        tokens::revoke(&backend.store, &backend.secrets, &terms, None, granted.access_token.expose()).await.unwrap();
    }
    assert_eq!(told(&backend, revision).await, [jti.as_str().unwrap()]);
    assert!(!introspected(&backend, &terms, granted.access_token.expose()).await);
    let listed = async || tokens::revocations(&backend.store, 0).await.unwrap().revoked;
    assert_eq!(listed().await[0].ends_in_ms, u64::try_from((LIFE + LEEWAY).as_millis()).unwrap());
    backend.clock.advance(LIFE + LEEWAY - SECOND);
    assert_eq!(listed().await.len(), 1);
    backend.clock.advance(SECOND);
    assert!(listed().await.is_empty());
    tokens::sweep(&backend.store).await.unwrap();
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM revocations").fetch_one(&backend.raw().await).await.unwrap();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn a_client_revokes_only_what_is_its_own_and_only_so_much() {
    let (backend, terms, _, key) = backend().await;
    let other = backend.key("c").await.api_key.unwrap().expose().to_owned();
    let (own, other) = (client(&backend, &key).await, client(&backend, &other).await);
    let granted = exchanged(&backend, &terms, &key).await;
    for token in [granted.access_token.expose(), &refresh(&granted)] {
        tokens::revoke(&backend.store, &backend.secrets, &terms, Some(&other), token).await.unwrap();
        assert!(introspected(&backend, &terms, token).await);
    }
    for number in 0..=MOST_REVOKED {
        let token = tokens::of_client(&backend.store, &backend.secrets, &terms, &own, None).await.unwrap();
        let revoked = tokens::revoke(&backend.store, &backend.secrets, &terms, Some(&own), token.access_token.expose()).await;
        assert_eq!(revoked.is_ok(), number < MOST_REVOKED, "{number}: {revoked:?}");
    }
    // A family can be revoked all the same.
    tokens::revoke(&backend.store, &backend.secrets, &terms, Some(&own), &refresh(&granted)).await.unwrap();
    assert!(!introspected(&backend, &terms, granted.access_token.expose()).await);
}

#[tokio::test]
async fn a_key_has_so_many_families_and_the_oldest_end() {
    let (backend, terms, id, key) = backend().await;
    let first = exchanged(&backend, &terms, &key).await;
    let second = exchanged(&backend, &terms, &key).await;
    for _ in 2..=MOST_FAMILIES {
        exchanged(&backend, &terms, &key).await;
    }
    assert!(matches!(renewed(&backend, &terms, &refresh(&first)).await, Err(TokenError::InvalidGrant)));
    assert!(renewed(&backend, &terms, &refresh(&second)).await.is_ok());
    let filter = FamilyFilter { credential: Some(id), consumer: None };
    let page = Page { limit: Some(200), after: None };
    assert_eq!(tokens::families(&backend.store, &backend.admin, &filter, &page).await.unwrap().items.len(), MOST_FAMILIES + 1);
    backend.clock.advance(40 * DAY);
    tokens::sweep(&backend.store).await.unwrap();
    assert!(tokens::families(&backend.store, &backend.admin, &filter, &page).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn families_of_other_tenants_are_not_there() {
    let (backend, terms, _, key) = backend().await;
    let id = claims(&exchanged(&backend, &terms, &key).await)["sid"].as_str().unwrap().to_owned();
    backend.organisation("other").await;
    let stranger = operator(Some("other"));
    let seen = async |who: &Principal| {
        tokens::families(&backend.store, who, &FamilyFilter::default(), &Page::default()).await.unwrap().items.len()
    };
    assert_eq!((seen(&stranger).await, seen(&operator(Some("default"))).await), (0, 1));
    let revoked = committed!(backend, |write| tokens::revoke_family(write, &terms, &stranger, &id));
    assert_eq!(revoked, Err(Failure::NotFound));
    let token = exchanged(&backend, &terms, &key).await;
    let told =
        tokens::introspect(&backend.store, &backend.secrets, &terms, &Asker::Principal(&stranger), token.access_token.expose()).await;
    assert_eq!(told.unwrap(), tokens::Introspection::default());
    backend.consumer("d").await;
    let neighbour = client(&backend, backend.key("d").await.api_key.unwrap().expose()).await;
    let told = tokens::introspect(&backend.store, &backend.secrets, &terms, &Asker::Client(&neighbour), token.access_token.expose()).await;
    assert_eq!(told.unwrap(), tokens::Introspection::default());
    committed!(backend, |write| tokens::revoke_family(write, &terms, &operator(None), &id)).unwrap();
    committed!(backend, |write| tokens::revoke_family(write, &terms, &operator(None), &id)).unwrap();
}

#[tokio::test]
async fn keys_take_each_others_place_on_schedule_and_no_token_that_passes_is_of_a_key_that_is_gone() {
    let (backend, terms, _, key) = backend().await;
    let (client, begun) = (client(&backend, &key).await, backend.now());
    let mut tokens: Vec<(Granted, tollgate_server::clock::Time)> = Vec::new();
    let mut signed_by = std::collections::BTreeSet::new();
    for hour in 0..24 * 95 {
        signing_keys::upkeep(&backend.store, &backend.secrets, &terms.signing).await.unwrap();
        if hour % 6 == 0 {
            let published = signing_keys::published(&backend.store).await.unwrap().to_string();
            let granted = tokens::of_client(&backend.store, &backend.secrets, &terms, &client, None).await.unwrap();
            let kid = Compact::parse(granted.access_token.expose().as_bytes()).unwrap().header().key_id.clone().unwrap();
            assert!(published.contains(&kid));
            signed_by.insert(kid);
            tokens.push((granted, backend.now()));
            backend.clock.advance(LIFE - SECOND);
            signing_keys::upkeep(&backend.store, &backend.secrets, &terms.signing).await.unwrap();
            assert!(introspected(&backend, &terms, tokens.last().unwrap().0.access_token.expose()).await, "hour {hour}");
            backend.clock.advance(3_601 * SECOND - LIFE);
        } else {
            backend.clock.advance(3_600 * SECOND);
        }
        let keys = signing_keys::list(&backend.store, &Page::default()).await.unwrap().items;
        assert!(keys.len() <= 3 && keys.iter().filter(|key| key.state == SigningKeyState::Signing).count() == 1, "{keys:?}");
        // Published before it signs, but for the first.
        let late = |key: &&signing_keys::SigningKey| key.begins_at.since(key.created_at) < LEAD - 3_700 * SECOND;
        assert!(keys.iter().filter(late).all(|key| key.created_at == begun), "{keys:?}");
    }
    assert_eq!(signed_by.len(), 4);
}

#[tokio::test]
async fn a_token_that_is_signed_at_the_last_moment_of_a_key_passes_to_its_end() {
    let (backend, terms, _, key) = backend().await;
    let client = client(&backend, &key).await;
    backend.clock.advance(30 * DAY - LEAD);
    signing_keys::upkeep(&backend.store, &backend.secrets, &terms.signing).await.unwrap();
    backend.clock.advance(LEAD - SECOND);
    let granted = tokens::of_client(&backend.store, &backend.secrets, &terms, &client, None).await.unwrap();
    backend.clock.advance(SECOND);
    signing_keys::upkeep(&backend.store, &backend.secrets, &terms.signing).await.unwrap();
    assert_ne!(kid(&granted), kid(&tokens::of_client(&backend.store, &backend.secrets, &terms, &client, None).await.unwrap()));
    backend.clock.advance(LIFE - 2 * SECOND);
    signing_keys::upkeep(&backend.store, &backend.secrets, &terms.signing).await.unwrap();
    assert!(introspected(&backend, &terms, granted.access_token.expose()).await);
    backend.clock.advance(LEEWAY + 2 * SECOND);
    signing_keys::upkeep(&backend.store, &backend.secrets, &terms.signing).await.unwrap();
    assert_eq!(signing_keys::list(&backend.store, &Page::default()).await.unwrap().items.len(), 1, "then it is forgotten");
}

#[tokio::test]
async fn an_operator_rotates_and_forgets_keys() {
    let (backend, terms, _, key) = backend().await;
    let before = tokens::of_client(&backend.store, &backend.secrets, &terms, &client(&backend, &key).await, None).await.unwrap();
    let rotate = async |seconds: Option<u32>| {
        let asked = RotateSigningKey { begins_in_seconds: seconds };
        committed!(backend, |write| signing_keys::rotate(write, &backend.secrets, &terms.signing, &backend.admin, asked))
    };
    assert_eq!(wrong(rotate(Some(30 * 86_400 + 1)).await), ["begins_in_seconds"]);
    let later = rotate(Some(60)).await.unwrap();
    assert_eq!(later.state, SigningKeyState::Next);
    let meanwhile = tokens::of_client(&backend.store, &backend.secrets, &terms, &client(&backend, &key).await, None).await.unwrap();
    assert_eq!(kid(&meanwhile), kid(&before));
    let second = rotate(None).await.unwrap();
    let keys = signing_keys::list(&backend.store, &Page::default()).await.unwrap().items;
    assert_eq!(keys.len(), 2, "what was to sign later never does: {keys:?}");
    assert_eq!((keys[0].state, keys[1].state), (SigningKeyState::Retired, SigningKeyState::Signing));
    assert!(introspected(&backend, &terms, before.access_token.expose()).await);
    backend.clock.advance(LIFE - SECOND);
    signing_keys::upkeep(&backend.store, &backend.secrets, &terms.signing).await.unwrap();
    assert!(introspected(&backend, &terms, before.access_token.expose()).await, "to its end");
    let revoke =
        async |id: String| committed!(backend, |write| signing_keys::revoke(write, &backend.secrets, &terms.signing, &backend.admin, &id));
    revoke(keys[0].id.clone()).await.unwrap();
    assert!(!introspected(&backend, &terms, before.access_token.expose()).await);
    revoke(second.id.clone()).await.unwrap();
    assert_eq!(revoke(second.id).await, Err(Failure::NotFound));
    let keys = signing_keys::list(&backend.store, &Page::default()).await.unwrap().items;
    assert_eq!(keys.len(), 1, "another took its place");
    assert!(tokens::of_client(&backend.store, &backend.secrets, &terms, &client(&backend, &key).await, None).await.is_ok());
    let bound = committed!(backend, |write| signing_keys::rotate(
        write,
        &backend.secrets,
        &terms.signing,
        &operator(Some("default")),
        RotateSigningKey::default()
    ));
    assert_eq!(bound, Err(Failure::Forbidden));
}

#[tokio::test]
async fn a_clock_that_is_set_back_leaves_a_key_that_signs() {
    let (backend, terms, _, key) = backend().await;
    let client = client(&backend, &key).await;
    backend.clock.set(backend.now().before(DAY));
    signing_keys::upkeep(&backend.store, &backend.secrets, &terms.signing).await.unwrap();
    let granted = tokens::of_client(&backend.store, &backend.secrets, &terms, &client, None).await.unwrap();
    assert!(introspected(&backend, &terms, granted.access_token.expose()).await);
}

#[tokio::test]
async fn another_algorithm_signs_at_once_and_tokens_of_the_one_before_pass() {
    let (backend, before, _, key) = backend().await;
    let old = tokens::of_client(&backend.store, &backend.secrets, &before, &client(&backend, &key).await, None).await.unwrap();
    backend.clock.advance(SECOND);
    let after = terms(SigningAlgorithm::EdDsa);
    let none = tokens::of_client(&backend.store, &backend.secrets, &after, &client(&backend, &key).await, None).await;
    assert!(matches!(none, Err(TokenError::Failure(Failure::Unavailable { .. }))), "no key of this kind yet: {none:?}");
    signing_keys::upkeep(&backend.store, &backend.secrets, &after.signing).await.unwrap();
    let new = tokens::of_client(&backend.store, &backend.secrets, &after, &client(&backend, &key).await, None).await.unwrap();
    for granted in [&old, &new] {
        assert!(introspected(&backend, &after, granted.access_token.expose()).await);
    }
    backend.clock.advance(SECOND);
    // And back again.
    signing_keys::upkeep(&backend.store, &backend.secrets, &before.signing).await.unwrap();
    let again = tokens::of_client(&backend.store, &backend.secrets, &before, &client(&backend, &key).await, None).await.unwrap();
    assert_ne!(kid(&again), kid(&old), "that one is about to be forgotten");
    assert!(
        introspected(&backend, &before, again.access_token.expose()).await
            && introspected(&backend, &before, new.access_token.expose()).await
    );
}

#[tokio::test]
async fn a_private_key_is_not_to_be_read_in_the_database() {
    let (backend, _, _, _) = backend().await;
    let sealed: Vec<u8> = sqlx::query_scalar("SELECT sealed FROM signing_keys").fetch_one(&backend.raw().await).await.unwrap();
    // Version, nonce, 32 bytes and a tag.
    assert_eq!(sealed.len(), 4 + 12 + 32 + 16);
    let others = secrets(&[2], tollgate_server::secrets::KeyHashing::default());
    let terms = terms(SigningAlgorithm::Es256);
    let key = backend.key("c").await.api_key.unwrap().expose().to_owned();
    let client = client(&backend, &key).await;
    assert!(matches!(
        tokens::of_client(&backend.store, &others, &terms, &client, None).await,
        Err(TokenError::Failure(Failure::Internal { .. }))
    ));
}

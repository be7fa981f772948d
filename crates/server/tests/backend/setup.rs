//! Owns a backend without listeners: a store, secrets, a clock. Must not test anything.

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tollgate_core::credential::{KeyHash, digest};
use tollgate_core::wire::{Changes, Resolve, ResolveConsumer, Resolved, ResolvedConsumer};
use tollgate_server::api_keys::{self, ApiKey, Created, NewApiKey, Reach};
use tollgate_server::clock::{Clock, FakeClock, Time};
use tollgate_server::consumers::{self, Consumer, ConsumerPatch, NewConsumer};
use tollgate_server::failure::Failure;
use tollgate_server::organisations::{self, NewOrganisation};
use tollgate_server::permission::{Principal, Role};
use tollgate_server::resolve::{resolve, resolve_consumer};
use tollgate_server::secrets::{KeyHashing, Secrets};
use tollgate_server::store::Store;
use tollgate_server::{changes, tiers};

/// A second.
pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// A backend without listeners.
pub(crate) struct Backend {
    pub(crate) dir: TempDir,
    pub(crate) clock: FakeClock,
    pub(crate) store: Store,
    pub(crate) secrets: Secrets,
    /// An administrator.
    pub(crate) admin: Principal,
}

/// Does something in a transaction of its own, which is committed if it succeeds.
macro_rules! committed {
    ($backend:expr, |$write:ident| $operation:expr) => {{
        let mut transaction = $backend.store.begin().await.unwrap();
        let result = {
            let $write = &mut transaction;
            $operation.await
        };
        if result.is_ok() {
            transaction.commit().await.unwrap();
        }
        result
    }};
}
pub(crate) use committed;

/// Secrets as the environment gives them: pepper, issuer key and encryption key of these versions.
pub(crate) fn environment(versions: &[u32]) -> Vec<(String, String)> {
    let secret = |kind: &str, version: u32| (format!("TOLLGATE_{kind}_{version}"), format!("{kind} of the tests, version {version}"));
    let mut all = vec![("TOLLGATE_TOKEN_KEY".to_owned(), "token key of the tests".to_owned())];
    all.extend(versions.iter().flat_map(|version| ["PEPPER", "ISSUER_KEY", "ENCRYPTION_KEY"].map(|kind| secret(kind, *version))));
    all
}

pub(crate) fn secrets(versions: &[u32], hashing: KeyHashing) -> Secrets {
    Secrets::load(std::path::Path::new("/nonexistent"), environment(versions), "foil", hashing).unwrap()
}

impl Backend {
    /// A backend with the tiers there are by default.
    pub(crate) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = FakeClock::at("2026-01-14T00:00:00Z".parse().unwrap());
        let store = Store::open(dir.path(), Arc::new(clock.clone())).await.unwrap();
        let backend = Self { dir, clock, store, secrets: secrets(&[1], KeyHashing::default()), admin: Principal::backend("test") };
        committed!(backend, |write| tiers::seed(write, &backend.admin)).unwrap();
        backend
    }

    pub(crate) fn now(&self) -> Time {
        self.clock.now()
    }

    pub(crate) async fn consumer(&self, id: &str) -> Consumer {
        self.consumer_of(id, "default").await
    }

    pub(crate) async fn consumer_of(&self, id: &str, organisation: &str) -> Consumer {
        let new = NewConsumer { id: Some(id.to_owned()), organisation: Some(organisation.to_owned()), ..NewConsumer::new(id, "free") };
        committed!(self, |write| consumers::create(write, &self.admin, new)).unwrap()
    }

    /// Gives a consumer these scopes, and no others.
    pub(crate) async fn grant(&self, consumer: &str, scopes: &[&str]) -> Consumer {
        let patch = ConsumerPatch { scopes: Some(words(scopes)), ..Default::default() };
        committed!(self, |write| consumers::update(write, &self.admin, consumer, None, patch)).unwrap()
    }

    /// A key without scopes or end.
    pub(crate) async fn key(&self, consumer: &str) -> Created {
        committed!(self, |write| api_keys::create(write, &self.secrets, &self.admin, new_key(consumer))).unwrap()
    }

    pub(crate) async fn get_key(&self, id: &str) -> ApiKey {
        api_keys::get(&self.store, &self.admin, Reach::All, id).await.unwrap()
    }

    /// What a node is told of a key.
    pub(crate) async fn resolve(&self, key: &str) -> Resolved {
        resolve(&self.store, &self.secrets, &crate::leases::node(1), &question(key)).await.unwrap()
    }

    /// What a node is told of a consumer.
    pub(crate) async fn resolve_consumer(&self, id: &str) -> ResolvedConsumer {
        resolve_consumer(&self.store, &crate::leases::node(1), &ResolveConsumer { consumer: id.to_owned(), leases: None }).await.unwrap()
    }

    /// Whether a key passes.
    pub(crate) async fn passes(&self, key: &str) -> bool {
        self.resolve(key).await.known.is_some()
    }

    /// What has changed after a revision, without waiting.
    pub(crate) async fn changes(&self, after: u64) -> Changes {
        changes::after(&self.store, Some(after.into()), Duration::ZERO).await.unwrap()
    }

    pub(crate) async fn revision(&self) -> u64 {
        changes::after(&self.store, None, Duration::ZERO).await.unwrap().revision
    }

    /// Whether any of the database's files has these bytes somewhere.
    pub(crate) fn holds(&self, bytes: &[u8]) -> bool {
        let files = ["tollgate.db", "tollgate.db-wal"].map(|file| std::fs::read(self.dir.path().join(file)).unwrap());
        files.iter().any(|file| file.windows(bytes.len()).any(|window| window == bytes))
    }

    /// A connection to the database that goes past the store.
    pub(crate) async fn raw(&self) -> sqlx::SqlitePool {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(self.dir.path().join("tollgate.db"));
        sqlx::SqlitePool::connect_with(options).await.unwrap()
    }

    /// Takes changes away as happens when very many more have followed.
    pub(crate) async fn forget_changes(&self, up_to: i64) {
        sqlx::query("DELETE FROM changes WHERE revision <= ?").bind(up_to).execute(&self.raw().await).await.unwrap();
    }

    pub(crate) async fn organisation(&self, id: &str) {
        let new = NewOrganisation { id: Some(id.to_owned()), name: id.to_owned() };
        committed!(self, |write| organisations::create(write, &self.admin, new)).unwrap();
    }
}

pub(crate) fn new_key(consumer: &str) -> NewApiKey {
    NewApiKey::new(consumer)
}

pub(crate) fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// How a node asks for a key: by the id inside it where there is one, and by its hash.
pub(crate) fn question(key: &str) -> Resolve {
    let id = key.split_once('_').map(|(_, body)| body).filter(|body| body.len() == 57).map(|body| body[..16].to_owned());
    Resolve { id, sha256: sha256(key), checks_signatures: true, limits_credentials: true, leases: None }
}

pub(crate) fn sha256(key: &str) -> String {
    KeyHash::of(&digest(key.as_bytes()), None).to_string().trim_start_matches("sha256:").to_owned()
}

pub(crate) fn developer(consumer: &Consumer) -> Principal {
    let (organisation, consumer) = (Some(consumer.organisation.clone()), Some(consumer.id.clone()));
    Principal { name: "admin_key:developer".to_owned(), role: Role::Developer, organisation, consumer, session: None }
}

pub(crate) fn operator(organisation: Option<&str>) -> Principal {
    let organisation = organisation.map(str::to_owned);
    Principal { name: "admin_key:operator".to_owned(), role: Role::Operator, organisation, consumer: None, session: None }
}

/// The fields that are wrong.
pub(crate) fn wrong<T: std::fmt::Debug>(result: Result<T, Failure>) -> Vec<String> {
    let Err(Failure::Invalid { problems }) = result else { panic!("{result:?}") };
    problems.into_iter().map(|problem| problem.field).collect()
}

/// The field that contradicts.
pub(crate) fn conflict<T: std::fmt::Debug>(result: Result<T, Failure>) -> &'static str {
    let Err(Failure::Conflict { field, .. }) = result else { panic!("{result:?}") };
    field
}

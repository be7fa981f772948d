//! Who may touch what: nobody reaches beyond the organisation or the consumer they are bound to.

use tollgate_server::admin_keys::{self, NewAdminKey};
use tollgate_server::api_keys::{self, ApiKeyPatch, Filter, NewOwnKey, Reach, Rotate};
use tollgate_server::consumers::{self, ConsumerPatch, NewConsumer};
use tollgate_server::failure::Failure;
use tollgate_server::nodes::{self, NewNodeCredential};
use tollgate_server::organisations::{self, NewOrganisation, OrganisationPatch};
use tollgate_server::page::Page;
use tollgate_server::permission::{Principal, Role};
use tollgate_server::tiers::{self, NewTier, TierBody};

use crate::setup::*;

/// Two organisations; `mine` has consumers `mine` and `sibling`, `theirs` has `theirs`; each consumer has a key.
struct Tenants {
    backend: Backend,
    mine: String,
    sibling: String,
    theirs: String,
}

async fn tenants() -> Tenants {
    let backend = Backend::new().await;
    let mut keys = Vec::new();
    for (consumer, organisation) in [("mine", "mine"), ("sibling", "mine"), ("theirs", "theirs")] {
        if consumer == organisation {
            backend.organisation(organisation).await;
        }
        backend.consumer_of(consumer, organisation).await;
        keys.push(backend.key(consumer).await.key.id);
    }
    let [mine, sibling, theirs] = keys.try_into().unwrap();
    Tenants { backend, mine, sibling, theirs }
}

/// Does everything one can do to a key; answers what came of it.
async fn touch(backend: &Backend, principal: &Principal, reach: Reach, id: &str) -> [Option<Failure>; 4] {
    [
        api_keys::get(&backend.store, principal, reach, id).await.err(),
        committed!(backend, |write| api_keys::update(write, &backend.store, principal, id, None, ApiKeyPatch::default())).err(),
        committed!(backend, |write| api_keys::rotate(write, &backend.secrets, principal, reach, id, Rotate::default())).err(),
        committed!(backend, |write| api_keys::revoke(write, principal, reach, id, None)).err(),
    ]
}

#[tokio::test]
async fn a_developer_reaches_the_keys_of_its_consumer_alone() {
    let Tenants { backend, mine, sibling, theirs } = tenants().await;
    let developer = developer(&consumers::get(&backend.store, &backend.admin, "mine").await.unwrap());
    for reach in [Reach::Own, Reach::All] {
        let listed = api_keys::list(&backend.store, &developer, reach, &Filter::default(), &Page::default()).await.unwrap();
        assert_eq!(listed.items.iter().map(|key| &key.id).collect::<Vec<_>>(), [&mine], "{reach:?}");
        for other in [&sibling, &theirs] {
            assert_eq!(touch(&backend, &developer, reach, other).await, [const { Some(Failure::NotFound) }; 4], "{reach:?}");
        }
    }
    let filter = Filter { consumer: Some("sibling".to_owned()) };
    let listed = api_keys::list(&backend.store, &developer, Reach::All, &filter, &Page::default()).await.unwrap();
    assert_eq!(listed.items, []);
    let made = committed!(backend, |write| api_keys::create_own(write, &backend.secrets, &developer, NewOwnKey::default())).unwrap();
    assert_eq!(made.key.consumer, "mine");
    assert_eq!(touch(&backend, &developer, Reach::Own, &mine).await, [const { None }; 4]);
    let made = committed!(backend, |write| api_keys::create(write, &backend.secrets, &developer, new_key("sibling")));
    assert_eq!(wrong(made), ["consumer"]);
}

#[tokio::test]
async fn whoever_has_no_consumer_has_no_keys_of_their_own() {
    let Tenants { backend, mine, .. } = tenants().await;
    let listed = api_keys::list(&backend.store, &backend.admin, Reach::Own, &Filter::default(), &Page::default()).await;
    assert_eq!(conflict(listed), "consumer");
    let made = committed!(backend, |write| api_keys::create_own(write, &backend.secrets, &backend.admin, NewOwnKey::default()));
    assert_eq!(conflict(made), "consumer");
    assert_eq!(conflict(committed!(backend, |write| api_keys::revoke(write, &backend.admin, Reach::Own, &mine, None))), "consumer");
}

#[tokio::test]
async fn an_operator_of_an_organisation_reaches_its_consumers_and_keys_alone() {
    let Tenants { backend, mine, theirs, .. } = tenants().await;
    let operator = operator(Some("mine"));
    let listed = consumers::list(&backend.store, &operator, &consumers::Filter::default(), &Page::default()).await.unwrap();
    assert_eq!(listed.items.iter().map(|consumer| consumer.id.as_str()).collect::<Vec<_>>(), ["mine", "sibling"]);
    let filter = consumers::Filter { organisation: Some("theirs".to_owned()), tier: None };
    assert_eq!(consumers::list(&backend.store, &operator, &filter, &Page::default()).await.unwrap().items, []);
    let listed = api_keys::list(&backend.store, &operator, Reach::All, &Filter::default(), &Page::default()).await.unwrap();
    assert_eq!(listed.items.len(), 2);
    assert_eq!(touch(&backend, &operator, Reach::All, &theirs).await, [const { Some(Failure::NotFound) }; 4]);
    assert_eq!(touch(&backend, &operator, Reach::All, &mine).await, [const { None }; 4]);

    assert_eq!(consumers::get(&backend.store, &operator, "theirs").await, Err(Failure::NotFound));
    let update = committed!(backend, |write| consumers::update(write, &operator, "theirs", None, ConsumerPatch::default()));
    assert_eq!(update, Err(Failure::NotFound));
    assert_eq!(committed!(backend, |write| consumers::delete(write, &operator, "theirs", None)), Err(Failure::NotFound));
    let made = committed!(backend, |write| api_keys::create(write, &backend.secrets, &operator, new_key("theirs")));
    assert_eq!(wrong(made), ["consumer"], "as if there were none");
    let new = |organisation: Option<&str>| NewConsumer { organisation: organisation.map(str::to_owned), ..NewConsumer::new("New", "free") };
    let made = committed!(backend, |write| consumers::create(write, &operator, new(Some("theirs"))));
    assert_eq!(wrong(made), ["organisation"], "as if there were none");
    assert_eq!(committed!(backend, |write| consumers::create(write, &operator, new(None))).unwrap().organisation, "mine");
}

#[tokio::test]
async fn whoever_is_bound_to_an_organisation_sees_that_one_and_does_nothing_that_concerns_all() {
    let Tenants { backend, .. } = tenants().await;
    let operator = operator(Some("mine"));
    let listed = organisations::list(&backend.store, &operator, &Page::default()).await.unwrap();
    assert_eq!(listed.items.iter().map(|organisation| organisation.id.as_str()).collect::<Vec<_>>(), ["mine"]);
    assert!(organisations::get(&backend.store, &operator, "mine").await.is_ok());
    assert_eq!(organisations::get(&backend.store, &operator, "theirs").await, Err(Failure::NotFound));

    let organisation = NewOrganisation { id: None, name: "New".to_owned() };
    let admin_key: NewAdminKey = serde_json::from_value(serde_json::json!({"role": "viewer"})).unwrap();
    let tier = NewTier { name: "new".to_owned(), limits: Vec::new(), self_service: false };
    let page = Page::default();
    let forbidden = [
        committed!(backend, |write| organisations::create(write, &operator, organisation)).err(),
        committed!(backend, |write| organisations::update(write, &operator, "mine", None, OrganisationPatch::default())).err(),
        committed!(backend, |write| tiers::create(write, &operator, tier)).err(),
        committed!(backend, |write| tiers::put(write, &operator, "free", None, TierBody::default())).err(),
        committed!(backend, |write| tiers::delete(write, &operator, "pro", None)).err(),
        committed!(backend, |write| admin_keys::create(write, &backend.secrets, &operator, admin_key)).err(),
        committed!(backend, |write| admin_keys::revoke(write, &operator, "any")).err(),
        committed!(backend, |write| nodes::create_credential(write, &backend.secrets, &operator, NewNodeCredential::default())).err(),
        committed!(backend, |write| nodes::revoke_credential(write, &operator, "any")).err(),
        nodes::list(&backend.store, &operator, &page).await.err(),
        nodes::credentials(&backend.store, &operator, &page).await.err(),
    ];
    assert_eq!(forbidden, [const { Some(Failure::Forbidden) }; 11]);
    assert!(tiers::get(&backend.store, &operator, "free").await.is_ok(), "tiers are everybody's to see");
}

#[tokio::test]
async fn admin_keys_are_seen_by_those_they_are_bound_with() {
    let Tenants { backend, .. } = tenants().await;
    let bound =
        [("viewer", Some("mine"), None), ("viewer", Some("theirs"), None), ("developer", None, Some("sibling")), ("admin", None, None)];
    let mut ids = Vec::new();
    for (role, organisation, consumer) in bound {
        let new = serde_json::json!({"role": role, "organisation": organisation, "consumer": consumer});
        let new: NewAdminKey = serde_json::from_value(new).unwrap();
        ids.push(committed!(backend, |write| admin_keys::create(write, &backend.secrets, &backend.admin, new)).unwrap().key.id);
    }
    let seen = async |principal: &Principal| {
        let listed = admin_keys::list(&backend.store, principal, &Page::default()).await.unwrap();
        listed.items.into_iter().map(|key| key.id).collect::<Vec<_>>()
    };
    assert_eq!(seen(&backend.admin).await, ids);
    assert_eq!(seen(&operator(Some("mine"))).await, [ids[0].clone(), ids[2].clone()]);
    let developer = developer(&consumers::get(&backend.store, &backend.admin, "sibling").await.unwrap());
    assert_eq!(seen(&developer).await, [ids[2].clone()]);
    assert_eq!(developer.role, Role::Developer);
}

#[tokio::test]
async fn a_developer_makes_no_consumers() {
    let Tenants { backend, .. } = tenants().await;
    let developer = developer(&consumers::get(&backend.store, &backend.admin, "mine").await.unwrap());
    let new: NewConsumer = serde_json::from_value(serde_json::json!({"name": "New", "tier": "free"})).unwrap();
    assert_eq!(committed!(backend, |write| consumers::create(write, &developer, new)), Err(Failure::Forbidden));
}

//! Organisations: made, renamed, listed.

use tollgate_server::failure::Failure;
use tollgate_server::organisations::{self, NewOrganisation, OrganisationPatch};
use tollgate_server::page::Page;

use crate::setup::*;

fn named(id: Option<&str>, name: &str) -> NewOrganisation {
    NewOrganisation { id: id.map(str::to_owned), name: name.to_owned() }
}

#[tokio::test]
async fn there_is_one_from_the_start() {
    let backend = Backend::new().await;
    let default = organisations::get(&backend.store, &backend.admin, "default").await.unwrap();
    assert_eq!((default.version, default.created_at), (1, backend.now()));
}

#[tokio::test]
async fn one_is_made_with_an_id_or_without() {
    let backend = Backend::new().await;
    let acme = committed!(backend, |write| organisations::create(write, &backend.admin, named(Some("acme"), "Acme"))).unwrap();
    let random = committed!(backend, |write| organisations::create(write, &backend.admin, named(None, "Acme"))).unwrap();
    assert_eq!(organisations::get(&backend.store, &backend.admin, "acme").await.unwrap(), acme);
    assert!(random.id.strip_prefix("org_").is_some_and(|id| id.len() == 16), "{}", random.id);
    let again = committed!(backend, |write| organisations::create(write, &backend.admin, named(Some("acme"), "Other")));
    assert_eq!(conflict(again), "id");
    let listed = organisations::list(&backend.store, &backend.admin, &Page::default()).await.unwrap();
    let ids: Vec<_> = listed.items.iter().map(|organisation| organisation.id.as_str()).collect();
    assert_eq!(ids, ["default", "acme", random.id.as_str()], "in the order they were made");
}

#[tokio::test]
async fn wrong_fields_are_all_named() {
    let backend = Backend::new().await;
    let new = committed!(backend, |write| organisations::create(write, &backend.admin, named(Some("a b"), "")));
    assert_eq!(wrong(new), ["id", "name"]);
    let patch = OrganisationPatch { name: Some("\n".to_owned()) };
    assert_eq!(wrong(committed!(backend, |write| organisations::update(write, &backend.admin, "default", None, patch))), ["name"]);
}

#[tokio::test]
async fn an_update_of_a_version_that_is_over_changes_nothing() {
    let backend = Backend::new().await;
    let rename = |name: &str| OrganisationPatch { name: Some(name.to_owned()) };
    let first = committed!(backend, |write| organisations::update(write, &backend.admin, "default", Some(1), rename("A"))).unwrap();
    assert_eq!((first.name.as_str(), first.version), ("A", 2));
    let stale = committed!(backend, |write| organisations::update(write, &backend.admin, "default", Some(1), rename("B")));
    assert_eq!(stale, Err(Failure::Stale));
    let same = committed!(backend, |write| organisations::update(write, &backend.admin, "default", None, rename("A"))).unwrap();
    assert_eq!(same.version, 2, "nothing changed");
    assert_eq!(organisations::get(&backend.store, &backend.admin, "default").await.unwrap(), first);
    let missing = committed!(backend, |write| organisations::update(write, &backend.admin, "nobody", None, rename("B")));
    assert_eq!(missing, Err(Failure::NotFound));
}

//! Lists, walked page by page.

use proptest::prelude::*;
use tollgate_server::api_keys::{self, Filter, Reach};
use tollgate_server::failure::Failure;
use tollgate_server::page::{Listing, Page};
use tollgate_server::{consumers, organisations, tiers};

use crate::setup::*;

fn page(limit: u32, after: Option<String>) -> Page {
    Page { limit: Some(limit), after }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Items that are there from the start to the end come once each and in order, whatever is added or deleted meanwhile.
    #[test]
    fn walking_all_pages_gives_each_item_once(count in 0_usize..12, limit in 1_u32..6, meanwhile in prop::collection::vec(0_u8..3, 12)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let backend = Backend::new().await;
            let mut staying: Vec<String> = Vec::new();
            for number in 0..count {
                staying.push(backend.consumer(&format!("c{number}")).await.id);
            }
            let (mut walked, mut after, mut pages) = (Vec::new(), None, 0);
            loop {
                let listing = consumers::list(&backend.store, &backend.admin, &Default::default(), &page(limit, after)).await.unwrap();
                prop_assert!(listing.items.len() <= limit as usize);
                prop_assert!(listing.next.is_none() || listing.items.len() == limit as usize, "only the last page may be short");
                walked.extend(listing.items.into_iter().map(|consumer| consumer.id));
                let Some(next) = listing.next else { break };
                match meanwhile.get(pages) {
                    Some(1) => drop(backend.consumer(&format!("new{pages}")).await),
                    // Also the one that the next page begins after.
                    Some(2) => {
                        committed!(backend, |write| consumers::delete(write, &backend.admin, &next, None)).unwrap();
                        staying.retain(|id| *id != next);
                    }
                    _ => {}
                }
                (after, pages) = (Some(next), pages + 1);
            }
            let mut unique = walked.clone();
            unique.sort();
            unique.dedup();
            prop_assert_eq!(unique.len(), walked.len(), "one came twice: {:?}", walked);
            let of_those_staying: Vec<_> = walked.into_iter().filter(|id| staying.contains(id)).collect();
            prop_assert_eq!(of_those_staying, staying);
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn a_page_has_from_1_to_200_items_and_50_where_nothing_is_said() {
    let backend = Backend::new().await;
    backend.consumer("acme").await;
    let mut each = |_: &str| {};
    let mut write = backend.store.begin().await.unwrap();
    api_keys::load(&mut write, &backend.secrets, &backend.admin, "acme", 201, &mut each).await.unwrap();
    write.commit().await.unwrap();
    let list = async |page: &Page| api_keys::list(&backend.store, &backend.admin, Reach::All, &Filter::default(), page).await;
    assert_eq!(list(&Page::default()).await.unwrap().items.len(), 50);
    assert_eq!(list(&page(200, None)).await.unwrap().items.len(), 200);
    for limit in [0, 201] {
        assert_eq!(wrong(list(&page(limit, None)).await), ["limit"]);
    }
}

#[tokio::test]
async fn the_last_page_says_so_even_when_it_is_full() {
    let backend = Backend::new().await;
    let two = tiers::list(&backend.store, &backend.admin, &page(2, None)).await.unwrap();
    assert_eq!(two.next.as_deref(), Some("basic"));
    let last = tiers::list(&backend.store, &backend.admin, &page(2, two.next)).await.unwrap();
    assert_eq!((last.items.len(), last.next), (2, None));
}

#[tokio::test]
async fn a_page_after_what_never_was_is_refused() {
    let backend = Backend::new().await;
    let nowhere = page(10, Some("nobody".to_owned()));
    let after: [Result<usize, Failure>; 2] = [
        organisations::list(&backend.store, &backend.admin, &nowhere).await.map(|listing: Listing<_>| listing.items.len()),
        consumers::list(&backend.store, &backend.admin, &Default::default(), &nowhere).await.map(|listing| listing.items.len()),
    ];
    for listing in after {
        assert_eq!(wrong(listing), ["after"]);
    }
}

#[tokio::test]
async fn a_page_begins_after_nothing_that_is_outside_of_the_callers_reach() {
    let backend = Backend::new().await;
    let (own, other) = (backend.consumer("own").await, backend.consumer("other").await);
    let (own_key, other_key) = (backend.key("own").await.key.id, backend.key("other").await.key.id);
    let developer = developer(&own);
    let after =
        async |id: &str| api_keys::list(&backend.store, &developer, Reach::Own, &Filter::default(), &page(10, Some(id.to_owned()))).await;
    assert_eq!(after(&own_key).await.unwrap().items, []);
    assert_eq!(wrong(after(&other_key).await), wrong(after("nobody").await));
    let north = operator(Some("north"));
    for id in [&other.id, "nobody"] {
        assert_eq!(wrong(consumers::list(&backend.store, &north, &Default::default(), &page(10, Some(id.to_owned()))).await), ["after"]);
    }
    let default = operator(Some("default"));
    consumers::list(&backend.store, &default, &Default::default(), &page(10, Some(other.id.clone()))).await.unwrap();
}

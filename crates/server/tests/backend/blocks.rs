//! Blocks: what a node is believed, what an operator says, and what other nodes are told.

use std::time::Duration;

use tollgate_core::wire::{BlockChange, Effect, Hello, Offence, Report};
use tollgate_server::blocks::{self, Block, IDENTITIES_A_MINUTE, NETWORKS_A_MINUTE, NewApproval, NewBlock};
use tollgate_server::changes;
use tollgate_server::failure::Failure;
use tollgate_server::nodes::{self, Incarnation, NewNodeCredential};
use tollgate_server::page::Page;
use tollgate_server::permission::Principal;
use tollgate_server::reports;

use crate::setup::*;

async fn node(backend: &Backend, secret: char) -> Incarnation {
    let made = committed!(backend, |write| nodes::create_credential(write, &backend.secrets, &backend.admin, NewNodeCredential::default()))
        .unwrap();
    let secret = secret.to_string().repeat(32);
    let hello = Hello { incarnation_secret: secret, node: String::new(), module: String::new() };
    let welcome = committed!(backend, |write| nodes::hello(write, &backend.secrets, &made.credential, &hello)).unwrap();
    nodes::authorize(&backend.store, &backend.secrets, &welcome.token).unwrap()
}

fn offence(subject: &str) -> Offence {
    Offence {
        subject: subject.to_owned(),
        signal: "unknown_key".to_owned(),
        score: 100,
        first_ms: 60_000,
        longest_ms: 86_400_000,
        forgotten_ms: 86_400_000,
        shadow: false,
    }
}

/// Reports offences; answers who is not to be blocked.
async fn report(backend: &Backend, node: &Incarnation, sequence: u64, abuse: Vec<Offence>) -> Vec<String> {
    let report = Report { sequence, abuse, ..Report::default() };
    committed!(backend, |write| reports::apply(write, node, &report)).unwrap().unblocked
}

async fn listed(backend: &Backend, principal: &Principal, past: bool) -> Vec<Block> {
    blocks::list(&backend.store, principal, false, past, &Page { limit: Some(200), after: None }).await.unwrap().items
}

fn new(subject: &str) -> NewBlock {
    NewBlock { subject: subject.to_owned(), effect: None, reason: String::new(), ends_at: None }
}

fn approval(subject: &str) -> NewApproval {
    NewApproval { subject: subject.to_owned(), reason: String::new(), ends_at: None }
}

/// How many events of an action there are.
async fn events(backend: &Backend, action: &str) -> i64 {
    let query = sqlx::query_scalar("SELECT count(*) FROM events WHERE action = ?").bind(action.to_owned());
    query.fetch_one(&backend.raw().await).await.unwrap()
}

/// What nodes are told of blocks since a revision.
async fn told(backend: &Backend, after: u64) -> Vec<BlockChange> {
    let changes = changes::after(&backend.store, Some(after.into()), Duration::ZERO).await.unwrap();
    changes.changes.into_iter().filter_map(|change| change.block).collect()
}

#[tokio::test]
async fn a_node_s_block_is_told_to_all_grows_with_each_repeat_and_is_forgotten() {
    let backend = Backend::new().await;
    let (one, other) = (node(&backend, 'a').await, node(&backend, 'b').await);
    let mut lasted = Vec::new();
    for sequence in 1..=4 {
        assert!(report(&backend, &one, sequence, vec![offence("address:192.0.2.7")]).await.is_empty());
        // The same from another node, and once more: it is one block.
        report(&backend, &other, sequence, vec![offence("address:192.0.2.7/32")]).await;
        let [block] = &listed(&backend, &backend.admin, false).await[..] else { panic!("one block") };
        assert_eq!((block.repeats, block.automatic, block.effect.as_str()), (u32::try_from(sequence).unwrap(), true, "unknown"));
        assert_eq!(block.origin, format!("node:{}", one.credential));
        let lasts = block.ends_at.unwrap().since(block.begins_at);
        lasted.push(lasts.as_secs());
        backend.clock.advance(lasts);
        blocks::sweep(&backend.store).await.unwrap();
        assert!(listed(&backend, &backend.admin, false).await.is_empty(), "it has ended");
    }
    assert_eq!(lasted, [60, 120, 240, 480]);
    assert_eq!(listed(&backend, &backend.admin, true).await.len(), 4);
    backend.clock.advance(Duration::from_secs(86_400));
    report(&backend, &one, 5, vec![offence("address:192.0.2.7")]).await;
    assert_eq!(listed(&backend, &backend.admin, false).await[0].repeats, 1);
    let told = told(&backend, 0).await;
    assert_eq!(told.len(), 5);
    assert_eq!(
        told[4],
        BlockChange { subject: "address:192.0.2.7/32".to_owned(), automatic: true, ends_in_ms: Some(60_000), ..Default::default() }
    );
    assert!(told[..4].iter().all(|change| change.lifted), "nothing is told again that has ended");
    assert_eq!(events(&backend, "blocks:create").await, 5);
}

#[tokio::test]
async fn a_node_is_not_believed_everything() {
    let backend = Backend::new().await;
    let node = node(&backend, 'a').await;
    backend.consumer("acme").await;
    committed!(backend, |write| blocks::approve(write, &backend.admin, approval("address:198.51.100.0/25"))).unwrap();
    committed!(backend, |write| blocks::approve(write, &backend.admin, approval("consumer:acme"))).unwrap();
    let refused = [
        "address:0.0.0.0/0",
        "address:10.0.0.0/8",
        "address:2001:db8::/32",
        "address:198.51.100.7",
        "address:198.51.100.0/24",
        "consumer:acme",
        "consumer:nobody",
        "credential:none",
        "nonsense",
    ];
    let offences =
        refused.iter().map(|subject| offence(subject)).chain([Offence { signal: "whim".to_owned(), ..offence("address:192.0.2.1") }]);
    assert_eq!(report(&backend, &node, 1, offences.collect()).await.len(), refused.len() + 1);
    assert!(listed(&backend, &backend.admin, true).await.is_empty());
    // Only so many in a minute.
    for sequence in 0..3 {
        let many = (0..60).map(|number| offence(&format!("address:10.0.{sequence}.{number}"))).collect();
        // The others are the node's own: it may block them by itself.
        assert!(report(&backend, &node, 2 + sequence, many).await.is_empty());
        assert_eq!(listed(&backend, &backend.admin, false).await.len() as u64, NETWORKS_A_MINUTE);
    }
    for number in 0..12 {
        backend.consumer(&format!("c{number}")).await;
    }
    let consumers = (0..12).map(|number| offence(&format!("consumer:c{number}"))).collect();
    report(&backend, &node, 8, consumers).await;
    assert_eq!(listed(&backend, &backend.admin, false).await.len() as u64, NETWORKS_A_MINUTE + IDENTITIES_A_MINUTE);
    backend.clock.advance(Duration::from_secs(61));
    assert!(report(&backend, &node, 9, vec![offence("address:10.9.9.9")]).await.is_empty(), "the next minute");
    let too_many = Report { sequence: 10, abuse: vec![offence("address:10.9.9.9"); 65], ..Report::default() };
    let result = committed!(backend, |write| reports::apply(write, &node, &too_many));
    assert!(matches!(result, Err(Failure::Invalid { .. })));
    // Terms that no node may set.
    let odd = Offence { first_ms: 0, longest_ms: u64::MAX, forgotten_ms: 0, ..offence("address:10.9.9.10") };
    report(&backend, &node, 11, vec![odd]).await;
    let block = listed(&backend, &backend.admin, false).await.pop().unwrap();
    assert_eq!(block.ends_at.unwrap().since(block.begins_at), Duration::from_secs(1));
}

#[tokio::test]
async fn what_is_only_reported_is_listed_and_told_to_nobody() {
    let backend = Backend::new().await;
    let node = node(&backend, 'a').await;
    let shadow = Offence { shadow: true, ..offence("address:192.0.2.7") };
    for sequence in 1..5 {
        report(&backend, &node, sequence, vec![shadow.clone()]).await;
    }
    let [block] = &listed(&backend, &backend.admin, false).await[..] else { panic!("one report") };
    assert!(block.shadow);
    assert!(told(&backend, 0).await.is_empty() && blocks::live(&backend.store, 0).await.unwrap().blocks.is_empty());
    // It stands in no real block's way.
    report(&backend, &node, 9, vec![offence("address:192.0.2.7")]).await;
    assert_eq!(blocks::live(&backend.store, 0).await.unwrap().blocks.len(), 1);
}

#[tokio::test]
async fn an_operator_s_block_stands_until_it_is_lifted_and_what_is_lifted_is_forgiven() {
    let backend = Backend::new().await;
    let node = node(&backend, 'a').await;
    let block = committed!(backend, |write| blocks::create(write, &backend.admin, new("address:192.0.2.7"))).unwrap();
    assert_eq!((block.effect.as_str(), block.automatic, block.ends_at), ("all", false, None));
    assert!(report(&backend, &node, 1, vec![offence("address:192.0.2.7")]).await.is_empty());
    assert_eq!(listed(&backend, &backend.admin, true).await.len(), 1, "a node's word changes nothing about it");
    backend.clock.advance(Duration::from_secs(40 * 86_400));
    assert_eq!(blocks::live(&backend.store, 0).await.unwrap().blocks[0].effect, Effect::All);
    committed!(backend, |write| blocks::lift(write, &backend.admin, &block.id, false)).unwrap();
    assert_eq!(committed!(backend, |write| blocks::lift(write, &backend.admin, &block.id, false)), Err(Failure::NotFound));
    assert!(told(&backend, 0).await.iter().all(|change| change.lifted));
    for sequence in [2, 3] {
        report(&backend, &node, sequence, vec![offence("address:192.0.2.7")]).await;
        let own = listed(&backend, &backend.admin, false).await.remove(0);
        assert_eq!(own.repeats, 1, "forgiven");
        committed!(backend, |write| blocks::lift(write, &backend.admin, &own.id, false)).unwrap();
    }
    // An approval ends what a node began.
    report(&backend, &node, 4, vec![offence("address:192.0.2.7")]).await;
    let given = committed!(backend, |write| blocks::approve(write, &backend.admin, approval("address:192.0.2.7"))).unwrap();
    assert!(listed(&backend, &backend.admin, false).await.is_empty());
    assert_eq!(committed!(backend, |write| blocks::lift(write, &backend.admin, &given.id, false)), Err(Failure::NotFound), "no block");
    committed!(backend, |write| blocks::lift(write, &backend.admin, &given.id, true)).unwrap();
    assert_eq!((events(&backend, "blocks:lift").await, events(&backend, "approvals:create").await), (4, 1));
}

#[tokio::test]
async fn who_is_bound_to_an_organisation_sees_and_blocks_its_own_alone() {
    let backend = Backend::new().await;
    backend.organisation("north").await;
    backend.consumer_of("theirs", "north").await;
    backend.consumer("acme").await;
    let bound = Principal { organisation: Some("north".to_owned()), ..backend.admin.clone() };
    let blocks_as =
        async |principal: &Principal, subject: &str| committed!(backend, |write| blocks::create(write, principal, new(subject)));
    assert_eq!(blocks_as(&bound, "address:192.0.2.7").await, Err(Failure::Forbidden));
    assert!(matches!(blocks_as(&bound, "consumer:acme").await, Err(Failure::Invalid { .. })), "another's is not there for it");
    let own = blocks_as(&bound, "consumer:theirs").await.unwrap();
    let others = blocks_as(&backend.admin, "consumer:acme").await.unwrap();
    assert_eq!(listed(&backend, &bound, true).await, std::slice::from_ref(&own));
    assert_eq!(committed!(backend, |write| blocks::lift(write, &bound, &others.id, false)), Err(Failure::NotFound));
    committed!(backend, |write| blocks::lift(write, &bound, &own.id, false)).unwrap();
    for wrong in ["", "address:", "address:1.2.3", "tier:free", "consumer:a b", "consumer:nobody"] {
        assert!(matches!(blocks_as(&backend.admin, wrong).await, Err(Failure::Invalid { .. })), "{wrong}");
    }
    let past = NewBlock { ends_at: Some(backend.store.now().before(Duration::from_secs(1))), ..new("address:192.0.2.7") };
    assert!(matches!(committed!(backend, |write| blocks::create(write, &backend.admin, past)), Err(Failure::Invalid { .. })));
}

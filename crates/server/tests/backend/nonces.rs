//! Nonces: each is given once, by whichever backend of a store.

use std::sync::Arc;

use tollgate_core::wire::{LONGEST_NONCE_MS, MOST_NONCES, Nonce, TakeNonces};
use tollgate_server::failure::Failure;
use tollgate_server::nonces::{take, take_within};
use tollgate_server::store::Store;

use crate::setup::*;

fn nonce(number: usize, seconds: u64) -> Nonce {
    Nonce { sha256: format!("{number:064x}"), for_ms: seconds * 1_000 }
}

fn asked(numbers: impl IntoIterator<Item = usize>) -> TakeNonces {
    TakeNonces { nonces: numbers.into_iter().map(|number| nonce(number, 60)).collect() }
}

#[tokio::test]
async fn a_nonce_is_given_once_until_it_has_ended() {
    let backend = Backend::new().await;
    let got = async |numbers: &[usize]| take(&backend.store, &asked(numbers.iter().copied())).await.unwrap().first;
    assert_eq!(got(&[1, 2, 1]).await, [true, true, false], "also in one message");
    assert_eq!(got(&[2, 3]).await, [false, true]);
    backend.clock.advance(59 * SECOND);
    assert_eq!(got(&[1, 3]).await, [false, false]);
    backend.clock.advance(SECOND);
    assert_eq!(got(&[1, 1]).await, [true, false]);
    assert_eq!(got(&[]).await, [false; 0]);
}

#[tokio::test]
async fn two_backends_of_one_store_agree() {
    let backend = Backend::new().await;
    let other = Store::open(backend.dir.path(), Arc::new(backend.clock.clone())).await.unwrap();
    let mut tasks = Vec::new();
    for store in [&backend.store, &other, &backend.store, &other] {
        let store = store.clone();
        tasks.push(tokio::spawn(async move {
            let mut first = Vec::new();
            for number in 0..50 {
                first.extend(take(&store, &asked([number])).await.unwrap().first);
            }
            first
        }));
    }
    let mut taken = [0; 50];
    for task in tasks {
        task.await.unwrap().iter().zip(&mut taken).for_each(|(first, count)| *count += u32::from(*first));
    }
    assert_eq!(taken, [1; 50]);
    // Nor is anything forgotten with the process.
    drop(other);
    let restarted = Store::open(backend.dir.path(), Arc::new(backend.clock.clone())).await.unwrap();
    assert_eq!(take(&restarted, &asked([7, 77])).await.unwrap().first, [false, true]);
}

#[tokio::test]
async fn there_is_an_end_to_what_is_kept_and_nothing_is_pushed_out() {
    let backend = Backend::new().await;
    let got = async |number: usize| take_within(&backend.store, &asked([number]), 20).await;
    for number in 0..20 {
        assert_eq!(got(number).await.unwrap().first, [true]);
    }
    for number in [20, 0] {
        assert!(matches!(got(number).await, Err(Failure::Unavailable { .. })), "{number}");
    }
    backend.clock.advance(60 * SECOND);
    assert_eq!(got(20).await.unwrap().first, [true], "what has ended makes room");
    assert_eq!(got(0).await.unwrap().first, [true]);
}

#[tokio::test]
async fn what_no_node_asks_for_is_refused() {
    let backend = Backend::new().await;
    let refused = async |asked: TakeNonces| match take(&backend.store, &asked).await {
        Err(Failure::Invalid { problems }) => problems[0].field.clone(),
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("taken"),
    };
    assert_eq!(refused(asked(0..=MOST_NONCES)).await, "nonces");
    for sha256 in ["", "0", &"g".repeat(64), &"A".repeat(64), &"0".repeat(65)] {
        assert_eq!(refused(TakeNonces { nonces: vec![Nonce { sha256: sha256.to_owned(), for_ms: 1 }] }).await, "nonces[0].sha256");
    }
    for for_ms in [0, LONGEST_NONCE_MS + 1, u64::MAX] {
        assert_eq!(refused(TakeNonces { nonces: vec![nonce(1, 1), Nonce { for_ms, ..nonce(2, 1) }] }).await, "nonces[1].for_ms");
    }
    assert_eq!(take(&backend.store, &asked([1])).await.unwrap().first, [true], "none of them was taken");
}

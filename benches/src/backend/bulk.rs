//! Owns the loading of many consumers and keys into a data directory that nobody serves, through the backend's own operations.
//!
//! It keeps the keys in memory alone, to present them.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use serde_json::json;
use tollgate_server::clock::SystemClock;
use tollgate_server::consumers::{self, NewConsumer};
use tollgate_server::permission::Principal;
use tollgate_server::secrets::{KeyHashing, Secrets};
use tollgate_server::store::Store;
use tollgate_server::tiers::{self, TierBody};
use tollgate_server::{api_keys, failure};

/// Consumers with equally many keys each.
pub(crate) struct Group {
    /// What their ids begin with.
    pub(crate) name: &'static str,
    pub(crate) consumers: usize,
    pub(crate) keys_each: usize,
    /// Their tier: [`TIER`], [`METERED`], [`GLOBAL`] or one that every backend has.
    pub(crate) tier: &'static str,
}

/// Keys of one length, consumer by consumer.
#[derive(Default)]
pub(crate) struct Keys {
    text: String,
    length: usize,
}

/// A tier with the limit of the usual request's row, which nobody reaches.
pub(crate) const TIER: &str = "bench";
/// A tier with the same limit and a quota that nobody reaches.
pub(crate) const METERED: &str = "metered";
/// A tier with the same limit and a rate over all nodes that nobody reaches.
pub(crate) const GLOBAL: &str = "global";
/// A tier without limits.
pub(crate) const UNLIMITED: &str = "enterprise";
/// Keys in one transaction: with more, the write-ahead log would grow into gigabytes.
const TOGETHER: usize = 100_000;

/// Loads the groups, and gives the keys of each.
///
/// # Errors
/// When the backend's operations fail.
pub(crate) fn load(data: &Path, groups: &[Group]) -> Result<Vec<Keys>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(load_all(data, groups)).with_context(|| format!("loading keys into {}", data.display()))
}

async fn load_all(data: &Path, groups: &[Group]) -> Result<Vec<Keys>> {
    let secrets = Secrets::load(data, [], "foil", KeyHashing::default())?;
    let store = Store::open(data, Arc::new(SystemClock)).await?;
    let principal = Principal::backend("benches");
    let limit = json!({"name": "bench", "algorithm": "token_bucket", "rate": 1_000_000, "per": "1s", "burst": 1_000_000});
    let quota = json!({"name": "monthly", "algorithm": "quota", "rate": 1_000_000_000_000_u64, "per": "month"});
    let rate = json!({"name": "all", "algorithm": "token_bucket", "rate": 1_000_000, "per": "1s", "scope": "global"});
    let mut write = store.begin().await?;
    for (tier, limits) in [(TIER, json!([limit])), (METERED, json!([limit, quota])), (GLOBAL, json!([limit, rate]))] {
        let body = TierBody { limits: serde_json::from_value(limits)?, self_service: false };
        tiers::put(&mut write, &principal, tier, None, body).await.map_err(failed)?;
    }
    write.commit().await?;
    let mut loaded = Vec::new();
    for group in groups {
        let mut keys = Keys::default();
        let mut write = store.begin().await?;
        let mut uncommitted = 0;
        for number in 0..group.consumers {
            let id = format!("{}-{number}", group.name);
            let new = NewConsumer { id: Some(id.clone()), ..NewConsumer::new(&id, group.tier) };
            consumers::create(&mut write, &principal, new).await.map_err(failed)?;
            let mut left = group.keys_each;
            while left > 0 {
                let now = left.min(TOGETHER);
                api_keys::load(&mut write, &secrets, &principal, &id, now, &mut |key| keys.push(key)).await.map_err(failed)?;
                (left, uncommitted) = (left - now, uncommitted + now);
                if uncommitted >= TOGETHER {
                    write.commit().await?;
                    write = store.begin().await?;
                    uncommitted = 0;
                }
            }
        }
        write.commit().await?;
        if keys.len() != group.consumers * group.keys_each {
            bail!("{} keys of group {} instead of {} for each of {}", keys.len(), group.name, group.keys_each, group.consumers);
        }
        loaded.push(keys);
    }
    store.close().await;
    Ok(loaded)
}

// === impl Keys ===

impl Keys {
    /// How many.
    pub(crate) fn len(&self) -> usize {
        self.text.len().checked_div(self.length).unwrap_or(0)
    }

    /// Number `index`, counted from 0; empty where there is none.
    pub(crate) fn get(&self, index: usize) -> &str {
        self.text.get(index * self.length..(index + 1) * self.length).unwrap_or_default()
    }

    /// Adds a key; one of another length than the first is left out.
    pub(crate) fn push(&mut self, key: &str) {
        if self.text.is_empty() {
            self.length = key.len();
        }
        if key.len() == self.length {
            self.text.push_str(key);
        }
    }
}

fn failed(failure: failure::Failure) -> anyhow::Error {
    anyhow::anyhow!("{failure:?}")
}

#[cfg(test)]
mod tests {
    use super::Keys;

    #[test]
    fn keys_are_found_by_number() {
        let mut keys = Keys::default();
        ["aaa", "bbb", "odd one", "ccc"].into_iter().for_each(|key| keys.push(key));
        assert_eq!((keys.len(), keys.get(1), keys.get(2), keys.get(3)), (3, "bbb", "ccc", ""));
    }
}

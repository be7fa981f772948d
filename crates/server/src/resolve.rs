//! Owns the answers to "whose credential is this?" and "may this consumer pass?". Must not tell revoked, expired, disabled, deleted and
//! unknown apart.

use tollgate_core::wire::{Known, Resolve, ResolveConsumer, Resolved, ResolvedConsumer};

use crate::api_keys::unhex;
use crate::failure::Failure;
use crate::ledger::first;
use crate::nodes::Incarnation;
use crate::secrets::Secrets;
use crate::store::Store;
use crate::store::resolve::{self as reads, Found, by_hash, by_id};
use crate::words::is_id;

/// Whose a credential is, and the revision that was read at: both from one snapshot. The first leases of its consumer come with it, where the
/// node wants them.
///
/// # Errors
/// [`Failure::Invalid`] if the hash is none, or for leases that no node asks for; [`Failure::Unavailable`].
pub async fn resolve(store: &Store, secrets: &Secrets, node: &Incarnation, resolve: &Resolve) -> Result<Resolved, Failure> {
    let digest = unhex(&resolve.sha256).ok_or_else(|| Failure::invalid("sha256", "64 lower-case hexadecimal digits"))?;
    let mut answer = None;
    if let Some(id) = &resolve.id {
        // A key of the form of ours may be somebody else's, and imported. But one that we know by its id is judged by that alone, whatever
        // became of it: a revoked key must not pass for one that was imported under its hash.
        answer = Some(by_id(store, id).await?).filter(|answer| !matches!(answer.found, Found::Nothing));
    }
    let answer = match answer {
        Some(answer) => answer,
        None => by_hash(store, &secrets.hashes(&digest)).await?,
    };
    let unknown = Resolved { revision: answer.revision, ..Resolved::default() };
    let Found::Usable(found) = answer.found else {
        return Ok(unknown);
    };
    let now = store.now();
    let expired = found.expires_at.is_some_and(|expires_at| expires_at <= now);
    if expired || !secrets.matches(&found.hash, &digest).await? {
        return Ok(unknown);
    }
    let expires_in_ms = found.expires_at.map(|expires_at| u64::try_from(expires_at.since(now).as_millis()).unwrap_or(u64::MAX));
    // What a consumer no longer has none of its keys has.
    let scopes = found.scopes.into_iter().filter(|scope| found.granted.contains(scope)).collect();
    let roles = found.roles.into_iter().filter(|role| found.granted_roles.contains(role)).collect();
    let (addresses, consumer_addresses) = (found.addresses.document(), found.consumer_addresses.document());
    let (credential, consumer) = (found.id, found.consumer);
    let (limits, settled) = match &resolve.leases {
        Some(asked) => first(store, node, &consumer, &found.tier, asked).await?,
        None => (Vec::new(), None),
    };
    let known = Some(Known { credential, scopes, roles, addresses, expires_in_ms, consumer, tier: found.tier, consumer_addresses });
    Ok(Resolved { revision: answer.revision, known, limits, settled })
}

/// The tier of a consumer that an access token names, if it may pass, and the revision that was read at: both from one snapshot. Its first
/// leases come with it, where the node wants them.
///
/// # Errors
/// [`Failure::Invalid`] for leases that no node asks for; [`Failure::Unavailable`].
pub async fn resolve_consumer(store: &Store, node: &Incarnation, asked: &ResolveConsumer) -> Result<ResolvedConsumer, Failure> {
    // Whatever else a token may hold in place of an id is nobody's.
    let id = Some(asked.consumer.as_str()).filter(|id| is_id(id));
    let answer = reads::consumer(store, id).await?;
    let (limits, settled) = match (&asked.leases, &answer.tier) {
        (Some(wanted), Some(tier)) => first(store, node, &asked.consumer, tier, wanted).await?,
        (_, _) => (Vec::new(), None),
    };
    let addresses = answer.addresses.document();
    Ok(ResolvedConsumer { revision: answer.revision, tier: answer.tier, addresses, limits, settled })
}

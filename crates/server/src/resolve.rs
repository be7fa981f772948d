//! Owns the answers to "whose credential is this?" and "may this consumer pass?". Must not tell revoked, expired, disabled, deleted and
//! unknown apart.

use tollgate_core::wire::{FirstAsk, Known, Resolve, ResolveConsumer, ResolveCredential, Resolved, ResolvedConsumer};

use crate::api_keys::{account, told, unhex};
use crate::failure::Failure;
use crate::ledger::first;
use crate::nodes::Incarnation;
use crate::rotation::rehash;
use crate::secrets::Secrets;
use crate::signing::Signing;
use crate::store::Store;
use crate::store::resolve::{self as reads, Found, Usable, by_hash, by_id};
use crate::store::secret_versions::HashedIn;
use crate::words::is_id;

/// Whose a credential is, and the revision that was read at: both from one snapshot. The first leases of its consumer come with it, where the
/// node wants them. A node is told nothing of a credential that it would let pass without a signature, or without the credential's own limits, because it is
/// older than these.
///
/// # Errors
/// [`Failure::Invalid`] if the hash is none, or for leases that no node asks for; [`Failure::Unavailable`].
pub async fn resolve(store: &Store, secrets: &Secrets, node: &Incarnation, resolve: &Resolve) -> Result<Resolved, Failure> {
    let digest = unhex(&resolve.sha256).ok_or_else(|| Failure::invalid("sha256", "64 lower-case hexadecimal digits"))?;
    let (revision, found) = holder(store, secrets, resolve.id.as_deref(), &digest).await?;
    let found = found.filter(|found| may_know(found, resolve.checks_signatures, resolve.limits_credentials));
    answer(store, secrets, node, revision, found, resolve.leases.as_ref()).await
}

/// The credential of an id, which an access token of ours came from, and the revision that was read at.
///
/// # Errors
/// [`Failure::Invalid`] for leases that no node asks for; [`Failure::Unavailable`].
pub async fn resolve_credential(
    store: &Store,
    secrets: &Secrets,
    node: &Incarnation,
    asked: &ResolveCredential,
) -> Result<Resolved, Failure> {
    // Whatever else a token may hold in place of an id is nobody's.
    let id = if is_id(&asked.credential) { asked.credential.as_str() } else { "" };
    let (revision, found) = usable(store, id).await?;
    let found = found.filter(|found| may_know(found, asked.checks_signatures, asked.limits_credentials));
    answer(store, secrets, node, revision, found, asked.leases.as_ref()).await
}

/// Whether a node of these abilities may know of a key: it would let it pass without what it cannot judge.
fn may_know(found: &Usable, checks_signatures: bool, limits_credentials: bool) -> bool {
    (checks_signatures || found.signing != Signing::Required) && (limits_credentials || found.own.is_empty())
}

/// The key of an id, if it may pass, and the revision that was read at.
pub(crate) async fn usable(store: &Store, id: &str) -> Result<(u64, Option<Box<Usable>>), Failure> {
    let answer = by_id(store, id).await?;
    Ok((answer.revision, living(store, answer.found)))
}

/// The key whose SHA-256 this is, if it may pass, and the revision that was read at. `id` is the one inside it, where it has the form of ours.
pub(crate) async fn holder(
    store: &Store,
    secrets: &Secrets,
    id: Option<&str>,
    digest: &[u8; 32],
) -> Result<(u64, Option<Box<Usable>>), Failure> {
    let mut answer = None;
    if let Some(id) = id {
        // A key of the form of ours may be somebody else's, and imported. But one that we know by its id is judged by that alone, whatever
        // became of it: a revoked key must not pass for one that was imported under its hash.
        answer = Some(by_id(store, id).await?).filter(|answer| !matches!(answer.found, Found::Nothing));
    }
    let answer = match answer {
        Some(answer) => answer,
        None => by_hash(store, &secrets.hashes(digest)).await?,
    };
    let found = match living(store, answer.found) {
        Some(found) if secrets.matches(&found.hash, digest).await? => Some(found),
        Some(_) | None => None,
    };
    if let Some(found) = &found {
        rehash(store, secrets, HashedIn::ApiKeys, &found.id, &found.hash, digest).await;
    }
    Ok((answer.revision, found))
}

/// What may pass, with the scopes and roles that its consumer still has: what a consumer no longer has none of its keys has.
fn living(store: &Store, found: Found) -> Option<Box<Usable>> {
    let Found::Usable(mut found) = found else {
        return None;
    };
    let Usable { scopes, granted, roles, granted_roles, .. } = &mut *found;
    scopes.retain(|scope| granted.contains(scope));
    roles.retain(|role| granted_roles.contains(role));
    found.expires_at.is_none_or(|expires_at| expires_at > store.now()).then_some(found)
}

/// What a node is told, with the first leases of the consumer where it wants them.
async fn answer(
    store: &Store,
    secrets: &Secrets,
    node: &Incarnation,
    revision: u64,
    found: Option<Box<Usable>>,
    leases: Option<&FirstAsk>,
) -> Result<Resolved, Failure> {
    let Some(found) = found else {
        return Ok(Resolved { revision, ..Resolved::default() });
    };
    let now = store.now();
    let expires_in_ms = found.expires_at.map(|expires_at| u64::try_from(expires_at.since(now).as_millis()).unwrap_or(u64::MAX));
    let (addresses, consumer_addresses) = (found.addresses.document(), found.consumer_addresses.document());
    let signing = found.signing.tell(secrets, &found.id, found.signing_secret.as_deref())?;
    let Usable { id: credential, scopes, roles, consumer, tier, own, spends_as, .. } = *found;
    let account = (!own.is_empty()).then(|| account(&consumer, &credential, spends_as.as_deref()));
    let (limits, settled) = match leases {
        Some(asked) => first(store, node, &consumer, &tier, asked).await?,
        None => (Vec::new(), None),
    };
    let known = Some(Known {
        credential,
        scopes,
        roles,
        addresses,
        expires_in_ms,
        consumer,
        tier,
        consumer_addresses,
        signing,
        own: told(own),
        account,
    });
    Ok(Resolved { revision, known, limits, settled })
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

//! Owns blocks and approvals: who is refused everywhere, for how long, and who never is by a node's word alone. Must not know how a node
//! finds abuse.
//!
//! A node is believed within bounds: it can block single clients, their networks (/24, /48), and consumers and credentials that there are,
//! nobody who is approved, and only so many in a minute.

use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use tollgate_core::abuse::{Signal, Subject, Terms, sentence};
use tollgate_core::wire::{self, BlockChange, Effect, MOST_BLOCKS, MOST_OFFENCES, Offence};

use crate::audit::noted::Noted;
use crate::clock::Time;
use crate::failure::{Failure, Problems};
use crate::nodes::Incarnation;
use crate::page::{Listing, Page};
use crate::permission::Principal;
use crate::secrets::random_id;
use crate::store::blocks as rows;
use crate::store::changes::{Kind, publish};
use crate::store::{self, Reader, Store, Write};

pub use crate::store::blocks::Block;

/// Automatic blocks of networks that a node's credential may begin in a minute: an attack from more addresses blocks the rest in the next.
pub const NETWORKS_A_MINUTE: u64 = 60;
/// The same of consumers and credentials, whose number is small.
pub const IDENTITIES_A_MINUTE: u64 = 10;
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);
/// How long it is remembered who was blocked: as long as hourly usage.
const KEPT: Duration = Duration::from_secs(90 * 86_400);
/// Bytes of a reason.
const LONGEST_REASON: usize = 256;

/// Somebody to be blocked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewBlock {
    /// Who: `address:192.0.2.7`, `address:192.0.2.0/24`, `consumer:<id>`, `credential:<id>`.
    pub subject: String,
    /// Of an address: `all` requests are refused, or those without a credential that is known to be good (`unknown`). Default: `all`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<BlockEffect>,
    /// Why: at most 256 characters.
    #[serde(default)]
    pub reason: String,
    /// When it ends. Default: when it is lifted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Time>,
}

/// What a block refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BlockEffect {
    /// What has no credential that is known to be good.
    Unknown,
    /// Everything.
    All,
}

/// Somebody never to be blocked automatically.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewApproval {
    /// Who: as of a block.
    pub subject: String,
    /// Why: at most 256 characters.
    #[serde(default)]
    pub reason: String,
    /// When it ends. Default: when it is taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Time>,
}

/// Blocks, or approvals; `past`: also those that are over.
///
/// # Errors
/// [`Failure::Invalid`] for a page that cannot be.
pub async fn list(store: &Store, principal: &Principal, approvals: bool, past: bool, page: &Page) -> Result<Listing<Block>, Failure> {
    let organisation = principal.organisation.as_deref();
    let rows = rows::list(&mut store.read().await?, page.window()?, approvals, organisation, past).await?;
    page.of(rows, |row| row, |block: &Block| &block.id)
}

/// Blocks somebody at once, in the place of any other block.
///
/// # Errors
/// [`Failure::Invalid`]; [`Failure::Forbidden`] for an address to principals bound to an organisation.
pub async fn create(write: &mut Write, principal: &Principal, new: NewBlock) -> Result<Block, Failure> {
    let effect = new.effect.unwrap_or(BlockEffect::All);
    let mut problems = Problems::default();
    if effect == BlockEffect::Unknown {
        problems.check(new.subject.starts_with("address:"), "effect", "`all` for consumers and credentials");
    }
    let effect = if effect == BlockEffect::All { "all" } else { "unknown" };
    let (block, before) = put(write, principal, problems, (new.subject, effect, new.reason, new.ends_at)).await?;
    write.note(principal, "blocks:create", &block.subject, told(before.as_ref(), Some(&block))).await?;
    Ok(block)
}

/// Approves somebody: no node blocks it, and an automatic block of it ends.
///
/// # Errors
/// As for [`create`].
pub async fn approve(write: &mut Write, principal: &Principal, new: NewApproval) -> Result<Block, Failure> {
    let (block, before) = put(write, principal, Problems::default(), (new.subject, "approve", new.reason, new.ends_at)).await?;
    let blocked = rows::newest(write, &block.subject, false, false).await?;
    if let Some(blocked) = blocked.filter(|blocked| blocked.automatic && blocked.is_live(write.now())) {
        end(write, principal, &blocked).await?;
        write.note(principal, "blocks:lift", &block.subject, told(Some(&blocked), None)).await?;
    }
    write.note(principal, "approvals:create", &block.subject, told(before.as_ref(), Some(&block))).await?;
    Ok(block)
}

/// Lifts a block, or takes an approval back: in force at once on all nodes. What was counted against its subject is forgotten.
///
/// # Errors
/// [`Failure::NotFound`], also for one that is over.
pub async fn lift(write: &mut Write, principal: &Principal, id: &str, approval: bool) -> Result<(), Failure> {
    let found = rows::get(write, id).await?.filter(|block| (block.does() == Effect::Approve) == approval);
    let reached = |block: &Block| principal.organisation.is_none() || block.organisation == principal.organisation;
    let block = found.filter(|block| reached(block) && block.is_live(write.now())).ok_or(Failure::NotFound)?;
    end(write, principal, &block).await?;
    let action = if approval { "approvals:delete" } else { "blocks:lift" };
    write.note(principal, action, &block.subject, told(Some(&block), None)).await?;
    Ok(())
}

/// Those in force after a position, for a node.
///
/// # Errors
/// [`Failure::Unavailable`].
pub async fn live(store: &Store, after: u64) -> Result<wire::Blocks, Failure> {
    let mut snapshot = store.snapshot().await?;
    let revision = store::changes::newest(&mut snapshot).await?;
    let most = u32::try_from(MOST_BLOCKS).unwrap_or(u32::MAX);
    let rows = rows::live(&mut snapshot, i64::try_from(after).unwrap_or(i64::MAX), most, store.now()).await?;
    let next = rows.last().filter(|_| rows.len() >= MOST_BLOCKS).and_then(|(seq, _)| u64::try_from(*seq).ok());
    let blocks = rows.iter().map(|(_, block)| change(block, store.now())).collect();
    Ok(wire::Blocks { revision, blocks, next })
}

/// What nodes are told of a block.
pub(crate) fn change(block: &Block, now: Time) -> BlockChange {
    BlockChange {
        subject: block.subject.clone(),
        effect: block.does(),
        automatic: block.automatic,
        ends_in_ms: block.ends_at.map(|ends_at| u64::try_from(ends_at.since(now).as_millis()).unwrap_or(u64::MAX)),
        lifted: !block.is_live(now),
    }
}

/// Takes what a node has detected; answers whom it must not block.
///
/// # Errors
/// [`Failure::Invalid`] for too many offences.
pub(crate) async fn take(write: &mut Write, node: &Incarnation, offences: &[Offence]) -> Result<Vec<String>, Failure> {
    let mut unblocked = Vec::new();
    for offence in offences {
        if !take_one(write, node, offence).await? && !offence.shadow {
            unblocked.push(offence.subject.clone());
        }
    }
    Ok(unblocked)
}

pub(crate) fn judge(offences: &[Offence]) -> Result<(), Failure> {
    if offences.len() > MOST_OFFENCES {
        return Err(Failure::invalid("abuse", format!("{} entries; at most {MOST_OFFENCES}", offences.len())));
    }
    Ok(())
}

/// Whether the node may block for an offence.
async fn take_one(write: &mut Write, node: &Incarnation, offence: &Offence) -> Result<bool, Failure> {
    let now = write.now();
    let subject = offence.subject.parse::<Subject>().ok().filter(Subject::may_be_automatic);
    let (Some(subject), Some(signal)) = (subject, Signal::of(&offence.signal)) else {
        return Ok(false);
    };
    let Some(organisation) = organisation(write, &subject).await? else {
        return Ok(false);
    };
    if is_approved(write, &subject, now).await? {
        return Ok(false);
    }
    let origin = format!("node:{}", node.credential);
    let networks = matches!(subject, Subject::Address(_));
    let most = if networks { NETWORKS_A_MINUTE } else { IDENTITIES_A_MINUTE };
    if rows::begun_since(write, &origin, now.before(MINUTE), networks).await? >= most {
        // The node may go on with it by itself; the others do not hear of it.
        metrics::counter!("tollgate_blocks_refused_total").increment(1);
        return Ok(true);
    }
    let name = subject.to_string();
    let last = rows::newest(write, &name, false, offence.shadow).await?;
    if last.as_ref().is_some_and(|last| last.is_live(now)) {
        // An operator's word, or another node's: it stays.
        return Ok(true);
    }
    // What an operator lifted is forgiven.
    let last = last.filter(|last| last.automatic && last.lifted_at.is_none());
    let quiet = last.as_ref().and_then(|last| last.ends_at).map_or(Duration::MAX, |ended| now.since(ended));
    let milliseconds = |given: u64, most: Duration| u64::try_from(most.as_millis()).map_or(given, |most| given.clamp(1_000, most));
    let terms = Terms {
        first: milliseconds(offence.first_ms, DAY),
        longest: milliseconds(offence.longest_ms, 30 * DAY),
        forgotten_after: milliseconds(offence.forgotten_ms, 30 * DAY),
    };
    let quiet = u64::try_from(quiet.as_millis()).unwrap_or(u64::MAX);
    let sentence = sentence(&terms, last.map_or(0, |last| last.repeats), quiet);
    let block = Block {
        id: format!("blk_{}", random_id(16)?),
        subject: name,
        effect: if networks { "unknown" } else { "all" }.to_owned(),
        reason: signal.code().to_owned(),
        score: offence.score.min(1_000_000),
        organisation,
        origin: origin.clone(),
        automatic: true,
        shadow: offence.shadow,
        repeats: sentence.repeats,
        begins_at: now,
        ends_at: Some(now.after(Duration::from_millis(sentence.lasts))),
        lifted_at: None,
        lifted_by: None,
    };
    rows::insert(write, &block).await?;
    if !block.shadow {
        publish(write, Kind::Block, &block.id).await?;
    }
    let action = if block.shadow { "blocks:report" } else { "blocks:create" };
    metrics::counter!("tollgate_blocks_total", "signal" => signal.code(), "shadow" => if block.shadow { "yes" } else { "no" }).increment(1);
    write.note(&Principal::backend(&origin), action, &block.subject, told(None, Some(&block))).await?;
    Ok(true)
}

/// Marks blocks that have ended, and counts those in force. Nodes end them by themselves.
///
/// # Errors
/// [`Failure::Unavailable`].
pub async fn sweep(store: &Store) -> Result<(), Failure> {
    let ended = rows::any_ended(&mut store.read().await?, store.now()).await?;
    if ended {
        let mut write = store.begin().await?;
        let before = write.now().before(KEPT);
        rows::end(&mut write, before).await?;
        write.commit().await?;
    }
    let live = rows::count(&mut store.read().await?).await?;
    #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
    metrics::gauge!("tollgate_blocks").set(live as f64);
    Ok(())
}

async fn put(
    write: &mut Write,
    principal: &Principal,
    mut problems: Problems,
    (subject, effect, reason, ends_at): (String, &str, String, Option<Time>),
) -> Result<(Block, Option<Block>), Failure> {
    problems.check(reason.len() <= LONGEST_REASON, "reason", format!("at most {LONGEST_REASON} bytes"));
    problems.expiry("ends_at", ends_at, write.now());
    let parsed = subject.parse::<Subject>();
    if let Err(error) = &parsed {
        problems.check(false, "subject", error.to_string());
    }
    problems.finish()?;
    let Ok(subject) = parsed else { return Err(Failure::NotFound) };
    if matches!(subject, Subject::Address(_)) {
        principal.unbound()?;
    }
    let organisation = organisation(write, &subject).await?;
    let reached = |own: &Option<String>| principal.organisation.is_none() || *own == principal.organisation;
    let Some(organisation) = organisation.filter(reached) else {
        return Err(Failure::invalid("subject", format!("there is no such {}", subject.kind())));
    };
    let subject = subject.to_string();
    let before = rows::newest(write, &subject, effect == "approve", false).await?.filter(|before| before.is_live(write.now()));
    if let Some(before) = &before {
        rows::lift(write, &before.id, &principal.name).await?;
    }
    let block = Block {
        id: format!("{}_{}", if effect == "approve" { "apr" } else { "blk" }, random_id(16)?),
        subject,
        effect: effect.to_owned(),
        reason,
        score: 0,
        organisation,
        origin: principal.name.clone(),
        automatic: false,
        shadow: false,
        repeats: 0,
        begins_at: write.now(),
        ends_at,
        lifted_at: None,
        lifted_by: None,
    };
    rows::insert(write, &block).await?;
    publish(write, Kind::Block, &block.id).await?;
    Ok((block, before))
}

/// What the audit log is told. Whom a block is of is the entry's subject, and may be a person's address: it is in none of the documents.
fn told(before: Option<&Block>, after: Option<&Block>) -> Noted {
    Noted::between(before, after).without("subject")
}

async fn end(write: &mut Write, principal: &Principal, block: &Block) -> Result<(), Failure> {
    rows::lift(write, &block.id, &principal.name).await?;
    if !block.shadow {
        publish(write, Kind::Block, &block.id).await?;
    }
    Ok(())
}

/// Whose a subject is: `Some(None)`: nobody's, as an address; `None`: there is no such.
async fn organisation(reader: &mut impl Reader, subject: &Subject) -> Result<Option<Option<String>>, Failure> {
    Ok(match subject {
        Subject::Address(_) => Some(None),
        Subject::Consumer(id) => store::consumers::get(reader, id).await?.map(|consumer| Some(consumer.organisation)),
        Subject::Credential(id) => store::api_keys::get(reader, id).await?.map(|key| Some(key.organisation)),
    })
}

async fn is_approved(write: &mut Write, subject: &Subject, now: Time) -> Result<bool, Failure> {
    if let Some(approval) = rows::newest(write, &subject.to_string(), true, false).await?
        && approval.is_live(now)
    {
        return Ok(true);
    }
    let own = match subject {
        Subject::Address(own) => *own,
        Subject::Credential(id) => {
            // Whose consumer is approved, is.
            let Some(key) = store::api_keys::get(write, id).await? else { return Ok(false) };
            let approval = rows::newest(write, &format!("consumer:{}", key.consumer), true, false).await?;
            return Ok(approval.is_some_and(|approval| approval.is_live(now)));
        }
        Subject::Consumer(_) => return Ok(false),
    };
    // A network is approved with any part of it: it would be blocked with the rest.
    let touches = |network: &IpNet| network.contains(&own) || own.contains(network);
    let approved = rows::approved_addresses(write, now).await?;
    Ok(approved.iter().filter_map(|subject| subject.strip_prefix("address:")?.parse().ok()).any(|network| touches(&network)))
}

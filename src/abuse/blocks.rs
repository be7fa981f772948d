//! Owns who is blocked, on one worker: a table that never grows beyond [`MOST`]. Must not know why somebody is.

use std::hash::Hasher;
use std::net::IpAddr;

use hashbrown::HashMap;
use ipnet::IpNet;
use siphasher::sip128::{Hasher128, SipHasher24};
use tollgate_core::time::{Instant, SECOND};
use tollgate_core::wire::Effect;

use crate::counters::{Counter, Counters};
use crate::identity::Namespace;

/// The most blocks and approvals a worker keeps; beyond them the one that ends first goes.
pub const MOST: usize = 16_384;

/// For so long the backend may not have heard of what a node has blocked.
const UNHEARD_FOR: u64 = 10 * SECOND;

/// A block, or an approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// When it ends.
    pub until: Instant,
    /// What it does.
    pub effect: Effect,
    /// No operator asked for it.
    pub automatic: bool,
    /// The backend told of it.
    pub told: bool,
    /// When this worker heard of it.
    pub since: Instant,
}

/// Who is blocked.
#[derive(Debug)]
pub struct Blocks {
    hash_key: [u8; 16],
    enforces: bool,
    of: HashMap<u64, (Kind, Block)>,
    /// How many there are of each kind.
    networks: Networks,
    identities: u32,
    /// Networks of which everything is refused.
    totals: u32,
}

/// How many blocked networks there are of each length.
#[derive(Debug)]
struct Networks([[u32; 129]; 2]);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Network {
        v6: bool,
        prefix: u8,
    },
    Identity,
    /// A consumer or credential of which the backend knows nothing.
    Stranger,
}

/// What names a network.
#[must_use]
pub fn key_of_network(network: IpNet) -> Vec<u8> {
    let network = network.trunc();
    let (family, octets): (u8, Vec<u8>) = match network {
        IpNet::V4(own) => (4, own.network().octets().to_vec()),
        IpNet::V6(own) => (6, own.network().octets().to_vec()),
    };
    [&[family, network.prefix_len()], &octets[..]].concat()
}

/// What names a consumer or a credential of somebody's.
#[must_use]
pub fn key_of_id(consumer: bool, namespace: &Namespace, id: &str) -> Vec<u8> {
    let kind = if consumer { 1 } else { 2 };
    match namespace {
        Namespace::Configuration => [&[kind, 0], id.as_bytes()].concat(),
        Namespace::Backend => [&[kind, 1], id.as_bytes()].concat(),
        Namespace::Issuer(tag) => [&[kind, 2], &tag[..], id.as_bytes()].concat(),
    }
}

impl Blocks {
    pub(super) fn new(hash_key: [u8; 16], enforces: bool) -> Self {
        Self { hash_key, enforces, of: HashMap::new(), networks: Networks([[0; 129]; 2]), identities: 0, totals: 0 }
    }

    /// Whether there are none at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.of.is_empty()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.of.len()
    }

    /// Whether there are networks of which everything is refused.
    #[must_use]
    pub const fn has_totals(&self) -> bool {
        self.totals > 0
    }

    /// Whether consumers or credentials are blocked.
    #[must_use]
    pub const fn has_identities(&self) -> bool {
        self.identities > 0
    }

    /// Begins a block or an approval, in the place of any of the same subject.
    pub fn put(&mut self, key: &[u8], block: Block, now: Instant, counters: &mut Counters) {
        // Where nothing is enforced only operators block.
        if block.until <= now || (block.automatic && !self.enforces) {
            return;
        }
        let Some(kind) = Kind::of(key) else { return };
        let hash = self.hash(key, block.effect);
        if let Some((_, old)) = self.of.get(&hash) {
            // An operator's word is not undone by what a node finds, nor the backend's by this node's own.
            if (!old.automatic && block.automatic && now < old.until) || (old.told && !block.told && now < old.until) {
                return;
            }
            self.drop(hash, counters);
        }
        if self.of.len() >= MOST {
            let first = self.of.iter().min_by_key(|(_, (_, block))| (block.effect == Effect::Approve, !block.automatic, block.until));
            if let Some(first) = first.map(|(hash, _)| *hash) {
                self.drop(first, counters);
                counters.count(Counter::BlocksDropped);
            }
        }
        self.count(kind, &block, true);
        self.of.insert(hash, (kind, Block { since: now, ..block }));
        counters.count(Counter::BlockBegun);
    }

    /// Ends a block, or an approval.
    pub fn remove(&mut self, key: &[u8], effect: Effect, counters: &mut Counters) {
        let hash = self.hash(key, effect);
        self.drop(hash, counters);
    }

    /// Ends what this node has decided by itself, and leaves what it was told.
    pub fn remove_own(&mut self, key: &[u8], counters: &mut Counters) {
        let hash = self.hash(key, Effect::Unknown);
        if self.of.get(&hash).is_some_and(|(_, block)| !block.told) {
            self.drop(hash, counters);
        }
    }

    /// How long an address is blocked yet, in nanoseconds; `known`: for requests with a good credential.
    #[must_use]
    pub fn address(&self, address: IpAddr, known: bool, now: Instant) -> Option<u64> {
        let mut longest = None;
        let mut approved = false;
        let address = address.to_canonical();
        for network in self.networks.around(address) {
            let key = key_of_network(network);
            approved |= self.get(&key, Effect::Approve, now).is_some();
            if let Some(block) = self.get(&key, Effect::Unknown, now)
                && (block.effect == Effect::All || !known)
            {
                longest = longest.max(Some((!block.automatic, block.until.since(now))));
            }
        }
        longest.filter(|(operators, _)| *operators || !approved).map(|(_, left)| left)
    }

    /// How long a consumer or credential is blocked yet.
    #[must_use]
    pub fn identity(&self, key: &[u8], now: Instant) -> Option<u64> {
        let block = self.get(key, Effect::Unknown, now)?;
        let approved = block.automatic && self.get(key, Effect::Approve, now).is_some();
        (!approved).then(|| block.until.since(now))
    }

    /// Whether a consumer or credential is approved.
    #[must_use]
    pub fn is_approved_id(&self, key: &[u8], now: Instant) -> bool {
        self.get(key, Effect::Approve, now).is_some()
    }

    /// Whether a network, or one around it, is approved.
    #[must_use]
    pub fn is_approved(&self, address: IpAddr, prefix: u8, now: Instant) -> bool {
        let around = self.networks.around(address.to_canonical()).filter(|network| network.prefix_len() <= prefix);
        around.map(key_of_network).any(|key| self.get(&key, Effect::Approve, now).is_some())
    }

    /// Forgets what has ended.
    pub fn sweep(&mut self, now: Instant, counters: &mut Counters) {
        let ended: Vec<u64> = self.of.iter().filter(|(_, (_, block))| block.until <= now).map(|(hash, _)| *hash).collect();
        ended.into_iter().for_each(|hash| self.drop(hash, counters));
    }

    /// These are all that the backend knows of: others have been lifted, but for those of identities that it knows nothing of, and those
    /// that it may not have heard of yet.
    pub fn keep_told(&mut self, told: &[(Vec<u8>, Effect)], now: Instant, counters: &mut Counters) {
        let kept: hashbrown::HashSet<u64> = told.iter().map(|(key, effect)| self.hash(key, *effect)).collect();
        let gone: Vec<u64> = self
            .of
            .iter()
            .filter(|(hash, (kind, block))| {
                let young = !block.told && now.since(block.since) < UNHEARD_FOR;
                *kind != Kind::Stranger && !young && !kept.contains(*hash)
            })
            .map(|(hash, _)| *hash)
            .collect();
        gone.into_iter().for_each(|hash| self.drop(hash, counters));
    }

    fn get(&self, key: &[u8], effect: Effect, now: Instant) -> Option<&Block> {
        self.of.get(&self.hash(key, effect)).map(|(_, block)| block).filter(|block| now < block.until)
    }

    fn drop(&mut self, hash: u64, counters: &mut Counters) {
        if let Some((kind, block)) = self.of.remove(&hash) {
            self.count(kind, &block, false);
            counters.count(Counter::BlockEnded);
        }
    }

    fn count(&mut self, kind: Kind, block: &Block, more: bool) {
        let step = |count: &mut u32| *count = if more { *count + 1 } else { count.saturating_sub(1) };
        match kind {
            Kind::Network { v6, prefix } => {
                if let Some(count) = self.networks.0.get_mut(usize::from(v6)).and_then(|family| family.get_mut(usize::from(prefix))) {
                    step(count);
                }
                if block.effect == Effect::All {
                    step(&mut self.totals);
                }
            }
            Kind::Identity | Kind::Stranger if block.effect != Effect::Approve => step(&mut self.identities),
            Kind::Identity | Kind::Stranger => {}
        }
    }

    /// A subject has one block, whatever it does, and beside it one approval.
    fn hash(&self, key: &[u8], effect: Effect) -> u64 {
        let mut hasher = SipHasher24::new_with_key(&self.hash_key);
        hasher.write(&[u8::from(effect == Effect::Approve)]);
        hasher.write(key);
        hasher.finish128().h1
    }
}

impl Networks {
    /// The networks around an address of all lengths that there are.
    fn around(&self, address: IpAddr) -> impl Iterator<Item = IpNet> {
        let lengths = self.0.get(usize::from(address.is_ipv6())).into_iter().flatten().enumerate();
        lengths.filter(|(_, count)| **count > 0).filter_map(move |(length, _)| IpNet::new(address, u8::try_from(length).ok()?).ok())
    }
}

impl Kind {
    fn of(key: &[u8]) -> Option<Self> {
        match key {
            [4, prefix @ 0..=32, ..] if key.len() == 6 => Some(Self::Network { v6: false, prefix: *prefix }),
            [6, prefix @ 0..=128, ..] if key.len() == 18 => Some(Self::Network { v6: true, prefix: *prefix }),
            [1 | 2, 1, ..] => Some(Self::Identity),
            [1 | 2, 0 | 2, ..] => Some(Self::Stranger),
            _ => None,
        }
    }
}

//! Owns the hashing of who is limited, so that no client can aim at a place in the node's tables. Must not know limits.

use std::hash::Hasher;
use std::net::IpAddr;

use siphasher::sip128::{Hasher128, SipHasher24};
use tollgate_core::access::limited_as;

use crate::abuse::Watched;
use crate::identity::{Consumer, Namespace};
use crate::limits::{Subject, Table};
use crate::shared::{Broken, SharedData};

/// Where the node's hash key is kept: 16 random bytes, made by whichever worker is first.
const NODE_KEY: &str = "tollgate/1/node";

/// What subjects are hashed with.
#[derive(Debug)]
pub(super) struct HashKey {
    /// This worker's own.
    own: [u8; 16],
    /// That of all workers of the node, once it is known.
    of_node: Option<[u8; 16]>,
}

impl HashKey {
    pub(super) const fn new(own: [u8; 16]) -> Self {
        Self { own, of_node: None }
    }

    /// Whether it is the key of all workers, so that they can share limits.
    pub(super) const fn is_of_node(&self) -> bool {
        self.of_node.is_some()
    }

    /// A consumer.
    pub(super) fn consumer(&mut self, consumer: &Consumer, shared: &mut impl SharedData) -> Subject {
        // No id holds a zero byte.
        let (namespace, tag): (&[u8], &[u8]) = match &consumer.namespace {
            Namespace::Configuration => (&[], &[]),
            Namespace::Backend => (&[0], &[]),
            Namespace::Issuer(tag) => (&[0, 1], tag),
        };
        self.subject(shared, Table::Consumers, &[namespace, tag, consumer.id.as_bytes()])
    }

    /// The backend's consumer of an id.
    pub(super) fn of_backend(&mut self, id: &str, shared: &mut impl SharedData) -> Subject {
        self.subject(shared, Table::Consumers, &[&[0], &[], id.as_bytes()])
    }

    /// A client without identity, under the limits of this name.
    pub(super) fn address(&mut self, limits: &str, address: IpAddr, ipv6_prefix: u8, shared: &mut impl SharedData) -> Subject {
        match limited_as(address, ipv6_prefix) {
            IpAddr::V4(address) => self.subject(shared, Table::Addresses, &[limits.as_bytes(), &[0], &address.octets()]),
            IpAddr::V6(address) => self.subject(shared, Table::Addresses, &[limits.as_bytes(), &[0], &address.octets()]),
        }
    }

    /// Whom a score is of.
    pub(super) fn watched(&mut self, key: Vec<u8>, shared: &mut impl SharedData) -> Watched {
        let Subject { place, tag, .. } = self.subject(shared, Table::Addresses, &[&[0, 1], &key]);
        Watched { key, place, tag }
    }

    /// What tells something that was shown from other things.
    pub(super) fn shown(&mut self, what: &[u8], shared: &mut impl SharedData) -> u64 {
        self.subject(shared, Table::Addresses, &[&[0, 2], what]).tag
    }

    /// Where the node remembers that a credential was good.
    pub(super) fn credential(&mut self, presented: &[u8], shared: &mut impl SharedData) -> (u64, u64) {
        let Subject { place, tag, .. } = self.subject(shared, Table::Addresses, &[&[0, 3], presented]);
        (place, tag)
    }

    /// Something of the node's own.
    pub(super) fn own(&mut self, name: &str, shared: &mut impl SharedData) -> Subject {
        self.subject(shared, Table::Consumers, &[&[0, 0], name.as_bytes()])
    }

    fn subject(&mut self, shared: &mut impl SharedData, table: Table, name: &[&[u8]]) -> Subject {
        let mut hasher = SipHasher24::new_with_key(&self.get(shared));
        hasher.write(&[u8::from(table == Table::Addresses)]);
        name.iter().for_each(|part| hasher.write(part));
        let hash = hasher.finish128();
        Subject { table, place: hash.h1, tag: hash.h2 }
    }

    /// The node's key, or this worker's own as long as the node's cannot be had. Limits cannot be shared then and are judged by
    /// their failure mode.
    fn get(&mut self, shared: &mut impl SharedData) -> [u8; 16] {
        if self.of_node.is_none() {
            self.of_node = self.read(shared).ok();
        }
        self.of_node.unwrap_or(self.own)
    }

    /// Reads the node's key, or makes it of this worker's if it is the first to ask.
    fn read(&self, shared: &mut impl SharedData) -> Result<[u8; 16], Broken> {
        let mut value = Vec::new();
        if shared.get(NODE_KEY, &mut value)?.is_none() {
            if shared.set(NODE_KEY, &self.own, None)? {
                return Ok(self.own);
            }
            shared.get(NODE_KEY, &mut value)?;
        }
        value.as_slice().try_into().map_err(|_| Broken)
    }
}

//! Owns what says who somebody is, as entries of the audit log keep it: sealed under a key of that person alone. Must not keep a key.

use std::net::IpAddr;

use ipnet::IpNet;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use serde_json::{Map, Value};

/// Bytes of a person's key.
pub(crate) const KEY_LEN: usize = 32;
/// What the name of an address begins with, and that of one whose name tells nothing.
const ADDRESS: &str = "address:";
const ALIAS: &str = "address:~";

/// A person, and what an entry says of who they are.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Personal {
    /// `user:<id>`, `consumer:<id>`, `address:~<random>`.
    pub(crate) person: String,
    pub(crate) members: Value,
}

/// Takes members of a document out of it.
pub(crate) fn take(document: &mut Value, members: &[&str]) -> Value {
    let mut taken = Map::new();
    if let Value::Object(document) = document {
        taken.extend(members.iter().filter_map(|name| document.remove_entry(*name)));
    }
    Value::Object(taken)
}

/// The address or network in the name of a subject, if it is one's, however it is written.
pub(crate) fn address_of(name: &str) -> Option<String> {
    let text = name.strip_prefix(ADDRESS).filter(|address| !address.starts_with('~'))?;
    let network = text.parse().or_else(|_| text.parse().map(|address: IpAddr| IpNet::from(address.to_canonical())));
    Some(network.map_or_else(|_| text.to_owned(), |network: IpNet| shown(network.trunc())))
}

fn shown(network: IpNet) -> String {
    if network.prefix_len() == network.max_prefix_len() { network.addr().to_string() } else { network.to_string() }
}

/// What an address is called whose random id this is.
pub(crate) fn alias(random: &str) -> String {
    format!("{ALIAS}{random}")
}

/// Seals bytes for one entry under a person's key; `None` without randomness.
pub(crate) fn seal(key: &[u8], person: &str, seq: u64, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut nonce = [0; NONCE_LEN];
    getrandom::fill(&mut nonce).ok()?;
    let mut sealed = bytes.to_vec();
    let bound = Aad::from(bound(person, seq));
    opener(key)?.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), bound, &mut sealed).ok()?;
    Some([nonce.as_slice(), &sealed].concat())
}

/// Opens what [`seal`] sealed.
pub(crate) fn open(key: &[u8], person: &str, seq: u64, sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>()?;
    let mut bytes = sealed.to_vec();
    let bound = Aad::from(bound(person, seq));
    Some(opener(key)?.open_in_place(Nonce::assume_unique_for_key(*nonce), bound, &mut bytes).ok()?.to_vec())
}

fn bound(person: &str, seq: u64) -> Vec<u8> {
    [b"tollgate audit personal 1".as_slice(), &seq.to_be_bytes(), person.as_bytes()].concat()
}

fn opener(key: &[u8]) -> Option<LessSafeKey> {
    UnboundKey::new(&CHACHA20_POLY1305, key).map(LessSafeKey::new).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_sealed_opens_in_its_entry_under_its_key_alone() {
        let key = [7; KEY_LEN];
        let sealed = seal(&key, "user:u", 3, b"a name").unwrap();
        assert_eq!(open(&key, "user:u", 3, &sealed).unwrap(), b"a name");
        assert_eq!(open(&[8; KEY_LEN], "user:u", 3, &sealed), None);
        assert_eq!(open(&key, "user:v", 3, &sealed), None);
        assert_eq!(open(&key, "user:u", 4, &sealed), None);
        for length in 0..sealed.len() {
            assert_eq!(open(&key, "user:u", 3, &sealed[..length]), None, "{length} bytes");
        }
        assert!(!sealed.windows(6).any(|window| window == b"a name"));
    }

    #[test]
    fn members_are_taken_out_of_a_document() {
        let mut document = json!({"id": "u", "name": "A", "email": "a@example.com"});
        assert_eq!(take(&mut document, &["name", "email", "phone"]), json!({"name": "A", "email": "a@example.com"}));
        assert_eq!(document, json!({"id": "u"}));
        assert_eq!(take(&mut Value::Null, &["name"]), json!({}));
    }

    #[test]
    fn an_alias_is_no_address() {
        for (name, address) in [
            ("192.0.2.0/24", "192.0.2.0/24"),
            ("192.0.2.7/24", "192.0.2.0/24"),
            ("192.0.2.7/32", "192.0.2.7"),
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:DB8::1", "2001:db8::1"),
            ("elsewhere", "elsewhere"),
        ] {
            assert_eq!(address_of(&format!("address:{name}")).as_deref(), Some(address));
        }
        assert_eq!(address_of(&alias("abc")), None);
        assert_eq!(address_of("consumer:address:"), None);
    }
}

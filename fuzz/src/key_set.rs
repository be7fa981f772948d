//! Owns the targets for sets of keys: how many are read, of which kinds, and what each may verify.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bolero::{TypeGenerator, check, produce};
use serde_json::{Map, Value, json};
use tollgate_core::jwk::{self, Jwk, KeySet, NotASet};
use tollgate_core::jws::{Algorithm, Header};

use crate::BRIEFLY;
use crate::input::{Splice, nth, several, size};
use crate::plain::der::without_zeros;
use crate::plain::json::object;
use crate::plain::token::base64url;

/// As they are promised: a target that took them from the code would believe any.
const MOST_KEYS: usize = 32;
const LARGEST_SET: usize = 65_536;

/// Public keys of each kind, made by OpenSSL, and a secret.
pub(crate) static KEYS: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let file: Value = serde_json::from_str(include_str!("../../crates/core/tests/tokens/openssl.json")).unwrap();
    let named = |name: &&str| file["vectors"].as_array().unwrap().iter().find(|vector| vector["name"] == **name).unwrap()["key"].clone();
    ["RS256", "PS384", "ES256", "ES384", "ES512", "EdDSA", "Ed25519", "HS512"].iter().map(named).collect()
});

const NAMES: [&str; 14] = ["kid", "kid", "kid", "use", "key_ops", "alg", "alg", "d", "kty", "crv", "x", "y", "n", "e"];
static VALUES: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let texts = "|a|a|b|sig|enc|RS256|RS384|PS512|ES256|ES384|ES512|EdDSA|Ed25519|HS256|none|RSA|EC|OKP|oct|rsa|P-256|P-384|P-521|Ed25519|\
        Ed448|AQAB|AAEAAQ|AQAA|Aw|AQ|AA|AB|=|\u{e9}";
    let long = [256, 257].map(|length| "x".repeat(length));
    let numbers = [31, 32, 33, 48, 66, 128, 255, 256, 257, 384, 512, 513, 1_024, 1_025];
    let numbers = numbers.iter().flat_map(|length| [1, 0x55, 0x7f, 0xff].map(|digit| vec![digit; *length]));
    let others = [json!(null), json!(1), json!([]), json!({}), json!(["verify"]), json!(["sign"]), json!(["sign", "verify", 1])];
    let texts = texts.split('|').map(str::to_owned).chain(long).chain(numbers.map(|number| URL_SAFE_NO_PAD.encode(number)));
    texts.map(Value::String).chain(others).collect()
});

/// Another member of a key, or none.
#[derive(Clone, Debug, TypeGenerator)]
struct Change {
    key: u8,
    name: u8,
    value: u8,
    #[generator(0..8_u8)]
    gone: u8,
}

/// A set of keys, each of them real at first.
#[derive(Clone, Debug, TypeGenerator)]
struct Set {
    #[generator(several(produce(), 5))]
    keys: Vec<u8>,
    #[generator(several(produce(), 4))]
    changes: Vec<Change>,
}

impl Set {
    fn document(&self) -> Value {
        let mut keys: Vec<Value> = self.keys.iter().map(|key| KEYS[usize::from(*key) % KEYS.len()].clone()).collect();
        for change in self.changes.iter().filter(|_| !self.keys.is_empty()) {
            let place = usize::from(change.key) % keys.len();
            let members = keys[place].as_object_mut().unwrap();
            let name = NAMES[usize::from(change.name) % NAMES.len()];
            match change.gone {
                0 => drop(members.remove(name)),
                _ => drop(members.insert(name.to_owned(), VALUES[usize::from(change.value) % VALUES.len()].clone())),
            }
        }
        json!({"keys": keys})
    }
}

/// The id of a key and what it may verify, as far as its members tell; `None` if it may not be used.
fn usable(key: &Map<String, Value>) -> Option<(Option<String>, Vec<&'static str>)> {
    let text = |name: &str| key.get(name)?.as_str();
    let number = |name: &str| base64url(text(name)?.as_bytes());
    let is_text = |name: &str| key.get(name).is_none_or(Value::is_string);
    let coordinates = |length: usize| ["x", "y"].iter().all(|name| number(name).is_some_and(|own| own.len() == length));
    let fitting: &[&str] = match (text("kty")?, text("crv").unwrap_or_default()) {
        ("RSA", _) if without_zeros(&number("e")?) == [1, 0, 1] => {
            let n = number("n")?;
            let digits = without_zeros(&n);
            let bits = 8 * digits.len() - digits.first()?.leading_zeros() as usize;
            if (2_048..=4_096).contains(&bits) { &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"] } else { &[] }
        }
        ("EC", "P-256") if coordinates(32) => &["ES256"],
        ("EC", "P-384") if coordinates(48) => &["ES384"],
        ("EC", "P-521") if coordinates(66) => &["ES512"],
        ("OKP", "Ed25519") if number("x")?.len() == 32 => &["EdDSA"],
        _ => &[],
    };
    let own = text("alg").map(|name| if name == "Ed25519" { "EdDSA" } else { name });
    let algorithms: Vec<_> = fitting.iter().copied().filter(|name| own.is_none_or(|own| own == *name)).collect();
    let is_for_verifying = text("use").is_none_or(|purpose| purpose == "sig")
        && key.get("key_ops").is_none_or(|all| all.as_array().is_some_and(|all| all.contains(&"verify".into())));
    let is_public = !key.contains_key("d");
    let has_short_id = text("kid").is_none_or(|id| id.len() <= 256);
    let is_usable = is_for_verifying && is_public && has_short_id && ["kid", "use", "alg"].into_iter().all(is_text);
    (is_usable && !algorithms.is_empty()).then(|| (text("kid").map(str::to_owned), algorithms))
}

fn names(key: &Jwk) -> Vec<&'static str> {
    Algorithm::ALL.into_iter().filter(|algorithm| key.may_verify(*algorithm)).map(Algorithm::name).collect()
}

/// Holds what is read of a document to a plainer reading of it.
fn check_set(document: &[u8]) {
    let list = object(document).and_then(|mut members| members.remove("keys"));
    let list = list.as_ref().and_then(Value::as_array);
    let entries: Option<Vec<&Map<String, Value>>> = list.and_then(|list| list.iter().map(Value::as_object).collect());
    let own = jwk::entries(document).ok();
    let set = match KeySet::read(document) {
        Ok(set) => set,
        Err(NotASet::TooLarge) => return assert!(document.len() > LARGEST_SET),
        Err(NotASet::TooMany(count)) => return assert!(count > MOST_KEYS && list.map(Vec::len) == Some(count)),
        Err(NotASet::Form) => return assert!(entries.is_none(), "{}", document.escape_ascii()),
        Err(NotASet::Empty) => {
            let is_good = |entry: &&Map<String, Value>| KEYS[..7].contains(&Value::Object((*entry).clone()));
            return assert!(!entries.expect("not a set").iter().any(is_good), "{}", document.escape_ascii());
        }
    };
    let entries = entries.expect("a set");
    assert_eq!(own.expect("a set").iter().collect::<Vec<_>>(), entries);
    assert!(document.len() <= LARGEST_SET && (1..=entries.len().min(MOST_KEYS)).contains(&set.keys().len()));
    let mut rest = set.keys().iter().peekable();
    for entry in entries {
        let is_next = usable(entry).is_some_and(|(id, may)| rest.peek().is_some_and(|key| (key.id(), names(key)) == (id.as_ref(), may)));
        // A key that is as it was made is read: what follows it is not taken for it.
        assert!(is_next || !KEYS[..7].contains(&Value::Object(entry.clone())), "passed over: {entry:?}");
        if is_next && Jwk::read(entry).is_ok() {
            rest.next();
        }
    }
    assert!(rest.next().is_none(), "a key that may not be used: {}", document.escape_ascii());
    for key in set.keys() {
        assert!(key.id().is_none_or(|id| set.names(id)));
        for (algorithm, id) in Algorithm::ALL.into_iter().flat_map(|algorithm| [None, Some("a"), Some("")].map(|id| (algorithm, id))) {
            let header = Header { algorithm, key_id: id.map(str::to_owned), kind: None };
            let fits = names(key).contains(&algorithm.name()) && (id.is_none() || key.id().map(String::as_str) == id);
            assert_eq!(key.fits(&header), fits, "{header:?}");
        }
    }
}

#[test]
fn any_bytes_are_a_set_or_not() {
    check!().with_test_time(BRIEFLY).with_max_len(256).for_each(check_set);
}

#[test]
fn any_keys_are_read_as_what_they_are_and_no_others() {
    check!().with_test_time(BRIEFLY).with_type::<Set>().for_each(|set| check_set(set.document().to_string().as_bytes()));
}

#[test]
fn a_set_with_other_values_is_a_set_or_not() {
    let changes = several(produce::<(u16, u8)>(), 3);
    check!().with_test_time(BRIEFLY).with_generator((produce::<Set>(), changes)).for_each(|(set, changes)| {
        let mut document = set.document();
        for (place, value) in changes {
            let mut place = usize::from(*place) % size(&document);
            *nth(&mut document, &mut place).unwrap() = VALUES[usize::from(*value) % VALUES.len()].clone();
        }
        check_set(document.to_string().as_bytes());
    });
}

#[test]
fn a_set_with_other_bytes_is_a_set_or_not() {
    let changes = several(produce::<Splice>(), 4);
    check!().with_test_time(BRIEFLY).with_generator((produce::<Set>(), changes)).for_each(|(set, changes)| {
        let mut document = set.document().to_string().into_bytes();
        changes.iter().for_each(|change| change.apply(&mut document));
        check_set(&document);
    });
}

#[test]
fn any_number_of_keys_is_read_up_to_the_most() {
    check!().with_test_time(BRIEFLY).with_generator((20..40_usize, produce::<u64>(), 0..3_usize)).for_each(|(count, mask, spaces)| {
        let is_good = |place: &usize| mask >> (place % 64) & 1 == 1;
        let keys: Vec<Value> = (0..*count).map(|place| if is_good(&place) { KEYS[4].clone() } else { json!({"kty": "oct"}) }).collect();
        let mut document = json!({"keys": keys}).to_string().into_bytes();
        if *spaces > 0 {
            document.resize(LARGEST_SET + spaces - 1, b' ');
        }
        check_set(&document);
        let read = KeySet::read(&document).is_ok();
        assert_eq!(read, *count <= MOST_KEYS && *spaces < 2 && (0..*count).any(|place| is_good(&place)));
    });
}

//! Owns the targets for requests: from the host's header map to the verdict, its edits and its answer.

use std::collections::BTreeSet;

use bolero::{TypeGenerator, check, produce};
use tollgate_core::route::decode_path;
use tollgate_core::time::{Instant, SECOND};
use tollgate_core::verdict::Reason;
use tollgate_filter::admission::{Denial, Edit, Gate, Permit, Verdict, Waited};
use tollgate_filter::head::Head;
use tollgate_filter::reply::{Replies, limit_headers};

use crate::fixture::{Host, KEYS, NOW, POLICY, map};
use crate::input::{Numbers, Splice, numbers, several, text, words};
use crate::plain::token::{self, Known};
use crate::plain::{self, Pair};
use crate::{BRIEFLY, mint};

const WALL: u64 = NOW * SECOND;
const IDENTITY: [&str; 3] = ["x-consumer-id", "x-consumer-tier", "x-credential-id"];

/// What a generated request is made of: names of headers and texts.
type Parts = (u8, Numbers, Numbers, Vec<(u8, Numbers)>);

fn parts() -> impl bolero::ValueGenerator<Output = Parts> {
    (produce(), numbers(6), numbers(3), several((produce(), numbers(4)), 6))
}

/// The header map of a request made of `parts`.
fn request((method, path, authority, headers): &Parts) -> Vec<u8> {
    const METHODS: [&str; 4] = ["GET", "POST", "OPTIONS", "get"];
    let names = words(
        "authorization|authorization|x-api-key|x-api-key|origin|access-control-request-method|content-type|x-consumer-id|\
         x_consumer-id|x_consumer_tier|x-credential-id|cookie",
    );
    let mut targets = words(
        "/|/|/healthz|/open|/either|/page|/users/7|/reports/7|/scoped|?|?api_key=|&api_key=|&|=|..|.|;|%2e|%2F|%61|%|\\|#|*|//|\
         \u{e9}|?api%5fkey=x",
    );
    let mut values = words(
        "Bearer|bearer |BEARER\t|Basic |,| ||wrong|foil_|https://a.example|application/grpc|application/grpc+proto|\
         \u{e9}",
    );
    let keys = KEYS.iter().map(|key| key.as_bytes().to_vec()).chain(mint::VALID.clone());
    targets.extend(keys.clone().map(|key| [b"?api_key=", key.as_slice()].concat()));
    targets.extend(keys.clone());
    values.extend(keys.clone().map(|key| [b"Bearer ", key.as_slice()].concat()));
    values.extend(keys);
    let path = [b"/".to_vec(), text(path, &targets)].concat();
    let path = if path.starts_with(b"//") { &path[1..] } else { &path };
    let authority = text(authority, &words("api.example.org|example.org|:443|.|[::1]|[|]|@|:"));
    let headers: Vec<(&[u8], Vec<u8>)> =
        headers.iter().map(|(name, value)| (&*names[usize::from(*name) % names.len()], text(value, &values))).collect();
    let mut pairs: Vec<Pair<'_>> =
        vec![(b":method", METHODS[usize::from(*method) % METHODS.len()].as_bytes()), (b":path", path), (b":authority", &authority)];
    pairs.extend(headers.iter().map(|(name, value)| (*name, value.as_slice())));
    map(&pairs)
}

/// A request that carries a token, nothing else being wrong with it.
#[derive(Clone, Debug, TypeGenerator)]
struct Bearing {
    token: mint::Token,
    #[generator(0..4_usize)]
    place: usize,
    #[generator(0..8_usize)]
    path: usize,
    /// Seconds by which the clock has gone on when it comes again. Where it goes back, whether a token lasts too long is not judged anew.
    #[generator(0..90_000_u64)]
    later: u64,
    /// Only the leeway later.
    soon: bool,
}

impl Bearing {
    fn request(&self) -> Vec<u8> {
        let token = self.token.mint();
        let bearer = [b"Bearer ", token.as_slice()].concat();
        let path = ["/", "/", "/", "/scoped", "/scoped/", "/either/x", "/page", "/open"][self.path].as_bytes();
        // Escaped where it would end the value, as a client that means it would.
        let escaped = token.iter().flat_map(|byte| format!("%{byte:02x}").into_bytes());
        let path = if self.place == 2 { [path, b"?api_key="].concat().into_iter().chain(escaped).collect() } else { path.to_vec() };
        let mut pairs: Vec<Pair<'_>> = vec![(b":method", b"GET"), (b":authority", b"example.org"), (b":path", &path)];
        if self.place == 0 || self.place == 3 {
            pairs.push((b"authorization", &bearer));
        }
        if self.place == 1 || self.place == 3 {
            pairs.push((b"x-api-key", &token));
        }
        map(&pairs)
    }
}

/// A request as `plain` reads it.
struct Plain<'a> {
    pairs: Vec<Pair<'a>>,
    credentials: Vec<Vec<u8>>,
    /// Whom each of them lets in, or what is wrong with it.
    known: Vec<Result<Known, Vec<Reason>>>,
    inside: bool,
}

/// Whom a credential lets in, or what is wrong with it.
fn known(credential: &[u8], now: u64) -> Result<Known, Vec<Reason>> {
    match KEYS.iter().position(|key| key.as_bytes() == credential) {
        Some(position) => {
            Ok(Known { identity: ["acme".to_owned(), "free".to_owned(), format!("key-{position}")], scopes: BTreeSet::new() })
        }
        None if token::is_meant(credential) => token::judge(credential, now),
        None => Err(vec![Reason::InvalidKey]),
    }
}

/// Judges a header map twice, the second time with what the gate remembers of the first, and once more when the clock shows `later`.
/// Holds each to `plain`.
fn judge(map: &[u8], inside: bool, later: u64) {
    let mut gate = Gate::new(POLICY.clone(), "node", [7; 32]);
    let (head, pairs) = match (gate.read(map), plain::pairs(map)) {
        (Ok(head), Some(pairs)) => (head, pairs),
        (Err(_), None) => return,
        (head, pairs) => panic!("read {:?} for {pairs:?}", head.is_ok()),
    };
    let credentials = plain::credentials(&pairs);
    let known_at = |now| credentials.iter().map(|credential| known(credential, now)).collect();
    let mut plain = Plain { pairs, known: known_at(NOW), credentials: credentials.clone(), inside };
    let mut host = Host { address: inside.then(|| "10.1.2.3".parse().unwrap()), ..Host::default() };
    // What was refused is remembered for 10 seconds.
    for (now, wall) in [(5, NOW), (5, NOW), (5 + 10, later)] {
        if wall != NOW {
            plain.known = known_at(wall);
        }
        match gate.judge(&head, Waited::default(), Instant(now * SECOND), wall * SECOND, &mut host) {
            Verdict::Admit(permit) => admitted(&gate, &head, &plain, &permit),
            Verdict::Deny(denial) => denied(&gate, &head, &plain, &denial),
            Verdict::Wait(..) => panic!("there is no backend to wait for"),
        }
    }
    redacted(&gate, &head);
}

fn admitted(gate: &Gate, head: &Head<'_>, plain: &Plain<'_>, permit: &Permit) {
    let Plain { pairs, credentials, known, .. } = plain;
    assert!(plain::is_plain_authority(head.authority), "{}", head.authority.escape_ascii());
    let identity = permit.identity.as_ref().map(|_| {
        assert!(credentials.windows(2).all(|two| two[0] == two[1]), "{credentials:?}");
        assert!(plain::each_place_once(pairs), "a repeated credential passed");
        let known = known.first().expect("an identity without a credential");
        known.as_ref().unwrap_or_else(|faults| panic!("admitted in spite of {faults:?}: {}", credentials[0].escape_ascii()))
    });
    assert!(identity.is_some() || plain::may_be_anonymous(pairs), "admitted without a key");
    let has_scope = identity.as_ref().is_some_and(|known| known.scopes.contains("read"));
    assert!(has_scope || !plain::is_below(pairs, "/scoped"), "admitted without the scope");
    let edits: Vec<Edit<'_>> = gate.edits(permit, head).collect();
    let after = edited(pairs, &edits);
    for (position, name) in IDENTITY.iter().enumerate() {
        let expected = identity.as_ref().map(|known| known.identity[position].as_bytes());
        let told: Vec<&[u8]> = after.iter().filter(|(own, _)| dashed(own) == name.as_bytes()).map(|(_, value)| *value).collect();
        assert_eq!(told, Vec::from_iter(expected), "{name}");
    }
    let parts = plain::values(&after, "authorization").into_iter().flat_map(|value| value.split(|byte| *byte == b','));
    assert!(parts.filter_map(plain::bearer).next().is_none(), "a credential goes on");
    assert!(plain::values(&after, "x-api-key").is_empty(), "a credential goes on");
    if let Some(limited) = &permit.limited {
        let mut headers = Vec::new();
        limit_headers(gate.policy(), gate.tiers(), limited, WALL, |name, value| headers.push((name, value.to_owned())));
        assert_visible(&headers);
    }
}

fn denied(gate: &Gate, head: &Head<'_>, plain: &Plain<'_>, denial: &Denial) {
    let Plain { pairs, credentials, known, inside } = plain;
    let is_open = plain::is_below(pairs, "/open");
    let at_fault = match denial.reason {
        Reason::Unauthenticated => credentials.is_empty(),
        // Also where escapes are broken in what may be meant as a token.
        Reason::InvalidKey => known.iter().any(Result::is_err),
        Reason::InvalidToken | Reason::ExpiredToken | Reason::TokenNotYetValid | Reason::WrongAudience | Reason::UnknownConsumer => {
            known.iter().any(|own| own.as_ref().is_err_and(|faults| faults.contains(&denial.reason)))
        }
        Reason::InsufficientScope => {
            let lacks = |own: &Result<Known, _>| own.as_ref().is_ok_and(|known| !known.scopes.contains("read"));
            plain::is_below(pairs, "/scoped") && known.iter().all(lacks)
        }
        Reason::DuplicateCredentials => !plain::each_place_once(pairs) || values_with_comma(pairs),
        Reason::ConflictingCredentials => credentials.windows(2).any(|two| two[0] != two[1]),
        Reason::AmbiguousHost => !plain::is_plain_authority(head.authority),
        Reason::AmbiguousPath => decode_path(head.target).is_err(),
        Reason::AddressDenied => !inside && plain::is_below(pairs, "/users"),
        Reason::RateLimited => is_open || plain::is_below(pairs, "/reports"),
        Reason::Unavailable => is_open && !inside,
        Reason::QuotaExceeded => panic!("there is no ledger to ask"),
        Reason::Blocked => panic!("abuse is not looked for"),
        Reason::TooManyUnknownKeys => panic!("there is no backend to ask"),
        Reason::SignatureRequired
        | Reason::InvalidSignature
        | Reason::ExpiredSignature
        | Reason::ReplayedSignature
        | Reason::ReplayUnknown
        | Reason::WrongDigest => panic!("nobody asks for signatures"),
        Reason::TooManyFailedTokens => panic!("one is not many"),
    };
    assert!(at_fault, "{:?} without cause: {}", denial.reason, credentials.join(&b' ').escape_ascii());
    let answer = Replies::new(gate.policy()).denial(gate.policy(), gate.tiers(), head, denial, WALL);
    assert!([400, 401, 403, 429, 503].contains(&answer.status));
    assert_visible(&answer.headers);
    match answer.grpc_status {
        Some(_) => assert!(plain::last(pairs, "content-type").starts_with(b"application/grpc")),
        None => drop(serde_json::from_str::<serde_json::Value>(&answer.body).unwrap()),
    }
    let allowed = answer.headers.iter().find(|(name, _)| *name == "access-control-allow-origin");
    assert!(allowed.is_none_or(|(_, origin)| origin == "https://a.example"), "{allowed:?}");
}

/// The target on its way to logs and the upstream: as it was, but without credentials.
fn redacted(gate: &Gate, head: &Head<'_>) {
    let target = gate.redacted_target(head);
    assert_eq!(target.is_some(), !plain::parameters(head.target).is_empty());
    let Some(target) = target else { return };
    assert!(plain::parameters(&target).is_empty(), "{}", target.escape_ascii());
    let credentials = plain::parameters(head.target).len();
    let (before, after) = (plain::split(head.target), plain::split(&target));
    assert_eq!(before.0, after.0);
    assert_eq!(before.1.len() - credentials, after.1.len(), "{}", target.escape_ascii());
}

/// The headers as the upstream gets them.
fn edited<'a>(pairs: &[Pair<'a>], edits: &[Edit<'a>]) -> Vec<Pair<'a>> {
    let mut pairs = pairs.to_vec();
    for edit in edits {
        match edit {
            Edit::Remove(name) => pairs.retain(|(own, _)| own != name),
            Edit::Add(name, value) => pairs.push((name.as_bytes(), value)),
        }
    }
    pairs
}

fn values_with_comma(pairs: &[Pair<'_>]) -> bool {
    plain::values(pairs, "authorization").iter().any(|value| value.contains(&b','))
}

fn dashed(name: &[u8]) -> Vec<u8> {
    name.iter().map(|byte| if *byte == b'_' { b'-' } else { *byte }).collect()
}

fn assert_visible(headers: &[(&str, String)]) {
    for (name, value) in headers {
        assert!(value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()), "{name}: {value:?}");
    }
}

#[test]
fn any_bytes_are_judged_or_refused() {
    check!().with_test_time(BRIEFLY).with_max_len(512).for_each(|map: &[u8]| judge(map, true, NOW));
}

#[test]
fn any_head_is_judged_as_by_the_plain_reading() {
    check!().with_test_time(BRIEFLY).with_generator((parts(), produce())).for_each(|(parts, inside)| judge(&request(parts), *inside, NOW));
}

#[test]
fn any_change_to_a_header_map_is_judged_or_refused() {
    let changes = several(produce::<Splice>(), 4);
    check!().with_test_time(BRIEFLY).with_generator((parts(), changes)).for_each(|(parts, changes)| {
        let mut map = request(parts);
        changes.iter().for_each(|change| change.apply(&mut map));
        judge(&map, true, NOW);
    });
}

#[test]
fn any_token_is_judged_as_by_the_plain_reading() {
    // A token takes longer to make and to check than all else.
    check!().with_test_time(4 * BRIEFLY).with_type::<Bearing>().for_each(|bearing| {
        let later = if bearing.soon { bearing.later % 32 } else { bearing.later };
        judge(&bearing.request(), true, NOW + later);
    });
}

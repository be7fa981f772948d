//! Owns the targets for claims: whom an issuer's token lets in, until when, and as what, whatever its claims are.

use bolero::{TypeGenerator, check, produce};
use serde_json::{Map, Value};
use tollgate_core::claims::ClaimPath;
use tollgate_core::issuer::{Issuer, Refused};
use tollgate_core::jws::{Algorithm, Header};
use tollgate_core::verdict::Reason;

use crate::fixture::{NOW, POLICY, Signer};
use crate::input::{Edge, Splice, nth, numbers, several, size, text, words};
use crate::plain::token;
use crate::{BRIEFLY, mint, plain};

const KINDS: [Option<&str>; 8] = [Some("at+jwt"), Some("at+jwt"), Some("at+jwt"), Some("at+jwt"), None, Some("jwt"), Some("jws"), Some("")];
/// Dates near and far, texts, and values that are no claims of any kind.
const VALUES: [&str; 16] = [
    "null",
    "true",
    "1",
    "-1",
    "0.5",
    "1e300",
    "[]",
    "{}",
    "[[\"api\"]]",
    "\"\"",
    "\"api\"",
    "\"\\r\\n\"",
    "\"7\"",
    "[\"read\",\"\"]",
    "{\"id\":7}",
    "\" read \"",
];

/// What a token is judged with, beside its claims.
#[derive(Clone, Debug, TypeGenerator)]
struct Case {
    #[generator(0..KINDS.len())]
    kind: usize,
    /// Instead of the present.
    now: Option<Edge>,
    /// Judged by the other issuer.
    #[generator(0..8_u8)]
    other: u8,
    /// When the token ends and begins instead of when it says, if it says so.
    ends: Option<Edge>,
    /// About when the longest life is over.
    late: bool,
    begins: Option<Option<Edge>>,
}

fn check_claims(signer: Signer, case: &Case, mut claims: Map<String, Value>) {
    let signer = if case.other == 0 { signer.other() } else { signer };
    // In units of a day's quarter and of the leeway, so that all ends of all ranges are met.
    let now = case.now.map_or(NOW, |now| now.number(NOW, 21_600));
    for (name, edge) in [("exp", case.ends), ("nbf", case.begins.flatten())] {
        if let Some(edge) = edge {
            let near = if case.late && name == "exp" { now.saturating_add(86_430) } else { now };
            claims.insert(name.to_owned(), edge.number(near, 30).into());
        }
    }
    let kind = KINDS[case.kind];
    let position = Signer::ALL.iter().position(|own| *own == signer).unwrap();
    let issuer: &Issuer = &POLICY.tokens.issuers[position];
    let header = Header { algorithm: Algorithm::Hs256, key_id: None, kind: kind.map(str::to_owned) };
    let faults = token::faults(signer, kind, &claims, now);
    let leeway = token::leeway(signer);
    let begins = token::date(&claims, "nbf").unwrap_or(0).saturating_sub(leeway);
    let grant = match issuer.judge(&header, &claims, now) {
        Ok(grant) => grant,
        Err(refused) => {
            let reason = match refused {
                Refused::Malformed => Reason::InvalidToken,
                Refused::Expired => Reason::ExpiredToken,
                Refused::NotYetValid(wait) => {
                    assert_eq!(now + wait, begins, "{claims:?}");
                    Reason::TokenNotYetValid
                }
                Refused::WrongAudience => Reason::WrongAudience,
            };
            assert!(faults.contains(&reason), "{refused:?} in spite of {faults:?} at {now}: {claims:?}");
            return;
        }
    };
    assert!(faults.is_empty(), "accepted in spite of {faults:?} at {now}: {claims:?}");
    assert!(token::is_id(&grant.consumer) && grant.id.iter().all(|id| token::is_id(id)), "{grant:?}");
    assert_eq!((Some(grant.consumer), grant.id), (token::consumer(signer, &claims), token::id(&claims)));
    // Either a tier of the policy's, or the consumer's own.
    assert_eq!(grant.tier, (signer == Signer::Secret).then_some(0));
    assert_eq!((grant.scopes, grant.roles), (token::scopes(signer, &claims), token::roles(&claims)));
    assert!(grant.validity.at(now).is_ok() && (grant.validity.from..grant.validity.until).contains(&now));
    assert_eq!((grant.validity.from, grant.validity.until), (begins, token::date(&claims, "exp").unwrap() + leeway));
}

#[test]
fn any_claims_are_judged_as_by_the_plain_reading() {
    check!().with_test_time(BRIEFLY).with_type::<(mint::Token, Case)>().for_each(|(token, case)| {
        if let Some(claims) = plain::json::object(&token.claims()) {
            check_claims(token.signer, case, claims);
        }
    });
}

#[test]
fn any_claims_with_other_values_are_judged_as_by_the_plain_reading() {
    let changes = several((produce::<u16>(), 0..VALUES.len()), 4);
    check!().with_test_time(BRIEFLY).with_generator((produce::<(mint::Token, Case)>(), changes)).for_each(|((token, case), changes)| {
        let Some(claims) = plain::json::object(&token.claims()) else { return };
        let mut claims = Value::Object(claims);
        for (place, value) in changes {
            // Not all of them at once: what is left must be an object.
            let mut place = 1 + usize::from(*place) % (size(&claims) - 1).max(1);
            if let Some(old) = nth(&mut claims, &mut place) {
                *old = serde_json::from_str(VALUES[*value]).unwrap();
            }
        }
        check_claims(token.signer, case, claims.as_object().unwrap().clone());
    });
}

#[test]
fn any_bytes_that_are_claims_are_judged_as_by_the_plain_reading() {
    let changes = several(produce::<Splice>(), 4);
    check!().with_test_time(BRIEFLY).with_generator((produce::<(mint::Token, Case)>(), changes)).for_each(|((token, case), changes)| {
        let mut claims = token.claims();
        changes.iter().for_each(|change| change.apply(&mut claims));
        if let Some(claims) = tollgate_core::json::object(&claims) {
            check_claims(token.signer, case, claims);
        }
    });
}

#[test]
fn any_path_finds_what_a_json_pointer_finds() {
    let claims: Value = serde_json::from_str(r#"{"a":{"b":{"":1,"~":2,"/":3},"":{"a":4},"n":null},"":5,"/a":6,"~1":7}"#).unwrap();
    let members = claims.as_object().unwrap();
    let parts = words("/|/|/|/|a|b|n|~0|~1|~|~2|/a|~01|\u{e9}");
    check!().with_test_time(BRIEFLY).with_generator(numbers(12)).for_each(|numbers| {
        let path = String::from_utf8_lossy(&text(numbers, &parts)).into_owned();
        let steps = path.split('/').count() - 1;
        let is_escaped = path.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
        let is_path = !path.is_empty() && path.len() <= 256 && (!path.starts_with('/') || (steps <= 8 && is_escaped));
        let Some(read) = ClaimPath::parse(&path) else { return assert!(!is_path, "{path:?} is no path") };
        assert!(is_path, "{path:?} is a path");
        let expected = if path.starts_with('/') { claims.pointer(&path) } else { members.get(&path) };
        assert_eq!(read.find(members), expected.filter(|value| !value.is_null()), "{path:?}");
    });
}

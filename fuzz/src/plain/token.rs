//! Owns a second reading of access tokens, plain and slow: form, header, claims and signature, by the issuers of `fixture`. Must not
//! use the filter's code.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use tollgate_core::verdict::Reason;

use super::json;
use crate::fixture::{LONGEST_TOKEN, Signer};

/// `alg` that is known.
const ALGORITHMS: [&str; 14] =
    ["HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"];
/// No date is later: the year 10000.
const LATEST: f64 = 253_402_300_800.0;

/// What of a token can be read without a key.
#[derive(Debug)]
pub(crate) struct Token {
    pub(crate) algorithm: String,
    pub(crate) key_id: Option<String>,
    pub(crate) kind: Option<String>,
    pub(crate) payload: Vec<u8>,
    signature: Vec<u8>,
}

/// Whom a credential lets in.
#[derive(Debug)]
pub(crate) struct Known {
    /// Consumer, tier, credential.
    pub(crate) identity: [String; 3],
    pub(crate) scopes: BTreeSet<String>,
}

/// Bytes in base64url without padding; `None` where another text would stand for the same, or nothing does.
pub(crate) fn base64url(text: &[u8]) -> Option<Vec<u8>> {
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0_u32, 0);
    for digit in text {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count).unwrap());
            bits &= (1 << count) - 1;
        }
    }
    (count < 6 && bits == 0).then_some(bytes)
}

/// Whether a credential is meant to be a token.
pub(crate) fn is_meant(credential: &[u8]) -> bool {
    credential.starts_with(b"e") && credential.iter().filter(|byte| **byte == b'.').count() > 1
}

/// A token in compact form.
pub(crate) fn read(token: &[u8]) -> Option<Token> {
    let parts: Option<Vec<Vec<u8>>> = token.split(|byte| *byte == b'.').map(base64url).collect();
    let [header, payload, signature] = parts?.try_into().ok()?;
    let header = json::object(&header)?;
    // Nothing that must be understood to read the rest, and no token inside it.
    let kind = |name: &str| {
        let lower = header.get(name)?.as_str()?.to_ascii_lowercase();
        Some(lower.strip_prefix("application/").map(str::to_owned).unwrap_or(lower))
    };
    let content = kind("cty").unwrap_or_default();
    let nested = content == "jwt" || content.ends_with("+jwt");
    let text = |name: &str| header.get(name).is_none_or(|value| value.as_str().is_some_and(|text| text.len() <= 256));
    let algorithm = header.get("alg")?.as_str()?.to_owned();
    let is_plain = !nested
        && ["crit", "b64", "zip", "enc"].into_iter().all(|name| header.get(name).is_none())
        && ["alg", "kid", "typ", "cty"].into_iter().all(text)
        && ALGORITHMS.contains(&algorithm.as_str());
    let key_id = header.get("kid").and_then(Value::as_str).map(str::to_owned);
    is_plain.then(|| Token { algorithm, key_id, kind: kind("typ"), payload, signature })
}

/// Whom a token lets in at `now`, in seconds since 1970; else everything that is wrong with it, as far as it can be read.
pub(crate) fn judge(token: &[u8], now: u64) -> Result<Known, Vec<Reason>> {
    let invalid = || vec![Reason::InvalidToken];
    if token.len() > LONGEST_TOKEN || !token.iter().all(u8::is_ascii_graphic) {
        return Err(invalid());
    }
    let own = read(token).ok_or_else(invalid)?;
    let claims = json::object(&own.payload).ok_or_else(invalid)?;
    let signer = Signer::ALL.into_iter().find(|signer| claims.get("iss") == Some(&signer.issuer().into())).ok_or_else(invalid)?;
    let text = &token[..token.iter().rposition(|byte| *byte == b'.').unwrap()];
    let algorithms: &[&str] = match signer {
        Signer::Secret => &["HS256"],
        Signer::Pair => &["EdDSA", "Ed25519"],
    };
    // Both algorithms sign a text in one way only.
    let is_signed = algorithms.contains(&own.algorithm.as_str())
        && own.key_id.as_deref().is_none_or(|id| id == signer.key_id())
        && own.signature == signer.sign(text);
    if !is_signed {
        return Err(invalid());
    }
    let mut faults = faults(signer, own.kind.as_deref(), &claims, now);
    let consumer = consumer(signer, &claims).unwrap_or_default();
    if signer == Signer::Pair && consumer != "acme" {
        faults.push(Reason::UnknownConsumer);
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let credential = id(&claims).unwrap_or_else(|| {
        use sha2::Digest;
        sha2::Sha256::digest(text)[..12].iter().map(|byte| format!("{byte:02x}")).collect()
    });
    Ok(Known { identity: [consumer, "free".to_owned(), credential], scopes: scopes(signer, &claims).into_iter().collect() })
}

/// What is wrong with the claims of a token, and with its `typ`.
pub(crate) fn faults(signer: Signer, kind: Option<&str>, claims: &Map<String, Value>, now: u64) -> Vec<Reason> {
    let kinds: &[Option<&str>] = match signer {
        Signer::Secret => &[None, Some("jwt"), Some("at+jwt")],
        Signer::Pair => &[Some("at+jwt")],
    };
    let mut faults = Vec::new();
    let mut hold = |right: bool, reason| faults.extend((!right).then_some(reason));
    hold(kinds.contains(&kind), Reason::InvalidToken);
    hold(claims.get("iss") == Some(&signer.issuer().into()), Reason::InvalidToken);
    if signer == Signer::Secret {
        let audiences = match claims.get("aud") {
            None => Some(Vec::new()),
            Some(Value::Array(many)) => many.iter().map(Value::as_str).collect(),
            Some(one) => one.as_str().map(|one| vec![one]),
        };
        hold(audiences.is_some(), Reason::InvalidToken);
        hold(audiences.is_none_or(|audiences| audiences.contains(&"api")), Reason::WrongAudience);
        hold(claims.get("plan").is_some_and(|plan| *plan == "basic" || *plan == "7" || *plan == 7), Reason::InvalidToken);
    }
    for name in ["exp", "nbf", "iat"] {
        hold(claims.get(name).is_none() || date(claims, name).is_some(), Reason::InvalidToken);
    }
    let [now, leeway] = [now, leeway(signer)].map(u128::from);
    let [ends, begins] = ["exp", "nbf"].map(|name| date(claims, name).map(u128::from));
    hold(ends.is_some(), Reason::InvalidToken);
    hold(ends.is_none_or(|ends| now < ends + leeway), Reason::ExpiredToken);
    hold(begins.is_none_or(|begins| begins <= now + leeway), Reason::TokenNotYetValid);
    hold(signer == Signer::Pair || ends.is_none_or(|ends| ends <= now + leeway + 86_400), Reason::InvalidToken);
    hold(consumer(signer, claims).is_some(), Reason::InvalidToken);
    hold(claims.get("jti").is_none_or(Value::is_string), Reason::InvalidToken);
    faults
}

/// The seconds by which clocks may differ.
pub(crate) const fn leeway(signer: Signer) -> u64 {
    match signer {
        Signer::Secret => 30,
        Signer::Pair => 1,
    }
}

/// A claim that says when, in whole seconds.
pub(crate) fn date(claims: &Map<String, Value>, name: &str) -> Option<u64> {
    let seconds = claims.get(name)?.as_f64().filter(|seconds| (0.0..LATEST).contains(seconds))?;
    Some(format!("{:.0}", seconds.floor()).trim_start_matches('-').parse().unwrap())
}

/// The consumer that a token names.
pub(crate) fn consumer(signer: Signer, claims: &Map<String, Value>) -> Option<String> {
    let (prefix, claim) = match signer {
        Signer::Secret => ("s:", claims.get("sub")?),
        Signer::Pair => ("", claims.get("org")?.as_object()?.get("id")?),
    };
    let is_whole = claim.is_u64() || claim.is_i64() || claim.is_boolean();
    let text = if is_whole { claim.to_string() } else { claim.as_str()?.to_owned() };
    let consumer = format!("{prefix}{text}");
    (!text.is_empty() && is_id(&consumer)).then_some(consumer)
}

/// The id of a token, if it may be one.
pub(crate) fn id(claims: &Map<String, Value>) -> Option<String> {
    claims.get("jti")?.as_str().filter(|id| is_id(id)).map(str::to_owned)
}

/// The scopes that a token grants, in its order.
pub(crate) fn scopes(signer: Signer, claims: &Map<String, Value>) -> Vec<String> {
    let there = |name: &str| claims.get(name).filter(|value| !value.is_null());
    match signer {
        Signer::Secret => names(there("scope").or_else(|| there("scp")), ""),
        Signer::Pair => names(there("rights"), "api:"),
    }
}

/// The roles that a token grants, in its order.
pub(crate) fn roles(claims: &Map<String, Value>) -> Vec<String> {
    names(claims.get("roles"), "")
}

fn names(value: Option<&Value>, prefix: &str) -> Vec<String> {
    let all: Vec<&str> = match value {
        Some(Value::String(text)) => text.split(' ').filter(|name| !name.is_empty()).collect(),
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let own = all.into_iter().take(256).filter_map(|name| name.strip_prefix(prefix));
    own.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// Whether text may stand for somebody: 1 to 128 visible characters that need no escape in a header, a log and JSON.
pub(crate) fn is_id(text: &str) -> bool {
    let is_plain = |one: char| ('!'..='~').contains(&one) && !"\"\\".contains(one);
    (1..=128).contains(&text.chars().count()) && text.chars().all(is_plain)
}

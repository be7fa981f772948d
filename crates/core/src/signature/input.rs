//! Owns the reading of `Signature-Input` and `Signature` (RFC 9421, section 4): the subset of RFC 9651 in which every text has one meaning.
//! Must not know secrets.

use super::{Claim, Request, Rules, Wrong, base, decode, digest};

/// The longest headers that are read.
const LONGEST: usize = 4_096;
/// The most signatures of a request.
const MOST_SIGNATURES: usize = 8;
/// The most components of a signature.
const MOST_COMPONENTS: usize = 32;
/// The longest nonce.
const LONGEST_NONCE: usize = 128;
/// The shortest.
const SHORTEST_NONCE: usize = 8;

/// What a signature says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Input<'a> {
    label: &'a str,
    /// The components and parameters as they stand there: the value of `@signature-params`.
    text: &'a str,
    components: Vec<&'a str>,
    created: Option<u64>,
    expires: Option<u64>,
    nonce: Option<&'a str>,
    keyid: Option<&'a str>,
    tag: Option<&'a str>,
}

/// Finds the one signature of a credential.
pub(super) fn find(request: &Request<'_>, rules: &Rules, credential: &str) -> Result<Claim, Wrong> {
    let header = |name: &str| {
        let value = base::field(request.fields, name)?;
        value.map(|value| String::from_utf8(value).ok().filter(|value| value.len() <= LONGEST).ok_or(Wrong::Invalid)).transpose()
    };
    let (inputs, signatures) = match (header("signature-input")?, header("signature")?) {
        (Some(inputs), Some(signatures)) => (inputs, signatures),
        // Of `Signature` alone the older form is not told apart.
        (None, _) => return Err(Wrong::Missing),
        (Some(_), None) => return Err(Wrong::Invalid),
    };
    let inputs = read_inputs(&inputs).ok_or(Wrong::Invalid)?;
    let signatures = read_signatures(&signatures).ok_or(Wrong::Invalid)?;
    let mut own =
        inputs.iter().filter(|input| input.keyid == Some(credential) && (rules.tag.is_none() || input.tag == rules.tag.as_deref()));
    let input = match (own.next(), own.next()) {
        (Some(input), None) => input,
        (None, _) => return Err(Wrong::Missing),
        (Some(_), Some(_)) => return Err(Wrong::Invalid),
    };
    let (_, mac) = signatures.iter().find(|(label, _)| *label == input.label).ok_or(Wrong::Invalid)?;
    let created = input.created.ok_or(Wrong::Invalid)?;
    let covers = |name: &str| input.components.contains(&name);
    let least = covers("@method") && (covers("@target-uri") || (covers("@authority") && covers("@path") && covers("@query")));
    let digest = covers("content-digest");
    if !least
        || (request.has_body && !digest && !rules.checks_body)
        || (rules.nonce && input.nonce.is_none())
        || !rules.components.iter().all(|name| covers(name))
    {
        return Err(Wrong::Invalid);
    }
    Ok(Claim {
        base: base::signature_base(request, input.components.iter().copied(), input.text)?,
        mac: mac.to_vec(),
        created,
        expires: input.expires,
        nonce: input.nonce.map(str::to_owned),
        digest: digest.then(|| digest::in_content_digest(request)).transpose()?,
    })
}

/// Reads `Signature-Input`; `None` if it is not of the form that is taken here.
fn read_inputs(text: &str) -> Option<Vec<Input<'_>>> {
    let mut inputs: Vec<Input<'_>> = Vec::new();
    let mut rest = text;
    loop {
        let (label, after) = key(rest)?;
        let value = after.strip_prefix('=')?;
        let mut input = Input { label, ..Input::default() };
        let after = components(value.strip_prefix('(')?, &mut input.components)?;
        let after = parameters(after, &mut input)?;
        input.text = value.get(..value.len() - after.len())?;
        if inputs.len() == MOST_SIGNATURES || inputs.iter().any(|own| own.label == label) {
            return None;
        }
        inputs.push(input);
        match next_member(after)? {
            Some(next) => rest = next,
            None => return Some(inputs),
        }
    }
}

/// Reads `Signature`: labels, and 32 bytes each. Those of other algorithms are passed over.
fn read_signatures(text: &str) -> Option<Vec<(&str, [u8; 32])>> {
    let mut labels: Vec<&str> = Vec::new();
    let mut signatures = Vec::new();
    let mut rest = text;
    loop {
        let (label, after) = key(rest)?;
        let (value, after) = after.strip_prefix("=:")?.split_once(':')?;
        if labels.len() == MOST_SIGNATURES || labels.contains(&label) {
            return None;
        }
        labels.push(label);
        signatures.extend(decode(value).map(|mac| (label, mac)));
        match next_member(after)? {
            Some(next) => rest = next,
            None => return Some(signatures),
        }
    }
}

/// What follows the comma after a member; the inner `None`: nothing.
fn next_member(rest: &str) -> Option<Option<&str>> {
    let space = [' ', '\t'];
    match rest.trim_start_matches(space) {
        "" => Some(None),
        rest => Some(Some(rest.strip_prefix(',')?.trim_start_matches(space))),
    }
}

/// Component identifiers up to the closing parenthesis. None may have parameters: they change what is signed.
fn components<'a>(text: &'a str, into: &mut Vec<&'a str>) -> Option<&'a str> {
    let mut rest = text;
    loop {
        let (name, after) = string(rest)?;
        let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&byte);
        let bare = name.strip_prefix('@').unwrap_or(name);
        if bare.is_empty() || !bare.bytes().all(known) || into.contains(&name) || into.len() == MOST_COMPONENTS {
            return None;
        }
        into.push(name);
        match after.strip_prefix(' ') {
            Some(next) => rest = next,
            None => return after.strip_prefix(')'),
        }
    }
}

/// The parameters of a signature, each at most once; `None` for one that is not known.
fn parameters<'a>(text: &'a str, input: &mut Input<'a>) -> Option<&'a str> {
    let mut rest = text;
    let mut algorithm = None;
    while let Some(after) = rest.strip_prefix(';') {
        let (name, value) = key(after)?;
        let value = value.strip_prefix('=')?;
        let whole = match name {
            "created" => &mut input.created,
            "expires" => &mut input.expires,
            _ => {
                let (place, longest) = match name {
                    "nonce" => (&mut input.nonce, LONGEST_NONCE),
                    "keyid" => (&mut input.keyid, 128),
                    "tag" => (&mut input.tag, 128),
                    "alg" => (&mut algorithm, 16),
                    _ => return None,
                };
                let (text, after) = string(value)?;
                if text.len() > longest || place.replace(text).is_some() {
                    return None;
                }
                rest = after;
                continue;
            }
        };
        let (number, after) = integer(value)?;
        if whole.replace(number).is_some() {
            return None;
        }
        rest = after;
    }
    let well_formed = input.nonce.is_none_or(|nonce| nonce.len() >= SHORTEST_NONCE) && algorithm.is_none_or(|own| own == "hmac-sha256");
    well_formed.then_some(rest)
}

/// RFC 9651, section 3.1.2: a key.
fn key(text: &str) -> Option<(&str, &str)> {
    let starts = text.starts_with(|first: char| first.is_ascii_lowercase() || first == '*');
    let end = text.find(|other: char| !(other.is_ascii_lowercase() || other.is_ascii_digit() || "_-.*".contains(other)));
    let (name, rest) = text.split_at_checked(end.unwrap_or(text.len()))?;
    (starts && name.len() <= 64).then_some((name, rest))
}

/// A string without escapes.
fn string(text: &str) -> Option<(&str, &str)> {
    let (value, rest) = text.strip_prefix('"')?.split_once('"')?;
    value.bytes().all(|byte| (b' '..0x7f).contains(&byte) && byte != b'\\').then_some((value, rest))
}

/// A number as it is written out again: no sign, no zeros before it.
pub(super) fn integer(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|other: char| !other.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at_checked(end)?;
    let plain = (1..=15).contains(&digits.len()) && (digits == "0" || !digits.starts_with('0'));
    plain.then(|| digits.parse().ok())?.map(|number| (number, rest))
}

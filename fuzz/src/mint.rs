//! Owns how generated numbers become access tokens: headers, claims, signatures, and what is wrong with them. Must not know what is
//! tested.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bolero::{TypeGenerator, produce};

use crate::fixture::{NOW, Signer};
use crate::input::{Numbers, Splice, numbers, several, text, words};

/// The order of Ed25519's group, the lowest byte first (RFC 8032, section 5.1).
const ORDER: [u8; 32] = *b"\xed\xd3\xf5\x5c\x1a\x63\x12\x58\xd6\x9c\xf7\xa2\xde\xf9\xde\x14\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x10";

/// A token to be made: nearly always of the right form, and often valid.
#[derive(Clone, Debug, TypeGenerator)]
pub(crate) struct Token {
    pub(crate) signer: Signer,
    #[generator(several(produce(), 3))]
    header: Vec<Change>,
    #[generator(several(produce(), 4))]
    claims: Vec<Change>,
    /// What of these counts: one of them as a rule, as the first that is found hides the others. 0 and 1 the flaw, 2 and 3 the header,
    /// the others the claims, 9 all.
    #[generator(0..10_u8)]
    counts: u8,
    flaw: Flaw,
}

/// Another member of an object.
#[derive(Clone, Debug, TypeGenerator)]
struct Change {
    name: u8,
    value: u8,
    /// 0: beside the one there is; 1: it goes; 2: of another kind.
    #[generator(0..10_u8)]
    how: u8,
}

/// What is wrong beside members.
#[derive(Clone, Debug, TypeGenerator)]
enum Flaw {
    /// Signed like that.
    Header(Splice),
    /// Signed like that.
    Claims(Splice),
    /// Of the finished token.
    Text(Splice),
    /// Another character at the end of a part, where some bits may stand for nothing.
    LastOf(u8, u8),
    /// Of the signature.
    Bit(u16),
    /// Signed with the key of the other issuer.
    OtherKey,
    /// Signed with the public key as a secret.
    PublicKey,
    /// Signed with an algorithm that the secret fits and the issuer may not use.
    OtherAlgorithm,
    /// Bytes at the end of the signature missing.
    Short(u8),
    /// The same signature, written as no signer would.
    Order,
    Unsigned,
    Padded,
    /// Not that token at all.
    Words(#[generator(numbers(8))] Numbers),
}

/// The members a header or claims have, names and JSON.
type Members = Vec<(&'static str, String)>;

/// A member, and values it may have, in JSON and between bars.
type Member = (&'static str, String);

static HEADER: LazyLock<Vec<Member>> = LazyLock::new(|| {
    let long = [256, 257].map(|length| format!("\"{}\"", "x".repeat(length))).join("|");
    let kinds = r#""JWT"|"at+jwt"|"AT+JWT"|"application/at+jwt"|"Application/JWT"|"application/application/jwt"|"jws"|"""#;
    let algorithms = r#""HS256"|"EdDSA"|"Ed25519"|"ES256"|"HS384"|"RS256"|"none"|"hs256"|"ES512""#;
    let members = [("alg", algorithms), ("kid", &format!(r#""s"|"p"|"other"|""|{long}"#)), ("typ", &format!("{kinds}|{long}"))];
    let often = members.map(|(name, values)| (name, values.to_owned()));
    let seldom = [("cty", r#""JWT"|"json"|"x+jwt"|"a""#), ("crit", r#"[]|["exp"]|["b64"]"#), ("b64", "true|false"), ("zip", r#""DEF""#)];
    let seldom =
        seldom.into_iter().chain([("enc", r#""A128GCM""#), ("jwk", r#"{"kty":"oct","k":"AA"}"#), ("jku", r#""https://x.example""#)]);
    often.iter().cycle().take(9).cloned().chain(seldom.map(|(name, values)| (name, values.to_owned()))).collect()
});

static CLAIMS: LazyLock<Vec<Member>> = LazyLock::new(|| {
    let dates = |away: &[i64]| {
        let dates = away.iter().map(|away| NOW.saturating_add_signed(*away));
        dates.flat_map(|date| [format!("{date}"), format!("{date}.5")]).collect::<Vec<_>>().join("|")
    };
    let ends = dates(&[-31, -30, -29, -2, -1, 0, 1, 60, 86_400, 86_429, 86_430, 86_431, 31_536_000]);
    let begins = dates(&[-86_400, -1, 0, 1, 2, 29, 30, 31, 60]);
    let never = "0|-0.0|-1|0.5|1e308|18446744073709551615|253402300799|253402300799.5|253402300800";
    let texts = |lengths: &[usize]| lengths.iter().map(|length| format!("\"{}\"", "x".repeat(*length))).collect::<Vec<_>>().join("|");
    let ids =
        format!(r#""acme"|"alice"|"a b"|"a\"b"|"\\"|"é"|"a\u0000\r\n"|""|" "|7|-7|true|1.5|[]|{{}}|{}"#, texts(&[125, 126, 127, 128, 129]));
    let names = format!(
        r#""read write"|"write  read"|"write"|["read"]|["read write"]|["write",1,"read",""]|""|7|"api:read"|["api:","api:read"]|["api:x"]|
        "{few}read"|"{many}read""#,
        few = "x ".repeat(255),
        many = "x ".repeat(256),
    );
    let objects = r#"{"id":"acme"}|{"id":"acme","x":[1]}|{"id":"other"}|{"id":null}|{"id":7}|{"id":["acme"]}|{}|["acme"]|"acme""#;
    let members = [
        ("iss", r#""https://secret.example"|"https://pair.example"|"https://Pair.example"|["https://pair.example"]"#),
        ("aud", r#""api"|["api","x"]|["x"]|"x"|["x","api"]|["api",1]|[]|"API"|"api x"|{"api":1}"#),
        ("exp", &format!("{ends}|{never}")),
        ("nbf", &format!("{begins}|{never}")),
        ("iat", &format!("{begins}|{never}")),
        ("sub", &ids),
        ("jti", &ids),
        ("scope", &names),
        ("scp", &names),
        ("roles", &names),
        ("rights", &names),
        ("plan", r#""basic"|7|"7"|7.0|"Basic"|["basic"]|true"#),
        ("org", objects),
        ("org", r#"{"id":"other"}|{"id":"Acme"}|{"id":"acme"}"#),
        ("long", &texts(&[300, 700])),
    ];
    members.map(|(name, values)| (name, values.to_owned())).into()
});

/// Tokens that nothing is wrong with, one of each signer.
pub(crate) static VALID: LazyLock<[Vec<u8>; 2]> = LazyLock::new(|| {
    Signer::ALL.map(|signer| Token { signer, header: Vec::new(), claims: Vec::new(), counts: 4, flaw: Flaw::Unsigned }.mint())
});

impl Token {
    fn flaw(&self) -> Option<&Flaw> {
        matches!(self.counts, 0 | 1 | 9).then_some(&self.flaw)
    }

    /// The header's JSON.
    pub(crate) fn header(&self) -> Vec<u8> {
        let algorithm = match (self.flaw(), self.signer) {
            (Some(Flaw::OtherAlgorithm), _) => quoted("HS384"),
            (Some(Flaw::PublicKey), _) | (_, Signer::Secret) => quoted("HS256"),
            (_, Signer::Pair) => quoted("EdDSA"),
        };
        let members = match self.signer {
            Signer::Secret => vec![("alg", algorithm), ("typ", quoted("JWT"))],
            Signer::Pair => vec![("alg", algorithm), ("typ", quoted("at+jwt")), ("kid", quoted(self.signer.key_id()))],
        };
        object(members, if matches!(self.counts, 2 | 3 | 9) { &self.header } else { &[] }, &HEADER)
    }

    /// The JSON of the claims.
    pub(crate) fn claims(&self) -> Vec<u8> {
        let mut members = vec![
            ("iss", quoted(self.signer.issuer())),
            ("exp", (NOW + 3_600).to_string()),
            ("nbf", NOW.to_string()),
            ("iat", NOW.to_string()),
            ("jti", quoted("t1")),
        ];
        members.extend(match self.signer {
            Signer::Secret => [("aud", quoted("api")), ("sub", quoted("alice")), ("plan", quoted("basic")), ("scope", quoted("read"))],
            Signer::Pair => [
                ("org", r#"{"id":"acme"}"#.to_owned()),
                ("rights", r#"["api:read","write"]"#.to_owned()),
                ("roles", quoted("admin")),
                ("sub", quoted("alice")),
            ],
        });
        object(members, if self.counts >= 4 { &self.claims } else { &[] }, &CLAIMS)
    }

    /// The token.
    pub(crate) fn mint(&self) -> Vec<u8> {
        let flaw = self.flaw();
        let (mut header, mut claims) = (self.header(), self.claims());
        match flaw {
            Some(Flaw::Header(change)) => change.apply(&mut header),
            Some(Flaw::Claims(change)) => change.apply(&mut claims),
            _ => {}
        }
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(&header), URL_SAFE_NO_PAD.encode(&claims));
        let mut signature = match flaw {
            Some(Flaw::OtherKey) => self.signer.other().sign(signed.as_bytes()),
            Some(Flaw::PublicKey) => Signer::sign_with_public_key(signed.as_bytes()),
            Some(Flaw::OtherAlgorithm) => Signer::sign_otherwise(signed.as_bytes()),
            Some(Flaw::Unsigned) => Vec::new(),
            _ => self.signer.sign(signed.as_bytes()),
        };
        match flaw {
            Some(Flaw::Bit(place)) => {
                let place = usize::from(*place) % (8 * signature.len());
                signature[place / 8] ^= 1 << (place % 8);
            }
            Some(Flaw::Short(length)) => signature.truncate(usize::from(*length) % signature.len()),
            Some(Flaw::Order) => add_order(&mut signature),
            _ => {}
        }
        let mut token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)).into_bytes();
        match flaw {
            Some(Flaw::Text(change)) => change.apply(&mut token),
            Some(Flaw::Padded) => token.push(b'='),
            Some(Flaw::LastOf(part, character)) => {
                let ends: Vec<usize> = (1..=token.len()).filter(|end| token.get(*end).is_none_or(|byte| *byte == b'.')).collect();
                let end = ends[usize::from(*part) % ends.len()];
                token[end - 1] = URL_SAFE_NO_PAD.encode([*character]).as_bytes()[0];
            }
            Some(Flaw::Words(numbers)) => {
                let mut all = words(".|.|.|e|e30|eyJ|A|AA|=|\u{e9}");
                all.extend(token.split(|byte| *byte == b'.').map(<[u8]>::to_vec));
                token = [b"e", text(numbers, &all).as_slice()].concat();
            }
            _ => {}
        }
        token
    }
}

/// Adds the order of the group to the second half of a signature with Ed25519.
fn add_order(signature: &mut [u8]) {
    let mut carry = 0;
    for (byte, other) in signature.iter_mut().skip(32).zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(other) + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
}

fn object(mut members: Members, changes: &[Change], others: &[Member]) -> Vec<u8> {
    for change in changes {
        let (name, values) = &others[usize::from(change.name) % others.len()];
        let values = if change.how == 2 { r#"null|true|1|""|"x"|[]|[1]|{}|{"a":{}}"# } else { values };
        let value = values.split('|').map(str::trim).nth(usize::from(change.value) % values.split('|').count());
        if change.how != 0 {
            members.retain(|(own, _)| own != name);
        }
        if change.how != 1 {
            members.push((name, value.unwrap_or_default().to_owned()));
        }
    }
    let members: Vec<String> = members.iter().map(|(name, value)| format!("{}:{value}", quoted(name))).collect();
    format!("{{{}}}", members.join(",")).into_bytes()
}

fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}

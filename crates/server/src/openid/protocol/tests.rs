use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::json;

use super::*;

const NOW: u64 = 1_800_000_000;
const ISSUER: &str = "https://idp.example";

/// A provider's key.
struct Signer {
    pair: EcdsaKeyPair,
    random: SystemRandom,
}

impl Signer {
    fn new() -> Self {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random).unwrap();
        Self { pair, random }
    }

    fn set(&self) -> KeySet {
        let (x, y) = self.pair.public_key().as_ref()[1..].split_at(32);
        let key = json!({"kty": "EC", "crv": "P-256", "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y), "kid": "1"});
        KeySet::read(json!({"keys": [key]}).to_string().as_bytes()).unwrap()
    }

    fn token(&self, header: &Value, claims: &Value) -> String {
        let text = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature = self.pair.sign(&self.random, text.as_bytes()).unwrap();
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn header() -> Value {
    json!({"alg": "ES256", "kid": "1"})
}

fn claims() -> Value {
    json!({"iss": ISSUER, "aud": "tollgate", "sub": "person-1", "exp": NOW + 300, "iat": NOW, "nonce": "word", "email": "a@example.com"})
}

fn judge(token: &str, set: &KeySet) -> Result<Person, ProtocolError> {
    let client = Client { issuer: ISSUER, id: "tollgate", secret: None, scopes: &[], redirect_uri: "https://us/callback" };
    verified(token, set, &client, "word", NOW)
}

#[test]
fn a_token_of_the_provider_names_who_signed_in() {
    let signer = Signer::new();
    let person = judge(&signer.token(&header(), &claims()), &signer.set()).unwrap();
    assert_eq!(person, Person { subject: "person-1".to_owned(), name: None, email: Some("a@example.com".to_owned()) });
    let mut several = claims();
    several["aud"] = json!(["tollgate", "another"]);
    several["azp"] = json!("tollgate");
    assert!(judge(&signer.token(&header(), &several), &signer.set()).is_ok());
}

#[test]
fn claims_that_are_missing_or_others_are_not_believed() {
    let signer = Signer::new();
    for (name, value) in [
        ("iss", json!("https://other.example")),
        ("iss", Value::Null),
        ("aud", json!("another")),
        ("aud", json!(["another"])),
        ("aud", json!(["tollgate", "another"])),
        ("aud", Value::Null),
        ("azp", json!("another")),
        ("azp", json!(1)),
        ("exp", json!(NOW - 61)),
        ("exp", Value::Null),
        ("exp", json!("soon")),
        ("iat", json!(NOW + 61)),
        ("iat", Value::Null),
        ("nbf", json!(NOW + 61)),
        ("nonce", json!("another")),
        ("nonce", json!("")),
        ("nonce", Value::Null),
        ("sub", Value::Null),
        ("sub", json!("")),
        ("sub", json!(7)),
        ("sub", json!("ü")),
        ("sub", json!("x".repeat(256))),
    ] {
        let mut changed = claims();
        changed[name] = value.clone();
        if value.is_null() {
            changed.as_object_mut().unwrap().remove(name);
        }
        assert!(judge(&signer.token(&header(), &changed), &signer.set()).is_err(), "{name}: {value}");
    }
}

#[test]
fn only_the_providers_keys_sign_and_only_for_this() {
    let (signer, other) = (Signer::new(), Signer::new());
    assert!(judge(&other.token(&header(), &claims()), &signer.set()).is_err(), "another key");
    for changed in [
        json!({"alg": "none", "kid": "1"}),
        json!({"alg": "HS256", "kid": "1"}),
        json!({"alg": "ES256", "kid": "2"}),
        json!({"alg": "ES256", "kid": "1", "typ": "at+jwt"}),
        json!({"alg": "ES256", "kid": "1", "typ": "logout+jwt"}),
        json!({"alg": "ES256", "kid": "1", "crit": ["x"], "x": 1}),
    ] {
        assert!(judge(&signer.token(&changed, &claims()), &signer.set()).is_err(), "{changed}");
    }
    // A secret that anybody can read who can read the provider's public key.
    let token = signer.token(&json!({"alg": "none"}), &claims());
    assert!(judge(&format!("{}.", token.rsplit_once('.').unwrap().0), &signer.set()).is_err());
}

fn metadata(change: impl FnOnce(&mut Value)) -> Metadata {
    let mut document = json!({
        "issuer": ISSUER,
        "authorization_endpoint": "https://idp.example/authorize",
        "token_endpoint": "https://idp.example/token",
        "jwks_uri": "https://idp.example/keys",
    });
    change(&mut document);
    serde_json::from_value(document).unwrap()
}

#[test]
fn the_browser_goes_with_a_challenge_and_not_with_its_answer() {
    let word = |text: &str| Zeroizing::new(text.to_owned());
    // RFC 7636, appendix B.
    let words = Words { state: word("the state"), nonce: word("the nonce"), verifier: word("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk") };
    let scopes = ["openid".to_owned(), "email".to_owned()];
    let client =
        Client { issuer: ISSUER, id: "toll gate&", secret: Some(word("secret")), scopes: &scopes, redirect_uri: "https://us/callback?x=1" };
    let url = metadata(|_| ()).authorization_url(&client, &words);
    assert_eq!(
        url,
        "https://idp.example/authorize?response_type=code&client_id=toll+gate%26&redirect_uri=https%3A%2F%2Fus%2Fcallback%3Fx%3D1\
         &scope=openid+email&state=the+state&nonce=the+nonce&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM\
         &code_challenge_method=S256"
    );
    let with_query = metadata(|document| document["authorization_endpoint"] = json!("https://idp.example/authorize?tenant=1"));
    assert!(with_query.authorization_url(&client, &words).starts_with("https://idp.example/authorize?tenant=1&response_type=code&"));
}

#[test]
fn an_answer_of_another_provider_is_noticed() {
    let silent = metadata(|_| ());
    assert!(silent.may_have_said(None) && silent.may_have_said(Some(ISSUER)) && !silent.may_have_said(Some("https://other.example")));
    let speaking = metadata(|document| document["authorization_response_iss_parameter_supported"] = json!(true));
    assert!(!speaking.may_have_said(None) && speaking.may_have_said(Some(ISSUER)));
}

#[test]
fn name_and_secret_are_encoded_before_they_are_joined() {
    assert_eq!(basic("a:b", "c d+é"), format!("Basic {}", STANDARD.encode("a%3Ab:c+d%2B%C3%A9")));
}

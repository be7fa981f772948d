//! Wycheproof's vectors: signatures that others got wrong. They are of bytes that are no tokens, so the check itself is held to them, with
//! keys that are read as any others are.
//!
//! Each set's numbers are written down, and what is not as Wycheproof has it is explained. `--nocapture` prints them.

use std::collections::BTreeMap;

use ::wycheproof::{HashFunction, TestResult, ecdsa, eddsa, mac, rsa_pkcs1_verify, rsa_pss_verify};

use super::proxy::Proxy;
use super::*;
use crate::jwk::Unusable;

/// A set, its cases, those with Wycheproof's verdict, and why others have another.
type Row = (&'static str, usize, usize, &'static [(&'static str, usize)]);

const EXPONENT: &str = "exponent other than 65537";
const SALT: &str = "salt not as long as the digest";
const MASK: &str = "mask of another digest";
const SHORT_SECRET: &str = "secret shorter than the digest";
const SHORT_TAG: &str = "tag cut short";
const NO_NULL: &str = "acceptable: digest algorithm without NULL";
/// A set for another salt holds a signature with ours, as one of a wrong length.
const OUR_SALT: &str = "signed: salt as long as the digest, in a set for another";

struct Case<'a> {
    /// Its number in the set.
    number: usize,
    result: TestResult,
    algorithm: Algorithm,
    key: Option<&'a Jwk>,
    text: &'a [u8],
    signature: &'a [u8],
    /// Why it may be refused, and Wycheproof has it otherwise; or signed.
    excuse: Option<&'static str>,
}

#[derive(Default)]
struct Tally {
    cases: usize,
    agree: usize,
    disagree: BTreeMap<&'static str, usize>,
}

impl Tally {
    fn judge(&mut self, case: &Case<'_>) {
        let verdict = case.key.map_or(Signed::No, |key| {
            assert!(key.may_verify(case.algorithm));
            let alone = signature::verify(case.algorithm, key.material(), case.text, case.signature, &mut NoAccelerator);
            let proxy = signature::verify(case.algorithm, key.material(), case.text, case.signature, &mut Proxy::default());
            assert!(alone == proxy || alone == Signed::Unknown, "{}: {alone:?} alone, {proxy:?} with a proxy", case.number);
            proxy
        });
        self.cases += 1;
        if verdict == if case.result == TestResult::Invalid { Signed::No } else { Signed::Yes } {
            self.agree += 1;
        } else {
            let excuse = case.excuse.filter(|excuse| (*excuse == OUR_SALT) == (verdict == Signed::Yes));
            let excuse = excuse.unwrap_or_else(|| panic!("{}: {verdict:?}, and Wycheproof has it otherwise", case.number));
            *self.disagree.entry(excuse).or_default() += 1;
        }
    }
}

/// Prints the rows and holds them to what is expected.
fn assert_rows(rows: &[(&'static str, Tally)], expected: &[Row]) {
    for (set, tally) in rows {
        println!("{set}, {}, {}, {}: {:?}", tally.cases, tally.agree, tally.cases - tally.agree, tally.disagree);
    }
    let rows: Vec<_> =
        rows.iter().map(|(set, tally)| (*set, tally.cases, tally.agree, tally.disagree.clone().into_iter().collect::<Vec<_>>())).collect();
    let expected: Vec<_> = expected.iter().map(|(set, cases, agree, disagree)| (*set, *cases, *agree, disagree.to_vec())).collect();
    assert_eq!(rows, expected);
}

fn read_key(jwk: &Value) -> Result<Jwk, Unusable> {
    Jwk::read(jwk.as_object().unwrap())
}

/// By digest: the RSA algorithms with PKCS #1 and PSS, and its size; others have none.
fn rsa_algorithms(hash: HashFunction) -> Option<(Algorithm, Algorithm, usize)> {
    [
        (HashFunction::Sha2_256, (Algorithm::Rs256, Algorithm::Ps256, 32)),
        (HashFunction::Sha2_384, (Algorithm::Rs384, Algorithm::Ps384, 48)),
        (HashFunction::Sha2_512, (Algorithm::Rs512, Algorithm::Ps512, 64)),
    ]
    .into_iter()
    .find_map(|(own, algorithms)| (own == hash).then_some(algorithms))
}

fn rsa_key(n: &[u8], e: &[u8]) -> Option<Jwk> {
    let key = read_key(&json!({"kty": "RSA", "n": base64(n), "e": base64(e)}));
    assert_eq!(key.as_ref().err(), (e != [1, 0, 1]).then_some(&Unusable::Key));
    key.ok()
}

#[test]
fn rsa_pkcs1_signatures_are_judged_as_wycheproof_does() {
    use rsa_pkcs1_verify::{TestFlag, TestName, TestSet};
    let sets = [
        ("RSA 2048, SHA-256", TestName::Rsa2048Sha256),
        ("RSA 2048, SHA-384", TestName::Rsa2048Sha384),
        ("RSA 2048, SHA-512", TestName::Rsa2048Sha512),
        ("RSA 3072, SHA-256", TestName::Rsa3072Sha256),
        ("RSA 3072, SHA-384", TestName::Rsa3072Sha384),
        ("RSA 3072, SHA-512", TestName::Rsa3072Sha512),
        ("RSA 4096, SHA-256", TestName::Rsa4096Sha256),
        ("RSA 4096, SHA-384", TestName::Rsa4096Sha384),
        ("RSA 4096, SHA-512", TestName::Rsa4096Sha512),
    ];
    let rows = sets.map(|(name, set)| {
        let mut tally = Tally::default();
        for group in TestSet::load(set).unwrap().test_groups {
            let own = rsa_key(&group.key.n, &group.key.e);
            for test in &group.tests {
                let missing_null = test.result == TestResult::Acceptable && test.flags.contains(&TestFlag::MissingNull);
                tally.judge(&Case {
                    number: test.tc_id,
                    result: test.result,
                    algorithm: rsa_algorithms(group.hash).unwrap().0,
                    key: own.as_ref(),
                    text: &test.msg,
                    signature: &test.sig,
                    excuse: if own.is_none() { Some(EXPONENT) } else { missing_null.then_some(NO_NULL) },
                });
            }
        }
        (name, tally)
    });
    assert_rows(
        &rows,
        &[
            ("RSA 2048, SHA-256", 259, 256, &[(NO_NULL, 1), (EXPONENT, 2)]),
            ("RSA 2048, SHA-384", 258, 257, &[(NO_NULL, 1)]),
            ("RSA 2048, SHA-512", 259, 257, &[(NO_NULL, 1), (EXPONENT, 1)]),
            ("RSA 3072, SHA-256", 259, 257, &[(NO_NULL, 1), (EXPONENT, 1)]),
            ("RSA 3072, SHA-384", 259, 258, &[(NO_NULL, 1)]),
            ("RSA 3072, SHA-512", 260, 258, &[(NO_NULL, 1), (EXPONENT, 1)]),
            ("RSA 4096, SHA-256", 258, 257, &[(NO_NULL, 1)]),
            ("RSA 4096, SHA-384", 259, 258, &[(NO_NULL, 1)]),
            ("RSA 4096, SHA-512", 259, 258, &[(NO_NULL, 1)]),
        ],
    );
}

#[test]
fn rsa_pss_signatures_are_judged_as_wycheproof_does() {
    use rsa_pss_verify::{TestName, TestSet};
    let sets = [
        ("RSA-PSS 2048, SHA-256, salt 32", TestName::RsaPss2048Sha256Mgf1SaltLen32),
        ("RSA-PSS 2048, SHA-384, salt 48", TestName::RsaPss2048Sha384Mgf1SaltLen48),
        ("RSA-PSS 3072, SHA-256, salt 32", TestName::RsaPss3072Sha256Mgf1SaltLen32),
        ("RSA-PSS 4096, SHA-256, salt 32", TestName::RsaPss4096Sha256Mgf1SaltLen32),
        ("RSA-PSS 4096, SHA-384, salt 48", TestName::RsaPss4096Sha384Mgf1SaltLen48),
        ("RSA-PSS 4096, SHA-512, salt 64", TestName::RsaPss4096Sha512Mgf1SaltLen64),
        ("RSA-PSS 2048, SHA-256, salt 0", TestName::RsaPss2048Sha256Mgf1SaltLen0),
        ("RSA-PSS 4096, SHA-512, salt 32", TestName::RsaPss4096Sha512Mgf1SaltLen32),
        ("RSA-PSS 2048, SHA-256, mask SHA-1", TestName::RsaPss2048Sha256Mgf1Sha1_20),
        ("RSA-PSS, any parameters", TestName::RsaPssmisc),
    ];
    let rows = sets.map(|(name, set)| {
        let mut tally = Tally::default();
        for group in TestSet::load(set).unwrap().test_groups {
            let Some((_, algorithm, digest)) = rsa_algorithms(group.hash) else { continue };
            let own = rsa_key(&group.key.n, &group.key.e).unwrap();
            for test in &group.tests {
                tally.judge(&Case {
                    number: test.tc_id,
                    result: test.result,
                    algorithm,
                    key: Some(&own),
                    text: &test.msg,
                    signature: &test.sig,
                    excuse: match (group.mgf_hash == Some(group.hash), group.salt_size == digest) {
                        (true, true) => None,
                        (true, false) if test.comment == format!("s_len changed to {digest}") => Some(OUR_SALT),
                        (true, false) => Some(SALT),
                        (false, _) => Some(MASK),
                    },
                });
            }
        }
        (name, tally)
    });
    assert_rows(
        &rows,
        &[
            ("RSA-PSS 2048, SHA-256, salt 32", 108, 108, &[]),
            ("RSA-PSS 2048, SHA-384, salt 48", 141, 141, &[]),
            ("RSA-PSS 3072, SHA-256, salt 32", 108, 108, &[]),
            ("RSA-PSS 4096, SHA-256, salt 32", 108, 108, &[]),
            ("RSA-PSS 4096, SHA-384, salt 48", 141, 141, &[]),
            ("RSA-PSS 4096, SHA-512, salt 64", 179, 179, &[]),
            ("RSA-PSS 2048, SHA-256, salt 0", 103, 41, &[(SALT, 61), (OUR_SALT, 1)]),
            ("RSA-PSS 4096, SHA-512, salt 32", 177, 45, &[(SALT, 132)]),
            ("RSA-PSS 2048, SHA-256, mask SHA-1", 108, 45, &[(MASK, 63)]),
            ("RSA-PSS, any parameters", 90, 3, &[(MASK, 72), (SALT, 15)]),
        ],
    );
}

#[test]
fn ecdsa_signatures_are_judged_as_wycheproof_does() {
    use ecdsa::{TestName, TestSet};
    let sets = [
        ("ECDSA P-256, SHA-256", TestName::EcdsaSecp256r1Sha256P1363, Algorithm::Es256, "P-256"),
        ("ECDSA P-384, SHA-384", TestName::EcdsaSecp384r1Sha384P1363, Algorithm::Es384, "P-384"),
        ("ECDSA P-521, SHA-512, by a proxy", TestName::EcdsaSecp521r1Sha512P1363, Algorithm::Es512, "P-521"),
    ];
    let rows = sets.map(|(name, set, algorithm, curve)| {
        let mut tally = Tally::default();
        for group in TestSet::load(set).unwrap().test_groups {
            let (x, y) = group.key.key[1..].split_at((group.key.key.len() - 1) / 2);
            let own = read_key(&json!({"kty": "EC", "crv": curve, "x": base64(x), "y": base64(y)})).unwrap();
            for test in &group.tests {
                tally.judge(&Case {
                    number: test.tc_id,
                    result: test.result,
                    algorithm,
                    key: Some(&own),
                    text: &test.msg,
                    signature: &test.sig,
                    excuse: None,
                });
            }
        }
        (name, tally)
    });
    assert_rows(
        &rows,
        &[
            ("ECDSA P-256, SHA-256", 262, 262, &[]),
            ("ECDSA P-384, SHA-384", 280, 280, &[]),
            ("ECDSA P-521, SHA-512, by a proxy", 318, 318, &[]),
        ],
    );
}

#[test]
fn ed25519_signatures_are_judged_as_wycheproof_does() {
    use eddsa::{TestName, TestSet};
    let mut tally = Tally::default();
    for group in TestSet::load(TestName::Ed25519).unwrap().test_groups {
        let own = read_key(&json!({"kty": "OKP", "crv": "Ed25519", "x": base64(&*group.key.pk)})).unwrap();
        for test in &group.tests {
            tally.judge(&Case {
                number: test.tc_id,
                result: test.result,
                algorithm: Algorithm::EdDsa,
                key: Some(&own),
                text: &test.msg,
                signature: &test.sig,
                excuse: None,
            });
        }
    }
    assert_rows(&[("Ed25519", tally)], &[("Ed25519", 151, 151, &[])]);
}

#[test]
fn hmacs_are_judged_as_wycheproof_does() {
    use mac::{TestName, TestSet};
    let sets = [
        ("HMAC, SHA-256", TestName::HmacSha256, Algorithm::Hs256, 32),
        ("HMAC, SHA-384", TestName::HmacSha384, Algorithm::Hs384, 48),
        ("HMAC, SHA-512", TestName::HmacSha512, Algorithm::Hs512, 64),
    ];
    let rows = sets.map(|(name, set, algorithm, digest)| {
        let mut tally = Tally::default();
        for group in TestSet::load(set).unwrap().test_groups {
            for test in &group.tests {
                let own = Jwk::secret(None, Secret::new(test.key.to_vec())).filter(|key| key.may_verify(algorithm));
                let short_tag = (group.tag_size < 8 * digest).then_some(SHORT_TAG);
                tally.judge(&Case {
                    number: test.tc_id,
                    result: test.result,
                    algorithm,
                    key: own.as_ref(),
                    text: &test.msg,
                    signature: &test.tag,
                    excuse: if own.is_none() { Some(SHORT_SECRET) } else { short_tag },
                });
            }
        }
        (name, tally)
    });
    assert_rows(
        &rows,
        &[
            ("HMAC, SHA-256", 174, 138, &[(SHORT_SECRET, 6), (SHORT_TAG, 30)]),
            ("HMAC, SHA-384", 174, 138, &[(SHORT_SECRET, 6), (SHORT_TAG, 30)]),
            ("HMAC, SHA-512", 174, 138, &[(SHORT_SECRET, 6), (SHORT_TAG, 30)]),
        ],
    );
}

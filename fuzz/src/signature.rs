//! Signatures of requests: what is altered by a byte is refused, and nothing that is sent breaks the reader.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tollgate_core::secret::Secret;
use tollgate_core::signature::{Fields, Request, Rules, Wrong, check};

const SECRET: &[u8] = b"a secret that signs requests";
const INPUT: &str = "sig1=(\"@method\" \"@authority\" \"@path\" \"@query\" \"x-a\");created=1700000000;keyid=\"k1\";nonce=\"abcdefgh\"";

struct Headers<'a>(Vec<(&'a str, &'a [u8])>);

impl Fields for Headers<'_> {
    fn each(&self, name: &str, take: &mut dyn FnMut(&[u8])) {
        self.0.iter().filter(|(own, _)| *own == name).for_each(|(_, value)| take(value));
    }
}

fn verdict(headers: Vec<(&str, &[u8])>) -> Result<(), Wrong> {
    let rules = Rules {
        components: Box::new([]),
        max_age: 300,
        clock_skew: 10,
        tag: None,
        nonce: false,
        checks_body: true,
        mesh: false,
        cavage: true,
    };
    let (fields, method, scheme) = (Headers(headers), b"GET", b"https");
    let request = Request { method, scheme, authority: b"a.example", target: b"/p?q=1", has_body: false, fields: &fields };
    check(&request, &rules, "k1", &Secret::new(SECRET.to_vec()), 1_700_000_000).map(|_| ())
}

/// As the standard says, in one piece.
fn signature() -> String {
    let params = INPUT.strip_prefix("sig1=").unwrap();
    let base = format!(
        "\"@method\": GET\n\"@authority\": a.example\n\"@path\": /p\n\"@query\": ?q=1\n\"x-a\": value\n\"@signature-params\": {params}"
    );
    let mac = Hmac::<Sha256>::new_from_slice(SECRET).unwrap().chain_update(base).finalize().into_bytes();
    format!("sig1=:{}:", STANDARD.encode(mac))
}

#[test]
fn a_signature_that_is_altered_by_a_byte_is_refused() {
    let signature = signature();
    let sent =
        |input: &[u8], signature: &[u8], value: &[u8]| verdict(vec![("signature-input", input), ("signature", signature), ("x-a", value)]);
    assert_eq!(sent(INPUT.as_bytes(), signature.as_bytes(), b"value"), Ok(()));
    bolero::check!().with_type::<(u8, u16, u8)>().with_test_time(crate::BRIEFLY).for_each(|(which, place, byte)| {
        let mut texts = [INPUT.as_bytes().to_vec(), signature.as_bytes().to_vec(), b"value".to_vec()];
        let text = &mut texts[usize::from(*which) % 3];
        let place = usize::from(*place) % text.len();
        if text[place] == *byte {
            return;
        }
        text[place] = *byte;
        // Space around a value is not part of it; these have none to lose.
        assert!(sent(&texts[0], &texts[1], &texts[2]).is_err(), "{:?}", texts.map(|text| String::from_utf8_lossy(&text).into_owned()));
    });
}

#[test]
fn nothing_that_is_sent_passes_for_a_signature() {
    bolero::check!().with_type::<(Vec<u8>, Vec<u8>, Vec<u8>)>().with_test_time(crate::BRIEFLY).for_each(|(first, second, third)| {
        assert!(verdict(vec![("signature-input", first), ("signature", second), ("authorization", third)]).is_err());
        let input = [INPUT.as_bytes(), b", ", first].concat();
        let draft = [b"Signature keyId=\"k1\",", third.as_slice()].concat();
        assert!(verdict(vec![("signature-input", &input), ("signature", second), ("x-a", b"value")]).is_err());
        assert!(verdict(vec![("authorization", &draft)]).is_err());
    });
}

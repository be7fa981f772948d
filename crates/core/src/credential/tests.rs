use super::*;

fn issuer(version: u32, prefix: &str) -> IssuerKey {
    IssuerKey::new(version, prefix, Secret::new(vec![7; 32])).unwrap()
}

/// Deterministic bytes that visit every value.
fn counting() -> impl FnMut(&mut [u8]) {
    let mut next = 0_u8;
    move |bytes| {
        for byte in bytes {
            *byte = next;
            next = next.wrapping_mul(5).wrapping_add(3);
        }
    }
}

#[test]
fn an_issued_key_has_the_documented_form_and_is_recognised() {
    let key = issuer(1, "foil").issue(&mut counting());
    let body = key.strip_prefix("foil_").unwrap();
    assert_eq!(body.len(), ID_LEN + SECRET_LEN + TAG_LEN);
    assert!(body.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    assert_eq!(issuer(1, "foil").judge(key.as_bytes()), Provenance::Issued);
}

#[test]
fn any_changed_character_makes_a_key_forged() {
    let key = issuer(1, "foil").issue(&mut counting());
    for place in "foil_".len()..key.len() {
        let mut forged = key.clone().into_bytes();
        forged[place] = if forged[place] == b'a' { b'b' } else { b'a' };
        assert_eq!(issuer(1, "foil").judge(&forged), Provenance::Forged, "place {place}");
    }
}

#[test]
fn what_has_the_prefix_and_another_form_is_somebody_elses() {
    let key = issuer(1, "foil").issue(&mut counting());
    let shorter = key.split_at(key.len() - 1).0;
    for other in
        [b"foil_", format!("{key}x").as_bytes(), shorter.as_bytes(), format!("{shorter}-").as_bytes(), b"foil_an-older-key-of-ours"]
    {
        assert_eq!(issuer(1, "foil").judge(other), Provenance::Foreign, "{}", other.escape_ascii());
        assert_eq!(issued_id(other), None);
    }
}

#[test]
fn another_version_prefix_or_secret_does_not_recognise_the_key() {
    let key = issuer(1, "foil").issue(&mut counting());
    assert_eq!(issuer(2, "foil").judge(key.as_bytes()), Provenance::Forged);
    assert_eq!(issuer(1, "other").judge(key.as_bytes()), Provenance::Foreign);
    let other = IssuerKey::new(1, "foil", Secret::new(vec![8; 32])).unwrap();
    assert_eq!(other.judge(key.as_bytes()), Provenance::Forged);
}

#[test]
fn prefixes_outside_the_form_are_refused() {
    for wrong in ["", "f", "Foil", "1foil", "fo_il", "abcdefghijklmnopq", "fö"] {
        assert!(!is_prefix(wrong), "{wrong}");
    }
    assert!(is_prefix("fo") && is_prefix("abcdefghijklmno9"));
}

#[test]
fn hashes_read_back_as_written() {
    let digest = digest(b"abc");
    let plain = KeyHash::of(&digest, None);
    // FIPS 180-2, appendix B.1.
    assert_eq!(plain.to_string(), "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_eq!(plain.to_string().parse(), Ok(plain));
    let peppered = KeyHash::of(&digest, Some(&Secret::new(b"pepper".to_vec())));
    assert_eq!(peppered.to_string().parse(), Ok(peppered));
    assert!(peppered.matches(&peppered) && !peppered.matches(&plain));
    assert!(!KeyHash::Sha256(*peppered.bytes()).matches(&peppered), "the kinds differ");
}

#[test]
fn wrong_hashes_are_refused() {
    let hex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    for wrong in [
        hex.to_owned(),
        format!("md5:{hex}"),
        format!("sha256:{}", hex.split_at(1).1),
        format!("sha256:{}", hex.to_uppercase()),
        "sha256:".to_owned(),
    ] {
        assert_eq!(wrong.parse::<KeyHash>(), Err(KeyHashError), "{wrong}");
    }
}

#[test]
fn hmac_agrees_with_rfc_4231_case_2() {
    let mac = mac(&Secret::new(b"Jefe".to_vec()), &[b"what do ya want ", b"for nothing?"]);
    assert_eq!(KeyHash::Sha256(mac).to_string(), "sha256:5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

use proptest::prelude::*;

use super::*;

/// Writes a header map the way the host does.
pub(crate) fn map(pairs: &[(&[u8], &[u8])]) -> Vec<u8> {
    let length = |text: &[u8]| u32::try_from(text.len()).unwrap().to_le_bytes();
    let mut map = u32::try_from(pairs.len()).unwrap().to_le_bytes().to_vec();
    for (name, value) in pairs {
        map.extend(length(name));
        map.extend(length(value));
    }
    for (name, value) in pairs {
        map.extend_from_slice(name);
        map.push(0);
        map.extend_from_slice(value);
        map.push(0);
    }
    map
}

fn names() -> Names {
    Names::new(&tollgate_core::config::load(b"{}", &|_: &str| None).unwrap())
}

#[test]
fn finds_what_matters_and_ignores_the_rest() {
    let map = map(&[
        (b":method", b"OPTIONS"),
        (b":authority", b"api.example.com"),
        (b":path", b"/v1?a=b"),
        (b"origin", b"https://app.example.com"),
        (b"access-control-request-method", b"GET"),
        (b"content-type", b"application/grpc+proto"),
        (b"authorization", b"Bearer \xff"),
        (b"x-api-key", b"a"),
        (b"x-api-key", b"b"),
        (b"x_consumer-id", b"root"),
        (b"x-consumer-idx", b"root"),
        (b"user-agent", b""),
    ]);
    let head = names().read(&map).unwrap();
    assert_eq!((head.method, head.authority, head.target), (&b"OPTIONS"[..], &b"api.example.com"[..], &b"/v1?a=b"[..]));
    assert_eq!(head.sources[0], Field::Once(b"Bearer \xff"));
    assert_eq!(head.sources[1], Field::Repeated);
    assert_eq!(head.claims, [b"x_consumer-id"]);
    assert!(head.is_preflight() && head.is_grpc());
}

#[test]
fn grpc_is_told_from_types_that_only_begin_like_it() {
    let grpc = |content_type: &'static [u8]| Head { content_type, ..Head::default() }.is_grpc();
    assert!(grpc(b"application/grpc") && grpc(b"application/grpc+proto"));
    assert!(!grpc(b"application/grpc;charset=x") && !grpc(b"application/grpc-web") && !grpc(b"application/json"));
}

#[test]
fn nothing_is_a_head_without_headers() {
    assert!(names().read(b"").unwrap().target.is_empty());
    for wrong in [&[1, 0, 0, 0][..], &[255; 4], &[1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, b'a', 1, 0], &[0x20, 0, 0, 0x20, 0, 0, 0, 0]] {
        assert!(names().read(wrong).is_err(), "{wrong:?}");
    }
}

proptest! {
    #[test]
    fn any_headers_are_read_back(pairs in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..20), prop::collection::vec(any::<u8>(), 0..20)), 0..10)) {
        let borrowed: Vec<(&[u8], &[u8])> = pairs.iter().map(|(name, value)| (name.as_slice(), value.as_slice())).collect();
        let map = map(&borrowed);
        let read: Vec<(&[u8], &[u8])> = Pairs::new(&map).unwrap().map(Result::unwrap).collect();
        prop_assert_eq!(read, borrowed);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = names().read(&bytes);
    }
}

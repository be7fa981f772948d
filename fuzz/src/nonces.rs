//! What the module reads and writes of nonces by hand is what serde would.

use bolero::{check, produce};
use tollgate_core::wire::{Nonce, TakeNonces, TakenNonces, decode, encode};

use crate::BRIEFLY;

#[test]
fn what_is_read_is_the_message_that_was_written_and_no_other() {
    check!().with_test_time(BRIEFLY).with_generator((produce::<Vec<bool>>(), produce::<(usize, u8)>())).for_each(
        |(first, (place, byte))| {
            let mut message = encode(&TakenNonces { first: first.clone() }).unwrap();
            assert_eq!(TakenNonces::read(&message).map(|read| read.first).as_ref(), Some(first));
            let place = place % message.len();
            message[place] = *byte;
            if let Some(read) = TakenNonces::read(&message) {
                assert_eq!(decode::<TakenNonces>(&message).ok(), Some(read), "{}", String::from_utf8_lossy(&message));
            }
        },
    );
}

#[test]
fn what_is_written_is_read_by_others_as_it_was() {
    check!().with_test_time(BRIEFLY).with_generator(produce::<Vec<([u8; 32], u64)>>()).for_each(|nonces| {
        let hex = |bytes: &[u8; 32]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let meant: Vec<Nonce> = nonces.iter().map(|(sha256, for_ms)| Nonce { sha256: hex(sha256), for_ms: *for_ms }).collect();
        let written = TakeNonces::write(nonces.iter().copied());
        assert_eq!(decode::<TakeNonces>(&written).unwrap().nonces, meant);
    });
}

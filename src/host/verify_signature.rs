//! Owns the host's own check of signatures, `verify_signature`: whether there is one, and how it is asked. Must not choose keys.
//!
//! Envoy checks RSASSA-PKCS1-v1_5 and ECDSA in BoringSSL, sixty and ten times faster than code in the module does.

use std::cell::Cell;

use tollgate_core::jws::{Accelerator, Digest};

use crate::host::abi;
use crate::host::root::HostShared;

/// What a host answers for a signature that is right: a message whose field 1 is true.
const RIGHT: &[u8] = &[0x08, 0x01];

thread_local! {
    /// Whether the host checks signatures, and does so truly.
    static THERE: Cell<bool> = const { Cell::new(false) };
}

impl Accelerator for HostShared {
    fn verify(&mut self, digest: Digest, key: &[u8], signature: &[u8], text: &[u8]) -> Option<bool> {
        if THERE.get() { ask(digest, key, signature, text) } else { None }
    }
}

/// Finds out whether the host checks signatures: it must tell a right one from a wrong one.
pub(super) fn find_out() -> bool {
    let right = |signature: &[u8]| ask(Digest::Sha256, &KNOWN_KEY, signature, KNOWN_TEXT);
    let mut wrong = KNOWN_SIGNATURE;
    if let Some(last) = wrong.last_mut() {
        *last ^= 1;
    }
    let there = right(&KNOWN_SIGNATURE) == Some(true) && right(&wrong) == Some(false);
    THERE.set(there);
    there
}

/// Asks the host; `None` if it has no such function or cannot answer.
fn ask(digest: Digest, key: &[u8], signature: &[u8], text: &[u8]) -> Option<bool> {
    let digest: &[u8] = match digest {
        Digest::Sha256 => b"sha256",
        Digest::Sha384 => b"sha384",
        Digest::Sha512 => b"sha512",
    };
    let mut message = Vec::with_capacity(32 + key.len() + signature.len() + text.len());
    for (field, bytes) in [(1, digest), (2, key), (3, signature), (4, text)] {
        push(&mut message, field, bytes);
    }
    let mut answer = Vec::new();
    match abi::foreign_function("verify_signature", &message, &mut answer) {
        Ok(true) => Some(answer == RIGHT),
        Ok(false) | Err(_) => None,
    }
}

/// Appends a field of bytes (Protocol Buffers, wire type 2).
fn push(message: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    message.push(field << 3 | 2);
    let mut length = bytes.len();
    while length >= 0x80 {
        // The low seven bits, and that more follow.
        message.push(u8::try_from(length & 0x7f).unwrap_or(0) | 0x80);
        length >>= 7;
    }
    message.push(u8::try_from(length).unwrap_or(0));
    message.extend_from_slice(bytes);
}

/// What is signed with SHA-256 and an ECDSA key of P-256 whose private half nobody has: the key, the text, the signature.
const KNOWN_KEY: [u8; 91] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01,
    0x07, 0x03, 0x42, 0x00, 0x04, 0x87, 0xd0, 0x2f, 0xf5, 0x70, 0xec, 0x3a, 0x0b, 0xe7, 0x15, 0x1d, 0x07, 0xed, 0xa9, 0xfa, 0x46, 0xe9,
    0x8d, 0x8c, 0xa0, 0xdd, 0xe0, 0x72, 0xca, 0x26, 0x60, 0x00, 0xe2, 0x27, 0x8c, 0x17, 0x92, 0x14, 0x62, 0xe5, 0xcf, 0xb9, 0x0f, 0x2a,
    0x3f, 0xe6, 0xd0, 0xa9, 0x85, 0x6d, 0x73, 0x83, 0x5c, 0xc0, 0x84, 0x48, 0x2c, 0x14, 0xdd, 0x5c, 0xd9, 0xc6, 0xf1, 0x3d, 0xe7, 0xb0,
    0xcc, 0x4e, 0xf7,
];
const KNOWN_TEXT: &[u8] = b"tollgate";
const KNOWN_SIGNATURE: [u8; 70] = [
    0x30, 0x44, 0x02, 0x20, 0x7c, 0x4d, 0x4c, 0x92, 0x2f, 0x68, 0x26, 0xbc, 0xf3, 0x4c, 0xb6, 0x83, 0xe6, 0x0e, 0x4d, 0x5f, 0x33, 0x09,
    0xf8, 0x31, 0x74, 0x22, 0x42, 0x6f, 0x9c, 0x9b, 0x80, 0x6b, 0x57, 0xa3, 0xec, 0x0b, 0x02, 0x20, 0x0a, 0x41, 0x18, 0x7d, 0x97, 0xb6,
    0x69, 0xfa, 0x69, 0x81, 0x5c, 0x32, 0x23, 0xff, 0x5c, 0xd6, 0x04, 0x98, 0xba, 0xda, 0x39, 0xf9, 0x3f, 0xdc, 0x92, 0x56, 0x63, 0x75,
    0x63, 0x45, 0x64, 0x45,
];

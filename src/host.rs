//! Owns the meeting of the gate and the proxy: contexts, callbacks, and what is set where. Must not judge requests.
//!
//! proxy-wasm's SDK is not linked here: its dispatcher exports every callback there is, which the host then calls for each
//! request, and it panics on statuses it does not expect.

mod abi;
mod http;
mod root;
mod verify_signature;

use std::cell::RefCell;

use hashbrown::HashMap;
use root::Root;
use tollgate_core::time::Instant;

/// Everything one VM holds: one worker's roots and the requests in flight on it.
#[derive(Default)]
struct Vm {
    roots: HashMap<u32, Root>,
    /// Requests, by context.
    streams: HashMap<u32, http::Stream>,
    /// The host's header map, read into the same memory each time.
    header_map: Vec<u8>,
    metrics: root::Metrics,
}

thread_local! {
    static VM: RefCell<Vm> = RefCell::default();
}

/// Runs `callback` with this VM's state; `otherwise` if the host calls back into a callback, which it never should.
fn with_vm<T>(otherwise: T, callback: impl FnOnce(&mut Vm) -> T) -> T {
    VM.with(|vm| match vm.try_borrow_mut() {
        Ok(mut vm) => callback(&mut vm),
        Err(_) => otherwise,
    })
}

/// The node's monotonic clock; the origin if there is none, which ends no window early.
fn monotonic() -> Instant {
    Instant(abi::monotonic_nanos().unwrap_or(0))
}

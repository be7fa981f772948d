//! Owns the raw proxy-wasm ABI (version 0.2.1): every host call as a function that returns `Result`. The one place for `unsafe`.
//!
//! The host writes what it returns through `proxy_on_memory_allocate`. Each call here names the buffer that is to receive its
//! value, so that values land in memory that is used again, without an allocation or a copy.
#![allow(unsafe_code, reason = "the ABI is C")]

mod exports;
mod imports;
mod types;

use std::cell::Cell;
use std::ptr;

pub(super) use types::{Action, Buffer, Level, Map};
use types::{CAS_MISMATCH, COUNTER, NOT_FOUND, OK, REQUEST};

/// The host answered a call with a status that is not success.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{call} answered status {status}")]
pub(super) struct HostError {
    /// The call.
    pub(super) call: &'static str,
    /// The status, as in the ABI.
    pub(super) status: u32,
}

thread_local! {
    /// The buffer that receives what the host returns next.
    static RECEIVER: Cell<*mut Vec<u8>> = const { Cell::new(ptr::null_mut()) };
}

const fn checked(call: &'static str, status: u32) -> Result<(), HostError> {
    if status == OK { Ok(()) } else { Err(HostError { call, status }) }
}

/// Runs a call that returns bytes, which land in `into`; answers its status.
fn receive(into: &mut Vec<u8>, call: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> u32 {
    into.clear();
    let (mut data, mut size) = (ptr::null_mut::<u8>(), 0_usize);
    RECEIVER.set(into);
    let status = call(&raw mut data, &raw mut size);
    RECEIVER.set(ptr::null_mut());
    if status == OK && size > 0 && data == into.as_mut_ptr() && size <= into.capacity() {
        // SAFETY: the host has written `size` bytes to the start of `into`, which has that capacity.
        unsafe { into.set_len(size) };
    }
    status
}

/// Memory for the host to write to: the receiver of the call that is under way.
fn allocate(size: usize) -> *mut u8 {
    let receiver = RECEIVER.get();
    if receiver.is_null() {
        // Nothing asked for bytes, so nobody will read them or free them. No host does this.
        return ptr::null_mut();
    }
    // SAFETY: `receive` set the pointer from a `&mut` that it holds until the call is over.
    let receiver = unsafe { &mut *receiver };
    receiver.clear();
    receiver.reserve(size);
    receiver.as_mut_ptr()
}

/// Writes to the host's log.
pub(super) fn log(level: Level, message: &str) {
    // SAFETY: pointer and length are those of a slice. A log line that fails is lost.
    let _ = unsafe { imports::proxy_log(level as u32, message.as_ptr(), message.len()) };
}

/// Reads a whole header map, in the host's form.
pub(super) fn header_map(map: Map, into: &mut Vec<u8>) -> Result<(), HostError> {
    // SAFETY: `receive` passes valid places for the answer.
    checked("get_header_map_pairs", receive(into, |data, size| unsafe { imports::proxy_get_header_map_pairs(map as u32, data, size) }))
}

/// Reads one header's first value; `false` if there is none.
pub(super) fn header(map: Map, name: &str, into: &mut Vec<u8>) -> Result<bool, HostError> {
    // SAFETY: as above; the name is a slice.
    let call = |data, size| unsafe { imports::proxy_get_header_map_value(map as u32, name.as_ptr(), name.len(), data, size) };
    found("get_header_map_value", receive(into, call))
}

/// Sets a header, replacing what is there.
pub(super) fn set_header(map: Map, name: &str, value: &[u8]) -> Result<(), HostError> {
    // SAFETY: pointers and lengths are those of slices.
    checked("replace_header_map_value", unsafe {
        imports::proxy_replace_header_map_value(map as u32, name.as_ptr(), name.len(), value.as_ptr(), value.len())
    })
}

/// Adds a header beside those that are there.
pub(super) fn add_header(map: Map, name: &str, value: &[u8]) -> Result<(), HostError> {
    // SAFETY: pointers and lengths are those of slices.
    checked("add_header_map_value", unsafe {
        imports::proxy_add_header_map_value(map as u32, name.as_ptr(), name.len(), value.as_ptr(), value.len())
    })
}

/// Takes a header away, however often it is there.
pub(super) fn remove_header(map: Map, name: &[u8]) -> Result<(), HostError> {
    // SAFETY: pointer and length are those of a slice.
    checked("remove_header_map_value", unsafe { imports::proxy_remove_header_map_value(map as u32, name.as_ptr(), name.len()) })
}

/// Reads the first `size` bytes of a buffer.
pub(super) fn buffer(buffer: Buffer, size: usize, into: &mut Vec<u8>) -> Result<(), HostError> {
    if size == 0 {
        into.clear();
        return Ok(());
    }
    // SAFETY: `receive` passes valid places for the answer.
    let call = |data, length| unsafe { imports::proxy_get_buffer_bytes(buffer as u32, 0, size, data, length) };
    checked("get_buffer_bytes", receive(into, call))
}

/// Calls a cluster of the proxy; answers the token its response will carry.
pub(super) fn http_call(cluster: &str, headers: &[(&str, &str)], body: &[u8], timeout_ms: u32) -> Result<u32, HostError> {
    let (headers, trailers) = (header_pairs(headers), header_pairs(&[]));
    let mut token = 0;
    // SAFETY: pointers and lengths are those of slices, and `token` is a valid place.
    checked("http_call", unsafe {
        imports::proxy_http_call(
            cluster.as_ptr(),
            cluster.len(),
            headers.as_ptr(),
            headers.len(),
            body.as_ptr(),
            body.len(),
            trailers.as_ptr(),
            trailers.len(),
            timeout_ms,
            &raw mut token,
        )
    })?;
    Ok(token)
}

/// Makes the calls that follow those of another context, until the callback ends.
pub(super) fn set_effective_context(context: u32) -> Result<(), HostError> {
    // SAFETY: no pointers.
    checked("set_effective_context", unsafe { imports::proxy_set_effective_context(context) })
}

/// Lets a paused request go on.
pub(super) fn continue_request() -> Result<(), HostError> {
    // SAFETY: no pointers.
    checked("continue_stream", unsafe { imports::proxy_continue_stream(REQUEST) })
}

/// Reads a property; the segments of its path are separated by zero bytes. `false` if there is none.
pub(super) fn property(path: &str, into: &mut Vec<u8>) -> Result<bool, HostError> {
    // SAFETY: as above.
    found("get_property", receive(into, |data, size| unsafe { imports::proxy_get_property(path.as_ptr(), path.len(), data, size) }))
}

/// Leaves a value in the stream's filter state, as `wasm.<path>`.
pub(super) fn set_property(path: &str, value: &[u8]) -> Result<(), HostError> {
    // SAFETY: pointers and lengths are those of slices.
    checked("set_property", unsafe { imports::proxy_set_property(path.as_ptr(), path.len(), value.as_ptr(), value.len()) })
}

/// Reads shared data and its version; `None` if there is none.
pub(super) fn shared_data(key: &str, into: &mut Vec<u8>) -> Result<Option<u32>, HostError> {
    let mut version = 0;
    // SAFETY: `receive` passes valid places for the answer, and so is that of the version.
    let call = |data, size| unsafe { imports::proxy_get_shared_data(key.as_ptr(), key.len(), data, size, &raw mut version) };
    Ok(found("get_shared_data", receive(into, call))?.then_some(version))
}

/// Writes shared data if its version still is `expected` or it is absent; `false` if it has another version.
pub(super) fn set_shared_data(key: &str, value: &[u8], expected: u32) -> Result<bool, HostError> {
    // SAFETY: pointers and lengths are those of slices.
    match unsafe { imports::proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), expected) } {
        CAS_MISMATCH => Ok(false),
        status => checked("set_shared_data", status).map(|()| true),
    }
}

/// Answers the request in the upstream's place.
pub(super) fn send_local_response(
    status: u16,
    details: &str,
    body: &str,
    headers: &[(&str, &str)],
    grpc_status: Option<u8>,
) -> Result<(), HostError> {
    let headers = header_pairs(headers);
    let grpc_status = grpc_status.map_or(-1, i32::from);
    // SAFETY: pointers and lengths are those of slices.
    checked("send_local_response", unsafe {
        imports::proxy_send_local_response(
            u32::from(status),
            details.as_ptr(),
            details.len(),
            body.as_ptr(),
            body.len(),
            headers.as_ptr(),
            headers.len(),
            grpc_status,
        )
    })
}

/// Calls a function that the host has beside the ABI; `false` if it has none of this name.
pub(super) fn foreign_function(name: &str, argument: &[u8], into: &mut Vec<u8>) -> Result<bool, HostError> {
    // SAFETY: `receive` passes valid places for the answer; name and argument are slices.
    let call = |data, size| unsafe {
        imports::proxy_call_foreign_function(name.as_ptr(), name.len(), argument.as_ptr(), argument.len(), data, size)
    };
    found("call_foreign_function", receive(into, call))
}

/// How often `on_tick` is called, in milliseconds.
pub(super) fn set_tick_period(milliseconds: u32) -> Result<(), HostError> {
    // SAFETY: no pointers.
    checked("set_tick_period_milliseconds", unsafe { imports::proxy_set_tick_period_milliseconds(milliseconds) })
}

/// Makes a counter and answers its id.
pub(super) fn define_counter(name: &str) -> Result<u32, HostError> {
    let mut id = 0;
    // SAFETY: the name is a slice, and `id` a valid place.
    checked("define_metric", unsafe { imports::proxy_define_metric(COUNTER, name.as_ptr(), name.len(), &raw mut id) })?;
    Ok(id)
}

/// Adds to a counter.
pub(super) fn increment_counter(id: u32, amount: u64) -> Result<(), HostError> {
    // SAFETY: no pointers.
    checked("increment_metric", unsafe { imports::proxy_increment_metric(id, i64::try_from(amount).unwrap_or(i64::MAX)) })
}

/// The wall clock: nanoseconds since 1970.
pub(super) fn wall_nanos() -> Result<u64, HostError> {
    let mut nanos = 0;
    // SAFETY: `nanos` is a valid place.
    checked("get_current_time_nanoseconds", unsafe { imports::proxy_get_current_time_nanoseconds(&raw mut nanos) })?;
    Ok(nanos)
}

/// The monotonic clock, the same for all workers: nanoseconds since an origin of the host's.
pub(super) fn monotonic_nanos() -> Result<u64, HostError> {
    const MONOTONIC: u32 = 1;
    let mut nanos = 0;
    // SAFETY: `nanos` is a valid place.
    checked("clock_time_get", u32::from(unsafe { imports::clock_time_get(MONOTONIC, 1, &raw mut nanos) }))?;
    Ok(nanos)
}

/// Fills `bytes` with unpredictable bytes.
pub(super) fn random(bytes: &mut [u8]) -> Result<(), HostError> {
    // SAFETY: pointer and length are those of a slice.
    checked("random_get", u32::from(unsafe { imports::random_get(bytes.as_mut_ptr(), bytes.len()) }))
}

const fn found(call: &'static str, status: u32) -> Result<bool, HostError> {
    match status {
        NOT_FOUND => Ok(false),
        status => match checked(call, status) {
            Ok(()) => Ok(true),
            Err(error) => Err(error),
        },
    }
}

/// Writes headers in the host's form: a count, the lengths, then names and values each followed by a zero byte.
fn header_pairs(headers: &[(&str, &str)]) -> Vec<u8> {
    let length = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
    let mut map = length(headers.len()).to_vec();
    for (name, value) in headers {
        map.extend(length(name.len()));
        map.extend(length(value.len()));
    }
    for text in headers.iter().flat_map(|(name, value)| [name, value]) {
        map.extend_from_slice(text.as_bytes());
        map.push(0);
    }
    map
}

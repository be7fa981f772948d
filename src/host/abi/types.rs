//! Owns the numbers of the ABI (version 0.2.1). A test holds them to those of the proxy-wasm SDK, which is not linked into the module.

/// Statuses that say something other than "it failed".
pub(super) const OK: u32 = 0;
pub(super) const NOT_FOUND: u32 = 1;
pub(super) const CAS_MISMATCH: u32 = 8;

/// Buffers that can be read.
#[derive(Clone, Copy)]
pub(crate) enum Buffer {
    Request = 0,
    CallResponse = 4,
    PluginConfiguration = 7,
}

/// Requests, among the streams that can go on.
pub(super) const REQUEST: u32 = 0;

/// The kind of metric that only grows.
pub(super) const COUNTER: u32 = 0;

/// Which headers a call is about.
#[derive(Clone, Copy)]
pub(crate) enum Map {
    Request = 0,
    RequestTrailers = 1,
    Response = 2,
    CallResponse = 6,
}

/// What a filter callback answers.
#[derive(Clone, Copy)]
pub(crate) enum Action {
    Continue = 0,
    Pause = 1,
    /// Pauses headers, body and trailers. After a plain pause of the headers, a host with `allow_on_headers_stop_iteration` lets the body
    /// through, and the headers with it. Not in the ABI's text: `StopAllIterationAndWatermark` of the hosts that implement it.
    Hold = 4,
}

/// Severities of the host's log.
#[derive(Clone, Copy)]
pub(crate) enum Level {
    Info = 2,
    Error = 4,
}

#[cfg(test)]
mod tests {
    use proxy_wasm::types as sdk;

    use super::*;

    #[test]
    fn numbers_are_those_of_the_sdk() {
        assert_eq!([OK, NOT_FOUND, CAS_MISMATCH], [sdk::Status::Ok as u32, sdk::Status::NotFound as u32, sdk::Status::CasMismatch as u32]);
        assert_eq!(Buffer::PluginConfiguration as u32, sdk::BufferType::PluginConfiguration as u32);
        assert_eq!(Buffer::Request as u32, sdk::BufferType::HttpRequestBody as u32);
        assert_eq!(Buffer::CallResponse as u32, sdk::BufferType::HttpCallResponseBody as u32);
        assert_eq!(Map::CallResponse as u32, sdk::MapType::HttpCallResponseHeaders as u32);
        assert_eq!(Level::Info as u32, sdk::LogLevel::Info as u32);
        // The SDK keeps this one to itself: ABI 0.2.1, `proxy_stream_type_t`.
        assert_eq!(REQUEST, 0);
        assert_eq!(COUNTER, sdk::MetricType::Counter as u32);
        assert_eq!(Map::Request as u32, sdk::MapType::HttpRequestHeaders as u32);
        assert_eq!(Map::RequestTrailers as u32, sdk::MapType::HttpRequestTrailers as u32);
        assert_eq!(Map::Response as u32, sdk::MapType::HttpResponseHeaders as u32);
        assert_eq!([Action::Continue as u32, Action::Pause as u32], [sdk::Action::Continue as u32, sdk::Action::Pause as u32]);
        // The SDK does not have this one.
        assert_eq!(Action::Hold as u32, 4);
        assert_eq!(Level::Error as u32, sdk::LogLevel::Error as u32);
    }
}

//! Owns the benchmarks' baseline: a filter through the proxy-wasm SDK, with all its exports, that does nothing.
//!
//! It must stay what anybody gets from the SDK's own template: no callback is overridden, none is left out.

// The SDK's `main!` exports an unmangled, undocumented `_initialize`.
#![allow(unsafe_code, missing_docs)]

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{ContextType, LogLevel};

struct Root;
struct Stream;

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Warn);
    proxy_wasm::set_root_context(|_| Box::new(Root));
}}

// === impl Root ===

impl Context for Root {}

impl RootContext for Root {
    fn create_http_context(&self, _context_id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

// === impl Stream ===

impl Context for Stream {}

impl HttpContext for Stream {}

//! Owns a trivial rate limit service in memory: what Envoy's `ratelimit` filter asks in the gRPC row.
//!
//! It counts per descriptor and second, and nothing more: a real one costs more.

mod messages;

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{self, Poll};
use std::time::Instant;

use anyhow::{Context, Result};
use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

use self::messages::{Code, DescriptorStatus, RateLimit, RateLimitRequest, RateLimitResponse, Unit};

/// A limit that no benchmark reaches.
const PER_SECOND: u32 = 1_000_000;

/// Serves on `port` of the loopback address until the process is killed.
///
/// # Errors
/// When it cannot listen there.
pub(crate) fn serve(port: u16) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let server = tonic::transport::Server::builder().add_service(Limiter::default()).serve(address);
    runtime.block_on(server).with_context(|| format!("serving on {address}"))
}

/// The service as a process of its own, killed when dropped.
pub(crate) struct Process(Child);

/// Counts of the second that runs.
#[derive(Clone, Default)]
struct Limiter(Arc<Mutex<Counts>>);

struct Counts {
    started: Instant,
    second: u64,
    by_descriptor: HashMap<String, u32>,
}

// === impl Process ===

impl Process {
    /// Starts this program again as the service.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn start(port: u16) -> Result<Self> {
        let program = std::env::current_exe()?;
        let child = Command::new(program).args(["ratelimit-service", &port.to_string()]).stdin(Stdio::null()).spawn()?;
        Ok(Self(child))
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have stopped by itself; then there is nothing to do.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

// === impl Counts ===

impl Default for Counts {
    fn default() -> Self {
        Self { started: Instant::now(), second: 0, by_descriptor: HashMap::new() }
    }
}

impl Counts {
    fn decide(&mut self, request: &RateLimitRequest) -> RateLimitResponse {
        let second = self.started.elapsed().as_secs();
        if second != self.second {
            self.second = second;
            self.by_descriptor.clear();
        }
        let hits = request.hits_addend.max(1);
        let statuses: Vec<_> = request.descriptors.iter().map(|descriptor| self.count(descriptor.name(), hits)).collect();
        let over = statuses.iter().any(|status| status.code == Code::OverLimit as i32);
        let overall = if over { Code::OverLimit } else { Code::Ok };
        RateLimitResponse { overall_code: overall as i32, statuses }
    }

    fn count(&mut self, name: String, hits: u32) -> DescriptorStatus {
        let count = self.by_descriptor.entry(name).or_default();
        *count = count.saturating_add(hits);
        let code = if *count > PER_SECOND { Code::OverLimit } else { Code::Ok };
        DescriptorStatus {
            code: code as i32,
            current_limit: Some(RateLimit { requests_per_unit: PER_SECOND, unit: Unit::Second as i32 }),
            limit_remaining: PER_SECOND.saturating_sub(*count),
        }
    }
}

// === impl Limiter ===

impl UnaryService<RateLimitRequest> for Limiter {
    type Response = RateLimitResponse;
    type Future = Ready<Result<Response<RateLimitResponse>, Status>>;

    fn call(&mut self, request: Request<RateLimitRequest>) -> Self::Future {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ready(Ok(Response::new(counts.decide(request.get_ref()))))
    }
}

/// What `tonic-build` would write from `rls.proto`.
impl Service<http::Request<Body>> for Limiter {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let limiter = self.clone();
        Box::pin(async move { Ok(Grpc::new(ProstCodec::default()).unary(limiter, request).await) })
    }
}

impl NamedService for Limiter {
    const NAME: &'static str = "envoy.service.ratelimit.v3.RateLimitService";
}

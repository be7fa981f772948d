//! Owns how nodes are let in. Must not read a message.

use std::convert::Infallible;
use std::sync::Arc;

use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};

use super::FakeBackend;

impl FakeBackend {
    /// Listens, again or for the first time.
    pub fn up(self: &Arc<Self>) {
        let backend = Arc::clone(self);
        self.port.open(move |stream| {
            let own = Arc::clone(&backend);
            async move {
                let service = service_fn(|request| {
                    let own = Arc::clone(&own);
                    async move { Ok::<_, Infallible>(own.answer(request).await) }
                });
                let mut server = http2::Builder::new(TokioExecutor::new());
                // A proxy that goes away closes its connections: not this server's failure.
                drop(server.timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service).await);
            }
        });
    }

    /// Closes the port and cuts every connection.
    pub fn down(&self) {
        self.port.close();
    }
}

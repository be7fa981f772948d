//! Owns the port: who is let in, and how all of it is cut off. Must not read a message.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpSocket};

use super::FakeBackend;

/// A socket bound there; several may be, as long as only one listens.
pub(super) fn socket(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_reuseport(true).expect("a port that can be shared");
    socket.bind(address).expect("a port for the backend");
    socket
}

impl FakeBackend {
    /// Listens, again or for the first time.
    pub fn up(self: &Arc<Self>) {
        let (backend, address) = (Arc::clone(self), self.address());
        self.serve(async move {
            let listener = socket(address).listen(1_024).expect("the backend's listener");
            backend.accept(listener).await;
        });
    }

    /// Closes the port and cuts every connection.
    pub fn down(&self) {
        let mut serving = self.serving.lock().expect("what serves");
        serving.drain(..).for_each(|task| task.abort());
    }

    fn serve(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut serving = self.serving.lock().expect("what serves");
        serving.push(crate::wait::spawn(task));
    }

    async fn accept(self: Arc<Self>, listener: TcpListener) {
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            let backend = Arc::clone(&self);
            self.serve(async move {
                let service = service_fn(|request| {
                    let backend = Arc::clone(&backend);
                    async move { Ok::<_, Infallible>(backend.answer(request).await) }
                });
                let mut server = http2::Builder::new(TokioExecutor::new());
                // A proxy that goes away closes its connections: not this server's failure.
                drop(server.timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service).await);
            });
        }
    }
}

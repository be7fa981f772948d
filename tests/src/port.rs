//! Owns a port of a server that a case runs: who is let in, and how all of it is cut off. It must not read what is sent.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::AbortHandle;

use crate::wait::spawn;

/// A port of this machine, on which somebody listens or nobody does.
#[derive(Debug)]
pub(crate) struct Port {
    address: SocketAddr,
    /// Keeps the port for as long as nobody listens.
    _reserved: TcpSocket,
    /// The listener and its connections.
    serving: Arc<Mutex<Vec<AbortHandle>>>,
}

impl Port {
    /// One on which nobody listens.
    pub(crate) fn reserve() -> Self {
        let reserved = socket(SocketAddr::from(([127, 0, 0, 1], 0)));
        Self { address: reserved.local_addr().expect("the port's address"), _reserved: reserved, serving: Arc::default() }
    }

    /// Where somebody listens, or nobody does.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Listens, again or for the first time, and serves each client, all until [`Self::close`].
    pub(crate) fn open<T: Future<Output = ()> + Send + 'static>(&self, serve: impl Fn(TcpStream) -> T + Send + 'static) {
        let (address, serving) = (self.address, Arc::clone(&self.serving));
        let clients = async move {
            let listener = socket(address).listen(1_024).expect("the port's listener");
            loop {
                let client = accept(&listener).await;
                serving.lock().expect("what serves").push(spawn(serve(client)));
            }
        };
        self.serving.lock().expect("what serves").push(spawn(clients));
    }

    /// Closes the port and cuts every connection.
    pub(crate) fn close(&self) {
        let mut serving = self.serving.lock().expect("what serves");
        serving.drain(..).for_each(|task| task.abort());
    }
}

/// The next client.
async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            return stream;
        }
    }
}

/// A socket bound there; several may be, as long as only one listens.
fn socket(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_reuseport(true).expect("a port that can be shared");
    socket.bind(address).expect("a port to listen on");
    socket
}

//! Owns listening: who gets a connection, how many there may be, and how they end. Must not know what is served on them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use ipnet::IpNet;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::client_address::is_among;
use super::connection::{self, Bounds};
use super::shares::Shares;
use crate::ending::Ending;
use crate::tls::Tls;

/// After an error of `accept` that is not one client's: mostly too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// A bound listener.
#[derive(Debug)]
pub struct Listener {
    name: &'static str,
    socket: TcpListener,
    address: SocketAddr,
    tls: Option<Arc<Tls>>,
    bounds: Bounds,
    exempt: Vec<IpNet>,
}

impl Listener {
    /// Binds it.
    ///
    /// # Errors
    /// What the system says, if the address is taken or not this machine's.
    pub async fn bind(name: &'static str, address: SocketAddr, tls: Option<Arc<Tls>>, bounds: Bounds) -> io::Result<Self> {
        let socket = TcpListener::bind(address).await?;
        let address = socket.local_addr()?;
        Ok(Self { name, socket, address, tls, bounds, exempt: Vec::new() })
    }

    /// Lets peers in these networks have as many connections as there are: everybody comes through them.
    #[must_use]
    pub fn exempting(self, exempt: Vec<IpNet>) -> Self {
        Self { exempt, ..self }
    }

    /// The address it got.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its name in logs and metrics.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Whether it speaks TLS.
    #[must_use]
    pub const fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Serves until `ending` begins; then takes no more connections, lets requests in flight end within `grace`, and
    /// returns how many connections had to be cut off.
    pub async fn serve(self, router: Router, mut ending: Ending, grace: Duration) -> usize {
        let places = Arc::new(Semaphore::new(self.bounds.connections));
        // How many there may be in all, the semaphore knows.
        let shares = Shares::new(usize::MAX, self.bounds.share);
        let mut connections = JoinSet::new();
        loop {
            // Connections that find no place wait in the system's queue.
            let accepted = async {
                let place = Arc::clone(&places).acquire_owned().await;
                (self.socket.accept().await, place)
            };
            tokio::select! {
                biased;
                () = ending.begun() => break,
                // Before new ones: what has ended must not pile up while clients keep coming.
                Some(ended) = connections.join_next(), if !connections.is_empty() => {
                    if let Err(error) = ended {
                        tracing::error!(listener = self.name, %error, "a connection's task ended badly");
                    }
                }
                (accepted, place) = accepted => match (accepted, place) {
                    (Ok((stream, peer)), Ok(place)) => {
                        let share = if is_among(peer.ip(), &self.exempt) { None } else { Some(shares.take(peer.ip())) };
                        let Ok(share) = share.transpose() else {
                            // Closed at once, and its place goes to the next.
                            metrics::counter!("tollgate_connections_refused_total", "listener" => self.name).increment(1);
                            continue;
                        };
                        let serving = connection::serve(stream, peer, self.tls.as_deref().map(Tls::current), router.clone(), ending.clone(), self.bounds);
                        let open = metrics::gauge!("tollgate_connections", "listener" => self.name);
                        connections.spawn(async move {
                            open.increment(1);
                            serving.await;
                            open.decrement(1);
                            drop((share, place));
                        });
                    }
                    (Ok(_), Err(_closed)) => break,
                    (Err(error), _) => {
                        tracing::warn!(listener = self.name, %error, "a connection could not be taken");
                        tokio::time::sleep(PAUSE).await;
                    }
                },
            }
        }
        drop(self.socket);
        let all = async { while connections.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(grace, all).await;
        let cut_off = connections.len();
        connections.shutdown().await;
        cut_off
    }
}

//! Owns a network between a gate and its backend: it carries bytes late, or not at all, and cuts. Must not read what it carries.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use crate::port::Port;

/// A way to an address, by TCP; it ends when this is dropped.
#[derive(Debug)]
pub struct Network {
    port: Port,
    far: SocketAddr,
    weather: watch::Sender<Weather>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Weather {
    /// Of the way there, and of the way back.
    delays: [Duration; 2],
    carries: Carries,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Carries {
    #[default]
    All,
    Later,
    Nothing,
}

// === impl Network ===

impl Network {
    /// A good one, to this address.
    #[must_use]
    pub fn to(far: SocketAddr) -> Self {
        let network = Self { port: Port::reserve(), far, weather: watch::Sender::default() };
        network.up();
        network
    }

    /// Its near end.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// What is sent from now on arrives so much later.
    pub fn delay(&self, there: Duration, back: Duration) {
        self.weather.send_modify(|weather| weather.delays = [there, back]);
    }

    /// From now on nothing arrives, what is under way included, and nobody is told. A connection that lost something never carries
    /// anything again, as TCP would not.
    pub fn swallow(&self) {
        self.weather.send_modify(|weather| weather.carries = Carries::Nothing);
    }

    /// From now on nothing arrives, what is under way included, until [`Self::heal`]: then all of it does.
    pub fn hold(&self) {
        self.weather.send_modify(|weather| weather.carries = Carries::Later);
    }

    /// Ends [`Self::swallow`] and [`Self::hold`].
    pub fn heal(&self) {
        self.weather.send_modify(|weather| weather.carries = Carries::All);
    }

    /// Cuts every connection, with what is under way on it; new ones are welcome.
    pub fn cut(&self) {
        self.down();
        self.up();
    }

    /// Cuts every connection and refuses new ones, until [`Self::up`].
    pub fn down(&self) {
        self.port.close();
    }

    /// Lets connections in, after [`Self::down`].
    pub fn up(&self) {
        let (far, weather) = (self.far, self.weather.subscribe());
        self.port.open(move |near| carry(near, far, weather.clone()));
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.down();
    }
}

/// Carries a connection until either side ends it.
async fn carry(near: TcpStream, far: SocketAddr, weather: watch::Receiver<Weather>) {
    let Ok(far) = TcpStream::connect(far).await else { return };
    for stream in [&near, &far] {
        stream.set_nodelay(true).expect("a stream that does not collect");
    }
    let ((from_near, to_near), (from_far, to_far)) = (near.into_split(), far.into_split());
    tokio::select! {
        () = carry_one_way(from_near, to_far, 0, weather.clone()) => {}
        () = carry_one_way(from_far, to_near, 1, weather) => {}
    }
}

/// Carries one way, to the end of what is sent. The end is carried like the bytes, and is swallowed like them.
async fn carry_one_way(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, way: usize, mut weather: watch::Receiver<Weather>) {
    let (sender, mut under_way) = mpsc::unbounded_channel();
    let delays = weather.clone();
    let take = async {
        loop {
            let mut bytes = vec![0; 16 * 1_024];
            let count = from.read(&mut bytes).await.unwrap_or_default();
            bytes.truncate(count);
            let due = Instant::now() + delays.borrow().delays[way];
            if sender.send((due, bytes)).is_err() || count == 0 {
                return std::future::pending::<()>().await;
            }
        }
    };
    let give = async {
        let mut lost = false;
        while let Some((due, bytes)) = under_way.recv().await {
            sleep_until(due).await;
            let arrives = weather.wait_for(|weather| weather.carries != Carries::Later).await;
            lost |= !arrives.is_ok_and(|weather| weather.carries == Carries::All);
            if !lost && (bytes.is_empty() || to.write_all(&bytes).await.is_err()) {
                return;
            }
        }
    };
    tokio::select! {
        () = take => {}
        () = give => {}
    }
}

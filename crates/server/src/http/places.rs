//! Owns the places of requests under way, and that a request whose body is still coming holds none of them. Must not read bodies, nor wait for a place.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::Request;
use ipnet::IpNet;

use super::client_address::client_address;
use super::connection::Peer;
use super::problem::Refusal;
use super::shares::{Full, Place, Shares};

/// The places of one listener.
#[derive(Debug)]
pub(super) struct Places {
    requests: Arc<Shares>,
    /// Bodies that are coming: they take as long as their senders like, up to a bound.
    bodies: Arc<Shares>,
    trusted_proxies: Vec<IpNet>,
}

/// The place of one request, also among its extensions.
#[derive(Clone, Debug)]
pub(super) struct Held {
    place: Arc<Mutex<Option<Place>>>,
    places: Arc<Places>,
    client: IpAddr,
}

impl Places {
    /// So many requests at once, of which one client gets at most `each`, and as many bodies that are coming.
    pub(super) fn new(requests: usize, each: usize, trusted_proxies: Vec<IpNet>) -> Arc<Self> {
        Arc::new(Self { requests: Shares::new(requests, each), bodies: Shares::new(requests, each), trusted_proxies })
    }

    /// Takes a place for a request, which holds it until what is returned is dropped.
    ///
    /// # Errors
    /// 429 if the client has its share, 503 if there is no place for anybody.
    pub(super) fn hold(self: &Arc<Self>, request: &mut Request) -> Result<Held, Refusal> {
        let client = client_address(Peer::address(request.extensions()), request.headers(), &self.trusted_proxies);
        let place = self.requests.take(client)?;
        let held = Held { place: Arc::new(Mutex::new(Some(place))), places: Arc::clone(self), client };
        request.extensions_mut().insert(held.clone());
        Ok(held)
    }
}

impl Held {
    /// Gives the place to others while a body is read, and takes one again after it.
    ///
    /// # Errors
    /// What reading it says, and as [`Places::hold`] if there is no place for the body, or none after it.
    pub(super) async fn lend<T>(&self, reading: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refusal> {
        let coming = self.places.bodies.take(self.client)?;
        self.set(None);
        let body = reading.await?;
        drop(coming);
        self.set(Some(self.places.requests.take(self.client)?));
        Ok(body)
    }

    fn set(&self, place: Option<Place>) {
        *self.place.lock().unwrap_or_else(PoisonError::into_inner) = place;
    }
}

impl From<Full> for Refusal {
    fn from(full: Full) -> Self {
        match full {
            Full::Share => Self::crowded(),
            Full::All => Self::busy(),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::response::IntoResponse;

    use super::*;

    fn request(peer: [u8; 4], forwarded: &str) -> Request {
        let request = Request::builder().header("x-forwarded-for", forwarded).extension(Peer((peer, 80).into()));
        request.body(Body::empty()).unwrap()
    }

    fn hold(places: &Arc<Places>, client: &str) -> Result<Held, u16> {
        places.hold(&mut request([10, 0, 0, 1], client)).map_err(status)
    }

    fn status(refusal: Refusal) -> u16 {
        refusal.into_response().status().as_u16()
    }

    fn places(requests: usize, each: usize) -> Arc<Places> {
        Places::new(requests, each, vec!["10.0.0.0/8".parse().unwrap()])
    }

    #[test]
    fn a_client_beyond_its_share_is_told_so_and_others_are_served() {
        let places = places(3, 2);
        let first = [hold(&places, "192.0.2.1").unwrap(), hold(&places, "192.0.2.1").unwrap()];
        assert_eq!(hold(&places, "192.0.2.1").unwrap_err(), 429);
        let _second = hold(&places, "192.0.2.2").unwrap();
        assert_eq!(hold(&places, "192.0.2.3").unwrap_err(), 503);
        drop(first);
        assert!(hold(&places, "192.0.2.1").is_ok());
    }

    #[test]
    fn who_is_no_proxy_of_ours_has_one_share_whatever_it_forwards() {
        let places = places(3, 1);
        let _place = places.hold(&mut request([192, 0, 2, 1], "192.0.2.2")).unwrap();
        let refusal = places.hold(&mut request([192, 0, 2, 1], "192.0.2.3")).unwrap_err();
        assert_eq!(status(refusal), 429);
    }

    #[tokio::test]
    async fn a_body_that_is_coming_holds_no_place_and_one_that_came_does() {
        let places = places(1, 1);
        let held = hold(&places, "192.0.2.1").unwrap();
        assert_eq!(hold(&places, "192.0.2.2").unwrap_err(), 503);
        let read = held
            .lend(async {
                let meanwhile = hold(&places, "192.0.2.2").unwrap();
                let refused = meanwhile.lend(async { Ok(()) }).await.unwrap_err();
                assert_eq!(status(refused), 503, "a body has the only place for bodies");
                Ok(7)
            })
            .await;
        assert_eq!(read.unwrap(), 7);
        assert_eq!(hold(&places, "192.0.2.2").unwrap_err(), 503);
    }

    #[tokio::test]
    async fn a_body_that_came_when_all_places_are_taken_is_told_to_come_back() {
        let places = places(1, 1);
        let held = hold(&places, "192.0.2.1").unwrap();
        let mut other = None;
        let read = held.lend(async {
            other = Some(hold(&places, "192.0.2.2").unwrap());
            Ok(())
        });
        assert_eq!(status(read.await.unwrap_err()), 503);
        drop(other);
        assert!(hold(&places, "192.0.2.1").is_ok(), "nothing is left behind");
    }

    #[tokio::test]
    async fn a_body_that_is_given_up_leaves_nothing_behind() {
        let places = places(1, 1);
        let held = hold(&places, "192.0.2.1").unwrap();
        assert!(abandoned(held.lend(std::future::pending::<Result<(), Refusal>>())).await);
        drop(held);
        let held = hold(&places, "192.0.2.1").unwrap();
        held.lend(async { Ok(()) }).await.unwrap();
    }

    /// Polls once and drops; whether it was still waiting.
    async fn abandoned(future: impl Future) -> bool {
        tokio::select! { biased; _ = future => false, () = std::future::ready(()) => true }
    }
}

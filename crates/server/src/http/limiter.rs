//! Owns how often something may be done from one address, or for one account, and by all together. Must not grow, whoever comes.

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lru::LruCache;
use tollgate_core::bucket::{BucketState, TokenBucket};
use tollgate_core::time::{Instant, SECOND};

/// Addresses remembered; the one that came longest ago is forgotten first. About a megabyte.
const REMEMBERED: NonZeroUsize = NonZeroUsize::MIN.saturating_add(8_191);

/// Token buckets by address, and one over all.
#[derive(Debug)]
pub(super) struct Limiter {
    each: TokenBucket,
    all: TokenBucket,
    states: Mutex<States>,
}

#[derive(Debug)]
struct States {
    each: LruCache<u64, BucketState>,
    all: BucketState,
}

impl Limiter {
    /// At most `each` from one address and `all` together, at once and again over every `period`; `None` if any is 0.
    pub(super) fn new(each: u64, all: u64, period: Duration) -> Option<Self> {
        let nanos = u64::try_from(period.as_nanos()).unwrap_or(u64::MAX);
        let states = Mutex::new(States { each: LruCache::new(REMEMBERED), all: BucketState::default() });
        Some(Self { each: TokenBucket::new(each, nanos, each)?, all: TokenBucket::new(all, nanos, all)?, states })
    }

    /// Takes one for this address, or tells after how long there is one.
    pub(super) fn take(&self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        self.take_for(client(address), now)
    }

    /// The same for whatever a number stands for.
    pub(super) fn take_for(&self, client: u64, now: Instant) -> Result<(), Duration> {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        let state = states.each.get(&client).copied().unwrap_or_default();
        let wait = |bucket: &TokenBucket, state| Duration::from_nanos(bucket.until_admitted(state, now, 1).unwrap_or(SECOND));
        // Who has spent its own must not spend everybody's.
        let Some(each) = self.each.spend(state, now, now, 1) else {
            return Err(wait(&self.each, state));
        };
        let Some(all) = self.all.spend(states.all, now, now, 1) else {
            return Err(wait(&self.all, states.all));
        };
        states.each.put(client, each);
        states.all = all;
        Ok(())
    }
}

/// Whom an address stands for: an IPv4 address, or a /64 of IPv6, of which everybody has as many addresses as they like.
fn client(address: IpAddr) -> u64 {
    match address.to_canonical() {
        // No /64 of the unspecified address's block is anybody's, so the two do not meet.
        IpAddr::V4(address) => u64::from(address.to_bits()),
        IpAddr::V6(address) => u64::try_from(address.to_bits() >> 64).unwrap_or(u64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Instant = Instant(5 * SECOND);

    fn taken(limiter: &Limiter, address: &str, now: Instant) -> usize {
        (0..1_000).take_while(|_| limiter.take(address.parse().unwrap(), now).is_ok()).count()
    }

    #[test]
    fn each_address_has_its_own_and_gets_it_back_with_time() {
        let limiter = Limiter::new(10, 1_000, Duration::from_secs(3_600)).unwrap();
        assert_eq!(taken(&limiter, "192.0.2.1", START), 10);
        assert_eq!(limiter.take("192.0.2.1".parse().unwrap(), START), Err(Duration::from_secs(360)));
        assert_eq!(taken(&limiter, "192.0.2.2", START), 10);
        assert_eq!(taken(&limiter, "192.0.2.1", START.after(360 * SECOND)), 1);
        assert_eq!(taken(&limiter, "192.0.2.1", START.after(2 * 3_600 * SECOND)), 10);
    }

    #[test]
    fn addresses_of_one_network_and_of_one_host_share() {
        let limiter = Limiter::new(10, 1_000, Duration::from_secs(3_600)).unwrap();
        assert_eq!(taken(&limiter, "2001:db8::1", START), 10);
        assert_eq!(taken(&limiter, "2001:db8::ffff:2", START), 0);
        assert_eq!(taken(&limiter, "2001:db8:0:1::1", START), 10);
        assert_eq!(taken(&limiter, "192.0.2.1", START), 10);
        assert_eq!(taken(&limiter, "::ffff:192.0.2.1", START), 0);
    }

    #[test]
    fn all_together_have_a_bound_which_one_address_cannot_use_up() {
        let limiter = Limiter::new(10, 25, Duration::from_secs(3_600)).unwrap();
        assert_eq!(taken(&limiter, "192.0.2.1", START), 10);
        assert_eq!(taken(&limiter, "192.0.2.1", START), 0);
        assert_eq!(taken(&limiter, "192.0.2.2", START), 10);
        assert_eq!(taken(&limiter, "192.0.2.3", START), 5);
        assert!(limiter.take("192.0.2.4".parse().unwrap(), START).is_err());
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let limiter = Limiter::new(1, u64::MAX, Duration::from_secs(1)).unwrap();
        for number in 0..100_000_u32 {
            limiter.take(std::net::Ipv4Addr::from_bits(number).into(), START).unwrap();
        }
        assert_eq!(limiter.states.lock().unwrap().each.len(), REMEMBERED.get());
    }
}

//! Owns how many places one address may hold, of how many there are. Must not wait for one, nor know what the places are for.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tollgate_core::access::limited_as;

/// Whoever has one address of IPv6 has the /64 around it.
const IPV6_PREFIX: u8 = 64;

/// Places, and who holds how many of them.
#[derive(Debug)]
pub(super) struct Shares {
    all: usize,
    each: usize,
    taken: Mutex<Taken>,
}

/// No address is remembered that holds nothing: there are at most as many entries as places.
#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// The address has its share.
    Share,
    /// All places are taken.
    All,
}

/// A place. It is given back when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    shares: Arc<Shares>,
    holder: IpAddr,
}

impl Shares {
    /// `all` places, of which one address (IPv4) or one network of 64 bits (IPv6) gets at most `each`.
    pub(super) fn new(all: usize, each: usize) -> Arc<Self> {
        Arc::new(Self { all, each, taken: Mutex::default() })
    }

    /// Takes a place for this address.
    ///
    /// # Errors
    /// [`Full`], of which the address's own doing is said first.
    pub(super) fn take(self: &Arc<Self>, address: IpAddr) -> Result<Place, Full> {
        let holder = limited_as(address, IPV6_PREFIX);
        let mut taken = self.taken();
        let held = taken.by_address.get(&holder).copied().unwrap_or_default();
        if held >= self.each {
            return Err(Full::Share);
        }
        if taken.all >= self.all {
            return Err(Full::All);
        }
        taken.all += 1;
        taken.by_address.insert(holder, held + 1);
        Ok(Place { shares: Arc::clone(self), holder })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.shares.taken();
        taken.all = taken.all.saturating_sub(1);
        if let Some(held) = taken.by_address.get_mut(&self.holder) {
            *held = held.saturating_sub(1);
            if *held == 0 {
                taken.by_address.remove(&self.holder);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(shares: &Arc<Shares>, address: &str) -> Result<Place, Full> {
        shares.take(address.parse().unwrap())
    }

    #[test]
    fn an_address_gets_its_share_and_all_together_what_there_is() {
        let shares = Shares::new(3, 2);
        let first = [take(&shares, "192.0.2.1").unwrap(), take(&shares, "192.0.2.1").unwrap()];
        assert_eq!(take(&shares, "192.0.2.1").unwrap_err(), Full::Share);
        let second = take(&shares, "192.0.2.2").unwrap();
        assert_eq!(take(&shares, "192.0.2.2").unwrap_err(), Full::All);
        drop(first);
        let third = take(&shares, "192.0.2.2").unwrap();
        assert_eq!(take(&shares, "192.0.2.2").unwrap_err(), Full::Share);
        drop((second, third));
        assert_eq!(shares.taken().all, 0);
    }

    #[test]
    fn addresses_of_one_network_and_of_one_host_share() {
        let shares = Shares::new(10, 1);
        let _places = [take(&shares, "2001:db8::1").unwrap(), take(&shares, "192.0.2.1").unwrap()];
        assert_eq!(take(&shares, "2001:db8::ffff:2").unwrap_err(), Full::Share);
        assert_eq!(take(&shares, "::ffff:192.0.2.1").unwrap_err(), Full::Share);
        assert!(take(&shares, "2001:db8:0:1::1").is_ok());
    }

    #[test]
    fn who_holds_nothing_is_not_remembered() {
        let shares = Shares::new(2, 1);
        for number in 0..10_000_u32 {
            let address = std::net::Ipv4Addr::from_bits(number).into();
            let place = shares.take(address).unwrap();
            assert_eq!(shares.take(address).unwrap_err(), Full::Share);
            drop(place);
        }
        assert!(shares.taken().by_address.is_empty());
    }
}

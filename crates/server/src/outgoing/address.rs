//! Owns which addresses are public: those that belong to somebody on the Internet. Must not know who wants to reach one.
//!
//! By IANA's registries of special-purpose addresses (RFC 6890 and its updates); of IPv6 only what is assigned as global unicast counts.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// IPv4 networks that are not public: the first address and the length of its prefix.
const SPECIAL_V4: [(Ipv4Addr, u8); 14] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),       // this network
    (Ipv4Addr::new(10, 0, 0, 0), 8),      // private
    (Ipv4Addr::new(100, 64, 0, 0), 10),   // shared, behind a carrier's NAT
    (Ipv4Addr::new(127, 0, 0, 0), 8),     // loopback
    (Ipv4Addr::new(169, 254, 0, 0), 16),  // link-local; clouds tell machines their credentials here
    (Ipv4Addr::new(172, 16, 0, 0), 12),   // private
    (Ipv4Addr::new(192, 0, 0, 0), 24),    // protocol assignments
    (Ipv4Addr::new(192, 0, 2, 0), 24),    // documentation
    (Ipv4Addr::new(192, 88, 99, 0), 24),  // relays of 6to4
    (Ipv4Addr::new(192, 168, 0, 0), 16),  // private
    (Ipv4Addr::new(198, 18, 0, 0), 15),   // benchmarks
    (Ipv4Addr::new(198, 51, 100, 0), 24), // documentation
    (Ipv4Addr::new(203, 0, 113, 0), 24),  // documentation
    (Ipv4Addr::new(224, 0, 0, 0), 3),     // multicast, reserved, broadcast
];
/// What is global unicast of IPv6, RFC 4291, section 2.4.
const GLOBAL_V6: (Ipv6Addr, u8) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);
/// What is special in it.
const SPECIAL_V6: [(Ipv6Addr, u8); 4] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23), // protocol assignments, Teredo among them: it carries an IPv4 address
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32), // documentation
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16), // 6to4: it carries an IPv4 address
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20), // documentation
];

/// Whether an address is public. An IPv4 address in the form of an IPv6 one is judged as what it is.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => !SPECIAL_V4.iter().any(|(network, length)| shares_v4(address, *network, *length)),
        IpAddr::V6(address) => {
            let (network, length) = GLOBAL_V6;
            shares_v6(address, network, length) && !SPECIAL_V6.iter().any(|(network, length)| shares_v6(address, *network, *length))
        }
    }
}

fn shares_v4(address: Ipv4Addr, network: Ipv4Addr, length: u8) -> bool {
    (address.to_bits() ^ network.to_bits()).leading_zeros() >= u32::from(length)
}

fn shares_v6(address: Ipv6Addr, network: Ipv6Addr, length: u8) -> bool {
    (address.to_bits() ^ network.to_bits()).leading_zeros() >= u32::from(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn public(text: &str) -> bool {
        is_public(text.parse().unwrap())
    }

    #[test]
    fn addresses_of_the_internet_are_public() {
        for text in ["1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "172.15.255.255", "172.32.0.0"] {
            assert!(public(text), "{text}");
        }
        for text in ["192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255", "::ffff:1.1.1.1"] {
            assert!(public(text), "{text}");
        }
        for text in ["2606:4700::1111", "2a00:1450:4001::1", "2001:200::1", "2001:4860::8888", "3ffe::1"] {
            assert!(public(text), "{text}");
        }
    }

    #[test]
    fn what_is_private_local_or_reserved_is_not() {
        for text in ["0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.255.254"] {
            assert!(!public(text), "{text}");
        }
        for text in ["169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.170", "192.168.1.1", "198.18.0.1", "198.19.255.255"] {
            assert!(!public(text), "{text}");
        }
        for text in ["192.0.2.1", "198.51.100.1", "203.0.113.1", "192.88.99.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255"] {
            assert!(!public(text), "{text}");
        }
        for text in ["::", "::1", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1", "fec0::1", "100::1", "2001:db8::1", "3fff::1"] {
            assert!(!public(text), "{text}");
        }
    }

    #[test]
    fn an_address_inside_another_is_none_of_the_internet() {
        for text in ["::ffff:127.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::a00:1"] {
            assert!(!public(text), "{text}");
        }
        for text in ["2002:7f00:1::", "2002:a9fe:a9fe::1", "2001:0:4136:e378:8000:63bf:80ff:fffe", "::ffff:0:127.0.0.1"] {
            assert!(!public(text), "{text}");
        }
    }
}

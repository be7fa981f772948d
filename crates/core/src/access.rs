//! Owns address rules: which client addresses are allowed or denied. Must not find out the address itself.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Allowed and denied networks. Denied wins; if any network is allowed, all others are not.
///
/// Networks are kept as disjoint ranges in order, 8 bytes each (32 of IPv6), and an address is found among them by halving: 17 steps among
/// 100,000.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressRules {
    allow: Networks,
    deny: Networks,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Networks {
    /// First and last address of each range.
    v4: Box<[(u32, u32)]>,
    v6: Box<[(u128, u128)]>,
}

impl AddressRules {
    /// Rules from lists of networks.
    #[must_use]
    pub fn new(allow: impl IntoIterator<Item = IpNet>, deny: impl IntoIterator<Item = IpNet>) -> Self {
        Self { allow: Networks::new(allow), deny: Networks::new(deny) }
    }

    /// Whether there is nothing to check, so that the address need not be read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.allow.are_none() && self.deny.are_none()
    }

    /// Whether requests from `address` may pass.
    #[must_use]
    pub fn admit(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        !self.deny.contain(address) && (self.allow.are_none() || self.allow.contain(address))
    }
}

impl Networks {
    fn new(networks: impl IntoIterator<Item = IpNet>) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for network in networks {
            match canonical(network) {
                IpNet::V4(network) => v4.push((network.network().to_bits().into(), network.broadcast().to_bits().into())),
                IpNet::V6(network) => v6.push((network.network().to_bits(), network.broadcast().to_bits())),
            }
        }
        // Ordered as wide numbers, so that the module has the code for it once.
        let narrow = |(first, last): &(u128, u128)| Some((u32::try_from(*first).ok()?, u32::try_from(*last).ok()?));
        Self { v4: disjoint(v4).iter().filter_map(narrow).collect(), v6: disjoint(v6) }
    }

    fn are_none(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    fn contain(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => holds(&self.v4, address.to_bits()),
            IpAddr::V6(address) => holds(&self.v6, address.to_bits()),
        }
    }
}

/// Ranges in order, without those that lie in others. Networks never overlap otherwise.
fn disjoint(mut ranges: Vec<(u128, u128)>) -> Box<[(u128, u128)]> {
    // The larger of two that begin alike comes first.
    ranges.sort_unstable_by(|one, other| one.0.cmp(&other.0).then(other.1.cmp(&one.1)));
    let mut reached = None;
    ranges.retain(|(_, last)| {
        let beyond = reached.is_none_or(|reached| *last > reached);
        if beyond {
            reached = Some(*last);
        }
        beyond
    });
    ranges.into()
}

fn holds<T: Ord>(ranges: &[(T, T)], value: T) -> bool {
    let next = ranges.partition_point(|(first, _)| *first <= value);
    next.checked_sub(1).and_then(|position| ranges.get(position)).is_some_and(|(_, last)| value <= *last)
}

/// Reads a network such as `10.0.0.0/8`, or a single address as the network of it alone.
#[must_use]
pub fn parse_network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse().ok().map(|address: IpAddr| IpNet::from(address)))
}

/// A network of IPv4-mapped addresses becomes the IPv4 network it stands for.
pub(crate) fn canonical(network: IpNet) -> IpNet {
    if let IpNet::V6(v6) = network
        && v6.prefix_len() >= 96
        && let Some(v4) = v6.network().to_ipv4_mapped()
        && let Ok(v4) = Ipv4Net::new(v4, v6.prefix_len() - 96)
    {
        return IpNet::V4(v4.trunc());
    }
    network.trunc()
}

/// What an address is limited as: itself, or its network of `ipv6_prefix` bits, since a client owns a whole IPv6 network.
#[must_use]
pub fn limited_as(address: IpAddr, ipv6_prefix: u8) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Net::new(address, ipv6_prefix).map_or(address, |network| network.network())),
    }
}

/// Reads Envoy's `source.address`: `192.0.2.1:443` or `[2001:db8::1]:443`; `None` for anything else.
#[must_use]
pub fn parse_source(bytes: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (host, _port) = text.rsplit_once(':')?;
    match host.strip_prefix('[') {
        Some(v6) => v6.strip_suffix(']')?.split('%').next()?.parse().ok().map(IpAddr::V6),
        None => host.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(allow: &[&str], deny: &[&str]) -> AddressRules {
        let parse = |list: &[&str]| list.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpNet>>();
        AddressRules::new(parse(allow), parse(deny))
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn denied_wins_over_allowed() {
        let rules = rules(&["10.0.0.0/8", "2001:db8::/32"], &["10.6.0.0/16", "2001:db8:6::/48"]);
        assert!(rules.admit(address("10.1.2.3")));
        assert!(!rules.admit(address("10.6.2.3")));
        assert!(!rules.admit(address("192.0.2.1")), "not among those allowed");
        assert!(rules.admit(address("2001:db8::1")));
        assert!(!rules.admit(address("2001:db8:6::1")));
    }

    #[test]
    fn without_allowed_networks_all_but_the_denied_pass() {
        let rules = rules(&[], &["192.0.2.0/24"]);
        assert!(rules.admit(address("198.51.100.1")));
        assert!(!rules.admit(address("192.0.2.255")));
        assert!(AddressRules::default().admit(address("::1")));
    }

    #[test]
    fn ipv4_mapped_addresses_and_networks_are_ipv4() {
        assert!(!rules(&[], &["192.0.2.0/24"]).admit(address("::ffff:192.0.2.9")));
        assert!(!rules(&[], &["::ffff:192.0.2.0/120"]).admit(address("192.0.2.9")));
    }

    #[test]
    fn networks_in_networks_change_nothing_in_whatever_order_they_come() {
        let inner = ["10.0.0.0/8", "10.1.0.0/16", "10.0.0.0/24", "10.255.255.255/32", "11.0.0.0/8"];
        let outer = ["10.0.0.0/8", "11.0.0.0/8"];
        let reversed: Vec<_> = inner.iter().rev().copied().collect();
        assert_eq!(rules(&[], &inner), rules(&[], &outer));
        assert_eq!(rules(&[], &reversed), rules(&[], &outer));
        assert!(!rules(&[], &["0.0.0.0/0"]).admit(address("255.255.255.255")));
        assert!(!rules(&[], &["::/0"]).admit(address("ffff::1")) && rules(&[], &["::/0"]).admit(address("1.2.3.4")));
    }

    proptest::proptest! {
        #[test]
        fn an_address_is_judged_as_by_looking_at_every_network(
            denied in proptest::collection::vec((proptest::prelude::any::<u8>(), 20_u8..=32), 0..40), low in 0_u32..0x1_0000,
        ) {
            // Close together, so that many lie in others and at the ends of others.
            let networks: Vec<Ipv4Net> =
                denied.iter().map(|(place, length)| Ipv4Net::new(Ipv4Addr::from_bits(u32::from(*place) << 8), *length).unwrap().trunc()).collect();
            let rules = AddressRules::new([], networks.iter().copied().map(IpNet::V4));
            let address = Ipv4Addr::from_bits(low);
            proptest::prop_assert_eq!(rules.admit(address.into()), !networks.iter().any(|network| network.contains(&address)));
        }
    }

    #[test]
    fn rules_without_networks_are_empty() {
        assert!(rules(&[], &[]).is_empty());
        assert!(!rules(&[], &["::/0"]).is_empty());
    }

    #[test]
    fn reads_envoys_form_of_an_address_and_nothing_else() {
        assert_eq!(parse_source(b"192.0.2.1:443"), Some(address("192.0.2.1")));
        assert_eq!(parse_source(b"[2001:db8::1]:443"), Some(address("2001:db8::1")));
        for wrong in [&b"192.0.2.1"[..], b"/run/socket", b"", b"[::1:443", b"2001:db8::1:443", b"\xff:1"] {
            assert_eq!(parse_source(wrong), None, "{}", wrong.escape_ascii());
        }
    }

    #[test]
    fn ipv6_addresses_are_limited_by_network() {
        assert_eq!(limited_as(address("2001:db8:1:2:3::4"), 64), address("2001:db8:1:2::"));
        assert_eq!(limited_as(address("192.0.2.1"), 64), address("192.0.2.1"));
    }
}

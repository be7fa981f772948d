//! Owns address rules: which client addresses are allowed or denied. Must not find out the address itself.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use prefix_trie::PrefixSet;

/// Allowed and denied networks. Denied wins; if any network is allowed, all others are not.
#[derive(Clone, Debug, Default)]
pub struct AddressRules {
    allow: Networks,
    deny: Networks,
}

#[derive(Clone, Debug, Default)]
struct Networks {
    v4: PrefixSet<Ipv4Net>,
    v6: PrefixSet<Ipv6Net>,
    populated: bool,
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
        !self.allow.populated && !self.deny.populated
    }

    /// Whether requests from `address` may pass.
    #[must_use]
    pub fn admit(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        !self.deny.contain(address) && (!self.allow.populated || self.allow.contain(address))
    }
}

impl Networks {
    fn new(networks: impl IntoIterator<Item = IpNet>) -> Self {
        let mut this = Self::default();
        for network in networks {
            this.populated = true;
            match canonical(network) {
                IpNet::V4(network) => this.v4.insert(network),
                IpNet::V6(network) => this.v6.insert(network),
            };
        }
        this
    }

    fn contain(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => self.v4.get_lpm(&Ipv4Net::from(address)).is_some(),
            IpAddr::V6(address) => self.v6.get_lpm(&Ipv6Net::from(address)).is_some(),
        }
    }
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

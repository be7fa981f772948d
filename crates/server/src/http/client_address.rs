//! Owns whose address a request came from. Must not believe anybody but the proxies that were named.

use std::net::IpAddr;

use axum::http::HeaderMap;
use ipnet::IpNet;

/// The address of whoever asks: the peer, or behind proxies of ours the nearest address in `X-Forwarded-For` that is none of them.
pub(super) fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let mut client = peer.to_canonical();
    // Each proxy appends whom it heard from: read from the end, as long as ours say it.
    for hop in headers.get_all("x-forwarded-for").iter().rev().flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b',')) {
        if !is_among(client, trusted) {
            break;
        }
        match address(hop) {
            Some(address) => client = address,
            None => break,
        }
    }
    client
}

/// Whether an address is in one of these networks.
pub(super) fn is_among(address: IpAddr, networks: &[IpNet]) -> bool {
    let address = address.to_canonical();
    networks.iter().any(|network| network.contains(&address))
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1` or `[2001:db8::1]:80`.
fn address(hop: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(hop).ok()?.trim();
    let address = text.parse().ok().or_else(|| text.parse::<std::net::SocketAddr>().ok().map(|address| address.ip()));
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    address.or_else(bracketed).map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, lines: &[&'static str], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("x-forwarded-for", axum::http::HeaderValue::from_static(line));
        }
        let trusted: Vec<IpNet> = trusted.iter().map(|network| network.parse().unwrap()).collect();
        client_address(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    const OURS: &[&str] = &["10.0.0.0/8", "2001:db8::/32"];

    #[test]
    fn only_proxies_of_ours_are_believed() {
        assert_eq!(client("192.0.2.1", &["198.51.100.1"], OURS), "192.0.2.1");
        assert_eq!(client("10.0.0.1", &["198.51.100.1"], OURS), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &["198.51.100.1"], &[]), "10.0.0.1");
        assert_eq!(client("::ffff:10.0.0.1", &["198.51.100.1"], OURS), "198.51.100.1");
    }

    #[test]
    fn what_a_client_wrote_in_front_is_passed_over() {
        assert_eq!(client("10.0.0.1", &["203.0.113.9, 198.51.100.1"], OURS), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &["203.0.113.9, 198.51.100.1, 10.0.0.2"], OURS), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &["203.0.113.9", "198.51.100.1"], OURS), "198.51.100.1");
    }

    #[test]
    fn nonsense_ends_the_search_at_the_proxy_that_said_it() {
        assert_eq!(client("10.0.0.1", &["198.51.100.1, unknown, 10.0.0.2"], OURS), "10.0.0.2");
        assert_eq!(client("10.0.0.1", &[""], OURS), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &["10.0.0.3"], OURS), "10.0.0.3");
    }

    #[test]
    fn ports_and_brackets_are_taken_off() {
        assert_eq!(client("2001:db8::1", &["[2001:dead::1]:80"], OURS), "2001:dead::1");
        assert_eq!(client("2001:db8::1", &["[2001:dead::1]"], OURS), "2001:dead::1");
        assert_eq!(client("2001:db8::1", &["198.51.100.1:80"], OURS), "198.51.100.1");
    }
}

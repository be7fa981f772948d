//! Owns what may be reached although it is not public: the setting `outgoing_allow`. Must not resolve names.

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

/// One place that may be reached although its address is not public, and without TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Allow {
    /// Every address of a network.
    Network(IpNet),
    /// One name, and one port of it or all.
    Host {
        /// In lower case.
        name: String,
        /// `None`: all.
        port: Option<u16>,
    },
}

/// A text is no such place.
#[derive(Debug, thiserror::Error)]
#[error("a network such as 10.0.0.0/8, an address, or a name such as idp.internal or idp.internal:8080")]
pub struct NoPlace;

impl Allow {
    pub(super) fn covers(&self, host: &str, port: u16, address: IpAddr) -> bool {
        match self {
            Self::Network(network) => network.contains(&address.to_canonical()),
            Self::Host { name, port: own } => name == host && own.is_none_or(|own| own == port),
        }
    }
}

impl FromStr for Allow {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        if let Ok(network) = text.parse() {
            return Ok(Self::Network(network));
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Network(address.to_canonical().into()));
        }
        let (name, port) = match text.split_once(':') {
            Some((name, port)) => (name, Some(port.parse().map_err(|_| NoPlace)?)),
            None => (text, None),
        };
        let label = |label: &str| {
            (1..=63).contains(&label.len()) && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        };
        // What ends in a number would be an address in another notation.
        let numeric = name.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
        if name.len() > 253 || numeric || !name.split('.').all(label) {
            return Err(NoPlace);
        }
        Ok(Self::Host { name: name.to_ascii_lowercase(), port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_addresses_and_names_are_places() {
        let network = |text: &str| Allow::Network(text.parse().unwrap());
        let host = |name: &str, port| Allow::Host { name: name.to_owned(), port };
        for (text, place) in [
            ("10.0.0.0/8", network("10.0.0.0/8")),
            ("127.0.0.1", network("127.0.0.1/32")),
            ("::1", network("::1/128")),
            ("::ffff:10.0.0.1", network("10.0.0.1/32")),
            ("IdP.Internal", host("idp.internal", None)),
            ("localhost:8080", host("localhost", Some(8080))),
        ] {
            assert_eq!(text.parse::<Allow>().unwrap(), place, "{text}");
        }
        for wrong in
            ["", "10.0.0.0/33", "127.1", "300.1.1.1", "a b", "host:", "host:99999", "http://host", "a..b", "*.example.com", "[::1]:80"]
        {
            assert!(wrong.parse::<Allow>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_name_covers_whatever_it_resolves_to_and_a_network_whatever_name_it_has() {
        let address = "10.1.2.3".parse().unwrap();
        let allow = |text: &str| text.parse::<Allow>().unwrap();
        assert!(allow("idp.internal").covers("idp.internal", 443, address));
        assert!(!allow("idp.internal").covers("x.idp.internal", 443, address));
        assert!(!allow("idp.internal:8080").covers("idp.internal", 443, address));
        assert!(allow("10.0.0.0/8").covers("anything", 443, address));
        assert!(allow("10.0.0.0/8").covers("anything", 443, "::ffff:10.1.2.3".parse().unwrap()));
        assert!(!allow("10.0.0.0/8").covers("anything", 443, "11.1.2.3".parse().unwrap()));
    }
}

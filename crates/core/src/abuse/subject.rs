//! Owns who can be blocked or approved, and how that is written: `address:192.0.2.0/24`, `consumer:acme`, `credential:key_1`. Must not
//! know who is.

use std::fmt;
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::access::{canonical, parse_network};
use crate::policy::is_id;

/// Who can be blocked or approved.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A network, or one address.
    Address(IpNet),
    /// A consumer of the backend's.
    Consumer(String),
    /// A credential of the backend's.
    Credential(String),
}

/// A text is no subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("none of `address:` and a network such as `192.0.2.0/24`, `consumer:` and an id, `credential:` and an id")]
pub struct NotASubject;

impl Subject {
    /// What kind it is of: `address`, `consumer`, `credential`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Address(_) => "address",
            Self::Consumer(_) => "consumer",
            Self::Credential(_) => "credential",
        }
    }

    /// Which of its kind it is.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Address(network) => network.to_string(),
            Self::Consumer(id) | Self::Credential(id) => id.clone(),
        }
    }

    /// Reads a kind and a name; a network is taken as its first address, an IPv4-mapped one as the IPv4 network it stands for.
    ///
    /// # Errors
    /// [`NotASubject`].
    pub fn of(kind: &str, name: &str) -> Result<Self, NotASubject> {
        match kind {
            "address" => parse_network(name).map(|network| Self::Address(canonical(network))).ok_or(NotASubject),
            "consumer" | "credential" if !is_id(name) => Err(NotASubject),
            "consumer" => Ok(Self::Consumer(name.to_owned())),
            "credential" => Ok(Self::Credential(name.to_owned())),
            _ => Err(NotASubject),
        }
    }

    /// Whether it is a network that a node may block by itself: one client (/32 or /64), or what it is in (/24 or /48).
    #[must_use]
    pub fn may_be_automatic(&self) -> bool {
        match self {
            Self::Address(IpNet::V4(network)) => network.prefix_len() >= 24 && !network.addr().is_unspecified(),
            Self::Address(IpNet::V6(network)) => network.prefix_len() >= 48 && !network.addr().is_unspecified(),
            Self::Consumer(_) | Self::Credential(_) => true,
        }
    }

    /// The network around a client's, which its neighbours share: /24 or /48; `None` for one that is as wide.
    #[must_use]
    pub fn surroundings(&self) -> Option<Self> {
        let wider = match self {
            Self::Address(IpNet::V4(network)) if network.prefix_len() > 24 => IpNet::V4(Ipv4Net::new(network.addr(), 24).ok()?),
            Self::Address(IpNet::V6(network)) if network.prefix_len() > 48 => IpNet::V6(Ipv6Net::new(network.addr(), 48).ok()?),
            Self::Address(_) | Self::Consumer(_) | Self::Credential(_) => return None,
        };
        Some(Self::Address(wider.trunc()))
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(network) => write!(formatter, "address:{network}"),
            Self::Consumer(id) => write!(formatter, "consumer:{id}"),
            Self::Credential(id) => write!(formatter, "credential:{id}"),
        }
    }
}

impl FromStr for Subject {
    type Err = NotASubject;

    fn from_str(text: &str) -> Result<Self, NotASubject> {
        let (kind, name) = text.split_once(':').ok_or(NotASubject)?;
        Self::of(kind, name)
    }
}

//! Owns the reading of a request's head: one pass over the header map, as bytes. Must not judge what it finds.

use tollgate_core::policy::{Policy, Source};
use tollgate_core::signature::Fields;

/// Sources a head keeps apart; a policy has no more.
pub const MOST_SOURCES: usize = 8;

/// What of a request's head matters for its verdict. Everything borrows from the host's buffer.
#[derive(Debug, Default)]
pub struct Head<'a> {
    /// The whole header map.
    pub(crate) map: &'a [u8],
    /// Whether a body follows.
    pub has_body: bool,
    /// `:method`.
    pub method: &'a [u8],
    /// `:authority`.
    pub authority: &'a [u8],
    /// `:path`, with the query.
    pub target: &'a [u8],
    /// `origin`.
    pub origin: Option<&'a [u8]>,
    /// `content-type`.
    pub content_type: &'a [u8],
    /// Whether `access-control-request-method` is there.
    pub asks_method: bool,
    /// The values of credential headers, by position of the source.
    pub sources: [Field<'a>; MOST_SOURCES],
    /// Names under which a client tries to tell who it is.
    pub claims: Vec<&'a [u8]>,
}

/// A header field that may be sent once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Field<'a> {
    /// Not there.
    #[default]
    Absent,
    /// There, with this value.
    Once(&'a [u8]),
    /// There more than once.
    Repeated,
}

/// What a header's name means to this policy.
#[derive(Clone, Copy, Debug)]
enum Role {
    Method,
    Authority,
    Target,
    Origin,
    ContentType,
    AsksMethod,
    Source(usize),
    Claim,
}

/// The header names a policy looks for.
#[derive(Debug)]
pub struct Names {
    names: Vec<(Box<[u8]>, Role)>,
    /// Their lengths, as bits: most headers are passed over by length alone. A name has at most 64 bytes.
    lengths: u128,
}

/// A header map that is not in the host's form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the host's header map is malformed")]
pub struct Malformed;

impl Names {
    /// The names `policy` looks for.
    #[must_use]
    pub fn new(policy: &Policy) -> Self {
        let fixed = [
            (":method", Role::Method),
            (":authority", Role::Authority),
            (":path", Role::Target),
            ("origin", Role::Origin),
            ("content-type", Role::ContentType),
            ("access-control-request-method", Role::AsksMethod),
        ];
        let identity = &policy.identity_headers;
        let claims = [&identity.consumer, &identity.tier, &identity.credential].map(|name| (name.as_str(), Role::Claim));
        let sources = policy.sources.iter().enumerate().filter_map(|(position, source)| match source {
            Source::Header { name, .. } => Some((name.as_str(), Role::Source(position))),
            Source::Query(_) => None,
        });
        let all = fixed.into_iter().chain(claims).chain(sources);
        let names: Vec<(Box<[u8]>, Role)> = all.map(|(name, role)| (name.as_bytes().into(), role)).collect();
        let lengths = names.iter().filter_map(|(name, _)| length_bit(name)).fold(0, |bits, bit| bits | bit);
        Self { names, lengths }
    }

    /// Reads a head from the host's form of a header map.
    ///
    /// # Errors
    /// [`Malformed`] if the bytes are not one.
    pub fn read<'a>(&self, map: &'a [u8]) -> Result<Head<'a>, Malformed> {
        let mut head = Head { map, ..Head::default() };
        for pair in Pairs::new(map)? {
            let (name, value) = pair?;
            if length_bit(name).is_none_or(|bit| self.lengths & bit == 0) {
                continue;
            }
            for (own, role) in &self.names {
                if own.len() == name.len() && is_same(own, name, *role) {
                    head.take(*role, name, value);
                }
            }
        }
        Ok(head)
    }
}

fn length_bit(name: &[u8]) -> Option<u128> {
    u32::try_from(name.len()).ok().and_then(|length| 1_u128.checked_shl(length))
}

/// Names arrive in lower case. Many upstreams take `_` for `-`, so a claim is recognised either way.
fn is_same(own: &[u8], name: &[u8], role: Role) -> bool {
    if let Role::Claim = role {
        let dashed = |byte: &u8| if *byte == b'_' { b'-' } else { *byte };
        own.iter().zip(name).all(|(own, byte)| dashed(own) == dashed(byte))
    } else {
        own == name
    }
}

impl<'a> Head<'a> {
    fn take(&mut self, role: Role, name: &'a [u8], value: &'a [u8]) {
        match role {
            Role::Method => self.method = value,
            Role::Authority => self.authority = value,
            Role::Target => self.target = value,
            Role::Origin => self.origin = Some(value),
            Role::ContentType => self.content_type = value,
            Role::AsksMethod => self.asks_method = true,
            Role::Claim => self.claims.push(name),
            Role::Source(position) => {
                if let Some(field) = self.sources.get_mut(position) {
                    *field = if *field == Field::Absent { Field::Once(value) } else { Field::Repeated };
                }
            }
        }
    }

    /// Whether this is a CORS preflight (Fetch standard, section 3.2.2).
    #[must_use]
    pub fn is_preflight(&self) -> bool {
        self.method == b"OPTIONS" && self.origin.is_some() && self.asks_method
    }

    /// Whether the client speaks gRPC and expects its statuses, as Envoy decides it.
    #[must_use]
    pub fn is_grpc(&self) -> bool {
        self.content_type.strip_prefix(b"application/grpc").is_some_and(|rest| matches!(rest.first(), None | Some(b'+')))
    }
}

impl Fields for Head<'_> {
    fn each(&self, name: &str, take: &mut dyn FnMut(&[u8])) {
        let pairs = Pairs::new(self.map).into_iter().flatten().filter_map(Result::ok);
        pairs.filter(|(own, _)| *own == name.as_bytes()).for_each(|(_, value)| take(value));
    }
}

/// The pairs of a serialised header map: a count, the lengths, then names and values each followed by a zero byte.
struct Pairs<'a> {
    lengths: std::slice::Iter<'a, [u8; 4]>,
    text: &'a [u8],
}

impl<'a> Pairs<'a> {
    fn new(map: &'a [u8]) -> Result<Self, Malformed> {
        let Some((count, rest)) = map.split_first_chunk::<4>() else {
            // No headers at all is written as nothing.
            return Ok(Self { lengths: [].iter(), text: &[] });
        };
        let table = (u32::from_le_bytes(*count) as usize).checked_mul(8).ok_or(Malformed)?;
        let (table, text) = rest.split_at_checked(table).ok_or(Malformed)?;
        Ok(Self { lengths: table.as_chunks::<4>().0.iter(), text })
    }

    fn text(&mut self, length: &[u8; 4]) -> Result<&'a [u8], Malformed> {
        let length = u32::from_le_bytes(*length) as usize;
        let (text, rest) = self.text.split_at_checked(length).ok_or(Malformed)?;
        self.text = rest.strip_prefix(&[0]).ok_or(Malformed)?;
        Ok(text)
    }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = Result<(&'a [u8], &'a [u8]), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let (name, value) = (self.lengths.next()?, self.lengths.next()?);
        Some(self.text(name).and_then(|name| Ok((name, self.text(value)?))))
    }
}

#[cfg(test)]
pub(crate) mod tests;

//! Owns the chain of the audit log: what the hash of an entry covers, and whether entries are those that were written. Must not know where
//! entries are kept.
//!
//! The hash of an entry is SHA-256 over a name of this format, the hash of the entry before (zeros before the first) and the entry's
//! canonical bytes: each member in its order, with its length before it. There is no secret in it: whoever has the entries can verify them.
//! So can whoever forges all that follow; only a head that was kept elsewhere tells that, or that the newest entries were taken away.

use std::fmt;
use std::str::FromStr;

use ring::digest::{Context, SHA256};

/// Bytes of a hash.
pub(crate) const HASH_LEN: usize = 32;
/// What the first entry follows.
pub(crate) const BEGINNING: Hash = Hash([0; HASH_LEN]);
/// Tells these bytes from any others that are hashed.
const FORMAT: &[u8] = b"tollgate audit entry 1";

/// The hash of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hash(pub(crate) [u8; HASH_LEN]);

/// An entry and its hash: `12:5e…`. The last one stands for all before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The entry's number; 0: there is none yet.
    pub seq: u64,
    /// Its hash.
    pub hash: Hash,
}

/// What of an entry its hash covers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Covered<'a> {
    pub(crate) seq: u64,
    pub(crate) at: i64,
    pub(crate) principal: &'a str,
    pub(crate) action: &'a str,
    pub(crate) subject: &'a str,
    pub(crate) organisation: Option<&'a str>,
    pub(crate) detail: Option<&'a str>,
    pub(crate) person: Option<&'a str>,
    pub(crate) sealed: Option<&'a [u8]>,
}

/// Entries that are followed, one after the other.
#[derive(Debug)]
pub struct Chain {
    at: Head,
    kept: Vec<Head>,
}

/// Why entries are not those that were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// Entries are missing, or in another order.
    #[error("entry {expected} is missing: in its place stands entry {found}")]
    Missing {
        /// The number that should follow.
        expected: u64,
        /// The number that does.
        found: u64,
    },
    /// An entry is another than was written.
    #[error("entry {0} is not as it was written, or does not follow the one before it")]
    Changed(u64),
    /// The entry has another hash than the one that was kept.
    #[error("entry {0} has another hash than the head that was kept: it, or something before it, was written anew")]
    Forged(u64),
    /// The log ends before an entry whose head was kept.
    #[error("the log ends with entry {last}, and the head that was kept is of entry {kept}: the entries between were taken away")]
    CutOff {
        /// The last entry.
        last: u64,
        /// The one that was kept.
        kept: u64,
    },
}

/// A head has another form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a head: a number, a colon and 64 hexadecimal digits, as `tollgate audit head` prints it")]
pub struct NoHead;

impl Covered<'_> {
    /// The hash of this entry after another one's.
    pub(crate) fn hash(&self, before: Hash) -> Hash {
        let mut context = Context::new(&SHA256);
        context.update(FORMAT);
        context.update(&before.0);
        context.update(&self.seq.to_be_bytes());
        context.update(&self.at.to_be_bytes());
        for member in [self.principal, self.action, self.subject] {
            part(&mut context, member.as_bytes());
        }
        for member in [self.organisation, self.detail, self.person] {
            perhaps(&mut context, member.map(str::as_bytes));
        }
        perhaps(&mut context, self.sealed);
        let mut hash = [0; HASH_LEN];
        hash.copy_from_slice(context.finish().as_ref());
        Hash(hash)
    }
}

fn part(context: &mut Context, bytes: &[u8]) {
    context.update(&(bytes.len() as u64).to_be_bytes());
    context.update(bytes);
}

fn perhaps(context: &mut Context, bytes: Option<&[u8]>) {
    context.update(&[u8::from(bytes.is_some())]);
    part(context, bytes.unwrap_or_default());
}

impl Chain {
    /// A chain from its beginning, which must have these heads in it.
    #[must_use]
    pub const fn new(kept: Vec<Head>) -> Self {
        Self { at: Head { seq: 0, hash: BEGINNING }, kept }
    }

    /// Takes the next entry.
    pub(crate) fn follow(&mut self, entry: &Covered<'_>, hash: Hash) -> Result<(), Broken> {
        let expected = self.at.seq + 1;
        if entry.seq != expected {
            return Err(Broken::Missing { expected, found: entry.seq });
        }
        if entry.hash(self.at.hash) != hash {
            return Err(Broken::Changed(entry.seq));
        }
        self.at = Head { seq: entry.seq, hash };
        if self.kept.iter().any(|kept| kept.seq == self.at.seq && *kept != self.at) {
            return Err(Broken::Forged(entry.seq));
        }
        Ok(())
    }

    /// There are no more entries; answers the last one's head.
    ///
    /// # Errors
    /// [`Broken::CutOff`] if there should be.
    pub fn end(self) -> Result<Head, Broken> {
        match self.kept.iter().map(|kept| kept.seq).max() {
            Some(kept) if kept > self.at.seq => Err(Broken::CutOff { last: self.at.seq, kept }),
            _ => Ok(self.at),
        }
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl FromStr for Hash {
    type Err = NoHead;

    fn from_str(text: &str) -> Result<Self, NoHead> {
        crate::api_keys::unhex(text).map(Self).ok_or(NoHead)
    }
}

impl fmt::Display for Head {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.seq, self.hash)
    }
}

impl FromStr for Head {
    type Err = NoHead;

    fn from_str(text: &str) -> Result<Self, NoHead> {
        let (seq, hash) = text.trim().split_once(':').ok_or(NoHead)?;
        Ok(Self { seq: seq.parse().map_err(|_| NoHead)?, hash: hash.parse()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: Covered<'_> = Covered {
        seq: 1,
        at: 2,
        principal: "admin_key:a",
        action: "keys:create",
        subject: "k",
        organisation: Some("default"),
        detail: Some("{}"),
        person: Some("user:u"),
        sealed: Some(b"sealed"),
    };

    #[test]
    fn the_hash_covers_every_member_and_none_runs_into_another() {
        let hash = ENTRY.hash(BEGINNING);
        let others = [
            Covered { seq: 2, ..ENTRY },
            Covered { at: 3, ..ENTRY },
            Covered { principal: "admin_key:b", ..ENTRY },
            Covered { action: "keys:revoke", ..ENTRY },
            Covered { subject: "l", ..ENTRY },
            Covered { action: "keys:createk", subject: "", ..ENTRY },
            Covered { organisation: None, ..ENTRY },
            Covered { organisation: Some(""), ..ENTRY },
            Covered { organisation: None, detail: Some("default"), ..ENTRY },
            Covered { detail: None, ..ENTRY },
            Covered { person: None, ..ENTRY },
            Covered { sealed: None, ..ENTRY },
            Covered { sealed: Some(b"sealee"), ..ENTRY },
        ];
        for other in others {
            assert_ne!(other.hash(BEGINNING), hash, "{other:?}");
        }
        assert_ne!(ENTRY.hash(Hash([1; HASH_LEN])), hash);
        assert_ne!(Covered { organisation: None, ..ENTRY }.hash(BEGINNING), Covered { organisation: Some(""), ..ENTRY }.hash(BEGINNING));
    }

    #[test]
    fn the_format_stays() {
        // Whoever kept a head must find it again.
        let hash = ENTRY.hash(BEGINNING).to_string();
        assert_eq!(hash, "91dfec7e6bd079c1222798fc9dcb8342c95b1958dcc3c8e4435c7f34a4e566b1");
    }

    #[test]
    fn a_head_is_read_as_it_is_printed() {
        let head = Head { seq: 12, hash: ENTRY.hash(BEGINNING) };
        assert_eq!(head.to_string().parse(), Ok(head));
        for text in ["", "12", "12:", ":00", "x:00", "12:zz", &format!("-1:{}", head.hash), &format!("1:{}0", head.hash)] {
            assert_eq!(text.parse::<Head>(), Err(NoHead), "{text}");
        }
    }

    #[test]
    fn what_was_changed_taken_away_or_moved_is_found() {
        let second = Covered { seq: 2, subject: "l", ..ENTRY };
        let first_hash = ENTRY.hash(BEGINNING);
        let second_hash = second.hash(first_hash);
        let (first_head, second_head) = (Head { seq: 1, hash: first_hash }, Head { seq: 2, hash: second_hash });
        let follow = |kept: &[Head], entries: &[(&Covered<'_>, Hash)]| {
            let mut chain = Chain::new(kept.to_vec());
            entries.iter().try_for_each(|(entry, hash)| chain.follow(entry, *hash))?;
            chain.end()
        };
        let whole = [(&ENTRY, first_hash), (&second, second_hash)];
        assert_eq!(follow(&[], &whole), Ok(second_head));
        assert_eq!(follow(&[first_head, second_head], &whole), Ok(second_head));
        assert_eq!(follow(&[second_head], &whole[..1]), Err(Broken::CutOff { last: 1, kept: 2 }));
        assert_eq!(follow(&[first_head], &[]), Err(Broken::CutOff { last: 0, kept: 1 }));
        assert_eq!(follow(&[], &whole[1..]), Err(Broken::Missing { expected: 1, found: 2 }));
        assert_eq!(follow(&[], &[whole[1], whole[0]]), Err(Broken::Missing { expected: 1, found: 2 }));
        let changed = Covered { subject: "m", ..ENTRY };
        assert_eq!(follow(&[], &[(&changed, first_hash), whole[1]]), Err(Broken::Changed(1)));
        // With its own hash it no longer fits the next one, and with all of them anew it does not fit what was kept.
        let forged = changed.hash(BEGINNING);
        assert_eq!(follow(&[], &[(&changed, forged), whole[1]]), Err(Broken::Changed(2)));
        let anew = [(&changed, forged), (&second, second.hash(forged))];
        assert!(follow(&[], &anew).is_ok());
        assert_eq!(follow(&[second_head], &anew), Err(Broken::Forged(2)));
    }
}

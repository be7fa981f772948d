//! Owns what a refresh token looks like, and which of its family it is. Must not know what is given for it.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use crate::clock::Time;
use crate::failure::Failure;
use crate::secrets::{Secrets, Shown};
use crate::store::families::Row;

/// What refresh tokens start with: who finds one knows what it is.
const PREFIX: &str = "tgr_";
/// The longest there can be: prefix, id, number, 43 characters.
const LONGEST: usize = 80;
/// For how long a token that was just used up brings its successor again, to whom the answer was lost.
pub const GRACE: Duration = Duration::from_secs(10);

/// A refresh token as it was presented.
pub(super) struct Presented<'a> {
    pub(super) family: &'a str,
    number: u32,
    tag: Zeroizing<Vec<u8>>,
}

/// What a genuine token is in its family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judged {
    /// The one that is good.
    Good,
    /// The one before it, which was good a moment ago.
    AnswerLost,
    /// One that is used up: two have it.
    Reused,
}

/// The token of a family that is good now.
pub(super) fn token(secrets: &Secrets, family: &Row) -> Result<Shown, Failure> {
    let tag = URL_SAFE_NO_PAD.encode(secrets.refresh_tag(&family.id, &family.seed, family.number)?);
    Ok(Shown::new(Zeroizing::new(format!("{PREFIX}{}_{}_{tag}", family.id, family.number))))
}

/// The id of the family of what has the form of a refresh token, whether or not it is one.
#[must_use]
pub fn family_of(token: &str) -> Option<&str> {
    Presented::read(token).map(|presented| presented.family)
}

impl<'a> Presented<'a> {
    /// Reads what has the form of a refresh token.
    pub(super) fn read(token: &'a str) -> Option<Self> {
        if token.len() > LONGEST {
            return None;
        }
        // The last part may hold underscores.
        let mut parts = token.strip_prefix(PREFIX)?.splitn(3, '_');
        let (family, number, tag) = (parts.next()?, parts.next()?, parts.next()?);
        let canonical = number.parse::<u32>().ok().filter(|parsed| parsed.to_string() == number)?;
        Some(Self { family, number: canonical, tag: Zeroizing::new(URL_SAFE_NO_PAD.decode(tag).ok()?) })
    }

    /// Whether it is one of a family's, of now or before.
    pub(super) fn is_of(&self, secrets: &Secrets, family: &Row) -> bool {
        // One that is yet to come was never given out.
        self.family == family.id && self.number <= family.number && secrets.is_refresh_tag(&family.id, &family.seed, self.number, &self.tag)
    }

    /// Whether it is the one of its family that is good.
    pub(super) const fn is_good(&self, family: &Row) -> bool {
        self.number == family.number
    }

    /// What it is in its family.
    pub(super) fn judge(&self, family: &Row, now: Time) -> Judged {
        let moved = now.since(family.moved_at);
        // A clock that was set back says nothing of how long ago that was.
        let lost = self.number.checked_add(1) == Some(family.number) && now >= family.moved_at && moved <= GRACE;
        match (self.is_good(family), lost) {
            (true, _) => Judged::Good,
            (false, true) => Judged::AnswerLost,
            (false, false) => Judged::Reused,
        }
    }
}

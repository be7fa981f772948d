//! Owns signed tokens in their compact form (RFC 7515): their header, their algorithms, and whether a key signed them. Must not know
//! what a payload says.
//!
//! Signatures are checked by jwt-simple's keys. Those it has no raw check for in its interface are checked by the library that
//! it is built on itself, through the key it hands out. A proxy that can check faster is asked first, through [`Accelerator`].

mod header;
mod signature;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::jwk::Jwk;
pub use header::{Header, LONGEST_KEY_ID};
pub use signature::{Accelerator, Digest, NoAccelerator};

/// A signature algorithm (RFC 7518, section 3.1; RFC 8037; RFC 9864). There is none for "not signed".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// HMAC with SHA-256.
    Hs256,
    /// HMAC with SHA-384.
    Hs384,
    /// HMAC with SHA-512.
    Hs512,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PSS with SHA-384.
    Ps384,
    /// RSASSA-PSS with SHA-512.
    Ps512,
    /// ECDSA over P-256 with SHA-256.
    Es256,
    /// ECDSA over P-384 with SHA-384.
    Es384,
    /// ECDSA over P-521 with SHA-512. Only where the proxy checks it: no library here does.
    Es512,
    /// Ed25519, by either of its names: `EdDSA` and `Ed25519`.
    EdDsa,
}

impl Algorithm {
    /// Whether it is RSASSA-PSS.
    #[must_use]
    pub const fn is_pss(self) -> bool {
        matches!(self, Self::Ps256 | Self::Ps384 | Self::Ps512)
    }

    /// Every algorithm.
    pub const ALL: [Self; 13] = [
        Self::Hs256,
        Self::Hs384,
        Self::Hs512,
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::Es512,
        Self::EdDsa,
    ];

    /// Its name in `alg`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::EdDsa => "EdDSA",
        }
    }

    /// The algorithm of this name, compared exactly; `none` is no name of one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "Ed25519" => Some(Self::EdDsa),
            name => Self::ALL.into_iter().find(|own| own.name() == name),
        }
    }
}

/// Why a token is not one, or not one that is read here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Not three parts of base64url without padding, joined by dots.
    #[error("not three parts of base64url")]
    Form,
    /// The header is no JSON object that can be read in one way only.
    #[error("the header is not one JSON object with each member once")]
    Header,
    /// The header asks for something that is not understood: `crit`, `b64`, or a nested token.
    #[error("the header asks for what is not understood here")]
    Critical,
    /// `alg` is missing, `none`, or unknown.
    #[error("the algorithm is not one of those known here")]
    Algorithm,
}

/// Whether a key signed a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signed {
    /// It did.
    Yes,
    /// It did not, or may not sign with the token's algorithm.
    No,
    /// Nobody here can tell: the algorithm is one that only the proxy could check.
    Unknown,
}

/// A token in compact form whose signature nobody has checked.
#[derive(Debug)]
pub struct Compact<'a> {
    header: Header,
    /// What the signature is over.
    text: &'a [u8],
    payload: Vec<u8>,
    signature: Vec<u8>,
}

/// Whether a credential is meant to be a token of this kind: it starts as a JSON object does in base64url and has dots. Keys never do,
/// unless they were chosen so.
#[must_use]
pub fn is_token(credential: &[u8]) -> bool {
    credential.first() == Some(&b'e') && credential.iter().filter(|byte| **byte == b'.').count() >= 2
}

impl<'a> Compact<'a> {
    /// Reads a token's form and header (RFC 7515, section 5.2, without the signature).
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn parse(token: &'a [u8]) -> Result<Self, Malformed> {
        let mut parts = token.split(|byte| *byte == b'.');
        let (Some(header), Some(payload), Some(signature), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return Err(Malformed::Form);
        };
        let decode = |part: &[u8]| URL_SAFE_NO_PAD.decode(part).map_err(|_| Malformed::Form);
        let text = token.get(..header.len() + 1 + payload.len()).ok_or(Malformed::Form)?;
        let header = Header::read(&decode(header)?)?;
        Ok(Self { header, text, payload: decode(payload)?, signature: decode(signature)? })
    }

    /// The header. Nothing in it is to be believed: it only chooses among keys that are trusted already.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// What the signature is over, as sent.
    #[must_use]
    pub const fn text(&self) -> &'a [u8] {
        self.text
    }

    /// The payload, which anybody may have written.
    #[must_use]
    pub fn unverified_payload(&self) -> &[u8] {
        &self.payload
    }

    /// Whether `key` signed it.
    pub fn signed_by(&self, key: &Jwk, accelerator: &mut impl Accelerator) -> Signed {
        if !key.fits(&self.header) {
            return Signed::No;
        }
        signature::verify(self.header.algorithm, key.material(), self.text, &self.signature, accelerator)
    }
}

#[cfg(test)]
mod tests;

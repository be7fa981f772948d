//! Owns what is said of API keys: what callers ask and what they are answered. Must not do anything with it.

use serde::{Deserialize, Serialize};
use tollgate_core::config::document::Limit;
use tollgate_core::credential::{KeyHash, LONGEST_CREDENTIAL, Provenance, digest};

use super::limits::apart;
use crate::addresses::AddressRules;
use crate::clock::Time;
use crate::failure::Problems;
use crate::patch::given;
use crate::secrets::{Purpose, Secrets, Shown};
use crate::signing::Signing;
use crate::store::api_keys::Row;
use crate::tiers::LimitSchema;

/// Fewer characters than this are within reach of guessing.
const SHORTEST_IMPORT: usize = 20;

/// An API key, without the key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ApiKey {
    /// Its id: the one inside the key.
    pub id: String,
    /// The id of its consumer.
    pub consumer: String,
    /// What its owner calls it.
    pub label: String,
    /// What it may be used for, as far as its consumer has these scopes: routes may ask for them.
    pub scopes: Vec<String>,
    /// Its roles, as far as its consumer has them: routes may ask for them.
    #[serde(default)]
    pub roles: Vec<String>,
    /// From where it may be used, beside what holds for its consumer.
    #[serde(default, skip_serializing_if = "AddressRules::are_none")]
    pub addresses: AddressRules,
    /// When requests with it must be signed.
    #[serde(default, skip_serializing_if = "Signing::is_none")]
    pub signing: Signing,
    /// Limits of its own, beside those of its consumer's tier.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<LimitSchema>)]
    pub limits: Vec<Limit>,
    /// How many units may be spent with it in all: as a rule one for each request. Absent: as many as its limits allow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credits: Option<u64>,
    /// How many of its credits are left, as far as nodes have told. Not told where a key is made or rotated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credits_left: Option<u64>,
    /// Whether it passes, and if not, why.
    pub status: Status,
    /// When it was made.
    pub created_at: Time,
    /// When it ends, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// When it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Time>,
    /// When a node last saw it, to within some seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Time>,
    /// The id of the key it was made to replace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<String>,
    /// The id of the key that was made to replace it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced_by: Option<String>,
    /// Counts its changes; use is none.
    pub version: u32,
}

/// Whether a key passes; its consumer may be disabled all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It passes.
    Active,
    /// Its time is over.
    Expired,
    /// It was revoked.
    Revoked,
}

/// A key to be made for any consumer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewApiKey {
    /// The id of its consumer.
    pub consumer: String,
    /// What its owner calls it: at most 128 characters. Default: nothing.
    #[serde(default)]
    pub label: String,
    /// What it may be used for: some of its consumer's scopes. Default: none.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Its roles: some of its consumer's. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// From where it may be used, beside what holds for its consumer. Default: from everywhere.
    #[serde(default, skip_serializing_if = "AddressRules::are_none")]
    pub addresses: AddressRules,
    /// Whether it has a signing secret, which is made with it and shown once, and when requests must be signed with that. Default: `none`.
    #[serde(default, skip_serializing_if = "Signing::is_none")]
    pub signing: Signing,
    /// Limits of its own, beside those of its consumer's tier: at most 8, and 8 KB as JSON. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<LimitSchema>)]
    pub limits: Vec<Limit>,
    /// How many units may be spent with it in all: 1 to 9,007,199,254,740,991. Default: as many as its limits allow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_u64)]
    pub credits: Option<u64>,
    /// When it ends. Default: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// A key that exists already, from elsewhere. Default: a new one is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub import: Option<Import>,
}

/// A key from elsewhere.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Import {
    /// Its unsalted SHA-256: 64 lower-case hexadecimal digits. The key must not have the form of issued ones, `key_prefix` with `_` and 57
    /// letters and digits: nodes would refuse it as forged.
    Sha256(String),
    /// The key itself: 20 to 512 visible ASCII characters, not in the form of issued ones.
    Key(String),
}

/// A key to be made for one's own consumer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NewOwnKey {
    /// What its owner calls it: at most 128 characters. Default: nothing.
    pub label: String,
    /// What it may be used for: some of the consumer's scopes. Default: none.
    pub scopes: Vec<String>,
    /// Its roles: some of the consumer's. Default: none.
    pub roles: Vec<String>,
    /// From where it may be used, beside what holds for the consumer. Default: from everywhere.
    pub addresses: AddressRules,
    /// Whether it has a signing secret, which is made with it and shown once, and when requests must be signed with that. Default: `none`.
    pub signing: Signing,
    /// Limits of its own, beside those of its consumer's tier: at most 8, and 8 KB as JSON. Default: none.
    #[schema(value_type = Vec<LimitSchema>)]
    pub limits: Vec<Limit>,
    /// How many units may be spent with it in all: 1 to 9,007,199,254,740,991. Default: as many as its limits allow.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_u64)]
    pub credits: Option<u64>,
    /// When it ends. Default: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
}

/// What of a key is to change.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ApiKeyPatch {
    /// What its owner calls it from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// What it may be used for from now on: some of its consumer's scopes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    /// Its roles from now on: some of its consumer's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<String>>,
    /// From where it may be used from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub addresses: Option<AddressRules>,
    /// When requests with it must be signed from now on; `none` ends its signing secret. A key that has none is rotated or replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signing: Option<Signing>,
    /// Limits of its own from now on, in place of all it had.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<LimitSchema>>)]
    pub limits: Option<Vec<Limit>>,
    /// How many units may be spent with it in all, those that were spent included; null: as many as its limits allow.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 9_007_199_254_740_991_u64)]
    pub credits: Option<Option<u64>>,
    /// When it ends; null: never.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    #[schema(value_type = Option<Time>)]
    pub expires_at: Option<Option<Time>>,
}

/// How a key is to be rotated. The new one has the scopes and roles of the old one that the consumer still has, its addresses and limits,
/// and a signing secret of its own if the old one had one. What is left of its credits and limits is left to both together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rotate {
    /// How long the old key goes on, in seconds: 0 to 2,592,000 (30 days). Default: 86,400 (a day).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 2_592_000)]
    pub overlap_seconds: Option<u32>,
    /// When the new key ends. Default: after as long as the old one was made for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
}

/// A key just made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Created {
    /// What is known of it.
    #[serde(flatten)]
    pub key: ApiKey,
    /// The key itself, shown this once. Not there if it was imported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub api_key: Option<Shown>,
    /// Its signing secret, shown this once, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub signing_secret: Option<Shown>,
}

/// A key just rotated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Rotated {
    /// The new key.
    #[serde(flatten)]
    pub created: Created,
    /// The old key, with its end.
    pub replaced: ApiKey,
}

/// Which keys are listed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Of this consumer.
    pub consumer: Option<String>,
}

impl NewApiKey {
    /// One for this consumer, with the defaults in all other fields.
    #[must_use]
    pub fn new(consumer: impl Into<String>) -> Self {
        Self {
            consumer: consumer.into(),
            label: String::new(),
            scopes: Vec::new(),
            roles: Vec::new(),
            addresses: AddressRules::default(),
            signing: Signing::None,
            limits: Vec::new(),
            credits: None,
            expires_at: None,
            import: None,
        }
    }
}

// === impl ApiKey ===

impl ApiKey {
    pub(super) fn of(row: Row, now: Time) -> Self {
        let (limits, credits) = apart(row.limits.clone());
        Self {
            status: Status::of(&row, now),
            id: row.id,
            consumer: row.consumer,
            label: row.label,
            scopes: row.scopes,
            roles: row.roles,
            addresses: row.addresses,
            signing: row.signing,
            limits,
            credits,
            credits_left: None,
            created_at: row.created_at,
            expires_at: row.expires_at,
            revoked_at: row.revoked_at,
            last_used_at: row.last_used_at,
            replaces: row.replaces,
            replaced_by: row.replaced_by,
            version: row.version,
        }
    }
}

impl Status {
    pub(super) fn of(row: &Row, now: Time) -> Self {
        if row.revoked_at.is_some() {
            Self::Revoked
        } else if row.expires_at.is_some_and(|expires_at| expires_at <= now) {
            Self::Expired
        } else {
            Self::Active
        }
    }
}

// === impl Import ===

impl Import {
    /// SHA-256 of the key, if it can be one.
    pub(super) fn digest(&self, secrets: &Secrets, problems: &mut Problems) -> Option<[u8; 32]> {
        match self {
            Self::Sha256(digits) => {
                let digest = unhex(digits);
                problems.check(digest.is_some(), "import.sha256", "64 lower-case hexadecimal digits");
                digest
            }
            Self::Key(key) => {
                let right = (SHORTEST_IMPORT..=LONGEST_CREDENTIAL).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
                problems.check(right, "import.key", format!("{SHORTEST_IMPORT} to {LONGEST_CREDENTIAL} visible ASCII characters"));
                let forged = secrets.provenance(Purpose::Api, key) == Provenance::Forged;
                problems.check(!forged, "import.key", "it has the form of keys issued here and is none: nodes would refuse it as forged");
                (right && !forged).then(|| digest(key.as_bytes()))
            }
        }
    }

    /// The id inside the key, if our issuer keys have made it.
    pub(super) fn issued_id(&self, secrets: &Secrets) -> Option<&str> {
        match self {
            Self::Sha256(_) => None,
            Self::Key(key) => secrets.recognise(Purpose::Api, key),
        }
    }
}

/// The bytes of a SHA-256 in hexadecimal digits.
pub(crate) fn unhex(digits: &str) -> Option<[u8; 32]> {
    match format!("sha256:{digits}").parse().ok()? {
        KeyHash::Sha256(bytes) => Some(bytes),
        KeyHash::HmacSha256(_) => None,
    }
}

impl std::fmt::Debug for Import {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Sha256(_) => "Sha256(…)",
            Self::Key(_) => "Key(…)",
        })
    }
}

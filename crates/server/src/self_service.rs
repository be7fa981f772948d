//! Owns keys for the asking: anybody may take one in a tier that is marked `self_service`. Must not tell whether an address is known.

use serde::{Deserialize, Serialize};

use crate::api_keys::{Wish, issue};
use crate::audit::noted::Noted;
use crate::clock::Time;
use crate::consumers::{self, NewConsumer};
use crate::failure::{Failure, Problems};
use crate::permission::Principal;
use crate::secrets::{Secrets, Shown};
use crate::store::{self, Write};

/// Who asks for a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSelfServiceKey {
    /// The name of a tier that is marked `self_service`.
    #[schema(examples("free"))]
    pub tier: String,
    /// Where the consumer can be written to.
    #[schema(examples("user@example.com"))]
    pub email: String,
}

/// The key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SelfServiceKey {
    /// The key itself, shown this once.
    #[schema(value_type = String)]
    pub api_key: Shown,
    /// The name of its tier.
    pub tier: String,
    /// When it was made.
    pub created_at: Time,
}

/// Makes a consumer and a key for it. How often is for the caller to limit.
///
/// # Errors
/// [`Failure::Invalid`], also for a tier that is not marked `self_service`.
pub async fn create(write: &mut Write, secrets: &Secrets, new: NewSelfServiceKey) -> Result<SelfServiceKey, Failure> {
    let mut problems = Problems::default();
    problems.email("email", &new.email);
    let tier = store::tiers::get(write, &new.tier).await?.filter(|tier| tier.self_service);
    problems.check(tier.is_some(), "tier", "not a tier that keys are given away in");
    problems.finish()?;
    let principal = Principal::backend("self_service");
    // A consumer of its own each time: finding one by its address would tell that the address is known, or give it to somebody else.
    let consumer = NewConsumer { email: Some(new.email), ..NewConsumer::new("self-service", new.tier) };
    let consumer = consumers::create(write, &principal, consumer).await?;
    let wish = Wish { label: "self-service".to_owned(), ..Wish::default() };
    let created = issue(write, secrets, &consumer, wish).await?;
    write.note(&principal, "keys:create", &created.key.id, Noted::made(&created.key).whose(Some(&consumer.organisation))).await?;
    let api_key = created.api_key.ok_or_else(|| Failure::Internal { private: "an issued key was not shown".to_owned() })?;
    Ok(SelfServiceKey { api_key, tier: consumer.tier, created_at: created.key.created_at })
}

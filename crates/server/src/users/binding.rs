//! Owns what a role must be bound to, for whoever has it: an admin key or a user. Must not know which of the two.

use crate::consumers;
use crate::failure::{Failure, Problems};
use crate::permission::{Principal, Role};
use crate::store::{self, Write};

/// A role, and what it is to be bound to.
#[derive(Clone, Debug)]
pub(crate) struct Binding {
    pub(crate) role: Role,
    pub(crate) organisation: Option<String>,
    pub(crate) consumer: Option<String>,
}

/// The organisation somebody is to be bound to, which a developer's consumer decides.
pub(crate) async fn bind(
    write: &mut Write,
    principal: &Principal,
    binding: &Binding,
    problems: &mut Problems,
) -> Result<Option<String>, Failure> {
    let developer = binding.role == Role::Developer;
    problems.check(developer == binding.consumer.is_some(), "consumer", "needed for developers, and only for them");
    if let Some(consumer) = binding.consumer.as_deref().filter(|_| developer) {
        let found = match consumers::find(write, principal, consumer).await {
            Err(Failure::NotFound) => None,
            found => Some(found?.organisation),
        };
        problems.check(found.is_some(), "consumer", "there is no such consumer");
        let agrees = binding.organisation.is_none() || binding.organisation == found;
        problems.check(agrees, "organisation", "not the consumer's");
        return Ok(found);
    }
    if let Some(organisation) = &binding.organisation {
        problems.check(binding.role != Role::Admin, "organisation", "an administrator is bound to none");
        problems.check(store::organisations::get(write, organisation).await?.is_some(), "organisation", "there is no such organisation");
    }
    Ok(binding.organisation.clone())
}

//! Owns who may do what: permissions, the roles that grant them, and the principal that has a role. Must not know how a principal proved
//! itself.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// What an endpoint asks of whoever calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Permission {
    /// See organisations.
    OrganisationsRead,
    /// Make and change organisations.
    OrganisationsWrite,
    /// See consumers.
    ConsumersRead,
    /// Make, change and delete consumers.
    ConsumersWrite,
    /// See tiers.
    TiersRead,
    /// Make, change and delete tiers.
    TiersWrite,
    /// See API keys.
    KeysRead,
    /// Make, change, rotate and revoke API keys.
    KeysWrite,
    /// See the API keys of one's own consumer.
    OwnKeysRead,
    /// Make, rotate and revoke API keys of one's own consumer.
    OwnKeysWrite,
    /// See admin keys.
    AdminKeysRead,
    /// Make and revoke admin keys.
    AdminKeysWrite,
    /// See nodes and their credentials.
    NodesRead,
    /// Make and revoke the credentials of nodes.
    NodesWrite,
    /// See what quotas consumers have been granted.
    LedgerRead,
    /// Let lost nodes go.
    LedgerWrite,
    /// See users.
    UsersRead,
    /// Make, change and delete users.
    UsersWrite,
    /// See and end one's own sessions, and choose one's own password.
    OwnAccount,
    /// See OpenID providers.
    IdentityProvidersRead,
    /// Make, change and delete OpenID providers.
    IdentityProvidersWrite,
    /// See what is to be sent.
    OutboxRead,
    /// Try anew what could not be sent, or take it away.
    OutboxWrite,
    /// See who is blocked and who is approved.
    BlocksRead,
    /// Block, lift and approve.
    BlocksWrite,
    /// See families of tokens, and what a token says.
    TokensRead,
    /// Revoke families of tokens.
    TokensWrite,
    /// See the keys that sign access tokens.
    SigningKeysRead,
    /// Replace and forget them.
    SigningKeysWrite,
    /// See which versions of the backend's own secrets there are.
    SecretsRead,
    /// Rotate and retire them.
    SecretsWrite,
    /// See and export the audit log.
    AuditRead,
    /// Have the audit log forget who somebody is.
    AuditErase,
}

/// A named set of permissions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything, everywhere.
    Admin,
    /// Sees everything; writes consumers and keys, revokes tokens, lets lost nodes go, and looks after what is to be sent.
    Operator,
    /// The keys of one consumer.
    Developer,
    /// Sees everything but admin keys, users, what is to be sent and the audit log.
    Viewer,
}

/// Who asks: the holder of an admin key, a user, or the backend itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// Who it is, as the audit log names it: `admin_key:<id>`, `user:<id>`, `init`, `self_service`.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// The organisation it is bound to; `None`: all.
    pub organisation: Option<String>,
    /// The consumer a developer is bound to.
    pub consumer: Option<String>,
    /// The session a user asks in: what they may do ends with it.
    pub session: Option<String>,
}

// === impl Permission ===

impl Permission {
    /// All there are.
    pub const ALL: [Self; 33] = [
        Self::OrganisationsRead,
        Self::OrganisationsWrite,
        Self::ConsumersRead,
        Self::ConsumersWrite,
        Self::TiersRead,
        Self::TiersWrite,
        Self::KeysRead,
        Self::KeysWrite,
        Self::OwnKeysRead,
        Self::OwnKeysWrite,
        Self::AdminKeysRead,
        Self::AdminKeysWrite,
        Self::NodesRead,
        Self::NodesWrite,
        Self::LedgerRead,
        Self::LedgerWrite,
        Self::UsersRead,
        Self::UsersWrite,
        Self::OwnAccount,
        Self::IdentityProvidersRead,
        Self::IdentityProvidersWrite,
        Self::OutboxRead,
        Self::OutboxWrite,
        Self::BlocksRead,
        Self::BlocksWrite,
        Self::TokensRead,
        Self::TokensWrite,
        Self::SigningKeysRead,
        Self::SigningKeysWrite,
        Self::SecretsRead,
        Self::SecretsWrite,
        Self::AuditRead,
        Self::AuditErase,
    ];

    /// Its name, such as `keys:write`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OrganisationsRead => "organisations:read",
            Self::OrganisationsWrite => "organisations:write",
            Self::ConsumersRead => "consumers:read",
            Self::ConsumersWrite => "consumers:write",
            Self::TiersRead => "tiers:read",
            Self::TiersWrite => "tiers:write",
            Self::KeysRead => "keys:read",
            Self::KeysWrite => "keys:write",
            Self::OwnKeysRead => "own_keys:read",
            Self::OwnKeysWrite => "own_keys:write",
            Self::AdminKeysRead => "admin_keys:read",
            Self::AdminKeysWrite => "admin_keys:write",
            Self::NodesRead => "nodes:read",
            Self::NodesWrite => "nodes:write",
            Self::LedgerRead => "ledger:read",
            Self::LedgerWrite => "ledger:write",
            Self::UsersRead => "users:read",
            Self::UsersWrite => "users:write",
            Self::OwnAccount => "own_account",
            Self::IdentityProvidersRead => "identity_providers:read",
            Self::IdentityProvidersWrite => "identity_providers:write",
            Self::OutboxRead => "outbox:read",
            Self::OutboxWrite => "outbox:write",
            Self::BlocksRead => "blocks:read",
            Self::BlocksWrite => "blocks:write",
            Self::TokensRead => "tokens:read",
            Self::TokensWrite => "tokens:write",
            Self::SigningKeysRead => "signing_keys:read",
            Self::SigningKeysWrite => "signing_keys:write",
            Self::SecretsRead => "secrets:read",
            Self::SecretsWrite => "secrets:write",
            Self::AuditRead => "audit:read",
            Self::AuditErase => "audit:erase",
        }
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

// === impl Role ===

impl Role {
    /// All there are.
    pub const ALL: [Self; 4] = [Self::Admin, Self::Operator, Self::Developer, Self::Viewer];

    /// Its name, as it is stored.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Operator => "operator",
            Self::Developer => "developer",
            Self::Viewer => "viewer",
        }
    }

    /// Whether it grants a permission.
    #[must_use]
    pub const fn grants(self, permission: Permission) -> bool {
        use Permission as P;
        match self {
            Self::Admin => true,
            Self::Operator => {
                matches!(
                    permission,
                    P::OrganisationsRead
                        | P::ConsumersRead
                        | P::ConsumersWrite
                        | P::TiersRead
                        | P::KeysRead
                        | P::KeysWrite
                        | P::AdminKeysRead
                        | P::NodesRead
                        | P::LedgerRead
                        | P::LedgerWrite
                        | P::UsersRead
                        | P::OwnAccount
                        | P::IdentityProvidersRead
                        | P::OutboxRead
                        | P::OutboxWrite
                        | P::BlocksRead
                        | P::BlocksWrite
                        | P::TokensRead
                        | P::TokensWrite
                        | P::SigningKeysRead
                        | P::AuditRead
                )
            }
            Self::Developer => matches!(permission, P::OwnKeysRead | P::OwnKeysWrite | P::OwnAccount),
            Self::Viewer => {
                matches!(
                    permission,
                    P::OrganisationsRead
                        | P::ConsumersRead
                        | P::TiersRead
                        | P::KeysRead
                        | P::NodesRead
                        | P::LedgerRead
                        | P::BlocksRead
                        | P::TokensRead
                        | P::SigningKeysRead
                        | P::OwnAccount
                        | P::IdentityProvidersRead
                )
            }
        }
    }
}

// === impl Principal ===

impl Principal {
    /// The backend itself, with every right of an administrator; `name` is how the audit log calls it.
    #[must_use]
    pub fn backend(name: &str) -> Self {
        Self { name: name.to_owned(), role: Role::Admin, organisation: None, consumer: None, session: None }
    }

    /// Asks for a permission.
    ///
    /// # Errors
    /// [`Failure::Forbidden`] if its role does not grant it.
    pub fn may(&self, permission: Permission) -> Result<(), Failure> {
        if self.role.grants(permission) { Ok(()) } else { Err(Failure::Forbidden) }
    }

    /// Asks for what concerns all organisations.
    ///
    /// # Errors
    /// [`Failure::Forbidden`] to whoever is bound to one.
    pub(crate) const fn unbound(&self) -> Result<(), Failure> {
        if self.organisation.is_none() && self.consumer.is_none() { Ok(()) } else { Err(Failure::Forbidden) }
    }

    /// Whether it may know of what belongs to an organisation and, if it has one, to a consumer.
    pub(crate) fn reaches(&self, organisation: &str, consumer: &str) -> bool {
        self.organisation.as_deref().is_none_or(|own| own == organisation) && self.consumer.as_deref().is_none_or(|own| own == consumer)
    }
}

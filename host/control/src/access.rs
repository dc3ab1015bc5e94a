//! Who may do what.

use crate::refusal::Refusal;
use ghtrader_core::ErrorClass;
use ghtrader_trading::protocol::Actor;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What the holder of a token may do; each role may do what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Read everything.
    Viewer,
    /// Push plugins, move tags, plan, shadow, swap, halt.
    Operator,
    /// Live mode, permissions, limits.
    Trader,
    /// Tokens, settings, clean-up.
    Admin,
}

impl Role {
    /// All of them, lowest first.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Operator, Self::Trader, Self::Admin];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Trader => "trader",
            Self::Admin => "admin",
        }
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|r| r.as_str() == text);
        found.ok_or_else(|| format!("`{text}` is no role; one of viewer, operator, trader, admin"))
    }
}

/// Whom a token stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The token's id.
    pub(crate) id: String,
    /// The token's name.
    pub(crate) name: String,
    /// The token's role.
    pub(crate) role: Role,
}

impl Identity {
    /// Refuses a role below `needed`.
    pub(crate) fn require(&self, needed: Role) -> Result<(), Refusal> {
        if self.role >= needed {
            return Ok(());
        }
        Err(Refusal::new(
            "role_too_low",
            ErrorClass::User,
            format!("this needs the role {needed}; the token `{}` has the role {}", self.name, self.role),
            format!("use a token of the role {needed}: `ghtrader token create --role {needed} --name NAME`"),
        )
        .value(self.role.as_str())
        .bound(needed.as_str()))
    }

    /// The same for the account's service.
    pub(crate) fn actor(&self, reason: &str) -> Actor {
        Actor { name: self.name.clone(), role: self.role.to_string(), reason: reason.to_owned() }
    }
}

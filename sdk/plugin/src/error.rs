use std::fmt;

/// Why a plugin refuses, in the contract's three kinds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PluginError {
    /// A parameter or a block of rows that the plugin cannot use.
    InvalidInput(String),
    /// Something must happen first.
    NotReady(String),
    /// Anything else.
    Other(String),
}

impl PluginError {
    /// What was wrong, with value, bound and remedy.
    pub fn message(&self) -> &str {
        match self {
            Self::InvalidInput(message) | Self::NotReady(message) | Self::Other(message) => message,
        }
    }
}

impl fmt::Display for PluginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::InvalidInput(_) => "invalid input",
            Self::NotReady(_) => "not ready",
            Self::Other(_) => "plugin error",
        };
        write!(f, "{kind}: {}", self.message())
    }
}

impl std::error::Error for PluginError {}

use crate::diff::SourceError;
use ghtrader_core::{ErrorClass, Problem};
use ghtrader_durable::JournalError;
use std::path::PathBuf;

/// Why a trading line does not serve.
#[derive(Debug, thiserror::Error)]
pub enum TradeError {
    /// The connection, or what it needs before.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The broker refuses the login, by a notice. It is not tried again: too many wrong passwords lock an account.
    #[error("{host} refuses the login of `{user}`: {text} (code {code})")]
    LoginRefused {
        /// Who refuses.
        host: String,
        /// The account, masked.
        user: String,
        /// The notice's code.
        code: i64,
        /// The notice's text.
        text: String,
    },
    /// The picture of the account was not complete in time.
    #[error("{host} has not told the account of `{user}` within {limit_s} s{}", if said.is_empty() { String::new() } else { format!("; it said: {said}") })]
    LoginLate {
        /// Who has not told.
        host: String,
        /// The account, masked.
        user: String,
        /// The bound, seconds.
        limit_s: f64,
        /// Notices that came meanwhile.
        said: String,
    },
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The journal is that of another account.
    #[error("{} is the journal of another account than `{user}`", path.display())]
    OtherAccount {
        /// The journal.
        path: PathBuf,
        /// The account, masked.
        user: String,
    },
}

impl TradeError {
    /// Stable name of the failure.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Source(e) => e.code(),
            Self::LoginRefused { .. } => "login_refused",
            Self::LoginLate { .. } => "account_silent",
            Self::Journal(_) => "journal",
            Self::OtherAccount { .. } => "journal_of_another_account",
        }
    }
}

impl From<TradeError> for Problem {
    fn from(e: TradeError) -> Self {
        let (code, what) = (e.code(), e.to_string());
        match e {
            TradeError::Source(e) => e.into(),
            TradeError::Journal(e) => e.into(),
            TradeError::LoginRefused { .. } => Self::new(
                code,
                ErrorClass::User,
                what,
                "check broker, account and password; an expired password is changed with the broker",
            ),
            TradeError::LoginLate { .. } => Self::new(
                code,
                ErrorClass::Unavailable,
                what,
                "try again later; some gateways tell nothing before the settlement report is confirmed",
            ),
            TradeError::OtherAccount { .. } => {
                Self::new(code, ErrorClass::Conflict, what, "give each account a folder of its own")
            }
        }
    }
}

use super::line::Blocked;
use super::order::OrderRefusal;
use super::trader::{CancelError, InsertError};
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
            Self::Journal(e) => e.code(),
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

impl From<Blocked> for Problem {
    fn from(e: Blocked) -> Self {
        let (class, remedy) = match &e {
            Blocked::NotLoggedIn => (ErrorClass::Unavailable, "wait until the line is logged in again"),
            Blocked::Unresolved(_) => (
                ErrorClass::Conflict,
                "wait for the account's next pictures; ask the broker about an order that is lost, then settle it",
            ),
            Blocked::JournalBehind(_) => {
                (ErrorClass::Conflict, "put the newest journal back, or begin a new one in another place")
            }
            Blocked::SumsDisagree(_) => (
                ErrorClass::Conflict,
                "compare the account with the broker by hand; it is traded again when its sums hold",
            ),
        };
        Self::new(e.code(), class, e.to_string(), remedy)
    }
}

impl From<OrderRefusal> for Problem {
    fn from(e: OrderRefusal) -> Self {
        let (code, remedy) = match &e {
            OrderRefusal::NoLots => ("bad_lots", "give at least one lot"),
            OrderRefusal::BadPrice(_) => ("bad_price", "give a number"),
            OrderRefusal::NothingToClose { .. } => (
                "nothing_to_close",
                "close lots that are held and not held back by other orders, today's by close-today",
            ),
        };
        Self::new(code, ErrorClass::User, e.to_string(), remedy)
    }
}

impl From<InsertError> for Problem {
    fn from(e: InsertError) -> Self {
        match e {
            InsertError::Order(e) => e.into(),
            InsertError::Journal(e) => e.into(),
        }
    }
}

impl From<CancelError> for Problem {
    fn from(e: CancelError) -> Self {
        let what = e.to_string();
        match e {
            CancelError::NotLoggedIn => Blocked::NotLoggedIn.into(),
            CancelError::NotOurs(_) => {
                Self::new("unknown_order", ErrorClass::User, what, "name an order of this account's journal")
            }
        }
    }
}

use ghtrader_core::{ErrorClass, Problem};

/// Why a DIFF source does not serve.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// An address that cannot be used.
    #[error("{what} is `{url}`, which {why}")]
    BadUrl {
        /// Which address.
        what: &'static str,
        /// The address, without what may be secret in it.
        url: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The identity service refuses the credentials, or the line the token.
    #[error("{host} refuses the login of `{user}`: {message}")]
    Refused {
        /// Who refuses.
        host: String,
        /// The account.
        user: String,
        /// The server's words, without anything secret.
        message: String,
    },
    /// No connection, a connection that ended, or an answer that cannot be used.
    #[error("{host} does not serve: {why}")]
    Unavailable {
        /// Who does not serve.
        host: String,
        /// What happened.
        why: String,
    },
    /// An answer that did not come in time.
    #[error("{host} has not answered within {limit_s} s: {what}")]
    Timeout {
        /// Who has not answered.
        host: String,
        /// What was asked for.
        what: String,
        /// The bound, seconds.
        limit_s: u64,
    },
    /// A symbol that the source does not know.
    #[error("{host} does not know {symbol}: {message}")]
    UnknownSymbol {
        /// Who does not know it.
        host: String,
        /// The symbol.
        symbol: String,
        /// The server's words, or what did not come.
        message: String,
    },
    /// This machine's clock and the server's differ.
    #[error("this machine's clock is {skew_s} s off that of {host}, at most {bound_s} s are allowed")]
    WrongClock {
        /// Who has the other clock.
        host: String,
        /// This machine's time less the server's, seconds.
        skew_s: i64,
        /// The bound, seconds.
        bound_s: i64,
    },
}

impl SourceError {
    /// Stable name of the failure.
    pub fn code(&self) -> &'static str {
        match self {
            Self::BadUrl { .. } => "bad_source_url",
            Self::Refused { .. } => "source_auth",
            Self::Unavailable { .. } | Self::Timeout { .. } => "source_unavailable",
            Self::UnknownSymbol { .. } => "unknown_instrument",
            Self::WrongClock { .. } => "wrong_clock",
        }
    }
}

impl From<SourceError> for Problem {
    fn from(e: SourceError) -> Self {
        let (class, remedy) = match &e {
            SourceError::BadUrl { .. } => (
                ErrorClass::User,
                "write http://, https://, ws:// or wss:// and a host; user and password belong into the credentials file",
            ),
            SourceError::Refused { .. } => {
                (ErrorClass::User, "check user, password, client_id and client_secret, and what the account may do")
            }
            SourceError::Unavailable { .. } | SourceError::Timeout { .. } => {
                (ErrorClass::Unavailable, "run the command again later; it goes on where it stopped")
            }
            SourceError::UnknownSymbol { .. } => {
                (ErrorClass::User, "check exchange, product and delivery month, such as SHFE.cu2602")
            }
            SourceError::WrongClock { .. } => {
                (ErrorClass::User, "set this machine's clock, best by a time service, and run the command again")
            }
        };
        Self::new(e.code(), class, e.to_string(), remedy)
    }
}

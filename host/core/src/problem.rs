//! The one form in which a failure leaves a room: a stable code, a class, and what a person needs to mend it.

use serde::Serialize;

/// Who has to act on a failure; each class has one exit code and one HTTP status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorClass {
    /// The check ran and the answer is no.
    Negative,
    /// The input is wrong.
    User,
    /// A plugin trapped, ran over a limit or broke its contract.
    Plugin,
    /// Something else exists or holds a lock.
    Conflict,
    /// Memory, disk or a quota is used up.
    Limit,
    /// Not available now, may pass later.
    Unavailable,
    /// A defect of this program.
    Internal,
}

impl ErrorClass {
    /// The class of that name, as it is serialised; one that is not known is a defect of this program or of another version.
    pub fn of_name(name: &str) -> Self {
        match name {
            "negative" => Self::Negative,
            "user" => Self::User,
            "plugin" => Self::Plugin,
            "conflict" => Self::Conflict,
            "limit" => Self::Limit,
            "unavailable" => Self::Unavailable,
            _ => Self::Internal,
        }
    }

    /// The exit code of a process that ends with this class.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Negative => 1,
            Self::User => 2,
            Self::Plugin => 3,
            Self::Conflict => 4,
            Self::Limit => 5,
            Self::Unavailable => 6,
            Self::Internal => 70,
        }
    }
}

/// A failure as it is shown: `error[code]: what` and `help: remedy`, or the same as JSON.
///
/// Each room has its own small error enum and turns it into a `Problem` at its edge (`impl From<RoomError> for Problem`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Stable name, `snake_case`; never renamed.
    pub code: &'static str,
    /// Who has to act.
    pub class: ErrorClass,
    /// What was being done, and the thing, value and bound in one sentence.
    pub what: String,
    /// What to do about it; empty if nothing is known.
    pub remedy: String,
}

impl Problem {
    /// Makes a problem from its parts.
    pub fn new(code: &'static str, class: ErrorClass, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { code, class, what: what.into(), remedy: remedy.into() }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "error[{}]: {}", self.code, self.what)?;
        if !self.remedy.is_empty() {
            write!(f, "\nhelp: {}", self.remedy)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}

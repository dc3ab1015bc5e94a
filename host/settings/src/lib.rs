//! Settings and specifications in TOML, checked as a whole before anything starts.
//!
//! A [`Key`] table says what may stand in a file: path, type, bounds. [`check`] compares a file with it and gives every
//! finding at once, so that a person mends a file in one go. 0, false and an empty list are values like any other.

mod check;
mod effective;
mod nearest;
mod table;

pub use check::{Finding, Key, Kind, check, findings_problem, no_toml};
pub use effective::{Effective, Origin, Settings, commented_file, environment_name};
pub use nearest::nearest;
pub use table::{Setting, VARIETIES, VARIETY_SECTIONS, settings};

//! Results held against each other: what is better, what is noise, and how much of the best is luck.
//!
//! Pure: stored results come in as documents, comparisons and pages go out. [`compare`] pairs results by trading day, judges each
//! variant against a champion and all of them together; [`gate`] holds one result against a rule set; [`batch_page`] shows a
//! comparison as one HTML file. Every verdict is read on the pessimistic fill model, and the bracket stands beside every figure.

mod comparison;
mod error;
mod family;
mod figures;
mod gate;
mod outcome;
mod page;
mod paired;
mod verdict;

pub use comparison::{CSCV_BLOCKS, Champion, CommonDays, Comparison, MAX_VARIANTS, Options, Variant, compare};
pub use error::CompareError;
pub use family::Family;
pub use figures::{Bracket, Figures, Member};
pub use gate::{GateInput, GateReport, Rule, RuleResult, RuleSet, gate};
pub use outcome::{BRACKET, DaySums, Difference, FILL_MODELS, Outcome, join_parts};
pub use page::{PageContext, batch_page};
pub use paired::{Paired, Resampling};
pub use verdict::Verdict;

#[cfg(test)]
mod tests;

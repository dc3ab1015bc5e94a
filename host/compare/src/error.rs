//! What can be wrong with results that are to be compared.

use ghtrader_core::{ErrorClass, Problem};

/// Why there is no comparison.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompareError {
    /// A document is no result, or not a whole one.
    #[error("{name} is no result: {what}")]
    Corrupt {
        /// The file, or whatever else the caller calls it.
        name: String,
        /// What is missing or wrong, and where.
        what: String,
    },
    /// A result without the fill model that verdicts are read on.
    #[error("{name} ran under {models} only; a verdict is read on the pessimistic model")]
    NoPessimistic {
        /// The result.
        name: String,
        /// The models it has.
        models: String,
    },
    /// Too few results.
    #[error("{given} results were given; a comparison needs {needed}")]
    TooFew {
        /// Results given.
        given: usize,
        /// Fewest that do.
        needed: usize,
    },
    /// More results than the tests can hold in memory.
    #[error("{given} variants are more than the {most} that one comparison takes")]
    TooMany {
        /// Variants given.
        given: usize,
        /// The bound.
        most: usize,
    },
    /// The named champion is none of the results, or several.
    #[error("`{wanted}` names {found} of the results; they are {known}")]
    Champion {
        /// What was asked for.
        wanted: String,
        /// Results that answer to it.
        found: usize,
        /// The first few names.
        known: String,
    },
    /// Results that were made under other conditions.
    #[error("the results were not made under the same conditions: {differences}")]
    Different {
        /// Each condition with both values, the first few.
        differences: String,
    },
    /// No trading day that the results share.
    #[error("`{a}` and `{b}` share no trading day")]
    NoCommonDay {
        /// One result.
        a: String,
        /// Another.
        b: String,
    },
    /// A value out of bounds.
    #[error("{key} = {value} lies outside {bound}")]
    Bound {
        /// The option.
        key: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        bound: &'static str,
    },
    /// A rule set that says nothing, or something unknown.
    #[error("{name} is no rule set: {what}")]
    Rules {
        /// The file.
        name: String,
        /// What is wrong.
        what: String,
    },
}

impl From<CompareError> for Problem {
    fn from(error: CompareError) -> Self {
        let what = error.to_string();
        let (code, remedy) = match error {
            CompareError::Corrupt { .. } => ("report_corrupt", "make the result again"),
            CompareError::NoPessimistic { .. } => {
                ("pessimistic_missing", "run the specification with `pessimistic` among fills.models")
            }
            CompareError::TooFew { .. } => ("too_few_results", "name two result folders, or a batch with --batch"),
            CompareError::TooMany { .. } => {
                ("too_many_variants", "compare parts of the grid, and pass all trials by --trials")
            }
            CompareError::Champion { .. } => {
                ("unknown_champion", "give a name, the first characters of an id, parameters as key=value,…, or `flat`")
            }
            CompareError::Different { .. } => {
                ("different_conditions", "run them alike, or add --allow-different: the differences stay listed")
            }
            CompareError::NoCommonDay { .. } => ("no_common_day", "run both over the same trading days"),
            CompareError::Bound { .. } => ("bad_option", "choose a value inside the bound"),
            CompareError::Rules { .. } => ("bad_rules", "see the rule set that `ghtrader backtest gate` prints"),
        };
        Self::new(code, ErrorClass::User, what, remedy)
    }
}

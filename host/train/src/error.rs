use ghtrader_core::{ErrorClass, Problem};

/// Why a model cannot be trained.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TrainError {
    /// A setting is out of its bounds.
    #[error("setting `{name}` is {value}; it must be {bound}")]
    Setting {
        /// Name of the setting.
        name: &'static str,
        /// Its value.
        value: String,
        /// What is allowed.
        bound: &'static str,
    },
    /// Columns, labels and days do not have one length, or there are none.
    #[error("the training set is not a table: {reason}")]
    Table {
        /// What differs.
        reason: String,
    },
    /// A label that is neither 0, 1, 2 nor NaN.
    #[error("row {row} has the label {value}; labels are 0 (down), 1 (flat), 2 (up) or NaN (none)")]
    Label {
        /// The row.
        row: usize,
        /// The label.
        value: f64,
    },
    /// Trading days go back.
    #[error("trading day goes back at row {row}")]
    Order {
        /// The row.
        row: usize,
    },
    /// No fold has enough training rows and a test part.
    #[error("{rows} rows on {days} trading days leave no fold: {wanted}")]
    NoFold {
        /// Rows given.
        rows: usize,
        /// Trading days given.
        days: usize,
        /// What one fold would need.
        wanted: String,
    },
    /// Too little to fit on once rows with NaN are left out.
    #[error(
        "rows {start}..{end} hold {usable} rows of {classes} classes that have a label and no NaN; a fit needs rows of two classes"
    )]
    TooFewRows {
        /// First row of the training part.
        start: usize,
        /// End of the training part.
        end: usize,
        /// Rows that can be used.
        usable: usize,
        /// Classes among them.
        classes: usize,
    },
    /// The library gave up.
    #[error("the fit on rows {start}..{end} failed: {reason}")]
    Fit {
        /// First row of the training part.
        start: usize,
        /// End of the training part.
        end: usize,
        /// The library's words.
        reason: String,
    },
    /// The optimum was not reached.
    #[error("the fit on rows {start}..{end} did not converge: gradient per row {gradient:e}, bound {bound:e}")]
    NotConverged {
        /// First row of the training part.
        start: usize,
        /// End of the training part.
        end: usize,
        /// Largest gradient component, divided by the rows.
        gradient: f64,
        /// Its bound.
        bound: f64,
    },
    /// The model cannot be kept.
    #[error(transparent)]
    Model(#[from] ghtrader_model::ModelError),
}

impl TrainError {
    /// Stable name of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Setting { .. } => "train_setting_out_of_bounds",
            Self::Table { .. } => "train_set_misaligned",
            Self::Label { .. } => "train_label_invalid",
            Self::Order { .. } => "train_rows_out_of_order",
            Self::NoFold { .. } => "train_no_fold",
            Self::TooFewRows { .. } => "train_too_few_rows",
            Self::Fit { .. } => "train_fit_failed",
            Self::NotConverged { .. } => "train_not_converged",
            Self::Model(e) => e.code(),
        }
    }
}

impl From<TrainError> for Problem {
    fn from(e: TrainError) -> Self {
        let remedy = match &e {
            TrainError::Model(model) => return model.clone().into(),
            TrainError::Setting { .. } => "change the setting",
            TrainError::Table { .. } | TrainError::Label { .. } | TrainError::Order { .. } => {
                "build features and labels again from the same main_l5"
            }
            TrainError::NoFold { .. } => {
                "give more days, or ask for fewer splits, a lower min_train_rows or shorter day parts"
            }
            TrainError::TooFewRows { .. } => {
                "check the features for columns that are NaN throughout, and the label's threshold"
            }
            TrainError::Fit { .. } | TrainError::NotConverged { .. } => {
                "look for a column that repeats another or hardly varies, or lower C"
            }
        };
        let class = match &e {
            TrainError::Fit { .. } | TrainError::NotConverged { .. } => ErrorClass::Internal,
            _ => ErrorClass::User,
        };
        Problem::new(e.code(), class, e.to_string(), remedy)
    }
}

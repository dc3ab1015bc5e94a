//! Linear models, walk-forward splits, evaluation.

mod error;
mod evaluate;
mod fit;
mod newton;
mod set;
mod settings;
mod splits;
mod study;
mod walk;

pub use error::TrainError;
pub use evaluate::{BLOCK_HORIZONS, ClusterUnit, Evaluation, Judged, MIN_DAYS, evaluate};
pub use fit::{Fitted, fit};
pub use set::{SetSource, TrainingSet};
pub use settings::{Settings, Split};
pub use splits::{
    Borders, DayFold, Fold, Purge, PurgedFold, combinatorial_purged, purge_borders, purged_k_fold, sequence_windows,
    snap_to_days, walk_forward_borders, walk_forward_days, walk_forward_purged,
};

pub use study::{SeedReport, StudyReport, study};
pub use walk::{FoldReport, WalkForward, folds, walk_forward};

#[cfg(test)]
mod tests;

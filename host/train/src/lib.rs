//! Linear models, walk-forward splits, evaluation.

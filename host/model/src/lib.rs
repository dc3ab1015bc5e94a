//! Scoring of trained models and the artefact in which a model is kept.
//!
//! The same arithmetic scores in training reports, backtest and live. Opening an artefact runs no code of its author.

mod artefact;
mod error;
mod linear;
mod manifest;

pub use artefact::{Artefact, MANIFEST_FILE, WEIGHTS_FILE};
pub use error::ModelError;
pub use linear::{CLASSES, LinearModel};
pub use manifest::{FoldMetrics, LabelRecord, ModelManifest, NullPolicy, ScalerKind, ScalerRecord, TrainingRecord};

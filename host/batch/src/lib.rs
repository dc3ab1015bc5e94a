//! Lineups made ready to run over days, and many of them as one batch.
//!
//! [`prepare`] and [`execute`] are a single run: plugins loaded, columns built, scores attached, days replayed. A batch is
//! many of these. [`plan`] names every job by the digest of its result, which is known without reading a row, and writes
//! an immutable [`Manifest`]; [`run_jobs`] fills a [`Results`] folder, a file a job; [`supervise`] does so by children that
//! may die; [`status`] and [`summarise`] say what came of it. Manifest and folder are the whole state: whoever runs the
//! same manifest again, anywhere, goes on where the folder ends.

mod axes;
mod collect;
mod days;
mod identify;
mod lineup;
mod manifest;
mod plan;
mod project;
mod residence;
mod results;
mod run;
mod spec;
mod supervise;

pub use collect::{Status, Summary, params_of, status, summarise};
pub use days::base_days;
pub use identify::engine_id;
pub use lineup::{FoldModel, Lineup, Prepared, Scoring, execute, missing_columns, prepare};
pub use manifest::{Head, Job, LineupRecord, Manifest, PartRecord, Period, Shard};
pub use plan::{Plan, plan};
pub use project::{Component, Project, Show, is_path, load_plugin, stored_schedule};
pub use results::{Kind, Results, State};
pub use run::{JobEvent, RunOptions, RunReport, build_batch_features, check_engine, run_jobs};
pub use spec::{BatchSpec, Split};
pub use supervise::{Death, Ending, STRIKES, Said, Supervision, supervise};

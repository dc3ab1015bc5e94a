//! From a lineup to days that an engine can replay: columns built, scores attached; and a run over them.

use crate::days::{base_days, data_warnings};
use crate::project::{Component, Project, stored_schedule};
use ghtrader_backtest::{
    BacktestError, ColumnsOrigin, DayData, Identity, ReadyDay, ReportContext, RunResult, RunSpec, ScoredRows,
    report_json, run_prepared,
};
use ghtrader_core::{Digest, ErrorClass, FeatureColumn, Problem, SymbolError, TradingDay, Variety};
use ghtrader_model::{Artefact, LinearModel};
use ghtrader_pipeline::ColumnsReport;
use ghtrader_plugin::{Instrument, Role};
use ghtrader_runtime::DayColumns;
use ghtrader_store::Store;
use rayon::prelude::*;
use serde_json::{Value, json};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// Which model scores which days.
#[derive(Debug, Clone)]
pub enum Scoring {
    /// No scores.
    None,
    /// One model for every day.
    Model {
        /// The model.
        artefact: Arc<Artefact>,
        /// Its digest.
        digest: Digest,
    },
    /// Walk-forward: each model scores the days of its own test part, from `first` to `last`.
    Folds {
        /// Horizon of the models' label, rows.
        horizon_rows: u32,
        /// The models with their test parts.
        folds: Vec<FoldModel>,
    },
}

/// A fold's model and the days that it has not seen.
#[derive(Debug, Clone)]
pub struct FoldModel {
    /// First day of the test part.
    pub first: TradingDay,
    /// Last day of the test part.
    pub last: TradingDay,
    /// First row of `first` and the row behind the last one of `last` that belong to the test part.
    pub rows: (usize, usize),
    /// The model.
    pub model: LinearModel,
    /// Digest of its numbers.
    pub digest: Digest,
    /// First and last trading day that it was fitted on.
    pub trained: (TradingDay, TradingDay),
}

impl FoldModel {
    /// Rows of a day that belong to the test part.
    fn rows_of(&self, day: TradingDay, rows: usize) -> Option<Range<usize>> {
        if !(self.first..=self.last).contains(&day) {
            return None;
        }
        let start = if self.first == day { self.rows.0 } else { 0 };
        let end = if self.last == day { self.rows.1.min(rows) } else { rows };
        Some(start..end)
    }
}

impl Scoring {
    /// A model by the folder that [`Artefact::save`] wrote.
    ///
    /// # Errors
    /// A folder that holds no whole model.
    pub fn open(folder: &Path) -> Result<Self, Problem> {
        let artefact = Artefact::open(folder)?;
        let digest = artefact.digest()?;
        Ok(Self::Model { artefact: Arc::new(artefact), digest })
    }

    /// Digests of all models.
    pub(crate) fn models(&self) -> Vec<Digest> {
        match self {
            Self::None => Vec::new(),
            Self::Model { digest, .. } => vec![*digest],
            Self::Folds { folds, .. } => folds.iter().map(|f| f.digest).collect(),
        }
    }

    /// Which rows of a day are scored by which model.
    pub(crate) fn rows_of(&self, day: TradingDay, rows: usize) -> Vec<ScoredRows> {
        match self {
            Self::None => Vec::new(),
            Self::Model { artefact, digest } => {
                vec![ScoredRows { model: *digest, horizon_rows: artefact.manifest.horizon_rows, rows: 0..rows }]
            }
            Self::Folds { horizon_rows, folds } => {
                let scored = |f: &FoldModel| {
                    let rows = f.rows_of(day, rows)?;
                    Some(ScoredRows { model: f.digest, horizon_rows: *horizon_rows, rows })
                };
                folds.iter().filter_map(scored).collect()
            }
        }
    }

    fn as_json(&self) -> Value {
        match self {
            Self::None => Value::Null,
            Self::Model { artefact, digest } => {
                let training = &artefact.manifest.training;
                json!([{ "digest": digest, "trained_first_day": training.first_day, "trained_last_day": training.last_day }])
            }
            Self::Folds { folds, .. } => {
                let one = |f: &FoldModel| {
                    let (trained_first, trained_last) = f.trained;
                    json!({ "first_day": f.first, "last_day": f.last, "digest": f.digest,
                            "trained_first_day": trained_first, "trained_last_day": trained_last })
                };
                folds.iter().map(one).collect()
            }
        }
    }
}

/// Features, model and strategy, loaded.
#[derive(Debug, Clone)]
pub struct Lineup {
    /// Feature plugins, in order.
    pub features: Vec<Component>,
    /// What scores their columns.
    pub scoring: Scoring,
    /// The strategy plugin.
    pub strategy: Component,
}

impl Lineup {
    /// Loads what a specification names, paths relative to `base`.
    ///
    /// # Errors
    /// As [`Component::load`]; a model that cannot be opened.
    pub fn load(project: &Project<'_>, spec: &RunSpec, base: &Path, scoring: Option<Scoring>) -> Result<Self, Problem> {
        let features = spec.lineup.features.iter();
        let features = features.map(|f| Component::load(project, base, f, Role::Feature)).collect::<Result<_, _>>()?;
        let strategy = Component::load(project, base, &spec.lineup.strategy, Role::Strategy)?;
        let scoring = match (scoring, &spec.lineup.model) {
            (Some(scoring), _) => scoring,
            (None, None) => Scoring::None,
            (None, Some(model)) => Scoring::open(&base.join(&model.artifact))?,
        };
        Ok(Self { features, scoring, strategy })
    }

    /// What of the lineup decides a result.
    pub(crate) fn identity(&self, schedule_hash: &str) -> Identity {
        Identity {
            components: self.features.iter().chain([&self.strategy]).map(Component::identity).collect(),
            models: self.scoring.models(),
            schedule_hash: schedule_hash.to_owned(),
        }
    }

    pub(crate) fn report(&self, schedule_hash: &str, data_warnings: Vec<String>) -> ReportContext {
        ReportContext {
            features: self.features.iter().map(Component::record).collect(),
            model: self.scoring.as_json(),
            strategy: Some(self.strategy.record()),
            schedule_hash: schedule_hash.to_owned(),
            data_warnings,
            notes: Vec::new(),
        }
    }
}

/// Everything a run needs but its engine.
pub struct Prepared {
    /// Days with rows and columns.
    pub days: Vec<DayData>,
    /// The same rows as the exchange reads them.
    pub exchange: Vec<Arc<ReadyDay>>,
    /// What of the lineup decides the result.
    pub identity: Identity,
    /// The strategy.
    pub strategy: Component,
    /// What a report says beside the result.
    pub report: ReportContext,
    /// The product.
    pub variety: Variety,
}

/// A product by its name in a specification.
pub(crate) fn variety_of(name: &str) -> Result<Variety, Problem> {
    name.parse()
        .map_err(|e: SymbolError| Problem::new("bad_symbol", ErrorClass::User, e.to_string(), "write variety = \"cu\""))
}

/// Loads the lineup of a specification and the days that it names.
///
/// # Errors
/// Whatever stands in the way: no schedule, plugins that are not admitted, columns that cannot be built, a model of
/// another schema, rows that the exchange cannot work with.
pub fn prepare(
    project: &Project<'_>,
    spec: &RunSpec,
    base: &Path,
    scoring: Option<Scoring>,
) -> Result<Prepared, Problem> {
    let variety = variety_of(&spec.variety)?;
    let schedule = stored_schedule(project.store, &variety)?;
    let lineup = Lineup::load(project, spec, base, scoring)?;
    let built = lineup
        .features
        .iter()
        .map(|f| project.build_columns(&schedule, &f.plugin, &f.params, project.columns))
        .collect::<Result<Vec<_>, _>>()?;
    let mut days = base_days(project.store, project.calendar, &schedule, spec.from, spec.to)?;
    attach(project.store, &built.iter().collect::<Vec<_>>(), &lineup.scoring, &mut days)?;
    let exchange = ghtrader_backtest::prepare_days(&days)?;
    // Days that come later change no result over these.
    let known = days.last().map_or_else(|| schedule.hash().to_owned(), |day| schedule.hash_on(day.trading_day));
    Ok(Prepared {
        identity: lineup.identity(&known),
        report: lineup.report(&known, data_warnings(&days)),
        strategy: lineup.strategy,
        days,
        exchange,
        variety,
    })
}

/// Joins built columns to the days' rows by (day, sequence), as `feature/<name>`, and scores them.
pub(crate) fn attach(
    store: &dyn Store,
    built: &[&ColumnsReport],
    scoring: &Scoring,
    days: &mut [DayData],
) -> Result<(), Problem> {
    if let Scoring::Model { artefact, .. } = scoring {
        let schema: Vec<FeatureColumn> = built.iter().flat_map(|b| b.columns.clone()).collect();
        artefact.check_schema(&schema)?;
    }
    days.par_iter_mut().try_for_each(|day| {
        let mut columns = DayColumns::default();
        let mut origin = ColumnsOrigin::default();
        for report in built {
            let stored = report.days.iter().find(|d| d.trading_day == day.trading_day);
            let loaded = match stored {
                Some(d) => store.load_columns(&d.manifest.key)?,
                None => None,
            };
            let loaded = loaded
                .filter(|c| c.seq() == day.ticks.view().seq)
                .ok_or_else(|| missing_columns(report, day.trading_day))?;
            origin.features.push(loaded.manifest().key.key);
            for (i, name) in loaded.names().iter().enumerate() {
                columns.names.push(format!("feature/{name}"));
                columns.values.push(loaded.column(i).unwrap_or_default().to_vec());
            }
        }
        origin.scores = scoring.rows_of(day.trading_day, day.ticks.view().rows());
        score(scoring, day, &mut columns)?;
        day.columns = Arc::new(columns);
        day.origin = origin;
        Ok(())
    })
}

fn score(scoring: &Scoring, day: &DayData, columns: &mut DayColumns) -> Result<(), Problem> {
    let rows = day.ticks.view().rows();
    let inputs: Vec<&[f64]> = columns.values.iter().map(Vec::as_slice).collect();
    let mut out = vec![vec![f64::NAN; rows]; 3];
    let horizon_rows = match scoring {
        Scoring::None => return Ok(()),
        Scoring::Model { artefact, .. } => {
            artefact.model.score_rows(&inputs, &mut out)?;
            artefact.manifest.horizon_rows
        }
        Scoring::Folds { horizon_rows, folds } => {
            for fold in folds {
                let Some(range) = fold.rows_of(day.trading_day, rows) else { continue };
                let part: Vec<&[f64]> = inputs.iter().map(|c| &c[range.clone()]).collect();
                let mut scored = vec![Vec::new(); 3];
                fold.model.score_rows(&part, &mut scored)?;
                for (to, from) in out.iter_mut().zip(scored) {
                    to[range.clone()].copy_from_slice(&from);
                }
            }
            *horizon_rows
        }
    };
    columns.names.extend(LinearModel::score_names(horizon_rows));
    columns.values.extend(out);
    Ok(())
}

/// Why a report has no columns of a day: the plugin failed on it, or the rows have changed since.
pub fn missing_columns(report: &ColumnsReport, day: TradingDay) -> Problem {
    match report.failed.iter().find(|f| f.trading_day == day) {
        Some(fault) => Problem::new(
            fault.code,
            ErrorClass::Plugin,
            format!("{day}: {}", fault.message),
            "mend the plugin; `ghtrader feature build` names every day it fails on",
        ),
        None => Problem::new(
            "dataset_misaligned",
            ErrorClass::Negative,
            format!("{} has no columns for the rows of {day}", report.plugin),
            "build features and labels again with --full",
        ),
    }
}

/// Replays days through a strategy under every fill model of a specification.
pub(crate) fn replay(
    spec: &RunSpec,
    variety: &Variety,
    (days, exchange): (&[DayData], &[Arc<ReadyDay>]),
    identity: &Identity,
    strategy: &Component,
    block_rows: usize,
) -> Result<RunResult, BacktestError> {
    let first = days.first();
    let instrument = first.map(|d| Instrument {
        symbol: d.contract.clone(),
        price_tick: d.instrument.price_tick,
        multiplier: d.instrument.multiplier,
    });
    let make = || match &instrument {
        Some(instrument) => {
            strategy.plugin.strategy(&strategy.params, instrument).map_err(|fault| BacktestError::Lineup(fault.into()))
        }
        None => Err(BacktestError::NoDays {
            from: "the first".to_owned(),
            to: "the last".to_owned(),
            what: spec.data.clone(),
        }),
    };
    run_prepared(spec, variety, days, exchange, identity, &make, block_rows)
}

/// Runs a prepared lineup and gives the result with its report.
///
/// # Errors
/// A plugin's fault, and whatever ends a run.
pub fn execute(spec: &RunSpec, prepared: &Prepared, block_rows: usize) -> Result<(RunResult, Value), Problem> {
    let days = (&prepared.days[..], &prepared.exchange[..]);
    let result = replay(spec, &prepared.variety, days, &prepared.identity, &prepared.strategy, block_rows)?;
    let report = report_json(spec, &prepared.days, &result, &prepared.report)?;
    Ok((result, report))
}

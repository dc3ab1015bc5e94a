//! From a run specification to days that an engine can replay: plugins loaded, columns built, scores attached.

use crate::commands::{columns, plugin};
use crate::context::Context;
use ghtrader_backtest::{
    ComponentRecord, DayData, Identity, OldDay, PluginSpec, ReportContext, RunResult, RunSpec, report_json,
};
use ghtrader_core::{
    Column, ContractTable, Digest, ErrorClass, FeatureColumn, NS_PER_S, Phase, Problem, SessionWindow, TradingDay,
    Variety, is_double_sided,
};
use ghtrader_model::{Artefact, LinearModel};
use ghtrader_pipeline::{ColumnsReport, compute_day_quality};
use ghtrader_plugin::{Instrument, ParamValue, Params, Plugin, PluginHost};
use ghtrader_runtime::DayColumns;
use ghtrader_store::{Counting, Dataset, Schedule, Store};
use rayon::prelude::*;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A loaded plugin with every parameter settled.
pub(crate) struct Component {
    pub(crate) plugin: Arc<Plugin>,
    pub(crate) params: Params,
}

impl Component {
    /// Loads an artefact named in a specification, relative to `base`.
    pub(crate) fn load(host: &PluginHost, base: &Path, spec: &PluginSpec) -> Result<Self, Problem> {
        let plugin = plugin::load(host, &base.join(&spec.plugin))?;
        let given: Params = spec.params.iter().map(|(k, v)| (k.clone(), param_value(v))).collect();
        let params = plugin
            .manifest()
            .resolve_params(&given)
            .map_err(|f: Vec<ghtrader_plugin::Finding>| ghtrader_plugin::Finding::into_problem(&f))?;
        Ok(Self { plugin, params })
    }

    fn params_text(&self) -> String {
        self.params.iter().map(|(k, v)| format!("{k}={v}\n")).collect()
    }

    pub(crate) fn record(&self) -> ComponentRecord {
        let about = &self.plugin.manifest().plugin;
        ComponentRecord {
            name: format!("{}/{}", about.role, about.name),
            version: about.version.clone(),
            digest: self.plugin.digest().to_string(),
            params: self
                .params
                .iter()
                .map(|(k, v)| (k.clone(), param_json(v)))
                .collect::<serde_json::Map<_, _>>()
                .into(),
        }
    }
}

/// A TOML value as a parameter; the manifest says later whether the type is right.
fn param_value(value: &toml::Value) -> ParamValue {
    match value {
        toml::Value::Integer(v) => ParamValue::Integer(*v),
        toml::Value::Float(v) => ParamValue::Number(*v),
        toml::Value::Boolean(v) => ParamValue::Flag(*v),
        toml::Value::String(v) => ParamValue::Text(v.clone()),
        other => ParamValue::Text(other.to_string()),
    }
}

fn param_json(value: &ParamValue) -> Value {
    match value {
        ParamValue::Integer(v) => json!(v),
        ParamValue::Number(v) => json!(v),
        ParamValue::Flag(v) => json!(v),
        ParamValue::Text(v) => json!(v),
    }
}

/// Which model scores which days.
pub(crate) enum Scoring {
    /// No scores.
    None,
    /// One model for every day.
    Model { artefact: Box<Artefact>, digest: Digest },
    /// Walk-forward: each model scores the days of its own test part, from `first` to `last`.
    Folds { horizon_rows: u32, folds: Vec<FoldModel> },
}

/// A fold's model and the days that it has not seen.
pub(crate) struct FoldModel {
    pub(crate) first: TradingDay,
    pub(crate) last: TradingDay,
    /// First row of `first` and the row behind the last one of `last` that belong to the test part.
    pub(crate) rows: (usize, usize),
    pub(crate) model: LinearModel,
    pub(crate) digest: Digest,
}

/// Everything a run needs but its engine.
pub(crate) struct Prepared {
    pub(crate) days: Vec<DayData>,
    pub(crate) identity: Identity,
    pub(crate) strategy: Component,
    pub(crate) report: ReportContext,
    pub(crate) variety: Variety,
}

/// Loads the lineup of a specification and the days that it names.
pub(crate) fn prepare(
    context: &Context,
    store: &dyn Store,
    host: &PluginHost,
    spec: &RunSpec,
    base: &Path,
    scoring: Option<Scoring>,
) -> Result<Prepared, Problem> {
    let variety: Variety = spec.variety.parse().map_err(|e: ghtrader_core::SymbolError| {
        Problem::new("bad_symbol", ErrorClass::User, e.to_string(), "write variety = \"cu\"")
    })?;
    let schedule = crate::commands::main_contract::stored_schedule(store, &variety)?;
    let features =
        spec.lineup.features.iter().map(|f| Component::load(host, base, f)).collect::<Result<Vec<_>, _>>()?;
    let strategy = Component::load(host, base, &spec.lineup.strategy)?;
    let built = features
        .iter()
        .map(|f| columns::build(context, store, &schedule, &f.plugin, &f.params, false))
        .collect::<Result<Vec<_>, _>>()?;
    let scoring = match (scoring, &spec.lineup.model) {
        (Some(scoring), _) => scoring,
        (None, None) => Scoring::None,
        (None, Some(model)) => {
            let artefact = Artefact::open(&base.join(&model.artifact))?;
            let schema: Vec<FeatureColumn> = built.iter().flat_map(|b| b.columns.clone()).collect();
            artefact.check_schema(&schema)?;
            let digest = artefact.digest()?;
            Scoring::Model { artefact: Box::new(artefact), digest }
        }
    };
    let mut days = base_days(context, store, &schedule, spec.from, spec.to)?;
    attach_columns(store, &built, &mut days)?;
    attach_scores(&scoring, &built, &mut days)?;
    let mut identity = Identity { schedule_hash: schedule.hash().to_owned(), ..Identity::default() };
    for component in features.iter().chain([&strategy]) {
        identity.components.push((component.plugin.digest(), component.params_text()));
    }
    let model = match &scoring {
        Scoring::None => Value::Null,
        Scoring::Model { digest, .. } => {
            identity.models.push(*digest);
            json!([{ "digest": digest }])
        }
        Scoring::Folds { folds, .. } => {
            identity.models.extend(folds.iter().map(|f| f.digest));
            folds.iter().map(|f| json!({ "first_day": f.first, "last_day": f.last, "digest": f.digest })).collect()
        }
    };
    let report = ReportContext {
        features: features.iter().map(Component::record).collect(),
        model,
        strategy: Some(strategy.record()),
        schedule_hash: schedule.hash().to_owned(),
        data_warnings: data_warnings(&days),
        notes: Vec::new(),
    };
    Ok(Prepared { days, identity, strategy, report, variety })
}

/// The scheduled days from `from` to `to` that have rows.
pub(crate) fn base_days(
    context: &Context,
    store: &dyn Store,
    schedule: &Schedule,
    from: Option<TradingDay>,
    to: Option<TradingDay>,
) -> Result<Vec<DayData>, Problem> {
    let variety = schedule.variety();
    let symbol = variety.main_symbol();
    let table = ContractTable::builtin();
    let mut days: Vec<DayData> = Vec::new();
    for row in schedule.rows() {
        let day = row.date;
        if from.is_some_and(|f| day < f) || to.is_some_and(|t| day > t) {
            continue;
        }
        let Some(manifest) = store.manifest(Dataset::MainL5, &symbol, day)? else { continue };
        let ticks = store.load_day(Dataset::MainL5, &symbol, day)?;
        let contract = row.main_contract.to_string();
        let old = match days.last() {
            Some(before) if before.contract != contract => Some(old_day(store, before, day)?),
            _ => None,
        };
        let windows = context.calendar.session_windows(variety, day);
        let phases = context.calendar.day_phases(variety, day);
        let opens_by_auction = |w: &&SessionWindow| phases.phase(w.start_ns - 30 * NS_PER_S) == Phase::Auction;
        let auction_starts_ns = windows.iter().filter(opens_by_auction).map(|w| w.start_ns).collect();
        days.push(DayData {
            trading_day: day,
            contract,
            instrument: table.spec(variety, day)?.clone(),
            double_sided: manifest.counting == Counting::Double && is_double_sided(variety.exchange(), day),
            digest: manifest.sha256,
            ticks,
            columns: DayColumns::default(),
            windows,
            auction_starts_ns,
            tradable_from: 0,
            old,
        });
    }
    Ok(days)
}

/// The contract before on the first day of the next one.
fn old_day(store: &dyn Store, before: &DayData, day: TradingDay) -> Result<OldDay, Problem> {
    let last = before.ticks.view();
    let last_price_cny = last.float(Column::LastPrice).iter().rev().copied().find(|p| !p.is_nan()).unwrap_or(f64::NAN);
    let ticks = match store.manifest(Dataset::Ticks, &before.contract, day)? {
        Some(_) => Some(store.load_day(Dataset::Ticks, &before.contract, day)?),
        None => None,
    };
    Ok(OldDay { ticks, instrument: before.instrument.clone(), last_price_cny })
}

/// Joins built columns to the days' rows by (day, sequence); names become `feature/<name>`.
fn attach_columns(store: &dyn Store, built: &[ColumnsReport], days: &mut [DayData]) -> Result<(), Problem> {
    for report in built {
        for day in days.iter_mut() {
            let stored = report.days.iter().find(|d| d.trading_day == day.trading_day);
            let loaded = match stored {
                Some(d) => store.load_columns(&d.manifest.key)?,
                None => None,
            };
            let loaded = loaded
                .filter(|c| c.seq() == day.ticks.view().seq)
                .ok_or_else(|| columns::missing_columns(report, day.trading_day))?;
            for (i, name) in loaded.names().iter().enumerate() {
                day.columns.names.push(format!("feature/{name}"));
                day.columns.values.push(loaded.column(i).unwrap_or_default().to_vec());
            }
        }
    }
    Ok(())
}

fn attach_scores(scoring: &Scoring, built: &[ColumnsReport], days: &mut [DayData]) -> Result<(), Problem> {
    let width: usize = built.iter().map(|b| b.columns.len()).sum();
    let horizon_rows = match scoring {
        Scoring::None => return Ok(()),
        Scoring::Model { artefact, .. } => artefact.manifest.horizon_rows,
        Scoring::Folds { horizon_rows, .. } => *horizon_rows,
    };
    days.par_iter_mut().try_for_each(|day| {
        let rows = day.ticks.view().rows();
        let inputs: Vec<&[f64]> = day.columns.values[..width].iter().map(Vec::as_slice).collect();
        let mut out = vec![vec![f64::NAN; rows]; 3];
        match scoring {
            Scoring::None => {}
            Scoring::Model { artefact, .. } => artefact.model.score_rows(&inputs, &mut out)?,
            Scoring::Folds { folds, .. } => {
                for fold in folds.iter().filter(|f| f.first <= day.trading_day && day.trading_day <= f.last) {
                    let start = if fold.first == day.trading_day { fold.rows.0 } else { 0 };
                    let end = if fold.last == day.trading_day { fold.rows.1 } else { rows };
                    let part: Vec<&[f64]> = inputs.iter().map(|c| &c[start..end]).collect();
                    let mut scored = vec![Vec::new(); 3];
                    fold.model.score_rows(&part, &mut scored)?;
                    for (to, from) in out.iter_mut().zip(scored) {
                        to[start..end].copy_from_slice(&from);
                    }
                }
            }
        }
        day.columns.names.extend(LinearModel::score_names(horizon_rows));
        day.columns.values.extend(out);
        Ok(())
    })
}

/// What is worth knowing about the rows that were replayed.
fn data_warnings(days: &[DayData]) -> Vec<String> {
    let mut warnings = Vec::new();
    for day in days {
        let quality = compute_day_quality(&day.ticks.view(), &day.instrument);
        if quality.fields.crossed.count > 0 {
            warnings.push(format!(
                "{}: {} rows with a crossed book, not matched",
                day.trading_day, quality.fields.crossed.count
            ));
        }
        if let Some(OldDay { ticks: None, .. }) = &day.old {
            warnings.push(format!("{}: no ticks of the contract before the roll", day.trading_day));
        }
    }
    warnings
}

/// Runs a prepared lineup and gives the result with its report.
pub(crate) fn execute(context: &Context, spec: &RunSpec, prepared: &Prepared) -> Result<(RunResult, Value), Problem> {
    let first = prepared.days.first();
    let instrument = first.map(|d| Instrument {
        symbol: d.contract.clone(),
        price_tick: d.instrument.price_tick,
        multiplier: d.instrument.multiplier,
    });
    let make = || match &instrument {
        Some(instrument) => prepared
            .strategy
            .plugin
            .strategy(&prepared.strategy.params, instrument)
            .map_err(|fault| ghtrader_backtest::BacktestError::Lineup(fault.into())),
        None => Err(ghtrader_backtest::BacktestError::NoDays {
            from: "the first".to_owned(),
            to: "the last".to_owned(),
            what: spec.data.clone(),
        }),
    };
    let block_rows = context.settings.integer("build.block_rows") as usize;
    let result =
        ghtrader_backtest::run(spec, &prepared.variety, &prepared.days, &prepared.identity, &make, block_rows)?;
    let report = report_json(spec, &prepared.days, &result, &prepared.report)?;
    Ok((result, report))
}

/// A path relative to the folder of the file that names it.
pub(crate) fn base_of(file: &Path) -> PathBuf {
    file.parent().map_or_else(PathBuf::new, Path::to_path_buf)
}

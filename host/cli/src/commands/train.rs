//! `ghtrader train`: a model fold by fold, judged on what it has not seen.

use crate::args::Train;
use crate::commands::{columns, main_contract, plugin};
use crate::context::{Context, publish};
use crate::output::{document, emit, table};
use ghtrader_batch::{FoldModel, Scoring};
use ghtrader_core::{DigestBuilder, ErrorClass, Problem, TradingDay, Variety};
use ghtrader_model::{LabelRecord, LinearModel};
use ghtrader_pipeline::ColumnsReport;
use ghtrader_plugin::{ParamValue, Params, Plugin};
use ghtrader_stats::Interval;
use ghtrader_store::{ColumnsDay, Schedule, Store};
use ghtrader_train::{SetSource, Settings, Split, TrainingSet, WalkForward, walk_forward};
use serde_json::json;
use std::process::ExitCode;
use std::sync::Arc;

pub(crate) fn run(context: &Context, command: Train) -> Result<ExitCode, Problem> {
    let Train::Run { model: _, var, features, label, horizon, out } = command;
    let host = plugin::host(context)?;
    let features = features
        .iter()
        .map(|path| Ok((plugin::load(&host, path)?, Params::new())))
        .collect::<Result<Vec<_>, Problem>>()?;
    let label = plugin::load(&host, &label)?;
    let store = context.store()?;
    let horizon_rows = horizon.unwrap_or(context.settings.integer("train.horizon") as u32);
    let settings = settings(context);
    let trained = train(context, &*store, &var, &features, &label, horizon_rows, &settings)?;
    let artefact = trained.walk.artefact(&trained.set, &settings, "ghtrader train run logistic");
    let (digest, folder) = artefact.save(&out)?;
    let body = json!({ "digest": digest, "model": folder, "walk_forward": document(&trained.walk)? });
    publish(&out.join("walk_forward.json"), body.to_string().as_bytes())?;
    emit(context.json, &body, |_| format!("{}\nmodel {}", summary(&trained.walk), folder.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// The settings' own splits and bounds.
pub(crate) fn settings(context: &Context) -> Settings {
    Settings {
        split: Split::Rows {
            splits: context.settings.integer("train.splits") as usize,
            train_rows: None,
            inside_days: false,
        },
        min_train_rows: context.settings.integer("train.min_rows") as usize,
        ..Settings::default()
    }
}

/// A walk-forward with the rows that it was made on.
pub(crate) struct Trained {
    pub(crate) set: TrainingSet,
    pub(crate) walk: WalkForward,
    /// Row of the set at which each day starts.
    pub(crate) day_starts: Vec<(TradingDay, usize)>,
}

/// Builds features and labels where they lack, joins them, and walks forward.
pub(crate) fn train(
    context: &Context,
    store: &dyn Store,
    var: &Variety,
    features: &[(Arc<Plugin>, Params)],
    label: &Plugin,
    horizon_rows: u32,
    settings: &Settings,
) -> Result<Trained, Problem> {
    let schedule = main_contract::stored_schedule(store, var)?;
    let (set, day_starts) = training_set(context, store, &schedule, features, label, horizon_rows, (None, None))?;
    let walk = walk_forward(&set, settings)?;
    Ok(Trained { set, walk, day_starts })
}

/// Parameters of the direction label for one horizon, with the settings' threshold.
fn label_params(context: &Context, label: &Plugin, horizon_rows: u32) -> Params {
    let mut params = Params::new();
    for spec in &label.manifest().param {
        let value = match spec.name.as_str() {
            "horizons_rows" => ParamValue::Text(horizon_rows.to_string()),
            "threshold_ticks" => ParamValue::Integer(context.settings.integer("build.threshold_k")),
            _ => continue,
        };
        params.insert(spec.name.clone(), value);
    }
    params
}

/// Features, with the parameters given, and one label of every `main_l5` day from the first to the last asked for, in time order.
pub(crate) fn training_set(
    context: &Context,
    store: &dyn Store,
    schedule: &Schedule,
    features: &[(Arc<Plugin>, Params)],
    label: &Plugin,
    horizon_rows: u32,
    (from, to): (Option<TradingDay>, Option<TradingDay>),
) -> Result<(TrainingSet, Vec<(TradingDay, usize)>), Problem> {
    let built = features
        .iter()
        .map(|(plugin, params)| columns::build(context, store, schedule, plugin, params, false))
        .collect::<Result<Vec<_>, _>>()?;
    let labels = columns::build(context, store, schedule, label, &label_params(context, label, horizon_rows), false)?;
    if let Some(fault) = built.iter().chain([&labels]).find_map(|b| b.failed.first().map(|f| (b, f))) {
        return Err(columns::missing_columns(fault.0, fault.1.trading_day));
    }
    let name = format!("direction_{horizon_rows}");
    let column = labels.columns.iter().find(|c| c.name == name).ok_or_else(|| {
        Problem::new(
            "unknown_column",
            ErrorClass::User,
            format!("{} makes no `{name}`; it makes {}", labels.plugin, names(&labels)),
            "choose a horizon that the label has",
        )
    })?;
    let label_record = LabelRecord { name: name.clone(), digest: labels.component, params: column.params.clone() };
    let mut set = TrainingSet {
        source: SetSource {
            symbol: schedule.variety().main_symbol(),
            features: built.iter().flat_map(|b| b.columns.clone()).collect(),
            label: label_record,
            horizon_rows,
            dataset_digests: built.iter().chain([&labels]).map(|b| b.dataset_digest).collect(),
            schedule_hash: Some(schedule.hash().to_owned()),
        },
        columns: vec![Vec::new(); built.iter().map(|b| b.columns.len()).sum()],
        label: Vec::new(),
        trading_day: Vec::new(),
    };
    let mut day_starts = Vec::new();
    let inside = |day: TradingDay| from.is_none_or(|f| day >= f) && to.is_none_or(|t| day <= t);
    for day in labels.days.iter().filter(|d| inside(d.trading_day)) {
        let targets = load(store, &labels, day.trading_day)?;
        let rows = targets.rows();
        day_starts.push((day.trading_day, set.label.len()));
        let values = targets.column_named(&name).unwrap_or_default();
        set.label.extend_from_slice(values);
        set.trading_day.extend(std::iter::repeat_n(day.trading_day, rows));
        let mut place = 0;
        for report in &built {
            let made = load(store, report, day.trading_day)?;
            if made.seq() != targets.seq() {
                return Err(columns::missing_columns(report, day.trading_day));
            }
            for i in 0..report.columns.len() {
                set.columns[place].extend_from_slice(made.column(i).unwrap_or_default());
                place += 1;
            }
        }
    }
    Ok((set, day_starts))
}

fn names(report: &ColumnsReport) -> String {
    report.columns.iter().map(|c| c.name.as_str()).collect::<Vec<_>>().join(", ")
}

fn load(store: &dyn Store, report: &ColumnsReport, day: TradingDay) -> Result<ColumnsDay, Problem> {
    let key = report.days.iter().find(|d| d.trading_day == day).map(|d| &d.manifest.key);
    let loaded = match key {
        Some(key) => store.load_columns(key)?,
        None => None,
    };
    loaded.ok_or_else(|| columns::missing_columns(report, day))
}

impl Trained {
    /// Each fold's model where a backtest may trade on it.
    pub(crate) fn scoring(&self) -> Scoring {
        Scoring::Folds { horizon_rows: self.set.source.horizon_rows, folds: self.fold_models() }
    }

    /// Each fold's model with the days and rows of its test part.
    pub(crate) fn fold_models(&self) -> Vec<FoldModel> {
        let place = |row: usize| {
            let at = self.day_starts.partition_point(|(_, start)| *start <= row).saturating_sub(1);
            let (day, start) = self.day_starts[at];
            (day, row - start)
        };
        let folds = self.walk.folds.iter().filter(|f| !f.fold.test.is_empty()).map(|f| {
            let (first, from) = place(f.fold.test.start);
            let (last, to) = place(f.fold.test.end - 1);
            let trained = (f.train_first_day, f.train_last_day);
            FoldModel { first, last, rows: (from, to + 1), digest: digest(&f.model), model: f.model.clone(), trained }
        });
        folds.collect()
    }
}

fn digest(model: &LinearModel) -> ghtrader_core::Digest {
    let mut b = DigestBuilder::new("ghtrader linear model 1");
    b.float(model.clip_sigma);
    for k in 0..model.features() {
        b.float(model.mean[k]).float(model.scale[k]).int(model.anchor[k].map_or(-1, |a| a as i64));
        model.weights[k].iter().for_each(|w| {
            b.float(*w);
        });
    }
    model.bias.iter().for_each(|v| {
        b.float(*v);
    });
    b.finish()
}

/// A figure with its interval, where there is one.
pub(crate) fn interval(i: &Interval) -> String {
    match (i.low, i.high) {
        (Some(low), Some(high)) => format!("{:.4} [{low:.4}, {high:.4}]", i.value),
        _ => format!("{:.4}", i.value),
    }
}

/// Folds and pooled figures for people.
pub(crate) fn summary(walk: &WalkForward) -> String {
    let row = |name: String, e: &ghtrader_train::Evaluation| {
        vec![
            name,
            interval(&e.auc_up_down),
            interval(&e.auc_up),
            interval(&e.log_loss),
            interval(&e.brier),
            interval(&e.ece),
        ]
    };
    let mut rows: Vec<Vec<String>> =
        walk.folds.iter().map(|f| row(format!("fold {}", f.fold.split), &f.test)).collect();
    rows.push(row("all".to_owned(), &walk.pooled));
    table(&["out of sample", "AUC up/down", "AUC up/rest", "log loss", "Brier", "ECE"], &rows)
}

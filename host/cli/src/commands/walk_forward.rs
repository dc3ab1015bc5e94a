//! `ghtrader backtest walk-forward`: a model per fold, fitted on the past alone, and its test days traded as one run.

use crate::commands::backtest::Performed;
use crate::commands::{main_contract, plugin, train};
use crate::context::Context;
use crate::output::{grouped, table};
use ghtrader_backtest::{FoldSpan, RunSpec, TradedByModel, WalkForwardTraded, traded_on, walk_forward_traded};
use ghtrader_batch::{Component, FoldModel, Scoring, execute, prepare};
use ghtrader_core::{Digest, ErrorClass, Problem, Variety};
use ghtrader_plugin::Role;
use ghtrader_settings::{Finding, Key, Kind, check, findings_problem};
use ghtrader_train::{Settings, Split, walk_forward};
use serde::Serialize;
use serde_json::{Value, json};
use std::path::Path;

const ROWS: Kind = Kind::Integer { min: 0, max: 1_000_000_000 };
const DAYS: Kind = Kind::Integer { min: 1, max: 10_000 };
const KEYS: &[Key] = &[
    Key::required("label", Kind::Text),
    Key::optional("horizon_rows", Kind::Integer { min: 1, max: 10_000 }),
    Key::optional("splits", Kind::Integer { min: 1, max: 1_000 }),
    Key::optional("train_rows", Kind::Integer { min: 1, max: 1_000_000_000 }),
    Key::optional("train_days", DAYS),
    Key::optional("gap_days", Kind::Integer { min: 0, max: 10_000 }),
    Key::optional("test_days", DAYS),
    Key::optional("step_days", DAYS),
    Key::optional("expanding", Kind::Flag),
    Key::optional("gap_rows", ROWS),
    Key::optional("min_train_rows", ROWS),
    Key::optional("holdout_days", Kind::Integer { min: 0, max: 10_000 }),
];
/// Keys of each of the two ways to cut days into folds.
const BY_ROWS: [&str; 2] = ["splits", "train_rows"];
const BY_DAYS: [&str; 5] = ["train_days", "gap_days", "test_days", "step_days", "expanding"];

/// The table `[walk_forward]` of a specification; every default is filled in.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct WalkSpec {
    /// Path of the label plugin's artefact.
    pub(crate) label: String,
    /// Horizon of the label and of the scores.
    pub(crate) horizon_rows: u32,
    /// Folds and fits.
    #[serde(skip)]
    pub(crate) settings: Settings,
    /// The keys as given, for the stored specification.
    #[serde(flatten)]
    given: toml::Table,
}

impl WalkSpec {
    /// Takes the table out of a specification; `None` if it has none.
    pub(crate) fn take(context: &Context, text: &str, file: &str) -> Result<(String, Option<Self>), Problem> {
        // A file that is no TOML is the run specification's finding.
        let Ok(mut table) = text.parse::<toml::Table>() else { return Ok((text.to_owned(), None)) };
        let Some(own) = table.remove("walk_forward") else { return Ok((text.to_owned(), None)) };
        let section = toml::Table::from_iter([("walk_forward".to_owned(), own)]);
        let spec = Self::parse(context, &section, file)?;
        let rest = toml::to_string(&table).map_err(|e| {
            Problem::new("not_toml", ErrorClass::Internal, format!("a specification is no TOML: {e}"), "report this")
        })?;
        Ok((rest, Some(spec)))
    }

    fn parse(context: &Context, section: &toml::Table, file: &str) -> Result<Self, Problem> {
        let Some(given) = section.get("walk_forward").and_then(toml::Value::as_table) else {
            let finding = Finding { key: "walk_forward".into(), value: String::new(), what: "is a section".into() };
            return Err(findings_problem("bad_spec", file, &[finding]));
        };
        let mut findings = check(given, KEYS);
        let whole = |key: &str| given.get(key).and_then(toml::Value::as_integer);
        let has = |keys: &[&str]| keys.iter().any(|k| given.contains_key(*k));
        let mut add = |key: &str, what: String| {
            let value = given.get(key).map_or_else(String::new, ToString::to_string);
            findings.push(Finding { key: key.to_owned(), value, what });
        };
        if has(&BY_DAYS) {
            if has(&BY_ROWS) {
                add(
                    "splits",
                    format!(
                        "folds are cut by rows ({}) or by days ({}), not by both",
                        BY_ROWS.join(", "),
                        BY_DAYS.join(", ")
                    ),
                );
            }
            for key in ["train_days", "test_days"] {
                if whole(key).is_none() {
                    add(key, "is needed where folds are cut by days".to_owned());
                }
            }
            if let (Some(step), Some(test)) = (whole("step_days"), whole("test_days"))
                && step < test
            {
                add("step_days", format!("is below test_days = {test}: a day would be traded twice in one curve"));
            }
        }
        if !findings.is_empty() {
            findings.iter_mut().for_each(|f| f.key = format!("walk_forward.{}", f.key));
            return Err(findings_problem("bad_spec", file, &findings));
        }
        let usual = train::settings(context);
        let size = |key: &str| whole(key).map(|v| v as usize);
        let split = match (size("train_days"), size("test_days"), usual.split) {
            (Some(train_days), Some(test_days), _) => Split::Days {
                train_days,
                gap_days: size("gap_days").unwrap_or(0),
                test_days,
                step_days: size("step_days").unwrap_or(test_days),
                expanding: given.get("expanding").and_then(toml::Value::as_bool).unwrap_or(false),
            },
            (.., Split::Rows { splits, .. }) => Split::Rows {
                splits: size("splits").unwrap_or(splits),
                train_rows: size("train_rows"),
                inside_days: false,
            },
            (.., other) => other,
        };
        let settings = Settings {
            split,
            gap_rows: size("gap_rows").unwrap_or(usual.gap_rows),
            min_train_rows: size("min_train_rows").unwrap_or(usual.min_train_rows),
            holdout_days: size("holdout_days").unwrap_or(usual.holdout_days),
            ..usual
        };
        let mut given = given.clone();
        let label = given.remove("label").and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default();
        given.remove("horizon_rows");
        let horizon_rows = whole("horizon_rows").unwrap_or(context.settings.integer("train.horizon")) as u32;
        Ok(Self { label, horizon_rows, settings, given })
    }

    /// As it is stored beside a result.
    pub(crate) fn stored(&self, label: String) -> Result<String, Problem> {
        let section = toml::Table::from_iter([(
            "walk_forward".to_owned(),
            toml::Value::try_from(Self { label, ..self.clone() }).map_err(|e| {
                Problem::new(
                    "not_toml",
                    ErrorClass::Internal,
                    format!("a specification is no TOML: {e}"),
                    "report this",
                )
            })?,
        )]);
        Ok(format!("\n{section}"))
    }
}

/// What a walk-forward found beside its run.
pub(crate) struct Walked {
    /// The trading side, for the page.
    pub(crate) traded: WalkForwardTraded,
    /// How the models did outside their training rows.
    pub(crate) training: Value,
    /// What was predicted from what.
    pub(crate) summary: String,
}

impl Walked {
    /// One line a fold: pessimistic mean profit a day inside and outside its training days.
    pub(crate) fn table(&self) -> String {
        let mean = |t: &TradedByModel, model: &str| {
            t.get(model).and_then(|t| t.mean_cny).map_or_else(|| "–".to_owned(), |m| grouped(m.round() as i64))
        };
        let row = |name: String, days: String, inside: Option<&TradedByModel>, outside: &TradedByModel| {
            let inside = inside.map_or_else(|| "–".to_owned(), |t| mean(t, "pessimistic"));
            let legs = ["pessimistic", "central", "optimistic"].map(|m| mean(outside, m));
            [vec![name, days, inside], legs.to_vec()].concat()
        };
        let mut rows: Vec<Vec<String>> = self
            .traded
            .folds
            .iter()
            .map(|f| {
                let days = format!("{} to {}", f.span.test_first_day, f.span.test_last_day);
                row(format!("fold {}", f.span.split + 1), days, Some(&f.in_sample), &f.out_of_sample)
            })
            .collect();
        rows.push(row("all".to_owned(), String::new(), None, &self.traded.out_of_sample));
        table(&["CNY a day", "out of sample", "in sample", "pessimistic", "central", "optimistic"], &rows)
    }
}

/// A model per fold, and the run that trades with them.
pub(crate) struct FittedFolds {
    trained: train::Trained,
    label: Digest,
    models: Vec<FoldModel>,
    /// The run over all test parts.
    pub(crate) joined: RunSpec,
    /// Each fold's model on its own test part.
    pub(crate) scoring: Scoring,
}

/// Fits a model per fold on the days of a specification.
pub(crate) fn fit(context: &Context, spec: &RunSpec, walk: &WalkSpec, base: &Path) -> Result<FittedFolds, Problem> {
    let bad = |what: &str, remedy: &str| Problem::new("bad_spec", ErrorClass::User, what, remedy);
    if spec.lineup.model.is_some() {
        return Err(bad(
            "lineup.model is given beside [walk_forward], which fits a model for every fold",
            "leave one of them out",
        ));
    }
    if spec.lineup.features.is_empty() {
        return Err(bad(
            "[walk_forward] has nothing to fit on: lineup.features is empty",
            "name a feature plugin, such as core-factors",
        ));
    }
    let variety: Variety = spec.variety.parse().map_err(|e: ghtrader_core::SymbolError| {
        Problem::new("bad_symbol", ErrorClass::User, e.to_string(), "write variety = \"cu\"")
    })?;
    let (host, store) = (plugin::host(context)?, context.store()?);
    let schedule = main_contract::stored_schedule(&*store, &variety)?;
    let (features, label) = context.with_project(&*store, &host, |project| {
        let features = spec.lineup.features.iter().map(|f| Component::load(project, base, f, Role::Feature));
        Ok((features.collect::<Result<Vec<_>, _>>()?, plugin::load(&host, &base.join(&walk.label))?))
    })?;
    let features: Vec<_> = features.into_iter().map(|c| (c.plugin, c.params)).collect();
    let days = (spec.from, spec.to);
    let (set, day_starts) =
        train::training_set(context, &*store, &schedule, &features, &label, walk.horizon_rows, days)?;
    let trained = train::Trained { walk: walk_forward(&set, &walk.settings)?, set, day_starts };
    let models = trained.fold_models();
    let (Some(first), Some(last)) = (models.first(), models.last()) else {
        return Err(Problem::new("no_fold", ErrorClass::User, "no fold has a test part", "ask for fewer splits"));
    };
    let joined = RunSpec { from: Some(first.first), to: Some(last.last), ..spec.clone() };
    let scoring = Scoring::Folds { horizon_rows: walk.horizon_rows, folds: models.clone() };
    Ok(FittedFolds { trained, label: label.digest(), models, joined, scoring })
}

/// Trades the test parts as one run by each fold's own model, and each fold's training days by its model beside it.
pub(crate) fn perform(context: &Context, spec: &RunSpec, walk: &WalkSpec, base: &Path) -> Result<Performed, Problem> {
    let FittedFolds { trained, label, models, joined, scoring } = fit(context, spec, walk, base)?;
    let (host, store) = (plugin::host(context)?, context.store()?);
    let purged_rows = walk.horizon_rows as usize + walk.settings.gap_rows;
    let block_rows = context.block_rows();
    let annual_days = f64::from(spec.metrics.annual_days);

    let mut folds: Vec<(FoldSpan, TradedByModel)> = Vec::with_capacity(models.len());
    for (report, own) in trained.walk.folds.iter().filter(|f| !f.fold.test.is_empty()).zip(&models) {
        // The whole days of the training part: its last rows, which the purge took from the fit, are a part of them.
        let inside = FoldModel {
            first: report.train_first_day,
            last: report.train_last_day,
            rows: (0, usize::MAX),
            ..own.clone()
        };
        let scoring = Scoring::Folds { horizon_rows: walk.horizon_rows, folds: vec![inside] };
        let part = RunSpec { from: Some(report.train_first_day), to: Some(report.train_last_day), ..spec.clone() };
        let prepared = context.with_project(&*store, &host, |project| prepare(project, &part, base, Some(scoring)))?;
        let (result, _) = execute(&part, &prepared, block_rows)?;
        let span = FoldSpan {
            split: report.fold.split,
            train_first_day: report.train_first_day,
            train_last_day: report.train_last_day,
            train_rows: report.fold.train.len(),
            validation_rows: report.fold.validation.len(),
            test_first_day: own.first,
            test_last_day: own.last,
            test_rows: report.fold.test.len(),
            purged_rows,
            embargo_rows: 0,
            model: own.digest,
        };
        folds.push((span, traded_on(&result, annual_days, |_| true)));
    }
    let prepared = context.with_project(&*store, &host, |project| prepare(project, &joined, base, Some(scoring)))?;
    let (result, mut report) = execute(&joined, &prepared, block_rows)?;
    let traded = walk_forward_traded(folds, &result, &prepared.days, annual_days);
    let mut training = crate::output::document(&trained.walk)?;
    if let Value::Object(training) = &mut training {
        training.remove("schema_version");
    }
    let document = json!({
        "label": label,
        "horizon_rows": walk.horizon_rows,
        "settings": walk.settings,
        "set_digest": trained.set.digest(),
        "trading": traded,
        "training": training,
    });
    if let Value::Object(report) = &mut report {
        report.insert("walk_forward".to_owned(), document);
    }
    let summary = format!(
        "Multinomial logistic regression on {} columns predicts the direction of the mid price over {} rows; a model per fold.",
        trained.set.columns.len(),
        walk.horizon_rows
    );
    let walked = Walked { traded, training, summary };
    Ok(Performed { prepared, result, report, walk: Some(walked) })
}

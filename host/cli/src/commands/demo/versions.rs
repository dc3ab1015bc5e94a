//! The demo's batch: six versions of one idea over the days that their model has not seen, and their table.

use crate::commands::compare::of_batch;
use crate::commands::train::Trained;
use crate::context::{Context, publish};
use ghtrader_batch::{BatchSpec, JobEvent, Manifest, Results, RunOptions, Summary, plan, run_jobs, summarise};
use ghtrader_compare::{Champion, Comparison, Options, PageContext, batch_page, compare};
use ghtrader_core::{Problem, TradingDay, Variety};
use ghtrader_plugin::PluginHost;
use ghtrader_store::Store;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// The version that the others are held against.
const CHAMPION: &str = "threshold=0.5";
/// Thresholds of the six versions.
const THRESHOLDS: &str = "[0.3, 0.4, 0.5, 0.6, 0.7, 0.8]";

/// What came of the batch.
pub(super) struct Versions {
    pub(super) summary: Summary,
    /// All of them against the version in use.
    pub(super) comparison: Comparison,
    folder: PathBuf,
    model: bool,
}

impl Versions {
    /// One line for people.
    pub(super) fn text(&self) -> String {
        let row = self.summary.rows.first();
        let of = |key: &str| row.and_then(|r| r.get(key)).map_or_else(String::new, crate::commands::batch::plain);
        let idea = if self.model { "score-threshold" } else { "taker" };
        format!("{} versions of {idea} over {} days from {}", self.summary.rows.len(), of("days"), of("from"))
    }

    /// The table for the report: equal for equal inputs, wherever they lie.
    pub(super) fn document(&self) -> Value {
        let c = &self.comparison;
        json!({ "digest": self.summary.digest, "columns": self.summary.columns, "rows": self.summary.rows,
                "comparison": { "verdict": c.verdict, "sentence": c.sentence, "family": c.family } })
    }

    /// Where manifest, results and table lie.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }
}

/// Plans, runs and collects the batch in `out/batch`.
///
/// With a model the versions are thresholds on its score, traded behind its training days only; without one, or where
/// all days were trained on, thresholds of the taker, which reads the book alone.
pub(super) fn run(
    context: &Context,
    store: &dyn Store,
    host: &PluginHost,
    (variety, plugins, out): (&Variety, &Path, &Path),
    trained: Option<&Trained>,
) -> Result<Versions, Problem> {
    let folder = out.join("batch");
    let path = |name: &str| std::path::absolute(plugins.join(name)).unwrap_or_else(|_| plugins.join(name));
    let unseen = match trained {
        Some(trained) => unseen(context, trained, &folder)?,
        None => None,
    };
    let (lineup, from) = match &unseen {
        Some((model, from)) => (
            format!(
                "[[lineups.features]]\nplugin = '{}'\n[lineups.model]\nartifact = '{}'\n[lineups.strategy]\nplugin = '{}'\n",
                path("core-factors.wasm").display(),
                model.display(),
                path("score-threshold.wasm").display()
            ),
            format!("from = '{from}'\n"),
        ),
        None => (format!("[lineups.strategy]\nplugin = '{}'\n", path("taker.wasm").display()), String::new()),
    };
    let text = format!(
        "version = 1\nname = \"six versions\"\nvariety = '{variety}'\n{from}\n[[lineups]]\nname = 'demo'\n{lineup}\n[grid]\n\
         strategy.threshold = {THRESHOLDS}\n"
    );
    publish(&folder.join("batch.toml"), text.as_bytes())?;
    let spec = BatchSpec::parse(&text, "batch.toml", &context.run_defaults())?;
    let manifest = folder.join("manifest");
    let results = Results::open(&folder)?;
    context.with_project(store, host, |project| {
        let max_jobs = context.settings.integer("batch.max_jobs").unsigned_abs();
        plan(project, &spec, &folder, max_jobs)?.write(&manifest)?;
        let manifest = Manifest::open(&manifest)?;
        let places: Vec<usize> = (0..manifest.ids().len()).collect();
        let options = RunOptions {
            threads: context.settings.integer("backtest.threads") as usize,
            memory_mib: crate::commands::batch::memory_mib(context, None),
            retries: context.settings.integer("batch.retries") as u32,
            block_rows: context.block_rows(),
        };
        run_jobs(project, &manifest, &places, &results, options, &|_: JobEvent<'_>| {})?;
        let summary = summarise(&manifest, &results)?;
        summary.write(&folder)?;
        let (outcomes, untested) = of_batch(&folder, None)?;
        let options = Options { champion: Champion::Named(CHAMPION.to_owned()), ..Options::default() };
        let comparison = compare(outcomes, &options)?;
        let page = PageContext {
            title: format!("Six versions on {variety}"),
            command: format!("ghtrader compare --batch batch --champion {CHAMPION} --html batch/comparison.html"),
            up: "red".to_owned(),
            untested,
        };
        publish(&folder.join("comparison.html"), batch_page(&comparison, &page).as_bytes())?;
        Ok(Versions { summary, comparison, folder: folder.clone(), model: unseen.is_some() })
    })
}

/// The model of the middle fold, saved, and the first day that it has seen nothing of; none where there is no such day.
fn unseen(context: &Context, trained: &Trained, folder: &Path) -> Result<Option<(PathBuf, TradingDay)>, Problem> {
    let place = trained.walk.folds.len() / 2;
    let settings = crate::commands::train::settings(context);
    let note = "ghtrader demo, a fold of the walk-forward";
    let Some(artefact) = trained.walk.fold_artefact(place, &trained.set, &settings, note) else { return Ok(None) };
    let last = artefact.manifest.training.last_day;
    let Some((from, _)) = trained.day_starts.iter().find(|(day, _)| *day > last) else { return Ok(None) };
    let (_, saved) = artefact.save(&folder.join("model"))?;
    // Relative to the specification, so that the folder can be moved as a whole.
    let name = saved.file_name().map(PathBuf::from).unwrap_or_default();
    Ok(Some((Path::new("model").join(name), *from)))
}

//! What a batch has come to: counts, and one table of all its jobs in the manifest's order.

use crate::manifest::Manifest;
use crate::plan::{run_name, shown};
use crate::project::cell;
use crate::results::{Kind, Results, State};
use ghtrader_backtest::FillModelName;
use ghtrader_core::{Digest, DigestBuilder, Problem};
use ghtrader_durable::{io_problem, publish_shared};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::path::Path;

/// Figures of a fill model that the summary shows.
const FIGURES: &[&str] =
    &["pnl_cny", "fees_cny", "sharpe", "max_drawdown_cny", "orders", "fills", "lots", "round_trips", "turnover_cny"];

/// How far a batch is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    /// The manifest's digest.
    pub batch: Digest,
    /// Jobs.
    pub jobs: usize,
    /// Jobs with a result.
    pub results: usize,
    /// Jobs with a typed error.
    pub failed: usize,
    /// Jobs that killed their process.
    pub poison: usize,
    /// Jobs without anything whole.
    pub missing: usize,
    /// Ids whose file is cut, edited or of another job; the next run writes them anew.
    pub damaged: Vec<Digest>,
    /// Files in the folder that are no job's of this manifest, such as another engine's results.
    pub foreign: usize,
    /// Share of the work that is settled, 0 to 1, by rows and fill models.
    pub share: f64,
}

impl Status {
    /// Every job has a result.
    pub fn is_complete(&self) -> bool {
        self.results == self.jobs
    }
}

/// Looks at every job's file.
///
/// # Errors
/// A folder that cannot be read.
pub fn status(manifest: &Manifest, results: &Results) -> Result<Status, Problem> {
    let ids: BTreeSet<&Digest> = manifest.ids().iter().collect();
    let mut status = Status {
        batch: manifest.digest,
        jobs: manifest.ids().len(),
        results: 0,
        failed: 0,
        poison: 0,
        missing: 0,
        damaged: Vec::new(),
        foreign: 0,
        share: 0.0,
    };
    let (mut settled, mut all) = (0u64, 0u64);
    for (place, id) in manifest.ids().iter().enumerate() {
        let weight = manifest.job(place)?.weight.max(1);
        all += weight;
        let state = results.state(id)?;
        match state {
            State::Settled(Kind::Result) => status.results += 1,
            State::Settled(Kind::Failed) => status.failed += 1,
            State::Settled(Kind::Poison) => status.poison += 1,
            State::Missing => status.missing += 1,
            State::Damaged => {
                status.missing += 1;
                status.damaged.push(*id);
            }
        }
        if let State::Settled(_) = state {
            settled += weight;
        }
    }
    status.share = if all == 0 { 1.0 } else { settled as f64 / all as f64 };
    for kind in Kind::ALL {
        status.foreign += results.listed(kind)?.iter().filter(|id| !ids.contains(id)).count();
    }
    Ok(status)
}

/// A batch's table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// Digest over all rows: equal for equal results, however they were computed and collected.
    pub digest: Digest,
    /// How far the batch is.
    pub status: Status,
    /// Names of the columns.
    pub columns: Vec<String>,
    /// One row a job, in the manifest's order.
    pub rows: Vec<Map<String, Value>>,
}

/// Puts all results into one table.
///
/// # Errors
/// A folder that cannot be read.
pub fn summarise(manifest: &Manifest, results: &Results) -> Result<Summary, Problem> {
    let head = &manifest.head;
    let models: BTreeSet<FillModelName> = head.runs.iter().flat_map(|r| r.fills.models.clone()).collect();
    let mut columns: Vec<String> =
        ["job", "lineup", "strategy", "variety", "from", "to", "days", "fill_models"].map(str::to_owned).into();
    columns.extend(head.axes.iter().cloned());
    columns.extend(["state", "code", "pnl_low_cny", "pnl_central_cny", "pnl_high_cny"].map(str::to_owned));
    columns.extend(["sharpe_low", "sharpe_central", "sharpe_high"].map(str::to_owned));
    for model in &models {
        columns.extend(FIGURES.iter().map(|f| format!("{}.{f}", model.as_str())));
    }
    let mut rows = Vec::with_capacity(manifest.ids().len());
    for place in 0..manifest.ids().len() {
        let job = manifest.job(place)?;
        let (lineup, period) = (&head.lineups[job.lineup], &head.periods[job.period]);
        let mut row = Map::new();
        let mut put = |key: &str, value: Value| row.insert(key.to_owned(), value);
        put("job", json!(job.id));
        put("lineup", json!(lineup.name));
        put("strategy", json!(lineup.strategy.identity));
        put("variety", json!(period.variety));
        put("from", json!(period.from));
        put("to", json!(period.to));
        put("days", json!(period.days));
        put("fill_models", json!(run_name(&head.runs, job.run)));
        for (axis, value) in &job.params {
            put(axis, json!(value));
        }
        match results.state(&job.id)? {
            State::Settled(Kind::Result) => {
                let report = results.read(Kind::Result, &job.id)?.unwrap_or_default();
                put("state", json!("done"));
                for (of, key) in [("pnl", "pnl_cny"), ("sharpe", "sharpe")] {
                    for (i, end) in ["low", "central", "high"].iter().enumerate() {
                        let name = if of == "pnl" { format!("pnl_{end}_cny") } else { format!("sharpe_{end}") };
                        put(&name, report["bracket"][key][i].clone());
                    }
                }
                for model in &models {
                    let figures = &report["fill_models"][model.as_str()];
                    for figure in FIGURES {
                        put(&format!("{}.{figure}", model.as_str()), figures[*figure].clone());
                    }
                }
            }
            State::Settled(kind) => {
                let document = results.read(kind, &job.id)?.unwrap_or_default();
                put("state", json!(if kind == Kind::Failed { "failed" } else { "poison" }));
                put("code", document["code"].clone());
            }
            State::Missing | State::Damaged => drop(put("state", json!("missing"))),
        }
        rows.push(row);
    }
    let mut digest = DigestBuilder::new("ghtrader batch summary 1");
    digest.digest(&manifest.digest);
    for row in &rows {
        digest.text(&Value::Object(row.clone()).to_string());
    }
    Ok(Summary { digest: digest.finish(), status: status(manifest, results)?, columns, rows })
}

impl Summary {
    /// The table as CSV; a figure that is not there is empty.
    pub fn csv(&self) -> String {
        let quoted = |text: &str| match text.contains([',', '"', '\n']) {
            true => format!("\"{}\"", text.replace('"', "\"\"")),
            false => text.to_owned(),
        };
        let line = |cells: Vec<String>| format!("{}\n", cells.join(","));
        let mut csv = line(self.columns.iter().map(|c| quoted(c)).collect());
        for row in &self.rows {
            csv.push_str(&line(
                self.columns.iter().map(|c| quoted(&cell(row.get(c).unwrap_or(&Value::Null)))).collect(),
            ));
        }
        csv
    }

    /// Writes `summary.csv` and `summary.json`; several collectors at once write the same bytes.
    ///
    /// # Errors
    /// `disk_full`, `unwritable`.
    pub fn write(&self, dir: &Path) -> Result<(), Problem> {
        let write = |name: &str, text: String| {
            let path = dir.join(name);
            publish_shared(&path, text.as_bytes())
                .map_err(|e| io_problem("unwritable", &format!("cannot write {}", path.display()), &e))
        };
        let json = json!({
            "schema_version": 1, "digest": self.digest, "batch": self.status.batch, "columns": self.columns, "rows": self.rows,
        });
        write("summary.csv", self.csv())?;
        write("summary.json", format!("{json}\n"))
    }
}

/// A job's parameters in words, such as `threshold = 0.5`.
pub fn params_of(manifest: &Manifest, place: usize) -> Result<String, Problem> {
    let job = manifest.job(place)?;
    let one = |(axis, value): (&String, &ghtrader_plugin::ParamValue)| {
        format!("{} = {}", axis.rsplit('.').next().unwrap_or(axis), shown(value))
    };
    Ok(job.params.iter().map(one).collect::<Vec<_>>().join(", "))
}

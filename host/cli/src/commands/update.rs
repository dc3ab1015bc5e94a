//! `ghtrader data update`: everything that a new day brings about, as one job that can be run again.
//!
//! Each step does only what changed, so a run that was killed goes on where it was by being started again. A step that
//! fails stops those that need it, and no other.

use super::{columns, fetch, main_contract, plugin, quality};
use crate::args::{Download, Update};
use crate::context::{Context, publish};
use crate::output::{document, emit, report_problem, table};
use ghtrader_batch::stored_schedule;
use ghtrader_control::wall_clock_ns;
use ghtrader_core::{
    ContractId, ContractTable, ErrorClass, ExchangeTimeNs, Problem, TradingDay, Variety, last_trading_day,
};
use ghtrader_durable::{Lock, io_problem, make_folder, try_lock};
use ghtrader_pipeline::{MainL5Options, State, coverage};
use ghtrader_plugin::{Params, Role};
use ghtrader_store::{Dataset, Store};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

/// What became of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum StepState {
    /// It is as it should be.
    Done,
    /// Nobody asked for it.
    Skipped,
    /// It was done, and what it found is not good.
    Negative,
    /// It broke off.
    Failed,
    /// What it needs has failed.
    Stopped,
}

/// One step of one product.
#[derive(Debug, Clone, Serialize)]
struct Step {
    name: &'static str,
    state: StepState,
    seconds: f64,
    /// In a sentence.
    outcome: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Problem>,
    #[serde(skip_serializing_if = "Value::is_null")]
    report: Value,
}

/// An update of one product.
#[derive(Debug, Clone, Serialize)]
struct Updated {
    variety: Variety,
    steps: Vec<Step>,
    /// Of the worst step, as a process ends with it.
    exit_code: u8,
}

/// What a step says of itself: in a sentence, whether that is good, and its whole report.
struct Said {
    outcome: String,
    good: bool,
    report: Value,
}

/// The steps of a product on their way.
struct Job<'a> {
    context: &'a Context,
    updated: Updated,
    started_ns: i64,
}

pub(crate) fn run(context: &Context, flags: &Update) -> Result<ExitCode, Problem> {
    let folder = context.dir("runs_dir").join("update");
    let _lock = exclusive(&folder)?;
    let varieties = match flags.var.as_slice() {
        [] => stored_varieties(context)?,
        given => given.to_vec(),
    };
    if varieties.is_empty() {
        return Err(Problem::new(
            "days_missing",
            ErrorClass::User,
            "nothing is stored, so nothing says which products to update",
            "name them: ghtrader data update --var cu --from 2025-07-01",
        ));
    }
    let mut all = Vec::new();
    for variety in varieties {
        let updated = Updated { variety, steps: Vec::new(), exit_code: 0 };
        let mut job = Job { context, updated, started_ns: wall_clock_ns() };
        job.run(flags, &folder)?;
        all.push(job.updated);
    }
    let worst = all.iter().map(|u| u.exit_code).max().unwrap_or_default();
    emit(context.json, &json!({ "varieties": all }), |_| text(&all))?;
    for problem in all.iter().flat_map(|u| &u.steps).filter_map(|s| s.error.as_ref()) {
        report_problem(problem, false);
    }
    Ok(ExitCode::from(worst))
}

/// One update at a time: two would do the same work twice, and report each other's.
fn exclusive(folder: &Path) -> Result<Lock, Problem> {
    let failed = |e: &std::io::Error| io_problem("unwritable", &format!("cannot lock {}", folder.display()), e);
    make_folder(folder).map_err(|e| failed(&e))?;
    try_lock(&folder.join("lock")).map_err(|e| failed(&e))?.ok_or_else(|| {
        Problem::new(
            "update_running",
            ErrorClass::Conflict,
            format!("another update holds {}", folder.join("lock").display()),
            "wait for its end; its steps stand in the same folder",
        )
    })
}

/// The products with stored ticks.
fn stored_varieties(context: &Context) -> Result<Vec<Variety>, Problem> {
    let symbols = context.store()?.symbols(Dataset::Ticks)?;
    let mut varieties: Vec<Variety> = symbols
        .iter()
        .filter_map(|symbol| symbol.parse::<ContractId>().ok())
        .map(|contract| contract.variety().clone())
        .collect();
    varieties.sort();
    varieties.dedup();
    Ok(varieties)
}

impl Job<'_> {
    fn run(&mut self, flags: &Update, folder: &Path) -> Result<(), Problem> {
        let context = self.context;
        let variety = self.updated.variety.clone();
        // A step that needs rows of today works with those of yesterday where today's did not come: its report says so.
        self.step(folder, "download", &[], |_| match flags.offline {
            true => Ok(None),
            false => download(context, &variety, flags).map(Some),
        })?;
        self.step(folder, "schedule", &[], |store| {
            let source = main_contract::schedule_source(context, &variety, None, None)?;
            let report = main_contract::schedule(context, store, &variety, &source)?;
            let outcome = format!("{} days, {}, hash {}", report.rows, report.outcome, report.schedule_hash);
            Ok(Some(Said { outcome, good: true, report: document(&report)? }))
        })?;
        self.step(folder, "main_l5", &["schedule"], |store| {
            let schedule = stored_schedule(store, &variety)?;
            let report = main_contract::build(context, store, &schedule, MainL5Options::default())?;
            let outcome =
                format!("{} of {} days, {} built", report.covered_days, report.expected_days, report.built_days);
            Ok(Some(Said { outcome, good: report.check_health().is_ok(), report: document(&report)? }))
        })?;
        self.step(folder, "validation", &["main_l5"], |store| {
            let mut report = quality::validated(context, store, &variety.main_symbol(), (None, None), false)?;
            let outcome = format!(
                "{} ({}), {} of {} days judged anew",
                quality::word(&report.state.overall),
                quality::word(&report.state.reason_code),
                report.days_expected - report.days_reused,
                report.days_expected
            );
            let good = report.state.overall != State::Error;
            report.keep_worst(WORST_DAYS);
            Ok(Some(Said { outcome, good, report: document(&report)? }))
        })?;
        self.step(folder, "coverage", &[], |store| {
            let symbols = coverage(store, &variety, &context.calendar, ContractTable::builtin())?;
            let missing: usize = symbols.iter().map(|s| s.days_missing.len()).sum();
            let outcome = format!("{} symbols, {missing} days missing", symbols.len());
            Ok(Some(Said { outcome, good: true, report: document(&json!({ "symbols": symbols }))? }))
        })?;
        self.step(folder, "features", &["main_l5"], |store| match flags.plugin.as_slice() {
            [] => Ok(None),
            artefacts => features(context, store, &variety, artefacts).map(Some),
        })?;
        self.step(folder, "page", &["validation", "coverage"], |_| {
            let path = quality::write_page(context, &variety, None)?;
            Ok(Some(Said { outcome: path.display().to_string(), good: true, report: json!({ "page": path }) }))
        })
    }

    /// Does a step unless one that it needs has not been done, and writes down how far the update is.
    fn step(
        &mut self,
        folder: &Path,
        name: &'static str,
        needs: &[&str],
        work: impl FnOnce(&dyn Store) -> Result<Option<Said>, Problem>,
    ) -> Result<(), Problem> {
        let began = std::time::Instant::now();
        let broken = |s: &&Step| matches!(s.state, StepState::Failed | StepState::Stopped);
        let lacking = self.updated.steps.iter().filter(broken).find(|s| needs.contains(&s.name)).map(|s| s.name);
        let mut step = Step {
            name,
            state: StepState::Done,
            seconds: 0.0,
            outcome: String::new(),
            error: None,
            report: Value::Null,
        };
        if let Some(lacking) = lacking {
            (step.state, step.outcome) = (StepState::Stopped, format!("needs {lacking}"));
        } else {
            // Opened for each step: a store that was lost in one may be there again for the next.
            match self.context.store().and_then(|store| work(&*store)) {
                Ok(Some(said)) => {
                    step.state = if said.good { StepState::Done } else { StepState::Negative };
                    (step.outcome, step.report) = (said.outcome, said.report);
                }
                Ok(None) => (step.state, step.outcome) = (StepState::Skipped, "not asked for".to_owned()),
                Err(problem) => {
                    (step.state, step.outcome) = (StepState::Failed, problem.code.to_string());
                    step.error = Some(problem);
                }
            }
        }
        step.seconds = began.elapsed().as_secs_f64();
        let code = match (step.state, &step.error) {
            (_, Some(problem)) => problem.class.exit_code(),
            (StepState::Negative, _) => ErrorClass::Negative.exit_code(),
            _ => 0,
        };
        self.updated.exit_code = self.updated.exit_code.max(code);
        self.updated.steps.push(step);
        let product = self.updated.variety.product();
        let body = json!({
            "schema_version": crate::output::SCHEMA_VERSION,
            "started_at": ExchangeTimeNs(self.started_ns).to_string(),
            "version": env!("CARGO_PKG_VERSION"),
            "settings": self.context.settings.digest(),
            "update": self.updated,
        });
        publish(&folder.join(format!("{product}.json")), format!("{body:#}\n").as_bytes())
    }
}

/// Days of a validation that a run record lists, the worst first.
const WORST_DAYS: usize = 20;

/// What is stored of one contract.
struct Stored {
    first: TradingDay,
    last: TradingDay,
    /// Its last trading day, where it is known.
    expiry: Option<TradingDay>,
}

/// What is stored of a product.
#[derive(Default)]
struct Known(BTreeMap<ContractId, Stored>);

impl Known {
    fn load(context: &Context, variety: &Variety) -> Result<Self, Problem> {
        let store = context.store()?;
        let mut known = BTreeMap::new();
        for symbol in store.symbols(Dataset::Ticks)? {
            let Ok(contract) = symbol.parse::<ContractId>() else { continue };
            let days = if contract.variety() == variety { store.days(Dataset::Ticks, &symbol)? } else { Vec::new() };
            if let (Some(first), Some(last)) = (days.first().copied(), days.last().copied()) {
                let expiry = last_trading_day(&contract, &context.calendar);
                known.insert(contract, Stored { first, last, expiry });
            }
        }
        Ok(Self(known))
    }

    /// Where fetching begins: where the first of the contracts breaks off that had more to come. A run that was killed has
    /// fetched some further than others.
    fn first_lacking(&self) -> Option<TradingDay> {
        let newest = self.0.values().map(|c| c.last).max()?;
        let broken_off = |c: &&Stored| c.last < c.expiry.map_or(newest, |e| e.min(newest));
        Some(self.0.values().filter(broken_off).map(|c| c.last).min().unwrap_or(newest))
    }

    /// Where a contract begins of which nothing is stored: with the others. Days before it was listed have no rows, and are
    /// remembered as such.
    fn first_day(&self, contract: &ContractId) -> Option<TradingDay> {
        if self.0.contains_key(contract) { None } else { self.0.values().map(|c| c.first).min() }
    }
}

/// Fetches what lacks.
fn download(context: &Context, variety: &Variety, flags: &Update) -> Result<Said, Problem> {
    let known = Known::load(context, variety)?;
    let from = flags.from.or(known.first_lacking()).ok_or_else(|| {
        Problem::new(
            "days_missing",
            ErrorClass::User,
            format!("nothing of {variety} is stored, so nothing says where to begin"),
            "give the first day: --from YYYY-MM-DD",
        )
    })?;
    let to = match flags.to {
        Some(to) => to,
        None => latest_day(context)?,
    };
    let wanted =
        Download { symbols: vec![], var: vec![variety.clone()], from, to, again: false, refresh: flags.refresh };
    // A first day that is given is that of all.
    let first_day = |contract: &ContractId| if flags.from.is_some() { None } else { known.first_day(contract) };
    let report = fetch::downloaded(context, &wanted, first_day)?;
    let worst = report.report.worst();
    let outcome = match worst {
        None => format!("{from} to {to}"),
        Some(class) => format!("{from} to {to}, {}", quality::word(&class)),
    };
    Ok(Said { outcome, good: worst.is_none(), report: document(&report)? })
}

/// The trading day that has begun last.
fn latest_day(context: &Context) -> Result<TradingDay, Problem> {
    let today = ExchangeTimeNs(wall_clock_ns()).cst_date();
    let before = context.calendar.trading_days(today.plus_days(-20), today);
    before.last().copied().ok_or_else(|| {
        let what = format!("the calendar has no trading day in the twenty days before {today}");
        Problem::new("calendar_uncovered", ErrorClass::User, what, "name the last day: --to YYYY-MM-DD")
    })
}

fn features(
    context: &Context,
    store: &dyn Store,
    variety: &Variety,
    artefacts: &[std::path::PathBuf],
) -> Result<Said, Problem> {
    let host = plugin::host(context)?;
    let schedule = stored_schedule(store, variety)?;
    let mut reports = Vec::new();
    let (mut built, mut failed) = (0, 0);
    for artefact in artefacts {
        let plugin = plugin::load(&host, artefact)?;
        if plugin.manifest().plugin.role == Role::Strategy {
            let what = format!("{} is a strategy and makes no columns", plugin.identity());
            return Err(Problem::new("wrong_role", ErrorClass::User, what, "name features and labels"));
        }
        let report = columns::build(context, store, &schedule, &plugin, &Params::new(), false)?;
        built += report.built_days;
        failed += report.failed.len();
        reports.push(document(&report)?);
    }
    let outcome = format!("{} plugins, {built} days built, {failed} failed", artefacts.len());
    Ok(Said { outcome, good: failed == 0, report: json!({ "plugins": reports }) })
}

fn text(all: &[Updated]) -> String {
    let mut rows = Vec::new();
    for updated in all {
        for step in &updated.steps {
            let seconds = format!("{:.2}", step.seconds);
            rows.push(vec![
                updated.variety.product().to_owned(),
                step.name.to_owned(),
                quality::word(&step.state),
                seconds,
                step.outcome.clone(),
            ]);
        }
    }
    table(&["product", "step", "state", "s", "outcome"], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// D-36
    #[test]
    fn fetching_begins_where_a_killed_run_left_a_contract() {
        let day = |d: u32| TradingDay::from_ymd(2025, 7, d);
        let known = |stored: &[(u32, Option<u32>)]| {
            let of = |(at, &(last, expiry)): (usize, &(u32, Option<u32>))| {
                let contract: ContractId = format!("SHFE.cu25{:02}", at + 1).parse().ok()?;
                let stored = Stored { first: day(1 + at as u32)?, last: day(last)?, expiry: expiry.and_then(day) };
                Some((contract, stored))
            };
            Known(stored.iter().enumerate().filter_map(of).collect())
        };
        let first = |stored: &[(u32, Option<u32>)]| known(stored).first_lacking();
        assert_eq!(first(&[]), None);
        assert_eq!(first(&[(10, None), (10, Some(15))]), day(10));
        // One contract was fetched, the other not yet.
        assert_eq!(first(&[(10, None), (7, None), (8, None)]), day(7));
        // Expired and whole, and expired before its last day came.
        assert_eq!(first(&[(10, None), (4, Some(4))]), day(10));
        assert_eq!(first(&[(10, None), (3, Some(4))]), day(3));

        // A contract of which nothing is stored begins with the others, not where they have come to.
        let stored = known(&[(10, None), (10, None)]);
        let of = |text: &str| text.parse().ok().and_then(|contract| stored.first_day(&contract));
        assert_eq!((of("SHFE.cu2509"), of("SHFE.cu2501"), known(&[]).first_lacking()), (day(1), None, None));
    }
}

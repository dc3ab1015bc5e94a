//! `ghtrader data repair` and `ghtrader data l5-start`: what a source has that is lacking here, and since when it has
//! depth.

use super::fetch::{connect, download_options, download_retries, with_source};
use super::{kept, main_contract, quality};
use crate::args::{L5StartFlags, Repair};
use crate::context::Context;
use crate::output::{emit, grouped, table};
use ghtrader_core::{ContractId, ErrorClass, NS_PER_S, Problem, TradingDay, last_trading_day};
use ghtrader_pipeline::{
    DownloadReport, L5Start, MainL5Options, ProviderAnswer, RepairPlan, RepairScope, Source, ValidationReport,
    apply_repair, find_l5_start, plan_repair,
};
use serde::Serialize;
use std::process::ExitCode;

/// How long the answer about the start of depth is kept.
const KEPT_NS: i64 = 86_400 * NS_PER_S;

/// What is lacking of a symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
struct Lacking {
    days_missing: usize,
    segments: u64,
}

impl Lacking {
    fn of(validation: &ValidationReport) -> Self {
        Self {
            days_missing: validation.days_missing.len() + validation.ticks_missing.len(),
            segments: validation
                .days
                .iter()
                .filter(|d| d.sha256.is_some() && !d.ticks_missing)
                .map(|d| d.segments)
                .sum(),
        }
    }
}

/// What a repair found and did.
#[derive(Debug, Serialize)]
struct Repaired {
    applied: bool,
    plan: RepairPlan,
    before: Lacking,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<Lacking>,
    #[serde(skip_serializing_if = "Option::is_none")]
    download: Option<DownloadReport>,
}

/// Asks the source about what lacks and shows the plan, or carries it out. Exit code as that of a download; 6 if the source
/// did not answer.
pub(crate) fn repair(context: &Context, flags: &Repair) -> Result<ExitCode, Problem> {
    let symbol = match (&flags.symbol, &flags.var) {
        (Some(contract), _) => contract.to_string(),
        (None, Some(var)) => var.main_symbol(),
        // The flags see to it that one is there.
        (None, None) => return Ok(ExitCode::SUCCESS),
    };
    check_days(context, flags)?;
    let (mut client, stop) = connect(context)?;
    let repaired = with_source(context, &mut client, &stop, |source| work(context, flags, &symbol, source))?;
    let unanswered = repaired.plan.days.iter().any(|d| d.answer == ProviderAnswer::ProviderError);
    let worst = repaired.download.as_ref().and_then(DownloadReport::worst);
    let worst = if unanswered { Some(ErrorClass::Unavailable) } else { worst };
    emit(context.json, &repaired, repaired_text)?;
    Ok(worst.map_or(ExitCode::SUCCESS, |class| ExitCode::from(class.exit_code())))
}

/// Refuses days of which no source can have rows.
fn check_days(context: &Context, flags: &Repair) -> Result<(), Problem> {
    flags.range.checked()?;
    let (Some(contract), Some(day)) = (&flags.symbol, flags.day) else { return Ok(()) };
    context.calendar.next_trading_day(day.plus_days(-1))?;
    if !context.calendar.is_trading_day(day) {
        let what = format!("{day} is no trading day of {}", contract.variety());
        let remedy = "ghtrader data calendar FROM TO lists them";
        return Err(Problem::new("not_a_trading_day", ErrorClass::User, what, remedy));
    }
    match last_trading_day(contract, &context.calendar) {
        Some(last) if day > last => {
            let what = format!("{contract} ends on {last}, {day} lies after it");
            Err(Problem::new("bad_range", ErrorClass::User, what, "name a day of its life, or another contract"))
        }
        _ => Ok(()),
    }
}

fn work(context: &Context, flags: &Repair, symbol: &str, source: &mut Source<'_>) -> Result<Repaired, Problem> {
    let range = match flags.day {
        Some(day) => (Some(day), Some(day)),
        None => (flags.range.from, flags.range.to),
    };
    let validated = |source: &Source<'_>| quality::validated(context, source.store, symbol, range, false);
    let validation = validated(source)?;
    if validation.days.is_empty() && flags.day.is_none() {
        return Err(Problem::new(
            "days_missing",
            ErrorClass::User,
            format!("no day of {symbol} is stored or expected, so nothing says what lacks"),
            "name a day (ghtrader data repair SHFE.cu2602 2025-07-18), or ghtrader data download; of a product make the schedule first",
        ));
    }
    let limit = |path| quality::limit(context, symbol, path);
    let scope = RepairScope {
        max_days: match flags.days {
            Some(days) => days.into(),
            None => limit("l5_validate.recheck_days")?,
        },
        max_segments: limit("l5_validate.recheck_segments")?,
        only: flags.day,
    };
    let plan = plan_repair(source, &validation, scope, download_retries(context)?)?;
    let mut repaired = Repaired {
        applied: false,
        before: Lacking::of(&validation).with_unexpected(&plan),
        plan,
        after: None,
        download: None,
    };
    // Each day of the plan is a range of its own.
    let Some(first) = repaired.plan.days.first().map(|d| d.trading_day).filter(|_| flags.apply) else {
        return Ok(repaired);
    };
    let options = download_options(context, (first, first), true)?;
    let show = |symbol: &ContractId, day: TradingDay, done: u64, all: u64, _rows: u64| {
        context.progress.show("repair", &format!("{symbol} {day}"), done, all, "days");
    };
    let download = apply_repair(source, &repaired.plan, &options, &show)?;
    if let Some(variety) = &flags.var
        && let Some(schedule) = source.store.load_schedule(variety)?
    {
        main_contract::build(context, source.store, &schedule, MainL5Options::default())?;
    }
    repaired.after = Some(Lacking::of(&validated(source)?));
    (repaired.applied, repaired.download) = (true, Some(download));
    Ok(repaired)
}

impl Lacking {
    /// A day of which nothing around it is stored is expected by nobody, and missing all the same.
    fn with_unexpected(mut self, plan: &RepairPlan) -> Self {
        self.days_missing = self.days_missing.max(plan.days_missing);
        self
    }
}

fn repaired_text(r: &Repaired) -> String {
    let mut rows = Vec::new();
    for day in &r.plan.days {
        let there = day.gaps.iter().filter(|g| g.answer == ProviderAnswer::ProviderHasData).count();
        let asked = match day.gaps.len() {
            0 => String::new(),
            asked => format!("{there} of {asked}"),
        };
        rows.push(vec![
            day.contract.to_string(),
            day.trading_day.to_string(),
            quality::word(&day.defect),
            day.segments.to_string(),
            quality::word(&day.answer) + if day.kept { " (before)" } else { "" },
            asked,
            quality::word(&day.action),
        ]);
    }
    let head = ["contract", "trading day", "defect", "gaps", "source says", "gaps it can fill", "action"];
    let listed = if rows.is_empty() { String::new() } else { table(&head, &rows) + "\n" };
    let plan = &r.plan;
    let lacking = |l: &Lacking| format!("{} days missing, {} gaps", l.days_missing, l.segments);
    let done = match (&r.after, plan.fetch) {
        (Some(after), _) => format!("before: {}; now: {}", lacking(&r.before), lacking(after)),
        (None, 0) => format!("{}: nothing that the source could mend", lacking(&r.before)),
        (None, n) => format!("{}; {n} days to fetch: say it again with --apply", lacking(&r.before)),
    };
    let unasked = match plan.not_checked {
        0 => String::new(),
        n => format!("; {n} days were not asked about, --days N raises the limit"),
    };
    let stopped = if plan.stopped { "; stopped before the end" } else { "" };
    format!("{listed}{}: {done}; {} questions{unasked}{stopped}", plan.symbol, grouped(plan.questions.cast_signed()))
}

/// The first day with depth, from the source or from the answer of the last 24 hours.
#[derive(Serialize)]
struct Started {
    #[serde(flatten)]
    found: L5Start,
    /// The source was not asked now.
    kept: bool,
}

/// Finds the first day of which the source has depth.
pub(crate) fn l5_start(context: &Context, flags: &L5StartFlags) -> Result<ExitCode, Problem> {
    let file = format!("l5-start/{}.json", flags.var);
    let told = kept::told(context, &file, KEPT_NS, flags.again, || {
        let retry = download_retries(context)?;
        let (mut client, stop) = connect(context)?;
        with_source(context, &mut client, &stop, |source| Ok(find_l5_start(source, &flags.var, retry)?))
    })?;
    let started = Started { kept: told.is_kept(), found: told.found };
    emit(context.json, &started, |s| {
        let found = &s.found;
        let asked = if s.kept { "asked before".to_owned() } else { format!("{} days asked about", found.probes) };
        format!(
            "{}: depth since {}, by {} ({} contracts listed, {asked})",
            found.variety, found.trading_day, found.contract, found.contracts
        )
    })?;
    Ok(ExitCode::SUCCESS)
}

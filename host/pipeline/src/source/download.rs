//! Downloads what lacks of the past, a symbol after the other, in day-sized pieces that are published as they are
//! whole.

use super::error::FetchError;
use super::ledger::{Ledger, Skip};
use super::spool::{Spool, source_dir};
use super::{Source, TURN, day_end_ns, day_start_ns, is_over};
use crate::{ImportError, ImportOptions, ImportOutcome, ImportSummary, ImportedDay, import};
use ghtrader_core::{Calendar, ContractId, ErrorClass, ExchangeTimeNs, TradingDay, last_trading_day};
use ghtrader_market::diff::{
    Failure, Instrument, MarketClient, Next, PageStep, RetryBudget, RetryPolicy, SkipReason, SourceError, TickPager,
    TickRow, Turn, chance, symbols_query,
};
use ghtrader_store::Dataset;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The source's name in manifests.
const SOURCE: &str = "diff";

/// What to download, and how hard to try.
#[derive(Debug, Clone)]
pub struct DownloadOptions {
    /// First trading day.
    pub from: TradingDay,
    /// Last trading day.
    pub to: TradingDay,
    /// First trading days of contracts that begin elsewhere.
    pub first_days: BTreeMap<ContractId, TradingDay>,
    /// Fetches days again that are stored or known to be empty.
    pub again: bool,
    /// Budgets of waiting.
    pub retry: RetryPolicy,
    /// Pause between two pages.
    pub page_pause: Duration,
    /// Share of rejected rows above which a day is refused.
    pub max_rejected_share: f64,
}

/// What became of one contract.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DownloadedSymbol {
    /// The contract.
    pub symbol: ContractId,
    /// Trading days of its life in the range.
    pub days: usize,
    /// Of these, stored before.
    pub stored_before: usize,
    /// Of these, known before to have no rows.
    pub empty_before: usize,
    /// Days that the source has no rows of.
    pub empty: Vec<TradingDay>,
    /// Days that are not over yet: their rows wait in the spool.
    pub open: Vec<TradingDay>,
    /// Days fetched, by what became of them.
    pub fetched: Vec<ImportedDay>,
    /// Days given up, with the reason that stands in the ledger.
    pub skipped: Vec<SkippedDay>,
}

/// A day that was given up.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SkippedDay {
    /// The day.
    pub trading_day: TradingDay,
    /// Why.
    #[serde(flatten)]
    pub skip: Skip,
}

/// What a download did.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct DownloadReport {
    /// Contracts in the order given.
    pub symbols: Vec<DownloadedSymbol>,
    /// Pages asked for.
    pub pages: u64,
    /// Rows that came.
    pub rows: u64,
    /// Connections made behind the first.
    pub reconnects: u64,
    /// Seconds spent waiting for the source behind failures.
    pub waited_s: u64,
    /// It was stopped before its end.
    pub stopped: bool,
}

impl DownloadReport {
    /// Adds what another download did behind this one.
    pub(crate) fn add(&mut self, other: Self) {
        self.symbols.extend(other.symbols);
        self.pages += other.pages;
        self.rows += other.rows;
        self.reconnects += other.reconnects;
        self.waited_s += other.waited_s;
        self.stopped |= other.stopped;
    }

    /// Days given up.
    pub fn skipped(&self) -> impl Iterator<Item = &SkippedDay> {
        self.symbols.iter().flat_map(|s| &s.skipped)
    }

    /// Who has to act on what did not come; `None` if everything did.
    pub fn worst(&self) -> Option<ErrorClass> {
        let class = |s: &SkippedDay| match s.skip.reason {
            SkipReason::Refused | SkipReason::IdsMissing => ErrorClass::Negative,
            _ => ErrorClass::Unavailable,
        };
        let classes: Vec<ErrorClass> = self.skipped().map(class).collect();
        classes.iter().find(|c| **c == ErrorClass::Unavailable).or(classes.first()).copied()
    }

    /// Days fetched.
    pub fn fetched(&self) -> impl Iterator<Item = &ImportedDay> {
        self.symbols.iter().flat_map(|s| &s.fetched)
    }
}

/// Downloads the ticks of contracts, day by day; what is stored, or known to be empty, is not asked for again.
///
/// A failure is waited out within the budgets; a symbol that is given up leaves its days in the ledger and the others
/// go on. `progress` gets (symbol, trading day, days done, days to do, rows).
///
/// # Errors
/// See [`FetchError`]; a login that is refused and a symbol that is unknown end the run.
pub fn download(
    source: &mut Source<'_>,
    symbols: &[ContractId],
    options: &DownloadOptions,
    progress: &dyn Fn(&ContractId, TradingDay, u64, u64, u64),
) -> Result<DownloadReport, FetchError> {
    let (from, to) = (options.from, options.to);
    if from > to {
        return Err(FetchError::Range { from, to });
    }
    for day in options.first_days.values().copied().chain([from, to]) {
        source.calendar.next_trading_day(day.plus_days(-1))?;
    }
    let _lock = lock(source.runs_dir, "download")?;
    let mut run = Run {
        budget: RetryBudget::new(options.retry),
        report: DownloadReport::default(),
        options,
        progress,
        days_done: 0,
        days_to_do: 0,
        waited: Duration::ZERO,
        source,
    };
    let mut plans = Vec::new();
    for symbol in symbols.iter().collect::<BTreeSet<_>>() {
        plans.push(run.plan(symbol)?);
    }
    run.days_to_do = plans.iter().map(|p| p.lacking.len() as u64).sum();
    for plan in plans {
        run.symbol(plan)?;
    }
    run.source.store.flush()?;
    run.report.waited_s = run.waited.as_secs();
    Ok(run.report)
}

/// Keeps two runs from fetching the same rows into one spool.
pub(crate) fn lock(runs_dir: &Path, purpose: &str) -> Result<ghtrader_durable::Lock, FetchError> {
    let path = runs_dir.join(format!("{purpose}.lock"));
    let wrong = |e: std::io::Error| FetchError::Spool {
        doing: "lock",
        path: path.clone(),
        full: ghtrader_durable::is_full(&e),
        why: e.to_string(),
    };
    match ghtrader_durable::try_lock(&path).map_err(wrong)? {
        Some(mut lock) => {
            lock.sign(&std::process::id().to_string()).map_err(wrong)?;
            Ok(lock)
        }
        None => {
            let owner = std::fs::read_to_string(&path).unwrap_or_default().trim().to_owned();
            Err(FetchError::Busy { path, owner })
        }
    }
}

/// Puts a spooled day into the store by the rules of the import; `Err` holds the reason if it is refused.
pub(crate) fn store_spooled(
    source: &Source<'_>,
    symbol: &ContractId,
    path: &Path,
    max_rejected_share: f64,
) -> Result<ImportSummary, FetchError> {
    let options = ImportOptions {
        symbol: Some(symbol.clone()),
        calendar: source.calendar,
        table: source.table,
        max_rejected_share,
        source: Some(SOURCE),
        workers: 1,
        ..ImportOptions::new(&source.runs_dir.join("rejects"))
    };
    match import(&[path.to_owned()], &options, source.store, &|_| {}) {
        Ok(summary) => Ok(summary),
        Err(ImportError::NothingStored { summary, .. }) => Ok(*summary),
        Err(e) => Err(e.into()),
    }
}

/// What lacks of one symbol.
struct Plan {
    symbol: ContractId,
    lacking: BTreeSet<TradingDay>,
    done: DownloadedSymbol,
}

struct Run<'r, 'a> {
    source: &'r mut Source<'a>,
    options: &'r DownloadOptions,
    progress: &'r dyn Fn(&ContractId, TradingDay, u64, u64, u64),
    budget: RetryBudget,
    report: DownloadReport,
    days_done: u64,
    days_to_do: u64,
    waited: Duration,
}

/// Why a span is not read to its end.
enum Trouble {
    Failed(Failure, String),
    GiveUp(SkipReason, String),
    Fatal(FetchError),
}

impl From<FetchError> for Trouble {
    fn from(e: FetchError) -> Self {
        Self::Fatal(e)
    }
}

impl From<ghtrader_store::StoreError> for Trouble {
    fn from(e: ghtrader_store::StoreError) -> Self {
        Self::Fatal(e.into())
    }
}

impl Run<'_, '_> {
    fn plan(&self, symbol: &ContractId) -> Result<Plan, FetchError> {
        let ledger = Ledger::open(self.source.store, symbol)?;
        let last = last_trading_day(symbol, self.source.calendar);
        let to = last.map_or(self.options.to, |last| last.min(self.options.to));
        let from = self.options.first_days.get(symbol).copied().unwrap_or(self.options.from);
        let days = self.source.calendar.trading_days(from, to);
        let stored: BTreeSet<TradingDay> =
            self.source.store.days(Dataset::Ticks, &symbol.to_string())?.into_iter().collect();
        let is = |set: &BTreeSet<TradingDay>| days.iter().filter(|d| set.contains(d)).count();
        let (stored_before, empty_before) = (is(&stored), is(&ledger.empty));
        let lacks = |d: &&TradingDay| self.options.again || !(stored.contains(d) || ledger.empty.contains(d));
        Ok(Plan {
            symbol: symbol.clone(),
            lacking: days.iter().filter(lacks).copied().collect(),
            done: DownloadedSymbol {
                symbol: symbol.clone(),
                days: days.len(),
                stored_before,
                empty_before,
                empty: Vec::new(),
                open: Vec::new(),
                fetched: Vec::new(),
                skipped: Vec::new(),
            },
        })
    }

    fn symbol(&mut self, mut plan: Plan) -> Result<(), FetchError> {
        if self.source.stopping() {
            self.report.stopped = true;
        } else if !plan.lacking.is_empty() {
            self.fetch(&mut plan)?;
        }
        self.report.symbols.push(plan.done);
        Ok(())
    }

    /// Fetches what lacks, trying again within the budget.
    fn fetch(&mut self, plan: &mut Plan) -> Result<(), FetchError> {
        let mut ledger = Ledger::open(self.source.store, &plan.symbol)?;
        if let Err(reason) = self.budget.begin(self.source.client.now()) {
            let error = "the source was under maintenance for the symbols before".to_owned();
            return self.give_up(plan, &mut ledger, reason, error);
        }
        while !plan.lacking.is_empty() && !self.source.stopping() {
            let trouble = match self.attempt(plan, &mut ledger) {
                Ok(()) => continue,
                Err(trouble) => trouble,
            };
            let (failure, error) = match trouble {
                Trouble::Failed(failure, error) => (failure, error),
                Trouble::GiveUp(reason, error) => return self.give_up(plan, &mut ledger, reason, error),
                Trouble::Fatal(error) => return Err(error),
            };
            let wall_ns = self.source.client.login().wall_ns();
            let failure = failure.seen_at(&self.options.retry, wall_ns, &error);
            match self.budget.failed(failure, self.source.client.now(), chance()) {
                Next::Again { after, reset } => {
                    tracing::warn!(symbol = %plan.symbol, %error, wait_s = after.as_secs_f64(), "the source failed");
                    if reset {
                        self.source.client.close();
                    }
                    self.wait(after)?;
                }
                Next::GiveUp(reason) => return self.give_up(plan, &mut ledger, reason, error),
            }
        }
        self.report.stopped |= self.source.stopping();
        Ok(())
    }

    fn wait(&mut self, time: Duration) -> Result<(), FetchError> {
        self.source.wait(time)?;
        self.waited += time;
        Ok(())
    }

    fn give_up(
        &mut self,
        plan: &mut Plan,
        ledger: &mut Ledger<'_>,
        reason: SkipReason,
        error: String,
    ) -> Result<(), FetchError> {
        let (attempts, waited) = self.budget.spent();
        let skip = Skip { reason, attempts, waited_s: waited.as_secs(), error };
        let days: Vec<TradingDay> = std::mem::take(&mut plan.lacking).into_iter().collect();
        tracing::warn!(symbol = %plan.symbol, days = days.len(), ?reason, error = %skip.error, "days given up");
        ledger.skip(&days, &skip)?;
        let skipped = days.iter().map(|day| SkippedDay { trading_day: *day, skip: skip.clone() });
        plan.done.skipped.extend(skipped);
        self.days_done += days.len() as u64;
        Ok(())
    }

    /// One span of days that lack and follow each other.
    fn attempt(&mut self, plan: &mut Plan, ledger: &mut Ledger<'_>) -> Result<(), Trouble> {
        self.connect()?;
        // Asked on every connection: the source may have gone on to another day meanwhile.
        let told = told_of(self.source.client, &plan.symbol).map_err(source_trouble)?;
        let Some((first, last)) = span(self.source.calendar, &plan.lacking) else { return Ok(()) };
        let symbol = plan.symbol.to_string();
        let dir = source_dir(self.source.runs_dir, "download", self.source.client.host()).join(&symbol);
        let mut spool = Spool::open(dir)?;
        for day in spool.days().into_iter().filter(|d| *d != first) {
            spool.remove(day)?;
        }
        let end_ns = day_end_ns(last);
        let mut pager = match spool.last() {
            Some((_, id, _)) => TickPager::from_id(&symbol, id + 1, end_ns),
            None => {
                let start = day_start_ns(self.source.calendar, first).map_err(FetchError::from)?;
                TickPager::of_span(&symbol, start, end_ns)
            }
        };
        let mut days = Days { plan, ledger, spool, told, day: first, last };
        let result = self.read(&mut pager, &mut days);
        self.report.pages += pager.pages();
        pager.close(self.source.client.line());
        result
    }

    fn connect(&mut self) -> Result<(), Trouble> {
        if self.source.client.is_open() {
            return Ok(());
        }
        if self.source.client.opened() > 0 {
            self.report.reconnects += 1;
        }
        self.source.client.open().map_err(source_trouble)
    }

    fn read(&mut self, pager: &mut TickPager, days: &mut Days<'_, '_>) -> Result<(), Trouble> {
        loop {
            if self.source.stopping() {
                days.spool.sync()?;
                return Ok(());
            }
            let turn = self.source.client.turn(TURN);
            let events = self.source.client.events();
            if let Turn::Closed(why) = turn {
                days.spool.sync()?;
                return Err(Trouble::Failed(Failure::Broken, why));
            }
            let now = self.source.client.now();
            match pager.step(self.source.client.line(), &events, now) {
                PageStep::Waiting => {}
                PageStep::Rows(rows) => {
                    self.take(days, &rows)?;
                    std::thread::sleep(self.options.page_pause);
                }
                PageStep::Last(rows) => {
                    self.take(days, &rows)?;
                    return self.end(days);
                }
                PageStep::Late => {
                    days.spool.sync()?;
                    let notices = self.source.client.line().notices().join("; ");
                    let said = if notices.is_empty() { notices } else { format!("; the source says: {notices}") };
                    return Err(Trouble::Failed(Failure::Timeout, format!("a page did not come in time{said}")));
                }
                PageStep::Missing { from, to } => {
                    days.spool.sync()?;
                    // Another connection has a picture of its own: the rows may be there.
                    self.source.client.close();
                    let error = format!("rows {from} to {to} do not come, though later ones do");
                    let (tries, _) = self.budget.spent();
                    return Err(match tries {
                        0 => Trouble::Failed(Failure::Broken, error),
                        _ => Trouble::GiveUp(SkipReason::IdsMissing, error),
                    });
                }
            }
        }
    }

    /// Sorts rows by day; a day is published when the next one begins.
    fn take(&mut self, days: &mut Days<'_, '_>, mut rows: &[TickRow]) -> Result<(), Trouble> {
        if !rows.is_empty() {
            self.report.rows += rows.len() as u64;
            self.budget.progressed();
        }
        while let Some(first) = rows.first() {
            // A row of no trading day stays with the day before it: the import will say what is wrong with it.
            let day_of = |r: &TickRow| self.source.calendar.trading_day_of(ExchangeTimeNs(r.ts_ns)).unwrap_or(days.day);
            let day = day_of(first).max(days.day);
            let count = rows.iter().take_while(|r| day_of(r).max(days.day) == day).count();
            if day != days.day {
                self.publish(days)?;
                self.no_rows_between(days, day)?;
                days.day = day;
            }
            days.spool.append(day, &rows[..count])?;
            rows = &rows[count..];
            let (done, all) = (self.days_done, self.days_to_do);
            (self.progress)(&days.plan.symbol, day, done, all, self.report.rows);
        }
        Ok(())
    }

    /// The series or the span has ended.
    fn end(&mut self, days: &mut Days<'_, '_>) -> Result<(), Trouble> {
        let wall_ns = self.source.client.login().wall_ns();
        let is_open = |d: &&TradingDay| !is_over(self.source.calendar, **d, wall_ns, &days.told);
        let open: Vec<TradingDay> = days.plan.lacking.iter().filter(is_open).copied().collect();
        if open.contains(&days.day) {
            days.spool.sync()?;
        } else {
            self.publish(days)?;
        }
        // Of days that are not over nothing can be said yet.
        for day in open {
            days.plan.lacking.remove(&day);
            days.plan.done.open.push(day);
            self.days_done += 1;
        }
        let after = days.last.plus_days(1);
        self.no_rows_between(days, after)
    }

    /// Days that lack from the present one on and before `day` have no rows.
    fn no_rows_between(&mut self, days: &mut Days<'_, '_>, day: TradingDay) -> Result<(), Trouble> {
        let empty: Vec<TradingDay> = days.plan.lacking.range(days.day..day).copied().collect();
        days.ledger.found_empty(&empty)?;
        for day in &empty {
            days.plan.lacking.remove(day);
        }
        self.days_done += empty.len() as u64;
        days.plan.done.empty.extend(empty);
        Ok(())
    }

    /// Puts the present day's rows into the store.
    fn publish(&mut self, days: &mut Days<'_, '_>) -> Result<(), Trouble> {
        let day = days.day;
        if days.spool.rows(day) == 0 {
            return Ok(());
        }
        let path: PathBuf = days.spool.path(day);
        let summary = store_spooled(self.source, &days.plan.symbol, &path, self.options.max_rejected_share)?;
        for imported in summary.symbol_days {
            if imported.outcome == ImportOutcome::Refused {
                let error = imported.reason.clone().unwrap_or_default();
                let skip = Skip { reason: SkipReason::Refused, attempts: 0, waited_s: 0, error };
                days.ledger.skip(&[imported.trading_day], &skip)?;
                days.plan.done.skipped.push(SkippedDay { trading_day: imported.trading_day, skip });
            } else {
                days.ledger.found_rows(imported.trading_day)?;
                days.plan.done.fetched.push(imported);
            }
        }
        if days.plan.lacking.remove(&day) {
            self.days_done += 1;
        }
        days.spool.remove(day)?;
        Ok(())
    }
}

/// A symbol's days while they are read.
struct Days<'p, 's> {
    plan: &'p mut Plan,
    ledger: &'p mut Ledger<'s>,
    spool: Spool,
    /// What the source says of the contract.
    told: Instrument,
    /// The day that rows are read of.
    day: TradingDay,
    last: TradingDay,
}

/// The first trading days that lack and follow each other: one series of pages reads them.
fn span(calendar: &Calendar, lacking: &BTreeSet<TradingDay>) -> Option<(TradingDay, TradingDay)> {
    let first = *lacking.first()?;
    let mut last = first;
    while let Ok(next) = calendar.next_trading_day(last) {
        if !lacking.contains(&next) {
            break;
        }
        last = next;
    }
    Some((first, last))
}

/// Asks for the contract itself, and for the day that the source is in: a wrong name would only look like a contract
/// without rows.
pub(crate) fn told_of(client: &mut MarketClient, symbol: &ContractId) -> Result<Instrument, SourceError> {
    let symbol = symbol.to_string();
    let found = client.instruments(symbols_query(&[&symbol]), &symbol)?;
    found.into_iter().find(|i| i.symbol == symbol).ok_or_else(|| SourceError::UnknownSymbol {
        host: client.host().to_owned(),
        symbol,
        message: "its answer names no such instrument".to_owned(),
    })
}

/// Whether a failure of the source may pass.
pub(crate) fn source_trouble_kind(e: &SourceError) -> Option<Failure> {
    match e {
        SourceError::Timeout { .. } => Some(Failure::Timeout),
        SourceError::Unavailable { .. } => Some(Failure::Broken),
        _ => None,
    }
}

fn source_trouble(e: SourceError) -> Trouble {
    match source_trouble_kind(&e) {
        Some(failure) => Trouble::Failed(failure, e.to_string()),
        None => Trouble::Fatal(e.into()),
    }
}

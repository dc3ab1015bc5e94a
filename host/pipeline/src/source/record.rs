//! Records what happens, tick by tick, into spools that survive the process, and puts each day into the store when it
//! is over. A line that is cut is made again and its gap is read from the past; what cannot be had is said.

use super::download::{lock, source_trouble_kind, store_spooled, told_of};
use super::error::FetchError;
use super::spool::{Spool, source_dir};
use super::{Source, TURN, day_end_ns, day_start_ns, is_over};
use crate::{ImportOutcome, ImportedDay};
use ghtrader_core::{ContractId, ExchangeTimeNs, TradingDay};
use ghtrader_market::diff::{
    Followed, LineEvent, MAX_QUOTES_A_LINE, Quote, RetryPolicy, SourceError, TickFollower, TickRow, Turn, chance,
};
use ghtrader_store::Dataset;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::time::Duration;

/// How often days are looked at that may be over by the clock.
const SEAL_PAUSE: Duration = Duration::from_secs(1);
/// How often the source is asked for its day, at most.
const ASK_PAUSE: Duration = Duration::from_secs(5);
/// Interruptions that a report lists; the rest are counted.
const LISTED: usize = 100;
/// The store's collection of rows that a source did not give, a record a symbol.
const LOSSES: &str = "record_losses";

/// How to record.
#[derive(Debug, Clone)]
pub struct RecordOptions {
    /// Ends when this trading day is over and stored; `None` = not before somebody says so.
    pub until: Option<TradingDay>,
    /// How long to wait between two connections; tries are not counted.
    pub retry: RetryPolicy,
    /// A day that is over by the clock is stored when its symbol has been silent for so long.
    pub quiet: Duration,
    /// Share of rejected rows above which a day is refused.
    pub max_rejected_share: f64,
}

/// Rows that are safe on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordProgress {
    /// The contract.
    pub symbol: ContractId,
    /// The trading day.
    pub trading_day: TradingDay,
    /// Rows of the day that survive a crash from now on.
    pub rows: u64,
    /// The past is read: rows come as they happen.
    pub live: bool,
}

/// Rows that the source did not give.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// The trading day in which they are missing.
    pub trading_day: TradingDay,
    /// First id.
    pub from_id: i64,
    /// Last id.
    pub to_id: i64,
}

/// A line that was cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Interruption {
    /// This machine's clock when it was noticed, ns since the epoch.
    pub wall_ns: i64,
    /// Why.
    pub why: String,
}

/// What was recorded of one contract.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RecordedSymbol {
    /// The contract.
    pub symbol: ContractId,
    /// Rows that came, those read from the past too.
    pub rows: u64,
    /// Days that are over, by what became of them in the store.
    pub days: Vec<ImportedDay>,
    /// The day that is not over; its rows are in the spool.
    pub open: Option<TradingDay>,
    /// Rows of that day.
    pub open_rows: u64,
    /// Rows that the source did not give.
    pub lost: Vec<Loss>,
}

/// What a recording did.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct RecordReport {
    /// Contracts.
    pub symbols: Vec<RecordedSymbol>,
    /// Lines that were cut.
    pub interruptions: u64,
    /// The first hundred of them.
    pub interrupted: Vec<Interruption>,
}

/// Records ticks until the day of `options.until` is over and stored, or somebody stops it.
///
/// `progress` is told of rows when they survive a crash of the machine, and not before.
///
/// # Errors
/// See [`FetchError`]; a source that is away is waited for, a login that is refused and a symbol that is unknown are not.
pub fn record(
    source: &mut Source<'_>,
    symbols: &[ContractId],
    options: &RecordOptions,
    progress: &dyn Fn(&RecordProgress),
) -> Result<RecordReport, FetchError> {
    let _lock = lock(source.runs_dir, "record")?;
    let symbols: BTreeSet<ContractId> = symbols.iter().cloned().collect();
    let mut recording = Recording { source, options, progress, report: RecordReport::default(), late: 0 };
    recording.connect()?;
    let mut tapes = recording.begin(&symbols)?;
    recording.run(&mut tapes)?;
    recording.source.store.flush()?;
    recording.report.symbols = tapes.into_iter().map(Tape::told).collect();
    Ok(recording.report)
}

/// One contract while it is recorded.
struct Tape {
    symbol: ContractId,
    follower: TickFollower,
    spool: Spool,
    day: TradingDay,
    /// Rows of the day that are in the store.
    stored_rows: u64,
    /// Last time a row came, by the client's clock.
    heard: Duration,
    /// Last time the source was asked for its day.
    asked: Option<Duration>,
    live: bool,
    done: bool,
    refused: bool,
    told: RecordedSymbol,
}

impl Tape {
    fn progress(&self) -> RecordProgress {
        let (symbol, rows) = (self.symbol.clone(), self.spool.rows(self.day));
        RecordProgress { symbol, trading_day: self.day, rows, live: self.live }
    }

    fn told(self) -> RecordedSymbol {
        let rows = self.spool.rows(self.day);
        let open = (rows > self.stored_rows).then_some(self.day);
        RecordedSymbol { open, open_rows: if open.is_some() { rows } else { 0 }, ..self.told }
    }
}

struct Recording<'r, 'a> {
    source: &'r mut Source<'a>,
    options: &'r RecordOptions,
    progress: &'r dyn Fn(&RecordProgress),
    report: RecordReport,
    late: u32,
}

impl Recording<'_, '_> {
    /// Makes a connection, however long it takes; only what waiting cannot mend is an error.
    fn connect(&mut self) -> Result<(), FetchError> {
        let mut tries = 0;
        while !self.source.stopping() {
            let error = match self.source.client.open() {
                Ok(()) => return Ok(()),
                Err(e) if source_trouble_kind(&e).is_none() => return Err(e.into()),
                Err(e) => e,
            };
            tries += 1;
            let wait = self.options.retry.backoff(tries, chance());
            tracing::warn!(%error, wait_s = wait.as_secs_f64(), "no connection to the source");
            self.source.wait(wait)?;
        }
        Ok(())
    }

    fn cut(&mut self, why: String, tapes: &mut [Tape]) -> Result<(), FetchError> {
        tracing::warn!(%why, "the line is cut; what happens meanwhile is read from the past");
        self.report.interruptions += 1;
        if self.report.interrupted.len() < LISTED {
            let wall_ns = self.source.client.login().wall_ns();
            self.report.interrupted.push(Interruption { wall_ns, why });
        }
        self.late = 0;
        self.connect()?;
        tapes.iter_mut().for_each(|t| t.follower.reopened());
        Ok(())
    }

    /// Where each contract's recording starts: behind its spool, else with the trading day that its quote tells.
    fn begin(&mut self, symbols: &BTreeSet<ContractId>) -> Result<Vec<Tape>, FetchError> {
        for symbol in symbols {
            while let Err(error) = told_of(self.source.client, symbol) {
                if source_trouble_kind(&error).is_none() {
                    return Err(error.into());
                }
                self.cut(error.to_string(), &mut [])?;
                if self.source.stopping() {
                    return Ok(Vec::new());
                }
            }
        }
        let names = symbols.iter().map(ContractId::to_string);
        let host = self.source.client.host().to_owned();
        let now = self.source.client.now();
        self.source.client.line().set_quotes(names, now).map_err(|e| SourceError::UnknownSymbol {
            host: host.clone(),
            symbol: format!("{} symbols", symbols.len()),
            message: format!("one line takes {MAX_QUOTES_A_LINE}: {e}"),
        })?;
        let mut quoted: BTreeSet<String> = BTreeSet::new();
        while quoted.len() < symbols.len() && !self.source.stopping() {
            if let Turn::Closed(why) = self.source.client.turn(TURN) {
                self.cut(why, &mut [])?;
            }
            for event in self.source.client.events() {
                match event {
                    LineEvent::Quote(symbol) => drop(quoted.insert(symbol)),
                    LineEvent::UnknownSymbol(symbol) => {
                        let message = "no quote came in time".to_owned();
                        return Err(SourceError::UnknownSymbol { host, symbol, message }.into());
                    }
                    _ => {}
                }
            }
        }
        let mut tapes: Vec<Tape> = Vec::new();
        for symbol in symbols.iter().filter(|s| quoted.contains(&s.to_string())) {
            let mut tape = self.tape(symbol)?;
            if tape.spool.rows(tape.day) > 0 {
                // What an earlier run has left may not have reached the disk yet.
                tape.spool.sync()?;
                (self.progress)(&tape.progress());
            }
            tapes.push(tape);
        }
        // Where the day is known, quotes have done their work.
        let now = self.source.client.now();
        let _ = self.source.client.line().set_quotes([], now);
        Ok(tapes)
    }

    fn tape(&mut self, symbol: &ContractId) -> Result<Tape, FetchError> {
        let name = symbol.to_string();
        let dir = source_dir(self.source.runs_dir, "record", self.source.client.host()).join(&name);
        let spool = Spool::open(dir)?;
        let (day, follower) = match spool.last() {
            Some((day, id, _)) => (day, TickFollower::from_id(&name, id + 1)),
            None => {
                let quote = Quote::read(self.source.client.line().document(), &name);
                let ts_ns = quote.map_or_else(|| self.source.client.login().wall_ns(), |q| q.ts_ns);
                let day = self.source.calendar.trading_day_of(ExchangeTimeNs(ts_ns));
                let day = match day {
                    Ok(day) => day,
                    Err(_) => self.source.calendar.next_trading_day(ExchangeTimeNs(ts_ns).cst_date())?,
                };
                // A day that is stored needs no second recording.
                if self.source.store.manifest(Dataset::Ticks, &name, day)?.is_some() {
                    let next = self.source.calendar.next_trading_day(day)?;
                    (next, TickFollower::from_time(&name, day_end_ns(day)))
                } else {
                    (day, TickFollower::from_time(&name, day_start_ns(self.source.calendar, day)?))
                }
            }
        };
        let told = RecordedSymbol {
            symbol: symbol.clone(),
            rows: 0,
            days: Vec::new(),
            open: None,
            open_rows: 0,
            lost: Vec::new(),
        };
        let heard = self.source.client.now();
        let symbol = symbol.clone();
        Ok(Tape {
            symbol,
            follower,
            spool,
            day,
            stored_rows: 0,
            heard,
            asked: None,
            live: false,
            done: false,
            refused: false,
            told,
        })
    }

    fn run(&mut self, tapes: &mut [Tape]) -> Result<(), FetchError> {
        let mut looked = Duration::ZERO;
        while !self.source.stopping() && !tapes.iter().all(|t| t.done) {
            let turn = self.source.client.turn(TURN);
            let events = self.source.client.events();
            if events.contains(&LineEvent::Dumb) {
                self.source.client.close();
                self.cut("the line has said nothing".to_owned(), tapes)?;
                continue;
            }
            if let Turn::Closed(why) = turn {
                self.cut(why, tapes)?;
                continue;
            }
            let mut touched = Vec::new();
            for (at, tape) in tapes.iter_mut().enumerate() {
                if self.follow(tape, &events)? {
                    touched.push(at);
                }
            }
            for at in touched {
                let Some(tape) = tapes.get_mut(at) else { continue };
                tape.spool.sync()?;
                (self.progress)(&tape.progress());
            }
            // Two pages in a row that do not come: another connection may be better.
            if self.late >= self.options.retry.timeouts_to_reset {
                self.source.client.close();
                self.cut("pages do not come in time".to_owned(), tapes)?;
            }
            let now = self.source.client.now();
            if now.saturating_sub(looked) >= SEAL_PAUSE {
                looked = now;
                tapes.iter_mut().try_for_each(|t| self.seal_by_clock(t))?;
                // Told again: who shows it may leave out what comes too quickly.
                tapes.iter().for_each(|t| (self.progress)(&t.progress()));
            }
        }
        tapes.iter_mut().try_for_each(|t| t.spool.sync())
    }

    /// Takes what came of one contract; true if rows did.
    fn follow(&mut self, tape: &mut Tape, events: &[LineEvent]) -> Result<bool, FetchError> {
        let now = self.source.client.now();
        let mut rows_came = false;
        for step in tape.follower.step(self.source.client.line(), events, now) {
            match step {
                Followed::Rows(rows) => {
                    self.late = 0;
                    tape.heard = now;
                    rows_came = true;
                    self.take(tape, &rows)?;
                }
                Followed::Live => tape.live = true,
                Followed::Late => self.late += 1,
                Followed::Lost { from, to } => self.lose(tape, from, to)?,
                Followed::Regressed { next, last_id } => {
                    return Err(FetchError::OtherSeries { symbol: tape.symbol.to_string(), last_id, expected: next });
                }
            }
        }
        Ok(rows_came)
    }

    fn take(&mut self, tape: &mut Tape, mut rows: &[TickRow]) -> Result<(), FetchError> {
        tape.told.rows += rows.len() as u64;
        while let Some(first) = rows.first() {
            // A row of no trading day stays with the day before it: the import will say what is wrong with it.
            let day_of = |r: &TickRow| self.source.calendar.trading_day_of(ExchangeTimeNs(r.ts_ns)).unwrap_or(tape.day);
            let day = day_of(first).max(tape.day);
            let count = rows.iter().take_while(|r| day_of(r).max(tape.day) == day).count();
            if day != tape.day {
                self.seal(tape)?;
                if tape.refused {
                    tape.spool.set_aside(tape.day)?;
                } else {
                    tape.spool.remove(tape.day)?;
                }
                (tape.day, tape.stored_rows, tape.refused) = (day, 0, false);
                tape.done |= self.options.until.is_some_and(|until| day > until);
            }
            if !tape.done {
                tape.spool.append(day, &rows[..count])?;
            }
            rows = &rows[count..];
        }
        Ok(())
    }

    fn lose(&mut self, tape: &mut Tape, from: i64, to: i64) -> Result<(), FetchError> {
        tracing::error!(symbol = %tape.symbol, day = %tape.day, from, to, "the source does not give these rows");
        let loss = Loss { trading_day: tape.day, from_id: from, to_id: to };
        let name = tape.symbol.to_string();
        let before = self.source.store.load_record(LOSSES, &name)?;
        let mut losses: Vec<Loss> = before.and_then(|r| serde_json::from_value(r).ok()).unwrap_or_default();
        losses.push(loss.clone());
        let json = serde_json::to_value(&losses).unwrap_or_default();
        self.source.store.put_record(LOSSES, &name, &json)?;
        tape.told.lost.push(loss);
        Ok(())
    }

    /// A day without a later row is over by the clock, once its contract has been silent for a while.
    fn seal_by_clock(&mut self, tape: &mut Tape) -> Result<(), FetchError> {
        let now = self.source.client.now();
        let wall_ns = self.source.client.login().wall_ns();
        let quiet = now.saturating_sub(tape.heard) >= self.options.quiet;
        let rows = tape.spool.rows(tape.day);
        if tape.done || !tape.live || !quiet || (rows > 0 && rows == tape.stored_rows) {
            return Ok(());
        }
        // The source's own day is asked for once in each silence, and again while it lasts.
        if tape.asked.is_some_and(|asked| now.saturating_sub(asked) < self.options.quiet.max(ASK_PAUSE)) {
            return Ok(());
        }
        tape.asked = Some(now);
        let Ok(told) = told_of(self.source.client, &tape.symbol) else { return Ok(()) };
        if !is_over(self.source.calendar, tape.day, wall_ns, &told) {
            return Ok(());
        }
        self.seal(tape)?;
        tape.done |= self.options.until.is_some_and(|until| tape.day >= until);
        Ok(())
    }

    /// Puts the rows of the day into the store, if there are more than it has. The spool stays until a later day
    /// begins.
    fn seal(&mut self, tape: &mut Tape) -> Result<(), FetchError> {
        let rows = tape.spool.rows(tape.day);
        if rows <= tape.stored_rows {
            return Ok(());
        }
        tape.spool.sync()?;
        let path = tape.spool.path(tape.day);
        let share = self.options.max_rejected_share;
        let summary = store_spooled(self.source, &tape.symbol, &path, share)?;
        self.source.store.yield_writer()?;
        tape.stored_rows = rows;
        for day in summary.symbol_days {
            tape.refused = day.outcome == ImportOutcome::Refused;
            if tape.refused {
                tracing::error!(symbol = %tape.symbol, day = %day.trading_day, reason = day.reason, "the day is refused");
            }
            tape.told.days.retain(|d| d.trading_day != day.trading_day);
            tape.told.days.push(day);
        }
        Ok(())
    }
}

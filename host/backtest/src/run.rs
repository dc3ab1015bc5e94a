//! One run: days prepared once, then every fill model over all of them.

use crate::account::Ledger;
use crate::engine::{Day, Engine, EngineSettings, OldContract, Seat, Timeline, run_day};
use crate::metrics::{MetricContext, ModelMetrics, compute_metrics};
use crate::record::Record;
use crate::spec::{FillModelName, RunSpec};
use crate::{BacktestError, spec::CloseFirstName};
use ghtrader_core::{ContractSpec, Digest, DigestBuilder, SessionWindow, TradingDay, Variety};
use ghtrader_exchange::{PrepareSpec, PrepareWarnings, PreparedDay, SplitReport};
use ghtrader_plugin::StrategyInstance;
use ghtrader_runtime::{DayColumns, StrategyRunner};
use ghtrader_store::TickDay;
use rayon::prelude::*;
use std::ops::Range;
use std::sync::Arc;

/// Rises whenever a change of this code changes a result, or what identifies one.
pub const ENGINE_VERSION: &str = "5";

/// One trading day as it comes from the store.
pub struct DayData {
    /// The day.
    pub trading_day: TradingDay,
    /// Name of the contract, such as `SHFE.cu2602`.
    pub contract: String,
    /// Price tick and multiplier on that day.
    pub instrument: ContractSpec,
    /// Volume and amount are counted on both sides.
    pub double_sided: bool,
    /// The continuous rows.
    pub ticks: TickDay,
    /// Digest of the rows.
    pub digest: Digest,
    /// Features and scores of the same rows; shared by all lineups that read the same ones.
    pub columns: Arc<DayColumns>,
    /// What decided those columns.
    pub origin: ColumnsOrigin,
    /// Windows of continuous trading.
    pub windows: Vec<SessionWindow>,
    /// Starts of the windows that a call auction precedes, ns.
    pub auction_starts_ns: Vec<i64>,
    /// Rows before this one are replayed without orders.
    pub tradable_from: usize,
    /// The contract before, where this day follows a roll.
    pub old: Option<OldDay>,
}

/// What decides a day's columns beside its rows: known without computing them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ColumnsOrigin {
    /// Keys of the built features, in the lineup's order: component, parameters, rows, warm-up rows of the days before.
    pub features: Vec<Digest>,
    /// Which model scores which rows.
    pub scores: Vec<ScoredRows>,
}

/// Rows of a day that a model scores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScoredRows {
    /// The model.
    pub model: Digest,
    /// Its horizon, which names the scores.
    pub horizon_rows: u32,
    /// Rows of the day.
    pub rows: Range<usize>,
}

/// Everything about a trading day that decides a result, known from manifests alone.
#[derive(Debug, Clone, PartialEq)]
pub struct DayIdentity {
    /// The day.
    pub trading_day: TradingDay,
    /// Name of the contract.
    pub contract: String,
    /// Price tick and multiplier on that day.
    pub instrument: ContractSpec,
    /// Volume and amount are counted on both sides.
    pub double_sided: bool,
    /// Digest of the rows.
    pub digest: Digest,
    /// Windows of continuous trading.
    pub windows: Vec<SessionWindow>,
    /// Starts of the windows that a call auction precedes, ns.
    pub auction_starts_ns: Vec<i64>,
    /// Rows before this one are replayed without orders.
    pub tradable_from: usize,
    /// The contract before, where this day follows a roll.
    pub old: Option<OldIdentity>,
    /// What decides the columns.
    pub origin: ColumnsOrigin,
}

/// What of the contract before a roll decides a result; its last price follows from the rows of the day before.
#[derive(Debug, Clone, PartialEq)]
pub struct OldIdentity {
    /// Price tick and multiplier.
    pub instrument: ContractSpec,
    /// Digest of its rows of the day; none if there is no recording.
    pub digest: Option<Digest>,
}

/// The digest of the days of a run.
pub fn days_digest(days: &[DayIdentity]) -> Digest {
    let mut b = DigestBuilder::new("ghtrader backtest days 1");
    for day in days {
        b.digest(&day.digest).text(&day.contract).int(i64::from(day.trading_day.days()));
        b.float(day.instrument.multiplier).float(day.instrument.price_tick).int(day.tradable_from as i64);
        b.int(i64::from(day.double_sided)).int(day.windows.len() as i64);
        for w in &day.windows {
            b.int(w.start_ns).int(w.end_ns);
        }
        b.int(day.auction_starts_ns.len() as i64);
        day.auction_starts_ns.iter().for_each(|start_ns| {
            b.int(*start_ns);
        });
        if let Some(old) = &day.old {
            b.text("old").float(old.instrument.multiplier).float(old.instrument.price_tick);
            if let Some(digest) = &old.digest {
                b.digest(digest);
            }
        }
        b.int(day.origin.features.len() as i64);
        day.origin.features.iter().for_each(|key| {
            b.digest(key);
        });
        b.int(day.origin.scores.len() as i64);
        for scored in &day.origin.scores {
            b.digest(&scored.model).int(i64::from(scored.horizon_rows));
            b.int(scored.rows.start as i64).int(scored.rows.end as i64);
        }
    }
    b.finish()
}

/// What follows from a day's rows, whoever trades it: worked out once, shared read-only by all runs over them.
#[derive(Debug)]
pub struct ReadyDay {
    /// The rows as the exchange reads them.
    pub exchange: PreparedDay,
    /// When they are, and what a position is worth at them.
    pub timeline: Timeline,
}

impl ReadyDay {
    /// Of rows that the exchange can read.
    pub fn new(exchange: PreparedDay) -> Self {
        Self { exchange, timeline: Timeline::default() }
    }
}

impl DayData {
    /// The same day for another lineup: its rows are shared, its columns are still to be attached.
    pub fn share(&self) -> Self {
        Self {
            trading_day: self.trading_day,
            contract: self.contract.clone(),
            instrument: self.instrument.clone(),
            double_sided: self.double_sided,
            ticks: self.ticks.clone(),
            digest: self.digest,
            columns: Arc::default(),
            origin: ColumnsOrigin::default(),
            windows: self.windows.clone(),
            auction_starts_ns: self.auction_starts_ns.clone(),
            tradable_from: self.tradable_from,
            old: self.old.as_ref().map(|old| OldDay {
                ticks: old.ticks.clone(),
                instrument: old.instrument.clone(),
                last_price_cny: old.last_price_cny,
            }),
        }
    }

    /// What of this day decides a result.
    pub fn identity(&self) -> DayIdentity {
        DayIdentity {
            trading_day: self.trading_day,
            contract: self.contract.clone(),
            instrument: self.instrument.clone(),
            double_sided: self.double_sided,
            digest: self.digest,
            windows: self.windows.clone(),
            auction_starts_ns: self.auction_starts_ns.clone(),
            tradable_from: self.tradable_from,
            old: self.old.as_ref().map(|old| OldIdentity {
                instrument: old.instrument.clone(),
                digest: old.ticks.as_ref().map(|t| t.manifest().sha256),
            }),
            origin: self.origin.clone(),
        }
    }

    /// The day's rows as the exchange reads them.
    ///
    /// # Errors
    /// Rows that the exchange cannot work with.
    pub fn prepare(&self) -> Result<ReadyDay, BacktestError> {
        let spec = PrepareSpec {
            price_tick: self.instrument.price_tick,
            multiplier: self.instrument.multiplier,
            double_sided: self.double_sided,
            windows: self.windows.iter().map(|w| (w.start_ns, w.end_ns)).collect(),
            auction_starts_ns: self.auction_starts_ns.clone(),
        };
        Ok(ReadyDay::new(PreparedDay::prepare(&self.ticks.view(), &spec)?))
    }

    /// The day as an engine reads it; `ready` is of the same rows.
    pub fn as_day<'a>(&'a self, ready: &'a ReadyDay) -> Day<'a> {
        Day {
            trading_day: self.trading_day,
            contract: &self.contract,
            instrument: &self.instrument,
            view: self.ticks.view(),
            columns: &self.columns,
            windows: &self.windows,
            prepared: &ready.exchange,
            tradable_from: self.tradable_from,
            old_contract: self.old.as_ref().map(|old| OldContract {
                view: old.ticks.as_ref().map(TickDay::view),
                instrument: &old.instrument,
                last_price_cny: old.last_price_cny,
            }),
            timeline: &ready.timeline,
        }
    }
}

/// The contract that was main until the day before.
pub struct OldDay {
    /// Its rows of this day; none if there is no recording.
    pub ticks: Option<TickDay>,
    /// Price tick and multiplier.
    pub instrument: ContractSpec,
    /// Its last traded price of the day before, CNY.
    pub last_price_cny: f64,
}

/// What a result depends on beside its days and specification.
#[derive(Debug, Clone, Default)]
pub struct Identity {
    /// Component digests and resolved parameters, in the order features, strategy.
    pub components: Vec<(Digest, String)>,
    /// Digests of the models that scored.
    pub models: Vec<Digest>,
    /// Hash of the main schedule.
    pub schedule_hash: String,
}

/// What came out.
pub struct RunResult {
    /// Digest of everything that decides the result.
    pub result_digest: Digest,
    /// Digest over the outputs of all models, in the order of the specification.
    pub output_digest: Digest,
    /// The outputs of each model, in the same order; see [`Record::output_digest`].
    pub model_digests: Vec<Digest>,
    /// One record and its figures a model.
    pub models: Vec<(FillModelName, Record, ModelMetrics)>,
    /// Names of the contracts in the order they were main.
    pub contracts: Vec<String>,
    /// Rows replayed.
    pub rows: u64,
    /// What was met while preparing the days.
    pub prepared: PrepareWarnings,
    /// How the volume of each day could be put to prices.
    pub splits: Vec<(TradingDay, SplitReport)>,
    /// The fee and margin rows used were checked against the exchange's own tables.
    pub fees_confirmed: bool,
}

/// The digest of everything that decides a result: `days` by [`days_digest`], `tables` by [`Ledger::digest`].
///
/// Whatever it reads is known before a row is replayed, so that a plan can name a result that is still to be computed.
pub fn result_digest(spec: &RunSpec, days: &Digest, identity: &Identity, tables: &Digest) -> Digest {
    let mut b = DigestBuilder::new("ghtrader backtest result 2");
    b.text(ENGINE_VERSION);
    for (digest, params) in &identity.components {
        b.digest(digest).text(params);
    }
    for model in &identity.models {
        b.digest(model);
    }
    b.text(&identity.schedule_hash).digest(tables).digest(days);
    // The name and where things lie are no part of a result; product, parameters and days are above, as they came out.
    let mut plain = spec.clone();
    plain.name.clear();
    plain.variety.clear();
    (plain.from, plain.to) = (None, None);
    for plugin in plain.lineup.features.iter_mut().chain([&mut plain.lineup.strategy]) {
        plugin.plugin.clear();
        plugin.params.clear();
    }
    plain.lineup.model = None;
    b.text(&toml::to_string(&plain).unwrap_or_default());
    b.finish()
}

/// Prepares days for matching, on all cores: once for every lineup and fill model.
///
/// # Errors
/// Rows that the exchange cannot work with.
pub fn prepare_days(days: &[DayData]) -> Result<Vec<Arc<ReadyDay>>, BacktestError> {
    days.par_iter().map(|day| day.prepare().map(Arc::new)).collect()
}

/// Gives a fresh instance of a run's strategy, for the first day's instrument.
pub type MakeStrategy<'a> = &'a (dyn Fn() -> Result<Box<dyn StrategyInstance>, BacktestError> + Sync);

/// Replays the days through a strategy under every fill model of the specification, on all cores.
///
/// `make_strategy` gives a fresh instance for the first day's instrument; it is called once a model.
///
/// # Errors
/// The first fault by the order of the models; see [`BacktestError`].
pub fn run(
    spec: &RunSpec,
    variety: &Variety,
    days: &[DayData],
    identity: &Identity,
    make_strategy: MakeStrategy<'_>,
    block_rows: usize,
) -> Result<RunResult, BacktestError> {
    run_prepared(spec, variety, days, &prepare_days(days)?, identity, make_strategy, block_rows)
}

/// As [`run`], over days that [`prepare_days`] has made ready: what many runs over the same rows share.
///
/// # Errors
/// As [`run`].
pub fn run_prepared(
    spec: &RunSpec,
    variety: &Variety,
    days: &[DayData],
    prepared: &[Arc<ReadyDay>],
    identity: &Identity,
    make_strategy: MakeStrategy<'_>,
    block_rows: usize,
) -> Result<RunResult, BacktestError> {
    let text = |day: Option<TradingDay>, end: &str| day.map_or_else(|| end.to_owned(), |d| d.to_string());
    if days.is_empty() {
        return Err(BacktestError::NoDays {
            from: text(spec.from, "the first"),
            to: text(spec.to, "the last"),
            what: spec.data.clone(),
        });
    }
    let delays = [("latency.order", &spec.latency.order), ("latency.cancel", &spec.latency.cancel)];
    if let Some((key, file)) = delays.iter().find_map(|(key, delay)| Some((*key, delay.unread()?))) {
        return Err(BacktestError::UnreadTrace { key, file: file.to_owned() });
    }
    let shared: Vec<Day<'_>> = days.iter().zip(prepared).map(|(day, ready)| day.as_day(ready)).collect();
    let tables = Ledger::new(spec, variety)?;
    // Each model has a fault of its own, so that the first by their order is told, whoever met his first.
    let pass = |names: &[FillModelName], block_rows: usize| -> Result<Vec<_>, (usize, BacktestError)> {
        let seat = |name: &FillModelName| -> Result<_, BacktestError> {
            let runner = StrategyRunner::new(make_strategy()?, &days[0].columns.names)?;
            let settings = EngineSettings::of(spec, *name, block_rows.max(1));
            Ok(Seat { engine: Engine::new(settings, Ledger::new(spec, variety)?), runner })
        };
        let mut seats: Vec<Seat> = names.iter().map(seat).collect::<Result<_, _>>().map_err(|fault| (0, fault))?;
        for day in &shared {
            run_day(day, &mut seats)?;
        }
        Ok(names.iter().zip(seats).map(|(name, seat)| (*name, seat.engine.finish())).collect())
    };
    let alone = |name: &FillModelName| {
        let one = |block_rows| pass(std::slice::from_ref(name), block_rows).map_err(|(_, fault)| fault);
        match one(block_rows) {
            // A fault inside a block names the block's row; row by row the same fault names its own.
            Err(fault @ BacktestError::Runtime { .. }) if block_rows > 1 => match one(1) {
                Err(exact @ BacktestError::Runtime { .. }) => Err(exact),
                _ => Err(fault),
            },
            done => done,
        }
    };
    let models = spec.fills.models.as_slice();
    let share = models.len().div_ceil(rayon::current_num_threads()).max(1);
    let passes: Vec<Result<Vec<(FillModelName, Record)>, BacktestError>> = models
        .par_chunks(share)
        .map(|names| match pass(names, block_rows) {
            Ok(records) => Ok(records),
            // Once more, one by one: what a model's fault says must not depend on who rode beside it.
            Err(_) => {
                names.iter().map(alone).collect::<Result<Vec<_>, _>>().map(|all| all.into_iter().flatten().collect())
            }
        })
        .collect();
    let records: Vec<_> = passes.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
    let (contracts, multipliers, price_ticks) = contracts(days);
    let context = MetricContext {
        initial_cny: spec.account.initial_cny,
        annual_days: f64::from(spec.metrics.annual_days),
        multiplier: &multipliers,
        price_tick: &price_ticks,
        contracts: &contracts,
    };
    let mut output = DigestBuilder::new("ghtrader backtest outputs 1");
    let model_digests: Vec<Digest> = records.iter().map(|(_, record)| record.output_digest()).collect();
    for ((name, _), digest) in records.iter().zip(&model_digests) {
        output.text(name.as_str()).digest(digest);
    }
    let models = records
        .into_iter()
        .map(|(name, record)| {
            let metrics = compute_metrics(&record, &context);
            (name, record, metrics)
        })
        .collect();
    Ok(RunResult {
        result_digest: result_digest(
            spec,
            &days_digest(&days.iter().map(DayData::identity).collect::<Vec<_>>()),
            identity,
            &tables.digest(),
        ),
        output_digest: output.finish(),
        model_digests,
        models,
        rows: days.iter().map(|d| d.ticks.view().rows() as u64).sum(),
        prepared: prepared.iter().fold(PrepareWarnings::default(), |all, day| all.plus(day.exchange.warnings())),
        splits: days.iter().zip(prepared).map(|(d, p)| (d.trading_day, *p.exchange.split_report())).collect(),
        fees_confirmed: tables.confirmed(),
        contracts,
    })
}

/// Contracts in the order they were main, each with its multiplier and price tick.
fn contracts(days: &[DayData]) -> (Vec<String>, Vec<f64>, Vec<f64>) {
    let mut names: Vec<String> = Vec::new();
    let (mut multipliers, mut price_ticks) = (Vec::new(), Vec::new());
    for day in days {
        if names.last() != Some(&day.contract) {
            names.push(day.contract.clone());
            multipliers.push(day.instrument.multiplier);
            price_ticks.push(day.instrument.price_tick);
        }
    }
    (names, multipliers, price_ticks)
}

/// Which lots an automatic close takes first, in the exchange's own type.
pub(crate) fn close_first(name: CloseFirstName) -> ghtrader_exchange::CloseFirst {
    match name {
        CloseFirstName::Today => ghtrader_exchange::CloseFirst::Today,
        CloseFirstName::Yesterday => ghtrader_exchange::CloseFirst::Yesterday,
        CloseFirstName::Cheapest => ghtrader_exchange::CloseFirst::Cheapest,
    }
}

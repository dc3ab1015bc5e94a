//! One run: days prepared once, then every fill model over all of them.

use crate::account::Ledger;
use crate::engine::{Day, Engine, EngineSettings, OldContract};
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

/// Rises whenever a change of this code changes a result.
const ENGINE_VERSION: &str = "4";

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
    /// Features and scores of the same rows.
    pub columns: DayColumns,
    /// Windows of continuous trading.
    pub windows: Vec<SessionWindow>,
    /// Starts of the windows that a call auction precedes, ns.
    pub auction_starts_ns: Vec<i64>,
    /// Rows before this one are replayed without orders.
    pub tradable_from: usize,
    /// The contract before, where this day follows a roll.
    pub old: Option<OldDay>,
}

impl DayData {
    /// The day's rows as the exchange reads them.
    ///
    /// # Errors
    /// Rows that the exchange cannot work with.
    pub fn prepare(&self) -> Result<PreparedDay, BacktestError> {
        let spec = PrepareSpec {
            price_tick: self.instrument.price_tick,
            multiplier: self.instrument.multiplier,
            double_sided: self.double_sided,
            windows: self.windows.iter().map(|w| (w.start_ns, w.end_ns)).collect(),
            auction_starts_ns: self.auction_starts_ns.clone(),
        };
        Ok(PreparedDay::prepare(&self.ticks.view(), &spec)?)
    }

    /// The day as an engine reads it; `prepared` is of the same rows.
    pub fn as_day<'a>(&'a self, prepared: &'a PreparedDay) -> Day<'a> {
        Day {
            trading_day: self.trading_day,
            contract: &self.contract,
            instrument: &self.instrument,
            view: self.ticks.view(),
            columns: &self.columns,
            windows: &self.windows,
            prepared,
            tradable_from: self.tradable_from,
            old_contract: self.old.as_ref().map(|old| OldContract {
                view: old.ticks.as_ref().map(TickDay::view),
                instrument: &old.instrument,
                last_price_cny: old.last_price_cny,
            }),
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

/// The digest of everything that decides a result.
pub fn result_digest(spec: &RunSpec, days: &[DayData], identity: &Identity, tables: &Digest) -> Digest {
    let mut b = DigestBuilder::new("ghtrader backtest result 1");
    b.text(ENGINE_VERSION);
    for (digest, params) in &identity.components {
        b.digest(digest).text(params);
    }
    for model in &identity.models {
        b.digest(model);
    }
    b.text(&identity.schedule_hash).digest(tables);
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
            b.text("old").float(old.instrument.multiplier).float(old.instrument.price_tick).float(old.last_price_cny);
            if let Some(ticks) = &old.ticks {
                b.digest(&ticks.manifest().sha256);
            }
        }
        // Features follow from rows and plugins; which fold's model scores which rows is said nowhere else.
        for (name, values) in day.columns.names.iter().zip(&day.columns.values) {
            if name.starts_with("score/") {
                b.text(name);
                values.iter().for_each(|value| {
                    b.float(*value);
                });
            }
        }
    }
    // The name and where things lie are no part of a result.
    let mut plain = spec.clone();
    plain.name.clear();
    plain.lineup.strategy.plugin.clear();
    plain.lineup.features.iter_mut().for_each(|f| f.plugin.clear());
    plain.lineup.model = None;
    b.text(&toml::to_string(&plain).unwrap_or_default());
    b.finish()
}

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
    make_strategy: &(dyn Fn() -> Result<Box<dyn StrategyInstance>, BacktestError> + Sync),
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
    let prepared: Vec<PreparedDay> = days.par_iter().map(DayData::prepare).collect::<Result<_, _>>()?;
    let tables = Ledger::new(spec, variety)?;
    let replay = |name: &FillModelName, block_rows: usize| -> Result<_, BacktestError> {
        let instance = make_strategy()?;
        let made = &days[0].columns.names;
        let mut runner = StrategyRunner::new(instance, made)?;
        let mut engine = Engine::new(EngineSettings::of(spec, *name, block_rows.max(1)), Ledger::new(spec, variety)?);
        for (day, prepared) in days.iter().zip(&prepared) {
            engine.run_day(&day.as_day(prepared), &mut runner)?;
        }
        Ok((*name, engine.finish()))
    };
    // A fault inside a block names the block's row; row by row the same fault names its own.
    let one = |name: &FillModelName| match replay(name, block_rows) {
        Err(fault @ BacktestError::Runtime { .. }) if block_rows > 1 => match replay(name, 1) {
            Err(exact @ BacktestError::Runtime { .. }) => Err(exact),
            _ => Err(fault),
        },
        done => done,
    };
    let records: Vec<(FillModelName, Record)> = spec.fills.models.par_iter().map(one).collect::<Result<_, _>>()?;
    let (contracts, multipliers, price_ticks) = contracts(days);
    let context = MetricContext {
        initial_cny: spec.account.initial_cny,
        annual_days: f64::from(spec.metrics.annual_days),
        multiplier: &multipliers,
        price_tick: &price_ticks,
        contracts: &contracts,
    };
    let mut output = DigestBuilder::new("ghtrader backtest outputs 1");
    for (name, record) in &records {
        output.text(name.as_str()).digest(&record.output_digest());
    }
    let models = records
        .into_iter()
        .map(|(name, record)| {
            let metrics = compute_metrics(&record, &context);
            (name, record, metrics)
        })
        .collect();
    Ok(RunResult {
        result_digest: result_digest(spec, days, identity, &tables.digest()),
        output_digest: output.finish(),
        models,
        rows: days.iter().map(|d| d.ticks.view().rows() as u64).sum(),
        prepared: prepared.iter().fold(PrepareWarnings::default(), |all, day| all.plus(day.warnings())),
        splits: days.iter().zip(&prepared).map(|(d, p)| (d.trading_day, *p.split_report())).collect(),
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

//! Is the comparison honest? Where nothing is better, 200 variants must not give a better one in more than 5 % of the batches;
//! where one is, it has to be found.
//!
//! Two ways to nothing: made-up daily results, in hundreds of batches, with what real ones have (heavy tails, a market that all share,
//! calm and wild weeks, days that depend on each other); and synthetic markets, traded tick by tick through the engine by strategies
//! that differ in nothing but luck.

mod coin;

use crate::study::ghtrader;
use anyhow::{Context, Result, anyhow, bail};
use coin::Coin;
use ghtrader_backtest::{
    ComponentRecord, DayData, Identity, PluginSpec, ReportContext, RunSpec, prepare_days, report_json, run_prepared,
};
use ghtrader_batch::{base_days, stored_schedule};
use ghtrader_compare::{BRACKET, Champion, Comparison, DaySums, Options, Outcome, Resampling, Verdict, compare};
use ghtrader_core::{Calendar, Digest, Problem, TradingDay, Variety};
use ghtrader_plugin::{Instrument, ParamValue, Params};
use ghtrader_stats::Rng;
use ghtrader_store::{EmbeddedStore, StoreOptions};
use ghtrader_testkit::NativeStrategy;
use rayon::prelude::*;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Seeds from here on were never looked at while the method was made.
const FIRST_SEED: u64 = 5_001;
/// Rows between two decisions of a coin.
const HOLD_ROWS: i64 = 50;

struct Flags {
    variants: usize,
    batches: usize,
    markets: u64,
    days: u64,
    signal: f64,
    json: bool,
}

/// `compare [--variants N] [--batches N] [--markets N] [--days N] [--signal X] [--json]`
pub(crate) fn run(args: &[String]) -> Result<()> {
    let mut flags = Flags { variants: 200, batches: 100, markets: 20, days: 60, signal: 1.0, json: false };
    let mut args = args.iter().skip_while(|a| *a == "compare");
    while let Some(arg) = args.next() {
        let mut value = || args.next().with_context(|| format!("{arg} needs a value"));
        match arg.as_str() {
            "--variants" => flags.variants = value()?.parse()?,
            "--batches" => flags.batches = value()?.parse()?,
            "--markets" => flags.markets = value()?.parse()?,
            "--days" => flags.days = value()?.parse()?,
            "--signal" => flags.signal = value()?.parse()?,
            "--json" => flags.json = true,
            _ => bail!(
                "unknown flag `{arg}`; known are --variants N, --batches N, --markets N, --days N, --signal X, --json"
            ),
        }
    }
    if flags.variants < 2 {
        bail!("--variants = {} is too small; a family has two at least", flags.variants);
    }
    let mut tallies = Vec::new();
    for kind in Kind::ALL {
        for days in [20, 60, 120] {
            let tally = made_up(kind, days, &flags)?;
            tally.print(&flags);
            tallies.push(tally);
        }
    }
    let (nothing, planted) =
        (markets(0.0, flags.markets, &flags)?, markets(flags.signal, flags.markets.div_ceil(4), &flags)?);
    let broken: Vec<String> = tallies.iter().chain([&nothing]).filter_map(Tally::broken).collect();
    let found = planted.winner_found;
    if flags.json {
        let body = json!({
            "schema_version": 1, "study": "compare", "variants": flags.variants,
            "made_up": tallies.iter().map(Tally::as_json).collect::<Vec<_>>(),
            "engine": nothing.as_json(), "planted": planted.as_json(), "broken": broken,
        });
        println!("{body}");
    } else {
        println!(
            "planted signal {}: the informed variant is called better in {found} of {} markets, another one in {}",
            flags.signal, planted.batches, planted.wrong_winner
        );
    }
    if !broken.is_empty() {
        bail!("{}", broken.join("; "));
    }
    // Beside the informed one there is nothing to find: luck may be called skill as seldom as anywhere.
    let lucky = planted.share(planted.wrong_winner, planted.batches) > 0.05 + margin(planted.batches);
    if found < planted.batches || lucky {
        bail!("the informed variant won {found} of {} markets, another one {}", planted.batches, planted.wrong_winner);
    }
    Ok(())
}

/// What batches of one kind gave.
#[derive(Default)]
struct Tally {
    name: String,
    days: usize,
    batches: usize,
    comparisons: usize,
    /// Comparisons whose own interval covers the truth, 0.
    covered: usize,
    /// Comparisons whose own interval lies above 0.
    above: usize,
    /// Comparisons called better.
    better: usize,
    /// Batches with any variant called better.
    any_better: usize,
    /// Batches in which the informed variant is called better.
    winner_found: usize,
    /// Batches in which another one is.
    wrong_winner: usize,
    /// Whether the intervals of one comparison promise 95 % here: they do for independent days.
    promised: bool,
}

impl Tally {
    fn add(&mut self, c: &Comparison, winner: Option<&str>) {
        self.batches += 1;
        self.comparisons += c.variants.len();
        let mut any = false;
        for v in &c.variants {
            if let Some(p) = v.against.get(BRACKET[0]) {
                self.covered += usize::from(p.low_cny <= Some(0.0) && Some(0.0) <= p.high_cny);
                self.above += usize::from(p.low_cny > Some(0.0));
            }
            let better = v.verdict == Verdict::Better;
            self.better += usize::from(better);
            any |= better;
        }
        self.any_better += usize::from(any);
        if let Some(winner) = winner {
            let names: BTreeSet<&str> =
                c.variants.iter().filter(|v| v.verdict == Verdict::Better).map(|v| v.member.label.as_str()).collect();
            self.winner_found += usize::from(names.contains(winner));
            self.wrong_winner += usize::from(names.iter().any(|n| *n != winner));
        }
    }

    fn share(&self, part: usize, whole: usize) -> f64 {
        part as f64 / whole.max(1) as f64
    }

    /// What was promised and did not hold, beyond what this many batches show by chance in one of a hundred studies.
    fn broken(&self) -> Option<String> {
        let margin = margin(self.batches);
        let any = self.share(self.any_better, self.batches);
        if any > 0.05 + margin {
            return Some(format!("{}, {} days: {any:.3} of the batches name a better variant", self.name, self.days));
        }
        let covered = self.share(self.covered, self.comparisons);
        // All comparisons of a batch share a champion: a batch is the unit.
        (self.promised && covered < 0.95 - margin)
            .then(|| format!("{}, {} days: intervals cover in {covered:.3}", self.name, self.days))
    }

    fn print(&self, flags: &Flags) {
        if !flags.json {
            println!(
                "{:<28} {:>3} days  {:>4} batches  any better {:.3}  called better {:.5}  own interval above 0 {:.3}, covers 0 {:.3}",
                self.name,
                self.days,
                self.batches,
                self.share(self.any_better, self.batches),
                self.share(self.better, self.comparisons),
                self.share(self.above, self.comparisons),
                self.share(self.covered, self.comparisons)
            );
        }
    }

    fn as_json(&self) -> Value {
        json!({
            "name": self.name, "days": self.days, "batches": self.batches, "comparisons": self.comparisons,
            "any_better": self.any_better, "better": self.better, "interval_above_0": self.above, "interval_covers_0": self.covered,
            "winner_found": self.winner_found, "wrong_winner": self.wrong_winner,
        })
    }
}

/// By how much a share of 5 % is exceeded by chance in one of a hundred studies of so many batches.
fn margin(batches: usize) -> f64 {
    2.33 * (0.05f64 * 0.95 / batches.max(1) as f64).sqrt()
}

/// How made-up days come about.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Heavy,
    Shared,
    Wild,
    Linked,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Heavy, Self::Shared, Self::Wild, Self::Linked];

    fn name(self) -> &'static str {
        match self {
            Self::Heavy => "heavy tails, independent",
            Self::Shared => "a shared market factor",
            Self::Wild => "calm and wild weeks",
            Self::Linked => "days that follow each other",
        }
    }
}

/// A series without a mean: Student's t of four degrees, by day scaled or linked as the kind says.
fn series(kind: Kind, scale: &[f64], rng: &mut Rng) -> Vec<f64> {
    let mut before = 0.0;
    scale
        .iter()
        .map(|scale| {
            let chi = (0..4).map(|_| rng.normal()).map(|z| z * z).sum::<f64>() / 4.0;
            let own = rng.normal() / chi.sqrt() * scale;
            before = if kind == Kind::Linked { 0.2 * before + own } else { own };
            before
        })
        .collect()
}

fn made_up(kind: Kind, days: usize, flags: &Flags) -> Result<Tally> {
    let first = TradingDay::from_ymd(2025, 1, 1).context("a day")?;
    let calendar: Vec<TradingDay> = (0..days as i32).map(|i| TradingDay::from_days(first.days() + i)).collect();
    let comparisons: Vec<Comparison> = (0..flags.batches as u64)
        .into_par_iter()
        .map(|batch| {
            let mut rng = Rng::new(FIRST_SEED + batch * 1_000 + days as u64);
            let mut calm = 0.0;
            let scale: Vec<f64> = (0..days)
                .map(|_| {
                    calm = 0.9 * calm + 0.3 * rng.normal();
                    if kind == Kind::Wild { calm_to_scale(calm) } else { 300.0 }
                })
                .collect();
            let market = series(kind, &scale, &mut rng);
            let outcomes = (0..=flags.variants)
                .map(|i| {
                    let own = series(kind, &scale, &mut rng);
                    // Each variant follows the market in its own measure, or against it.
                    let exposure = if kind == Kind::Heavy { 0.0 } else { 4.0 * rng.uniform() - 2.0 };
                    outcome(i, &calendar, market.iter().zip(&own).map(|(m, o)| exposure * m + o).collect())
                })
                .collect();
            // Fewer resamples than a user's: a batch of the study is one of hundreds.
            let resampling = Resampling { draws: 1_000, seed: batch, ..Resampling::default() };
            compare(outcomes, &Options { resampling, ..Options::default() })
        })
        .collect::<Result<_, _>>()?;
    let mut tally = Tally { name: kind.name().to_owned(), days, promised: kind != Kind::Linked, ..Tally::default() };
    comparisons.iter().for_each(|c| tally.add(c, None));
    Ok(tally)
}

fn calm_to_scale(log: f64) -> f64 {
    // e^x by its limit is good enough for a spread, and the same on every machine.
    300.0 * (1.0 + log / 64.0).max(0.01).powi(64)
}

fn outcome(i: usize, days: &[TradingDay], pnl: Vec<f64>) -> Outcome {
    let series = pnl.into_iter().map(|pnl_cny| DaySums { pnl_cny, ..DaySums::default() }).collect();
    Outcome {
        id: format!("{i:064x}"),
        output_digest: String::new(),
        name: format!("v{i}"),
        label: format!("v{i}"),
        days: days.to_vec(),
        models: BTreeMap::from([(BRACKET[0], series)]),
        market_lots: vec![None; days.len()],
        initial_cny: 1e6,
        annual_days: 252.0,
        conditions: BTreeMap::new(),
        day_digests: vec![String::new(); days.len()],
        params: BTreeMap::new(),
        code: BTreeMap::new(),
        confirmed: true,
        bust: BTreeSet::new(),
        parts: 1,
    }
}

/// Synthetic markets of one signal: coins against a coin, one of them informed where there is a signal.
fn markets(signal: f64, count: u64, flags: &Flags) -> Result<Tally> {
    let name = if signal == 0.0 { "engine, no signal".to_owned() } else { format!("engine, signal {signal}") };
    let mut tally = Tally { name, days: flags.days as usize, promised: true, ..Tally::default() };
    for seed in FIRST_SEED..FIRST_SEED + count {
        let outcomes = market(seed, signal, flags).map_err(|e| anyhow!("market {seed}: {e:#}"))?;
        let options = Options { champion: Champion::First, ..Options::default() };
        let comparison = compare(outcomes, &options)?;
        tally.add(&comparison, (signal > 0.0).then_some(INFORMED));
        if !flags.json {
            println!("market {seed}, signal {signal}: {}", comparison.sentence);
        }
    }
    tally.print(flags);
    Ok(tally)
}

const INFORMED: &str = "informed";

/// Every coin on the days of one market, under the three fill models.
fn market(seed: u64, signal: f64, flags: &Flags) -> Result<Vec<Outcome>> {
    let dir = tempfile::tempdir()?;
    let root = dir.path();
    let (days, seed_text, signal_text) = (flags.days.to_string(), seed.to_string(), signal.to_string());
    let synth = ["data", "synth", "--var", "cu", "--days", &days, "--seed", &seed_text, "--signal", &signal_text];
    ghtrader(root, &[&synth[..], &["--rows-per-day", "2000"]].concat())?;
    ghtrader(root, &["main", "schedule", "--var", "cu"])?;
    ghtrader(root, &["main", "build", "--var", "cu"])?;
    let (days, hash) = stored_days(root).map_err(|p| anyhow!("{p}"))?;
    let prepared = prepare_days(&days)?;
    let first = days.first().context("the market has no day")?;
    let variety: Variety = "SHFE.cu".parse()?;
    let instrument = Instrument {
        symbol: first.contract.clone(),
        price_tick: first.instrument.price_tick,
        multiplier: first.instrument.multiplier,
    };
    (0..=flags.variants)
        .into_par_iter()
        .map(|i| {
            // The champion is a coin like the others; where a signal is planted, the last one looks at the book.
            let informed = signal > 0.0 && i == flags.variants;
            let params = Params::from([
                ("seed".to_owned(), ParamValue::Integer(i as i64)),
                ("hold_rows".to_owned(), ParamValue::Integer(HOLD_ROWS)),
                ("informed".to_owned(), ParamValue::Flag(informed)),
            ]);
            let name = if informed { INFORMED.to_owned() } else { format!("coin {i}") };
            let plugin = PluginSpec { plugin: "coin".to_owned(), params: BTreeMap::new() };
            let spec = RunSpec::of_strategy(&name, "SHFE.cu", plugin);
            let make = || {
                let made = NativeStrategy::<Coin>::new(&params, &instrument);
                made.map(|s| Box::new(s) as _).map_err(|fault| ghtrader_backtest::BacktestError::Lineup(fault.into()))
            };
            let digest = Digest::of(b"coin");
            let identity = Identity {
                components: vec![(digest, format!("{params:?}"))],
                models: Vec::new(),
                schedule_hash: hash.clone(),
            };
            let result = run_prepared(&spec, &variety, &days, &prepared, &identity, &make, 4_096)?;
            let strategy = ComponentRecord {
                name: "strategy/coin".to_owned(),
                version: "0.0.0".to_owned(),
                digest: digest.to_string(),
                params: json!({ "seed": i, "informed": informed }),
            };
            let context =
                ReportContext { strategy: Some(strategy), schedule_hash: hash.clone(), ..ReportContext::default() };
            let report = report_json(&spec, &days, &result, &context).map_err(|p| anyhow!("{p}"))?;
            Ok(Outcome::read(&name, &report)?)
        })
        .collect()
}

fn stored_days(root: &Path) -> Result<(Vec<DayData>, String), Problem> {
    let store = EmbeddedStore::open_with(&root.join("data"), StoreOptions::default())?;
    let variety: Variety = "SHFE.cu".parse().map_err(|e: ghtrader_core::SymbolError| {
        Problem::new("bad_symbol", ghtrader_core::ErrorClass::Internal, e.to_string(), "")
    })?;
    let schedule = stored_schedule(&store, &variety)?;
    Ok((base_days(&store, Calendar::builtin(), &schedule, None, None)?, schedule.hash().to_owned()))
}

//! Hot swaps under feed: how long one stops the ticks, whether a tick is lost or answered twice, and what it costs to be
//! swappable when nothing is pending.
//!
//! The service runs as it does for a user: variety thread, keeper, files, audit, socket. The feed is a synthetic market at
//! many times its speed, and every swap is a rollback to the warm standby, asked for over the socket. One run has the
//! reference plugins as components and gives the pause. The other has a strategy that sends an order on every tick, so that
//! the journal of orders says of each tick by which generation it was answered, and how often.

use crate::{artefacts, decide};
use anyhow::{Context, Result, anyhow, bail};
use ghtrader_backtest::{Engine, EngineSettings, FillModelName, Ledger, RunSpec};
use ghtrader_core::{Calendar, Digest, Problem, Variety};
use ghtrader_kernels::wire::{Action, Offset, Order, Side, Tif};
use ghtrader_market::synth::SynthSpec;
use ghtrader_plugin::{
    HostConfig, Instrument, Params, Plugin, PluginFault, PluginHost, Step, StrategyDescription, StrategyInstance,
};
use ghtrader_runtime::{Lineup, LineupParts};
use ghtrader_trading::protocol::{
    ActivateAt, Actor, Call, Change, Deploy, Mode, OperationView, OrderPolicy, OrderView, Plan, ResolvedLineup,
    ResolvedPlugin, VarietyView,
};
use ghtrader_trading::{
    Client, LineupMaker, ServiceConfig, Settings, VarietyConfig, plan_hash, run as serve, synthetic,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// 99 of 100 swaps must stop the ticks for no longer than this.
const GOAL_PAUSE_NS: u64 = 10_000;
const VARIETY: &str = "cu";
const PATIENCE: Duration = Duration::from_secs(60);
/// Times the speed of the market: some two thousand ticks a second.
const SPEED: f64 = 1_000.0;

pub(crate) fn run(args: &[String]) -> Result<()> {
    let (mut swaps, mut json) = (1_000_usize, false);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--swaps" => swaps = args.next().context("--swaps needs a number")?.parse()?,
            "--json" => json = true,
            _ => bail!("unknown flag `{arg}`; known are --swaps N, --json"),
        }
    }
    let host = PluginHost::new(HostConfig::default()).map_err(|f| anyhow!("{f}"))?;
    let load = |name: &str| -> Result<Arc<Plugin>> {
        let bytes = std::fs::read(artefacts()?.join(format!("{name}.wasm")))?;
        host.load(&bytes).map_err(|f| anyhow!("{f:?}"))
    };
    let components: Arc<dyn LineupMaker> =
        Arc::new(Components { factors: load("core-factors")?, taker: load("taker")?, maker: load("maker")? });
    let paused = session(&components, swaps)?;
    let mut pauses: Vec<u64> = paused.swaps.iter().map(|s| s.pause_ns).collect();
    pauses.sort_unstable();
    let every_tick: Arc<dyn LineupMaker> = Arc::new(EveryTick);
    let counted = session(&every_tick, swaps)?;
    let (lost, twice, wrong) = account(&counted)?;
    let idle = idle_tick(&components)?;

    let pause = [0.5, 0.99, 1.0].map(|q| decide::at(&pauses, q));
    let met = pause[1] <= GOAL_PAUSE_NS && lost + twice + wrong == 0;
    let report = json!({
        "schema_version": 1, "bench": "swap", "swaps": swaps,
        "pause_ns": { "p50": pause[0], "p99": pause[1], "max": pause[2] },
        "ticks": counted.ticks, "ticks_lost": lost, "ticks_twice": twice, "ticks_of_a_wrong_generation": wrong,
        "idle_tick_ns": { "service": idle.0, "lineup_and_account_alone": idle.1 },
        "goal": { "pause_p99_ns": GOAL_PAUSE_NS, "ticks_lost_or_twice": 0 }, "met": met,
    });
    if json {
        println!("{report}");
    } else {
        println!(
            "{swaps} swaps between components under feed: pause p50 {} ns, p99 {} ns, max {} ns",
            pause[0], pause[1], pause[2]
        );
        println!(
            "{} ticks, an order on each, over {swaps} swaps: {lost} lost, {twice} answered twice, {wrong} by a wrong generation",
            counted.ticks
        );
        println!(
            "a tick of the service at full speed with nothing pending: {:.0} ns, of lineup and account alone {:.0} ns",
            idle.0, idle.1
        );
        println!(
            "goals: pause p99 ≤ {GOAL_PAUSE_NS} ns, no tick lost or twice: {}",
            if met { "met" } else { "MISSED" }
        );
    }
    Ok(())
}

/// One swap as its operation tells it.
struct Swapped {
    seq: u64,
    generation: u64,
    pause_ns: u64,
}

struct Session {
    swaps: Vec<Swapped>,
    ticks: u64,
    orders: Vec<OrderView>,
}

/// Runs a service, swaps to and fro, and reads what it has written down.
fn session(maker: &Arc<dyn LineupMaker>, swaps: usize) -> Result<Session> {
    let dir = tempfile::tempdir()?;
    let stop = Arc::new(AtomicBool::new(false));
    let (config, variety) = service(dir.path(), Arc::clone(maker), SPEED, 250)?;
    let (ready, is_ready) = std::sync::mpsc::channel();
    let thread = std::thread::spawn({
        let stop = Arc::clone(&stop);
        move || serve(config, vec![variety], &stop, || ready.send(()).unwrap_or_default())
    });
    is_ready.recv_timeout(PATIENCE).context("the service did not start")?;
    let client = Client::new(dir.path(), "paper");
    let view = || -> Result<VarietyView> { ask(&client, Call::Variety { variety: VARIETY.to_owned() }) };
    let began = Instant::now();
    while view()?.ticks < 100 && began.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(1));
    }
    let first = deploy(&client, &view()?)?;
    let mut done = vec![wait(&client, &first)?];
    while done.len() < swaps {
        let change = Change {
            variety: VARIETY.to_owned(),
            generation: Some(view()?.generation),
            order_policy: None,
            activate_at: ActivateAt::NextTick,
            actor: actor(),
        };
        let operation: OperationView = ask(&client, Call::Rollback(change))?;
        done.push(wait(&client, &operation.id)?);
    }
    let ticks = view()?.ticks;
    stop.store(true, Ordering::Release);
    thread.join().map_err(|_| anyhow!("the service panicked"))??;
    let journal = std::fs::read_to_string(dir.path().join("trading/paper").join(VARIETY).join("orders.jsonl"))?;
    let orders = journal.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    Ok(Session { swaps: done, ticks, orders })
}

/// Ticks without an order, with more than one, and with one of another generation than was active.
fn account(session: &Session) -> Result<(u64, u64, u64)> {
    let mut by_tick: BTreeMap<u64, Vec<(u64, u64)>> = BTreeMap::new();
    for order in session.orders.iter().filter(|o| o.generation > 0) {
        let orders = by_tick.entry(order.seq).or_default();
        // An order is told again when it gets further.
        if !orders.iter().any(|(id, _)| *id == order.id) {
            orders.push((order.id, order.generation));
        }
    }
    let first = *by_tick.keys().next().context("no orders at all")?;
    let (mut lost, mut twice, mut wrong) = (0, 0, 0);
    for tick in first..=session.ticks {
        let due = session.swaps.iter().rev().find(|s| s.seq <= tick).map_or(1, |s| s.generation);
        match by_tick.get(&tick).map(Vec::as_slice) {
            None => lost += 1,
            Some([(_, generation)]) => wrong += u64::from(*generation != due),
            Some(_) => twice += 1,
        }
    }
    Ok((lost, twice, wrong))
}

/// Time of a tick, ns: of the service at full speed, and of lineup and account in a plain loop over the same days.
fn idle_tick(maker: &Arc<dyn LineupMaker>) -> Result<(f64, f64)> {
    const DAYS: u32 = 3;
    let dir = tempfile::tempdir()?;
    let plain = {
        let (_, variety) = service(dir.path(), Arc::new(EveryTick), 0.0, DAYS)?;
        let days = variety.source.collect::<Result<Vec<_>, Problem>>()?;
        let (spec, product): (RunSpec, Variety) = (variety.spec, variety.variety);
        let mut best = f64::INFINITY;
        for _ in 0..3 {
            let mut lineup = maker.make(&lineup("taker"), &instrument())?;
            let settings = EngineSettings::of(&spec, FillModelName::Pessimistic, 1);
            let mut engine = Engine::new(settings, Ledger::new(&spec, &product)?);
            let (mut ticks, mut actions) = (0u64, Vec::new());
            let began = Instant::now();
            for day in &days {
                let day = day.as_day();
                let mut run = engine.open_day(&day, 20)?;
                for row in 0..day.view.rows() {
                    engine.arrive(&mut run, row);
                    let account = engine.account_view();
                    lineup.tick(&day.view, row, &account, engine.events(), &mut actions)?;
                    engine.decided(&mut run, row, &actions)?;
                }
                ticks += day.view.rows() as u64;
                engine.close_day(&mut run);
            }
            best = best.min(began.elapsed().as_nanos() as f64 / ticks.max(1) as f64);
        }
        best
    };
    Ok((served(maker, DAYS)?, plain))
}

/// Time of a tick of a service that plays its days at full speed, from its first tick to its last, ns.
fn served(maker: &Arc<dyn LineupMaker>, days: u32) -> Result<f64> {
    let mut best = f64::INFINITY;
    for _ in 0..3 {
        let dir = tempfile::tempdir()?;
        let (config, variety) = service(dir.path(), Arc::clone(maker), 0.0, days)?;
        let stop = Arc::new(AtomicBool::new(false));
        let mut ready = None;
        let ended = serve(config, vec![variety], &stop, || ready = Some(Instant::now()))?;
        let passed_ns = ready.context("the service was never ready")?.elapsed().as_nanos() as f64;
        let ticks = ended.varieties.first().map_or(0, |v| v.ticks);
        best = best.min(passed_ns / ticks.max(1) as f64);
    }
    Ok(best)
}

fn deploy(client: &Client, view: &VarietyView) -> Result<String> {
    let resolved = lineup("maker");
    let mut plan = Plan {
        plan_hash: resolved.id(),
        account: view.account.clone(),
        variety: view.variety.clone(),
        base_generation: view.generation,
        base_lineup: view.active.as_ref().map(|a| a.id),
        lineup_id: resolved.id(),
        resolved,
        followed: BTreeMap::new(),
        diff: Vec::new(),
        capacity: Vec::new(),
        breaking: Vec::new(),
    };
    plan.plan_hash = plan_hash(&plan);
    let deploy = Deploy {
        generation: plan.base_generation,
        plan,
        mode: Mode::Swap,
        activate_at: ActivateAt::NextTick,
        order_policy: None,
        acknowledge: Vec::new(),
        actor: actor(),
    };
    let operation: OperationView = ask(client, Call::Deploy(deploy))?;
    Ok(operation.id)
}

fn wait(client: &Client, id: &str) -> Result<Swapped> {
    let began = Instant::now();
    loop {
        let operation: OperationView = ask(client, Call::Operation { id: id.to_owned() })?;
        if operation.state == "succeeded" {
            let fact = |name: &str| operation.evidence.get(name).and_then(Value::as_u64).context(name.to_owned());
            return Ok(Swapped {
                seq: fact("swapped_at_seq")?,
                generation: operation.generation.context("a generation")?,
                pause_ns: fact("pause_ns")?,
            });
        }
        if operation.ended || began.elapsed() > PATIENCE {
            bail!("{operation:#?}");
        }
        std::thread::sleep(Duration::from_micros(500));
    }
}

fn ask<T: serde::de::DeserializeOwned>(client: &Client, call: Call) -> Result<T> {
    Ok(serde_json::from_value(client.call(call, PATIENCE)?)?)
}

fn actor() -> Actor {
    Actor { name: "bench".to_owned(), role: "operator".to_owned(), reason: String::new() }
}

fn lineup(name: &str) -> ResolvedLineup {
    let digest = Digest::of(name.as_bytes());
    let strategy = ResolvedPlugin { identity: name.to_owned(), digest, params: BTreeMap::new() };
    ResolvedLineup { name: name.to_owned(), features: Vec::new(), model: None, strategy, schema_hash: String::new() }
}

fn instrument() -> Instrument {
    Instrument { symbol: "SHFE.cu2509".to_owned(), price_tick: 10.0, multiplier: 5.0 }
}

fn service(
    runs_dir: &Path,
    maker: Arc<dyn LineupMaker>,
    speed: f64,
    days: u32,
) -> Result<(ServiceConfig, VarietyConfig)> {
    let settings = Settings {
        speed,
        ring_rows: 20_000,
        shadow_min_ticks: 0,
        shadow_min_sessions: 0,
        prove_ticks: 0,
        standby_ticks: u64::MAX,
        max_consecutive_errors: 20,
        restart_backoff_ms: 200,
        restart_max: 3,
        restart_window_s: 600,
        order_policy: OrderPolicy::Keep,
        on_halt: OrderPolicy::Cancel,
        live_call_cpu_ms: 5,
        initial_cny: 1e9,
        now_ns,
    };
    let variety: Variety = format!("SHFE.{VARIETY}").parse()?;
    let source = synthetic(SynthSpec::new(variety.clone(), days, 1, 0.5), Calendar::builtin())?;
    let text =
        format!("version = 1\nname = \"bench\"\nvariety = \"{VARIETY}\"\n[lineup.strategy]\nplugin = \"none\"\n");
    let mut spec = RunSpec::parse(&text, "bench", &[])?;
    spec.account.initial_cny = 1e9;
    let config = ServiceConfig {
        runs_dir: runs_dir.to_owned(),
        account: "paper".to_owned(),
        source: "synthetic".to_owned(),
        settings,
        fill_model: FillModelName::Pessimistic,
        maker,
    };
    Ok((config, VarietyConfig { variety, source, first_lineup: lineup("taker"), spec }))
}

fn now_ns() -> i64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "the service's records carry the wall clock; no figure comes from it"
    )]
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_nanos()).unwrap_or(i64::MAX)
}

/// Core factors with the taker or the maker, as components.
struct Components {
    factors: Arc<Plugin>,
    taker: Arc<Plugin>,
    maker: Arc<Plugin>,
}

impl LineupMaker for Components {
    fn make(&self, lineup: &ResolvedLineup, instrument: &Instrument) -> Result<Lineup, Problem> {
        let strategy = if lineup.name == "taker" { &self.taker } else { &self.maker };
        let params = |p: &Plugin| p.manifest().resolve_params(&Params::new()).unwrap_or_default();
        let features = vec![self.factors.feature(&params(&self.factors), instrument)?];
        let strategy = strategy.strategy(&params(strategy), instrument)?;
        Ok(Lineup::new(LineupParts { features, scorer: None, strategy })?)
    }
}

/// A strategy that sends an order on every tick.
struct EveryTick;

struct Sender {
    description: StrategyDescription,
    client_id: u64,
}

impl LineupMaker for EveryTick {
    fn make(&self, _: &ResolvedLineup, _: &Instrument) -> Result<Lineup, Problem> {
        let description = StrategyDescription { inputs: vec!["last_price".to_owned()], warmup_rows: 0 };
        let strategy = Box::new(Sender { description, client_id: 0 });
        Ok(Lineup::new(LineupParts { features: Vec::new(), scorer: None, strategy })?)
    }
}

impl StrategyInstance for Sender {
    fn description(&self) -> &StrategyDescription {
        &self.description
    }

    fn run(&mut self, step: &Step<'_>, out: &mut Vec<u64>) -> Result<u32, PluginFault> {
        let account = step.account;
        self.client_id += 1;
        let order = Order {
            client_id: self.client_id,
            contract: account.contract,
            side: if account.long_lots > account.short_lots { Side::Sell } else { Side::Buy },
            offset: Offset::Auto,
            lots: 1,
            limit_cny: None,
            tif: Tif::Immediate,
            post_only: false,
        };
        out.extend(Action::Place(order).encode());
        Ok(0)
    }
}

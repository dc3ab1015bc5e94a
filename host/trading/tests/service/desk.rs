//! A service in this process, on a synthetic market, with lineups that are native and do what a test needs.

use ghtrader_backtest::{FillModelName, PluginSpec, RunSpec};
use ghtrader_core::{Calendar, Digest, ErrorClass, Problem, Variety};
use ghtrader_kernels::wire::{Action, Offset, Order, Side, Tif};
use ghtrader_market::synth::SynthSpec;
use ghtrader_plugin::{
    Answer, Boundary, CallSite, FeatureDescription, FeatureInstance, Instrument, OutputColumn, PluginFault, Step,
    StrategyDescription, StrategyInstance,
};
use ghtrader_runtime::{Lineup, LineupParts};
use ghtrader_trading::protocol::{
    ActivateAt, Actor, Call, Change, Deploy, Failure, Mode, OperationView, OrderPolicy, Plan, ResolvedLineup,
    ResolvedPlugin, VarietyView,
};
use ghtrader_trading::{
    Client, ClientError, Ended, LineupMaker, ServiceConfig, Settings, VarietyConfig, run, synthetic,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// What a native strategy does: `flip` trades every `every` rows, `trap` fails at its `at`th row, `error` answers with errors.
struct Native {
    description: StrategyDescription,
    kind: String,
    every: u64,
    at: u64,
    rows: u64,
    client_id: u64,
}

impl StrategyInstance for Native {
    fn description(&self) -> &StrategyDescription {
        &self.description
    }

    fn run(&mut self, step: &Step<'_>, out: &mut Vec<u64>) -> Result<u32, PluginFault> {
        let account = step.account;
        self.rows += 1;
        let at = || CallSite { plugin: "strategy/native".into(), function: "run", rows: 0..1 };
        match self.kind.as_str() {
            "trap" if self.rows >= self.at => {
                return Err(PluginFault::Trap { at: at(), trap: "unreachable".to_owned(), log: Vec::new() });
            }
            "error" if self.rows >= self.at => {
                return Err(PluginFault::Error { at: at(), answer: Answer::Other, message: "no".to_owned() });
            }
            _ => {}
        }
        if !self.rows.is_multiple_of(self.every) {
            return Ok(1);
        }
        self.client_id += 1;
        let long = account.long_lots > account.short_lots;
        let order = Order {
            client_id: self.client_id,
            contract: account.contract,
            side: if long { Side::Sell } else { Side::Buy },
            offset: Offset::Auto,
            lots: if account.long_lots == account.short_lots { 1 } else { 2 },
            limit_cny: None,
            tif: Tif::Immediate,
            post_only: false,
        };
        out.extend(Action::Place(order).encode());
        Ok(0)
    }
}

/// The last price, and NaN for ever from row `at` on where it is `dead`.
struct Price {
    description: FeatureDescription,
    dead: bool,
}

impl FeatureInstance for Price {
    fn description(&self) -> &FeatureDescription {
        &self.description
    }

    fn boundary(&mut self, _: Boundary) -> Result<(), PluginFault> {
        Ok(())
    }

    fn compute(&mut self, rows: &[u64], out: &mut Vec<f64>) -> Result<(), PluginFault> {
        out.extend(rows.iter().map(|w| if self.dead { f64::NAN } else { f64::from_bits(*w) }));
        Ok(())
    }
}

pub(crate) struct Maker;

impl LineupMaker for Maker {
    fn make(&self, lineup: &ResolvedLineup, _: &Instrument) -> Result<Lineup, Problem> {
        let integer = |name: &str, or: u64| lineup.strategy.params.get(name).and_then(Value::as_u64).unwrap_or(or);
        let kind = lineup.strategy.identity.clone();
        if kind == "missing" {
            return Err(Problem::new("unknown_plugin", ErrorClass::User, "it is not there", "push it"));
        }
        let price = Price {
            description: FeatureDescription {
                inputs: vec!["last_price".to_owned()],
                outputs: vec![OutputColumn { name: "price".to_owned(), unit: "CNY".to_owned() }],
                warmup_rows: 0,
            },
            dead: kind == "dead",
        };
        let strategy = Native {
            description: StrategyDescription { inputs: vec!["feature/price".to_owned()], warmup_rows: 10 },
            kind,
            every: integer("every", 10),
            at: integer("at", u64::MAX),
            rows: 0,
            client_id: 0,
        };
        let parts = LineupParts { features: vec![Box::new(price)], scorer: None, strategy: Box::new(strategy) };
        Ok(Lineup::new(parts)?)
    }
}

/// A lineup of one strategy by what it does.
pub(crate) fn lineup(kind: &str, params: Value) -> ResolvedLineup {
    let params: BTreeMap<String, Value> = serde_json::from_value(params).expect("an object");
    let digest = Digest::of(format!("{kind} {params:?}").as_bytes());
    let strategy = ResolvedPlugin { identity: kind.to_owned(), digest, params };
    ResolvedLineup { name: kind.to_owned(), features: Vec::new(), model: None, strategy, schema_hash: String::new() }
}

fn now_ns() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "the edge of a test")]
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    i64::try_from(now.as_nanos()).expect("before 2262")
}

pub(crate) fn settings() -> Settings {
    Settings {
        speed: 2_000.0,
        ring_rows: 5_000,
        shadow_min_ticks: 100,
        shadow_min_sessions: 0,
        prove_ticks: 50,
        standby_ticks: 1_000_000,
        max_consecutive_errors: 20,
        restart_backoff_ms: 1,
        restart_max: 2,
        restart_window_s: 600,
        order_policy: OrderPolicy::Keep,
        on_halt: OrderPolicy::Cancel,
        live_call_cpu_ms: 1_000,
        initial_cny: 1e8,
        now_ns,
    }
}

/// A service that runs in a thread of the test.
pub(crate) struct Desk {
    pub(crate) client: Client,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<Ended, Problem>>>,
}

impl Desk {
    pub(crate) fn start(dir: &Path, varieties: &[&str], first: &ResolvedLineup, settings: Settings) -> Self {
        Self::of(dir, varieties.iter().map(|v| variety(v, first)).collect(), settings)
    }

    pub(crate) fn of(dir: &Path, varieties: Vec<VarietyConfig>, settings: Settings) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let config = ServiceConfig {
            runs_dir: dir.to_owned(),
            account: "paper".to_owned(),
            source: "synthetic".to_owned(),
            settings,
            fill_model: FillModelName::Pessimistic,
            maker: Arc::new(Maker),
        };
        let (ready, is_ready) = std::sync::mpsc::channel();
        let thread = std::thread::spawn({
            let stop = Arc::clone(&stop);
            move || {
                run(config, varieties, &stop, || {
                    let _ = ready.send(());
                })
            }
        });
        if is_ready.recv_timeout(PATIENCE).is_err() {
            panic!("the service did not start: {:?}", thread.join().map(|r| r.map(drop)));
        }
        Self { client: Client::new(dir, "paper"), stop, thread: Some(thread) }
    }

    pub(crate) fn stop(mut self) -> Ended {
        self.stop.store(true, Ordering::Release);
        self.thread.take().expect("a thread").join().expect("no panic").expect("an end in order")
    }

    pub(crate) fn call<T: for<'de> serde::Deserialize<'de>>(&self, call: Call) -> Result<T, Failure> {
        match self.client.call(call, PATIENCE) {
            Ok(value) => Ok(serde_json::from_value(value).expect("the form that the protocol names")),
            Err(ClientError::Refused(failure)) => Err(failure),
            Err(other) => panic!("{other}"),
        }
    }

    pub(crate) fn view(&self, variety: &str) -> VarietyView {
        self.call(Call::Variety { variety: variety.to_owned() }).expect("a variety")
    }

    pub(crate) fn plan(&self, variety: &str, lineup: &ResolvedLineup) -> Plan {
        let view = self.view(variety);
        let mut plan = Plan {
            plan_hash: Digest([0; 32]),
            account: view.account,
            variety: view.variety,
            base_generation: view.generation,
            base_lineup: view.active.map(|a| a.id),
            lineup_id: lineup.id(),
            resolved: lineup.clone(),
            followed: BTreeMap::new(),
            diff: Vec::new(),
            capacity: Vec::new(),
            breaking: Vec::new(),
        };
        plan.plan_hash = ghtrader_trading::plan_hash(&plan);
        plan
    }

    pub(crate) fn deploy(&self, plan: &Plan, mode: Mode, at: ActivateAt) -> Result<OperationView, Failure> {
        self.call(Call::Deploy(Deploy {
            plan: plan.clone(),
            mode,
            activate_at: at,
            order_policy: None,
            acknowledge: Vec::new(),
            generation: plan.base_generation,
            actor: actor(),
        }))
    }

    pub(crate) fn change(&self, call: fn(Change) -> Call, variety: &str) -> Result<OperationView, Failure> {
        let generation = Some(self.view(variety).generation);
        self.call(call(Change {
            variety: variety.to_owned(),
            generation,
            order_policy: None,
            activate_at: ActivateAt::NextTick,
            actor: actor(),
        }))
    }

    pub(crate) fn operation(&self, id: &str) -> OperationView {
        self.call(Call::Operation { id: id.to_owned() }).expect("an operation")
    }

    /// Waits until an operation is in one of these states.
    pub(crate) fn until(&self, id: &str, states: &[&str]) -> OperationView {
        let began = Instant::now();
        loop {
            let operation = self.operation(id);
            if states.contains(&operation.state.as_str()) {
                return operation;
            }
            assert!(!operation.ended && began.elapsed() < PATIENCE, "not {states:?}: {operation:#?}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits until a variety is as wanted.
    pub(crate) fn until_view(&self, variety: &str, wanted: impl Fn(&VarietyView) -> bool) -> VarietyView {
        let began = Instant::now();
        loop {
            let view = self.view(variety);
            if wanted(&view) {
                return view;
            }
            assert!(began.elapsed() < PATIENCE, "{view:#?}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

pub(crate) fn actor() -> Actor {
    Actor { name: "ann".to_owned(), role: "operator".to_owned(), reason: "a test".to_owned() }
}

pub(crate) fn variety(product: &str, first: &ResolvedLineup) -> VarietyConfig {
    let variety: Variety = format!("SHFE.{product}").parse().expect("a variety");
    let mut spec = SynthSpec::new(variety.clone(), 60, 1, 0.0);
    spec.rows_per_day = 4_000;
    let source = synthetic(spec, Calendar::builtin()).expect("a market");
    let plugin = PluginSpec { plugin: "none".to_owned(), params: BTreeMap::new() };
    let mut spec = RunSpec::of_strategy("paper", product, plugin);
    spec.account.initial_cny = 1e8;
    VarietyConfig { variety, source, first_lineup: first.clone(), spec }
}

/// A lineup that trades now and then.
pub(crate) fn flip(every: u64) -> ResolvedLineup {
    lineup("flip", json!({ "every": every }))
}

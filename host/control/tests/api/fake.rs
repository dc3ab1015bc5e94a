//! An account's service that speaks the protocol and does what a test wants.

use ghtrader_control::wall_clock_ns;
use ghtrader_core::Digest;
use ghtrader_trading::protocol::{
    AccountStatus, Call, Failure, GateCondition, Latency, LineupRecord, LineupView, OperationView, Reply, Request,
    ResolvedLineup, ResolvedPlugin, ServiceEvent, ShadowReport, Stage, VarietyView,
};
use ghtrader_trading::socket_path;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[derive(Default)]
pub(crate) struct State {
    pub(crate) generation: u64,
    pub(crate) calls: Vec<Call>,
    pub(crate) operations: Vec<OperationView>,
    /// What the active lineup's strategy is.
    pub(crate) strategy: Option<Digest>,
    /// How long a deployment takes to be taken on.
    pub(crate) slow: Duration,
    /// Another operation is under way.
    pub(crate) busy: bool,
    /// Breaks off without an answer.
    pub(crate) breaks: bool,
    subscribers: Vec<UnixStream>,
}

/// A service of one account that runs `cu`.
#[derive(Clone)]
pub(crate) struct Fake {
    account: String,
    pub(crate) state: Arc<Mutex<State>>,
}

impl Fake {
    pub(crate) fn start(runs_dir: &Path, account: &str) -> Self {
        let path = socket_path(runs_dir, account);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(path).unwrap();
        let state = State { generation: 7, ..State::default() };
        let fake = Self { account: account.to_owned(), state: Arc::new(Mutex::new(state)) };
        let me = fake.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let me = me.clone();
                std::thread::spawn(move || me.serve(stream.unwrap()));
            }
        });
        fake
    }

    fn serve(&self, mut stream: UnixStream) {
        let mut line = String::new();
        if BufReader::new(stream.try_clone().unwrap()).read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let request: Request = serde_json::from_str(&line).unwrap();
        if request.call == Call::Subscribe {
            self.state.lock().unwrap().subscribers.push(stream);
            return;
        }
        let is_deploy = matches!(request.call, Call::Deploy(_));
        let (slow, breaks) = {
            let mut state = self.state.lock().unwrap();
            state.calls.push(request.call.clone());
            (state.slow, state.breaks)
        };
        if breaks {
            return;
        }
        if is_deploy {
            std::thread::sleep(slow);
        }
        let reply = match self.answer(request.call) {
            Ok(value) => Reply::Ok(value),
            Err(failure) => Reply::Error(failure),
        };
        let mut text = serde_json::to_string(&reply).unwrap();
        text.push('\n');
        let _ = stream.write_all(text.as_bytes());
    }

    /// Tells every subscriber.
    pub(crate) fn tell(&self, topic: &str, data: Value) {
        let event = ServiceEvent { topic: topic.to_owned(), variety: "cu".to_owned(), data };
        let mut line = serde_json::to_string(&event).unwrap();
        line.push('\n');
        let mut state = self.state.lock().unwrap();
        state.subscribers.retain_mut(|s| s.write_all(line.as_bytes()).is_ok());
    }

    pub(crate) fn subscribers(&self) -> usize {
        self.state.lock().unwrap().subscribers.len()
    }

    fn answer(&self, call: Call) -> Result<Value, Failure> {
        let mut state = self.state.lock().unwrap();
        let value = match call {
            Call::Varieties => json!([self.view(&state)]),
            Call::Variety { variety } | Call::History { variety } | Call::Shadow { variety } if variety != "cu" => {
                return Err(failure("unknown_variety", "user", "no such variety"));
            }
            Call::Variety { .. } => json!(self.view(&state)),
            Call::History { .. } => json!([1, 2, 3].map(|g| record(&state, g))),
            Call::Shadow { .. } => json!(report()),
            Call::Orders { .. } => json!([]),
            Call::Deploy(d) => {
                if d.generation != state.generation {
                    let stale = failure("generation_stale", "conflict", "the variety has moved on");
                    return Err(Failure { generation: Some(state.generation), ..stale });
                }
                if state.busy {
                    return Err(failure("operation_running", "conflict", "another operation is under way"));
                }
                let mut operation = self.operation(&state, "swap");
                operation.plan_hash = Some(d.plan.plan_hash);
                state.operations.push(operation.clone());
                json!(operation)
            }
            Call::Rollback(_) => return Err(failure("no_standby", "conflict", "there is no standby")),
            Call::Promote(_) => return Err(failure("gate_failed", "negative", "the gate is shut")),
            Call::Resume(_) => return Err(failure("not_halted", "conflict", "it is not halted")),
            Call::Halt(_) => {
                let operation = self.operation(&state, "halt");
                state.operations.push(operation.clone());
                json!(operation)
            }
            Call::Operations { .. } => json!(state.operations.iter().rev().collect::<Vec<_>>()),
            Call::Operation { id } | Call::CancelOperation { id, .. } => {
                let found = state.operations.iter().find(|o| o.id == id);
                json!(found.ok_or_else(|| failure("unknown_operation", "user", "no such operation"))?)
            }
            Call::Status => json!(AccountStatus {
                account: self.account.clone(),
                kind: "paper".to_owned(),
                pid: 1,
                source: "fake".to_owned(),
                varieties: vec![self.view(&state)],
            }),
            Call::Subscribe | Call::Stop => Value::Null,
        };
        Ok(value)
    }

    fn operation(&self, state: &State, kind: &str) -> OperationView {
        OperationView {
            id: format!("op-{}", state.operations.len() + 1),
            kind: kind.to_owned(),
            account: self.account.clone(),
            variety: "cu".to_owned(),
            state: "accepted".to_owned(),
            ended: false,
            actor: "x".to_owned(),
            plan_hash: None,
            lineup_id: Some(Digest::of(b"new")),
            from_generation: state.generation,
            generation: None,
            trace: vec![Stage { state: "accepted".to_owned(), at_ns: state.operations.len() as i64 }],
            error: None,
            evidence: BTreeMap::new(),
        }
    }

    fn view(&self, state: &State) -> VarietyView {
        VarietyView {
            account: self.account.clone(),
            variety: "cu".to_owned(),
            generation: state.generation,
            state: "running".to_owned(),
            active: Some(LineupView {
                id: Digest::of(b"active"),
                generation: Some(state.generation),
                name: "base".to_owned(),
                lineup: lineup(state.strategy),
                ticks: 10,
                faults: 0,
                errors_in_row: 0,
                pnl_cny: 0.0,
                fills: 0,
                position_lots: 0,
                memory_bytes: 0,
            }),
            standby: None,
            shadow: None,
            operation: state.busy.then(|| "op-cu-9".to_owned()),
            contract: "SHFE.cu2509".to_owned(),
            ticks: 10,
            last_tick_ns: 1,
            tick_age_ms: Some(5),
            position_lots: 2,
            working_orders: 0,
            equity_cny: 1e6,
            updated_at_ns: wall_clock_ns(),
        }
    }
}

fn failure(code: &str, class: &str, what: &str) -> Failure {
    let (code, class, what) = (code.to_owned(), class.to_owned(), what.to_owned());
    Failure { code, class, what, remedy: "do something else".to_owned(), generation: None }
}

pub(crate) fn lineup(strategy: Option<Digest>) -> ResolvedLineup {
    let strategy = ResolvedPlugin {
        identity: "strategy/taker@0.1.0".to_owned(),
        digest: strategy.unwrap_or(Digest::of(b"strategy")),
        params: BTreeMap::new(),
    };
    ResolvedLineup { name: "base".to_owned(), features: vec![], model: None, strategy, schema_hash: String::new() }
}

fn record(state: &State, generation: u64) -> LineupRecord {
    let id = Digest::of(&generation.to_le_bytes());
    LineupRecord { generation, id, lineup: lineup(state.strategy), operation: String::new(), since_ns: 1 }
}

fn report() -> ShadowReport {
    ShadowReport {
        lineup_id: Digest::of(b"shadow"),
        ticks: 2000,
        sessions: 1,
        equal_ticks: 1990,
        equal_share: Some(0.995),
        first_difference: Some((12, "score".to_owned())),
        outputs: vec![],
        target_disagreements: 3,
        latency_ns: [Latency { p50: 1, p99: 2, max: 3 }; 2],
        faults: BTreeMap::new(),
        pnl_cny: [1.0, 2.0],
        gate: vec![GateCondition { name: "shadow_min_ticks".to_owned(), value: 2000.0, bound: 2000.0, holds: true }],
        gate_open: true,
    }
}

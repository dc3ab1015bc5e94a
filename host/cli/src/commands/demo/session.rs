//! The paper session at the demo's end: three varieties at once, a shadow, a hot swap, a rollback, an audit that holds.
//!
//! It runs the account's service as `ghtrader paper run` does and asks it over its socket, as the control API does.

use crate::commands::paper::{REFERENCE, account_spec, push_reference, settings, shown};
use crate::context::Context;
use ghtrader_backtest::FillModelName;
use ghtrader_core::{ErrorClass, Problem, Variety};
use ghtrader_durable::Audit;
use ghtrader_market::synth::SynthSpec;
use ghtrader_plugin::Role;
use ghtrader_trading::protocol::{
    ActivateAt, Actor, Call, Change, Deploy, Mode, OperationView, ShadowReport, VarietyView,
};
use ghtrader_trading::{
    Client, LineupFile, RegistryMaker, ServiceConfig, VarietyConfig, first_lineup, make_plan, run as serve, synthetic,
};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const ACCOUNT: &str = "demo";
const VARIETIES: [&str; 3] = ["ag", "au", "cu"];
/// The one that is swapped.
const SWAPPED: &str = "cu";
/// Times the speed of the market: four thousand ticks a second.
const SPEED: f64 = 2_000.0;
/// Ticks that the shadow runs beside the reference before it takes over.
const SHADOW_TICKS: u64 = 500;
const PATIENCE: Duration = Duration::from_secs(30);
const CHALLENGER: &str = r#"
version = 1
name = "maker"

[[features]]
plugin = "core-factors:reference"

[strategy]
plugin = "maker:reference"
"#;

/// What happened in the session.
#[derive(Debug, Serialize)]
pub(super) struct Session {
    varieties: Vec<VarietyView>,
    shadow: ShadowReport,
    swap: OperationView,
    rollback: OperationView,
    audit_entries: u64,
}

impl Session {
    pub(super) fn summary(&self) -> String {
        let fact =
            |o: &OperationView, name: &str| o.evidence.get(name).and_then(serde_json::Value::as_u64).unwrap_or(0);
        format!(
            "hot swap at tick {} stopped the ticks for {:.1} µs, proved over {} ticks, rolled back at tick {}",
            fact(&self.swap, "swapped_at_seq"),
            fact(&self.swap, "pause_ns") as f64 / 1e3,
            fact(&self.swap, "proved_ticks"),
            fact(&self.rollback, "swapped_at_seq"),
        )
    }

    pub(super) fn table(&self) -> String {
        format!("{}\naudit: {} entries, each follows the one before", shown(&self.varieties), self.audit_entries)
    }
}

/// Plays a synthetic session of all varieties and changes a lineup in it.
pub(super) fn run(context: &Context, plugins: &Path) -> Result<Session, Problem> {
    let registry = context.registry()?;
    let folders = [plugins.to_path_buf()];
    for (role, name) in [(Role::Feature, "core-factors"), (Role::Strategy, "taker"), (Role::Strategy, "maker")] {
        push_reference(context, &registry, role, name, &folders)?;
    }
    let room = context.room();
    let reference = LineupFile::parse(REFERENCE, "the reference lineup")?;
    let challenger = LineupFile::parse(CHALLENGER, "the challenger")?;
    let runs_dir: PathBuf = context.dir("runs_dir");
    let mut varieties = Vec::new();
    for product in VARIETIES {
        let variety: Variety = format!("SHFE.{product}").parse().map_err(super::bad_symbol)?;
        let spec = SynthSpec::new(variety.clone(), 250, 1, 0.5);
        varieties.push(VarietyConfig {
            source: synthetic(spec, &context.calendar)?,
            first_lineup: first_lineup(&registry, &room, ACCOUNT, product, &reference)?,
            spec: account_spec(context, &variety)?,
            variety,
        });
    }
    let config = ServiceConfig {
        runs_dir: runs_dir.clone(),
        account: ACCOUNT.to_owned(),
        source: "synthetic".to_owned(),
        settings: settings(context, SPEED),
        fill_model: FillModelName::Pessimistic,
        maker: Arc::new(RegistryMaker::new(registry.clone(), room.models_dir.clone())),
    };
    let stop = Arc::new(AtomicBool::new(false));
    let (ready, is_ready) = std::sync::mpsc::channel();
    let service = std::thread::spawn({
        let stop = Arc::clone(&stop);
        move || {
            serve(config, varieties, &stop, || {
                let _ = ready.send(());
            })
        }
    });
    let desk = Desk(Client::new(&runs_dir, ACCOUNT));
    let played = match is_ready.recv_timeout(PATIENCE) {
        Ok(()) => desk.change_lineups(|view| make_plan(&registry, &room, view, &challenger)),
        Err(_) => Err(late("the service does not start")),
    };
    stop.store(true, Ordering::Release);
    let ended = service.join().map_err(|_| late("the service failed by a defect"))??;
    let (shadow, swap, rollback) = played?;
    let audit_entries = Audit::new(&runs_dir.join("audit")).verify()?.entries;
    Ok(Session { varieties: ended.varieties, shadow, swap, rollback, audit_entries })
}

fn late(what: &str) -> Problem {
    Problem::new("session_failed", ErrorClass::Internal, what, "run the demo again; report it if it comes back")
}

fn actor() -> Actor {
    Actor { name: "demo".to_owned(), role: "operator".to_owned(), reason: "the demo's session".to_owned() }
}

/// Asks the service.
struct Desk(Client);

impl Desk {
    fn change_lineups(
        &self,
        plan: impl Fn(&VarietyView) -> Result<ghtrader_trading::protocol::Plan, Problem>,
    ) -> Result<(ShadowReport, OperationView, OperationView), Problem> {
        let view = self.until(|v| v.ticks >= 100)?;
        let plan = plan(&view)?;
        let deploy = |mode| {
            Call::Deploy(Deploy {
                generation: plan.base_generation,
                plan: plan.clone(),
                mode,
                activate_at: ActivateAt::NextTick,
                order_policy: None,
                acknowledge: Vec::new(),
                actor: actor(),
            })
        };
        self.follow(deploy(Mode::Shadow), "shadowing")?;
        self.until(|v| v.shadow.as_ref().is_some_and(|s| s.ticks >= SHADOW_TICKS))?;
        let shadow = self.ask(Call::Shadow { variety: SWAPPED.to_owned() })?;
        let swap = self.follow(deploy(Mode::Swap), "succeeded")?;
        let back = Change {
            variety: SWAPPED.to_owned(),
            generation: swap.generation,
            order_policy: None,
            activate_at: ActivateAt::NextTick,
            actor: actor(),
        };
        let rollback = self.follow(Call::Rollback(back), "succeeded")?;
        Ok((shadow, swap, rollback))
    }

    fn ask<T: serde::de::DeserializeOwned>(&self, call: Call) -> Result<T, Problem> {
        let value = self.0.call(call, PATIENCE)?;
        serde_json::from_value(value).map_err(|e| late(&format!("an answer cannot be read: {e}")))
    }

    fn until(&self, wanted: impl Fn(&VarietyView) -> bool) -> Result<VarietyView, Problem> {
        let began = Instant::now();
        loop {
            let view: VarietyView = self.ask(Call::Variety { variety: SWAPPED.to_owned() })?;
            if wanted(&view) {
                return Ok(view);
            }
            if began.elapsed() > PATIENCE {
                return Err(late("the variety does not get on"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Begins an operation and waits until it has got that far.
    fn follow(&self, call: Call, state: &str) -> Result<OperationView, Problem> {
        let began = Instant::now();
        let OperationView { id, .. } = self.ask(call)?;
        loop {
            let operation: OperationView = self.ask(Call::Operation { id: id.clone() })?;
            if operation.state == state {
                return Ok(operation);
            }
            if operation.ended || began.elapsed() > PATIENCE {
                let why = operation.error.map_or(operation.state, |e| e.what);
                return Err(late(&format!("operation {id} did not come to `{state}`: {why}")));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

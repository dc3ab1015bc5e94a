//! `ghtrader paper`: the paper account, on a synthetic market or on recorded days.

use crate::args::{Paper as Command, PaperRun, PaperSource};
use crate::context::{Context, io_problem};
use crate::output::{emit, grouped, table};
use ghtrader_backtest::{FillModelName, RunSpec};
use ghtrader_batch::base_days;
use ghtrader_core::{ErrorClass, Problem, Variety};
use ghtrader_market::synth::SynthSpec;
use ghtrader_plugin::{Registry, Role};
use ghtrader_trading::protocol::{AccountStatus, Call, OrderPolicy, VarietyView};
use ghtrader_trading::{
    Client, LineupFile, RegistryMaker, ServiceConfig, Settings, Source, SourceDay, VarietyConfig, first_lineup, run,
    synthetic,
};
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// The lineup of a variety for which nobody has chosen one.
pub(super) const REFERENCE: &str = r#"
version = 1
name = "reference"

[[features]]
plugin = "core-factors:reference"

[strategy]
plugin = "taker:reference"
"#;
/// The plugins of it, with their roles; the tag `reference` names them.
const REFERENCE_PLUGINS: [(Role, &str); 2] = [(Role::Feature, "core-factors"), (Role::Strategy, "taker")];

pub(crate) fn run_command(context: &Context, command: Command) -> Result<ExitCode, Problem> {
    match command {
        Command::Run(flags) => start(context, &flags)?,
        Command::Status { account } => {
            let status = status(context, &account)?;
            emit(context.json, &status, |s| shown(&s.varieties))?;
        }
        Command::Stop { account } => {
            Client::new(&context.dir("runs_dir"), &account).call(Call::Stop, Duration::from_secs(5))?;
            emit(context.json, &json!({ "account": account }), |_| format!("{account} stops"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn status(context: &Context, account: &str) -> Result<AccountStatus, Problem> {
    let value = Client::new(&context.dir("runs_dir"), account).call(Call::Status, Duration::from_secs(5))?;
    serde_json::from_value(value).map_err(|e| {
        Problem::new(
            "protocol_version",
            ErrorClass::Conflict,
            format!("the answer cannot be read: {e}"),
            "use programs of one version",
        )
    })
}

fn start(context: &Context, flags: &PaperRun) -> Result<(), Problem> {
    let mut varieties = flags.var.clone();
    varieties.sort();
    varieties.dedup();
    let registry = context.registry()?;
    let room = context.room();
    let file = match &flags.lineup {
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|e| io_problem("file_unreadable", &format!("cannot read {}", path.display()), &e))?;
            LineupFile::parse(&text, &path.display().to_string())?
        }
        None => LineupFile::parse(REFERENCE, "the reference lineup")?,
    };
    if flags.lineup.is_none() {
        let given = std::env::var_os("GHTRADER_ARTEFACTS").map(PathBuf::from);
        let folders = [Some(context.root.join("artifacts")), given, Some(PathBuf::from("plugins/target/artifacts"))];
        let folders: Vec<PathBuf> = folders.into_iter().flatten().collect();
        for (role, name) in REFERENCE_PLUGINS {
            push_reference(context, &registry, role, name, &folders)?;
        }
    }
    let mut configs = Vec::new();
    for variety in &varieties {
        let first_lineup = first_lineup(&registry, &room, &flags.account, variety.product(), &file)?;
        let source = source(context, flags, variety)?;
        configs.push(VarietyConfig {
            variety: variety.clone(),
            source,
            first_lineup,
            spec: account_spec(context, variety)?,
        });
    }
    let names: Vec<&str> = varieties.iter().map(Variety::product).collect();
    let source = format!("{} at {}", flags.source.name(), flags.speed);
    let config = ServiceConfig {
        runs_dir: context.dir("runs_dir"),
        account: flags.account.clone(),
        source: source.clone(),
        settings: settings(context, flags.speed.times()),
        fill_model: FillModelName::Pessimistic,
        maker: Arc::new(RegistryMaker::new(registry, room.models_dir)),
    };
    let stop = crate::context::stop_on_signals()?;
    crate::log::start();
    let ended = run(config, configs, &stop, || {
        tracing::info!(account = %flags.account, varieties = names.join(","), %source, "paper account runs");
    })?;
    let body = json!({ "account": flags.account, "source": source, "varieties": ended.varieties });
    emit(context.json, &body, |_| shown(&ended.varieties))
}

pub(super) fn shown(varieties: &[VarietyView]) -> String {
    let rows: Vec<Vec<String>> = varieties
        .iter()
        .map(|v| {
            let active = v.active.as_ref();
            vec![
                v.variety.clone(),
                v.state.clone(),
                v.generation.to_string(),
                active.map_or_else(|| "–".to_owned(), |a| a.name.clone()),
                grouped(v.ticks as i64),
                v.position_lots.to_string(),
                active.map_or(0, |a| a.fills).to_string(),
                format!("{:.0}", active.map_or(0.0, |a| a.pnl_cny)),
                format!("{:.0}", v.equity_cny),
            ]
        })
        .collect();
    table(&["variety", "state", "generation", "lineup", "ticks", "position", "fills", "PnL CNY", "equity CNY"], &rows)
}

/// Days of a variety from where the flags say.
fn source(context: &Context, flags: &PaperRun, variety: &Variety) -> Result<Source, Problem> {
    match flags.source {
        PaperSource::Synthetic => {
            let mut spec = SynthSpec::new(variety.clone(), flags.days, flags.seed, flags.signal);
            if let Some(rows) = flags.rows_per_day {
                spec.rows_per_day = rows;
            }
            synthetic(spec, &context.calendar)
        }
        PaperSource::Replay => {
            let store = context.store()?;
            let schedule = super::main_contract::stored_schedule(&*store, variety)?;
            let days =
                base_days(&*store, &context.calendar, &schedule, flags.day.or(flags.from), flags.day.or(flags.to))?;
            Ok(Box::new(days.into_iter().map(SourceDay::recorded)))
        }
    }
}

/// Money, fees and limits of a variety's part of the account: the defaults of a run.
pub(super) fn account_spec(context: &Context, variety: &Variety) -> Result<RunSpec, Problem> {
    let text = format!(
        "version = 1\nname = \"paper\"\nvariety = \"{}\"\n[lineup.strategy]\nplugin = \"none\"\n",
        variety.product()
    );
    RunSpec::parse_with(&text, "the paper account", &context.run_defaults(), &[])
}

pub(super) fn settings(context: &Context, speed: f64) -> Settings {
    let whole = |key: &str| context.settings.integer(key).unsigned_abs();
    let policy = |key: &str| match context.settings.text_of(key) {
        Some("flatten") => OrderPolicy::Flatten,
        Some("cancel") => OrderPolicy::Cancel,
        _ => OrderPolicy::Keep,
    };
    Settings {
        speed,
        ring_rows: whole("lineup.ring_rows") as usize,
        shadow_min_ticks: whole("lineup.shadow_min_ticks"),
        shadow_min_sessions: whole("lineup.shadow_min_sessions"),
        prove_ticks: whole("lineup.prove_ticks"),
        standby_ticks: whole("lineup.standby_ticks"),
        max_consecutive_errors: whole("lineup.max_consecutive_errors"),
        restart_backoff_ms: context.settings.integer("lineup.restart_backoff_ms"),
        restart_max: whole("lineup.restart_max") as usize,
        restart_window_s: context.settings.integer("lineup.restart_window_s"),
        order_policy: policy("lineup.order_policy"),
        on_halt: policy("lineup.on_halt"),
        live_call_cpu_ms: whole("plugin.live_call_cpu_ms"),
        initial_cny: context.settings.number("backtest.initial_cny"),
        now_ns: ghtrader_control::wall_clock_ns,
    }
}

/// Puts a packed reference plugin into the registry, under the tag that the reference lineup and new plugins name.
pub(super) fn push_reference(
    context: &Context,
    registry: &Registry,
    role: Role,
    name: &str,
    folders: &[PathBuf],
) -> Result<(), Problem> {
    if registry.tag(role, name, "reference").is_ok() {
        return Ok(());
    }
    let file = format!("{name}.wasm");
    let found = folders.iter().map(|dir| dir.join(&file)).find(|path| path.is_file());
    let path = found.ok_or_else(|| {
        Problem::new(
            "artefacts_missing",
            ErrorClass::User,
            format!("the packed reference plugin {name} is not there"),
            "run `cargo xtask plugins` in the checkout and copy plugins/target/artifacts/*.wasm into artifacts/, or give --lineup",
        )
    })?;
    let bytes = std::fs::read(&path)
        .map_err(|e| io_problem("file_unreadable", &format!("cannot read {}", path.display()), &e))?;
    let fixture = ghtrader_pipeline::standard_fixture(&context.calendar);
    let now_ns = ghtrader_control::wall_clock_ns();
    let pushed = registry.push(&bytes, None, &fixture, "host", now_ns)?;
    let reason = "the reference lineup";
    registry.set_tag(role, name, "reference", &pushed.digest, None, "host", reason, now_ns)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_lineup_is_lawful() {
        let file = LineupFile::parse(REFERENCE, "reference").unwrap();
        assert_eq!((file.features.len(), file.strategy.plugin.as_str()), (1, "taker:reference"));
    }
}

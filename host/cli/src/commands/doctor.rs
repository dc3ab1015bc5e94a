//! `ghtrader doctor`: every prerequisite, what is wrong, how to mend it.

use crate::args::Global;
use crate::context::Context;
use crate::output::emit;
use ghtrader_core::{ErrorClass, Problem, TradingDay};
use ghtrader_plugin::{HostConfig, PluginHost};
use ghtrader_toolchain::{REMEDY, TARGET, Toolchain};
use serde::Serialize;
use std::path::Path;
use std::process::{Command, ExitCode};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Ok,
    Warning,
    Missing,
}

#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    state: State,
    found: String,
    remedy: &'static str,
}

impl Check {
    fn new(name: &'static str, state: State, found: impl Into<String>, remedy: &'static str) -> Self {
        Self { name, state, found: found.into(), remedy }
    }
}

/// Memory below which a day of several contracts may not fit, MiB.
const MIN_MEMORY_MIB: u64 = 2_048;
/// Free disk below which an import of a month may not fit, MiB.
const MIN_DISK_MIB: u64 = 2_048;

pub(crate) fn run(global: &Global) -> Result<ExitCode, Problem> {
    let mut checks = vec![
        rustc(),
        tool("cargo", &["--version"], "install Rust with rustup, then open a new shell"),
        guest_target(),
        engine(),
        memory(),
    ];
    match Context::new(global) {
        Ok(context) => {
            checks.push(Check::new(
                "settings",
                State::Ok,
                format!("digest {}", context.settings.digest().short16()),
                "",
            ));
            checks.push(root(&context.root));
            checks.push(disk(&context.root));
            checks.push(store(&context));
            checks.push(calendar(&context));
        }
        Err(problem) => checks.push(Check::new(
            "settings",
            State::Missing,
            problem.what,
            "mend the keys named; `ghtrader init DIR` writes a file with every default",
        )),
    }
    let missing = checks.iter().filter(|c| c.state == State::Missing).count();
    let body = serde_json::json!({ "ok": missing == 0, "checks": checks });
    emit(global.json, &body, |_| {
        let lines: Vec<String> = checks
            .iter()
            .map(|c| {
                let mark = match c.state {
                    State::Ok => "ok     ",
                    State::Warning => "warning",
                    State::Missing => "MISSING",
                };
                let help = if c.state == State::Ok { String::new() } else { format!("\n         help: {}", c.remedy) };
                format!("{mark}  {:<14} {}{help}", c.name, c.found)
            })
            .collect();
        lines.join("\n")
    })?;
    Ok(if missing == 0 { ExitCode::SUCCESS } else { ExitCode::from(ErrorClass::Negative.exit_code()) })
}

fn output(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).output().ok().filter(|o| o.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn tool(name: &'static str, args: &[&str], remedy: &'static str) -> Check {
    match output(name, args) {
        Some(version) => Check::new(name, State::Ok, version, ""),
        None => Check::new(name, State::Missing, "not found", remedy),
    }
}

/// Needed to write plugins, not to run them.
fn rustc() -> Check {
    const REMEDY: &str = "rustup toolchain install 1.95.0";
    match output("rustc", &["--version"]) {
        None => Check::new("rustc", State::Missing, "not found", REMEDY),
        Some(version) => {
            let minor = version.split('.').nth(1).and_then(|m| m.parse::<u32>().ok()).unwrap_or(0);
            Check::new("rustc", if minor >= 95 { State::Ok } else { State::Missing }, version, REMEDY)
        }
    }
}

fn guest_target() -> Check {
    let state = |found: &str| Check::new("guest target", State::Ok, format!("{TARGET} of {found}"), "");
    match Toolchain::find() {
        Some(Toolchain::Rustup) => state("the toolchain"),
        Some(Toolchain::Debian) => state("Debian's packages"),
        None => Check::new("guest target", State::Missing, format!("{TARGET} is not installed"), REMEDY),
    }
}

fn engine() -> Check {
    match PluginHost::new(HostConfig::default()) {
        Ok(_) => Check::new("plugin engine", State::Ok, "a sandbox can be made", ""),
        Err(f) => Check::new("plugin engine", State::Missing, f.what, "run on x86_64 or aarch64 with memory to map"),
    }
}

fn memory() -> Check {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let available = text
        .lines()
        .find_map(|l| l.strip_prefix("MemAvailable:"))
        .and_then(|l| l.trim().trim_end_matches(" kB").parse::<u64>().ok())
        .map(|kib| kib >> 10);
    match available {
        None => Check::new("memory", State::Warning, "cannot be told on this system", "have 2 GiB free"),
        Some(mib) => {
            let state = if mib >= MIN_MEMORY_MIB { State::Ok } else { State::Warning };
            Check::new("memory", state, format!("{mib} MiB available, {MIN_MEMORY_MIB} wanted"), "close other programs")
        }
    }
}

fn disk(root: &Path) -> Check {
    let root = if root.as_os_str().is_empty() { Path::new(".") } else { root };
    let mib = output("df", &["-Pm", &root.to_string_lossy()])
        .and_then(|t| t.lines().nth(1).and_then(|l| l.split_whitespace().nth(3).and_then(|f| f.parse::<u64>().ok())));
    match mib {
        None => Check::new("disk", State::Warning, "free space cannot be told", "have 2 GiB free"),
        Some(mib) => {
            let state = if mib >= MIN_DISK_MIB { State::Ok } else { State::Warning };
            Check::new("disk", state, format!("{mib} MiB free, {MIN_DISK_MIB} wanted"), "free some space")
        }
    }
}

fn root(root: &Path) -> Check {
    let probe = root.join(format!(".ghtrader-doctor-{}", std::process::id()));
    match std::fs::write(&probe, b"x") {
        Ok(()) => {
            // Left behind, it would harm nobody.
            let _ = std::fs::remove_file(&probe);
            Check::new("root", State::Ok, format!("{} can be written", root.display()), "")
        }
        Err(e) => Check::new("root", State::Missing, format!("{}: {e}", root.display()), "choose another with --root"),
    }
}

fn store(context: &Context) -> Check {
    let data = context.dir("data_dir");
    let (place, remedy) = match context.settings.text_of("store.backend") {
        Some("questdb") => {
            let url = context.settings.text_of("store.questdb_url").unwrap_or_default();
            (format!("QuestDB at {url}"), "start the server, or mend what is named: cargo xtask questdb up")
        }
        _ if !data.exists() => {
            return Check::new("store", State::Ok, format!("{} is made by the first import", data.display()), "");
        }
        _ => (data.display().to_string(), "ghtrader data verify"),
    };
    match context.store().and_then(|s| Ok(s.symbols(ghtrader_store::Dataset::Ticks)?.len())) {
        Ok(symbols) => Check::new("store", State::Ok, format!("{place}: {symbols} symbols"), ""),
        Err(problem) => Check::new("store", State::Missing, problem.what, remedy),
    }
}

/// The day of the wall clock is asked for here and nowhere else: a calendar that has run out is today's trouble.
fn calendar(context: &Context) -> Check {
    let covered = context.calendar.covered_to();
    let today = output("date", &["+%Y-%m-%d"]).and_then(|d| d.parse::<TradingDay>().ok());
    let state = if today.is_some_and(|t| t > covered) { State::Warning } else { State::Ok };
    let remedy = "set calendar.holidays_file to a JSON list of the new year's closed days";
    Check::new("calendar", state, format!("holidays are known until {covered}"), remedy)
}

//! `ghtrader plugin watch`: from a saved file to a lineup in shadow.
//!
//! A version is written once, so each saved state has a version of its own: that of `plugin.toml` with a pre-release made
//! of the digest of what was built, such as `0.1.0-dev-1a2b3c4d`. Equal sources have equal versions.

use super::PluginCrate;
use super::build::{build, pack_as};
use crate::args::{Change, How, Mode, Target};
use crate::commands::lineup::{change_variety, deployment, follow, lineup_file, plan, succeeded};
use crate::context::Context;
use crate::output::{emit, report_problem};
use crate::remote::Remote;
use ghtrader_core::{Digest, ErrorClass, Problem};
use ghtrader_pipeline::standard_fixture;
use ghtrader_plugin::Finding;
use ghtrader_trading::LineupFile;
use ghtrader_trading::protocol::{ActivateAt, OperationView};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

/// Pause between two looks at the files.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// An editor writes several files at once; they are one change.
const SETTLE: Duration = Duration::from_millis(50);
/// What a crate is made of.
const WATCHED: [&str; 6] = ["src", "plugin.toml", "Cargo.toml", "Cargo.lock", "lineup.toml", "fixture.csv"];

/// One saved state, all the way.
#[derive(Debug, Serialize)]
struct Round {
    version: String,
    digest: Digest,
    operation: String,
    state: String,
    /// Seconds of each step, in order.
    seconds: Vec<(&'static str, f64)>,
    total_seconds: f64,
}

pub(crate) fn run(context: &Context, target: &Target, dir: &Path, rounds: u32) -> Result<ExitCode, Problem> {
    let dir = PluginCrate::find(dir)?.dir;
    let remote = Remote::of(context)?;
    let mut before = BTreeMap::new();
    let mut done = 0;
    loop {
        let now = files(&dir);
        if now == before {
            std::thread::sleep(LOOK_AGAIN);
            continue;
        }
        let started = Instant::now();
        before = settled(&dir, now);
        let result = round(context, &remote, target, &dir, started);
        done += 1;
        match result {
            Ok(round) => emit(context.json, &round, Round::to_string)?,
            Err(problem) if done == rounds => return Err(problem),
            // The next save may be the remedy.
            Err(problem) => report_problem(&problem, context.json),
        }
        if done == rounds {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

/// Every file of the crate with its time and size.
fn files(dir: &Path) -> BTreeMap<PathBuf, (SystemTime, u64)> {
    let mut files = BTreeMap::new();
    let mut left: Vec<PathBuf> = WATCHED.iter().map(|name| dir.join(name)).collect();
    while let Some(path) = left.pop() {
        let Ok(about) = path.metadata() else { continue };
        if about.is_dir() {
            left.extend(std::fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path()));
        } else if let Ok(modified) = about.modified() {
            files.insert(path, (modified, about.len()));
        }
    }
    files
}

/// The files once they stay as they are.
fn settled(dir: &Path, mut now: BTreeMap<PathBuf, (SystemTime, u64)>) -> BTreeMap<PathBuf, (SystemTime, u64)> {
    loop {
        std::thread::sleep(SETTLE);
        let later = files(dir);
        if later == now {
            return now;
        }
        now = later;
    }
}

fn round(context: &Context, remote: &Remote, target: &Target, dir: &Path, started: Instant) -> Result<Round, Problem> {
    let mut seconds = Vec::new();
    let mut last = started;
    let mut step = |name| {
        let now = Instant::now();
        seconds.push((name, (now - last).as_secs_f64()));
        last = now;
    };
    let plugin = PluginCrate::find(dir)?;
    let built = build(context, &plugin)?;
    let version = dev_version(&plugin.manifest.plugin.version, &built.digest);
    let artefact = pack_as(context, &plugin, &version)?;
    let digest = Digest::of(&artefact);
    step("build");
    let admission = plugin.host(context)?.admit(&artefact, &standard_fixture(&context.calendar));
    if !admission.findings.is_empty() {
        return Err(Finding::into_problem(&admission.findings));
    }
    step("test");
    remote.push(&artefact, None)?;
    step("push");
    let mut lineup = lineup_file(&dir.join("lineup.toml"))?;
    if !take_in(&mut lineup, &plugin.manifest.plugin.name, &digest) {
        let what = format!("lineup.toml names no plugin `{}`", plugin.manifest.plugin.name);
        return Err(Problem::new("bad_lineup", ErrorClass::User, what, "name it as strategy or as a feature"));
    }
    let plan = plan(remote, target, &lineup)?;
    step("plan");
    let operation = shadow(remote, target, plan["plan_hash"].as_str().unwrap_or_default())?;
    if !succeeded(&operation) {
        let why = operation.error.map_or(operation.state, |e| format!("{}: {}", e.code, e.what));
        let what = format!("the shadow did not start: {why}");
        return Err(Problem::new("shadow_failed", ErrorClass::Negative, what, "ghtrader lineup operations shows why"));
    }
    step("shadow");
    Ok(Round {
        version,
        digest,
        operation: operation.id,
        state: operation.state,
        total_seconds: started.elapsed().as_secs_f64(),
        seconds,
    })
}

/// A version of one saved state: a pre-release of the one that it will become.
fn dev_version(version: &str, digest: &Digest) -> String {
    let joint = if version.contains('-') { '.' } else { '-' };
    format!("{version}{joint}dev-{}", &digest.to_string()[..8])
}

/// Puts the digest in the place of every reference to the plugin; false if there was none.
fn take_in(lineup: &mut LineupFile, name: &str, digest: &Digest) -> bool {
    let mut found = false;
    for used in lineup.features.iter_mut().chain([&mut lineup.strategy]) {
        let plain = used.plugin.rsplit('/').next().unwrap_or_default();
        if plain.split(['@', ':']).next() == Some(name) {
            used.plugin = digest.to_string();
            found = true;
        }
    }
    found
}

/// Puts a plan into shadow, in the place of whatever was there.
fn shadow(remote: &Remote, target: &Target, plan_hash: &str) -> Result<OperationView, Problem> {
    let change = Change {
        target: target.clone(),
        how: How { reason: "plugin watch".to_owned(), order_policy: None, if_match: None, wait: true },
    };
    let body = deployment(plan_hash, Mode::Shadow, ActivateAt::NextTick, &[], &change);
    follow(remote, change_variety(remote, &change, "deployments", body)?)
}

impl std::fmt::Display for Round {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let steps: Vec<String> = self.seconds.iter().map(|(name, s)| format!("{name} {s:.2} s")).collect();
        let Self { version, state, operation, total_seconds, .. } = self;
        write!(f, "{version} is {state} ({operation}): {}; {total_seconds:.2} s from the save", steps.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// P-26
    #[test]
    fn a_saved_state_takes_its_plugins_place() {
        let digest = Digest::of(b"x");
        let text = "name = 'x'\n[[features]]\nplugin = 'core-factors:reference'\n[[features]]\n\
                    plugin = 'feature/deep@0.1.0'\nparams = { a = 1 }\n[strategy]\nplugin = 'my-deep@0.1.0'\n";
        let mut lineup = LineupFile::parse(text, "lineup.toml").unwrap();
        assert!(take_in(&mut lineup, "deep", &digest));
        let plugins: Vec<&str> = lineup.features.iter().map(|f| f.plugin.as_str()).collect();
        assert_eq!(plugins, ["core-factors:reference", &digest.to_string()]);
        assert_eq!((lineup.features[1].params.len(), lineup.strategy.plugin.as_str()), (1, "my-deep@0.1.0"));
        assert!(take_in(&mut lineup, "my-deep", &digest) && !take_in(&mut lineup, "my-deep", &digest));
    }

    #[test]
    fn a_saved_state_has_a_version_of_its_own() {
        let digest = Digest([0x1a; 32]);
        assert_eq!(dev_version("0.1.0", &digest), "0.1.0-dev-1a1a1a1a");
        assert_eq!(dev_version("0.1.0-rc.1", &digest), "0.1.0-rc.1.dev-1a1a1a1a");
    }
}

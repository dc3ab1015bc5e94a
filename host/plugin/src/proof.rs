//! What has to hold of every run over a fixture: equal runs, equal cuttings, no look ahead.

use crate::trace::{Rng, Splits, Trace, label_reaches};
use crate::{Finding, Fixture, Params, Plugin, PluginFault, Role};
use ghtrader_core::Digest;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Random cuttings that are tried besides whole blocks and single rows.
const RANDOM_SPLITS: u64 = 4;
/// Rows behind which the rest of a fixture is replaced.
const CUTS: usize = 16;
/// A plugin that needs longer for all runs over a fixture is not worth waiting for.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the runs over one fixture showed.
#[derive(Debug, Default)]
pub(crate) struct Proof {
    /// Digest of the outputs; none where the first run ended in a fault.
    pub(crate) outputs: Option<Digest>,
    /// Findings by check, in order, with figures.
    pub(crate) checks: Vec<(&'static str, Vec<Finding>, String)>,
}

struct Trial<'a> {
    plugin: &'a Plugin,
    fixture: &'a Fixture,
    /// Such as `the plugin's own fixture`.
    name: &'a str,
    /// Rows behind the one at hand that may be read.
    sight_rows: usize,
    began: Instant,
}

/// Runs a plugin over a fixture, again, in other cuttings, and with other rows behind.
pub(crate) fn prove(plugin: &Plugin, fixture: &Fixture, name: &str) -> Proof {
    let trial = Trial { plugin, fixture, name, sight_rows: sight_rows(plugin, fixture), began: Instant::now() };
    let mut proof = Proof::default();
    let rows = fixture.ticks.rows();
    let whole = match trial.run(fixture, Splits::Whole) {
        Ok(whole) => whole,
        Err(finding) => {
            proof.checks.push(("run", vec![finding], format!("{name}, {rows} rows")));
            return proof;
        }
    };
    proof.outputs = Some(whole.digest());
    proof.checks.push(("run", Vec::new(), format!("{name}, {rows} rows, {} values or actions", whole.count())));
    let differs = trial.check_determinism(&whole);
    proof.checks.push(("determinism", differs.into_iter().collect(), format!("{name}, 2 runs")));
    let (split, other_row) = trial.check_splits(&whole);
    let (ahead, explained) = trial.check_look_ahead(&whole, other_row);
    // A row that reads what comes in its block differs by the cutting too; the reason is named once.
    let split: Vec<Finding> = split.into_iter().filter(|f| f.code != "split_variant" || !explained).collect();
    proof.checks.push(("split_invariance", split, format!("{name}, {} cuttings", RANDOM_SPLITS + 2)));
    proof.checks.push(("look_ahead", ahead.into_iter().collect(), format!("{name}, {CUTS} cuts")));
    proof
}

impl Trial<'_> {
    fn run(&self, fixture: &Fixture, splits: Splits) -> Result<Trace, Finding> {
        if self.began.elapsed() > PATIENCE {
            let what = format!("the runs over {} took longer than {} s", self.name, PATIENCE.as_secs());
            return Err(Finding::new("plugin_too_slow", what, "make the plugin cheaper, or take a shorter fixture"));
        }
        let trace = self.plugin.trace(fixture, splits).map_err(|fault| {
            let identity = self.plugin.identity();
            let finding = Finding::from(named(fault, identity));
            Finding { what: format!("{} ({}, in {splits})", finding.what, self.name), ..finding }
        })?;
        Ok(trace)
    }

    fn check_determinism(&self, whole: &Trace) -> Option<Finding> {
        let again = match self.run(self.fixture, Splits::Whole) {
            Ok(again) => again,
            Err(finding) => return Some(finding),
        };
        let found = whole.first_difference(&again)?;
        let what = format!("two equal runs over {} differ at {found}", self.name);
        Some(Finding::new("not_deterministic", what, "keep nothing outside the instance").at(row(found.row)))
    }

    /// What differs by the cutting, and the first row at which it does.
    fn check_splits(&self, whole: &Trace) -> (Vec<Finding>, Option<usize>) {
        let mut findings = Vec::new();
        let mut first: Option<(usize, Finding)> = None;
        for splits in std::iter::once(Splits::Single).chain((1..=RANDOM_SPLITS).map(Splits::Random)) {
            let other = match self.run(self.fixture, splits) {
                Ok(other) => other,
                Err(finding) => {
                    findings.push(finding);
                    break;
                }
            };
            if let Some(found) = whole.first_difference(&other)
                && first.as_ref().is_none_or(|(row, _)| found.row < *row)
            {
                let what = format!("{} in one block and in {splits} differ at {found}", self.name);
                let remedy = "an output may hang on the rows before it, never on where a call begins or ends";
                first = Some((found.row, Finding::new("split_variant", what, remedy).at(row(found.row))));
            }
        }
        let at = first.as_ref().map(|(row, _)| *row);
        findings.extend(first.map(|(_, finding)| finding));
        (findings, at)
    }

    /// Replaces the rows behind some row and looks for a change before it; whether that explains a difference at `other_row`.
    fn check_look_ahead(&self, whole: &Trace, other_row: Option<usize>) -> (Option<Finding>, bool) {
        let mut first: Option<(usize, Finding)> = None;
        for (seed, (cut, known)) in (0..).zip(self.cuts(other_row)) {
            let other = match self.run(&self.fixture.with_other_rows(cut, seed), Splits::Whole) {
                Ok(other) => other,
                Err(finding) => return (Some(finding), false),
            };
            if let Some(found) = whole.first_difference_before(&other, known)
                && first.as_ref().is_none_or(|(row, _)| found.row < *row)
            {
                let what = format!("{}: with other rows from row {cut} on, {found}", self.name);
                let remedy = match self.plugin.manifest().plugin.role {
                    Role::Label => "read no row behind lookahead-rows or the end of the reach",
                    _ => "read no row behind the one at hand: the rest of a block is not known yet",
                };
                first = Some((found.row, Finding::new("look_ahead", what, remedy).at(row(found.row))));
            }
        }
        let explained = matches!((&first, other_row), (Some((ahead, _)), Some(other)) if *ahead <= other);
        (first.map(|(_, finding)| finding), explained)
    }

    /// Rows from which on others are put, each with the number of rows whose outputs may not change by that.
    fn cuts(&self, other_row: Option<usize>) -> Vec<(usize, usize)> {
        let rows = self.fixture.ticks.rows();
        let mut rng = Rng::new(rows as u64);
        let drawn = (0..CUTS).map(|_| 1 + rng.below(rows.max(2) as u64 - 1) as usize);
        // The rows behind one that differs by the cutting tell why it does: once with higher prices, once with lower ones.
        let told = other_row.map(|at| [at + 1 + self.sight_rows; 2]);
        let seen = told.into_iter().flatten().chain(drawn).map(|cut| (cut, cut.saturating_sub(self.sight_rows)));
        let about = &self.plugin.manifest().plugin;
        let ends = match about.role {
            // No label sees over the end of its reach, however near that is.
            Role::Label => label_reaches(self.fixture, about.reach.unwrap_or_default()),
            _ => Vec::new(),
        };
        seen.chain(ends.into_iter().map(|reach| (reach.end, reach.end))).filter(|(cut, _)| *cut < rows).collect()
    }
}

fn sight_rows(plugin: &Plugin, fixture: &Fixture) -> usize {
    match plugin.manifest().plugin.role {
        // A start that fails shows in the first run.
        Role::Label => plugin
            .label(&Params::new(), &plugin.instrument_of(fixture))
            .map_or(0, |label| label.description().lookahead_rows as usize),
        _ => 0,
    }
}

fn row(row: usize) -> String {
    format!("row {row}")
}

/// A driver's own fault does not know whom it drives.
fn named(mut fault: PluginFault, plugin: &Arc<str>) -> PluginFault {
    if let PluginFault::Contract { at, .. } = &mut fault {
        at.plugin = plugin.clone();
    }
    fault
}

//! Admission: everything that is checked before an artefact may be used, all findings in one answer.

use crate::cost::{self, CostCard};
use crate::host::{Metering, may_start};
use crate::proof::{self, Proof};
use crate::{Finding, Fixture, Plugin, PluginHost, PluginManifest, artefact, guest};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What admission found out.
#[derive(Debug, Default)]
pub struct Admission {
    /// The plugin, if it may be used.
    pub plugin: Option<Arc<Plugin>>,
    /// All that is wrong; empty = admitted.
    pub findings: Vec<Finding>,
    /// Every check with its result, in order.
    pub checks: Vec<Check>,
    /// What a row costs; none where the code could not be run.
    pub cost: Option<CostCard>,
}

/// One check of an admission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Stable name: `component`, `imports`, `manifest`, `limits`, `world`, `fixture`, `compile`, `init`, `run`, `determinism`,
    /// `split_invariance`, `look_ahead`, `self_test`, `cost`.
    pub name: String,
    /// It held.
    pub passed: bool,
    /// Figures for a person.
    pub detail: String,
}

impl Admission {
    fn note(&mut self, name: &str, findings: Vec<Finding>, detail: String) {
        self.checks.push(Check { name: name.to_owned(), passed: findings.is_empty(), detail });
        self.findings.extend(findings);
    }

    fn note_proof(&mut self, proof: Proof) {
        for (name, findings, detail) in proof.checks {
            self.note(name, findings, detail);
        }
    }
}

impl PluginHost {
    /// Checks an artefact by reading it, starting it and running it over a fixture, and over its own if it carries one.
    ///
    /// A finding ends nothing but what cannot go on without it. What is run is the code under the limits of this host.
    pub fn admit(&self, artefact: &[u8], fixture: &Fixture) -> Admission {
        let mut admission = Admission::default();
        let mut inspection = artefact::inspect(artefact, self.config());
        for (name, findings) in std::mem::take(&mut inspection.checks) {
            admission.note(name, findings, String::new());
        }
        let Some(manifest) = inspection.manifest.filter(|_| may_start(&admission.findings)) else { return admission };
        let Some((plugin, compile)) = self.compiled(artefact, &manifest, &mut admission) else { return admission };
        let init = guest::check_defaults(&plugin);
        let starts = init.is_empty();
        admission.note("init", init, format!("{} at default parameters", plugin.identity()));
        if starts {
            let proof = proof::prove(&plugin, fixture, "the standard fixture");
            let runs = proof.outputs.is_some();
            admission.note_proof(proof);
            if let Some(own) = &inspection.fixture {
                admission.test_itself(&plugin, own);
            }
            if runs {
                admission.measure(self, artefact, &plugin, fixture, compile);
            }
        }
        admission.plugin = Some(plugin).filter(|_| admission.findings.is_empty());
        admission
    }

    fn compiled(
        &self,
        artefact: &[u8],
        manifest: &PluginManifest,
        admission: &mut Admission,
    ) -> Option<(Arc<Plugin>, Duration)> {
        let began = Instant::now();
        let started = self.start(artefact, manifest.clone(), Metering::Off);
        let (elapsed, detail) = (began.elapsed(), format!("{} bytes", artefact.len()));
        match started {
            Ok(plugin) => {
                admission.note("compile", Vec::new(), detail);
                Some((plugin, elapsed))
            }
            Err(finding) => {
                admission.note("compile", vec![finding], detail);
                None
            }
        }
    }
}

impl Admission {
    /// The promise about the plugin's own fixture, and the same proofs on it.
    fn test_itself(&mut self, plugin: &Plugin, own: &Fixture) {
        let proof = proof::prove(plugin, own, "the plugin's own fixture");
        let promised = plugin.manifest().self_test.as_ref().and_then(|test| test.output_sha256.clone());
        if let (Some(found), Some(promised)) = (proof.outputs, promised) {
            let found = found.to_string();
            let finding = (found != promised).then(|| artefact::self_test_mismatch(&promised, &found));
            self.note("self_test", finding.into_iter().collect(), format!("outputs {found}"));
        }
        self.note_proof(proof);
    }

    fn measure(
        &mut self,
        host: &PluginHost,
        artefact: &[u8],
        plugin: &Arc<Plugin>,
        fixture: &Fixture,
        compile: Duration,
    ) {
        let measured = host
            .start(artefact, plugin.manifest().clone(), Metering::On)
            .and_then(|metered| cost::measure(plugin, &metered, fixture, compile).map_err(Finding::from));
        match measured {
            Ok(cost) => {
                let detail =
                    format!("{:.0} ns and {:.0} instructions a row", cost.ns_per_row, cost.instructions_per_row);
                self.note("cost", Vec::new(), detail);
                self.cost = Some(cost);
            }
            Err(finding) => {
                // A fault that the proofs have met already is one finding.
                let known = self.findings.iter().any(|f| f.code == finding.code);
                self.checks.push(Check { name: "cost".to_owned(), passed: false, detail: finding.what.clone() });
                self.findings.extend(Some(finding).filter(|_| !known));
            }
        }
    }
}

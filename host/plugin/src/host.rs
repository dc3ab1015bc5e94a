//! Host, plugin, instance: the engine with its cache, compiled code with its promise, a sandbox that runs it.

use crate::cache::CompileCache;
use crate::contract::Version;
use crate::engine::{self, Compiled};
use crate::manifest::Role;
use crate::params::param_fault;
use crate::sandbox::InstanceSlots;
use crate::trace::{self, Splits, Trace};
use crate::{
    FeatureInstance, Finding, Fixture, HostConfig, Instrument, LabelInstance, Params, PluginFault, PluginManifest,
    StrategyInstance, artefact, guest, manifest_check,
};
use ghtrader_core::{ContractId, Digest};
use std::sync::Arc;

/// Findings after which the code cannot be run to look for more.
const BARS_START: [&str; 4] = ["import_undeclared", "world_mismatch", "contract_unsupported", "contract_mismatch"];

/// Whether instructions are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Metering {
    Off,
    On,
}

/// The code can be run to look for more.
pub(crate) fn may_start(findings: &[Finding]) -> bool {
    !findings.iter().any(|f| BARS_START.contains(&f.code))
}

/// Loads artefacts and keeps the settings under which their instances run.
///
/// All hosts of a process share one engine.
#[derive(Debug, Clone)]
pub struct PluginHost {
    config: HostConfig,
    cache: Option<CompileCache>,
    slots: InstanceSlots,
}

/// An admitted artefact: compiled code and manifest under one digest.
pub struct Plugin {
    digest: Digest,
    manifest: PluginManifest,
    identity: Arc<str>,
    code: guest::Code,
    host: PluginHost,
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Plugin({} sha256:{})", self.identity, self.digest)
    }
}

impl PluginHost {
    /// Makes a host.
    ///
    /// # Errors
    /// `plugin_engine` if this machine cannot run compiled components.
    pub fn new(config: HostConfig) -> Result<Self, Finding> {
        engine::get()?;
        let cache = config.compile_cache.as_ref().map(|dir| CompileCache::new(dir, config.compile_cache_mib));
        let slots = InstanceSlots::new(config.max_instances);
        Ok(Self { config, cache, slots })
    }

    /// The settings.
    pub fn config(&self) -> &HostConfig {
        &self.config
    }

    pub(crate) fn slots(&self) -> &InstanceSlots {
        &self.slots
    }

    /// Checks an artefact and compiles it (or takes the compiled code from the cache).
    ///
    /// The last check runs `init` with default parameters in a sandbox and holds its answer against the manifest.
    ///
    /// # Errors
    /// All findings at once, in the order of the checks.
    pub fn load(&self, artefact: &[u8]) -> Result<Arc<Plugin>, Vec<Finding>> {
        let mut inspection = artefact::inspect(artefact, &self.config);
        let manifest = inspection.manifest.take();
        let mut findings = inspection.into_findings();
        // Whatever cannot be linked cannot be started; the other findings leave room for more.
        let Some(manifest) = manifest.filter(|_| may_start(&findings)) else { return Err(findings) };
        match self.start(artefact, manifest, Metering::Off) {
            Ok(plugin) => {
                findings.extend(guest::check_defaults(&plugin));
                if findings.is_empty() { Ok(plugin) } else { Err(findings) }
            }
            Err(finding) => {
                findings.push(finding);
                Err(findings)
            }
        }
    }

    /// Compiles (or takes from the cache) and links.
    pub(crate) fn start(
        &self,
        artefact: &[u8],
        manifest: PluginManifest,
        metering: Metering,
    ) -> Result<Arc<Plugin>, Finding> {
        let engine = match metering {
            Metering::Off => engine::get()?,
            Metering::On => engine::metered()?,
        };
        let version = Version::find(&manifest.plugin.contract);
        let version = version.ok_or_else(|| manifest_check::unsupported_contract(&manifest.plugin.contract))?;
        let digest = Digest::of(artefact);
        let module = artefact::bare_module(artefact, &version, manifest.plugin.role);
        let cached = self.cache.as_ref().and_then(|c| c.load(engine, &digest, module.is_some()));
        let compiled = match cached {
            Some(compiled) => compiled,
            None => {
                let compiled = Compiled::new(engine, artefact, module)?;
                if let Some(cache) = &self.cache {
                    cache.store(engine, &digest, &compiled);
                }
                compiled
            }
        };
        let code = guest::Code::new(engine, &compiled, version, manifest.plugin.role)?;
        let identity: Arc<str> = manifest.identity().into();
        Ok(Arc::new(Plugin { digest, manifest, identity, code, host: self.clone() }))
    }
}

impl Plugin {
    /// SHA-256 of the artefact.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The embedded manifest.
    pub fn manifest(&self) -> &PluginManifest {
        &self.manifest
    }

    /// `role/name@version`.
    pub fn identity(&self) -> &Arc<str> {
        &self.identity
    }

    /// It is nothing but its core module, and is called as that: the faster of two ways with equal outcomes.
    pub fn is_bare(&self) -> bool {
        self.code.is_bare()
    }

    pub(crate) fn code(&self) -> &guest::Code {
        &self.code
    }

    pub(crate) fn host(&self) -> &PluginHost {
        &self.host
    }

    /// A new instance of a feature.
    ///
    /// # Errors
    /// A parameter fault, or whatever the plugin does wrong in `init`; `plugin_contract` if it is no feature.
    pub fn feature(&self, params: &Params, instrument: &Instrument) -> Result<Box<dyn FeatureInstance>, PluginFault> {
        let params = self.manifest.resolve_params(params).map_err(param_fault)?;
        (self.code.version.feature)(self, &params, instrument)
    }

    /// A new instance of a label.
    ///
    /// # Errors
    /// As [`Plugin::feature`].
    pub fn label(&self, params: &Params, instrument: &Instrument) -> Result<Box<dyn LabelInstance>, PluginFault> {
        let params = self.manifest.resolve_params(params).map_err(param_fault)?;
        (self.code.version.label)(self, &params, instrument)
    }

    /// A new instance of a strategy.
    ///
    /// # Errors
    /// As [`Plugin::feature`].
    pub fn strategy(&self, params: &Params, instrument: &Instrument) -> Result<Box<dyn StrategyInstance>, PluginFault> {
        let params = self.manifest.resolve_params(params).map_err(param_fault)?;
        (self.code.version.strategy)(self, &params, instrument)
    }

    /// Runs a new instance with default parameters over a fixture.
    ///
    /// A plugin that is made for other varieties is told one of its own.
    ///
    /// # Errors
    /// The plugin's fault.
    pub fn trace(&self, fixture: &Fixture, splits: Splits) -> Result<Trace, PluginFault> {
        let instrument = self.instrument_of(fixture);
        let defaults = Params::new();
        match self.manifest.plugin.role {
            Role::Feature => trace::trace_feature(self.feature(&defaults, &instrument)?.as_mut(), fixture, splits),
            Role::Label => {
                let reach = self.manifest.plugin.reach.unwrap_or_default();
                trace::trace_label(self.label(&defaults, &instrument)?.as_mut(), fixture, reach, splits)
            }
            Role::Strategy => trace::trace_strategy(self.strategy(&defaults, &instrument)?.as_mut(), fixture, splits),
        }
    }

    pub(crate) fn instrument_of(&self, fixture: &Fixture) -> Instrument {
        let of = &fixture.instrument;
        let product =
            of.symbol.parse().map_or_else(|_| String::new(), |c: ContractId| c.variety().product().to_owned());
        let symbol = match self.manifest.plugin.varieties.first() {
            Some(first) if !self.manifest.plugin.varieties.contains(&product) => format!("SHFE.{first}2601"),
            _ => of.symbol.clone(),
        };
        Instrument { symbol, ..of.clone() }
    }
}

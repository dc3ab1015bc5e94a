//! Host, plugin, instance: the engine with its cache, compiled code with its promise, a sandbox that runs it.

use crate::cache::CompileCache;
use crate::engine;
use crate::params::param_fault;
use crate::sandbox::InstanceSlots;
use crate::{
    FeatureInstance, Finding, HostConfig, Instrument, LabelInstance, Params, PluginFault, PluginManifest,
    StrategyInstance, artefact, v_next,
};
use ghtrader_core::Digest;
use std::sync::Arc;

/// Findings after which the code cannot be run to look for more.
const BARS_START: [&str; 4] = ["import_undeclared", "world_mismatch", "contract_unsupported", "contract_mismatch"];

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
    code: v_next::Code,
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
        let digest = Digest::of(artefact);
        let (manifest, mut findings) = artefact::inspect(artefact, &self.config);
        // Whatever cannot be linked cannot be started; the other findings leave room for more.
        let Some(manifest) = manifest.filter(|_| !findings.iter().any(|f| BARS_START.contains(&f.code))) else {
            return Err(findings);
        };
        match self.start(digest, manifest, artefact) {
            Ok(plugin) => {
                findings.extend(v_next::check_defaults(&plugin));
                if findings.is_empty() { Ok(plugin) } else { Err(findings) }
            }
            Err(finding) => {
                findings.push(finding);
                Err(findings)
            }
        }
    }

    fn start(&self, digest: Digest, manifest: PluginManifest, artefact: &[u8]) -> Result<Arc<Plugin>, Finding> {
        let engine = engine::get()?;
        let cached = self.cache.as_ref().and_then(|c| c.load(engine, &digest));
        let component = match cached {
            Some(component) => component,
            None => {
                let component = engine::compile(engine, artefact)?;
                if let Some(cache) = &self.cache {
                    cache.store(engine, &digest, &component);
                }
                component
            }
        };
        let code = v_next::Code::new(engine, &component, manifest.plugin.role)?;
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

    pub(crate) fn code(&self) -> &v_next::Code {
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
        Ok(Box::new(v_next::WasmFeature::new(self, &params, instrument)?))
    }

    /// A new instance of a label.
    ///
    /// # Errors
    /// As [`Plugin::feature`].
    pub fn label(&self, params: &Params, instrument: &Instrument) -> Result<Box<dyn LabelInstance>, PluginFault> {
        let params = self.manifest.resolve_params(params).map_err(param_fault)?;
        Ok(Box::new(v_next::WasmLabel::new(self, &params, instrument)?))
    }

    /// A new instance of a strategy.
    ///
    /// # Errors
    /// As [`Plugin::feature`].
    pub fn strategy(&self, params: &Params, instrument: &Instrument) -> Result<Box<dyn StrategyInstance>, PluginFault> {
        let params = self.manifest.resolve_params(params).map_err(param_fault)?;
        Ok(Box::new(v_next::WasmStrategy::new(self, &params, instrument)?))
    }
}

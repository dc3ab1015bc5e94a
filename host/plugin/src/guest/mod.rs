//! Instances in a sandbox, the same for all versions of the contract.

pub(crate) mod bare;
mod call;
mod feature;
mod label;
mod promise;
mod strategy;

pub(crate) use call::{GuestFn, Lookup, Running, Signature, signature};
pub(crate) use feature::start_feature;
pub(crate) use label::start_label;
pub(crate) use strategy::start_strategy;

use crate::contract::{Answered, Version};
use crate::engine::Compiled;
use crate::host::Plugin;
use crate::limits::Limits;
use crate::manifest::Role;
use crate::sandbox::{CallKind, Guarded, LogLevel, Sandbox, cut};
use crate::{Answer, CallSite, Finding, Instrument, Params, PluginFault};
use promise::Promise;
use wasmtime::component::{ComponentExportIndex, InstancePre, Linker, WasmStr};
use wasmtime::{Engine, Store, StoreContextMut};

/// Compiled code, linked, with the places of its role's functions.
pub(crate) struct Code {
    pub(crate) version: Version,
    interface: String,
    linked: Linked,
}

enum Linked {
    Component { pre: InstancePre<Guarded>, functions: Vec<(&'static str, ComponentExportIndex)> },
    Module(wasmtime::InstancePre<Guarded>),
}

impl Code {
    /// Links compiled code and finds the functions of its role.
    pub(crate) fn new(engine: &Engine, compiled: &Compiled, version: Version, role: Role) -> Result<Self, Finding> {
        let unlinkable = |e: wasmtime::Error| {
            Finding::new(
                "import_undeclared",
                format!("the component does not link: {e:#}"),
                "a plugin may import `ghtrader:plugin/log` alone; build it for wasm32-unknown-unknown",
            )
        };
        let interface = format!("ghtrader:plugin/{role}@{}", version.name);
        let component = match compiled {
            Compiled::Component(component) => component,
            Compiled::Module(module) => {
                let mut linker = wasmtime::Linker::<Guarded>::new(engine);
                bare::link(&mut linker, version.name).map_err(unlinkable)?;
                let linked = Linked::Module(linker.instantiate_pre(module).map_err(unlinkable)?);
                return Ok(Self { version, interface, linked });
            }
        };
        let mut linker = Linker::<Guarded>::new(engine);
        (version.link)(&mut linker).map_err(unlinkable)?;
        let pre = linker.instantiate_pre(component).map_err(unlinkable)?;
        let missing = |what: String| {
            Finding::new("world_mismatch", what, "export the role's world with the SDK of this contract version")
                .at(format!("export {role}"))
        };
        let (_, interface_index) = component
            .get_export(None, &interface)
            .ok_or_else(|| missing(format!("the component does not export `{interface}`")))?;
        let functions = (version.functions)(role)
            .iter()
            .map(|name| {
                component
                    .get_export_index(Some(&interface_index), name)
                    .map(|index| (*name, index))
                    .ok_or_else(|| missing(format!("`{interface}` has no function `{name}`")))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { version, interface, linked: Linked::Component { pre, functions } })
    }

    pub(crate) fn is_bare(&self) -> bool {
        matches!(self.linked, Linked::Module(_))
    }

    fn engine(&self) -> &Engine {
        match &self.linked {
            Linked::Component { pre, .. } => pre.engine(),
            Linked::Module(pre) => pre.module().engine(),
        }
    }

    fn instantiate(&self, store: &mut Store<Guarded>) -> wasmtime::Result<Running> {
        match &self.linked {
            Linked::Component { pre, .. } => pre.instantiate(store).map(Running::Component),
            Linked::Module(pre) => pre.instantiate(store).map(Running::Module),
        }
    }

    /// Name of the role's interface with its version.
    pub(crate) fn interface(&self) -> &str {
        &self.interface
    }

    fn function(&self, name: &str) -> wasmtime::Result<ComponentExportIndex> {
        let found = match &self.linked {
            Linked::Component { functions, .. } => functions.iter().find(|(n, _)| *n == name),
            Linked::Module(_) => None,
        };
        found.map(|(_, i)| *i).ok_or_else(|| wasmtime::format_err!("the component's role has no function `{name}`"))
    }
}

/// A plugin's own error answer.
pub(crate) struct Refusal {
    pub(crate) answer: Answer,
    pub(crate) message: String,
}

/// Takes a line of a guest's log.
pub(crate) fn write_log(
    store: &mut StoreContextMut<'_, Guarded>,
    level: LogLevel,
    message: &WasmStr,
) -> wasmtime::Result<()> {
    // Cut before it is copied: a guest may log its whole memory.
    let line = cut(&message.to_str(&*store)?, store.data().log.line_bytes());
    store.data_mut().log.write(level, line);
    Ok(())
}

/// A sandbox with the functions that `find` looks up in a fresh instance; a role that the plugin has not is a contract fault.
fn start<F>(
    plugin: &Plugin,
    role: Role,
    find: impl FnOnce(&mut Store<Guarded>, &Lookup<'_>) -> wasmtime::Result<F>,
) -> Result<Sandbox<F>, PluginFault> {
    let manifest = plugin.manifest();
    if manifest.plugin.role != role {
        let at = CallSite { plugin: plugin.identity().clone(), function: "instantiate", rows: 0..0 };
        return Err(PluginFault::Contract { at, what: format!("it is a {}, not a {role}", manifest.plugin.role) });
    }
    let config = plugin.host().config();
    let limits: Limits = config.limits.lowered_to(&manifest.limits);
    let code = plugin.code();
    Sandbox::new(code.engine(), plugin.identity(), limits, config, plugin.host().slots(), |store| {
        let running = code.instantiate(store)?;
        find(store, &Lookup { code, running })
    })
}

/// Runs `init`; its answer has still to be held against the manifest.
fn init<F, D>(
    sandbox: &mut Sandbox<F>,
    params: &Params,
    instrument: &Instrument,
    call: impl FnOnce(&F, &mut Store<Guarded>, &Params, &Instrument) -> Answered<D>,
) -> Result<D, PluginFault> {
    let answer = sandbox.call("init", CallKind::Block, 0..0, |store, f| call(f, store, params, instrument))?;
    answer.map_err(|refusal| refused(sandbox.at("init", 0..0), refusal))
}

/// A guest's error answer as a fault; its text is cut to a line.
fn refused(at: CallSite, refusal: Refusal) -> PluginFault {
    PluginFault::Error { at, answer: refusal.answer, message: cut(&refusal.message, 1024) }
}

/// Number of rows in `words` words of `inputs` each, or what is wrong with them.
fn row_count<F>(
    sandbox: &Sandbox<F>,
    function: &'static str,
    words: usize,
    inputs: usize,
) -> Result<usize, PluginFault> {
    if inputs == 0 || !words.is_multiple_of(inputs) {
        let at = sandbox.at(function, 0..0);
        return Err(PluginFault::Misuse { at, what: format!("{words} words are no rows of {inputs}") });
    }
    Ok(words / inputs)
}

/// Makes one instance with default parameters, so that `init` is checked before the plugin is admitted.
pub(crate) fn check_defaults(plugin: &Plugin) -> Vec<Finding> {
    let manifest = plugin.manifest();
    let variety = manifest.plugin.varieties.first().map_or("cu", String::as_str);
    let instrument = Instrument { symbol: format!("SHFE.{variety}2601"), price_tick: 1.0, multiplier: 1.0 };
    let fault = match manifest.plugin.role {
        Role::Feature => plugin.feature(&Params::new(), &instrument).err(),
        Role::Label => plugin.label(&Params::new(), &instrument).err(),
        Role::Strategy => plugin.strategy(&Params::new(), &instrument).err(),
    };
    fault.map(Finding::from).into_iter().collect()
}

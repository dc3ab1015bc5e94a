//! The contract `ghtrader:plugin@0.1.0-next`: its interfaces as the engine sees them, behind the host's own traits.

mod feature;
mod label;
mod strategy;
mod wit;

pub(crate) use feature::WasmFeature;
pub(crate) use label::WasmLabel;
pub(crate) use strategy::WasmStrategy;

use crate::host::Plugin;
use crate::limits::Limits;
use crate::manifest::{OutputPromise, Role};
use crate::sandbox::{CallKind, Guarded, LogLevel, Sandbox, cut};
use crate::{Answer, CallSite, Finding, Instrument, OutputColumn, Params, PluginFault, manifest_check};
use wasmtime::component::{Component, ComponentExportIndex, InstancePre, Linker, WasmStr};
use wasmtime::{Engine, Store, StoreContextMut};

const LOG_INTERFACE: &str = "ghtrader:plugin/log@0.1.0-next";

/// Compiled code, linked, with the places of its role's functions.
pub(crate) struct Code {
    pre: InstancePre<Guarded>,
    functions: Vec<(&'static str, ComponentExportIndex)>,
}

impl Code {
    /// Links a component and finds the functions of its role.
    pub(crate) fn new(engine: &Engine, component: &Component, role: Role) -> Result<Self, Finding> {
        let unlinkable = |e: wasmtime::Error| {
            Finding::new(
                "import_undeclared",
                format!("the component does not link: {e:#}"),
                "a plugin may import `ghtrader:plugin/log` alone; build it for wasm32-unknown-unknown",
            )
        };
        let mut linker = Linker::<Guarded>::new(engine);
        linker.instance(LOG_INTERFACE).and_then(|mut i| i.func_wrap("write", write_log)).map_err(unlinkable)?;
        let pre = linker.instantiate_pre(component).map_err(unlinkable)?;
        let (interface, names) = wit::exports(role);
        let missing = |what: String| {
            Finding::new("world_mismatch", what, "export the role's world with the SDK of this contract version")
        };
        let (_, interface_index) = component
            .get_export(None, interface)
            .ok_or_else(|| missing(format!("the component does not export `{interface}`")))?;
        let functions = names
            .iter()
            .map(|name| {
                component
                    .get_export_index(Some(&interface_index), name)
                    .map(|index| (*name, index))
                    .ok_or_else(|| missing(format!("`{interface}` has no function `{name}`")))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { pre, functions })
    }

    fn function(&self, name: &str) -> wasmtime::Result<ComponentExportIndex> {
        let found = self.functions.iter().find(|(n, _)| *n == name);
        found.map(|(_, i)| *i).ok_or_else(|| wasmtime::format_err!("the component's role has no function `{name}`"))
    }
}

/// The only import: a line of the guest's log.
fn write_log(mut store: StoreContextMut<'_, Guarded>, (level, message): (wit::Level, WasmStr)) -> wasmtime::Result<()> {
    // Cut before it is copied: a guest may log its whole memory.
    let line = cut(&message.to_str(&store)?, store.data().log.line_bytes());
    let level = match level {
        wit::Level::Debug => LogLevel::Debug,
        wit::Level::Info => LogLevel::Info,
        wit::Level::Warn => LogLevel::Warn,
    };
    store.data_mut().log.write(level, line);
    Ok(())
}

/// A sandbox with the functions that `find` looks up in a fresh instance; a role that the plugin has not is a contract fault.
fn start<F>(
    plugin: &Plugin,
    role: Role,
    find: impl FnOnce(&mut Store<Guarded>, &wit::Lookup<'_>) -> wasmtime::Result<F>,
) -> Result<Sandbox<F>, PluginFault> {
    let manifest = plugin.manifest();
    if manifest.plugin.role != role {
        let at = CallSite { plugin: plugin.identity().clone(), function: "instantiate", rows: 0..0 };
        return Err(PluginFault::Contract { at, what: format!("it is a {}, not a {role}", manifest.plugin.role) });
    }
    let config = plugin.host().config();
    let limits: Limits = config.limits.lowered_to(&manifest.limits);
    let code = plugin.code();
    Sandbox::new(code.pre.engine(), plugin.identity(), limits, config, plugin.host().slots(), |store| {
        let instance = code.pre.instantiate(&mut *store)?;
        find(store, &wit::Lookup { code, instance })
    })
}

/// Runs `init` and holds the answer against the manifest.
fn init<F, D>(
    sandbox: &mut Sandbox<F>,
    params: &Params,
    instrument: &Instrument,
    call: impl FnOnce(
        &mut Store<Guarded>,
        &F,
        Vec<wit::Param>,
        wit::Instrument,
    ) -> wasmtime::Result<Result<D, wit::PluginError>>,
) -> Result<D, PluginFault> {
    let (params, instrument) = (wit::params(params), wit::Instrument::from(instrument));
    let answer = sandbox.call("init", CallKind::Block, 0..0, |store, f| call(store, f, params, instrument))?;
    answer.map_err(|error| answered(sandbox.at("init", 0..0), error))
}

/// What `init` said must be what the manifest promised.
struct Promise<'a> {
    plugin: &'a Plugin,
    /// The instance has default parameters, for which every promise holds to the letter.
    defaults: bool,
    broken: Vec<String>,
}

impl<'a> Promise<'a> {
    fn of(plugin: &'a Plugin, params: &Params) -> Self {
        let defaults = plugin.manifest().param.iter().all(|p| params.get(&p.name) == Some(&p.default));
        Self { plugin, defaults, broken: Vec::new() }
    }

    fn inputs(&mut self, said: &[String]) -> &mut Self {
        let about = &self.plugin.manifest().plugin;
        let free = about.role == Role::Strategy && !self.defaults;
        if !free && *said != about.inputs {
            self.broken.push(format!("init reads {said:?}, the manifest promises {:?}", about.inputs));
        }
        for unknown in said.iter().filter(|name| !manifest_check::is_known_input(about.role, name)) {
            self.broken.push(format!("init reads `{unknown}`, which is no column"));
        }
        if said.is_empty() {
            self.broken.push("init reads no column".to_owned());
        }
        self
    }

    fn outputs(&mut self, said: &[wit::Column]) -> &mut Self {
        let manifest = self.plugin.manifest();
        let same = |(s, p): (&wit::Column, &OutputPromise)| s.name == p.name && s.unit == p.unit;
        let agree = said.len() == manifest.output.len() && said.iter().zip(&manifest.output).all(same);
        let free = manifest.plugin.dynamic_outputs && !self.defaults;
        if !free && !agree {
            let list = |names: Vec<String>| names.join(", ");
            self.broken.push(format!(
                "init gives the outputs [{}], the manifest promises [{}]",
                list(said.iter().map(|c| format!("{} {}", c.name, c.unit)).collect()),
                list(manifest.output.iter().map(|c| format!("{} {}", c.name, c.unit)).collect()),
            ));
        }
        if said.is_empty() {
            self.broken.push("init gives no output".to_owned());
        }
        self
    }

    fn at_most(&mut self, what: &str, said: u32, promised: Option<u32>) -> &mut Self {
        let promised = promised.unwrap_or(0);
        if said > promised {
            self.broken.push(format!("init says {what} = {said}, the manifest promises at most {promised}"));
        }
        self
    }

    fn kept<F>(&mut self, sandbox: &mut Sandbox<F>) -> Result<(), PluginFault> {
        if self.broken.is_empty() {
            return Ok(());
        }
        Err(sandbox.broke_contract("init", 0..0, self.broken.join("; ")))
    }
}

/// A guest's error answer as a fault; its text is cut to a line.
fn answered(at: CallSite, error: wit::PluginError) -> PluginFault {
    let (answer, message) = match error {
        wit::PluginError::InvalidInput(m) => (Answer::InvalidInput, m),
        wit::PluginError::NotReady(m) => (Answer::NotReady, m),
        wit::PluginError::Other(m) => (Answer::Other, m),
    };
    PluginFault::Error { at, answer, message: cut(&message, 1024) }
}

fn output_columns(columns: Vec<wit::Column>) -> Vec<OutputColumn> {
    columns.into_iter().map(|c| OutputColumn { name: c.name, unit: c.unit }).collect()
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

//! What every run of a project shares, and how its plugins are found.

use ghtrader_backtest::{ComponentRecord, PluginSpec};
use ghtrader_core::{Calendar, Digest, ErrorClass, Problem, Variety};
use ghtrader_durable::io_problem;
use ghtrader_pipeline::{ColumnsOptions, ColumnsReport, build_columns};
use ghtrader_plugin::{Finding, ParamValue, Params, Plugin, PluginHost, Registry, Role};
use ghtrader_store::{Schedule, Store};
use serde_json::{Map, Value, json};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Tells how far a phase is: its name, done, total, unit.
pub type Show<'a> = &'a (dyn Fn(&str, u64, u64, &str) + Sync);

/// What every run of a project shares: store, plugins, calendar, and how columns are built.
#[derive(Clone, Copy)]
pub struct Project<'a> {
    /// Where the days lie.
    pub store: &'a dyn Store,
    /// Compiles plugins, each once.
    pub host: &'a PluginHost,
    /// Opens the registry; asked only where a reference is no path.
    pub registry: &'a (dyn Fn() -> Result<Registry, Problem> + Sync),
    /// Trading days and sessions.
    pub calendar: &'a Calendar,
    /// Threads and rows a call when columns are built.
    pub columns: ColumnsOptions,
    /// Where progress goes.
    pub show: Show<'a>,
}

impl Project<'_> {
    /// Builds the columns of a plugin over the days of the options; what has not changed is reused.
    ///
    /// # Errors
    /// As [`build_columns`].
    pub fn build_columns(
        &self,
        schedule: &Schedule,
        plugin: &Plugin,
        params: &Params,
        options: ColumnsOptions,
    ) -> Result<ColumnsReport, Problem> {
        let wanted = |day| options.days.is_none_or(|(from, to)| (from..=to).contains(&day));
        let total = schedule.rows().iter().filter(|r| wanted(r.date)).count() as u64;
        let done = AtomicU64::new(0);
        let table = ghtrader_core::ContractTable::builtin();
        let report = build_columns(self.store, schedule, plugin, params, self.calendar, table, options, &|| {
            (self.show)(plugin.identity(), done.fetch_add(1, Ordering::Relaxed) + 1, total, "days");
        })?;
        Ok(report)
    }

    /// The bytes of an artefact: a path, which ends in `.wasm` or is a file's, is taken from `base`; anything else is
    /// a reference of the registry.
    ///
    /// # Errors
    /// A file that cannot be read; a reference that stands for nothing, or for a plugin of another role.
    pub(crate) fn artefact(&self, base: &Path, reference: &str, role: Role) -> Result<Vec<u8>, Problem> {
        if is_path(base, reference) {
            return read(&base.join(reference));
        }
        let registry = (self.registry)()?;
        let found = registry.resolve(reference, Some(role))?;
        Ok(registry.artifact(&found.digest)?)
    }

    /// A plugin by path or reference.
    ///
    /// # Errors
    /// As for its bytes; all findings where it is not admitted; another role than the one that is due.
    pub fn plugin(&self, base: &Path, reference: &str, role: Role) -> Result<Arc<Plugin>, Problem> {
        let plugin = admitted(self.host, reference, &self.artefact(base, reference, role)?)?;
        let about = &plugin.manifest().plugin;
        if about.role == role {
            return Ok(plugin);
        }
        let what = format!("{reference} is the {} {}, a {role} is due", about.role, about.name);
        Err(Problem::new("wrong_role", ErrorClass::User, what, format!("name a {role}")))
    }
}

/// A reference that names a file.
pub fn is_path(base: &Path, reference: &str) -> bool {
    reference.ends_with(".wasm") || base.join(reference).is_file()
}

fn read(path: &Path) -> Result<Vec<u8>, Problem> {
    std::fs::read(path).map_err(|e| io_problem("file_unreadable", &format!("cannot read {}", path.display()), &e))
}

/// Loads an artefact; all findings make one problem.
///
/// # Errors
/// A file that cannot be read, and whatever admission finds.
pub fn load_plugin(host: &PluginHost, path: &Path) -> Result<Arc<Plugin>, Problem> {
    admitted(host, &path.display().to_string(), &read(path)?)
}

pub(crate) fn admitted(host: &PluginHost, name: &str, bytes: &[u8]) -> Result<Arc<Plugin>, Problem> {
    host.load(bytes).map_err(|findings| {
        let problem = Finding::into_problem(&findings);
        Problem { what: format!("{name}: {}", problem.what), ..problem }
    })
}

/// The main schedule of a variety.
///
/// # Errors
/// `schedule_missing` where there is none, and those of the store.
pub fn stored_schedule(store: &dyn Store, variety: &Variety) -> Result<Schedule, Problem> {
    store.load_schedule(variety)?.ok_or_else(|| {
        Problem::new(
            "schedule_missing",
            ErrorClass::User,
            format!("there is no main schedule of {variety}"),
            format!("ghtrader main schedule --var {}", variety.product()),
        )
    })
}

/// A loaded plugin with every parameter settled.
#[derive(Debug, Clone)]
pub struct Component {
    /// The plugin.
    pub plugin: Arc<Plugin>,
    /// Every parameter, defaults included.
    pub params: Params,
}

impl Component {
    /// Loads what a specification names, paths relative to `base`.
    ///
    /// # Errors
    /// As [`Project::plugin`], and parameters that the manifest does not allow.
    pub fn load(project: &Project<'_>, base: &Path, spec: &PluginSpec, role: Role) -> Result<Self, Problem> {
        let plugin = project.plugin(base, &spec.plugin, role)?;
        let given: Params = spec.params.iter().map(|(k, v)| (k.clone(), param_value(v))).collect();
        Self::settled(plugin, &given)
    }

    /// A plugin with the manifest's defaults for the parameters that are not given.
    ///
    /// # Errors
    /// Parameters that the manifest does not allow.
    pub fn settled(plugin: Arc<Plugin>, given: &Params) -> Result<Self, Problem> {
        let params = plugin.manifest().resolve_params(given).map_err(|f| Finding::into_problem(&f))?;
        Ok(Self { plugin, params })
    }

    /// What identifies the component.
    pub(crate) fn identity(&self) -> (Digest, String) {
        (self.plugin.digest(), self.params.iter().map(|(k, v)| format!("{k}={v}\n")).collect())
    }

    /// The component as a report names it.
    pub fn record(&self) -> ComponentRecord {
        let about = &self.plugin.manifest().plugin;
        ComponentRecord {
            name: format!("{}/{}", about.role, about.name),
            version: about.version.clone(),
            digest: self.plugin.digest().to_string(),
            params: self.params.iter().map(|(k, v)| (k.clone(), json!(v))).collect::<Map<_, _>>().into(),
        }
    }

    /// The component as a specification names it, wherever its artefact lies.
    pub(crate) fn spec(&self) -> PluginSpec {
        let params = self.params.iter().map(|(k, v)| (k.clone(), toml_value(v))).collect();
        PluginSpec { plugin: format!("sha256:{}", self.plugin.digest()), params }
    }
}

/// A TOML value as a parameter; the manifest says later whether the type is right.
pub(crate) fn param_value(value: &toml::Value) -> ParamValue {
    match value {
        toml::Value::Integer(v) => ParamValue::Integer(*v),
        toml::Value::Float(v) => ParamValue::Number(*v),
        toml::Value::Boolean(v) => ParamValue::Flag(*v),
        toml::Value::String(v) => ParamValue::Text(v.clone()),
        other => ParamValue::Text(other.to_string()),
    }
}

fn toml_value(value: &ParamValue) -> toml::Value {
    match value {
        ParamValue::Integer(v) => toml::Value::Integer(*v),
        ParamValue::Number(v) => toml::Value::Float(*v),
        ParamValue::Flag(v) => toml::Value::Boolean(*v),
        ParamValue::Text(v) => toml::Value::String(v.clone()),
    }
}

/// A value in words, for tables.
pub(crate) fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

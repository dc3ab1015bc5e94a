//! What every command starts from: the root, the settings, the store, the plugins.

use crate::args::{Backend, Global};
use crate::progress::Progress;
use ghtrader_batch::Project;
use ghtrader_control::{ControlConfig, open_registry, planning_room};
use ghtrader_core::{Calendar, ErrorClass, Problem};
pub(crate) use ghtrader_durable::io_problem;
use ghtrader_durable::{make_folder, publish_as, sync_folder};
use ghtrader_pipeline::{ColumnsOptions, open_embedded, open_questdb};
use ghtrader_plugin::PluginHost;
use ghtrader_plugin::Registry;
use ghtrader_settings::Settings;
use ghtrader_store::{QuestDbStore, Store};
use ghtrader_trading::Room;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// The root, the settings that hold, and how to talk to the user.
pub(crate) struct Context {
    pub(crate) json: bool,
    pub(crate) root: PathBuf,
    pub(crate) settings: Settings,
    pub(crate) calendar: Calendar,
    pub(crate) progress: Progress,
    /// `--server`.
    pub(crate) server: Option<String>,
    /// Flags by which a child process of this one has the same settings, the root left out.
    flags: Vec<String>,
}

/// The environment's variables that are text; another program's need not be, ours must.
fn variables() -> Result<Vec<(String, String)>, Problem> {
    let mut all = Vec::new();
    for (name, value) in std::env::vars_os() {
        let Ok(name) = name.into_string() else { continue };
        match value.into_string() {
            Ok(value) => all.push((name, value)),
            // What it holds may be a secret.
            Err(_) if name.starts_with("GHTRADER_") => {
                let what = format!("the value of {name} is no UTF-8");
                return Err(Problem::new("bad_settings", ErrorClass::User, what, "set it to text, or unset it"));
            }
            Err(_) => {}
        }
    }
    Ok(all)
}

impl Context {
    /// Settles flags, environment and file.
    ///
    /// The root is `--root`, else `GHTRADER_ROOT`, else the nearest folder upwards with a `ghtrader.toml`, else this folder.
    pub(crate) fn new(global: &Global) -> Result<Self, Problem> {
        let root = match &global.root {
            Some(root) => root.clone(),
            None => found_root().unwrap_or_else(|| PathBuf::from(".")),
        };
        let named = global.config.clone();
        let file = named.clone().unwrap_or_else(|| root.join("ghtrader.toml"));
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => Some(text),
            Err(e) if e.kind() == ErrorKind::NotFound && named.is_none() => None,
            Err(e) => return Err(io_problem("config_unreadable", &format!("cannot read {}", file.display()), &e)),
        };
        let name = file.display().to_string();
        let settings = Settings::resolve(text.as_deref().map(|t| (name.as_str(), t)), variables()?, &global.set)?;
        let calendar = match settings.text_of("calendar.holidays_file") {
            None | Some("") => Calendar::builtin().clone(),
            Some(path) => {
                let path = root.join(path);
                let text = std::fs::read_to_string(&path)
                    .map_err(|e| io_problem("holidays_unreadable", &format!("cannot read {}", path.display()), &e))?;
                let (days, bad) = Calendar::parse_holidays(&text)?;
                if !bad.is_empty() {
                    let _ = writeln!(
                        std::io::stderr(),
                        "warning: {} entries of {} are no dates: {}",
                        bad.len(),
                        path.display(),
                        bad.join(", ")
                    );
                }
                Calendar::builtin().with_holidays(days)
            }
        };
        let progress = Progress::new(global.progress, global.quiet, global.json);
        let config = global.config.iter().flat_map(|c| ["--config".to_owned(), c.display().to_string()]);
        let flags = config.chain(global.set.iter().flat_map(|s| ["--set".to_owned(), s.clone()])).collect();
        Ok(Self { json: global.json, root, settings, calendar, progress, server: global.server.clone(), flags })
    }

    /// The same settings in another root, with the store in a folder of its own.
    pub(crate) fn rooted(&self, root: &Path, data_dir: &str) -> Self {
        Self {
            json: self.json,
            root: root.to_path_buf(),
            settings: self.settings.clone().with_text("data_dir", data_dir),
            calendar: self.calendar.clone(),
            progress: Progress::new(self.progress.mode(), false, self.json),
            server: self.server.clone(),
            flags: self.flags.clone(),
        }
    }

    /// This program again, under the same root and settings.
    pub(crate) fn again(&self) -> Result<std::process::Command, Problem> {
        let own = std::env::current_exe()
            .map_err(|e| io_problem("program_missing", "this program's own file cannot be found", &e))?;
        let mut command = std::process::Command::new(own);
        command.arg("--root").arg(&self.root).args(&self.flags);
        // The demo's data lie in a folder that no flag named.
        command.arg("--set").arg(format!("data_dir={}", self.settings.text_of("data_dir").unwrap_or_default()));
        Ok(command)
    }

    /// Works on runs: with a store, plugins, calendar and progress of this root.
    pub(crate) fn with_project<T>(
        &self,
        store: &dyn Store,
        host: &PluginHost,
        work: impl FnOnce(&Project<'_>) -> Result<T, Problem>,
    ) -> Result<T, Problem> {
        let registry = || self.registry();
        let show = |phase: &str, done: u64, total: u64, unit: &str| self.progress.show(phase, "", done, total, unit);
        let columns = ColumnsOptions {
            workers: self.settings.integer("build.workers") as usize,
            block_rows: self.block_rows(),
            ..ColumnsOptions::default()
        };
        let calendar = &self.calendar;
        let done = work(&Project { store, host, registry: &registry, calendar, columns, show: &show });
        self.progress.finish();
        done
    }

    /// Rows a plugin gets in one call.
    pub(crate) fn block_rows(&self) -> usize {
        self.settings.integer("build.block_rows") as usize
    }

    /// The settings that stand in for keys which a run specification leaves out.
    pub(crate) fn run_defaults(&self) -> Vec<(&'static str, toml::Value)> {
        let constant = |key: &str| {
            let us = toml::Value::Integer(self.settings.integer(key));
            toml::Value::Table([("kind".to_owned(), "constant".into()), ("us".to_owned(), us)].into_iter().collect())
        };
        let whole = |key: &str| toml::Value::Integer(self.settings.integer(key));
        let number = |key: &str| toml::Value::Float(self.settings.number(key));
        vec![
            ("latency.feed_us", whole("backtest.feed_us")),
            ("latency.order", constant("backtest.order_us")),
            ("latency.cancel", constant("backtest.cancel_us")),
            ("account.initial_cny", number("backtest.initial_cny")),
            ("fills.central_power", number("backtest.central_power")),
            ("metrics.annual_days", whole("backtest.annual_days")),
        ]
    }

    /// A folder named by a setting, under the root.
    pub(crate) fn dir(&self, key: &str) -> PathBuf {
        self.root.join(self.settings.text_of(key).unwrap_or_default())
    }

    /// What the control API and the services of this root have in common.
    pub(crate) fn control(&self) -> ControlConfig {
        ControlConfig::new(&self.root, &self.settings, &self.calendar, crate::commands::plugin::host_config(self))
    }

    /// The registry of artefacts.
    pub(crate) fn registry(&self) -> Result<Registry, Problem> {
        open_registry(&self.control())
    }

    /// What a lineup may use.
    pub(crate) fn room(&self) -> Room {
        planning_room(&self.control())
    }

    /// The store of the settings: the one place where its kind is chosen.
    pub(crate) fn store(&self) -> Result<Box<dyn Store>, Problem> {
        self.store_of(self.backend())
    }

    /// The kind of store that the settings choose.
    pub(crate) fn backend(&self) -> Backend {
        match self.settings.text_of("store.backend") {
            Some("questdb") => Backend::Questdb,
            _ => Backend::Embedded,
        }
    }

    /// The store of a kind, whichever of them the settings choose.
    pub(crate) fn store_of(&self, backend: Backend) -> Result<Box<dyn Store>, Problem> {
        Ok(match backend {
            Backend::Embedded => Box::new(open_embedded(&self.root, &self.settings)?),
            Backend::Questdb => Box::new(self.questdb()?),
        })
    }

    /// The store behind the server of the settings.
    pub(crate) fn questdb(&self) -> Result<QuestDbStore, Problem> {
        Ok(open_questdb(&self.root, &self.settings)?)
    }
}

/// A flag that the first SIGINT or SIGTERM raises; a second one ends the program at once.
pub(crate) fn stop_on_signals() -> Result<Arc<AtomicBool>, Problem> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        let registered = signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&stop))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&stop)));
        registered.map_err(|e| io_problem("signal", "cannot listen to signals", &e))?;
    }
    Ok(stop)
}

fn found_root() -> Option<PathBuf> {
    if let Some(root) = std::env::var_os("GHTRADER_ROOT") {
        return Some(PathBuf::from(root));
    }
    let here = std::env::current_dir().ok()?;
    here.ancestors().find(|dir| dir.join("ghtrader.toml").is_file()).map(Path::to_path_buf)
}

/// The file that an output takes the place of: what a link points to. A device, a pipe or a folder is never replaced.
pub(crate) fn replaced_by(path: &Path) -> std::io::Result<PathBuf> {
    let path = match std::fs::symlink_metadata(path) {
        Ok(there) if there.is_symlink() => std::fs::canonicalize(path)?,
        _ => path.to_path_buf(),
    };
    match std::fs::symlink_metadata(&path) {
        Ok(there) if !there.is_file() => {
            Err(std::io::Error::new(std::io::ErrorKind::PermissionDenied, "it is there and is no file"))
        }
        _ => Ok(path),
    }
}

/// Writes an output as [`ghtrader_durable::publish`] does. Folders that are missing are made, a link stays one, and the
/// temporary name is always the same: what a killed run left behind, the next one writes over.
pub(crate) fn publish(path: &Path, bytes: &[u8]) -> Result<(), Problem> {
    let write = || {
        let path = replaced_by(path)?;
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        make_folder(folder)?;
        let mut name = path.file_name().unwrap_or_default().to_os_string();
        name.push(".tmp");
        publish_as(&path.with_file_name(name), &path, bytes)?;
        sync_folder(folder)
    };
    write().map_err(|e| io_problem("unwritable", &format!("cannot write {}", path.display()), &e))
}

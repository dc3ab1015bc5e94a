//! The plugin author's day: a crate made, built, tested, and watched into shadow.

pub(crate) mod build;
mod fixture;
mod native;
mod scaffold;
mod sdk;
mod test;
mod watch;

pub(crate) use native::build_runner as build_native;
pub(crate) use scaffold::new;
pub(crate) use test::run as test;
pub(crate) use watch::run as watch;

use crate::commands::plugin::host_config;
use crate::context::{Context, io_problem};
use ghtrader_core::{ErrorClass, Problem};
use ghtrader_plugin::{Finding, HostConfig, PluginHost, PluginManifest};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A plugin's crate on disk.
#[derive(Debug)]
pub(crate) struct PluginCrate {
    /// The folder of `plugin.toml` and `Cargo.toml`.
    pub(crate) dir: PathBuf,
    /// The workspace that it belongs to; mostly itself.
    pub(crate) workspace: PathBuf,
    /// Name of the package.
    pub(crate) package: String,
    /// Name of the library, as code names it.
    pub(crate) library: String,
    pub(crate) manifest: PluginManifest,
    /// `plugin.toml` as it stands.
    pub(crate) manifest_text: String,
}

impl PluginCrate {
    /// The crate that a folder lies in, told by the nearest `plugin.toml` upwards.
    pub(crate) fn find(from: &Path) -> Result<Self, Problem> {
        let from = std::path::absolute(from).unwrap_or_else(|_| from.to_path_buf());
        let dir = from.ancestors().find(|dir| dir.join("plugin.toml").is_file()).ok_or_else(|| {
            Problem::new(
                "plugin_toml_missing",
                ErrorClass::User,
                format!("there is no plugin.toml in {} nor above it", from.display()),
                "change into a plugin's folder, or make one: ghtrader plugin new strategy my-idea",
            )
        })?;
        let manifest_path = dir.join("plugin.toml");
        let manifest_text = std::fs::read_to_string(&manifest_path)
            .map_err(|e| io_problem("file_unreadable", &format!("cannot read {}", manifest_path.display()), &e))?;
        let manifest = PluginManifest::from_toml(&manifest_text).map_err(|findings| {
            let problem = Finding::into_problem(&findings);
            Problem {
                class: ErrorClass::User,
                what: format!("{}: {}", manifest_path.display(), problem.what),
                ..problem
            }
        })?;
        sdk::link(dir)?;
        let (workspace, package, library) = package(dir)?;
        Ok(Self { dir: dir.to_path_buf(), workspace, package, library, manifest, manifest_text })
    }

    /// A host with the limits of the settings, its compiled code kept with what cargo makes.
    pub(crate) fn host(&self, context: &Context) -> Result<PluginHost, Problem> {
        let config = HostConfig { compile_cache: Some(self.own_target().join("compiled")), ..host_config(context) };
        PluginHost::new(config).map_err(|f| Finding::into_problem(&[f]))
    }

    /// A folder of this program's own beside what cargo makes.
    pub(crate) fn own_target(&self) -> PathBuf {
        self.workspace.join("target").join("ghtrader")
    }
}

/// Workspace, package and library of the crate in a folder.
fn package(dir: &Path) -> Result<(PathBuf, String, String), Problem> {
    let mut command = ghtrader_toolchain::cargo();
    command.current_dir(dir).args(["metadata", "--no-deps", "--format-version=1"]);
    let output = command.output().map_err(|e| cargo_missing(&e))?;
    let refused = |what: String| {
        Problem::new(
            "crate_unusable",
            ErrorClass::User,
            what,
            "mend Cargo.toml; `ghtrader plugin new` shows a good one",
        )
    };
    if !output.status.success() {
        return Err(refused(format!("{}: {}", dir.display(), String::from_utf8_lossy(&output.stderr).trim())));
    }
    let metadata: Value = serde_json::from_slice(&output.stdout)
        .map_err(|e| refused(format!("{}: `cargo metadata` printed no JSON: {e}", dir.display())))?;
    let manifest = dir.join("Cargo.toml");
    let package = metadata["packages"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|p| p["manifest_path"].as_str().map(Path::new) == Some(&manifest));
    let package = package.ok_or_else(|| refused(format!("{} is no package", manifest.display())))?;
    let kinds = |t: &Value| {
        t["crate_types"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|k| k.as_str().map(str::to_owned))
            .collect::<Vec<_>>()
    };
    let library = package["targets"].as_array().into_iter().flatten().find(|t| kinds(t).iter().any(|k| k == "cdylib"));
    let library = library.filter(|t| kinds(t).iter().any(|k| k == "rlib")).ok_or_else(|| {
        Problem::new(
            "crate_unusable",
            ErrorClass::User,
            format!("{} has no library of the types cdylib and rlib", manifest.display()),
            "write [lib] crate-type = [\"cdylib\", \"rlib\"]: the one for the component, the other for its tests",
        )
    })?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Ok((PathBuf::from(text(&metadata["workspace_root"])), text(&package["name"]), text(&library["name"])))
}

pub(crate) fn cargo_missing(error: &std::io::Error) -> Problem {
    Problem::new(
        "toolchain_missing",
        ErrorClass::Unavailable,
        format!("cargo cannot be started: {error}"),
        "install Rust with rustup, open a new shell, then: rustup target add wasm32-unknown-unknown",
    )
}

//! `ghtrader plugin build`: from a crate to its artefact.

use super::{PluginCrate, cargo_missing};
use crate::commands::plugin::fixture;
use crate::context::{Context, io_problem, publish};
use crate::output::emit;
use ghtrader_core::{Digest, ErrorClass, Problem};
use ghtrader_plugin::Finding;
use ghtrader_toolchain::{REMEDY, TARGET, Toolchain};
use serde::Serialize;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

/// An artefact as built.
#[derive(Debug, Serialize)]
pub(crate) struct Built {
    pub(crate) artefact: PathBuf,
    pub(crate) identity: String,
    pub(crate) digest: Digest,
    pub(crate) bytes: usize,
    pub(crate) seconds: f64,
    #[serde(skip)]
    pub(crate) content: Vec<u8>,
}

pub(crate) fn run(context: &Context, dir: &Path) -> Result<ExitCode, Problem> {
    let built = build(context, &PluginCrate::find(dir)?)?;
    emit(context.json, &built, Built::to_string)?;
    Ok(ExitCode::SUCCESS)
}

impl std::fmt::Display for Built {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { artefact, identity, digest, bytes, seconds, .. } = self;
        write!(f, "{identity}  {}  {bytes} bytes  sha256:{digest}  {seconds:.1} s", artefact.display())
    }
}

/// Compiles a crate and packs it with its manifest.
pub(crate) fn build(context: &Context, plugin: &PluginCrate) -> Result<Built, Problem> {
    let started = Instant::now();
    let module = compile(plugin)?;
    let content = pack(context, plugin, &module, &plugin.manifest_text)?;
    let about = &plugin.manifest.plugin;
    let artefact = plugin.own_target().join(format!("{}-{}.wasm", about.name, about.version));
    publish(&artefact, &content)?;
    Ok(Built {
        artefact,
        identity: plugin.manifest.identity(),
        digest: Digest::of(&content),
        bytes: content.len(),
        seconds: started.elapsed().as_secs_f64(),
        content,
    })
}

/// The same code under another version.
pub(crate) fn pack_as(context: &Context, plugin: &PluginCrate, version: &str) -> Result<Vec<u8>, Problem> {
    let defect =
        |e: &dyn std::fmt::Display| Problem::new("internal", ErrorClass::Internal, e.to_string(), "report this");
    let mut manifest: toml::Table = plugin.manifest_text.parse().map_err(|e: toml::de::Error| defect(&e))?;
    if let Some(about) = manifest.get_mut("plugin").and_then(toml::Value::as_table_mut) {
        about.insert("version".to_owned(), version.into());
    }
    pack(context, plugin, &module(plugin)?, &toml::to_string(&manifest).map_err(|e| defect(&e))?)
}

/// Packing runs the code over the fixture that the manifest names, so that a plugin's fault shows here first.
fn pack(context: &Context, plugin: &PluginCrate, module: &[u8], manifest: &str) -> Result<Vec<u8>, Problem> {
    let fixture = fixture(context, &plugin.dir.join("plugin.toml"), manifest)?;
    ghtrader_plugin::pack(module, manifest, fixture.as_ref()).map_err(|findings| Finding::into_problem(&findings))
}

fn compile(plugin: &PluginCrate) -> Result<Vec<u8>, Problem> {
    let toolchain = Toolchain::find().ok_or_else(|| {
        let what = format!("this machine has no Rust toolchain for {TARGET}");
        Problem::new("toolchain_missing", ErrorClass::Unavailable, what, REMEDY)
    })?;
    let mut command = toolchain.build(&plugin.workspace);
    command.args(["--lib", "--package", &plugin.package]);
    run_cargo(command, plugin)?;
    module(plugin)
}

fn module(plugin: &PluginCrate) -> Result<Vec<u8>, Problem> {
    let path = plugin.workspace.join("target").join(TARGET).join("release").join(format!("{}.wasm", plugin.library));
    std::fs::read(&path).map_err(|e| io_problem("file_unreadable", &format!("cannot read {}", path.display()), &e))
}

/// Runs cargo with whatever it says passed on to standard error, unchanged.
pub(crate) fn run_cargo(mut command: Command, plugin: &PluginCrate) -> Result<(), Problem> {
    command.stdin(Stdio::null()).stdout(to_stderr());
    let status = command.status().map_err(|e| cargo_missing(&e))?;
    if status.success() {
        return Ok(());
    }
    Err(Problem::new(
        "build_failed",
        ErrorClass::User,
        format!("{} does not compile", plugin.dir.display()),
        "the compiler's own words stand above",
    ))
}

/// Standard output is for the one result.
pub(crate) fn to_stderr() -> Stdio {
    std::io::stderr().as_fd().try_clone_to_owned().map_or_else(|_| Stdio::null(), Stdio::from)
}

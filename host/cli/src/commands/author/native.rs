//! The plugin's code as a program of this machine, for `plugin test` to hold against the component.

use super::PluginCrate;
use super::build::run_cargo;
use crate::context::publish;
use ghtrader_core::Problem;
use std::path::{Path, PathBuf};

/// Compiles the crate's code into a program that serves it, with the arithmetic of the component: no overflow checks.
pub(crate) fn build_runner(plugin: &PluginCrate) -> Result<PathBuf, Problem> {
    let own = plugin.own_target().join("native");
    let (dir, target) = (own.join(&plugin.package), own.join("target"));
    let program = format!("{}-native", plugin.package);
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let manifest = format!(
        "[package]\nname = {}\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\n\
         plugin = {{ package = {}, path = {} }}\n\n[profile.dev]\nopt-level = 1\ndebug = false\n\
         debug-assertions = false\noverflow-checks = false\n",
        quoted(&program),
        quoted(&plugin.package),
        quoted(&plugin.dir.to_string_lossy()),
    );
    let main = "fn main() -> std::io::Result<()> {\n    plugin::__serve_natively()\n}\n";
    publish_if_new(&dir.join("Cargo.toml"), manifest.as_bytes())?;
    publish_if_new(&dir.join("src/main.rs"), main.as_bytes())?;
    // The component's dependencies, not newer ones; cargo changes its own copy.
    if let Ok(lock) = std::fs::read(plugin.workspace.join("Cargo.lock"))
        && publish_if_new(&dir.join("plugin.lock"), &lock)?
    {
        publish(&dir.join("Cargo.lock"), &lock)?;
    }
    let mut command = ghtrader_toolchain::cargo();
    command.current_dir(&dir).args(["build", "--quiet", "--target-dir"]).arg(&target);
    run_cargo(command, plugin)?;
    Ok(target.join("debug").join(program))
}

/// Writes a file unless it is there already: cargo compiles anew what is newer than its result, whatever the bytes.
fn publish_if_new(path: &Path, bytes: &[u8]) -> Result<bool, Problem> {
    match std::fs::read(path) {
        Ok(there) if there == bytes => Ok(false),
        _ => publish(path, bytes).map(|()| true),
    }
}

//! The toolchain of the guests, and the reference plugins as packed components.

use crate::steps::{Failure, Step, apt_install, ghtrader, root};
use ghtrader_toolchain::{DEBIAN_PACKAGES, REMEDY, TARGET, Toolchain};
use std::{fs, path::PathBuf};

/// Installs the wasm target if it is missing: by rustup, else from Debian's packages.
pub(crate) fn setup() -> Result<(), Failure> {
    if Toolchain::find().is_some() {
        return Ok(());
    }
    let by_rustup = Step::new("rustup")
        .args(&["target", "add", TARGET].map(String::from))
        .run(&format!("install the Rust target {TARGET}"));
    if by_rustup.is_ok() && Toolchain::find().is_some() {
        return Ok(());
    }
    eprintln!("rustup could not install it; trying Debian's packages {}", DEBIAN_PACKAGES.join(", "));
    apt_install(&DEBIAN_PACKAGES)?;
    match Toolchain::find() {
        Some(_) => Ok(()),
        None => Err(Failure(format!("there is still no toolchain for {TARGET}; try: {REMEDY}"))),
    }
}

/// Compiles every plugin and packs it with its manifest; gives the folder of the artefacts.
pub(crate) fn build() -> Result<PathBuf, Failure> {
    setup()?;
    let workspace = root().join("plugins");
    let target = workspace.join("target");
    let toolchain = Toolchain::find().unwrap_or(Toolchain::Rustup);
    Step::from(toolchain.build(&workspace)).run("compile the plugins to wasm")?;
    let artefacts = target.join("artifacts");
    fs::create_dir_all(&artefacts).map_err(|e| Failure(format!("cannot make {}: {e}", artefacts.display())))?;
    for dir in plugin_dirs()? {
        let Some(name) = dir.file_name().and_then(|n| n.to_str()).map(str::to_owned) else { continue };
        let wasm = target.join(TARGET).join("release").join(format!("{}.wasm", name.replace('-', "_")));
        let mut pack = ghtrader(&["plugin", "pack"]);
        pack.arg(&wasm).arg("--manifest").arg(dir.join("plugin.toml"));
        pack.arg("--out").arg(artefacts.join(format!("{name}.wasm")));
        pack.run(&format!("pack {name}"))?;
    }
    Ok(artefacts)
}

/// The folders under `plugins/` that have a `plugin.toml`, sorted.
fn plugin_dirs() -> Result<Vec<PathBuf>, Failure> {
    let mut dirs = Vec::new();
    for role in ["features", "labels", "strategies"] {
        let folder = root().join("plugins").join(role);
        let entries = fs::read_dir(&folder).map_err(|e| Failure(format!("cannot read {}: {e}", folder.display())))?;
        for entry in entries.flatten() {
            if entry.path().join("plugin.toml").is_file() {
                dirs.push(entry.path());
            }
        }
    }
    dirs.sort();
    Ok(dirs)
}

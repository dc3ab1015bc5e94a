//! The toolchain of the guests, and the reference plugins as packed components.

use crate::steps::{Failure, Step, cargo, ghtrader, root};
use std::{fs, path::PathBuf};

const TARGET: &str = "wasm32-unknown-unknown";
/// Debian's compiler for wasm, for machines where rustup cannot download.
const DEBIAN: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];

/// How guests are compiled on this machine.
#[derive(Clone, Copy, PartialEq)]
enum Toolchain {
    /// The standard library for the target is part of the toolchain in use.
    Rustup,
    /// Debian's packages, which build the standard library themselves.
    Debian,
}

fn found() -> Option<Toolchain> {
    let libdir = Step::new("rustc").args(&["--print", "target-libdir", "--target", TARGET].map(String::from)).output();
    if libdir.is_some_and(|dir| fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some())) {
        return Some(Toolchain::Rustup);
    }
    let debian = PathBuf::from("/usr/lib/rustlib").join(TARGET).is_dir()
        || Step::new("dpkg").args(&["-s".to_owned(), DEBIAN[2].to_owned()]).output().is_some();
    debian.then_some(Toolchain::Debian)
}

/// Installs the wasm target if it is missing: by rustup, else from Debian's packages.
pub(crate) fn setup() -> Result<(), Failure> {
    if found().is_some() {
        return Ok(());
    }
    let by_rustup = Step::new("rustup")
        .args(&["target", "add", TARGET].map(String::from))
        .run(&format!("install the Rust target {TARGET}"));
    if by_rustup.is_ok() && found().is_some() {
        return Ok(());
    }
    eprintln!("rustup could not install it; trying Debian's packages {}", DEBIAN.join(", "));
    Step::new("apt-get").args(&["update".to_owned()]).run("refresh Debian's package list")?;
    let mut install = Step::new("apt-get");
    install.args(&["install", "-y", "--no-install-recommends"].map(String::from)).args(&DEBIAN.map(String::from));
    install.run(&format!("install {}", DEBIAN.join(", ")))?;
    match found() {
        Some(_) => Ok(()),
        None => Err(Failure(format!(
            "no toolchain for {TARGET}; install it by `rustup target add {TARGET}` or Debian's {}",
            DEBIAN.join(" ")
        ))),
    }
}

/// Compiles every plugin and packs it with its manifest; gives the folder of the artefacts.
pub(crate) fn build() -> Result<PathBuf, Failure> {
    setup()?;
    let workspace = root().join("plugins");
    let target = workspace.join("target");
    let mut compile = match found() {
        Some(Toolchain::Rustup) | None => cargo(&["build"]),
        Some(Toolchain::Debian) => {
            let mut step = Step::new("/usr/bin/cargo");
            step.arg("build").arg("-Zbuild-std=std,panic_abort");
            step.env("RUSTC", "/usr/bin/rustc".into()).env("RUSTC_BOOTSTRAP", "1".into());
            if let Some(sysroot) = Step::new("rustc").args(&["--print", "sysroot"].map(String::from)).output() {
                let lld = PathBuf::from(sysroot).join("lib/rustlib/x86_64-unknown-linux-gnu/bin/rust-lld");
                step.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", lld);
            }
            step
        }
    };
    compile.args(&["--release", "--target", TARGET].map(String::from)).arg("--target-dir").arg(&target);
    // Panics name their files: with the checkout's own place in them, the same source would give another digest elsewhere.
    let flags: Vec<String> = [(root(), "ghtrader"), (cargo_home(), "cargo")]
        .iter()
        .map(|(from, to)| format!("\"--remap-path-prefix={}={to}\"", from.display()))
        .collect();
    compile.arg("--config").arg(format!("target.{TARGET}.rustflags=[{}]", flags.join(",")));
    compile.dir(&workspace).run("compile the plugins to wasm")?;
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

/// Where cargo keeps the sources of dependencies.
fn cargo_home() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cargo");
    std::env::var_os("CARGO_HOME").map_or_else(home, PathBuf::from)
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

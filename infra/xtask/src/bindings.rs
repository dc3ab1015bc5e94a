//! The SDK's bindings to the contract, written out.
//!
//! A macro would expand them anew for every author, with a compiler of contracts and thirty crates to build first.

use crate::guests;
use crate::steps::{Failure, Step, root};
use std::{fs, path::Path, path::PathBuf};

const WORLDS: [&str; 3] = ["feature", "label", "strategy"];

/// Expands the contract under work and writes what the SDK includes; with it the contract, so that a test sees a difference.
pub(crate) fn write() -> Result<(), Failure> {
    guests::setup()?;
    let dir = root().join("target").join("bindings");
    // The generator numbers its files by run: none may be left of an earlier one.
    let _ = fs::remove_dir_all(&dir);
    put(&dir.join("Cargo.toml"), MANIFEST)?;
    put(&dir.join("src/lib.rs"), &source())?;
    let mut build = Step::from(ghtrader_toolchain::cargo());
    build.args(&["build", "--release", "--target", ghtrader_toolchain::TARGET].map(String::from));
    build.arg("--target-dir").arg(dir.join("target")).env("WIT_BINDGEN_DEBUG", "1".into());
    build.dir(&dir).run("expand the contract")?;
    let out = root().join("sdk/plugin/src/guest");
    for world in WORLDS {
        let expanded = read(&found(&dir, world)?)?;
        let head = "// Written by `cargo xtask bindings` from the contract beside it; not edited.\n\n";
        put(&out.join(format!("{world}.in")), &format!("{head}{expanded}"))?;
    }
    put(&out.join("plugin.wit"), &read(&root().join("wit/next/plugin.wit"))?)?;
    Ok(())
}

const MANIFEST: &str = r#"[package]
name = "bindings"
version = "0.0.0"
edition = "2024"

[workspace]

[dependencies]
wit-bindgen = { version = "0.61", default-features = false, features = ["macros", "realloc"] }
"#;

fn source() -> String {
    let wit = root().join("wit/next");
    let shared = "with: { \"ghtrader:plugin/types@0.1.0-next\": crate::guest::feature::ghtrader::plugin::types, \
                  \"ghtrader:plugin/log@0.1.0-next\": crate::guest::feature::ghtrader::plugin::log },";
    let module = |world: &str| {
        let with = if world == WORLDS[0] { "" } else { shared };
        format!(
            "pub mod {world} {{ wit_bindgen::generate!({{ path: {wit:?}, world: \"{world}-plugin\", \
             pub_export_macro: true, {with} }}); }}\n"
        )
    };
    format!("pub mod guest {{\n{}}}\n", WORLDS.map(module).concat())
}

/// The file that the generator left in its own build folder.
fn found(dir: &Path, world: &str) -> Result<PathBuf, Failure> {
    let builds = dir.join("target/release/build");
    let folders = fs::read_dir(&builds).into_iter().flatten().flatten().map(|e| e.path().join("out"));
    let mut files = folders.flat_map(|out| fs::read_dir(out).into_iter().flatten().flatten()).map(|e| e.path());
    let of_world =
        |p: &PathBuf| p.file_name().is_some_and(|n| n.to_string_lossy().starts_with(&format!("{world}-plugin")));
    files
        .find(of_world)
        .ok_or_else(|| Failure(format!("the generator left nothing for {world} in {}", builds.display())))
}

fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|e| Failure(format!("cannot read {}: {e}", path.display())))
}

fn put(path: &Path, text: &str) -> Result<(), Failure> {
    let made = path.parent().map_or(Ok(()), fs::create_dir_all);
    made.and_then(|()| fs::write(path, text)).map_err(|e| Failure(format!("cannot write {}: {e}", path.display())))
}

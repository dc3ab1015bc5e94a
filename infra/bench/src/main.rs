//! Measures the hot paths, each against a peer in the same run: a ratio says more than a rate on a machine that others use too.
//!
//! Called by `cargo xtask bench NAME`.

mod author;
mod batch;
mod decide;
mod engine;
mod features;
#[path = "../../../tests/src/host.rs"]
#[expect(unreachable_pub, dead_code, reason = "shared with the tests, which use all of it")]
mod host;
mod import;
mod kills;
mod main_l5;
mod replay;
mod sandbox;
mod sim;
mod store;
mod stream;
mod study;
mod swap;
mod versions;

use anyhow::{Result, bail};

/// As in the program itself.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (name, rest) = args.split_first().map_or(("", &[][..]), |(name, rest)| (name.as_str(), rest));
    match name {
        "author" => author::run(rest),
        "engine" => engine::run(rest),
        "batch" => batch::run(rest),
        "decide" => decide::run(rest),
        "features" => features::run(rest),
        "import" => import::run(rest),
        "main" => main_l5::run(rest),
        "replay" => replay::run(rest),
        "sandbox" => sandbox::run(rest),
        "store" => store::run(rest),
        "sim" => sim::run(rest),
        "stream" => stream::run(rest),
        "study" if rest.first().is_some_and(|n| n == "kills") => kills::run(rest),
        "study" if rest.first().is_some_and(|n| n == "compare") => versions::run(rest),
        "study" => study::run(rest),
        "swap" => swap::run(rest),
        _ => bail!(
            "unknown benchmark `{name}`; there are author, batch, decide, engine, features, import, main, replay, sandbox, sim, store, stream, study and swap"
        ),
    }
}

/// The folder of the packed reference plugins, as `cargo xtask` hands it over.
fn artefacts() -> Result<std::path::PathBuf> {
    let given = std::env::var_os("GHTRADER_ARTEFACTS").map(std::path::PathBuf::from);
    let dir = given.unwrap_or_else(|| std::path::PathBuf::from("plugins/target/artifacts"));
    if !dir.join("core-factors.wasm").is_file() {
        bail!("{} holds no packed plugins; run `cargo xtask plugins`", dir.display());
    }
    Ok(dir)
}

/// The program beside this one.
fn program() -> Result<std::path::PathBuf> {
    Ok(std::env::current_exe()?.with_file_name("ghtrader"))
}

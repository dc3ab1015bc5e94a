//! Project commands: `cargo xtask demo`, `cargo xtask test` and their parts.
//!
//! Every step prints what it runs and what it installs before it does so, and can be run again without harm.

mod guests;
mod python;
mod questdb;
mod slurm;
mod steps;

use std::{path::PathBuf, process::ExitCode};
use steps::{Failure, Step, cargo, ghtrader, root};

const HELP: &str = "\
cargo xtask COMMAND

  demo [--ticks FILE…] [--out DIR]   set-up, build, and the whole way from ticks to a report
  test                               set-up, and every test: host, SDK, plugins natively and in wasm, integration, tidy;
                                     with a batch on a Ray cluster where Ray is installed
  test --ray                         installs Ray, and runs the tests of batches on many machines alone
  test --slurm                       installs Slurm, and runs a batch as an array; some minutes

  setup [--ray] [--slurm]            installs what is missing: guest target, Python packages of the tests, Java and the jar of
                                     QuestDB (by Maven, 30 MB in the user's cache); on demand Ray
                                     (in the user's cache, 0.5 GB) and Slurm (Debian's packages)
  questdb up|down|status             a QuestDB server on loopback, by process id; --dir, --port, --pg-port
  plugins                            builds and packs the reference plugins into plugins/target/artifacts
  lint                               formatting and clippy, warnings are errors
  doc                                the API documentation of every crate
  bench import|replay|features       rows a second, against a peer or the native build in the same run
  bench main [--json]                main_l5 rows a second, and a day's update over 1, 10 and 100 days of history
  bench decide                       tick → decision of a lineup in wasm, against the same code native
  bench store [--days N] [--json]    both back ends: rows a second, bytes a row, against QuestDB's Python client and Polars
  bench swap [--swaps N]             pause of a hot swap, ticks lost or answered twice, cost of being swappable
  bench sandbox [--json]             what a good plugin notices of each bad one: the slowest of its ticks
  bench engine [--stream FILE] [--peer]   the engine on the common benchmark stream: counts, rows a second, a peer beside it
  bench sim [--json]                 ticks a second of the DIFF server to 1, 10, 100 clients, and beside a slow one
  bench batch [--jobs N] [--json]    jobs a second on one thread and two, what a job costs, how cost grows
  bench batch --ray [--rounds N]     a batch on a Ray cluster of two nodes against two plain processes; installs Ray
  bench stream N OUT.npy SEED        writes the common benchmark stream as a file
  bench author [--json]              an author's day: from an edit into shadow, in seconds
  study signal [--seeds N]           coverage of 0.5 without a signal, AUC against the reachable bound with one
  study compare [--markets N]        is noise called noise, and the better variant better? 200 variants a batch
  study kills [--rounds N]           kills at any moment of server and account: what was acknowledged and is lost
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) = match args.split_first() {
        Some((command, rest)) => (command.as_str(), rest),
        None => ("help", &[][..]),
    };
    let result = match command {
        "demo" => demo(rest),
        "test" => test(rest),
        "setup" => setup(rest),
        "questdb" => questdb::run(rest),
        "plugins" => {
            let host = host_build().run("build the host");
            host.and_then(|()| guests::build()).map(drop)
        }
        "lint" => lint(),
        "doc" => cargo(&["doc", "--release", "--workspace", "--no-deps"]).run("document every crate"),
        "bench" => bench(rest),
        "study" => study(rest),
        "help" | "--help" | "-h" => {
            print!("{HELP}");
            Ok(())
        }
        other => Err(Failure(format!("there is no command `{other}`\n\n{HELP}"))),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure(message)) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
    }
}

/// One selection of packages for everything: another one would have other features, and compile the engine once more.
fn host_build() -> Step {
    cargo(&["build", "--release", "--workspace", "--bins"])
}

/// Builds host and plugins and hands over to `ghtrader demo`.
fn demo(args: &[String]) -> Result<(), Failure> {
    guests::setup()?;
    host_build().run("build the host")?;
    let artefacts = guests::build()?;
    let mut step = ghtrader(&["demo"]);
    step.arg("--plugins").arg(artefacts);
    step.args(args);
    step.run("run the main way")
}

/// Installs what is missing; what is large only when it is named.
fn setup(args: &[String]) -> Result<(), Failure> {
    if let Some(unknown) = args.iter().find(|a| !["--ray", "--slurm"].contains(&a.as_str())) {
        return Err(Failure(format!("set-up knows --ray and --slurm, not `{unknown}`")));
    }
    guests::setup()?;
    python::PEERS.setup()?;
    questdb::setup()?;
    python::CLIENT.setup()?;
    if args.iter().any(|a| a == "--ray") {
        let python = python::RAY.setup()?;
        eprintln!("Ray is installed: {}", python.display());
    }
    if args.iter().any(|a| a == "--slurm") {
        slurm::setup()?;
    }
    Ok(())
}

/// Every test; lints ride on the same compilation, so that nothing is built twice.
fn test(args: &[String]) -> Result<(), Failure> {
    match args.first().map(String::as_str) {
        Some("--ray") => return test_ray(&args[1..]),
        Some("--slurm") => return test_slurm(),
        _ => {}
    }
    guests::setup()?;
    components()?;
    let python = python::PEERS.setup()?;
    questdb::try_setup();
    let client = python::CLIENT.setup()?;
    cargo(&["fmt", "--all", "--check"]).run("check the formatting of the host")?;
    let plugins = root().join("plugins");
    let mut format = cargo(&["fmt", "--check"]);
    format.dir(&plugins);
    format.run("check the formatting of the plugins")?;
    let mut build = cargo(&["build", "--release", "--workspace", "--bins"]);
    linted(&mut build);
    build.run("build the host, warnings are errors")?;
    let artefacts = guests::build()?;
    let mut native = cargo(&["test", "--release", "--target-dir", "target/native"]);
    native.dir(&plugins);
    native.run("test the plugins natively")?;
    let mut host = cargo(&["test", "--release", "--workspace", "--no-fail-fast"]);
    linted(&mut host);
    host.env("GHTRADER_ARTEFACTS", artefacts);
    host.env("GHTRADER_PYTHON", python);
    host.env("GHTRADER_DIFF_PYTHON", client);
    if let Some(ray) = python::RAY.installed() {
        host.env("GHTRADER_BATCH_PYTHON", ray);
    }
    host.args(args);
    host.run("test host, SDK, wasm plugins and integration")
}

/// Batches on a cluster, with Ray installed for it.
fn test_ray(args: &[String]) -> Result<(), Failure> {
    guests::setup()?;
    let python = python::RAY.setup()?;
    host_build().run("build the host")?;
    let artefacts = guests::build()?;
    let mut tests = cargo(&["test", "--release", "--workspace", "--test", "many_machines"]);
    tests.env("GHTRADER_ARTEFACTS", artefacts);
    tests.env("GHTRADER_BATCH_PYTHON", python);
    tests.args(args);
    tests.run("test batches on many machines")
}

/// A batch as a Slurm array on two nodes of this machine.
fn test_slurm() -> Result<(), Failure> {
    guests::setup()?;
    slurm::setup()?;
    host_build().run("build the host")?;
    let artefacts = guests::build()?;
    let mut test = Step::new("python3");
    test.arg(root().join("infra/slurm/test_array.py")).arg(steps::binary("ghtrader")).arg(artefacts);
    test.run("test a batch as a Slurm array")
}

/// Installs rustfmt and clippy where the toolchain came without them.
fn components() -> Result<(), Failure> {
    let version = ["--version".to_owned()];
    let there = |program: &str| Step::new(program).args(&version).output().is_some();
    if there("rustfmt") && there("clippy-driver") {
        return Ok(());
    }
    Step::new("rustup")
        .args(&["component", "add", "rustfmt", "clippy"].map(String::from))
        .run("install the toolchain's rustfmt and clippy")
}

/// Runs clippy as the workspace's compiler: one compilation both lints and builds, and dependencies stay shared.
fn linted(step: &mut Step) {
    step.env("RUSTC_WORKSPACE_WRAPPER", PathBuf::from("clippy-driver"));
    step.env("CLIPPY_ARGS", PathBuf::from("-Dwarnings__CLIPPY_HACKERY__"));
    step.env("CLIPPY_CONF_DIR", root());
}

fn lint() -> Result<(), Failure> {
    components()?;
    cargo(&["fmt", "--all", "--check"]).run("check the formatting")?;
    let mut build = cargo(&["build", "--release", "--workspace", "--all-targets"]);
    linted(&mut build);
    build.run("lint everything, warnings are errors")
}

fn bench(args: &[String]) -> Result<(), Failure> {
    let Some(kind) = args.first() else {
        return Err(Failure(
            "bench what? import, replay, store, main, features, decide, swap, batch, author, sandbox, sim, stream or engine"
                .to_owned(),
        ));
    };
    guests::setup()?;
    host_build().run("build the benchmarks")?;
    let artefacts = guests::build()?;
    if let ("batch", Some(at)) = (kind.as_str(), args.iter().position(|a| a == "--ray")) {
        let mut step = Step::new(python::RAY.setup()?);
        step.arg(root().join("infra/ray/bench.py")).arg(steps::binary("ghtrader")).arg(artefacts);
        step.args(&args[1..at]).args(&args[at + 1..]);
        return step.run("measure a batch on a cluster");
    }
    let mut program = steps::binary("ghtrader-bench");
    if kind == "engine" {
        // The peer is optimised as a whole; so is what users install.
        cargo(&["build", "--profile", "dist", "--workspace", "--bin", "ghtrader-bench"])
            .run("build as it is installed")?;
        program = steps::installed("ghtrader-bench");
    }
    let mut step = Step::new(program);
    step.args(args);
    step.env("GHTRADER_ARTEFACTS", artefacts);
    if kind == "store" {
        questdb::setup()?;
    }
    if kind == "import" || kind == "store" {
        step.env("GHTRADER_PYTHON", python::PEERS.setup()?);
    }
    if kind == "engine" && args.iter().any(|arg| arg == "--peer") {
        step.env("GHTRADER_PEER", peer()?);
    }
    step.run("measure")
}

/// Builds the driver of another engine, in its own workspace, which nothing else needs.
fn peer() -> Result<PathBuf, Failure> {
    let workspace = root().join("infra/peers");
    let target = workspace.join("target");
    let mut build = cargo(&["build", "--release", "--locked", "--target-dir"]);
    build.arg(&target).dir(&workspace);
    build.run("build the peer's driver (installs its crates into cargo's cache)")?;
    Ok(target.join("release/peer-hftbacktest"))
}

fn study(args: &[String]) -> Result<(), Failure> {
    if !args.first().is_some_and(|name| ["signal", "compare", "kills"].contains(&name.as_str())) {
        return Err(Failure("study what? signal, compare or kills".to_owned()));
    }
    host_build().run("build the study")?;
    let artefacts = guests::build()?;
    let mut step = Step::new(steps::binary("ghtrader-bench"));
    step.arg("study").args(args);
    step.env("GHTRADER_ARTEFACTS", artefacts);
    step.run("study")
}

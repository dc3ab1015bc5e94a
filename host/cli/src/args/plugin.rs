//! Flags of `ghtrader plugin`.

use clap::{Subcommand, ValueEnum};
use ghtrader_core::{Digest, Variety};
use std::path::PathBuf;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RoleName {
    /// Ticks in, columns out
    Feature,
    /// Ticks with look-ahead in, targets out
    Label,
    /// Rows in, orders out
    Strategy,
}

impl From<RoleName> for ghtrader_plugin::Role {
    fn from(role: RoleName) -> Self {
        match role {
            RoleName::Feature => Self::Feature,
            RoleName::Label => Self::Label,
            RoleName::Strategy => Self::Strategy,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Plugin {
    /// Makes a crate that compiles, passes its tests, and says by its comments what to change
    #[command(after_help = "Example: ghtrader plugin new strategy my-idea && cd my-idea && ghtrader plugin test")]
    New {
        /// feature, label or strategy
        role: RoleName,
        /// Lower-case words joined by hyphens
        name: String,
        /// Folder to make; the name if absent
        #[arg(long)]
        dir: Option<PathBuf>,
    },
    /// Compiles the crate in this folder and packs it: target/ghtrader/NAME-VERSION.wasm
    #[command(after_help = "Example: ghtrader plugin build")]
    Build {
        /// Folder of the crate
        #[arg(long, default_value = ".")]
        dir: PathBuf,
    },
    /// Native tests, admission, parity of native code and component to the bit, cost. Exit 1 if one says no
    #[command(after_help = "Example: ghtrader plugin test --json")]
    Test {
        /// Folder of the crate
        #[arg(long, default_value = ".")]
        dir: PathBuf,
    },
    /// At each save: builds, tests, pushes, and puts the crate's lineup.toml into shadow
    #[command(after_help = "Example: ghtrader plugin watch --var cu")]
    Watch {
        /// Product
        #[arg(long)]
        var: Variety,
        /// Account; the one that runs the variety if absent
        #[arg(long)]
        account: Option<String>,
        /// Folder of the crate
        #[arg(long, default_value = ".")]
        dir: PathBuf,
        /// Stops after so many rounds; 0 = never
        #[arg(long, default_value_t = 0)]
        rounds: u32,
    },
    /// Makes an artefact of a core module and its manifest
    #[command(after_help = "Example: ghtrader plugin pack my_idea.wasm --manifest plugin.toml --out my-idea.wasm")]
    Pack {
        /// The compiled module
        module: PathBuf,
        /// Its plugin.toml
        #[arg(long)]
        manifest: PathBuf,
        /// The artefact to write
        #[arg(long)]
        out: PathBuf,
    },
    /// Admission: every finding at once. Exit 1 if there is one
    #[command(after_help = "Example: ghtrader plugin check artifacts/core-factors.wasm")]
    Check {
        /// The artefact
        artefact: PathBuf,
    },
    /// Runs a feature or label over a tick CSV of one contract
    #[command(
        after_help = "Example: ghtrader plugin eval artifacts/core-factors.wasm --input SHFE.ad2511.csv --output out.csv"
    )]
    Eval {
        /// The artefact
        artefact: PathBuf,
        /// TqSdk CSV, or one with the tick columns' plain names
        #[arg(long)]
        input: PathBuf,
        /// CSV of datetime_ns and the outputs
        #[arg(long)]
        output: PathBuf,
        /// Rows a call
        #[arg(long, default_value_t = 4096, value_parser = clap::value_parser!(u32).range(1..=65536))]
        block: u32,
        /// A parameter, name=value; may be repeated
        #[arg(long = "param", alias = "params", value_name = "K=V")]
        params: Vec<String>,
        /// Contract of a file that names none
        #[arg(long)]
        symbol: Option<String>,
    },
    /// Puts an artefact into the registry of the server; a version is written once
    #[command(after_help = "Example: ghtrader plugin push --tag candidate")]
    Push {
        /// The artefact; the crate in this folder is built if absent
        artefact: Option<PathBuf>,
        /// Sets this tag to it
        #[arg(long)]
        tag: Option<String>,
        /// Signs it with this key file
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
    },
    /// Pushed plugins
    #[command(after_help = "Example: ghtrader plugin list --role strategy")]
    List {
        /// Only this role
        #[arg(long, value_enum)]
        role: Option<RoleName>,
        /// Only this name
        #[arg(long)]
        name: Option<String>,
    },
    /// Manifest, checks and cost of a pushed plugin
    #[command(after_help = "Example: ghtrader plugin show my-idea:candidate")]
    Show {
        /// NAME@VERSION, NAME:TAG or a digest
        plugin: String,
    },
    /// Shows where a tag of a plugin points, or moves it
    #[command(after_help = "Example: ghtrader plugin tag my-idea champion 0.2.0")]
    Tag {
        /// Name, with `feature/`, `label/` or `strategy/` before it where several roles have it
        name: String,
        /// Such as candidate or champion
        tag: String,
        /// Version to move it to
        version: Option<String>,
        /// Generation of the tag that you saw; the present one if absent
        #[arg(long, value_name = "N")]
        if_match: Option<u64>,
        /// Why, for the audit
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// How two pushed plugins differ
    #[command(after_help = "Example: ghtrader plugin diff my-idea@0.1.0 my-idea@0.2.0")]
    Diff {
        /// NAME@VERSION, NAME:TAG or a digest
        a: String,
        /// The same of the other
        b: String,
    },
    /// Takes a pushed plugin out of sight; its version stays taken
    #[command(after_help = "Example: ghtrader plugin remove my-idea@0.1.0 --reason superseded")]
    Remove {
        /// NAME@VERSION, NAME:TAG or a digest
        plugin: String,
        /// Why, for the audit
        #[arg(long)]
        reason: String,
    },
    /// Signs an artefact: prints KEY:SIGNATURE
    #[command(after_help = "Example: ghtrader plugin sign target/ghtrader/my-idea-0.1.0.wasm --key my.key")]
    Sign {
        /// The artefact
        artefact: PathBuf,
        /// Key file
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
    },
    /// What the registry holds and nobody needs: removed, half pushed, damaged; shown, and taken away with --apply
    #[command(after_help = "Example: ghtrader plugin gc && ghtrader plugin gc --apply PLAN_HASH")]
    Gc {
        /// Carries out the plan of this hash, if it still holds
        #[arg(long, value_name = "PLAN_HASH")]
        apply: Option<Digest>,
    },
    /// Makes a key for signing, or shows the public half of one
    #[command(after_help = "Example: ghtrader plugin keys my.key --new")]
    Keys {
        /// Key file
        key: PathBuf,
        /// Makes it
        #[arg(long)]
        new: bool,
    },
}

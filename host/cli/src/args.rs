//! Flags as typed; each command's own module makes sense of them.

mod account;
mod batch;
mod compare;
mod export;
mod fetch;
mod lineup;
mod mend;
mod plugin;
mod sim;
mod sql;

pub(crate) use account::{Account, AccountLine};
pub(crate) use batch::Batch;
pub(crate) use compare::Compare;
pub(crate) use export::{Export, FormatName, OrderName, Rolls};
pub(crate) use fetch::{Download, Record, Update};
pub(crate) use lineup::{Audit, Change, How, Lineup, Mode, Target};
pub(crate) use mend::{CollectGarbage, L5StartFlags, Purge, Repair, StoredDays};
pub(crate) use plugin::{Plugin, RoleName};
pub(crate) use sim::{Sim, SimServe};
pub(crate) use sql::{Sql, SqlFormat};

use crate::progress::ProgressMode;
use clap::{Args, Parser, Subcommand, ValueEnum};
use ghtrader_core::{ContractId, TradingDay, Variety};
use std::path::PathBuf;

/// A WebAssembly-plugin strategy host for Chinese futures.
#[derive(Debug, Parser)]
#[command(name = "ghtrader", version, propagate_version = true, infer_long_args = false)]
#[command(
    after_help = "Example: ghtrader data synth --var cu --days 20 --seed 1 --signal 1\nStart here: ghtrader demo"
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags of every command.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Settings file instead of ROOT/ghtrader.toml
    #[arg(long, global = true, value_name = "FILE", env = "GHTRADER_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Folder of the project; else GHTRADER_ROOT, else the nearest one upwards with a ghtrader.toml, else this one
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,
    /// Overrides one setting, such as build.block_rows=1024; may be repeated
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Prints exactly one JSON document
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// The server that commands about pushed plugins and lineups ask; else the one that runs in this root
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) server: Option<String>,
    /// How progress is shown on stderr
    #[arg(long, global = true, value_enum, default_value = "auto")]
    pub(crate) progress: ProgressMode,
    /// No progress
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Import, synthetic market, reports on stored days
    #[command(subcommand)]
    Data(Data),
    /// Back ends of the store: copy from one to the other
    #[command(subcommand)]
    Db(Db),
    /// One read-only query over what is stored; tables ticks, main_l5, main_schedule, days
    #[command(
        after_help = "Example: ghtrader sql 'SELECT trading_day, count(*) FROM main_l5 GROUP BY trading_day ORDER BY trading_day'"
    )]
    Sql(Sql),
    /// The main contract and main_l5
    #[command(subcommand)]
    Main(Main),
    /// Write, build, test, push and tag plugins
    #[command(subcommand, alias = "plugins")]
    Plugin(Plugin),
    /// What decides on a variety: plan, shadow, swap, roll back, halt
    #[command(subcommand)]
    Lineup(Lineup),
    /// What was asked for, by whom, and what came of it
    #[command(subcommand)]
    Audit(Audit),
    /// Columns that feature plugins make of main_l5
    #[command(subcommand, alias = "features")]
    Feature(Columns),
    /// Columns that label plugins make of main_l5
    #[command(subcommand, alias = "labels")]
    Label(Columns),
    /// Train a model walk-forward
    #[command(subcommand)]
    Train(Train),
    /// Run a strategy over recorded ticks, verify a result
    #[command(subcommand)]
    Backtest(Backtest),
    /// Results against a champion: differences with intervals, verdicts, how much is luck
    #[command(
        after_help = "Example: ghtrader compare runs/v2 runs/v3 --html v3.html\nExample: ghtrader compare --batch sweep --champion edge=2"
    )]
    Compare(Compare),
    /// Many runs as one: plan, run, collect
    #[command(subcommand)]
    Batch(Batch),
    /// The whole way from ticks to a report, in one folder
    #[command(after_help = "Example: ghtrader demo --ticks SHFE.ad2511.csv --out demo")]
    Demo(Demo),
    /// Accounts at a broker, over their trading line: looked at, never traded
    #[command(subcommand)]
    Account(Account),
    /// The paper account: lineups on a synthetic market or on recorded days
    #[command(subcommand)]
    Paper(Paper),
    /// The control API over HTTP, until SIGINT or SIGTERM
    #[command(after_help = "Example: ghtrader serve --port 0 --json")]
    Serve(Serve),
    /// A DIFF server of one's own: recorded or synthetic days for DIFF clients, with simulated accounts
    #[command(subcommand)]
    Sim(Sim),
    /// Who has access to the control API
    #[command(subcommand)]
    Token(Token),
    /// Settings as they hold, and where they come from
    #[command(subcommand)]
    Config(Config),
    /// Writes a commented ghtrader.toml, folders and an example run file
    #[command(after_help = "Example: ghtrader init my-desk && ghtrader --root my-desk config check")]
    Init {
        /// Folder to make
        #[arg(default_value = ".")]
        dir: PathBuf,
    },
    /// Every prerequisite, what is wrong and how to mend it
    #[command(after_help = "Example: ghtrader doctor --json")]
    Doctor,
    /// Shell completions on stdout
    #[command(after_help = "Example: ghtrader completions bash > ~/.local/share/bash-completion/completions/ghtrader")]
    Completions {
        /// bash, zsh, fish, elvish or powershell
        shell: clap_complete::Shell,
    },
}

/// Where a store lies; see the setting store.backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Backend {
    /// Files under data_dir
    Embedded,
    /// A QuestDB server
    Questdb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Db {
    /// What keeps QuestDB's tables from being used, as statements. Exit 1 if there is any; nothing changes without --apply
    #[command(after_help = "Example: ghtrader db migrate --apply")]
    Migrate {
        /// Runs the statements
        #[arg(long)]
        apply: bool,
    },
    /// Copies symbol-days from one back end to the other, and with no selection everything else too; continues where it was
    #[command(
        after_help = "Example: ghtrader db copy --from embedded --to questdb --symbol SHFE.cu2509 --from-day 2025-07-01"
    )]
    Copy {
        /// Back end that is read
        #[arg(long, value_enum)]
        from: Backend,
        /// Back end that is written
        #[arg(long, value_enum)]
        to: Backend,
        /// Such as SHFE.cu2602 or KQ.m@SHFE.cu; may be repeated; all if absent
        #[arg(long)]
        symbol: Vec<String>,
        /// First trading day
        #[arg(long, value_name = "YYYY-MM-DD")]
        from_day: Option<TradingDay>,
        /// Last trading day
        #[arg(long, value_name = "YYYY-MM-DD")]
        to_day: Option<TradingDay>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ImportFormat {
    /// By the header
    Auto,
    /// TqSdk tick CSV, 5 levels or 1
    Tqsdk,
    /// CTP depth market data, 44 columns
    Ctp,
    /// time, bid, size, ask, size, last, volume, open interest, without a header
    CtpCompact,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Data {
    /// Stores tick files as symbol-days; rejected rows go to a file with line and reason
    #[command(after_help = "Example: ghtrader data import SHFE.ad2511.csv --json")]
    Import {
        /// CSV files, gzip or not
        #[arg(required = true)]
        files: Vec<PathBuf>,
        #[arg(long, value_enum, default_value = "auto")]
        format: ImportFormat,
        /// Trading day of files that name none (ctp-compact)
        #[arg(long, value_name = "YYYY-MM-DD")]
        trading_day: Option<TradingDay>,
        /// Contract of files that name none
        #[arg(long)]
        symbol: Option<ContractId>,
    },
    /// Fetches the ticks that lack from a DIFF source; the second run fetches nothing
    #[command(
        after_help = "Example: ghtrader data download SHFE.cu2509 --from 2025-07-01 --to 2025-07-18\nLogin: GHTRADER_DIFF_USER and GHTRADER_DIFF_PASSWORD, or the file of the setting diff.credentials_file"
    )]
    Download(Download),
    /// Whether a tick file holds what the pipeline needs: rows, columns, null rates. Exit 1 if not; nothing is stored
    #[command(after_help = "Example: ghtrader data check SHFE.cu2509.csv --json")]
    Check {
        /// CSV of tick columns, gzip or not
        file: PathBuf,
    },
    /// Everything a new day brings about: download, schedule, main_l5, validation, coverage, columns, page
    #[command(
        after_help = "Each step does only what changed; run it again after a failure. Exit code of the worst step.\n\
                      Example: ghtrader data update --var cu --plugin artifacts/core-factors.wasm"
    )]
    Update(Update),
    /// Asks the source again about days that are missing, refused or have gaps, and downloads what it has
    #[command(
        after_help = "Example: ghtrader data repair SHFE.cu2509 2025-07-18\nExample: ghtrader data repair --var cu --days 20 --apply"
    )]
    Repair(Repair),
    /// The first trading day of which the source has five levels
    #[command(after_help = "Example: ghtrader data l5-start --var cu")]
    L5Start(L5StartFlags),
    /// Takes rows without depth out of stored ticks; counts them first
    #[command(
        after_help = "Example: ghtrader data purge --var cu\nExample: ghtrader data purge --symbol SHFE.cu2509 --apply"
    )]
    Purge(Purge),
    /// Earlier versions of days, and what else nothing needs any more: counts them first
    #[command(after_help = "Example: ghtrader data gc --apply")]
    Gc(CollectGarbage),
    /// Records ticks as they happen, until SIGINT or SIGTERM; a day that is over is stored
    #[command(after_help = "Example: ghtrader data record SHFE.cu2509 SHFE.au2512 --progress plain")]
    Record(Record),
    /// Makes a synthetic market and stores it, or writes it as TqSdk CSV with --out
    #[command(after_help = "Example: ghtrader data synth --var cu --days 20 --seed 1 --signal 0.5")]
    Synth {
        /// Product
        #[arg(long)]
        var: Variety,
        /// Trading days
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..=2500))]
        days: u32,
        /// Same seed, same bytes
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Strength of the planted signal, 0 = none
        #[arg(long, default_value_t = 0.0)]
        signal: f64,
        /// First trading day
        #[arg(long, value_name = "YYYY-MM-DD")]
        first_day: Option<TradingDay>,
        /// Rows of a main contract's day, about
        #[arg(long, value_parser = clap::value_parser!(u32).range(1000..=66000))]
        rows_per_day: Option<u32>,
        /// Writes CSV files here instead of the store
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// Stored symbols with their days and rows
    #[command(after_help = "Example: ghtrader data list --json")]
    List,
    /// Manifest of a stored symbol-day
    #[command(after_help = "Example: ghtrader data show SHFE.cu2509 2025-07-18")]
    Show {
        /// Such as SHFE.cu2602 or KQ.m@SHFE.cu
        symbol: String,
        /// Trading day
        day: TradingDay,
    },
    /// Stored rows as CSV, XLSX or Parquet, with where they come from
    #[command(
        after_help = "Example: ghtrader data export --var cu --from 2025-07-01 --to 2025-07-18 --adjust difference --out cu.parquet"
    )]
    Export(crate::args::Export),
    /// Where a row comes from: values, digests, main contract, schedule, the line of the file that was imported
    #[command(after_help = "Example: ghtrader data trace KQ.m@SHFE.cu 2025-07-18 1204")]
    Trace {
        /// Such as SHFE.cu2602 or KQ.m@SHFE.cu
        symbol: String,
        /// Trading day
        day: TradingDay,
        /// Number of the row in its day, its `seq`
        seq: u32,
        /// Shows the line as it stands in this file, if it is the one that was imported
        #[arg(long)]
        file: Option<PathBuf>,
    },
    /// Rows, phases, gaps, quality and signal figures of a stored symbol-day; with --var a page over all days
    #[command(
        after_help = "Examples: ghtrader data report SHFE.ad2511 2025-07-18 --json\n          ghtrader data report --var cu"
    )]
    Report {
        /// Such as SHFE.ad2511
        #[arg(required_unless_present = "var", requires = "day")]
        symbol: Option<String>,
        /// Trading day
        day: Option<TradingDay>,
        /// Writes an HTML page over all days of a product instead: coverage, gaps, quality, rolls, intervals
        #[arg(long, conflicts_with = "symbol")]
        var: Option<Variety>,
        /// Where the page goes; runs/data-VAR.html if absent
        #[arg(long, value_name = "FILE", requires = "var")]
        out: Option<PathBuf>,
    },
    /// Gaps, missing days and rows outside sessions, with a verdict. Exit 1 if it is an error
    #[command(after_help = "Example: ghtrader data validate --var cu --incremental")]
    Validate {
        #[command(flatten)]
        days: StoredDays,
        /// Only days after the last one validated under the present main schedule
        #[arg(long)]
        incremental: bool,
        /// Lists every day, not the worst alone
        #[arg(long)]
        full_report: bool,
        /// Prints the limits and where each comes from, and validates nothing
        #[arg(long)]
        profile: bool,
    },
    /// What is stored of each symbol of a product: days expected, there and missing, depth, clean rows
    #[command(after_help = "Example: ghtrader data coverage --var cu")]
    Coverage {
        /// Product
        #[arg(long)]
        var: Variety,
    },
    /// Whether a product's main_l5 can be relied on: verdicts, rates, gaps, lags. Exit 1 if not; nothing is kept
    #[command(after_help = "Example: ghtrader data readiness --var cu --json")]
    Readiness {
        /// Product
        #[arg(long)]
        var: Variety,
    },
    /// The gaps of a product's main_l5, longest first
    #[command(after_help = "Example: ghtrader data gaps --var cu --most 20")]
    Gaps {
        /// Product
        #[arg(long)]
        var: Variety,
        /// Gaps that are shown
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
        most: u32,
    },
    /// Defects of fields by day: null rates, crossed books, falling counts, outliers
    #[command(after_help = "Example: ghtrader data field-quality --var cu --json")]
    FieldQuality(StoredDays),
    /// Rehashes what is stored; a bad file is named and set aside. Exit 1 if there is one
    #[command(
        after_help = "Example: ghtrader data verify --deep\nExample: ghtrader data verify --deep --against questdb"
    )]
    Verify {
        /// Reads every row as well
        #[arg(long)]
        deep: bool,
        /// Also checks another back end, and that both hold the same by digest
        #[arg(long, value_enum, value_name = "BACKEND")]
        against: Option<Backend>,
    },
    /// Columns of a tick row and the digest of their names
    #[command(after_help = "Example: ghtrader data schema --json")]
    Schema,
    /// Price tick and multiplier of a contract on a date
    #[command(after_help = "Example: ghtrader data contract SHFE.au2006 --on 2019-06-03")]
    Contract {
        /// Such as SHFE.au2006
        symbol: ContractId,
        /// Trading day; the last one that the calendar knows if absent
        #[arg(long)]
        on: Option<TradingDay>,
    },
    /// Trading days from one day to another, both included
    #[command(after_help = "Example: ghtrader data calendar 2025-01-24 2025-02-06")]
    Calendar {
        /// First day
        from: TradingDay,
        /// Last day
        to: TradingDay,
    },
    /// Windows of continuous trading of a trading day
    #[command(after_help = "Example: ghtrader data sessions --var cu --day 2025-01-06")]
    Sessions {
        /// Product
        #[arg(long)]
        var: Variety,
        /// Trading day
        #[arg(long)]
        day: TradingDay,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ScheduleSource {
    /// Closing open interest
    Oi,
    /// The vendor's table of main contracts, from the DIFF source or --file
    Vendor,
    /// A CSV of date,contract
    File,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Main {
    /// Chooses the main contract of each trading day
    #[command(
        after_help = "Example: ghtrader main schedule --var cu\nExample: ghtrader main schedule --var cu --source vendor"
    )]
    Schedule {
        /// Product
        #[arg(long)]
        var: Variety,
        /// Rule; the setting schedule.source if absent
        #[arg(long, value_enum)]
        source: Option<ScheduleSource>,
        /// CSV of date,contract for --source file, JSON of the vendor's form for --source vendor
        #[arg(long)]
        file: Option<PathBuf>,
    },
    /// Builds main_l5 by the stored schedule; what has not changed is left alone
    #[command(after_help = "Example: ghtrader main build --var cu")]
    Build {
        /// Product
        #[arg(long)]
        var: Variety,
        /// Builds every day again
        #[arg(long)]
        full: bool,
        /// Threads, at most 256; 0 = one a core
        #[arg(long, value_parser = clap::value_parser!(u16).range(0..=256))]
        workers: Option<u16>,
    },
    /// The segments of the stored schedule, the closes at each roll, and what an adjustment makes of them
    #[command(after_help = "Example: ghtrader main rolls --var cu --adjust ratio")]
    Rolls(Rolls),
    /// The stored schedule
    #[command(after_help = "Example: ghtrader main show --var cu")]
    Show {
        /// Product
        #[arg(long)]
        var: Variety,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Columns {
    /// Builds the columns of every main_l5 day; what has not changed is reused
    #[command(
        after_help = "Example: ghtrader feature build --var cu --plugin artifacts/core-factors.wasm\n         ghtrader label build --var cu --plugin artifacts/direction.wasm"
    )]
    Build {
        /// Product
        #[arg(long)]
        var: Variety,
        /// The artefact
        #[arg(long)]
        plugin: PathBuf,
        /// A parameter, name=value; may be repeated
        #[arg(long = "param", value_name = "K=V")]
        params: Vec<String>,
        /// Builds every day again
        #[arg(long)]
        full: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Train {
    /// Fits a model fold by fold and scores what it has not seen
    #[command(
        after_help = "Example: ghtrader train run logistic --var cu --features artifacts/core-factors.wasm --label artifacts/direction.wasm --out model"
    )]
    Run {
        /// logistic
        #[arg(value_parser = ["logistic"])]
        model: String,
        /// Product
        #[arg(long)]
        var: Variety,
        /// Feature artefact; may be repeated
        #[arg(long, required = true)]
        features: Vec<PathBuf>,
        /// Label artefact
        #[arg(long)]
        label: PathBuf,
        /// Horizon in rows, at most 10000; the setting train.horizon if absent
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        horizon: Option<u32>,
        /// Folder of the model
        #[arg(long)]
        out: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Backtest {
    /// Replays main_l5 through one lineup under every fill model of the specification
    #[command(after_help = "Example: ghtrader backtest run maker.toml --out runs/maker")]
    Run {
        /// Run specification
        spec: PathBuf,
        /// Result folder
        #[arg(long)]
        out: PathBuf,
        /// Replaces another result in the folder
        #[arg(long)]
        replace: bool,
        /// Overrides one key of the specification, such as latency.feed_us=0; may be repeated
        #[arg(long = "with", value_name = "KEY=VALUE")]
        with: Vec<String>,
    },
    /// Fits a model per fold and trades its test days as one run; the specification has a table [walk_forward]
    #[command(after_help = "Example: ghtrader backtest walk-forward obi.toml --out runs/obi-walk")]
    WalkForward {
        /// Run specification with a table [walk_forward]
        spec: PathBuf,
        /// Result folder
        #[arg(long)]
        out: PathBuf,
        /// Replaces another result in the folder
        #[arg(long)]
        replace: bool,
    },
    /// One run in every way that has to give the same bits: threads, blocks, row by row, a copy of the data, killed and
    /// run again, native. Exit 1 if one differs, with the first row
    #[command(
        after_help = "Example: ghtrader backtest check runs/maker\n         ghtrader backtest check maker.toml --native plugins/strategies/maker"
    )]
    Check {
        /// Result folder, or run specification
        run: PathBuf,
        /// Seed of the random blocks
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Crate of a plugin of the lineup, compiled for this machine and compared too; may be repeated
        #[arg(long, value_name = "DIR")]
        native: Vec<PathBuf>,
    },
    /// Runs a stored result again and compares, file by file. Exit 1 if it differs
    #[command(after_help = "Example: ghtrader backtest verify runs/maker")]
    Verify {
        /// Result folder
        dir: PathBuf,
    },
    /// Holds a stored result against a rule set and stores the answer beside it. Exit 1 when a rule fails
    #[command(after_help = "Example: ghtrader backtest gate runs/maker --comparison sweep.json")]
    Gate {
        /// Result folder
        dir: PathBuf,
        /// Rule set in TOML; the rules of a promotion if absent
        #[arg(long, value_name = "FILE")]
        rules: Option<PathBuf>,
        /// What `ghtrader compare --json` printed for the family that the result was chosen from
        #[arg(long, value_name = "FILE")]
        comparison: Option<PathBuf>,
    },
    /// The figures of a stored result
    #[command(after_help = "Example: ghtrader backtest show runs/maker")]
    Show {
        /// Result folder
        dir: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Tick files instead of the synthetic market
    #[arg(long, num_args = 1..)]
    pub(crate) ticks: Vec<PathBuf>,
    /// Folder of everything that the demo makes
    #[arg(long, default_value = "demo")]
    pub(crate) out: PathBuf,
    /// Folder of the packed reference plugins
    #[arg(long)]
    pub(crate) plugins: Option<PathBuf>,
    /// Trading days of the synthetic market
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(3..=250))]
    pub(crate) days: u32,
    /// Seed of the synthetic market
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Strength of the synthetic market's planted signal, 0 = none
    #[arg(long, default_value_t = 1.0)]
    pub(crate) signal: f64,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Paper {
    /// Runs the account until its days are over or somebody stops it
    #[command(after_help = "Example: ghtrader paper run --var cu,au,ag --source synthetic --speed 20")]
    Run(PaperRun),
    /// Every variety of a running account
    #[command(after_help = "Example: ghtrader paper status")]
    Status {
        /// Account
        #[arg(long, default_value = "paper")]
        account: String,
    },
    /// Ends a running account in order
    #[command(after_help = "Example: ghtrader paper stop")]
    Stop {
        /// Account
        #[arg(long, default_value = "paper")]
        account: String,
    },
}

/// Where a paper account's ticks come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PaperSource {
    /// A market made from a seed
    Synthetic,
    /// The days of main_l5 in the store
    Replay,
}

impl PaperSource {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Synthetic => "synthetic",
            Self::Replay => "replay",
        }
    }
}

/// How fast an account's market goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Speed(f64);

impl Speed {
    /// Times faster than the market; 0 = as fast as it goes.
    pub(crate) fn times(self) -> f64 {
        self.0
    }
}

impl std::fmt::Display for Speed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0 == 0.0 { f.write_str("full speed") } else { write!(f, "{} x", self.0) }
    }
}

impl std::str::FromStr for Speed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let times = if text == "max" { Some(0.0) } else { text.parse().ok().filter(|t| (0.01..=1e6).contains(t)) };
        times.map(Self).ok_or_else(|| format!("`{text}` is no speed; give `max` or a number from 0.01 to 1000000"))
    }
}

#[derive(Debug, Args)]
pub(crate) struct PaperRun {
    /// Account
    #[arg(long, default_value = "paper")]
    pub(crate) account: String,
    /// Products, such as cu,au,ag
    #[arg(long, required = true, value_delimiter = ',')]
    pub(crate) var: Vec<Variety>,
    /// Where ticks come from
    #[arg(long, value_enum, default_value = "synthetic")]
    pub(crate) source: PaperSource,
    /// Times faster than the market, or max
    #[arg(long, default_value = "1")]
    pub(crate) speed: Speed,
    /// Lineup of a variety for which none was ever active; the reference lineup if absent
    #[arg(long, value_name = "FILE")]
    pub(crate) lineup: Option<PathBuf>,
    /// Synthetic: seed of the market
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Synthetic: strength of the planted signal, 0 = none
    #[arg(long, default_value_t = 0.5)]
    pub(crate) signal: f64,
    /// Synthetic: trading days
    #[arg(long, default_value_t = 250, value_parser = clap::value_parser!(u32).range(1..=2000))]
    pub(crate) days: u32,
    /// Synthetic: rows of a day, about
    #[arg(long, value_parser = clap::value_parser!(u32).range(1000..=66000))]
    pub(crate) rows_per_day: Option<u32>,
    /// Replay: this day alone
    #[arg(long, value_name = "YYYY-MM-DD", conflicts_with_all = ["from", "to"])]
    pub(crate) day: Option<TradingDay>,
    /// Replay: first day
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub(crate) from: Option<TradingDay>,
    /// Replay: last day
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub(crate) to: Option<TradingDay>,
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Address to listen on; the setting server.host if absent
    #[arg(long)]
    pub(crate) host: Option<String>,
    /// Port, 0 = any free one; the setting server.port if absent
    #[arg(long)]
    pub(crate) port: Option<u16>,
    /// Prints the description of the API and ends
    #[arg(long)]
    pub(crate) print_openapi: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Makes a token; its secret is shown once
    #[command(after_help = "Example: ghtrader token create --role operator --name desk")]
    Create {
        /// viewer, operator, trader or admin
        #[arg(long)]
        role: ghtrader_control::Role,
        /// Who or what uses it
        #[arg(long)]
        name: String,
        /// Life in days, at most 3650
        #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=3650))]
        days: u32,
    },
    /// All tokens without their secrets
    #[command(after_help = "Example: ghtrader token list --json")]
    List,
    /// Makes a token void
    #[command(after_help = "Example: ghtrader token revoke desk")]
    Revoke {
        /// Id or name
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Every value
    #[command(after_help = "Example: ghtrader config show --origin")]
    Show {
        /// With where it comes from
        #[arg(long)]
        origin: bool,
    },
    /// Checks all sources; every fault at once
    #[command(after_help = "Example: ghtrader --root my-desk config check")]
    Check,
    /// Names of the environment's variables
    #[command(after_help = "Example: ghtrader config env")]
    Env,
}

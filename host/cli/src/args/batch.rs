//! Flags of `ghtrader batch`.

use clap::Subcommand;
use ghtrader_batch::Shard;
use ghtrader_core::Digest;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum Batch {
    /// Works out every job of a specification and writes the manifest; runs nothing
    #[command(after_help = "Example: ghtrader batch plan thresholds.toml --out runs/thresholds/manifest")]
    Plan {
        /// Batch specification: lineups, grid, days, fill models
        spec: PathBuf,
        /// The manifest; plugins and models go into a folder beside it
        #[arg(long)]
        out: PathBuf,
        /// Results folder in which jobs may have been done already
        #[arg(long, value_name = "DIR")]
        results: Option<PathBuf>,
        /// Folder that paths in the specification are relative to; its own if absent
        #[arg(long, value_name = "DIR")]
        base: Option<PathBuf>,
    },
    /// Runs the jobs that have no result yet. Exit 0 all there, 1 some missing or failed, 2 and 4 refused
    #[command(
        after_help = "Example: ghtrader batch run --manifest runs/thresholds/manifest --out runs/thresholds\n         ghtrader batch run --manifest M --shard 3/100 --out DIR\n         ghtrader batch run --manifest M --on ray://HOST:PORT --out DIR"
    )]
    Run {
        /// The manifest
        #[arg(long)]
        manifest: PathBuf,
        /// Every n-th job from the i-th on, i/n; all jobs if absent
        #[arg(long, conflicts_with = "jobs", value_name = "I/N")]
        shard: Option<Shard>,
        /// Ids to run, one a line, without supervision
        #[arg(long, value_name = "FILE")]
        jobs: Option<PathBuf>,
        /// A Ray cluster that runs the jobs; the setting batch.ray_address without a value
        #[arg(long, value_name = "ray://HOST:PORT", num_args = 0..=1, default_missing_value = "")]
        #[arg(conflicts_with_all = ["shard", "jobs"])]
        on: Option<String>,
        /// Results folder
        #[arg(long)]
        out: PathBuf,
        /// Jobs at once, at most 1024; 0 = one a core; the setting backtest.threads if absent. With --on: of one process,
        /// which takes as many CPUs of its node; 1 if absent
        #[arg(long, value_parser = clap::value_parser!(u16).range(0..=1024))]
        threads: Option<u16>,
        /// Memory for days and jobs, MiB; the setting backtest.memory_gib if absent
        #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
        memory_mib: Option<u64>,
        /// Ends when the standard input does
        #[arg(long, hide = true)]
        leash: bool,
    },
    /// Computes the features that a batch reads, so that its jobs can run where the store may only be read
    #[command(after_help = "Example: ghtrader batch features --manifest M")]
    Features {
        /// The manifest
        #[arg(long)]
        manifest: PathBuf,
    },
    /// How far a batch is. Exit 1 unless every job has a result
    #[command(after_help = "Example: ghtrader batch status --manifest M --out DIR --json")]
    Status {
        /// The manifest
        #[arg(long)]
        manifest: PathBuf,
        /// Results folder
        #[arg(long)]
        out: PathBuf,
    },
    /// One table of all jobs, summary.csv and summary.json. Exit 1 unless every job has a result
    #[command(after_help = "Example: ghtrader batch collect --manifest M --out DIR")]
    Collect {
        /// The manifest
        #[arg(long)]
        manifest: PathBuf,
        /// Results folder
        #[arg(long)]
        out: PathBuf,
    },
    /// Forgets what failed or was set aside, so that the next run tries it again
    #[command(after_help = "Example: ghtrader batch retry --manifest M --out DIR")]
    Retry {
        /// The manifest
        #[arg(long)]
        manifest: PathBuf,
        /// Results folder
        #[arg(long)]
        out: PathBuf,
    },
    /// Sets a job aside that killed its process three times; for drivers of other schedulers
    #[command(hide = true)]
    Poison {
        /// Results folder
        #[arg(long)]
        out: PathBuf,
        /// The job
        #[arg(long)]
        id: Digest,
        /// How the process ended
        #[arg(long, allow_hyphen_values = true)]
        exit_code: Option<i32>,
        /// Which signal ended it
        #[arg(long, conflicts_with = "exit_code")]
        signal: Option<i32>,
        /// Last line of its standard error
        #[arg(long, default_value = "")]
        stderr: String,
    },
}

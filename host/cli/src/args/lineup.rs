//! Flags of `ghtrader lineup` and `ghtrader audit`.

use clap::{Args, Subcommand, ValueEnum};
use ghtrader_core::Variety;
use ghtrader_trading::protocol::{ActivateAt, OrderPolicy};
use std::path::PathBuf;

/// Which variety of which account.
#[derive(Debug, Clone, Args)]
pub(crate) struct Target {
    /// Product
    #[arg(long)]
    pub(crate) var: Variety,
    /// Account; the one that runs the variety if absent
    #[arg(long)]
    pub(crate) account: Option<String>,
}

/// A change of a variety.
#[derive(Debug, Clone, Args)]
pub(crate) struct Change {
    #[command(flatten)]
    pub(crate) target: Target,
    #[command(flatten)]
    pub(crate) how: How,
}

/// What every change of a variety takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct How {
    /// Why, for the audit
    #[arg(long, default_value = "")]
    pub(crate) reason: String,
    /// What becomes of working orders; the setting lineup.order_policy (for a halt lineup.on_halt) if absent
    #[arg(long, value_enum)]
    pub(crate) order_policy: Option<Orders>,
    /// Generation of the variety that you saw; the present one if absent
    #[arg(long, value_name = "N")]
    pub(crate) if_match: Option<u64>,
    /// Follows the operation to its end. Exit 1 unless it succeeded
    #[arg(long)]
    pub(crate) wait: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Orders {
    /// They stay, under the generation that asked for them
    Keep,
    /// They are cancelled
    Cancel,
    /// They are cancelled, and the position is closed
    Flatten,
}

impl From<Orders> for OrderPolicy {
    fn from(orders: Orders) -> Self {
        match orders {
            Orders::Keep => Self::Keep,
            Orders::Cancel => Self::Cancel,
            Orders::Flatten => Self::Flatten,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// Beside the active lineup, recorded, never acted on
    Shadow,
    /// In place of the active lineup
    Swap,
}

/// `next-tick`, `session-open`, or the number of a tick.
fn activate_at(text: &str) -> Result<ActivateAt, String> {
    match text {
        "next-tick" => Ok(ActivateAt::NextTick),
        "session-open" => Ok(ActivateAt::SessionOpen),
        number => number.parse().map(ActivateAt::Seq).map_err(|_| {
            "write next-tick, session-open, or the number of a tick, counted from the service's first".to_owned()
        }),
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Lineup {
    /// What a lineup file would change, without any effect
    #[command(after_help = "Example: ghtrader lineup plan lineup.toml --var cu")]
    Plan {
        /// The lineup file
        file: PathBuf,
        #[command(flatten)]
        target: Target,
    },
    /// Carries out a plan: beside the active lineup, or in its place
    #[command(after_help = "Example: ghtrader lineup apply 3f9a12c4 --mode swap --at next-tick --wait")]
    Apply {
        /// Hash of the plan; its first 8 digits are enough
        plan: String,
        /// Product; the plan's own if absent
        #[arg(long)]
        var: Option<Variety>,
        /// Account; the plan's own if absent
        #[arg(long)]
        account: Option<String>,
        #[command(flatten)]
        how: How,
        /// Shadow or swap
        #[arg(long, value_enum)]
        mode: Mode,
        /// When a swap happens: next-tick, session-open, or the number of a tick
        #[arg(long, default_value = "next-tick", value_parser = activate_at)]
        at: ActivateAt,
        /// A breaking change that you know of, as the plan names it; may be repeated
        #[arg(long, value_name = "NAME", value_delimiter = ',')]
        acknowledge: Vec<String>,
    },
    /// What decides, what stands by, what runs beside
    #[command(after_help = "Example: ghtrader lineup status --var cu")]
    Status {
        /// Product; all if absent
        #[arg(long)]
        var: Option<Variety>,
        /// Account
        #[arg(long)]
        account: Option<String>,
    },
    /// What the shadow did beside the active lineup. Exit 1 while its gate is closed
    #[command(after_help = "Example: ghtrader lineup shadow --var cu")]
    Shadow {
        #[command(flatten)]
        target: Target,
    },
    /// Makes the shadow active, if its gate is open
    #[command(after_help = "Example: ghtrader lineup promote --var cu --wait")]
    Promote {
        #[command(flatten)]
        change: Change,
        /// When: next-tick, session-open, or the number of a tick
        #[arg(long, default_value = "next-tick", value_parser = activate_at)]
        at: ActivateAt,
    },
    /// Makes the standby active again
    #[command(after_help = "Example: ghtrader lineup rollback --var cu --reason \"loses on the open\" --wait")]
    Rollback {
        #[command(flatten)]
        change: Change,
    },
    /// Stops deciding at the next tick; never waits for another operation
    #[command(after_help = "Example: ghtrader lineup halt --var cu --reason \"wrong prices\"")]
    Halt {
        #[command(flatten)]
        change: Change,
    },
    /// Goes on after a halt
    #[command(after_help = "Example: ghtrader lineup resume --var cu --reason \"prices are right again\"")]
    Resume {
        #[command(flatten)]
        change: Change,
    },
    /// Lineups that were active, newest first
    #[command(after_help = "Example: ghtrader lineup history --var cu")]
    History {
        #[command(flatten)]
        target: Target,
    },
    /// Operations, newest first; one with its stages if named
    #[command(after_help = "Example: ghtrader lineup operations op-12 --wait")]
    Operations {
        /// Id of one
        id: Option<String>,
        /// Product; all if absent
        #[arg(long)]
        var: Option<Variety>,
        /// Account
        #[arg(long)]
        account: Option<String>,
        /// Follows it to its end. Exit 1 unless it succeeded
        #[arg(long, requires = "id")]
        wait: bool,
        /// Ends it while it is preparing, warming or shadowing; the active lineup stays
        #[arg(long, requires = "id", conflicts_with = "wait")]
        cancel: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// The newest entries, oldest first
    #[command(after_help = "Example: ghtrader audit list --actor ann --last 20")]
    List {
        /// Only this actor
        #[arg(long)]
        actor: Option<String>,
        /// Only actions that begin with this, such as lineup
        #[arg(long)]
        action: Option<String>,
        /// At most so many
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        last: u32,
    },
    /// One entry, whole
    #[command(after_help = "Example: ghtrader audit show 17")]
    Show {
        /// Its number
        seq: u64,
    },
    /// Checks every entry and the chain. Exit 1 if it is broken
    #[command(after_help = "Example: ghtrader audit verify")]
    Verify,
}

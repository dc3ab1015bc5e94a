//! Flags of `ghtrader account`.

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum Account {
    /// Accounts that are given by the environment or the file of account.credentials_file; numbers are masked
    #[command(after_help = "Example: ghtrader account list --json")]
    List,
    /// Logs in and prints money, positions, orders and trades, with their sums checked. Exit 1 if they do not hold
    #[command(
        after_help = "Example: ghtrader account show\nLogin: TQ_BROKER_ID, TQ_ACCOUNT_ID, TQ_ACCOUNT_PASSWORD, and diff.td_url; or account.credentials_file"
    )]
    Show(AccountLine),
    /// Logs in, waits for the account's first complete picture, and keeps that it came, without secrets. Exit 1 if its
    /// sums do not hold
    #[command(after_help = "Example: ghtrader account verify --account p1 --timeout 20")]
    Verify(AccountLine),
}

#[derive(Debug, Args)]
pub(crate) struct AccountLine {
    /// Profile
    #[arg(long, default_value = "default")]
    pub(crate) account: String,
    /// Time that connection and picture may take together, seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub(crate) timeout: u64,
    /// Confirms the settlement report, for gateways that tell nothing before; else nothing at the broker changes
    #[arg(long)]
    pub(crate) confirm_settlement: bool,
}

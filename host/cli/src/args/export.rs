//! Flags of `ghtrader data export` and `ghtrader main rolls`.

use clap::{Args, ValueEnum};
use ghtrader_core::{TradingDay, Variety};
use ghtrader_pipeline::{Adjustment, ExportFormat};
use std::path::PathBuf;

/// The form of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FormatName {
    /// Text; its provenance goes into FILE.provenance.json
    Csv,
    /// A workbook, at most 1,048,575 rows
    Xlsx,
    /// A row group a day
    Parquet,
}

impl FormatName {
    pub(crate) fn format(self) -> ExportFormat {
        match self {
            Self::Csv => ExportFormat::Csv,
            Self::Xlsx => ExportFormat::Xlsx,
            Self::Parquet => ExportFormat::Parquet,
        }
    }

    /// By the ending of a file's name.
    pub(crate) fn of_extension(extension: &str) -> Option<Self> {
        Self::from_str(extension, true).ok()
    }
}

/// What becomes of rolls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum AdjustName {
    /// Prices as traded
    None,
    /// Prices before a roll are moved by its gap
    Difference,
    /// Prices before a roll are scaled by the quotient of the closes
    Ratio,
}

impl AdjustName {
    pub(crate) fn adjustment(self) -> Adjustment {
        match self {
            Self::None => Adjustment::None,
            Self::Difference => Adjustment::Difference,
            Self::Ratio => Adjustment::Ratio,
        }
    }
}

/// The order of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OrderName {
    /// First rows first
    Asc,
    /// Last rows first
    Desc,
}

#[derive(Debug, Args)]
pub(crate) struct Export {
    /// A contract such as SHFE.cu2602, or a continuous symbol such as KQ.m@SHFE.cu
    #[arg(long, required_unless_present = "var", conflicts_with = "var")]
    pub(crate) symbol: Option<String>,
    /// Product instead: its main_l5
    #[arg(long)]
    pub(crate) var: Option<Variety>,
    /// First trading day
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub(crate) from: Option<TradingDay>,
    /// Last trading day
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub(crate) to: Option<TradingDay>,
    /// The file
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// By the ending of FILE if absent
    #[arg(long, value_enum)]
    pub(crate) format: Option<FormatName>,
    /// What becomes of rolls
    #[arg(long, value_enum, default_value = "none")]
    pub(crate) adjust: AdjustName,
    /// Columns beside those that name a row, such as last_price,bid_price1; all if absent
    #[arg(long, value_delimiter = ',')]
    pub(crate) columns: Vec<String>,
    /// At most so many rows, the first in order
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) max_rows: Option<u64>,
    /// Order of the rows
    #[arg(long, value_enum, default_value = "asc")]
    pub(crate) order: OrderName,
    /// Writes rows alone, nothing about where they come from
    #[arg(long)]
    pub(crate) no_provenance: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Rolls {
    /// Product
    #[arg(long)]
    pub(crate) var: Variety,
    /// How prices before a roll are made to fit
    #[arg(long, value_enum, default_value = "difference")]
    pub(crate) adjust: AdjustName,
}

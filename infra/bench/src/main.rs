//! Measures the hot paths, each against a peer in the same run: a ratio says more than a rate on a machine that others use too.
//!
//! Called by `cargo xtask bench NAME`.

mod features;

use anyhow::{Result, bail};

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (name, rest) = args.split_first().map_or(("", &[][..]), |(name, rest)| (name.as_str(), rest));
    match name {
        "features" => features::run(rest),
        _ => bail!("unknown benchmark `{name}`; there is: features [--rows N] [--block N] [--json]"),
    }
}

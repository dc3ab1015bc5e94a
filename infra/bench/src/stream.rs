//! Writes the common benchmark stream as a file, for those who read it elsewhere.

use anyhow::{Context, Result, bail};
use ghtrader_core::Digest;
use ghtrader_market::bench_stream;

/// `N OUT SEED`: the first N snapshots of the stream of a seed, as a NumPy file.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let [rows, out, seed] = args else { bail!("usage: bench stream N OUT.npy SEED, as 1000000 stream.npy 7") };
    let rows: usize = rows.parse().with_context(|| format!("N = {rows}"))?;
    let seed: u32 = seed.parse().with_context(|| format!("SEED = {seed}"))?;
    if rows == 0 || rows > 100_000_000 {
        bail!("N = {rows} is not from 1 to 100000000");
    }
    let bytes = bench_stream::npy_bytes(&bench_stream::generate(rows, seed));
    std::fs::write(out, &bytes).with_context(|| format!("cannot write {out}"))?;
    println!("{out}: {rows} snapshots of seed {seed}, {}", Digest::of(&bytes));
    Ok(())
}

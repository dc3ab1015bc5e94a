//! Reading the outside world: TqSdk CSV, CTP CSV, and the synthetic market.

pub mod bench_stream;
pub mod synth;

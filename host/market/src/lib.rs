//! Reading the outside world: TqSdk CSV, CTP CSV, and the synthetic market.

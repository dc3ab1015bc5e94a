//! The simulated exchange: matching, queue models, fees, margin, account ledger. Pure and deterministic.

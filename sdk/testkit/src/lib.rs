//! Runs SDK plugins natively behind the host's own plugin traits, for parity tests and benchmarks.

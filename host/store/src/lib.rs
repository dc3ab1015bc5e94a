//! Datasets by symbol and trading day: Parquet truth, manifests, Arrow IPC replay cache.

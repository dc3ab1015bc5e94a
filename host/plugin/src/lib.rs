//! The only room that knows wasmtime: engine, host modules by WIT version, limits, artefacts.

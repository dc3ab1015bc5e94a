//! The component side: bindings to the contract, and the glue between them and the drivers.
//!
//! Public for the export macros alone.

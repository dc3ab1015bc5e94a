//! Numerics and wire layout shared by plugins and host: no_std, no allocation, no clock.
//!
//! Host and guests compute with the same functions, so that a feature has one definition and one sequence of floating
//! point operations. Nothing here contracts `a * b + c`, and no result depends on rows outside its window: native code
//! and WebAssembly give the same bits (NaN payloads apart).
#![no_std]

pub mod book;
pub mod flow;
pub mod label;
pub mod rolling;
pub mod wire;

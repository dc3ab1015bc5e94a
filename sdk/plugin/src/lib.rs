//! What plugin authors depend on: three roles, tick access, orders, and the bindings to the WIT contract.
//!
//! A plugin is a struct with one of the traits [`Feature`], [`Label`] or [`Strategy`] and one line that exports it
//! ([`export_feature!`], [`export_label!`], [`export_strategy!`]). Natively it is ordinary Rust, tested with ordinary
//! tests through the same drivers ([`FeatureDriver`], [`LabelDriver`], [`StrategyDriver`]) that the exported component
//! runs; compiled for `wasm32-unknown-unknown` it becomes a component of the contract in `wit/v0.1.0`.
//!
//! ```
//! use ghtrader_sdk::{Ctx, Instrument, Params, PluginError, Row, Strategy, StrategyDescription};
//!
//! /// Buys a lot when the book leans to the bid.
//! struct Lean;
//!
//! impl Strategy for Lean {
//!     fn init(_: &Params, _: &Instrument) -> Result<(Self, StrategyDescription), PluginError> {
//!         Ok((Self, StrategyDescription::new(["bid_volume1", "ask_price1", "ask_volume1"])))
//!     }
//!
//!     fn on_tick(&mut self, tick: Row<'_>, ctx: &mut Ctx) {
//!         let [bid_lots, ask, ask_lots] = tick.numbers();
//!         if bid_lots > 9.0 * ask_lots && ctx.position_lots() == 0 {
//!             ctx.buy(1).at(ask).immediate().send();
//!         }
//!     }
//! }
//! ghtrader_sdk::export_strategy!(Lean);
//! ```
//!
//! # Panics
//! A panic in a component is a trap: the host drops the instance. The exported component logs the message with file
//! and line first, so that it reaches the author.

mod ctx;
mod error;
mod feature;
#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod guest;
mod label;
pub mod log;
#[cfg(unix)]
#[doc(hidden)]
pub mod native;
mod params;
mod rows;
mod strategy;

pub use ctx::{Account, Ctx, OrderRequest, OrderState, WorkingOrder};
pub use error::PluginError;
pub use feature::{Feature, FeatureDescription, FeatureDriver};
pub use ghtrader_kernels as kernels;
pub use ghtrader_kernels::wire::{Boundary, Event, Offset, RejectReason, Side, Tif};
pub use label::{Label, LabelDescription, LabelDriver};
pub use params::{Instrument, OutputColumn, ParamValue, Params};
pub use rows::{Row, Rows};
pub use strategy::{Strategy, StrategyDescription, StrategyDriver};

/// Exports a [`Feature`] as a component; natively as a hidden function that `ghtrader plugin test` drives. Once a crate.
#[macro_export]
macro_rules! export_feature {
    ($feature:ty) => {
        #[cfg(target_arch = "wasm32")]
        $crate::__export_feature!($feature);
        #[cfg(unix)]
        #[doc(hidden)]
        pub fn __serve_natively() -> ::std::io::Result<()> {
            $crate::native::serve_feature::<$feature>()
        }
    };
}

/// Exports a [`Label`] as a component; natively as a hidden function that `ghtrader plugin test` drives. Once a crate.
#[macro_export]
macro_rules! export_label {
    ($label:ty) => {
        #[cfg(target_arch = "wasm32")]
        $crate::__export_label!($label);
        #[cfg(unix)]
        #[doc(hidden)]
        pub fn __serve_natively() -> ::std::io::Result<()> {
            $crate::native::serve_label::<$label>()
        }
    };
}

/// Exports a [`Strategy`] as a component; natively as a hidden function that `ghtrader plugin test` drives. Once a crate.
#[macro_export]
macro_rules! export_strategy {
    ($strategy:ty) => {
        #[cfg(target_arch = "wasm32")]
        $crate::__export_strategy!($strategy);
        #[cfg(unix)]
        #[doc(hidden)]
        pub fn __serve_natively() -> ::std::io::Result<()> {
            $crate::native::serve_strategy::<$strategy>()
        }
    };
}

//! The control API over HTTP.
//!
//! The process is thin: plugins and tags go to the registry, varieties and operations to the account's service over its
//! local socket. Nothing here is on the way of a tick or an order; stopping this process stops no service.
//!
//! [`router`] is the whole API without a socket; [`serve`] binds it and runs until it is told to end. Each request passes
//! one gate (`gate`: host name, cross-site, token), each change one function (`change`: role, idempotency, audit).

mod access;
mod app;
mod batches;
mod change;
mod clock;
mod config;
mod document;
mod events;
mod extract;
mod feed;
mod gate;
mod idempotency;
mod listing;
mod metrics;
mod plan;
mod refusal;
mod reply;
mod routes;
mod schema;
mod serve;
mod services;
mod socket;
mod stream;
mod tokens;
mod wire;

pub use access::Role;
pub use app::{open_registry, planning_room};
pub use clock::{Clock, rfc3339, wall_clock_ns};
pub use config::{ControlConfig, Timing};
pub use document::openapi_json;
pub use routes::router;
pub use serve::{Ready, ServerFile, serve, serve_until};
pub use tokens::{Created, TokenError, TokenRecord, TokenStore};

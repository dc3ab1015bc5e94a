//! Guests that break every rule: each must end as the fault that says so, in bounded time, and harm nobody else.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod admission;
mod contracts;
mod guests;
mod running;
mod strategy;
mod table;
mod walk;

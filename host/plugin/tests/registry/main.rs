//! The registry of artefacts: what is acknowledged stays, what is damaged is named, what was cut short does no harm.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod cleanup;
mod damage;
mod guests;
mod interrupted;
mod push;
mod references;
mod signing;
mod tags;

#[path = "../bad_guests/guests/text.rs"]
#[allow(dead_code, reason = "shared with the tests of guests that break rules")]
mod guest;

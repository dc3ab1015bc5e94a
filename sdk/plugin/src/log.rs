//! Lines to the host's log; natively to standard error. Long lines are cut, many lines are dropped and counted.

#[cfg(target_arch = "wasm32")]
use crate::guest::{Level, write_log as write};

#[cfg(not(target_arch = "wasm32"))]
#[derive(Debug)]
enum Level {
    Debug,
    Info,
    Warn,
}

#[cfg(not(target_arch = "wasm32"))]
fn write(level: Level, message: &str) {
    eprintln!("{level:?}: {message}");
}

/// For the author.
pub fn debug(message: &str) {
    write(Level::Debug, message);
}

/// A change worth knowing.
pub fn info(message: &str) {
    write(Level::Info, message);
}

/// Something that should not be, and was mended.
pub fn warn(message: &str) {
    write(Level::Warn, message);
}

//! Lines to the host's log; natively to standard error. Long lines are cut, many lines are dropped and counted.

/// For the author.
pub fn debug(message: &str) {
    write("debug", message);
}

/// A change worth knowing.
pub fn info(message: &str) {
    write("info", message);
}

/// Something that should not be, and was mended.
pub fn warn(message: &str) {
    write("warn", message);
}

#[cfg(not(target_arch = "wasm32"))]
fn write(level: &str, message: &str) {
    eprintln!("{level}: {message}");
}

#[cfg(target_arch = "wasm32")]
fn write(level: &str, message: &str) {
    crate::guest::write_log(level, message);
}

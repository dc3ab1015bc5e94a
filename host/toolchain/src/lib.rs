//! The toolchain of the guests: where it is, and the one way in which a plugin is compiled.
//!
//! An artefact's digest is its name, so equal sources must give equal bytes: flags and profile are set here, for every
//! plugin, and nothing of the caller's environment or place gets in. Depends on nothing, so that set-up can use it before
//! anything else is built.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What plugins are compiled for.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// Debian's compiler for wasm, for machines where rustup cannot download.
pub const DEBIAN_PACKAGES: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];

/// What to do where no toolchain is found.
pub const REMEDY: &str =
    "rustup target add wasm32-unknown-unknown (without rustup: apt-get install rustc-web cargo-web rust-web-src)";

/// The profile of every plugin: what is pushed is what was tested, so there is one.
const PROFILE: [&str; 5] = [
    "profile.release.opt-level=3",
    "profile.release.lto=\"fat\"",
    "profile.release.codegen-units=1",
    "profile.release.panic=\"abort\"",
    // Names stay: a trap's backtrace is the author's only hint of where.
    "profile.release.strip=\"debuginfo\"",
];

/// Variables that would change what is compiled, or where to.
const FOREIGN: [&str; 9] = [
    "RUSTFLAGS",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_BUILD_TARGET_DIR",
    "CARGO_TARGET_DIR",
    "RUSTC_WORKSPACE_WRAPPER",
    "CLIPPY_ARGS",
    "CLIPPY_CONF_DIR",
];

/// How guests are compiled on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Toolchain {
    /// The standard library for the target is part of the toolchain in use.
    Rustup,
    /// Debian's packages, which build the standard library themselves.
    Debian,
}

impl Toolchain {
    /// Looks for one, the toolchain in use first.
    pub fn find() -> Option<Self> {
        let libdir = output("rustc", &["--print", "target-libdir", "--target", TARGET]);
        if libdir.is_some_and(|dir| std::fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some())) {
            return Some(Self::Rustup);
        }
        let debian = Path::new("/usr/lib/rustlib").join(TARGET).is_dir()
            || output("dpkg", &["-s", DEBIAN_PACKAGES[2]]).is_some();
        debian.then_some(Self::Debian)
    }

    /// `cargo build` of a workspace for the target, into the `target` folder there; packages are the caller's to name.
    ///
    /// Panics name their files. They are named from the workspace on, for with a checkout's own place in them the same
    /// source would give another digest elsewhere.
    pub fn build(self, workspace: &Path) -> Command {
        let mut command = match self {
            Self::Rustup => cargo(),
            Self::Debian => {
                let mut command = clean(Command::new("/usr/bin/cargo"));
                command.env("RUSTC", "/usr/bin/rustc").env("RUSTC_BOOTSTRAP", "1");
                if let Some(sysroot) = output("rustc", &["--print", "sysroot"]) {
                    let lld = PathBuf::from(sysroot).join("lib/rustlib/x86_64-unknown-linux-gnu/bin/rust-lld");
                    command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", lld);
                }
                command
            }
        };
        command.args(["build", "--release", "--target", TARGET]);
        if self == Self::Debian {
            command.arg("-Zbuild-std=std,panic_abort");
        }
        for line in PROFILE {
            command.args(["--config", line]);
        }
        command.current_dir(workspace).arg("--target-dir").arg(workspace.join("target"));
        let (beside, home) = (workspace.parent().unwrap_or(workspace), cargo_home());
        // Each function begins with a look at the host's clock of epochs: the fewer functions, the fewer looks.
        let mut flags = OsString::from("-Ctarget-feature=+simd128\x1f-Cllvm-args=-inline-threshold=1000");
        // The last mapping that fits is the one that counts.
        for (place, name) in [(beside, ".."), (&home, "cargo"), (workspace, "")] {
            flags.push("\x1f--remap-path-prefix=");
            flags.push(place);
            flags.push("=");
            flags.push(name);
        }
        command.env("CARGO_ENCODED_RUSTFLAGS", flags);
        command
    }
}

/// `cargo` for code of this machine, untouched by variables that are meant for another build.
pub fn cargo() -> Command {
    clean(Command::new(std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"))))
}

fn clean(mut command: Command) -> Command {
    for name in FOREIGN {
        command.env_remove(name);
    }
    command
}

/// Where what all projects and checkouts of a user share is kept; `None` if neither `XDG_CACHE_HOME` nor `HOME` names a
/// place.
pub fn user_cache() -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")));
    base.map(|base| base.join("ghtrader"))
}

/// Where cargo keeps the sources of dependencies.
fn cargo_home() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cargo");
    std::env::var_os("CARGO_HOME").map_or_else(home, PathBuf::from)
}

/// What a program says; `None` if it cannot be started or fails.
fn output(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).output().ok().filter(|o| o.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

//! One step: a command that is shown, run, and named when it fails.

use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    process::Command,
};

/// Why a step failed, for a person.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) String);

/// A command that has not run yet.
pub(crate) struct Step(Command);

impl From<Command> for Step {
    fn from(command: Command) -> Self {
        Self(command)
    }
}

impl Step {
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        Self(Command::new(program))
    }

    pub(crate) fn arg(&mut self, arg: impl AsRef<OsStr>) -> &mut Self {
        self.0.arg(arg);
        self
    }

    pub(crate) fn args(&mut self, args: &[String]) -> &mut Self {
        self.0.args(args);
        self
    }

    pub(crate) fn env(&mut self, key: &str, value: PathBuf) -> &mut Self {
        self.0.env(key, value);
        self
    }

    pub(crate) fn dir(&mut self, dir: &Path) -> &mut Self {
        self.0.current_dir(dir);
        self
    }

    fn shown(&self) -> String {
        let words: Vec<&OsStr> = std::iter::once(self.0.get_program()).chain(self.0.get_args()).collect();
        words.join(OsStr::new(" ")).to_string_lossy().into_owned()
    }

    /// Runs it with its output in view.
    pub(crate) fn run(&mut self, what: &str) -> Result<(), Failure> {
        eprintln!("==> {what}: {}", self.shown());
        let status = self.0.status().map_err(|e| Failure(format!("cannot start `{}`: {e}", self.shown())))?;
        if status.success() {
            return Ok(());
        }
        Err(Failure(format!("{what} failed ({status}): {}", self.shown())))
    }

    /// Runs it in silence and gives its standard output; `None` if it cannot be started or fails.
    pub(crate) fn output(&mut self) -> Option<String> {
        let output = self.0.output().ok().filter(|o| o.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}

/// The checkout.
pub(crate) fn root() -> PathBuf {
    // infra/xtask lies two folders below it.
    // Where cargo runs it from: clones that share a target folder share the program, not the checkout that it was built in.
    let here = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).filter(|here| here.ends_with("infra/xtask"));
    let here = here.unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    here.ancestors().nth(2).unwrap_or(Path::new(".")).to_path_buf()
}

/// `cargo …` in the checkout, with the toolchain that runs this program.
pub(crate) fn cargo(args: &[&str]) -> Step {
    let mut step = Step::new(std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    step.0.args(args).current_dir(root());
    // What cargo told this program of its own package: build scripts that look at it would run anew after each change between
    // `cargo xtask` and cargo itself, and with them half of the workspace.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            step.0.env_remove(&name);
        }
    }
    step
}

/// Installs packages of Debian, which is said before it is done.
pub(crate) fn apt_install(packages: &[&str]) -> Result<(), Failure> {
    Step::new("apt-get").args(&["update".to_owned()]).run("refresh Debian's package list")?;
    let mut install = Step::new("apt-get");
    install.args(&["install", "-y", "--no-install-recommends"].map(String::from));
    install.args(&packages.iter().map(ToString::to_string).collect::<Vec<_>>());
    install.env("DEBIAN_FRONTEND", "noninteractive".into());
    install.run(&format!("install {}", packages.join(", ")))
}

/// A program of this workspace, beside this one.
pub(crate) fn binary(name: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap_or_default();
    own.with_file_name(name)
}

/// A program of this workspace in the profile that is installed.
pub(crate) fn installed(name: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap_or_default();
    own.ancestors().nth(2).unwrap_or(Path::new("")).join("dist").join(name)
}

/// `ghtrader …` as just built; paths in its arguments stay relative to where the user is.
pub(crate) fn ghtrader(args: &[&str]) -> Step {
    let mut step = Step::new(binary("ghtrader"));
    step.0.args(args);
    step
}

/// Where set-up keeps what every checkout of this user can share.
pub(crate) fn user_cache() -> PathBuf {
    ghtrader_toolchain::user_cache().unwrap_or_else(|| root().join("target").join("cache"))
}

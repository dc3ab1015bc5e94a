//! Slurm from Debian's packages, for the test of the shard form under an array.

use crate::steps::{Failure, Step, apt_install};

const PACKAGES: [&str; 5] = ["slurmctld", "slurmd", "slurm-client", "munge", "iproute2"];
const PROGRAMS: [&str; 5] = ["slurmctld", "slurmd", "sbatch", "munged", "ip"];

/// Installs what is missing. Debian starts the services with a configuration that does not exist: they stay down.
pub(crate) fn setup() -> Result<(), Failure> {
    if missing().is_none() {
        return Ok(());
    }
    apt_install(&PACKAGES)?;
    match missing() {
        Some(program) => Err(Failure(format!("there is still no `{program}` on the PATH"))),
        None => Ok(()),
    }
}

fn missing() -> Option<&'static str> {
    // Its daemons lie in sbin, which is not on everybody's PATH.
    let found = |program: &str| {
        let script = format!("PATH=$PATH:/usr/sbin:/sbin command -v {program}");
        Step::new("sh").args(&["-c".to_owned(), script]).output().is_some()
    };
    PROGRAMS.into_iter().find(|program| !found(program))
}

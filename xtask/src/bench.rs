//! Ailurus beside Apache Kafka and the null broker: hands over to `bench/compare/run`, which builds what it starts and says
//! what it takes.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs the bench with these arguments. The error says how it ended.
pub fn bench(arguments: &[String]) -> Result<(), String> {
    let program = program();
    let status = Command::new(&program).args(arguments).status();
    let status = status.map_err(|error| format!("{}: {error}", program.display()))?;
    if status.success() { Ok(()) } else { Err(format!("the bench ended with {status}")) }
}

fn program() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../bench/compare/run")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_bench_is_where_it_is_sought_and_may_be_run() {
        let found = program().metadata().expect("it is part of the repository");
        assert!(found.is_file() && found.permissions().mode() & 0o111 == 0o111);
    }
}

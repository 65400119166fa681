//! The source tree this crate was built from, and the programs built from it.

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::host;
use crate::process::Program;

/// This crate's binary.
const PROGRAM: &str = "rustha-lab";
/// The test target with the scenarios.
const SCENARIOS: &str = "cluster";
/// What a build from nothing may take.
const BUILDING: Duration = Duration::from_secs(15 * 60);

/// The repository's directory.
pub(crate) fn directory() -> PathBuf {
    let crate_directory = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_directory.ancestors().nth(2).unwrap_or(crate_directory).to_owned()
}

/// Builds the product, as it would be delivered.
pub(crate) fn build_rustha() -> Result<PathBuf> {
    build(&["--release", "--package", "rustha", "--bin", "rustha"])
}

/// This crate's binary: this very program, or, when the library is used by another one (a test), one built now.
pub(crate) fn find_program() -> Result<PathBuf> {
    let own = env::current_exe().context("cannot find this program's own file")?;
    // A binary replaced since it was started still runs, but under a name that leads nowhere.
    if own.file_name().is_some_and(|name| name == PROGRAM) && own.exists() {
        return Ok(own);
    }
    build(&["--package", PROGRAM, "--bin", PROGRAM])
}

/// Builds the scenarios of tests/cluster.
pub(crate) fn build_scenarios() -> Result<PathBuf> {
    // Two executables are reported, the scenarios' and the one they may start; a test's name is in its message.
    let fixed = ["test", "--no-run", "--quiet", "--message-format=json-render-diagnostics"];
    let program = cargo(&[&fixed[..], &["--package", PROGRAM, "--test", SCENARIOS]].concat());
    let messages = program.limit(BUILDING).run()?;
    let own: Vec<_> = messages.lines().filter(|line| line.contains(&format!("\"name\":\"{SCENARIOS}\""))).collect();
    parse_executable(&own.join("\n")).context("cargo did not say where it put the scenarios")
}

/// A cargo that works on this source tree, as the user whose it is.
pub(crate) fn cargo(argv: &[&str]) -> Program {
    let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let program = Program::new([&[cargo.as_str()], argv].concat()).directory(&directory());
    match host::invoking_user() {
        Some((uid, gid)) => program.owner(uid, gid),
        None => program,
    }
}

/// Where cargo puts what it builds, and tests what they keep.
pub(crate) fn target() -> PathBuf {
    host::path_from_env("CARGO_TARGET_DIR").unwrap_or_else(|| directory().join("target"))
}

fn build(what: &[&str]) -> Result<PathBuf> {
    let fixed = ["build", "--quiet", "--message-format=json-render-diagnostics"];
    let program = cargo(&[&fixed[..], what].concat()).limit(BUILDING);
    let messages = program.run()?;
    parse_executable(&messages).with_context(|| format!("{program} did not say where it put the program"))
}

/// The last executable cargo reports. Paths with characters JSON must escape are not looked for.
fn parse_executable(messages: &str) -> Option<PathBuf> {
    let (_, rest) = messages.rsplit_once("\"executable\":\"")?;
    Some(rest.split('"').next()?.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_executable_is_taken() {
        let text = "{\"executable\":null}\n{\"executable\":\"/t/release/rustha\",\"fresh\":true}\n{\"success\":true}";
        assert_eq!(parse_executable(text).unwrap(), Path::new("/t/release/rustha"));
    }
}

//! The source tree this crate was built from, and the programs built from it.

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::host;
use crate::process::Program;

/// This crate's binary.
const PROGRAM: &str = "rustha-lab";

/// The repository's directory.
pub(crate) fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
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

fn build(what: &[&str]) -> Result<PathBuf> {
    let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let manifest = directory().join("Cargo.toml").display().to_string();
    let fixed = [&cargo, "build", "--quiet", "--manifest-path", &manifest, "--message-format=json-render-diagnostics"];
    let mut program = Program::new([&fixed[..], what].concat()).limit(Duration::from_secs(15 * 60));
    if let Some((uid, gid)) = host::invoking_user() {
        program = program.owner(uid, gid);
    }
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

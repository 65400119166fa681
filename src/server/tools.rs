//! The vendors' own tools: found under any of their names, and started with a pipe.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use super::dialect::backup::Tool;
use crate::deadline::Deadline;
use crate::exec::{self, End, Piped};

/// Where they lie: an agent's PATH may be empty.
const PLACES: &[&str] =
    &["/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin", "/usr/local/mysql/bin", "/bin", "/sbin"];

/// The tool's program on this node.
///
/// # Errors
/// When it is not installed.
pub fn find(tool: &Tool) -> Result<PathBuf> {
    let all = tool.names.iter().flat_map(|name| PLACES.iter().map(move |place| Path::new(place).join(name)));
    let found = all.into_iter().find(|path| path.is_file());
    found.with_context(|| format!("{} is not installed on this node", tool.names.join(" or ")))
}

/// Starts it, to read what it writes.
///
/// # Errors
/// When it cannot be started.
pub fn read_from(program: impl AsRef<Path>, tool: &Tool, silence: Duration) -> Result<Piped> {
    Piped::start(&program.as_ref().to_string_lossy(), &tool.args, End::Output, silence)
}

/// Starts it, to write what it reads.
///
/// # Errors
/// When it is not there, or cannot be started.
pub fn write_to(tool: &Tool, silence: Duration) -> Result<Piped> {
    Piped::start(&find(tool)?.to_string_lossy(), &tool.args, End::Input, silence)
}

/// Runs it to its end, and returns what it writes.
///
/// # Errors
/// When it is not there, fails, or does not end by the deadline.
pub fn output(tool: &Tool, deadline: Deadline) -> Result<String> {
    let args: Vec<&str> = tool.args.iter().map(String::as_str).collect();
    exec::run(&find(tool)?.to_string_lossy(), &args, None, deadline)?.success()
}

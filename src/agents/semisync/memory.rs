//! What the server was set to before this instance changed it, in a file that names the server's process: a server that
//! was started again has its own settings.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::server::process::Daemon;
use crate::server::semisync::before::Before;
use crate::state_file;

/// The file.
pub struct Memory(PathBuf);

impl Memory {
    /// That of this resource, whether it is there or not.
    pub fn of(run_dir: &Path, resource: &str) -> Self {
        Self(run_dir.join(format!("rustha-{resource}.before")))
    }

    /// What is noted for this server; `None` if nothing is.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn recall(&self, daemon: Daemon) -> Result<Option<Before>> {
        let text = match fs::read_to_string(&self.0) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            read => read.with_context(|| format!("cannot read {}", self.0.display()))?,
        };
        let (head, settings) = text.split_once('\n').unwrap_or((&text, ""));
        if head != heading(daemon) {
            return Ok(None);
        }
        let before = Before::parse(settings).map_err(anyhow::Error::msg);
        before.with_context(|| format!("in {}", self.0.display())).map(Some)
    }

    /// Notes it: whole or not at all.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn note(&self, daemon: Daemon, before: &Before) -> Result<()> {
        state_file::write(&self.0, &format!("{}\n{before}", heading(daemon)))
    }

    /// Forgets it; that there is none is no error.
    ///
    /// # Errors
    /// When it is there and cannot be removed.
    pub fn forget(&self) -> Result<()> {
        state_file::remove(&self.0)
    }
}

fn heading(daemon: Daemon) -> String {
    format!("{} {}", daemon.pid, daemon.started)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_noted_for_another_server_counts_for_nothing() {
        let dir = std::env::temp_dir().join(format!("rustha-memory-{}", std::process::id()));
        let memory = Memory::of(&dir, "p_semi");
        let daemon = Daemon { pid: 7, started: 99 };
        assert_eq!(memory.recall(daemon).expect("readable"), None);
        let before = Before::parse("source false AFTER_COMMIT 10000 true 1\nreplica true 5\n").expect("settings");
        memory.note(daemon, &before).expect("written");
        assert_eq!(memory.recall(daemon).expect("readable"), Some(before));
        assert_eq!(memory.recall(Daemon { started: 100, ..daemon }).expect("readable"), None);
        memory.forget().expect("removed");
        memory.forget().expect("removing twice is no error");
        fs::remove_dir_all(dir).expect("cleaned up");
    }
}

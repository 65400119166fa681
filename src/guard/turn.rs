//! Whose turn it is to change a resource's server: one process at a time on a node. A lock of the kernel's, so that a
//! process that is killed gives it back.

use std::fs::{File, OpenOptions, create_dir_all};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::fcntl::{Flock, FlockArg};

use crate::deadline::Deadline;

/// How often it is looked whether the other has done.
const PAUSE: Duration = Duration::from_millis(5);

/// Held for as long as the value lives.
pub struct Turn(#[expect(dead_code, reason = "its drop gives the lock back")] Flock<File>);

impl Turn {
    /// Takes it as soon as nobody else has it.
    ///
    /// # Errors
    /// When the file cannot be locked, or somebody else has it until the deadline.
    pub fn take(path: &Path, deadline: Deadline) -> Result<Self> {
        deadline
            .wait_for(PAUSE, || Self::try_take(path).transpose())
            .with_context(|| format!("another process is changing the server ({} is locked)", path.display()))?
    }

    /// Takes it if nobody else has it.
    ///
    /// # Errors
    /// When the file cannot be locked.
    pub fn try_take(path: &Path) -> Result<Option<Self>> {
        let open = || -> std::io::Result<File> {
            if let Some(dir) = path.parent() {
                create_dir_all(dir)?;
            }
            OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path)
        };
        let file = open().with_context(|| format!("cannot write {}", path.display()))?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Some(Self(lock))),
            Err((_, nix::errno::Errno::EWOULDBLOCK)) => Ok(None),
            Err((_, error)) => Err(error).with_context(|| format!("cannot lock {}", path.display())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_and_the_next_one_when_it_is_given_back() {
        let path = std::env::temp_dir().join(format!("rustha-turn-{}", std::process::id()));
        let first = Turn::try_take(&path).expect("lockable").expect("free");
        assert!(Turn::try_take(&path).expect("lockable").is_none());
        assert!(Turn::take(&path, Deadline::after(Duration::from_millis(20))).is_err());
        drop(first);
        assert!(Turn::try_take(&path).expect("lockable").is_some());
        std::fs::remove_file(path).expect("removed");
    }
}

//! Whose turn it is to change a resource's server: one process at a time on a node. A lock of the kernel's, so that a
//! process that is killed gives it back.

use std::fs::{File, OpenOptions, create_dir_all};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use crate::deadline::Deadline;

/// How often it is looked whether the other has done.
const PAUSE: Duration = Duration::from_millis(5);

/// Held for as long as the value lives.
pub struct Turn(Flock<File>);

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

    /// Whether it is still the lock that others find at `path`: the file may have been removed, and made anew.
    pub fn is_at(&self, path: &Path) -> bool {
        let of = |metadata: std::io::Result<std::fs::Metadata>| metadata.ok().map(|one| (one.dev(), one.ino()));
        of(self.0.metadata()) == of(std::fs::metadata(path))
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
            Err((_, Errno::EWOULDBLOCK)) => Ok(None),
            Err((_, error)) => Err(error).with_context(|| format!("cannot lock {}", path.display())),
        }
    }
}

/// Whether somebody has this turn. Looked at with a shared lock: two that look at once do not take each other for who has it.
///
/// # Errors
/// When it cannot be looked; that there is no such file is no error.
pub fn is_taken(path: &Path) -> Result<bool> {
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        other => other.with_context(|| format!("cannot read {}", path.display()))?,
    };
    match Flock::lock(file, FlockArg::LockSharedNonblock) {
        Ok(_) => Ok(false),
        Err((_, Errno::EWOULDBLOCK)) => Ok(true),
        Err((_, error)) => Err(error).with_context(|| format!("cannot look at {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_that_look_at_once_do_not_take_each_other_for_who_has_it() {
        let path = std::env::temp_dir().join(format!("rustha-look-{}", std::process::id()));
        assert!(!is_taken(&path).expect("not there"));
        let turn = Turn::try_take(&path).expect("lockable").expect("free");
        assert!(is_taken(&path).expect("looked"));
        drop(turn);
        let looking = Flock::lock(File::open(&path).expect("there"), FlockArg::LockSharedNonblock).expect("looks");
        assert!(!is_taken(&path).expect("looked"));
        assert!(Turn::try_take(&path).expect("lockable").is_none(), "whoever takes it waits for who looks");
        drop(looking);
        std::fs::remove_file(path).expect("removed");
    }

    #[test]
    fn one_at_a_time_and_the_next_one_when_it_is_given_back() {
        let path = std::env::temp_dir().join(format!("rustha-turn-{}", std::process::id()));
        let first = Turn::try_take(&path).expect("lockable").expect("free");
        assert!(Turn::try_take(&path).expect("lockable").is_none());
        assert!(Turn::take(&path, Deadline::after(Duration::from_millis(20))).is_err());
        assert!(first.is_at(&path));
        std::fs::remove_file(&path).expect("removed");
        let another = Turn::try_take(&path).expect("lockable").expect("free");
        assert!(!first.is_at(&path) && another.is_at(&path));
        drop((first, another));
        assert!(Turn::try_take(&path).expect("lockable").is_some());
        std::fs::remove_file(path).expect("removed");
    }
}

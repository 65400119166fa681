//! The marks that start and promote leave: each names the running daemon by pid and start time, so that no restart
//! inherits it. By them two agents that would manage the same server find each other.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::server::process::Daemon;
use crate::state_file;

/// What the names of a start's marks end in: of `mysql`, and of `semisync`.
const STARTED: &str = "started";
const SEMISYNC: &str = "semisync";

/// The resource whose mark of this kind names this daemon.
fn holder(run_dir: &Path, kind: &str, daemon: Daemon) -> Option<String> {
    let names = fs::read_dir(run_dir).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let resource =
        |name: String| Some(name.strip_prefix("rustha-")?.strip_suffix(kind)?.strip_suffix('.')?.to_string());
    names.filter_map(resource).find(|name| Mark(run_dir.join(format!("rustha-{name}.{kind}"))).is_of(daemon))
}

/// The mark's file.
pub struct Mark(PathBuf);

impl Mark {
    /// The mark of this resource's promotion, whether it is there or not.
    pub fn of(run_dir: &Path, resource: &str) -> Self {
        Self(run_dir.join(format!("rustha-{resource}.promoted")))
    }

    /// The mark of this resource's start: by it the daemon is found again when an option file that was changed or
    /// broken since says another data directory.
    pub fn of_start(run_dir: &Path, resource: &str) -> Self {
        Self(run_dir.join(format!("rustha-{resource}.{STARTED}")))
    }

    /// The mark of a `semisync` resource's start on a server that somebody else runs.
    pub fn of_semisync(run_dir: &Path, resource: &str) -> Self {
        Self(run_dir.join(format!("rustha-{resource}.{SEMISYNC}")))
    }

    /// The mark of its promotion.
    pub fn of_semisync_promotion(run_dir: &Path, resource: &str) -> Self {
        Self(run_dir.join(format!("rustha-{resource}.semisync-promoted")))
    }

    /// The resource of the agent `mysql` that has started this daemon, if one has.
    pub fn mysql_of(run_dir: &Path, daemon: Daemon) -> Option<String> {
        holder(run_dir, STARTED, daemon)
    }

    /// The resource of the agent `semisync` that has been started on this daemon, if one has.
    pub fn semisync_of(run_dir: &Path, daemon: Daemon) -> Option<String> {
        holder(run_dir, SEMISYNC, daemon)
    }

    /// The daemon that it names, if that still lives.
    pub fn daemon(&self) -> Option<Daemon> {
        let text = fs::read_to_string(&self.0).ok()?;
        let daemon = Daemon::of(text.split_whitespace().next()?.parse().ok()?)?;
        self.is_of(daemon).then_some(daemon)
    }

    /// Whether it is there, and names this daemon.
    pub fn is_of(&self, daemon: Daemon) -> bool {
        self.words(daemon).is_some()
    }

    /// The life that was noted with this daemon.
    pub fn life_of(&self, daemon: Daemon) -> Option<String> {
        self.words(daemon)?.pop()
    }

    /// What stands behind pid and start time, if they are this daemon's.
    fn words(&self, daemon: Daemon) -> Option<Vec<String>> {
        let text = fs::read_to_string(&self.0).ok()?;
        let rest = text.strip_prefix(&Self::content(daemon))?;
        (rest.is_empty() || rest.starts_with(char::is_whitespace))
            .then(|| rest.split_whitespace().map(str::to_string).collect())
    }

    /// Leaves the mark for this daemon: whole or not at all.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn leave(&self, daemon: Daemon) -> Result<()> {
        self.write(Self::content(daemon))
    }

    /// Leaves it with the life that its server is in.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn leave_with_life(&self, daemon: Daemon, life: &str) -> Result<()> {
        self.write(format!("{} {life}", Self::content(daemon)))
    }

    fn write(&self, content: String) -> Result<()> {
        state_file::write(&self.0, &content)
    }

    /// Takes the mark away; that there is none is no error.
    ///
    /// # Errors
    /// When it is there and cannot be removed.
    pub fn remove(&self) -> Result<()> {
        state_file::remove(&self.0)
    }

    fn content(daemon: Daemon) -> String {
        format!("{} {}", daemon.pid, daemon.started)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_names_one_daemon_and_no_other() {
        let dir = std::env::temp_dir().join(format!("rustha-mark-{}", std::process::id()));
        let mark = Mark::of(&dir, "p_db");
        let daemon = Daemon { pid: 7, started: 99 };
        assert!(!mark.is_of(daemon));
        mark.leave(daemon).expect("written");
        assert!(mark.is_of(daemon));
        assert!(!mark.is_of(Daemon { started: 100, ..daemon }), "the same pid after a restart is a stranger");
        mark.leave_with_life(daemon, "a1").expect("written");
        assert!(mark.is_of(daemon) && mark.life_of(daemon).as_deref() == Some("a1"));
        assert!(!mark.is_of(Daemon { started: 9, ..daemon }), "a number that only begins the same");
        mark.remove().expect("removed");
        mark.remove().expect("removing twice is no error");
        assert!(!mark.is_of(daemon));
        fs::remove_dir_all(dir).expect("cleaned up");
    }

    #[test]
    fn who_manages_a_server_is_found_by_the_mark_that_names_it() {
        let dir = std::env::temp_dir().join(format!("rustha-holder-{}", std::process::id()));
        let (daemon, other) = (Daemon { pid: 7, started: 99 }, Daemon { pid: 8, started: 99 });
        assert_eq!(Mark::mysql_of(&dir, daemon), None, "no directory is no manager");
        Mark::of_start(&dir, "p.db").leave(daemon).expect("written");
        Mark::of_semisync(&dir, "p_semi").leave(other).expect("written");
        assert_eq!(Mark::mysql_of(&dir, daemon).as_deref(), Some("p.db"));
        assert_eq!(Mark::mysql_of(&dir, other), None);
        assert_eq!(Mark::semisync_of(&dir, other).as_deref(), Some("p_semi"));
        assert_eq!(Mark::semisync_of(&dir, daemon), None);
        fs::remove_dir_all(dir).expect("cleaned up");
    }
}

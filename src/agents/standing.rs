//! What an instance without a daemon is, as it remembers: whether it is started, and whether it does its work here or stands
//! by, as those of a clone do that are not promoted. Gone with a reboot, as what it stands for.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;

use crate::deadline::Deadline;
use crate::pacemaker::{Cluster, Score};
use crate::state_file;

/// What an instance is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is started and does nothing: one of a clone.
    By,
    /// It does its work here, since it was started.
    Active,
    /// It does its work here, since it was promoted.
    Promoted,
}

impl Standing {
    const ALL: [Self; 3] = [Self::By, Self::Active, Self::Promoted];

    fn word(self) -> &'static str {
        match self {
            Self::By => "standing by",
            Self::Active => "active",
            Self::Promoted => "promoted",
        }
    }

    /// It does its work here.
    pub fn is_at_work(self) -> bool {
        self != Self::By
    }
}

/// The score of an instance that stands by: any is as good as another one, and who is promoted follows from what it goes with.
const SCORE: Score = Score::Value(5);

/// What the cluster may take to hear that an instance is stopped, which matters to nobody else.
const TELLING: Duration = Duration::from_secs(3);

/// Lets the cluster promote this instance.
///
/// # Errors
/// When the cluster cannot be told: without a score nobody is promoted.
pub fn offer(cluster: &Cluster, deadline: Deadline) -> Result<()> {
    cluster.set_score(SCORE, deadline)
}

/// Takes that back; when it cannot be told, a stopped instance is not promoted all the same.
pub fn withdraw(cluster: &Cluster, deadline: Deadline) {
    if let Err(error) = cluster.withdraw_score(deadline.at_most(TELLING)) {
        log::warn!("{error:#}");
    }
}

/// The file that says so.
pub struct Memory(PathBuf);

impl Memory {
    /// That of this resource of this agent.
    pub fn of(run_dir: &Path, resource: &str, agent: &str) -> Self {
        Self(run_dir.join(format!("rustha-{resource}.{agent}")))
    }

    /// What it says; `None`: the instance is not started.
    pub fn read(&self) -> Option<Standing> {
        let text = fs::read_to_string(&self.0).ok()?;
        Standing::ALL.into_iter().find(|standing| standing.word() == text.trim())
    }

    /// Writes it: whole or not at all.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, standing: Standing) -> Result<()> {
        state_file::write(&self.0, standing.word())
    }

    /// The instance is not started any more.
    ///
    /// # Errors
    /// When the file cannot be removed; that there is none is no error.
    pub fn forget(&self) -> Result<()> {
        state_file::remove(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_was_written_last_until_it_is_forgotten() {
        let dir = std::env::temp_dir().join(format!("rustha-standing-{}", std::process::id()));
        let memory = Memory::of(&dir, "p_vip", "vip");
        assert_eq!(memory.read(), None);
        for standing in Standing::ALL {
            memory.write(standing).expect("written");
            assert_eq!(memory.read(), Some(standing));
        }
        memory.forget().and_then(|()| memory.forget()).expect("twice is no error");
        assert_eq!(memory.read(), None);
        fs::remove_dir_all(dir).expect("removed");
    }
}

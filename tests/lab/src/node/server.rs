//! The database server, started and ended by hand, as an administrator does without a cluster.

use std::time::Duration;

use anyhow::{Context, Result};

use super::{Daemon, Node};
use crate::processes;

/// What it may take to end.
const ENDING: Duration = Duration::from_secs(60);

impl Node {
    /// Starts it in a session of its own, with these options besides those of its files, and returns when it answers;
    /// earlier, the end of the call would take it along.
    pub fn start_server(&self, options: &str) -> Result<()> {
        let vendor = self.record.root.vendor();
        self.run(&["install", "-d", "-o", "mysql", "-g", "mysql", "/run/mysqld"])?;
        let script = format!(
            "setsid {} --user=mysql {options} </dev/null >/dev/null 2>&1 & \
             until {} --execute 'SELECT 1' >/dev/null 2>&1; do sleep 0.1; done",
            vendor.daemon(),
            vendor.client()
        );
        self.run(&["sh", "-c", &script]).with_context(|| format!("the server of {}", self.name)).map(drop)
    }

    /// Shuts it down; returns when it is gone.
    pub fn stop_server(&self) -> Result<()> {
        let pids = self.pids_of(Daemon::Database)?;
        self.sql("SHUTDOWN")?;
        processes::await_end(&format!("the server on {}", self.name), &pids, ENDING)
    }
}

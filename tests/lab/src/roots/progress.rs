//! Shows how far a build is: a bar on a terminal, a line a stage elsewhere. All output of the tools goes to
//! a log, of which the end is shown when one fails.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{IsTerminal, Write, stderr};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};

use crate::process::Program;

const SHOWN_AFTER_A_FAILURE: usize = 15;

/// The log and the bar of one build.
pub(super) struct Progress {
    what: String,
    path: PathBuf,
    log: File,
    start: Instant,
}

impl Progress {
    pub(super) fn start(what: &str, log: &Path) -> Result<Progress> {
        let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        Ok(Progress { what: what.into(), path: log.into(), log: file, start: Instant::now() })
    }

    /// Runs one stage; `lines` is how many lines such a stage usually prints, which is all a bar can know.
    pub(super) fn stage(&mut self, name: &str, lines: u64, program: &Program) -> Result<()> {
        let bar = self.bar(name, lines);
        writeln!(self.log, "== {name}: {program}")?;
        let mut tail = VecDeque::new();
        let log = &mut self.log;
        let result = program.stream(|line| {
            // A full disk shows as the tool's own failure; the log is only a witness.
            let _ = writeln!(log, "{line}");
            bar.inc(1);
            tail.push_back(line.to_owned());
            if tail.len() > SHOWN_AFTER_A_FAILURE {
                tail.pop_front();
            }
        });
        bar.finish_and_clear();
        result.with_context(|| {
            let tail: Vec<_> = tail.into();
            format!("{name} failed; its last words:\n{}\nall of them are in {}", tail.join("\n"), self.path.display())
        })
    }

    pub(super) fn done(&self) {
        eprintln!("{}: ready after {} s", self.what, self.start.elapsed().as_secs());
    }

    fn bar(&self, name: &str, lines: u64) -> ProgressBar {
        let message = format!("{}: {name} …", self.what);
        if !stderr().is_terminal() {
            eprintln!("{message}");
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::new(lines).with_message(message);
        if let Ok(style) = ProgressStyle::with_template("{msg:48} [{bar:30}] {elapsed}") {
            bar.set_style(style.progress_chars("=> "));
        }
        bar
    }
}

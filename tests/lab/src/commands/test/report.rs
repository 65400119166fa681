//! The progress of a test run: a line for each step and scenario when it is over, a spinner on a terminal while it
//! lasts, and the summary. Also where the logs of failures lie.

use std::fs;
use std::io::{IsTerminal, stderr, stdout};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::workspace;

/// How something ended.
#[derive(Debug)]
pub(super) enum Outcome {
    Passed,
    Failed(Failure),
    /// It cannot run here; why.
    Skipped(String),
}

/// What is known of a failure.
#[derive(Debug)]
pub(super) struct Failure {
    /// In one line.
    pub reason: String,
    /// Where all of it is.
    pub logs: Option<PathBuf>,
}

/// The run so far.
pub(super) struct Report {
    sums: Mutex<Sums>,
    spinners: MultiProgress,
}

#[derive(Default)]
struct Sums {
    passed: usize,
    failed: usize,
    skipped: usize,
}

impl Report {
    pub(super) fn start() -> Report {
        Report { sums: Mutex::default(), spinners: MultiProgress::new() }
    }

    /// Runs something and tells how it ended.
    pub(super) fn run(&self, name: &str, root: &str, work: impl FnOnce() -> Result<Outcome>) {
        let start = Instant::now();
        let spinner = self.spin(&format!("{name} {root}"));
        let outcome = work();
        spinner.finish_and_clear();
        self.tell(name, root, start.elapsed(), outcome);
    }

    /// Runs something that others need and that is worth a line only if it fails.
    pub(super) fn need<T>(&self, name: &str, work: impl FnOnce() -> Result<T>) -> Option<T> {
        let spinner = self.spin(&format!("building the {name}"));
        let result = work();
        spinner.finish_and_clear();
        result.map_err(|error| self.fail(name, "", &error)).ok()
    }

    /// Tells of something that could not even begin.
    pub(super) fn fail(&self, name: &str, root: &str, error: &Error) {
        let said = format!("{error:#}");
        let reason = first_line(&said).unwrap_or_default().to_owned();
        let logs = save(if root.is_empty() { name.to_owned() } else { format!("{name}-{root}") }.as_str(), &said).ok();
        self.tell(name, root, Duration::ZERO, Ok(Outcome::Failed(Failure { reason, logs })));
    }

    /// Tells the sums; whether nothing failed.
    pub(super) fn finish(self) -> bool {
        let sums = self.sums.into_inner().unwrap_or_else(PoisonError::into_inner);
        println!("{}", sums.summary());
        sums.failed == 0
    }

    fn tell(&self, name: &str, root: &str, time: Duration, outcome: Result<Outcome>) {
        let mut sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, word, colour, reason, logs) = match outcome {
            Ok(Outcome::Passed) => (&mut sums.passed, "ok", "32", String::new(), None),
            Ok(Outcome::Skipped(why)) => (&mut sums.skipped, "skipped", "33", why, None),
            Ok(Outcome::Failed(Failure { reason, logs })) => (&mut sums.failed, "FAILED", "31", reason, logs),
            Err(error) => (&mut sums.failed, "FAILED", "31", format!("{error:#}"), None),
        };
        *count += 1;
        let word = paint(colour, &format!("{word:<7}"));
        let line = format!("{word} {name:<28} {root:<5} {:>6.1} s  {reason}", time.as_secs_f32());
        self.spinners.suspend(|| {
            println!("{}", line.trim_end());
            if let Some(logs) = logs {
                println!("        all of it: {}", logs.display());
            }
        });
    }

    fn spin(&self, what: &str) -> ProgressBar {
        if !stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let spinner = self.spinners.add(ProgressBar::new_spinner().with_message(what.to_owned()));
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
            spinner.set_style(style);
        }
        spinner.enable_steady_tick(Duration::from_millis(120));
        spinner
    }
}

impl Sums {
    fn summary(&self) -> String {
        let skipped = if self.skipped > 0 { format!(", {} skipped", self.skipped) } else { String::new() };
        format!("{} passed, {} failed{skipped}", self.passed, self.failed)
    }
}

fn paint(colour: &str, text: &str) -> String {
    if stdout().is_terminal() { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
}

/// Where the logs of a failure are kept.
pub(super) fn place(name: &str) -> PathBuf {
    workspace::target().join("lab-logs").join(name)
}

/// Keeps what something said, and forgets what an earlier run kept under this name. Returns the directory.
pub(super) fn save(name: &str, said: &str) -> Result<PathBuf> {
    let place = place(name);
    clear(&place)?;
    fs::write(place.join("output.log"), said).with_context(|| format!("cannot write into {}", place.display()))?;
    Ok(place)
}

fn clear(place: &Path) -> Result<()> {
    if place.exists() {
        fs::remove_dir_all(place).with_context(|| format!("cannot remove {}", place.display()))?;
    }
    fs::create_dir_all(place).with_context(|| format!("cannot make {}", place.display()))
}

/// The first line that says something.
pub(super) fn first_line(text: &str) -> Option<&str> {
    text.lines().find(|line| !line.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_speaks_of_skipped_ones_only_if_there_are() {
        let mut sums = Sums { passed: 4, ..Sums::default() };
        assert_eq!(sums.summary(), "4 passed, 0 failed");
        sums.skipped = 1;
        assert_eq!(sums.summary(), "4 passed, 0 failed, 1 skipped");
    }
}

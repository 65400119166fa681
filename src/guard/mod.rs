//! The small process that lives as long as a resource is started on a node. What it does there is its agent's; here is that
//! there is one of it, how it begins and how it is ended. One that dies harms nothing: the next monitor starts another.

pub mod call;
pub mod scope;
pub mod turn;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::deadline::Deadline;
use crate::exec;
use call::Ear;
use turn::Turn;

/// How often it is looked whether it has ended.
const PAUSE: Duration = Duration::from_millis(1);

/// How long somebody may look whether it is there.
const LOOK: Duration = Duration::from_millis(200);

/// How long it may take to end when it is asked to.
const PATIENCE: Duration = Duration::from_secs(2);

/// One that has shown no sign of life for this long hangs: a turn of one that works takes less.
const SILENT: Duration = Duration::from_secs(30);

/// A resource's guard on this node.
pub struct Guard {
    resource: String,
    lock: PathBuf,
    number: PathBuf,
    ear: PathBuf,
    silent: Duration,
}

impl Guard {
    /// The guard of this resource.
    pub fn of(run_dir: &Path, resource: &str) -> Self {
        Self {
            resource: resource.to_string(),
            lock: run_dir.join(format!("rustha-{resource}.guard")),
            number: run_dir.join(format!("rustha-{resource}.guard.pid")),
            ear: run_dir.join(format!("rustha-{resource}.guard.ear")),
            silent: SILENT,
        }
    }

    /// The same; without a sign of life for this long it hangs.
    pub fn silent_after(self, silent: Duration) -> Self {
        Self { silent, ..self }
    }

    /// Whether it is there.
    pub fn is_there(&self) -> bool {
        turn::is_taken(&self.lock).unwrap_or_default()
    }

    /// Whether it shows that it works: each turn of it is a sign of life.
    fn is_lively(&self) -> bool {
        let sign = fs::metadata(&self.number).and_then(|metadata| metadata.modified()).ok();
        sign.is_none_or(|sign| SystemTime::now().duration_since(sign).unwrap_or_default() < self.silent)
    }

    /// Whether it is there, and shows that it works.
    pub fn is_at_work(&self) -> bool {
        self.is_there() && self.is_lively()
    }

    /// Tells it to look at once; whether it is there, works and has heard. Nobody waits for what it does then.
    pub fn call(&self) -> bool {
        self.is_lively() && call::call(&self.ear)
    }

    /// Starts it unless it is there and works: this program once more, with the same parameters in its environment.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn ensure(&self, agent: &str) -> Result<()> {
        if self.is_there() {
            if self.is_lively() {
                return Ok(());
            }
            log::warn!("the guard hangs: it is ended, and another one is started");
            self.end();
        }
        log::info!("starting the guard");
        exec::start_self(&["guard", agent]).context("cannot start the guard")
    }

    /// To be kept by the guard itself for as long as it lives; `None` if there is one already.
    ///
    /// # Errors
    /// When its files cannot be written.
    pub fn stay(self) -> Result<Option<Stay>> {
        // Somebody may just be looking whether it is there.
        let Ok(turn) = Turn::take(&self.lock, Deadline::after(LOOK)) else { return Ok(None) };
        let stay = Stay { guard: self, turn };
        stay.show_life()?;
        Ok(Some(stay))
    }

    /// Keeps one that is just beginning from its work, for as long as the result lives. To be called when it was ended.
    ///
    /// # Errors
    /// When one is there, or the lock cannot be taken.
    pub fn keep_out(&self) -> Result<Turn> {
        Turn::take(&self.lock, Deadline::after(LOOK))
    }

    /// Ends it, with the tools that it has started; that there is none is no error.
    pub fn end(&self) {
        // One that stands still does not hear the first.
        let signals = [Signal::SIGTERM, Signal::SIGKILL];
        for signal in signals.into_iter().skip(usize::from(!self.is_lively())) {
            if !self.is_there() {
                break;
            }
            let pid = fs::read_to_string(&self.number).ok().and_then(|text| text.trim().parse().ok());
            // It leads a process group of its own; one that is just beginning has not said its number yet.
            if let Some(pid) = pid
                && Pid::from_raw(pid) != Pid::this()
                && let Err(error) = killpg(Pid::from_raw(pid), signal)
            {
                log::debug!("the guard (pid {pid}) has just ended: {error}");
            }
            Deadline::after(PATIENCE).wait_for(PAUSE, || (!self.is_there()).then_some(()));
        }
        // It is gone, and its number with it.
        let _ = fs::remove_file(&self.number);
    }
}

/// The processes of this agent's guards on this node, by their resources' names.
pub fn all(run_dir: &Path, agent: &str) -> Vec<(String, i32)> {
    let Ok(entries) = fs::read_dir(run_dir) else { return Vec::new() };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let resources =
        names.filter_map(|name| Some(name.strip_prefix("rustha-")?.strip_suffix(".guard.pid")?.to_string()));
    let mut guards: Vec<(String, i32)> = resources
        .filter_map(|resource| {
            let guard = Guard::of(run_dir, &resource);
            let pid = fs::read_to_string(&guard.number).ok()?.trim().parse().ok()?;
            (guard.is_there() && is_of(pid, agent)).then_some((resource, pid))
        })
        .collect();
    guards.sort();
    guards
}

/// Whether this process was started as the guard of this agent.
fn is_of(pid: i32, agent: &str) -> bool {
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    words.split(|byte| *byte == 0).nth(2) == Some(agent.as_bytes())
}

/// Ends this process, which is a guard, with all that its threads are about: another one takes over.
pub fn leave() -> ! {
    std::process::exit(0)
}

/// That this process is the guard.
pub struct Stay {
    guard: Guard,
    turn: Turn,
}

impl Stay {
    /// Whether it still is: with its files removed nobody finds it, and another one may have been started.
    pub fn is_known(&self) -> bool {
        self.turn.is_at(&self.guard.lock)
    }

    /// Leaves the control group of Pacemaker, which may take its time.
    pub fn settle(&self) {
        if let Err(error) = scope::enter(&self.guard.resource) {
            log::warn!("guard and server stay in Pacemaker's control group: {error:#}");
        }
    }

    /// Listens for calls.
    ///
    /// # Errors
    /// When its socket cannot be made.
    pub fn listen(&self) -> Result<Ear> {
        let path = &self.guard.ear;
        Ear::at(path).with_context(|| format!("cannot listen at {}", path.display()))
    }

    /// Shows that it works.
    ///
    /// # Errors
    /// When its file cannot be written.
    pub fn show_life(&self) -> Result<()> {
        let number = &self.guard.number;
        fs::write(number, std::process::id().to_string()).with_context(|| format!("cannot write {}", number.display()))
    }
}

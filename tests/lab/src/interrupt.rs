//! Ctrl-C while a lab is up: the lab is taken down first. One thread waits for the signals; all others, which inherit
//! its mask, are never disturbed by them.

use std::collections::BTreeSet;
use std::process::exit;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use anyhow::{Context, Result};
use nix::sys::signal::{SigHandler, SigSet, Signal};

use crate::process::Program;
use crate::workspace;

/// How one is interrupted.
const SIGNALS: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];
/// As shells do for a program that was interrupted.
const INTERRUPTED: i32 = 130;

/// The labs that must not remain.
static LABS: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// From now on an interrupt takes down the labs named with [`protect`], if any. Call it before any thread exists.
pub(crate) fn watch() -> Result<()> {
    let signals = SigSet::from_iter(SIGNALS);
    signals.thread_block().context("cannot block signals")?;
    thread::spawn(move || {
        if signals.wait().is_ok() {
            end();
        }
    });
    Ok(())
}

/// An interrupt takes this lab down as well.
pub(crate) fn protect(lab: &str) {
    lock().insert(lab.to_owned());
}

/// An interrupt does so no more: it is down, or is to stay.
pub(crate) fn release(lab: &str) {
    lock().remove(lab);
}

fn end() -> ! {
    let mut labs = std::mem::take(&mut *lock());
    if let (Some(last), Ok(program)) = (labs.pop_last(), workspace::find_program()) {
        let program = program.display().to_string();
        eprintln!(
            "\ninterrupted: taking labs down: {last} {}",
            labs.iter().map(String::as_str).collect::<Vec<_>>().join(" ")
        );
        // timeout(1) signals twice and people press Ctrl-C twice: half a lab would remain. What is ignored stays
        // ignored in the program that this becomes.
        for signal in SIGNALS {
            // SAFETY: ignoring a signal installs no handler, so no code of ours runs in one.
            let _ = unsafe { nix::sys::signal::signal(signal, SigHandler::SigIgn) };
        }
        let down = |lab: &str| Program::new([program.as_str(), "down", "--name", lab]);
        for lab in &labs {
            if let Err(error) = down(lab).run() {
                eprintln!("error: {error:#}");
            }
        }
        // Becoming the other program ends all threads of this one, which would go on building the lab.
        eprintln!("error: {:#}", down(&last).become_it());
    }
    exit(INTERRUPTED)
}

fn lock() -> MutexGuard<'static, BTreeSet<String>> {
    LABS.lock().unwrap_or_else(PoisonError::into_inner)
}

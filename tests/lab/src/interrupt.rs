//! Ctrl-C while a lab is up: the lab is taken down first. One thread waits for the signals; all others, which inherit
//! its mask, are never disturbed by them.

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

/// The lab that must not remain.
static LAB: Mutex<Option<String>> = Mutex::new(None);

/// From now on an interrupt takes down the lab named with [`protect`], if any. Call it before any thread exists.
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

/// The lab that an interrupt takes down; None when it is down, or is to stay.
pub(crate) fn protect(lab: Option<&str>) {
    *lock() = lab.map(str::to_owned);
}

fn end() -> ! {
    if let (Some(lab), Ok(program)) = (lock().take(), workspace::find_program()) {
        eprintln!("\ninterrupted: taking the lab {lab} down");
        // timeout(1) signals twice and people press Ctrl-C twice: half a lab would remain. What is ignored stays
        // ignored in the program that this becomes.
        for signal in SIGNALS {
            // SAFETY: ignoring a signal installs no handler, so no code of ours runs in one.
            let _ = unsafe { nix::sys::signal::signal(signal, SigHandler::SigIgn) };
        }
        // Becoming the other program ends all threads of this one, which would go on building the lab.
        let down = Program::new([program.display().to_string().as_str(), "down", "--name", &lab]);
        eprintln!("error: {:#}", down.become_it());
    }
    exit(INTERRUPTED)
}

fn lock() -> MutexGuard<'static, Option<String>> {
    LAB.lock().unwrap_or_else(PoisonError::into_inner)
}

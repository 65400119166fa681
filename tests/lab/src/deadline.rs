//! The time a wait may take. Every wait in this crate is given one; none is without an end.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// A moment after which waiting is given up.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    end: Instant,
    whole: Duration,
}

impl Deadline {
    /// The moment that lies `whole` ahead of now.
    pub fn after(whole: Duration) -> Deadline {
        Deadline { end: Instant::now() + whole, whole }
    }

    /// What is left; zero when it is over.
    pub fn left(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }

    /// Whether nothing is left.
    pub fn is_over(&self) -> bool {
        self.left().is_zero()
    }

    /// What there was at the beginning, for messages.
    pub fn whole(&self) -> Duration {
        self.whole
    }
}

/// Asks `poll` every `pause` until it says yes; fails, naming `what`, when the deadline is over.
pub fn wait_until(
    what: &str,
    deadline: Deadline,
    pause: Duration,
    mut poll: impl FnMut() -> Result<bool>,
) -> Result<()> {
    loop {
        if poll()? {
            return Ok(());
        }
        if deadline.is_over() {
            bail!("{what}: not within {:?}", deadline.whole());
        }
        sleep(pause.min(deadline.left()));
    }
}

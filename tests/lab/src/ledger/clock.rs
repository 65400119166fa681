//! Time as the ledger tells it: one monotonic clock from the start, and deadlines for waits.
//! No wall clock in here, because a rehearsal may step it.

use std::time::{Duration, Instant};

/// Tells how long ago the ledger was started. Copies tell the same time.
#[derive(Debug, Clone, Copy)]
pub struct Clock(Instant);

impl Clock {
    /// A clock that shows zero now.
    pub fn started_now() -> Self {
        Self(Instant::now())
    }

    /// Time since the start, monotonic.
    pub fn now(self) -> Duration {
        self.0.elapsed()
    }
}

/// A moment after which nobody waits any longer.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(Instant);

impl Deadline {
    /// The moment that is `time` from now.
    pub fn after(time: Duration) -> Self {
        Self(Instant::now() + time)
    }

    /// What is left, zero once it has passed.
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Whether it has passed.
    pub fn is_over(self) -> bool {
        self.left().is_zero()
    }
}

/// Something done at a fixed rate: sleeps until the next turn, and never makes up for missed turns, because
/// a burst after an outage would be a load that no bounded client makes.
#[derive(Debug)]
pub(super) struct Turns {
    next: Instant,
    every: Duration,
}

impl Turns {
    /// The first turn comes after `first`, the others `every` after each other.
    pub fn new(first: Duration, every: Duration) -> Self {
        Self { next: Instant::now() + first, every }
    }

    /// Sleeps until the next turn.
    pub fn wait(&mut self) {
        let now = Instant::now();
        if let Some(early) = self.next.checked_duration_since(now) {
            std::thread::sleep(early);
            self.next += self.every;
        } else if now - self.next < self.every {
            self.next += self.every;
        } else {
            self.next = now + self.every;
        }
    }
}

//! What is left of an action's time. Every wait takes a `Deadline`; none is without end.

use std::time::{Duration, Instant};

/// A moment at which a wait must have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

impl Deadline {
    /// A deadline that is `span` away from now.
    pub fn after(span: Duration) -> Self {
        Self(Instant::now() + span)
    }

    /// The time that is left; zero once it is over.
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Whether nothing is left.
    pub fn is_over(self) -> bool {
        self.remaining().is_zero()
    }

    /// The earlier of this deadline and `span` from now.
    pub fn at_most(self, span: Duration) -> Self {
        self.min(Self::after(span))
    }

    /// This deadline, earlier by `span`: what must be left for the steps that follow.
    pub fn less(self, span: Duration) -> Self {
        Self(self.0.checked_sub(span).unwrap_or(self.0))
    }

    /// Asks `done` every `pause` until it gives a value; `None` when the deadline comes first.
    /// `done` is asked at least once.
    pub fn wait_for<T>(self, pause: Duration, mut done: impl FnMut() -> Option<T>) -> Option<T> {
        loop {
            if let Some(value) = done() {
                return Some(value);
            }
            if self.is_over() {
                return None;
            }
            std::thread::sleep(pause.min(self.remaining()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_at_the_deadline_and_asks_at_least_once() {
        let mut asked = 0;
        let answer: Option<()> = Deadline::after(Duration::ZERO).wait_for(Duration::from_secs(1), || {
            asked += 1;
            None
        });
        assert_eq!((answer, asked), (None, 1));
    }

    #[test]
    fn the_earlier_deadline_wins() {
        let far = Deadline::after(Duration::from_secs(60));
        assert!(far.at_most(Duration::from_secs(1)).remaining() <= Duration::from_secs(1));
        assert!(far.less(Duration::from_secs(50)).remaining() <= Duration::from_secs(10));
    }
}

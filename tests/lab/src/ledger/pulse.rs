//! Finds the gaps in a series of acknowledgements. Pure: it is told the time.

use std::time::Duration;

/// A time without acknowledged writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The last acknowledgement before it, since the start.
    pub from: Duration,
    /// The first acknowledgement after it, or the end of the writing.
    pub to: Duration,
    /// Whether an acknowledgement ended it.
    pub ended: bool,
}

impl Gap {
    /// How long it lasted.
    pub fn length(&self) -> Duration {
        self.to.saturating_sub(self.from)
    }
}

/// What the pulse tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beat {
    /// The first acknowledgement of all.
    Started(Duration),
    /// There was none for the counted gap after this one.
    Stopped(Duration),
    /// A gap that was told as stopped has ended.
    Resumed(Gap),
}

/// Follows the acknowledgements as they come in.
#[derive(Debug)]
pub(super) struct Pulse {
    counted: Duration,
    last: Option<Duration>,
    stopped: bool,
}

impl Pulse {
    /// Gaps longer than `counted` are told.
    pub fn new(counted: Duration) -> Self {
        Self { counted, last: None, stopped: false }
    }

    /// Takes the acknowledgements since the last call, in order, and the time now.
    pub fn advance(&mut self, acknowledged: &[Duration], now: Duration) -> Vec<Beat> {
        let mut beats = Vec::new();
        for &at in acknowledged {
            match self.last {
                None => beats.push(Beat::Started(at)),
                Some(last) => {
                    self.look(last, at, &mut beats);
                    if self.stopped {
                        self.stopped = false;
                        beats.push(Beat::Resumed(Gap { from: last, to: at, ended: true }));
                    }
                }
            }
            self.last = Some(at);
        }
        if let Some(last) = self.last {
            self.look(last, now, &mut beats);
        }
        beats
    }

    fn look(&mut self, last: Duration, now: Duration, beats: &mut Vec<Beat>) {
        if !self.stopped && now.saturating_sub(last) > self.counted {
            self.stopped = true;
            beats.push(Beat::Stopped(last));
        }
    }
}

/// The longest time without an acknowledgement, from the first one to the end of the writing; without any
/// acknowledgement, the whole time. The time before the first one does not count, because a ledger may be
/// started before its cluster.
pub(super) fn longest_gap(acknowledged: &[Duration], end: Duration) -> Gap {
    let (Some(&first), Some(&last)) = (acknowledged.first(), acknowledged.last()) else {
        return Gap { from: Duration::ZERO, to: end, ended: false };
    };
    let start = Gap { from: first, to: first, ended: true };
    let tail = Gap { from: last, to: end.max(last), ended: false };
    let inner = acknowledged.windows(2).map(|pair| Gap { from: pair[0], to: pair[1], ended: true });
    inner.chain([tail]).fold(start, |longest, gap| if gap.length() > longest.length() { gap } else { longest })
}

/// The most recent gap longer than `counted`, which may not have ended yet.
pub(super) fn last_gap(
    acknowledged: impl DoubleEndedIterator<Item = Duration>,
    now: Duration,
    counted: Duration,
) -> Option<Gap> {
    let mut to = now;
    let mut ended = false;
    for from in acknowledged.rev() {
        let gap = Gap { from, to, ended };
        if gap.length() > counted {
            return Some(gap);
        }
        to = from;
        ended = true;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(times: &[u64]) -> Vec<Duration> {
        times.iter().map(|&t| Duration::from_millis(t)).collect()
    }

    fn gap(from: u64, to: u64, ended: bool) -> Gap {
        Gap { from: Duration::from_millis(from), to: Duration::from_millis(to), ended }
    }

    const COUNTED: Duration = Duration::from_millis(100);

    #[test]
    fn a_gap_is_told_when_it_becomes_one_and_when_it_ends() {
        let mut pulse = Pulse::new(COUNTED);
        let now = Duration::from_millis;
        assert_eq!(pulse.advance(&ms(&[5, 10]), now(20)), [Beat::Started(now(5))]);
        assert_eq!(pulse.advance(&[], now(110)), []);
        assert_eq!(pulse.advance(&[], now(111)), [Beat::Stopped(now(10))]);
        assert_eq!(pulse.advance(&[], now(500)), []);
        assert_eq!(pulse.advance(&ms(&[510]), now(520)), [Beat::Resumed(gap(10, 510, true))]);
    }

    #[test]
    fn a_gap_between_two_looks_is_told_whole() {
        let mut pulse = Pulse::new(COUNTED);
        let beats = pulse.advance(&ms(&[5, 205, 210]), Duration::from_millis(211));
        assert_eq!(
            beats,
            [
                Beat::Started(Duration::from_millis(5)),
                Beat::Stopped(Duration::from_millis(5)),
                Beat::Resumed(gap(5, 205, true))
            ]
        );
    }

    #[test]
    fn the_time_before_the_first_write_is_no_gap() {
        let end = Duration::from_millis(9020);
        assert_eq!(longest_gap(&ms(&[9000, 9005, 9015]), end), gap(9005, 9015, true));
    }

    #[test]
    fn writes_that_never_came_back_are_a_gap_to_the_end() {
        let end = Duration::from_millis(5000);
        assert_eq!(longest_gap(&ms(&[10, 300, 310]), end), gap(310, 5000, false));
    }

    #[test]
    fn without_any_write_the_whole_time_is_the_gap() {
        assert_eq!(longest_gap(&[], Duration::from_secs(1)), gap(0, 1000, false));
    }

    #[test]
    fn the_last_gap_is_the_latest_counted_one() {
        let now = Duration::from_millis(1000);
        let last = |times: &[u64]| last_gap(ms(times).into_iter(), now, COUNTED);
        assert_eq!(last(&[0, 300, 310, 600, 950]), Some(gap(600, 950, true)));
        assert_eq!(last(&[0, 300, 310]), Some(gap(310, 1000, false)));
        assert_eq!(last(&[900, 950]), None);
    }
}

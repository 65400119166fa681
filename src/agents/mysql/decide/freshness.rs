//! How old is what a replica shows to its readers? The primary tells from time to time how much it has; as soon as this
//! replica has applied as much, what it shows is as old as that word, and no older. Unlike the server's own seconds behind
//! the source this counts also what was not received yet, and a statement that ran for an hour on the primary makes nothing
//! an hour old.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::keeping::{Amount, Latest};
use crate::gtid::GtidSet;

/// So many words of the primary's are remembered that this replica has not caught up with.
const MOST: usize = 128;

/// What is known of that.
#[derive(Clone, Debug, Default)]
pub struct Freshness {
    /// Everything that the primary had at this moment is applied here.
    applied: Option<Instant>,
    /// What the primary had, and when that was heard; oldest first.
    heard: VecDeque<(Instant, Amount)>,
    /// So far apart are those that are remembered.
    apart: Duration,
    /// The promotion and the moment of the last word.
    last: Option<(u64, u64)>,
}

impl Freshness {
    /// That of a server of which it is known from when what it shows is.
    pub fn known_at(applied: Instant) -> Self {
        Self { applied: Some(applied), ..Self::default() }
    }

    /// That of the primary of this promotion, when it is one no more: the next one's words count from the first on.
    pub fn of_primary(epoch: u64) -> Self {
        Self { last: Some((epoch, 0)), ..Self::default() }
    }

    /// Takes a word of the primary of this promotion. The first one that is heard at all may be old: it only counts when
    /// another one has come after it.
    pub fn hear(&mut self, now: Instant, epoch: u64, latest: &Latest) {
        let word = (epoch, latest.at);
        let is_new = match self.last {
            None => false,
            Some((known, _)) if epoch < known => return,
            Some(last) => last != word,
        };
        self.last = Some(word);
        if !is_new {
            return;
        }
        if self.heard.back().is_some_and(|(last, _)| now.saturating_duration_since(*last) < self.apart) {
            return;
        }
        self.heard.push_back((now, latest.amount.clone()));
        if self.heard.len() > MOST {
            // Half as much of a time that goes on: what is said then is too old by at most a thirtieth.
            let mut is_odd = false;
            self.heard.retain(|_| {
                is_odd = !is_odd;
                is_odd
            });
            let oldest = self.heard.front().map_or(now, |(oldest, _)| *oldest);
            self.apart = now.saturating_duration_since(oldest) / (MOST as u32 / 2);
        }
    }

    /// How old is what this replica shows, that has applied this; `None` where that is not known.
    pub fn age(&mut self, now: Instant, executed: &GtidSet) -> Option<Duration> {
        // Not from the front: what a primary had that was lost may never be applied here.
        if let Some(last) = self.heard.iter().rposition(|(_, amount)| amount.is_in(executed)) {
            self.applied = self.heard.drain(..=last).next_back().map(|(moment, _)| moment);
        }
        if self.heard.is_empty() {
            self.apart = Duration::ZERO;
        }
        self.applied.map(|applied| now.saturating_duration_since(applied))
    }
}

/// How often a primary tells what it has, where a replica that is behind by more than `max_lag` is not read from.
pub fn telling_period(max_lag: Duration) -> Duration {
    (max_lag / 4).clamp(Duration::from_secs(1), Duration::from_secs(15))
}

/// Why clients are kept from a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// How far it is behind is not known.
    Unknown,
    /// It is behind by more than so much.
    Behind(Duration),
    /// It has nothing in memory, for this reason.
    Cold(&'static str),
}

impl std::fmt::Display for Kept {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unknown => formatter.write_str("how far it is behind is not known yet"),
            Self::Behind(most) => write!(formatter, "more than {} s behind", most.as_secs()),
            Self::Cold(why) => formatter.write_str(why),
        }
    }
}

/// Whether clients may read from a replica of this age. One from which they were kept because it was behind must catch up to
/// half of that: the age of a healthy one grows for as long as the primary says nothing.
///
/// # Errors
/// Why not.
pub fn judge(
    age: Option<Duration>,
    max_lag: Option<Duration>,
    cold: Option<&'static str>,
    before: Option<&Kept>,
) -> Result<(), Kept> {
    if let Some(most) = max_lag {
        let age = age.ok_or(Kept::Unknown)?;
        let limit = if matches!(before, Some(Kept::Behind(_))) { most / 2 } else { most };
        if age > limit {
            return Err(Kept::Behind(most));
        }
    }
    cold.map_or(Ok(()), |why| Err(Kept::Cold(why)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn has(sequence: u64) -> GtidSet {
        GtidSet::parse_mariadb(&format!("0-1-{sequence}")).expect("valid")
    }

    fn word(at: u64, sequence: u64) -> Latest {
        Latest { at, amount: Amount::of(&has(sequence)) }
    }

    #[test]
    fn a_replica_is_as_old_as_the_last_word_that_it_has_caught_up_with() {
        let start = Instant::now();
        let mut freshness = Freshness::default();
        freshness.hear(start, 1, &word(1, 10));
        assert_eq!(freshness.age(start, &has(10)), None, "the first word may be of any age");
        freshness.hear(start + SECOND, 1, &word(1, 10));
        assert_eq!(freshness.age(start + SECOND, &has(10)), None, "it was the same one");
        freshness.hear(start + 2 * SECOND, 1, &word(2, 20));
        freshness.hear(start + 5 * SECOND, 1, &word(3, 30));
        assert_eq!(freshness.age(start + 5 * SECOND, &has(15)), None);
        assert_eq!(freshness.age(start + 6 * SECOND, &has(25)), Some(4 * SECOND));
        assert_eq!(freshness.age(start + 9 * SECOND, &has(25)), Some(7 * SECOND), "it does not go on");
        assert_eq!(freshness.age(start + 9 * SECOND, &has(31)), Some(4 * SECOND));
        assert_eq!(freshness.age(start + 20 * SECOND, &has(31)), Some(15 * SECOND), "the primary says nothing more");
    }

    #[test]
    fn what_was_lost_with_a_primary_is_not_waited_for() {
        let start = Instant::now();
        let mut freshness = Freshness::known_at(start);
        freshness.hear(start, 1, &word(1, 10));
        freshness.hear(start + SECOND, 1, &word(2, 100));
        freshness.hear(start + 2 * SECOND, 2, &word(3, 50));
        assert_eq!(freshness.age(start + 3 * SECOND, &has(60)), Some(SECOND));
    }

    #[test]
    fn a_former_primary_believes_the_next_one_at_once_and_an_earlier_one_never() {
        let start = Instant::now();
        let mut freshness = Freshness::of_primary(4);
        assert_eq!(freshness.age(start, &has(9)), None, "it may have been cut off");
        freshness.hear(start, 3, &word(7, 5));
        assert_eq!(freshness.age(start, &has(9)), None);
        freshness.hear(start + SECOND, 5, &word(8, 9));
        assert_eq!(freshness.age(start + SECOND, &has(9)), Some(Duration::ZERO));
        freshness.hear(start + 5 * SECOND, 4, &word(9, 9));
        assert_eq!(freshness.age(start + 5 * SECOND, &has(9)), Some(4 * SECOND));
    }

    #[test]
    fn a_replica_that_is_behind_for_long_is_not_thought_to_be_younger_than_it_is() {
        let start = Instant::now();
        let mut freshness = Freshness::known_at(start);
        for nth in 1..10_000 {
            freshness.hear(start + SECOND * u32::try_from(nth).expect("small"), 1, &word(nth, nth));
        }
        assert!(freshness.heard.len() <= MOST);
        for (applied, behind) in [(1_000, 9_000), (5_000, 5_000), (9_000, 1_000)] {
            let age = freshness.clone().age(start + 10_000 * SECOND, &has(applied)).expect("known").as_secs();
            assert!((behind..behind + 10_000 / 30).contains(&age), "{age} and not {behind}");
        }
    }

    #[test]
    fn old_unknown_and_cold_replicas_are_not_read_from() {
        let most = Some(30 * SECOND);
        let behind = Kept::Behind(30 * SECOND);
        assert_eq!(judge(Some(29 * SECOND), most, None, None), Ok(()));
        assert_eq!(judge(Some(31 * SECOND), most, None, None), Err(behind.clone()));
        assert_eq!(judge(Some(29 * SECOND), most, None, Some(&behind)), Err(behind.clone()), "not yet caught up");
        assert_eq!(judge(Some(14 * SECOND), most, None, Some(&behind)), Ok(()));
        assert_eq!(judge(None, most, None, None), Err(Kept::Unknown));
        assert_eq!(judge(None, None, None, None), Ok(()), "no limit");
        assert_eq!(judge(Some(SECOND), most, Some("it is cold"), None), Err(Kept::Cold("it is cold")));
    }
}

//! What is made of many measurements: medians and worsts. Pure.

use std::time::Duration;

/// The middle one; of an even number the lower of the two in the middle. None of none.
pub(crate) fn median<T: Ord + Copy>(mut values: Vec<T>) -> Option<T> {
    values.sort_unstable();
    let middle = values.len().checked_sub(1)? / 2;
    values.get(middle).copied()
}

/// Median and worst of times, where one that has no end is worse than any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spread {
    /// None: it has no end.
    pub median: Option<Duration>,
    /// None: it has no end.
    pub worst: Option<Duration>,
    pub runs: usize,
}

impl Spread {
    /// Of no times there is none.
    pub(crate) fn of(times: &[Option<Duration>]) -> Option<Spread> {
        let endless = Duration::MAX;
        let known: Vec<Duration> = times.iter().map(|time| time.unwrap_or(endless)).collect();
        let finite = |time: Duration| (time != endless).then_some(time);
        Some(Spread { median: finite(median(known.clone())?), worst: finite(*known.iter().max()?), runs: known.len() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_without_an_end_is_the_worst() {
        let second = Duration::from_secs(1);
        let spread = Spread::of(&[Some(second * 3), None, Some(second)]).unwrap();
        assert_eq!((spread.median, spread.worst, spread.runs), (Some(second * 3), None, 3));
        assert_eq!(Spread::of(&[]), None);
    }

    #[test]
    fn the_median_of_an_even_number_is_one_that_was_measured() {
        assert_eq!(median(vec![4, 1, 3, 2]), Some(2));
        assert_eq!(median::<u64>(vec![]), None);
    }
}

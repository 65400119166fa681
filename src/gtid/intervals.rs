//! Sets of numbers as sorted intervals: the algebra under MySQL's sets. Knows no GTID.
//!
//! Every operation is one pass over both lists. A replica whose appliers commit out of order, or one under a
//! multi-source channel, has thousands of gaps, and each monitor compares such sets.

use std::fmt;

/// The numbers `first..=last`. Inclusive, so that `u64::MAX` is a number like any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Interval {
    /// The smallest number, never greater than `last`.
    pub(super) first: u64,
    /// The greatest number.
    pub(super) last: u64,
}

/// A set of numbers. Its intervals are sorted, and between two of them at least one number is missing, so
/// that equal sets are equal lists.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Intervals(Vec<Interval>);

impl Intervals {
    /// From intervals in any order that may overlap. Costs a sort, unless they are sorted already as a
    /// server's always are.
    pub(super) fn from_unsorted(mut list: Vec<Interval>) -> Self {
        list.sort_by_key(|interval| interval.first);
        let mut merged = Intervals(Vec::with_capacity(list.len()));
        for interval in list {
            merged.append(interval);
        }
        merged
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many numbers, `u64::MAX` if they are more.
    pub(super) fn count(&self) -> u64 {
        self.0.iter().fold(0, |sum: u64, interval| sum.saturating_add(interval.last - interval.first).saturating_add(1))
    }

    /// Whether each of `other`'s numbers is in `self`. As touching intervals are merged, one of `other`'s
    /// must lie within a single one of `self`'s.
    pub(super) fn contains(&self, other: &Intervals) -> bool {
        let mut ours = self.0.iter().peekable();
        other.0.iter().all(|theirs| {
            while ours.next_if(|our| our.last < theirs.first).is_some() {}
            ours.peek().is_some_and(|our| our.first <= theirs.first && theirs.last <= our.last)
        })
    }

    /// The numbers of both.
    pub(super) fn union(&self, other: &Intervals) -> Intervals {
        let mut all = Intervals(Vec::with_capacity(self.0.len() + other.0.len()));
        let (mut ours, mut theirs) = (self.0.iter().peekable(), other.0.iter().peekable());
        loop {
            let next = match (ours.peek(), theirs.peek()) {
                (Some(our), Some(their)) if their.first < our.first => theirs.next(),
                (Some(_), _) => ours.next(),
                (None, _) => theirs.next(),
            };
            match next {
                Some(interval) => all.append(*interval),
                None => return all,
            }
        }
    }

    /// The numbers only `self` has.
    pub(super) fn minus(&self, other: &Intervals) -> Intervals {
        let mut rest = Vec::new();
        let mut theirs = other.0.iter().peekable();
        'ours: for our in &self.0 {
            while theirs.next_if(|their| their.last < our.first).is_some() {}
            let mut first = our.first;
            while let Some(their) = theirs.peek().filter(|their| their.first <= our.last) {
                if first < their.first {
                    // No underflow: something is smaller than their.first.
                    let last = their.first - 1;
                    rest.push(Interval { first, last });
                }
                if their.last >= our.last {
                    // It may reach into our next interval, and so stays.
                    continue 'ours;
                }
                // No overflow: our.last is greater.
                first = their.last + 1;
                theirs.next();
            }
            rest.push(Interval { first, last: our.last });
        }
        // Sorted and apart already: what is left of intervals with gaps between them keeps those gaps.
        Intervals(rest)
    }

    /// Adds an interval that begins no earlier than the last one does.
    fn append(&mut self, next: Interval) {
        match self.0.last_mut() {
            // Saturating: after u64::MAX there is nothing that could touch.
            Some(end) if next.first <= end.last.saturating_add(1) => {
                end.last = end.last.max(next.last);
            }
            _ => self.0.push(next),
        }
    }
}

impl fmt::Display for Intervals {
    /// `1-5:7`, as MySQL writes it after a UUID.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, Interval { first, last }) in self.0.iter().enumerate() {
            let colon = if nth == 0 { "" } else { ":" };
            if first == last {
                write!(f, "{colon}{first}")?;
            } else {
                write!(f, "{colon}{first}-{last}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::random::Random;
    use super::*;
    use std::collections::BTreeSet;

    const MAX: u64 = u64::MAX;

    fn of(list: &[(u64, u64)]) -> Intervals {
        Intervals::from_unsorted(list.iter().map(|&(first, last)| Interval { first, last }).collect())
    }

    /// Intervals of random numbers, dense enough that they overlap, touch and miss each other, together with
    /// the naive set of the same numbers.
    fn random_pair(random: &mut Random) -> (Intervals, BTreeSet<u64>) {
        let mut list = Vec::new();
        let mut model = BTreeSet::new();
        for _ in 0..random.below(8) {
            let first = 1 + random.below(40);
            let last = first + random.below(6);
            list.push(Interval { first, last });
            model.extend(first..=last);
        }
        (Intervals::from_unsorted(list), model)
    }

    fn numbers(set: &Intervals) -> BTreeSet<u64> {
        set.0.iter().flat_map(|interval| interval.first..=interval.last).collect()
    }

    fn assert_canonical(set: &Intervals) {
        assert!(set.0.iter().all(|interval| interval.first <= interval.last));
        assert!(set.0.windows(2).all(|two| two[0].last + 1 < two[1].first), "{set}");
    }

    #[test]
    fn the_algebra_agrees_with_a_naive_set() {
        let mut random = Random::seeded(0x9e37_79b9_7f4a_7c15);
        for _ in 0..20_000 {
            let ((a, model_a), (b, model_b)) = (random_pair(&mut random), random_pair(&mut random));
            let (union, minus) = (a.union(&b), a.minus(&b));
            assert_eq!(numbers(&union), &model_a | &model_b, "{a} union {b}");
            assert_eq!(numbers(&minus), &model_a - &model_b, "{a} minus {b}");
            assert_eq!(a.contains(&b), model_a.is_superset(&model_b), "{a} contains {b}");
            assert_eq!(a == b, model_a == model_b, "{a} == {b}");
            assert_eq!(a.count(), model_a.len() as u64, "{a}");
            for set in [&a, &b, &union, &minus] {
                assert_canonical(set);
            }
        }
    }

    #[test]
    fn the_union_contains_both_and_what_is_left_of_it_is_the_other() {
        let mut random = Random::seeded(7);
        for _ in 0..5_000 {
            let ((a, _), (b, _)) = (random_pair(&mut random), random_pair(&mut random));
            let union = a.union(&b);
            assert!(union.contains(&a) && union.contains(&b));
            assert_eq!(union, b.union(&a));
            assert_eq!(union.minus(&b), a.minus(&b));
            assert_eq!(a.minus(&b).union(&b), union);
        }
    }

    #[test]
    fn adjacent_intervals_merge() {
        assert_eq!(of(&[(4, 5), (1, 3)]).to_string(), "1-5");
        assert_eq!(of(&[(1, 3)]).union(&of(&[(4, 5)])).to_string(), "1-5");
    }

    #[test]
    fn intervals_with_one_number_between_them_stay_apart() {
        assert_eq!(of(&[(5, 6), (1, 3)]).to_string(), "1-3:5-6");
    }

    #[test]
    fn an_interval_within_an_earlier_one_does_not_shorten_it() {
        assert_eq!(of(&[(1, 9), (2, 3), (10, 10)]).to_string(), "1-10");
    }

    #[test]
    fn the_greatest_number_overflows_nothing() {
        let (all, end) = (of(&[(1, MAX)]), of(&[(MAX, MAX)]));
        assert_eq!(all.count(), MAX);
        assert_eq!(of(&[(0, MAX)]).count(), MAX);
        assert_eq!(all.union(&end), all);
        assert_eq!(of(&[(1, MAX), (MAX, MAX)]), all);
        assert_eq!(all.minus(&end), of(&[(1, MAX - 1)]));
        assert!(end.minus(&all).is_empty());
        assert_eq!(all.minus(&of(&[(1, MAX - 1)])), end);
        assert!(all.contains(&end) && !end.contains(&all));
    }

    #[test]
    fn one_interval_may_be_cut_by_many_and_many_by_one() {
        let (whole, holes) = (of(&[(1, 9)]), of(&[(1, 2), (4, 4), (8, 20)]));
        assert_eq!(whole.minus(&holes).to_string(), "3:5-7");
        assert_eq!(holes.minus(&whole).to_string(), "10-20");
    }

    #[test]
    fn fragmented_sets_cost_a_pass_and_not_a_product() {
        // 200,000 fragments on each side: this test would run for minutes if anything here were quadratic.
        let odd: Vec<_> = (0..200_000).map(|n| (2 * n + 1, 2 * n + 1)).collect();
        let even: Vec<_> = (0..200_000).map(|n| (2 * n + 2, 2 * n + 2)).collect();
        let (odd, even) = (of(&odd), of(&even));
        assert_eq!(odd.union(&even), of(&[(1, 400_000)]));
        assert_eq!(odd.minus(&even), odd);
        assert_eq!(odd.union(&even).minus(&even), odd);
        assert!(odd.contains(&odd) && !odd.contains(&even));
    }
}

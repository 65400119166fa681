//! MySQL's sets: `uuid:1-5:7`, and as of 8.3 also `uuid:1-5:tag:1-3`. Every transaction is named, so that
//! inclusion of sets is the whole truth about two servers. Pure.
//!
//! Parsing is stricter than the server's own: it takes what servers write (any order, any spacing and line
//! breaks, either case), and not what only people write (UUIDs in braces or without dashes, stray commas, and
//! `5-3`, which the server reads as nothing at all). A misread set here decides who becomes the source.

use super::intervals::{Interval, Intervals};
use super::{GtidError, Relation, parse_number};
use std::collections::BTreeMap;
use std::fmt;

/// A set of MySQL's GTIDs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Set {
    /// No value is empty, so that equal sets are equal maps.
    sources: BTreeMap<Source, Intervals>,
}

/// What numbers are counted under: a server's UUID and a tag, "" for none. The order is that of the text: by
/// UUID, and within one UUID what has no tag comes first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Source {
    uuid: Uuid,
    tag: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Uuid([u8; 16]);

impl Set {
    /// Reads what a server writes. Empty text is the empty set.
    pub fn parse(text: &str) -> Result<Self, GtidError> {
        let mut read = BTreeMap::<Source, Vec<Interval>>::new();
        if !text.trim().is_empty() {
            for entry in text.split(',') {
                parse_entry(entry.trim(), &mut read)?;
            }
        }
        let sources = read.into_iter().map(|(source, list)| (source, Intervals::from_unsorted(list))).collect();
        Ok(Set { sources })
    }

    /// No transaction at all.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// How many transactions, `u64::MAX` if they are more.
    pub fn count(&self) -> u64 {
        self.sources.values().fold(0, |sum: u64, numbers| sum.saturating_add(numbers.count()))
    }

    /// How `self` compares with `other`.
    pub fn relation_to(&self, other: &Set) -> Relation {
        Relation::from_inclusion(self.contains(other), other.contains(self))
    }

    /// Whether each of `other`'s transactions is in `self`: `GTID_SUBSET(other, self)`.
    pub fn contains(&self, other: &Set) -> bool {
        other.sources.iter().all(|(source, theirs)| self.sources.get(source).is_some_and(|ours| ours.contains(theirs)))
    }

    /// The transactions of both.
    pub fn union(&self, other: &Set) -> Set {
        let mut sources = self.sources.clone();
        for (source, theirs) in &other.sources {
            sources
                .entry(source.clone())
                .and_modify(|ours| *ours = ours.union(theirs))
                .or_insert_with(|| theirs.clone());
        }
        Set { sources }
    }

    /// What is left when everything that the server with this UUID has written, tagged or not, is taken out.
    pub fn without_source(&self, uuid: &str) -> Set {
        let uuid = Uuid::parse(uuid).ok();
        let others = self.sources.iter().filter(|(source, _)| Some(source.uuid) != uuid);
        Set { sources: others.map(|(source, intervals)| (source.clone(), intervals.clone())).collect() }
    }

    /// The transactions only `self` has: `GTID_SUBTRACT(self, other)`.
    pub fn minus(&self, other: &Set) -> Set {
        let left = |(source, ours): (&Source, &Intervals)| {
            let rest = match other.sources.get(source) {
                Some(theirs) => ours.minus(theirs),
                None => ours.clone(),
            };
            (!rest.is_empty()).then(|| (source.clone(), rest))
        };
        Set { sources: self.sources.iter().filter_map(left).collect() }
    }
}

impl fmt::Display for Set {
    /// The canonical form, on one line and in lower case: `uuid:1-5:7:tag:1-3,uuid:2`. A UUID is written
    /// once, its tags follow it, as the server does it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut written = None;
        for (Source { uuid, tag }, numbers) in &self.sources {
            if written != Some(uuid) {
                let comma = if written.is_none() { "" } else { "," };
                write!(f, "{comma}{uuid}")?;
                written = Some(uuid);
            }
            if !tag.is_empty() {
                write!(f, ":{tag}")?;
            }
            write!(f, ":{numbers}")?;
        }
        Ok(())
    }
}

/// Reads `uuid:part[:part…]`. A part is an interval, or a tag that holds for the intervals after it.
fn parse_entry(entry: &str, read: &mut BTreeMap<Source, Vec<Interval>>) -> Result<(), GtidError> {
    if entry.is_empty() {
        return Err(GtidError::EmptyEntry);
    }
    let mut parts = entry.split(':').map(str::trim);
    let head = parts.next().unwrap_or_default();
    let uuid = Uuid::parse(head)?;
    // What the next interval is to follow: an error names it if none does.
    let mut wanting = Some(head);
    let mut source = Source { uuid, tag: String::new() };
    let mut list = Vec::new();
    for part in parts {
        if part.starts_with(|first: char| first.is_ascii_digit()) {
            list.push(parse_interval(part)?);
            wanting = None;
        } else if is_tag(part) {
            // Only the first tag may follow the UUID itself: `uuid:tag:1`.
            if let Some(previous) = wanting.filter(|previous| *previous != head) {
                return Err(GtidError::NoInterval(previous.to_owned()));
            }
            put(read, &source, &mut list);
            source.tag = part.to_ascii_lowercase();
            wanting = Some(part);
        } else {
            return Err(GtidError::BadPart { uuid: uuid.to_string(), part: GtidError::excerpt(part) });
        }
    }
    if let Some(previous) = wanting {
        return Err(GtidError::NoInterval(previous.to_owned()));
    }
    put(read, &source, &mut list);
    Ok(())
}

/// Moves the list under its source. A UUID or tag may come several times in one text.
fn put(read: &mut BTreeMap<Source, Vec<Interval>>, source: &Source, list: &mut Vec<Interval>) {
    if !list.is_empty() {
        read.entry(source.clone()).or_default().append(list);
    }
}

/// Reads `7` or `5-7`.
fn parse_interval(text: &str) -> Result<Interval, GtidError> {
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (first.trim_end(), last.trim_start()),
        None => (text, text),
    };
    let interval =
        Interval { first: parse_number("transaction number", first)?, last: parse_number("transaction number", last)? };
    if interval.last < interval.first {
        return Err(GtidError::ReversedInterval(GtidError::excerpt(text)));
    }
    if interval.first == 0 {
        return Err(GtidError::ZeroInInterval(GtidError::excerpt(text)));
    }
    Ok(interval)
}

/// At most 32 letters, digits and underscores, and no digit first; in either case (WL#15294).
fn is_tag(text: &str) -> bool {
    (1..=32).contains(&text.len())
        && !text.starts_with(|first: char| first.is_ascii_digit())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

impl Uuid {
    /// 8-4-4-4-12 hexadecimal digits.
    fn parse(text: &str) -> Result<Self, GtidError> {
        let bad = || GtidError::BadUuid(GtidError::excerpt(text));
        if text.len() != 36 {
            return Err(bad());
        }
        let mut bytes = [0; 16];
        let mut digits = 0;
        for (place, byte) in text.bytes().enumerate() {
            if matches!(place, 8 | 13 | 18 | 23) {
                if byte != b'-' {
                    return Err(bad());
                }
                continue;
            }
            let digit = char::from(byte).to_digit(16).ok_or_else(bad)? as u8;
            // 36 places without 4 dashes are 32 digits, two a byte.
            bytes[digits / 2] = bytes[digits / 2] << 4 | digit;
            digits += 1;
        }
        Ok(Uuid(bytes))
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, byte) in self.0.iter().enumerate() {
            let dash = if matches!(place, 4 | 6 | 8 | 10) { "-" } else { "" };
            write!(f, "{dash}{byte:02x}")?;
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

    const A: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";
    const B: &str = "4e11fa47-71ca-11e1-9e33-c80aa9429562";

    /// Writes `A` and `B` for the two UUIDs above.
    fn set(text: &str) -> Set {
        Set::parse(&text.replace('A', A).replace('B', B)).unwrap()
    }

    fn shown(set: &Set) -> String {
        set.to_string().replace(A, "A").replace(B, "B")
    }

    fn error(text: &str) -> String {
        let error = Set::parse(&text.replace('A', A).replace('B', B)).unwrap_err();
        error.to_string().replace(A, "A").replace(B, "B")
    }

    #[test]
    fn empty_text_is_the_empty_set() {
        for text in ["", " ", "\n"] {
            assert!(set(text).is_empty());
            assert_eq!(set(text).to_string(), "");
            assert_eq!(set(text).count(), 0);
        }
    }

    #[test]
    fn the_canonical_form_is_sorted_merged_and_lower_case() {
        let upper = format!("{}:9:1-3:4,{}:7", B.to_uppercase(), A.to_uppercase());
        assert_eq!(Set::parse(&upper).unwrap().to_string(), format!("{A}:7,{B}:1-4:9"));
    }

    #[test]
    fn spaces_and_line_breaks_of_a_server_are_legal() {
        assert_eq!(set("A:1-5,\nB:1-3"), set("A:1-5,B:1-3"));
        assert_eq!(set(" A : 1 - 5 : 7 ,\r\n\tB:1-3\n"), set("A:1-5:7,B:1-3"));
    }

    #[test]
    fn a_uuid_may_come_twice() {
        assert_eq!(shown(&set("A:1-3,B:1,A:4-5")), "A:1-5,B:1");
    }

    #[test]
    fn intervals_follow_the_tag_before_them() {
        let tagged = set("A:1-5:Dump:1-3:5:ddl_1:2,B:_x:1");
        assert_eq!(shown(&tagged), "A:1-5:ddl_1:2:dump:1-3:5,B:_x:1");
        assert_eq!(tagged.count(), 5 + 4 + 1 + 1);
    }

    #[test]
    fn tags_of_one_uuid_are_gathered_after_what_has_none() {
        let apart = set("A:zz:1,A:aa:4,A:7,A:zz:2:aa:5");
        assert_eq!(shown(&apart), "A:7:aa:4-5:zz:1-2");
    }

    #[test]
    fn the_same_number_under_another_tag_is_another_transaction() {
        let (plain, tagged, other) = (set("A:1-5"), set("A:t:1-5"), set("A:u:1-5"));
        assert_eq!(plain.relation_to(&tagged), Relation::Diverged);
        assert_eq!(tagged.relation_to(&other), Relation::Diverged);
        assert_eq!(shown(&plain.union(&tagged)), "A:1-5:t:1-5");
        assert_eq!(shown(&set("A:1-5:t:1-5").minus(&set("A:2:t:1-4"))), "A:1:3-5:t:5");
    }

    #[test]
    fn one_more_transaction_is_ahead() {
        assert_eq!(set("A:1-6").relation_to(&set("A:1-5")), Relation::Ahead);
        assert_eq!(set("A:1-5").relation_to(&set("A:1-6")), Relation::Behind);
        assert_eq!(set("A:1-5,B:1").relation_to(&set("A:1-5")), Relation::Ahead);
    }

    #[test]
    fn a_gap_the_other_has_filled_is_diverged_although_the_count_is_greater() {
        let (gap, prefix) = (set("A:1-5:7-90"), set("A:1-6"));
        assert_eq!(gap.relation_to(&prefix), Relation::Diverged);
        assert_eq!(shown(&gap.minus(&prefix)), "A:7-90");
        assert_eq!(shown(&prefix.minus(&gap)), "A:6");
    }

    #[test]
    fn an_errant_transaction_is_diverged_and_named() {
        let (replica, source) = (set("A:1-99,B:1"), set("A:1-100"));
        assert_eq!(replica.relation_to(&source), Relation::Diverged);
        assert_eq!(shown(&replica.minus(&source)), "B:1");
    }

    #[test]
    fn everything_contains_the_empty_set() {
        assert!(set("A:1").contains(&set("")) && set("").contains(&set("")));
        assert!(!set("").contains(&set("A:1")));
        assert_eq!(set("").relation_to(&set("A:1")), Relation::Behind);
    }

    #[test]
    fn the_received_set_is_the_union_of_retrieved_and_executed() {
        let received = set("A:100-120").union(&set("A:1-99:105-110,B:1-3"));
        assert_eq!(shown(&received), "A:1-120,B:1-3");
    }

    #[test]
    fn counts_saturate() {
        let most = u64::MAX;
        assert_eq!(set(&format!("A:1-{most},B:1-{most}")).count(), most);
    }

    #[test]
    fn errors_name_what_is_wrong() {
        for (text, expected) in [
            ("A:5-3", "the interval \"5-3\" ends before it begins"),
            ("A:0", "the interval \"0\" contains 0, transactions count from 1"),
            ("A:0-5", "the interval \"0-5\" contains 0, transactions count from 1"),
            ("A:1-", "\"\" is not a transaction number"),
            ("A:1-2-3", "\"2-3\" is not a transaction number"),
            ("A:1-+3", "\"+3\" is not a transaction number"),
            ("A:1x", "\"1x\" is not a transaction number"),
            ("A:18446744073709551616", "\"18446744073709551616\" is not a transaction number"),
            ("A", "no interval follows \"A\""),
            ("A:tag", "no interval follows \"tag\""),
            ("A:1:tag", "no interval follows \"tag\""),
            ("A:tag:other:1", "no interval follows \"tag\""),
            ("A:", "\"\" after A is neither an interval nor a tag"),
            ("A:1::2", "\"\" after A is neither an interval nor a tag"),
            ("A:-5", "\"-5\" after A is neither an interval nor a tag"),
            ("A:t-g:1", "\"t-g\" after A is neither an interval nor a tag"),
            ("A:1,", "empty entry in a list of GTIDs"),
            (",A:1", "empty entry in a list of GTIDs"),
            ("A:1,,B:1", "empty entry in a list of GTIDs"),
            ("1-5", "\"1-5\" is not a UUID"),
            ("{A}:1", "\"{A}\" is not a UUID"),
            ("0-1-5", "\"0-1-5\" is not a UUID"),
            ("NULL", "\"NULL\" is not a UUID"),
        ] {
            assert_eq!(error(text), expected, "{text}");
        }
    }

    #[test]
    fn a_uuid_has_its_dashes_and_only_hexadecimal_digits() {
        for text in [
            "3e11fa4771ca11e19e33c80aa9429562:1",
            "3e11fa47-71ca-11e1-9e33-c80aa942956g:1",
            "3e11fa47071ca-11e1-9e33-c80aa9429562:1",
            "3e11fa4-771ca-11e1-9e33-c80aa9429562:1",
            "3e11fa47-71ca-11e1-9e33-c80aa94295éé:1",
        ] {
            let refused = Set::parse(text).unwrap_err();
            assert!(matches!(refused, GtidError::BadUuid(_)), "{text}: {refused}");
        }
    }

    #[test]
    fn a_tag_has_at_most_32_characters() {
        assert!(Set::parse(&format!("{A}:{}:1", "t".repeat(32))).is_ok());
        assert!(Set::parse(&format!("{A}:{}:1", "t".repeat(33))).is_err());
    }

    /// A naive set of (source, number), and its text in the order the numbers came.
    fn random_pair(random: &mut Random) -> (Set, BTreeSet<(String, u64)>) {
        let mut model = BTreeSet::new();
        let mut entries = Vec::new();
        for _ in 0..random.below(7) {
            let source = ["A", "B", "A:t", "A:u", "B:t"][random.below(5) as usize];
            let first = 1 + random.below(12);
            let last = first + random.below(4);
            entries.push(format!("{source}:{first}-{last}"));
            model.extend((first..=last).map(|number| (source.to_owned(), number)));
        }
        (set(&entries.join(",")), model)
    }

    #[test]
    fn relation_union_and_difference_agree_with_a_naive_set() {
        let mut random = Random::seeded(42);
        let mut seen = std::collections::HashSet::new();
        for _ in 0..20_000 {
            let ((a, model_a), (b, model_b)) = (random_pair(&mut random), random_pair(&mut random));
            let expected = match (model_a.is_superset(&model_b), model_a.is_subset(&model_b)) {
                (true, true) => Relation::Equal,
                (true, false) => Relation::Ahead,
                (false, true) => Relation::Behind,
                (false, false) => Relation::Diverged,
            };
            seen.insert(expected);
            assert_eq!(a.relation_to(&b), expected, "{a} to {b}");
            assert_eq!(a == b, expected == Relation::Equal, "{a} == {b}");
            assert_eq!(a.count(), model_a.len() as u64, "{a}");
            assert_eq!(a.union(&b).count(), (&model_a | &model_b).len() as u64);
            assert_eq!(a.minus(&b).count(), (&model_a - &model_b).len() as u64);
            assert_eq!(a.minus(&b).is_empty(), b.contains(&a));
            assert_eq!(a.minus(&b).union(&b), a.union(&b));
        }
        assert_eq!(seen.len(), 4, "the random sets never met in some relation");
    }

    #[test]
    fn the_canonical_form_is_read_back_as_the_same_set() {
        let mut random = Random::seeded(99);
        for _ in 0..2_000 {
            let (one, _) = random_pair(&mut random);
            assert_eq!(Set::parse(&one.to_string()), Ok(one));
        }
    }

    #[test]
    fn sets_of_ten_thousand_fragments_are_compared_and_read_back() {
        let text = |first: u64| {
            let parts: Vec<_> = (0..10_000).map(|n| format!("{}", first + 3 * n)).collect();
            format!("A:{}", parts.join(":"))
        };
        let (a, b) = (set(&text(1)), set(&text(2)));
        assert_eq!(a.relation_to(&b), Relation::Diverged);
        assert_eq!(a.union(&b).relation_to(&b), Relation::Ahead);
        assert_eq!(a.union(&b).count(), 20_000);
        assert_eq!(a.union(&b).minus(&b), a);
        assert_eq!(set("A:1-30000").minus(&a).minus(&b).count(), 10_000);
        assert_eq!(Set::parse(&a.to_string()), Ok(a));
    }
}

//! Sets of transactions: what a server has, and how that compares with what another one has.
//!
//! Pure: text in, values out; nothing here asks a server. Two vendors, two very different ideas of a GTID
//! ([`mysql`] names every transaction, [`mariadb`] only the last one of each domain), one type over both, so
//! that an election needs no case distinction.
//!
//! There is deliberately no `Ord`: two sets of transactions may each hold something the other lacks, and
//! sorting candidates with a comparator that hides this is how acknowledged writes get lost. Ask
//! [`GtidSet::relation_to`] and handle [`Relation::Diverged`].

mod intervals;
pub mod mariadb;
pub mod mysql;
mod owned;
#[cfg(test)]
mod random;

use std::fmt;

/// How one set of transactions compares with another: `self` seen from the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Relation {
    /// Both have the same transactions.
    Equal,
    /// `self` has all of the other's transactions, and more.
    Ahead,
    /// The other has all of `self`'s transactions, and more.
    Behind,
    /// Each has, or may have, something that the other lacks. No replication reconciles them.
    Diverged,
}

impl Relation {
    /// From the two questions of inclusion, each of which may be answered by any partial order.
    fn from_inclusion(self_contains_other: bool, other_contains_self: bool) -> Self {
        match (self_contains_other, other_contains_self) {
            (true, true) => Relation::Equal,
            (true, false) => Relation::Ahead,
            (false, true) => Relation::Behind,
            (false, false) => Relation::Diverged,
        }
    }
}

/// The transactions a server has, in its vendor's terms.
///
/// `==` compares vendor and content; [`relation_to`](Self::relation_to) calls two empty sets equal whatever
/// their vendors are, because a server without transactions has nothing that could tell them apart.
///
/// Two vendors never meet in a healthy cluster. Where they do, every answer is the one that stops an election
/// and never the one that lets it go on, even when one of the two sets is empty.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum GtidSet {
    /// MySQL: every transaction by its number.
    MySql(mysql::Set),
    /// MariaDB: the last transaction of each domain.
    MariaDb(mariadb::Position),
}

impl GtidSet {
    /// Reads `gtid_executed`, `Retrieved_Gtid_Set` and the like. Empty text is the empty set.
    pub fn parse_mysql(text: &str) -> Result<Self, GtidError> {
        mysql::Set::parse(text).map(GtidSet::MySql)
    }

    /// Reads MySQL's `gtid_owned`: what is being written, and is not in `gtid_executed` yet.
    pub fn parse_mysql_owned(text: &str) -> Result<Self, GtidError> {
        owned::parse(text).map(GtidSet::MySql)
    }

    /// Reads `gtid_current_pos`, `gtid_slave_pos`, `Gtid_IO_Pos` and the like. Empty text is the empty set.
    pub fn parse_mariadb(text: &str) -> Result<Self, GtidError> {
        mariadb::Position::parse(text).map(GtidSet::MariaDb)
    }

    /// Reads text in the notation of this set's vendor.
    pub fn parse_like(&self, text: &str) -> Result<Self, GtidError> {
        match self {
            GtidSet::MySql(_) => Self::parse_mysql(text),
            GtidSet::MariaDb(_) => Self::parse_mariadb(text),
        }
    }

    /// No transaction at all.
    pub fn is_empty(&self) -> bool {
        match self {
            GtidSet::MySql(set) => set.is_empty(),
            GtidSet::MariaDb(position) => position.is_empty(),
        }
    }

    /// How `self` compares with `other`. Different vendors are diverged, unless both are empty.
    ///
    /// For MariaDB read [the limits](mariadb#what-positions-cannot-show) first: `Equal`, `Ahead` and `Behind`
    /// are then what the positions say, which is less than what MySQL's sets say.
    pub fn relation_to(&self, other: &GtidSet) -> Relation {
        match (self, other) {
            (GtidSet::MySql(a), GtidSet::MySql(b)) => a.relation_to(b),
            (GtidSet::MariaDb(a), GtidSet::MariaDb(b)) => a.relation_to(b),
            (GtidSet::MySql(_), GtidSet::MariaDb(_)) | (GtidSet::MariaDb(_), GtidSet::MySql(_)) => {
                let both_empty = self.is_empty() && other.is_empty();
                Relation::from_inclusion(both_empty, both_empty)
            }
        }
    }

    /// Whether `self` has all that `other` has: it is equal or ahead.
    pub fn contains(&self, other: &GtidSet) -> bool {
        match self.relation_to(other) {
            Relation::Equal | Relation::Ahead => true,
            Relation::Behind | Relation::Diverged => false,
        }
    }

    /// What the two have together, as in received = retrieved ∪ executed.
    ///
    /// MariaDB: the later position of each domain, and an error where two servers claim the same sequence
    /// number. Different vendors have no union, unless both are empty.
    pub fn union(&self, other: &GtidSet) -> Result<GtidSet, GtidError> {
        match (self, other) {
            (GtidSet::MySql(a), GtidSet::MySql(b)) => Ok(GtidSet::MySql(a.union(b))),
            (GtidSet::MariaDb(a), GtidSet::MariaDb(b)) => a.union(b).map(GtidSet::MariaDb),
            (GtidSet::MySql(_), GtidSet::MariaDb(_)) | (GtidSet::MariaDb(_), GtidSet::MySql(_)) => {
                if self.is_empty() && other.is_empty() { Ok(self.clone()) } else { Err(GtidError::DifferentVendors) }
            }
        }
    }

    /// What only `self` has, to be shown to people. It is empty exactly when `other` contains `self`, except
    /// that an empty set of one vendor still lacks nothing of the other's.
    pub fn minus(&self, other: &GtidSet) -> Difference {
        match (self, other) {
            (GtidSet::MySql(a), GtidSet::MySql(b)) => Difference::MySql(a.minus(b)),
            (GtidSet::MySql(a), GtidSet::MariaDb(_)) => Difference::MySql(a.clone()),
            (GtidSet::MariaDb(a), GtidSet::MariaDb(b)) => Difference::MariaDb(a.minus(b)),
            (GtidSet::MariaDb(a), GtidSet::MySql(_)) => Difference::MariaDb(a.minus(&mariadb::Position::default())),
        }
    }

    /// How many transactions there are; for MariaDB at most how many, see [`mariadb::Position::count`].
    /// More than fit are `u64::MAX`.
    pub fn count(&self) -> u64 {
        match self {
            GtidSet::MySql(set) => set.count(),
            GtidSet::MariaDb(position) => position.count(),
        }
    }
}

impl fmt::Display for GtidSet {
    /// The canonical form: equal sets are equal text, and the parser of the same vendor reads it back.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GtidSet::MySql(set) => set.fmt(f),
            GtidSet::MariaDb(position) => position.fmt(f),
        }
    }
}

/// What one set has and another lacks: the answer of [`GtidSet::minus`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Difference {
    /// The very transactions.
    MySql(mysql::Set),
    /// For each domain, in order, from where to where. MariaDB cannot say which transactions these are.
    MariaDb(Vec<mariadb::Span>),
}

impl Difference {
    /// Nothing is lacking.
    pub fn is_empty(&self) -> bool {
        match self {
            Difference::MySql(set) => set.is_empty(),
            Difference::MariaDb(spans) => spans.is_empty(),
        }
    }

    /// How many transactions are lacking; for MariaDB at most how many. More than fit are `u64::MAX`.
    pub fn count(&self) -> u64 {
        match self {
            Difference::MySql(set) => set.count(),
            Difference::MariaDb(spans) => spans.iter().fold(0, |sum: u64, span| sum.saturating_add(span.count())),
        }
    }
}

impl fmt::Display for Difference {
    /// `uuid:5-7` for MySQL, `0-1-7 .. 0-1-9, 3-1-2 .. 3-1-4` for MariaDB, nothing when nothing is lacking.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Difference::MySql(set) => set.fmt(f),
            Difference::MariaDb(spans) => {
                for (nth, span) in spans.iter().enumerate() {
                    write!(f, "{}{span}", if nth == 0 { "" } else { ", " })?;
                }
                Ok(())
            }
        }
    }
}

/// Why a text is no set of transactions, or why two sets have no union. Texts are cut to a readable length.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum GtidError {
    /// Nothing between two commas, or before the first or after the last one.
    EmptyEntry,
    /// MySQL: an entry does not start with a UUID of 8-4-4-4-12 hexadecimal digits.
    BadUuid(String),
    /// MySQL: neither an interval nor a tag stands between two colons.
    BadPart {
        /// The UUID of the entry.
        uuid: String,
        /// What stands there.
        part: String,
    },
    /// MySQL: a UUID, or a tag, is not followed by an interval.
    NoInterval(String),
    /// MySQL: an interval whose last number is smaller than its first.
    ReversedInterval(String),
    /// MySQL numbers its transactions from 1.
    ZeroInInterval(String),
    /// A number that is not made of decimal digits only, or too great for its place.
    BadNumber {
        /// What the number should be, as in "sequence number".
        what: &'static str,
        /// What stands there.
        text: String,
    },
    /// MariaDB: an entry that is not `domain-server-sequence`.
    BadGtid(String),
    /// MariaDB: a position names a domain twice.
    RepeatedDomain(u32),
    /// MariaDB: two servers wrote different transactions under the same number, so there is no union.
    Diverged(mariadb::Gtid, mariadb::Gtid),
    /// A set of MySQL's and one of MariaDB's have no union.
    DifferentVendors,
}

impl GtidError {
    /// An excerpt that is fit for an exit reason: a gtid_executed may be megabytes long.
    fn excerpt(text: &str) -> String {
        const LONGEST: usize = 60;
        match text.char_indices().nth(LONGEST) {
            Some((end, _)) => format!("{}…", &text[..end]),
            None => text.to_owned(),
        }
    }
}

impl fmt::Display for GtidError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // {:?} for what was read: it quotes, and no control character reaches a terminal or the CIB.
        match self {
            GtidError::EmptyEntry => write!(f, "empty entry in a list of GTIDs"),
            GtidError::BadUuid(text) => write!(f, "{text:?} is not a UUID"),
            GtidError::BadPart { uuid, part } => {
                write!(f, "{part:?} after {uuid} is neither an interval nor a tag")
            }
            GtidError::NoInterval(text) => write!(f, "no interval follows {text:?}"),
            GtidError::ReversedInterval(text) => {
                write!(f, "the interval {text:?} ends before it begins")
            }
            GtidError::ZeroInInterval(text) => {
                write!(f, "the interval {text:?} contains 0, transactions count from 1")
            }
            GtidError::BadNumber { what, text } => write!(f, "{text:?} is not a {what}"),
            GtidError::BadGtid(text) => write!(f, "{text:?} is not domain-server-sequence"),
            GtidError::RepeatedDomain(domain) => {
                write!(f, "the domain {domain} is named twice in one position")
            }
            GtidError::Diverged(a, b) => {
                write!(f, "{a} and {b} are different transactions with the same number")
            }
            GtidError::DifferentVendors => {
                write!(f, "GTIDs of MySQL and GTIDs of MariaDB cannot be put together")
            }
        }
    }
}

impl std::error::Error for GtidError {}

/// A number of decimal digits only: `str::parse` alone would also take "+5".
fn parse_number<N: std::str::FromStr>(what: &'static str, text: &str) -> Result<N, GtidError> {
    let bad = || GtidError::BadNumber { what, text: GtidError::excerpt(text) };
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(bad());
    }
    text.parse().map_err(|_| bad())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const A: &str = "aaaaaaaa-0000-0000-0000-000000000000";

    fn mysql(text: &str) -> GtidSet {
        GtidSet::parse_mysql(text).unwrap()
    }

    fn mariadb(text: &str) -> GtidSet {
        GtidSet::parse_mariadb(text).unwrap()
    }

    #[test]
    fn empty_sets_of_different_vendors_are_equal() {
        assert_eq!(mysql("").relation_to(&mariadb("")), Relation::Equal);
        assert!(mariadb("").contains(&mysql("")));
        assert_eq!(mysql("").union(&mariadb("")), Ok(mysql("")));
    }

    #[test]
    fn different_vendors_are_diverged_even_if_one_is_empty() {
        let some = mysql(&format!("{A}:1-5"));
        for other in [mariadb(""), mariadb("0-1-5")] {
            assert_eq!(some.relation_to(&other), Relation::Diverged);
            assert_eq!(other.relation_to(&some), Relation::Diverged);
            assert!(!some.contains(&other));
            assert_eq!(some.union(&other), Err(GtidError::DifferentVendors));
        }
    }

    #[test]
    fn nothing_can_be_subtracted_from_another_vendors_set() {
        let ours = mysql(&format!("{A}:1-5"));
        let theirs = mariadb("0-1-5");
        assert_eq!(ours.minus(&theirs).to_string(), format!("{A}:1-5"));
        assert_eq!(theirs.minus(&ours).to_string(), "(start) .. 0-1-5");
    }

    #[test]
    fn contains_is_equal_or_ahead_for_both_vendors() {
        for (less, more) in
            [(mysql(&format!("{A}:1-5")), mysql(&format!("{A}:1-6"))), (mariadb("0-1-5"), mariadb("0-1-6"))]
        {
            assert!(more.contains(&less));
            assert!(more.contains(&more));
            assert!(!less.contains(&more));
        }
    }

    #[test]
    fn a_difference_counts_what_is_lacking() {
        let a = mysql(&format!("{A}:1-9:x:1-3"));
        assert_eq!(a.minus(&mysql(&format!("{A}:4"))).count(), 11);
        let b = mariadb("0-1-9,3-1-4");
        assert_eq!(b.minus(&mariadb("0-1-7,3-1-2")).count(), 4);
        assert_eq!(b.minus(&mariadb("0-1-7,3-1-2")).to_string(), "0-1-7 .. 0-1-9, 3-1-2 .. 3-1-4");
    }

    #[test]
    fn a_difference_is_empty_and_silent_when_nothing_is_lacking() {
        for set in [mysql(&format!("{A}:1-9")), mariadb("0-1-9")] {
            let none = set.minus(&set);
            assert!(none.is_empty());
            assert_eq!((none.count(), none.to_string().as_str()), (0, ""));
        }
    }

    #[test]
    fn errors_quote_and_shorten_what_was_read() {
        let error = GtidSet::parse_mysql(&"é\n".repeat(1000)).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("\"é\\né"), "{text}");
        assert!(text.ends_with("…\" is not a UUID"), "{text}");
        assert!(text.len() < 250, "{text}");
    }

    #[test]
    fn sets_are_keys_of_hash_maps() {
        let mut seen = std::collections::HashSet::new();
        seen.insert(mysql(&format!("{A}:1-3:4-5")));
        assert!(seen.contains(&mysql(&format!("{A}:1-5"))));
    }
}

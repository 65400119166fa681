//! MariaDB's positions: `domain-server-sequence`, one for each domain. Pure.
//!
//! A domain's position stands for everything up to its number in that domain. There is no function in the
//! server like MySQL's GTID_SUBSET, so positions are compared here; and it must be by domain: comparing only
//! the third component, as agents before this one did, ignores every domain but one.
//!
//! # What positions cannot show
//!
//! A position says how far a server got, and not by which way. A server that wrote `0-2-8` on its own after
//! `0-1-7`, and one that has `0-1-8` and then `0-1-9`, look ordered (`0-2-8` behind `0-1-9`) although each has
//! a transaction numbered 8 that the other lacks. Only equal numbers under different server ids are seen as a
//! divergence. So `Ahead`, `Behind` and even `Equal` are necessary for what they say, but no proof. Before
//! anything depends on it, ask the server that is ahead whether it has exactly the GTID which
//! [`Position::last_in`] names for the one behind, in its binary log. That a replica can connect there is no
//! such proof either: the source refuses a number greater than any it has of that server id
//! (check_slave_start_position in sql/sql_repl.cc), but a hole below it only for a replica that runs with
//! `gtid_strict_mode`.

use super::{GtidError, Relation, parse_number};
use std::collections::BTreeMap;
use std::fmt;

/// One GTID of MariaDB's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Gtid {
    /// The replication domain.
    pub domain: u32,
    /// The `server_id` of the server that wrote the transaction first.
    pub server: u32,
    /// The number in the domain.
    pub sequence: u64,
}

impl fmt::Display for Gtid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.domain, self.server, self.sequence)
    }
}

/// The last transaction of each domain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Position {
    /// By domain. No number is 0, which is what a domain that is not named stands at, so that equal positions
    /// are equal maps.
    domains: BTreeMap<u32, Gtid>,
}

impl Position {
    /// Reads what a server writes, domains in any order. Empty text is the empty position.
    ///
    /// This is for positions, where a domain comes once. `gtid_binlog_state` names it once for each server
    /// that ever wrote in it, and is refused.
    pub fn parse(text: &str) -> Result<Self, GtidError> {
        let mut domains = BTreeMap::new();
        if !text.trim().is_empty() {
            for entry in text.split(',') {
                let gtid = parse_gtid(entry.trim())?;
                if domains.insert(gtid.domain, gtid).is_some() {
                    return Err(GtidError::RepeatedDomain(gtid.domain));
                }
            }
        }
        domains.retain(|_, gtid| gtid.sequence > 0);
        Ok(Position { domains })
    }

    /// No transaction at all.
    pub fn is_empty(&self) -> bool {
        self.domains.is_empty()
    }

    /// The last transaction in a domain, so that a caller may ask another server whether it has exactly this
    /// one. None where the domain has nothing.
    pub fn last_in(&self, domain: u32) -> Option<Gtid> {
        self.domains.get(&domain).copied()
    }

    /// The domains with a transaction, in order.
    pub fn domains(&self) -> impl Iterator<Item = u32> {
        self.domains.keys().copied()
    }

    /// A `gtid_binlog_state` for a server that has this position: of `state`, that of a server of the same history, which names
    /// each server that ever wrote in a domain, it keeps what is not later; the position comes last, as the latest. With the
    /// position alone a server would call a replica diverged whose last transaction is of a server that it does not know.
    ///
    /// # Errors
    /// A state that cannot be read.
    pub fn with_earlier(&self, state: &str) -> Result<String, GtidError> {
        let entries = state.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        let mut earlier = Vec::new();
        for entry in entries {
            let gtid = parse_gtid(entry)?;
            let is_earlier = |last: Gtid| gtid.sequence < last.sequence && gtid.server != last.server;
            if self.last_in(gtid.domain).is_some_and(is_earlier) {
                earlier.push(gtid.to_string());
            }
        }
        earlier.extend(self.domains.values().map(Gtid::to_string));
        Ok(earlier.join(","))
    }

    /// The sum of the numbers, `u64::MAX` if it is more: at most that many transactions, and fewer where a
    /// domain has gaps, which a position does not show.
    pub fn count(&self) -> u64 {
        self.domains.values().fold(0, |sum: u64, gtid| sum.saturating_add(gtid.sequence))
    }

    /// How `self` compares with `other`, as far as [positions show it](self#what-positions-cannot-show):
    /// ahead or behind in all domains where they differ, or else diverged. The same number under different
    /// server ids is a divergence.
    pub fn relation_to(&self, other: &Position) -> Relation {
        Relation::from_inclusion(self.contains(other), other.contains(self))
    }

    /// Whether `self` is equal or ahead in each domain, as far as
    /// [positions show it](self#what-positions-cannot-show).
    pub fn contains(&self, other: &Position) -> bool {
        other.domains.values().all(|theirs| {
            self.last_in(theirs.domain).is_some_and(|ours| ours.sequence > theirs.sequence || ours == *theirs)
        })
    }

    /// The later position of each domain. An error where the two are diverged in a domain: neither is later.
    pub fn union(&self, other: &Position) -> Result<Position, GtidError> {
        let mut union = self.clone();
        for theirs in other.domains.values() {
            let ours = union.domains.entry(theirs.domain).or_insert(*theirs);
            if ours.sequence == theirs.sequence && ours.server != theirs.server {
                return Err(GtidError::Diverged(*ours, *theirs));
            }
            if theirs.sequence > ours.sequence {
                *ours = *theirs;
            }
        }
        Ok(union)
    }

    /// What only `self` has, one span for each domain in which it has something. Empty exactly when `other`
    /// contains `self`.
    pub fn minus(&self, other: &Position) -> Vec<Span> {
        let span = |to: &Gtid| {
            let from = other.last_in(to.domain);
            let has_it = from.is_some_and(|from| from.sequence > to.sequence || from == *to);
            (!has_it).then_some(Span { from, to: *to })
        };
        self.domains.values().filter_map(span).collect()
    }
}

impl fmt::Display for Position {
    /// The canonical form: `0-1-7,3-2-9`, in the order of the domains.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, gtid) in self.domains.values().enumerate() {
            write!(f, "{}{gtid}", if nth == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

/// What one position has in a domain and another lacks: all after `from`, up to and with `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    /// The other's last transaction, none if it has nothing in this domain. With the number of `to`, but
    /// another server id, it is the other's transaction in place of `to`: see [`Span::is_divergence`].
    pub from: Option<Gtid>,
    /// The last transaction that is lacking.
    pub to: Gtid,
}

impl Span {
    /// The domain.
    pub fn domain(&self) -> u32 {
        self.to.domain
    }

    /// The number after which the span begins; 0 if it begins with the domain.
    pub fn after(&self) -> u64 {
        match self.from {
            // No underflow: a position has no number 0.
            Some(from) if self.is_divergence() => from.sequence - 1,
            Some(from) => from.sequence,
            None => 0,
        }
    }

    /// Whether the other has another transaction under the very number of `to`. How many before it differ as
    /// well is not known.
    pub fn is_divergence(&self) -> bool {
        self.from.is_some_and(|from| from.sequence == self.to.sequence)
    }

    /// How many numbers, and so at most how many transactions.
    pub fn count(&self) -> u64 {
        self.to.sequence.saturating_sub(self.after())
    }
}

impl fmt::Display for Span {
    /// `0-1-7 .. 0-1-9`, `(start) .. 0-1-9`, or `0-1-9 (the other has 0-2-9)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Span { from, to } = self;
        match from {
            Some(from) if self.is_divergence() => write!(f, "{to} (the other has {from})"),
            Some(from) => write!(f, "{from} .. {to}"),
            None => write!(f, "(start) .. {to}"),
        }
    }
}

/// Reads `domain-server-sequence`.
fn parse_gtid(entry: &str) -> Result<Gtid, GtidError> {
    if entry.is_empty() {
        return Err(GtidError::EmptyEntry);
    }
    let mut parts = entry.split('-');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(domain), Some(server), Some(sequence), None) => Ok(Gtid {
            domain: parse_number("domain", domain)?,
            server: parse_number("server id", server)?,
            sequence: parse_number("sequence number", sequence)?,
        }),
        _ => Err(GtidError::BadGtid(GtidError::excerpt(entry))),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::random::Random;
    use super::*;
    use std::collections::{BTreeSet, HashSet};

    fn position(text: &str) -> Position {
        Position::parse(text).unwrap()
    }

    fn relation(a: &str, b: &str) -> Relation {
        position(a).relation_to(&position(b))
    }

    fn minus(a: &str, b: &str) -> String {
        let spans = position(a).minus(&position(b));
        let texts: Vec<_> = spans.iter().map(Span::to_string).collect();
        texts.join(", ")
    }

    #[test]
    fn empty_text_is_the_empty_position() {
        for text in ["", " ", "\n"] {
            assert!(position(text).is_empty());
            assert_eq!(position(text).to_string(), "");
        }
    }

    #[test]
    fn the_canonical_form_is_sorted_by_the_number_of_the_domain() {
        let sorted = position("10-1-5,\n 2-3-4 ,0-1-7");
        assert_eq!(sorted.to_string(), "0-1-7,2-3-4,10-1-5");
        assert_eq!(sorted.domains().collect::<Vec<_>>(), [0, 2, 10]);
    }

    #[test]
    fn a_missing_domain_is_one_at_number_0() {
        assert_eq!(position("0-1-7,3-1-0"), position("0-1-7"));
        assert_eq!(relation("0-1-7,3-1-1", "0-1-7"), Relation::Ahead);
        assert_eq!(relation("0-1-7", "0-1-7,3-1-1"), Relation::Behind);
        assert_eq!(relation("", "0-1-1"), Relation::Behind);
        assert_eq!(relation("", ""), Relation::Equal);
    }

    #[test]
    fn ahead_in_one_domain_and_equal_in_the_others_is_ahead() {
        assert_eq!(relation("0-1-8,1-1-5", "0-1-7,1-1-5"), Relation::Ahead);
        assert_eq!(relation("0-1-7,1-1-5", "0-1-8,1-1-5"), Relation::Behind);
    }

    #[test]
    fn ahead_in_one_domain_and_behind_in_another_is_diverged() {
        assert_eq!(relation("0-1-8,1-1-5", "0-1-7,1-1-6"), Relation::Diverged);
        assert_eq!(relation("0-1-8", "1-1-6"), Relation::Diverged);
    }

    #[test]
    fn the_same_number_of_another_server_is_diverged() {
        assert_eq!(relation("0-1-7", "0-2-7"), Relation::Diverged);
        // Whatever the other domains say.
        assert_eq!(relation("0-1-7,1-1-9", "0-2-7,1-1-5"), Relation::Diverged);
    }

    #[test]
    fn a_greater_number_of_another_server_looks_ahead() {
        // The limit this module documents: these may as well be diverged.
        assert_eq!(relation("0-1-9", "0-2-8"), Relation::Ahead);
    }

    #[test]
    fn the_last_transaction_of_a_domain_can_be_asked_for() {
        let here = position("0-1-7,3-2-9");
        let last = Gtid { domain: 3, server: 2, sequence: 9 };
        assert_eq!(here.last_in(3), Some(last));
        assert_eq!(last.to_string(), "3-2-9");
        assert_eq!(here.last_in(1), None);
    }

    #[test]
    fn the_union_is_the_later_position_of_each_domain() {
        let union = position("0-1-7,1-1-5").union(&position("0-2-9,1-1-4,2-1-1"));
        assert_eq!(union, Ok(position("0-2-9,1-1-5,2-1-1")));
    }

    #[test]
    fn diverged_positions_have_no_union() {
        let error = position("0-1-7").union(&position("0-2-7")).unwrap_err();
        assert_eq!(error.to_string(), "0-1-7 and 0-2-7 are different transactions with the same number");
    }

    #[test]
    fn positions_ahead_of_each_other_in_different_domains_still_have_a_union() {
        let union = position("0-1-8,1-1-5").union(&position("0-1-7,1-1-6"));
        assert_eq!(union, Ok(position("0-1-8,1-1-6")));
    }

    #[test]
    fn what_is_lacking_is_named_from_the_others_last_to_our_last() {
        assert_eq!(minus("0-1-9", "0-1-7"), "0-1-7 .. 0-1-9");
        assert_eq!(minus("0-1-9,5-1-3", "0-1-9"), "(start) .. 5-1-3");
        assert_eq!(minus("0-1-7", "0-1-9"), "");
        assert_eq!(minus("0-1-7", "0-2-7"), "0-1-7 (the other has 0-2-7)");
    }

    #[test]
    fn a_span_counts_the_numbers_after_the_others_last() {
        let only = |a: &str, b: &str| position(a).minus(&position(b))[0];
        let grown = only("0-1-9", "0-1-7");
        assert_eq!((grown.domain(), grown.after(), grown.count()), (0, 7, 2));
        let new = only("4-1-9", "0-1-7");
        assert_eq!((new.domain(), new.after(), new.count()), (4, 0, 9));
        let diverged = only("0-1-9", "0-2-9");
        assert!(diverged.is_divergence());
        assert_eq!((diverged.after(), diverged.count()), (8, 1));
    }

    #[test]
    fn a_state_keeps_the_earlier_servers_and_nothing_later() {
        let at = position("0-2-150,1-1-7");
        let state = "0-1-100,0-3-160,0-2-180,1-1-9,1-4-3,2-1-5";
        assert_eq!(at.with_earlier(state).unwrap(), "0-1-100,1-4-3,0-2-150,1-1-7");
        assert_eq!(at.with_earlier("").unwrap(), "0-2-150,1-1-7");
        assert!(at.with_earlier("0-1").is_err());
    }

    #[test]
    fn counts_saturate() {
        let most = u64::MAX;
        assert_eq!(position(&format!("0-1-{most},1-1-{most}")).count(), most);
    }

    #[test]
    fn errors_name_what_is_wrong() {
        for (text, expected) in [
            ("0-1", "\"0-1\" is not domain-server-sequence"),
            ("0-1-2-3", "\"0-1-2-3\" is not domain-server-sequence"),
            ("NULL", "\"NULL\" is not domain-server-sequence"),
            ("0-1-x", "\"x\" is not a sequence number"),
            ("0-1-", "\"\" is not a sequence number"),
            ("0- 1-5", "\" 1\" is not a server id"),
            ("+0-1-5", "\"+0\" is not a domain"),
            ("4294967296-1-5", "\"4294967296\" is not a domain"),
            ("0-4294967296-5", "\"4294967296\" is not a server id"),
            ("0-1-18446744073709551616", "\"18446744073709551616\" is not a sequence number"),
            ("0-1-5,", "empty entry in a list of GTIDs"),
            ("0-1-5,0-2-6", "the domain 0 is named twice in one position"),
            ("0-1-0,0-2-0", "the domain 0 is named twice in one position"),
        ] {
            assert_eq!(Position::parse(text).unwrap_err().to_string(), expected, "{text}");
        }
    }

    /// Positions in up to three domains, and a naive set of what they stand for: all numbers below the last,
    /// by whomever, and the last one with its server.
    fn random_pair(random: &mut Random) -> (Position, BTreeSet<(u32, u64, u64)>) {
        let mut entries = Vec::new();
        let mut model = BTreeSet::new();
        for domain in 0..3 {
            let (server, sequence) = (1 + random.below(2), random.below(4));
            entries.push(format!("{domain}-{server}-{sequence}"));
            // Both servers' numbers below the last one: that is what the position claims, right or not.
            for number in 1..sequence {
                model.extend([(domain, number, 1), (domain, number, 2)]);
            }
            if sequence > 0 {
                model.insert((domain, sequence, server));
            }
        }
        (position(&entries.join(",")), model)
    }

    #[test]
    fn relation_union_and_difference_agree_with_a_naive_set() {
        let mut random = Random::seeded(4711);
        let mut seen = HashSet::new();
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
            assert_eq!(a.minus(&b).is_empty(), b.contains(&a), "{a} minus {b}");
            if let Ok(union) = a.union(&b) {
                assert!(union.contains(&a) && union.contains(&b), "{a} union {b}");
                assert_eq!(Ok(union), b.union(&a));
            } else {
                assert_eq!(expected, Relation::Diverged, "{a} union {b}");
            }
            assert_eq!(Position::parse(&a.to_string()), Ok(a));
        }
        assert_eq!(seen.len(), 4, "the random positions never met in some relation");
    }
}

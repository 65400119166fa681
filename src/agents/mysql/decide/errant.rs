//! What a joining server has that the primary has not: a replica with such transactions replicates happily (MySQL), or
//! is refused only when it connects (MariaDB, error 1236), and in an election it would look like the most advanced.

use std::collections::{BTreeMap, BTreeSet};

use super::record::{Record, State};
use crate::gtid::{GtidSet, mariadb, mysql};
use crate::server::events::{Name, is_beyond, with_dashes};

/// The transactions that only this server has, judged by the record of the primary: what the primary had when it was
/// promoted, and what it has written since (its own identity in the GTIDs), is the history; everything else is not.
///
/// # Errors
/// A record whose base cannot be read.
pub fn find_errant(executed: &GtidSet, record: &Record) -> Result<Option<String>, String> {
    let (base, writer) = history(record);
    Ok(match executed {
        GtidSet::MySql(executed) => {
            let extra = executed.minus(&mysql::Set::parse(base).map_err(|error| error.to_string())?);
            let extra = match writer {
                Writer::Server(uuid) => extra.without_source(uuid),
                Writer::Nobody | Writer::Unknown => extra,
            };
            (!extra.is_empty()).then(|| extra.to_string())
        }
        GtidSet::MariaDb(executed) => {
            let base = mariadb::Position::parse(base).map_err(|error| error.to_string())?;
            let is_foreign = |server: u32| match writer {
                Writer::Server(own) => own.parse::<u32>().is_ok_and(|own| own != server),
                Writer::Nobody => true,
                Writer::Unknown => false,
            };
            let errant = executed.domains().filter_map(|domain| executed.last_in(domain)).find(|last| {
                let known = base.last_in(last.domain);
                let is_beyond = known.is_none_or(|known| last.sequence > known.sequence);
                let is_other =
                    known.is_some_and(|known| last.sequence == known.sequence && last.server != known.server);
                is_other || (is_beyond && is_foreign(last.server))
            });
            errant.map(|last| format!("up to {last}"))
        }
    })
}

/// What is known of a history, to tell single transactions apart.
pub struct History {
    base: GtidSet,
    writer: Option<String>,
    is_over: bool,
}

impl History {
    /// That of the primary of this record, in the terms of `like`.
    ///
    /// # Errors
    /// A record whose base cannot be read.
    pub fn of(record: &Record, like: &GtidSet) -> Result<Self, String> {
        let (base, writer) = history(record);
        let base = like.parse_like(base).map_err(|error| error.to_string())?;
        let (writer, is_over) = match writer {
            Writer::Server(identity) => (Some(identity.replace('-', "").to_ascii_lowercase()), false),
            Writer::Nobody => (None, true),
            Writer::Unknown => (None, false),
        };
        Ok(Self { base, writer, is_over })
    }

    /// Whether a transaction is not of it. Of what cannot be told, it is said to be so: it is to be saved.
    pub fn lacks(&self, name: &Name) -> bool {
        let writer = match name {
            Name::MySql(source, _) => source.clone(),
            Name::MariaDb(gtid) => gtid.server.to_string(),
            Name::Tagged => return true,
        };
        is_beyond(&self.base, name) && (self.is_over || self.writer.as_ref() != Some(&writer))
    }
}

/// What was found in a server's binary logs.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Transactions that are not in the history, by name: tagged ones are not counted.
    foreign: u64,
    /// MariaDB: domains in which the logs go back to a transaction that is of the history for sure.
    bases: BTreeSet<u32>,
    /// MariaDB: domains whose first transaction ever is there.
    firsts: BTreeSet<u32>,
    /// MariaDB: the last transaction of the history before the first that is not of it, by domain.
    common: BTreeMap<u32, mariadb::Gtid>,
    /// MariaDB: domains in which something is not of the history.
    parted: BTreeSet<u32>,
    /// MariaDB: something of the history comes after that.
    is_mixed: bool,
    /// Something that the present primary has written since its promotion comes before anything that is not of the history.
    follows: bool,
    /// Something was not of the history.
    has_parted: bool,
    /// There was a transaction.
    has_any: bool,
}

impl Seen {
    /// Notes with what a log begins, before its transactions: MariaDB's list of the last ones. Where that is of the history for
    /// sure, nothing that is not can be older than the logs.
    pub fn begin(&mut self, list: &[mariadb::Gtid], history: &History) {
        let GtidSet::MariaDb(base) = &history.base else { return };
        if self.has_any {
            return;
        }
        for last in list
            .iter()
            .filter(|one| list.iter().all(|other| other.domain != one.domain || other.sequence <= one.sequence))
        {
            let name = Name::MariaDb(*last);
            let is_since = !history.lacks(&name) && history.is_since_promotion(&name);
            if is_since || base.last_in(last.domain) == Some(*last) {
                self.bases.insert(last.domain);
                self.common.insert(last.domain, *last);
                self.follows |= is_since;
            }
        }
    }

    /// Notes a transaction.
    pub fn note(&mut self, name: &Name, history: &History) {
        let is_foreign = history.lacks(name);
        self.has_any = true;
        self.has_parted |= is_foreign;
        self.follows |= !self.has_parted && history.is_since_promotion(name);
        self.foreign += u64::from(is_foreign && *name != Name::Tagged);
        if let (Name::MariaDb(gtid), GtidSet::MariaDb(base)) = (name, &history.base) {
            let is_parted = self.parted.contains(&gtid.domain);
            if is_foreign {
                self.parted.insert(gtid.domain);
            } else if is_parted {
                self.is_mixed = true;
            } else {
                self.common.insert(gtid.domain, *gtid);
            }
            if base.last_in(gtid.domain) == Some(*gtid) {
                self.bases.insert(gtid.domain);
            }
            if gtid.sequence == 1 {
                self.firsts.insert(gtid.domain);
            }
        }
    }
}

impl Seen {
    /// Whether the logs of a server with `executed` hold everything since its domains' first transactions. On MySQL, where it
    /// is known what is missing, that is never asked.
    pub fn is_everything(&self, executed: &GtidSet) -> bool {
        match executed {
            GtidSet::MySql(_) => false,
            GtidSet::MariaDb(executed) => executed.domains().all(|domain| self.firsts.contains(&domain)),
        }
    }
}

impl History {
    /// Whether the primary has written this since its promotion.
    fn is_since_promotion(&self, name: &Name) -> bool {
        self.writer.is_some() && is_beyond(&self.base, name)
    }

    /// What a server with `executed` has of this history, and nothing else of; `None` where that cannot be told from its
    /// binary logs, or where it may not have been a replica of the present primary when it got the rest: then others may have that
    /// from it, and it gives the same numbers out once more when it is promoted again.
    pub fn common(&self, executed: &GtidSet, seen: &Seen) -> Option<GtidSet> {
        if !seen.follows {
            return None;
        }
        match (executed, &self.base) {
            (GtidSet::MySql(executed), GtidSet::MySql(base)) => {
                Some(GtidSet::MySql(executed.minus(&self.extra(executed, base))))
            }
            (GtidSet::MariaDb(executed), GtidSet::MariaDb(_)) => {
                let last = |domain: u32| match seen.parted.contains(&domain) {
                    true => seen.common.get(&domain).copied(),
                    false => executed.last_in(domain),
                };
                let lasts = executed.domains().map(last).collect::<Option<Vec<_>>>()?;
                let text = lasts.iter().map(mariadb::Gtid::to_string).collect::<Vec<_>>().join(",");
                mariadb::Position::parse(&text).ok().filter(|_| !seen.is_mixed).map(GtidSet::MariaDb)
            }
            _ => None,
        }
    }

    /// MySQL: what a server has and this history has not.
    fn extra(&self, executed: &mysql::Set, base: &mysql::Set) -> mysql::Set {
        let extra = executed.minus(base);
        match &self.writer {
            Some(writer) => extra.without_source(&with_dashes(writer)),
            None => extra,
        }
    }

    /// Whether all that a server with `executed` has and this history has not is among what was seen in its binary logs. On
    /// MariaDB, whose positions do not say where two histories part: only where the last common transaction is there.
    ///
    /// # Errors
    /// A set of another vendor.
    pub fn is_all_seen(&self, executed: &GtidSet, seen: &Seen) -> Result<bool, String> {
        match (executed, &self.base) {
            (GtidSet::MySql(executed), GtidSet::MySql(base)) => {
                let extra = self.extra(executed, base);
                // Tagged transactions are all kept, and not counted: a set of them cannot be told to be whole.
                let text = extra.to_string();
                let mut words = text.split(',').flat_map(|source| source.split(':').skip(1));
                let is_tagged = words.any(|word| word.trim().starts_with(|first: char| !first.is_ascii_digit()));
                Ok(!is_tagged && seen.foreign >= extra.count())
            }
            (GtidSet::MariaDb(executed), GtidSet::MariaDb(base)) => {
                let foreign = executed
                    .domains()
                    .filter(|domain| executed.last_in(*domain).is_some_and(|last| self.lacks(&Name::MariaDb(last))));
                let is_seen = |domain: u32| {
                    let is_from_first = base.last_in(domain).is_none() && seen.firsts.contains(&domain);
                    is_from_first || seen.bases.contains(&domain)
                };
                Ok(foreign.into_iter().all(is_seen))
            }
            _ => Err("sets of two vendors".into()),
        }
    }
}

/// What everybody may have: a position, and all that one server wrote since. After a clean closing nothing was written any
/// more.
fn history(record: &Record) -> (&str, Writer<'_>) {
    match (record.state, &record.last) {
        (State::Closed, Some(last)) => (last, Writer::Nobody),
        _ => (&record.base, record.uuid.as_deref().map_or(Writer::Unknown, Writer::Server)),
    }
}

/// Who wrote what is beyond a position and belongs to the history all the same.
enum Writer<'a> {
    /// The server of this identity.
    Server(&'a str),
    /// Nobody wrote anything more.
    Nobody,
    /// The record does not say who.
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::super::record::State;
    use super::super::record::tests::open;
    use super::*;

    const A: &str = "aaaaaaaa-0000-0000-0000-000000000001";
    const B: &str = "bbbbbbbb-0000-0000-0000-000000000002";

    fn errant(executed: &str) -> Option<String> {
        let record = Record { uuid: Some(B.into()), base: format!("{A}:1-100,{B}:1-5"), ..open(1, "", "") };
        find_errant(&GtidSet::parse_mysql(executed).expect("valid"), &record).expect("decidable")
    }

    /// On MariaDB, after server 2 was promoted at 0-1-100.
    fn errant_maria(executed: &str) -> bool {
        let record = Record { uuid: Some("2".into()), base: "0-1-100".into(), ..open(1, "", "") };
        find_errant(&GtidSet::parse_mariadb(executed).expect("valid"), &record).expect("decidable").is_some()
    }

    #[test]
    fn mariadb_a_tail_of_another_server_is_told_apart_also_when_its_numbers_are_higher() {
        assert!(errant_maria("0-1-150") && errant_maria("0-1-101") && errant_maria("0-3-100"));
        assert!(!errant_maria("0-1-100") && !errant_maria("0-1-90") && !errant_maria("0-2-250") && !errant_maria(""));
        assert!(errant_maria("0-2-250,7-3-1"), "a domain that the primary did not have");
    }

    #[test]
    fn who_is_behind_or_equal_has_nothing_of_its_own() {
        assert_eq!(errant(&format!("{A}:1-90")), None);
        assert_eq!(errant(&format!("{A}:1-100,{B}:1-5")), None);
    }

    #[test]
    fn what_the_primary_wrote_since_its_promotion_is_history() {
        assert_eq!(errant(&format!("{A}:1-100,{B}:1-250")), None);
    }

    #[test]
    fn invariant_4_what_only_a_crashed_primary_has_is_named_and_kept() {
        assert_eq!(errant(&format!("{A}:1-101,{B}:1-9")), Some(format!("{A}:101")));
    }

    #[test]
    fn what_a_primary_has_beyond_the_position_with_which_it_was_closed_is_its_own() {
        let record =
            Record { state: State::Closed, last: Some("0-2-150".into()), base: "0-1-100".into(), ..open(1, "", "") };
        let is_errant =
            |set| find_errant(&GtidSet::parse_mariadb(set).expect("valid"), &record).expect("decidable").is_some();
        assert!(is_errant("0-2-151") && !is_errant("0-2-150") && !is_errant("0-1-90"));
    }

    #[test]
    fn invariant_4_single_transactions_are_told_apart_as_the_whole_is() {
        let record = Record { uuid: Some("2".into()), base: "0-1-100".into(), ..open(1, "", "") };
        let like = GtidSet::parse_mariadb("").expect("valid");
        let history = History::of(&record, &like).expect("readable");
        let lacks = |server, sequence| history.lacks(&Name::MariaDb(mariadb::Gtid { domain: 0, server, sequence }));
        assert!(lacks(1, 101) && lacks(3, 100) && !lacks(1, 100) && !lacks(1, 7) && !lacks(2, 101));
        let record = Record { uuid: Some(B.into()), base: format!("{A}:1-100"), ..open(1, "", "") };
        let like = GtidSet::parse_mysql("").expect("valid");
        let history = History::of(&record, &like).expect("readable");
        let lacks = |uuid: &str, number| history.lacks(&Name::MySql(uuid.replace('-', ""), number));
        assert!(lacks(A, 101) && !lacks(A, 100) && !lacks(B, 7) && history.lacks(&Name::Tagged));
    }

    #[test]
    fn invariant_4_logs_that_do_not_go_back_to_where_the_histories_part_are_not_taken_for_all() {
        let record = Record { uuid: Some("2".into()), base: "0-1-100".into(), ..open(1, "", "") };
        let executed = GtidSet::parse_mariadb("0-1-102").expect("valid");
        let history = History::of(&record, &executed).expect("readable");
        let is_whole = |sequences: &[u64]| {
            let mut seen = Seen::default();
            for sequence in sequences {
                seen.note(&Name::MariaDb(mariadb::Gtid { domain: 0, server: 1, sequence: *sequence }), &history);
            }
            history.is_all_seen(&executed, &seen).expect("one vendor")
        };
        assert!(is_whole(&[99, 100, 101, 102]) && is_whole(&[100, 101, 102]));
        assert!(!is_whole(&[101, 102]) && !is_whole(&[]));
        // The base is another server's: the histories part somewhere before it.
        let later = Record { uuid: Some("3".into()), base: "0-2-101".into(), ..open(2, "", "") };
        let history = History::of(&later, &executed).expect("readable");
        let mut seen = Seen::default();
        for sequence in 1..=102 {
            seen.note(&Name::MariaDb(mariadb::Gtid { domain: 0, server: 1, sequence }), &history);
        }
        assert_eq!(history.is_all_seen(&executed, &seen), Ok(false));
        assert!(seen.is_everything(&executed) && !Seen::default().is_everything(&executed));

        let record = Record { uuid: Some(B.into()), base: format!("{A}:1-100"), ..open(1, "", "") };
        let executed = GtidSet::parse_mysql(&format!("{A}:1-103,{B}:1-7")).expect("valid");
        let history = History::of(&record, &executed).expect("readable");
        let is_whole = |numbers: &[u64]| {
            let mut seen = Seen::default();
            numbers.iter().for_each(|number| seen.note(&Name::MySql(A.replace('-', ""), *number), &history));
            history.is_all_seen(&executed, &seen).expect("one vendor")
        };
        assert!(is_whole(&[100, 101, 102, 103]) && !is_whole(&[102, 103]));
    }

    #[test]
    fn objection_29_what_is_left_without_its_own_transactions_is_what_it_shares() {
        let record = Record { uuid: Some("2".into()), base: "0-1-100".into(), ..open(1, "", "") };
        let shares = |executed: &str, logged: &[(u32, u64)]| {
            let executed = GtidSet::parse_mariadb(executed).expect("valid");
            let history = History::of(&record, &executed).expect("readable");
            let mut seen = Seen::default();
            for (server, sequence) in logged.iter().copied() {
                seen.note(&Name::MariaDb(mariadb::Gtid { domain: 0, server, sequence }), &history);
            }
            history.common(&executed, &seen).map(|set| set.to_string())
        };
        assert_eq!(shares("0-3-103", &[(1, 100), (2, 101), (3, 102), (3, 103)]), Some("0-2-101".into()));
        assert_eq!(shares("0-3-103,5-2-9", &[(1, 100), (2, 102), (3, 103)]), Some("0-2-102,5-2-9".into()));
        assert_eq!(shares("0-2-103", &[(1, 100), (3, 101), (2, 103)]), None, "mixed");
        assert_eq!(shares("0-3-103", &[(3, 102), (3, 103)]), None, "where they part is not in the logs");
        assert_eq!(shares("0-3-103", &[(1, 100), (3, 101), (3, 102)]), None, "it may have been the primary");

        // Logs that begin after the promotion: their list tells.
        let executed = GtidSet::parse_mariadb("0-3-151").expect("valid");
        let history = History::of(&record, &executed).expect("readable");
        let found = |list: &[(u32, u64)]| {
            let gtid =
                |(server, sequence): &(u32, u64)| mariadb::Gtid { domain: 0, server: *server, sequence: *sequence };
            let mut seen = Seen::default();
            seen.begin(&list.iter().map(gtid).collect::<Vec<_>>(), &history);
            seen.note(&Name::MariaDb(gtid(&(3, 151))), &history);
            let is_whole = history.is_all_seen(&executed, &seen).expect("one vendor");
            (is_whole, history.common(&executed, &seen).map(|set| set.to_string()))
        };
        assert_eq!(found(&[(1, 100), (2, 150)]), (true, Some("0-2-150".into())));
        assert_eq!(found(&[(1, 100)]), (true, None), "it may have been the primary");
        assert_eq!(found(&[(1, 90)]), (false, None));
        assert_eq!(found(&[(2, 120), (3, 150)]), (false, None), "its own is older");
        let first = Record { base: String::new(), ..record.clone() };
        let history = History::of(&first, &executed).expect("readable");
        let mut seen = Seen::default();
        seen.begin(&[mariadb::Gtid { domain: 0, server: 2, sequence: 150 }], &history);
        assert_eq!(history.is_all_seen(&executed, &seen), Ok(true), "since a first promotion, from nothing");

        let record = Record { uuid: Some(B.into()), base: format!("{A}:1-100"), ..open(1, "", "") };
        let c = "cccccccc-0000-0000-0000-000000000003";
        let executed = GtidSet::parse_mysql(&format!("{A}:1-99:101,{B}:1-7,{c}:1-2")).expect("valid");
        let history = History::of(&record, &executed).expect("readable");
        let common = |names: &[(&str, u64)]| {
            let mut seen = Seen::default();
            names.iter().for_each(|(uuid, number)| seen.note(&Name::MySql(uuid.replace('-', ""), *number), &history));
            history.common(&executed, &seen).map(|set| set.to_string())
        };
        assert_eq!(common(&[(A, 99), (B, 7), (c, 1), (A, 101)]), Some(format!("{A}:1-99,{B}:1-7")));
        assert_eq!(common(&[(A, 99), (A, 101), (B, 7), (c, 1)]), None, "it may have been the primary");
    }

    #[test]
    fn a_write_on_a_replica_is_told_apart() {
        let c = "cccccccc-0000-0000-0000-000000000003";
        assert_eq!(errant(&format!("{A}:1-100,{c}:1")), Some(format!("{c}:1")));
    }
}

//! What a joining server has that the primary has not: a replica with such transactions replicates happily (MySQL), or
//! is refused only when it connects (MariaDB, error 1236), and in an election it would look like the most advanced.

use super::record::{Record, State};
use crate::gtid::{GtidSet, mariadb, mysql};

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
    fn a_write_on_a_replica_is_told_apart() {
        let c = "cccccccc-0000-0000-0000-000000000003";
        assert_eq!(errant(&format!("{A}:1-100,{c}:1")), Some(format!("{c}:1")));
    }
}

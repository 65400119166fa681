//! What a joining MySQL server has that the primary has not: a replica with such transactions replicates happily and is
//! different for ever. MariaDB's sources notice it by themselves (error 1236), MySQL's do not.

use super::record::Record;
use crate::gtid::{Difference, GtidSet};
use crate::server::rows::parse_gtids;
use crate::server::version::Vendor;

/// The transactions that only this server has, judged by the record of the primary: what the primary had when it was
/// promoted, and what it has written since (its own UUID), is the history; everything else is not. `None`: there are
/// none, or (MariaDB) the source will say it.
///
/// # Errors
/// A record whose base cannot be read.
pub fn find_errant(vendor: Vendor, executed: &GtidSet, record: &Record) -> Result<Option<String>, String> {
    if vendor == Vendor::MariaDb {
        return Ok(None);
    }
    let base = parse_gtids(vendor, &record.base)?;
    let Difference::MySql(extra) = executed.minus(&base) else { return Ok(None) };
    let extra = match &record.uuid {
        Some(uuid) => extra.without_source(uuid),
        None => extra,
    };
    Ok((!extra.is_empty()).then(|| extra.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "aaaaaaaa-0000-0000-0000-000000000001";
    const B: &str = "bbbbbbbb-0000-0000-0000-000000000002";

    fn errant(executed: &str) -> Option<String> {
        let record =
            Record { epoch: 2, primary: "db2".into(), uuid: Some(B.into()), base: format!("{A}:1-100,{B}:1-5") };
        let executed = parse_gtids(Vendor::MySql, executed).expect("valid");
        find_errant(Vendor::MySql, &executed, &record).expect("decidable")
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
    fn a_crashed_primary_that_has_more_than_its_successor_had_is_told_apart() {
        assert_eq!(errant(&format!("{A}:1-101,{B}:1-9")), Some(format!("{A}:101")));
    }

    #[test]
    fn a_write_on_a_replica_is_told_apart() {
        let c = "cccccccc-0000-0000-0000-000000000003";
        assert_eq!(errant(&format!("{A}:1-100,{c}:1")), Some(format!("{c}:1")));
    }
}

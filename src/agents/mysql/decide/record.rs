//! The resource's record in the CIB: who was promoted last, and from where its history goes on. It is written by a
//! promotion before it opens for writes, and changes as one value.

use std::fmt;

/// The last promotion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Grows by one with each promotion.
    pub epoch: u64,
    /// The node that was promoted.
    pub primary: String,
    /// The identity in the GTIDs of what that primary writes: MySQL's server_uuid, MariaDB's server_id.
    pub uuid: Option<String>,
    /// What it had when it was promoted: everything else in its history is its own.
    pub base: String,
}

impl Record {
    /// Reads the value; fields that a later version adds are passed over.
    ///
    /// # Errors
    /// A value without epoch or primary.
    pub fn parse(text: &str) -> Result<Self, String> {
        let field = |name: &str| {
            text.split_whitespace()
                .filter_map(|word| word.split_once('='))
                .find(|(key, _)| *key == name)
                .map(|(_, v)| v)
        };
        let broken = || format!("the resource's record in the cluster's configuration cannot be read: '{text}'");
        Ok(Self {
            epoch: field("epoch").and_then(|epoch| epoch.parse().ok()).ok_or_else(broken)?,
            primary: field("primary").filter(|node| !node.is_empty()).ok_or_else(broken)?.to_string(),
            uuid: field("uuid").map(str::to_string),
            base: field("base").unwrap_or_default().to_string(),
        })
    }
}

impl fmt::Display for Record {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "epoch={} primary={}", self.epoch, self.primary)?;
        if let Some(uuid) = &self.uuid {
            write!(formatter, " uuid={uuid}")?;
        }
        let base: String = self.base.split_whitespace().collect();
        write!(formatter, " base={base}")
    }
}

/// The epoch of the promotion that comes next.
pub fn next_epoch(record: Option<&Record>) -> u64 {
    record.map_or(1, |record| record.epoch + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let record = Record { epoch: 7, primary: "db2".into(), uuid: Some("a-b".into()), base: "a-b:1-5,\nc:1".into() };
        let read = Record::parse(&record.to_string()).expect("readable");
        assert_eq!(read, Record { base: "a-b:1-5,c:1".into(), ..record });
    }

    #[test]
    fn an_empty_history_is_a_history() {
        let record = Record { epoch: 1, primary: "db1".into(), uuid: None, base: String::new() };
        assert_eq!(Record::parse(&record.to_string()), Ok(record));
    }

    #[test]
    fn fields_of_a_later_version_are_passed_over_and_a_broken_record_is_an_error() {
        assert_eq!(Record::parse("epoch=3 primary=db1 base= members=db1,db2").map(|record| record.epoch), Ok(3));
        assert!(Record::parse("primary=db1").is_err());
        assert!(Record::parse("").is_err());
    }
}

//! What an operator has ordered when the cluster refuses to promote anybody: this instance, with what it has. Pure.

use std::fmt;

use super::record::Record;

/// The order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForcedPromotion {
    /// The node whose instance is to be promoted.
    pub node: String,
    /// The last promotion when it was given: a later one voids it.
    pub epoch: u64,
    /// Who has given it.
    pub by: String,
    /// When.
    pub at: String,
}

impl ForcedPromotion {
    /// Reads the value; `None`: there is none, or it is of another version.
    pub fn parse(text: &str) -> Option<Self> {
        let field = |name: &str| {
            let mut words = text.split_whitespace().filter_map(|word| word.split_once('='));
            words.find(|(key, _)| *key == name).map(|(_, value)| value.to_string())
        };
        Some(Self { node: field("node")?, epoch: field("epoch")?.parse().ok()?, by: field("by")?, at: field("at")? })
    }

    /// Whether it is for the instance on this node, after this promotion.
    pub fn is_for(&self, node: &str, record: Option<&Record>) -> bool {
        self.node == node && record.is_some_and(|record| record.epoch == self.epoch)
    }
}

impl fmt::Display for ForcedPromotion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { node, epoch, by, at } = self;
        write!(formatter, "node={node} epoch={epoch} by={by} at={at}")
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::open;
    use super::*;

    #[test]
    fn an_order_is_read_as_it_was_given_and_void_after_the_next_promotion() {
        let forced =
            ForcedPromotion { node: "db3".into(), epoch: 4, by: "root@db1".into(), at: "2026-11-28T02:40:11Z".into() };
        assert_eq!(ForcedPromotion::parse(&forced.to_string()).as_ref(), Some(&forced));
        let record = |epoch| Record { epoch, ..open(1, "db2", "") };
        assert!(forced.is_for("db3", Some(&record(4))) && !forced.is_for("db2", Some(&record(4))));
        assert!(!forced.is_for("db3", Some(&record(5))) && !forced.is_for("db3", None));
        assert!(ForcedPromotion::parse("").is_none() && ForcedPromotion::parse("node=db3").is_none());
    }
}

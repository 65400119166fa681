//! Has the instance that Pacemaker chose everything that any survivor has? If not, from whom does it fetch the rest?
//! Pacemaker picks by score; this makes its pick right, instead of failing it.

use crate::gtid::{GtidSet, Relation};

/// A survivor's sealed position.
#[derive(Clone, Debug)]
pub struct Survivor {
    /// Its node.
    pub node: String,
    /// Everything that it has received, or why it takes no part.
    pub has: Result<GtidSet, String>,
}

/// What the chosen one has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It has everything.
    PromoteMe,
    /// It first fetches what this survivor has.
    FetchFrom(String),
}

/// Decides for one that has `mine`, and names the survivors that were passed over, each with the reason.
pub fn elect(mine: &GtidSet, survivors: &[Survivor]) -> (Verdict, Vec<String>) {
    let mut best: Option<(&str, &GtidSet)> = None;
    let mut passed_over = Vec::new();
    for survivor in survivors {
        let has = match &survivor.has {
            Ok(has) => has,
            Err(why) => {
                passed_over.push(format!("{} is excluded: {why}", survivor.node));
                continue;
            }
        };
        match has.relation_to(mine) {
            Relation::Equal | Relation::Behind => {}
            Relation::Diverged => passed_over.push(format!(
                "{} has {} that is not in the history of this node: it will have to be looked at",
                survivor.node,
                has.minus(mine)
            )),
            Relation::Ahead => {
                if best.is_none_or(|(_, so_far)| has.relation_to(so_far) == Relation::Ahead) {
                    best = Some((&survivor.node, has));
                }
            }
        }
    }
    let verdict = best.map_or(Verdict::PromoteMe, |(node, _)| Verdict::FetchFrom(node.to_string()));
    (verdict, passed_over)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn maria(position: &str) -> GtidSet {
        GtidSet::parse_mariadb(position).expect("valid")
    }

    fn survivor(node: &str, position: &str) -> Survivor {
        Survivor { node: node.into(), has: Ok(maria(position)) }
    }

    /// All orders of three candidates.
    const ORDERS: [[usize; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];

    #[test]
    fn invariant_3_the_chosen_one_fetches_from_the_most_advanced_whatever_the_order() {
        let survivors = [survivor("db1", "0-1-7"), survivor("db2", "0-1-9"), survivor("db3", "0-1-8")];
        for order in ORDERS {
            let shuffled: Vec<_> = order.iter().map(|index| survivors[*index].clone()).collect();
            let (verdict, _) = elect(&maria("0-1-7"), &shuffled);
            assert_eq!(verdict, Verdict::FetchFrom("db2".into()), "order {order:?}");
        }
    }

    #[test]
    fn who_has_everything_is_promoted() {
        let survivors = [survivor("db2", "0-1-9"), survivor("db3", "0-1-8")];
        assert_eq!(elect(&maria("0-1-9"), &survivors), (Verdict::PromoteMe, vec![]));
        assert_eq!(elect(&maria(""), &[]).0, Verdict::PromoteMe);
    }

    #[test]
    fn an_excluded_or_diverged_survivor_blocks_nobody_and_is_named() {
        let broken = Survivor { node: "db2".into(), has: Err("its SQL thread stopped".into()) };
        let (verdict, passed_over) = elect(&maria("0-1-9"), &[broken, survivor("db3", "0-1-8,5-3-1")]);
        assert_eq!(verdict, Verdict::PromoteMe);
        assert!(passed_over[0].contains("SQL thread") && passed_over[1].contains("db3"), "{passed_over:?}");
    }
}

//! What is decided about an address: whether somebody may still have it, and whether its lease is renewed. Pure.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::net::probe::{Heard, Holder};
use crate::pacemaker::history::{Last, Seen};

/// For so long after the cluster has stopped it somewhere nobody else is expected to have taken it.
const JUST_NOW: Duration = Duration::from_secs(60);

/// What was with the address before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Before {
    /// The cluster has just taken it from one of its nodes.
    GivenBack,
    /// These nodes are lost, and may have it until their lease is over: by these operations, which are on record.
    MayBeLostWith(Vec<Claim>),
    /// Nothing is known.
    Unknown,
}

/// That a node may have the address, by an operation of it that is on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The node's name.
    pub node: String,
    operation: String,
}

impl fmt::Display for Claim {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}@{}", self.node, self.operation)
    }
}

/// The claims that were waited for, as they are noted for whoever takes the address next: a node that is lost for good is
/// waited for once.
pub fn note(claims: &[Claim]) -> String {
    claims.iter().map(Claim::to_string).collect::<Vec<_>>().join(" ")
}

/// The claims of all nodes that are lost.
pub fn claims(history: &BTreeMap<String, Seen>) -> Vec<Claim> {
    let lost = history.iter().filter(|(_, seen)| !seen.is_member && seen.last == Last::MayBeThere);
    lost.map(|(node, seen)| Claim { node: node.clone(), operation: seen.operation.clone() }).collect()
}

/// One of these that is a member again, and so may renew its lease.
pub fn is_back<'a>(history: &BTreeMap<String, Seen>, claims: &'a [Claim]) -> Option<&'a str> {
    let is_there =
        |claim: &&Claim| history.get(&claim.node).is_some_and(|seen| seen.is_member && seen.last == Last::MayBeThere);
    claims.iter().find(is_there).map(|claim| claim.node.as_str())
}

/// What the cluster's record says of the address; `noted`: the claims that are over; `now`: since 1970.
pub fn before(history: &BTreeMap<String, Seen>, noted: &str, now: Duration) -> Before {
    let is_over = |claim: &Claim| noted.split(' ').any(|noted| noted == claim.to_string());
    let lost: Vec<Claim> = claims(history).into_iter().filter(|claim| !is_over(claim)).collect();
    if !lost.is_empty() {
        return Before::MayBeLostWith(lost);
    }
    let is_just_given =
        |seen: &Seen| seen.last == Last::GivenBack && seen.since.is_some_and(|since| now.abs_diff(since) < JUST_NOW);
    // After a start that failed, perhaps because somebody has it, Pacemaker stops it as well.
    let has_failed = history.values().any(|seen| seen.has_failed);
    if !has_failed && history.values().any(is_just_given) { Before::GivenBack } else { Before::Unknown }
}

/// What is seen of a node that may have the address, while it is waited for.
#[derive(Debug, Default)]
pub struct Watch {
    holder: Option<Holder>,
    answered: Option<Duration>,
}

/// What follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// It is asked again.
    GoesOn,
    /// Nobody has the address.
    IsFree,
    /// Somebody has it who lets go of it neither now nor by himself.
    IsInVain,
}

impl Watch {
    /// After the end of the lease: who answered within this time has it.
    const RECENT: Duration = Duration::from_secs(1);

    /// Takes what was heard, or nothing, after so much time. Silence says nothing before the end of the lease: who is silent may
    /// be cut off, from here and from nobody else. But who has answered, and now asks for the address himself, has given it back.
    pub fn see(&mut self, heard: Option<&Heard>, elapsed: Duration, patience: Duration) -> Wait {
        match heard {
            Some(Heard::Holder(holder)) => {
                self.holder = Some(holder.clone());
                self.answered = Some(elapsed);
            }
            Some(Heard::Asking(mac)) if self.holder == Some(Holder::Hardware(*mac)) => return Wait::IsFree,
            _ => {}
        }
        let is_recent = self.answered.is_some_and(|answered| elapsed.saturating_sub(answered) < Self::RECENT);
        match elapsed >= patience {
            false => Wait::GoesOn,
            true if !is_recent => Wait::IsFree,
            true if matches!(heard, Some(Heard::Holder(_))) => Wait::IsInVain,
            true => Wait::GoesOn,
        }
    }

    /// Who has answered last.
    pub fn holder(&self) -> Option<&Holder> {
        self.holder.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::mac::Mac;

    fn seen(is_member: bool, last: Last, since: u64) -> Seen {
        let since = Some(Duration::from_secs(since));
        Seen { is_member, last, since, operation: "7.10".into(), has_failed: false }
    }

    fn of(nodes: &[(&str, Seen)]) -> Before {
        noted(nodes, "")
    }

    fn noted(nodes: &[(&str, Seen)], noted: &str) -> Before {
        let history = nodes.iter().map(|(name, seen)| (name.to_string(), seen.clone())).collect();
        before(&history, noted, Duration::from_secs(1000))
    }

    #[test]
    fn a_lost_node_may_have_it_until_it_is_fenced_or_back() {
        let (there, not_there) = (Last::MayBeThere, Last::NotThere);
        let lost = of(&[("db1", seen(false, there, 10)), ("db2", seen(true, not_there, 10))]);
        assert_eq!(lost, Before::MayBeLostWith(vec![Claim { node: "db1".into(), operation: "7.10".into() }]));
        // Fenced: Pacemaker has forgotten what was there.
        assert_eq!(of(&[("db2", seen(true, not_there, 10))]), Before::Unknown);
        assert_eq!(of(&[("db1", seen(true, there, 10))]), Before::Unknown, "who is a member answers to Pacemaker");
    }

    #[test]
    fn a_node_that_is_lost_for_good_is_waited_for_once() {
        let nodes = [("db1", seen(false, Last::MayBeThere, 10)), ("db2", seen(true, Last::GivenBack, 990))];
        let Before::MayBeLostWith(claims) = of(&nodes) else { panic!("db1 is lost") };
        assert_eq!(noted(&nodes, &note(&claims)), Before::GivenBack);
        // It was back in the meantime, and is lost again.
        assert!(matches!(noted(&nodes, "db1@6.9 db3@7.10"), Before::MayBeLostWith(_)));
    }

    #[test]
    fn what_was_just_given_back_is_taken_at_once_and_what_was_given_back_long_ago_is_looked_for() {
        assert_eq!(of(&[("db1", seen(true, Last::GivenBack, 990))]), Before::GivenBack);
        // It was shut down cleanly.
        assert_eq!(of(&[("db1", seen(false, Last::GivenBack, 990))]), Before::GivenBack);
        assert_eq!(of(&[("db1", seen(true, Last::GivenBack, 900))]), Before::Unknown);
        assert_eq!(of(&[("db1", seen(true, Last::NotThere, 990))]), Before::Unknown, "a probe gives nothing back");
    }

    #[test]
    fn after_a_start_that_failed_the_stop_that_follows_says_nothing() {
        let failed = Seen { has_failed: true, ..seen(true, Last::GivenBack, 990) };
        assert_eq!(of(&[("db1", failed)]), Before::Unknown);
    }

    fn see(heard: &[(u64, Option<Heard>)]) -> Wait {
        let mut watch = Watch::default();
        let mut last = Wait::GoesOn;
        for (at, heard) in heard {
            assert_eq!(last, Wait::GoesOn, "it has ended before {at} ms");
            last = watch.see(heard.as_ref(), Duration::from_millis(*at), Duration::from_secs(30));
        }
        last
    }

    const ONE: Mac = Mac([2, 0, 0, 0, 0, 1]);
    const ANOTHER: Mac = Mac([2, 0, 0, 0, 0, 2]);

    fn answer(mac: Mac) -> Option<Heard> {
        Some(Heard::Holder(Holder::Hardware(mac)))
    }

    #[test]
    fn who_has_answered_and_asks_for_it_himself_has_given_it_back() {
        let gives_back = |mac| see(&[(0, answer(ONE)), (200, answer(ONE)), (400, Some(Heard::Asking(mac)))]);
        assert_eq!(gives_back(ONE), Wait::IsFree);
        assert_eq!(gives_back(ANOTHER), Wait::GoesOn, "a stranger says nothing of who has it");
        assert_eq!(see(&[(400, Some(Heard::Asking(ONE)))]), Wait::GoesOn, "it is not known that he had it");
    }

    #[test]
    fn silence_says_nothing_until_the_lease_is_over() {
        assert_eq!(see(&[(200, None), (29_900, None)]), Wait::GoesOn);
        assert_eq!(see(&[(200, None), (30_000, None)]), Wait::IsFree);
        assert_eq!(see(&[(200, answer(ONE)), (1500, None), (29_900, None)]), Wait::GoesOn, "cut off once more");
        assert_eq!(see(&[(24_000, answer(ONE)), (30_000, None)]), Wait::IsFree);
    }

    #[test]
    fn who_answers_after_the_lease_has_it_for_good() {
        assert_eq!(see(&[(200, answer(ONE)), (30_100, answer(ONE))]), Wait::IsInVain);
        assert_eq!(see(&[(29_500, answer(ONE)), (30_100, None)]), Wait::GoesOn, "it may have just let it go");
    }

    #[test]
    fn a_node_that_is_a_member_again_may_renew_its_lease() {
        let claims = claims(&BTreeMap::from([("db1".to_string(), seen(false, Last::MayBeThere, 10))]));
        let back = |last| is_back(&BTreeMap::from([("db1".to_string(), seen(true, last, 10))]), &claims).is_some();
        assert!(back(Last::MayBeThere) && !back(Last::GivenBack));
    }
}

//! What is decided about an address: whether somebody may still have it, and whether its lease is renewed. Pure.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

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

/// What the cluster's record says of the address; `noted`: the claims that are over; `now`: since 1970.
pub fn before(history: &BTreeMap<String, Seen>, noted: &str, now: Duration) -> Before {
    let is_lost = |seen: &Seen| !seen.is_member && seen.last == Last::MayBeThere;
    let claims = history
        .iter()
        .filter(|(_, seen)| is_lost(seen))
        .map(|(node, seen)| Claim { node: node.clone(), operation: seen.operation.clone() });
    let is_over = |claim: &Claim| noted.split(' ').any(|noted| noted == claim.to_string());
    let lost: Vec<Claim> = claims.filter(|claim| !is_over(claim)).collect();
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
    has_answered: bool,
    silent_since: Duration,
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
    /// One who has answered, and does not for this long, has let it go.
    const LET_GO: Duration = Duration::from_secs(1);

    /// Takes an answer, or none, after so much time. Who never answers may be cut off from here, and from nobody else:
    /// only the end of the lease says something then.
    pub fn see(&mut self, answered: bool, elapsed: Duration, lease: Duration) -> Wait {
        if answered {
            self.has_answered = true;
            self.silent_since = elapsed;
        }
        let silence = elapsed.saturating_sub(self.silent_since);
        match (self.has_answered, elapsed >= lease) {
            (true, _) if silence >= Self::LET_GO => Wait::IsFree,
            (true, true) if answered => Wait::IsInVain,
            (false, true) => Wait::IsFree,
            _ => Wait::GoesOn,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    fn see(answers: &[(u64, bool)]) -> Wait {
        let mut watch = Watch::default();
        let lease = Duration::from_secs(30);
        let mut last = Wait::GoesOn;
        for (at, answered) in answers {
            assert_eq!(last, Wait::GoesOn, "it has ended before {at} ms");
            last = watch.see(*answered, Duration::from_millis(*at), lease);
        }
        last
    }

    #[test]
    fn who_answers_no_more_has_let_it_go() {
        assert_eq!(see(&[(0, true), (200, true), (400, false), (1000, false)]), Wait::GoesOn);
        assert_eq!(see(&[(0, true), (200, true), (400, false), (1200, false)]), Wait::IsFree);
        assert_eq!(see(&[(200, false), (5000, true), (5900, false), (6100, false)]), Wait::IsFree);
    }

    #[test]
    fn who_never_answers_is_waited_for_until_the_lease_is_over() {
        assert_eq!(see(&[(200, false), (29_900, false)]), Wait::GoesOn);
        assert_eq!(see(&[(200, false), (30_000, false)]), Wait::IsFree);
    }

    #[test]
    fn who_answers_after_the_lease_has_it_for_good() {
        assert_eq!(see(&[(200, true), (30_100, true)]), Wait::IsInVain);
        assert_eq!(see(&[(29_500, true), (30_100, false)]), Wait::GoesOn, "it may have just let it go");
    }
}

//! What is decided for an instance: the rule of a primary, and whether what the server says is what it is to do. Pure.

use crate::server::dialect::semisync::ENDLESS;
use crate::server::rows::{Receiver, ReplicaSide, ReplicaStatus, SourceRule, SourceSide};

/// How many replicas must acknowledge, as the operator says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    /// Found by the number of replicas.
    Auto,
    /// This many.
    Fixed(u64),
}

/// What an instance is, for the cluster and for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It does what it is to do.
    Well(String),
    /// It does not: why, and the way out.
    Degraded(String),
}

/// The rule for a primary with this many connected replicas. `is_counted`: the server knows other numbers than 1.
pub fn decide_rule(acks: Acks, timeout: Option<u64>, connected: usize, is_counted: bool) -> SourceRule {
    let acks = match acks {
        Acks::Fixed(number) => number,
        Acks::Auto if is_counted => u64::try_from(majority(connected)).unwrap_or(1),
        Acks::Auto => 1,
    };
    SourceRule { acks, timeout: timeout.unwrap_or(ENDLESS) }
}

/// How many replicas make a majority with the primary, and at least one: without a replica writes wait for the first.
fn majority(replicas: usize) -> usize {
    replicas.div_ceil(2).max(1)
}

/// Whether only the count is not what it is to be: then it is said anew, since replicas come and go. Everything else was
/// changed by somebody, who may have had a reason.
pub fn is_other_count(side: &SourceSide, rule: SourceRule) -> bool {
    side.acks != rule.acks && side.weakness_by(SourceRule { acks: side.acks, ..rule }).is_none()
}

/// The health of a promoted instance.
pub fn judge_source(side: &SourceSide, rule: SourceRule, is_writable: bool) -> Health {
    if !is_writable {
        return Health::Degraded("promoted, but the server is closed for writes (read_only)".into());
    }
    if let Some(why) = side.weakness_by(rule) {
        return Health::Degraded(format!(
            "writes are not safe: {why}; to set it again, restart this resource, or reload it"
        ));
    }
    if side.clients < rule.acks {
        let (clients, acks) = (side.clients, rule.acks);
        return Health::Degraded(format!("writes wait: {clients} of {acks} replicas that must acknowledge are there"));
    }
    Health::Well(format!("source, each write also on {} of {} replicas", rule.acks, side.clients))
}

/// Whether a server with a source receives or applies. A source that was only stopped may be left on a primary.
pub fn replicates(status: &ReplicaStatus) -> bool {
    status.receiver != Receiver::Stopped || status.applier_running
}

/// What is to be done about a replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Leave(Health),
    /// Its receiver runs and does not acknowledge, although it is to: it must be started again.
    Restart,
}

/// What a server that is not promoted is, and what is to be done about it.
pub fn judge_replica(side: &ReplicaSide, status: Option<&ReplicaStatus>, is_writable: bool) -> Verdict {
    let degraded = |why: String| Verdict::Leave(Health::Degraded(why));
    if is_writable && !status.is_some_and(replicates) {
        let why = "the server takes writes, but this instance is not promoted: colocate it with the promoted database";
        return degraded(why.into());
    }
    if !side.enabled {
        let name = side.names.enabled;
        return degraded(format!(
            "it does not acknowledge: somebody switched {name} off; to set it again, restart this resource, or reload it"
        ));
    }
    let Some(status) = status else { return Verdict::Leave(Health::Well("on, and no replica yet".into())) };
    let source = &status.source_host;
    match (status.receiver, side.active) {
        (Receiver::Running, true) => Verdict::Leave(Health::Well(format!("replica, acknowledges to {source}"))),
        (Receiver::Running, false) => Verdict::Restart,
        (Receiver::Connecting | Receiver::Stopped, _) => {
            degraded(format!("it does not acknowledge: its receiver is not connected to {source}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gtid::GtidSet;
    use crate::server::dialect::Dialect;
    use crate::server::version::{Vendor, Version};

    fn dialect() -> Dialect {
        Dialect::of(Version { vendor: Vendor::MySql, number: (9, 7, 4) })
    }

    fn source(acks: u64, clients: u64) -> SourceSide {
        SourceSide {
            names: &dialect().source_names()[0],
            enabled: true,
            active: true,
            wait_point: "AFTER_SYNC".into(),
            timeout: ENDLESS,
            wait_no_replica: true,
            acks,
            clients,
            waiting: 0,
            acknowledged: 0,
            unacknowledged: 0,
        }
    }

    fn replica(enabled: bool, active: bool) -> ReplicaSide {
        ReplicaSide { names: &dialect().replica_names()[0], enabled, active, kill_timeout: None }
    }

    fn status(receiver: Receiver) -> ReplicaStatus {
        ReplicaStatus {
            source_host: "db1".into(),
            source_port: Some(3306),
            receiver,
            applier_running: true,
            lag: Some(0),
            received: GtidSet::parse_mysql("").expect("empty"),
            receiver_error: None,
            applier_error: None,
        }
    }

    #[test]
    fn the_count_makes_a_majority_with_the_primary() {
        let acks = |connected| decide_rule(Acks::Auto, None, connected, true).acks;
        assert_eq!([0, 1, 2, 3, 4, 5].map(acks), [1, 1, 1, 2, 2, 3]);
        assert_eq!(decide_rule(Acks::Auto, None, 5, false).acks, 1, "MariaDB");
        assert_eq!(decide_rule(Acks::Fixed(2), None, 0, true), SourceRule::lossless(2));
        assert_eq!(decide_rule(Acks::Auto, Some(1000), 1, true).timeout, 1000);
    }

    #[test]
    fn only_the_count_is_said_anew_and_nothing_that_somebody_changed() {
        assert!(is_other_count(&source(2, 1), SourceRule::lossless(1)));
        assert!(!is_other_count(&source(1, 1), SourceRule::lossless(1)));
        let off = SourceSide { enabled: false, ..source(2, 1) };
        assert!(!is_other_count(&off, SourceRule::lossless(1)));
    }

    #[test]
    fn a_primary_that_somebody_switched_off_or_that_nobody_answers_is_degraded() {
        let rule = SourceRule::lossless(1);
        assert!(matches!(judge_source(&source(1, 2), rule, true), Health::Well(_)));
        assert!(
            matches!(judge_source(&source(1, 0), rule, true), Health::Degraded(why) if why.starts_with("writes wait"))
        );
        let off = SourceSide { enabled: false, ..source(1, 2) };
        assert!(matches!(judge_source(&off, rule, true), Health::Degraded(why) if why.contains("is OFF")));
        assert!(matches!(judge_source(&source(1, 2), rule, false), Health::Degraded(_)));
    }

    #[test]
    fn a_server_that_waits_shorter_than_asked_for_is_degraded_and_one_that_waits_longer_is_not() {
        let rule = SourceRule { acks: 1, timeout: 5000 };
        assert!(matches!(judge_source(&SourceSide { timeout: 100, ..source(1, 1) }, rule, true), Health::Degraded(_)));
        assert!(matches!(judge_source(&source(1, 1), rule, true), Health::Well(_)));
    }

    #[test]
    fn a_receiver_that_runs_without_it_is_to_be_started_again() {
        let judge = |side: ReplicaSide, receiver| judge_replica(&side, Some(&status(receiver)), false);
        assert_eq!(judge(replica(true, false), Receiver::Running), Verdict::Restart);
        assert!(matches!(judge(replica(true, true), Receiver::Running), Verdict::Leave(Health::Well(_))));
        assert!(matches!(judge(replica(true, false), Receiver::Connecting), Verdict::Leave(Health::Degraded(_))));
        assert!(matches!(judge(replica(false, true), Receiver::Running), Verdict::Leave(Health::Degraded(_))));
    }

    #[test]
    fn a_source_that_was_only_stopped_makes_no_replica() {
        let stopped = ReplicaStatus { applier_running: false, ..status(Receiver::Stopped) };
        assert!(!replicates(&stopped) && replicates(&status(Receiver::Stopped)));
        let verdict = |is_writable| judge_replica(&replica(true, false), Some(&stopped), is_writable);
        assert!(matches!(verdict(true), Verdict::Leave(Health::Degraded(why)) if why.contains("not promoted")));
        assert!(matches!(verdict(false), Verdict::Leave(Health::Degraded(why)) if why.contains("not connected")));
    }

    #[test]
    fn a_server_without_a_source_is_well_unless_it_takes_writes() {
        assert!(matches!(judge_replica(&replica(true, false), None, false), Verdict::Leave(Health::Well(_))));
        for side in [replica(true, false), replica(false, false)] {
            let verdict = judge_replica(&side, None, true);
            assert!(matches!(verdict, Verdict::Leave(Health::Degraded(why)) if why.contains("not promoted")));
        }
    }
}

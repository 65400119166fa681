//! May this replica be promoted? From what its server says about its replication.

use std::time::Duration;

use crate::server::dialect::code;
use crate::server::rows::{Receiver, ReplicaStatus, ThreadError};

/// A replica that has not been connected to a living primary for this long is no candidate any more. Shorter, and both
/// replicas would exclude themselves while the failure of their primary is still being noticed.
pub const LOST_TOO_LONG: Duration = Duration::from_secs(60);

/// What is known of a replica while an instance is promoted elsewhere.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// Its replication; `None`: it has no source.
    pub status: Option<&'a ReplicaStatus>,
    /// Where the promoted instance is.
    pub source_host: &'a str,
    /// And at which port.
    pub source_port: u16,
    /// More lag than this excludes it; `None`: no limit.
    pub max_lag: Option<u64>,
    /// For how long it has not been connected.
    pub lost_for: Option<Duration>,
}

/// What follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It replicates: it may be promoted.
    Eligible {
        /// What people read in crm_mon.
        status: String,
        /// It is connected to its source.
        connected: bool,
    },
    /// It must not be promoted; why.
    Excluded(String),
    /// It is to be made a replica of the promoted instance.
    Attach,
}

/// Decides about a replica of a living primary.
pub fn decide(facts: &Facts<'_>) -> Verdict {
    let Some(status) = facts.status else { return Verdict::Attach };
    if let Some(why) = applier_broken(status) {
        return Verdict::Excluded(why);
    }
    // What an earlier source said of this replica counts for nothing.
    let is_attached = status.source_host == facts.source_host && status.source_port == Some(facts.source_port);
    if !is_attached {
        return Verdict::Attach;
    }
    if let Some(why) = receiver_broken(status) {
        return Verdict::Excluded(why);
    }
    if status.receiver == Receiver::Stopped || !status.applier_running {
        return Verdict::Attach;
    }
    if let Some(lost) = facts.lost_for.filter(|lost| *lost >= LOST_TOO_LONG) {
        return Verdict::Excluded(format!(
            "not connected to its source {} for {} s",
            facts.source_host,
            lost.as_secs()
        ));
    }
    if let (Some(lag), Some(limit)) = (status.lag, facts.max_lag)
        && lag > limit
    {
        return Verdict::Excluded(format!("more than {limit} s behind its source"));
    }
    match status.receiver {
        Receiver::Running => Verdict::Eligible { status: format!("replica of {}", facts.source_host), connected: true },
        Receiver::Connecting | Receiver::Stopped => {
            Verdict::Eligible { status: format!("replica, connecting to {}", facts.source_host), connected: false }
        }
    }
}

/// Why the applier stopped, if an error stopped it.
pub fn applier_broken(status: &ReplicaStatus) -> Option<String> {
    let error = status.applier_error.as_ref().filter(|_| !status.applier_running)?;
    Some(format!("its SQL thread stopped: error {}: {}", error.number, shorten(&error.text)))
}

/// Whether its applier met a transaction that cannot come after what this server has: both cannot be of one history.
pub fn is_out_of_order(status: &ReplicaStatus) -> bool {
    status.applier_error.as_ref().is_some_and(|error| error.number == code::OUT_OF_ORDER)
}

/// The error with which its source refuses this replica for good.
pub fn source_refuses(status: &ReplicaStatus) -> Option<&ThreadError> {
    let is_fatal =
        |error: &&ThreadError| u16::try_from(error.number).is_ok_and(|number| code::SOURCE_FATAL.contains(&number));
    status.receiver_refused().filter(is_fatal)
}

/// Why the source does not serve this replica; that it is away is no fault of the replica's.
pub fn receiver_broken(status: &ReplicaStatus) -> Option<String> {
    let error = status.receiver_refused()?;
    let what = match source_refuses(status) {
        Some(_) => "its source cannot serve it (diverged, or purged there)",
        None => "it cannot receive from its source",
    };
    Some(format!("{what}: error {}: {}", error.number, shorten(&error.text)))
}

/// Attributes and exit reasons are read in one line.
fn shorten(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(240).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gtid::GtidSet;

    fn status() -> ReplicaStatus {
        ReplicaStatus {
            source_host: "db1".into(),
            source_port: Some(3306),
            receiver: Receiver::Running,
            applier_running: true,
            lag: Some(0),
            received: GtidSet::parse_mariadb("0-1-5").expect("valid"),
            receiver_error: None,
            applier_error: None,
        }
    }

    fn judge(status: Option<&ReplicaStatus>, lost_for: Option<Duration>) -> Verdict {
        decide(&Facts { status, source_host: "db1", source_port: 3306, max_lag: Some(3600), lost_for })
    }

    fn error(number: u32) -> Option<ThreadError> {
        Some(ThreadError { number, text: "some text".into() })
    }

    fn excluded(status: &ReplicaStatus) -> String {
        match judge(Some(status), None) {
            Verdict::Excluded(why) => why,
            other => panic!("must be excluded, not {other:?}"),
        }
    }

    #[test]
    fn a_replica_that_replicates_may_be_promoted() {
        assert_eq!(
            judge(Some(&status()), None),
            Verdict::Eligible { status: "replica of db1".into(), connected: true }
        );
    }

    #[test]
    fn invariant_3_a_replica_whose_applier_failed_is_excluded_with_the_error() {
        let why = excluded(&ReplicaStatus { applier_running: false, applier_error: error(1062), ..status() });
        assert!(why.contains("1062"), "{why}");
    }

    #[test]
    fn a_replica_that_its_source_refuses_is_excluded_and_one_whose_source_is_away_is_not() {
        let connecting = |number| ReplicaStatus {
            receiver: Receiver::Connecting,
            lag: None,
            receiver_error: error(number),
            ..status()
        };
        assert!(excluded(&connecting(1045)).contains("1045"));
        assert!(
            excluded(&ReplicaStatus { receiver: Receiver::Stopped, receiver_error: error(1236), ..status() })
                .contains("diverged")
        );
        assert!(matches!(judge(Some(&connecting(2003)), None), Verdict::Eligible { connected: false, .. }));
    }

    #[test]
    fn a_replica_that_lost_a_living_primary_is_excluded_after_a_while() {
        let away = ReplicaStatus { receiver: Receiver::Connecting, lag: None, receiver_error: error(2003), ..status() };
        assert!(matches!(judge(Some(&away), Some(LOST_TOO_LONG)), Verdict::Excluded(_)));
    }

    #[test]
    fn convention_9_a_lagging_replica_is_excluded_from_promotion_and_never_made_to_fail() {
        assert!(excluded(&ReplicaStatus { lag: Some(3601), ..status() }).contains("behind"));
    }

    #[test]
    fn unknown_lag_does_not_exclude() {
        let unknown = ReplicaStatus { lag: None, ..status() };
        assert!(matches!(judge(Some(&unknown), None), Verdict::Eligible { connected: true, .. }));
    }

    #[test]
    fn who_has_no_source_or_another_or_has_stopped_is_attached() {
        assert_eq!(judge(None, None), Verdict::Attach);
        let elsewhere = ReplicaStatus { source_host: "db9".into(), receiver_error: error(1236), ..status() };
        assert_eq!(judge(Some(&elsewhere), None), Verdict::Attach);
        assert_eq!(judge(Some(&ReplicaStatus { receiver: Receiver::Stopped, ..status() }), None), Verdict::Attach);
        assert_eq!(judge(Some(&ReplicaStatus { applier_running: false, ..status() }), None), Verdict::Attach);
    }
}

//! How an instance comes back that cannot simply replicate: what it lacks, whether it is provided with another node's data,
//! from whom and how; and what the two nodes tell each other for that.

use std::fmt;
use std::time::Duration;

use super::super::config::{Provision, Rejoin};
use crate::net::pinned::PublicKey;
use crate::server::dialect::backup::Method;

/// Why an instance cannot replicate from where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Need {
    /// It has no data yet.
    Empty,
    /// It has transactions that are not in the history of the primary: these.
    Diverged(String),
    /// Its source says that it is not of the same history, in these words; which transactions it has is not known.
    Strange(String),
    /// What it lacks was purged on its source, which says so.
    Purged(String),
    /// Nothing, but an operator wants it.
    Ordered,
}

impl Need {
    /// From the text of an error with which a source refuses a replica for good. Whatever else it says (a packet that is too
    /// large, an identity that is used twice, a binary log of its own that it cannot read) is no reason to replace anything.
    pub fn of_refusal(text: &str) -> Option<Self> {
        // MariaDB: "too old and required binlog files have been purged"; MySQL: "has purged required binary logs",
        // "has purged binary logs containing GTIDs that the replica requires".
        let is_purged = text.contains("purged");
        // MariaDB only.
        let is_strange = text.contains("which is not in the master's binlog");
        match (is_purged, is_strange) {
            (true, _) => Some(Self::Purged(text.into())),
            (false, true) => Some(Self::Strange(text.into())),
            (false, false) => None,
        }
    }

    /// Whether its data hold something that no other node may have.
    pub fn is_divergence(&self) -> bool {
        matches!(self, Self::Diverged(_) | Self::Strange(_))
    }
}

impl fmt::Display for Need {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => formatter.write_str("it has no data yet"),
            Self::Diverged(errant) => write!(formatter, "it has transactions of its own: {errant}"),
            Self::Strange(why) => write!(formatter, "it is of another history than its source: {why}"),
            Self::Ordered => formatter.write_str("an operator has ordered it"),
            Self::Purged(_) => formatter.write_str("what it lacks was purged on the primary"),
        }
    }
}

/// What is decided upon.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// What it lacks.
    pub need: &'a Need,
    /// The parameter.
    pub rejoin: Rejoin,
    /// The parameter.
    pub provision: Provision,
    /// An operator has ordered it.
    pub is_ordered: bool,
    /// The last promotion may have lost acknowledged writes, for this reason.
    pub risk: Option<&'a str>,
    /// How much would be replaced, in bytes.
    pub size: u64,
    /// The parameter, in bytes.
    pub max_size: Option<u64>,
    /// Another node that is being provided with data.
    pub other: Option<&'a str>,
}

/// What becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It gets the data of another node.
    Provision,
    /// Not yet, for this reason.
    Wait(String),
    /// It stays as it is, for this reason.
    StayOut(String),
}

/// Decides.
pub fn decide(facts: &Facts<'_>) -> Verdict {
    let need = facts.need;
    let hint = "'rustha rejoin' on this node replaces its data";
    let may = match (facts.provision, facts.rejoin, need) {
        _ if facts.is_ordered => Ok(()),
        (Provision::Off, ..) => Err(format!("{need} (provision=off; {hint})")),
        (_, _, Need::Empty) => Ok(()),
        // Objection 29: it may take hours.
        (_, Rejoin::Auto, _) if facts.max_size.is_some_and(|most| facts.size > most) => {
            let gigabytes = facts.size / 1_000_000_000;
            Err(format!("{need}; its {gigabytes} GB are more than rejoin_max_size, so {hint}, and nothing else does"))
        }
        (_, Rejoin::Auto, Need::Purged(_)) => Ok(()),
        (_, Rejoin::Auto, _) => match facts.risk {
            // Objection 26: it may be this node that has what was acknowledged and given up.
            Some(risk) => {
                Err(format!("{need}; the last promotion was at a risk ({risk}), so {hint}, and nothing else does"))
            }
            None => Ok(()),
        },
        (_, Rejoin::Replicate, _) => Err(format!("{need} (rejoin=replicate; {hint})")),
        (_, Rejoin::Manual, _) => Err(format!("{need} (rejoin=manual; {hint})")),
    };
    match (may, facts.other) {
        (Err(why), _) => Verdict::StayOut(why),
        // Objection 29: two at once would leave one copy.
        (Ok(()), Some(other)) => Verdict::Wait(format!("{need}; waits until {other} is provisioned")),
        (Ok(()), None) => Verdict::Provision,
    }
}

/// Who is asked for data, in this order: replicas before the primary, which has other work.
pub fn order_donors(mut replicas: Vec<String>, primary: &str) -> Vec<String> {
    replicas.sort();
    replicas.push(primary.to_string());
    replicas
}

/// What a node tells the others that wants data: through the cluster, so that who can tell it is a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Want {
    /// Names this attempt.
    pub id: String,
    /// Who is asked.
    pub donor: String,
    /// How.
    pub method: Method,
    /// Who asks, for the connection.
    pub key: PublicKey,
}

/// What the one that was asked answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The attempt.
    pub id: String,
    /// Where it listens.
    pub port: u16,
    /// How much there is, in bytes.
    pub bytes: u64,
    /// Who answers.
    pub key: PublicKey,
    /// MariaDB: its `gtid_binlog_state`; empty elsewhere.
    pub state: String,
}

/// What is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// Data are wanted.
    Want(Want),
    /// They can be had.
    Offer(Offer),
    /// They cannot, for this attempt and this reason.
    Refusal(String, String),
}

impl Word {
    /// Reads one; `None`: of another version.
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.splitn(6, ' ');
        let mut next = || words.next();
        match (next()?, next()?.to_string()) {
            ("want", id) => {
                let (donor, method, key) = (next()?.to_string(), Method::parse(next()?)?, PublicKey::parse(next()?)?);
                Some(Self::Want(Want { id, donor, method, key }))
            }
            ("offer", id) => {
                let (port, bytes, key) = (next()?.parse().ok()?, next()?.parse().ok()?, PublicKey::parse(next()?)?);
                Some(Self::Offer(Offer { id, port, bytes, key, state: next()?.to_string() }))
            }
            ("refusal", id) => Some(Self::Refusal(id, text.splitn(3, ' ').nth(2)?.to_string())),
            _ => None,
        }
    }
}

impl fmt::Display for Word {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Want(Want { id, donor, method, key }) => {
                write!(formatter, "want {id} {donor} {} {key}", method.name())
            }
            Self::Offer(Offer { id, port, bytes, key, state }) => {
                write!(formatter, "offer {id} {port} {bytes} {key} {state}")
            }
            Self::Refusal(id, why) => write!(formatter, "refusal {id} {why}"),
        }
    }
}

/// How far it is, in words: `done` and `total` bytes after `time`.
pub fn describe_progress(done: u64, total: Option<u64>, time: Duration) -> String {
    const MEGABYTE: u64 = 1_000_000;
    let megabytes = |bytes: u64| bytes.div_ceil(MEGABYTE);
    let speed = done as f64 / time.as_secs_f64().max(0.001);
    let speed_text = format!("{:.0} MB/s", speed / MEGABYTE as f64);
    match total {
        _ if done == 0 => "nothing yet".into(),
        Some(total) if total > done => {
            let left = (total - done) as f64 / speed;
            format!("{} of {} MB, {speed_text}, {left:.0} s left", megabytes(done), megabytes(total))
        }
        _ => format!("{} MB, {speed_text}", megabytes(done)),
    }
}

/// Whether there is room for new data beside the old ones; else why not.
///
/// # Errors
/// There is not, with the numbers in it.
pub fn check_room(needed: u64, free: u64, place: &str) -> Result<(), String> {
    /// What the server needs to begin with: redo and undo logs, temporary tables.
    const MARGIN: u64 = 100_000_000;
    let needed = needed + needed / 10 + MARGIN;
    if free >= needed {
        return Ok(());
    }
    let megabytes = |bytes: u64| bytes / 1_000_000;
    Err(format!(
        "{place} has {} MB free, and the new data need {} MB beside the old ones",
        megabytes(free),
        megabytes(needed)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(need: &Need) -> Facts<'_> {
        Facts {
            need,
            rejoin: Rejoin::Auto,
            provision: Provision::Auto,
            is_ordered: false,
            risk: None,
            size: 7,
            max_size: Some(500),
            other: None,
        }
    }

    fn diverged() -> Need {
        Need::Diverged("0-1-101".into())
    }

    #[test]
    fn auto_provides_for_whoever_cannot_replicate_one_at_a_time() {
        for need in [Need::Empty, diverged(), Need::Purged("x".into()), Need::Strange("x".into())] {
            assert_eq!(decide(&facts(&need)), Verdict::Provision);
            let verdict = decide(&Facts { other: Some("db3"), ..facts(&need) });
            assert!(matches!(verdict, Verdict::Wait(why) if why.contains("db3")));
        }
    }

    #[test]
    fn objection_26_after_a_risk_nothing_is_replaced_without_an_order() {
        let need = diverged();
        let risky = Facts { risk: Some("db2 was lost"), ..facts(&need) };
        assert!(
            matches!(decide(&risky), Verdict::StayOut(why) if why.contains("db2 was lost") && why.contains("rustha rejoin"))
        );
        assert_eq!(decide(&Facts { is_ordered: true, ..risky.clone() }), Verdict::Provision);
        assert_eq!(decide(&Facts { need: &Need::Purged("x".into()), ..risky }), Verdict::Provision);
    }

    #[test]
    fn objection_29_much_is_not_replaced_unasked() {
        let need = Need::Purged("x".into());
        let large = Facts { size: 501, ..facts(&need) };
        assert!(matches!(decide(&large), Verdict::StayOut(why) if why.contains("rejoin_max_size")));
        assert_eq!(decide(&Facts { is_ordered: true, ..large.clone() }), Verdict::Provision);
        assert_eq!(decide(&Facts { max_size: None, ..large.clone() }), Verdict::Provision);
        assert_eq!(decide(&Facts { need: &Need::Empty, ..large }), Verdict::Provision);
    }

    #[test]
    fn replicate_and_manual_keep_out_who_has_something_of_its_own_and_name_it() {
        for rejoin in [Rejoin::Replicate, Rejoin::Manual] {
            let need = diverged();
            let verdict = decide(&Facts { rejoin, ..facts(&need) });
            assert!(matches!(verdict, Verdict::StayOut(why) if why.contains("0-1-101")));
            assert_eq!(decide(&Facts { rejoin, ..facts(&Need::Empty) }), Verdict::Provision);
        }
    }

    #[test]
    fn off_is_off_until_it_is_ordered() {
        let off = Facts { provision: Provision::Off, ..facts(&Need::Empty) };
        assert!(matches!(decide(&off), Verdict::StayOut(_)));
        assert_eq!(decide(&Facts { is_ordered: true, ..off }), Verdict::Provision);
    }

    #[test]
    fn what_is_told_is_read_as_it_was_meant() {
        let key = PublicKey::parse("0aff").expect("valid");
        let words = [
            Word::Want(Want { id: "1".into(), donor: "db2".into(), method: Method::Physical, key: key.clone() }),
            Word::Offer(Offer { id: "1".into(), port: 4444, bytes: 7, key: key.clone(), state: String::new() }),
            Word::Offer(Offer { id: "1".into(), port: 4444, bytes: 7, key, state: "0-1-5,0-2-7".into() }),
            Word::Refusal("1".into(), "no such program".into()),
        ];
        for word in words {
            assert_eq!(Word::parse(&word.to_string()), Some(word));
        }
        assert!(["", "want", "want 1 db2 magic 00", "offer 1 x 7 00"].iter().all(|text| Word::parse(text).is_none()));
    }

    #[test]
    fn a_purged_source_is_told_from_a_strange_one() {
        let purged = "Could not find GTID state requested by slave in any binlog files. Probably the slave state is too old \
                      and required binlog files have been purged.";
        assert!(matches!(Need::of_refusal(purged), Some(Need::Purged(_))));
        let strange = "Error: connecting slave requested to start from GTID 0-1-5, which is not in the master's binlog";
        assert!(matches!(Need::of_refusal(strange), Some(Need::Strange(_))));
        for other in
            ["log event entry exceeded max_allowed_packet", "A replica with the same server_uuid has connected"]
        {
            assert_eq!(Need::of_refusal(other), None);
        }
    }

    #[test]
    fn progress_says_how_far_and_how_long() {
        let text = describe_progress(412_000_000, Some(1_000_000_000), Duration::from_secs(41));
        assert_eq!(text, "412 of 1000 MB, 10 MB/s, 59 s left");
        assert_eq!(describe_progress(0, Some(9), Duration::ZERO), "nothing yet");
        assert_eq!(describe_progress(2_000_000, None, Duration::from_secs(1)), "2 MB, 2 MB/s");
    }

    #[test]
    fn a_disk_that_is_too_small_is_refused_with_numbers() {
        assert!(check_room(1_000_000_000, 1_200_000_000, "/d").is_ok());
        let why = check_room(1_000_000_000, 1_100_000_000, "/d").expect_err("too small");
        assert!(why.contains("1100 MB free") && why.contains("1200 MB"), "{why}");
    }

    #[test]
    fn replicas_give_their_data_before_the_primary_does() {
        assert_eq!(order_donors(vec!["db3".into(), "db2".into()], "db1"), ["db2", "db3", "db1"]);
    }
}

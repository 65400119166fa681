//! Looking at an instance that is not promoted: attach it to the primary if it is not, and tell the cluster what it is.
//! Start, monitor and notify all end here, so that whatever one of them missed the next one makes good.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::Result;

use super::checks::facts::Fitness;
use super::checks::judge;
use super::config::Rejoin;
use super::decide::errant::find_errant;
use super::decide::health::{self, Facts};
use super::decide::position::Told;
use super::decide::record::{Place, Record, State, next_epoch};
use super::node::Node;
use super::publish::{REPLICA, Standing, TARGET, publish};
use super::{guard, memo, provision, replicate, start, unled};
use crate::gtid::GtidSet;
use crate::ocf::exit::OcfError;
use crate::pacemaker::{Cluster, Score, View};
use crate::server::client::Session;
use crate::server::dialect::Source;
use crate::server::process::Daemon;
use crate::server::rows::{Receiver, ReplicaStatus, ServerState};

/// How long the record of a promotion may take to reach this node, after Pacemaker has told of the promotion.
const RECORD: Duration = Duration::from_secs(2);

/// How often it is looked whether it is here.
const LOOK: Duration = Duration::from_millis(100);

/// What is left of the time to tell the cluster, when the relay log is not applied by then.
const TELLING: Duration = Duration::from_secs(3);

/// How long it is waited for the receiver to connect after an attachment.
const CONNECT: Duration = Duration::from_secs(5);

/// Reviews this unpromoted instance and tells the cluster; what it is.
///
/// # Errors
/// When server or cluster cannot be asked.
pub fn review(node: &Node, session: &mut Session) -> Result<Standing> {
    let (Some(cluster), Some(view)) = (&node.cluster, node.view()?) else {
        return Ok(Standing::waiting(None, "outside of a cluster".into()));
    };
    memo::forget(node);
    start::tell_position(node, session)?;
    let primary = view.promoted().into_iter().find(|name| *name != cluster.node).map(str::to_string);
    if primary.is_some() {
        unled::forget(node);
    }
    let standing = match primary {
        _ if view.is_left_alone_on(&cluster.node) => return Ok(Standing::stopped()),
        Some(primary) => match is_on_record(node, &primary) {
            Ok(true) => with_primary(node, session, &view, &primary),
            Ok(false) => {
                log::info!("{primary} is called promoted, but its promotion is not on record: left alone");
                return Ok(Standing::stopped());
            }
            Err(error) => Err(error),
        },
        None => unled::review(node, session, cluster, &view),
    };
    let standing = standing.or_else(|error| match error.downcast::<OcfError>() {
        // Not a tool that failed, but a state in which it takes no part.
        Ok(refusal) => Ok(Standing::excluded(&refusal.reason)),
        Err(other) => Err(other),
    })?;
    let standing = match provision::read_progress(node) {
        // The guard looks after it, and says how far it is.
        Some(text) if standing.score == Some(Score::Never) && guard::is_there(node) => {
            Standing { status: text, ..standing }
        }
        _ => standing,
    };
    if !publish(node, &view, &standing) {
        // The next monitor is a full one.
        memo::forget(node);
    }
    Ok(standing)
}

/// Whether this promotion took place. Pacemaker calls an instance promoted that refused it, and tells the others so (seen
/// with 2.1.5 and 3.0.3): what that instance has is not the history, and on MySQL whoever attaches to it takes over its
/// transactions (invariant 3). A record that was just written may need a moment until it is here.
fn is_on_record(node: &Node, primary: &str) -> Result<bool> {
    let deadline = node.deadline.at_most(RECORD);
    loop {
        if node.record()?.is_none_or(|record| record.primary == primary) {
            return Ok(true);
        }
        if deadline.is_over() {
            return Ok(false);
        }
        std::thread::sleep(LOOK);
    }
}

/// A replica of a living primary.
fn with_primary(node: &Node, session: &mut Session, view: &View, primary: &str) -> Result<Standing> {
    if let Some(why) = without_data(node)? {
        return Ok(Standing::excluded(&why));
    }
    if let Some(text) = provision::while_filling(node) {
        return Ok(Standing::excluded(&text));
    }
    let source = node.source_at(primary, view);
    let record = node.record()?;
    let status = session.replica_status()?;
    if let Some(why) = out_of_it(status.as_ref(), &session.state()?.executed, record.as_ref())? {
        // It takes no part in an election: as long as it may acknowledge, nobody could be promoted.
        if let Err(error) = guard::say_good_bye(node, session) {
            log::warn!("not yet taken out of the in-sync set: {error:#}");
        }
        return Ok(Standing::excluded(&why));
    }
    let verdict = judge(node, status.as_ref(), &source);
    let verdict = match verdict {
        health::Verdict::Attach => match join(node, session, primary, &source)? {
            Joined::Attached(status) => judge(node, status.as_ref(), &source),
            Joined::Refused(why) => health::Verdict::Excluded(why),
            Joined::Applying => {
                // Who reads from it is served as before.
                let status = format!("excluded: applies what it has received before it follows {primary}");
                return Ok(Standing::waiting(Some(Score::Never), status).with_readiness(readiness(node)));
            }
        },
        other => other,
    };
    Ok(match verdict {
        health::Verdict::Eligible { status, connected } => {
            let standing = in_sync(node, record.as_ref(), primary, status)?.with_readiness(readiness(node));
            if let (Some(REPLICA), true, Some(record)) = (standing.score, connected, &record)
                && let Some(daemon) = node.daemon()
                && record.sync.is_some() == node.config.semi_sync.is_some()
            {
                memo::keep_member(node, daemon, &source, record);
            }
            keep_target(node, view, standing)
        }
        health::Verdict::Excluded(why) => Standing::excluded(&why),
        health::Verdict::Attach => Standing::excluded(&format!("it does not stay attached to {}", source.host)),
    })
}

/// Whether clients may read from this replica.
///
/// # Errors
/// Why not, for people.
pub fn readiness(node: &Node) -> std::result::Result<(), String> {
    if node.config.reader_attribute.is_none() {
        return Ok(());
    }
    node.daemon().map_or_else(|| Err("its server has ended".into()), |daemon| memo::readiness(node, daemon))
}

/// Whether nothing has changed since the last review of this replica, which found it in sync and connected.
///
/// # Errors
/// When the server cannot be asked.
pub fn is_unchanged(node: &Node, session: &mut Session, daemon: Daemon) -> Result<bool> {
    memo::is_unchanged(node, session, daemon, |status| {
        let port = status.source_port.unwrap_or_default();
        let is_connected = status.receiver == Receiver::Running;
        let verdict = judge_from(node, Some(status), &status.source_host, port);
        is_connected && matches!(verdict, health::Verdict::Eligible { connected: true, .. })
    })
}

/// Only a member of the in-sync set has everything, and may be promoted (invariant 3).
fn in_sync(node: &Node, record: Option<&Record>, primary: &str, status: String) -> Result<Standing> {
    let attached = |score, status| Standing { attached: true, ..Standing::waiting(Some(score), status) };
    let record = record.filter(|record| record.primary == primary && record.state == State::Open);
    let Some(sync) = record.and_then(|record| record.sync.as_ref()) else {
        // Where semi-sync is managed, a primary without such a record has not said yet who has everything.
        let score = if node.config.semi_sync.is_some() { Score::Never } else { REPLICA };
        return Ok(attached(score, status));
    };
    let me = node.instance()?;
    let (score, place) = if sync.acks == 0 && !sync.has(&me) {
        (Score::Never, "not in sync yet (the primary is alone)")
    } else if sync.members.contains(&me) {
        (REPLICA, "in sync")
    } else if sync.joining.contains(&me) {
        (Score::Never, "not in sync yet, joining")
    } else {
        (Score::Never, "not in sync yet")
    };
    Ok(attached(score, format!("{status}, {place}")))
}

/// The target of a planned move stays it, as long as it may be promoted at all.
fn keep_target(node: &Node, view: &View, standing: Standing) -> Standing {
    let is_target = node.cluster.as_ref().and_then(|cluster| own_score(cluster, view)) == Some(TARGET);
    if is_target && standing.score == Some(REPLICA) { Standing { score: Some(TARGET), ..standing } } else { standing }
}

/// This instance's place in the in-sync set of a primary.
///
/// # Errors
/// When cluster or server cannot be asked.
pub fn place(node: &Node, primary: &str) -> Result<Option<Place>> {
    let record = node.record()?.filter(|record| record.primary == primary && record.state == State::Open);
    Ok(record.and_then(|record| record.place_of(&node.instance().ok()?)))
}

fn judge(node: &Node, status: Option<&ReplicaStatus>, source: &Source) -> health::Verdict {
    judge_from(node, status, &source.host, source.port)
}

fn judge_from(node: &Node, status: Option<&ReplicaStatus>, host: &str, port: u16) -> health::Verdict {
    let connected = status.is_some_and(|status| status.receiver == Receiver::Running);
    health::decide(&Facts {
        status,
        source_host: host,
        source_port: port,
        max_lag: node.config.max_candidate_lag,
        lost_for: lost_for(node, connected),
    })
}

enum Joined {
    Attached(Option<ReplicaStatus>),
    Refused(String),
    /// It applies what it has received from its last source first.
    Applying,
}

/// Makes the instance a replica of the primary, unless it has something that is not in the primary's history.
fn join(node: &Node, session: &mut Session, primary: &str, source: &Source) -> Result<Joined> {
    let state = session.state()?;
    if let Some(why) = unfit(&state) {
        return Ok(Joined::Refused(why));
    }
    if node.config.rejoin == Rejoin::Manual && provision::waits_for_order(node) {
        let why = "it was not shut down cleanly, and waits for 'rustha rejoin' on this node (rejoin=manual)";
        return Ok(Joined::Refused(why.into()));
    }
    // What it promised for a promotion ends with that: it receives again.
    unseal(node, session, &state.executed)?;
    let acknowledges = place(node, primary)?.is_some();
    memo::end_warmup(node, session);
    if let Err(error) = replicate::attach(session, source, acknowledges, node.deadline.less(TELLING)) {
        if error.downcast_ref::<replicate::StillApplying>().is_some() {
            log::debug!("{error:#}");
            return Ok(Joined::Applying);
        }
        return Ok(Joined::Refused(format!("{error:#}")));
    }
    let connected = replicate::await_receiver(session, node.deadline.at_most(CONNECT))?;
    // Starting anew, the time that an earlier source was lost counts for nothing.
    lost_for(node, true);
    provision::forget_return(node);
    Ok(Joined::Attached(connected))
}

/// Takes back, before anything is received again, what was told as sealed: a later promotion must not believe it.
fn unseal(node: &Node, session: &Session, executed: &GtidSet) -> Result<()> {
    let Some(cluster) = &node.cluster else { return Ok(()) };
    let record = node.record()?;
    let promised = own_promise(node, cluster, session)?;
    if promised.is_some_and(|epoch| epoch > record.as_ref().map_or(0, |record| record.epoch)) {
        // A promotion that is still under way may count on what it has; what it receives now may not be of that history.
        log::warn!("sealed for a promotion that is not on record: what it receives from now on is another life's");
        node.begin_new_life()?;
    }
    let epoch = next_epoch(record.as_ref());
    let life = node.instance()?.life;
    tell(node, cluster, &Told { epoch, sealed: false, life, has: Ok(executed.clone()) })
}

/// The promotion for which this instance told last what it has, as one that receives nothing more.
fn own_promise(node: &Node, cluster: &Cluster, session: &Session) -> Result<Option<u64>> {
    let told = cluster.told(&position_attribute(&node.resource), node.deadline)?;
    let own = told.get(&cluster.node).and_then(|text| Told::parse(session.dialect().version().vendor, text).ok());
    Ok(own.filter(|told| told.sealed).map(|told| told.epoch))
}

/// What a server needs before it can be part of replication by GTID.
pub fn unfit(state: &ServerState) -> Option<String> {
    judge::unfit(&Fitness::of(state)).next().map(|(_, why)| why.to_string())
}

/// Why a server takes no part in anything for its data: it has none, or does not know yet what they hold.
///
/// # Errors
/// When that cannot be found out.
pub fn without_data(node: &Node) -> Result<Option<String>> {
    let lasting = node.lasting();
    if lasting.position()?.is_some() {
        return Ok(Some("its server was not yet told what its data hold".into()));
    }
    if !lasting.is_placeholder() {
        return Ok(None);
    }
    if node.config.enable_creation && node.record()?.is_none() {
        // That is how a new cluster begins.
        lasting.forget_placeholder()?;
        return Ok(None);
    }
    let why =
        "it has no data yet: provisioned as soon as there is a primary (enable_creation=true begins a new cluster)";
    Ok(Some(why.into()))
}

/// Why an instance takes no part in an election: it has transactions of its own, or its applier is broken (for which the
/// former may be the cause).
///
/// # Errors
/// When the record cannot be read.
pub fn out_of_it(
    status: Option<&ReplicaStatus>,
    executed: &GtidSet,
    record: Option<&Record>,
) -> Result<Option<String>> {
    if let Some(record) = record
        && let Some(errant) = find_errant(executed, record).map_err(OcfError::generic)?
    {
        let primary = &record.primary;
        return Ok(Some(format!("it has transactions that are not in the history of {primary}: {errant}")));
    }
    Ok(status.and_then(health::applier_broken))
}

pub fn own_score(cluster: &Cluster, view: &View) -> Option<Score> {
    let text = view.attribute(&cluster.node, &cluster.score_attribute())?;
    if text == Score::Never.to_string() { Some(Score::Never) } else { text.parse().ok().map(Score::Value) }
}

/// Tells the other instances what this one has, for the promotion that comes next.
///
/// # Errors
/// When the cluster cannot be told.
pub fn tell(node: &Node, cluster: &Cluster, told: &Told) -> Result<()> {
    cluster.tell(&position_attribute(&node.resource), &told.to_string(), node.deadline)
}

/// The name under which positions are told.
pub fn position_attribute(resource: &str) -> String {
    format!("{resource}-position")
}

/// For how long this replica has not been connected; `None` while it is. Kept in a file between monitors.
fn lost_for(node: &Node, is_connected: bool) -> Option<Duration> {
    let path = node.run_dir.join(format!("rustha-{}.lost", node.resource));
    if is_connected {
        // It is there only after a loss; that it is not is the usual case.
        let _ = fs::remove_file(&path);
        return None;
    }
    Some(since(&path))
}

/// How long ago this file was written; it is written now if it is not there.
pub fn since(path: &Path) -> Duration {
    match fs::metadata(path).and_then(|metadata| metadata.modified()) {
        Ok(written) => SystemTime::now().duration_since(written).unwrap_or_default(),
        Err(_) => {
            if let Err(error) = fs::write(path, "") {
                log::warn!("cannot write {}: {error}", path.display());
            }
            Duration::ZERO
        }
    }
}

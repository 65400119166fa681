//! promote: hear the survivors, fetch what one of them has and this one has not, apply everything, write the promotion into
//! the cluster's configuration, and only then open.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::decide::election::{Election, Risk, Survivor, Verdict, elect, found_set};
use super::decide::position::Told;
use super::decide::record::{InSync, Instance, Record, State, names, next_epoch};
use super::node::{Node, insist};
use super::publish::{PRIMARY, Standing, TARGET, publish};
use super::review::{out_of_it, own_score, position_attribute, unfit, without_data};
use super::{guard, memo, provision, replicate};
use crate::deadline::Deadline;
use crate::exec;
use crate::ocf::exit::{ExitCode, OcfError, Outcome};
use crate::pacemaker::{Cluster, Score, View};
use crate::server::client::Session;
use crate::server::process::Daemon;
use crate::server::semisync;

/// How often it is looked whether the survivors have told their positions.
const LOOK: Duration = Duration::from_millis(20);

/// So long what was seen of the cluster is believed: less than it takes to notice that a node is gone.
const NEW: Duration = Duration::from_millis(500);

/// Survivors tell their positions before promote is called; that takes this long at most, unless one hangs.
const SURVIVORS: Duration = Duration::from_secs(15);

/// So long it is waited for one that is not needed.
const STRANGERS: Duration = Duration::from_secs(2);

/// Runs the action. A planned move that fails is over: the old primary, whose score is higher again then, goes on.
pub fn promote(node: &Node) -> Outcome {
    let outcome = run(node);
    if outcome.is_err()
        && let Err(error) = give_up_move(node)
    {
        log::warn!("{error:#}");
    }
    outcome
}

fn give_up_move(node: &Node) -> Result<()> {
    let (Some(cluster), Some(view)) = (&node.cluster, node.view()?) else { return Ok(()) };
    if own_score(cluster, &view) == Some(TARGET) {
        // Not asked again before it has looked at itself.
        cluster.set_score(Score::Never, node.deadline)?;
    }
    Ok(())
}

fn run(node: &Node) -> Outcome {
    let Some(daemon) = node.daemon() else {
        return Err(OcfError::generic("the server is not running, and is not started by a promotion").into());
    };
    let _turn = node.await_turn(node.deadline)?;
    let mut session = node.session()?;
    let is_writable = session.state()?.is_writable();
    if is_writable && node.is_marked(daemon) {
        log::info!("already promoted");
        return Ok(ExitCode::Success);
    }
    let score = match &node.cluster {
        Some(cluster) => {
            let promotion = gather_everything(node, cluster, &mut session)?;
            replicate::detach(&mut session, node.deadline)?;
            node.mark().leave(daemon)?;
            claim(node, cluster, &mut session, &promotion)?;
            own_score(cluster, &promotion.view)
        }
        None => {
            log::info!("not called by a cluster: nobody else is asked");
            replicate::drain(&mut session, node.deadline)?;
            replicate::detach(&mut session, node.deadline)?;
            node.mark().leave(daemon)?;
            None
        }
    };
    memo::forget(node);
    provision::forget_return(node);
    // Last: no line before this one lets a client write (invariant 2).
    super::closing::let_in(&mut session)?;
    let statement = session.dialect().open_for_writes();
    let open = || session.execute("open the server for writes", statement);
    // A replica with as high a score, and preferred by a constraint, would have the role moved again.
    let raise = || match (&node.cluster, score) {
        (None, _) | (_, Some(TARGET | PRIMARY)) => Ok(Ok(())),
        (Some(cluster), _) => Ok(cluster.set_score(PRIMARY, node.deadline)),
    };
    let (raised, ()) = exec::at_once(raise, open)?;
    log::info!("promoted: open for writes");
    // The address comes first, and has the machine for itself.
    if raised.is_ok() && guard::leave_telling(node) {
        return Ok(ExitCode::Success);
    }
    if let Some(view) = node.view()? {
        publish(node, &view, &Standing::primary(guard::read_state(node).as_ref()));
    }
    Ok(ExitCode::Success)
}

/// Takes over a primary that is open for writes already, as it is: what it acknowledged so far is nowhere else for sure.
///
/// # Errors
/// When mark or record cannot be written.
pub fn adopt(node: &Node, session: &mut Session, daemon: Daemon) -> Result<()> {
    let Some(cluster) = &node.cluster else { return Ok(()) };
    let record = node.record()?;
    if record.as_ref().is_none_or(|record| record.primary != cluster.node || record.state != State::Open) {
        let view = cluster.view(node.deadline)?;
        let sync = node.config.semi_sync.map(|_| InSync::default());
        let promotion = Promotion { last: record, sync, risk: None, view };
        write(node, cluster, session, &promotion)?;
    }
    node.mark().leave(daemon)
}

/// What was found out, and is written into the record in place of the last promotion.
struct Promotion {
    last: Option<Record>,
    sync: Option<InSync>,
    risk: Option<String>,
    view: View,
}

/// Makes sure that this instance has committed everything that was acknowledged (invariant 3).
fn gather_everything(node: &Node, cluster: &Cluster, session: &mut Session) -> Result<Promotion> {
    let refuse = |why: String| OcfError::generic(format!("not promoted: {why}"));
    let (look, record) = exec::at_once(|| Ok(Look::at(node, cluster)), || prepare(node, cluster, session))?;
    // It is looked again then.
    let look = look.inspect_err(|error| log::warn!("{error:#}")).ok();
    let instance = node.instance()?;
    let heard = await_survivors(node, cluster, session, record.as_ref(), look)?;
    loop {
        let executed = session.state()?.executed;
        let me = Survivor { instance: instance.clone(), has: Ok(executed.clone()) };
        let gone = heard.view.without_instance();
        let risk = node.risk(&heard.view);
        let election = Election { record: record.as_ref(), me: &me, survivors: &heard.survivors, gone: &gone, risk };
        match elect_or_obey(node, election) {
            Verdict::PromoteMe(risk) => {
                let wanted = node.config.semi_sync;
                let sync = wanted.map(|wanted| found_set(&executed, &heard.survivors, wanted.acks));
                return Ok(Promotion { last: record, sync, risk, view: heard.view });
            }
            Verdict::FetchFrom(survivor) => fetch(node, session, &heard, &survivor)?,
            Verdict::Refuse(why) => bail!(refuse(why)),
        }
    }
}

/// Decides; a refusal gives way to an operator's order, which is then the risk on record.
fn elect_or_obey(node: &Node, election: Election<'_>) -> Verdict {
    let verdict = elect(&election);
    if !matches!(verdict, Verdict::Refuse(_)) {
        return verdict;
    }
    let Some(by) = node.ordered_by(election.record) else { return verdict };
    log::warn!("promoted {by}");
    match elect(&Election { risk: Risk::Ordered, ..election }) {
        Verdict::PromoteMe(Some(why)) => Verdict::PromoteMe(Some(format!("{by}: {why}"))),
        other => other,
    }
}

/// Makes this instance fit to be promoted, as far as it can do so by itself; the record of the last promotion.
fn prepare(node: &Node, cluster: &Cluster, session: &mut Session) -> Result<Option<Record>> {
    let refuse = |why: String| OcfError::generic(format!("not promoted: {why}"));
    if let Some(why) = unfit(&session.state()?) {
        bail!(refuse(why));
    }
    if is_stopped_target(node, cluster, session)? {
        bail!(refuse("somebody stopped its SQL thread: START REPLICA SQL_THREAD, and ask again".into()));
    }
    if let Some(why) = without_data(node)? {
        bail!(refuse(why));
    }
    replicate::seal(session, node.deadline)?;
    memo::end_warmup(node, session);
    // Before any change of source, and before anything that may fail: a restart, as well as a change of source, throws
    // the relay log away (objection 2).
    replicate::drain(session, node.deadline)?;
    let record = node.record()?;
    if let Some(why) = out_of_it(session.replica_status()?.as_ref(), &session.state()?.executed, record.as_ref())? {
        bail!(refuse(why));
    }
    Ok(record)
}

/// What the others have told, and the cluster, at one moment.
struct Look {
    at: Instant,
    told: BTreeMap<String, String>,
    view: View,
}

impl Look {
    fn at(node: &Node, cluster: &Cluster) -> Result<Self> {
        let at = Instant::now();
        let told = || cluster.told(&position_attribute(&node.resource), node.deadline);
        let (told, view) = exec::at_once(told, || cluster.view(node.deadline))?;
        Ok(Self { at, told, view })
    }
}

/// Whether this is a planned move to an instance on which somebody has stopped the applier, while the primary that was
/// closed for it is there to go on. In a failover the applier is started instead: somebody must be promoted.
fn is_stopped_target(node: &Node, cluster: &Cluster, session: &mut Session) -> Result<bool> {
    let status = session.replica_status()?;
    let is_stopped = status.is_some_and(|status| !status.applier_running && status.applier_error.is_none());
    if !is_stopped {
        return Ok(false);
    }
    let (view, record) = (cluster.view(node.deadline)?, node.record()?);
    let may_go_on =
        record.is_some_and(|record| record.state == State::Closed && view.instances.contains_key(&record.primary));
    Ok(may_go_on && own_score(cluster, &view) == Some(TARGET))
}

/// Fetches what a survivor has and this instance has not, by ordinary replication from it.
fn fetch(node: &Node, session: &mut Session, heard: &Heard, from: &str) -> Result<()> {
    let survivor = heard.survivors.iter().find(|survivor| survivor.instance.node == from);
    let Some(wanted) = survivor.and_then(|survivor| survivor.has.as_ref().ok()) else {
        bail!("{from} told no position")
    };
    let missing = wanted.minus(&session.state()?.executed);
    log::info!("fetching {} transactions from {from}: {missing}", missing.count());
    replicate::attach(session, &node.source_at(from, &heard.view), false, node.deadline)?;
    let fetched = replicate::wait_applied(session, wanted, node.deadline);
    replicate::seal(session, node.deadline)?;
    fetched.map_err(|error| {
        OcfError::generic(format!("cannot fetch from {from} what it has and this node has not: {error:#}")).into()
    })
}

/// Who told what for this promotion, and the cluster at that moment.
struct Heard {
    survivors: Vec<Survivor>,
    view: View,
}

/// Waits until every other instance that is there has told its sealed position for this promotion; for one that is not in
/// the in-sync set only a little, and for the others until it makes no sense any more. Whether those that told are enough
/// is decided by the election.
/// `look`: a first one, which counts if it is a new one.
fn await_survivors(
    node: &Node,
    cluster: &Cluster,
    session: &Session,
    record: Option<&Record>,
    look: Option<Look>,
) -> Result<Heard> {
    let vendor = session.dialect().version().vendor;
    let sync = record.and_then(|record| record.sync.as_ref());
    let set: Option<BTreeSet<&str>> = sync.map(|sync| sync.all().map(|one| one.node.as_str()).collect());
    let long = node.deadline.at_most(SURVIVORS);
    let short = node.deadline.at_most(STRANGERS);
    let mut first = look.filter(|look| look.at.elapsed() < NEW);
    loop {
        let Look { told, view, .. } = first.take().map_or_else(|| Look::at(node, cluster), Ok)?;
        if !view.quorate {
            bail!(OcfError::generic("this part of the cluster has no quorum: not promoted"));
        }
        let survivors = read_sealed(vendor, &told, next_epoch(record), &cluster.node);
        let is_silent = |name: &&String| {
            **name != cluster.node && !survivors.iter().any(|survivor| survivor.instance.node == **name)
        };
        let silent: Vec<&str> = view.instances.keys().filter(is_silent).map(String::as_str).collect();
        let is_needed = |name: &&str| set.as_ref().is_none_or(|set| set.contains(*name));
        let is_enough = silent.is_empty() || (short.is_over() && !silent.iter().any(is_needed));
        if is_enough || long.is_over() {
            if !silent.is_empty() {
                let silent = silent.join(", ");
                let note = format!("{silent} did not tell what it has received, and may have more than this node");
                if set.is_none() {
                    bail!(OcfError::generic(format!("not promoted: {note}; see its log")));
                }
                log::warn!("{note}");
            }
            let survivors =
                survivors.into_iter().filter(|one| view.instances.contains_key(&one.instance.node)).collect();
            return Ok(Heard { survivors, view });
        }
        std::thread::sleep(LOOK);
    }
}

/// What the other instances told for the promotion of this epoch, sealed.
fn read_sealed(
    vendor: crate::server::version::Vendor,
    told: &BTreeMap<String, String>,
    epoch: u64,
    me: &str,
) -> Vec<Survivor> {
    let mut survivors = Vec::new();
    for (from, text) in told.iter().filter(|(from, _)| *from != me) {
        match Told::parse(vendor, text) {
            Ok(told) if told.sealed && told.epoch == epoch => {
                let instance = Instance { node: from.clone(), life: told.life };
                survivors.push(Survivor { instance, has: told.has });
            }
            Ok(_) => {}
            Err(why) => log::warn!("{from} told something that cannot be read: {why}"),
        }
    }
    survivors
}

/// Lets the server wait for acknowledgements as promised, and writes the promotion into the cluster's configuration:
/// before the first write is possible.
fn claim(node: &Node, cluster: &Cluster, session: &mut Session, promotion: &Promotion) -> Result<()> {
    if let Some(wanted) = node.config.semi_sync {
        let promised = promotion.sync.as_ref().map_or(0, |sync| sync.acks);
        match (promised, wanted.degrade) {
            (0, Some(_)) => semisync::source_off(session)?,
            // Writes wait until somebody is there.
            (0, None) => semisync::source_on(session, 1)?,
            (acks, _) => semisync::source_on(session, acks.into())?,
        };
    }
    write(node, cluster, session, promotion)?;
    if let Some(risk) = &promotion.risk {
        log::error!("promoted at a risk (durability=available): {risk}");
    }
    guard::write_state(node, promotion.sync.as_ref(), promotion.risk.as_deref(), None);
    Ok(())
}

fn write(node: &Node, cluster: &Cluster, session: &mut Session, promotion: &Promotion) -> Result<()> {
    let state = session.state()?;
    let record = Record {
        epoch: next_epoch(promotion.last.as_ref()),
        state: State::Open,
        primary: cluster.node.clone(),
        uuid: state.server_uuid,
        sync: promotion.sync.clone(),
        last: None,
        risk: promotion.risk.clone(),
        base: state.executed.to_string(),
    };
    let from = promotion.last.as_ref().map(Record::to_string);
    let (rank, ()) = exec::at_once(
        || cluster.rank(node.deadline),
        || cluster.write_record(from.as_deref(), &record.to_string(), &promotion.view, node.deadline),
    )?;
    // After the record, as a promotion that was not confirmed did not take place; before the first write.
    node.lasting().note_epoch(record.epoch)?;
    cluster.outrank(rank, &record.to_string(), &promotion.view, node.deadline)?;
    let from = if record.base.is_empty() { "nothing" } else { &record.base };
    let set = record.sync.as_ref().map_or("nobody (not managed)".into(), |sync| names(sync.all()));
    log::info!("promotion {} of {}, from {from}; in sync: {set}", record.epoch, node.resource);
    Ok(())
}

/// What a survivor does before another instance is promoted: it receives nothing more, acknowledges nothing more, and
/// tells what it has.
///
/// # Errors
/// When server or cluster cannot be asked or told.
pub fn tell_survivors_position(node: &Node, deadline: Deadline) -> Result<()> {
    let Some(cluster) = &node.cluster else { return Ok(()) };
    let Some(daemon) = node.daemon() else {
        let epoch = next_epoch(node.record()?.as_ref());
        let has = Err("its server is not running".into());
        return super::review::tell(node, cluster, &Told { epoch, sealed: true, life: "none".into(), has });
    };
    let sealed = || {
        let mut session = insist(deadline, || super::monitor::ask(node, daemon))?;
        replicate::seal(&mut session, deadline)?;
        Ok(session)
    };
    let (record, mut session) = exec::at_once(|| node.record(), sealed)?;
    let epoch = next_epoch(record.as_ref());
    let executed = session.state()?.executed;
    let trouble = without_data(node)?
        .map_or_else(|| out_of_it(session.replica_status()?.as_ref(), &executed, record.as_ref()), |why| Ok(Some(why)));
    let has = match trouble? {
        Some(why) => Err(why),
        None => {
            memo::end_warmup(node, &mut session);
            // A survivor serves only what it has applied and logged (objection 3).
            if let Err(error) = replicate::drain(&mut session, deadline) {
                log::warn!("{error:#}");
            }
            Ok(replicate::received(&mut session)?)
        }
    };
    let life = node.instance()?.life;
    super::review::tell(node, cluster, &Told { epoch, sealed: true, life, has })
}

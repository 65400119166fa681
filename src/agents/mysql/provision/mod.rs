//! Providing an instance with the data of another one. The guard does it in the background, while the old server goes on:
//! it finds out why the instance cannot replicate, saves what only its data hold, fills a draft beside them (`fill.rs`) with
//! what a donor sends (`donor.rs`), and when that is whole, stops the server, puts the new data into its place and starts it
//! (`replace.rs`). Killed anywhere, it is begun anew, or the next start ends it.

mod divergence;
mod donor;
mod fill;
mod order;
mod plan;
mod progress;
mod replace;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::config::{Provision, Rejoin};
use super::decide::errant::find_errant;
use super::decide::health;
use super::decide::record::{Record, State};
use super::decide::rejoin::{Facts, Need, Verdict, Word, decide, order_donors};
use super::lasting::Position;
use super::node::Node;
use super::publish::{REPLICA, TARGET};
use super::{guard, replicate, review};
use crate::deadline::Deadline;
use crate::gtid::GtidSet;
use crate::guard::turn::{self, Turn};
use crate::ocf::env::Invocation;
use crate::ocf::exit::OcfError;
use crate::pacemaker::{Cluster, View};
use crate::server::client::Session;
use crate::server::dialect::backup::Method;
use crate::server::process::Daemon;
use crate::server::rows::{Receiver, ReplicaStatus};

pub use donor::{measure, serve};
pub use order::{Order, forget_return, note_return, waits_for_order};
pub use plan::{Plan, Saved, divergences, give_order, look, plan};
pub use progress::read as read_progress;
pub use replace::{Replaced, begin_anew, end as end_replacement, is_under_way as is_being_replaced};

/// How often it is looked whether this instance lacks something.
const EVERY: Duration = Duration::from_secs(3);

/// What one look may take.
const LOOK: Duration = Duration::from_secs(20);

/// How soon it is decided anew about one that stays out, or waits for another one.
const SOON: Duration = Duration::from_secs(6);

/// What it may take to let a server end being a replica, and to note what its data are to be taken for. It holds the turn
/// of a guard for as long, for which actions wait for a while.
const TELLING: Duration = Duration::from_secs(8);

/// How long it is waited at a time until that server has applied what it has received.
const APPLYING: Duration = Duration::from_secs(2);

/// What it may take to save what only this instance has.
const SAVING: Duration = Duration::from_secs(3600);

/// How what went wrong begins.
pub const NOT_PROVISIONED: &str = "not provisioned";

/// How soon it is tried again after it has failed everywhere.
const AGAIN: Duration = Duration::from_secs(30);

/// How often it is looked whether there is still room for old data.
const TIDYING: Duration = Duration::from_secs(60);

/// How long it must have been lacking: a primary that was just promoted may not be reached yet.
const SETTLED: u32 = 2;

/// Looks after this instance as long as its server lives. Returns what is to be started in its place.
///
/// # Errors
/// When the call makes no sense.
pub fn watch(call: &Invocation, daemon: Daemon) -> Result<Option<Replaced>> {
    let mut node = Node::gather(call, LOOK)?;
    progress::forget(&node);
    if filling_file(&node).exists() {
        // What an earlier guard wanted nobody waits for any more.
        donor::fall_silent(&node, Deadline::after(LOOK));
    }
    let mut known = Known::default();
    let (mut seen, mut next, mut tidied) = (0, Instant::now(), Instant::now());
    while daemon.is_alive() {
        std::thread::sleep(EVERY);
        node.renew(LOOK);
        if tidied.elapsed() >= TIDYING {
            tidied = Instant::now();
            if seen == 0 {
                replace::tidy(&node);
            }
        }
        if daemon.is_stopped() || node.is_marked(daemon) || Instant::now() < next {
            continue;
        }
        let need = find_need(&node).unwrap_or_else(|error| {
            log::debug!("{error:#}");
            None
        });
        seen = if need.is_some() { seen + 1 } else { 0 };
        let Some(need) = need.filter(|_| seen >= SETTLED) else {
            if seen == 0 {
                progress::forget(&node);
            }
            continue;
        };
        match provide(&mut node, daemon, &need, &mut known) {
            Ok(replaced @ Some(_)) => return Ok(replaced),
            Ok(None) => next = Instant::now() + SOON,
            Err(error) => {
                log::error!("not provisioned: {error:#}");
                next = Instant::now() + AGAIN;
                let is_tried_again = need != Need::Ordered;
                let how = if is_tried_again { ", tried again soon" } else { "" };
                progress::say(&node, &format!("{NOT_PROVISIONED}{how}: {error:#}"));
                if !is_tried_again {
                    // It can replicate, and would else leave the cluster again and again.
                    Order::forget(&node);
                }
            }
        }
        donor::fall_silent(&node, Deadline::after(LOOK));
    }
    Ok(None)
}

/// What was found out about what only this instance has, and is not to be found out again.
#[derive(Default)]
struct Known {
    /// Where it was saved.
    saving: Option<divergence::Saving>,
    /// With these transactions, after this promotion: what it keeps without them; `None`: they changed something.
    common: Option<(GtidSet, u64, Option<GtidSet>)>,
}

/// What this instance lacks, if it cannot replicate as it is.
fn find_need(node: &Node) -> Result<Option<Need>> {
    if node.lasting().is_placeholder() {
        return Ok(Some(Need::Empty));
    }
    let is_ordered = Order::read(node).is_some_and(|order| order.is_for_new_data);
    let mut session = node.quick_session()?;
    let status = session.replica_status()?;
    if let Some(status) = &status
        && !is_ordered
        && status.receiver == Receiver::Running
        && status.applier_running
    {
        // What was ordered for a node that did not replicate is done.
        Order::forget(node);
        return Ok(None);
    }
    let Some(record) = node.record()? else { return Ok(None) };
    if node.cluster.as_ref().is_some_and(|cluster| cluster.node == record.primary) {
        return Ok(None);
    }
    if let Some(errant) = find_errant(&session.state()?.executed, &record).map_err(OcfError::generic)? {
        return Ok(Some(Need::Diverged(errant)));
    }
    if is_ordered {
        return Ok(Some(Need::Ordered));
    }
    // It has written something itself since.
    let is_out_of_order = |status: &&ReplicaStatus| !status.applier_running && health::is_out_of_order(status);
    if let Some(error) = status.as_ref().filter(is_out_of_order).and_then(|status| status.applier_error.as_ref()) {
        return Ok(Some(Need::Strange(error.text.clone())));
    }
    let refusal = status.as_ref().and_then(health::source_refuses);
    Ok(refusal.and_then(|error| Need::of_refusal(&error.text)))
}

/// Who leads, and who may give.
struct Source {
    record: Record,
    view: View,
    donors: Vec<String>,
}

impl Source {
    /// Those who are asked.
    fn choose(&self, ordered: Option<&str>) -> Result<Vec<String>> {
        match ordered {
            None => Ok(self.donors.clone()),
            Some(donor) if self.donors.iter().any(|one| one == donor) => Ok(vec![donor.to_string()]),
            Some(donor) => {
                bail!("{donor} has not everything, or nothing runs there: one of {}", self.donors.join(", "))
            }
        }
    }
}

fn find_source(cluster: &Cluster, node: &Node) -> Result<Option<Source>> {
    let view = cluster.view(node.deadline)?;
    let Some(record) = node.record()? else { return Ok(None) };
    let is_led = view.promoted() == [record.primary.as_str()] && record.state == State::Open;
    if !is_led || record.primary == cluster.node || view.is_left_alone_on(&cluster.node) || !view.quorate {
        return Ok(None);
    }
    let score = |name: &str| view.attribute(name, &cluster.score_attribute()).map(str::to_string);
    let is_whole =
        |name: &str| score(name).is_some_and(|score| [REPLICA, TARGET].iter().any(|one| one.to_string() == score));
    let replicas = view.instances.keys().filter(|name| **name != cluster.node && is_whole(name)).cloned().collect();
    let donors = order_donors(replicas, &record.primary);
    Ok(Some(Source { record, view, donors }))
}

/// Provides this instance with data, if that is what is decided; `None` if it is not, or not yet.
fn provide(node: &mut Node, daemon: Daemon, need: &Need, known: &mut Known) -> Result<Option<Replaced>> {
    let Some(cluster) = node.cluster.clone() else { return Ok(None) };
    let Some(source) = find_source(&cluster, node)? else { return Ok(None) };
    let order = Order::read(node);
    let is_ordered = order.is_some();
    let discards = order.as_ref().is_some_and(|order| order.discards_unsaved);
    let permission = Permission { is_ordered, discards };
    if may_keep_data(node, &source.record, need, order.as_ref()) {
        match keep_data(node, daemon, &source.record, need, &permission, known)? {
            Keeping::Kept | Keeping::Later => return Ok(None),
            Keeping::Changed => {}
        }
    }
    match decide_now(node, &cluster, &source, need, is_ordered)? {
        Verdict::Provision => {}
        Verdict::Wait(why) | Verdict::StayOut(why) => {
            progress::say(node, &format!("excluded: {why}"));
            return Ok(None);
        }
    }
    log::warn!("to be provisioned with the data of another node: {need}");
    let order = order.unwrap_or_default();
    // What may be refused is so before anything is done.
    let methods = choose_methods(node, order.method)?;
    let donors = source.choose(order.donor.as_deref())?;
    // Held as long as it lasts: this instance is a replica no more.
    let _filling = Turn::take(&filling_file(node), node.deadline)?;
    progress::say(node, "provisioning: about to begin");
    {
        let _turn = node.await_turn(node.deadline)?;
        guard::say_good_bye(node, &mut node.quick_session()?)?;
    }
    if need.is_divergence() {
        node.renew(SAVING);
        divergence::save(node, &source.record, need, &permission, &mut known.saving)?;
    }
    let mut failures = Vec::new();
    for method in methods {
        for donor in &donors {
            node.renew(LOOK);
            let file = known.saving.as_ref().filter(|_| need.is_divergence()).map(|saved| saved.file.as_str());
            let attempt = fill::Attempt { donor, method, source: node.source_at(donor, &source.view), saved: file };
            match fill::fill(node, &cluster, &source.record, &attempt) {
                Ok(()) => {
                    donor::fall_silent(node, Deadline::after(LOOK));
                    return replace::replace(node, daemon, || {
                        is_still_wanted(node, &cluster, &source, need, is_ordered)
                    })
                    .map(Some);
                }
                Err(error) => {
                    log::warn!("{} from {donor}: {error:#}", method.name());
                    failures.push(format!("{} from {donor}: {error:#}", method.name()));
                }
            }
            if !daemon.is_alive() {
                bail!("the server has ended meanwhile");
            }
        }
    }
    bail!("{}", failures.join("; "))
}

/// Whether it comes into question that this instance keeps its data although it has transactions of its own. Not after a risk:
/// what it has received may have been acknowledged and given up.
fn may_keep_data(node: &Node, record: &Record, need: &Need, order: Option<&Order>) -> bool {
    let is_wanted = order.map_or(node.config.rejoin == Rejoin::Auto, |order| !order.is_for_new_data);
    is_wanted && record.risk.is_none() && matches!(need, Need::Diverged(_))
}

/// What became of an instance whose own transactions may have changed nothing.
enum Keeping {
    /// It keeps its data.
    Kept,
    /// They changed something, or it cannot be told.
    Changed,
    /// It is still applying something, or the cluster is not what it was: later.
    Later,
}

/// An instance that has nothing of its own but statements that change nothing keeps its data (objection 29): what it has is
/// saved like any other, and its server is told that it has it not.
fn keep_data(
    node: &mut Node,
    daemon: Daemon,
    record: &Record,
    need: &Need,
    permission: &Permission,
    known: &mut Known,
) -> Result<Keeping> {
    let mut session = node.quick_session()?;
    let executed = session.state()?.executed;
    let status = session.replica_status()?;
    drop(session);
    // That it met the primary's transaction of the same number is what its own one leads to, on MariaDB.
    if status.as_ref().is_some_and(|status| status.applier_error.is_some() && !health::is_out_of_order(status)) {
        return Ok(Keeping::Changed);
    }
    if known.common.as_ref().is_none_or(|(of, epoch, _)| (of, *epoch) != (&executed, record.epoch)) {
        node.renew(SAVING);
        let found = divergence::harmless(node, record, &executed).inspect_err(|error| log::debug!("{error:#}"));
        let Ok(found) = found else { return Ok(Keeping::Changed) };
        known.common = Some((executed.clone(), record.epoch, found));
    }
    let Some((_, _, Some(common))) = known.common.clone() else { return Ok(Keeping::Changed) };
    divergence::save(node, record, need, permission, &mut known.saving)?;
    node.renew(TELLING);
    let _turn = node.await_turn(node.deadline)?;
    let is_led_as_before = node.record()?.is_some_and(|now| now.epoch == record.epoch && now.state == State::Open);
    if !is_led_as_before || node.daemon() != Some(daemon) || node.is_marked(daemon) {
        return Ok(Keeping::Later);
    }
    let mut session = node.session()?;
    guard::say_good_bye(node, &mut session)?;
    if review::place(node, &record.primary)?.is_some() {
        // As long as the primary counts on it, what it has received is not given up.
        return Ok(Keeping::Later);
    }
    // What it has received is applied first, but for what meets its own transaction. Nothing more comes: the next look finds
    // what it has then.
    let is_stopped = session.replica_status()?.is_some_and(|status| status.applier_error.is_some());
    if !is_stopped && replicate::drain(&mut session, node.deadline.at_most(APPLYING)).is_err() {
        return Ok(Keeping::Later);
    }
    if session.state()?.executed != executed {
        return Ok(Keeping::Later);
    }
    replicate::detach(&mut session, node.deadline)?;
    if session.state()?.executed != executed {
        return Ok(Keeping::Later);
    }
    log::warn!("what only this node has changes nothing: its data stay, and are taken for {common}");
    node.begin_new_life()?;
    // From here on it takes no part in anything before its server was told: whoever looks at it first does so.
    let earlier = match (&common, session.dialect().binlog_state()) {
        (GtidSet::MariaDb(position), Some(query)) => {
            Some(position.with_earlier(&session.value("the earlier servers", query)?.unwrap_or_default())?)
        }
        _ => None,
    };
    let instead_of = Some(executed.to_string());
    node.lasting().note_position(&Position { executed: common.to_string(), instead_of, earlier })?;
    guard::leave_review(node);
    Ok(Keeping::Kept)
}

/// What somebody has allowed.
pub struct Permission {
    /// Its data are to be replaced.
    pub is_ordered: bool,
    /// Also when what only it has cannot be saved.
    pub discards: bool,
}

/// Hours may have passed: whether the new data are still those of the primary's history, and still needed.
fn is_still_wanted(node: &Node, cluster: &Cluster, then: &Source, need: &Need, is_ordered: bool) -> Result<()> {
    let Some(now) = find_source(cluster, node)? else {
        bail!("nobody leads any more, or the resource is left to an operator");
    };
    let (before, after) = (&then.record, &now.record);
    if before.epoch != after.epoch || before.primary != after.primary {
        bail!("{} was promoted meanwhile", after.primary);
    }
    match decide_now(node, cluster, &now, need, is_ordered)? {
        Verdict::Provision => Ok(()),
        Verdict::Wait(why) | Verdict::StayOut(why) => bail!("{why}"),
    }
}

fn decide_now(node: &Node, cluster: &Cluster, source: &Source, need: &Need, is_ordered: bool) -> Result<Verdict> {
    let told = cluster.told(&donor::attribute(node), node.deadline)?;
    let wants = |text: &String| matches!(Word::parse(text), Some(Word::Want(_)));
    let other = told.iter().find(|(name, text)| **name != cluster.node && wants(text)).map(|(name, _)| name.as_str());
    let facts = Facts {
        need,
        rejoin: node.config.rejoin,
        provision: node.config.provision,
        is_ordered,
        risk: source.record.risk.as_deref(),
        size: donor::measure(&node.layout.datadir),
        max_size: node.config.rejoin_max_size,
        other,
    };
    Ok(decide(&facts))
}

/// Locked while this instance is provided with data, and its old server goes on.
fn filling_file(node: &Node) -> PathBuf {
    node.run_dir.join(format!("rustha-{}.filling", node.resource))
}

/// What is said while this instance is provided with data: it is not attached to anybody then.
pub fn while_filling(node: &Node) -> Option<String> {
    let is_filling = turn::is_taken(&filling_file(node)).unwrap_or_default();
    is_filling.then(|| progress::read(node).unwrap_or_else(|| "provisioning".into()))
}

/// Says nothing to other nodes any more.
pub fn fall_silent(node: &Node, deadline: Deadline) {
    donor::fall_silent(node, deadline);
}

/// How it is tried, in this order.
fn choose_methods(node: &Node, ordered: Option<Method>) -> Result<Vec<Method>> {
    let mut session = node.quick_session()?;
    let dialect = session.dialect();
    let wanted = match (ordered, node.config.provision) {
        (Some(method), _) | (None, Provision::By(method)) => vec![method],
        (None, Provision::Auto | Provision::Off) => Method::ALL.into_iter().filter(|one| dialect.knows(*one)).collect(),
    };
    if let Some(method) = wanted.iter().find(|method| !dialect.knows(**method)) {
        bail!("this server knows no provisioning by '{}': set provision=auto", method.name());
    }
    refuse_scattered(node, &mut session)?;
    Ok(wanted)
}

/// New data can be made beside old ones, and take their place, only where all lie in one directory.
fn refuse_scattered(node: &Node, session: &mut Session) -> Result<()> {
    let query = session.dialect().file_places();
    for row in session.query("where the server's files are", query)? {
        let column = |name: &str| row.get(name).cloned().flatten().unwrap_or_default();
        let (name, value) = (column("Variable_name"), column("Value"));
        let path = node.layout.datadir.join(&value);
        if !value.is_empty() && !path.starts_with(&node.layout.datadir) {
            bail!("{name} is {value}, outside of the data directory: such a node is to be provisioned by hand");
        }
    }
    Ok(())
}

/// The login for the vendor's tools, in a file that only root reads, and that is gone with this value.
struct LoginFile(std::path::PathBuf);

impl LoginFile {
    fn write(node: &Node, purpose: &str, session: &Session) -> Result<Self> {
        use std::io::Write;
        use std::os::unix::fs::OpenOptionsExt;
        let path = node.run_dir.join(format!("rustha-{}.{purpose}.cnf", node.resource));
        let _ = std::fs::remove_file(&path);
        let open = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let mut file = open.with_context(|| format!("cannot write {}", path.display()))?;
        file.write_all(session.login_file().as_bytes())?;
        Ok(Self(path))
    }

    fn path(&self) -> String {
        self.0.to_string_lossy().into_owned()
    }
}

impl Drop for LoginFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

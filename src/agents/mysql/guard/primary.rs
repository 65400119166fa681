//! The guard of the primary: sees who acknowledges, takes the steps that are decided from it, and tells the replicas.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, ToSocketAddrs};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail};

use super::super::config::SemiSync;
use super::super::decide::insync::{Keeper, Peer, Seen, Step};
use super::super::decide::keeping::{Amount, Call, Latest, Receiver, Said};
use super::super::decide::record::{InSync, Instance, Record, State, names};
use super::super::node::Node;
use super::super::publish::{Standing, publish};
use super::super::{closing, demote};
use super::{BUSY, CALM, hear, read_state, say, write_state};
use crate::gtid::GtidSet;
use crate::pacemaker::{Cluster, View};
use crate::server::client::Session;
use crate::server::semisync;

/// A replica that has not been connected for this long is lost. Receivers that lose their connection are back after one
/// second.
const EARLY: Duration = Duration::from_secs(3);

/// Where writes must never go on alone: how long they wait until it is looked whether anybody waits for them.
const STALLED: Duration = Duration::from_secs(10);

/// The same where a receiver was started again meanwhile: what it had received it does not acknowledge any more.
const INTERRUPTED: Duration = Duration::from_secs(3);

/// How long the record that was read last is believed; nobody but this node writes it.
const RECORD: Duration = Duration::from_secs(10);

/// How long the server may go on showing a replica whose connection has ended.
const FORGETTING: Duration = Duration::from_secs(1);

/// How often it is looked whether it still does.
const LOOK: Duration = Duration::from_millis(20);

/// More steps than this are not taken in one turn.
const STEPS: usize = 10;

/// What the primary's guard remembers. All of it can be lost.
#[derive(Default)]
pub struct Memory {
    record: Option<(Record, Instant)>,
    keeper: Option<Keeper>,
    note: Option<(u64, GtidSet)>,
    /// What was last told of how much there is, and when.
    latest: Option<(Latest, Instant)>,
    told: Option<Call>,
    missing_since: BTreeMap<String, Instant>,
    server_ids: BTreeMap<String, u64>,
    waiting: Option<Since>,
    last: Option<Since>,
    short_since: Option<Instant>,
    /// While commits wait: one of the set was not there, or did not acknowledge.
    is_interrupted: bool,
    is_told: bool,
}

impl Memory {
    /// Whether fewer acknowledge than is promised, or commits wait.
    fn is_waiting(&self) -> bool {
        self.short_since.is_some() || self.waiting.is_some()
    }
}

/// Since when commits have been waiting without any being acknowledged.
struct Since {
    moment: Instant,
    acknowledged: u64,
}

/// Takes a turn; how long to wait before the next one.
///
/// # Errors
/// When server or cluster cannot be asked or told: what was not done is done by a later turn.
pub fn turn(node: &Node, memory: &mut Memory) -> Result<Duration> {
    let Some(cluster) = &node.cluster else { return Ok(CALM) };
    let record = match read_record(node, cluster, memory)? {
        OnRecord::Mine(record) => record,
        OnRecord::Nobody => return Ok(CALM),
        OnRecord::Other(name) => {
            give_way(node, &mut node.quick_session()?, &name)?;
            return Ok(CALM);
        }
    };
    if !memory.is_told {
        // What a promotion has left to its guard. To keep the set is more urgent than to tell.
        match cluster.view(node.deadline) {
            Ok(view) => memory.is_told = publish_standing(node, cluster, &view),
            Err(error) => log::warn!("cannot tell the cluster: {error:#}"),
        }
    }
    let mut session = node.quick_session()?;
    let mut work = Work { node, cluster, session: &mut session, memory };
    let Some(wanted) = node.config.semi_sync else { return work.end_promise(record) };
    let mut record = record;
    if record.sync.is_none() {
        // It was promoted without a promise: it begins with nobody.
        record = work.write(&record, Some(InSync::default()))?;
    }
    let kept = work.keep(&mut record, wanted);
    if kept.is_err()
        && let Err(error) = work.tell_readers(record.epoch)
    {
        log::debug!("{error:#}");
    }
    let trouble = kept.as_ref().err().map(|error| format!("{error:#}")).filter(|_| memory.is_waiting());
    write_state(node, record.sync.as_ref(), record.risk.as_deref(), trouble.as_deref());
    kept
}

/// Whose promotion is on record.
enum OnRecord {
    /// This one's.
    Mine(Record),
    /// This one's is not yet, or it is closed.
    Nobody,
    /// That of the instance on this node, which was promoted later: a record is never older than what the data have seen.
    Other(String),
}

/// Tells the cluster what this primary is; whether all could be told that is to be told.
fn publish_standing(node: &Node, cluster: &Cluster, view: &View) -> bool {
    view.is_left_alone_on(&cluster.node) || publish(node, view, &Standing::primary(read_state(node).as_ref()))
}

/// Closes a primary after another one was promoted: it was cut off meanwhile, and Pacemaker may not have heard of it yet.
fn give_way(node: &Node, session: &mut Session, to: &str) -> Result<()> {
    log::error!("{to} was promoted after this instance: closed for writes");
    demote::close_primary(node, session, node.deadline)
}

/// The record of this primary's promotion, confirmed.
fn read_record(node: &Node, cluster: &Cluster, memory: &mut Memory) -> Result<OnRecord> {
    let seen = node.lasting().epoch()?;
    if memory.record.as_ref().is_some_and(|(record, _)| record.epoch < seen) {
        // It was demoted and promoted again between two turns.
        *memory = Memory::default();
    }
    if let Some((record, read)) = &memory.record
        && read.elapsed() < RECORD
    {
        return Ok(OnRecord::Mine(record.clone()));
    }
    let read = match (node.record(), &memory.record) {
        (Ok(read), _) => read,
        (Err(error), Some((mine, _))) if node.lasting().epoch()? == mine.epoch => {
            // The configuration has gone back in time, and this is the primary of the newest promotion (objection 4).
            log::error!("{error:#}; it is written again");
            let older = cluster.read_record(node.deadline)?;
            cluster.write_record(older.as_deref(), &mine.to_string(), &cluster.view(node.deadline)?, node.deadline)?;
            Some(mine.clone())
        }
        (Err(error), _) => return Err(error),
    };
    let known = memory.record.take().map(|(record, _)| record);
    let mine = match read {
        Some(record) if record.primary != cluster.node => return Ok(OnRecord::Other(record.primary)),
        Some(record) if record.state == State::Open => record,
        _ => return Ok(OnRecord::Nobody),
    };
    if known.as_ref() != Some(&mine) {
        // It may be what an earlier write left here only, which was never confirmed.
        memory.keeper = None;
        let confirmed = cluster.confirm_record(&mine.to_string(), &cluster.view(node.deadline)?, node.deadline);
        confirmed.context("the record of the in-sync set is not the cluster's")?;
    }
    memory.record = Some((mine.clone(), Instant::now()));
    Ok(OnRecord::Mine(mine))
}

/// One turn's means.
struct Work<'a> {
    node: &'a Node,
    cluster: &'a Cluster,
    session: &'a mut Session,
    memory: &'a mut Memory,
}

impl Work<'_> {
    /// Semi-sync is not managed (any more): nothing is promised, then nothing is waited for.
    fn end_promise(&mut self, mut record: Record) -> Result<Duration> {
        if record.sync.is_some() {
            record = self.write(&record, None)?;
            semisync::source_off(self.session)?;
        }
        self.tell(&record)?;
        Ok(CALM)
    }

    fn keep(&mut self, record: &mut Record, wanted: SemiSync) -> Result<Duration> {
        for _ in 0..STEPS {
            let sync = record.sync.clone().unwrap_or_default();
            let seen = self.look(record, &sync, wanted)?;
            let mut keeper = self.memory.keeper.take().unwrap_or_else(|| Keeper::new(first_note(&seen)));
            let step = keeper.next(&sync, &seen, wanted.acks);
            let is_settled = keeper.is_settled(&sync, &seen, wanted.acks);
            log::debug!("{step:?} after {seen:?}");
            match step {
                Step::Write(next) => *record = self.write(record, Some(next))?,
                Step::SetServer(acks) => self.set_server(acks)?,
                Step::Note(number) => self.memory.note = Some((number, semisync::flushed_position(self.session)?)),
                Step::Cut(name) => self.cut(&name)?,
                Step::Release => self.release()?,
                Step::Rest => {
                    self.memory.keeper = Some(keeper);
                    self.tell(record)?;
                    return Ok(if is_settled { CALM } else { BUSY });
                }
            }
            // Only now: after a step that failed everything is noted anew.
            self.memory.keeper = Some(keeper);
            self.tell(record)?;
        }
        Ok(BUSY)
    }

    /// What is to be seen of the replicas.
    fn look(&mut self, record: &Record, sync: &InSync, wanted: SemiSync) -> Result<Seen> {
        let source = semisync::read(self.session)?.source;
        let source = source.context("the server has no semi-synchronous replication (is its plugin installed?)")?;
        let connected = self.connected_replicas()?;
        let mut seen = Seen {
            server: if source.weakness(1).is_none() { u32::try_from(source.acks).unwrap_or(u32::MAX) } else { 0 },
            floor: u32::from(wanted.degrade.is_none()),
            ..Seen::default()
        };
        for (name, said) in hear(self.node, self.cluster, self.session)? {
            let answer = match said {
                Said::Replica(answer) => answer,
                Said::Primary(call) if call.epoch > record.epoch => {
                    give_way(self.node, self.session, &name)?;
                    bail!("not the primary any more");
                }
                Said::Primary(_) => continue,
            };
            if answer.epoch != record.epoch || name == self.cluster.node {
                continue;
            }
            self.memory.server_ids.insert(name.clone(), answer.server_id);
            if answer.receiver == Receiver::Leaving {
                seen.left.insert(name);
                continue;
            }
            let peer = Peer {
                life: answer.life,
                acknowledges: answer.receiver == Receiver::On,
                noted: answer.noted,
                connected: connected.contains(&answer.server_id),
            };
            seen.peers.insert(name, peer);
        }
        seen.lost = self.find_lost(sync, &seen);
        self.measure_waiting(sync, &mut seen, wanted, source.waiting, source.acknowledged);
        Ok(seen)
    }

    /// Who is connected. MySQL 9.7 goes on listing the last replica for a second after its connection has ended, while commits
    /// wait: what it may still say then is of what it was sent before.
    fn connected_replicas(&mut self) -> Result<Vec<u64>> {
        let listed = semisync::connected_replicas(self.session)?;
        let is_doubtful = !listed.is_empty() && self.memory.is_waiting();
        Ok(if is_doubtful && semisync::receivers(self.session)?.is_empty() { Vec::new() } else { listed })
    }

    /// The nodes of the set that have not been there for too long.
    fn find_lost(&mut self, sync: &InSync, seen: &Seen) -> BTreeSet<String> {
        let is_there = |node: &str| seen.peers.get(node).is_some_and(|peer| peer.connected);
        let missing: BTreeSet<&str> = sync.all().map(|one| one.node.as_str()).filter(|node| !is_there(node)).collect();
        self.memory.missing_since.retain(|node, _| missing.contains(node.as_str()));
        let mut lost = BTreeSet::new();
        for node in missing {
            let since = self.memory.missing_since.entry(node.to_string()).or_insert_with(Instant::now);
            if since.elapsed() >= EARLY {
                lost.insert(node.to_string());
            }
        }
        lost
    }

    /// Whether writes wait, and whether they have waited for long enough.
    fn measure_waiting(&mut self, sync: &InSync, seen: &mut Seen, wanted: SemiSync, waiting: u64, acknowledged: u64) {
        let memory = &mut *self.memory;
        let last = memory.last.replace(Since { moment: Instant::now(), acknowledged });
        memory.waiting = match (memory.waiting.take(), last) {
            _ if waiting == 0 => None,
            (Some(since), _) if since.acknowledged == acknowledged => Some(since),
            // Nothing was acknowledged since the last look: it may have begun right after that.
            (_, Some(last)) if last.acknowledged == acknowledged => Some(last),
            _ => None,
        };
        let waited = memory.waiting.as_ref().map(|since| since.moment.elapsed());
        seen.waiting = waited.is_some_and(|waited| waited >= BUSY);
        let is_able = |one: &&Instance| {
            seen.peers.get(&one.node).is_some_and(|peer| peer.life == one.life && peer.connected && peer.acknowledges)
        };
        let is_whole = sync.members.iter().all(|one| is_able(&one));
        let able = sync.all().filter(is_able).count();
        memory.is_interrupted = memory.waiting.is_some() && (memory.is_interrupted || !is_whole);
        let most = if memory.is_interrupted { INTERRUPTED } else { wanted.degrade.unwrap_or(STALLED) };
        seen.is_stalled = waited.is_some_and(|waited| waited >= most);
        let is_short = (able as u64) < u64::from(sync.acks);
        memory.short_since = is_short.then(|| memory.short_since.unwrap_or_else(Instant::now));
        let short = memory.short_since.map(|since| since.elapsed());
        seen.patience_is_over =
            wanted.degrade.is_some_and(|degrade| [waited, short].into_iter().flatten().any(|time| time >= degrade));
    }

    fn write(&mut self, record: &Record, sync: Option<InSync>) -> Result<Record> {
        let next = Record { sync, ..record.clone() };
        let view = self.cluster.view(self.node.deadline)?;
        self.memory.record = None;
        self.cluster.write_record(Some(&record.to_string()), &next.to_string(), &view, self.node.deadline)?;
        self.memory.record = Some((next.clone(), Instant::now()));
        match &next.sync {
            Some(sync) if sync.acks == 0 => log::warn!("alone: what is written now is nowhere else"),
            Some(sync) => log::info!(
                "each write is on {} of: {} (joining: {})",
                sync.acks,
                names(&sync.members),
                names(&sync.joining)
            ),
            None => log::warn!("semi-sync is not managed: nothing is promised"),
        }
        write_state(self.node, next.sync.as_ref(), next.risk.as_deref(), None);
        publish_standing(self.node, self.cluster, &view);
        Ok(next)
    }

    fn set_server(&mut self, acks: u32) -> Result<()> {
        log::info!("the server now waits for {acks} acknowledgements");
        if acks == 0 {
            semisync::source_off(self.session)?
        } else {
            semisync::source_on(self.session, acks.into())?
        };
        Ok(())
    }

    /// Ends a replica's connection, if it has one, and waits until the server has forgotten it. Where it is not known which
    /// one is its, all are ended: the others are back at once.
    fn cut(&mut self, name: &str) -> Result<()> {
        let view = self.cluster.view(self.node.deadline)?;
        let addresses = resolve(&self.node.source_at(name, &view).host);
        let ended = semisync::end_receivers_from(self.session, &addresses, self.node.deadline)?;
        let Some(server_id) = self.memory.server_ids.get(name).copied() else { return Ok(()) };
        log::info!("cut {name} off ({ended} connections)");
        if ended == 0 && self.connected_replicas()?.contains(&server_id) {
            semisync::end_all_receivers(self.session, self.node.deadline)?;
        }
        let deadline = self.node.deadline.at_most(FORGETTING);
        deadline.wait_for(LOOK, || (!self.connected_replicas().ok()?.contains(&server_id)).then_some(()));
        Ok(())
    }

    fn release(&mut self) -> Result<()> {
        log::warn!(
            "the replicas have what commits wait for, but do not acknowledge it any more: all clients are ended"
        );
        closing::release(self.node, self.session, self.node.deadline)?;
        self.memory.waiting = None;
        Ok(())
    }

    fn tell(&mut self, record: &Record) -> Result<()> {
        let set = record.sync.iter().flat_map(InSync::all).cloned().collect();
        let executed = self.session.state()?.executed;
        let nothing = executed.parse_like("")?;
        let (note, position) = self.memory.note.clone().unwrap_or((0, nothing));
        let latest = self.latest(&executed);
        self.say(Call { epoch: record.epoch, set, note, position, latest })
    }

    /// Tells how much there is also while the set cannot be kept: those who read from replicas have nothing to do with that.
    fn tell_readers(&mut self, epoch: u64) -> Result<()> {
        let Some(told) = self.memory.told.clone().filter(|told| told.epoch == epoch) else { return Ok(()) };
        let executed = self.session.state()?.executed;
        let latest = self.latest(&executed);
        self.say(Call { latest, ..told })
    }

    /// What was told last of how much there is, or what is there now, if that is old.
    fn latest(&mut self, executed: &GtidSet) -> Option<Latest> {
        let period = self.node.config.telling_period()?;
        match &self.memory.latest {
            Some((latest, told)) if told.elapsed() < period => Some(latest.clone()),
            _ => {
                let latest = Latest { at: clock(), amount: Amount::of(executed) };
                self.memory.latest = Some((latest.clone(), Instant::now()));
                Some(latest)
            }
        }
    }

    fn say(&mut self, call: Call) -> Result<()> {
        if self.memory.told.as_ref() != Some(&call) {
            say(self.node, self.cluster, &Said::Primary(call.clone()))?;
            self.memory.told = Some(call);
        }
        Ok(())
    }
}

/// Where the numbers of notes begin: an earlier guard of the same promotion may have used others, and nobody's answer to
/// those may be taken for an answer to these.
fn first_note(seen: &Seen) -> u64 {
    let answered = seen.peers.values().map(|peer| peer.noted).max().unwrap_or_default();
    clock().max(answered)
}

/// The time of day, in milliseconds.
fn clock() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or_default()
}

/// The addresses of a host; none if it is not known.
pub fn resolve(host: &str) -> Vec<IpAddr> {
    let found = (host, 0).to_socket_addrs();
    found.map(|addresses| addresses.map(|address| address.ip()).collect()).unwrap_or_default()
}

//! What the guard and the last full monitor found, so that a monitor after which nothing has changed asks the server and
//! nobody else: a tool of Pacemaker's costs more than all the rest. What may have changed without a trace here is looked for
//! once in a while.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use anyhow::Result;

use super::decide::keeping::Call;
use super::decide::record::{Record, names};
use super::node::Node;
use super::publish::Standing;
use super::review::out_of_it;
use crate::server::client::Session;
use crate::server::dialect::Source;
use crate::server::process::Daemon;
use crate::server::rows::ReplicaStatus;
use crate::state_file;

/// How long a full monitor is good for.
const FULL: Duration = Duration::from_secs(60);

/// What the guard hears of the primary is old after that.
const FRESH: Duration = Duration::from_secs(5);

/// What the guard found out about readers is known no more after that: it looks each second, but not while an action has
/// its turn.
const KNOWN: Duration = Duration::from_secs(45);

/// A promotion that needs what was not done for it waits for longer before it is tried again.
const PASSING: Duration = Duration::from_secs(10);

/// Why clients are kept away while nothing is known.
const NOT_LOOKED: &str = "its guard has not looked yet";

/// What is written and read by its name.
#[derive(Clone, Copy)]
enum Kind {
    /// By the guard of a replica: what the primary calls.
    Heard,
    /// By a full monitor of a replica that is in sync.
    Seen,
    /// By a full monitor of a primary.
    Told,
    /// By the guard: whether clients may read here.
    Readiness,
    /// By the guard: that the warmup statements have run.
    WarmedUp,
    /// By the guard: the connection over which they run.
    WarmingUp,
    /// By a notification of a promotion that was none.
    LetPass,
}

fn file(node: &Node, kind: Kind) -> PathBuf {
    let suffix = match kind {
        Kind::Heard => "heard",
        Kind::Seen => "seen",
        Kind::Told => "told",
        Kind::Readiness => "readiness",
        Kind::WarmedUp => "warmed-up",
        Kind::WarmingUp => "warming-up",
        Kind::LetPass => "let-pass",
    };
    node.run_dir.join(format!("rustha-{}.{suffix}", node.resource))
}

/// Reads one that is not older than that.
fn read(node: &Node, kind: Kind, most: Duration) -> Option<String> {
    if age(node, kind)? > most { None } else { fs::read_to_string(file(node, kind)).ok() }
}

fn age(node: &Node, kind: Kind) -> Option<Duration> {
    let written = fs::metadata(file(node, kind)).and_then(|metadata| metadata.modified()).ok()?;
    SystemTime::now().duration_since(written).ok()
}

fn write(node: &Node, kind: Kind, text: &str) {
    if let Err(error) = state_file::write(&file(node, kind), text) {
        log::warn!("{error:#}");
    }
}

/// Forgets everything: the next monitor is a full one.
pub fn forget(node: &Node) {
    for kind in [Kind::Seen, Kind::Told] {
        // That there is none is the usual case.
        let _ = fs::remove_file(file(node, kind));
    }
}

/// Notes what the primary on this node calls; by the guard, each time that it has heard.
pub fn note_heard(node: &Node, primary: &str, call: &Call) {
    write(node, Kind::Heard, &format!("{primary} {} {}", call.epoch, names(&call.set)));
}

/// Who the guard hears as primary now, and of which promotion.
pub fn heard_primary(node: &Node) -> Option<(String, u64)> {
    let heard = read(node, Kind::Heard, FRESH)?;
    let mut words = heard.split(' ');
    Some((words.next()?.to_string(), words.next()?.parse().ok()?))
}

/// Whether the promotion of an instance that is promoted already may be let pass: for some seconds, since Pacemaker may begin
/// the same one several times, and then not for a while.
pub fn let_pass(node: &Node) -> bool {
    match age(node, Kind::LetPass) {
        Some(age) if age < PASSING => true,
        Some(age) if age < FULL => false,
        _ => {
            write(node, Kind::LetPass, "");
            true
        }
    }
}

/// What the guard has heard of the primary. Where semi-sync is not managed nobody calls: then a notification that did not
/// come is found by the next full monitor.
fn heard(node: &Node) -> Option<String> {
    match node.config.semi_sync {
        Some(_) => read(node, Kind::Heard, FRESH),
        None => Some("nobody calls".into()),
    }
}

/// Notes whether clients may read here, and if not, why, and how old what they see is; by the guard, each time that it has
/// looked.
pub fn note_readiness(node: &Node, daemon: Daemon, readiness: &std::result::Result<(), String>, old: Option<Duration>) {
    let why = readiness.as_ref().err().map_or("", String::as_str);
    let old = old.map_or("-".into(), |old| old.as_secs().to_string());
    write(node, Kind::Readiness, &format!("{}\n{old}\n{why}", life(daemon)));
}

/// What is noted of this server, as the guard found a moment ago: how old it is, and why it is not to be read from.
fn noted_readiness(node: &Node, daemon: Daemon) -> Option<(Option<Duration>, String)> {
    let noted = read(node, Kind::Readiness, KNOWN)?;
    let mut lines = noted.splitn(3, '\n');
    if lines.next()? != life(daemon) {
        return None;
    }
    let old = lines.next()?.parse().ok().map(Duration::from_secs);
    Some((old, lines.next()?.to_string()))
}

/// A server, while it lives.
fn life(daemon: Daemon) -> String {
    format!("{} {}", daemon.pid, daemon.started)
}

/// Whether clients may read here, as the guard found a moment ago.
///
/// # Errors
/// Why not, for people.
pub fn readiness(node: &Node, daemon: Daemon) -> std::result::Result<(), String> {
    match noted_readiness(node, daemon) {
        Some((_, why)) if why.is_empty() => {
            let is_old = noted_age(node, daemon).zip(node.config.max_lag).is_some_and(|(age, most)| age > most);
            if is_old { Err(NOT_LOOKED.into()) } else { Ok(()) }
        }
        Some((_, why)) => Err(why),
        None => Err(NOT_LOOKED.into()),
    }
}

/// How old what clients see is by now, at most, if that was noted a moment ago.
pub fn noted_age(node: &Node, daemon: Daemon) -> Option<Duration> {
    let (old, _) = noted_readiness(node, daemon)?;
    Some(old? + age(node, Kind::Readiness)?)
}

/// Notes over which connection the warmup statements run.
pub fn note_warming_up(node: &Node, daemon: Daemon, connection: u64) {
    write(node, Kind::WarmingUp, &format!("{}\n{connection}", life(daemon)));
}

/// Ends the warmup statement that runs, if one does: what it reads may keep a change of the table waiting that is to be
/// applied. It is run again later.
pub fn end_warmup(node: &Node, session: &mut Session) {
    let noted = fs::read_to_string(file(node, Kind::WarmingUp)).unwrap_or_default();
    let Some((server, connection)) = noted.split_once('\n') else { return };
    let is_here = node.daemon().is_some_and(|daemon| life(daemon) == server);
    if let (true, Ok(connection)) = (is_here, connection.parse())
        && let Err(error) = session.kill("end the warmup", connection)
    {
        log::warn!("{error:#}");
    }
}

/// Notes that the warmup statements have run in this server.
pub fn note_warmed_up(node: &Node, daemon: Daemon) {
    write(node, Kind::WarmedUp, &life(daemon));
    let _ = fs::remove_file(file(node, Kind::WarmingUp));
}

/// Whether the warmup statements have run in this server.
pub fn is_warmed_up(node: &Node, daemon: Daemon) -> bool {
    let noted = fs::read_to_string(file(node, Kind::WarmedUp));
    noted.is_ok_and(|noted| noted == life(daemon))
}

/// Keeps that this replica of `source` is a member of the set on record.
pub fn keep_member(node: &Node, daemon: Daemon, source: &Source, record: &Record) {
    let Some(heard) = heard(node) else { return };
    let origin = origin(node, daemon, &source.host, source.port);
    write(node, Kind::Seen, &format!("{origin}\n{heard}\n{record}"));
}

/// Where it replicates from, which server, and whether clients may read there.
fn origin(node: &Node, daemon: Daemon, host: &str, port: u16) -> String {
    let readiness = readiness(node, daemon).err().unwrap_or_default();
    format!("{} {host}:{port} {readiness}", life(daemon))
}

/// Whether this replica is still what the last full monitor found: in sync, as far as can be seen here and as the guard
/// hears from the primary. `judge`: whether it replicates well from the source of that monitor.
///
/// # Errors
/// When the server cannot be asked.
pub fn is_unchanged(
    node: &Node,
    session: &mut Session,
    daemon: Daemon,
    judge: impl FnOnce(&ReplicaStatus) -> bool,
) -> Result<bool> {
    let (Some(seen), Some(heard)) = (read(node, Kind::Seen, FULL), heard(node)) else {
        return Ok(false);
    };
    let Some((origin_then, rest)) = seen.split_once('\n') else { return Ok(false) };
    let Some((heard_then, record)) = rest.split_once('\n') else { return Ok(false) };
    let (Ok(record), Some(status)) = (Record::parse(record), session.replica_status()?) else { return Ok(false) };
    let origin_now = origin(node, daemon, &status.source_host, status.source_port.unwrap_or_default());
    if heard_then != heard || origin_then != origin_now || !judge(&status) {
        return Ok(false);
    }
    Ok(out_of_it(Some(&status), &session.state()?.executed, Some(&record))?.is_none())
}

/// Whether the cluster was told this of the primary.
pub fn was_told(node: &Node, standing: &Standing) -> bool {
    read(node, Kind::Told, FULL).is_some_and(|told| told == print(standing))
}

/// Keeps that the cluster was told this.
pub fn keep_told(node: &Node, standing: &Standing) {
    write(node, Kind::Told, &print(standing));
}

fn print(standing: &Standing) -> String {
    format!("{standing:?}")
}

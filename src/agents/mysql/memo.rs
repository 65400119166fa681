//! What the last full monitor found, so that one after which nothing has changed asks the server and nobody else: a tool
//! of Pacemaker's costs more than all the rest. What may have changed without a trace here is looked for once in a while.

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

/// How long a full monitor is good for.
const FULL: Duration = Duration::from_secs(60);

/// What the guard hears of the primary is old after that.
const FRESH: Duration = Duration::from_secs(5);

/// What is written and read by its name.
#[derive(Clone, Copy)]
enum Kind {
    /// By the guard of a replica: what the primary calls.
    Heard,
    /// By a full monitor of a replica that is in sync.
    Seen,
    /// By a full monitor of a primary.
    Told,
}

fn file(node: &Node, kind: Kind) -> PathBuf {
    let suffix = match kind {
        Kind::Heard => "heard",
        Kind::Seen => "seen",
        Kind::Told => "told",
    };
    node.run_dir.join(format!("rustha-{}.{suffix}", node.resource))
}

/// Reads one that is not older than that.
fn read(node: &Node, kind: Kind, most: Duration) -> Option<String> {
    let path = file(node, kind);
    let written = fs::metadata(&path).and_then(|metadata| metadata.modified()).ok()?;
    let age = SystemTime::now().duration_since(written).ok()?;
    if age > most { None } else { fs::read_to_string(path).ok() }
}

fn write(node: &Node, kind: Kind, text: &str) {
    let path = file(node, kind);
    // Whole or not at all, as a reader may be there.
    let draft = path.with_extension("memo-draft");
    if let Err(error) = fs::write(&draft, text).and_then(|()| fs::rename(&draft, &path)) {
        log::warn!("cannot write {}: {error}", path.display());
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

/// What the guard has heard of the primary. Where semi-sync is not managed nobody calls: then a notification that did not
/// come is found by the next full monitor.
fn heard(node: &Node) -> Option<String> {
    match node.config.semi_sync {
        Some(_) => read(node, Kind::Heard, FRESH),
        None => Some("nobody calls".into()),
    }
}

/// Keeps that this replica of `source` is a member of the set on record.
pub fn keep_member(node: &Node, daemon: Daemon, source: &Source, record: &Record) {
    let Some(heard) = heard(node) else { return };
    write(node, Kind::Seen, &format!("{}\n{heard}\n{record}", origin(daemon, &source.host, source.port)));
}

/// Where it replicates from, and which server.
fn origin(daemon: Daemon, host: &str, port: u16) -> String {
    format!("{} {} {host}:{port}", daemon.pid, daemon.started)
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
    let origin_now = origin(daemon, &status.source_host, status.source_port.unwrap_or_default());
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

//! Saving what only this instance has, before its data are replaced (invariant 4): its transactions, as events in a binary
//! log file.

use std::fs::{self, File, OpenOptions};
use std::io::{BufReader, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::super::decide::errant::{History, Seen};
use super::super::decide::record::Record;
use super::super::decide::rejoin::Need;
use super::super::node::Node;
use super::Permission;
use crate::deadline::Deadline;
use crate::gtid::GtidSet;
use crate::ocf::exit::OcfError;
use crate::server::events::{self, Copied};

/// What it may take to tell where it is.
const TELLING: Duration = Duration::from_secs(10);

/// The node attribute with the name of the file.
fn attribute(resource: &str) -> String {
    format!("{resource}-divergence")
}

/// What was saved, so that it is not saved again by the next attempt.
pub struct Saving {
    executed: GtidSet,
    epoch: u64,
    /// Where it is.
    pub file: String,
}

/// Saves it, and says where, unless `known` has it already.
///
/// # Errors
/// When not all of it can be saved: then nothing may be replaced, unless somebody has said so.
pub fn save(
    node: &Node,
    record: &Record,
    need: &Need,
    permission: &Permission,
    known: &mut Option<Saving>,
) -> Result<()> {
    let executed = node.session()?.state()?.executed;
    if known.as_ref().is_some_and(|known| known.executed == executed && known.epoch == record.epoch) {
        return Ok(());
    }
    match write(node, record, need, permission, &executed) {
        Ok(file) => {
            if let Some(cluster) = &node.cluster
                && let Err(error) = cluster.set_attribute(&attribute(&node.resource), &file, Deadline::after(TELLING))
            {
                log::warn!("cannot tell where it is: {error:#}");
            }
            *known = Some(Saving { executed, epoch: record.epoch, file });
            Ok(())
        }
        Err(error) if permission.discards => {
            log::error!("given up by order, unsaved: {error:#}");
            Ok(())
        }
        Err(error) => Err(error.context("nothing is replaced, since what only this node has cannot be saved")),
    }
}

/// What the data of this instance hold without what only they have, if that changed nothing: statements that look after tables
/// or the server, such as ANALYZE TABLE (objection 29). `None` where it did, or where it cannot be told.
///
/// # Errors
/// When its binary logs cannot be read.
pub fn harmless(node: &Node, record: &Record, executed: &GtidSet) -> Result<Option<GtidSet>> {
    let Logs { history, seen, own, .. } = Logs::read(node, record, executed)?;
    let is_whole = history.is_all_seen(executed, &seen).map_err(OcfError::generic)?;
    let is_harmless = is_whole && own.transactions > 0 && own.changes == 0;
    Ok(history.common(executed, &seen).filter(|_| is_harmless))
}

/// The binary logs of this instance, and what is in them.
struct Logs {
    paths: Vec<PathBuf>,
    history: History,
    seen: Seen,
    /// What is not of the history.
    own: Copied,
}

impl Logs {
    fn read(node: &Node, record: &Record, executed: &GtidSet) -> Result<Self> {
        let mut session = node.session()?;
        let history = History::of(record, executed).map_err(OcfError::generic)?;
        let query = session.dialect().binlog_index();
        let index = session.value("where the binary logs are", query)?.context("the server has no binary log")?;
        let paths = read_index(&node.layout.datadir, Path::new(&index))?;
        let (mut seen, mut own) = (Seen::default(), Copied::default());
        for path in &paths {
            let list = events::begins_after(&mut open(path)?);
            seen.begin(&list.with_context(|| format!("cannot read {}", path.display()))?, &history);
            events::copy(&mut open(path)?, &mut std::io::sink(), &mut own, |name| {
                seen.note(name, &history);
                history.lacks(name)
            })
            .with_context(|| format!("cannot read {}", path.display()))?;
        }
        Ok(Self { paths, history, seen, own })
    }
}

fn write(node: &Node, record: &Record, need: &Need, permission: &Permission, executed: &GtidSet) -> Result<String> {
    let Logs { paths: logs, history, seen, .. } = Logs::read(node, record, executed)?;
    // Whether the logs go back to where the histories part.
    let is_whole =
        !matches!(need, Need::Strange(_)) && history.is_all_seen(executed, &seen).map_err(OcfError::generic)?;
    if !is_whole && !permission.is_ordered && !seen.is_everything(executed) {
        bail!(
            "{need}, and its binary logs do not say from which transaction on: 'rustha rejoin' on this node saves all of them"
        );
    }
    let dir = &node.config.divergence_dir;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .with_context(|| format!("cannot create {}", dir.display()))?;
    let me = node.cluster.as_ref().map_or("", |cluster| cluster.node.as_str());
    let path = choose_name(dir, &format!("{}-{me}-after-promotion-{}", node.resource, record.epoch));
    let draft = path.with_extension("draft");
    let copied = fill(&draft, &logs, |name| !is_whole || history.lacks(name)).and_then(|copied| {
        fs::hard_link(&draft, &path).and_then(|()| File::open(dir)?.sync_all()).context("cannot name it")?;
        Ok(copied)
    });
    let _ = fs::remove_file(&draft);
    let copied = copied.with_context(|| format!("cannot write {}", path.display()))?;
    let what = if is_whole { "that only this node has" } else { "of this node, all that its binary logs hold," };
    log::warn!("{} transactions {what} are saved in {}", copied.transactions, path.display());
    Ok(path.display().to_string())
}

fn fill(draft: &Path, logs: &[PathBuf], is_wanted: impl Fn(&events::Name) -> bool) -> Result<Copied> {
    let _ = fs::remove_file(draft);
    let mut output = BufWriter::new(OpenOptions::new().write(true).create_new(true).mode(0o600).open(draft)?);
    let mut copied = Copied::default();
    for log in logs {
        events::copy(&mut open(log)?, &mut output, &mut copied, &is_wanted)
            .with_context(|| format!("from {}", log.display()))?;
    }
    output.flush()?;
    output.get_ref().sync_all()?;
    Ok(copied)
}

fn open(log: &Path) -> Result<BufReader<File>> {
    let file = File::open(log).with_context(|| format!("cannot read {}", log.display()))?;
    Ok(BufReader::with_capacity(1 << 20, file))
}

/// A name that is not taken: nothing is ever written over.
fn choose_name(dir: &Path, stem: &str) -> PathBuf {
    let mut names = (1..).map(|number| dir.join(format!("{stem}-{number}.binlog")));
    names.find(|path| !path.exists()).unwrap_or_else(|| dir.join(format!("{stem}.binlog")))
}

/// The binary logs, the oldest first.
fn read_index(datadir: &Path, index: &Path) -> Result<Vec<PathBuf>> {
    let index = datadir.join(index);
    let text = fs::read_to_string(&index).with_context(|| format!("cannot read {}", index.display()))?;
    let names = text.lines().map(str::trim).filter(|line| !line.is_empty());
    Ok(names.map(|name| datadir.join(name.strip_prefix("./").unwrap_or(name))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_file_is_ever_written_over() {
        let dir = std::env::temp_dir().join(format!("rustha-divergence-{}", std::process::id()));
        fs::create_dir_all(&dir).expect("made");
        let first = choose_name(&dir, "p_db-db1");
        fs::write(&first, "").expect("written");
        assert_ne!(choose_name(&dir, "p_db-db1"), first);
        fs::remove_dir_all(dir).expect("cleaned up");
    }

    #[test]
    fn names_in_an_index_are_those_of_the_data_directory_unless_they_are_whole() {
        let dir = std::env::temp_dir().join(format!("rustha-index-{}", std::process::id()));
        fs::create_dir_all(&dir).expect("made");
        fs::write(dir.join("b.index"), "./b.000001\n/else/b.000002\n").expect("written");
        let logs = read_index(&dir, Path::new("b.index")).expect("readable");
        assert_eq!(logs, [dir.join("b.000001"), "/else/b.000002".into()]);
        fs::remove_dir_all(dir).expect("cleaned up");
    }
}

//! Creating a missing database (`enable_creation`), such that an interrupted creation is never taken for a database.
//!
//! The vendor's program fills a draft: a directory of ours in the data directory. Once that is whole it gets another
//! name, and what is in it moves up, the directory `mysql`, by which a database is known, last. Whatever of this is
//! killed, the names say where it stood: a draft is removed and begun anew, a whole one is moved up further. Nothing but
//! the draft is ever removed, and nothing that lies in the data directory is written over.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, chown};
use std::path::Path;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use nix::unistd::{Group, User};

use super::node::Node;
use crate::deadline::Deadline;
use crate::exec;
use crate::ocf::exit::OcfError;
use crate::server::dialect::Dialect;
use crate::server::process::Daemon;

/// What is being created. Servers pass over names that begin with a dot.
const DRAFT: &str = ".rustha-creating";

/// What was created, and is not all in its place yet.
const WHOLE: &str = ".rustha-created";

/// The system tables: a data directory without them holds no database.
const SYSTEM: &str = "mysql";

/// Whether there is a database, whole as far as this agent created it.
pub fn has_database(datadir: &Path) -> bool {
    datadir.join(SYSTEM).is_dir()
}

/// Why there is no database, and the ways out, for one that may not be created.
pub fn explain_missing(datadir: &Path) -> String {
    let place = datadir.display();
    match [DRAFT, WHOLE].into_iter().find(|name| datadir.join(name).exists()) {
        Some(left) => format!(
            "the creation of the database in {place} was interrupted: set enable_creation=true to have it done again, or \
             remove {place}/{left} and provision it"
        ),
        None => format!("{place} holds no database: provision it, or set enable_creation=true"),
    }
}

/// Creates the database if there is none; clears up after an earlier creation in any case.
///
/// # Errors
/// When it cannot be created by the deadline, or something lies in its place.
pub fn ensure_database(node: &Node, binary: &Path, user: &User, dialect: Dialect) -> Result<()> {
    let datadir = node.layout.datadir.as_path();
    let (draft, whole) = (datadir.join(DRAFT), datadir.join(WHOLE));
    remove_draft(&draft, node.deadline)?;
    if !has_database(datadir) {
        if !whole.is_dir() {
            log::info!("creating the database in {}", datadir.display());
            let group = Group::from_name(&node.config.group).ok().flatten().map(|group| group.gid.as_raw());
            make_directory(datadir, user, group)?;
            make_directory(&draft, user, group)?;
            fill(node, binary, dialect, &draft)?;
            sync(&draft)?;
            fs::rename(&draft, &whole).with_context(|| format!("cannot rename {}", draft.display()))?;
        }
        move_up(&whole, datadir)?;
        sync(datadir)?;
    }
    // Looked at first: to remove what is not there, too, waits for a disk that hangs.
    if whole.exists()
        && let Err(error) = fs::remove_dir(&whole)
    {
        log::warn!("{} stays: {error}", whole.display());
    }
    Ok(())
}

/// Removes what an interrupted creation left, and ends it first: who killed the agent may have left its program alive.
fn remove_draft(draft: &Path, deadline: Deadline) -> Result<()> {
    if !draft.exists() {
        return Ok(());
    }
    log::warn!("an earlier creation of the database was interrupted: removing {}", draft.display());
    while let Some(program) = Daemon::find(draft) {
        program.signal(Signal::SIGKILL);
        if !program.wait_end(deadline) {
            let why = format!("the interrupted creation (pid {}) does not end by SIGKILL", program.pid);
            return Err(OcfError::generic(why).into());
        }
    }
    fs::remove_dir_all(draft).with_context(|| format!("cannot remove {}", draft.display()))
}

/// Makes a directory that belongs to the server; one that is there stays as it is.
fn make_directory(path: &Path, user: &User, group: Option<u32>) -> Result<()> {
    let make = || match DirBuilder::new().mode(0o750).create(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        other => other.and_then(|()| chown(path, Some(user.uid.as_raw()), group)),
    };
    make().with_context(|| format!("cannot create {}", path.display()))
}

/// Lets the vendor's program create the system tables.
fn fill(node: &Node, binary: &Path, dialect: Dialect, draft: &Path) -> Result<()> {
    let layout = &node.layout;
    let config = layout.config.as_deref().context("a database is created only with an option file")?;
    let (program, args) = dialect.initialise(
        &binary.to_string_lossy(),
        &draft.to_string_lossy(),
        &layout.user,
        &config.to_string_lossy(),
    );
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    exec::run(&program, &args, None, node.deadline)?.success().context("cannot create the database").map(drop)
}

/// Moves everything in `from` to its place.
fn move_up(from: &Path, to: &Path) -> Result<()> {
    let names = plan_moves(&read_names(from)?, &read_names(to)?).map_err(|name| {
        OcfError::generic(format!(
            "the created database cannot be put in its place, since {name} lies there: empty {}",
            to.display()
        ))
    })?;
    for name in names {
        fs::rename(from.join(&name), to.join(&name)).with_context(|| format!("cannot move {name} up"))?;
    }
    Ok(())
}

fn read_names(directory: &Path) -> Result<BTreeSet<String>> {
    let read = || -> std::io::Result<_> {
        fs::read_dir(directory)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    };
    read().with_context(|| format!("cannot read {}", directory.display()))
}

/// In which order the created files are moved up: what makes a database of them last. Or which one cannot be, since
/// something of that name lies there (rename(2) would replace it without a word).
fn plan_moves(created: &BTreeSet<String>, there: &BTreeSet<String>) -> Result<Vec<String>, String> {
    if let Some(name) = created.intersection(there).next() {
        return Err(name.clone());
    }
    let mut names: Vec<String> = created.iter().cloned().collect();
    names.sort_by_key(|name| name == SYSTEM);
    Ok(names)
}

/// What was written is on the disk before the next step says that it is there.
fn sync(directory: &Path) -> Result<()> {
    let file = fs::File::open(directory).with_context(|| format!("cannot open {}", directory.display()))?;
    nix::unistd::syncfs(&file).with_context(|| format!("cannot write {} to the disk", directory.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| name.to_string()).collect()
    }

    #[test]
    fn the_system_tables_are_moved_last() {
        let created = names(&["aria_log_control", "ibdata1", "mysql", "mysql.ibd", "sys", "undo_001"]);
        let planned = plan_moves(&created, &names(&["lost+found", WHOLE])).expect("nothing is in the way");
        assert_eq!(planned.last().map(String::as_str), Some(SYSTEM));
        assert_eq!(planned.len(), created.len());
    }

    #[test]
    fn nothing_that_lies_in_the_data_directory_is_written_over() {
        assert_eq!(plan_moves(&names(&["ibdata1", "mysql"]), &names(&["ibdata1"])), Err("ibdata1".into()));
    }

    #[test]
    fn invariant_6_an_interrupted_creation_is_no_database_and_says_so() {
        let datadir = std::env::temp_dir().join(format!("rustha-create-{}", std::process::id()));
        fs::create_dir_all(datadir.join(DRAFT).join(SYSTEM)).expect("made");
        assert!(!has_database(&datadir));
        assert!(explain_missing(&datadir).contains("was interrupted"));
        remove_draft(&datadir.join(DRAFT), Deadline::after(std::time::Duration::ZERO)).expect("removed");
        assert!(explain_missing(&datadir).contains("holds no database"));
        fs::remove_dir_all(datadir).expect("cleaned up");
    }
}

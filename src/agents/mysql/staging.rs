//! New data for the data directory, such that what an interruption leaves is never taken for a database, and that old data
//! give way only to new data that are whole.
//!
//! A draft is a directory of ours in the data directory. Once it is whole it gets another name, and what is in it moves
//! up, the directory `mysql`, by which a database is known, last. Where there is a database already, that moves away first,
//! into a directory that is kept. Whatever of this is killed, the names say where it stood: a draft is removed and begun
//! anew, a whole one is moved up further. Nothing but a draft, and what an earlier replacement had put away, is ever removed,
//! and nothing that lies in the data directory is written over.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, chown, lchown};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use nix::unistd::{Group, User};

use super::node::Node;
use crate::deadline::Deadline;
use crate::ocf::exit::OcfError;
use crate::server::process::Daemon;
use crate::server::version::Vendor;

/// What is being made. Servers pass over names that begin with a dot.
const DRAFT: &str = ".rustha-creating";

/// The same where a server is to run on it: MySQL finds no table spaces below a directory whose name begins with a dot
/// ("Can't create UNDO tablespace", 9.7), and takes no directory for a database that it has not made. MariaDB does so.
const OPEN_DRAFT: &str = "#rustha-creating";

/// What was made, and waits for the data that it replaces to be put away.
const REPLACEMENT: &str = ".rustha-replacement";

/// What was made, and is not all in its place yet.
const WHOLE: &str = ".rustha-created";

/// The data that were replaced last.
const REPLACED: &str = ".rustha-replaced";

/// The system tables: a data directory without them holds no database.
const SYSTEM: &str = "mysql";

/// Whether there is a database, whole as far as this agent made it.
pub fn has_database(datadir: &Path) -> bool {
    datadir.join(SYSTEM).is_dir()
}

/// Why there is no database, and the ways out, for one that may not be made.
pub fn explain_missing(datadir: &Path) -> String {
    let place = datadir.display();
    match [DRAFT, OPEN_DRAFT].into_iter().find(|name| datadir.join(name).exists()) {
        Some(left) => format!(
            "the creation of the database in {place} was interrupted: set enable_creation=true to have it done again, or \
             remove {place}/{left} and provision it"
        ),
        None => format!(
            "{place} holds no database: set provision=auto to have it copied from another node, or enable_creation=true for \
             the first of a new cluster"
        ),
    }
}

/// The data directory, and whose it is.
pub struct Staging<'a> {
    datadir: &'a Path,
    user: User,
    group: Option<u32>,
}

impl<'a> Staging<'a> {
    /// The one of this instance.
    ///
    /// # Errors
    /// When there is no such OS user.
    pub fn of(node: &'a Node) -> Result<Self> {
        let user = node.os_user()?;
        let group = Group::from_name(&node.config.group).ok().flatten().map(|group| group.gid.as_raw());
        Ok(Self { datadir: &node.layout.datadir, user, group })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.datadir.join(name)
    }

    /// Where the data lie that were replaced last.
    pub fn replaced(&self) -> PathBuf {
        self.path(REPLACED)
    }

    /// An empty draft.
    ///
    /// # Errors
    /// When what is left of an earlier one cannot be removed by the deadline, or this one cannot be made.
    pub fn begin(&self, deadline: Deadline) -> Result<PathBuf> {
        self.begin_at(DRAFT, deadline)
    }

    /// An empty draft on which a server of this vendor can run.
    ///
    /// # Errors
    /// As above.
    pub fn begin_for_server(&self, vendor: Vendor, deadline: Deadline) -> Result<PathBuf> {
        let name = match vendor {
            Vendor::MySql => OPEN_DRAFT,
            Vendor::MariaDb => DRAFT,
        };
        self.begin_at(name, deadline)
    }

    fn begin_at(&self, name: &str, deadline: Deadline) -> Result<PathBuf> {
        let draft = self.path(name);
        self.remove_draft(deadline)?;
        self.make_directory(self.datadir)?;
        self.make_directory(&draft)?;
        Ok(draft)
    }

    /// Removes what an interrupted draft left, and ends it first: who killed the agent may have left its server alive.
    ///
    /// # Errors
    /// When it cannot be removed by the deadline.
    pub fn remove_draft(&self, deadline: Deadline) -> Result<()> {
        // Looked at first: to remove what is not there, too, waits for a disk that hangs.
        let Some(draft) = self.draft() else { return Ok(()) };
        log::warn!("new data that were not whole are left: removing {}", draft.display());
        while let Some(program) = Daemon::find(&draft) {
            program.signal(Signal::SIGKILL);
            if !program.wait_end(deadline) {
                let why = format!("the interrupted creation (pid {}) does not end by SIGKILL", program.pid);
                return Err(OcfError::generic(why).into());
            }
        }
        fs::remove_dir_all(&draft).with_context(|| format!("cannot remove {}", draft.display()))
    }

    fn draft(&self) -> Option<PathBuf> {
        [DRAFT, OPEN_DRAFT].into_iter().map(|name| self.path(name)).find(|path| path.exists())
    }

    /// The draft is whole: it is the server's, and on the disk. Nothing else is changed by that.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn complete(&self) -> Result<()> {
        let draft = self.draft().context("there are no new data")?;
        give(&draft, &self.user, self.group)?;
        sync(&draft)
    }

    /// From now on [`Self::settle`] puts the draft into its place, also after an interruption. No server may run.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn arm(&self) -> Result<()> {
        let draft = self.draft().context("there are no new data")?;
        for name in
            read_names(&draft)?.intersection(&read_names(self.datadir)?).filter(|name| is_kept(name, &draft.join(name)))
        {
            fs::remove_file(draft.join(name))
                .with_context(|| format!("cannot remove {name} from {}", draft.display()))?;
        }
        if !has_database(self.datadir) {
            return rename(&draft, &self.path(WHOLE));
        }
        self.remove_replaced()?;
        rename(&draft, &self.path(REPLACEMENT))?;
        sync(self.datadir)
    }

    /// Removes the data that were replaced last.
    ///
    /// # Errors
    /// When they cannot be removed.
    pub fn remove_replaced(&self) -> Result<()> {
        let replaced = self.replaced();
        if !replaced.exists() {
            return Ok(());
        }
        log::info!("removing the data that were replaced before ({})", replaced.display());
        fs::remove_dir_all(&replaced).with_context(|| format!("cannot remove {}", replaced.display()))
    }

    /// Ends the server that was filling a draft.
    pub fn end_filler(&self) {
        if let Some(program) = self.draft().and_then(|draft| Daemon::find(&draft)) {
            program.signal(Signal::SIGKILL);
        }
    }

    /// Whether there are whole data that are not in their place yet.
    pub fn is_unsettled(&self) -> bool {
        [REPLACEMENT, WHOLE].iter().any(|name| self.path(name).exists())
    }

    /// Puts whole data into their place, if there are any. No server may run.
    ///
    /// # Errors
    /// When something lies there, or cannot be moved away.
    pub fn settle(&self) -> Result<()> {
        let (replacement, whole) = (self.path(REPLACEMENT), self.path(WHOLE));
        if replacement.exists() {
            let replaced = self.replaced();
            log::info!("the old data are put away in {}", replaced.display());
            self.make_directory(&replaced)?;
            let mut names: Vec<String> = read_names(self.datadir)?.into_iter().collect();
            names.retain(|name| !is_kept(name, &self.path(name)));
            // What makes a database of them first: what is left then is none.
            names.sort_by_key(|name| name != SYSTEM);
            names.iter().try_for_each(|name| put_away(&self.path(name), &replaced.join(name)))?;
            rename(&replacement, &whole)?;
            sync(self.datadir)?;
        }
        if !whole.exists() {
            return Ok(());
        }
        if !has_database(self.datadir) {
            move_up(&whole, self.datadir)?;
            sync(self.datadir)?;
        }
        if let Err(error) = fs::remove_dir(&whole) {
            log::warn!("{} stays: {error}", whole.display());
        }
        Ok(())
    }

    /// Makes a directory that belongs to the server; one that is there stays as it is.
    fn make_directory(&self, path: &Path) -> Result<()> {
        let make = || match DirBuilder::new().mode(0o750).create(path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            other => other.and_then(|()| chown(path, Some(self.user.uid.as_raw()), self.group)),
        };
        make().with_context(|| format!("cannot create {}", path.display()))
    }
}

/// What in a data directory is no data, and stays when these are replaced: our own directories, those of the file system,
/// and what people put there: keys, certificates and flags of their tools.
fn is_kept(name: &str, path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let is_peoples = name.starts_with("keyring") || ["pem", "key", "crt", "cert", "flag"].contains(&extension);
    name.starts_with(".rustha-") || name == "lost+found" || (is_peoples && path.is_file())
}

/// What the agent notes beside the data is written over: an action may have noted something for data that were being moved.
fn is_note(name: &str) -> bool {
    name.starts_with("rustha.")
}

/// Moves everything in `from` to its place.
fn move_up(from: &Path, to: &Path) -> Result<()> {
    let planned = plan_moves(&read_names(from)?, &read_names(to)?).map_err(|name| {
        OcfError::generic(format!(
            "the new data in {} cannot be put in their place, since {name} lies there: move it away",
            from.display()
        ))
    })?;
    planned.iter().try_for_each(|name| rename(&from.join(name), &to.join(name)))
}

/// In which order files are moved up: what makes a database of them last. Or which one cannot be, since something of that
/// name lies there (rename(2) would replace it without a word).
fn plan_moves(moved: &BTreeSet<String>, there: &BTreeSet<String>) -> Result<Vec<String>, String> {
    if let Some(name) = moved.intersection(there).find(|name| !is_note(name)) {
        return Err(name.clone());
    }
    let mut names: Vec<String> = moved.iter().cloned().collect();
    names.sort_by_key(|name| name == SYSTEM);
    Ok(names)
}

/// Moves a file or a directory into a directory of ours. One that cannot be moved as a whole (overlayfs has directories
/// that are of another layer: EXDEV), or was so in part, is moved file by file.
fn put_away(from: &Path, to: &Path) -> Result<()> {
    let is_again = from.file_name().is_some_and(|name| is_note(&name.to_string_lossy()));
    let is_in_part = to.exists() && !is_again;
    if !is_in_part {
        match fs::rename(from, to) {
            Err(error) if error.kind() == ErrorKind::CrossesDevices && from.is_dir() => {}
            other => {
                return other.with_context(|| format!("cannot move {} to {}", from.display(), to.display()));
            }
        }
    }
    let copy = || -> std::io::Result<()> {
        let metadata = fs::symlink_metadata(from)?;
        if !metadata.is_dir() {
            return Err(ErrorKind::AlreadyExists.into());
        }
        if !is_in_part {
            DirBuilder::new().mode(metadata.mode() & 0o7777).create(to)?;
            chown(to, Some(metadata.uid()), Some(metadata.gid()))?;
        }
        Ok(())
    };
    copy().with_context(|| format!("cannot move {} to {}", from.display(), to.display()))?;
    for name in read_names(from)? {
        put_away(&from.join(&name), &to.join(&name))?;
    }
    fs::remove_dir(from).with_context(|| format!("cannot remove {}", from.display()))
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).with_context(|| format!("cannot rename {} to {}", from.display(), to.display()))
}

fn read_names(directory: &Path) -> Result<BTreeSet<String>> {
    let read = || -> std::io::Result<_> {
        fs::read_dir(directory)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    };
    read().with_context(|| format!("cannot read {}", directory.display()))
}

/// Gives everything below this directory to the server.
fn give(directory: &Path, user: &User, group: Option<u32>) -> Result<()> {
    for entry in fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))? {
        let entry = entry?;
        lchown(entry.path(), Some(user.uid.as_raw()), group)
            .with_context(|| format!("cannot give {} to {}", entry.path().display(), user.name))?;
        if entry.file_type()?.is_dir() {
            give(&entry.path(), user, group)?;
        }
    }
    Ok(())
}

/// What was written is on the disk before the next step says that it is there.
fn sync(directory: &Path) -> Result<()> {
    let file = fs::File::open(directory).with_context(|| format!("cannot open {}", directory.display()))?;
    nix::unistd::syncfs(&file).with_context(|| format!("cannot write {} to the disk", directory.display()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| name.to_string()).collect()
    }

    #[test]
    fn the_system_tables_are_moved_up_last() {
        let created = names(&["aria_log_control", "ibdata1", "mysql", "mysql.ibd", "sys", "undo_001"]);
        let there = names(&["lost+found", WHOLE]);
        let planned = plan_moves(&created, &there).expect("nothing is in the way");
        assert_eq!(planned.last().map(String::as_str), Some(SYSTEM));
        assert_eq!(planned.len(), created.len());
    }

    #[test]
    fn nothing_that_lies_in_the_data_directory_is_written_over() {
        let planned = plan_moves(&names(&["ibdata1", "mysql"]), &names(&["ibdata1"]));
        assert_eq!(planned, Err("ibdata1".into()));
    }

    /// A data directory of the user who runs the tests.
    struct Bed {
        datadir: PathBuf,
        user: User,
    }

    impl Bed {
        fn new(name: &str) -> Self {
            let datadir = std::env::temp_dir().join(format!("rustha-staging-{name}-{}", std::process::id()));
            fs::create_dir_all(&datadir).expect("made");
            let user = User::from_uid(nix::unistd::getuid()).expect("readable").expect("there");
            Self { datadir, user }
        }

        fn staging(&self) -> Staging<'_> {
            Staging { datadir: &self.datadir, user: self.user.clone(), group: None }
        }

        fn draft(&self, content: &str) {
            let draft = self.staging().begin(Deadline::after(Duration::from_secs(5))).expect("made");
            fs::create_dir(draft.join(SYSTEM)).expect("made");
            fs::write(draft.join("ibdata1"), content).expect("written");
            fs::write(draft.join("ca.pem"), content).expect("written");
        }

        fn read(&self, name: &str) -> Option<String> {
            fs::read_to_string(self.datadir.join(name)).ok()
        }
    }

    impl Drop for Bed {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.datadir);
        }
    }

    #[test]
    fn invariant_6_an_interrupted_creation_is_no_database_and_says_so() {
        let bed = Bed::new("interrupted");
        bed.draft("new");
        assert!(!has_database(&bed.datadir) && !bed.staging().is_unsettled());
        assert!(explain_missing(&bed.datadir).contains("was interrupted"));
        bed.staging().remove_draft(Deadline::after(Duration::ZERO)).expect("removed");
        assert!(explain_missing(&bed.datadir).contains("holds no database"));
    }

    #[test]
    fn old_data_give_way_to_whole_new_ones_and_are_kept_and_so_is_what_is_no_data() {
        let bed = Bed::new("replaced");
        for content in ["first", "second", "third"] {
            bed.draft(content);
            bed.staging().complete().and_then(|()| bed.staging().arm()).expect("whole");
            bed.staging().settle().expect("in its place");
            assert_eq!(bed.read("ibdata1").as_deref(), Some(content));
            assert!(has_database(&bed.datadir) && !bed.staging().is_unsettled());
        }
        assert_eq!(bed.read("ca.pem").as_deref(), Some("first"));
        assert_eq!(bed.read(&format!("{REPLACED}/ibdata1")).as_deref(), Some("second"));
    }

    #[test]
    fn invariant_6_a_replacement_that_is_interrupted_anywhere_goes_on() {
        for done in 0..5 {
            let bed = Bed::new(&format!("killed-{done}"));
            bed.draft("old");
            bed.staging().arm().and_then(|()| bed.staging().settle()).expect("in its place");
            bed.draft("new");
            bed.staging().complete().and_then(|()| bed.staging().arm()).expect("whole");
            // As an action that comes now may do.
            fs::write(bed.datadir.join("rustha.epoch"), "7").expect("written");
            let step = |name: &str, to: &str| rename(&bed.datadir.join(name), &bed.datadir.join(to)).expect("moved");
            if done > 0 {
                // In part: as where a directory cannot be moved as a whole.
                fs::create_dir_all(bed.datadir.join(REPLACED).join(SYSTEM)).expect("made");
                fs::write(bed.datadir.join(SYSTEM).join("db.frm"), "").expect("written");
            }
            if done > 1 {
                put_away(&bed.datadir.join(SYSTEM), &bed.datadir.join(REPLACED).join(SYSTEM)).expect("moved");
            }
            if done > 2 {
                step("ibdata1", &format!("{REPLACED}/ibdata1"));
                step(REPLACEMENT, WHOLE);
            }
            if done > 3 {
                step(&format!("{WHOLE}/ibdata1"), "ibdata1");
            }
            bed.staging().settle().expect("in its place");
            assert_eq!(bed.read("ibdata1").as_deref(), Some("new"), "interrupted after {done}");
            assert_eq!(bed.read(&format!("{REPLACED}/ibdata1")).as_deref(), Some("old"));
            assert!(has_database(&bed.datadir) && !bed.staging().is_unsettled());
        }
    }
}

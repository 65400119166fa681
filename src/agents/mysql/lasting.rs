//! What is kept in the data directory, because it belongs to the data and must survive a reboot: the newest promotion
//! that these data have seen, and how the server was shut down last.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};

/// The files of one data directory.
pub struct Lasting {
    datadir: PathBuf,
}

/// How a server was shut down cleanly: its next start is the same life, if it has the same transactions then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CleanEnd {
    /// The life that ended.
    pub life: String,
    /// Everything that it had committed, and there was nothing that it had received besides.
    pub executed: String,
}

/// What data hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The transactions.
    pub executed: String,
    /// What their server takes them for, if that is known; if it takes them for anything else by now, it was told already.
    pub instead_of: Option<String>,
    /// MariaDB: a `gtid_binlog_state` for it.
    pub earlier: Option<String>,
}

/// How the lines of a note begin after the first one.
const INSTEAD: &str = "instead of ";
const EARLIER: &str = "state ";

impl Lasting {
    /// Those of this data directory.
    pub fn of(datadir: &Path) -> Self {
        Self { datadir: datadir.to_path_buf() }
    }

    /// The newest promotion of which these data hold something; 0: none.
    ///
    /// # Errors
    /// When the file is there and cannot be read: what it says must not be taken for 0.
    pub fn epoch(&self) -> Result<u64> {
        let path = self.epoch_file();
        match fs::read_to_string(&path) {
            Ok(text) => text.trim().parse().with_context(|| format!("{} does not hold a number", path.display())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// Notes a promotion, before anything of it is received.
    ///
    /// # Errors
    /// When it cannot be written to the disk.
    pub fn note_epoch(&self, epoch: u64) -> Result<()> {
        write_durably(&self.epoch_file(), &epoch.to_string())
    }

    /// Notes a clean shutdown.
    ///
    /// # Errors
    /// When it cannot be written to the disk.
    pub fn note_clean_end(&self, end: &CleanEnd) -> Result<()> {
        write_durably(&self.end_file(), &format!("{} {}", end.life, end.executed))
    }

    /// Takes the note of the last shutdown away, before the server is started; what it said.
    ///
    /// # Errors
    /// When it is there and cannot be removed: a later start must not believe it.
    pub fn take_clean_end(&self) -> Result<Option<CleanEnd>> {
        let path = self.end_file();
        let text = fs::read_to_string(&path).ok();
        remove(&path)?;
        let parse = |text: String| {
            let (life, executed) = text.split_once(' ')?;
            Some(CleanEnd { life: life.to_string(), executed: executed.trim().to_string() })
        };
        Ok(text.and_then(parse))
    }

    /// Notes that these data are none: an empty database, made so that there is a server to be provisioned.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn note_placeholder(&self) -> Result<()> {
        write_durably(&self.placeholder_file(), "")
    }

    /// Whether these data are none.
    pub fn is_placeholder(&self) -> bool {
        self.placeholder_file().exists()
    }

    /// From now on an empty database is one: a new cluster begins with it.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn forget_placeholder(&self) -> Result<()> {
        remove(&self.placeholder_file())
    }

    /// Notes what these data hold: their server does not know it before it is told.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn note_position(&self, position: &Position) -> Result<()> {
        let Position { executed, instead_of, earlier } = position;
        let line =
            |name: &str, value: &Option<String>| value.as_ref().map_or(String::new(), |it| format!("{name}{it}\n"));
        let text = format!("{executed}\n{}{}", line(INSTEAD, instead_of), line(EARLIER, earlier));
        write_durably(&self.position_file(), &text)
    }

    /// What the server is still to be told that these data hold.
    ///
    /// # Errors
    /// When the note cannot be read.
    pub fn position(&self) -> Result<Option<Position>> {
        let path = self.position_file();
        match fs::read_to_string(&path) {
            Ok(text) => {
                let line = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::to_string);
                let executed = text.lines().next().unwrap_or_default().to_string();
                Ok(Some(Position { executed, instead_of: line(INSTEAD), earlier: line(EARLIER) }))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// The server was told. It is never told again, not even after a power failure: it may have received more by then.
    ///
    /// # Errors
    /// When the note cannot be removed.
    pub fn forget_position(&self) -> Result<()> {
        remove(&self.position_file())?;
        fs::File::open(&self.datadir).and_then(|dir| dir.sync_all()).context("cannot sync the data directory")
    }

    fn placeholder_file(&self) -> PathBuf {
        self.datadir.join("rustha.placeholder")
    }

    fn position_file(&self) -> PathBuf {
        self.datadir.join("rustha.position")
    }

    fn epoch_file(&self) -> PathBuf {
        self.datadir.join("rustha.epoch")
    }

    fn end_file(&self) -> PathBuf {
        self.datadir.join("rustha.end")
    }
}

/// Whole or not at all, and there after a power failure.
fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

fn write_durably(path: &Path, text: &str) -> Result<()> {
    // Several threads of the guard write here, and actions.
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let draft = path.with_added_extension(format!("draft{}-{number}", std::process::id()));
    let write = || -> std::io::Result<()> {
        let mut file = fs::File::create(&draft)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&draft, path)?;
        path.parent().map_or(Ok(()), |dir| fs::File::open(dir)?.sync_all())
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_a_directory(name: &str, test: impl FnOnce(&Lasting, &Path)) {
        let dir = std::env::temp_dir().join(format!("rustha-lasting-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).expect("created");
        test(&Lasting::of(&dir), &dir);
        fs::remove_dir_all(dir).expect("cleaned up");
    }

    #[test]
    fn objection_4_the_newest_promotion_is_remembered_and_a_broken_note_is_not_taken_for_none() {
        in_a_directory("epoch", |lasting, dir| {
            assert_eq!(lasting.epoch().expect("none yet"), 0);
            lasting.note_epoch(7).expect("written");
            assert_eq!(lasting.epoch().expect("readable"), 7);
            fs::write(dir.join("rustha.epoch"), "x").expect("written");
            assert!(lasting.epoch().is_err());
        });
    }

    #[test]
    fn a_clean_end_is_believed_once() {
        in_a_directory("end", |lasting, _| {
            let end = CleanEnd { life: "a1".into(), executed: "0-1-7".into() };
            lasting.note_clean_end(&end).expect("written");
            assert_eq!(lasting.take_clean_end().expect("readable"), Some(end));
            assert_eq!(lasting.take_clean_end().expect("none"), None);
        });
    }

    #[test]
    fn a_position_is_read_as_it_was_noted() {
        in_a_directory("position", |lasting, _| {
            assert_eq!(lasting.position().expect("readable"), None);
            let plain = Position { executed: "0-1-7,1-2-9".into(), instead_of: None, earlier: None };
            let state = Some("0-2-5,0-1-7".to_string());
            let whole = Position { executed: String::new(), instead_of: Some("0-3-1".into()), earlier: state };
            for position in [plain, whole] {
                lasting.note_position(&position).expect("written");
                assert_eq!(lasting.position().expect("readable"), Some(position));
            }
            lasting.forget_position().expect("removed");
            assert_eq!(lasting.position().expect("readable"), None);
        });
    }
}

//! A small file in which an agent keeps something between its actions: there as a whole or not at all, whoever is killed.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::Path;

use anyhow::{Context, Result};

/// Writes it, in place of an earlier one, with the folder that it is in.
///
/// # Errors
/// When it cannot be written: then the earlier one is still there.
pub fn write(path: &Path, text: &str) -> Result<()> {
    let draft = path.with_added_extension("draft");
    let write = || -> std::io::Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut file = fs::File::create(&draft)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&draft, path)
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// Removes it; that there is none is no error.
///
/// # Errors
/// When it is there and cannot be removed.
pub fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_text_is_there_until_it_is_removed_and_removing_twice_is_no_error() {
        let folder = std::env::temp_dir().join(format!("rustha-state-{}", std::process::id()));
        let path = folder.join("below").join("it is here.txt");
        write(&path, "one").and_then(|()| write(&path, "two")).expect("written");
        assert_eq!(fs::read_to_string(&path).expect("readable"), "two");
        remove(&path).and_then(|()| remove(&path)).expect("removed");
        assert!(!path.exists());
        fs::write(folder.join("file"), "").expect("written");
        assert!(write(&folder.join("file").join("x"), "").is_err(), "that is no folder");
        fs::remove_dir_all(folder).expect("cleaned up");
    }
}

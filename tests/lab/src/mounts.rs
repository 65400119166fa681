//! Mounts: made with system calls, never left on the host where a private namespace will do.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context, Result, anyhow};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};

/// Runs `work` in a mount namespace of its own, in which nothing it mounts is seen by the host, and which
/// ends with it, however it ends. A namespace belongs to a thread, so the work has one; the programs it
/// starts inherit it.
pub fn in_private_namespace<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNS).context("cannot make a mount namespace")?;
            make_private()?;
            work()
        });
        thread.join().unwrap_or_else(|_| Err(anyhow!("the work in a mount namespace panicked")))
    })
}

/// Stops mounts made in this namespace from spreading to the one it was copied from.
pub fn make_private() -> Result<()> {
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
        .context("cannot make the mounts private")
}

/// Mounts a file system that has no device.
pub fn mount_virtual(kind: &str, at: &Path, options: &str) -> Result<()> {
    mount(Some(kind), at, Some(kind), MsFlags::empty(), Some(options))
        .with_context(|| format!("cannot mount {kind} on {} ({options})", at.display()))
}

/// Changes the size of a mounted tmpfs.
pub fn resize_tmpfs(at: &Path, bytes: u64) -> Result<()> {
    mount(None::<&str>, at, None::<&str>, MsFlags::MS_REMOUNT, Some(format!("size={bytes}").as_str()))
        .with_context(|| format!("cannot resize {} to {bytes} bytes", at.display()))
}

/// Shows a directory (with what is mounted below it) or a file at a second place.
pub fn bind(from: &Path, to: &Path) -> Result<()> {
    mount(Some(from), to, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>)
        .with_context(|| format!("cannot bind {} to {}", from.display(), to.display()))
}

/// Mounts an overlay. `lower`: the topmost first.
pub fn mount_overlay(lower: &[PathBuf], upper: &Path, work: &Path, at: &Path) -> Result<()> {
    let lower: Vec<_> = lower.iter().map(|layer| layer.to_string_lossy()).collect();
    let options = format!("lowerdir={},upperdir={},workdir={}", lower.join(":"), upper.display(), work.display());
    mount_virtual("overlay", at, &options)
}

/// The places below `directory` (itself included) where something is mounted, the innermost first.
pub fn mounted_below(directory: &Path) -> Result<Vec<PathBuf>> {
    let table = fs::read_to_string("/proc/self/mountinfo").context("cannot read the mount table")?;
    let mut places: Vec<_> = parse_mount_points(&table).into_iter().filter(|p| p.starts_with(directory)).collect();
    places.reverse();
    Ok(places)
}

/// Unmounts all there is at and below `directory`.
pub fn unmount_below(directory: &Path) -> Result<()> {
    for place in mounted_below(directory)? {
        umount2(&place, MntFlags::MNT_DETACH).with_context(|| format!("cannot unmount {}", place.display()))?;
    }
    Ok(())
}

/// Removes a directory and all in it; refuses while something is mounted below, which it would empty.
pub fn remove_tree(directory: &Path) -> Result<()> {
    if let Some(place) = mounted_below(directory)?.first() {
        return Err(anyhow!("{} is still mounted; not removing {}", place.display(), directory.display()));
    }
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other.with_context(|| format!("cannot remove {}", directory.display())),
    }
}

fn parse_mount_points(table: &str) -> Vec<PathBuf> {
    // The kernel writes a space in a path as \040; the lab's own paths have none, so others do not matter.
    table.lines().filter_map(|line| line.split(' ').nth(4)).map(|path| path.replace("\\040", " ").into()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mount_point_is_the_fifth_word() {
        let table = "22 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n40 22 0:36 / /run/a\\040b rw - tmpfs t rw\n";
        assert_eq!(parse_mount_points(table), [PathBuf::from("/"), PathBuf::from("/run/a b")]);
    }
}

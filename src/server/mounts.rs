//! Is the file system there on which a directory is to be? An empty mount point looks like an empty directory.

use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

/// What is mounted when the machine starts (fstab(5)).
const TO_MOUNT: &str = "/etc/fstab";
/// What is mounted now (proc_pid_mounts(5)).
const MOUNTED: &str = "/proc/self/mounts";

/// The mount point on the way to `directory` whose file system is to be there after the start of this machine, and is not.
pub fn find_missing(directory: &Path) -> Option<PathBuf> {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    missing(&resolve(directory), &read(TO_MOUNT), &read(MOUNTED))
}

/// As the kernel names it, that is without symbolic links; what does not exist has none.
fn resolve(path: &Path) -> PathBuf {
    let mut existing = path.ancestors().filter_map(|one| Some((one, one.canonicalize().ok()?)));
    existing.next().map_or_else(
        || path.to_path_buf(),
        |(one, resolved)| {
            resolved.components().chain(path.strip_prefix(one).into_iter().flatten().map(Component::Normal)).collect()
        },
    )
}

fn missing(directory: &Path, to_mount: &str, mounted: &str) -> Option<PathBuf> {
    let is_there = |point: &Path| mounted.lines().filter_map(parse).any(|(there, _)| there == point);
    let wanted =
        to_mount.lines().filter_map(parse).filter(|(_, options)| !options.split(',').any(|one| one == "noauto"));
    let mut points: Vec<PathBuf> =
        wanted.map(|(point, _)| resolve(&point)).filter(|point| directory.starts_with(point)).collect();
    points.sort();
    points.into_iter().find(|point| !is_there(point))
}

/// Mount point and options of a line; both files have the same form. Swap has no mount point.
fn parse(line: &str) -> Option<(PathBuf, &str)> {
    let mut fields = line.split_whitespace().take_while(|field| !field.starts_with('#'));
    let (point, options) = (fields.nth(1)?, fields.nth(1)?);
    point.starts_with('/').then(|| (unescape(point), options))
}

/// Spaces and the like are written as a backslash and three octal digits.
fn unescape(field: &str) -> PathBuf {
    let mut name = Vec::new();
    let mut rest = field.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = after.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 8).ok()).filter(|_| *first == b'\\') {
            Some(byte) => {
                name.push(byte);
                rest = &after[3..];
            }
            None => {
                name.push(*first);
                rest = after;
            }
        }
    }
    std::ffi::OsString::from_vec(name).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TO_MOUNT: &str = "# a comment\nUUID=1 / ext4 defaults 0 1\nUUID=2 none swap sw 0 0\n\
                            /dev/sdb1 /srv/my\\040data xfs noatime 0 2\n/dev/sdc1 /backup xfs noauto,ro 0 2\n";

    #[test]
    fn a_file_system_that_should_be_there_and_is_not_is_named() {
        let root = "/dev/sda1 / ext4 rw 0 0\n";
        let both = format!("{root}/dev/sdb1 /srv/my\\040data xfs rw 0 0\n");
        let datadir = Path::new("/srv/my data/mysql");
        assert_eq!(missing(datadir, TO_MOUNT, root), Some("/srv/my data".into()));
        assert_eq!(missing(datadir, TO_MOUNT, &both), None);
        assert_eq!(missing(Path::new("/var/lib/mysql"), TO_MOUNT, root), None);
        assert_eq!(missing(Path::new("/backup/mysql"), TO_MOUNT, root), None, "noauto is mounted by somebody else");
        assert_eq!(missing(datadir, "", root), None, "no fstab at all");
        assert_eq!(resolve(Path::new("/proc/self/../no such/directory")), Path::new("/proc/no such/directory"));
    }
}

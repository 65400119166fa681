//! Prepares the data directory every node starts with: the package's own, with the lab's accounts in it.
//! It becomes a layer of its own over the system, so a change of an account costs seconds, not minutes.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::progress::Progress;
use super::{Root, cache, recipe};
use crate::mounts;
use crate::process::Program;

pub(super) fn prepare(root: Root) -> Result<()> {
    let partial = root.place(".server.partial");
    mounts::remove_tree(&partial)?;
    let data = partial.join("layer/var/lib/mysql");
    fs::create_dir_all(partial.join("layer/var/lib"))?;
    let copy = ["cp".into(), "-a".into(), root.place("").join("data"), data.clone()];
    Program::new(copy).run()?;
    let mut progress = Progress::start(&format!("{root} server"), &cache().join(format!("{root}.server.log")))?;
    mounts::in_private_namespace(|| create_accounts(root, &data, &mut progress))?;
    // Every server makes itself an identity where it finds none; three equal ones do not replicate.
    remove_if_there(&data.join("auto.cnf"))?;
    fs::write(partial.join("stamp"), recipe::server(root))?;
    mounts::remove_tree(&root.place(".server"))?;
    fs::rename(&partial, root.place(".server")).context("cannot put the prepared server in its place")?;
    progress.done();
    Ok(())
}

fn create_accounts(root: Root, data: &Path, progress: &mut Progress) -> Result<()> {
    let system = root.place("").join("root");
    mounts::bind(data, &system.join("var/lib/mysql"))?;
    mounts::mount_virtual("proc", &system.join("proc"), "")?;
    mounts::bind(Path::new("/dev"), &system.join("dev"))?;
    mounts::mount_virtual("tmpfs", &system.join("tmp"), "mode=1777")?;
    mounts::mount_virtual("tmpfs", &system.join("run"), "mode=755")?;
    let run = system.join("run/mysqld");
    fs::create_dir(&run)?;
    let owner = fs::metadata(data)?;
    chown(&run, Some(owner.uid()), Some(owner.gid()))?;
    fs::write(run.join("accounts.sql"), recipe::ACCOUNTS)?;
    let argv = [
        "chroot".to_owned(),
        system.display().to_string(),
        root.vendor().daemon().into(),
        "--user=mysql".into(),
        "--skip-networking".into(),
        "--skip-log-bin".into(),
        "--log-error=/run/mysqld/error.log".into(),
        format!("--{}", root.vendor().redo_log()),
        "--init-file=/run/mysqld/accounts.sql".into(),
    ];
    let server = Program::new(argv).clean_env().limit(Duration::from_secs(120));
    let result = progress.stage("creating the accounts", 1, &server);
    let log = fs::read_to_string(run.join("error.log")).unwrap_or_default();
    result.with_context(|| format!("the server's log:\n{log}"))?;
    // MariaDB goes on after a statement that failed.
    ensure!(!log.contains("ERROR"), "a statement failed; the server's log:\n{log}");
    Ok(())
}

fn remove_if_there(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

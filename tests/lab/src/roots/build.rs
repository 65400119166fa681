//! Builds a system with debootstrap and apt, in a place that becomes valid only by its last step, a rename.
//! Mounts are made in a private namespace: a build that is interrupted leaves none on the host.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use super::progress::Progress;
use super::{Root, apt, cache, recipe};
use crate::mounts;
use crate::process::Program;

const LONG: Duration = Duration::from_secs(20 * 60);
const SCRIPTS: &str = "/usr/share/debootstrap/scripts";

pub(super) fn system(root: Root) -> Result<()> {
    let partial = root.place(".partial");
    mounts::remove_tree(&partial)?;
    fs::create_dir_all(partial.join("root"))?;
    let mut progress = Progress::start(root.name(), &cache().join(format!("{root}.log")))?;
    mounts::in_private_namespace(|| {
        let system = partial.join("root");
        unpack_base(root, &system, &mut progress)?;
        install_packages(root, &system, &mut progress)
    })?;
    set_data_aside(&partial)?;
    fs::write(partial.join("stamp"), recipe::system(root))?;
    mounts::remove_tree(&root.place(""))?;
    fs::rename(&partial, root.place("")).context("cannot put the finished root file system in its place")?;
    progress.done();
    Ok(())
}

fn unpack_base(root: Root, system: &Path, progress: &mut Progress) -> Result<()> {
    let mut argv = vec!["debootstrap".to_owned(), "--variant=minbase".into(), root.suite().into()];
    argv.push(system.display().to_string());
    argv.extend(apt::read_mirror());
    // A debootstrap older than the suite has no script of its name; all Debian suites share sid's.
    if !Path::new(SCRIPTS).join(root.suite()).exists() {
        if apt::read_mirror().is_none() {
            argv.push(String::new()); // an empty mirror is debootstrap's own default
        }
        argv.push(format!("{SCRIPTS}/sid"));
    }
    progress.stage("unpacking the base system", 400, &Program::new(argv).env("LC_ALL", "C").limit(LONG)).context(
        "if it complains of an unknown key, the host's package debian-archive-keyring is older than the suite: upgrade it",
    )
}

fn install_packages(root: Root, system: &Path, progress: &mut Progress) -> Result<()> {
    // Maintainer scripts need both: the servers' ones read /proc and write to /dev/null.
    mounts::mount_virtual("proc", &system.join("proc"), "")?;
    mounts::bind(Path::new("/dev"), &system.join("dev"))?;
    let policy = system.join("usr/sbin/policy-rc.d");
    fs::write(&policy, "#!/bin/sh\n# Nothing is started by its installation.\nexit 101\n")?;
    fs::set_permissions(&policy, Permissions::from_mode(0o755))?;
    // The build starts over when it is interrupted, so it need not survive a power cut.
    fs::write(system.join("etc/dpkg/dpkg.cfg.d/rustha-lab"), "force-unsafe-io\npath-exclude=/usr/share/doc/*\n")?;
    fs::write(system.join("etc/apt/apt.conf.d/99rustha-lab"), apt::read_settings())?;
    progress.stage("reading the package lists", 10, &inside(system, &["apt-get", "update"]))?;
    let mut argv = vec!["apt-get", "install", "--yes", "--no-install-recommends"];
    argv.extend(root.packages());
    progress.stage("installing the packages", 900, &inside(system, &argv))?;
    progress.stage("removing the downloads", 1, &inside(system, &["apt-get", "clean"]))
}

fn inside(system: &Path, argv: &[&str]) -> Program {
    let chroot = ["chroot".to_owned(), system.display().to_string()];
    let program = Program::new(chroot.into_iter().chain(argv.iter().map(|word| (*word).to_owned())));
    let mut program = program.clean_env().env("LC_ALL", "C.UTF-8").env("DEBIAN_FRONTEND", "noninteractive").limit(LONG);
    for name in ["http_proxy", "https_proxy", "no_proxy"] {
        if let Ok(value) = std::env::var(name) {
            program = program.env(name, &value);
        }
    }
    program
}

/// Moves the data directory the package made out of the system, which keeps an empty one: a server's own
/// layer goes over it, and files of an older redo log must not shine through.
fn set_data_aside(partial: &Path) -> Result<()> {
    let data = partial.join("root/var/lib/mysql");
    fs::metadata(data.join("mysql")).context("the server's package did not initialise its data directory")?;
    let owner = fs::metadata(&data)?;
    fs::rename(&data, partial.join("data")).context("cannot set the data directory aside")?;
    fs::create_dir(&data)?;
    fs::set_permissions(&data, owner.permissions())?;
    chown(&data, Some(owner.uid()), Some(owner.gid())).context("cannot give the data directory to the server")
}

//! What the lab needs of the machine it runs on: to be root, and a few tools. It gets both by itself where
//! it can, and says what it does.

use std::env;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::unistd::geteuid;

use crate::process::Program;

/// The tools, each with the Debian package that carries it.
const TOOLS: [(&str, &str); 8] = [
    ("debootstrap", "debootstrap"),
    ("ip", "iproute2"),
    ("nsenter", "util-linux"),
    ("setsid", "util-linux"),
    ("fsfreeze", "util-linux"),
    ("losetup", "mount"),
    ("mkfs.ext4", "e2fsprogs"),
    ("cp", "coreutils"),
];

/// What of the environment goes along through sudo, which drops most of it.
const KEPT: [&str; 6] = ["PATH", "HOME", "CARGO", "CARGO_HOME", "RUSTUP_HOME", "CARGO_TARGET_DIR"];

/// Goes on as root: at once, or by starting this command again through sudo.
pub fn become_root() -> Result<()> {
    if geteuid().is_root() {
        return Ok(());
    }
    if find_tool("sudo").is_none() {
        bail!("the lab makes namespaces and mounts, so it must run as root, and there is no sudo here: run it as root");
    }
    eprintln!("The lab makes namespaces and mounts: going on as root, through sudo.");
    let mut argv = vec!["sudo".into(), "env".into()];
    for name in KEPT.iter().chain(&["RUSTHA_LAB_CACHE"]) {
        if let Ok(value) = env::var(name) {
            argv.push(format!("{name}={value}").into());
        }
    }
    argv.push(env::current_exe().context("cannot find this program's own file")?.into_os_string());
    argv.extend(env::args_os().skip(1));
    Err(Program::new(argv).become_it())
}

/// Makes sure that the tools are there; installs what is missing where there is apt.
pub fn ensure_tools() -> Result<()> {
    let mut missing: Vec<_> = TOOLS.iter().filter(|(tool, _)| find_tool(tool).is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    missing.dedup_by_key(|(_, package)| *package);
    let packages: Vec<_> = missing.iter().map(|(_, package)| *package).collect();
    let tools: Vec<_> = missing.iter().map(|(tool, _)| *tool).collect();
    if find_tool("apt-get").is_none() {
        bail!("the lab needs {}, which this machine lacks: install them and try again", tools.join(", "));
    }
    eprintln!("The lab needs {}: installing {}.", tools.join(", "), packages.join(", "));
    let install = [&["apt-get", "install", "--yes", "--no-install-recommends"], &packages[..]].concat();
    let apt = |argv: &[&str]| {
        Program::new(argv).env("DEBIAN_FRONTEND", "noninteractive").limit(Duration::from_secs(600)).run()
    };
    // A machine that never updated its package lists knows no packages at all.
    apt(&install).or_else(|_| apt(&["apt-get", "update"]).and_then(|_| apt(&install))).map(drop)
}

/// A path given in the environment; an empty one counts as none.
pub fn path_from_env(name: &str) -> Option<PathBuf> {
    env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// The unprivileged user this was started by through sudo: what is built is built as that user.
pub fn invoking_user() -> Option<(u32, u32)> {
    let id = |name| env::var(name).ok()?.parse().ok();
    Some((id("SUDO_UID")?, id("SUDO_GID")?))
}

fn find_tool(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|p| p.join(name))
        .find(|p| is_program(p))
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

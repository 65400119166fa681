//! `rustha-lab node-init`: a node's first process. Makes the machine (mounts, host name), starts Corosync and
//! Pacemaker, and reaps: daemons become its children. It restarts nothing by itself; SIGUSR1 asks it to start
//! what does not run.

use std::fs::{self, File, Permissions, read_to_string};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::thread;

use anyhow::{Context, Result};
use nix::mount::{MntFlags, umount2};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{chdir, dup2_stdout, pivot_root, sethostname, setsid};

use super::Node;
use super::boot::find;
use super::stack::Stack;
use crate::layer::{FIRST_CIB, make_directory};
use crate::mounts::{self, mount_virtual};

/// What the first process says when programs can be run in the node.
pub(super) const READY: &str = "ready";

/// Is a node's first process; returns only if the machine cannot be made.
pub fn init(lab: &str, name: &str) -> Result<()> {
    setsid().context("cannot leave the session of who switched the node on")?;
    let signals = block_signals()?;
    make_machine(&find(lab, name)?)?;
    make_directories()?;
    start_syslog()?;
    println!("{READY}");
    // From here on, both streams go to the console; whoever reads the pipe sees its end.
    dup2_stdout(std::io::stderr())?;
    serve(signals)
}

/// Before any thread exists, so that no thread takes a signal the loop waits for.
fn block_signals() -> Result<SigSet> {
    let signals = SigSet::from_iter([Signal::SIGCHLD, Signal::SIGUSR1]);
    signals.thread_block().context("cannot block signals")?;
    Ok(signals)
}

fn serve(signals: SigSet) -> ! {
    let mut stack = Stack::default();
    stack.start_missing();
    loop {
        if let Ok(Signal::SIGUSR1) = signals.wait() {
            stack.start_missing();
        }
        while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            let (WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, ..)) = status else {
                break;
            };
            stack.forget(pid);
        }
    }
}

fn make_machine(node: &Node) -> Result<()> {
    sethostname(node.name()).context("cannot set the host name")?;
    mounts::make_private()?;
    let root = node.mount_point();
    let mut lower = vec![node.layout.layer()];
    lower.extend(node.record.root.layers());
    mounts::mount_overlay(&lower, &node.upper(), &node.layout.disk(node.name()).join("work"), &root)?;
    mount_virtual("proc", &root.join("proc"), "")?;
    mount_virtual("sysfs", &root.join("sys"), "")?;
    mount_virtual("tmpfs", &root.join("run"), "mode=755,size=256M")?;
    mount_virtual("tmpfs", &root.join("tmp"), "mode=1777,size=512M")?;
    make_devices(&root.join("dev"))?;
    if node.record.fencing {
        let socket = root.join("run/rustha-lab");
        fs::create_dir(&socket)?;
        mounts::bind(&node.layout.power(), &socket)?;
    }
    chdir(&root)?;
    pivot_root(".", ".").context("cannot change to the node's root file system")?;
    umount2(".", MntFlags::MNT_DETACH).context("cannot let go of the host's file systems")?;
    chdir("/").context("cannot go to the node's root directory")
}

/// A /dev of its own, without the host's disks.
fn make_devices(dev: &Path) -> Result<()> {
    mount_virtual("tmpfs", dev, "mode=755,size=1M")?;
    for name in ["null", "zero", "full", "random", "urandom", "tty"] {
        File::create(dev.join(name))?;
        mounts::bind(&Path::new("/dev").join(name), &dev.join(name))?;
    }
    for name in ["pts", "shm"] {
        fs::create_dir(dev.join(name))?;
    }
    mount_virtual("devpts", &dev.join("pts"), "newinstance,ptmxmode=0666,mode=620")?;
    // libqb puts the ring buffers of all IPC connections here.
    mount_virtual("tmpfs", &dev.join("shm"), "mode=1777,size=1G")?;
    let links =
        [("ptmx", "pts/ptmx"), ("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")];
    links.iter().try_for_each(|(name, target)| symlink(target, dev.join(name))).context("cannot make links in /dev")
}

/// What systemd's tmpfiles would make at boot, and the CIB at the first one.
fn make_directories() -> Result<()> {
    for path in ["/run/lock", "/var/lib/corosync", "/var/log/corosync"] {
        make_directory(Path::new(path))?;
    }
    for name in ["", "/cib", "/pengine", "/blackbox", "/cores"] {
        make_owned(&format!("/var/lib/pacemaker{name}"), 0o750, "hacluster", "haclient")?;
    }
    make_owned("/run/crm", 0o750, "hacluster", "haclient")?;
    make_owned("/var/log/pacemaker", 0o770, "hacluster", "haclient")?;
    make_owned("/run/mysqld", 0o755, "mysql", "mysql")?;
    make_owned("/var/log/mysql", 0o750, "mysql", "adm")?;
    let cib = Path::new("/var/lib/pacemaker/cib/cib.xml");
    if !cib.exists() {
        fs::copy(Path::new("/").join(FIRST_CIB), cib).context("cannot give the node its first CIB")?;
        give(cib, 0o600, "hacluster", "haclient")?;
    }
    Ok(())
}

fn make_owned(path: &str, mode: u32, user: &str, group: &str) -> Result<()> {
    let path = Path::new(path);
    if path.is_dir() {
        return Ok(()); // as the node's packages, or somebody since, made it
    }
    make_directory(path)?;
    give(path, mode, user, group)
}

fn give(path: &Path, mode: u32, user: &str, group: &str) -> Result<()> {
    // Read from the files and not asked of libc: its name service would load the node's libraries into a
    // program linked against the host's.
    let id = |file: &str, name: &str| -> Result<u32> {
        let text = read_to_string(file).with_context(|| format!("cannot read {file}"))?;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let number = line.and_then(|line| line.split(':').nth(1)?.parse().ok());
        number.with_context(|| format!("{file} has no {name}"))
    };
    fs::set_permissions(path, Permissions::from_mode(mode))?;
    chown(path, Some(id("/etc/passwd", user)?), Some(id("/etc/group", group)?))
        .with_context(|| format!("cannot give {} to {user}", path.display()))
}

/// A syslog in its smallest form: what arrives at /dev/log is appended to a file.
fn start_syslog() -> Result<()> {
    let socket = UnixDatagram::bind("/dev/log").context("cannot listen on /dev/log")?;
    fs::set_permissions("/dev/log", Permissions::from_mode(0o666))?;
    let mut log = File::options().create(true).append(true).open("/var/log/syslog").context("cannot write syslog")?;
    thread::spawn(move || {
        let mut message = vec![0; 64 * 1024];
        while let Ok(length) = socket.recv(&mut message) {
            let text = String::from_utf8_lossy(&message[..length]);
            // On a full disk a message is lost, as with any syslog.
            let _ = writeln!(log, "{}", text.trim_end_matches(['\n', '\0']));
        }
    });
    Ok(())
}

//! A node: a machine of the lab, as far as one can tell from inside. From outside it is a set of namespaces
//! held by its first process, a disk (a tmpfs with the overlay's upper layer) and a cable.

mod boot;
mod disk;
mod init;
mod power;
mod server;
mod stack;
mod systemd;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use nix::sys::statvfs::statvfs;
use nix::unistd::Pid;

use crate::layer;
use crate::layout::{Layout, node_address, node_name};
use crate::mounts;
use crate::process::{Output, Program, USUAL};
use crate::processes;
use crate::record::Record;
use crate::roots;

pub use boot::boot;
pub use disk::StuckDisk;
pub(crate) use disk::thaw;
pub use init::init;
pub use stack::Daemon;
pub use systemd::Systemd;

/// A node's disk, in bytes: room for a gigabyte of data, its binary logs, and what takes their place.
const DISK: u64 = 5 << 30;

/// A node of a lab.
#[derive(Clone, Debug)]
pub struct Node {
    layout: Layout,
    record: Record,
    index: usize,
    name: String,
}

impl Node {
    pub(crate) fn new(layout: &Layout, record: &Record, index: usize) -> Node {
        Node { layout: layout.clone(), record: record.clone(), index, name: node_name(index) }
    }

    /// db1, db2 …; its host name, too.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its own address in the lab's network.
    pub fn address(&self) -> Ipv4Addr {
        node_address(self.index)
    }

    /// Its network namespace, for as long as it is on.
    pub fn netns(&self) -> PathBuf {
        self.layout.netns(&self.name)
    }

    /// Whether its first process lives.
    pub fn is_on(&self) -> bool {
        self.pid().is_some()
    }

    /// Its first process, as the host counts; None when it is off.
    pub fn pid(&self) -> Option<Pid> {
        let text = std::fs::read_to_string(self.pid_file()).ok()?;
        let pid = Pid::from_raw(text.trim().parse().ok()?);
        (processes::is_alive(pid) && processes::has_arguments(pid, &self.init_arguments())).then_some(pid)
    }

    /// Runs a program in the node to its end, whatever that is. Fails if the node is off, the program cannot be
    /// started or its time is over.
    pub fn exec(&self, argv: &[&str], deadline: Duration) -> Result<Output> {
        self.program(argv)?.limit(deadline).output()
    }

    /// Runs a program in the node; fails with argv, status and stderr unless it succeeds within 60 s.
    pub fn run(&self, argv: &[&str]) -> Result<String> {
        let output = self.exec(argv, USUAL)?;
        match output.status.success() {
            true => Ok(output.stdout),
            false => Err(anyhow!("{}: `{}`: {}: {}", self.name, argv.join(" "), output.status, output.stderr.trim())),
        }
    }

    /// Says something to the node's server, as root through its socket; rows come back as lines, columns
    /// separated by tabs, without headings.
    pub fn sql(&self, statement: &str) -> Result<String> {
        self.run(&[self.record.root.vendor().client(), "--batch", "--skip-column-names", "--execute", statement])
    }

    /// Writes a file in the node, which must be on; `mode` as in chmod.
    pub fn write_file(&self, path: &str, content: &str, mode: u32) -> Result<()> {
        self.write_bytes(path, content.as_bytes(), mode)
    }

    /// The same with what is no text.
    pub(crate) fn write_bytes(&self, path: &str, content: &[u8], mode: u32) -> Result<()> {
        // Whole and with its mode, or not at all: who waits for it in the node may take it at once.
        let draft = format!("{path}.draft");
        let program = self.program(&["tee", "--", &draft])?.stdin(content);
        program.run().with_context(|| format!("cannot write {path} in {}", self.name))?;
        self.run(&["chmod", &format!("{mode:o}"), "--", &draft])?;
        self.run(&["mv", "--", &draft, path]).map(drop)
    }

    /// Adds lines to the server's option file, in its group `[mysqld]`.
    pub fn add_options(&self, lines: &str) -> Result<()> {
        let path = format!("/{}", self.record.root.vendor().option_path());
        let options = self.run(&["cat", "--", &path])?;
        self.write_file(&path, &format!("{options}{lines}"), 0o644)
    }

    /// A program to be run in the node, in a small, always equal environment.
    pub(crate) fn program(&self, argv: &[&str]) -> Result<Program> {
        let pid = self.pid().with_context(|| format!("{} is off", self.name))?.to_string();
        let enter = ["nsenter", "-t", &pid, "-m", "-u", "-i", "-n", "-p", "-r", "-w", "--"];
        Ok(Program::new([&enter[..], argv].concat()).clean_env())
    }

    /// All its processes, as the host counts.
    pub(crate) fn processes(&self) -> Result<Vec<Pid>> {
        let pid = self.pid().with_context(|| format!("{} is off", self.name))?;
        processes::in_namespace("pid", Path::new(&format!("/proc/{pid}/ns/pid")))
    }

    /// Makes the node's disk, empty but for what tells it from the other nodes.
    pub(crate) fn make_disk(&self) -> Result<()> {
        let disk = self.layout.disk(&self.name);
        layer::make_directory(&disk)?;
        layer::make_directory(&self.mount_point())?;
        mounts::mount_virtual("tmpfs", &disk, &format!("size={DISK},mode=755"))?;
        layer::make_directory(&self.upper())?;
        layer::make_directory(&disk.join("work"))?;
        let vendor = self.record.root.vendor();
        let options = roots::option_file(vendor, self.index, &self.name);
        layer::place(&self.upper(), "etc/hostname", format!("{}\n", self.name).as_bytes(), 0o644)?;
        layer::place(&self.upper(), vendor.option_path(), options.as_bytes(), 0o644)
    }

    /// Leaves no free space on the disk. Shrunk rather than filled: that costs neither time nor memory, and
    /// to the node it is the same ENOSPC.
    pub(crate) fn fill_disk(&self) -> Result<()> {
        let disk = self.layout.disk(&self.name);
        let usage = statvfs(&disk)?;
        mounts::resize_tmpfs(&disk, (usage.blocks() - usage.blocks_free()) * usage.fragment_size())
    }

    pub(crate) fn free_disk(&self) -> Result<()> {
        mounts::resize_tmpfs(&self.layout.disk(&self.name), DISK)
    }

    /// The upper layer of its overlay: all that was ever written on the node. Readable when it is off, too.
    pub(crate) fn upper(&self) -> PathBuf {
        self.layout.disk(&self.name).join("upper")
    }

    /// What its kernel would show on a console: the words of its first process and of the cluster's daemons.
    pub(crate) fn console(&self) -> PathBuf {
        self.layout.node(&self.name).join("console.log")
    }

    fn mount_point(&self) -> PathBuf {
        self.layout.node(&self.name).join("root")
    }

    fn pid_file(&self) -> PathBuf {
        self.layout.node(&self.name).join("pid")
    }

    /// By these a node's first process is known: a pid alone could be somebody else's by now.
    fn init_arguments(&self) -> [&str; 5] {
        ["node-init", "--name", self.layout.name(), "--node", &self.name]
    }
}

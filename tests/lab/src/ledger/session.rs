//! Where and with whom a thread of the ledger talks: the network namespace it is in, and its connection.
//! The only user of the mysql crate's connections.

use std::fs::File;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use mysql::{Conn, OptsBuilder};
use nix::sched::{CloneFlags, setns};

use super::failure::FailureKind;
use super::options::Account;

/// Moves the calling thread, and only it, into a network namespace.
///
/// # Errors
/// If the file is missing or is no network namespace, or without CAP_SYS_ADMIN.
pub(super) fn enter_netns(path: &Path) -> Result<()> {
    let file = File::open(path).with_context(|| format!("open {}", path.display()))?;
    enter(&file).with_context(|| format!("enter network namespace {}", path.display()))
}

/// As [`enter_netns`], with a file that is already open.
pub(super) fn enter(netns: &File) -> nix::Result<()> {
    setns(netns, CloneFlags::CLONE_NEWNET)
}

/// The calling thread's own network namespace.
///
/// # Errors
/// If /proc is not there.
pub(super) fn own_netns() -> Result<File> {
    let path = "/proc/thread-self/ns/net";
    File::open(path).with_context(|| format!("open {path}"))
}

/// A server to talk to.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    pub address: IpAddr,
    pub port: u16,
    pub account: Account,
    pub connect_timeout: Duration,
    pub answer_timeout: Duration,
}

impl Peer {
    /// Connects and logs in. TLS is not needed: where MySQL's caching_sha2_password wants the password
    /// itself, the driver sends it encrypted with the server's RSA key.
    pub fn connect(&self) -> Result<Conn, FailureKind> {
        let opts = OptsBuilder::new()
            .ip_or_hostname(Some(self.address.to_string()))
            .tcp_port(self.port)
            // The driver would look for a socket file on its own side of the network.
            .prefer_socket(false)
            .user(Some(&self.account.user))
            .pass(Some(&self.account.password))
            .tcp_connect_timeout(Some(self.connect_timeout))
            .read_timeout(Some(self.answer_timeout))
            .write_timeout(Some(self.answer_timeout));
        Conn::new(opts).map_err(|error| FailureKind::from(&error))
    }
}

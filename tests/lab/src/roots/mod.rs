//! The nodes' root file systems: which there are, where they are kept, and when one must be built (again).
//! Nodes see them read-only, as the lower layers of their overlays.

mod apt;
mod build;
mod progress;
mod recipe;
mod server;

use std::fmt;
use std::fs::{self, File};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Error, Result, bail};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use crate::deadline::{Deadline, wait_until};
use crate::host;
use crate::process::Program;

pub use recipe::{Vendor, option_file};

/// A distribution to make nodes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root {
    /// Debian 12 bookworm: Pacemaker 2.1.5, MariaDB 10.11.
    Deb12,
    /// Debian 13 trixie: Pacemaker 3.0.0, MariaDB 11.8.
    Deb13,
    /// Debian sid: the newest Pacemaker, and MySQL.
    Sid,
}

impl Root {
    /// All there are.
    pub const ALL: [Root; 3] = [Root::Deb12, Root::Deb13, Root::Sid];

    /// Its name on the command line and in the cache.
    pub fn name(self) -> &'static str {
        match self {
            Root::Deb12 => "deb12",
            Root::Deb13 => "deb13",
            Root::Sid => "sid",
        }
    }

    /// The directories a node is made of, the topmost first.
    pub fn layers(self) -> Vec<PathBuf> {
        vec![self.place(".server").join("layer"), self.place("").join("root")]
    }

    /// Builds what is missing or was built from another recipe; quick when nothing is.
    pub fn ensure(self) -> Result<()> {
        if self.is_current() {
            return Ok(());
        }
        let _lock = self.lock()?;
        if !self.is_built("", &recipe::system(self)) {
            self.refuse_while_in_use()?;
            build::system(self).with_context(|| format!("cannot build the root file system {self}"))?;
        }
        if !self.is_current() {
            self.refuse_while_in_use()?;
            server::prepare(self).with_context(|| format!("cannot prepare the database server of {self}"))?;
        }
        Ok(())
    }

    /// What of the cluster and of the database is in it, for people.
    pub(crate) fn versions(self) -> Result<String> {
        let database = format!("--admindir={}", self.place("").join("root/var/lib/dpkg").display());
        let server = match self.vendor() {
            Vendor::MariaDb => "mariadb-server",
            Vendor::MySql => "mysql-server",
        };
        let query = ["dpkg-query", &database, "--show", "--showformat=${Package} ${Version}\\n"];
        let packages = [&query[..], &["pacemaker", "resource-agents", server]].concat();
        let list = Program::new(packages).run()?;
        Ok(list.lines().collect::<Vec<_>>().join(", "))
    }

    fn is_current(self) -> bool {
        self.is_built("", &recipe::system(self)) && self.is_built(".server", &recipe::server(self))
    }

    fn is_built(self, part: &str, recipe: &str) -> bool {
        fs::read_to_string(self.place(part).join("stamp")).is_ok_and(|stamp| stamp == recipe)
    }

    fn place(self, part: &str) -> PathBuf {
        cache().join(format!("{self}{part}"))
    }

    /// Two builders of the same root would build into the same place.
    fn lock(self) -> Result<Flock<File>> {
        fs::create_dir_all(cache()).with_context(|| format!("cannot make {}", cache().display()))?;
        let path = self.place(".lock");
        let mut held = None;
        let mut told = false;
        let deadline = Deadline::after(Duration::from_secs(40 * 60));
        wait_until(&format!("another build of {self}"), deadline, Duration::from_secs(1), || {
            let file = File::create(&path).with_context(|| format!("cannot open {}", path.display()))?;
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => held = Some(lock),
                Err((_, Errno::EWOULDBLOCK)) if !told => {
                    eprintln!("{self}: somebody else is building it, waiting");
                    told = true;
                }
                Err((_, Errno::EWOULDBLOCK)) => {}
                Err((_, error)) => {
                    return Err(Error::new(error).context(format!("cannot lock {}", path.display())));
                }
            }
            Ok(held.is_some())
        })?;
        held.context("the lock was lost")
    }

    /// A running node's lower layer must not change under it: overlayfs calls what follows undefined.
    fn refuse_while_in_use(self) -> Result<()> {
        match crate::record::labs_of(self)?.as_slice() {
            [] => Ok(()),
            [name, ..] => {
                bail!("the lab {name} runs on {self}; end it first: cargo lab down --name {name}")
            }
        }
    }
}

impl fmt::Display for Root {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.name())
    }
}

impl FromStr for Root {
    type Err = Error;

    fn from_str(text: &str) -> Result<Root> {
        match Root::ALL.into_iter().find(|root| root.name() == text) {
            Some(root) => Ok(root),
            None => bail!("no root file system is called {text}; there are deb12, deb13 and sid"),
        }
    }
}

/// Where the root file systems are kept.
fn cache() -> PathBuf {
    host::path_from_env("RUSTHA_LAB_CACHE").unwrap_or_else(|| PathBuf::from("/var/cache/rustha-lab"))
}

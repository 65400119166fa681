//! One instance on this node: its parameters, its cluster, the time that the action has, and what it remembers.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use super::parameters::Config;
use crate::agents::standing::{Memory, Standing};
use crate::deadline::Deadline;
use crate::guard::Guard;
use crate::net::addresses::{self, Address};
use crate::ocf::env::Invocation;
use crate::ocf::exit::{ExitCode, OcfError};
use crate::pacemaker::Cluster;
use crate::pacemaker::history::By;

/// What an action works with.
pub struct Node {
    /// The resource's name.
    pub resource: String,
    /// The parameters.
    pub config: Config,
    /// What is wrong with them.
    pub trouble: Option<OcfError>,
    /// The cluster; `None` when the call does not come from one.
    pub cluster: Option<Cluster>,
    /// What makes this resource have the address.
    pub by: By,
    /// How long the action may take, all in all.
    pub time: Duration,
    /// When its waits must have ended.
    pub deadline: Deadline,
    is_plain_clone: bool,
    run_dir: PathBuf,
}

impl Node {
    /// Reads the parameters, as far as that is possible; what is wrong stands in `trouble`.
    ///
    /// # Errors
    /// When this node's name in the cluster cannot be found out.
    pub fn gather(call: &Invocation, time: Duration) -> Result<Self> {
        let (config, trouble) = Config::read(call);
        let deadline = Deadline::after(time.saturating_sub(Duration::from_secs(2).min(time / 4)));
        let cluster = match &call.cluster {
            Some(meta) => Some(Cluster::of(&call.resource, meta.node.as_deref(), deadline)?),
            None => None,
        };
        let is_promotable = call.cluster.as_ref().is_some_and(|meta| meta.promotable);
        Ok(Self {
            resource: call.resource.clone(),
            config,
            trouble,
            cluster,
            by: if is_promotable { By::Promotion } else { By::Start },
            time,
            deadline,
            is_plain_clone: !is_promotable && call.cluster.as_ref().is_some_and(|meta| meta.clone_max.is_some()),
            run_dir: call.run_dir.clone(),
        })
    }

    /// It is an instance of a promotable clone.
    pub fn is_promotable(&self) -> bool {
        self.by == By::Promotion
    }

    /// The address, where this node has it: on any interface but the loopback one, on which load balancers want it.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn held(&self) -> Result<Option<Address>> {
        let Some(ip) = self.config.ip else { return Ok(None) };
        let lo = crate::net::interfaces::LOOPBACK;
        Ok(addresses::all()?.into_iter().find(|address| address.ip == ip && address.index != lo))
    }

    /// The process that renews the lease.
    pub fn guard(&self) -> Guard {
        // One that hangs is replaced long before the lease is over: it shows each second that it works.
        Guard::of(&self.run_dir, &self.resource).silent_after(Duration::from_secs(3))
    }

    /// What it remembers to be.
    pub fn memory(&self) -> Memory {
        Memory::of(&self.run_dir, &self.resource, "vip")
    }

    /// It is started, or promoted, and so has the address as far as it remembers.
    pub fn is_at_work(&self) -> bool {
        self.memory().read().is_some_and(Standing::is_at_work)
    }

    /// The parameters must be right for this.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn ensure_configured(&self) -> Result<(), OcfError> {
        self.trouble.clone().map_or(Ok(()), Err)
    }

    /// Instances of a clone without roles would all have the address.
    ///
    /// # Errors
    /// When it is one.
    pub fn ensure_suited(&self) -> Result<(), OcfError> {
        if self.is_plain_clone {
            let why = "a clone of an address must be promotable: set promotable=true, or make it no clone";
            return Err(OcfError::new(ExitCode::Configured, why));
        }
        Ok(())
    }

    /// Who takes the address may have to wait for as long as its lease: the action needs the time.
    ///
    /// # Errors
    /// When it has less.
    pub fn ensure_time(&self) -> Result<(), OcfError> {
        const MORE: Duration = Duration::from_secs(10);
        let (Some(lease), true, Some(_)) = (self.config.lease, self.config.check, &self.cluster) else {
            return Ok(());
        };
        if self.time >= lease + MORE {
            return Ok(());
        }
        let action = if self.is_promotable() { "promote" } else { "start" };
        let (least, has) = ((lease + MORE).as_secs(), self.time.as_secs());
        let why = format!(
            "{action} has a time-out of {has}s and needs {least}s, as it may have to wait for the end of the lease of \
             another node: op {action} timeout={least}s, or a shorter lease"
        );
        Err(OcfError::new(ExitCode::Configured, why))
    }
}

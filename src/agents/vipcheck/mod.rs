//! The agent `vipcheck`: starts only where nobody on the network has an address. In front of an address in a group. A plain
//! primitive, or a promotable clone, which checks when it is promoted.
//!
//! `check` asks the network; the rest is remembering that it was done.

mod check;
mod parameters;

use std::time::Duration;

use crate::agents::standing::{self, Memory, Standing};
use crate::deadline::Deadline;
use crate::ocf::agent::{Action, Advertised, Agent, time_of};
use crate::ocf::env::Invocation;
use crate::ocf::exit::{ExitCode, OcfError, Outcome};
use crate::ocf::params::Parameter;
use crate::pacemaker::Cluster;
use parameters::Config;

/// The agent.
pub struct VipCheck;

static ACTIONS: &[Advertised] = &[
    Advertised::new(Action::Start, 20),
    Advertised::new(Action::Stop, 10),
    Advertised::new(Action::Monitor, 10).depth(0).every(10),
    Advertised::monitor("Promoted", 10, 10),
    Advertised::monitor("Unpromoted", 10, 11),
    Advertised::new(Action::Promote, 20),
    Advertised::new(Action::Demote, 10),
    Advertised::new(Action::Notify, 10),
    Advertised::new(Action::ReloadAgent, 10),
    Advertised::new(Action::ValidateAll, 10).depth(0),
    Advertised::new(Action::ValidateAll, 10).depth(10),
    Advertised::new(Action::MetaData, 5),
];

impl Agent for VipCheck {
    fn name(&self) -> &'static str {
        "vipcheck"
    }

    fn short(&self) -> &'static str {
        "Starts only where nobody on the network has an address"
    }

    fn long(&self) -> &'static str {
        "To be started in front of an address, in a group with ocf:heartbeat:IPaddr2: fails when another host answers for \
         the address, and names it by its hardware address. Asked is by ARP probes (RFC 5227) or neighbour solicitation \
         where the address lies in a network of this node, by ping where it does not. That this node has the address \
         itself is no failure. ocf:rustha:vip has this built in. As a promotable clone it checks when it is promoted."
    }

    fn parameters(&self) -> &'static [Parameter] {
        parameters::PARAMETERS
    }

    fn actions(&self) -> &'static [Advertised] {
        ACTIONS
    }

    fn run(&self, action: Action, call: &Invocation) -> Outcome {
        let time = time_of(self, action, call);
        let deadline = Deadline::after(time);
        let memory = Memory::of(&call.run_dir, &call.resource, "vipcheck");
        let is_promotable = call.cluster.as_ref().is_some_and(|meta| meta.promotable);
        match action {
            Action::Start if is_promotable => {
                Config::read(call)?;
                memory.write(Standing::By)?;
                if let Some(cluster) = cluster_of(call, deadline)? {
                    standing::offer(&cluster, deadline)?;
                }
                Ok(ExitCode::Success)
            }
            Action::Start => check_once(call, time, &memory, Standing::Active),
            Action::Promote if memory.read().is_none() => {
                Err(OcfError::generic("it is not started, and so cannot be promoted").into())
            }
            Action::Promote => check_once(call, time, &memory, Standing::Promoted),
            Action::Demote => {
                if memory.read().is_some() {
                    memory.write(Standing::By)?;
                }
                Ok(ExitCode::Success)
            }
            Action::Stop => {
                memory.forget()?;
                if let Ok(Some(cluster)) = cluster_of(call, deadline) {
                    standing::withdraw(&cluster, deadline);
                }
                Ok(ExitCode::Success)
            }
            Action::Monitor => Ok(match memory.read() {
                None => ExitCode::NotRunning,
                Some(Standing::Promoted) => ExitCode::RunningPromoted,
                Some(_) => ExitCode::Success,
            }),
            Action::ReloadAgent => Ok(Config::read(call).map(|_| ExitCode::Success)?),
            Action::ValidateAll => {
                let config = Config::read(call)?;
                if call.check_level.is_some_and(|level| level >= 10) {
                    check::prepare(&config)?;
                }
                Ok(ExitCode::Success)
            }
            Action::Notify | Action::MetaData => Ok(ExitCode::Success),
        }
    }
}

/// Asks the network, unless it was asked when the instance was started.
fn check_once(call: &Invocation, time: Duration, memory: &Memory, standing: Standing) -> Outcome {
    if !memory.read().is_some_and(Standing::is_at_work) {
        check::check(&Config::read(call)?, time)?;
    }
    memory.write(standing)?;
    Ok(ExitCode::Success)
}

/// The cluster of a promotable clone.
fn cluster_of(call: &Invocation, deadline: Deadline) -> anyhow::Result<Option<Cluster>> {
    let meta = call.cluster.as_ref().filter(|meta| meta.promotable);
    meta.map(|meta| Cluster::of(&call.resource, meta.node.as_deref(), deadline)).transpose()
}

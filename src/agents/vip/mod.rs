//! The agent `vip`: an IP address that cannot be on two nodes. A plain primitive, or a promotable clone beside the
//! database's.
//!
//! The life of an address: `take` (start, or promote in a clone) asks the network and the cluster whether anybody may have it
//! (`check`), adds it with a finite lifetime, the lease, announces it and leaves the guard behind; the `guard` renews the
//! lease as long as there is a cluster on this node that may say where the address is; `give` (stop, demote) ends its
//! connections and removes it. Whatever is killed, or hangs, or is cut off: the kernel removes the address when nobody
//! renews it, and whoever takes it over waits for exactly that.
//!
//! What this cannot hold: a virtual machine that is paused as a whole, and goes on later, does not know that time has passed;
//! it has the address again until its guard finds that it is no member any more. That needs fencing.

mod check;
mod decide;
mod give;
mod guard;
mod monitor;
mod node;
mod parameters;
mod place;
mod take;

use std::time::Duration;

use crate::agents::standing::Standing;
use crate::ocf::agent::{Action, Advertised, Agent, time_of};
use crate::ocf::env::Invocation;
use crate::ocf::exit::{ExitCode, Outcome};
use crate::ocf::params::Parameter;
use node::Node;

/// The agent.
pub struct Vip;

static ACTIONS: &[Advertised] = &[
    Advertised::new(Action::Start, 60),
    Advertised::new(Action::Stop, 20),
    Advertised::new(Action::Monitor, 20).depth(0).every(10),
    Advertised::monitor("Promoted", 20, 10),
    Advertised::monitor("Unpromoted", 20, 11),
    Advertised::new(Action::Promote, 60),
    Advertised::new(Action::Demote, 20),
    Advertised::new(Action::Notify, 20),
    Advertised::new(Action::ReloadAgent, 20),
    Advertised::new(Action::ValidateAll, 20).depth(0),
    Advertised::new(Action::ValidateAll, 20).depth(10),
    Advertised::new(Action::MetaData, 5),
];

impl Agent for Vip {
    fn name(&self) -> &'static str {
        "vip"
    }

    fn short(&self) -> &'static str {
        "An IP address that cannot be on two nodes"
    }

    fn long(&self) -> &'static str {
        "Manages an IPv4 or IPv6 address. It is taken only when nobody on the network has it, and it has a lease in the \
         kernel, renewed by a small process as long as the cluster lives on this node: a node that hangs, was cut off, or \
         on which corosync or Pacemaker is dead gives the address back by itself, and the node that takes over waits for \
         that, also without fencing. Connections are ended before the address is removed, so that clients connect anew \
         at once. As a primitive it is started where the address shall be. As a promotable clone it stands by on each \
         node and is promoted where the address shall be. Parameters as far as they go with this have the names of \
         ocf:heartbeat:IPaddr2."
    }

    fn parameters(&self) -> &'static [Parameter] {
        parameters::PARAMETERS
    }

    fn actions(&self) -> &'static [Advertised] {
        ACTIONS
    }

    fn run(&self, action: Action, call: &Invocation) -> Outcome {
        let node = Node::gather(call, time_of(self, action, call))?;
        if let Some(trouble) = &node.trouble
            && matches!(action, Action::Stop | Action::Demote | Action::Monitor)
        {
            log::error!("{trouble}");
        }
        match action {
            Action::Start if node.is_promotable() => take::stand_by(&node),
            Action::Start => take::take(&node, Standing::Active),
            Action::Promote => take::promote(&node),
            Action::Stop => give::stop(&node),
            Action::Demote => give::demote(&node),
            Action::Monitor => monitor::monitor(&node, call.interval == Duration::ZERO),
            Action::ReloadAgent => take::reload(&node),
            Action::ValidateAll => validate(&node, call),
            Action::Notify | Action::MetaData => Ok(ExitCode::Success),
        }
    }

    fn guard(&self, call: &Invocation, _order: Option<&str>) -> anyhow::Result<()> {
        guard::run(call)
    }
}

/// Level 0 looks at the parameters only, level 10 also at this node's network.
fn validate(node: &Node, call: &Invocation) -> Outcome {
    node.ensure_configured()?;
    if call.check_level.is_some_and(|level| level >= 10) {
        place::find(&node.config)?;
    }
    Ok(ExitCode::Success)
}

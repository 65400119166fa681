//! `start`, and `promote` in a clone: the address is taken.

use std::thread::sleep;

use anyhow::{Context, Result};

use super::node::Node;
use super::place::{self, Place};
use super::{check, guard};
use crate::agents::standing::{self, Standing};
use crate::net::addresses;
use crate::net::announce::announce;
use crate::ocf::exit::{ExitCode, OcfError, Outcome};

/// An instance of a clone stands by.
///
/// # Errors
/// When the parameters do not fit this node, or the cluster cannot be told.
pub fn stand_by(node: &Node) -> Outcome {
    node.ensure_configured()?;
    place::find(&node.config)?;
    node.memory().write(Standing::By)?;
    if let Some(cluster) = &node.cluster {
        standing::offer(cluster, node.deadline)?;
    }
    Ok(ExitCode::Success)
}

/// Promotes an instance that is started.
///
/// # Errors
/// When it is not started, or the address cannot be taken.
pub fn promote(node: &Node) -> Outcome {
    if node.memory().read().is_none() {
        return Err(OcfError::generic("it is not started, and so cannot be promoted").into());
    }
    take(node, Standing::Promoted)
}

/// Takes the address, unless somebody has it.
///
/// # Errors
/// When it does not fit this node, somebody else has it, or the kernel refuses it.
pub fn take(node: &Node, standing: Standing) -> Outcome {
    node.ensure_configured()?;
    node.ensure_suited()?;
    node.ensure_time()?;
    let place = place::find(&node.config)?;
    if !place.interface.has_carrier {
        log::warn!("{} has no carrier: is the cable in?", place.interface.name);
    }
    if node.held()?.is_none() && node.config.check {
        check::await_free(node, &place)?;
    }
    // Remembered first: an action that is ended here is followed by a stop.
    node.memory().write(standing)?;
    addresses::set(&place.address)?;
    log::info!("{}/{} is on {} now", place.address.ip, place.address.prefix, place.interface.name);
    let is_guarded = guard::begin(node);
    if !(is_guarded && node.config.announces_later)
        && let Err(error) = tell(node, &place)
    {
        log::warn!("{error:#}");
    }
    Ok(ExitCode::Success)
}

/// Tells the network where the address is, where that is not left to the guard.
fn tell(node: &Node, place: &Place) -> Result<()> {
    let (ip, config) = (place.address.ip, &node.config);
    for number in 0..config.announcements {
        if number > 0 {
            sleep(config.announce_every.min(node.deadline.remaining()));
        }
        announce(ip, &place.interface)?;
    }
    Ok(())
}

/// Takes changed parameters over: the lease, and what the guard does.
///
/// # Errors
/// When they do not fit this node.
pub fn reload(node: &Node) -> Outcome {
    node.ensure_configured()?;
    if node.held()?.is_some() {
        let place = place::find(&node.config)?;
        addresses::set(&place.address).context("the new lease")?;
        guard::begin(node);
    }
    Ok(ExitCode::Success)
}

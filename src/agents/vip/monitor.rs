//! `monitor`: whether the address is here. Starts no program.

use super::guard;
use super::node::Node;
use crate::agents::standing::Standing;
use crate::net::interfaces;
use crate::ocf::exit::{ExitCode, OcfError, Outcome};

/// Tells whether it is here; `is_probe`: changes nothing.
///
/// # Errors
/// When it is on another interface than it should be, or an instance was promoted and has it no more.
pub fn monitor(node: &Node, is_probe: bool) -> Outcome {
    let standing = node.memory().read();
    let Some(held) = node.held()? else {
        return match standing {
            Some(Standing::Promoted) => {
                let why = "the address is gone: its lease ran out, or somebody removed it";
                Err(OcfError::new(ExitCode::FailedPromoted, why).into())
            }
            Some(Standing::By) => Ok(ExitCode::Success),
            _ => Ok(ExitCode::NotRunning),
        };
    };
    if let Some(nic) = &node.config.nic {
        let found = interfaces::all()?.into_iter().find(|interface| interface.index == held.index);
        let found = found.map(|interface| interface.name).unwrap_or_default();
        if found != *nic {
            return Err(OcfError::generic(format!("{} is on {found}, not on {nic}", held.ip)).into());
        }
    }
    let is_promoted = node.is_promotable() || standing == Some(Standing::Promoted);
    if !is_probe {
        // Also one that another agent has left here.
        if !standing.is_some_and(Standing::is_at_work) {
            node.memory().write(if is_promoted { Standing::Promoted } else { Standing::Active })?;
        }
        guard::ensure(node);
    }
    Ok(if is_promoted { ExitCode::RunningPromoted } else { ExitCode::Success })
}

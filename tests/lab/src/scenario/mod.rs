//! Scenarios: what must hold on a real cluster, each played on a fresh lab in a process of its own. Whoever plays
//! one (`cargo lab test`) makes an end of its lab, whatever became of the process.

mod acts;
mod bed;
mod crm_mon;
mod program;

use anyhow::Result;

pub use bed::{Bed, RESOURCE, VIP_RESOURCE};
pub(crate) use bed::{run_readme, writing};
pub use crm_mon::Role;
pub use program::main;
pub(crate) use program::{Listed, parse_list};

use crate::roots::Root;

/// Something that must hold on a real cluster.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Its name on the command line: subject first, words joined by hyphens.
    pub name: &'static str,
    /// What must hold, in one sentence.
    pub about: &'static str,
    /// The roots it is usually played on; with `--all` it is played on every root there is.
    pub roots: &'static [Root],
    /// Whether it is played only with `--all`, or when it is named.
    pub long: bool,
    /// How many nodes its lab has.
    pub nodes: usize,
    /// Whether they can switch each other off.
    pub fencing: bool,
    /// What happens.
    pub run: fn(&Bed) -> Result<()>,
}

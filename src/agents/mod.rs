//! One folder an agent. A new agent is a folder, a line here, and a link in `ocf/resource.d/rustha/`.

mod mark;
pub mod mysql;
pub mod semisync;
mod standing;
pub mod vip;
pub mod vipcheck;

use crate::ocf::agent::Agent;

/// All agents.
pub static ALL: &[&dyn Agent] = &[&mysql::Mysql, &semisync::SemiSync, &vip::Vip, &vipcheck::VipCheck];

/// The agent of this name.
pub fn find(name: &str) -> Option<&'static dyn Agent> {
    ALL.iter().copied().find(|agent| agent.name() == name)
}

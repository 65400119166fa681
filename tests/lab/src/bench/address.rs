//! The address of a cluster: by which agent, and what that one's actions cost, on a cluster that has nothing else.

use std::fmt;
use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;
use clap::ValueEnum;

use super::actions::{Cost, install_wrapper, read_lines, summarize};
use super::measured::{COUNTING, PROVIDER};
use super::trials::Guarded;
use crate::lab::Lab;
use crate::roots::Root;
use crate::scenario::Bed;

/// How often the address is stopped and started.
const ROUNDS: usize = 5;
/// How long it is monitored, every second, in each of them.
const LIVING: Duration = Duration::from_secs(4);
/// What a start or a stop may take.
const ACTING: Duration = Duration::from_secs(60);

/// Which agent has the address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Address {
    /// ocf:heartbeat:IPaddr2
    #[default]
    Ipaddr2,
    /// ocf:rustha:vip, a primitive
    Vip,
    /// ocf:rustha:vip, a promotable clone
    VipClone,
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(match self {
            Address::Ipaddr2 => "heartbeat:IPaddr2",
            Address::Vip => "rustha:vip",
            Address::VipClone => "rustha:vip as a clone",
        })
    }
}

impl Address {
    fn agent(self) -> &'static str {
        match self {
            Address::Ipaddr2 => "heartbeat:IPaddr2",
            Address::Vip | Address::VipClone => "rustha:vip",
        }
    }

    /// The lines of a cluster's configuration that put it beside the promoted instance of `c_db`.
    pub(crate) fn beside_database(self, lab: &Lab) -> String {
        let primitive = format!("primitive p_vip ocf:{} params ip={}", self.agent(), lab.vip());
        match self {
            Address::Ipaddr2 | Address::Vip => format!(
                "{primitive} cidr_netmask=24 op start timeout=60s interval=0 op monitor interval=10s\n\
                 colocation vip_with_primary inf: p_vip c_db:Promoted\n\
                 order primary_before_vip Mandatory: c_db:promote p_vip:start\n"
            ),
            Address::VipClone => format!(
                "{primitive} cidr_netmask=24 op promote timeout=60s interval=0 \
                 op monitor role=Promoted interval=10s op monitor role=Unpromoted interval=11s\n\
                 clone c_vip p_vip meta promotable=true interleave=true\n\
                 colocation vip_with_primary inf: c_vip:Promoted c_db:Promoted\n\
                 order primary_before_vip Mandatory: c_db:promote c_vip:promote\n"
            ),
        }
    }
}

/// What the actions of one cost.
#[derive(Clone, Debug)]
pub(crate) struct AddressCosts {
    /// The agent, with what it was told.
    pub name: String,
    /// By action.
    pub actions: std::collections::BTreeMap<String, Cost>,
}

/// Measures each agent's primitive; ours also without its check.
pub(crate) fn measure(root: Root) -> Result<Vec<AddressCosts>> {
    let guarded = Guarded::up(root, 3)?;
    let bed = guarded.bed();
    for (provider, agent) in [("heartbeat", "IPaddr2"), ("rustha", "vip")] {
        install_wrapper(bed, provider, agent)?;
    }
    bed.configure("property stonith-enabled=false\n")?;
    let all = [
        ("heartbeat:IPaddr2", "heartbeat-IPaddr2", ""),
        ("rustha:vip", "rustha-vip", ""),
        ("rustha:vip, check=false", "rustha-vip", "check=false"),
    ];
    all.iter().map(|(name, agent, given)| live(bed, name, agent, given)).collect()
}

/// One life with its time measured, and one with its processes counted.
fn live(bed: &Bed, name: &str, agent: &str, given: &str) -> Result<AddressCosts> {
    let node = bed.whole_node()?;
    let mut lines = Vec::new();
    for counts in [false, true] {
        for node in bed.lab().nodes() {
            if counts {
                node.write_file(COUNTING, "", 0o644)?;
            } else {
                node.run(&["rm", "-f", COUNTING])?;
            }
        }
        bed.configure(&format!(
            "primitive p_vip ocf:{PROVIDER}:{agent} params ip={} cidr_netmask=24 {given} \
             op start timeout=60s interval=0 op monitor interval=1s\n",
            bed.lab().vip()
        ))?;
        let settle = || node.exec(&["crm_resource", "--wait", "--timeout=50s"], ACTING).map(drop);
        for _ in 0..ROUNDS {
            settle()?;
            sleep(LIVING);
            for role in ["Stopped", "Started"] {
                node.run(&["crm_resource", "--meta", "--resource", "p_vip", "-p", "target-role", "-v", role])?;
                settle()?;
            }
        }
        node.run(&["crm", "--force", "configure", "delete", "p_vip"])?;
        settle()?;
        lines.extend(read_lines(bed)?);
    }
    Ok(AddressCosts { name: name.to_owned(), actions: summarize(&lines) })
}

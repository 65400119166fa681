//! The primary is moved on purpose.

use std::time::Duration;

use anyhow::{Result, ensure};
use rustha_lab::scenario::{Bed, Scenario};

use crate::{BOTH, WHOLE};

pub const ALL: &[Scenario] = &[
    Scenario {
        name: "planned-move",
        about: "crm_resource --move takes the primary to a node of choice under load, and back.",
        roots: BOTH,
        long: false,
        nodes: 3,
        fencing: false,
        run: planned_move,
    },
    Scenario {
        name: "standby-online",
        about: "The primary's node goes to standby and comes back: nothing is lost, and it is a replica again.",
        roots: BOTH,
        long: false,
        nodes: 3,
        fencing: false,
        run: standby_online,
    },
    Scenario {
        name: "stop-and-start",
        about: "The whole resource is stopped under load, and started: the data are there, on all nodes.",
        roots: BOTH,
        long: false,
        nodes: 3,
        fencing: false,
        run: stop_and_start,
    },
];

fn planned_move(bed: &Bed) -> Result<()> {
    let first = bed.standard_configuration()?;
    let target = bed.others(&first)[0].to_string();
    let ledger = bed.ledger()?;
    for (from, to) in [(&first, &target), (&target, &first)] {
        ledger.wait_for_acknowledged(50, Duration::from_secs(20))?;
        ledger.mark(&format!("move from {from} to {to}"));
        let node = bed.whole_node()?;
        node.run(&["crm_resource", "--move", "--promoted", "--resource", "c_db", "--node", to])?;
        let promoted = bed.wait_promoted_on_other_than(from, Duration::from_secs(30))?;
        ensure!(promoted == *to, "{promoted} was promoted instead of {to}");
        node.run(&["crm_resource", "--clear", "--resource", "c_db"])?;
        bed.wait_healthy(WHOLE)?;
    }
    bed.finish(ledger, &bed.names()).map(drop)
}

fn standby_online(bed: &Bed) -> Result<()> {
    let primary = bed.standard_configuration()?;
    let ledger = bed.ledger()?;
    ledger.wait_for_acknowledged(50, Duration::from_secs(20))?;
    ledger.mark(&format!("standby {primary}"));
    bed.whole_node()?.run(&["crm_standby", "--node", &primary, "--update", "on"])?;
    let successor = bed.wait_promoted_on_other_than(&primary, Duration::from_secs(60))?;
    ledger.wait_until_written(Duration::from_secs(20))?;
    bed.whole_node()?.run(&["crm_standby", "--node", &primary, "--delete"])?;
    bed.wait(&format!("{primary} a replica again"), WHOLE, || {
        Ok(bed.attribute(&primary, "master-p_db")?.filter(|score| score == "100"))
    })?;
    let now = bed.wait_healthy(WHOLE)?;
    ensure!(now == successor, "the primary moved to {now} when {primary} came back");
    bed.finish(ledger, &bed.names()).map(drop)
}

fn stop_and_start(bed: &Bed) -> Result<()> {
    bed.standard_configuration()?;
    let ledger = bed.ledger()?;
    ledger.wait_for_acknowledged(50, Duration::from_secs(20))?;
    let node = bed.whole_node()?;
    let set_role = |role: &str| {
        node.run(&[
            "crm_resource",
            "--resource",
            "c_db",
            "--meta",
            "--set-parameter",
            "target-role",
            "--parameter-value",
            role,
        ])
    };
    ledger.mark("all stopped");
    set_role("Stopped")?;
    bed.wait("all stopped", WHOLE, || Ok(bed.instances()?.is_empty().then_some(())))?;
    ledger.mark("all started");
    set_role("Promoted")?;
    bed.wait_healthy(WHOLE)?;
    ledger.wait_until_written(Duration::from_secs(20))?;
    bed.finish(ledger, &bed.names()).map(drop)
}

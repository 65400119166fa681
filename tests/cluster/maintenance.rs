//! The operator takes over for a while.

use std::time::Duration;

use anyhow::{Result, ensure};
use rustha_lab::Fault;
use rustha_lab::scenario::{Bed, Scenario};

use crate::{BOTH, PROVIDED, WHOLE};

pub const ALL: &[Scenario] = &[
    Scenario {
        name: "maintenance",
        about: "Maintenance mode and a reprobe change nothing; a failover after it works (resource-agents#859).",
        roots: BOTH,
        long: false,
        nodes: 3,
        fencing: false,
        run: maintenance,
    },
    Scenario {
        name: "maintenance-replica-lost",
        about: "Objection 19: a replica dies in maintenance mode: writes go on, and it is taken out of the in-sync set.",
        roots: BOTH,
        long: false,
        nodes: 3,
        fencing: false,
        run: replica_lost,
    },
    Scenario {
        name: "adoption",
        about: "Objection 25: the cluster's stack is restarted under running servers, without marks: all stay as they are.",
        roots: BOTH,
        long: false,
        nodes: 3,
        fencing: false,
        run: adoption,
    },
];

fn maintenance(bed: &Bed) -> Result<()> {
    let primary = bed.standard_configuration()?;
    let ledger = bed.ledger()?;
    ledger.mark("maintenance mode, and a reprobe");
    bed.set_maintenance(true)?;
    bed.whole_node()?.run(&["crm_resource", "--refresh"])?;
    std::thread::sleep(Duration::from_secs(5));
    bed.set_maintenance(false)?;
    let now = bed.wait_healthy(WHOLE)?;
    ensure!(now == primary, "the primary moved to {now} by a maintenance");
    bed.ensure_nobody_closed()?;
    ledger.mark(format!("kill-daemon {primary}"));
    bed.lab().fault(Fault::KillDaemon, &primary)?;
    bed.wait_promoted_on_other_than(&primary, Duration::from_secs(60))?;
    ledger.wait_until_written(Duration::from_secs(20))?;
    bed.clean_up()?;
    bed.finish_settled(ledger, PROVIDED).map(drop)
}

/// Pacemaker runs no monitors then: only the guard is there to see it.
fn replica_lost(bed: &Bed) -> Result<()> {
    let (primary, ledger) = bed.standard_load()?;
    bed.set_maintenance(true)?;
    let lost = bed.others(&primary)[0].to_owned();
    ledger.mark(format!("kill-daemon {lost}, in maintenance mode"));
    bed.lab().fault(Fault::KillDaemon, &lost)?;
    bed.wait(&format!("{lost} out of the record"), WHOLE, || {
        Ok((!bed.record()?.contains(&format!("{lost}:"))).then_some(()))
    })?;
    ledger.wait_for_acknowledged(50, Duration::from_secs(20))?;
    let now = bed.promoted()?;
    ensure!(now.as_deref() == Some(primary.as_str()), "{now:?} is the primary");
    bed.set_maintenance(false)?;
    bed.wait_status(&lost, ", in sync", WHOLE)?;
    bed.clean_up()?;
    bed.wait_healthy(WHOLE)?;
    bed.finish(ledger, &bed.names()).map(drop)
}

/// Marks and scores are lost, as when another agent was in charge before: the one writable server is taken over with its
/// clients.
fn adoption(bed: &Bed) -> Result<()> {
    let primary = bed.standard_configuration()?;
    let ledger = bed.ledger()?;
    ledger.wait_for_acknowledged(50, Duration::from_secs(20))?;
    bed.set_maintenance(true)?;
    std::thread::sleep(Duration::from_secs(2));
    ledger.mark("the cluster's stack is stopped on all nodes");
    for node in bed.lab().nodes() {
        node.stop_stack()?;
        node.run(&["sh", "-c", "rm -f /run/resource-agents/rustha-*"])?;
    }
    for node in bed.lab().nodes() {
        node.start_stack()?;
    }
    ledger.mark("and started again");
    bed.wait("the primary found again", WHOLE, || Ok(bed.promoted()?.filter(|node| *node == primary)))?;
    bed.set_maintenance(false)?;
    let now = bed.wait_healthy(WHOLE)?;
    ensure!(now == primary, "the primary moved to {now}");
    ledger.wait_for_acknowledged(50, Duration::from_secs(20))?;
    bed.ensure_nobody_closed()?;
    bed.finish(ledger, &bed.names()).map(drop)
}

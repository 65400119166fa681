//! The primary is lost.

use std::time::Duration;

use anyhow::{Result, ensure};
use rustha_lab::Fault;
use rustha_lab::scenario::{Bed, Scenario};

use crate::{BOTH, WHOLE};

pub const ALL: &[Scenario] = &[
    Scenario {
        name: "kill-daemon",
        about: "Invariants 1 and 2: the primary's daemon is killed three times: another takes over each time (resource-agents#189).",
        roots: BOTH,
        long: false,
        nodes: 3,
        fencing: false,
        run: kill_daemon,
    },
    Scenario {
        name: "hang-daemon",
        about: "The primary's daemon hangs (SIGSTOP): another takes over, and the hung one is restarted.",
        roots: BOTH,
        long: false,
        nodes: 3,
        fencing: false,
        run: hang_daemon,
    },
    Scenario {
        name: "power-off",
        about: "Invariants 1 and 4: the primary's machine is off, and comes back: as a replica, or kept out with what only it has.",
        roots: BOTH,
        long: false,
        nodes: 3,
        fencing: false,
        run: power_off,
    },
];

fn kill_daemon(bed: &Bed) -> Result<()> {
    let mut primary = bed.standard_configuration()?;
    let ledger = bed.ledger()?;
    let mut rounds = 0;
    for round in 1..=3 {
        ledger.wait_for_acknowledged(50, Duration::from_secs(20))?;
        ledger.mark(format!("round {round}: kill-daemon {primary}"));
        bed.lab().fault(Fault::KillDaemon, &primary)?;
        bed.wait_promoted_on_other_than(&primary, Duration::from_secs(30))?;
        ledger.wait_until_written(Duration::from_secs(20))?;
        bed.clean_up()?;
        bed.wait_all_instances(WHOLE)?;
        let whole = bed.wait_settled(WHOLE)?;
        primary = bed.wait("a primary", WHOLE, || bed.promoted())?;
        rounds = round;
        if whole.len() < 2 {
            // Two crashes in a row have each left a transaction that nobody was told of: those two are kept out.
            println!("only {primary} has everything after round {round}");
            break;
        }
    }
    ensure!(rounds >= 2, "only {rounds} rounds");
    bed.finish_settled(ledger, WHOLE).map(drop)
}

fn hang_daemon(bed: &Bed) -> Result<()> {
    let primary = bed.standard_configuration()?;
    let ledger = bed.ledger()?;
    ledger.wait_for_acknowledged(50, Duration::from_secs(20))?;
    ledger.mark(format!("hang-daemon {primary}"));
    bed.lab().fault(Fault::HangDaemon, &primary)?;
    bed.wait_promoted_on_other_than(&primary, Duration::from_secs(60))?;
    ledger.wait_until_written(Duration::from_secs(20))?;
    bed.clean_up()?;
    bed.finish_settled(ledger, WHOLE).map(drop)
}

/// A primary that loses its power between writing a transaction to its binary log and sending it comes back with a
/// transaction that nobody else has and no client was told of. It must then stay out, with the reason; that it
/// comes back by itself is a later step.
fn power_off(bed: &Bed) -> Result<()> {
    let primary = bed.standard_configuration()?;
    let ledger = bed.ledger()?;
    ledger.wait_for_acknowledged(50, Duration::from_secs(20))?;
    ledger.mark(format!("power-off {primary}"));
    bed.lab().fault(Fault::PowerOff, &primary)?;
    let successor = bed.wait_promoted_on_other_than(&primary, Duration::from_secs(60))?;
    ledger.wait_until_written(Duration::from_secs(20))?;
    bed.lab().heal()?;
    let status = bed.wait(&format!("{primary} says what it is"), WHOLE, || {
        let status = bed.attribute(&primary, "p_db-status")?.unwrap_or_default();
        let is_settled = status.starts_with(&format!("replica of {successor}")) || status.starts_with("excluded: ");
        Ok(is_settled.then_some(status))
    })?;
    println!("{primary}: {status}");
    ledger.wait_for_acknowledged(50, Duration::from_secs(20))?;
    if status.starts_with("replica") {
        bed.wait_healthy(WHOLE)?;
        return bed.finish(ledger, &bed.names()).map(drop);
    }
    let is_divergence = status.contains("diverged") || status.contains("not in the history");
    ensure!(is_divergence, "{primary} is kept out for another reason than a transaction of its own: {status}");
    ensure!(bed.attribute(&primary, "master-p_db")?.as_deref() == Some("-INFINITY"), "{primary} could be promoted");
    bed.finish(ledger, &bed.others(&primary)).map(drop)
}

//! The primary is lost.

use std::time::Duration;

use anyhow::{Result, ensure};
use rustha_lab::Fault;
use rustha_lab::scenario::{Bed, Scenario};

use crate::{BOTH, PROVIDED, WHOLE};

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
        about: "Invariants 1 and 4: the primary's machine is off, and comes back by itself, what only it had being saved.",
        roots: BOTH,
        long: false,
        nodes: 3,
        fencing: false,
        run: power_off,
    },
    Scenario {
        name: "guard-lost",
        about: "A guard that hangs delays nothing that an action does, and is replaced, as one is whose files are removed.",
        roots: BOTH,
        long: true,
        nodes: 3,
        fencing: false,
        run: guard_lost,
    },
];

fn kill_daemon(bed: &Bed) -> Result<()> {
    let mut primary = bed.standard_configuration()?;
    let ledger = bed.ledger()?;
    for round in 1..=3 {
        // A primary that has just been left alone lets writes wait for semi_sync_degrade first.
        ledger.wait_for_acknowledged(50, WHOLE)?;
        ledger.mark(format!("round {round}: kill-daemon {primary}"));
        bed.lab().fault(Fault::KillDaemon, &primary)?;
        bed.wait_promoted_on_other_than(&primary, Duration::from_secs(30))?;
        ledger.wait_until_written(WHOLE)?;
        bed.wait(&format!("why {primary} failed"), WHOLE, || {
            let why = bed.attribute(&primary, "p_db-last-failure")?.unwrap_or_default();
            Ok(why.contains("was ended by signal 9").then_some(()))
        })?;
        bed.clean_up()?;
        bed.wait_all_instances(WHOLE)?;
        // What the crash may have left it with, and nobody was told of, is saved, and it is provisioned anew.
        bed.wait_settled(PROVIDED)?;
        primary = bed.wait("a primary", WHOLE, || bed.promoted())?;
    }
    bed.finish_settled(ledger, PROVIDED).map(drop)
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
    bed.finish_settled(ledger, PROVIDED).map(drop)
}

/// A primary that loses its power between writing a transaction to its binary log and sending it comes back with a
/// transaction that nobody else has and no client was told of: that is saved, and it is provisioned anew.
fn power_off(bed: &Bed) -> Result<()> {
    let primary = bed.standard_configuration()?;
    let ledger = bed.ledger()?;
    ledger.wait_for_acknowledged(50, Duration::from_secs(20))?;
    ledger.mark(format!("power-off {primary}"));
    bed.lab().fault(Fault::PowerOff, &primary)?;
    let successor = bed.wait_promoted_on_other_than(&primary, Duration::from_secs(60))?;
    ledger.wait_until_written(Duration::from_secs(20))?;
    bed.lab().heal()?;
    bed.wait_status(&primary, &format!("replica of {successor}, in sync"), PROVIDED)?;
    println!("{primary}: saved was {:?}", bed.attribute(&primary, "p_db-divergence")?);
    ledger.wait_for_acknowledged(50, Duration::from_secs(20))?;
    bed.wait_healthy(WHOLE)?;
    bed.finish(ledger, &bed.names()).map(drop)
}

/// The guards are left work by notifications and promotions, and report what ends.
fn guard_lost(bed: &Bed) -> Result<()> {
    let (primary, ledger) = bed.standard_load()?;
    let successor = bed.others(&primary)[0].to_owned();
    let other = bed.others(&primary)[1].to_owned();
    bed.prefer(&successor)?;
    ledger.mark(format!("the guard of {other} hangs, and {primary} is killed"));
    bed.lab().fault(Fault::HangGuard, &other)?;
    bed.lab().fault(Fault::KillDaemon, &primary)?;
    let now = bed.wait_promoted_on_other_than(&primary, WHOLE)?;
    ensure!(now == successor, "{now} was promoted instead of {successor}");
    // Its next monitor attaches the replica whose guard hangs.
    ledger.wait_until_written(WHOLE)?;
    wait_logged(bed, &other, "the guard hangs")?;
    bed.clean_up()?;
    bed.wait_all_instances(WHOLE)?;
    bed.wait_status(&other, ", in sync", WHOLE)?;
    ledger.mark(format!("the files of {successor}'s guard are removed"));
    let started = bed.logged(&successor, "starting the guard")?.len();
    bed.node(&successor)?.run(&["sh", "-c", "rm /run/resource-agents/rustha-p_db.guard*"])?;
    wait_logged(bed, &successor, "the files of this guard were removed")?;
    bed.wait("another guard", WHOLE, || {
        Ok((bed.logged(&successor, "starting the guard")?.len() > started).then_some(()))
    })?;
    ledger.mark(format!("kill-daemon {successor}"));
    bed.lab().fault(Fault::KillDaemon, &successor)?;
    bed.wait_promoted_on_other_than(&successor, WHOLE)?;
    // It is not the server's parent, and so does not know more.
    wait_logged(bed, &successor, "guard: the server ended")?;
    ledger.wait_until_written(WHOLE)?;
    bed.clean_up()?;
    bed.wait_all_instances(WHOLE)?;
    bed.finish_settled(ledger, PROVIDED).map(drop)
}

fn wait_logged(bed: &Bed, node: &str, text: &str) -> Result<()> {
    bed.wait(&format!("{text:?} in the log of {node}"), WHOLE, || {
        Ok((!bed.logged(node, text)?.is_empty()).then_some(()))
    })
}

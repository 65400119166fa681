//! The cluster's stack on the primary dies or hangs, and the server lives on: it acknowledges nothing more, and gives the
//! address back.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustha_lab::scenario::{Bed, Scenario};
use rustha_lab::{Fault, Node};

use crate::address::{LEASE, WITHOUT_WRITES};
use crate::{BOTH, PROVIDED, WHOLE};

const fn scenario(name: &'static str, about: &'static str, long: bool, run: fn(&Bed) -> Result<()>) -> Scenario {
    Scenario { name, about, roots: BOTH, long, nodes: 3, fencing: false, run }
}

pub const ALL: &[Scenario] = &[
    scenario(
        "stack-corosync-killed",
        "Invariant 2: Corosync is killed on the primary: it acknowledges nothing more, and closes itself after stack_timeout.",
        false,
        |bed| lost(bed, |bed, primary| bed.lab().fault(Fault::KillCorosync, primary)),
    ),
    scenario("stack-corosync-stopped", "Invariant 2: Corosync is stopped on the primary: the same.", true, |bed| {
        lost(bed, |bed, primary| bed.lab().fault(Fault::StopCorosync, primary))
    }),
    scenario(
        "stack-pacemaker-killed",
        "Invariant 2: all of Pacemaker's daemons are killed on the primary: the same.",
        true,
        |bed| lost(bed, |bed, primary| bed.lab().fault(Fault::KillPacemaker, primary)),
    ),
    scenario(
        "stack-hung",
        "Invariant 2: Corosync stands still on the primary, and whatever asks it hangs: the same.",
        true,
        |bed| lost(bed, |bed, primary| bed.lab().fault(Fault::HangCorosync, primary)),
    ),
    scenario(
        "stack-stopped",
        "Objection 18: the primary's whole stack is stopped, as for an upgrade of its node: another goes on with everything.",
        false,
        stopped,
    ),
    scenario(
        "stack-replica-killed",
        "Objection 5: Corosync is killed on a replica: it receives nothing more; writes go on, and it comes back in sync.",
        true,
        replica,
    ),
    scenario(
        "stack-pacemakerd-killed",
        "pacemakerd alone is killed on the primary: nothing moves, the log and the monitor say so.",
        true,
        headless,
    ),
    scenario(
        "stack-upgrade",
        "Objection 23: in maintenance mode the whole stack is stopped for longer than stack_timeout: nothing is closed.",
        false,
        upgrade,
    ),
];

const SOON: Duration = Duration::from_secs(40);

/// The default of `stack_timeout`, with some time for the closing itself.
const CLOSED: Duration = Duration::from_secs(30);

/// Without fencing, Pacemaker 3.0.3 waits for the answers of daemons that were killed (with Corosync alive), or that were
/// asked before their node was lost and came back, until the time-outs of their actions and its own cluster-delay of 60 s
/// are over.
const GIVING_UP: Duration = Duration::from_secs(180);

fn is_closed(node: &Node) -> Result<bool> {
    Ok(node.sql("SELECT @@global.read_only")?.trim() != "0")
}

fn lost(bed: &Bed, break_stack: fn(&Bed, &str) -> Result<()>) -> Result<()> {
    let (primary, ledger) = bed.printed_load()?;
    let node = bed.node(&primary)?;
    let client = bed.client_of(&primary)?;
    client.run("CREATE TABLE app.split (id INT PRIMARY KEY)")?;
    ledger.mark(format!("the stack of {primary} is lost"));
    break_stack(bed, &primary)?;
    let is_led = || Ok::<_, anyhow::Error>(bed.promoted()?.is_some_and(|name| name != primary));
    bed.wait("another one promoted, or this one closed", WHOLE, || Ok((is_led()? || is_closed(node)?).then_some(())))?;
    // Where the promotion takes longer than stack_timeout, the client finds a closed server, or its connection ended.
    let late = client.say("INSERT INTO app.split VALUES (1)");
    bed.wait(&format!("{primary} closed"), CLOSED, || Ok(is_closed(node)?.then_some(())))?;
    let answer = late.wait(SOON).context("a client of the closed primary")?;
    ensure!(answer.is_err(), "{primary} acknowledged a write after another instance was promoted");
    bed.wait_promoted_on_other_than(&primary, GIVING_UP)?;
    let said = bed.logged(&primary, "the cluster's stack is gone: closing the primary")?;
    ensure!(!said.is_empty(), "the log of {primary} does not say why it was closed");
    ledger.wait_until_written(SOON)?;
    ledger.mark("the stack is started again");
    bed.lab().heal()?;
    bed.wait_all_instances(WHOLE)?;
    // Until Pacemaker has demoted the old one it counts two.
    bed.wait("one primary", GIVING_UP, || bed.promoted())?;
    let whole = bed.wait_settled(PROVIDED)?;
    ledger.wait_for_acknowledged(50, SOON)?;
    let whole: Vec<&str> = whole.iter().map(String::as_str).collect();
    // Both servers are open for a moment, until the old primary's guard has closed it; it acknowledges nothing.
    let verdict = bed.finish_split(ledger, &whole)?;
    verdict.assert_gap_within(WITHOUT_WRITES)
}

fn stopped(bed: &Bed) -> Result<()> {
    let (primary, ledger) = bed.standard_load()?;
    let node = bed.node(&primary)?;
    ledger.mark(format!("the stack of {primary} is stopped"));
    node.stop_stack()?;
    let now = bed.wait_promoted_on_other_than(&primary, SOON)?;
    ledger.wait_until_written(SOON)?;
    bed.wait_status(&now, "each write also on 1 of", SOON)?;
    ledger.mark("and started again");
    node.start_stack()?;
    bed.wait_status(&primary, ", in sync", WHOLE)?;
    let last = bed.wait_healthy(WHOLE)?;
    ensure!(last == now, "the primary moved again, to {last}");
    bed.finish(ledger, &bed.names()).map(drop)
}

fn replica(bed: &Bed) -> Result<()> {
    let (primary, ledger) = bed.standard_load()?;
    let lost = bed.others(&primary)[0].to_owned();
    ledger.mark(format!("kill-corosync {lost}"));
    bed.lab().fault(Fault::KillCorosync, &lost)?;
    let receiver = || bed.node(&lost)?.sql("SHOW REPLICA STATUS");
    bed.wait(&format!("the receiver of {lost} stopped"), CLOSED, || {
        Ok((!receiver()?.contains("Waiting for")).then_some(()))
    })?;
    bed.wait_status(&primary, "each write also on 1 of", SOON)?;
    ledger.wait_for_acknowledged(50, SOON)?;
    ledger.mark("the stack is started again");
    bed.lab().heal()?;
    bed.wait_status(&lost, ", in sync", WHOLE)?;
    let now = bed.wait_healthy(WHOLE)?;
    ensure!(now == primary, "the primary moved to {now}");
    bed.finish(ledger, &bed.names()).map(drop)
}

fn headless(bed: &Bed) -> Result<()> {
    let (primary, ledger) = bed.standard_load()?;
    let node = bed.node(&primary)?;
    ledger.mark(format!("pacemakerd of {primary} is killed"));
    node.run(&["pkill", "-KILL", "-x", "pacemakerd"])?;
    bed.wait("the monitor of the primary degraded", SOON, || {
        let shown = bed.whole_node()?.run(&["crm_mon", "--one-shot", "--output-as=xml"])?;
        Ok(shown.contains("rc=\"191\"").then_some(()))
    })?;
    let said = bed.logged(&primary, "pacemakerd is not running")?;
    ensure!(!said.is_empty(), "the log of {primary} says nothing");
    ensure!(!is_closed(node)?, "{primary} was closed");
    ledger.wait_for_acknowledged(50, SOON)?;
    // Waited for: with the end of the call its process group is killed, which it may not have left yet.
    let start =
        "setsid pacemakerd -f </dev/null >/dev/null 2>&1 & until pgrep -x pacemakerd >/dev/null; do sleep 0.1; done";
    node.run(&["sh", "-c", start])?;
    bed.wait("the stack called whole", SOON, || {
        let said = bed.logged(&primary, "the cluster's stack is whole again")?;
        Ok((!said.is_empty()).then_some(()))
    })?;
    // Pacemaker goes on showing what was degraded once.
    bed.clean_up()?;
    let now = bed.wait_healthy(WHOLE)?;
    ensure!(now == primary, "the primary moved to {now}");
    bed.finish(ledger, &bed.names()).map(drop)
}

fn upgrade(bed: &Bed) -> Result<()> {
    let (primary, ledger) = bed.printed_load()?;
    bed.set_maintenance(true)?;
    ledger.mark("the stack is stopped on all nodes");
    for node in bed.lab().nodes() {
        node.stop_stack()?;
    }
    // Longer than stack_timeout, and than the address would stay by itself.
    std::thread::sleep(LEASE + Duration::from_secs(5));
    ledger.wait_for_acknowledged(50, SOON)?;
    for node in bed.lab().nodes() {
        let said = bed.logged(node.name(), "maintenance mode is on")?;
        ensure!(!said.is_empty(), "the log of {} does not say that its stack is gone", node.name());
        node.start_stack()?;
    }
    ledger.mark("and started again");
    bed.wait("the primary found again", WHOLE, || Ok(bed.promoted()?.filter(|node| *node == primary)))?;
    bed.set_maintenance(false)?;
    let now = bed.wait_healthy(WHOLE)?;
    ensure!(now == primary, "the primary moved to {now}");
    ledger.wait_for_acknowledged(50, SOON)?;
    bed.ensure_nobody_closed()?;
    let verdict = bed.finish(ledger, &bed.names())?;
    // Neither the address nor the writes have ever stopped.
    verdict.assert_gap_within(Duration::from_secs(1))
}

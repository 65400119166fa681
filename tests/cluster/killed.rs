//! The agent is killed in the middle of its actions: whatever line that hits, the cluster recovers by repeating.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustha_lab::scenario::{Bed, RESOURCE, Scenario};
use rustha_lab::{Fault, Node};

use crate::{BOTH, WHOLE};

pub const ALL: &[Scenario] = &[
    Scenario {
        name: "killed-actions",
        about: "Invariant 6: each action is killed at several moments of a planned move; the cluster recovers each time.",
        roots: BOTH,
        long: true,
        nodes: 3,
        fencing: false,
        run: killed_actions,
    },
    Scenario {
        name: "lost-notifications",
        about: "Invariant 7: a primary dies while no notification arrives: nothing acknowledged is lost, then all is well again.",
        roots: BOTH,
        long: true,
        nodes: 3,
        fencing: false,
        run: lost_notifications,
    },
];

/// Milliseconds after an action's begin: before it has read its parameters, and so on to where it is mostly done.
const MOMENTS: &[u64] = &[5, 20, 60, 150, 400];

/// Which actions, and on which nodes. Of the notifications those on which promotion rests.
const ACTIONS: &[(&str, Where)] = &[
    ("monitor", Where::Primary),
    ("monitor", Where::Others),
    ("demote", Where::Primary),
    ("stop", Where::Primary),
    ("notify-pre-promote", Where::Others),
    ("promote", Where::Others),
    ("notify-post-promote", Where::Others),
    ("notify-post-demote", Where::Others),
    ("start", Where::Primary),
    ("notify-post-start", Where::Others),
    ("probe", Where::Primary),
    ("reload-agent", Where::Others),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Where {
    Primary,
    Others,
}

/// The agent's place, and where its link is moved to.
const AGENT: &str = "/usr/lib/ocf/resource.d/rustha/mysql";
const MOVED: &str = "/usr/lib/rustha-moved/mysql";

/// In place of the agent: becomes it, and, if there is an order for this action, has it killed with all of its process
/// group after that time. Pacemaker starts each action in a group of its own, with this process as the leader.
const HATCHET: &str = r#"#!/bin/sh
[ "$1" = notify ] && [ -e /root/hatchet/no-notifications ] && exit 0
case "$1" in
    notify) action="$1-$OCF_RESKEY_CRM_meta_notify_type-$OCF_RESKEY_CRM_meta_notify_operation" ;;
    monitor) [ "${OCF_RESKEY_CRM_meta_interval:-0}" = 0 ] && action=probe || action=monitor ;;
    *) action="$1" ;;
esac
if mv "/root/hatchet/$action" "/root/hatchet/taken" 2>/dev/null; then
    read -r seconds < /root/hatchet/taken
    # A monitor after which nothing has changed is over before it can be killed: this one has to look at everything.
    rm -f /run/resource-agents/rustha-p_db.seen /run/resource-agents/rustha-p_db.told
    # So is a notification that leaves the work to the guard: this one has to do it itself.
    [ "$action" = notify-post-promote ] && rm -f /run/resource-agents/rustha-p_db.guard.ear
    setsid sh -c "sleep $seconds; kill -KILL -$$ && echo $action >> /root/hatchet/killed" </dev/null >/dev/null 2>&1 &
fi
exec /usr/lib/rustha-moved/mysql "$@"
"#;

fn killed_actions(bed: &Bed) -> Result<()> {
    place_hatchets(bed)?;
    let mut primary = bed.standard_configuration()?;
    for (action, place) in ACTIONS {
        let ledger = bed.ledger()?;
        let mut killed = 0;
        for moment in MOMENTS {
            let round = format!("{action} after {moment} ms");
            ledger.mark(&round);
            let is_armed = |node: &&Node| (*place == Where::Primary) == (node.name() == primary);
            let armed: Vec<_> = bed.lab().nodes().iter().filter(is_armed).collect();
            killed += play(bed, &primary, action, &armed, *moment).context(round.clone())?;
            primary = bed.wait_healthy(WHOLE).context(round.clone())?;
            ledger.wait_until_written(Duration::from_secs(20)).context(round)?;
        }
        // The later moments may come after a quick action's end.
        ensure!(killed > 0, "no {action} was killed");
        bed.finish(ledger, &bed.names()).context(*action)?;
    }
    Ok(())
}

fn place_hatchets(bed: &Bed) -> Result<()> {
    bed.lab().nodes().iter().try_for_each(|node| {
        node.run(&["mkdir", "-p", "/usr/lib/rustha-moved", "/root/hatchet"])?;
        node.run(&["mv", AGENT, MOVED])?;
        node.write_file(AGENT, HATCHET, 0o755)
    })
}

/// One round: the order is given, the primary's node goes to standby and comes back, and an operator cleans up; how many
/// were killed before they had ended by themselves.
fn play(bed: &Bed, primary: &str, action: &str, armed: &[&Node], moment: u64) -> Result<usize> {
    for node in armed {
        node.write_file(&format!("/root/hatchet/{action}"), &format!("0.{moment:03}\n"), 0o600)?;
    }
    let is_taken = || -> Result<bool> {
        let mut taken = armed.iter().map(|node| node.exec(&["test", "-e", "/root/hatchet/taken"], WHOLE));
        taken.try_fold(false, |any, output| Ok(any || output?.status.success()))
    };
    let standby = |argv: &[&str]| bed.whole_node()?.run(&[&["crm_standby", "--node", primary], argv].concat());
    match action {
        "monitor" => {}
        "probe" => drop(bed.whole_node()?.run(&["crm_resource", "--refresh"])?),
        "reload-agent" => {
            let value = (3600 + moment).to_string();
            let argv =
                ["crm_resource", "--resource", RESOURCE, "--set-parameter", "max_slave_lag", "--parameter-value"];
            bed.whole_node()?.run(&[&argv[..], &[&value]].concat())?;
        }
        _ => {
            standby(&["--update", "on"])?;
            bed.wait("the primary's node without an instance", WHOLE, || {
                Ok((!bed.instances()?.contains_key(primary) || is_taken()?).then_some(()))
            })?;
            std::thread::sleep(Duration::from_secs(2));
            standby(&["--delete"])?;
        }
    }
    bed.wait("the action to be killed", WHOLE, || Ok(is_taken()?.then_some(())))?;
    bed.clean_up()?;
    let mut count = 0;
    for node in armed {
        let killed = node.exec(&["sh", "-c", "cd /root/hatchet; cat killed; rm -f *"], WHOLE)?;
        println!("          {}: killed {}", node.name(), killed.stdout.trim());
        count += killed.stdout.lines().count();
    }
    Ok(count)
}

/// A promotion without the survivors' word may be refused, and then nobody writes; it may not lose what they have.
fn lost_notifications(bed: &Bed) -> Result<()> {
    place_hatchets(bed)?;
    let primary = bed.standard_configuration()?;
    let ledger = bed.ledger()?;
    ledger.wait_for_acknowledged(50, Duration::from_secs(20))?;
    for node in bed.lab().nodes() {
        node.run(&["touch", "/root/hatchet/no-notifications"])?;
    }
    ledger.mark(format!("kill-daemon {primary}, and nobody is notified"));
    bed.lab().fault(Fault::KillDaemon, &primary)?;
    std::thread::sleep(Duration::from_secs(40));
    println!("meanwhile promoted: {}", bed.promoted()?.as_deref().unwrap_or("nobody"));
    for node in bed.lab().nodes() {
        node.run(&["rm", "/root/hatchet/no-notifications"])?;
    }
    ledger.mark("notifications arrive again");
    bed.clean_up()?;
    bed.wait_healthy(WHOLE)?;
    ledger.wait_for_acknowledged(50, Duration::from_secs(20))?;
    bed.finish(ledger, &bed.names()).map(drop)
}

//! The primary is moved on purpose.

use std::time::Duration;

use anyhow::{Result, ensure};
use rustha_lab::ledger::Ledger;
use rustha_lab::scenario::{Bed, Scenario};
use rustha_lab::{Node, Vendor};

use crate::{BOTH, WHOLE};

const fn scenario(name: &'static str, about: &'static str, run: fn(&Bed) -> Result<()>) -> Scenario {
    Scenario { name, about, roots: BOTH, long: false, nodes: 3, fencing: false, run }
}

pub const ALL: &[Scenario] = &[
    scenario(
        "switchover",
        "A raised promotion score takes the primary to a node of choice under load, and back, and leaves no constraint.",
        switchover,
    ),
    Scenario {
        long: true,
        ..scenario(
            "switchover-transaction",
            "A transaction that a client left open on the primary does not hold up a switchover, and is not acknowledged.",
            transaction,
        )
    },
    scenario(
        "switchover-query",
        "Statements that run for minutes on the primary do not hold up a switchover, and the change is not acknowledged.",
        query,
    ),
    scenario(
        "switchover-stopped-target",
        "The target's SQL thread is stopped just before: the switchover is cancelled, and the old primary goes on.",
        stopped_target,
    ),
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
        name: "standby-busy",
        about: "Invariant 1: privileged clients hold all connections of a primary that goes to standby: it moves, all the same.",
        roots: BOTH,
        long: true,
        nodes: 3,
        fencing: false,
        run: standby_busy,
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

const SOON: Duration = Duration::from_secs(40);

fn planned_move(bed: &Bed) -> Result<()> {
    let first = bed.standard_configuration()?;
    let target = bed.others(&first)[0].to_string();
    let ledger = bed.ledger()?;
    for (from, to) in [(&first, &target), (&target, &first)] {
        ledger.wait_for_acknowledged(50, Duration::from_secs(20))?;
        ledger.mark(format!("move from {from} to {to}"));
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
    ledger.mark(format!("standby {primary}"));
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

/// First the clients leave while demote insists, and it closes the server as always. Then they stay, and it ends it.
fn standby_busy(bed: &Bed) -> Result<()> {
    let mut primary = bed.standard_configuration_with("demote timeout=120s", "demote timeout=30s")?;
    let ledger = bed.ledger()?;
    for leave in [true, false] {
        ledger.wait_for_acknowledged(50, Duration::from_secs(20))?;
        let node = bed.node(&primary)?;
        occupy(bed, node)?;
        ledger.mark(format!("standby {primary}, its clients {}", if leave { "leave later" } else { "stay" }));
        bed.whole_node()?.run(&["crm_standby", "--node", &primary, "--update", "on"])?;
        if leave {
            std::thread::sleep(Duration::from_secs(6));
            ensure!(bed.promoted()?.is_none_or(|node| node == primary), "another is promoted, and {primary} is open");
            node.run(&["rm", "/root/busy"])?;
            node.run(&["pkill", "-f", "SLEEP.9999"])?;
        }
        bed.wait_promoted_on_other_than(&primary, Duration::from_secs(60))?;
        ledger.wait_until_written(Duration::from_secs(20))?;
        let killed = node.exec(&["grep", "cannot be closed for writes: killed", "/var/log/syslog"], WHOLE)?;
        ensure!(killed.stdout.is_empty() == leave, "how demote ended on {primary}: {}", killed.stdout);
        node.run(&["rm", "-f", "/root/busy"])?;
        bed.whole_node()?.run(&["crm_standby", "--node", &primary, "--delete"])?;
        let now = bed.wait_healthy(WHOLE)?;
        let open = if bed.lab().root().vendor() == Vendor::MySql { "SET GLOBAL super_read_only=0;" } else { "" };
        bed.node(&primary)?.sql(&format!("{open} SET sql_log_bin=0; ALTER USER app@'%' ACCOUNT UNLOCK"))?;
        primary = now;
    }
    bed.finish(ledger, &bed.names()).map(drop)
}

/// Takes all of a server's connections with privileged clients, the one among them that is kept for the administrator. The
/// address's clients have none any more: theirs would be free for the agent when the address goes.
fn occupy(bed: &Bed, node: &Node) -> Result<()> {
    node.run(&["touch", "/root/busy"])?;
    node.sql("SET sql_log_bin=0; ALTER USER app@'%' ACCOUNT LOCK")?;
    for id in node.sql("SELECT id FROM information_schema.processlist WHERE user='app'")?.split_whitespace() {
        // One that has just ended by itself is none.
        let _ = node.sql(&format!("KILL {id}"));
    }
    node.sql("SET GLOBAL max_connections=10")?;
    let hold = "for i in $(seq 14); do \
                (while [ -e /root/busy ]; do mysql -e 'SELECT SLEEP(9999)'; sleep 0.5; done >/dev/null 2>&1 &); done";
    node.run(&["setsid", "sh", "-c", hold])?;
    bed.wait("too many connections", Duration::from_secs(10), || {
        let refused = node.sql("SELECT 1").err().map(|error| format!("{error:#}"));
        Ok(refused.filter(|why| why.contains("1040")))
    })?;
    Ok(())
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

/// Moves the primary by the target's promotion score, and waits until the cluster is healthy with it.
fn switch(bed: &Bed, ledger: &Ledger, from: &str, to: &str) -> Result<()> {
    ledger.mark(format!("switchover from {from} to {to}"));
    bed.raise_target(to)?;
    let promoted = bed.wait_promoted_on_other_than(from, WHOLE)?;
    ensure!(promoted == to, "{promoted} was promoted instead of {to}");
    ledger.wait_until_written(SOON)?;
    let healthy = bed.wait_healthy(WHOLE)?;
    ensure!(healthy == to, "the primary went on to {healthy}");
    bed.wait_score(to, "1000", SOON)?;
    bed.assert_no_location()
}

fn switchover(bed: &Bed) -> Result<()> {
    let (first, ledger) = bed.standard_load()?;
    let target = bed.others(&first)[1].to_owned();
    switch(bed, &ledger, &first, &target)?;
    ledger.wait_for_acknowledged(50, SOON)?;
    switch(bed, &ledger, &target, &first)?;
    bed.finish(ledger, &bed.names()).map(drop)
}

/// The client talks to the node's own address: its connection, and with it the transaction and its locks, does not go
/// with the service address.
fn transaction(bed: &Bed) -> Result<()> {
    let (primary, ledger) = bed.standard_load()?;
    let target = bed.others(&primary)[0].to_owned();
    let client = bed.client_of(&primary)?;
    client.run("CREATE TABLE app.pending (id INT PRIMARY KEY)")?;
    client.run("INSERT INTO app.pending VALUES (1), (2)")?;
    client.run("BEGIN")?;
    client.run("UPDATE app.pending SET id = id + 10")?;
    client.run("INSERT INTO app.pending VALUES (3)")?;
    switch(bed, &ledger, &primary, &target)?;
    let commit = client.say("COMMIT").wait(SOON)?;
    ensure!(commit.is_err(), "the commit was acknowledged after the switchover");
    bed.finish(ledger, &bed.names())?;
    for name in bed.names() {
        let rows = bed.node(name)?.sql("SELECT GROUP_CONCAT(id ORDER BY id) FROM app.pending")?;
        ensure!(rows.trim() == "1,2", "what was never committed is on {name}: {rows}");
    }
    Ok(())
}

fn query(bed: &Bed) -> Result<()> {
    let (primary, ledger) = bed.standard_load()?;
    let target = bed.others(&primary)[0].to_owned();
    let client = bed.client_of(&primary)?;
    client.run("CREATE TABLE app.pending (id INT PRIMARY KEY, changed INT NOT NULL DEFAULT 0)")?;
    for from in 0..10 {
        let rows: Vec<_> = (from * 100..from * 100 + 100).map(|id| format!("({id})")).collect();
        client.run(&format!("INSERT INTO app.pending (id) VALUES {}", rows.join(", ")))?;
    }
    let select = bed.client_of(&primary)?.say("SELECT SLEEP(300)");
    let update = client.say("UPDATE app.pending SET changed = 1 + SLEEP(0.3)");
    bed.wait("both statements running", SOON, || {
        let running = bed.node(&primary)?.sql("SHOW PROCESSLIST")?;
        Ok((running.contains("SLEEP(300)") && running.contains("SLEEP(0.3)")).then_some(()))
    })?;
    switch(bed, &ledger, &primary, &target)?;
    let update = update.wait(SOON)?;
    ensure!(update.is_err(), "the change was acknowledged after the switchover");
    println!("the query: {:?}, the change: {update:?}", select.wait(SOON)?);
    bed.finish(ledger, &bed.names())?;
    for name in bed.names() {
        let changed = bed.node(name)?.sql("SELECT SUM(changed) FROM app.pending")?;
        ensure!(changed.trim() == "0", "a part of the change is on {name}: {changed}");
    }
    Ok(())
}

/// Monitors would start the thread again, and it would be ready for the switchover.
fn stopped_target(bed: &Bed) -> Result<()> {
    let (primary, ledger) = bed.standard_load()?;
    let target = bed.others(&primary)[0].to_owned();
    bed.relax_replica_monitors()?;
    ledger.mark(format!("switchover from {primary} to {target}, whose SQL thread is stopped"));
    bed.node(&target)?.sql("STOP REPLICA SQL_THREAD")?;
    bed.raise_target(&target)?;
    let refusals = || bed.logged(&target, "mysql(p_db) promote: not promoted: somebody stopped its SQL thread");
    bed.wait("the refusal", WHOLE, || Ok((!refusals()?.is_empty()).then_some(())))?;
    ledger.wait_until_written(WHOLE)?;
    let now = bed.wait_healthy(WHOLE)?;
    ensure!(now == primary, "the primary went to {now}");
    bed.assert_no_location()?;
    ledger.wait_for_acknowledged(50, SOON)?;
    let refused = refusals()?.len();
    ensure!(refused == 1, "{target} was asked {refused} times");
    bed.finish(ledger, &bed.names()).map(drop)
}

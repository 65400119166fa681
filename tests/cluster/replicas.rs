//! What a replica may and may not be.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustha_lab::scenario::{Bed, Scenario};
use rustha_lab::{Fault, Vendor};

use crate::{BOTH, PROVIDED, WHOLE};

pub const ALL: &[Scenario] = &[
    Scenario {
        name: "broken-replica",
        about: "Invariant 3: a replica whose SQL thread failed is degraded and never promoted (resource-agents#1377). Convention 7: so it is shown.",
        roots: BOTH,
        long: false,
        nodes: 3,
        fencing: false,
        run: broken_replica,
    },
    Scenario {
        name: "writable-replica",
        about: "Invariant 2: a replica that somebody opens for writes by hand is closed by its next monitor.",
        roots: BOTH,
        long: false,
        nodes: 3,
        fencing: false,
        run: writable_replica,
    },
    Scenario {
        name: "stranger",
        about: "Objection 30: who reads the binary log and is no node of the cluster is named in the primary's log, and nobody else.",
        roots: BOTH,
        long: true,
        nodes: 3,
        fencing: false,
        run: stranger,
    },
];

fn broken_replica(bed: &Bed) -> Result<()> {
    let primary = bed.standard_configuration()?;
    let broken = bed.others(&primary)[0].to_string();
    let ledger = bed.ledger()?;
    // A row that only this replica has: inserting it on the primary fails here. (A table would not do: MariaDB
    // replicates CREATE TABLE as CREATE OR REPLACE, slave_ddl_exec_mode.)
    bed.node(&primary)?.sql("CREATE TABLE app.broken (id INT PRIMARY KEY)")?;
    let replica = bed.node(&broken)?;
    bed.wait("the table on the replica", Duration::from_secs(10), || {
        replica.sql("SELECT * FROM app.broken").map(Some)
    })?;
    let open = if bed.lab().root().vendor() == Vendor::MySql { "SET GLOBAL super_read_only=0;" } else { "" };
    replica.sql(&format!("{open} SET sql_log_bin=0; INSERT INTO app.broken VALUES (1)"))?;
    bed.node(&primary)?.sql("INSERT INTO app.broken VALUES (1)")?;
    let status = bed.wait("the broken replica excluded", Duration::from_secs(40), || {
        let score = bed.attribute(&broken, "master-p_db")?;
        let status = bed.attribute(&broken, "p_db-status")?.unwrap_or_default();
        Ok((score.as_deref() == Some("-INFINITY")).then_some(status))
    })?;
    ensure!(status.contains("SQL thread stopped: error 1062"), "{broken} does not say why: {status}");
    ensure!(bed.attribute(&broken, "readable")?.as_deref() == Some("0"), "{broken} is said to be readable");
    // A success that is shown. The attribute is there before the monitor that wrote it has returned.
    bed.wait(&format!("the monitor of {broken} degraded"), Duration::from_secs(20), || {
        let shown = bed.whole_node()?.run(&["crm_mon", "--one-shot", "--output-as=xml"])?;
        Ok(shown.contains("rc=\"190\"").then_some(()))
    })?;
    ledger.mark(format!("kill-daemon {primary}, with {broken} broken"));
    bed.lab().fault(Fault::KillDaemon, &primary)?;
    let promoted = bed.wait_promoted_on_other_than(&primary, Duration::from_secs(60))?;
    ensure!(promoted != broken, "the broken replica {broken} was promoted");
    ledger.wait_until_written(Duration::from_secs(20))?;
    bed.wait(&format!("{primary} back"), PROVIDED, || {
        let status = bed.attribute(&primary, "p_db-status")?.unwrap_or_default();
        Ok(status.contains(", in sync").then_some(()))
    })?;
    bed.finish(ledger, &bed.others(&broken)).map(drop)
}

fn writable_replica(bed: &Bed) -> Result<()> {
    let primary = bed.standard_configuration()?;
    let opened = bed.others(&primary)[0].to_string();
    let node = bed.node(&opened)?;
    node.sql("SET GLOBAL read_only=0")?;
    bed.wait(&format!("{opened} closed again"), Duration::from_secs(30), || {
        Ok((node.sql("SELECT @@global.read_only")?.trim() != "0").then_some(()))
    })?;
    let now = bed.wait_healthy(WHOLE)?;
    ensure!(now == primary, "the primary moved to {now}");
    let ledger = bed.ledger()?;
    ledger.wait_for_acknowledged(50, Duration::from_secs(20))?;
    bed.finish(ledger, &bed.names()).map(drop)
}

/// A program on a replica's machine, under an address that is no node's.
fn stranger(bed: &Bed) -> Result<()> {
    const ADDRESS: &str = "10.77.0.99";
    let (primary, ledger) = bed.standard_load()?;
    let node = bed.node(bed.others(&primary)[0])?;
    let to = format!("{}/32", bed.node(&primary)?.address());
    node.run(&["ip", "address", "add", &format!("{ADDRESS}/24"), "dev", "eth0"])?;
    node.run(&["ip", "route", "add", &to, "dev", "eth0", "src", ADDRESS])?;
    let (program, identity) = match bed.lab().root().vendor() {
        Vendor::MySql => ("mysqlbinlog", "--connection-server-id=99 --get-server-public-key"),
        Vendor::MariaDb => ("mariadb-binlog", "--stop-never-slave-server-id=99"),
    };
    let logs = bed.node(&primary)?.sql("SHOW BINARY LOGS")?;
    let log = logs.split_whitespace().next().context("no binary log")?;
    let reads = format!(
        "cd /tmp; setsid {program} --read-from-remote-server --stop-never --raw {identity} --host={primary} --user=repl \
         --password=repl-secret {log} </dev/null >/tmp/reader.log 2>&1 & \
         sleep 2; pgrep -x {program} >/dev/null || {{ cat /tmp/reader.log; exit 1; }}"
    );
    node.run(&["sh", "-c", &reads])?;
    let said = bed.wait("the stranger named", WHOLE, || {
        let said = bed.logged(&primary, "reads the binary log and is no node of this cluster")?;
        Ok((!said.is_empty()).then_some(said))
    })?;
    ensure!(said.len() == 1 && said[0].contains(&format!("{ADDRESS} reads")), "said: {}", said.join("\n"));
    node.run(&["pkill", "-x", program])?;
    node.run(&["ip", "route", "delete", &to, "dev", "eth0"])?;
    bed.finish(ledger, &bed.names()).map(drop)
}

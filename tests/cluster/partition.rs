//! Parts of the cluster that do not hear each other, and clusters of two.

use std::time::Duration;

use anyhow::{Result, ensure};
use rustha_lab::scenario::{Bed, Scenario};
use rustha_lab::{Fault, Vendor};

use crate::address::WITHOUT_WRITES;
use crate::{BOTH, MARIADB, PROVIDED, WHOLE};

pub const ALL: &[Scenario] = &[
    Scenario {
        name: "primary-cut-off",
        about: "Invariant 2: the primary's cable is pulled: it acknowledges nothing more, another is promoted, it comes back.",
        roots: BOTH,
        long: false,
        nodes: 3,
        fencing: false,
        run: primary_cut_off,
    },
    Scenario {
        name: "later-promotion",
        about: "Objection 4: a primary that Pacemaker leaves alone closes itself when another's promotion is on record.",
        roots: BOTH,
        long: true,
        nodes: 3,
        fencing: false,
        run: later_promotion,
    },
    Scenario {
        name: "replica-cut-off",
        about: "A replica's cable is pulled: writes go on without it, and it is in sync again when it is back.",
        roots: BOTH,
        long: false,
        nodes: 3,
        fencing: false,
        run: replica_cut_off,
    },
    Scenario {
        name: "two-nodes",
        about: "Objection 27: two nodes without fencing: a replica that is shut down is let go, one that is lost is waited for.",
        roots: MARIADB,
        long: false,
        nodes: 2,
        fencing: false,
        run: two_nodes,
    },
    Scenario {
        name: "two-nodes-fencing",
        about: "Two nodes with fencing: whoever is lost is fenced, and the other one goes on alone, with all that was written.",
        roots: BOTH,
        long: false,
        nodes: 2,
        fencing: true,
        run: two_nodes_fencing,
    },
];

const SOON: Duration = Duration::from_secs(40);
const FENCING: (&str, &str) = ("property stonith-enabled=false\n", "property stonith-enabled=true\n");
const PATIENCE: (&str, &str) = ("params replication_user=repl", "params replication_user=repl semi_sync_degrade=5s");

fn primary_cut_off(bed: &Bed) -> Result<()> {
    bed.configure_changed(&[PATIENCE])?;
    let primary = bed.wait_configured()?;
    let ledger = bed.ledger()?;
    ledger.wait_for_acknowledged(50, SOON)?;
    ledger.mark(format!("cable-out {primary}"));
    bed.lab().fault(Fault::CableOut, &primary)?;
    bed.wait_promoted_on_other_than(&primary, WHOLE)?;
    ledger.wait_until_written(SOON)?;
    ledger.wait_for_acknowledged(50, SOON)?;
    ledger.mark("the cable is put back");
    bed.lab().heal()?;
    bed.wait_all_instances(WHOLE)?;
    let whole = bed.wait_settled(PROVIDED)?;
    ledger.wait_until_written(SOON)?;
    let whole: Vec<&str> = whole.iter().map(String::as_str).collect();
    let verdict = bed.finish(ledger, &whole)?;
    verdict.assert_gap_within(WITHOUT_WRITES)
}

/// What a primary finds that was cut off, with Pacemaker's hands tied by maintenance mode. The promotion is forged: of a
/// replica that has everything, as `promote` would write it.
fn later_promotion(bed: &Bed) -> Result<()> {
    let primary = bed.standard_configuration()?;
    let next = bed.others(&primary)[0].to_owned();
    bed.set_maintenance(true)?;
    let shown = bed.record()?;
    let record = shown.split('"').find(|part| part.starts_with("epoch=")).unwrap_or_default();
    let words: Vec<String> = record.split_whitespace().map(str::to_owned).collect();
    let word = |name: &str| words.iter().find_map(|word| word.strip_prefix(name)).unwrap_or_default();
    let epoch: u64 = word("epoch=").parse().unwrap_or_default();
    ensure!(epoch > 0, "no promotion is on record: {shown}");
    let identity = if bed.lab().root().vendor() == Vendor::MySql { "server_uuid" } else { "server_id" };
    let uuid = bed.node(&next)?.sql(&format!("SELECT @@global.{identity}"))?;
    let executed = if identity == "server_uuid" { "gtid_executed" } else { "gtid_binlog_pos" };
    let base = bed.node(&next)?.sql(&format!("SELECT @@global.{executed}"))?.replace(['\n', ' '], "");
    let others: Vec<&str> = word("members=").split(',').filter(|one| !one.starts_with(&format!("{next}:"))).collect();
    let members = others.join(",");
    let forged = format!(
        "epoch={} state=open primary={next} uuid={} acks=1 members={members} joining= base={base}",
        epoch + 1,
        uuid.trim()
    );
    let argv = ["crm_attribute", "--type", "crm_config", "--set-name", "rustha", "--name", "p_db-record"];
    bed.whole_node()?.run(&[&argv[..], &["--update", &forged]].concat())?;
    let read_only = || bed.node(&primary)?.sql("SELECT @@global.read_only");
    bed.wait(&format!("{primary} closed"), SOON, || Ok((read_only()?.trim() != "0").then_some(())))?;
    let said = bed.logged(&primary, &format!("{next} was promoted after this instance"))?;
    ensure!(!said.is_empty(), "the log of {primary} does not say why it was closed");
    bed.set_maintenance(false)?;
    bed.wait("a primary", WHOLE, || bed.promoted())?;
    bed.clean_up()?;
    bed.wait_healthy(WHOLE)?;
    let ledger = bed.ledger()?;
    ledger.wait_for_acknowledged(50, SOON)?;
    bed.finish(ledger, &bed.names()).map(drop)
}

fn replica_cut_off(bed: &Bed) -> Result<()> {
    let primary = bed.standard_configuration_with_all(&[PATIENCE])?;
    let names = bed.others(&primary);
    let ledger = bed.ledger()?;
    ledger.wait_for_acknowledged(50, SOON)?;
    ledger.mark(format!("cable-out {}", names[0]));
    bed.lab().fault(Fault::CableOut, names[0])?;
    bed.wait_status(&primary, &format!("each write also on 1 of {}", names[1]), SOON)?;
    ledger.wait_for_acknowledged(50, SOON)?;
    ledger.mark("the cable is put back");
    bed.lab().heal()?;
    bed.wait_status(names[0], ", in sync", WHOLE)?;
    let now = bed.wait_healthy(WHOLE)?;
    ensure!(now == primary, "the primary moved to {now}");
    bed.finish(ledger, &bed.names()).map(drop)
}

fn two_nodes(bed: &Bed) -> Result<()> {
    let primary = bed.standard_configuration_with_all(&[PATIENCE])?;
    let replica = bed.others(&primary)[0].to_owned();
    let ledger = bed.ledger()?;
    ledger.wait_for_acknowledged(50, SOON)?;
    ledger.mark(format!("standby {replica}"));
    bed.whole_node()?.run(&["crm_standby", "--node", &replica, "--update", "on"])?;
    bed.wait_status(&primary, "primary, alone", SOON)?;
    bed.wait("the replica stopped", SOON, || Ok((bed.instances()?.len() == 1).then_some(())))?;
    ledger.wait_for_acknowledged(50, SOON)?;
    bed.bring_back(&replica)?;
    bed.wait_all_instances(WHOLE)?;
    bed.wait_status(&replica, ", in sync", WHOLE)?;
    ledger.mark(format!("power-off {replica}"));
    bed.lab().fault(Fault::PowerOff, &replica)?;
    bed.wait_status(&primary, "primary, writes wait", SOON)?;
    ledger.mark(format!("power-on {replica}"));
    bed.lab().heal()?;
    ledger.wait_until_written(WHOLE)?;
    bed.wait_healthy(WHOLE)?;
    ledger.mark(format!("power-off {primary}"));
    bed.lab().fault(Fault::PowerOff, &primary)?;
    bed.wait_status(&replica, "waiting: 1 of 2 nodes are online", WHOLE)?;
    ensure!(bed.promoted()?.is_none(), "promoted although the primary may live, cut off");
    bed.lab().heal()?;
    bed.wait("a primary", WHOLE, || bed.promoted())?;
    ledger.wait_until_written(WHOLE)?;
    let whole = bed.wait_settled(PROVIDED)?;
    let whole: Vec<&str> = whole.iter().map(String::as_str).collect();
    bed.finish(ledger, &whole).map(drop)
}

fn two_nodes_fencing(bed: &Bed) -> Result<()> {
    let primary = bed.standard_configuration_with_all(&[FENCING, PATIENCE])?;
    // A machine that is on again within seconds may be back in the set before the primary is alone.
    bed.whole_node()?.run(&["crm_attribute", "--name", "stonith-action", "--update", "off"])?;
    let replica = bed.others(&primary)[0].to_owned();
    let ledger = bed.ledger()?;
    ledger.wait_for_acknowledged(50, SOON)?;
    // Not the cable: without a delay in the cluster's configuration, both fence each other at the same time.
    ledger.mark(format!("power-off {replica}"));
    bed.lab().fault(Fault::PowerOff, &replica)?;
    bed.wait_status(&primary, "primary, alone", WHOLE)?;
    let left = bed.wait("a primary", WHOLE, || bed.promoted())?;
    ledger.wait_until_written(WHOLE)?;
    ledger.wait_for_acknowledged(50, SOON)?;
    ledger.mark("the other one comes back");
    bed.lab().heal()?;
    bed.wait_all_instances(WHOLE)?;
    let whole = bed.wait_settled(PROVIDED)?;
    ensure!(whole.len() == 2, "{replica} did not come back in sync");
    ledger.mark(format!("power-off {left}"));
    bed.lab().fault(Fault::PowerOff, &left)?;
    bed.wait_promoted_on_other_than(&left, WHOLE)?;
    ledger.wait_until_written(WHOLE)?;
    bed.lab().heal()?;
    bed.wait_all_instances(WHOLE)?;
    let whole = bed.wait_settled(PROVIDED)?;
    let whole: Vec<&str> = whole.iter().map(String::as_str).collect();
    bed.finish(ledger, &whole).map(drop)
}

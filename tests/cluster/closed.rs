//! A primary that is closed for writes: by the cluster while commits wait for an acknowledgement, and by hand.

use std::time::Duration;

use anyhow::{Result, ensure};
use rustha_lab::scenario::{Bed, Scenario};

use crate::{BOTH, MARIADB, PROVIDED, WHOLE};

const fn scenario(name: &'static str, about: &'static str, run: fn(&Bed) -> Result<()>) -> Scenario {
    Scenario { name, about, roots: BOTH, long: false, nodes: 3, fencing: false, run }
}

pub const ALL: &[Scenario] = &[
    scenario(
        "closed-while-waiting",
        "Objection 14: commits wait for an acknowledgement when the primary is closed: it ends in time and releases none.",
        while_waiting,
    ),
    Scenario {
        roots: MARIADB,
        ..scenario(
            "closed-by-hand",
            "A primary that somebody made read-only is degraded at once and says why; if it stays so, another is promoted.",
            by_hand,
        )
    },
];

const SOON: Duration = Duration::from_secs(60);
/// So many clients' commits wait beside the first one's. Each is ended within a fraction of a millisecond: of many, some
/// are still there when the one that waits for all of them is ended.
const OLDER: usize = 10;
const YOUNGER: usize = 40;
const USER: &str = "params replication_user=repl";

/// The degradation of the promise would release what waits, as the record then says that the primary is alone: it is put
/// off here.
fn while_waiting(bed: &Bed) -> Result<()> {
    let primary = bed.standard_configuration_with(USER, &format!("{USER} semi_sync_degrade=300s"))?;
    let connect = |number| (0..number).map(|_| bed.client_of(&primary)).collect::<Result<Vec<_>>>();
    // The server lists connections by age: some are older than the one that waits for all, some younger.
    let mut others = connect(OLDER)?;
    let client = bed.client_of(&primary)?;
    client.run("CREATE TABLE app.pending (id INT PRIMARY KEY)")?;
    bed.relax_replica_monitors()?;
    let ledger = bed.ledger()?;
    ledger.wait_for_acknowledged(50, SOON)?;
    ledger.mark("both replicas receive nothing");
    for name in bed.others(&primary) {
        bed.node(name)?.sql("STOP REPLICA IO_THREAD")?;
    }
    let waiting = client.say("INSERT INTO app.pending VALUES (1)");
    ensure!(waiting.wait(Duration::from_secs(3)).is_err(), "a commit that no replica has was answered");
    // They queue behind whatever came first, and commit together with each other.
    others.extend(connect(YOUNGER)?);
    let answers: Vec<_> = others
        .iter()
        .zip(2..)
        .map(|(client, id)| client.say(&format!("INSERT INTO app.pending VALUES ({id})")))
        .collect();
    std::thread::sleep(Duration::from_secs(1));
    ledger.mark(format!("standby {primary}"));
    bed.whole_node()?.run(&["crm_standby", "--node", &primary, "--update", "on"])?;
    let successor = bed.wait_promoted_on_other_than(&primary, WHOLE)?;
    let outcome = waiting.wait(SOON)?;
    println!("the commit that waited: {outcome:?}");
    ensure!(outcome.is_err(), "the closing acknowledged a commit that no other node has");
    let mut acknowledged = 0;
    for answer in answers {
        acknowledged += usize::from(answer.wait(SOON)?.is_ok());
    }
    ensure!(acknowledged == 0, "the closing acknowledged {acknowledged} commits that no other node has");
    ledger.wait_until_written(SOON)?;
    let closed = bed.logged(&primary, "mysql(p_db) demote: closed for writes")?;
    ensure!(closed.len() == 1, "the demotion did not close {primary} in its time");
    let rows = bed.node(&successor)?.sql("SELECT COUNT(*) FROM app.pending")?;
    ensure!(rows.trim() == "0", "{successor} has a row that it never received");
    bed.renew_replica_monitors()?;
    bed.bring_back(&primary)?;
    bed.wait_all_instances(WHOLE)?;
    // What was released without an acknowledgement is on the old primary alone, and keeps it out.
    let whole = bed.wait_settled(PROVIDED)?;
    println!("{primary}: {}", bed.attribute(&primary, "p_db-status")?.unwrap_or_default());
    let whole: Vec<&str> = whole.iter().map(String::as_str).collect();
    bed.finish(ledger, &whole).map(drop)
}

fn by_hand(bed: &Bed) -> Result<()> {
    let primary = bed.standard_configuration_with(USER, &format!("{USER} read_only_timeout=30s"))?;
    let ledger = bed.ledger()?;
    ledger.wait_for_acknowledged(50, SOON)?;
    let node = bed.node(&primary)?;
    ledger.mark(format!("{primary} is closed by hand, and opened again"));
    node.sql("SET GLOBAL read_only=1")?;
    bed.wait_status(&primary, "primary, but somebody closed it for writes (read_only)", SOON)?;
    bed.wait("the primary's monitor degraded", SOON, || {
        let shown = bed.whole_node()?.run(&["crm_mon", "--one-shot", "--output-as=xml"])?;
        Ok(shown.contains("rc=\"191\"").then_some(()))
    })?;
    node.sql("SET GLOBAL read_only=0")?;
    ledger.wait_until_written(SOON)?;
    let now = bed.wait_healthy(WHOLE)?;
    ensure!(now == primary, "the primary moved to {now} before read_only_timeout");
    ledger.mark(format!("{primary} is closed by hand, for good"));
    node.sql("SET GLOBAL read_only=1")?;
    bed.wait_promoted_on_other_than(&primary, WHOLE)?;
    ledger.wait_until_written(SOON)?;
    let why = bed.logged(&primary, "somebody closed the primary for writes (read_only)")?;
    ensure!(!why.is_empty(), "the log of {primary} does not say why it was moved");
    bed.clean_up()?;
    bed.wait_healthy(WHOLE)?;
    bed.finish(ledger, &bed.names()).map(drop)
}

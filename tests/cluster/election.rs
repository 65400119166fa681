//! Who is promoted, and what it does before it takes writes: it has everything, or fetches it, or is not promoted.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustha_lab::ledger::{Client, Ledger};
use rustha_lab::scenario::{Bed, Scenario};
use rustha_lab::{Fault, Node, Vendor};

use crate::{BOTH, MYSQL, PROVIDED, WHOLE};

const fn scenario(name: &'static str, about: &'static str, run: fn(&Bed) -> Result<()>) -> Scenario {
    Scenario { name, about, roots: BOTH, long: false, nodes: 3, fencing: false, run }
}

pub const ALL: &[Scenario] = &[
    scenario(
        "long-relay-log",
        "Objection 2: the primary dies while its successor has much to apply: it applies all of it before it opens.",
        long_relay_log,
    ),
    scenario(
        "second-best",
        "Invariant 1: the one that Pacemaker picks has received less than another survivor: it fetches the rest first.",
        second_best,
    ),
    Scenario {
        roots: MYSQL,
        ..scenario(
            "torn-transaction",
            "The primary dies in the midst of sending a large transaction: nobody waits for the rest of it.",
            torn_transaction,
        )
    },
    Scenario {
        long: true,
        ..scenario(
            "torn-replica",
            "A replica is stopped in the midst of receiving a large transaction: it does not wait for the rest.",
            torn_replica,
        )
    },
    scenario(
        "errant-transaction",
        "Invariant 3: a replica with a transaction of its own is excluded, says so, and another succeeds the primary.",
        errant_transaction,
    ),
    Scenario {
        long: true,
        ..scenario(
            "errant-target",
            "A switchover to a replica with a transaction of its own is refused, and clients go on on the old primary.",
            errant_target,
        )
    },
];

const SOON: Duration = Duration::from_secs(60);

/// What a failover takes, with much to spare, but less than a server waits for the rest of a transaction (60 s).
const TORN: Duration = Duration::from_secs(30);

/// For so long a successor is watched that cannot apply what it has received.
const WATCHED: Duration = Duration::from_secs(5);

/// Judges by the nodes that have everything: a primary that was killed may be left with a transaction that nobody else
/// has, and no client was told of.
fn finish(bed: &Bed, ledger: Ledger, whole: &[String]) -> Result<()> {
    let whole: Vec<&str> = whole.iter().map(String::as_str).collect();
    bed.finish(ledger, &whole).map(drop)
}

/// A reader of a table holds up the successor's applier, so that a load of large transactions piles up in its relay log.
/// Nothing is known of a machine's speed: the reader stays until the promotion waits for the applier.
fn long_relay_log(bed: &Bed) -> Result<()> {
    let (primary, ledger) = bed.standard_load()?;
    let successor = bed.others(&primary)[0].to_owned();
    bed.prefer(&successor)?;
    let client = bed.client()?;
    client.run("CREATE TABLE app.big (id INT PRIMARY KEY AUTO_INCREMENT, text VARCHAR(300) NOT NULL)")?;
    let replica = bed.node(&successor)?;
    bed.wait("the table on the successor", SOON, || replica.sql("SELECT COUNT(*) FROM app.big").map(Some))?;
    let reader = bed.client_of(&successor)?;
    reader.run("LOCK TABLES app.big READ")?;
    client.run("INSERT INTO app.big (text) VALUES (REPEAT('x', 250)), (REPEAT('y', 250)), (REPEAT('z', 250))")?;
    for _ in 0..14 {
        client.say("INSERT INTO app.big (text) SELECT text FROM app.big").wait(SOON)?.map_err(anyhow::Error::msg)?;
    }
    client.run("INSERT INTO app.big (text) VALUES ('the last one')")?;
    ledger.wait_for_acknowledged(50, SOON)?;
    ledger.mark(format!("kill-daemon {primary}, with a long relay log on {successor}"));
    bed.lab().fault(Fault::KillDaemon, &primary)?;
    bed.wait("the promotion under way", SOON, || {
        Ok((!bed.logged(&successor, "mysql(p_db) promote: ")?.is_empty()).then_some(()))
    })?;
    let watched = Instant::now();
    while watched.elapsed() < WATCHED {
        let closed = replica.sql("SELECT @@global.read_only")?;
        ensure!(closed.trim() == "1", "{successor} takes writes before it has applied what it had received");
    }
    ledger.mark("the reader ends");
    reader.run("UNLOCK TABLES")?;
    bed.wait(&format!("{successor} open for writes"), WHOLE, || {
        // In this order: what is open now must have had everything before.
        let closed = replica.sql("SELECT @@global.read_only")?;
        let last = replica.sql("SELECT COUNT(*) FROM app.big WHERE text = 'the last one'")?;
        ensure!(closed.trim() == "1" || last.trim() == "1", "opened before all was applied");
        Ok((closed.trim() == "0").then_some(()))
    })?;
    let promoted = bed.wait_promoted_on_other_than(&primary, WHOLE)?;
    ensure!(promoted == successor, "{promoted} was promoted instead of {successor}");
    ledger.wait_until_written(SOON)?;
    bed.clean_up()?;
    bed.wait_all_instances(WHOLE)?;
    let whole = bed.wait_settled(PROVIDED)?;
    finish(bed, ledger, &whole)?;
    for name in &whole {
        let rows = bed.node(name)?.sql("SELECT COUNT(*) FROM app.big")?;
        ensure!(rows.trim() == "49153", "{name} has {rows} of the large transactions' rows");
    }
    Ok(())
}

/// A transaction of 60 MB (UUID() has the MIXED log take rows) on its way from `primary`, whose cable lets through 10 MB a
/// second; returns when a replica has a part of it. Who goes on reading the client is told of its commit.
fn send_large_transaction(bed: &Bed, primary: &str) -> Result<Client> {
    let client = bed.client()?;
    client.run("CREATE TABLE app.torn (id INT PRIMARY KEY AUTO_INCREMENT, text LONGTEXT NOT NULL)")?;
    client.run("BEGIN")?;
    for _ in 0..60 {
        client.run("INSERT INTO app.torn (text) VALUES (CONCAT(UUID(), REPEAT('x', 1048576)))")?;
    }
    let replica = bed.node(bed.others(primary)[0])?;
    let limit =
        ["tc", "qdisc", "add", "dev", "eth0", "root", "tbf", "rate", "80mbit", "burst", "64kb", "latency", "50ms"];
    bed.node(primary)?.run(&limit)?;
    let before = received_bytes(replica)?;
    drop(client.say("COMMIT"));
    bed.wait("a part of the transaction on a replica", SOON, || {
        Ok((received_bytes(replica)? > before + 15_000_000).then_some(()))
    })?;
    Ok(client)
}

fn torn_transaction(bed: &Bed) -> Result<()> {
    let (primary, ledger) = bed.standard_load()?;
    let _client = send_large_transaction(bed, &primary)?;
    ledger.mark(format!("{primary} dies in the midst of a transaction"));
    let start = Instant::now();
    bed.lab().fault(Fault::PowerOff, &primary)?;
    let successor = bed.wait_promoted_on_other_than(&primary, TORN)?;
    println!("{successor} is promoted after {:.1} s", start.elapsed().as_secs_f64());
    let other = bed.others(&primary).into_iter().find(|name| *name != successor).unwrap_or_default().to_owned();
    bed.wait_status(&other, &format!("replica of {successor}, in sync"), TORN)?;
    println!("{other} is in sync after {:.1} s", start.elapsed().as_secs_f64());
    ledger.wait_until_written(SOON)?;
    for name in [&successor, &other] {
        let rows = bed.node(name)?.sql("SELECT COUNT(*) FROM app.torn")?;
        ensure!(rows.trim() == "0", "{name} has {rows} of the rows of a transaction that nobody has as a whole");
    }
    bed.lab().heal()?;
    bed.finish_settled(ledger, PROVIDED).map(drop)
}

/// A replica is stopped in the midst of receiving; started again, it receives the whole.
fn torn_replica(bed: &Bed) -> Result<()> {
    let (primary, ledger) = bed.standard_load()?;
    let stopped = bed.others(&primary)[0].to_owned();
    let _client = send_large_transaction(bed, &primary)?;
    ledger.mark(format!("{stopped} is stopped in the midst of a transaction"));
    let start = Instant::now();
    let node = bed.whole_node()?;
    node.run(&["crm_standby", "--node", &stopped, "--update", "on"])?;
    bed.wait(&format!("{stopped} stopped"), TORN, || Ok((!bed.instances()?.contains_key(&stopped)).then_some(())))?;
    println!("{stopped} is stopped after {:.1} s", start.elapsed().as_secs_f64());
    node.run(&["crm_standby", "--node", &stopped, "--delete"])?;
    bed.wait_all_instances(WHOLE)?;
    let whole = bed.wait_settled(PROVIDED)?;
    // Of the transaction, 120 MB go to the two replicas.
    ledger.wait_until_written(SOON)?;
    finish(bed, ledger, &whole)?;
    for name in &whole {
        let rows = bed.node(name)?.sql("SELECT COUNT(*) FROM app.torn")?;
        ensure!(rows.trim() == "60", "{name} has {rows} of the large transaction's rows");
    }
    Ok(())
}

/// What has come in over a node's network card.
fn received_bytes(node: &Node) -> Result<u64> {
    let counters = node.run(&["cat", "/proc/net/dev"])?;
    let card = counters.lines().find_map(|line| line.trim().strip_prefix("eth0:")).context("no network card")?;
    Ok(card.split_whitespace().next().context("no counter")?.parse()?)
}

/// The successor receives nothing for a moment, while the other replica goes on acknowledging. The primary's guard hangs,
/// since it would take out of the set whom it misses for long; and the primary stays away, since it has everything.
fn second_best(bed: &Bed) -> Result<()> {
    let (primary, ledger) = bed.standard_load()?;
    let successor = bed.others(&primary)[0].to_owned();
    let other = bed.others(&primary)[1].to_owned();
    bed.prefer(&successor)?;
    bed.relax_replica_monitors()?;
    bed.lab().fault(Fault::HangGuard, &primary)?;
    ledger.mark(format!("{successor} receives nothing"));
    bed.node(&successor)?.sql("STOP REPLICA IO_THREAD")?;
    ledger.wait_for_acknowledged(50, SOON)?;
    ledger.mark(format!("{primary} dies"));
    bed.take_away(&primary)?;
    let promoted = bed.wait_promoted_on_other_than(&primary, WHOLE)?;
    ledger.wait_until_written(SOON)?;
    ensure!(promoted == successor, "{promoted} was promoted instead of {successor}");
    let fetched = bed.logged(&successor, &format!("transactions from {other}"))?;
    ensure!(fetched.iter().any(|line| line.contains("fetching ")), "{successor} fetched nothing from {other}");
    println!("{}", fetched.join("\n"));
    bed.renew_replica_monitors()?;
    bed.bring_back(&primary)?;
    bed.wait_all_instances(WHOLE)?;
    finish(bed, ledger, &bed.wait_settled(PROVIDED)?)
}

/// Somebody opens a replica and writes a row there. Waits until it is excluded.
fn make_errant(bed: &Bed, primary: &str, errant: &str) -> Result<()> {
    bed.node(primary)?.sql("CREATE TABLE app.errant (id INT PRIMARY KEY)")?;
    let replica = bed.node(errant)?;
    bed.wait("the table on the replica", SOON, || replica.sql("SELECT COUNT(*) FROM app.errant").map(Some))?;
    // As root one writes to a closed server, which stays closed for others: it is the scenario's write, not a second writer's.
    let (open, close) = match bed.lab().root().vendor() {
        Vendor::MySql => ("SET GLOBAL super_read_only=0;", "SET GLOBAL super_read_only=1;"),
        Vendor::MariaDb => ("", ""),
    };
    replica.sql(&format!("{open} INSERT INTO app.errant VALUES (1); {close}"))?;
    let status = bed.wait_status(errant, "excluded: ", SOON)?;
    println!("{errant}: {status}");
    // The monitor's words, or those of the guard, which says what becomes of it.
    let words = ["transactions that are not in the history of", "transactions of its own", "SQL thread stopped"];
    let says_why = words.iter().any(|word| status.contains(word));
    ensure!(says_why, "{errant} does not say why it is excluded: {status}");
    bed.wait_score(errant, "-INFINITY", SOON)
}

/// Nobody else has the row.
fn assert_not_spread(bed: &Bed, errant: &str) -> Result<()> {
    for name in bed.others(errant) {
        let rows = bed.node(name)?.sql("SELECT COUNT(*) FROM app.errant")?;
        ensure!(rows.trim() == "0", "{name} has got the transaction that only {errant} had");
    }
    Ok(())
}

/// The primary stays away: it would have everything by itself.
fn errant_transaction(bed: &Bed) -> Result<()> {
    let (primary, ledger) = bed.standard_load()?;
    let errant = bed.others(&primary)[0].to_owned();
    let heir = bed.others(&primary)[1].to_owned();
    bed.set_parameter("rejoin", "replicate")?;
    ledger.mark(format!("a transaction of its own on {errant}"));
    make_errant(bed, &primary, &errant)?;
    ledger.wait_for_acknowledged(50, SOON)?;
    ledger.mark(format!("{primary} dies"));
    bed.take_away(&primary)?;
    let promoted = bed.wait_promoted_on_other_than(&primary, WHOLE)?;
    ensure!(promoted == heir, "{promoted} was promoted instead of {heir}");
    ledger.wait_until_written(SOON)?;
    bed.wait_status(&errant, "excluded: ", SOON)?;
    bed.bring_back(&primary)?;
    bed.wait_all_instances(WHOLE)?;
    // On MariaDB it is by then below the position at which the heir was promoted, and shows only by its applier.
    bed.wait_status(&errant, "(rejoin=replicate; 'rustha rejoin' on this node replaces its data)", SOON)?;
    assert_not_spread(bed, &errant)?;
    // Which one of its own the crash has left the old primary with, if any, keeps it out as well.
    ledger.mark("whatever brings them back");
    bed.set_parameter("rejoin", "auto")?;
    finish(bed, ledger, &bed.wait_settled(PROVIDED)?)?;
    assert_not_spread(bed, &heir)
}

fn errant_target(bed: &Bed) -> Result<()> {
    let (primary, ledger) = bed.standard_load()?;
    let errant = bed.others(&primary)[0].to_owned();
    let heir = bed.others(&primary)[1].to_owned();
    bed.set_parameter("rejoin", "replicate")?;
    make_errant(bed, &primary, &errant)?;
    ledger.mark(format!("switchover from {primary} to {errant}"));
    bed.raise_target(&errant)?;
    bed.wait("the end of the switchover", WHOLE, || {
        Ok(bed.attribute(&errant, "master-p_db")?.is_none_or(|score| score != "2000").then_some(()))
    })?;
    ledger.wait_until_written(WHOLE)?;
    bed.wait_score(&errant, "-INFINITY", SOON)?;
    bed.wait_score(&heir, "100", SOON)?;
    bed.assert_no_location()?;
    let now = bed.wait("a primary", SOON, || bed.promoted())?;
    ensure!(now == primary, "the primary went to {now}");
    assert_not_spread(bed, &errant)?;
    bed.finish(ledger, &bed.others(&errant)).map(drop)
}

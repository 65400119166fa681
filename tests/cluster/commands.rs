//! The operator's commands, on real clusters: healthy, and with something broken.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustha_lab::scenario::{Bed, Scenario};
use rustha_lab::{Fault, Output, Vendor};

use crate::{BOTH, WHOLE};

const fn scenario(name: &'static str, about: &'static str, run: fn(&Bed) -> Result<()>) -> Scenario {
    Scenario { name, about, roots: BOTH, long: false, nodes: 3, fencing: false, run }
}

pub const ALL: &[Scenario] = &[
    scenario(
        "command-status",
        "rustha status: all is well; a broken replica, a lost node, a dead server and a node without a cluster are named.",
        status,
    ),
    scenario(
        "command-switchover",
        "rustha switchover under load: to a node of choice, to the best one; refused with the reason, and taken back by Ctrl-C.",
        switchover,
    ),
];

const SOON: Duration = Duration::from_secs(40);

/// What a command may take.
const COMMAND: Duration = Duration::from_secs(30);

fn run(bed: &Bed, node: &str, argv: &[&str]) -> Result<Output> {
    let output = bed.node(node)?.exec(argv, COMMAND)?;
    println!("{node}: {} ({})\n{}{}", argv.join(" "), output.status, output.stdout, output.stderr);
    Ok(output)
}

/// Runs it, and makes sure of its exit status and of what it says.
fn expect(bed: &Bed, node: &str, argv: &[&str], code: i32, words: &[&str]) -> Result<String> {
    let output = run(bed, node, argv)?;
    let said = output.stdout.clone() + &output.stderr;
    ensure!(
        output.status.code() == Some(code),
        "{} on {node} exits with {}, not {code}",
        argv.join(" "),
        output.status
    );
    // As it reads on a screen, where lines are broken.
    let flat = said.split_whitespace().filter(|word| !["│", "├─", "└─"].contains(word)).collect::<Vec<_>>().join(" ");
    for word in words {
        ensure!(flat.contains(word), "{} on {node} does not say '{word}': {flat}", argv.join(" "));
    }
    let widest = said.lines().map(|line| line.chars().count()).max().unwrap_or_default();
    ensure!(argv.contains(&"--json") || widest <= 80, "a line of {widest} columns");
    ensure!(!said.contains("repl-secret"), "the password is shown");
    Ok(said)
}

/// The words with which a server's own account may write.
fn opened(bed: &Bed) -> &'static str {
    if bed.lab().root().vendor() == Vendor::MySql { "SET GLOBAL super_read_only=0;" } else { "" }
}

/// A row that only this replica has: inserting it on the primary fails here.
fn break_replica(bed: &Bed, primary: &str, name: &str) -> Result<()> {
    let (primary, replica) = (bed.node(primary)?, bed.node(name)?);
    primary.sql("CREATE TABLE app.broken (id INT PRIMARY KEY)")?;
    bed.wait("the table on the replica", SOON, || replica.sql("SELECT * FROM app.broken").map(Some))?;
    replica.sql(&format!("{} SET sql_log_bin=0; INSERT INTO app.broken VALUES (1)", opened(bed)))?;
    primary.sql("INSERT INTO app.broken VALUES (1)")?;
    bed.wait_status(name, "excluded", SOON).map(drop)
}

fn mend_replica(bed: &Bed, name: &str) -> Result<()> {
    let open = opened(bed);
    let mend = format!("{open} SET sql_log_bin=0; DELETE FROM app.broken; START REPLICA SQL_THREAD");
    bed.node(name)?.sql(&mend)?;
    bed.wait_settled(WHOLE).map(drop)
}

fn status(bed: &Bed) -> Result<()> {
    let primary = bed.standard_configuration()?;
    let others = bed.others(&primary);
    let (first, second) = (others[0], others[1]);
    let ledger = bed.ledger()?;
    let replica = format!("replica of {primary}, in sync");
    for node in bed.names() {
        let words = ["all is well", "primary, each write also on 1 of", &replica, "10.77.0.50", "GTID", "clients"];
        expect(bed, node, &["rustha", "status"], 0, &words)?;
    }
    let json = expect(bed, first, &["rustha", "status", "--json"], 0, &["\"health\": \"ok\"", "\"executed\""])?;
    ensure!(!json.contains("did not answer"), "a guard did not answer: {json}");

    ledger.mark("a replica is broken");
    break_replica(bed, &primary, second)?;
    let words = [&format!("p_db on {second}: excluded") as &str, "applier stopped", "not readable"];
    expect(bed, first, &["rustha", "status"], 1, &words)?;
    mend_replica(bed, second)?;

    ledger.mark("its machine is lost");
    bed.lab().fault(Fault::PowerOff, second)?;
    let words = format!("{second} is offline");
    bed.wait("the cluster sees it", SOON, || {
        let output = bed.node(first)?.exec(&["rustha", "status"], COMMAND)?;
        Ok(output.stdout.contains(&words).then_some(()))
    })?;
    expect(bed, first, &["rustha", "status"], 1, &[&words])?;
    bed.lab().heal()?;
    bed.wait_settled(crate::PROVIDED)?;

    ledger.mark("the primary's server is killed");
    bed.lab().fault(Fault::KillDaemon, &primary)?;
    let now = bed.wait_promoted_on_other_than(&primary, SOON)?;
    bed.wait_all_instances(WHOLE)?;
    bed.wait_settled(crate::PROVIDED)?;
    expect(
        bed,
        &now,
        &["rustha", "status"],
        1,
        &["p_db: monitor failed on", "last failure: the server was ended by signal 9"],
    )?;
    bed.clean_up()?;
    bed.wait_healthy(WHOLE)?;
    expect(bed, &now, &["rustha", "status"], 0, &["all is well"])?;
    bed.finish(ledger, &bed.names())?;

    // On a node whose cluster has ended.
    let alone = bed.others(&now)[0].to_owned();
    bed.lab().fault(Fault::KillCorosync, &alone)?;
    let words = ["Pacemaker does not answer on this node", "p_db on this node", "closed for writes"];
    bed.wait("it is seen", SOON, || {
        let output = bed.node(&alone)?.exec(&["rustha", "status"], COMMAND)?;
        Ok((output.status.code() == Some(3)).then_some(()))
    })?;
    expect(bed, &alone, &["rustha", "status"], 3, &words).map(drop)
}

fn switchover(bed: &Bed) -> Result<()> {
    let first = bed.standard_configuration()?;
    let others = bed.others(&first);
    let (second, third) = (others[0].to_owned(), others[1].to_owned());
    let ledger = bed.ledger()?;
    ledger.wait_for_acknowledged(50, SOON)?;
    let before = bed.record()?;
    expect(bed, &third, &["rustha", "switchover", "--dry-run"], 0, &[&format!("would be moved from {first} to ")])?;
    expect(bed, &third, &["rustha", "switchover", "--to", &first], 0, &["is the primary of p_db already"])?;
    expect(bed, &third, &["rustha", "switchover", "--to", "nobody"], 1, &["nobody is no node of this cluster"])?;
    ensure!(bed.record()? == before && bed.promoted()?.as_ref() == Some(&first), "something was moved");

    ledger.mark(format!("switchover to {second}, from a third node"));
    let words = [&format!("moving p_db from {first} to {second}") as &str, &format!("{second} is the primary of p_db")];
    expect(bed, &third, &["rustha", "switchover", "--to", &second], 0, &words)?;
    ensure!(bed.promoted()?.as_ref() == Some(&second), "{second} is not promoted");
    ledger.wait_until_written(SOON)?;
    bed.wait_healthy(WHOLE)?;

    ledger.mark("switchover to whom it likes");
    let json = expect(bed, &second, &["rustha", "switchover", "--json"], 0, &["\"result\": \"moved\""])?;
    ensure!(!json.contains("moving"), "not only JSON: {json}");
    ledger.wait_until_written(SOON)?;
    let now = bed.wait_healthy(WHOLE)?;
    ensure!(now != second, "it was not moved");

    ledger.mark("interrupted before it begins");
    take_back(bed, &now)?;

    ledger.mark("the target is broken");
    let target = bed.others(&now)[0].to_owned();
    break_replica(bed, &now, &target)?;
    let argv = ["rustha", "switchover", "--wait", "2", "--to", &target];
    expect(bed, &now, &argv, 1, &[&format!("p_db is not moved: {target} is not in sync: excluded")])?;
    mend_replica(bed, &target)?;
    ensure!(bed.wait_healthy(WHOLE)? == now, "it was moved");
    bed.set_maintenance(true)?;
    expect(bed, &now, &["rustha", "switchover"], 1, &["p_db is not moved: Pacemaker leaves it alone"])?;
    bed.set_maintenance(false)?;
    bed.wait_healthy(WHOLE)?;
    bed.finish(ledger, &bed.names()).map(drop)
}

/// While nobody decides anything, since Pacemaker's scheduler stands still, the move can be taken back.
fn take_back(bed: &Bed, primary: &str) -> Result<()> {
    let node = bed.whole_node()?;
    let dc = bed.names().into_iter().find(|name| {
        let state = node.exec(&["crmadmin", "--status", name], COMMAND);
        state.is_ok_and(|state| state.stdout.contains("S_IDLE"))
    });
    let dc = dc.context("no node decides")?.to_owned();
    let scheduler = |signal: &str| bed.node(&dc)?.run(&["pkill", signal, "-f", "pacemaker-schedulerd"]).map(drop);
    let elsewhere = bed.others(&dc)[0].to_owned();
    scheduler("-STOP")?;
    let command = "rustha switchover > /root/switchover.log 2>&1 & sleep 3; kill -INT $!; wait $!; echo $?";
    let output = bed.node(&elsewhere)?.exec(&["bash", "-c", command], COMMAND);
    scheduler("-CONT")?;
    let output = output?;
    let said = bed.node(&elsewhere)?.run(&["cat", "/root/switchover.log"])?;
    println!("{said}");
    ensure!(output.stdout.trim() == "1", "it exits with {}", output.stdout.trim());
    ensure!(said.contains(&format!("taken back: {primary} goes on")), "it says: {said}");
    bed.wait_healthy(WHOLE).context("after it was taken back")?;
    ensure!(bed.promoted()?.as_deref() == Some(primary), "it was moved all the same");
    Ok(())
}

//! No acknowledged write is lost when nodes fail one after the other: the in-sync set shrinks and grows, and who has not
//! everything is not promoted.

use std::time::Duration;

use anyhow::{Result, ensure};
use rustha_lab::scenario::{Bed, Scenario};
use rustha_lab::{Daemon, Fault, Vendor};

use crate::{BOTH, MARIADB, PROVIDED, WHOLE};

const fn scenario(name: &'static str, about: &'static str, run: fn(&Bed) -> Result<()>) -> Scenario {
    Scenario { name, about, roots: BOTH, long: false, nodes: 3, fencing: false, run }
}

pub const ALL: &[Scenario] = &[
    Scenario {
        long: true,
        ..scenario(
            "replicas-hang",
            "Invariant 1: both replicas hang: writes wait for semi_sync_degrade and go on alone; they come back in sync.",
            replicas_hang,
        )
    },
    scenario(
        "replica-lost",
        "A replica's machine is lost without a pause, then the primary: the one that is in sync is promoted.",
        replica_lost,
    ),
    scenario(
        "chain-mss-xms-xxm",
        "MSS, XMS, XXM and back: one after the other dies, and the last one has all.",
        chain_down,
    ),
    Scenario {
        long: true,
        ..scenario(
            "chain-msx-mxs",
            "MSX, MXS, XXS: the replicas take turns in being away, then the primary dies.",
            chain_turns,
        )
    },
    Scenario {
        roots: MARIADB,
        ..scenario(
            "stale-replica",
            "Invariant 3: replicas that missed writes are not promoted when the primary dies, and say why; it comes back.",
            stale_replica,
        )
    },
    scenario(
        "both-holders-lost",
        "Invariant 3: the primary and the only replica in sync die together: strict waits for one of them.",
        both_holders_lost,
    ),
    Scenario {
        roots: MARIADB,
        ..scenario(
            "both-holders-lost-forced",
            "The same, and an operator orders the one that is left to be promoted: the risk and who took it are on record.",
            both_holders_lost_forced,
        )
    },
    Scenario {
        name: "both-holders-lost-available",
        about: "The same with durability=available and fencing: the one that is left is promoted, and the risk is on record.",
        roots: BOTH,
        long: true,
        nodes: 3,
        fencing: true,
        run: both_holders_lost_available,
    },
    Scenario {
        name: "two-acknowledgements",
        about: "semi_sync_acks=2: one replica is lost: writes wait, go on with one, and with two later; MariaDB refuses it.",
        roots: BOTH,
        long: false,
        nodes: 3,
        fencing: false,
        run: two_acknowledgements,
    },
];

const SOON: Duration = Duration::from_secs(40);
const DEGRADE: Duration = Duration::from_secs(5);
const USER: &str = "replication_user=repl";

/// The README's configuration with a shorter patience.
fn configure(bed: &Bed, more: &str) -> Result<String> {
    let parameters = format!("{USER} semi_sync_degrade={}s {more}", DEGRADE.as_secs());
    bed.standard_configuration_with(&format!("params {USER}"), &format!("params {parameters}"))
}

fn replicas_hang(bed: &Bed) -> Result<()> {
    let primary = configure(bed, "")?;
    let ledger = bed.ledger()?;
    ledger.wait_for_acknowledged(50, SOON)?;
    ledger.mark("both replicas hang");
    for node in bed.others(&primary) {
        bed.lab().fault(Fault::HangDaemon, node)?;
    }
    bed.wait_status(&primary, "primary, alone", SOON)?;
    ledger.wait_until_written(SOON)?;
    // Pacemaker restarts what hangs; both come back by themselves.
    bed.wait_status(&primary, "each write also on 1 of", WHOLE)?;
    ensure!(bed.promoted()?.as_ref() == Some(&primary), "the primary moved");
    bed.clean_up()?;
    bed.wait_healthy(WHOLE)?;
    let verdict = bed.finish(ledger, &bed.names())?;
    verdict.assert_gap_within(DEGRADE + Duration::from_secs(2))
}

fn replica_lost(bed: &Bed) -> Result<()> {
    let primary = configure(bed, "")?;
    let names = bed.others(&primary);
    let (lost, left) = (names[0].to_owned(), names[1].to_owned());
    let ledger = bed.ledger()?;
    ledger.wait_for_acknowledged(50, SOON)?;
    ledger.mark(format!("power-off {lost}"));
    bed.lab().fault(Fault::PowerOff, &lost)?;
    bed.wait_status(&primary, &format!("each write also on 1 of {left}"), SOON)?;
    let verdict = bed.finish(ledger, &[&primary, &left])?;
    verdict.assert_gap_within(DEGRADE + Duration::from_secs(2))?;
    let ledger = bed.ledger()?;
    ledger.wait_for_acknowledged(50, SOON)?;
    ledger.mark(format!("kill-daemon {primary}"));
    bed.lab().fault(Fault::KillDaemon, &primary)?;
    let promoted = bed.wait_promoted_on_other_than(&primary, SOON)?;
    ensure!(promoted == left, "{promoted} was promoted");
    ledger.wait_until_written(SOON)?;
    bed.lab().heal()?;
    bed.wait_all_instances(WHOLE)?;
    let whole = bed.wait_settled(PROVIDED)?;
    ensure!(whole.contains(&lost), "{lost} did not come back in sync");
    finish(bed, ledger, &whole)
}

fn finish(bed: &Bed, ledger: rustha_lab::ledger::Ledger, whole: &[String]) -> Result<()> {
    let whole: Vec<&str> = whole.iter().map(String::as_str).collect();
    bed.finish(ledger, &whole).map(drop)
}

fn chain_down(bed: &Bed) -> Result<()> {
    let first = configure(bed, "")?;
    let ledger = bed.ledger()?;
    ledger.wait_for_acknowledged(50, SOON)?;
    ledger.mark(format!("MSS, {first} dies"));
    bed.take_away(&first)?;
    let second = bed.wait_promoted_on_other_than(&first, SOON)?;
    ledger.wait_until_written(SOON)?;
    let third = bed.others(&first).into_iter().find(|name| *name != second).map(str::to_owned).unwrap_or_default();
    bed.wait_status(&third, ", in sync", SOON)?;
    ledger.wait_for_acknowledged(50, SOON)?;
    ledger.mark(format!("XMS, {second} dies"));
    bed.take_away(&second)?;
    let last = bed.wait_promoted_on_other_than(&second, SOON)?;
    ensure!(last == third, "{last} was promoted");
    ledger.wait_until_written(SOON)?;
    ledger.mark("XXM, and back");
    bed.bring_back(&first)?;
    bed.bring_back(&second)?;
    bed.wait_all_instances(WHOLE)?;
    let whole = bed.wait_settled(PROVIDED)?;
    ledger.wait_for_acknowledged(50, SOON)?;
    finish(bed, ledger, &whole)
}

fn chain_turns(bed: &Bed) -> Result<()> {
    let primary = configure(bed, "")?;
    let names = bed.others(&primary);
    let (one, other) = (names[0].to_owned(), names[1].to_owned());
    let ledger = bed.ledger()?;
    for (away, left) in [(&other, &one), (&one, &other)] {
        ledger.wait_for_acknowledged(50, SOON)?;
        ledger.mark(format!("{away} dies"));
        bed.take_away(away)?;
        bed.wait_status(&primary, &format!("each write also on 1 of {left}"), SOON)?;
        ledger.wait_for_acknowledged(50, SOON)?;
        if away == &other {
            bed.bring_back(away)?;
            bed.wait_status(away, ", in sync", WHOLE)?;
        }
    }
    ledger.mark(format!("{primary} dies"));
    bed.take_away(&primary)?;
    let promoted = bed.wait_promoted_on_other_than(&primary, SOON)?;
    ensure!(promoted == other, "{promoted} was promoted, which missed writes");
    ledger.wait_until_written(SOON)?;
    bed.bring_back(&one)?;
    bed.bring_back(&primary)?;
    bed.wait_all_instances(WHOLE)?;
    let whole = bed.wait_settled(PROVIDED)?;
    ensure!(whole.contains(&one), "{one} did not come back in sync");
    finish(bed, ledger, &whole)
}

fn stale_replica(bed: &Bed) -> Result<()> {
    let primary = configure(bed, "")?;
    let stale = bed.others(&primary)[0].to_owned();
    let ledger = bed.ledger()?;
    ledger.wait_for_acknowledged(50, SOON)?;
    ledger.mark("both replicas die");
    for node in bed.others(&primary) {
        bed.take_away(node)?;
    }
    bed.wait_status(&primary, "primary, alone", SOON)?;
    ledger.wait_for_acknowledged(50, SOON)?;
    // Convention 7: it works, and says that it might not for long.
    bed.wait("the monitor of a primary that is alone degraded", SOON, || {
        let shown = bed.whole_node()?.run(&["crm_mon", "--one-shot", "--output-as=xml"])?;
        Ok(shown.contains("rc=\"191\"").then_some(()))
    })?;
    ledger.mark(format!("{primary} dies, {stale} comes back"));
    bed.take_away(&primary)?;
    bed.wait("no instance left", SOON, || Ok(bed.instances()?.is_empty().then_some(())))?;
    bed.bring_back(&stale)?;
    bed.wait_status(&stale, &format!("excluded: {primary} was alone"), WHOLE)?;
    std::thread::sleep(Duration::from_secs(15));
    ensure!(bed.promoted()?.is_none(), "{stale} was promoted, which missed writes");
    ensure!(bed.attribute(&stale, "master-p_db")?.as_deref() == Some("-INFINITY"), "{stale} could be promoted");
    ledger.mark(format!("{primary} comes back"));
    bed.bring_back(&primary)?;
    let promoted = bed.wait("a primary", WHOLE, || bed.promoted())?;
    ensure!(promoted == primary, "{promoted} was promoted");
    for node in bed.others(&primary) {
        bed.bring_back(node)?;
    }
    bed.wait_healthy(WHOLE)?;
    ledger.wait_until_written(SOON)?;
    bed.finish(ledger, &bed.names()).map(drop)
}

/// The primary and one replica in sync run; the third one is away and has missed writes. Those two die together, and the
/// third one comes back. Returns the three.
fn lose_both_holders(bed: &Bed, ledger: &rustha_lab::ledger::Ledger, primary: &str) -> Result<(String, String)> {
    let names = bed.others(primary);
    let (holder, stale) = (names[0].to_owned(), names[1].to_owned());
    ledger.wait_for_acknowledged(50, SOON)?;
    ledger.mark(format!("{stale} dies"));
    bed.take_away(&stale)?;
    bed.wait_status(primary, &format!("each write also on 1 of {holder}"), SOON)?;
    ledger.wait_for_acknowledged(50, SOON)?;
    ledger.mark(format!("{primary} and {holder} die, {stale} comes back"));
    bed.lab().fault(Fault::KillDaemon, primary)?;
    bed.take_away(&holder)?;
    bed.whole_node()?.run(&["crm_standby", "--node", primary, "--update", "on"])?;
    bed.wait("no instance left", SOON, || Ok(bed.instances()?.is_empty().then_some(())))?;
    bed.bring_back(&stale)?;
    Ok((holder, stale))
}

fn both_holders_lost(bed: &Bed) -> Result<()> {
    let primary = configure(bed, "")?;
    let ledger = bed.ledger()?;
    let (holder, stale) = lose_both_holders(bed, &ledger, &primary)?;
    bed.wait_status(&stale, "excluded: none of those that have everything is there", WHOLE)?;
    std::thread::sleep(Duration::from_secs(15));
    ensure!(bed.promoted()?.is_none(), "{stale} was promoted, which missed writes");
    ledger.mark(format!("{primary} comes back"));
    bed.bring_back(&primary)?;
    bed.bring_back(&holder)?;
    bed.wait("a primary", WHOLE, || bed.promoted())?;
    ledger.wait_until_written(SOON)?;
    let whole = bed.wait_settled(PROVIDED)?;
    ensure!(whole.contains(&stale), "{stale} did not come back in sync");
    finish(bed, ledger, &whole)
}

fn both_holders_lost_forced(bed: &Bed) -> Result<()> {
    let primary = configure(bed, "")?;
    let ledger = bed.ledger()?;
    let node = bed.node(bed.others(&primary)[0])?;
    let command = |target: &str, more: &[&str]| {
        let argv = [&["rustha", "promote", "--accept-loss", "--force", target][..], more].concat();
        let output = node.exec(&argv, WHOLE * 2)?;
        println!("{} ({})\n{}{}", argv.join(" "), output.status, output.stdout, output.stderr);
        anyhow::Ok((output.status.code(), output.stdout + &output.stderr))
    };
    let (code, said) = command(bed.others(&primary)[1], &["--yes"])?;
    ensure!(code == Some(1) && said.contains("rustha switchover moves it"), "with a primary: {said}");
    let (holder, stale) = lose_both_holders(bed, &ledger, &primary)?;
    bed.wait_status(&stale, "excluded: none of those that have everything is there", WHOLE)?;
    let (code, said) = command(&stale, &["--dry-run"])?;
    ensure!(code == Some(0) && said.contains(&primary) && said.contains(&holder), "what would be lost: {said}");
    let (code, said) = command(&stale, &[])?;
    ensure!(code == Some(1) && said.contains("say --yes"), "nobody was asked: {said}");
    ensure!(bed.promoted()?.is_none(), "it was promoted without an order");
    ledger.mark(format!("{stale} is promoted by order"));
    let (code, said) = command(&stale, &["--yes"])?;
    ensure!(code == Some(0) && said.contains("is the primary of p_db"), "it was not promoted: {said}");
    bed.wait_status(&stale, "at a risk: by order of root@", SOON)?;
    let left = bed.whole_node()?.run(&["cibadmin", "--query", "--scope", "crm_config"])?;
    ensure!(!left.contains("p_db-order"), "the order was left: {left}");
    ledger.wait_until_written(SOON)?;
    // It has more, which is kept until somebody decides.
    bed.bring_back(&primary)?;
    bed.wait_status(&primary, "excluded: ", WHOLE)?;
    bed.finish_at_a_risk(ledger, &[&stale]).map(drop)
}

fn both_holders_lost_available(bed: &Bed) -> Result<()> {
    let with_fencing = ("property stonith-enabled=false\n", "property stonith-enabled=true\n");
    let parameters = format!("params {USER} semi_sync_degrade=5s durability=available");
    let primary = bed.standard_configuration_with_all(&[with_fencing, (&format!("params {USER}"), &parameters)])?;
    let ledger = bed.ledger()?;
    let (_, stale) = lose_both_holders(bed, &ledger, &primary)?;
    let promoted = bed.wait("a primary", WHOLE, || bed.promoted())?;
    ensure!(promoted == stale, "{promoted} was promoted");
    let record = bed.record()?;
    ensure!(record.contains("risk="), "the risk is not on record: {record}");
    bed.wait_status(&stale, "at a risk", SOON)?;
    ledger.wait_until_written(SOON)?;
    // What the others had more is what was given up; they are kept out and say so.
    bed.bring_back(&primary)?;
    bed.wait_status(&primary, "excluded: ", WHOLE)?;
    bed.finish_at_a_risk(ledger, &[&stale]).map(drop)
}

/// MariaDB waits for one replica, whatever it is asked for: the promise is refused where it is asked for.
fn refused_acknowledgements(bed: &Bed) -> Result<()> {
    let parameters = format!("params {USER} semi_sync_acks=2");
    bed.configure_standard(&[(&format!("params {USER}"), &parameters)])?;
    bed.wait("the reason in crm_mon", SOON, || {
        let shown = bed.whole_node()?.run(&["crm_mon", "--one-shot", "--inactive"])?;
        Ok(shown.contains("MariaDB waits for one replica only: set it to 1").then_some(()))
    })?;
    // A start that failed counts as started until the stop that follows it.
    bed.wait("no instance", SOON, || Ok(bed.instances()?.is_empty().then_some(())))?;
    for node in bed.lab().nodes() {
        ensure!(node.pids_of(Daemon::Database)?.is_empty(), "a server was started all the same");
    }
    Ok(())
}

fn two_acknowledgements(bed: &Bed) -> Result<()> {
    if bed.lab().root().vendor() == Vendor::MariaDb {
        return refused_acknowledgements(bed);
    }
    let primary = configure(bed, "semi_sync_acks=2")?;
    bed.wait_status(&primary, "each write also on 2 of", SOON)?;
    let lost = bed.others(&primary)[0].to_owned();
    let ledger = bed.ledger()?;
    ledger.wait_for_acknowledged(50, SOON)?;
    ledger.mark(format!("{lost} dies"));
    bed.take_away(&lost)?;
    bed.wait_status(&primary, "each write also on 1 of", SOON)?;
    ledger.wait_until_written(SOON)?;
    ledger.mark(format!("{lost} comes back"));
    bed.bring_back(&lost)?;
    bed.wait_status(&primary, "each write also on 2 of", WHOLE)?;
    ledger.mark(format!("{primary} dies"));
    bed.lab().fault(Fault::KillDaemon, &primary)?;
    bed.wait_promoted_on_other_than(&primary, SOON)?;
    ledger.wait_until_written(SOON)?;
    bed.clean_up()?;
    let whole = bed.wait_settled(PROVIDED)?;
    finish(bed, ledger, &whole)
}

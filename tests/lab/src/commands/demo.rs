//! `cargo lab demo`: a failover to watch, from nothing to the verdict.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;

use super::Which;
use super::stage::Stage;
use crate::fault::Fault;
use crate::host;
use crate::interrupt;
use crate::lab::{Lab, UpOptions};
use crate::ledger::{FinalData, Ledger, Verdict};
use crate::roots::Root;
use crate::scenario::{Bed, run_readme, writing};

/// How long is written before the fault, so that there is something to lose.
const CALM: Duration = Duration::from_secs(3);
/// How long people watch after the fault, at least.
const WATCHING: Duration = Duration::from_secs(5);
/// What the README's configuration may take until the cluster is whole, and the cluster after the fault.
const RECOVERY: Duration = Duration::from_secs(90);
/// What replicas may take to catch up at the end.
const SETTLING: Duration = Duration::from_secs(30);

/// What `demo` is told.
#[derive(Args, Debug)]
pub struct Demo {
    #[command(flatten)]
    which: Which,
    /// What the nodes are made from: deb12, deb13 (MariaDB) or sid (MySQL)
    #[arg(long, default_value_t = Root::Deb13)]
    root: Root,
    /// Leave the cluster up, to play with
    #[arg(long)]
    keep: bool,
}

/// Shows a failover; whether everything was as it must be.
pub fn run(demo: &Demo) -> Result<bool> {
    interrupt::watch()?;
    let name = &demo.which.name;
    // One of this name that is there already is somebody's, and not ours to take down.
    Lab::refuse_existing(name)?;
    let stage = Stage::open();
    stage.say(&format!("Three {} nodes, a client that writes all the time, and a primary that dies.", demo.root));
    // Before the first spinner: these have bars of their own, the first time.
    host::ensure_tools()?;
    demo.root.ensure()?;
    let lab = stage.act("a cluster of three", || {
        interrupt::protect(name);
        let options = UpOptions { name: name.clone(), nodes: 3, root: demo.root, fencing: false };
        Lab::up(&options)
    });
    let played = lab.and_then(|lab| play(&stage, Bed::new(lab)));
    let is_sound = played.as_ref().is_ok_and(|verdict| verdict.assert_sound().is_ok());
    interrupt::release(name);
    if demo.keep {
        stage.say(&how_to_go_on(name));
    } else {
        stage.act("lab down", || Lab::down(name))?;
    }
    played.map(|_| is_sound)
}

fn play(stage: &Stage, bed: Bed) -> Result<Verdict> {
    let commands = run_readme(bed.lab()).context("configure the cluster")?;
    stage.quote("configured with the README's commands, on db1:", &commands);
    let primary = stage.act("a primary, two replicas and the service address", || bed.wait_healthy(RECOVERY))?;
    stage.say(&format!(
        "{primary} is the primary. Clients write through {}; from here on, seconds of their clock:",
        bed.lab().vip()
    ));
    let ledger = Ledger::start(writing(bed.lab(), stage.timeline()))?;
    ledger.wait_until_written(Duration::from_secs(30))?;
    std::thread::sleep(CALM);
    ledger.mark(format!("kill -9 of {primary}'s server"));
    let killed = Instant::now();
    bed.lab().fault(Fault::KillDaemon, &primary)?;
    // Judged in any case: a cluster that does not recover is what the verdict is for.
    let health = bed.wait_recovered(&ledger, RECOVERY);
    match &health {
        Ok(now) => ledger.mark(format!("{now} is the primary, all three are healthy")),
        Err(error) => ledger.mark(format!("no recovery: {error:#}")),
    }
    std::thread::sleep(WATCHING.saturating_sub(killed.elapsed()).max(Duration::from_secs(1)));
    let source = writing(bed.lab(), Box::new(|_| ())).source();
    let record = ledger.stop()?;
    let verdict = record.verdict(&FinalData::settled(&source, SETTLING)?);
    stage.verdict(&verdict);
    health.map(|_| verdict)
}

fn how_to_go_on(name: &str) -> String {
    let name = if name == "lab" { String::new() } else { format!(" --name {name}") };
    let lines = [
        ("status", "", "what the cluster says"),
        ("shell", " db1", "go into a node; there: crm_mon -Af, mariadb or mysql"),
        ("fault", " power-off db1", "break something else; cargo lab fault --help shows what"),
        ("heal", "", "undo all faults"),
        ("down", "", "end it"),
    ];
    let line =
        |(verb, rest, what): (&str, &str, &str)| format!("\n  {:<42} {what}", format!("cargo lab {verb}{name}{rest}"));
    format!("The cluster is up. Go on with:{}", lines.map(line).concat())
}

//! From where clients may read.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustha_lab::Fault;
use rustha_lab::scenario::{Bed, Scenario};

use crate::{BOTH, PROVIDED, WHOLE};

const fn scenario(name: &'static str, about: &'static str, run: fn(&Bed) -> Result<()>) -> Scenario {
    Scenario { name, about, roots: BOTH, long: false, nodes: 3, fencing: false, run }
}

pub const ALL: &[Scenario] = &[
    scenario(
        "readers",
        "The README's address for readers leaves a replica that is behind, and a failover takes no replica from its readers.",
        readers,
    ),
    scenario(
        "readers-warmup",
        "A replica is read from when its warmup statements have run, each time that it starts.",
        warmup,
    ),
];

const SOON: Duration = Duration::from_secs(60);

/// The attribute that says where clients may read.
const READABLE: &str = "readable";

/// Where the address for readers is.
fn reader(bed: &Bed) -> Result<String> {
    let found = bed.whole_node()?.exec(&["crm_resource", "--resource", "p_reader", "--locate", "--quiet"], SOON)?;
    Ok(found.stdout.trim().to_owned())
}

fn wait_reader(bed: &Bed, nodes: &[&str]) -> Result<String> {
    bed.wait(&format!("the address for readers on one of {nodes:?}"), SOON, || {
        Ok(Some(reader(bed)?).filter(|node| nodes.contains(&node.as_str())))
    })
}

fn wait_readable(bed: &Bed, node: &str, value: &str) -> Result<()> {
    bed.wait(&format!("{READABLE}={value} on {node}"), SOON, || {
        Ok((bed.attribute(node, READABLE)?.as_deref() == Some(value)).then_some(()))
    })
}

/// A reader of a table holds up the applier of the replica that clients read from.
fn readers(bed: &Bed) -> Result<()> {
    let params = "params replication_user=repl";
    let primary = bed.standard_configuration_with(params, &format!("{params} max_lag=6s"))?;
    bed.add_readers()?;
    let ledger = bed.ledger()?;
    ledger.wait_for_acknowledged(50, SOON)?;
    let behind = wait_reader(bed, &bed.others(&primary))?;
    let other = bed.others(&primary).into_iter().find(|name| *name != behind).context("a third node")?.to_owned();
    wait_readable(bed, &other, "1")?;

    ledger.mark(format!("{behind} applies nothing"));
    let start = Instant::now();
    let holder = bed.client_of(&behind)?;
    holder.run("LOCK TABLES app.ledger READ")?;
    let status = bed.wait_status(&behind, "not readable: more than 6 s behind", SOON)?;
    println!("after {:.1} s: {status}", start.elapsed().as_secs_f64());
    wait_readable(bed, &behind, "0")?;
    wait_reader(bed, &[&other])?;
    ensure!(bed.attribute(&primary, READABLE)?.as_deref() == Some("1"), "the primary is not readable");
    ledger.mark(format!("{behind} goes on"));
    holder.run("UNLOCK TABLES")?;
    wait_readable(bed, &behind, "1")?;
    bed.wait_healthy(WHOLE)?;

    ledger.mark(format!("kill-daemon {primary}"));
    bed.lab().fault(Fault::KillDaemon, &primary)?;
    let start = Instant::now();
    let mut promoted = None;
    while promoted.is_none() || start.elapsed() < Duration::from_secs(10) {
        for node in [&behind, &other] {
            let value = bed.attribute(node, READABLE)?;
            ensure!(value.as_deref() == Some("1"), "{READABLE} is {value:?} on {node} during the failover");
        }
        promoted = bed.promoted()?.filter(|node| *node != primary);
        ensure!(start.elapsed() < WHOLE, "nobody was promoted");
    }
    bed.clean_up()?;
    bed.finish_settled(ledger, PROVIDED).map(drop)
}

fn warmup(bed: &Bed) -> Result<()> {
    let params = "params replication_user=repl";
    let slow = "warmup=\"SELECT SLEEP(8); SELECT COUNT(*) FROM app.nothing\" read_from_primary=false";
    let (primary, ledger) = {
        let primary = bed.standard_configuration_with(params, &format!("{params} {slow}"))?;
        (primary, bed.ledger()?)
    };
    let replica = bed.others(&primary)[0].to_owned();
    wait_readable(bed, &replica, "1")?;
    ensure!(bed.attribute(&primary, READABLE)?.as_deref() == Some("0"), "the primary is readable");
    ensure!(!bed.logged(&replica, "run warmup statement 2")?.is_empty(), "a statement failed in silence");
    for node in [&primary, &replica] {
        ensure!(
            !bed.logged(node, "the warmup is over: 2 of 2 statements have run")?.is_empty(),
            "{node} was not warmed up"
        );
    }

    ledger.mark(format!("kill-daemon {replica}"));
    bed.lab().fault(Fault::KillDaemon, &replica)?;
    bed.wait_status(&replica, "not readable: the warmup statements run", SOON)?;
    ensure!(bed.attribute(&replica, READABLE)?.as_deref() == Some("0"), "{replica} is readable while it is cold");
    wait_readable(bed, &replica, "1")?;
    bed.clean_up()?;
    bed.set_parameter("read_from_primary", "true")?;
    wait_readable(bed, &primary, "1")?;
    bed.finish_settled(ledger, PROVIDED).map(drop)
}

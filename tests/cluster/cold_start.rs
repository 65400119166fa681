//! Clusters in which nobody is promoted yet.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rustha_lab::Fault;
use rustha_lab::scenario::{Bed, Scenario};

use crate::{BOTH, WHOLE};

pub const ALL: &[Scenario] = &[
    Scenario {
        name: "cold-start-empty",
        about: "An empty new cluster elects somebody without waiting for anybody; what is written reaches all nodes.",
        roots: BOTH,
        long: false,
        nodes: 3,
        fencing: false,
        run: empty,
    },
    Scenario {
        name: "cold-start-used",
        about: "After all machines were off at once, the last primary goes first, and nothing acknowledged is lost.",
        roots: BOTH,
        long: false,
        nodes: 3,
        fencing: false,
        run: used,
    },
    Scenario {
        name: "late-joiner",
        about: "A node that is missing at the cold start is waited for, not for ever, and joins later with all data.",
        roots: BOTH,
        long: false,
        nodes: 3,
        fencing: false,
        run: late_joiner,
    },
];

fn empty(bed: &Bed) -> Result<()> {
    let start = Instant::now();
    bed.standard_configuration()?;
    let elected = start.elapsed();
    println!("elected and healthy after {:.1} s", elected.as_secs_f32());
    // A wait for somebody is one of cold_start_timeout.
    ensure!(elected < Duration::from_secs(60), "healthy only after {:.1} s", elected.as_secs_f32());
    let ledger = bed.ledger()?;
    ledger.wait_for_acknowledged(200, Duration::from_secs(20))?;
    bed.finish(ledger, &bed.names()).map(drop)
}

fn used(bed: &Bed) -> Result<()> {
    bed.standard_configuration()?;
    let ledger = bed.ledger()?;
    ledger.wait_for_acknowledged(200, Duration::from_secs(20))?;
    let primary = bed.wait_healthy(WHOLE)?;
    for node in bed.names() {
        bed.lab().fault(Fault::PowerOff, node)?;
    }
    bed.lab().heal()?;
    let elected = bed.wait("a primary after the cold start", WHOLE, || bed.promoted())?;
    ensure!(elected == primary, "{elected} was promoted, but {primary} was the last primary");
    bed.wait_healthy(WHOLE)?;
    ledger.wait_until_written(Duration::from_secs(20))?;
    bed.finish(ledger, &bed.names()).map(drop)
}

fn late_joiner(bed: &Bed) -> Result<()> {
    bed.lab().fault(Fault::PowerOff, "db3")?;
    let user = "replication_user=repl";
    let primary = bed.standard_configuration_with(user, &format!("{user} cold_start_timeout=10s"))?;
    ensure!(primary != "db3", "db3 is off");
    let ledger = bed.ledger()?;
    ledger.wait_for_acknowledged(200, Duration::from_secs(20))?;
    bed.lab().heal()?;
    bed.wait_healthy(WHOLE)?;
    ensure!(bed.promoted()?.as_ref() == Some(&primary), "the primary moved when a node joined");
    ledger.wait_for_acknowledged(200, Duration::from_secs(20))?;
    bed.finish(ledger, &bed.names()).map(drop)
}

//! Clusters in which nobody is promoted yet.

use std::time::Duration;

use anyhow::{Result, ensure};
use rustha_lab::Root;
use rustha_lab::scenario::{Bed, Scenario};

pub const ALL: &[Scenario] = &[Scenario {
    name: "cold-start-empty",
    about: "An empty new cluster elects somebody within 30 s; what is written reaches all nodes.",
    roots: &[Root::Deb12, Root::Sid],
    long: false,
    nodes: 3,
    run: empty,
}];

fn empty(bed: &Bed) -> Result<()> {
    let start = std::time::Instant::now();
    bed.standard_configuration()?;
    let elected = start.elapsed();
    println!("elected and healthy after {:.1} s", elected.as_secs_f32());
    ensure!(elected <= Duration::from_secs(30), "healthy only after {:.1} s, not within 30 s", elected.as_secs_f32());
    let ledger = bed.ledger()?;
    ledger.wait_for_acknowledged(200, Duration::from_secs(20))?;
    bed.finish(ledger, &bed.names()).map(drop)
}

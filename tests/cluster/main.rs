//! Scenarios on real clusters, one file a subject. `cargo lab test` plays them; a new file is a line in `mod` and a
//! line in `ALL`.

mod address;
mod closed;
mod cold_start;
mod commands;
mod configuration;
mod contract;
mod durability;
mod election;
mod failover;
mod killed;
mod maintenance;
mod partition;
mod readers;
mod rejoin;
mod replicas;
mod semisync;
mod server;
mod stack;
mod stuck_disk;
mod switchover;
mod systemd;

use std::process::ExitCode;
use std::time::Duration;

use rustha_lab::Root;
use rustha_lab::scenario::{self, Scenario};

/// All scenarios, in the order in which they are played.
const ALL: &[&[Scenario]] = &[
    contract::ALL,
    server::ALL,
    cold_start::ALL,
    failover::ALL,
    durability::ALL,
    election::ALL,
    partition::ALL,
    switchover::ALL,
    closed::ALL,
    rejoin::ALL,
    replicas::ALL,
    readers::ALL,
    maintenance::ALL,
    stack::ALL,
    address::ALL,
    commands::ALL,
    systemd::ALL,
    configuration::ALL,
    semisync::ALL,
    killed::ALL,
    stuck_disk::ALL,
];

/// MariaDB with Pacemaker 2.1.5, and MySQL with Pacemaker 3.0.3.
const BOTH: &[Root] = &[Root::Deb12, Root::Sid];

/// One of them, unless all are asked for: what is held does not depend on the vendor, or is the other's matter.
const MARIADB: &[Root] = &[Root::Deb12];
const MYSQL: &[Root] = &[Root::Sid];

/// How long a cluster may take to be whole again after anything.
const WHOLE: Duration = Duration::from_secs(90);

/// How long it may take to provide a node with the lab's few data.
const PROVIDED: Duration = Duration::from_secs(180);

fn main() -> ExitCode {
    scenario::main(ALL)
}

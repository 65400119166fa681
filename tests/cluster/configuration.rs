//! Ways to configure: pcs, Pacemaker's secrets; and that no password is where it can be read.

use std::time::Duration;

use anyhow::{Result, ensure};
use rustha_lab::Root;
use rustha_lab::scenario::{Bed, Scenario};

use crate::WHOLE;

pub const ALL: &[Scenario] = &[
    Scenario {
        name: "pcs",
        about: "The README's pcs commands give the same cluster as its crm commands.",
        roots: &[Root::Deb13, Root::Sid],
        long: false,
        nodes: 3,
        run: pcs,
    },
    Scenario {
        name: "secret",
        about: "The replication password is one of Pacemaker's secrets, and is in no log, process or attribute.",
        roots: &[Root::Deb12, Root::Sid],
        long: false,
        nodes: 3,
        run: secret,
    },
];

fn pcs(bed: &Bed) -> Result<()> {
    bed.pcs_configuration()?;
    let ledger = bed.ledger()?;
    ledger.wait_for_acknowledged(100, Duration::from_secs(20))?;
    bed.finish(ledger, &bed.names()).map(drop)
}

fn secret(bed: &Bed) -> Result<()> {
    const PASSWORD: &str = "repl-secret";
    for node in bed.lab().nodes() {
        // What `cibsecret set` and `crm resource secret` lay down, which need ssh between the nodes.
        let dir = "/var/lib/pacemaker/lrm/secrets/p_db";
        node.run(&["mkdir", "-p", dir])?;
        node.write_file(&format!("{dir}/replication_passwd"), PASSWORD, 0o600)?;
        let sum = node.run(&["sh", "-c", &format!("md5sum < {dir}/replication_passwd | cut -d' ' -f1")])?;
        node.write_file(&format!("{dir}/replication_passwd.sign"), sum.trim(), 0o600)?;
    }
    let promoted = bed.standard_configuration_with(PASSWORD, "lrm://")?;
    let ledger = bed.ledger()?;
    ledger.wait_for_acknowledged(100, Duration::from_secs(20))?;
    bed.wait_healthy(WHOLE)?;
    for node in bed.lab().nodes() {
        let found = node.exec(
            &["sh", "-c", &format!("cibadmin --query | grep -c {PASSWORD}; grep -rl {PASSWORD} /var/log /run /tmp 2>/dev/null; cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -o 'mysqld.*{PASSWORD}'")],
            Duration::from_secs(20),
        )?;
        ensure!(found.stdout.trim() == "0", "the password is to be found on {}: {}", node.name(), found.stdout);
    }
    ensure!(bed.promoted()?.as_ref() == Some(&promoted), "the primary moved");
    bed.finish(ledger, &bed.names()).map(drop)
}

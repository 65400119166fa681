//! A node comes back that was lost, or comes new: by itself, with the same data as the others, and with nothing lost that only
//! it had.

use anyhow::{Context, Result, ensure};
use rustha_lab::scenario::{Bed, Scenario};
use rustha_lab::{Daemon, Fault, Vendor};

use crate::{BOTH, MARIADB, MYSQL, PROVIDED, WHOLE};

const fn scenario(name: &'static str, about: &'static str, run: fn(&Bed) -> Result<()>) -> Scenario {
    Scenario { name, about, roots: BOTH, long: false, nodes: 3, fencing: false, run }
}

pub const ALL: &[Scenario] = &[
    scenario(
        "rejoin-empty",
        "A node with an empty data directory gets its data from a replica: by the vendor's own way, and by a dump.",
        empty,
    ),
    scenario(
        "rejoin-forged",
        "Invariant 4: a lost primary comes back with transactions of its own: they are saved, and it is provisioned anew.",
        forged,
    ),
    scenario(
        "rejoin-purged",
        "A replica that lacks what the primary has purged is provisioned anew; and so is one by command, which says how far it is.",
        purged,
    ),
    scenario(
        "rejoin-harmless",
        "Objection 29: a replica with nothing of its own but ANALYZE and FLUSH keeps its data; one with more does not.",
        harmless,
    ),
    Scenario {
        roots: MARIADB,
        ..scenario(
            "rejoin-ordered",
            "rejoin=manual and replicate: a node stays out, says why and with which transactions, until 'rustha rejoin'.",
            ordered,
        )
    },
    Scenario {
        nodes: 4,
        roots: MYSQL,
        ..scenario(
            "rejoin-added",
            "A fourth node with an empty disk is added to a running cluster of three: no step on the database.",
            added,
        )
    },
    Scenario {
        long: true,
        ..scenario(
            "rejoin-refused",
            "Objection 26 and more: a disk too small, a wrong password, a risk: refused with a sentence, and nothing is touched.",
            refused,
        )
    },
    Scenario {
        long: true,
        ..scenario(
            "rejoin-interrupted",
            "Invariant 6: the donor dies in the middle, the joiner's guard and machine do: it is begun anew each time.",
            interrupted,
        )
    },
    Scenario {
        long: true,
        ..scenario(
            "rejoin-rounds",
            "Five rounds with 1 GB of data: the primary's machine is lost, comes back, and is switched back to, without a command.",
            rounds,
        )
    },
];

fn vendor(bed: &Bed) -> Vendor {
    bed.lab().root().vendor()
}

/// What the clone plugin needs; said once on the primary.
fn allow_clones(bed: &Bed, primary: &str) -> Result<()> {
    if vendor(bed) == Vendor::MySql {
        bed.node(primary)?.sql("GRANT BACKUP_ADMIN ON *.* TO 'repl'@'%'")?;
    }
    Ok(())
}

/// Takes a node's instance out, as an operator does. It is shown as stopped while it still stops.
fn stand_by(bed: &Bed, name: &str) -> Result<()> {
    bed.whole_node()?.run(&["crm_standby", "--node", name, "--update", "on"])?;
    let node = bed.node(name)?;
    bed.wait(&format!("no server on {name}"), WHOLE, || {
        Ok((!bed.instances()?.contains_key(name) && !node.has_live(Daemon::Database)).then_some(()))
    })
}

/// Takes a node's instance out, and lets it find no data when it comes back.
fn empty_disk(bed: &Bed, name: &str) -> Result<()> {
    stand_by(bed, name)?;
    bed.node(name)?.run(&["find", "/var/lib/mysql", "-mindepth", "1", "-delete"])?;
    bed.whole_node()?.run(&["crm_standby", "--node", name, "--delete"]).map(drop)
}

fn empty(bed: &Bed) -> Result<()> {
    let (primary, ledger) = bed.standard_load()?;
    allow_clones(bed, &primary)?;
    let joiner = bed.others(&primary)[0].to_owned();
    let donor = bed.others(&primary)[1].to_owned();
    let own = match vendor(bed) {
        Vendor::MariaDb => "physical",
        Vendor::MySql => "clone",
    };
    for (parameter, method) in [("auto", own), ("logical", "logical")] {
        bed.set_parameter("provision", parameter)?;
        ledger.mark(format!("{joiner} has an empty disk ({method})"));
        empty_disk(bed, &joiner)?;
        let said = bed.wait_status(&joiner, "provisioning from", PROVIDED)?;
        println!("{joiner}: {said}");
        bed.wait_status(&joiner, ", in sync", PROVIDED)?;
        bed.wait_healthy(WHOLE)?;
        let wanted = format!("provisioning from {donor} ({method})");
        ensure!(!bed.logged(&joiner, &wanted)?.is_empty(), "{joiner} was not provided by '{wanted}'");
    }
    for name in bed.names() {
        let failed = bed.logged(name, "is reported to the cluster")?;
        ensure!(failed.is_empty(), "{name} reported a failure: {}", failed.join("; "));
    }
    bed.finish(ledger, &bed.names()).map(drop)
}

/// The primary has purged what a replica lacks.
fn purged(bed: &Bed) -> Result<()> {
    let (primary, ledger) = bed.standard_load()?;
    allow_clones(bed, &primary)?;
    let joiner = bed.others(&primary)[0].to_owned();
    let donor = bed.others(&primary)[1].to_owned();
    ledger.mark(format!("{joiner} is away, and the others purge"));
    stand_by(bed, &joiner)?;
    ledger.wait_for_acknowledged(50, WHOLE)?;
    for name in [&primary, &donor] {
        purge(bed, name)?;
    }
    bed.whole_node()?.run(&["crm_standby", "--node", &joiner, "--delete"])?;
    bed.wait_status(&joiner, "provisioning from", PROVIDED)?;
    bed.wait_status(&joiner, ", in sync", PROVIDED)?;
    ensure!(bed.attribute(&joiner, "p_db-divergence")?.is_none(), "{joiner} had nothing to save");
    bed.wait_healthy(WHOLE)?;
    ledger.mark(format!("{joiner} is provisioned by command"));
    let node = bed.node(&joiner)?;
    let plan = node.run(&["rustha", "provision", "--dry-run", "--json", "--from", &primary, "--method", "logical"])?;
    ensure!(plan.contains("\"replaces_data\": true") && plan.contains("\"logical\""), "{plan}");
    let output = node.exec(&["rustha", "provision", "--from", &primary, "--method", "logical"], PROVIDED)?;
    ensure!(output.status.success() && output.stdout.contains("provision"), "{}{}", output.stdout, output.stderr);
    // It looks once a second how far it is, and the lab's few data may be there before that.
    let done = bed.logged(&joiner, &format!("guard: the data of {primary} are here"))?;
    ensure!(done.len() == 1, "the order was carried out {} times", done.len());
    println!("{}", output.stdout);
    bed.wait_status(&joiner, ", in sync", PROVIDED)?;
    bed.wait_healthy(WHOLE)?;
    bed.finish(ledger, &bed.names()).map(drop)
}

/// What an operator does on a replica without thinking of its binary log.
fn harmless(bed: &Bed) -> Result<()> {
    let (primary, ledger) = bed.standard_load()?;
    let replica = bed.others(&primary)[0].to_owned();
    let node = bed.node(&replica)?;
    ledger.mark(format!("ANALYZE and FLUSH on {replica}"));
    let server = node.pids_of(Daemon::Database)?;
    // MySQL refuses both under super_read_only: somebody has to take that off.
    let (open, close) = match vendor(bed) {
        Vendor::MySql => ("SET GLOBAL super_read_only=0;", "SET GLOBAL super_read_only=1;"),
        Vendor::MariaDb => ("", ""),
    };
    node.sql(&format!("{open} ANALYZE TABLE app.ledger; FLUSH TABLES; {close}"))?;
    let saved = |nth: usize| {
        bed.wait(&format!("a file of {replica}'s own transactions"), PROVIDED, || {
            let file = bed.attribute(&replica, "p_db-divergence")?;
            Ok(file.filter(|file| file.ends_with(&format!("-{nth}.binlog"))))
        })
    };
    saved(1)?;
    bed.wait(&format!("the data of {replica} kept"), WHOLE, || {
        let said = bed.logged(&replica, "what only this node has changes nothing: its data stay")?;
        Ok((said.len() == 1).then_some(()))
    })?;
    bed.wait_status(&replica, ", in sync", WHOLE)?;
    ensure!(node.pids_of(Daemon::Database)? == server, "the server of {replica} is another one");
    bed.wait_healthy(WHOLE)?;
    ledger.mark(format!("{replica} writes a row besides"));
    node.sql(&format!("{open} ANALYZE TABLE app.ledger; CREATE TABLE app.own (id INT PRIMARY KEY)"))?;
    saved(2)?;
    bed.wait(&format!("the data of {replica} replaced"), PROVIDED, || {
        let now = node.pids_of(Daemon::Database)?;
        Ok((!now.is_empty() && now != server).then_some(()))
    })?;
    bed.wait_status(&replica, ", in sync", PROVIDED)?;
    let listed = node.run(&["rustha", "divergence"])?;
    for part in ["CREATE TABLE app.own", "nothing that the primary has not"] {
        ensure!(listed.contains(part), "'{part}' is not in: {listed}");
    }
    bed.wait_healthy(WHOLE)?;
    bed.finish(ledger, &bed.names()).map(drop)
}

/// Lets a server keep only its newest binary log.
fn purge(bed: &Bed, name: &str) -> Result<()> {
    let node = bed.node(name)?;
    let status = match vendor(bed) {
        Vendor::MariaDb => "SHOW MASTER STATUS",
        Vendor::MySql => "SHOW BINARY LOG STATUS",
    };
    node.sql("FLUSH BINARY LOGS")?;
    bed.wait(&format!("{name} purged its binary logs"), WHOLE, || {
        let newest = node.sql(status)?;
        let newest = newest.split_whitespace().next().context("no binary log")?.to_owned();
        node.sql(&format!("PURGE BINARY LOGS TO '{newest}'"))?;
        let logs = node.sql("SHOW BINARY LOGS")?;
        Ok((logs.lines().count() == 1).then_some(()))
    })
}

fn ordered(bed: &Bed) -> Result<()> {
    let (primary, ledger) = bed.standard_load()?;
    allow_clones(bed, &primary)?;
    bed.set_parameter("rejoin", "manual")?;
    let replica = bed.others(&primary)[0].to_owned();
    ledger.mark(format!("{replica} is killed, and has nothing of its own (manual)"));
    bed.lab().fault(Fault::KillDaemon, &replica)?;
    bed.wait_status(&replica, "waits for 'rustha rejoin'", PROVIDED)?;
    bed.wait_score(&replica, "-INFINITY", WHOLE)?;
    let node = bed.node(&replica)?;
    let output = node.exec(&["rustha", "rejoin"], PROVIDED)?;
    ensure!(output.status.success(), "rustha rejoin: {}{}", output.stdout, output.stderr);
    println!("{}", output.stdout);
    bed.wait_status(&replica, ", in sync", WHOLE)?;
    bed.clean_up()?;
    bed.wait_healthy(WHOLE)?;
    bed.set_parameter("rejoin", "replicate")?;
    ledger.mark(format!("{primary} is lost, and comes back with transactions of its own (replicate)"));
    bed.take_away(&primary)?;
    bed.wait_promoted_on_other_than(&primary, WHOLE)?;
    ledger.wait_until_written(WHOLE)?;
    forge(bed, &primary)?;
    bed.bring_back(&primary)?;
    let status = bed.wait_status(&primary, "it has transactions of its own: ", PROVIDED)?;
    println!("{primary}: {status}");
    ensure!(status.contains("rejoin=replicate; 'rustha rejoin' on this node"), "{status}");
    bed.wait_score(&primary, "-INFINITY", WHOLE)?;
    let node = bed.node(&primary)?;
    let divergence = node.run(&["rustha", "divergence"])?;
    ensure!(divergence.contains("Not saved yet: it has transactions of its own"), "{divergence}");
    let plan = node.run(&["rustha", "rejoin", "--dry-run"])?;
    ensure!(plan.contains("What only it has is saved first."), "{plan}");
    ensure!(bed.attribute(&primary, "p_db-divergence")?.is_none(), "a dry run did something");
    let output = node.exec(&["rustha", "rejoin"], PROVIDED)?;
    ensure!(output.status.success(), "rustha rejoin: {}{}", output.stdout, output.stderr);
    println!("{}", output.stdout);
    let divergence = node.run(&["rustha", "divergence"])?;
    println!("{divergence}");
    let row = match vendor(bed) {
        // By default MariaDB logs such statements as they are.
        Vendor::MariaDb => "INSERT INTO app.forged VALUES ('forged-three')",
        Vendor::MySql => "INSERT INTO `app`.`forged`: 3 rows",
    };
    for part in ["CREATE TABLE app.forged", row, "nothing that the primary has not"] {
        ensure!(divergence.contains(part), "'{part}' is not in: {divergence}");
    }
    bed.clean_up()?;
    bed.wait_healthy(WHOLE)?;
    bed.finish(ledger, &bed.names()).map(drop)
}

/// Its node takes no part until its disk is empty: as one that was just installed.
fn added(bed: &Bed) -> Result<()> {
    let node = bed.node("db4")?;
    node.run(&["find", "/var/lib/mysql", "-mindepth", "1", "-delete"])?;
    bed.whole_node()?.run(&["crm_standby", "--node", "db4", "--update", "on"])?;
    let (primary, ledger) = bed.standard_load()?;
    allow_clones(bed, &primary)?;
    ledger.mark("db4 is added, with an empty disk");
    bed.whole_node()?.run(&["crm_standby", "--node", "db4", "--delete"])?;
    bed.wait_status("db4", ", in sync", PROVIDED)?;
    bed.wait_healthy(WHOLE)?;
    ledger.mark(format!("{primary} dies, and db4 is preferred"));
    bed.prefer("db4")?;
    bed.lab().fault(Fault::KillDaemon, &primary)?;
    let promoted = bed.wait_promoted_on_other_than(&primary, WHOLE)?;
    ensure!(promoted == "db4", "{promoted} was promoted");
    ledger.wait_until_written(WHOLE)?;
    bed.clean_up()?;
    bed.finish_settled(ledger, PROVIDED).map(drop)
}

fn refused(bed: &Bed) -> Result<()> {
    let (primary, ledger) = bed.standard_load()?;
    let joiner = bed.others(&primary)[0].to_owned();
    ledger.mark(format!("{joiner} is to be provisioned by a tool that {primary} has not"));
    let tools = "cd /usr/bin && for tool in mariadb-dump mysqldump; do [ ! -e $tool ] || mv $tool $tool.away; done";
    bed.node(&primary)?.run(&["sh", "-c", tools])?;
    let argv = ["rustha", "provision", "--from", &primary, "--method", "logical"];
    let output = bed.node(&joiner)?.exec(&argv, PROVIDED)?;
    let says_why =
        output.stderr.contains("not provisioned: ") && output.stderr.contains("is not installed on this node");
    ensure!(!output.status.success() && says_why, "{}{}", output.stdout, output.stderr);
    bed.wait_status(&joiner, ", in sync", WHOLE)?;
    bed.wait_healthy(WHOLE)?;
    let back = "cd /usr/bin && for tool in *.away; do mv $tool ${tool%.away}; done";
    bed.node(&primary)?.run(&["sh", "-c", back])?;
    load(bed, 150)?;
    ledger.mark(format!("the disk of {joiner} is too small"));
    stand_by(bed, &joiner)?;
    let node = bed.node(&joiner)?;
    let small = "mount -t tmpfs -o size=280m small /var/lib/mysql && chown mysql:mysql /var/lib/mysql";
    node.run(&["sh", "-c", small])?;
    bed.whole_node()?.run(&["crm_standby", "--node", &joiner, "--delete"])?;
    let status = bed.wait_status(&joiner, "nothing was touched", PROVIDED)?;
    println!("{joiner}: {status}");
    ensure!(status.contains("MB free"), "{status}");
    let left =
        node.run(&["sh", "-c", "ls -d /var/lib/mysql/*rustha-creating* /var/lib/mysql/.rustha-* 2>/dev/null || true"])?;
    ensure!(left.trim().is_empty(), "something was begun: {left}");
    ledger.mark(format!("the disk of {joiner} is large again, and the password is wrong"));
    stand_by(bed, &joiner)?;
    node.run(&["umount", "/var/lib/mysql"])?;
    bed.node(&primary)?.sql("ALTER USER 'repl'@'%' IDENTIFIED BY 'another-secret'")?;
    empty_disk(bed, &joiner)?;
    bed.wait_status(&joiner, "1045", PROVIDED)?;
    bed.node(&primary)?.sql("ALTER USER 'repl'@'%' IDENTIFIED BY 'repl-secret'")?;
    bed.wait_status(&joiner, ", in sync", PROVIDED)?;
    bed.clean_up()?;
    bed.wait_healthy(WHOLE)?;
    bed.finish(ledger, &bed.names()).map(drop)
}

/// Rows of a kilobyte, so many thousand of them.
fn load(bed: &Bed, thousands: u32) -> Result<()> {
    let client = bed.client()?;
    // MySQL has no derived table without a database (error 1046).
    client.run("USE app")?;
    client.run("CREATE TABLE app.bulk (id INT PRIMARY KEY AUTO_INCREMENT, text VARCHAR(1100) NOT NULL)")?;
    let thousand = "INSERT INTO app.bulk (text) SELECT CONCAT(REPEAT(SHA2(RAND(), 256), 16), a.n, b.n, c.n) FROM \
        (SELECT 0 n UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5 UNION SELECT 6 UNION SELECT 7 UNION SELECT 8 UNION SELECT 9) a, \
        (SELECT 0 n UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5 UNION SELECT 6 UNION SELECT 7 UNION SELECT 8 UNION SELECT 9) b, \
        (SELECT 0 n UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5 UNION SELECT 6 UNION SELECT 7 UNION SELECT 8 UNION SELECT 9) c";
    for _ in 0..thousands {
        client.say(thousand).wait(WHOLE)?.map_err(anyhow::Error::msg)?;
    }
    Ok(())
}

fn interrupted(bed: &Bed) -> Result<()> {
    let (primary, ledger) = bed.standard_load()?;
    allow_clones(bed, &primary)?;
    load(bed, 300)?;
    let joiner = bed.others(&primary)[0].to_owned();
    let donor = bed.others(&primary)[1].to_owned();
    let faults = [
        (Fault::KillDaemon, donor.as_str()),
        (Fault::PowerOff, &donor),
        (Fault::KillGuard, &joiner),
        (Fault::PowerOff, &joiner),
    ];
    for (fault, whom) in faults {
        ledger.mark(format!("{joiner} has an empty disk; {fault} {whom} in the middle"));
        empty_disk(bed, &joiner)?;
        bed.wait_status(&joiner, &format!("provisioning from {donor}"), PROVIDED)?;
        bed.lab().fault(fault, whom)?;
        if whom == donor {
            // The primary is the other one that has the data.
            bed.wait_status(&joiner, ", in sync", PROVIDED)?;
        }
        bed.lab().heal()?;
        bed.wait_status(&joiner, ", in sync", PROVIDED)?;
        bed.clean_up()?;
        bed.wait_healthy(PROVIDED)?;
    }
    bed.finish(ledger, &bed.names()).map(drop)
}

fn rounds(bed: &Bed) -> Result<()> {
    let (primary, ledger) = bed.standard_load()?;
    allow_clones(bed, &primary)?;
    load(bed, 1000)?;
    bed.wait_healthy(PROVIDED)?;
    for round in 1..=5 {
        ledger.mark(format!("round {round}: {primary} is off"));
        bed.lab().fault(Fault::PowerOff, &primary)?;
        bed.wait_promoted_on_other_than(&primary, WHOLE)?;
        ledger.wait_until_written(WHOLE)?;
        ledger.mark(format!("round {round}: {primary} is on"));
        bed.lab().heal()?;
        bed.wait_status(&primary, ", in sync", PROVIDED)?;
        bed.wait_healthy(WHOLE)?;
        println!("round {round}: saved was {:?}", bed.attribute(&primary, "p_db-divergence")?);
        ledger.mark(format!("round {round}: back to {primary}"));
        bed.raise_target(&primary)?;
        bed.wait(&format!("{primary} promoted"), WHOLE, || Ok(bed.promoted()?.filter(|name| *name == primary)))?;
        bed.wait_healthy(WHOLE)?;
        ledger.wait_for_acknowledged(50, WHOLE)?;
    }
    bed.finish(ledger, &bed.names()).map(drop)
}

/// Starts the server of a node without its cluster, and writes into it what nobody else has.
fn forge(bed: &Bed, name: &str) -> Result<()> {
    let (daemon, client) = match vendor(bed) {
        Vendor::MariaDb => ("mariadbd", "mariadb"),
        Vendor::MySql => ("mysqld", "mysql"),
    };
    let script = format!(
        "{daemon} --user=mysql --skip-networking --socket=/tmp/forge.sock >/tmp/forge.log 2>&1 &
         for i in $(seq 300); do {client} -S /tmp/forge.sock -e 'SELECT 1' >/dev/null 2>&1 && break; sleep 0.1; done
         {client} -S /tmp/forge.sock -e \"SET GLOBAL read_only=0; CREATE TABLE app.forged (word VARCHAR(20)); \
         INSERT INTO app.forged VALUES ('forged-one'), ('forged-two'); INSERT INTO app.forged VALUES ('forged-three'); SHUTDOWN\"
         wait"
    );
    bed.node(name)?.run(&["bash", "-ec", &script]).context("forging transactions").map(drop)
}

fn forged(bed: &Bed) -> Result<()> {
    let (primary, ledger) = bed.standard_load()?;
    allow_clones(bed, &primary)?;
    ledger.mark(format!("{primary} is lost"));
    bed.take_away(&primary)?;
    bed.wait_promoted_on_other_than(&primary, WHOLE)?;
    ledger.wait_until_written(WHOLE)?;
    forge(bed, &primary)?;
    ledger.mark(format!("{primary} comes back with transactions of its own"));
    bed.bring_back(&primary)?;
    bed.wait_status(&primary, ", in sync", PROVIDED)?;
    bed.clean_up()?;
    bed.wait_healthy(WHOLE)?;
    let file = bed.attribute(&primary, "p_db-divergence")?.context("nobody says where it is saved")?;
    let reader = match vendor(bed) {
        Vendor::MariaDb => "mariadb-binlog",
        Vendor::MySql => "mysqlbinlog",
    };
    let node = bed.node(&primary)?;
    let text = node.run(&[reader, "--verbose", &file])?;
    for word in ["CREATE TABLE app.forged", "forged-one", "forged-two", "forged-three"] {
        ensure!(text.contains(word), "{file} does not hold '{word}'");
    }
    let mode = node.run(&["stat", "--format=%a", &file])?;
    ensure!(mode.trim() == "600", "{file} can be read by others: {mode}");
    bed.finish(ledger, &bed.names())?;
    for name in bed.names() {
        let tables =
            bed.node(name)?.sql("SELECT COUNT(*) FROM information_schema.tables WHERE table_name = 'forged'")?;
        ensure!(tables.trim() == "0", "{name} has what was forged");
    }
    Ok(())
}

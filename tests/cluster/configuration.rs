//! Ways to configure: pcs, Pacemaker's secrets; and that no password is where it can be read.

use std::time::Duration;

use anyhow::{Result, ensure};
use rustha_lab::scenario::{Bed, Scenario};
use rustha_lab::{Daemon, Fault, Root, Vendor};

use crate::{BOTH, PROVIDED, WHOLE};

pub const ALL: &[Scenario] = &[
    Scenario {
        name: "pcs",
        about: "The README's pcs commands give the same cluster as its crm commands.",
        roots: &[Root::Deb12, Root::Deb13, Root::Sid],
        long: false,
        nodes: 3,
        fencing: false,
        run: pcs,
    },
    Scenario {
        name: "reload-writes",
        about: "A parameter that needs no restart is changed under load: writes go on, also where Pacemaker promotes again.",
        roots: BOTH,
        long: false,
        nodes: 3,
        fencing: false,
        run: reload_writes,
    },
    Scenario {
        name: "secret",
        about: "The replication password is one of Pacemaker's secrets, and is in no log, process or attribute.",
        roots: &[Root::Deb12, Root::Sid],
        long: false,
        nodes: 3,
        fencing: false,
        run: secret,
    },
    Scenario {
        name: "reload",
        about: "A changed max_slave_lag restarts nothing; node attributes say under which address a primary is reached.",
        roots: &[Root::Deb12, Root::Sid],
        long: false,
        nodes: 3,
        fencing: false,
        run: reload,
    },
    Scenario {
        name: "semi-sync-reload",
        about: "semi_sync is switched off and on again under load: the record says so first, and all are in sync again.",
        roots: BOTH,
        long: false,
        nodes: 3,
        fencing: false,
        run: semi_sync_reload,
    },
    Scenario {
        name: "hostile-options",
        about: "An option file that asks for what loses writes changes nothing: the agent sets what the promise needs.",
        roots: BOTH,
        long: false,
        nodes: 3,
        fencing: false,
        run: hostile_options,
    },
    Scenario {
        name: "drop-in",
        about: "A configuration of ocf:heartbeat:mariadb works as it is; what is of the past is said in the log.",
        roots: BOTH,
        long: false,
        nodes: 3,
        fencing: false,
        run: drop_in,
    },
];

/// Semi-sync that lets go after a moment, and after the commit is seen; commits that are not flushed; servers that open
/// themselves and begin to replicate by themselves.
const HOSTILE: &str = "sync_binlog=0\ninnodb_flush_log_at_trx_commit=2\nread_only=OFF\n";
const HOSTILE_MARIADB: &str = "rpl_semi_sync_master_enabled=ON\nrpl_semi_sync_slave_enabled=ON\n\
    rpl_semi_sync_master_wait_point=AFTER_COMMIT\nrpl_semi_sync_master_timeout=10\n\
    rpl_semi_sync_master_wait_no_slave=OFF\nrpl_semi_sync_slave_kill_conn_timeout=60\nskip_slave_start=OFF\n";
const HOSTILE_MYSQL: &str = "plugin_load_add=semisync_source.so\nplugin_load_add=semisync_replica.so\n\
    rpl_semi_sync_source_enabled=ON\nrpl_semi_sync_replica_enabled=ON\n\
    rpl_semi_sync_source_wait_point=AFTER_COMMIT\nrpl_semi_sync_source_timeout=10\n\
    rpl_semi_sync_source_wait_no_replica=OFF\nskip_replica_start=OFF\n";

fn hostile_options(bed: &Bed) -> Result<()> {
    let (lines, source, wait_no_replica) = match bed.lab().root().vendor() {
        Vendor::MariaDb => (HOSTILE_MARIADB, "master", "wait_no_slave"),
        Vendor::MySql => (HOSTILE_MYSQL, "source", "wait_no_replica"),
    };
    for node in bed.lab().nodes() {
        node.add_options(&format!("{HOSTILE}{lines}"))?;
    }
    let (primary, ledger) = bed.standard_load()?;
    let always = [("sync_binlog", "1"), ("innodb_flush_log_at_trx_commit", "1")];
    let (wait_point, wait_no_replica) =
        (format!("rpl_semi_sync_{source}_wait_point"), format!("rpl_semi_sync_{source}_{wait_no_replica}"));
    let as_source = [(wait_point.as_str(), "AFTER_SYNC"), (wait_no_replica.as_str(), "ON")];
    for node in bed.lab().nodes() {
        let is_source = node.sql(&format!("SELECT @@global.rpl_semi_sync_{source}_enabled"))?.trim() == "1";
        ensure!(is_source == (node.name() == primary), "a replica waits as a source does, or the primary does not");
        for (name, wanted) in always.iter().chain(as_source.iter().filter(|_| is_source)) {
            let value = node.sql(&format!("SELECT @@global.{name}"))?;
            // MySQL shows a switch as a number here.
            let is_so = value.trim() == *wanted || (*wanted == "ON" && value.trim() == "1");
            ensure!(is_so, "{name} is {} on {}", value.trim(), node.name());
        }
        let timeout = node.sql(&format!("SELECT @@global.rpl_semi_sync_{source}_timeout"))?;
        ensure!(!is_source || timeout.trim().len() > 8, "the primary waits for {} ms only", timeout.trim());
    }
    ledger.mark(format!("kill-daemon {primary}"));
    bed.lab().fault(Fault::KillDaemon, &primary)?;
    bed.wait_promoted_on_other_than(&primary, WHOLE)?;
    ledger.wait_until_written(Duration::from_secs(20))?;
    bed.finish_settled(ledger, PROVIDED).map(drop)
}

fn drop_in(bed: &Bed) -> Result<()> {
    let ours = "params replication_user=repl";
    let theirs = "params binary=/usr/bin/mysqld_safe client_binary=/usr/bin/mysql config=/etc/mysql/my.cnf \
                  datadir=/var/lib/mysql user=mysql group=mysql log=/var/log/mysql/error.log \
                  pid=/run/mysqld/mysqld.pid socket=/run/mysqld/mysqld.sock test_user=root test_table=mysql.user \
                  node_list=\"db1 db2 db3\" evict_outdated_slaves=false max_slave_lag=3600 reader_attribute=readable \
                  enable_creation=false replication_port=3306 replication_require_ssl=false replication_user=repl";
    let primary = bed.standard_configuration_with(ours, theirs)?;
    let ledger = bed.ledger()?;
    ledger.wait_for_acknowledged(50, Duration::from_secs(20))?;
    let log = bed.node(&primary)?.run(&["grep", "is deprecated", "/var/log/syslog"])?;
    for name in ["client_binary", "node_list", "evict_outdated_slaves", "test_user"] {
        let said = log.lines().filter(|line| line.contains(&format!("parameter {name} is deprecated"))).count();
        ensure!(said == 1, "the log says {said} times that {name} is deprecated");
    }
    bed.finish(ledger, &bed.names()).map(drop)
}

fn reload(bed: &Bed) -> Result<()> {
    for node in bed.lab().nodes() {
        let address = node.address().to_string();
        let argv = ["crm_attribute", "--node", node.name(), "--name", "p_db_mysql_master_IP", "--update", &address];
        node.run(&argv)?;
    }
    let primary = bed.standard_configuration()?;
    let address = bed.node(&primary)?.address().to_string();
    let pids =
        |bed: &Bed| -> Result<Vec<_>> { bed.lab().nodes().iter().map(|node| node.pids_of(Daemon::Database)).collect() };
    let before = pids(bed)?;
    let argv = ["crm_resource", "--resource", "p_db", "--set-parameter", "max_slave_lag", "--parameter-value", "60"];
    bed.whole_node()?.run(&argv)?;
    std::thread::sleep(Duration::from_secs(5));
    bed.wait_healthy(WHOLE)?;
    ensure!(pids(bed)? == before, "a server was restarted for a parameter that needs no restart");
    for name in bed.others(&primary) {
        let status = bed.attribute(name, "p_db-status")?.unwrap_or_default();
        ensure!(
            status.starts_with(&format!("replica of {address}")),
            "{name} does not use the node attribute: {status}"
        );
    }
    let ledger = bed.ledger()?;
    ledger.wait_for_acknowledged(50, Duration::from_secs(20))?;
    bed.finish(ledger, &bed.names()).map(drop)
}

fn semi_sync_reload(bed: &Bed) -> Result<()> {
    let primary = bed.standard_configuration()?;
    let ledger = bed.ledger()?;
    ledger.wait_for_acknowledged(50, Duration::from_secs(20))?;
    let set = |value: &str| {
        let argv = ["crm_resource", "--resource", "p_db", "--set-parameter", "semi_sync", "--parameter-value", value];
        bed.whole_node()?.run(&argv).map(drop)
    };
    ledger.mark("semi_sync=off");
    set("off")?;
    bed.wait("nothing promised", WHOLE, || Ok((!bed.record()?.contains("acks=")).then_some(())))?;
    let is_off = |name: &str| -> Result<bool> {
        let shown = bed.node(name)?.sql("SHOW GLOBAL STATUS LIKE 'Rpl_semi_sync%status'")?;
        Ok(!shown.contains("ON"))
    };
    for name in bed.names() {
        bed.wait(&format!("semi-sync off on {name}"), WHOLE, || Ok(is_off(name)?.then_some(())))?;
    }
    ledger.wait_for_acknowledged(50, Duration::from_secs(20))?;
    ledger.mark("semi_sync=managed");
    set("managed")?;
    let others = bed.others(&primary);
    bed.wait_status(&primary, &format!("each write also on 1 of {}", others.join(", ")), WHOLE)?;
    bed.wait_healthy(WHOLE)?;
    bed.finish(ledger, &bed.names()).map(drop)
}

/// Pacemaker (2.1.5, 3.0.3) promotes a primary again that was reloaded after a clean-up.
fn reload_writes(bed: &Bed) -> Result<()> {
    let (primary, ledger) = bed.standard_load()?;
    let replica = bed.others(&primary)[0].to_owned();
    ledger.mark(format!("kill-daemon {replica}"));
    bed.lab().fault(Fault::KillDaemon, &replica)?;
    bed.wait(&format!("a failure of {replica}"), WHOLE, || bed.attribute(&replica, "p_db-last-failure"))?;
    bed.wait_status(&replica, ", in sync", WHOLE)?;
    bed.clean_up()?;
    ledger.mark("max_lag=40s");
    bed.set_parameter("max_lag", "40s")?;
    // What a promotion that is none would bring comes soon after.
    std::thread::sleep(Duration::from_secs(10));
    let verdict = bed.finish(ledger, &bed.names())?;
    verdict.assert_gap_within(Duration::from_secs(2))
}

fn pcs(bed: &Bed) -> Result<()> {
    let primary = bed.pcs_configuration()?;
    let ledger = bed.ledger()?;
    ledger.wait_for_acknowledged(100, Duration::from_secs(20))?;
    bed.add_readers_by_pcs()?;
    bed.wait("the address for readers on a replica", WHOLE, || {
        let argv = ["crm_resource", "--resource", "p_reader", "--locate", "--quiet"];
        let found = bed.whole_node()?.exec(&argv, Duration::from_secs(20))?.stdout;
        Ok(bed.others(&primary).contains(&found.trim()).then_some(()))
    })?;
    bed.finish(ledger, &bed.names()).map(drop)
}

/// Where the password must not be: configuration and attributes, logs, files of state, arguments of processes. The
/// brackets keep the search from finding itself.
const SEARCH: &str = "cibadmin --query | grep -o 'repl-secre[t]'; grep -rl 'repl-secre[t]' /var/log /run /tmp; \
                      for file in /proc/[0-9]*/cmdline; do tr '\\0' ' ' < $file; echo; done | grep 'repl-secre[t]'";

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
        let found = node.exec(&["sh", "-c", SEARCH], Duration::from_secs(20))?;
        ensure!(found.stdout.trim().is_empty(), "the password is to be found on {}: {}", node.name(), found.stdout);
    }
    ensure!(bed.promoted()?.as_ref() == Some(&promoted), "the primary moved");
    bed.finish(ledger, &bed.names()).map(drop)
}

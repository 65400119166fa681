//! What `rustha check` looks at: each check with a code that never changes, what it means that it fails, and what to do. Pure.

use serde::Serialize;

/// How bad it is when a check fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Something that could be better.
    Note,
    /// It works, and something that is promised may not hold.
    Warning,
    /// It does not work, or data can be lost.
    Error,
}

/// A check.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// Its code.
    pub code: &'static str,
    /// How bad it is when it fails.
    pub severity: Severity,
    /// What holds when it passes.
    pub title: &'static str,
    /// What it means that it fails.
    pub meaning: &'static str,
    /// What to do then.
    pub remedy: &'static str,
}

const fn check(
    code: &'static str,
    severity: Severity,
    title: &'static str,
    meaning: &'static str,
    remedy: &'static str,
) -> Check {
    Check { code, severity, title, meaning, remedy }
}

/// The check of this code, in any spelling: `RHA-0101`, `rha-101`, `0101`, `101`.
pub fn find(code: &str) -> Option<&'static Check> {
    let digits = code.trim().to_ascii_uppercase();
    let number: u32 = digits.trim_start_matches("RHA").trim_start_matches('-').parse().ok()?;
    let code = format!("RHA-{number:04}");
    ALL.iter().find(|check| check.code == code)
}

use Severity::{Error, Note, Warning};

/// The checks that need to know more than one node.
pub static ACROSS: &[&str] = &["RHA-0102", "RHA-0108", "RHA-0111", "RHA-0502", "RHA-0506"];

/// All checks, in the order in which they are shown. 01: the servers; 02: accounts; 03: the network; 04: the cluster's
/// configuration; 05: the nodes.
pub static ALL: &[Check] = &[
    check(
        "RHA-0101",
        Error,
        "each server has a server_id of its own",
        "Servers tell their own transactions from others' by server_id: with 0 a server does not replicate, and two of the same \
         number throw each other's transactions away, or cannot be connected to one source at the same time.",
        "Set server_id in the option file of each node, group [mysqld], to a number that no other server has, and restart the \
         instance (crm resource restart takes all; on a replica, put its node into standby and back).",
    ),
    check(
        "RHA-0102",
        Error,
        "each server has a server_uuid of its own",
        "MySQL names its transactions by server_uuid. Two servers have the same after a machine or a data directory was copied: \
         their transactions cannot be told from each other.",
        "On one of them put the node into standby, remove auto.cnf from the data directory, and bring the node back: the server \
         makes a new one.",
    ),
    check(
        "RHA-0103",
        Error,
        "the binary log is on",
        "Without a binary log a server cannot be replicated from, and so cannot be promoted.",
        "Set log_bin in the option file, group [mysqld], and restart the instance.",
    ),
    check(
        "RHA-0104",
        Error,
        "replicas log what they replicate",
        "A replica that does not write what it replicates to its own binary log cannot give it to the others when it is promoted.",
        "Remove log_slave_updates=OFF (log_replica_updates=OFF) from the option file and restart the instance.",
    ),
    check(
        "RHA-0105",
        Error,
        "every transaction has a GTID",
        "Who has which transactions is only known by GTIDs. On MySQL they must be switched on.",
        "Set gtid_mode=ON and enforce_gtid_consistency=ON in the option file of all nodes, and restart the instances.",
    ),
    check(
        "RHA-0106",
        Warning,
        "transactions that break the order of GTIDs are refused",
        "Without gtid_strict_mode a MariaDB replica takes a transaction of its own and goes on, and the histories part in silence; \
         without enforce_gtid_consistency MySQL takes statements that cannot have a GTID.",
        "Set gtid_strict_mode=ON (MariaDB) or enforce_gtid_consistency=ON (MySQL) in the option file of all nodes.",
    ),
    check(
        "RHA-0107",
        Error,
        "what is committed is on the disk",
        "With sync_binlog or innodb_flush_log_at_trx_commit other than 1 a crash can lose transactions that clients were told of, \
         and a replica that crashed may lack what it acknowledged. The agent starts servers with both at 1: somebody has \
         changed them since.",
        "Set both to 1 with SET GLOBAL, and find out who has changed them.",
    ),
    check(
        "RHA-0108",
        Warning,
        "the servers' versions go together",
        "A replica must not be older than its primary: it may not understand what it gets, and after a failover the newer one \
         would have to replicate from the older. Servers of different vendors have no common history.",
        "Upgrade replicas first, one after the other, and the primary last: put its node into standby, or rustha switchover to a \
         replica of the new version.",
    ),
    check(
        "RHA-0109",
        Warning,
        "nothing is kept out of replication",
        "What is filtered from the binary log, or by a replica, is missing on the node that is promoted next. Filters that hold on \
         one node only make nodes different.",
        "Remove binlog_do_db, binlog_ignore_db and replicate_* from the option files, and restart the instances.",
    ),
    check(
        "RHA-0110",
        Warning,
        "all tables know transactions",
        "Tables of MyISAM, Aria and the like may be damaged by a crash, keep half a statement, and are locked while a replica is \
         given its data. The promise that no acknowledged write is lost is not theirs.",
        "ALTER TABLE … ENGINE=InnoDB.",
    ),
    check(
        "RHA-0111",
        Error,
        "names of tables are compared alike on all nodes",
        "With different lower_case_table_names a replica does not find tables that its primary names, and stops.",
        "It is fixed when a data directory is made: set it alike in all option files, and have the node's data made anew \
         (rustha provision).",
    ),
    check(
        "RHA-0112",
        Warning,
        "the binary log does not hold statements only",
        "With binlog_format=STATEMENT some statements give other rows on a replica.",
        "Set binlog_format=ROW in the option file of all nodes.",
    ),
    check(
        "RHA-0201",
        Error,
        "the replication account may replicate, on each node",
        "Each node may become the primary: the account of the parameter replication_user must exist everywhere, with REPLICATION \
         SLAVE. Created on the primary while it replicates, it comes to the replicas by itself.",
        "On the primary: CREATE USER repl@'%' IDENTIFIED BY '…'; GRANT REPLICATION SLAVE ON *.* TO repl@'%'.",
    ),
    check(
        "RHA-0202",
        Warning,
        "clients obey read_only",
        "These accounts can write to a MariaDB replica, which is read-only for everybody else: what they write there is on no other \
         node, and has the replica provisioned anew.",
        "REVOKE READ ONLY ADMIN (and SUPER, before 10.11) from the accounts that applications use.",
    ),
    check(
        "RHA-0203",
        Note,
        "a node can be provisioned by clone",
        "MySQL's clone plugin is the fastest way to provide a node with data. Without BACKUP_ADMIN for the replication account a \
         dump is used, which always works and is slower.",
        "GRANT BACKUP_ADMIN ON *.* TO repl@'%', if whoever has that account may copy everything; else nothing.",
    ),
    check(
        "RHA-0301",
        Error,
        "the server listens for other nodes",
        "With skip_networking, or bind_address at the loopback (as Debian's package has it), no replica can connect.",
        "Set bind_address=* (MySQL) or 0.0.0.0, or this node's address, in the option file, and restart the instance.",
    ),
    check(
        "RHA-0302",
        Error,
        "each node reaches the servers of the others",
        "A node that cannot connect to another one's server cannot replicate from it when that is promoted: a wrong name, a missing \
         entry in replication_host_map, a firewall.",
        "Try it from that node: the address is in the message. Open the port, or set replication_host_map.",
    ),
    check(
        "RHA-0401",
        Error,
        "the resource is a promotable clone with notify=true",
        "Without the notifications no replica tells what it has before a promotion, and nobody is promoted.",
        "crm resource meta CLONE set notify true; promotable=true is said when the clone is made.",
    ),
    check(
        "RHA-0402",
        Warning,
        "instances of both roles are monitored, at different intervals",
        "Pacemaker monitors a role only where an operation says so, and tells operations of one resource apart by their intervals: \
         two of the same interval are one.",
        "op monitor role=Promoted interval=2s op monitor role=Unpromoted interval=10s.",
    ),
    check(
        "RHA-0403",
        Warning,
        "operations have the time that they need",
        "An action that is ended by its time-out has failed. A failed stop or demote has the node fenced, or where nothing is fenced, \
         the resource blocked. Without a time-out of its own an operation has 20 s.",
        "Give the operations at least the time-outs of the meta-data (crm ra info ocf:rustha:mysql, pcs resource describe).",
    ),
    check(
        "RHA-0404",
        Warning,
        "the cluster fences",
        "Without fencing a node that is cut off but alive is only kept from acknowledging by its own guard. With two nodes a lost \
         node makes the other one wait.",
        "Configure a fence device for each node, and stonith-enabled=true.",
    ),
    check(
        "RHA-0405",
        Error,
        "durability=available has the fencing that it needs",
        "It promotes an instance although another one may have more, as soon as that one is fenced or stopped: without fencing nobody \
         knows that, and nobody is promoted.",
        "Configure fencing, or set durability=strict.",
    ),
    check(
        "RHA-0406",
        Error,
        "a part of the cluster without quorum does not act",
        "With no-quorum-policy=ignore both halves of a cluster that was cut in two act: two primaries, and the address twice.",
        "Remove the property: crm configure property no-quorum-policy=stop. Two nodes need fencing and two_node in corosync.conf.",
    ),
    check(
        "RHA-0407",
        Warning,
        "no constraint is left of a move by hand",
        "crm resource move, and pcs resource move of old, leave a constraint that ties the resource to a node, or keeps it from one: the \
         next failover goes elsewhere, or nowhere.",
        "crm resource clear RESOURCE, or pcs resource clear RESOURCE. Move the primary with rustha switchover, which leaves nothing.",
    ),
    check(
        "RHA-0408",
        Warning,
        "an address follows the primary",
        "Clients need an address that is where writes are taken: colocated with the promoted instance, and started after the promotion.",
        "The README has the lines: colocation with c_db:Promoted, and order c_db:promote before its start.",
    ),
    check(
        "RHA-0409",
        Warning,
        "the password is not in the configuration in clear text",
        "Everybody who may read the cluster's configuration reads it, and it is in every copy and support archive of it.",
        "crm resource secret RESOURCE stash replication_passwd, or cibsecret stash.",
    ),
    check(
        "RHA-0410",
        Warning,
        "all parameters are known",
        "A parameter that the agent does not know is ignored: it may be misspelt, or of another agent.",
        "See crm ra info ocf:rustha:mysql; crm resource param RESOURCE delete NAME.",
    ),
    check(
        "RHA-0411",
        Warning,
        "no order is left of a forced promotion",
        "rustha promote --force was killed before it could take its order back: should the cluster refuse to promote anybody before the \
         next promotion, it is obeyed.",
        "Remove it: crm_attribute --type crm_config --set-name rustha --name RESOURCE-order --delete.",
    ),
    check(
        "RHA-0501",
        Warning,
        "nothing but the cluster starts the server",
        "A unit of the distribution that is enabled starts the server at boot, behind the cluster's back, with other options.",
        "systemctl disable --now mariadb (or mysql), on each node.",
    ),
    check(
        "RHA-0502",
        Warning,
        "the server's OS user has the same numbers on all nodes",
        "Files that are copied between nodes belong to somebody else there.",
        "usermod and groupmod on the node that differs, and chown its files.",
    ),
    check(
        "RHA-0503",
        Note,
        "option file and agent agree",
        "These options stand in the option file and do not hold: the agent starts the server with its own values, which the promises \
         rest on.",
        "Remove them from the option file, so that nobody is misled.",
    ),
    check(
        "RHA-0504",
        Error,
        "the node can start a server",
        "The program, the option file, the OS user, the data directory or the credentials are missing or cannot be read: the agent \
         could not start a server here.",
        "As the message says.",
    ),
    check(
        "RHA-0506",
        Warning,
        "rustha is of the same version on all nodes",
        "During an upgrade that is as it should be. Else the nodes do not do the same.",
        "Install the same package on all nodes.",
    ),
    check(
        "RHA-0507",
        Warning,
        "there is room for new data beside the old ones",
        "When a node must get the data of another one, they are made beside its own: without room that is refused, and the node stays \
         out.",
        "Enlarge the disk, or remove .rustha-replaced from the data directory.",
    ),
    check(
        "RHA-0508",
        Warning,
        "the tool that provides nodes with data is there",
        "Without mariadb-backup on both nodes a dump is used, which takes much longer.",
        "apt install mariadb-backup, or dnf install MariaDB-backup, on each node.",
    ),
    check(
        "RHA-0601",
        Warning,
        "each node that is checked says how it is",
        "The server does not answer, or the process beside it is missing, hangs, or is of another version: what is to be checked there \
         is not known.",
        "Look at rustha status, and at the node's log. A guard that is missing is started by the next monitor.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_in_order_and_found_in_any_spelling() {
        let codes: Vec<&str> = ALL.iter().map(|check| check.code).collect();
        let mut sorted = codes.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(codes, sorted);
        assert!(ACROSS.iter().all(|code| codes.contains(code)));
        for spelling in ["RHA-0101", "rha-101", "0101", "101"] {
            assert_eq!(find(spelling).map(|check| check.code), Some("RHA-0101"), "{spelling}");
        }
        assert!(find("RHA-9999").is_none() && find("x").is_none());
    }
}

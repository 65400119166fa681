//! What `rustha check` asks a server, and the names in its answers.

use super::Dialect;
use crate::server::version::Vendor;

impl Dialect {
    /// All variables: columns Variable_name and Value.
    pub const VARIABLES: &'static str = "SHOW GLOBAL VARIABLES";

    /// At which addresses it listens.
    pub const BIND_ADDRESS: &'static str = "bind_address";

    /// It does not listen at all.
    pub const SKIP_NETWORKING: &'static str = "skip_networking";

    /// How names of tables are compared: fixed when the data directory is made.
    pub const LOWER_CASE_NAMES: &'static str = "lower_case_table_names";

    /// What is written to the binary log: rows or statements.
    pub const BINLOG_FORMAT: &'static str = "binlog_format";

    /// What keeps transactions without a GTID, or out of order, from being written.
    pub fn gtid_strictness(self) -> &'static str {
        match self.version.vendor {
            Vendor::MySql => "enforce_gtid_consistency",
            Vendor::MariaDb => "gtid_strict_mode",
        }
    }

    /// What is kept out of the binary log: columns as in [`Dialect::BINLOG_FILTERS`].
    pub fn show_binlog_status(self) -> &'static str {
        let is_new = self.is_mysql_from((8, 2, 0)) || (self.is_mariadb() && self.version.is_at_least((10, 5, 2)));
        match (is_new, self.version.vendor) {
            (true, Vendor::MySql) => "SHOW BINARY LOG STATUS",
            (true, Vendor::MariaDb) => "SHOW BINLOG STATUS",
            (false, _) => "SHOW MASTER STATUS",
        }
    }

    /// The columns with databases that are written to the binary log, or are not.
    pub const BINLOG_FILTERS: &'static [&'static str] = &["Binlog_Do_DB", "Binlog_Ignore_DB"];

    /// How the columns of a replica's status begin that say what it does not apply.
    pub const REPLICA_FILTERS: &'static str = "Replicate_";

    /// One of them that filters no data.
    pub const NO_FILTER: &'static str = "Replicate_Ignore_Server_Ids";

    /// Tables whose engine knows no transactions: columns engine and tables.
    pub const UNSAFE_TABLES: &'static str = "SELECT ENGINE AS engine, COUNT(*) AS tables FROM information_schema.TABLES WHERE TABLE_TYPE = 'BASE TABLE' \
         AND ENGINE IN ('MyISAM', 'Aria', 'MEMORY', 'CSV', 'ARCHIVE', 'MRG_MyISAM', 'FEDERATED') AND TABLE_SCHEMA NOT IN \
         ('mysql', 'sys', 'performance_schema', 'information_schema') GROUP BY ENGINE";

    /// Who has one of the privileges that matter here: columns grantee and privilege.
    pub const PRIVILEGES: &'static str = "SELECT GRANTEE AS grantee, PRIVILEGE_TYPE AS privilege FROM information_schema.USER_PRIVILEGES \
         WHERE PRIVILEGE_TYPE IN ('REPLICATION SLAVE', 'SUPER', 'READ_ONLY ADMIN', 'READ ONLY ADMIN', 'BACKUP_ADMIN')";

    /// The privilege to receive.
    pub const MAY_REPLICATE: &'static str = "REPLICATION SLAVE";

    /// The privilege to give all data to a clone.
    pub const MAY_CLONE: &'static str = "BACKUP_ADMIN";

    /// The privileges with which a client writes to a server that is read-only. On MySQL super_read_only holds for all of them.
    pub fn writes_when_read_only(self) -> &'static [&'static str] {
        match self.version.vendor {
            Vendor::MySql => &[],
            // From 10.11.0 on SUPER does not include it.
            Vendor::MariaDb if self.version.is_at_least((10, 11, 0)) => &["READ_ONLY ADMIN", "READ ONLY ADMIN"],
            Vendor::MariaDb => &["SUPER", "READ_ONLY ADMIN", "READ ONLY ADMIN"],
        }
    }
}

/// Options by which an option file contradicts what the agent starts the server with: the agent's hold. With the values that are
/// none.
pub const OVERRIDDEN: &[(&str, &[&str])] = &[
    ("sync-binlog", &["1"]),
    ("innodb-flush-log-at-trx-commit", &["1"]),
    ("relay-log-recovery", &["0", "off"]),
    ("read-only", &["1", "on"]),
    ("super-read-only", &["1", "on"]),
    ("skip-log-bin", &[]),
    ("log-slave-updates", &["1", "on"]),
    ("log-replica-updates", &["1", "on"]),
];

/// The units with which distributions start a server by themselves.
pub const UNITS: &[&str] = &["mariadb.service", "mysql.service", "mysqld.service"];

//! ALL SQL text, and every name of a variable, a column or a server option, by vendor and version. Pure.
//!
//! An unknown version is taken as the newest known one of its vendor: the conditions below only ask "at least".
//! Sources: the MySQL 8.4 reference manual ("Features removed", "SQL statements for controlling replication"), the
//! release notes of 8.0.22 (SHOW REPLICA STATUS), 8.0.23 (CHANGE REPLICATION SOURCE), 8.0.26 (variables' new names)
//! and 8.2.0 (SHOW BINARY LOG STATUS); the MariaDB documentation of CHANGE MASTER TO and of GTIDs.

use std::time::Duration;

use super::version::{Vendor, Version};

pub mod backup;
pub mod check;
pub mod semisync;

/// The language of one server.
#[derive(Clone, Copy, Debug)]
pub struct Dialect {
    version: Version,
}

/// The names of the columns of the replica's status.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "each is the name of the column of that meaning")]
pub struct ReplicaColumns {
    pub receiver_running: &'static str,
    pub applier_running: &'static str,
    pub source_host: &'static str,
    pub source_port: &'static str,
    pub lag: &'static str,
    pub received: &'static str,
    pub receiver_errno: &'static str,
    pub receiver_error: &'static str,
    pub applier_errno: &'static str,
    pub applier_error: &'static str,
}

/// Where a replica replicates from, and as whom.
#[derive(Clone, PartialEq, Eq)]
pub struct Source {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Account with REPLICATION SLAVE on the source.
    pub user: String,
    /// Its password: in the statement only, never logged.
    pub password: String,
    /// How the connection is protected.
    pub tls: Tls,
}

/// Transport security of the replication connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// Use TLS.
    pub required: bool,
    /// Verify that the source's certificate is its own.
    pub verify: bool,
    /// File with the certificate authority.
    pub ca: Option<String>,
    /// File with this replica's certificate.
    pub cert: Option<String>,
    /// File with its key.
    pub key: Option<String>,
}

impl Dialect {
    /// The language of this version.
    pub fn of(version: Version) -> Self {
        Self { version }
    }

    /// The version that it belongs to.
    pub fn version(self) -> Version {
        self.version
    }

    fn is_mariadb(self) -> bool {
        self.version.vendor == Vendor::MariaDb
    }

    fn is_mysql_from(self, number: (u16, u16, u16)) -> bool {
        self.version.vendor == Vendor::MySql && self.version.is_at_least(number)
    }

    /// REPLICA or SLAVE, as statements spell it. MariaDB has understood REPLICA since 10.5.1.
    fn replica(self) -> &'static str {
        if self.is_mariadb() || self.is_mysql_from((8, 0, 22)) { "REPLICA" } else { "SLAVE" }
    }

    /// Which server is this? Asked before the language is known.
    pub const VERSION: &'static str = "SELECT @@version, @@version_comment";

    /// Does it answer? Touches no table and no storage engine.
    pub const ALIVE: &'static str = "SELECT 1";

    /// All that an agent asks at once: columns as in [`super::rows::ServerState`].
    pub fn state(self) -> &'static str {
        if self.is_mariadb() {
            "SELECT @@global.read_only AS read_only, NULL AS super_read_only, @@global.log_bin AS log_bin, @@global.sync_binlog AS sync_binlog, \
             @@global.innodb_flush_log_at_trx_commit AS flush_at_commit, \
             @@global.log_slave_updates AS log_updates, @@global.server_id AS server_id, @@global.server_id AS server_uuid, \
             'ON' AS gtid_mode, @@global.gtid_binlog_pos AS executed, @@global.gtid_slave_pos AS replicated"
        } else if self.is_mysql_from((8, 0, 26)) {
            "SELECT @@global.read_only AS read_only, @@global.super_read_only AS super_read_only, \
             @@global.log_bin AS log_bin, @@global.sync_binlog AS sync_binlog, \
             @@global.innodb_flush_log_at_trx_commit AS flush_at_commit, @@global.log_replica_updates AS log_updates, \
             @@global.server_id AS server_id, @@global.server_uuid AS server_uuid, \
             @@global.gtid_mode AS gtid_mode, @@global.gtid_executed AS executed, '' AS replicated"
        } else {
            "SELECT @@global.read_only AS read_only, @@global.super_read_only AS super_read_only, \
             @@global.log_bin AS log_bin, @@global.sync_binlog AS sync_binlog, \
             @@global.innodb_flush_log_at_trx_commit AS flush_at_commit, @@global.log_slave_updates AS log_updates, \
             @@global.server_id AS server_id, @@global.server_uuid AS server_uuid, \
             @@global.gtid_mode AS gtid_mode, @@global.gtid_executed AS executed, '' AS replicated"
        }
    }

    /// The replica's status: no row, or one for the default channel.
    pub fn show_replica_status(self) -> String {
        format!("SHOW {} STATUS", self.replica())
    }

    /// The names of that status' columns. MariaDB keeps the old ones under the new statement.
    pub fn replica_columns(self) -> ReplicaColumns {
        let new = self.is_mysql_from((8, 0, 22));
        ReplicaColumns {
            receiver_running: if new { "Replica_IO_Running" } else { "Slave_IO_Running" },
            applier_running: if new { "Replica_SQL_Running" } else { "Slave_SQL_Running" },
            source_host: if new { "Source_Host" } else { "Master_Host" },
            source_port: if new { "Source_Port" } else { "Master_Port" },
            lag: if new { "Seconds_Behind_Source" } else { "Seconds_Behind_Master" },
            received: if self.is_mariadb() { "Gtid_IO_Pos" } else { "Retrieved_Gtid_Set" },
            receiver_errno: "Last_IO_Errno",
            receiver_error: "Last_IO_Error",
            applier_errno: "Last_SQL_Errno",
            applier_error: "Last_SQL_Error",
        }
    }

    /// Ends the receiver only: the applier goes on, and with it the relay log is kept (MariaDB purges relay logs when
    /// a replica starts with both threads stopped).
    pub fn stop_receiver(self) -> String {
        format!("STOP {} IO_THREAD", self.replica())
    }

    /// Starts what applies, without receiving.
    pub fn start_applier(self) -> String {
        format!("START {} SQL_THREAD", self.replica())
    }

    /// Ends receiver and applier.
    pub fn stop_replica(self) -> String {
        format!("STOP {}", self.replica())
    }

    /// The number of the applier's coordinator, if it is in the midst of a transaction. Without it MySQL before 8.0.1 and
    /// MariaDB: the former does not say so, and the latter does not wait for the rest of one.
    pub fn busy_coordinator(self) -> Option<&'static str> {
        self.is_mysql_from((8, 0, 1)).then_some(
            "SELECT processlist_id FROM performance_schema.replication_applier_status_by_coordinator \
             JOIN performance_schema.threads USING (thread_id) \
             WHERE channel_name = '' AND processing_transaction <> ''",
        )
    }

    /// Starts receiver and applier.
    pub fn start_replica(self) -> String {
        format!("START {}", self.replica())
    }

    /// Forgets the source and the relay log: only when everything in it has been applied.
    pub fn forget_source(self) -> String {
        format!("RESET {} ALL", self.replica())
    }

    /// Makes the server a replica of `source`, by GTID. Both threads must be stopped. `executed` is what this server
    /// has: MariaDB must be told it, since the position where a former primary last replicated is older.
    pub fn change_source(self, source: &Source, executed: &str) -> Vec<String> {
        let old = !self.is_mysql_from((8, 0, 23));
        let name = if old { "MASTER" } else { "SOURCE" };
        let mut options = vec![
            format!("{name}_HOST={}", quote(&source.host)),
            format!("{name}_PORT={}", source.port),
            format!("{name}_USER={}", quote(&source.user)),
            format!("{name}_PASSWORD={}", quote(&source.password)),
            format!("{name}_CONNECT_RETRY=1"),
            format!("{name}_HEARTBEAT_PERIOD=2"),
        ];
        if !self.is_mariadb() {
            // MySQL 8.4 gives up after ten attempts by default; MariaDB's default is 100,000.
            options.push(format!("{name}_RETRY_COUNT=0"));
        }
        options.extend(self.tls_options(name, &source.tls));
        let mut statements = vec![format!("SET GLOBAL {}=10", self.net_timeout())];
        if self.is_mariadb() {
            options.push("MASTER_USE_GTID=slave_pos".into());
            statements.push(format!("SET GLOBAL gtid_slave_pos={}", quote(executed)));
        } else {
            options.push(format!("{name}_AUTO_POSITION=1"));
            if self.is_mysql_from((8, 0, 4)) && !source.tls.required {
                // caching_sha2_password without TLS: the password is sent under the source's public key.
                options.push(format!("GET_{name}_PUBLIC_KEY=1"));
            }
        }
        let verb = if old { "CHANGE MASTER TO" } else { "CHANGE REPLICATION SOURCE TO" };
        statements.push(format!("{verb} {}", options.join(", ")));
        statements
    }

    fn tls_options(self, name: &str, tls: &Tls) -> Vec<String> {
        let mut options = vec![format!("{name}_SSL={}", u8::from(tls.required))];
        // MariaDB 11.4 verifies by default, MySQL does not: what was asked for is said to both.
        options.push(format!("{name}_SSL_VERIFY_SERVER_CERT={}", u8::from(tls.verify)));
        for (option, file) in [("CA", &tls.ca), ("CERT", &tls.cert), ("KEY", &tls.key)] {
            if let Some(file) = file {
                options.push(format!("{name}_SSL_{option}={}", quote(file)));
            }
        }
        options
    }

    /// A source that is silent for this long is taken as gone (heartbeats come every two seconds).
    fn net_timeout(self) -> &'static str {
        if self.is_mysql_from((8, 0, 26)) { "replica_net_timeout" } else { "slave_net_timeout" }
    }

    /// Waits until the applier has applied `set`: one row, one column, 0 when it has.
    pub fn wait_applied(self, set: &str, patience: Duration) -> String {
        let seconds = patience.as_secs_f64();
        if self.is_mariadb() {
            format!("SELECT MASTER_GTID_WAIT({}, {seconds:.3})", quote(set))
        } else {
            format!("SELECT WAIT_FOR_EXECUTED_GTID_SET({}, {})", quote(set), seconds.ceil().max(1.0))
        }
    }

    /// Closes the server for writes: also for SUPER where the server can. Waits at most `patience` for commits and
    /// locks that are in the way (error 1205 then: see [`code::LOCK_WAIT_TIMEOUT`]).
    pub fn close_for_writes(self, patience: Duration) -> Vec<String> {
        let close = if self.is_mariadb() { "SET GLOBAL read_only=1" } else { "SET GLOBAL super_read_only=1" };
        vec![format!("SET SESSION lock_wait_timeout={}", patience.as_secs().max(1)), close.into()]
    }

    /// Opens the server for writes (on MySQL this ends super_read_only too).
    pub fn open_for_writes(self) -> &'static str {
        "SET GLOBAL read_only=0"
    }

    /// All connections: columns Id, User, Host, Command, State.
    pub const CONNECTIONS: &'static str = "SHOW PROCESSLIST";

    /// A session that cannot write, whoever has it.
    pub const READ_ONLY_SESSION: &'static str = "SET SESSION TRANSACTION READ ONLY";

    /// Whether InnoDB loads at its start what it had in its buffer pool before.
    pub const LOADS_BUFFER_POOL: &'static str = "SELECT @@global.innodb_buffer_pool_load_at_startup";

    /// How far it is with that: columns Variable_name, Value.
    pub const BUFFER_POOL_LOADED: &'static str = "SHOW GLOBAL STATUS LIKE 'Innodb_buffer_pool_load_status'";

    /// The number of our own connection.
    pub const OWN_CONNECTION: &'static str = "SELECT CONNECTION_ID()";

    /// Ends a connection.
    pub fn kill(id: u64) -> String {
        format!("KILL CONNECTION {id}")
    }

    /// Ends the replicas' connections and lets no new ones in, before a shutdown: MySQL otherwise waits more than eight
    /// seconds for them (measured on 9.7.4: 12 s with a replica, 2 s without). MariaDB does not wait, and has no such
    /// thing. It is forgotten when the server ends.
    pub fn end_replicas(self) -> Option<&'static str> {
        self.is_mysql_from((5, 7, 5)).then_some("SET GLOBAL offline_mode=1")
    }

    /// Ends all clients that are not privileged (and the replicas), and lets no new ones in; and how they are let in again.
    /// MariaDB has no such thing.
    pub fn lock_out(self) -> Option<(&'static str, &'static str)> {
        self.is_mysql_from((5, 7, 5)).then_some(("SET GLOBAL offline_mode=1", "SET GLOBAL offline_mode=0"))
    }

    /// Where the server has its data, which tells it from other servers on its node.
    pub const DATADIR: &'static str = "SELECT @@global.datadir";

    /// Asks the server to shut down cleanly.
    pub const SHUTDOWN: &'static str = "SHUTDOWN";

    /// Reads from the operator's test table; `table` is `database.table`.
    ///
    /// # Errors
    /// If the name is not one or two words without quotes in them.
    pub fn test_query(table: &str) -> Result<String, String> {
        let parts: Vec<&str> = table.split('.').collect();
        if parts.len() > 2 || parts.iter().any(|part| part.is_empty() || part.contains('`')) {
            return Err(format!("test_table must be 'database.table', not '{table}'"));
        }
        Ok(format!("SELECT 1 FROM `{}` LIMIT 1", parts.join("`.`")))
    }

    /// The options with which an instance must be started, after all others: read-only from the first instruction
    /// (safety invariant 2), no replication by itself, and nothing that would let go of an acknowledged write
    /// (objection 7: sync_binlog, flush at commit, no discarding of received events at a restart). `spoken_of`: the
    /// semi-sync plugins that the option files name.
    pub fn start_options(self, spoken_of: Option<semisync::Plugins>) -> Vec<String> {
        let new = self.is_mysql_from((8, 0, 26));
        let mut options = vec!["--read-only=1"];
        if !self.is_mariadb() {
            options.push("--super-read-only=1");
        }
        options.push(if new { "--skip-replica-start" } else { "--skip-slave-start" });
        options.push(if new { "--log-replica-updates=1" } else { "--log-slave-updates=1" });
        options.extend(["--sync-binlog=1", "--innodb-flush-log-at-trx-commit=1", "--relay-log-recovery=0"]);
        options.extend(self.semi_sync_options(spoken_of));
        options.into_iter().map(str::to_string).collect()
    }

    /// Groups of the option files that the server reads besides those with its version in the name.
    pub const OPTION_GROUPS: &'static [&'static str] =
        &["mysqld", "server", "mariadb", "mariadbd", "client-server", "galera"];

    /// The groups with this version in their name (`mysqld-8.0`, `mariadb-10.11`).
    pub fn versioned_groups(self) -> Vec<String> {
        let (major, minor, _) = self.version.number;
        let names: &[&str] = if self.is_mariadb() { &["mysqld", "mariadb", "mariadbd"] } else { &["mysqld"] };
        names.iter().map(|name| format!("{name}-{major}.{minor}")).collect()
    }

    /// How an empty data directory is filled, by a server with these further options, which may say how data lie on the disk:
    /// program (beside the server, or in the search path) and arguments.
    pub fn initialise(
        self,
        server: &str,
        datadir: &str,
        user: &str,
        config: &str,
        additional: &[String],
    ) -> (String, Vec<String>) {
        let (program, how) = match self.is_mariadb() {
            true => ("mariadb-install-db", "--skip-test-db"),
            false => (server, "--initialize-insecure"),
        };
        let own = [format!("--user={user}"), format!("--datadir={datadir}"), how.into()];
        let args = [format!("--defaults-file={config}")].into_iter().chain(additional.iter().cloned()).chain(own);
        (program.into(), args.collect())
    }
}

/// Error numbers of the servers and of their client library that mean something here.
pub mod code {
    /// MariaDB, in strict mode: a transaction's number is not above that of one that the server has already
    /// (ER_GTID_STRICT_OUT_OF_ORDER).
    pub const OUT_OF_ORDER: u32 = 1950;
    /// MySQL: the applier was ended in the midst of a transaction; it goes on from there when it is started again
    /// (ER_MTS_INCONSISTENT_DATA).
    pub const ENDED_AMIDST: u32 = 1756;
    /// ER_CON_COUNT_ERROR: the server lives, it only has no connection to spare.
    pub const TOO_MANY_CONNECTIONS: u16 = 1040;
    /// ER_ACCESS_DENIED_ERROR, ER_ACCESS_DENIED_NO_PASSWORD_ERROR, ER_DBACCESS_DENIED_ERROR, ER_NOT_SUPPORTED_AUTH_MODE
    /// and ER_MUST_CHANGE_PASSWORD_LOGIN.
    pub const ACCESS_DENIED: &[u16] = &[1045, 1698, 1044, 1251, 1862];
    /// Somebody ended the statement or its connection: ER_SERVER_SHUTDOWN, ER_QUERY_INTERRUPTED, ER_CONNECTION_KILLED.
    pub const ENDED: &[u16] = &[1053, 1317, 1927, 3169];
    /// ER_LOCK_WAIT_TIMEOUT.
    pub const LOCK_WAIT_TIMEOUT: u16 = 1205;
    /// ER_NO_SUCH_THREAD: a connection that was to be killed has ended by itself.
    pub const NO_SUCH_THREAD: u16 = 1094;
    /// ER_MASTER_FATAL_ERROR_READING_BINLOG, and MySQL 8's ER_SERVER_SOURCE_FATAL_ERROR_READING_BINLOG: the source cannot give what this replica asks for, because it purged it
    /// or because this replica has something that the source has not.
    pub const SOURCE_FATAL: &[u16] = &[1236, 13114];
    /// What a receiver reports while its source cannot be reached: CR_CONNECTION_ERROR, CR_CONN_HOST_ERROR,
    /// CR_UNKNOWN_HOST, CR_SERVER_GONE_ERROR, CR_SERVER_LOST, CR_SERVER_LOST_EXTENDED, ER_NET_READ_ERROR,
    /// ER_SERVER_SHUTDOWN, ER_CON_COUNT_ERROR, ER_CONNECT_TO_FOREIGN_DATA_SOURCE.
    pub const SOURCE_UNREACHABLE: &[u32] =
        &[2002, 2003, 2005, 2006, 2013, 2055, 1158, 1159, 1160, 1161, 1053, 1040, 1429];
}

/// A text as an SQL literal. Quotes are doubled; a backslash is doubled as well, as all servers here run without
/// NO_BACKSLASH_ESCAPES in the agent's session (see [`SESSION`]).
pub fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// Whether a statement of the binary log is one of those that look after tables or the server, and change no row. (ANALYZE of
/// a statement runs it, on MariaDB; REPAIR may lose rows.) Up to four characters may follow that are none of it: a checksum.
pub fn changes_nothing(statement: &str) -> bool {
    if is_begin(statement) || is_only("COMMIT", statement) {
        return true;
    }
    let upper = statement.to_ascii_uppercase();
    let mut words = upper.split_whitespace();
    match words.next() {
        Some("FLUSH") => true,
        Some("ANALYZE" | "OPTIMIZE") => {
            let what = words.find(|word| !["NO_WRITE_TO_BINLOG", "LOCAL"].contains(word));
            matches!(what, Some("TABLE" | "TABLES"))
        }
        _ => false,
    }
}

/// Whether a statement of the binary log begins a transaction, and nothing else.
pub fn is_begin(statement: &str) -> bool {
    is_only("BEGIN", statement)
}

fn is_only(word: &str, statement: &str) -> bool {
    let rest =
        statement.get(..word.len()).filter(|begin| begin.eq_ignore_ascii_case(word)).map(|_| &statement[word.len()..]);
    rest.is_some_and(|rest| rest.chars().count() <= 4)
}

/// The statements of a text in which semicolons separate them; not those within quotes.
///
/// # Errors
/// A quote that is not closed.
pub fn split_statements(text: &str) -> Result<Vec<String>, String> {
    let mut statements = Vec::new();
    let mut statement = String::new();
    let mut open: Option<char> = None;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match (open, letter) {
            (None, ';') => {
                statements.push(std::mem::take(&mut statement));
                continue;
            }
            (None, '\'' | '"' | '`') => open = Some(letter),
            // A doubled quote closes and opens again.
            (Some(quote), _) if letter == quote => open = None,
            _ => {}
        }
        statement.push(letter);
        if letter == '\\' && matches!(open, Some('\'' | '"')) {
            statement.extend(letters.next());
        }
    }
    if let Some(quote) = open {
        return Err(format!("a {quote} is not closed"));
    }
    statements.push(statement);
    let trimmed = statements.iter().map(|statement| statement.trim().to_string());
    Ok(trimmed.filter(|statement| !statement.is_empty()).collect())
}

/// What is set in each session before anything else: a mode in which [`quote`] holds, and nothing into the binary log.
pub const SESSION: &str = "SET SESSION sql_mode='', SESSION sql_log_bin=0";

#[cfg(test)]
#[path = "dialect_tests.rs"]
mod tests;

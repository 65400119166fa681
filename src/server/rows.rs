//! Rows of the server's answers -> values. Pure. What is NULL, empty or missing is unknown, never 0.

use std::collections::BTreeMap;

use super::dialect::{ReplicaColumns, code};
use super::version::Vendor;
use crate::gtid::GtidSet;

mod semisync;
pub mod settings;

pub use semisync::{ReplicaSide, SemiSync, SourceRule, SourceSide};

/// Where the statement begins in the error of an applier.
const QUERY: &str = "Query: '";

/// One row by column name; NULL is `None`.
pub type Row = BTreeMap<String, Option<String>>;

fn text<'a>(row: &'a Row, column: &str) -> Option<&'a str> {
    row.get(column)?.as_deref()
}

fn number<T: std::str::FromStr>(row: &Row, column: &str) -> Option<T> {
    text(row, column)?.trim().parse().ok()
}

/// A switch: unknown unless the server says it. MariaDB 12 knows more values of read_only than ON and OFF
/// (NO_LOCK, NO_LOCK_NO_ADMIN): all of them close the server.
fn switch(row: &Row, column: &str) -> Option<bool> {
    text(row, column).map(|value| !matches!(value.to_ascii_uppercase().as_str(), "0" | "OFF" | ""))
}

/// Everything that was written to the binary log: reads the row of [`super::dialect::Dialect::flushed`].
///
/// # Errors
/// A missing column, or a GTID set that cannot be read.
pub fn parse_flushed(vendor: Vendor, row: &Row) -> Result<GtidSet, String> {
    let column = |name: &str| text(row, name).ok_or_else(|| format!("the server did not say what is {name}"));
    let owned = match vendor {
        Vendor::MySql => GtidSet::parse_mysql_owned(column("owned")?).map_err(|error| error.to_string())?,
        Vendor::MariaDb => parse_gtids(vendor, "")?,
    };
    let sets = [owned, parse_gtids(vendor, column("written")?)?, parse_gtids(vendor, column("replicated")?)?];
    let [owned, written, replicated] = &sets;
    written.union(owned).and_then(|set| set.union(replicated)).map_err(|error| error.to_string())
}

/// Whether a row of [`super::dialect::Dialect::BUFFER_POOL_LOADED`] says that it is not over (storage/innobase/buf/buf0dump.cc).
/// One that cannot be loaded, or was given up, is: nothing comes after that.
pub fn is_loading_buffer_pool(row: &Row) -> bool {
    let status = text(row, "Value").unwrap_or_default();
    ["Loading ", "Loaded "].iter().any(|begin| status.starts_with(begin)) || status.ends_with("not yet started")
}

/// The server_id in this column of a list of replicas.
pub fn parse_server_id(row: &Row, column: &str) -> Option<u64> {
    number(row, column)
}

/// A GTID set in the vendor's own notation.
pub fn parse_gtids(vendor: Vendor, set: &str) -> Result<GtidSet, String> {
    match vendor {
        Vendor::MySql => GtidSet::parse_mysql(set).map_err(|error| error.to_string()),
        Vendor::MariaDb => GtidSet::parse_mariadb(set).map_err(|error| error.to_string()),
    }
}

/// What a server says about itself.
#[derive(Clone, Debug)]
pub struct ServerState {
    /// Nobody but privileged accounts (MariaDB) or nobody at all (MySQL) can write.
    pub read_only: bool,
    /// Closed also for SUPER; `None` where the server has no such thing.
    pub super_read_only: Option<bool>,
    /// There is a binary log.
    pub log_bin: bool,
    /// A committed transaction is on disk, in the binary log and in the engine, before the client is told.
    pub durable: bool,
    /// What is replicated is written to it.
    pub log_updates: bool,
    /// The number that must differ on each node.
    pub server_id: u64,
    /// The identity in the GTIDs of what is written here: MySQL's server_uuid, MariaDB's server_id.
    pub server_uuid: Option<String>,
    /// Every transaction has a GTID.
    pub gtid: bool,
    /// Everything that this server has committed.
    pub executed: GtidSet,
}

impl ServerState {
    /// Reads the row of [`super::dialect::Dialect::state`].
    ///
    /// # Errors
    /// A missing column, or a GTID set that cannot be read.
    pub fn parse(vendor: Vendor, row: &Row) -> Result<Self, String> {
        let need = |column: &str| switch(row, column).ok_or_else(|| format!("the server did not say its {column}"));
        let gtids = |column: &str| parse_gtids(vendor, text(row, column).unwrap_or_default());
        let executed = gtids("executed")?.union(&gtids("replicated")?).map_err(|error| {
            format!("the server's binary log and its replicated position contradict each other: {error}")
        })?;
        Ok(Self {
            read_only: need("read_only")?,
            super_read_only: switch(row, "super_read_only"),
            log_bin: need("log_bin")?,
            durable: ["sync_binlog", "flush_at_commit"].iter().all(|column| text(row, column) == Some("1")),
            log_updates: need("log_updates")?,
            server_id: number(row, "server_id").ok_or("the server did not say its server_id")?,
            server_uuid: text(row, "server_uuid").map(str::to_string),
            gtid: text(row, "gtid_mode").is_some_and(|mode| mode.eq_ignore_ascii_case("on")),
            executed,
        })
    }

    /// Whether a client can write here.
    pub fn is_writable(&self) -> bool {
        !self.read_only
    }
}

/// The receiver's thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receiver {
    /// Connected to the source.
    Running,
    /// Trying to connect.
    Connecting,
    /// Not running.
    Stopped,
}

/// An error of one of a replica's threads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThreadError {
    /// The server's number.
    pub number: u32,
    /// The server's text.
    pub text: String,
}

/// The state of replication on a server that has a source.
#[derive(Clone, Debug)]
pub struct ReplicaStatus {
    /// The source's host, as it was given.
    pub source_host: String,
    /// The source's port.
    pub source_port: Option<u16>,
    /// The thread that receives.
    pub receiver: Receiver,
    /// The thread that applies is running.
    pub applier_running: bool,
    /// Seconds behind the source; `None`: unknown, which is not zero.
    pub lag: Option<u64>,
    /// What the relay log stands for.
    pub received: GtidSet,
    /// Why the receiver does not receive.
    pub receiver_error: Option<ThreadError>,
    /// Why the applier does not apply. That it was ended is none: it can be started again.
    pub applier_error: Option<ThreadError>,
}

impl ReplicaStatus {
    /// Reads the status; `None` if the server has no source (no row, or a row without a host: a source that was set
    /// to nothing).
    ///
    /// # Errors
    /// A GTID set that cannot be read.
    pub fn parse(vendor: Vendor, columns: ReplicaColumns, rows: &[Row]) -> Result<Option<Self>, String> {
        let Some(row) = rows.first() else { return Ok(None) };
        let Some(source_host) = text(row, columns.source_host).filter(|host| !host.is_empty()) else {
            return Ok(None);
        };
        let error = |errno: &str, message: &str| {
            let number = number(row, errno).filter(|number| *number != 0)?;
            // Without the statement, which may hold a password; the server's own log has it.
            let told = text(row, message).unwrap_or_default();
            let told = told.split_once(QUERY).map_or(told, |(before, _)| before);
            Some(ThreadError { number, text: told.trim_end().to_string() })
        };
        let is_yes = |column: &str| text(row, column).is_some_and(|value| value.eq_ignore_ascii_case("yes"));
        let receiver = match text(row, columns.receiver_running) {
            Some(value) if value.eq_ignore_ascii_case("yes") => Receiver::Running,
            // MariaDB also says "Preparing".
            Some(value) if !value.eq_ignore_ascii_case("no") => Receiver::Connecting,
            _ => Receiver::Stopped,
        };
        Ok(Some(Self {
            source_host: source_host.to_string(),
            source_port: number(row, columns.source_port),
            receiver,
            applier_running: is_yes(columns.applier_running),
            lag: number(row, columns.lag),
            received: parse_gtids(vendor, text(row, columns.received).unwrap_or_default())?,
            receiver_error: error(columns.receiver_errno, columns.receiver_error),
            applier_error: error(columns.applier_errno, columns.applier_error)
                .filter(|error| error.number != code::ENDED_AMIDST),
        }))
    }

    /// The receiver's error, unless it only says that the source cannot be reached now.
    pub fn receiver_refused(&self) -> Option<&ThreadError> {
        self.receiver_error
            .as_ref()
            .filter(|_| self.receiver != Receiver::Running)
            .filter(|error| !code::SOURCE_UNREACHABLE.contains(&error.number))
    }
}

/// A client's connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Its number.
    pub id: u64,
    /// What it is doing.
    pub command: String,
    /// How far it is with that; empty if it does not say.
    pub state: String,
    /// From where: `address:port`, or `name:port` where the server has resolved the address.
    pub host: String,
    /// Whose it is.
    pub user: String,
}

impl Connection {
    /// Reads a row of [`super::dialect::Dialect::CONNECTIONS`]; a row without a number is nobody's.
    pub fn parse(row: &Row) -> Option<Self> {
        Some(Self {
            id: number(row, "Id")?,
            command: text(row, "Command").unwrap_or_default().to_string(),
            state: text(row, "State").unwrap_or_default().to_string(),
            host: text(row, "Host").unwrap_or_default().to_string(),
            user: text(row, "User").unwrap_or_default().to_string(),
        })
    }

    /// Whether it waits for a replica's acknowledgement; of several that commit together, the one that does so for all.
    pub fn awaits_acknowledgement(&self) -> bool {
        self.state.contains("semi-sync ACK")
    }

    /// Whether it waits for a lock.
    pub fn awaits_lock(&self) -> bool {
        self.state.starts_with("Waiting for")
    }

    /// Whether this is a replica that receives.
    pub fn is_replica(&self) -> bool {
        self.command.starts_with("Binlog Dump")
    }

    /// Whether this is a client's: not a thread of the server's own, not a replica that receives.
    pub fn is_client(&self) -> bool {
        let internal = ["system user", "event_scheduler", "unauthenticated user"];
        !internal.contains(&self.user.as_str())
            && !self.is_replica()
            && !["Daemon", "Slave_IO", "Slave_SQL", "Slave_worker"].contains(&self.command.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::dialect::Dialect;
    use crate::server::version::Version;

    fn row(pairs: &[(&str, Option<&str>)]) -> Row {
        pairs.iter().map(|(name, value)| (name.to_string(), value.map(str::to_string))).collect()
    }

    fn columns(vendor: Vendor) -> ReplicaColumns {
        Dialect::of(Version { vendor, number: (10, 11, 0) }).replica_columns()
    }

    #[test]
    fn an_unknown_lag_is_unknown_and_not_zero() {
        let status = row(&[
            ("Master_Host", Some("db1")),
            ("Slave_IO_Running", Some("Connecting")),
            ("Seconds_Behind_Master", None),
        ]);
        let status = ReplicaStatus::parse(Vendor::MariaDb, columns(Vendor::MariaDb), &[status]);
        let status = status.expect("readable").expect("has a source");
        assert_eq!((status.lag, status.receiver), (None, Receiver::Connecting));
    }

    #[test]
    fn a_status_without_a_host_is_no_source() {
        let status = row(&[("Master_Host", Some(""))]);
        assert!(
            ReplicaStatus::parse(Vendor::MariaDb, columns(Vendor::MariaDb), &[status]).expect("readable").is_none()
        );
    }

    #[test]
    fn a_buffer_pool_is_loaded_when_nothing_more_comes() {
        let is_loading = |status| is_loading_buffer_pool(&row(&[("Value", Some(status))]));
        for status in ["Loading of buffer pool not started", "Loading buffer pool(s) from /a/b", "Loaded 5/900 pages"] {
            assert!(is_loading(status), "{status}");
        }
        let over = "Cannot open '/var/lib/mysql/ib_buffer_pool' for reading: No such file or directory";
        for status in ["Buffer pool(s) load completed at 261127 17:36:10", over, ""] {
            assert!(!is_loading(status), "{status}");
        }
    }

    #[test]
    fn an_applier_that_was_ended_is_not_broken() {
        let status = row(&[
            ("Source_Host", Some("db1")),
            ("Replica_SQL_Running", Some("No")),
            ("Last_SQL_Errno", Some("1756")),
            ("Last_SQL_Error", Some("The replica coordinator and worker threads are stopped")),
        ]);
        let columns = Dialect::of(Version { vendor: Vendor::MySql, number: (8, 4, 0) }).replica_columns();
        let status = ReplicaStatus::parse(Vendor::MySql, columns, &[status]).expect("readable").expect("has a source");
        assert_eq!((status.applier_running, status.applier_error), (false, None));
    }

    #[test]
    fn an_appliers_error_does_not_show_the_statement() {
        let told = "Error 'Operation CREATE USER failed' on query. Default database: ''. Query: 'CREATE USER a IDENTIFIED BY 'b''";
        let status = row(&[
            ("Master_Host", Some("db1")),
            ("Slave_SQL_Running", Some("No")),
            ("Last_SQL_Errno", Some("1396")),
            ("Last_SQL_Error", Some(told)),
        ]);
        let status = ReplicaStatus::parse(Vendor::MariaDb, columns(Vendor::MariaDb), &[status]);
        let error = status.expect("readable").expect("has a source").applier_error.expect("an error");
        assert_eq!(error.text, "Error 'Operation CREATE USER failed' on query. Default database: ''.");
    }

    #[test]
    fn a_source_that_is_away_is_not_a_refusal_but_a_wrong_password_is() {
        let status = |errno: &str| {
            let row = row(&[
                ("Source_Host", Some("db1")),
                ("Replica_IO_Running", Some("Connecting")),
                ("Last_IO_Errno", Some(errno)),
                ("Last_IO_Error", Some("error connecting")),
            ]);
            ReplicaStatus::parse(Vendor::MySql, columns(Vendor::MySql), &[row]).expect("readable").expect("source")
        };
        assert!(status("2003").receiver_refused().is_none());
        assert_eq!(status("1045").receiver_refused().map(|error| error.number), Some(1045));
    }

    #[test]
    fn every_value_of_read_only_but_off_closes_the_server() {
        let state = |value: &str| {
            let row = row(&[
                ("read_only", Some(value)),
                ("log_bin", Some("1")),
                ("sync_binlog", Some("1")),
                ("log_updates", Some("1")),
                ("server_id", Some("1")),
                ("executed", Some("0-1-7")),
                ("replicated", Some("0-2-5")),
            ]);
            ServerState::parse(Vendor::MariaDb, &row).expect("readable")
        };
        assert!(state("0").is_writable() && state("OFF").is_writable());
        assert!(!state("1").is_writable() && !state("NO_LOCK_NO_ADMIN").is_writable());
        assert_eq!(state("1").executed.to_string(), "0-1-7");
    }

    #[test]
    fn replicas_and_the_servers_own_threads_are_no_clients() {
        let connection = |user: &str, command: &str| {
            let row = row(&[("Id", Some("7")), ("User", Some(user)), ("Command", Some(command))]);
            Connection::parse(&row).expect("has a number").is_client()
        };
        assert!(connection("app", "Query") && connection("app", "Sleep"));
        assert!(!connection("repl", "Binlog Dump GTID") && !connection("system user", "Connect"));
        assert!(!connection("event_scheduler", "Daemon"));
    }

    #[test]
    fn what_is_flushed_and_waits_is_written() {
        const UUID: &str = "2af90fa1-e5a7-11f1-b1d3-78deed0a6bf8";
        // As 9.7.4 said it while three commits waited.
        let (owned, written) = (format!("{UUID}:5#14:4#13:3#12"), format!("{UUID}:1-2"));
        let mysql = [("owned", Some(owned.as_str())), ("written", Some(written.as_str())), ("replicated", Some(""))];
        let set = parse_flushed(Vendor::MySql, &row(&mysql)).map(|set| set.to_string());
        assert_eq!(set, Ok(format!("{UUID}:1-5")));
        let mariadb = [("owned", Some("")), ("written", Some("0-1-4")), ("replicated", Some("0-2-3,1-2-9"))];
        let set = parse_flushed(Vendor::MariaDb, &row(&mariadb)).map(|set| set.to_string());
        assert_eq!(set, Ok("0-1-4,1-2-9".into()));
        assert!(parse_flushed(Vendor::MariaDb, &row(&mariadb[..2])).is_err(), "what is not said is not empty");
    }
}

//! How data go from one server to another: the clone plugin (MySQL from 8.0.17), mariadb-backup (MariaDB), a dump (both).
//! Pure.
//!
//! Sources: "The Clone Plugin" in the MySQL reference manual; the MariaDB documentation of mariadb-backup and of
//! mariadb-dump (`--gtid`); what they print was looked at with MySQL 9.7 and MariaDB 10.11 and 11.8.

use super::{Dialect, Source, quote};

/// How a node gets the data of another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// MySQL's clone plugin.
    Clone,
    /// mariadb-backup, streamed.
    Physical,
    /// A dump, which always works.
    Logical,
}

impl Method {
    /// All, the fastest first.
    pub const ALL: [Self; 3] = [Self::Clone, Self::Physical, Self::Logical];

    /// As the parameter `provision` calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Clone => "clone",
            Self::Physical => "physical",
            Self::Logical => "logical",
        }
    }

    /// The one of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.name() == name)
    }
}

/// The largest row that can be sent: what servers and tools take at most.
const LARGEST: &str = "--max-allowed-packet=1G";

/// A program by all names that it goes by, the newest first, and what it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tool {
    /// Its names.
    pub names: &'static [&'static str],
    /// Its arguments.
    pub args: Vec<String>,
}

impl Dialect {
    /// Whether this server knows the method.
    pub fn knows(self, method: Method) -> bool {
        match method {
            Method::Clone => self.is_mysql_from((8, 0, 17)),
            Method::Physical => self.is_mariadb(),
            Method::Logical => true,
        }
    }

    /// Writes all data of the server to standard output. `login`: an option file with user and password.
    pub fn send_data(self, method: Method, socket: &str, datadir: &str, login: &str, scratch: &str) -> Option<Tool> {
        let login = format!("--defaults-extra-file={login}");
        let socket = format!("--socket={socket}");
        match method {
            Method::Clone => None,
            Method::Physical => {
                let args = [
                    login,
                    "--backup".into(),
                    "--stream=mbstream".into(),
                    socket,
                    format!("--datadir={datadir}"),
                    format!("--target-dir={scratch}"),
                ];
                Some(Tool { names: &["mariadb-backup", "mariabackup"], args: args.into() })
            }
            Method::Logical => {
                let mut args = vec![login, socket];
                let shared = [
                    "--all-databases",
                    "--single-transaction",
                    "--routines",
                    "--events",
                    "--triggers",
                    "--hex-blob",
                    LARGEST,
                ];
                args.extend(shared.map(String::from));
                if self.is_mariadb() {
                    // Not as a comment: the server that loads it is told its position by the dump itself.
                    args.extend(["--master-data=1", "--gtid"].map(String::from));
                    Some(Tool { names: &["mariadb-dump", "mysqldump"], args })
                } else {
                    // With the position as a comment: so the lock is held while both it and the GTIDs are read (before
                    // 8.0.32 they were read after the data).
                    let position = if self.is_mysql_from((8, 0, 26)) { "--source-data=2" } else { "--master-data=2" };
                    args.extend(["--set-gtid-purged=ON", position].map(String::from));
                    Some(Tool { names: &["mysqldump"], args })
                }
            }
        }
    }

    /// Reads from standard input what [`Self::send_data`] wrote: files, or statements for the server at this socket.
    pub fn receive_data(self, method: Method, socket: &str, target: &str) -> Option<Tool> {
        match method {
            Method::Clone => None,
            Method::Physical => {
                Some(Tool { names: &["mbstream"], args: vec!["-x".into(), "-C".into(), target.to_string()] })
            }
            Method::Logical => {
                let names: &[&str] = if self.is_mariadb() { &["mariadb", "mysql"] } else { &["mysql"] };
                let args = ["--no-defaults".into(), format!("--socket={socket}"), "--user=root".into(), LARGEST.into()];
                Some(Tool { names, args: args.into() })
            }
        }
    }

    /// Makes a database of the files that were received.
    pub fn prepare_data(self, target: &str) -> Tool {
        let args = vec!["--prepare".into(), format!("--target-dir={target}")];
        Tool { names: &["mariadb-backup", "mariabackup"], args }
    }

    /// Prints a binary log file, rows as comments.
    pub fn read_binlog(self, path: &str) -> Tool {
        let names: &[&str] = if self.is_mariadb() { &["mariadb-binlog", "mysqlbinlog"] } else { &["mysqlbinlog"] };
        let args = ["--no-defaults", "--base64-output=decode-rows", "--verbose", path];
        Tool { names, args: args.map(String::from).into() }
    }

    /// Where the server's files are that may lie outside of its data directory: columns `Variable_name` and `Value`.
    pub fn file_places(self) -> &'static str {
        "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('innodb_data_home_dir', 'innodb_log_group_home_dir', \
         'innodb_undo_directory', 'aria_log_dir_path')"
    }

    /// The file with the names of the binary logs.
    pub fn binlog_index(self) -> &'static str {
        "SELECT @@global.log_bin_index"
    }

    /// MariaDB: the last transaction of each server that ever wrote in a domain.
    pub fn binlog_state(self) -> Option<&'static str> {
        self.is_mariadb().then_some("SELECT @@global.gtid_binlog_state")
    }

    /// What a server holds that was filled.
    pub fn held_position(self) -> &'static str {
        if self.is_mariadb() { "SELECT @@global.gtid_slave_pos" } else { "SELECT @@global.gtid_executed" }
    }

    /// The files in which mariadb-backup says what the data hold (`file<TAB>offset<TAB>GTIDs`), by version.
    pub const POSITION_FILES: &'static [&'static str] = &["mariadb_backup_binlog_info", "xtrabackup_binlog_info"];

    /// Makes the local server's data those of another one.
    pub fn clone_from(self, source: &Source) -> Vec<String> {
        let require = if source.tls.required { "REQUIRE SSL" } else { "" };
        let files = [("ca", &source.tls.ca), ("cert", &source.tls.cert), ("key", &source.tls.key)];
        let files = files.into_iter().filter_map(|(name, file)| Some((name, file.as_ref()?)));
        let mut statements: Vec<String> =
            files.map(|(name, file)| format!("SET GLOBAL clone_ssl_{name}={}", quote(file))).collect();
        statements.extend([
            format!("SET GLOBAL clone_valid_donor_list={}", quote(&format!("{}:{}", source.host, source.port))),
            format!(
                "CLONE INSTANCE FROM {}@{}:{} IDENTIFIED BY {} {require}",
                quote(&source.user),
                quote(&source.host),
                source.port,
                quote(&source.password)
            ),
        ]);
        statements
    }

    /// How far a clone is: columns `done` and `estimated`, in bytes.
    pub const CLONE_PROGRESS: &'static str =
        "SELECT SUM(data) AS done, SUM(estimate) AS estimated FROM performance_schema.clone_progress";

    /// The options of a server that is filled: nobody reaches it but who knows its socket, it writes no binary log, and
    /// replicates nothing.
    pub fn filling_options(self, method: Method) -> Vec<&'static str> {
        let new = self.is_mysql_from((8, 0, 26));
        let mut options =
            vec!["--skip-networking", "--skip-log-bin", "--event-scheduler=OFF", "--relay-log=rustha-relay", LARGEST];
        options.push(if new { "--skip-replica-start" } else { "--skip-slave-start" });
        if !self.is_mariadb() {
            options.push("--super-read-only=0");
        }
        options.push("--read-only=0");
        if method == Method::Clone {
            options.push("--plugin-load-add=mysql_clone.so");
        }
        options
    }

    /// What the server is told so that it takes its data for exactly this set of transactions, and for nothing else: its
    /// binary logs, and what it knew of a source, are of another life.
    /// `earlier`: MariaDB's `gtid_binlog_state` for it ([`crate::gtid::mariadb::Position::with_earlier`]), if that is known.
    pub fn begin_with(self, executed: &str, earlier: Option<&str>) -> Vec<String> {
        let mut statements = vec![self.stop_replica(), self.forget_source()];
        if self.is_mariadb() {
            statements.extend([
                "RESET MASTER".into(),
                // Else it could not serve a replica that asks for what is older than its own binary log.
                format!("SET GLOBAL gtid_binlog_state={}", quote(earlier.unwrap_or(executed))),
                format!("SET GLOBAL gtid_slave_pos={}", quote(executed)),
                // The new log begins with that state: so it can be told later where this server's own logs begin.
                "FLUSH BINARY LOGS".into(),
            ]);
        } else {
            let reset = if self.is_mysql_from((8, 2, 0)) { "RESET BINARY LOGS AND GTIDS" } else { "RESET MASTER" };
            statements.extend([reset.into(), format!("SET GLOBAL gtid_purged={}", quote(executed))]);
        }
        statements
    }
}

/// The server could not start itself again after a clone, since nobody supervises it: the clone is complete
/// (ER_RESTART_SERVER_FAILED).
pub const CLONED: u16 = 3707;

/// The plugin that a donor must have.
pub const CLONE_PLUGIN: &str = "--plugin-load-add=mysql_clone.so";

#[cfg(test)]
mod tests {
    use super::super::super::version::{Vendor, Version};
    use super::super::Tls;
    use super::*;

    fn dialect(vendor: Vendor, number: (u16, u16, u16)) -> Dialect {
        Dialect::of(Version { vendor, number })
    }

    #[test]
    fn a_method_is_known_where_the_server_has_it() {
        let known = |dialect: Dialect| Method::ALL.into_iter().filter(|one| dialect.knows(*one)).collect::<Vec<_>>();
        assert_eq!(known(dialect(Vendor::MySql, (8, 0, 16))), [Method::Logical]);
        assert_eq!(known(dialect(Vendor::MySql, (8, 0, 17))), [Method::Clone, Method::Logical]);
        assert_eq!(known(dialect(Vendor::MariaDb, (10, 11, 0))), [Method::Physical, Method::Logical]);
        assert!(Method::ALL.into_iter().all(|method| Method::parse(method.name()) == Some(method)));
    }

    #[test]
    fn a_tool_is_told_its_login_by_a_file_and_first_of_all() {
        for method in [Method::Physical, Method::Logical] {
            let tool = dialect(Vendor::MariaDb, (10, 11, 0)).send_data(method, "/s", "/d", "/run/login.cnf", "/t");
            let args = tool.expect("a tool").args;
            assert_eq!(args[0], "--defaults-extra-file=/run/login.cnf");
            assert!(args.iter().all(|word| !word.contains("password")));
        }
    }

    #[test]
    fn a_clone_is_asked_for_in_quotes_and_over_tls_where_replication_is() {
        let source = |required| Source {
            host: "db1".into(),
            port: 3306,
            user: "re'pl".into(),
            password: "a'b".into(),
            tls: Tls { required, ..Tls::default() },
        };
        let mysql = dialect(Vendor::MySql, (8, 4, 0));
        let text = mysql.clone_from(&source(true)).join("; ");
        assert!(text.contains("'re''pl'@'db1':3306 IDENTIFIED BY 'a''b' REQUIRE SSL"), "{text}");
        assert!(!mysql.clone_from(&source(false)).join("; ").contains("SSL"));
    }

    #[test]
    fn what_the_data_hold_is_told_after_all_that_is_of_another_life_is_gone() {
        let mysql = dialect(Vendor::MySql, (8, 4, 0)).begin_with("a:1-5", None);
        assert_eq!(mysql[2..], ["RESET BINARY LOGS AND GTIDS", "SET GLOBAL gtid_purged='a:1-5'"]);
        let mariadb = dialect(Vendor::MariaDb, (10, 11, 0)).begin_with("0-1-5", Some("0-2-3,0-1-5"));
        assert_eq!(mariadb[2..4], ["RESET MASTER", "SET GLOBAL gtid_binlog_state='0-2-3,0-1-5'"]);
        assert_eq!(mariadb[4], "SET GLOBAL gtid_slave_pos='0-1-5'");
    }
}

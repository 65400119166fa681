//! The names of semi-synchronous replication, and what is said about it. Pure.
//!
//! MariaDB has it built in since 10.3.3, under the old names. MySQL has it as plugins: the old pair
//! (`semisync_master`, `semisync_slave`) up to 9.4, the new one (`semisync_source`, `semisync_replica`) from 8.0.26. Both
//! pairs are not loaded together, and one half may be old and the other new, so which names hold is found by what the
//! server has, for each half by itself (see [`super::super::rows::SemiSync`]).

use super::{Dialect, quote};

/// The variables and status variables of a source's half. Their names are in lower case; the servers differ in it.
#[derive(Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the name of the variable of that meaning")]
pub struct SourceNames {
    pub enabled: &'static str,
    pub timeout: &'static str,
    pub wait_point: &'static str,
    pub wait_no_replica: &'static str,
    /// How many replicas must acknowledge; MariaDB always waits for one.
    pub acks: Option<&'static str>,
    pub status: &'static str,
    pub clients: &'static str,
    pub waiting: &'static str,
    pub acknowledged: &'static str,
    pub unacknowledged: &'static str,
}

/// The variables of a replica's half.
#[derive(Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the name of the variable of that meaning")]
pub struct ReplicaNames {
    pub enabled: &'static str,
    pub status: &'static str,
    /// How many seconds STOP REPLICA waits for a source that does not answer; MySQL does not.
    pub kill_timeout: Option<&'static str>,
}

const OLD_SOURCE: SourceNames = SourceNames {
    enabled: "rpl_semi_sync_master_enabled",
    timeout: "rpl_semi_sync_master_timeout",
    wait_point: "rpl_semi_sync_master_wait_point",
    wait_no_replica: "rpl_semi_sync_master_wait_no_slave",
    acks: Some("rpl_semi_sync_master_wait_for_slave_count"),
    status: "rpl_semi_sync_master_status",
    clients: "rpl_semi_sync_master_clients",
    waiting: "rpl_semi_sync_master_wait_sessions",
    acknowledged: "rpl_semi_sync_master_yes_tx",
    unacknowledged: "rpl_semi_sync_master_no_tx",
};

const OLD_REPLICA: ReplicaNames =
    ReplicaNames { enabled: "rpl_semi_sync_slave_enabled", status: "rpl_semi_sync_slave_status", kill_timeout: None };

static MARIADB_SOURCE: &[SourceNames] = &[SourceNames { acks: None, ..OLD_SOURCE }];

static MARIADB_REPLICA: &[ReplicaNames] =
    &[ReplicaNames { kill_timeout: Some("rpl_semi_sync_slave_kill_conn_timeout"), ..OLD_REPLICA }];

static MYSQL_SOURCE: &[SourceNames] = &[
    SourceNames {
        enabled: "rpl_semi_sync_source_enabled",
        timeout: "rpl_semi_sync_source_timeout",
        wait_point: "rpl_semi_sync_source_wait_point",
        wait_no_replica: "rpl_semi_sync_source_wait_no_replica",
        acks: Some("rpl_semi_sync_source_wait_for_replica_count"),
        status: "rpl_semi_sync_source_status",
        clients: "rpl_semi_sync_source_clients",
        waiting: "rpl_semi_sync_source_wait_sessions",
        acknowledged: "rpl_semi_sync_source_yes_tx",
        unacknowledged: "rpl_semi_sync_source_no_tx",
    },
    OLD_SOURCE,
];

static MYSQL_REPLICA: &[ReplicaNames] = &[
    ReplicaNames {
        enabled: "rpl_semi_sync_replica_enabled",
        status: "rpl_semi_sync_replica_status",
        kill_timeout: None,
    },
    OLD_REPLICA,
];

/// The greatest time-out, in milliseconds, that the servers take: 584 million years (measured on MariaDB 10.11.18 and
/// 11.8.6 and on MySQL 9.7.4, which all keep it as it is, and wait).
pub const ENDLESS: u64 = u64::MAX;

/// The wait point at which no other client sees what is not acknowledged yet.
pub const AFTER_SYNC: &str = "AFTER_SYNC";

/// One of MySQL's pairs of plugins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plugins {
    /// `semisync_master` and `semisync_slave`.
    Old,
    /// `semisync_source` and `semisync_replica`.
    New,
}

impl Plugins {
    /// The pair that the server's option files speak of, by names and values of their options; `None` if of neither. A
    /// file that sets the variables of one pair keeps the server from starting when the other one is loaded.
    pub fn spoken_of<'a>(options: impl Iterator<Item = (&'a str, Option<&'a str>)>) -> Option<Self> {
        let mut found = None;
        for (name, value) in options {
            let text = if name.starts_with("plugin-load") { value.unwrap_or_default() } else { name };
            let text = text.replace('-', "_");
            if ["rpl_semi_sync_master", "rpl_semi_sync_slave", "semisync_master", "semisync_slave"]
                .iter()
                .any(|word| text.contains(word))
            {
                return Some(Self::Old);
            }
            if text.contains("rpl_semi_sync_") || text.contains("semisync_") {
                found = Some(Self::New);
            }
        }
        found
    }

    fn start_options(self) -> [&'static str; 4] {
        // loose: the server starts without a plugin that cannot be loaded, and says why in its log.
        match self {
            Self::Old => [
                "--plugin-load-add=semisync_master.so",
                "--plugin-load-add=semisync_slave.so",
                "--loose-rpl-semi-sync-master-enabled=0",
                "--loose-rpl-semi-sync-slave-enabled=0",
            ],
            Self::New => [
                "--plugin-load-add=semisync_source.so",
                "--plugin-load-add=semisync_replica.so",
                "--loose-rpl-semi-sync-source-enabled=0",
                "--loose-rpl-semi-sync-replica-enabled=0",
            ],
        }
    }
}

impl Dialect {
    /// The names that a source's half may have: the server has the first of which it knows `enabled`.
    pub fn source_names(self) -> &'static [SourceNames] {
        if self.is_mariadb() { MARIADB_SOURCE } else { MYSQL_SOURCE }
    }

    /// The names that a replica's half may have.
    pub fn replica_names(self) -> &'static [ReplicaNames] {
        if self.is_mariadb() { MARIADB_REPLICA } else { MYSQL_REPLICA }
    }

    /// All variables and all status variables of semi-synchronous replication: columns name and value. It does not
    /// block while commits wait for their acknowledgement, and needs no performance schema that is on.
    pub fn semi_sync(self) -> String {
        let schema = if self.is_mariadb() { "information_schema" } else { "performance_schema" };
        let table = |name: &str| {
            format!(
                "SELECT LOWER(variable_name) AS name, variable_value AS value FROM {schema}.{name} \
                 WHERE variable_name LIKE 'rpl\\_semi\\_sync\\_%'"
            )
        };
        format!("{} UNION ALL {}", table("global_variables"), table("global_status"))
    }

    /// Sets a switch of semi-synchronous replication.
    pub fn switch(variable: &str, on: bool) -> String {
        format!("SET GLOBAL {variable}={}", u8::from(on))
    }

    /// Sets a number of semi-synchronous replication.
    pub fn set_number(variable: &str, value: u64) -> String {
        format!("SET GLOBAL {variable}={value}")
    }

    /// Sets a word of semi-synchronous replication.
    pub fn set_word(variable: &str, value: &str) -> String {
        format!("SET GLOBAL {variable}={}", quote(value))
    }

    /// Installs the halves that are not there yet, in the words of the pair that the version has. MariaDB has both built
    /// in. Not written to the binary log.
    pub fn install_semi_sync(self, has_source: bool, has_replica: bool) -> Vec<&'static str> {
        let (source, replica) = match (self.is_mariadb(), self.is_mysql_from((8, 0, 26))) {
            (true, _) => return Vec::new(),
            (_, true) => (
                "INSTALL PLUGIN rpl_semi_sync_source SONAME 'semisync_source.so'",
                "INSTALL PLUGIN rpl_semi_sync_replica SONAME 'semisync_replica.so'",
            ),
            (_, false) => (
                "INSTALL PLUGIN rpl_semi_sync_master SONAME 'semisync_master.so'",
                "INSTALL PLUGIN rpl_semi_sync_slave SONAME 'semisync_slave.so'",
            ),
        };
        [(has_source, source), (has_replica, replica)]
            .into_iter()
            .filter(|(is_there, _)| !is_there)
            .map(|(_, statement)| statement)
            .collect()
    }

    /// What an option file says to load this half of the pair that the version has.
    pub fn semi_sync_option(self, is_source: bool) -> &'static str {
        match (self.is_mysql_from((8, 0, 26)), is_source) {
            (true, true) => "plugin_load_add=semisync_source.so",
            (true, false) => "plugin_load_add=semisync_replica.so",
            (false, true) => "plugin_load_add=semisync_master.so",
            (false, false) => "plugin_load_add=semisync_slave.so",
        }
    }

    /// Starts the receiver only, beside an applier that runs.
    pub fn start_receiver(self) -> String {
        format!("START {} IO_THREAD", self.replica())
    }

    /// The replicas that are connected: a row for each.
    pub fn show_replicas(self) -> &'static str {
        if self.is_mariadb() {
            "SHOW REPLICA HOSTS"
        } else if self.is_mysql_from((8, 0, 22)) {
            "SHOW REPLICAS"
        } else {
            "SHOW SLAVE HOSTS"
        }
    }

    /// The column with a replica's server_id in that list.
    pub fn replica_server_id(self) -> &'static str {
        if self.is_mysql_from((8, 0, 22)) { "Server_Id" } else { "Server_id" }
    }

    /// All that was written to the binary log, also what still waits for its acknowledgement: columns owned, written and
    /// replicated.
    ///
    /// MySQL: what is flushed and waits is not executed yet, but owned by its session. Owned is read first, since a
    /// transaction goes from owned to executed; in the other order it is missed (measured on 9.7.4 under load: 0 of 2668
    /// selects had a hole in this order, 19 of 2920 in the other). MariaDB moves its position when it writes. Neither
    /// blocks; MariaDB's SHOW MASTER STATUS does, for as long as two groups of commits wait.
    pub fn flushed(self) -> &'static str {
        if self.is_mariadb() {
            "SELECT '' AS owned, @@global.gtid_binlog_pos AS written, @@global.gtid_slave_pos AS replicated"
        } else {
            "SELECT @@global.gtid_owned AS owned, @@global.gtid_executed AS written, '' AS replicated"
        }
    }

    /// Both halves are there from the start, and off, whatever an option file says: a replica that acknowledges before
    /// the cluster counts on it, and a source that waits before it is promoted, are wrong alike (objection 5). INSTALL
    /// PLUGIN is no way to get them on a closed server (objection 20).
    pub(super) fn semi_sync_options(self, spoken_of: Option<Plugins>) -> Vec<&'static str> {
        if !self.is_mariadb() {
            let newest = if self.is_mysql_from((8, 0, 26)) { Plugins::New } else { Plugins::Old };
            return spoken_of.unwrap_or(newest).start_options().to_vec();
        }
        let mut options = vec!["--rpl-semi-sync-master-enabled=0", "--rpl-semi-sync-slave-enabled=0"];
        if self.truncates_by_role() {
            options.push("--init-rpl-role=MASTER");
        }
        options
    }

    /// MDEV-33465: what a crashed primary had not got acknowledged is cut from its binary log when it is started with
    /// `--init-rpl-role=SLAVE`. Before, `rpl_semi_sync_slave_enabled` did that (10.6.2 and later), and the role nothing.
    fn truncates_by_role(self) -> bool {
        let (major, minor, patch) = self.version.number;
        match (major, minor) {
            (10, 6) => patch >= 19,
            (10, 11) => patch >= 9,
            (11, 1) => patch >= 6,
            (11, 2) => patch >= 5,
            (11, 4) => patch >= 3,
            (11, minor) => minor > 4,
            (major, _) => major > 11,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::version::{Vendor, Version};

    fn mysql(major: u16, minor: u16, patch: u16) -> Dialect {
        Dialect::of(Version { vendor: Vendor::MySql, number: (major, minor, patch) })
    }

    fn mariadb(major: u16, minor: u16, patch: u16) -> Dialect {
        Dialect::of(Version { vendor: Vendor::MariaDb, number: (major, minor, patch) })
    }

    fn options(dialect: Dialect, spoken_of: Option<Plugins>) -> String {
        dialect.semi_sync_options(spoken_of).join(" ")
    }

    #[test]
    fn objection_5_both_halves_are_off_at_the_start_whatever_an_option_file_says() {
        for dialect in [mariadb(10, 5, 0), mariadb(10, 11, 18), mariadb(12, 1, 0), mysql(5, 7, 44), mysql(8, 0, 25)] {
            let text = options(dialect, None);
            assert!(text.contains("master-enabled=0") && text.contains("slave-enabled=0"), "{text}");
        }
        for dialect in [mysql(8, 0, 26), mysql(8, 4, 0), mysql(9, 7, 4)] {
            let text = options(dialect, None);
            assert!(text.contains("source-enabled=0") && text.contains("replica-enabled=0"), "{text}");
        }
    }

    #[test]
    fn objection_20_the_plugins_are_loaded_on_the_command_line_and_a_missing_one_stops_no_server() {
        assert!(options(mysql(8, 0, 25), None).contains("--plugin-load-add=semisync_master.so"));
        assert!(options(mysql(8, 0, 26), None).contains("--plugin-load-add=semisync_source.so"));
        let all = options(mysql(9, 7, 4), None);
        let settings: Vec<_> = all.split(' ').filter(|option| option.contains("enabled")).collect();
        assert!(settings.iter().all(|option| option.starts_with("--loose-")), "{all}");
        assert!(!options(mariadb(11, 8, 0), None).contains("plugin"), "MariaDB has it built in");
    }

    #[test]
    fn the_pair_that_an_option_file_names_is_the_pair_that_is_loaded() {
        let spoken = |name, value| Plugins::spoken_of([("datadir", Some("/d")), (name, value)].into_iter());
        assert_eq!(spoken("rpl-semi-sync-master-timeout", Some("1000")), Some(Plugins::Old));
        assert_eq!(spoken("plugin-load-add", Some("rpl_semi_sync_slave=semisync_slave.so")), Some(Plugins::Old));
        assert_eq!(spoken("plugin-load", Some("semisync_replica.so")), Some(Plugins::New));
        assert_eq!(spoken("rpl-semi-sync-source-enabled", None), Some(Plugins::New));
        assert_eq!(spoken("plugin-load-add", Some("mysql_clone.so")), None);
        assert!(options(mysql(8, 4, 0), Some(Plugins::Old)).contains("--plugin-load-add=semisync_master.so"));
    }

    #[test]
    fn objection_12_the_role_is_said_where_it_means_something() {
        let role = "--init-rpl-role=MASTER";
        for (series, first) in [((10, 6), 19), ((10, 11), 9), ((11, 1), 6), ((11, 2), 5), ((11, 4), 3)] {
            let (major, minor) = series;
            assert!(options(mariadb(major, minor, first), None).contains(role), "{series:?}");
            assert!(!options(mariadb(major, minor, first - 1), None).contains(role), "{series:?}");
        }
        for dialect in [mariadb(10, 5, 29), mariadb(11, 0, 9), mariadb(11, 3, 9), mysql(9, 7, 4)] {
            assert!(!options(dialect, None).contains(role), "{}", dialect.version());
        }
        for dialect in [mariadb(11, 5, 2), mariadb(11, 8, 6), mariadb(12, 0, 1)] {
            assert!(options(dialect, None).contains(role), "{}", dialect.version());
        }
    }

    #[test]
    fn lists_of_replicas_are_asked_for_in_each_versions_words() {
        for (dialect, statement, column) in [
            (mysql(5, 7, 44), "SHOW SLAVE HOSTS", "Server_id"),
            (mysql(8, 0, 25), "SHOW REPLICAS", "Server_Id"),
            (mysql(9, 7, 4), "SHOW REPLICAS", "Server_Id"),
            (mariadb(10, 5, 1), "SHOW REPLICA HOSTS", "Server_id"),
            (mariadb(12, 1, 0), "SHOW REPLICA HOSTS", "Server_id"),
        ] {
            assert_eq!((dialect.show_replicas(), dialect.replica_server_id()), (statement, column));
        }
        assert_eq!(mysql(8, 0, 21).start_receiver(), "START SLAVE IO_THREAD");
        assert_eq!(mariadb(10, 6, 0).start_receiver(), "START REPLICA IO_THREAD");
    }

    #[test]
    fn only_the_half_that_is_missing_is_installed() {
        assert_eq!(
            mysql(9, 7, 4).install_semi_sync(true, false),
            ["INSTALL PLUGIN rpl_semi_sync_replica SONAME 'semisync_replica.so'"]
        );
        assert_eq!(mysql(8, 0, 25).install_semi_sync(false, false).len(), 2);
        assert!(mysql(8, 0, 25).install_semi_sync(false, true)[0].contains("semisync_master.so"));
        assert!(mariadb(10, 11, 18).install_semi_sync(false, false).is_empty(), "MariaDB has both built in");
    }

    #[test]
    fn what_is_owned_is_read_before_what_is_executed() {
        let query = mysql(9, 7, 4).flushed();
        assert!(query.find("gtid_owned") < query.find("gtid_executed"), "{query}");
        assert!(!mariadb(10, 11, 18).flushed().contains("gtid_owned"));
    }
}

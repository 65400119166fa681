//! The rows of semi-synchronous replication -> what each half of it is. Pure.

use std::collections::BTreeMap;

use super::{Row, text};
use crate::server::dialect::Dialect;
use crate::server::dialect::semisync::{AFTER_SYNC, ENDLESS, ReplicaNames, SourceNames};

/// Both halves of semi-synchronous replication on one server; `None`: the server has not got it (no plugin).
#[derive(Clone, Debug)]
pub struct SemiSync {
    /// What waits, on a primary.
    pub source: Option<SourceSide>,
    /// What acknowledges, on a replica.
    pub replica: Option<ReplicaSide>,
}

/// When a client is told that its commit has succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceRule {
    /// As soon as this many replicas have acknowledged it.
    pub acks: u64,
    /// Or after this many milliseconds, and then the server switches itself off.
    pub timeout: u64,
}

impl SourceRule {
    /// Never before `acks` replicas have it.
    pub fn lossless(acks: u64) -> Self {
        Self { acks, timeout: ENDLESS }
    }
}

/// The half that waits for acknowledgements.
#[derive(Clone, Debug)]
pub struct SourceSide {
    /// How this server calls it.
    pub names: &'static SourceNames,
    /// It is asked for.
    pub enabled: bool,
    /// It is really on: commits wait. The server switches it off by itself, and then commits do not wait.
    pub active: bool,
    /// When a commit waits: `AFTER_SYNC` or `AFTER_COMMIT`.
    pub wait_point: String,
    /// After how many milliseconds the server switches itself off.
    pub timeout: u64,
    /// Commits wait also when there are fewer replicas than must acknowledge.
    pub wait_no_replica: bool,
    /// How many replicas must acknowledge.
    pub acks: u64,
    /// How many replicas are connected that acknowledge.
    pub clients: u64,
    /// How many sessions wait, at least: only the first of a group of commits is counted (measured on both vendors).
    pub waiting: u64,
    /// How many transactions were acknowledged by replicas.
    pub acknowledged: u64,
    /// How many were not, and the client was told all the same.
    pub unacknowledged: u64,
}

/// The half that acknowledges.
#[derive(Clone, Debug)]
pub struct ReplicaSide {
    /// How this server calls it.
    pub names: &'static ReplicaNames,
    /// It is asked for.
    pub enabled: bool,
    /// The receiver that runs now acknowledges.
    pub active: bool,
    /// How many seconds STOP REPLICA waits for a source that does not answer, where that can be said.
    pub kill_timeout: Option<u64>,
}

impl SemiSync {
    /// Reads the rows of [`Dialect::semi_sync`].
    ///
    /// # Errors
    /// A half of which the server does not say everything.
    pub fn parse(dialect: Dialect, rows: &[Row]) -> Result<Self, String> {
        let values = Values::of(rows);
        let source = dialect.source_names().iter().find(|names| values.has(names.enabled));
        let replica = dialect.replica_names().iter().find(|names| values.has(names.enabled));
        Ok(Self {
            source: source.map(|names| SourceSide::parse(names, &values)).transpose()?,
            replica: replica.map(|names| ReplicaSide::parse(names, &values)).transpose()?,
        })
    }
}

impl SourceSide {
    fn parse(names: &'static SourceNames, values: &Values<'_>) -> Result<Self, String> {
        Ok(Self {
            names,
            enabled: values.switch(names.enabled)?,
            active: values.switch(names.status)?,
            wait_point: values.text(names.wait_point)?.to_ascii_uppercase(),
            timeout: values.number(names.timeout)?,
            wait_no_replica: values.switch(names.wait_no_replica)?,
            acks: names.acks.map_or(Ok(1), |name| values.number(name))?,
            clients: values.number(names.clients)?,
            waiting: values.number(names.waiting)?,
            acknowledged: values.number(names.acknowledged)?,
            unacknowledged: values.number(names.unacknowledged)?,
        })
    }

    /// What there is against a client being told of its commit only when `acks` replicas have it; `None`: nothing.
    pub fn weakness(&self, acks: u64) -> Option<String> {
        self.weakness_by(SourceRule::lossless(acks))
    }

    /// By what it is weaker than this rule; `None`: by nothing.
    pub fn weakness_by(&self, rule: SourceRule) -> Option<String> {
        let SourceRule { acks, timeout } = rule;
        let wrong = [
            (self.enabled, format!("{} is OFF", self.names.enabled)),
            (self.wait_point == AFTER_SYNC, format!("{} is {}", self.names.wait_point, self.wait_point)),
            (self.timeout >= timeout, format!("{} is {} ms", self.names.timeout, self.timeout)),
            (self.wait_no_replica, format!("{} is OFF", self.names.wait_no_replica)),
            (self.acks >= acks, format!("commits wait for {} of {acks} replicas", self.acks)),
            (self.active, format!("{} is OFF: the server has switched itself off", self.names.status)),
        ];
        wrong.into_iter().find(|(is_right, _)| !is_right).map(|(_, why)| why)
    }
}

impl ReplicaSide {
    fn parse(names: &'static ReplicaNames, values: &Values<'_>) -> Result<Self, String> {
        Ok(Self {
            names,
            enabled: values.switch(names.enabled)?,
            active: values.switch(names.status)?,
            kill_timeout: names.kill_timeout.map(|name| values.number(name)).transpose()?,
        })
    }
}

/// The rows by name. The servers write the names in upper, lower and mixed case.
struct Values<'a>(BTreeMap<String, &'a str>);

impl<'a> Values<'a> {
    fn of(rows: &'a [Row]) -> Self {
        let pair = |row: &'a Row| Some((text(row, "name")?.to_ascii_lowercase(), text(row, "value")?));
        Self(rows.iter().filter_map(pair).collect())
    }

    fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    fn text(&self, name: &str) -> Result<&'a str, String> {
        self.0.get(name).copied().ok_or_else(|| format!("the server did not say its {name}"))
    }

    fn switch(&self, name: &str) -> Result<bool, String> {
        match self.text(name)?.to_ascii_uppercase().as_str() {
            "1" | "ON" => Ok(true),
            "0" | "OFF" => Ok(false),
            other => Err(format!("{name} is neither ON nor OFF, but '{other}'")),
        }
    }

    fn number(&self, name: &str) -> Result<u64, String> {
        let value = self.text(name)?;
        value.parse().map_err(|_| format!("{name} is no number, but '{value}'"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::version::{Vendor, Version};

    fn dialect(vendor: Vendor) -> Dialect {
        Dialect::of(Version { vendor, number: (99, 0, 0) })
    }

    /// Rows as a server gave them: name, tab, value.
    fn rows(captured: &str) -> Vec<Row> {
        let pair = |line: &str| {
            let (name, value) = line.split_once('\t').expect("two columns");
            Row::from([("name".into(), Some(name.into())), ("value".into(), Some(value.into()))])
        };
        captured.lines().map(pair).collect()
    }

    fn mysql(captured: &str) -> Result<SemiSync, String> {
        SemiSync::parse(dialect(Vendor::MySql), &rows(captured))
    }

    const MYSQL: &str = include_str!("../../../tests/fixtures/semisync-mysql-9.7.4.tsv");

    #[test]
    fn both_halves_are_read_as_the_servers_write_them() {
        let mariadb = [
            include_str!("../../../tests/fixtures/semisync-mariadb-10.11.18.tsv"),
            include_str!("../../../tests/fixtures/semisync-mariadb-11.8.6.tsv"),
        ];
        let servers = mariadb.map(|captured| SemiSync::parse(dialect(Vendor::MariaDb), &rows(captured)));
        for found in servers.into_iter().chain([mysql(MYSQL)]) {
            let found = found.expect("readable");
            let source = found.source.expect("has it");
            assert_eq!(source.weakness(1), None, "captured with everything on, and a commit that waited");
            assert_eq!((source.waiting, source.clients, source.acks), (1, 0, 1));
            let replica = found.replica.expect("has it");
            assert!(!replica.enabled && !replica.active);
        }
    }

    #[test]
    fn the_old_plugins_are_found_by_their_names_and_not_by_the_version() {
        let old =
            MYSQL.replace("source", "master").replace("_replica_count", "_slave_count").replace("replica", "slave");
        let found = mysql(&old).expect("readable");
        assert_eq!(found.source.expect("old").names.enabled, dialect(Vendor::MySql).source_names()[1].enabled);
        let half = MYSQL.lines().filter(|line| line.contains("_source_")).collect::<Vec<_>>().join("\n");
        let found = mysql(&half).expect("readable");
        assert!(found.source.is_some() && found.replica.is_none(), "one half can be there without the other");
        let found = mysql("").expect("readable");
        assert!(found.source.is_none() && found.replica.is_none(), "no plugin is no error");
    }

    #[test]
    fn a_half_that_the_server_does_not_describe_in_full_is_an_error() {
        let without = |word: &str| MYSQL.lines().filter(|line| !line.contains(word)).collect::<Vec<_>>().join("\n");
        assert!(mysql(&without("source_status")).is_err_and(|why| why.contains("source_status")));
        assert!(mysql(&without("wait_for_replica_count")).is_err());
        assert!(mysql(&MYSQL.replace("source_clients\t0", "source_clients\tNULL")).is_err());
    }

    #[test]
    fn every_way_to_tell_clients_too_early_is_a_weakness() {
        for (right, wrong) in [
            ("source_enabled\tON", "source_enabled\tOFF"),
            ("source_status\tON", "source_status\tOFF"),
            ("AFTER_SYNC", "AFTER_COMMIT"),
            ("18446744073709551615", "10000"),
            ("wait_no_replica\tON", "wait_no_replica\tOFF"),
        ] {
            assert!(MYSQL.contains(right), "{right}");
            let side = mysql(&MYSQL.replace(right, wrong)).expect("readable").source.expect("has it");
            assert!(side.weakness(1).is_some(), "{wrong}");
        }
        let side = mysql(MYSQL).expect("readable").source.expect("has it");
        assert!(side.weakness(2).is_some_and(|why| why.contains("1 of 2")));
    }
}

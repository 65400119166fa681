//! How a server is set up, as far as `rustha check` looks at it.

use serde::{Deserialize, Serialize};

use super::{Row, number, text};
use crate::server::dialect::Dialect;

/// Settings and contents of a server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// At which addresses it listens; empty: not at all.
    pub listens: String,
    /// How names of tables are compared.
    pub lower_case_names: String,
    /// What is written to the binary log.
    pub binlog_format: String,
    /// Transactions without a GTID, or out of order, are refused.
    pub is_strict: bool,
    /// What is not replicated, for example `Replicate_Do_DB=app`.
    pub filters: Vec<String>,
    /// Tables of engines without transactions, for example `3 of MyISAM`.
    pub unsafe_tables: Vec<String>,
    /// Accounts that may replicate.
    pub replicators: Vec<String>,
    /// Accounts that may write while it is read-only, but for root at the server itself and its own.
    pub privileged: Vec<String>,
    /// Accounts that may give all data to a clone.
    pub cloners: Vec<String>,
}

/// The answers that it is read from.
pub struct Answers<'a> {
    /// To [`Dialect::VARIABLES`].
    pub variables: &'a [Row],
    /// To [`Dialect::show_binlog_status`].
    pub binlog: &'a [Row],
    /// To [`Dialect::show_replica_status`].
    pub replica: &'a [Row],
    /// To [`Dialect::UNSAFE_TABLES`].
    pub tables: &'a [Row],
    /// To [`Dialect::PRIVILEGES`].
    pub privileges: &'a [Row],
}

impl Settings {
    /// Reads the answers.
    pub fn parse(dialect: Dialect, answers: &Answers<'_>) -> Self {
        let variable = |name: &str| {
            let row = answers.variables.iter().find(|row| text(row, "Variable_name") == Some(name));
            row.and_then(|row| text(row, "Value")).unwrap_or_default().to_string()
        };
        let is_on = |name: &str| ["1", "ON"].iter().any(|word| variable(name).eq_ignore_ascii_case(word));
        let listens = match variable(Dialect::BIND_ADDRESS) {
            _ if is_on(Dialect::SKIP_NETWORKING) => String::new(),
            // MariaDB says nothing for all of them.
            address if address.is_empty() => "*".into(),
            address => address,
        };
        let holders = |privileges: &[&str]| {
            let rows = answers.privileges.iter();
            let mut accounts: Vec<String> = rows
                .filter(|row| text(row, "privilege").is_some_and(|one| privileges.contains(&one)))
                .filter_map(|row| text(row, "grantee").map(str::to_string))
                .collect();
            accounts.sort();
            accounts.dedup();
            accounts
        };
        let own = ["'root'@'localhost'", "'mysql'@'localhost'", "'mariadb.sys'@'localhost'"];
        let tables = answers.tables.iter().filter_map(|row| {
            let count: u64 = number(row, "tables")?;
            Some(format!("{count} of {}", text(row, "engine")?))
        });
        Self {
            listens,
            lower_case_names: variable(Dialect::LOWER_CASE_NAMES),
            binlog_format: variable(Dialect::BINLOG_FORMAT),
            is_strict: is_on(dialect.gtid_strictness()),
            filters: filters(answers),
            unsafe_tables: tables.collect(),
            replicators: holders(&[Dialect::MAY_REPLICATE]),
            privileged: shortened(
                holders(dialect.writes_when_read_only())
                    .into_iter()
                    .filter(|one| !own.contains(&one.as_str()))
                    .collect(),
            ),
            cloners: holders(&[Dialect::MAY_CLONE]),
        }
    }
}

/// The first of them, and how many more there are.
fn shortened(mut names: Vec<String>) -> Vec<String> {
    const MOST: usize = 10;
    if names.len() > MOST {
        let more = format!("and {} more", names.len() - MOST);
        names.truncate(MOST);
        names.push(more);
    }
    names
}

fn filters(answers: &Answers<'_>) -> Vec<String> {
    let set = |row: &Row, name: &str| {
        text(row, name).filter(|value| !value.is_empty()).map(|value| format!("{name}={value}"))
    };
    let of_binlog =
        answers.binlog.iter().flat_map(|row| Dialect::BINLOG_FILTERS.iter().filter_map(move |name| set(row, name)));
    let of_replica = answers.replica.iter().flat_map(|row| {
        let names = row.keys().filter(|name| name.starts_with(Dialect::REPLICA_FILTERS) && *name != Dialect::NO_FILTER);
        names.filter_map(move |name| set(row, name))
    });
    of_binlog.chain(of_replica).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::version::{Vendor, Version};

    fn row(pairs: &[(&str, &str)]) -> Row {
        pairs.iter().map(|(name, value)| ((*name).to_string(), Some((*value).to_string()))).collect()
    }

    fn settings(vendor: Vendor, number: (u16, u16, u16)) -> Settings {
        let variables = [
            row(&[("Variable_name", "gtid_strict_mode"), ("Value", "ON")]),
            row(&[("Variable_name", "enforce_gtid_consistency"), ("Value", "OFF")]),
            row(&[("Variable_name", "bind_address"), ("Value", "127.0.0.1")]),
        ];
        let privileges = [
            row(&[("grantee", "'root'@'localhost'"), ("privilege", "SUPER")]),
            row(&[("grantee", "'app'@'%'"), ("privilege", "SUPER")]),
            row(&[("grantee", "'repl'@'%'"), ("privilege", "REPLICATION SLAVE")]),
        ];
        let answers = Answers {
            variables: &variables,
            binlog: &[row(&[("File", "binlog.1"), ("Binlog_Do_DB", ""), ("Binlog_Ignore_DB", "scratch")])],
            replica: &[row(&[("Replicate_Do_DB", "app"), ("Replicate_Ignore_Server_Ids", "3")])],
            tables: &[row(&[("engine", "MyISAM"), ("tables", "3")])],
            privileges: &privileges,
        };
        Settings::parse(Dialect::of(Version { vendor, number }), &answers)
    }

    #[test]
    fn filters_engines_and_addresses_are_read() {
        let settings = settings(Vendor::MariaDb, (10, 6, 0));
        assert_eq!(settings.filters, ["Binlog_Ignore_DB=scratch", "Replicate_Do_DB=app"]);
        assert_eq!((settings.unsafe_tables, settings.listens), (vec!["3 of MyISAM".to_string()], "127.0.0.1".into()));
        assert_eq!(settings.replicators, ["'repl'@'%'"]);
    }

    #[test]
    fn who_may_write_to_a_server_that_is_read_only_depends_on_the_version() {
        assert_eq!(settings(Vendor::MariaDb, (10, 6, 0)).privileged, ["'app'@'%'"]);
        assert!(settings(Vendor::MariaDb, (10, 11, 0)).privileged.is_empty());
        assert!(settings(Vendor::MySql, (8, 4, 0)).privileged.is_empty());
    }

    #[test]
    fn strictness_has_a_name_of_each_vendor() {
        assert!(settings(Vendor::MariaDb, (10, 6, 0)).is_strict && !settings(Vendor::MySql, (8, 4, 0)).is_strict);
    }
}

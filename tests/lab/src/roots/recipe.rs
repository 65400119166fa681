//! What goes into a root file system. The text of a recipe is its stamp: where it differs from the stamp of
//! what was built, that is built again. Nothing here does anything.

use super::Root;

/// Counted up when the steps of a build change without its texts changing.
const VERSION: u32 = 1;

/// The packages of every node. `ocft` and `ocf-tester` come with resource-agents.
const CLUSTER: [&str; 6] = ["corosync", "pacemaker", "pacemaker-cli-utils", "crmsh", "pcs", "resource-agents"];
const TOOLS: [&str; 8] =
    ["iproute2", "iputils-ping", "procps", "libxml2-utils", "python3", "ca-certificates", "systemd", "dbus"];

/// Whose server it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vendor {
    /// MariaDB.
    MariaDb,
    /// Oracle's MySQL.
    MySql,
}

impl Vendor {
    /// The client program.
    pub fn client(self) -> &'static str {
        match self {
            Vendor::MariaDb => "mariadb",
            Vendor::MySql => "mysql",
        }
    }

    /// The server program.
    pub(crate) fn daemon(self) -> &'static str {
        match self {
            Vendor::MariaDb => "/usr/sbin/mariadbd",
            Vendor::MySql => "/usr/sbin/mysqld",
        }
    }

    /// Where the lab's option file lies in a node: in the last directory read, sorted last in it.
    pub fn option_path(self) -> &'static str {
        match self {
            Vendor::MariaDb => "etc/mysql/mariadb.conf.d/zz-rustha-lab.cnf",
            Vendor::MySql => "etc/mysql/mysql.conf.d/zz-rustha-lab.cnf",
        }
    }

    /// A small redo log: the data directory is copied into memory, node by node.
    pub(super) fn redo_log(self) -> &'static str {
        match self {
            Vendor::MariaDb => "innodb_log_file_size=32M",
            Vendor::MySql => "innodb_redo_log_capacity=32M",
        }
    }
}

impl Root {
    /// Whose server it carries.
    pub fn vendor(self) -> Vendor {
        match self {
            Root::Deb12 | Root::Deb13 => Vendor::MariaDb,
            Root::Sid => Vendor::MySql,
        }
    }

    /// The distribution's name for it.
    pub(super) fn suite(self) -> &'static str {
        match self {
            Root::Deb12 => "bookworm",
            Root::Deb13 => "trixie",
            Root::Sid => "sid",
        }
    }

    /// The packages installed over the base system.
    pub(super) fn packages(self) -> Vec<&'static str> {
        let server: &[&str] = match self.vendor() {
            Vendor::MariaDb => &["mariadb-server", "mariadb-backup"],
            Vendor::MySql => &["mysql-server"],
        };
        [&CLUSTER[..], &TOOLS[..], server].concat()
    }
}

/// The recipe of the system.
pub(super) fn system(root: Root) -> String {
    format!("recipe {VERSION}\nsuite {}\npackages {}\n", root.suite(), root.packages().join(" "))
}

/// The recipe of the prepared data directory.
pub(super) fn server(root: Root) -> String {
    format!("{}{}\n{ACCOUNTS}", system(root), root.vendor().redo_log())
}

/// Run by the server itself as it starts, without a network and without a binary log: so no GTID is spent,
/// and every node starts from the same, empty position. One statement a line, as both servers want it.
pub(super) const ACCOUNTS: &str = "\
CREATE DATABASE app;
CREATE USER 'repl'@'%' IDENTIFIED BY 'repl-secret';
GRANT REPLICATION SLAVE ON *.* TO 'repl'@'%';
CREATE USER 'app'@'%' IDENTIFIED BY 'app-secret';
GRANT ALL PRIVILEGES ON app.* TO 'app'@'%';
CREATE USER 'watch'@'%' IDENTIFIED BY 'watch-secret';
SHUTDOWN;
";

/// The server's options on one node: what replication by GTID needs, and nothing of what rustha sets by itself.
pub fn option_file(vendor: Vendor, server_id: usize, host: &str) -> String {
    let shared = format!(
        "# Written by rustha-lab.\n[mysqld]\nserver_id = {server_id}\nreport_host = {host}\nbind_address = 0.0.0.0\n\
         skip_name_resolve = ON\nlog_bin = {host}-bin\nrelay_log = {host}-relay\n\
         innodb_buffer_pool_size = 64M\n{}\n\
         log_error = /var/log/mysql/error.log\n",
        vendor.redo_log()
    );
    let own = match vendor {
        Vendor::MariaDb => "log_slave_updates = ON\ngtid_strict_mode = ON\nperformance_schema = OFF\n",
        Vendor::MySql => {
            "gtid_mode = ON\nenforce_gtid_consistency = ON\nlog_replica_updates = ON\n\
             mysqlx = OFF\n"
        }
    };
    shared + own
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_account_statement_is_one_line() {
        assert!(ACCOUNTS.lines().all(|line| line.ends_with(';')));
    }

    #[test]
    fn a_changed_package_list_changes_the_stamp() {
        assert_ne!(system(Root::Deb12), system(Root::Sid));
    }

    #[test]
    fn the_options_name_the_node() {
        let text = option_file(Vendor::MySql, 2, "db2");
        assert!(text.contains("server_id = 2\nreport_host = db2\n") && text.contains("gtid_mode = ON"));
    }
}

//! "10.11.19-MariaDB-0+deb12u1" -> vendor and version. Pure.

use std::fmt;

/// Who makes the server; decides its language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vendor {
    /// MySQL, and what is built from it (Percona Server).
    MySql,
    /// MariaDB.
    MariaDb,
}

/// Vendor and version of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// Who makes it.
    pub vendor: Vendor,
    /// Major, minor, patch.
    pub number: (u16, u16, u16),
}

impl Version {
    /// Whether this version is `number` or later.
    pub fn is_at_least(self, number: (u16, u16, u16)) -> bool {
        self.number >= number
    }

    /// Reads `@@version` and `@@version_comment`.
    ///
    /// # Errors
    /// A text without a version number, or of a vendor whose language we do not speak.
    pub fn parse(version: &str, comment: &str) -> Result<Self, String> {
        let both = format!("{version} {comment}").to_ascii_lowercase();
        if let Some(stranger) = ["tidb", "oceanbase", "singlestore"].iter().find(|name| both.contains(**name)) {
            return Err(format!("'{version}' is a server of an unknown vendor ({stranger})"));
        }
        let vendor = if both.contains("mariadb") { Vendor::MariaDb } else { Vendor::MySql };
        // MariaDB before 11 says "5.5.5-10.11.2-MariaDB" in places where old clients read it.
        let text = version.strip_prefix("5.5.5-").unwrap_or(version);
        let digits = text.split(|c: char| !c.is_ascii_digit() && c != '.').next().unwrap_or_default();
        let mut parts = digits.split('.').map(str::parse::<u16>);
        match (parts.next(), parts.next(), parts.next()) {
            (Some(Ok(major)), Some(Ok(minor)), Some(Ok(patch))) => Ok(Self { vendor, number: (major, minor, patch) }),
            _ => Err(format!("'{version}' is not the version of a server")),
        }
    }

    /// Reads what `mysqld --version` prints: "… Ver 10.11.19-MariaDB for debian-linux-gnu …".
    ///
    /// # Errors
    /// As for [`Version::parse`].
    pub fn parse_banner(banner: &str) -> Result<Self, String> {
        let mut words = banner.split_whitespace();
        words.find(|word| *word == "Ver");
        Self::parse(words.next().unwrap_or_default(), banner)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let vendor = match self.vendor {
            Vendor::MySql => "MySQL",
            Vendor::MariaDb => "MariaDB",
        };
        let (major, minor, patch) = self.number;
        write!(formatter, "{vendor} {major}.{minor}.{patch}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(version: &str, comment: &str) -> String {
        Version::parse(version, comment).map_or_else(|error| error, |version| version.to_string())
    }

    #[test]
    fn versions_are_read_as_the_servers_write_them() {
        assert_eq!(parse("10.11.19-MariaDB-0+deb12u1-log", "Debian 12"), "MariaDB 10.11.19");
        assert_eq!(parse("5.5.5-10.11.2-MariaDB", ""), "MariaDB 10.11.2");
        assert_eq!(parse("12.0.2-MariaDB", "mariadb.org binary distribution"), "MariaDB 12.0.2");
        assert_eq!(parse("5.7.44-log", "MySQL Community Server (GPL)"), "MySQL 5.7.44");
        assert_eq!(parse("8.0.36-28", "Percona Server (GPL), Release 28"), "MySQL 8.0.36");
        assert_eq!(parse("9.7.4", "(Debian)"), "MySQL 9.7.4");
    }

    #[test]
    fn an_unknown_vendor_is_an_error() {
        assert!(parse("8.0.11-TiDB-v7.5.0", "TiDB Server").contains("unknown vendor"));
        assert!(parse("", "").contains("not the version"));
    }

    #[test]
    fn banners_of_both_vendors_are_read() {
        let maria = "mariadbd  Ver 10.11.19-MariaDB-0+deb12u1 for debian-linux-gnu on x86_64 (Debian 12)";
        assert_eq!(Version::parse_banner(maria).map(|v| v.to_string()), Ok("MariaDB 10.11.19".into()));
        let mysql = "/usr/sbin/mysqld  Ver 9.7.4 for Linux on x86_64 ((Debian))";
        assert_eq!(Version::parse_banner(mysql).map(|v| v.to_string()), Ok("MySQL 9.7.4".into()));
    }
}

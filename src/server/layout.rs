//! Where the server's program and files are on this node: what the parameters say, else what the server's own option
//! files say, else what Debian's and Red Hat's packages do. Nothing here needs the server to be installed: a probe on a
//! node without it must be able to say "not running".

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;

use super::dialect::Dialect;
use super::dialect::semisync::Plugins;
use super::options::Options;
use super::version::Version;
use crate::deadline::Deadline;
use crate::exec;

/// What an operator may say; everything else is found.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "each is the parameter of that name")]
pub struct Given {
    pub binary: Option<PathBuf>,
    pub config: Option<PathBuf>,
    pub datadir: Option<PathBuf>,
    pub socket: Option<PathBuf>,
    pub pid: Option<PathBuf>,
    pub log: Option<PathBuf>,
    pub user: Option<String>,
}

/// Program and files of one instance.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The server's program; `None` when there is none on this node.
    pub binary: Option<PathBuf>,
    /// The option file; `None` when there is none.
    pub config: Option<PathBuf>,
    /// The data directory.
    pub datadir: PathBuf,
    /// The socket.
    pub socket: PathBuf,
    /// The pid file.
    pub pid_file: PathBuf,
    /// The error log.
    pub log: PathBuf,
    /// The OS user as which the server runs.
    pub user: String,
    /// The semi-sync plugins that the option file speaks of.
    pub semi_sync_plugins: Option<Plugins>,
    /// Why the option file could not be read, if it could not: an error for start, not for stop.
    pub config_error: Option<String>,
}

/// Where packages put the server's program: MariaDB's name first, since its package also has the old one.
const BINARIES: &[&str] = &[
    "/usr/sbin/mariadbd",
    "/usr/libexec/mariadbd",
    "/usr/bin/mariadbd",
    "/usr/sbin/mysqld",
    "/usr/libexec/mysqld",
    "/usr/bin/mysqld",
    "/usr/local/mysql/bin/mysqld",
];

/// Where packages put the option file.
const CONFIGS: &[&str] = &["/etc/mysql/my.cnf", "/etc/my.cnf"];

impl Layout {
    /// What a server is told, first of all, so that it uses these files and no others, whatever the operator's `additional`
    /// options say.
    pub fn options(&self, additional: &[String]) -> Vec<String> {
        let config = self.config.iter().map(|path| format!("--defaults-file={}", path.display()));
        let files = [
            ("datadir", &self.datadir),
            ("socket", &self.socket),
            ("pid-file", &self.pid_file),
            ("log-error", &self.log),
        ];
        let files = files.into_iter().map(|(option, path)| format!("--{option}={}", path.display()));
        // The server takes the option file from its first argument only.
        let own = files.chain([format!("--user={}", self.user)]);
        config.chain(additional.iter().cloned()).chain(own).collect()
    }

    /// Finds everything.
    pub fn find(given: &Given) -> Self {
        let config = given.config.clone().or_else(|| first_existing(CONFIGS));
        let binary = find_binary(given.binary.as_deref());
        let (options, config_error) = match config.as_deref().map(Options::read) {
            Some(Ok(options)) => (options, None),
            Some(Err(error)) => (Options::default(), Some(format!("{error:#}"))),
            None => (Options::default(), None),
        };
        let groups = option_groups(&options, binary.as_deref());
        let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
        let path = |given: &Option<PathBuf>, option: &str| {
            given.clone().or_else(|| options.text(&groups, option).map(PathBuf::from))
        };
        let datadir = path(&given.datadir, "datadir").unwrap_or_else(|| "/var/lib/mysql".into());
        let beside = |file: PathBuf| if file.is_absolute() { file } else { datadir.join(file) };
        Self {
            socket: beside(path(&given.socket, "socket").unwrap_or_else(|| default_socket(&datadir))),
            pid_file: beside(path(&given.pid, "pid-file").unwrap_or_else(|| default_pid_file(&datadir))),
            log: beside(path(&given.log, "log-error").unwrap_or_else(|| default_log(&datadir))),
            user: given
                .user
                .clone()
                .or_else(|| options.text(&groups, "user").map(str::to_string))
                .unwrap_or_else(|| "mysql".into()),
            semi_sync_plugins: Plugins::spoken_of(options.within(&groups)),
            binary,
            config,
            datadir,
            config_error,
        }
    }
}

/// The program that was asked for, or the packages'. mysqld_safe is not used: it would start a killed server again
/// behind the cluster's back; who names it gets the server that it would have started.
fn find_binary(given: Option<&Path>) -> Option<PathBuf> {
    let Some(given) = given else { return first_existing(BINARIES) };
    let is_wrapper = given.file_name().is_some_and(|name| name.to_string_lossy().ends_with("_safe"));
    if is_wrapper {
        return first_existing(BINARIES);
    }
    if given.is_absolute() {
        return given.is_file().then(|| given.to_path_buf());
    }
    ["/usr/sbin", "/usr/bin", "/usr/libexec", "/usr/local/sbin", "/usr/local/bin"]
        .iter()
        .map(|dir| Path::new(dir).join(given))
        .find(|path| path.is_file())
}

fn first_existing(paths: &[&str]) -> Option<PathBuf> {
    paths.iter().map(PathBuf::from).find(|path| path.exists())
}

/// The groups that the server reads. Which of those with a version in their name are its own, only it can say; it is
/// asked only when there is such a group.
fn option_groups(options: &Options, binary: Option<&Path>) -> Vec<String> {
    let mut groups: Vec<String> = Dialect::OPTION_GROUPS.iter().map(|name| name.to_string()).collect();
    if options.has_versioned_group()
        && let Some(binary) = binary
        && let Ok(dialect) = ask_version(binary)
    {
        groups.extend(dialect.versioned_groups());
    }
    groups
}

/// The language of an installed server that is not running.
///
/// # Errors
/// When the program cannot be started or does not say its version.
pub fn ask_version(binary: &Path) -> Result<Dialect> {
    let deadline = Deadline::after(Duration::from_secs(5));
    let banner = exec::run(&binary.to_string_lossy(), &["--version"], None, deadline)?.success()?;
    Ok(Dialect::of(Version::parse_banner(&banner).map_err(anyhow::Error::msg)?))
}

/// Debian's directory for sockets, else Red Hat's place in the data directory.
fn default_socket(datadir: &Path) -> PathBuf {
    let debian = Path::new("/etc/mysql").exists();
    if debian { "/run/mysqld/mysqld.sock".into() } else { datadir.join("mysql.sock") }
}

fn default_pid_file(datadir: &Path) -> PathBuf {
    let run = ["/run/mysqld", "/run/mariadb"].iter().map(Path::new).find(|dir| dir.is_dir());
    run.map_or_else(|| datadir.join("mysqld.pid"), |dir| dir.join("mysqld.pid"))
}

fn default_log(datadir: &Path) -> PathBuf {
    let dir = ["/var/log/mysql", "/var/log/mariadb"].iter().map(Path::new).find(|dir| dir.is_dir());
    dir.map_or_else(|| datadir.join("error.log"), |dir| dir.join("error.log"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout_with(config: &str, given: Given) -> Layout {
        static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("rustha-layout-{}-{number}.cnf", std::process::id()));
        std::fs::write(&path, config).expect("written");
        let layout = Layout::find(&Given { config: Some(path.clone()), ..given });
        std::fs::remove_file(path).expect("removed");
        layout
    }

    #[test]
    fn files_come_from_the_servers_own_option_file() {
        let layout = layout_with(
            "[client-server]\nsocket=/run/x.sock\n[mysqld]\ndatadir=/data\npid-file=x.pid\nlog_error=/log\nuser=dba\n",
            Given::default(),
        );
        assert_eq!(layout.socket, Path::new("/run/x.sock"));
        assert_eq!(layout.datadir, Path::new("/data"));
        assert_eq!(layout.pid_file, Path::new("/data/x.pid"), "relative to the data directory, as the server sees it");
        assert_eq!(layout.log, Path::new("/log"));
        assert_eq!(layout.user, "dba");
    }

    #[test]
    fn a_parameter_wins_over_the_option_file() {
        let given = Given { datadir: Some("/mine".into()), ..Given::default() };
        assert_eq!(layout_with("[mysqld]\ndatadir=/data\n", given).datadir, Path::new("/mine"));
    }

    #[test]
    fn an_unreadable_option_file_is_remembered_and_harms_no_probe() {
        let layout = Layout::find(&Given { config: Some("/no/such.cnf".into()), ..Given::default() });
        assert!(layout.config_error.is_some_and(|why| why.contains("/no/such.cnf")));
        assert_eq!(layout.datadir, Path::new("/var/lib/mysql"));
    }

    #[test]
    fn a_program_that_is_not_there_is_none() {
        let given = Given { binary: Some("no_such".into()), ..Given::default() };
        assert!(layout_with("", given).binary.is_none());
    }
}

//! What the checks look at on one node: its server, its files, and whom it reaches. Asked by the guard there, for whoever asks.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::super::node::Node;
use super::super::provision::measure;
use super::super::start;
use crate::pacemaker::View;
use crate::server::client::Session;
use crate::server::dialect::Dialect;
use crate::server::dialect::backup::Method;
use crate::server::dialect::check::{OVERRIDDEN, UNITS};
use crate::server::options::Options;
use crate::server::rows::ServerState;
use crate::server::rows::settings::{Answers, Settings};
use crate::server::tools;
use crate::server::version::Version;

/// How long another node's server may take to accept a connection.
const REACHING: Duration = Duration::from_secs(2);

/// Where systemd keeps what is started at boot.
const ENABLED: &str = "/etc/systemd/system";

/// What is known of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// Its server, if it could be asked.
    pub server: Option<Server>,
    /// Why no server could be started here.
    pub cannot_start: Option<String>,
    /// The numbers of the OS user as which it runs.
    pub user: Option<(u32, u32)>,
    /// Units that would start a server at boot.
    pub units: Vec<String>,
    /// Options in the option file that do not hold.
    pub overridden: Vec<String>,
    /// How many bytes its data take.
    pub data: u64,
    /// How many are free beside them.
    pub free: u64,
    /// The tool that provides a node with the data of another one is missing.
    pub lacks_tool: Option<String>,
    /// The servers of other nodes that it does not reach, each with the reason.
    pub unreached: Vec<String>,
}

/// What is known of a server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Server {
    /// Vendor and version in words.
    pub version: String,
    /// The vendor in one word.
    pub vendor: String,
    /// The version in numbers.
    pub number: (u16, u16, u16),
    /// MySQL's server_uuid.
    pub uuid: Option<String>,
    /// What it needs to be part of replication.
    pub fitness: Fitness,
    /// What is committed is on the disk.
    pub durable: bool,
    /// The rest.
    pub settings: Settings,
}

/// What a server needs to be part of replication by GTID.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Fitness {
    /// Its number in replication.
    pub server_id: u64,
    /// It has a binary log.
    pub log_bin: bool,
    /// It logs what it replicates.
    pub log_updates: bool,
    /// Every transaction has a GTID.
    pub gtid: bool,
}

impl Fitness {
    /// That of a server in this state.
    pub fn of(state: &ServerState) -> Self {
        let ServerState { server_id, log_bin, log_updates, gtid, .. } = *state;
        Self { server_id, log_bin, log_updates, gtid }
    }
}

/// What is known of this node. `view`: where other nodes are, and how they are reached.
pub fn gather(node: &Node, view: Option<&View>) -> Facts {
    let layout = &node.layout;
    let free = nix::sys::statvfs::statvfs(&layout.datadir);
    let refused = node.trouble.clone().or_else(|| start::validate(node).err());
    let session = node.quick_session();
    let dialect = session.as_ref().ok().map(Session::dialect);
    Facts {
        server: session.ok().and_then(|mut session| {
            ask(&mut session).inspect_err(|error| log::warn!("cannot be checked: {error:#}")).ok()
        }),
        cannot_start: refused.map(|error| error.reason),
        user: node.os_user().ok().map(|user| (user.uid.as_raw(), user.gid.as_raw())),
        units: enabled_units(Path::new(ENABLED)),
        overridden: layout.config.as_deref().map(overridden).unwrap_or_default(),
        data: measure(&layout.datadir),
        free: free.map(|room| room.blocks_available().saturating_mul(room.fragment_size())).unwrap_or_default(),
        lacks_tool: dialect.and_then(lacking_tool),
        unreached: view.map(|view| unreached(node, view)).unwrap_or_default(),
    }
}

/// What is known of the server.
///
/// # Errors
/// When it cannot be asked.
pub fn ask(session: &mut Session) -> Result<Server> {
    let dialect = session.dialect();
    let state = session.state()?;
    let answers = Answers {
        variables: &session.query("the server's variables", Dialect::VARIABLES)?,
        binlog: &session.query("the binary log's filters", dialect.show_binlog_status())?,
        replica: &session.query("the replica's filters", &dialect.show_replica_status())?,
        tables: &session.query("the tables' engines", Dialect::UNSAFE_TABLES)?,
        privileges: &session.query("the accounts' privileges", Dialect::PRIVILEGES)?,
    };
    let settings = Settings::parse(dialect, &answers);
    let Version { number, .. } = dialect.version();
    let version = dialect.version().to_string();
    let vendor = version.split(' ').next().unwrap_or_default().to_string();
    Ok(Server {
        version,
        vendor,
        number,
        fitness: Fitness::of(&state),
        // On MariaDB it is the server_id once more.
        uuid: state.server_uuid.filter(|uuid| uuid.contains('-')),
        durable: state.durable,
        settings,
    })
}

/// The units that systemd starts by itself: `systemctl enable` makes a link for each target that wants them.
fn enabled_units(root: &Path) -> Vec<String> {
    let targets = std::fs::read_dir(root).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let wants = targets.filter(|path| path.extension().is_some_and(|extension| extension == "wants"));
    let mut units: Vec<String> = wants
        .flat_map(|wants| {
            UNITS.iter().filter(move |unit| wants.join(unit).is_symlink()).map(|unit| (*unit).to_string())
        })
        .collect();
    units.sort();
    units.dedup();
    units
}

/// The options that the agent overrides, with other values than its own.
fn overridden(config: &Path) -> Vec<String> {
    let Ok(options) = Options::read(config) else { return Vec::new() };
    let given = options.within(Dialect::OPTION_GROUPS);
    let contradicts = |name: &str, value: Option<&str>| {
        let own = OVERRIDDEN.iter().find(|(option, _)| *option == name);
        own.is_some_and(|(_, values)| {
            let value = value.unwrap_or("1");
            !values.iter().any(|one| one.eq_ignore_ascii_case(value)) || values.is_empty()
        })
    };
    given
        .filter(|(name, value)| contradicts(name, *value))
        .map(|(name, value)| value.map_or(name.to_string(), |value| format!("{name}={value}")))
        .collect()
}

fn lacking_tool(dialect: Dialect) -> Option<String> {
    let tool = Method::ALL.into_iter().filter(|method| *method == Method::Physical && dialect.knows(*method));
    let tool = tool.filter_map(|method| dialect.send_data(method, "", "", "", "")).next()?;
    tools::find(&tool).err().map(|error| format!("{error:#}"))
}

/// The servers of other nodes on which an instance runs, that do not accept a connection from here.
fn unreached(node: &Node, view: &View) -> Vec<String> {
    let me = node.cluster.as_ref().map_or("", |cluster| cluster.node.as_str());
    let others = view.instances.keys().filter(|name| *name != me);
    let sources = others.map(|name| (name.clone(), node.source_at(name, view)));
    std::thread::scope(|scope| {
        let tried: Vec<_> = sources
            .map(|(name, source)| {
                scope.spawn(move || {
                    let place = format!("{}:{}", source.host, source.port);
                    let why = reach(&source.host, source.port).err()?;
                    Some(format!("{name} ({place}): {why}"))
                })
            })
            .collect();
        tried.into_iter().filter_map(|tried| tried.join().ok().flatten()).collect()
    })
}

fn reach(host: &str, port: u16) -> Result<(), String> {
    let addresses = super::super::guard::resolve(host);
    let mut why = "its name is not known".to_string();
    for address in addresses {
        match TcpStream::connect_timeout(&SocketAddr::new(address, port), REACHING) {
            Ok(_) => return Ok(()),
            Err(error) => why = error.to_string(),
        }
    }
    Err(why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_contradict_the_agents_own_are_named() {
        let dir = std::env::temp_dir().join(format!("rustha-overridden-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a directory");
        let file = dir.join("my.cnf");
        let text = "[mysqld]\nsync_binlog = 0\nread_only=ON\ninnodb-flush-log-at-trx-commit=2\nskip-log-bin\n[client]\nsync_binlog=5\n";
        std::fs::write(&file, text).expect("written");
        assert_eq!(overridden(&file), ["sync-binlog=0", "innodb-flush-log-at-trx-commit=2", "skip-log-bin"]);
        let _ = std::fs::remove_dir_all(dir);
    }

    #[test]
    fn a_unit_that_is_enabled_is_found() {
        let dir = std::env::temp_dir().join(format!("rustha-units-{}", std::process::id()));
        let wants = dir.join("multi-user.target.wants");
        std::fs::create_dir_all(&wants).expect("a directory");
        assert!(enabled_units(&dir).is_empty());
        let _ = std::os::unix::fs::symlink("/lib/systemd/system/mariadb.service", wants.join("mariadb.service"));
        assert_eq!(enabled_units(&dir), ["mariadb.service"]);
        let _ = std::fs::remove_dir_all(dir);
    }
}

//! What the parameters of `mysql` (`parameters.rs`) say, validated: the only form in which the rest knows them.

use std::path::PathBuf;
use std::time::Duration;

use super::decide::freshness::telling_period;
use super::parameters::PARAMETERS;
use crate::ocf::env::Invocation;
use crate::ocf::exit::OcfError;
use crate::ocf::params::Reader;
use crate::server::client::Login;
use crate::server::dialect::backup::Method;
use crate::server::dialect::{Dialect, Tls, split_statements};
use crate::server::layout::Given;

/// The parameters, validated.
#[derive(Clone)]
pub struct Config {
    /// Where the server's files are, as far as it is said.
    pub given: Given,
    /// The OS group.
    pub group: String,
    /// The file with the agent's login.
    pub credentials: Option<PathBuf>,
    /// Logins to try where root is not let in by socket.
    pub fallback_logins: Vec<Login>,
    /// Further options for the server.
    pub additional: Vec<String>,
    /// Create a missing database.
    pub enable_creation: bool,
    /// The query of a deep monitor.
    pub test_query: Option<String>,
    /// Who replicates.
    pub replication_user: String,
    /// With which password.
    pub replication_password: String,
    /// At which port.
    pub replication_port: u16,
    /// How the replication connection is protected.
    pub tls: Tls,
    /// Addresses by node.
    pub host_map: Vec<(String, String)>,
    /// Most lag of a candidate, in seconds.
    pub max_candidate_lag: Option<u64>,
    /// The reader attribute's name.
    pub reader_attribute: Option<String>,
    /// How old what readers see may be; `None`: of any age.
    pub max_lag: Option<Duration>,
    /// The primary is one of the readable nodes.
    pub read_from_primary: bool,
    /// What runs on a server before it is read from.
    pub warmup: Vec<String>,
    /// How long a cold start waits.
    pub cold_start_timeout: Duration,
    /// What is promised to clients; `None`: semi-sync is not managed.
    pub semi_sync: Option<SemiSync>,
    /// A risk is taken rather than to wait for somebody who may not come back.
    pub prefers_availability: bool,
    /// How long a primary may be closed by hand; `None`: for ever.
    pub read_only_timeout: Option<Duration>,
    /// How long the server may be silent; `None`: the guard does not ask.
    pub hang_timeout: Option<Duration>,
    /// How long a primary goes on without the cluster's stack; `None`: for ever.
    pub stack_timeout: Option<Duration>,
    /// How a node comes back.
    pub rejoin: Rejoin,
    /// Most data that are replaced without an order, in bytes; `None`: no limit.
    pub rejoin_max_size: Option<u64>,
    /// Where what only one node has is saved.
    pub divergence_dir: PathBuf,
    /// How a node gets its data from another one.
    pub provision: Provision,
    /// The port at which a donor listens.
    pub provision_port: u16,
}

/// What becomes of a node that was down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejoin {
    /// Whatever brings it back.
    Auto,
    /// It replicates, or stays out.
    Replicate,
    /// It stays out.
    Manual,
}

/// How a node gets its data from another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provision {
    /// By the first method that works.
    Auto,
    /// By this one.
    By(Method),
    /// Not at all.
    Off,
}

/// What is promised to clients about each commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SemiSync {
    /// On how many replicas it is when they are told.
    pub acks: u32,
    /// How long writes wait for lost replicas; `None`: for ever.
    pub degrade: Option<Duration>,
}

impl Config {
    /// Reads the call's parameters.
    ///
    /// # Errors
    /// All wrong values, in one error.
    pub fn read(call: &Invocation) -> Result<Self, OcfError> {
        let (config, wrong) = Self::read_leniently(call);
        wrong.map_or(Ok(config), Err)
    }

    /// Reads the call's parameters, with defaults for those that are wrong, and what is wrong with them: a server must
    /// be stopped and looked at also with a configuration with which it could not be started.
    pub fn read_leniently(call: &Invocation) -> (Self, Option<OcfError>) {
        let mut reader = Reader::new(PARAMETERS, &call.params);
        let path = |reader: &mut Reader<'_>, name| reader.text(name).map(PathBuf::from);
        let given = Given {
            binary: path(&mut reader, "binary"),
            config: path(&mut reader, "config"),
            datadir: path(&mut reader, "datadir"),
            socket: path(&mut reader, "socket"),
            pid: path(&mut reader, "pid"),
            log: path(&mut reader, "log"),
            user: reader.text("user"),
        };
        let config = Self {
            given,
            group: reader.text("group").unwrap_or_default(),
            credentials: path(&mut reader, "credentials"),
            fallback_logins: read_logins(&mut reader, call),
            additional: read_additional(&mut reader),
            enable_creation: reader.boolean("enable_creation"),
            test_query: read_test_query(&mut reader),
            replication_user: reader.text("replication_user").unwrap_or_default(),
            replication_password: reader.text("replication_passwd").unwrap_or_default(),
            replication_port: read_port(&mut reader, "replication_port"),
            tls: read_tls(&mut reader),
            host_map: read_host_map(&mut reader),
            max_candidate_lag: Some(reader.integer("max_slave_lag")).filter(|lag| *lag > 0),
            reader_attribute: reader.text("reader_attribute"),
            max_lag: read_max_lag(&mut reader),
            read_from_primary: reader.boolean("read_from_primary"),
            warmup: read_warmup(&mut reader),
            cold_start_timeout: reader.time("cold_start_timeout"),
            semi_sync: read_semi_sync(&mut reader),
            prefers_availability: reader.choice("durability") == "available",
            read_only_timeout: reader.time_or_never("read_only_timeout"),
            hang_timeout: read_patience(&mut reader, "hang_timeout"),
            stack_timeout: read_patience(&mut reader, "stack_timeout"),
            rejoin: match reader.choice("rejoin").as_str() {
                "replicate" => Rejoin::Replicate,
                "manual" => Rejoin::Manual,
                _ => Rejoin::Auto,
            },
            rejoin_max_size: match reader.integer("rejoin_max_size") {
                0 => None,
                gigabytes => Some(gigabytes.saturating_mul(1_000_000_000)),
            },
            divergence_dir: path(&mut reader, "divergence_dir").unwrap_or_default(),
            provision: match reader.choice("provision").as_str() {
                "off" => Provision::Off,
                name => Method::parse(name).map_or(Provision::Auto, Provision::By),
            },
            provision_port: read_port(&mut reader, "provision_port"),
        };
        reader.boolean("evict_outdated_slaves");
        (config, reader.finish().err())
    }

    /// How often the primary tells how much it has, so that replicas know how far they are behind; `None`: nobody asks.
    pub fn telling_period(&self) -> Option<Duration> {
        self.max_lag.filter(|_| self.reader_attribute.is_some()).map(telling_period)
    }

    /// The address of a node that was said as a parameter.
    pub fn mapped_address(&self, node: &str) -> Option<&str> {
        self.host_map.iter().find(|(name, _)| name == node).map(|(_, address)| address.as_str())
    }

    /// The node of which an address was said as a parameter.
    pub fn node_at(&self, address: &str) -> Option<&str> {
        self.host_map.iter().find(|(_, mapped)| mapped == address).map(|(name, _)| name.as_str())
    }
}

/// Earlier agents logged in as test_user to look and as replication_user to change: their configurations go on working
/// where root is not let in by socket.
fn read_logins(reader: &mut Reader<'_>, call: &Invocation) -> Vec<Login> {
    // The one that may change things first.
    let pairs = [("replication_user", "replication_passwd"), ("test_user", "test_passwd")];
    let given = pairs.into_iter().filter(|(_, password)| call.params.contains_key(*password));
    given
        .map(|(user, password)| Login {
            user: reader.text(user).unwrap_or_else(|| "root".into()),
            password: reader.text(password),
        })
        .collect()
}

fn read_semi_sync(reader: &mut Reader<'_>) -> Option<SemiSync> {
    /// A replica answers a note within two seconds; with less, healthy ones would be taken out.
    const SHORTEST: Duration = Duration::from_secs(3);
    let acks = reader.integer("semi_sync_acks");
    if !(1..=16).contains(&acks) {
        reader.wrong(format!("semi_sync_acks must be 1 to 16, not {acks}"));
    }
    let degrade = reader.time_or_never("semi_sync_degrade");
    if degrade.is_some_and(|degrade| degrade < SHORTEST) {
        reader.wrong(format!("semi_sync_degrade must be {} s or more, or never", SHORTEST.as_secs()));
    }
    let semi_sync = SemiSync { acks: u32::try_from(acks).unwrap_or(1), degrade };
    (reader.choice("semi_sync") == "managed").then_some(semi_sync)
}

fn read_max_lag(reader: &mut Reader<'_>) -> Option<Duration> {
    /// What a replica knows of the primary is some seconds old.
    const SHORTEST: Duration = Duration::from_secs(5);
    let time = reader.time_or_never("max_lag");
    if time.is_some_and(|time| time < SHORTEST) {
        reader.wrong(format!("max_lag must be {} s or more, or never", SHORTEST.as_secs()));
    }
    time
}

fn read_warmup(reader: &mut Reader<'_>) -> Vec<String> {
    let text = reader.text("warmup").unwrap_or_default();
    let statements = split_statements(&text).unwrap_or_else(|why| {
        reader.wrong(format!("warmup: {why}"));
        Vec::new()
    });
    for statement in &statements {
        let verb = statement.split(|letter: char| !letter.is_ascii_alphabetic()).next().unwrap_or_default();
        if !["SELECT", "WITH"].iter().any(|reads| verb.eq_ignore_ascii_case(reads)) {
            reader.wrong(format!("warmup only reads: '{statement}' does not begin with SELECT or WITH"));
        }
    }
    statements
}

fn read_port(reader: &mut Reader<'_>, name: &'static str) -> u16 {
    let port = reader.integer(name);
    u16::try_from(port).unwrap_or_else(|_| {
        reader.wrong(format!("{name} must be at most 65535, not {port}"));
        0
    })
}

/// A time of the guard's: it looks once a second, and one answer that is late shall not be a failure.
fn read_patience(reader: &mut Reader<'_>, name: &'static str) -> Option<Duration> {
    const SHORTEST: Duration = Duration::from_secs(3);
    let time = reader.time_or_never(name);
    if time.is_some_and(|time| time < SHORTEST) {
        reader.wrong(format!("{name} must be {} s or more, or off", SHORTEST.as_secs()));
    }
    time
}

fn read_additional(reader: &mut Reader<'_>) -> Vec<String> {
    let text = reader.text("additional_parameters").unwrap_or_default();
    shell_words::split(&text).unwrap_or_else(|error| {
        reader.wrong(format!("additional_parameters cannot be split into words: {error}"));
        Vec::new()
    })
}

fn read_test_query(reader: &mut Reader<'_>) -> Option<String> {
    let table = reader.text("test_table")?;
    Dialect::test_query(&table).map_err(|why| reader.wrong(why)).ok()
}

fn read_tls(reader: &mut Reader<'_>) -> Tls {
    let tls = Tls {
        required: reader.boolean("replication_require_ssl"),
        verify: reader.boolean("replication_ssl_verify"),
        ca: reader.text("replication_master_ssl_ca"),
        cert: reader.text("replication_master_ssl_cert"),
        key: reader.text("replication_master_ssl_key"),
    };
    if tls.verify && !(tls.required && tls.ca.is_some()) {
        reader.wrong("replication_ssl_verify needs replication_require_ssl=true and replication_master_ssl_ca".into());
    }
    tls
}

fn read_host_map(reader: &mut Reader<'_>) -> Vec<(String, String)> {
    let text = reader.text("replication_host_map").unwrap_or_default();
    let pairs = text.split([';', ' ', ',']).map(str::trim).filter(|pair| !pair.is_empty());
    let mut map = Vec::new();
    for pair in pairs {
        match pair.split_once(':') {
            Some((node, address)) if !node.is_empty() && !address.is_empty() => map.push((node.into(), address.into())),
            _ => reader.wrong(format!("replication_host_map must hold node:address pairs, not '{pair}'")),
        }
    }
    map
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Config, OcfError> {
        let env = pairs.iter().map(|(name, value)| (format!("OCF_RESKEY_{name}"), value.to_string()));
        Config::read(&Invocation::from_pairs(env))
    }

    #[test]
    fn every_name_of_the_earlier_agents_is_understood() {
        let names = "binary client_binary config datadir user group log pid socket test_table test_user test_passwd \
                     enable_creation additional_parameters replication_user replication_passwd replication_port \
                     replication_require_ssl replication_master_ssl_ca replication_master_ssl_cert \
                     replication_master_ssl_key max_slave_lag evict_outdated_slaves reader_attribute node_list";
        for name in names.split_whitespace() {
            assert!(PARAMETERS.iter().any(|parameter| parameter.name == name), "{name} is missing");
        }
    }

    #[test]
    fn defaults_are_valid() {
        let config = read(&[]).expect("valid");
        assert_eq!((config.replication_port, config.max_candidate_lag), (3306, Some(3600)));
        assert!(config.fallback_logins.is_empty(), "without a password only the socket is tried");
    }

    #[test]
    fn all_wrong_values_are_named_at_once() {
        let wrong = [
            ("replication_port", "70000"),
            ("max_slave_lag", "much"),
            ("replication_host_map", "db1"),
            ("replication_ssl_verify", "yes"),
            ("additional_parameters", "--a='b"),
            ("test_table", "a.b.c"),
            ("max_lag", "2s"),
            ("warmup", "SELECT 1; DELETE FROM a.b"),
        ];
        let reason = read(&wrong).err().expect("wrong").reason;
        for (name, _) in wrong {
            assert!(reason.contains(name), "{name} is not in: {reason}");
        }
    }

    #[test]
    fn addresses_are_given_by_node() {
        let config = read(&[("replication_host_map", "db1:10.0.0.1; db2:fd00::2")]).expect("valid");
        assert_eq!(config.mapped_address("db2"), Some("fd00::2"));
        assert_eq!(config.mapped_address("db3"), None);
    }

    #[test]
    fn options_for_the_server_keep_their_quoted_spaces() {
        let config = read(&[("additional_parameters", "--skip-name-resolve --init-connect='SET NAMES utf8'")]);
        assert_eq!(config.expect("valid").additional, ["--skip-name-resolve", "--init-connect=SET NAMES utf8"]);
    }
}

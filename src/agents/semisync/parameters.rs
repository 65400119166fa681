//! The parameters of the agent `semisync`.

use std::path::PathBuf;

use crate::ocf::env::Invocation;
use crate::ocf::exit::OcfError;
use crate::ocf::params::{Kind, Parameter, Reader};
use crate::server::layout::Given;

use super::decide::Acks;

/// All parameters.
#[rustfmt::skip]
pub static PARAMETERS: &[Parameter] = &[
    Parameter::new("config", Kind::Text, "Option file", "The server's option file, in which its socket is looked up. Default: /etc/mysql/my.cnf or /etc/my.cnf."),
    Parameter::new("socket", Kind::Text, "Socket", "The server's socket. Default: what the option file says, else the place of the distribution's packages.").unique(),
    Parameter::new(
        "credentials",
        Kind::Text,
        "File with the agent's login",
        "A file in the syntax of my.cnf with user and password in [client], as whom the agent talks to the local \
         server; only its owner may read it. Not needed where root is let in by socket (unix_socket, auth_socket), as \
         the distributions set it up.",
    )
    .reloadable(),
    Parameter::new(
        "acks",
        Kind::Text,
        "Replicas that acknowledge each commit",
        "How many replicas must have received a transaction before its client is told that it is committed. auto: as \
         many as make, with the primary, a majority of it and its connected replicas (1 for one or two replicas, 2 for \
         three or four); it follows the number of replicas at each monitor. MariaDB knows no other number than 1.",
    )
    .default("auto")
    .reloadable(),
    Parameter::new(
        "timeout",
        Kind::TimeOrNever,
        "How long a commit waits",
        "After this time without an acknowledgement the server tells its clients all the same and goes on \
         asynchronously, until a replica has caught up. never: writes wait until a replica acknowledges them.",
    )
    .default("never")
    .reloadable(),
];

/// The parameters, validated.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the server is, as far as it is said.
    pub given: Given,
    /// The file with the agent's login.
    pub credentials: Option<PathBuf>,
    /// How many replicas must acknowledge.
    pub acks: Acks,
    /// After how many milliseconds clients are told all the same; `None`: never.
    pub timeout: Option<u64>,
}

impl Config {
    /// Reads the call's parameters, with defaults for those that are wrong, and what is wrong with them: what was set
    /// must be undone also by a configuration with which it could not be set.
    pub fn read(call: &Invocation) -> (Self, Option<OcfError>) {
        let mut reader = Reader::new(PARAMETERS, &call.params);
        let path = |reader: &mut Reader<'_>, name| reader.text(name).map(PathBuf::from);
        let given =
            Given { config: path(&mut reader, "config"), socket: path(&mut reader, "socket"), ..Given::default() };
        let timeout = reader.time_or_never("timeout").map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        if timeout == Some(0) {
            reader.wrong(
                "timeout must be longer than 0: stop the resource to switch semi-synchronous replication off".into(),
            );
        }
        let config =
            Self { given, credentials: path(&mut reader, "credentials"), acks: read_acks(&mut reader), timeout };
        (config, reader.finish().err())
    }
}

fn read_acks(reader: &mut Reader<'_>) -> Acks {
    let text = reader.text("acks").unwrap_or_default();
    match (text.as_str(), text.parse()) {
        ("auto", _) => Acks::Auto,
        // MySQL takes no more.
        (_, Ok(number @ 1..=65_535)) => Acks::Fixed(number),
        _ => {
            reader.wrong(format!("acks must be auto or a number from 1 on, not '{text}'"));
            Acks::Auto
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> (Config, Option<OcfError>) {
        let env = pairs.iter().map(|(name, value)| (format!("OCF_RESKEY_{name}"), value.to_string()));
        Config::read(&Invocation::from_pairs(env))
    }

    #[test]
    fn by_default_the_count_is_found_and_a_commit_waits_for_ever() {
        let (config, wrong) = read(&[]);
        assert!(wrong.is_none() && config.acks == Acks::Auto && config.timeout.is_none());
    }

    #[test]
    fn a_time_out_is_told_to_the_server_in_milliseconds() {
        assert_eq!(read(&[("timeout", "1500ms")]).0.timeout, Some(1500));
        assert_eq!(read(&[("timeout", "10s")]).0.timeout, Some(10_000));
    }

    #[test]
    fn all_wrong_values_are_named_at_once() {
        let (config, wrong) = read(&[("acks", "0"), ("timeout", "soon")]);
        let reason = wrong.expect("both are wrong").reason;
        assert!(reason.contains("acks") && reason.contains("timeout"), "{reason}");
        assert_eq!(config.acks, Acks::Auto);
        assert!(read(&[("timeout", "0")]).1.is_some());
    }
}

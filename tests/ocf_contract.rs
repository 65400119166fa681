//! The conventions that every OCF agent must obey and hand-written ones often get wrong, by the numbers of the
//! project's list of them. Only those that can be seen by calling the agent alone, where no server and no cluster is:
//! the others are scenarios (`cargo lab test contract`) or unit tests of the rooms that hold them.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// The numbers of OCF's exit codes.
const SUCCESS: i32 = 0;
const ERR_GENERIC: i32 = 1;
const ERR_ARGS: i32 = 2;
const ERR_UNIMPLEMENTED: i32 = 3;
const ERR_INSTALLED: i32 = 5;
const ERR_CONFIGURED: i32 = 6;
const NOT_RUNNING: i32 = 7;

/// The agents that are held to all of it; what only one of them has is held where it is.
const AGENTS: &[&str] = &["mysql", "semisync", "vip", "vipcheck"];

/// Those of them that make no sense but as promotable clones.
const WITH_ROLES: &[&str] = &["mysql", "semisync"];

/// A machine that has an agent under its name, and nothing else: no server, no data, no cluster.
struct Machine {
    agent: &'static str,
    directory: PathBuf,
    env: BTreeMap<String, String>,
}

struct Answer {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Machine {
    fn bare() -> Machine {
        Machine::with_agent("mysql")
    }

    fn with_agent(agent: &'static str) -> Machine {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("rustha-contract-{}-{number}", std::process::id()));
        fs::create_dir_all(&directory).expect("a temporary directory can be made");
        symlink(env!("CARGO_BIN_EXE_rustha"), directory.join(agent)).expect("a link can be made in a new directory");
        let path = |name: &str| directory.join(name).display().to_string();
        let env = [
            ("OCF_ROOT", "/usr/lib/ocf".to_owned()),
            ("OCF_RESOURCE_INSTANCE", "p_db".to_owned()),
            ("OCF_RESKEY_CRM_meta_timeout", "20000".to_owned()),
            ("HA_RSCTMP", path("run")),
            ("OCF_RESKEY_binary", path("no-such-server")),
            ("OCF_RESKEY_config", path("no-such-option-file")),
            ("OCF_RESKEY_datadir", path("no-such-data")),
            ("OCF_RESKEY_socket", path("no-such-socket")),
            ("OCF_RESKEY_pid", path("no-such-pid")),
            // Set apart for documentation (RFC 5737): it is nobody's, and lies in no network.
            ("OCF_RESKEY_ip", "192.0.2.77".to_owned()),
            ("OCF_RESKEY_target_ip", "192.0.2.77".to_owned()),
            ("OCF_RESKEY_nic", "no-such-nic".to_owned()),
        ];
        let env = env.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Machine { agent, directory, env }
    }

    fn with(mut self, name: &str, value: &str) -> Machine {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    fn call(&self, argv: &[&str]) -> Answer {
        let mut command = Command::new(self.directory.join(self.agent));
        let output = command.args(argv).env_clear().envs(&self.env).output().expect("the agent can be started");
        Answer {
            code: output.status.code().expect("the agent ends by itself"),
            stdout: String::from_utf8(output.stdout).expect("what it prints is text"),
            stderr: String::from_utf8(output.stderr).expect("what it says is text"),
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Left in /tmp, it does no harm.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

#[test]
fn convention_1_a_probe_says_not_running_where_nothing_runs() {
    for agent in AGENTS {
        let machine = Machine::with_agent(agent).with("OCF_RESKEY_CRM_meta_interval", "0");
        assert_eq!(machine.call(&["monitor"]).code, NOT_RUNNING, "{agent}");
    }
}

#[test]
fn convention_2_stop_and_monitor_tell_the_truth_with_everything_missing() {
    for agent in AGENTS {
        let machine = Machine::with_agent(agent);
        assert_eq!(machine.call(&["stop"]).code, SUCCESS, "{agent}");
        assert_eq!(machine.call(&["monitor"]).code, NOT_RUNNING, "{agent}");
    }
}

#[test]
fn convention_2_start_and_a_thorough_validation_fail_with_everything_missing() {
    assert_eq!(Machine::bare().call(&["start"]).code, ERR_INSTALLED);
    assert_eq!(Machine::bare().with("OCF_CHECK_LEVEL", "10").call(&["validate-all"]).code, ERR_INSTALLED);
    for agent in ["vip", "vipcheck"] {
        let answer = Machine::with_agent(agent).call(&["start"]);
        assert!(answer.code == ERR_ARGS && answer.stderr.contains("no-such-nic"), "{agent}: {}", answer.stderr);
        let validated = Machine::with_agent(agent).with("OCF_CHECK_LEVEL", "10").call(&["validate-all"]);
        assert_eq!(validated.code, ERR_ARGS, "{agent}");
    }
    // It asks for nothing but a server, which may be there at the next try.
    assert_eq!(Machine::with_agent("semisync").call(&["start"]).code, ERR_GENERIC);
    let semisync = Machine::with_agent("semisync").with("OCF_CHECK_LEVEL", "10");
    assert_eq!(semisync.call(&["validate-all"]).code, ERR_GENERIC);
}

#[test]
fn convention_2_stop_and_monitor_work_with_parameters_that_are_wrong() {
    for (agent, name, value) in [
        ("mysql", "replication_port", "much"),
        ("mysql", "credentials", "/no/such/file"),
        ("mysql", "max_slave_lag", "-1"),
        ("semisync", "acks", "many"),
        ("semisync", "credentials", "/no/such/file"),
        ("semisync", "timeout", "soon"),
        ("vip", "cidr_netmask", "33"),
        ("vip", "lease", "1s"),
        ("vipcheck", "target_ip", "10.77.0.50/24"),
        ("vipcheck", "wait", "soon"),
    ] {
        let machine = Machine::with_agent(agent).with(&format!("OCF_RESKEY_{name}"), value);
        assert_eq!(machine.call(&["stop"]).code, SUCCESS, "{name}");
        assert_eq!(machine.call(&["monitor"]).code, NOT_RUNNING, "{name}");
        let started = machine.call(&["start"]);
        assert!([ERR_ARGS, ERR_CONFIGURED].contains(&started.code), "{name}: {}", started.stderr);
    }
}

#[test]
fn convention_3_stop_of_a_stopped_instance_is_a_success_and_can_be_repeated() {
    for agent in AGENTS {
        let machine = Machine::with_agent(agent);
        assert_eq!((machine.call(&["stop"]).code, machine.call(&["stop"]).code), (SUCCESS, SUCCESS), "{agent}");
    }
}

/// The developer's guide wants 1. A failed demote is recorded, and aborts the recovery in which it stands; a daemon that
/// is provably dead acknowledges nothing, which is all that demote is for (objection 16 of the safety review).
#[test]
fn convention_5_demote_while_stopped_succeeds_which_is_a_deviation() {
    for agent in AGENTS {
        assert_eq!(Machine::with_agent(agent).call(&["demote"]).code, SUCCESS, "{agent}");
    }
}

#[test]
fn convention_5_promote_while_stopped_fails_and_starts_nothing() {
    for agent in AGENTS {
        let machine = Machine::with_agent(agent);
        assert_eq!(machine.call(&["promote"]).code, ERR_GENERIC, "{agent}");
        assert_eq!(machine.call(&["monitor"]).code, NOT_RUNNING, "{agent}");
    }
}

#[test]
fn convention_8_a_bad_value_is_no_reason_to_ban_the_resource_from_all_nodes() {
    let answer = Machine::bare().with("OCF_RESKEY_replication_port", "much").call(&["validate-all"]);
    assert!([ERR_ARGS, ERR_CONFIGURED].contains(&answer.code), "{}: {}", answer.code, answer.stderr);
    assert!(answer.stderr.contains("replication_port"), "{}", answer.stderr);
}

#[test]
fn convention_14_notify_succeeds_whatever_it_finds() {
    assert_eq!(Machine::bare().call(&["notify"]).code, SUCCESS);
    assert_eq!(Machine::bare().with("OCF_RESKEY_replication_port", "much").call(&["notify"]).code, SUCCESS);
}

#[test]
fn convention_17_without_notifications_the_configuration_is_refused_clearly() {
    let machine = Machine::bare().with("OCF_RESKEY_crm_feature_set", "3.16.1");
    let machine = machine.with("OCF_RESKEY_CRM_meta_promotable", "true").with("OCF_RESKEY_CRM_meta_on_node", "db1");
    let answer = machine.with("OCF_RESKEY_CRM_meta_notify", "false").call(&["validate-all"]);
    assert_eq!(answer.code, ERR_CONFIGURED);
    assert!(answer.stderr.contains("notify=true"), "{}", answer.stderr);
}

#[test]
fn convention_17_an_agent_with_roles_refuses_to_be_started_without_them() {
    for agent in WITH_ROLES {
        let machine = Machine::with_agent(agent).with("OCF_RESKEY_crm_feature_set", "3.16.1");
        let answer = machine.with("OCF_RESKEY_CRM_meta_on_node", "db1").call(&["start"]);
        assert_eq!(answer.code, ERR_CONFIGURED, "{agent}: {}", answer.stderr);
        assert!(answer.stderr.contains("promotable=true"), "{agent}: {}", answer.stderr);
    }
}

#[test]
fn convention_22_the_meta_data_is_all_there_is_on_stdout_and_nothing_is_on_stderr() {
    for agent in AGENTS {
        let mut machine = Machine::with_agent(agent);
        machine.env.clear();
        let answer = machine.call(&["meta-data"]);
        assert_eq!((answer.code, answer.stderr.as_str()), (SUCCESS, ""), "{agent}");
        assert!(answer.stdout.starts_with("<?xml") && answer.stdout.trim_end().ends_with("</resource-agent>"));
    }
}

#[test]
fn convention_23_a_validation_at_level_0_looks_at_nothing_of_this_machine() {
    for agent in AGENTS {
        let machine = Machine::with_agent(agent).with("OCF_CHECK_LEVEL", "0");
        assert_eq!(machine.call(&["validate-all"]).code, SUCCESS, "{agent}");
    }
}

#[test]
fn convention_24_an_unknown_action_is_unimplemented() {
    for agent in AGENTS {
        assert_eq!(Machine::with_agent(agent).call(&["no-such-action"]).code, ERR_UNIMPLEMENTED, "{agent}");
        assert_eq!(Machine::with_agent(agent).call(&[]).code, ERR_UNIMPLEMENTED, "{agent}");
    }
}

#[test]
fn convention_24_further_arguments_are_ignored() {
    assert_eq!(Machine::bare().call(&["monitor", "--no-such-option", "more"]).code, NOT_RUNNING);
}

#[test]
fn convention_24_a_check_level_that_is_none_acts_as_the_next_lower() {
    assert_eq!(Machine::bare().with("OCF_CHECK_LEVEL", "5").call(&["validate-all"]).code, SUCCESS);
    assert_eq!(Machine::bare().with("OCF_CHECK_LEVEL", "15").call(&["validate-all"]).code, ERR_INSTALLED);
}

#[test]
fn convention_25_a_failure_has_exactly_one_reason_and_it_comes_last() {
    for (agent, action) in AGENTS.iter().flat_map(|agent| [(agent, "start"), (agent, "promote")]) {
        let stderr = Machine::with_agent(agent).call(&[action]).stderr;
        assert_eq!(stderr.matches("ocf-exit-reason:").count(), 1, "{agent} {action}: {stderr}");
        let last = stderr.lines().last().unwrap_or_default();
        assert!(last.len() > "ocf-exit-reason:".len() && last.starts_with("ocf-exit-reason:"), "{action}: {stderr}");
    }
}

#[test]
fn convention_25_a_password_is_in_no_reason_and_in_no_log() {
    let machine = Machine::bare().with("OCF_RESKEY_replication_passwd", "s3cret-w0rd");
    let machine = machine.with("OCF_RESKEY_test_passwd", "s3cret-w0rd").with("OCF_RESKEY_replication_port", "much");
    for action in ["start", "promote", "validate-all", "monitor"] {
        let answer = machine.call(&[action]);
        assert!(!(answer.stdout + &answer.stderr).contains("s3cret-w0rd"), "{action}");
    }
}

#[test]
fn convention_26_stdout_is_the_protocols() {
    for agent in AGENTS {
        for action in ["start", "stop", "monitor", "promote", "demote", "notify", "validate-all", "no-such-action"] {
            assert_eq!(Machine::with_agent(agent).call(&[action]).stdout, "", "{agent} {action}");
        }
    }
}

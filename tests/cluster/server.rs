//! The agent and one server, without a configured cluster: what start, stop and monitor say when something is wrong.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rustha_lab::process::Output;
use rustha_lab::scenario::{Bed, Scenario};
use rustha_lab::{Daemon, Fault, Node};

use crate::{BOTH, WHOLE};

pub const ALL: &[Scenario] = &[
    Scenario {
        name: "server-start-fails",
        about: "start fails at once when the daemon dies, with the last error of its log as the reason.",
        roots: BOTH,
        long: false,
        nodes: 1,
        fencing: false,
        run: start_fails,
    },
    Scenario {
        name: "server-start-killed",
        about: "Invariant 6: a start that was killed is repeated: it waits for the server, or says why that ended.",
        roots: BOTH,
        long: false,
        nodes: 1,
        fencing: false,
        run: start_killed,
    },
    Scenario {
        name: "server-creation",
        about: "Invariant 6: enable_creation, killed at any stage, is done again, and touches nothing that was there.",
        roots: BOTH,
        long: false,
        nodes: 1,
        fencing: false,
        run: creation,
    },
    Scenario {
        name: "server-hangs",
        about: "Invariant 5: monitor reports a hung daemon and stop ends it, both within their time.",
        roots: BOTH,
        long: false,
        nodes: 1,
        fencing: false,
        run: hangs,
    },
    Scenario {
        name: "server-slow",
        about: "Invariant 5: a statement that is not answered ends before the action's time does, and is named.",
        roots: BOTH,
        long: false,
        nodes: 1,
        fencing: false,
        run: slow,
    },
    Scenario {
        name: "server-busy",
        about: "Too many connections are no failure; a clean stop and a start after it work.",
        roots: BOTH,
        long: false,
        nodes: 1,
        fencing: false,
        run: busy,
    },
    Scenario {
        name: "server-conventions",
        about: "Conventions 4, 5, 6 and 27: start ends unpromoted, roles are the truth, a promoted instance can be stopped.",
        roots: BOTH,
        long: false,
        nodes: 1,
        fencing: false,
        run: conventions,
    },
];

const AGENT: &str = "/usr/lib/ocf/resource.d/rustha/mysql";

fn call(node: &Node, action: &str, parameters: &[&str]) -> Result<Output> {
    let fixed = [
        "env",
        "OCF_RESOURCE_INSTANCE=p_db",
        "OCF_RESKEY_CRM_meta_timeout=30000",
        "OCF_RESKEY_CRM_meta_interval=10000",
    ];
    node.exec(&[&fixed[..], parameters, &[AGENT, action]].concat(), Duration::from_secs(130))
}

fn expect(node: &Node, action: &str, code: i32) -> Result<()> {
    let output = call(node, action, &[])?;
    ensure!(output.status.code() == Some(code), "{action}: {} instead of {code}: {}", output.status, output.stderr);
    Ok(())
}

fn start_fails(bed: &Bed) -> Result<()> {
    let node = bed.node("db1")?;
    let start = Instant::now();
    let output = call(node, "start", &["OCF_RESKEY_additional_parameters=--no-such-option=1"])?;
    ensure!(output.status.code() == Some(1), "start: {}: {}", output.status, output.stderr);
    let reason = output.stderr.lines().find(|line| line.starts_with("ocf-exit-reason:")).unwrap_or_default();
    ensure!(reason.contains("unknown variable 'no-such-option=1'"), "the reason does not say why: {reason}");
    ensure!(start.elapsed() < Duration::from_secs(10), "start took {:?} to fail", start.elapsed());
    expect(node, "monitor", 7)
}

/// Starts the agent's start and kills its process group as soon as the daemon, which has left the group, is there.
fn kill_start(node: &Node, parameter: &str) -> Result<()> {
    let script = "setsid env OCF_RESOURCE_INSTANCE=p_db OCF_RESKEY_CRM_meta_timeout=30000 \"$2\" \"$1\" start & \
                  until pgrep -f '^/usr/sbin/[a-z]* .*--datadir=' >/dev/null; do sleep 0.01; done; kill -KILL -$!";
    let output = node.exec(&["sh", "-c", script, "sh", AGENT, parameter], Duration::from_secs(10))?;
    ensure!(node.pids_of(Daemon::Database)?.len() == 1, "the daemon ended with its agent: {}", output.stderr);
    Ok(())
}

fn start_killed(bed: &Bed) -> Result<()> {
    let node = bed.node("db1")?;
    kill_start(node, "OCF_RESKEY_user=mysql")?;
    expect(node, "start", 0)?;
    expect(node, "monitor", 0)?;
    let log = node.run(&["grep", "mysql(p_db) start: already running", "/var/log/syslog"])?;
    ensure!(log.lines().count() == 1, "the second start did not meet the first one's daemon: {log}");
    expect(node, "stop", 0)?;
    // A server that is about to end: both vendors' complain of an option after their engines are up.
    kill_start(node, "OCF_RESKEY_additional_parameters=--no-such-option=1")?;
    let start = Instant::now();
    let output = call(node, "start", &[])?;
    ensure!(output.status.code() == Some(1), "start: {}: {}", output.status, output.stderr);
    let reason = output.stderr.lines().find(|line| line.starts_with("ocf-exit-reason:")).unwrap_or_default();
    ensure!(reason.contains("the server ended: ") && reason.contains("'no-such-option=1'"), "{reason}");
    ensure!(start.elapsed() < Duration::from_secs(10), "start took {:?} to fail", start.elapsed());
    expect(node, "start", 0)?;
    expect(node, "stop", 0)
}

const CREATE: &[&str] = &["OCF_RESKEY_enable_creation=true", "OCF_RESKEY_CRM_meta_timeout=120000"];

fn creation(bed: &Bed) -> Result<()> {
    let node = bed.node("db1")?;
    let refused = |says: &str| -> Result<()> {
        let output = call(node, "start", &[])?;
        let is_refused = output.status.code() == Some(5) && output.stderr.contains(says);
        ensure!(is_refused, "start: {} instead of 5, {says}: {}", output.status, output.stderr);
        Ok(())
    };
    node.run(&["sh", "-c", "cd /var/lib/mysql && rm -rf -- * && mkdir of-the-operator && touch of-the-operator/file"])?;
    refused("holds no database")?;
    node.run(&["sh", "-c", "echo '/dev/none /var/lib/mysql ext4 defaults 0 0' >> /etc/fstab"])?;
    let output = call(node, "start", CREATE)?;
    let is_refused = output.status.code() == Some(5)
        && output.stderr.contains("/var/lib/mysql, which /etc/fstab says is to be mounted");
    ensure!(is_refused, "start on an empty mount point: {}: {}", output.status, output.stderr);
    ensure!(node.run(&["ls", "-A", "/var/lib/mysql"])?.trim() == "of-the-operator", "something was put there");
    node.run(&["sed", "-i", "/dev.none/d", "/etc/fstab"])?;
    // With all that it started, as Pacemaker does it; and alone, so that the server's program lives on for a while.
    for whom in ["-$pid", "$pid"] {
        kill_creation(node, whom)?;
        refused("was interrupted")?;
        expect(node, "monitor", 7)?;
    }
    created(node)?;
    // Killed while the files were moved to their places: some are there, the system tables are not.
    let half = "cd /var/lib/mysql && mkdir .rustha-created && mv mysql performance_schema .rustha-created";
    node.run(&["sh", "-c", half])?;
    created(node)
}

/// Starts the agent's start in a group of its own and kills `whom` of it as soon as tables are being created.
fn kill_creation(node: &Node, whom: &str) -> Result<()> {
    let script = format!(
        "touch /root/before; setsid env OCF_RESOURCE_INSTANCE=p_db {} {AGENT} start & pid=$!; \
         until [ /var/lib/mysql/.rustha-creating/ibdata1 -nt /root/before ]; do sleep 0.01; done; kill -KILL {whom}",
        CREATE.join(" ")
    );
    node.exec(&["sh", "-c", &script], Duration::from_secs(60))?;
    node.run(&["ls", "/var/lib/mysql/.rustha-creating/ibdata1"]).map(drop)
}

/// Starts, which creates the database or finds it; then it is whole, and what was there before is there.
fn created(node: &Node) -> Result<()> {
    let output = call(node, "start", CREATE)?;
    ensure!(output.status.code() == Some(0), "start: {}: {}", output.status, output.stderr);
    ensure!(node.sql("SELECT COUNT(*) FROM mysql.user")?.trim().parse::<u32>()? > 0, "there are no accounts");
    let left = node.run(&["ls", "-A", "/var/lib/mysql"])?;
    ensure!(!left.contains("rustha"), "the creation left something: {left}");
    node.run(&["ls", "/var/lib/mysql/of-the-operator/file"])?;
    expect(node, "monitor", 0)?;
    expect(node, "stop", 0)
}

fn hangs(bed: &Bed) -> Result<()> {
    let node = bed.node("db1")?;
    expect(node, "start", 0)?;
    bed.lab().fault(Fault::HangDaemon, "db1")?;
    let start = Instant::now();
    expect(node, "monitor", 1)?;
    expect(node, "stop", 0)?;
    ensure!(start.elapsed() < Duration::from_secs(10), "monitor and stop took {:?}", start.elapsed());
    ensure!(node.pids_of(Daemon::Database)?.is_empty(), "the daemon is still there");
    expect(node, "monitor", 7)
}

fn slow(bed: &Bed) -> Result<()> {
    let node = bed.node("db1")?;
    expect(node, "start", 0)?;
    expect(node, "promote", 0)?;
    node.sql("CREATE TABLE app.locked (id INT)")?;
    let lock = "mysql -e 'LOCK TABLES app.locked WRITE; SELECT SLEEP(30)' >/dev/null 2>&1";
    // Waited for: with the end of the call its process group is killed, which the client may not have left yet.
    let outside =
        "setsid --fork sh -c \"$1\"; until mysql -e 'SHOW PROCESSLIST' | grep -qF 'SLEEP(30)'; do sleep 0.1; done";
    node.exec(&["sh", "-c", outside, "sh", lock], WHOLE)?;
    let deep = ["OCF_CHECK_LEVEL=10", "OCF_RESKEY_test_table=app.locked", "OCF_RESKEY_CRM_meta_timeout=6000"];
    let start = Instant::now();
    let output = call(node, "monitor", &deep)?;
    ensure!(start.elapsed() < Duration::from_secs(6), "monitor took {:?} of its 6 s", start.elapsed());
    ensure!(output.status.code() == Some(1), "monitor: {}: {}", output.status, output.stderr);
    let reason = output.stderr.lines().find(|line| line.starts_with("ocf-exit-reason:")).unwrap_or_default();
    ensure!(reason.contains("cannot read the test table: the server did not answer within"), "{reason}");
    expect(node, "stop", 0)
}

fn busy(bed: &Bed) -> Result<()> {
    let node = bed.node("db1")?;
    expect(node, "start", 0)?;
    node.sql("SET GLOBAL max_connections=10")?;
    // More clients than the server takes; also the one that is kept for the administrator is used up.
    let hold = "for i in $(seq 14); do (mysql -e 'SELECT SLEEP(20)' >/dev/null 2>&1 &); done; sleep 1; mysql -e 'SELECT 1' 2>&1 || true";
    let refused = node.exec(&["sh", "-c", hold], Duration::from_secs(20))?;
    ensure!(refused.stdout.contains("1040"), "the server is not busy: {}", refused.stdout);
    expect(node, "monitor", 0)?;
    expect(node, "stop", 0)?;
    expect(node, "start", 0)?;
    expect(node, "stop", 0)?;
    expect(node, "stop", 0)
}

/// Each line is an action and the code that the convention of this number asks for.
fn conventions(bed: &Bed) -> Result<()> {
    let node = bed.node("db1")?;
    let is_closed = || node.sql("SELECT @@global.read_only").map(|value| value.trim() != "0");
    expect(node, "start", 0)?;
    ensure!(is_closed()?, "convention 4: start must end unpromoted, closed for writes");
    expect(node, "start", 0)?;
    expect(node, "monitor", 0)?;
    expect(node, "promote", 0)?;
    ensure!(!is_closed()?, "promoted, and closed for writes");
    expect(node, "monitor", 8)?;
    // Convention 5: what is already so is a success.
    expect(node, "promote", 0)?;
    expect(node, "start", 0)?;
    expect(node, "monitor", 8)?;
    expect(node, "demote", 0)?;
    ensure!(is_closed()?, "demote must close in the action");
    expect(node, "demote", 0)?;
    expect(node, "monitor", 0)?;
    // Objection 7: durability is enforced at start, and verified.
    let validated = call(node, "validate-all", &["OCF_CHECK_LEVEL=10"])?;
    ensure!(validated.status.code() == Some(0), "validate-all: {}: {}", validated.status, validated.stderr);
    node.sql("SET GLOBAL sync_binlog=0")?;
    let validated = call(node, "validate-all", &["OCF_CHECK_LEVEL=10"])?;
    ensure!(validated.status.code() == Some(2), "validate-all without durability: {}", validated.status);
    ensure!(validated.stderr.contains("sync_binlog"), "{}", validated.stderr);
    expect(node, "promote", 0)?;
    // Convention 27: a recovery may stop a promoted instance without demoting it.
    let stopped = call(node, "stop", &[])?;
    ensure!(stopped.status.code() == Some(0), "convention 27: {}: {}", stopped.status, stopped.stderr);
    let log = node.run(&["grep", "mysql(p_db) stop: ", "/var/log/syslog"])?;
    ensure!(log.contains("closed for writes"), "convention 27: stop must do what demote does: {log}");
    expect(node, "monitor", 7)
}

//! A disk that hangs: who waits for it cannot be ended, not even by SIGKILL.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rustha_lab::process::Output;
use rustha_lab::scenario::{Bed, Scenario};
use rustha_lab::{Daemon, Node};

use crate::{BOTH, WHOLE};

pub const ALL: &[Scenario] = &[
    Scenario {
        name: "stuck-disk-agent",
        about: "Invariant 5: monitor and stop of a server that nothing can end return in time, and say why.",
        roots: BOTH,
        long: true,
        nodes: 1,
        fencing: false,
        run: agent,
    },
    Scenario {
        name: "stuck-disk-primary",
        about: "Invariant 1: the primary's disk hangs while it goes to standby; when it answers again, all is as it was.",
        roots: BOTH,
        long: true,
        nodes: 3,
        fencing: false,
        run: primary,
    },
];

const AGENT: &str = "/usr/lib/ocf/resource.d/rustha/mysql";

/// No disk hangs for longer, whatever becomes of the scenario.
const LIMIT: Duration = Duration::from_secs(150);

/// What an action is given here, in seconds.
const TIME: u64 = 20;

/// Runs an action, which must be done before its time is over.
fn call(node: &Node, action: &str) -> Result<Output> {
    let timeout = format!("OCF_RESKEY_CRM_meta_timeout={TIME}000");
    let argv = ["env", "OCF_RESOURCE_INSTANCE=p_db", &timeout, "OCF_RESKEY_CRM_meta_interval=10000", AGENT, action];
    let start = Instant::now();
    let output = node.exec(&argv, Duration::from_secs(TIME))?;
    println!("{action}: {} after {:.1} s: {}", output.status, start.elapsed().as_secs_f32(), output.stderr.trim());
    Ok(output)
}

fn expect(node: &Node, action: &str, code: i32) -> Result<Output> {
    let output = call(node, action)?;
    ensure!(output.status.code() == Some(code), "{action}: {} instead of {code}: {}", output.status, output.stderr);
    Ok(output)
}

fn agent(bed: &Bed) -> Result<()> {
    let node = bed.node("db1")?;
    node.separate_data()?;
    expect(node, "start", 0)?;
    expect(node, "promote", 0)?;
    node.sql("CREATE TABLE app.written (id INT AUTO_INCREMENT PRIMARY KEY)")?;
    let write = "while mysql -e 'INSERT INTO app.written VALUES ()'; do :; done";
    node.exec(&["setsid", "--fork", "sh", "-c", &format!("({write}) >/dev/null 2>&1")], WHOLE)?;
    std::thread::sleep(Duration::from_secs(1));
    let stuck = node.stick_disk(LIMIT)?;
    std::thread::sleep(Duration::from_secs(1));
    call(node, "monitor")?;
    for _ in 0..2 {
        let output = expect(node, "stop", 1)?;
        ensure!(output.stderr.contains("does not end, even by SIGKILL"), "stop: {}", output.stderr);
        let output = expect(node, "monitor", 1)?;
        ensure!(output.stderr.contains("ocf-exit-reason:the server "), "monitor: {}", output.stderr);
        println!("{}", node.run(&["ps", "-eLo", "pid,lwp,stat,comm,wchan"])?);
    }
    ensure!(!node.pids_of(Daemon::Database)?.is_empty(), "the daemon is gone: the disk did not hang");
    drop(stuck);
    bed.wait("the end of the daemon", WHOLE, || Ok(node.pids_of(Daemon::Database)?.is_empty().then_some(())))?;
    expect(node, "monitor", 7)?;
    expect(node, "stop", 0)?;
    expect(node, "start", 0)?;
    ensure!(node.sql("SELECT COUNT(*) FROM app.written")?.trim() != "0", "what was written is gone");
    expect(node, "stop", 0).map(drop)
}

/// Without fencing, a server that cannot be stopped keeps the cluster from going on; what it may not do is to lose
/// something, or to let two write.
fn primary(bed: &Bed) -> Result<()> {
    let node = bed.node("db1")?;
    node.separate_data()?;
    let short = [("op stop timeout=120s", "op stop timeout=20s"), ("op demote timeout=120s", "op demote timeout=20s")];
    let primary = bed.standard_configuration_with_all(&short)?;
    ensure!(primary == node.name(), "{primary} was elected, and not the first by name");
    let ledger = bed.ledger()?;
    ledger.wait_for_acknowledged(50, Duration::from_secs(20))?;
    ledger.mark("the primary's disk hangs");
    let stuck = node.stick_disk(LIMIT)?;
    bed.whole_node()?.run(&["crm_standby", "--node", &primary, "--update", "on"])?;
    std::thread::sleep(Duration::from_secs(60));
    let failed = node.run(&["grep", "stop: the server .* does not end, even by SIGKILL", "/var/log/syslog"])?;
    ensure!(failed.lines().count() == 1, "stop did not fail in its time: {failed}");
    ledger.mark("it answers again");
    drop(stuck);
    bed.whole_node()?.exec(&["crm_resource", "--wait", "--timeout=80s"], WHOLE)?;
    bed.whole_node()?.run(&["crm_standby", "--node", &primary, "--delete"])?;
    bed.clean_up()?;
    bed.wait_healthy(WHOLE)?;
    ledger.wait_until_written(Duration::from_secs(20))?;
    bed.finish(ledger, &bed.names()).map(drop)
}

//! The agent `semisync` beside servers that somebody else runs: started by hand here, with ocf:pacemaker:Stateful in the
//! place of the database's agent.

use std::time::Duration;

use anyhow::{Result, ensure};
use rustha_lab::bench::address::Address;
use rustha_lab::bench::contender::{Contender, Setting};
use rustha_lab::process::Output;
use rustha_lab::scenario::{Bed, Scenario};
use rustha_lab::{Node, Root, Vendor};

use crate::contract::ask_ocf_tester;
use crate::{BOTH, WHOLE};

pub const ALL: &[Scenario] = &[
    Scenario {
        name: "semisync-roles",
        about: "semisync: each change of role sets both sides, and stop sets back what was before.",
        roots: BOTH,
        long: false,
        fencing: false,
        nodes: 3,
        run: roles,
    },
    Scenario {
        name: "semisync-heartbeat",
        about: "semisync beside ocf:heartbeat:mariadb: it follows a planned move; beside a heartbeat:mysql that does not replicate it says so.",
        roots: BOTH,
        long: true,
        fencing: false,
        nodes: 3,
        run: heartbeat,
    },
    Scenario {
        name: "semisync-watch",
        about: "semisync: the count follows the replicas; what is switched off, or does not acknowledge, is degraded.",
        roots: BOTH,
        long: true,
        fencing: false,
        nodes: 4,
        run: watch,
    },
    Scenario {
        name: "semisync-stuck",
        about: "semisync: demote acknowledges no commit that no replica has acknowledged (objection 14).",
        roots: BOTH,
        long: true,
        fencing: false,
        nodes: 1,
        run: stuck,
    },
    Scenario {
        name: "semisync-rivals",
        about: "semisync and mysql refuse each other on one server, and say so.",
        roots: BOTH,
        long: false,
        fencing: false,
        nodes: 1,
        run: rivals,
    },
    Scenario {
        name: "semisync-ocf-tester",
        about: "semisync: ocf-tester has nothing to say, but that a server alone is a degraded replica.",
        roots: BOTH,
        long: true,
        fencing: false,
        nodes: 1,
        run: tester,
    },
    Scenario {
        name: "semisync-plugins",
        about: "Objection 20: MySQL's plugins are installed where it is promoted, or it is said where they must come from.",
        roots: &[Root::Sid],
        long: true,
        fencing: false,
        nodes: 1,
        run: plugins,
    },
];

/// How long monitors, every 2 to 3 s, and the cluster may take to say or do something.
const SOON: Duration = Duration::from_secs(30);

/// In the place of the database's agent, which does nothing; db1 is the primary at first.
const DATABASE: &str = "property stonith-enabled=false
primitive p_db ocf:pacemaker:Stateful op monitor role=Promoted interval=10s op monitor role=Unpromoted interval=11s
clone c_db p_db meta promotable=true interleave=true
location primary c_db rule $role=Promoted inf: #uname eq db1
";

/// As the README has it, but for the intervals.
const SEMISYNC: &str = "primitive p_semi ocf:rustha:semisync \\
  op monitor role=Promoted interval=2s timeout=20s op monitor role=Unpromoted interval=3s timeout=20s
clone c_semi p_semi meta promotable=true interleave=true
colocation semi_with_db inf: c_semi:Promoted c_db:Promoted
order db_before_semi Mandatory: c_db:start c_semi:start
order primary_before_semi Mandatory: c_db:promote c_semi:promote
";

/// A server's words.
struct Words {
    source: &'static str,
    replica: &'static str,
    wait_no_replica: &'static str,
}

fn words(bed: &Bed) -> Words {
    match bed.lab().root().vendor() {
        Vendor::MariaDb => Words { source: "master", replica: "slave", wait_no_replica: "wait_no_slave" },
        Vendor::MySql => Words { source: "source", replica: "replica", wait_no_replica: "wait_no_replica" },
    }
}

/// A variable, or with `status` a status variable, of one half.
fn value(node: &Node, half: &str, name: &str) -> Result<String> {
    let what = if ["status", "clients", "yes_tx"].contains(&name) { "STATUS" } else { "VARIABLES" };
    let row = node.sql(&format!("SHOW GLOBAL {what} LIKE 'rpl_semi_sync_{half}_{name}'"))?;
    Ok(row.trim().split('\t').nth(1).unwrap_or_default().to_owned())
}

/// What the agent `semisync` asks an administrator of MySQL for; MariaDB has it built in.
fn load_plugins(node: &Node, bed: &Bed) -> Result<()> {
    match bed.lab().root().vendor() {
        Vendor::MariaDb => Ok(()),
        Vendor::MySql => node.add_options("plugin_load_add=semisync_source.so\nplugin_load_add=semisync_replica.so\n"),
    }
}

/// Starts a program in a session of its own, and returns when the test succeeds; earlier, the end of the call would take
/// the program with it.
fn in_background(node: &Node, program: &str, test: &str) -> Result<()> {
    let wait = format!("until {test}; do sleep 0.1; done");
    let script = format!("setsid {program} </dev/null >/dev/null 2>&1 & {wait}");
    node.run(&["sh", "-c", &script]).map(drop)
}

/// Makes a server a replica of another node's, and closes it.
fn replicate(bed: &Bed, node: &Node, source: &str) -> Result<()> {
    let host = bed.node(source)?.address();
    node.sql(&match bed.lab().root().vendor() {
        Vendor::MariaDb => format!(
            "SET GLOBAL read_only=1; SET GLOBAL gtid_slave_pos=@@global.gtid_current_pos; CHANGE MASTER TO \
             MASTER_HOST='{host}', MASTER_USER='repl', MASTER_PASSWORD='repl-secret', MASTER_USE_GTID=slave_pos, \
             MASTER_CONNECT_RETRY=1, MASTER_HEARTBEAT_PERIOD=2; START REPLICA"
        ),
        Vendor::MySql => format!(
            "SET GLOBAL super_read_only=1; CHANGE REPLICATION SOURCE TO SOURCE_HOST='{host}', SOURCE_USER='repl', \
             SOURCE_PASSWORD='repl-secret', SOURCE_AUTO_POSITION=1, GET_SOURCE_PUBLIC_KEY=1, SOURCE_CONNECT_RETRY=1, \
             SOURCE_HEARTBEAT_PERIOD=2; START REPLICA"
        ),
    })
    .map(drop)
}

/// Servers on all nodes, all replicas of db1.
fn start_replication(bed: &Bed) -> Result<()> {
    for node in bed.lab().nodes() {
        load_plugins(node, bed)?;
        node.start_server("")?;
    }
    bed.others("db1").into_iter().try_for_each(|name| replicate(bed, bed.node(name)?, "db1"))
}

fn wait_status(bed: &Bed, node: &str, part: &str) -> Result<()> {
    let mut last = String::new();
    let waited = bed.wait(&format!("{node}: {part}"), SOON, || {
        last = bed.attribute(node, "p_semi-status")?.unwrap_or_default();
        Ok(last.contains(part).then_some(()))
    });
    waited.map_err(|error| error.context(format!("{node} says: {last}")))
}

/// Source there, replicas elsewhere, really on, and a write is acknowledged by one of them.
fn assert_sides(bed: &Bed, primary: &str) -> Result<()> {
    let Words { source, replica, .. } = words(bed);
    let count = bed.names().len() - 1;
    wait_status(bed, primary, &format!("of {count} replicas"))?;
    for name in bed.others(primary) {
        wait_status(bed, name, "replica, acknowledges to")?;
        let node = bed.node(name)?;
        let found = (value(node, replica, "status")?, value(node, source, "enabled")?);
        ensure!(found == ("ON".into(), "OFF".into()), "{name}, a replica: {found:?}");
    }
    let node = bed.node(primary)?;
    for (name, wanted) in
        [("enabled", "ON"), ("status", "ON"), ("wait_point", "AFTER_SYNC"), ("timeout", "18446744073709551615")]
    {
        let found = value(node, source, name)?;
        ensure!(found == wanted, "{primary}, the source: {name} is {found}");
    }
    ensure!(value(node, replica, "enabled")? == "OFF", "{primary}: the replica's half is on");
    let before = value(node, source, "yes_tx")?;
    node.sql(
        "CREATE TABLE IF NOT EXISTS app.semi (id INT PRIMARY KEY AUTO_INCREMENT); INSERT INTO app.semi VALUES ()",
    )?;
    ensure!(value(node, source, "yes_tx")? != before, "{primary}: a write was not acknowledged by a replica");
    Ok(())
}

fn roles(bed: &Bed) -> Result<()> {
    let Words { source, replica, .. } = words(bed);
    start_replication(bed)?;
    // What stop must find again.
    bed.node("db1")?.sql(&format!("SET GLOBAL rpl_semi_sync_{source}_timeout=7777"))?;
    bed.node("db3")?.sql(&format!("SET GLOBAL rpl_semi_sync_{replica}_enabled=1"))?;
    bed.configure(&[DATABASE, SEMISYNC].concat())?;
    assert_sides(bed, "db1")?;

    // What the database's agent would do, by hand; nobody writes meanwhile. The old primary is closed after its demotion,
    // as the orders of the configuration have it.
    let (old, new) = (bed.node("db1")?, bed.node("db2")?);
    let position = if bed.lab().root().vendor() == Vendor::MySql { "gtid_executed" } else { "gtid_current_pos" };
    let query = format!("SELECT @@global.{position}");
    bed.wait("db2 with everything", SOON, || Ok((old.sql(&query)? == new.sql(&query)?).then_some(())))?;
    new.sql("STOP REPLICA; RESET REPLICA ALL; SET GLOBAL read_only=0")?;
    wait_status(bed, "db2", "takes writes, but this instance is not promoted")?;
    bed.configure(&DATABASE.replace("eq db1", "eq db2"))?;
    wait_status(bed, "db2", "writes wait: 0 of 1")?;
    bed.node("db3")?.sql("STOP REPLICA; RESET REPLICA ALL")?;
    replicate(bed, bed.node("db3")?, "db2")?;
    replicate(bed, old, "db2")?;
    assert_sides(bed, "db2")?;

    bed.whole_node()?.run(&["crm", "resource", "stop", "c_semi"])?;
    bed.wait("everything stopped", SOON, || Ok(bed.attribute("db2", "p_semi-status")?.is_none().then_some(())))?;
    for (name, half, setting, wanted) in [
        ("db1", source, "timeout", "7777"),
        ("db1", source, "enabled", "OFF"),
        ("db1", replica, "status", "OFF"),
        ("db2", source, "enabled", "OFF"),
        ("db2", source, "status", "OFF"),
        ("db2", source, "timeout", "10000"),
        ("db3", replica, "status", "ON"),
    ] {
        let node = bed.node(name)?;
        bed.wait(&format!("{name}: {half} {setting} {wanted} again"), SOON, || {
            Ok((value(node, half, setting)? == wanted).then_some(()))
        })?;
    }
    Ok(())
}

fn heartbeat(bed: &Bed) -> Result<()> {
    let agent = match bed.lab().root().vendor() {
        Vendor::MariaDb => Contender::HeartbeatMariadb,
        Vendor::MySql => Contender::HeartbeatMysql,
    };
    for node in bed.lab().nodes() {
        load_plugins(node, bed)?;
    }
    let primary = agent
        .configure(bed, Setting { interval: Duration::from_secs(2), is_measured: false, address: Address::Ipaddr2 })?;
    bed.configure(SEMISYNC)?;
    if agent == Contender::HeartbeatMysql {
        // The cluster looks healthy: one promoted, two unpromoted, no failures. No replica replicates.
        wait_status(bed, &primary, "writes wait: 0 of 1")?;
        return assert_shown(bed, "191", "writes wait");
    }
    assert_sides(bed, &primary)?;
    let target = bed.others(&primary)[0].to_owned();
    agent.ask_for_move(bed, &target)?;
    bed.wait(&format!("{target} promoted"), WHOLE, || Ok((bed.promoted()?.as_ref() == Some(&target)).then_some(())))?;
    // Its constraint stays: when that is taken away, heartbeat:mariadb moves back.
    assert_sides(bed, &target)
}

fn watch(bed: &Bed) -> Result<()> {
    start_replication(bed)?;
    bed.configure(&[DATABASE, SEMISYNC].concat())?;
    assert_sides(bed, "db1")?;
    count_follows(bed)?;
    switched_off_is_degraded(bed)?;
    silent_receiver_is_degraded(bed)?;
    lone_primary_is_degraded(bed)
}

/// Three replicas: two of them make a majority with the primary. MariaDB always waits for one.
fn count_follows(bed: &Bed) -> Result<()> {
    let is_counted = bed.lab().root().vendor() == Vendor::MySql;
    wait_status(bed, "db1", if is_counted { "on 2 of 3 replicas" } else { "on 1 of 3 replicas" })?;
    let gone = bed.node("db4")?;
    gone.sql("STOP REPLICA")?;
    wait_status(bed, "db4", "its receiver is not connected")?;
    wait_status(bed, "db1", "on 1 of 2 replicas")?;
    gone.sql("START REPLICA")?;
    wait_status(bed, "db1", if is_counted { "on 2 of 3 replicas" } else { "on 1 of 3 replicas" })
}

fn switched_off_is_degraded(bed: &Bed) -> Result<()> {
    let Words { source, replica, wait_no_replica } = words(bed);
    let primary = bed.node("db1")?;
    for (setting, wrong) in [("enabled", "0"), (wait_no_replica, "0"), ("timeout", "1000")] {
        primary.sql(&format!("SET GLOBAL rpl_semi_sync_{source}_{setting}={wrong}"))?;
        wait_status(bed, "db1", &format!("writes are not safe: rpl_semi_sync_{source}_{setting} is"))?;
        assert_shown(bed, "191", "writes are not safe")?;
        if setting == "enabled" {
            // An operator may have had a reason: only when it is asked for is it set again.
            std::thread::sleep(Duration::from_secs(5));
            wait_status(bed, "db1", "writes are not safe")?;
        }
        call(primary, "reload-agent", "semisync", "p_semi", &[])?;
        wait_status(bed, "db1", "source, each write")?;
    }
    bed.node("db2")?.sql(&format!("SET GLOBAL rpl_semi_sync_{replica}_enabled=0"))?;
    wait_status(bed, "db2", "somebody switched")?;
    assert_shown(bed, "190", "somebody switched")?;
    call(bed.node("db2")?, "reload-agent", "semisync", "p_semi", &[])?;
    wait_status(bed, "db2", "replica, acknowledges")
}

/// The variable is on, but the receiver connected before it was: the monitor says so, and starts it again.
fn silent_receiver_is_degraded(bed: &Bed) -> Result<()> {
    let replica = words(bed).replica;
    let node = bed.node("db3")?;
    let enable = |on: u8| format!("SET GLOBAL rpl_semi_sync_{replica}_enabled={on}");
    node.sql(&format!("{}; STOP REPLICA IO_THREAD; START REPLICA IO_THREAD; DO SLEEP(1); {}", enable(0), enable(1)))?;
    wait_status(bed, "db3", "ran without acknowledging, and was started again")?;
    wait_status(bed, "db3", "replica, acknowledges")?;
    ensure!(value(node, replica, "status")? == "ON", "the receiver does not acknowledge");
    Ok(())
}

fn lone_primary_is_degraded(bed: &Bed) -> Result<()> {
    for name in bed.others("db1") {
        bed.node(name)?.sql("STOP REPLICA")?;
    }
    wait_status(bed, "db1", "writes wait: 0 of 1 replicas")?;
    assert_shown(bed, "191", "writes wait")
}

/// The cluster shows the degraded monitor and its reason.
fn assert_shown(bed: &Bed, code: &str, reason: &str) -> Result<()> {
    let query = ["cibadmin", "--query", "--xpath", "//lrm_rsc_op[@operation='monitor']"];
    bed.wait(&format!("a monitor with {code} ({reason})"), SOON, || {
        let shown = bed.whole_node()?.run(&query)?;
        let is_it = |line: &str| line.contains(&format!("rc-code=\"{code}\"")) && line.contains(reason);
        Ok(shown.lines().any(is_it).then_some(()))
    })
}

/// Runs an action by hand, as Pacemaker would outside of a cluster.
fn call(node: &Node, action: &str, agent: &str, resource: &str, parameters: &[&str]) -> Result<Output> {
    let (instance, path) =
        (format!("OCF_RESOURCE_INSTANCE={resource}"), format!("/usr/lib/ocf/resource.d/rustha/{agent}"));
    let fixed = ["env", &instance, "OCF_RESKEY_CRM_meta_timeout=30000", "OCF_RESKEY_CRM_meta_interval=10000"];
    node.exec(&[&fixed[..], parameters, &[&path, action]].concat(), Duration::from_secs(40))
}

fn expect(output: &Output, code: i32, reason: &str) -> Result<()> {
    let is_it = output.status.code() == Some(code) && output.stderr.contains(reason);
    ensure!(is_it, "{} instead of {code} with '{reason}': {}", output.status, output.stderr);
    Ok(())
}

fn stuck(bed: &Bed) -> Result<()> {
    let node = bed.node("db1")?;
    let semi = |action: &str| call(node, action, "semisync", "p_semi", &[]);
    load_plugins(node, bed)?;
    node.start_server("")?;
    node.sql("CREATE TABLE app.stuck (id INT PRIMARY KEY)")?;
    expect(&semi("start")?, 0, "")?;
    expect(&semi("promote")?, 0, "")?;
    let client = bed.lab().root().vendor().client();
    let insert = format!("sh -c \"{client} --execute 'INSERT INTO app.stuck VALUES (1)'; echo \\$? > /root/told\"");
    let waiting = format!("SHOW GLOBAL STATUS LIKE 'rpl_semi_sync_{}_wait_sessions'", words(bed).source);
    in_background(node, &insert, &format!("{client} --execute \"{waiting}\" | grep -q 1"))?;
    expect(&semi("monitor")?, 191, "writes wait: 0 of 1")?;
    expect(&semi("demote")?, 0, "")?;
    let told = bed.wait("the client's end", SOON, || {
        Ok(Some(node.run(&["cat", "/root/told"])?).filter(|told| !told.trim().is_empty()))
    })?;
    ensure!(told.trim() != "0", "the client was told that its commit succeeded, and no replica has it");
    expect(&semi("stop")?, 0, "")
}

fn rivals(bed: &Bed) -> Result<()> {
    let node = bed.node("db1")?;
    let mysql = |action: &str, parameters: &[&str]| call(node, action, "mysql", "p_db", parameters);
    let semi = |action: &str, parameters: &[&str]| call(node, action, "semisync", "p_semi", parameters);
    expect(&mysql("start", &[])?, 0, "")?;
    let refusal = "managed by the resource p_db of ocf:rustha:mysql";
    expect(&semi("start", &[])?, 2, refusal)?;
    expect(&semi("validate-all", &["OCF_CHECK_LEVEL=10"])?, 2, refusal)?;
    expect(&semi("monitor", &[])?, 7, "")?;
    expect(&mysql("stop", &[])?, 0, "")?;

    node.start_server("")?;
    expect(&semi("start", &[])?, 0, "")?;
    expect(&mysql("start", &[])?, 2, "managed by the resource p_semi of ocf:rustha:semisync")?;
    expect(&mysql("start", &["OCF_RESKEY_semi_sync=off"])?, 0, "")?;
    expect(&semi("monitor", &[])?, 190, refusal)?;
    expect(&semi("stop", &[])?, 0, "")?;
    expect(&semi("monitor", &[])?, 7, "")
}

fn tester(bed: &Bed) -> Result<()> {
    let node = bed.node("db1")?;
    load_plugins(node, bed)?;
    node.start_server("")?;
    // A server without a source is a degraded replica, and ocf-tester does not know of that.
    let complaints = ask_ocf_tester(node, "semisync", &[])?;
    let is_known = |complaint: &String| complaint == "* rc=190: Monitoring an active resource should return 0";
    let others: Vec<String> = complaints.into_iter().filter(|complaint| !is_known(complaint)).collect();
    ensure!(others.is_empty(), "{}", others.join("; "));
    Ok(())
}

fn plugins(bed: &Bed) -> Result<()> {
    let node = bed.node("db1")?;
    let semi = |action: &str| call(node, action, "semisync", "p_semi", &[]);
    node.start_server("")?;
    if bed.lab().root().vendor() == Vendor::MariaDb {
        // Built in, also on a closed server.
        node.sql("SET GLOBAL read_only=1")?;
        expect(&semi("start")?, 0, "")?;
        return expect(&semi("monitor")?, 0, "");
    }
    node.sql("SET GLOBAL super_read_only=1")?;
    expect(&semi("start")?, 0, "")?;
    expect(&semi("monitor")?, 190, "plugin_load_add=semisync_replica.so in its option file")?;
    expect(&semi("promote")?, 1, "super_read_only blocks it")?;
    node.sql("SET GLOBAL read_only=0")?;
    expect(&semi("promote")?, 0, "")?;
    expect(&semi("monitor")?, 191, "writes wait: 0 of 1")?;
    node.sql("SET GLOBAL rpl_semi_sync_source_enabled=0; SET GLOBAL super_read_only=1")?;
    // Both halves are there for good now.
    expect(&semi("demote")?, 0, "")?;
    expect(&semi("monitor")?, 0, "")?;
    expect(&semi("stop")?, 0, "")
}

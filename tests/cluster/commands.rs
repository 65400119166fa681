//! The operator's commands, on real clusters: healthy, and with something broken.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustha_lab::scenario::{Bed, Scenario};
use rustha_lab::{Fault, Output, Vendor};

use crate::{BOTH, MARIADB, MYSQL, WHOLE};

const fn scenario(name: &'static str, about: &'static str, run: fn(&Bed) -> Result<()>) -> Scenario {
    Scenario { name, about, roots: BOTH, long: false, nodes: 3, fencing: false, run }
}

pub const ALL: &[Scenario] = &[
    Scenario {
        roots: MARIADB,
        ..scenario(
            "command-status",
            "rustha status: all is well; a broken replica, a lost node, a dead server and a node without a cluster are named.",
            status,
        )
    },
    Scenario {
        roots: MARIADB,
        ..scenario(
            "command-switchover",
            "rustha switchover under load: to a node of choice, to the best one; refused with the reason, and taken back by Ctrl-C.",
            switchover,
        )
    },
    Scenario {
        roots: MYSQL,
        ..scenario(
            "command-check",
            "rustha check: each check is made to fail by a real misconfiguration, and its code comes; explain knows it.",
            check,
        )
    },
    Scenario {
        roots: MARIADB,
        ..scenario(
            "command-config",
            "rustha config, for crm and for pcs, makes a whole cluster that takes writes and passes rustha check.",
            config,
        )
    },
];

const SOON: Duration = Duration::from_secs(40);

/// What a command may take.
const COMMAND: Duration = Duration::from_secs(30);

fn run(bed: &Bed, node: &str, argv: &[&str]) -> Result<Output> {
    let output = bed.node(node)?.exec(argv, COMMAND)?;
    println!("{node}: {} ({})\n{}{}", argv.join(" "), output.status, output.stdout, output.stderr);
    Ok(output)
}

/// Runs it, and makes sure of its exit status and of what it says.
fn expect(bed: &Bed, node: &str, argv: &[&str], code: i32, words: &[&str]) -> Result<String> {
    let output = run(bed, node, argv)?;
    let said = output.stdout.clone() + &output.stderr;
    ensure!(
        output.status.code() == Some(code),
        "{} on {node} exits with {}, not {code}",
        argv.join(" "),
        output.status
    );
    // As it reads on a screen, where lines are broken.
    let flat = said.split_whitespace().filter(|word| !["│", "├─", "└─"].contains(word)).collect::<Vec<_>>().join(" ");
    for word in words {
        ensure!(flat.contains(word), "{} on {node} does not say '{word}': {flat}", argv.join(" "));
    }
    let widest = output.stdout.lines().map(|line| line.chars().count()).max().unwrap_or_default();
    ensure!(argv != ["rustha", "status"] || widest <= 80, "a line of {widest} columns");
    ensure!(!said.contains("repl-secret"), "the password is shown");
    Ok(said)
}

/// The words with which a server's own account may write.
fn opened(bed: &Bed) -> &'static str {
    if bed.lab().root().vendor() == Vendor::MySql { "SET GLOBAL super_read_only=0;" } else { "" }
}

/// A row that only this replica has: inserting it on the primary fails here.
fn break_replica(bed: &Bed, primary: &str, name: &str) -> Result<()> {
    let (primary, replica) = (bed.node(primary)?, bed.node(name)?);
    primary.sql("CREATE TABLE app.broken (id INT PRIMARY KEY)")?;
    bed.wait("the table on the replica", SOON, || replica.sql("SELECT * FROM app.broken").map(Some))?;
    replica.sql(&format!("{} SET sql_log_bin=0; INSERT INTO app.broken VALUES (1)", opened(bed)))?;
    primary.sql("INSERT INTO app.broken VALUES (1)")?;
    bed.wait_status(name, "excluded", SOON).map(drop)
}

fn mend_replica(bed: &Bed, name: &str) -> Result<()> {
    let open = opened(bed);
    let mend = format!("{open} SET sql_log_bin=0; DELETE FROM app.broken; START REPLICA SQL_THREAD");
    bed.node(name)?.sql(&mend)?;
    bed.wait_settled(WHOLE).map(drop)
}

fn status(bed: &Bed) -> Result<()> {
    let primary = bed.standard_configuration()?;
    let others = bed.others(&primary);
    let (first, second) = (others[0], others[1]);
    let ledger = bed.ledger()?;
    let replica = format!("replica of {primary}, in sync");
    for node in bed.names() {
        let words = ["all is well", "primary, each write also on 1 of", &replica, "10.77.0.50", "GTID", "clients"];
        expect(bed, node, &["rustha", "status"], 0, &words)?;
    }
    let json = expect(bed, first, &["rustha", "status", "--json"], 0, &["\"health\": \"ok\"", "\"executed\""])?;
    ensure!(!json.contains("did not answer"), "a guard did not answer: {json}");
    let file = "/root/rustha.prom";
    expect(bed, &primary, &["rustha", "metrics", "--textfile", file], 0, &[])?;
    let metrics = bed.node(&primary)?.run(&["cat", file])?;
    let promoted = format!("rustha_instance_promoted{{resource=\"p_db\",node=\"{primary}\"}} 1");
    for line in
        ["rustha_cluster_reachable 1", "rustha_health 0", &promoted, "rustha_database_primaries{resource=\"p_db\"} 1"]
    {
        ensure!(metrics.lines().any(|one| one == line), "{line} is not in: {metrics}");
    }
    expect(bed, &primary, &["rustha", "metrics", "--textfile", "/no/such/folder/x.prom"], 1, &["there is no folder"])?;

    ledger.mark("a replica is broken");
    break_replica(bed, &primary, second)?;
    let words = [&format!("p_db on {second}: excluded") as &str, "applier stopped", "not readable"];
    expect(bed, first, &["rustha", "status"], 1, &words)?;
    mend_replica(bed, second)?;

    ledger.mark("its machine is lost");
    bed.lab().fault(Fault::PowerOff, second)?;
    let words = format!("{second} is offline");
    bed.wait("the cluster sees it", SOON, || {
        let output = bed.node(first)?.exec(&["rustha", "status"], COMMAND)?;
        Ok(output.stdout.contains(&words).then_some(()))
    })?;
    expect(bed, first, &["rustha", "status"], 1, &[&words])?;
    bed.lab().heal()?;
    bed.wait_settled(crate::PROVIDED)?;

    ledger.mark("the primary's server is killed");
    bed.lab().fault(Fault::KillDaemon, &primary)?;
    let now = bed.wait_promoted_on_other_than(&primary, SOON)?;
    bed.wait_all_instances(WHOLE)?;
    bed.wait_settled(crate::PROVIDED)?;
    expect(
        bed,
        &now,
        &["rustha", "status"],
        1,
        &["p_db: monitor failed on", "last failure: the server was ended by signal 9"],
    )?;
    bed.clean_up()?;
    bed.wait_healthy(WHOLE)?;
    expect(bed, &now, &["rustha", "status"], 0, &["all is well"])?;
    bed.finish(ledger, &bed.names())?;

    // On a node whose cluster has ended.
    let alone = bed.others(&now)[0].to_owned();
    bed.lab().fault(Fault::KillCorosync, &alone)?;
    let words = ["Pacemaker does not answer on this node", "p_db on this node", "closed for writes"];
    bed.wait("it is seen", SOON, || {
        let output = bed.node(&alone)?.exec(&["rustha", "status"], COMMAND)?;
        Ok((output.status.code() == Some(3)).then_some(()))
    })?;
    expect(bed, &alone, &["rustha", "status"], 3, &words).map(drop)
}

fn switchover(bed: &Bed) -> Result<()> {
    let first = bed.standard_configuration()?;
    let others = bed.others(&first);
    let (second, third) = (others[0].to_owned(), others[1].to_owned());
    let ledger = bed.ledger()?;
    ledger.wait_for_acknowledged(50, SOON)?;
    let before = bed.record()?;
    expect(bed, &third, &["rustha", "switchover", "--dry-run"], 0, &[&format!("would be moved from {first} to ")])?;
    expect(bed, &third, &["rustha", "switchover", "--to", &first], 0, &["is the primary of p_db already"])?;
    expect(bed, &third, &["rustha", "switchover", "--to", "nobody"], 1, &["nobody is no node of this cluster"])?;
    ensure!(bed.record()? == before && bed.promoted()?.as_ref() == Some(&first), "something was moved");

    ledger.mark(format!("switchover to {second}, from a third node"));
    let words = [&format!("moving p_db from {first} to {second}") as &str, &format!("{second} is the primary of p_db")];
    expect(bed, &third, &["rustha", "switchover", "--to", &second], 0, &words)?;
    ensure!(bed.promoted()?.as_ref() == Some(&second), "{second} is not promoted");
    ledger.wait_until_written(SOON)?;
    bed.wait_healthy(WHOLE)?;

    ledger.mark("switchover to whom it likes");
    let json = expect(bed, &second, &["rustha", "switchover", "--json"], 0, &["\"result\": \"moved\""])?;
    ensure!(!json.contains("moving"), "not only JSON: {json}");
    ledger.wait_until_written(SOON)?;
    let now = bed.wait_healthy(WHOLE)?;
    ensure!(now != second, "it was not moved");

    ledger.mark("interrupted before it begins");
    take_back(bed, &now)?;

    ledger.mark("the target is broken");
    let target = bed.others(&now)[0].to_owned();
    break_replica(bed, &now, &target)?;
    let argv = ["rustha", "switchover", "--wait", "2", "--to", &target];
    expect(bed, &now, &argv, 1, &[&format!("p_db is not moved: {target} is not in sync: excluded")])?;
    mend_replica(bed, &target)?;
    ensure!(bed.wait_healthy(WHOLE)? == now, "it was moved");
    bed.set_maintenance(true)?;
    expect(bed, &now, &["rustha", "switchover"], 1, &["p_db is not moved: Pacemaker leaves it alone"])?;
    bed.set_maintenance(false)?;
    bed.wait_healthy(WHOLE)?;
    bed.finish(ledger, &bed.names()).map(drop)
}

/// While nobody decides anything, since Pacemaker's scheduler stands still, the move can be taken back.
fn take_back(bed: &Bed, primary: &str) -> Result<()> {
    let node = bed.whole_node()?;
    let dc = bed.names().into_iter().find(|name| {
        let state = node.exec(&["crmadmin", "--status", name], COMMAND);
        state.is_ok_and(|state| state.stdout.contains("S_IDLE"))
    });
    let dc = dc.context("no node decides")?.to_owned();
    let scheduler = |signal: &str| bed.node(&dc)?.run(&["pkill", signal, "-f", "pacemaker-schedulerd"]).map(drop);
    let elsewhere = bed.others(&dc)[0].to_owned();
    scheduler("-STOP")?;
    let command = "rustha switchover > /root/switchover.log 2>&1 & sleep 3; kill -INT $!; wait $!; echo $?";
    let output = bed.node(&elsewhere)?.exec(&["bash", "-c", command], COMMAND);
    scheduler("-CONT")?;
    let output = output?;
    let said = bed.node(&elsewhere)?.run(&["cat", "/root/switchover.log"])?;
    println!("{said}");
    ensure!(output.stdout.trim() == "1", "it exits with {}", output.stdout.trim());
    ensure!(said.contains(&format!("taken back: {primary} goes on")), "it says: {said}");
    bed.wait_healthy(WHOLE).context("after it was taken back")?;
    ensure!(bed.promoted()?.as_deref() == Some(primary), "it was moved all the same");
    Ok(())
}

/// The codes of what `rustha check` finds, on this node and all others.
fn codes(bed: &Bed, node: &str) -> Result<Vec<String>> {
    let output = bed.node(node)?.exec(&["rustha", "check", "--all-nodes", "--json"], COMMAND)?;
    ensure!(!output.stdout.contains("repl-secret"), "the password is shown");
    ensure!(output.stdout.contains("\"passed\""), "it could not be checked: {}{}", output.stdout, output.stderr);
    let mut codes: Vec<String> = output.stdout.split("\"code\": \"").skip(1).map(|rest| rest[..8].to_owned()).collect();
    codes.dedup();
    println!("{node}: {}", codes.join(" "));
    Ok(codes)
}

/// Misconfigures, makes sure that these codes come, and undoes it.
struct Misconfigured<'a> {
    bed: &'a Bed,
    asked: String,
    usual: Vec<String>,
    seen: Vec<String>,
}

impl Misconfigured<'_> {
    fn expect(&mut self, expected: &[&str]) -> Result<()> {
        let found = codes(self.bed, &self.asked)?;
        for code in expected {
            ensure!(found.iter().any(|one| one == code), "{code} does not come: {}", found.join(" "));
        }
        let surplus: Vec<&String> =
            found.iter().filter(|code| !expected.contains(&code.as_str()) && !self.usual.contains(code)).collect();
        ensure!(surplus.is_empty(), "{surplus:?} come as well");
        self.seen.extend(expected.iter().map(|code| (*code).to_owned()));
        Ok(())
    }

    fn shell(&mut self, node: &str, wrong: &str, right: &str, expected: &[&str]) -> Result<()> {
        let node = self.bed.node(node)?;
        node.run(&["sh", "-c", wrong])?;
        let outcome = self.expect(expected);
        node.run(&["sh", "-c", right])?;
        outcome.with_context(|| wrong.to_owned())
    }

    fn sql(&mut self, node: &str, wrong: &str, right: &str, expected: &[&str]) -> Result<()> {
        let node = self.bed.node(node)?;
        node.sql(wrong)?;
        let outcome = self.expect(expected);
        node.sql(right)?;
        outcome.with_context(|| wrong.to_owned())
    }
}

fn check(bed: &Bed) -> Result<()> {
    let primary = bed.standard_configuration()?;
    let others = bed.others(&primary);
    let (asked, other) = (others[0].to_owned(), others[1].to_owned());
    let is_mariadb = bed.lab().root().vendor() == Vendor::MariaDb;
    for node in bed.names() {
        // As the README says; nobody is there whom systemctl could ask.
        let disable = "rm -f /etc/systemd/system/multi-user.target.wants/m*.service";
        bed.node(node)?.run(&["sh", "-c", disable])?;
    }
    let words = ["ok RHA-0101 each server has a server_id", "warning RHA-0404", "warning RHA-0409"];
    expect(bed, &asked, &["rustha", "check"], 1, &words)?;
    expect(bed, &asked, &["rustha", "explain", "RHA-0404"], 0, &["the cluster fences", "What to do:"])?;
    let usual = codes(bed, &asked)?;
    let expected: &[&str] = if is_mariadb { &["RHA-0404", "RHA-0409"] } else { &["RHA-0203", "RHA-0404", "RHA-0409"] };
    ensure!(usual == expected, "the README's cluster has {}", usual.join(" "));
    let mut wrong = Misconfigured { bed, asked: asked.clone(), usual, seen: Vec::new() };
    // From here on nobody undoes it but this scenario.
    bed.set_maintenance(true)?;
    check_servers(&mut wrong, &primary, &other, is_mariadb)?;
    check_node(&mut wrong, &other, is_mariadb)?;
    check_configuration(&mut wrong, &other)?;
    bed.set_maintenance(false)?;
    bed.wait_healthy(WHOLE)?;
    check_restarted(&mut wrong, &other, is_mariadb)?;
    println!("seen: {}", wrong.seen.join(" "));
    Ok(())
}

fn check_servers(wrong: &mut Misconfigured<'_>, primary: &str, other: &str, is_mariadb: bool) -> Result<()> {
    let open = opened(wrong.bed);
    wrong.sql(other, "SET GLOBAL sync_binlog=0", "SET GLOBAL sync_binlog=1", &["RHA-0107"])?;
    let table = "CREATE TABLE app.old (id INT PRIMARY KEY) ENGINE=MyISAM";
    wrong.sql(primary, table, "DROP TABLE app.old", &["RHA-0110"])?;
    let account =
        |verb: &str, word: &str| format!("{open} SET sql_log_bin=0; {verb} REPLICATION SLAVE ON *.* {word} repl@'%'");
    wrong.sql(other, &account("REVOKE", "FROM"), &account("GRANT", "TO"), &["RHA-0201"])?;
    if is_mariadb {
        wrong.sql(other, "SET GLOBAL gtid_strict_mode=0", "SET GLOBAL gtid_strict_mode=1", &["RHA-0106"])?;
        wrong.sql(other, "SET GLOBAL binlog_format='STATEMENT'", "SET GLOBAL binlog_format='ROW'", &["RHA-0112"])?;
        let user = "SET sql_log_bin=0; CREATE USER strong@'%'; GRANT READ_ONLY ADMIN ON *.* TO strong@'%'";
        wrong.sql(other, user, "SET sql_log_bin=0; DROP USER strong@'%'", &["RHA-0202"])?;
        let filter = |value: &str| {
            format!("STOP REPLICA SQL_THREAD; SET GLOBAL replicate_ignore_db='{value}'; START REPLICA SQL_THREAD")
        };
        wrong.sql(other, &filter("scratch"), &filter(""), &["RHA-0109"])
    } else {
        let filter = |value: &str| {
            format!(
                "STOP REPLICA SQL_THREAD; CHANGE REPLICATION FILTER REPLICATE_IGNORE_DB=({value}); START REPLICA SQL_THREAD"
            )
        };
        wrong.sql(other, &filter("scratch"), &filter(""), &["RHA-0109"])
    }
}

fn check_node(wrong: &mut Misconfigured<'_>, other: &str, is_mariadb: bool) -> Result<()> {
    let wants = "/etc/systemd/system/multi-user.target.wants";
    let enable = format!("mkdir -p {wants}; ln -s /lib/systemd/system/mysql.service {wants}/mysql.service");
    wrong.shell(other, &enable, &format!("rm {wants}/mysql.service"), &["RHA-0501"])?;
    let user = |from: &str, to: &str| format!("sed -i 's/^mysql:x:{from}/mysql:x:{to}/' /etc/passwd");
    wrong.shell(other, &user("", "9"), &user("9", ""), &["RHA-0502"])?;
    let file = wrong_file(is_mariadb);
    let add = format!("printf '[mysqld]\\nsync_binlog=0\\n' > {file}");
    wrong.shell(other, &add, &format!("rm {file}"), &["RHA-0503"])?;
    let server = if is_mariadb { "/usr/sbin/mariadbd" } else { "/usr/sbin/mysqld" };
    let hide = |from: &str, to: &str| format!("mv {from} {to}");
    if is_mariadb {
        let hide = |suffix: &str, back: &str| {
            format!("for name in mariadbd mysqld; do mv /usr/sbin/$name{suffix} /usr/sbin/$name{back} || true; done")
        };
        wrong.shell(other, &hide("", ".away"), &hide(".away", ""), &["RHA-0504"])?;
    } else {
        wrong.shell(other, &hide(server, "/root/away"), &hide("/root/away", server), &["RHA-0504"])?;
    }
    let fill = "free=$(df --output=avail -B1 /var/lib/mysql | tail -1); fallocate -l $((free - 20000000)) /var/lib/mysql/../full";
    wrong.shell(other, fill, "rm /var/lib/mysql/../full", &["RHA-0507"])?;
    if is_mariadb {
        let tool = "for name in mariadb-backup mariabackup; do mv /usr/bin/$name";
        let away = format!("{tool} /root/ || true; done");
        let back = "for name in mariadb-backup mariabackup; do mv /root/$name /usr/bin/ || true; done";
        wrong.shell(other, &away, back, &["RHA-0508"])?;
    }
    wrong.bed.lab().fault(Fault::HangGuard, other)?;
    let outcome = wrong.expect(&["RHA-0601"]);
    wrong.bed.lab().heal()?;
    outcome
}

fn check_configuration(wrong: &mut Misconfigured<'_>, other: &str) -> Result<()> {
    let meta =
        |value: &str| format!("crm_resource --resource c_db --meta --set-parameter notify --parameter-value {value}");
    wrong.shell(other, &meta("false"), &meta("true"), &["RHA-0401"])?;
    let operation = |which: &str, change: &str| {
        format!(
            "path=\"//primitive[@id='p_db']//op[{which}]\"; \
             id=$(cibadmin --query --xpath \"$path\" | sed -n 's/.* id=\"\\([^\"]*\\)\".*/\\1/p'); \
             cibadmin --modify --xpath \"$path\" --xml-text \"<op id='$id' {change}/>\""
        )
    };
    let monitor = |interval: &str| operation("@role='Unpromoted'", &format!("interval='{interval}'"));
    wrong.shell(other, &monitor("2s"), &monitor("10s"), &["RHA-0402"])?;
    let start = |timeout: &str| operation("@name='start'", &format!("timeout='{timeout}'"));
    wrong.shell(other, &start("10s"), &start("120s"), &["RHA-0403"])?;
    let parameter = |name: &str, value: &str| {
        format!("crm_resource --resource p_db --set-parameter {name} --parameter-value {value}")
    };
    let without = |name: &str| format!("crm_resource --resource p_db --delete-parameter {name}");
    wrong.shell(other, &parameter("durability", "available"), &without("durability"), &["RHA-0405"])?;
    wrong.shell(other, &parameter("replication_pasword", "x"), &without("replication_pasword"), &["RHA-0410"])?;
    let property = "crm_attribute --type crm_config --name no-quorum-policy";
    wrong.shell(other, &format!("{property} --update ignore"), &format!("{property} --delete"), &["RHA-0406"])?;
    let order = "crm_attribute --type crm_config --set-name rustha --name p_db-order";
    wrong.shell(other, &format!("{order} --update node=x"), &format!("{order} --delete"), &["RHA-0411"])?;
    let moved = format!("crm_resource --move --promoted --resource c_db --node {other}");
    wrong.shell(other, &moved, "crm_resource --clear --resource c_db", &["RHA-0407"])?;
    let order = "cibadmin --query --xpath \"//rsc_order[@id='primary_before_vip']\" > /root/order.xml";
    let remove = format!("{order}; cibadmin --delete --xml-text \"<rsc_order id='primary_before_vip'/>\"");
    wrong.shell(other, &remove, "cibadmin --create --scope constraints --xml-file /root/order.xml", &["RHA-0408"])
}

/// An option file that is read after all others.
fn wrong_file(is_mariadb: bool) -> &'static str {
    if is_mariadb { "/etc/mysql/mariadb.conf.d/zzz-wrong.cnf" } else { "/etc/mysql/mysql.conf.d/zzz-wrong.cnf" }
}

/// What holds when a server is started.
fn check_restarted(wrong: &mut Misconfigured<'_>, other: &str, is_mariadb: bool) -> Result<()> {
    let bed = wrong.bed;
    let node = bed.node(other)?;
    let file = wrong_file(is_mariadb);
    let restart = |text: &str| {
        let whole = bed.whole_node()?;
        whole.run(&["crm_standby", "--node", other, "--update", "on"])?;
        bed.wait("stopped", SOON, || Ok((!bed.instances()?.contains_key(other)).then_some(())))?;
        node.run(&["sh", "-c", text])?;
        whole.run(&["crm_standby", "--node", other, "--delete"])?;
        bed.wait_all_instances(WHOLE)
    };
    let lines = if is_mariadb { "bind_address=127.0.0.1\\nlower_case_table_names=1" } else { "bind_address=127.0.0.1" };
    restart(&format!("printf '[mysqld]\\n{lines}\\n' > {file}"))?;
    let expected: &[&str] = if is_mariadb { &["RHA-0111", "RHA-0301", "RHA-0302"] } else { &["RHA-0301", "RHA-0302"] };
    wrong.expect(expected)?;
    let (without, codes): (_, &[&str]) = if is_mariadb {
        (format!("printf '[mysqld]\\nskip_log_bin\\n' > {file}"), &["RHA-0103", "RHA-0503"])
    } else {
        (format!("printf '[mysqld]\\nskip_log_bin\\ngtid_mode=OFF\\n' > {file}"), &["RHA-0103", "RHA-0105", "RHA-0503"])
    };
    restart(&without)?;
    wrong.expect(codes)?;
    restart(&format!("rm {file}"))?;
    bed.wait_settled(crate::PROVIDED)?;
    let id = node.sql("SELECT @@global.server_id")?;
    let same = bed.node(&wrong.asked.clone())?.sql("SELECT @@global.server_id")?;
    let set = |id: &str| format!("SET GLOBAL server_id={}", id.trim());
    wrong.sql(other, &set(&same), &set(&id), &["RHA-0101"])
}

fn config(bed: &Bed) -> Result<()> {
    let node = bed.node("db1")?;
    let (writers, readers) = (bed.lab().vip().to_string(), "10.77.0.51");
    expect(
        bed,
        "db1",
        &["rustha", "config", "--crm", "--ip", &writers, "--nodes", "db1,db9"],
        1,
        &["no nodes of this cluster: db9"],
    )?;
    node.write_file("/root/password", "repl-secret\n", 0o600)?;
    let is_crm = bed.lab().root().vendor() == Vendor::MariaDb;
    let command = if is_crm {
        "rustha config --crm --address-clone $more > /root/db.crm; crm configure load update /root/db.crm"
    } else {
        "rustha config --pcs $more > /root/db.sh; sh -e /root/db.sh"
    };
    let more = format!("--ip {writers} --reader-ip {readers} --password-file /root/password");
    let output = node.exec(&["sh", "-e", "-c", &format!("more='{more}'; {command}")], WHOLE)?;
    let said = output.stdout + &output.stderr;
    ensure!(output.status.success() && !said.contains("ERROR"), "it is not taken: {said}");
    bed.wait_configured()?;
    let ledger = bed.ledger()?;
    ledger.wait_for_acknowledged(50, SOON)?;
    let words = [writers.as_str(), readers, "p_db_vip", "p_db_reader"];
    bed.wait("the readers' address", SOON, || {
        let output = node.exec(&["rustha", "status"], COMMAND)?;
        Ok((output.status.success() && words.iter().all(|word| output.stdout.contains(word))).then_some(()))
    })?;
    let found = codes(bed, "db2")?;
    let expected = ["RHA-0203", "RHA-0404", "RHA-0409", "RHA-0501"];
    let surplus: Vec<&String> = found.iter().filter(|code| !expected.contains(&code.as_str())).collect();
    ensure!(surplus.is_empty(), "what rustha config prints has {surplus:?}");
    expect(bed, "db3", &["rustha", "switchover"], 0, &["is the primary of p_db"])?;
    ledger.wait_until_written(SOON)?;
    bed.wait_healthy(WHOLE)?;
    bed.finish(ledger, &bed.names()).map(drop)
}

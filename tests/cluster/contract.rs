//! What every OCF agent must obey, checked with the tools of those who wrote it down. One node; nobody has put
//! anything into its cluster's configuration.

use std::time::Duration;

use anyhow::{Result, ensure};
use rustha_lab::scenario::{Bed, Scenario};
use rustha_lab::{Node, Root};

const ON: &[Root] = &[Root::Deb12, Root::Sid];
const AGENTS_DIR: &str = "/usr/lib/ocf/resource.d/rustha";

/// An agent, and what its meta-data must show.
struct Shown {
    name: &'static str,
    short: &'static str,
    parameter: &'static str,
}

const AGENTS: &[Shown] = &[
    Shown { name: "mysql", short: "MySQL or MariaDB with GTID replication", parameter: "replication_passwd" },
    Shown {
        name: "semisync",
        short: "Semi-synchronous replication beside a database that somebody else runs",
        parameter: "credentials",
    },
    Shown { name: "vip", short: "An IP address that cannot be on two nodes", parameter: "cidr_netmask" },
    Shown { name: "vipcheck", short: "Starts only where nobody on the network has an address", parameter: "target_ip" },
];

impl Shown {
    fn path(&self) -> String {
        format!("{AGENTS_DIR}/{}", self.name)
    }
}

const fn contract(name: &'static str, about: &'static str, run: fn(&Bed) -> Result<()>) -> Scenario {
    Scenario { name, about, roots: ON, long: false, nodes: 1, fencing: false, run }
}

pub const ALL: &[Scenario] = &[
    contract("contract-schemas", "The meta-data is valid by the schemas of OCF, resource-agents and its own.", schemas),
    contract("contract-meta-data", "The meta-data needs no rights, no environment and no server.", meta_data),
    contract("contract-shown", "crm, pcs and crm_resource show the agents.", shown),
    contract("contract-ocf-tester", "ocf-tester has nothing to say.", ocf_tester),
    contract("contract-ocft", "The twelve cases that resource-agents has for its own mysql pass.", ocft),
];

/// Three schemas. OCF 1.1's, as pcs ships it, and the document's own DTD take all of it. That of resource-agents is
/// OCF 1.0's: it is given the document without what 1.1 has added (the attributes `unique-group` and `reloadable`, the
/// element `deprecated`) and without the DOCTYPE, which names a DTD with those.
fn schemas(bed: &Bed) -> Result<()> {
    let node = bed.node("db1")?;
    for agent in AGENTS {
        let whole = node.run(&[&agent.path(), "meta-data"])?;
        node.write_file("/root/whole.xml", &whole, 0o600)?;
        node.write_file("/root/old.xml", &without_additions(&whole), 0o600)?;
        node.run(&["xmllint", "--noout", "--relaxng", "/usr/share/pcs/data/ocf-1.1.rng", "/root/whole.xml"])?;
        node.run(&["xmllint", "--noout", "--valid", "/root/whole.xml"])?;
        node.run(&["xmllint", "--noout", "--relaxng", "/usr/share/resource-agents/metadata.rng", "/root/old.xml"])?;
    }
    Ok(())
}

/// The document as OCF 1.0 knows it.
fn without_additions(xml: &str) -> String {
    let mut text = xml.to_owned();
    for (start, end) in
        [("<!DOCTYPE", ">"), ("<deprecated>", "</deprecated>"), (" unique-group=\"", "\""), (" reloadable=\"", "\"")]
    {
        while let Some(from) = text.find(start) {
            let inside = from + start.len();
            let length = text[inside..].find(end).map_or(text.len() - inside, |at| at + end.len());
            text.replace_range(from..inside + length, "");
        }
    }
    text
}

/// As nobody, with no PATH in which a server could be found.
fn meta_data(bed: &Bed) -> Result<()> {
    let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "env", "--ignore-environment"];
    for agent in AGENTS {
        let path = agent.path();
        let argv = [&nobody[..], &[&path, "meta-data"]].concat();
        let output = bed.node("db1")?.exec(&argv, Duration::from_secs(10))?;
        ensure!(output.status.success(), "{}: {}", output.status, output.stderr);
        ensure!(output.stderr.is_empty(), "{} said on stderr: {}", agent.name, output.stderr);
        let is_whole = output.stdout.starts_with("<?xml") && output.stdout.trim_end().ends_with("</resource-agent>");
        ensure!(is_whole, "not a document: {}", output.stdout);
    }
    Ok(())
}

fn shown(bed: &Bed) -> Result<()> {
    let node = bed.node("db1")?;
    for Shown { name, short, parameter } in AGENTS {
        let full = format!("ocf:rustha:{name}");
        for tool in [
            &["crm", "ra", "info", &full][..],
            &["pcs", "resource", "describe", &full],
            &["crm_resource", "--show-metadata", &full],
        ] {
            let said = node.run(tool)?;
            for part in [short, parameter, "promote"] {
                ensure!(said.contains(part), "`{}` does not show {part:?}:\n{said}", tool.join(" "));
            }
        }
    }
    let listed = node.run(&["crm_resource", "--list-agents", "ocf:rustha"])?;
    for Shown { name, .. } in AGENTS {
        ensure!(listed.lines().any(|line| line.trim() == *name), "{name} is not among ocf:rustha's agents: {listed}");
    }
    Ok(())
}

fn ocf_tester(bed: &Bed) -> Result<()> {
    let database = ["replication_user=repl", "replication_passwd=repl-secret"];
    for (agent, given) in
        [("mysql", &database[..]), ("vip", &["ip=10.77.0.60"]), ("vipcheck", &["target_ip=10.77.0.60", "wait=100ms"])]
    {
        let complaints = ask_ocf_tester(bed.node("db1")?, agent, given)?;
        ensure!(complaints.is_empty(), "{agent}: {}", complaints.join("; "));
    }
    Ok(())
}

/// What ocf-tester dislikes: it counts that and prints a line that begins with `* rc=` for each.
pub fn ask_ocf_tester(node: &Node, agent: &str, parameters: &[&str]) -> Result<Vec<String>> {
    let path = format!("{AGENTS_DIR}/{agent}");
    let given = parameters.iter().flat_map(|parameter| ["-o", parameter]);
    let argv: Vec<&str> = ["ocf-tester", "-n", "p_test"].into_iter().chain(given).chain([path.as_str()]).collect();
    let output = node.exec(&argv, Duration::from_secs(180))?;
    println!("{}{}", output.stdout, output.stderr);
    let complaints: Vec<String> =
        output.stdout.lines().filter(|line| line.starts_with("* rc=")).map(str::to_owned).collect();
    let is_done = output.status.success() || !complaints.is_empty();
    ensure!(is_done, "ocf-tester: {}: {}", output.status, output.stderr.trim());
    Ok(complaints)
}

/// The cases are resource-agents' own text, played by their own `ocft`. Only where the agent and the node's data are is
/// said anew (the newer text has MariaDB's directory), and what would prepare a machine (install a server, start it
/// once) is left out: a node has its server.
fn ocft(bed: &Bed) -> Result<()> {
    let node = bed.node("db1")?;
    let theirs = node.run(&["cat", "/usr/share/resource-agents/ocft/configs/mysql"])?;
    node.run(&["mkdir", "-p", "/root/ocft"])?;
    node.write_file("/root/ocft/mysql", &for_our_agent(&theirs), 0o600)?;
    let cases = theirs.lines().filter(|line| line.starts_with("CASE ")).count();
    ensure!(cases == 12, "resource-agents has {cases} cases by now, not 12");
    node.run(&["ocft", "make", "-d", "/root/ocft", "mysql"])?;
    let output = node.exec(&["ocft", "test", "mysql"], Duration::from_secs(400))?;
    let said = output.stdout.replace("\x1b[32m", "").replace("\x1b[31m", "").replace("\x1b[0m", "");
    println!("{said}{}", output.stderr);
    let verdicts: Vec<_> = said.lines().filter(|line| line.starts_with("mysql: ")).collect();
    let failed: Vec<_> = verdicts.iter().filter(|line| !line.contains("OK")).copied().collect();
    ensure!(failed.is_empty(), "{}", failed.join("; "));
    ensure!(verdicts.len() == cases && output.status.success(), "{} of {cases} cases were played", verdicts.len());
    Ok(())
}

fn for_our_agent(theirs: &str) -> String {
    let mut is_setup = false;
    let mut ours = String::new();
    for line in theirs.lines() {
        if !line.starts_with([' ', '\t']) && !line.is_empty() {
            is_setup = line == "SETUP-AGENT";
        }
        if !is_setup && !line.contains("InstallPackage") {
            ours += &line.replace("resource.d/heartbeat", "resource.d/rustha").replace("/lib/mariadb", "/lib/mysql");
            ours.push('\n');
        }
    }
    ours
}

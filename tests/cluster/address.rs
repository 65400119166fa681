//! The service address: never on two nodes, and gone from one that cannot serve. In stack.rs, maintenance.rs and partition.rs it is
//! looked at as well; here is what concerns it alone.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustha_lab::scenario::{Bed, Scenario};
use rustha_lab::{Fault, Node};

use crate::{BOTH, MARIADB, PROVIDED, WHOLE};

const fn scenario(name: &'static str, about: &'static str, long: bool, run: fn(&Bed) -> Result<()>) -> Scenario {
    Scenario { name, about, roots: BOTH, long, nodes: 3, fencing: false, run }
}

pub const ALL: &[Scenario] = &[
    Scenario {
        roots: MARIADB,
        ..scenario(
            "address-guards-killed",
            "The guards of database and address are killed on the primary, and later stand still: the address stays.",
            false,
            guards,
        )
    },
    scenario(
        "address-machine-hangs",
        "Invariants 1 and 2: all processes of the primary's machine stand still, and go on later: its kernel lets the address go.",
        false,
        machine_hangs,
    ),
    scenario(
        "address-foreign",
        "A host that is no node has the address: start and vipcheck fail, and name it.",
        false,
        foreign,
    ),
    Scenario {
        nodes: 1,
        roots: MARIADB,
        ..scenario(
            "address-reasons",
            "What cannot be is said clearly; IPv6 with and without a prefix; actions by hand, twice and out of order.",
            false,
            reasons,
        )
    },
    scenario("address-clone", "As a promotable clone the address goes with the primary.", true, clone),
    scenario("address-group", "vipcheck in front of IPaddr2, in a group that goes with the primary.", true, group),
    Scenario {
        fencing: true,
        roots: MARIADB,
        ..scenario(
            "address-fenced",
            "Objection 24: the address of a node that was fenced is taken at once, whatever its lease.",
            false,
            fenced,
        )
    },
];

/// The lease in the README's commands, which have none: the default.
pub const LEASE: Duration = Duration::from_secs(30);

/// How long there may be no writes, at the most, whatever becomes of the node that has the address.
pub const WITHOUT_WRITES: Duration = Duration::from_secs(35);

const SOON: Duration = Duration::from_secs(40);

/// An address that nobody has at first.
const OTHER: &str = "10.77.0.60";

fn guards(bed: &Bed) -> Result<()> {
    let (primary, ledger) = bed.printed_load()?;
    for fault in [Fault::KillGuard, Fault::HangGuard] {
        ledger.mark(format!("{fault} {primary}"));
        bed.lab().fault(fault, &primary)?;
        // Longer than the address would stay by itself.
        std::thread::sleep(LEASE + Duration::from_secs(5));
        ensure!(has_address(bed.node(&primary)?, &bed.lab().vip().to_string())?, "{primary} has lost the address");
    }
    let now = bed.wait_healthy(WHOLE)?;
    ensure!(now == primary, "the primary moved to {now}");
    let verdict = bed.finish(ledger, &bed.names())?;
    // It is the database's guard that lets writes go on when replicas are lost; none is.
    verdict.assert_gap_within(Duration::from_secs(5))
}

/// A machine that goes on after minutes finds another one in its place.
fn machine_hangs(bed: &Bed) -> Result<()> {
    let (primary, ledger) = bed.printed_load()?;
    ledger.mark(format!("all processes of {primary} stand still"));
    bed.lab().fault(Fault::HangMachine, &primary)?;
    let successor = bed.wait_promoted_on_other_than(&primary, SOON)?;
    let last = ledger.wait_until_written(WITHOUT_WRITES + SOON)?;
    println!("writes go on after {:.1} s", last.as_secs_f64());
    let waited = bed.logged(&successor, &format!("{primary}: lost, not fenced"))?;
    ensure!(!waited.is_empty(), "{successor} did not wait for {primary}");
    ledger.wait_for_acknowledged(50, SOON)?;
    ledger.mark("and go on");
    bed.lab().heal()?;
    bed.wait(&format!("{primary} closed"), SOON, || {
        Ok((!bed.logged(&primary, "closed for writes, ended")?.is_empty()).then_some(()))
    })?;
    // Before it was stopped, it said that it was the primary.
    bed.wait(&format!("{primary} what it is now"), WHOLE, || {
        let status = bed.attribute(&primary, "p_db-status")?.unwrap_or_default();
        Ok((!status.starts_with("primary")).then_some(()))
    })?;
    bed.wait_all_instances(WHOLE)?;
    let whole = bed.wait_settled(PROVIDED)?;
    ledger.wait_for_acknowledged(50, SOON)?;
    let whole: Vec<&str> = whole.iter().map(String::as_str).collect();
    // The old primary's server is open until its guard has looked; nobody acknowledges what it writes.
    let verdict = bed.finish_split(ledger, &whole)?;
    verdict.assert_gap_within(WITHOUT_WRITES)
}

fn foreign(bed: &Bed) -> Result<()> {
    bed.standard_configuration()?;
    let mac = bed.lab().add_address_to_client(&format!("{OTHER}/24"))?;
    bed.configure(&format!("primitive p_other ocf:rustha:vip params ip={OTHER} op start timeout=60s\n"))?;
    wait_failed(bed, "p_other", &mac)?;
    bed.configure(&format!("primitive p_check ocf:rustha:vipcheck params target_ip={OTHER} wait=100ms\n"))?;
    wait_failed(bed, "p_check", &mac)?;
    for node in bed.lab().nodes() {
        ensure!(!has_address(node, OTHER)?, "{} has the address all the same", node.name());
    }
    Ok(())
}

/// It has failed on each node, and says who has the address.
fn wait_failed(bed: &Bed, resource: &str, mac: &str) -> Result<()> {
    bed.wait(&format!("{resource} failed, for {mac}"), SOON, || {
        let shown = bed.whole_node()?.run(&["crm_mon", "--one-shot"])?;
        let said: Vec<&str> = shown.lines().filter(|line| line.contains(resource) && line.contains(mac)).collect();
        Ok((said.len() == bed.names().len()).then(|| println!("{}", said[0].trim())))
    })
}

fn has_address(node: &Node, ip: &str) -> Result<bool> {
    let shown = node.run(&["ip", "-oneline", "address", "show"])?;
    Ok(shown.split_whitespace().any(|word| word.split('/').next() == Some(ip)))
}

/// Calls an agent on a node as a person would.
struct Agent<'a> {
    node: &'a Node,
    name: &'static str,
    parameters: Vec<String>,
}

impl<'a> Agent<'a> {
    fn new(node: &'a Node, name: &'static str, parameters: &[&str]) -> Self {
        let parameters = parameters.iter().map(|parameter| format!("OCF_RESKEY_{parameter}")).collect();
        Self { node, name, parameters }
    }

    /// Its exit code, and what it says on standard error.
    fn call(&self, action: &str) -> Result<(i32, String)> {
        let path = format!("/usr/lib/ocf/resource.d/rustha/{}", self.name);
        let mut argv = vec!["env", "OCF_ROOT=/usr/lib/ocf", "OCF_RESOURCE_INSTANCE=p_test", "OCF_CHECK_LEVEL=10"];
        argv.extend(self.parameters.iter().map(String::as_str));
        argv.extend([path.as_str(), action]);
        let output = self.node.exec(&argv, Duration::from_secs(60))?;
        let code = output.status.code().with_context(|| format!("{} {action} was ended", self.name))?;
        Ok((code, output.stderr))
    }

    fn expect(&self, action: &str, code: i32) -> Result<()> {
        let (found, said) = self.call(action)?;
        let given = self.parameters.join(" ");
        ensure!(found == code, "{} {action} ({given}): {found} instead of {code}: {said}", self.name);
        Ok(())
    }

    /// It fails for this reason, said in one line.
    fn refuse(&self, action: &str, part: &str) -> Result<()> {
        let (code, said) = self.call(action)?;
        let reasons: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix("ocf-exit-reason:")).collect();
        let given = self.parameters.join(" ");
        ensure!(code != 0 && reasons.len() == 1, "{} {action} ({given}): {code}: {said}", self.name);
        println!("{given}: {}", reasons[0]);
        ensure!(reasons[0].contains(part), "it does not say {part:?}: {}", reasons[0]);
        Ok(())
    }
}

const SUCCESS: i32 = 0;
const NOT_RUNNING: i32 = 7;

fn reasons(bed: &Bed) -> Result<()> {
    let node = bed.node("db1")?;
    node.run(&["ip", "address", "add", "fd00:77::11/64", "dev", "eth0", "nodad"])?;
    bed.lab().add_address_to_client("fd00:77::100/64")?;
    let vip = |parameters: &[&str]| Agent::new(node, "vip", parameters);
    let check = |parameters: &[&str]| Agent::new(node, "vipcheck", &[parameters, &["wait=100ms"]].concat());
    for action in ["validate-all", "start"] {
        vip(&[]).refuse(action, "ip is missing")?;
        vip(&["ip=10.77.0.60/24"]).refuse(action, "cidr_netmask")?;
        vip(&["ip=db one"]).refuse(action, "'db one'")?;
        vip(&["ip=10.77.0.60", "nic=eth9"]).refuse(action, "no interface eth9")?;
        vip(&["ip=192.0.2.1"]).refuse(action, "lies in no network of this node, which has 10.77.0.0/24 at eth0")?;
        vip(&["ip=fe80::60"]).refuse(action, "nic")?;
        vip(&["ip=10.77.0.60", "iflabel=far-too-long-a-name"]).refuse(action, "15")?;
        check(&[]).refuse(action, "target_ip is missing")?;
        check(&["target_ip=10.77.0.60", "nic=eth9"]).refuse(action, "no interface eth9")?;
    }
    for (ip, given) in [
        (OTHER, &["nic=eth0", "cidr_netmask=24"][..]),
        (OTHER, &["cidr_netmask=255.255.255.0", "broadcast=10.77.0.255", "iflabel=db"]),
        (OTHER, &[]),
        ("fd00:77::60", &["cidr_netmask=64"]),
        ("fd00:77::60", &["cidr_netmask=128"]),
        ("fd00:77::60", &[]),
    ] {
        let agent = vip(&[&[format!("ip={ip}").as_str()], given].concat());
        check(&[&format!("target_ip={ip}")]).expect("start", SUCCESS)?;
        agent.expect("stop", SUCCESS)?;
        agent.expect("monitor", NOT_RUNNING)?;
        agent.expect("demote", SUCCESS)?;
        for _ in 0..2 {
            agent.expect("start", SUCCESS)?;
            agent.expect("monitor", SUCCESS)?;
        }
        ensure!(has_address(node, ip)?, "{ip} is not there");
        // That this node has it is no reason for vipcheck to fail.
        check(&[&format!("target_ip={ip}")]).expect("stop", SUCCESS)?;
        check(&[&format!("target_ip={ip}")]).expect("start", SUCCESS)?;
        check(&[&format!("target_ip={ip}")]).expect("stop", SUCCESS)?;
        ensure!(bed.lab().reaches(ip)?, "the client does not reach {ip}");
        for _ in 0..2 {
            agent.expect("stop", SUCCESS)?;
            agent.expect("monitor", NOT_RUNNING)?;
        }
        ensure!(!has_address(node, ip)?, "{ip} is still there");
    }
    // A host that has it: by ARP, by neighbour discovery, and behind a router.
    let mac = bed.lab().add_address_to_client(&format!("{OTHER}/24"))?;
    bed.lab().add_address_to_client("fd00:77::60/64")?;
    bed.lab().add_address_to_client("192.0.2.60/32")?;
    let router = bed.lab().client_address().to_string();
    node.run(&["ip", "route", "add", "192.0.2.0/24", "via", &router])?;
    for ip in [OTHER, "fd00:77::60"] {
        vip(&[&format!("ip={ip}")]).refuse("start", &mac)?;
        check(&[&format!("target_ip={ip}")]).refuse("start", &mac)?;
        vip(&[&format!("ip={ip}"), "check=false"]).expect("start", SUCCESS)?;
        vip(&[&format!("ip={ip}")]).expect("stop", SUCCESS)?;
    }
    check(&["target_ip=192.0.2.60"]).refuse("start", "behind a router")?;
    check(&["target_ip=192.0.2.61"]).expect("start", SUCCESS)?;
    check(&["target_ip=192.0.2.61"]).expect("stop", SUCCESS)
}

/// The address's lines of the README's commands, and those that make a clone of it.
const PLAIN: &str = "op start timeout=60s op monitor interval=10s\n\
                     colocation vip_with_primary inf: p_vip c_db:Promoted\n\
                     order primary_before_vip Mandatory: c_db:promote p_vip:start\n";
const CLONE: &str = "op promote timeout=60s op monitor role=Promoted interval=10s op monitor role=Unpromoted interval=11s\n\
                     clone c_vip p_vip meta promotable=true interleave=true\n\
                     colocation vip_with_primary inf: c_vip:Promoted c_db:Promoted\n\
                     order primary_before_vip Mandatory: c_db:promote c_vip:promote\n";

fn clone(bed: &Bed) -> Result<()> {
    bed.configure_changed(&[(PLAIN, CLONE)])?;
    let primary = bed.wait("a primary with the address", WHOLE, || at_primary(bed))?;
    let ledger = bed.ledger()?;
    ledger.wait_for_acknowledged(50, SOON)?;
    let target = bed.others(&primary)[0].to_owned();
    ledger.mark(format!("switchover from {primary} to {target}"));
    bed.raise_target(&target)?;
    bed.wait("the address with the new primary", SOON, || Ok(at_primary(bed)?.filter(|node| *node == target)))?;
    ledger.wait_for_acknowledged(50, SOON)?;
    // With one acknowledgement all that were in sync must be there after a loss: the old primary is, a moment later.
    bed.wait_settled(PROVIDED)?;
    ledger.mark(format!("kill-daemon {target}"));
    bed.lab().fault(Fault::KillDaemon, &target)?;
    bed.wait("the address with another primary", SOON, || Ok(at_primary(bed)?.filter(|node| *node != target)))?;
    ledger.wait_until_written(SOON)?;
    bed.clean_up()?;
    let last = bed.wait("a primary", SOON, || at_primary(bed))?;
    ledger.mark(format!("kill-corosync {last}"));
    bed.wait_settled(PROVIDED)?;
    bed.lab().fault(Fault::KillCorosync, &last)?;
    bed.wait("the address with another primary", WHOLE, || Ok(at_primary(bed)?.filter(|node| *node != last)))?;
    ledger.wait_until_written(SOON)?;
    bed.lab().heal()?;
    bed.wait_all_instances(WHOLE)?;
    let whole = bed.wait_settled(PROVIDED)?;
    let whole: Vec<&str> = whole.iter().map(String::as_str).collect();
    // The last one's server was open without a cluster until its guard had closed it; it acknowledged nothing.
    let verdict = bed.finish_split(ledger, &whole)?;
    verdict.assert_gap_within(WITHOUT_WRITES)
}

/// The node that is primary and has the address, if that is one.
fn at_primary(bed: &Bed) -> Result<Option<String>> {
    let Some(primary) = bed.promoted()? else { return Ok(None) };
    let node = bed.node(&primary)?;
    Ok(has_address(node, &bed.lab().vip().to_string())?.then_some(primary))
}

/// As operators have it who keep IPaddr2.
const GROUP: &str = "op monitor interval=10s\n\
                     primitive p_check ocf:rustha:vipcheck params target_ip=10.77.0.50 count=2 wait=100ms\n\
                     group g_vip p_check p_vip\n\
                     colocation vip_with_primary inf: g_vip c_db:Promoted\n\
                     order primary_before_vip Mandatory: c_db:promote g_vip:start\n";

fn group(bed: &Bed) -> Result<()> {
    let ours = ("ocf:rustha:vip", "ocf:heartbeat:IPaddr2");
    bed.configure_changed(&[ours, (PLAIN, GROUP)])?;
    let primary = bed.wait_configured()?;
    let ledger = bed.ledger()?;
    ledger.wait_for_acknowledged(50, SOON)?;
    let target = bed.others(&primary)[0].to_owned();
    ledger.mark(format!("switchover from {primary} to {target}"));
    bed.raise_target(&target)?;
    bed.wait("the address with the new primary", SOON, || Ok(at_primary(bed)?.filter(|node| *node == target)))?;
    bed.wait_healthy(WHOLE)?;
    bed.finish(ledger, &bed.names()).map(drop)
}

const FENCING: (&str, &str) = ("property stonith-enabled=false\n", "property stonith-enabled=true\n");

/// With a lease that nobody would wait for.
fn fenced(bed: &Bed) -> Result<()> {
    let lease = ("params ip=10.77.0.50 op start timeout=60s", "params ip=10.77.0.50 lease=300s op start timeout=400s");
    bed.configure_changed(&[FENCING, lease])?;
    let primary = bed.wait_configured()?;
    let ledger = bed.ledger()?;
    ledger.wait_for_acknowledged(50, SOON)?;
    ledger.mark(format!("power-off {primary}"));
    bed.lab().fault(Fault::PowerOff, &primary)?;
    bed.wait_promoted_on_other_than(&primary, WHOLE)?;
    ledger.wait_until_written(SOON)?;
    bed.lab().heal()?;
    bed.finish_settled(ledger, PROVIDED).map(drop)
}

//! The lab as a library: once from up to down, and two at once. Needs root, and a root file system in the cache or the
//! minutes to build one; `cargo lab test` runs it as the step `lab`.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::time::Duration;

use rustha_lab::{Daemon, Fault, Lab, Root, UpOptions};

const LAB: &str = "library-test";
const ONE: &str = "library-one";
const OTHER: &str = "library-other";

#[test]
#[ignore = "needs root and minutes: cargo lab test lab"]
fn two_labs_do_not_meet_and_a_crash_leaves_nothing() {
    let root = std::env::var("RUSTHA_LAB_ROOT").map_or(Root::Deb12, |name| name.parse().unwrap());
    let up = |name: &str, nodes| {
        Lab::down(name).unwrap();
        Lab::up(&UpOptions { name: name.into(), nodes, root, fencing: true }).unwrap()
    };
    // Both have a db1 with the same address, and neither cluster sees more nodes than its own.
    let (one, other) = (up(ONE, 2), up(OTHER, 1));
    let members = |lab: &Lab| lab.node("db1").unwrap().run(&["crm_node", "--list"]).unwrap().lines().count();
    assert_eq!((members(&one), members(&other)), (2, 1));
    other.node("db1").unwrap().write_file("/root/mine", "other\n", 0o600).unwrap();
    assert!(one.node("db1").unwrap().run(&["cat", "/root/mine"]).is_err());

    // A crash: the first processes are gone, and nobody has tidied up.
    for node in one.nodes() {
        nix::sys::signal::kill(node.pid().unwrap(), nix::sys::signal::Signal::SIGKILL).unwrap();
    }
    Lab::down(ONE).unwrap();
    assert_nothing_of(ONE);
    assert_eq!(members(&other), 1, "the other lab was taken down with it");
    Lab::down(OTHER).unwrap();
    assert_nothing_of(OTHER);
}

/// Neither namespaces nor mounts, files or processes.
fn assert_nothing_of(lab: &str) {
    let netns = fs::read_dir("/run/netns").into_iter().flatten().flatten();
    let netns: Vec<_> = netns
        .map(|entry| entry.file_name())
        .filter(|name| name.to_string_lossy().starts_with(&format!("{lab}.")))
        .collect();
    assert!(netns.is_empty(), "{netns:?}");
    assert!(!fs::exists(format!("/run/rustha-lab/{lab}")).unwrap());
    assert!(!fs::read_to_string("/proc/self/mountinfo").unwrap().contains(&format!("/{lab}/")));
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let left: Vec<_> = processes
        .filter_map(|entry| fs::read_to_string(entry.path().join("cmdline")).ok())
        .filter(|line| line.split('\0').any(|word| word == lab))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
#[ignore = "needs root and minutes: cargo lab test lab"]
fn a_lab_is_of_use_and_leaves_nothing() {
    let root = std::env::var("RUSTHA_LAB_ROOT").map_or(Root::Deb12, |name| name.parse().unwrap());
    Lab::down(LAB).unwrap();
    let lab = Lab::up(&UpOptions { name: LAB.into(), nodes: 2, root, fencing: false }).unwrap();
    let node = lab.node("db2").unwrap();
    let ended = node.exec(&["sh", "-c", "exit 3"], Duration::from_secs(5)).unwrap();
    assert_eq!(ended.status.code(), Some(3));
    assert!(node.exec(&["sleep", "60"], Duration::from_millis(200)).is_err());

    node.write_file("/root/note", "text\n", 0o600).unwrap();
    assert_eq!(node.run(&["stat", "-c", "%a %s", "/root/note"]).unwrap(), "600 5\n");

    node.start_server("").unwrap();
    assert_eq!(node.sql("SELECT @@server_id").unwrap(), "2\n");
    node.stop_server().unwrap();

    node.stop_stack().unwrap();
    assert!(node.pids_of(Daemon::Pacemaker).unwrap().is_empty());
    lab.heal().unwrap();
    lab.fault(Fault::CableOut, "db2").unwrap();
    node.power_off().unwrap();
    node.power_on().unwrap();
    assert!(!lab.is_cable_in(node).unwrap(), "a pulled cable stays out over a power cycle");
    lab.heal().unwrap();

    let logs = std::env::temp_dir().join(LAB);
    lab.save_logs(&logs).unwrap();
    assert!(logs.join("db2/log/pacemaker/pacemaker.log").exists() && logs.join("db1/log/corosync").exists());
    assert!(fs::read_to_string(logs.join("db1/crm_mon")).unwrap().contains("db2"));
    fs::remove_dir_all(&logs).unwrap();

    Lab::down(LAB).unwrap();
    assert_nothing_of(LAB);
}

//! The lab as a library, once from up to down. Needs root, and a root file system in the cache or the minutes
//! to build one.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::time::Duration;

use rustha_lab::{Daemon, Fault, Lab, Root, UpOptions};

const LAB: &str = "library-test";

#[test]
#[ignore = "needs root and minutes: cargo test -p rustha-lab -- --ignored"]
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

    let server = if root == Root::Sid { "mysqld" } else { "mariadbd" };
    node.run(&["setsid", "--fork", server, "--user=mysql"]).unwrap();
    let answer = (0..200).find_map(|_| {
        std::thread::sleep(Duration::from_millis(100));
        node.sql("SELECT @@server_id, @@sync_binlog").ok()
    });
    assert_eq!(answer.as_deref(), Some("2\t1\n"));

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

    let netns = node.netns();
    Lab::down(LAB).unwrap();
    assert!(!netns.exists() && !fs::exists("/run/rustha-lab/library-test").unwrap());
    assert!(!fs::read_to_string("/proc/self/mountinfo").unwrap().contains(LAB));
}

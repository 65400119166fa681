//! The structure that src/lib.rs describes, held by reading the source: one place for starting programs, for
//! Pacemaker's tools, for SQL text and for the driver; pure rooms pure; imports only go down.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A source file: its path below src/, and its code without tests and comments.
struct Source {
    path: String,
    code: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    for path in files(&root) {
        let name = path.strip_prefix(&root).expect("below src").to_string_lossy().into_owned();
        if !name.ends_with("_tests.rs") {
            found.push(Source { path: name, code: strip(&fs::read_to_string(&path).expect("readable")) });
        }
    }
    assert!(found.len() > 30, "the source was not found");
    found
}

/// All files with Rust code in this folder and below it.
fn files(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the folder can be read") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found
}

/// Without what follows `#[cfg(test)]` and without comments.
fn strip(text: &str) -> String {
    let code = text.split("\n#[cfg(test)]").next().unwrap_or_default();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// The files, outside of the allowed ones, in which one of the words stands.
fn offenders(allowed: &[&str], words: &[&str]) -> Vec<String> {
    let is_allowed =
        |path: &str| allowed.iter().any(|place| path == *place || (place.ends_with('/') && path.starts_with(place)));
    let mut found = Vec::new();
    for source in sources().iter().filter(|source| !is_allowed(&source.path)) {
        found.extend(
            words.iter().filter(|word| source.code.contains(**word)).map(|word| format!("{}: {word}", source.path)),
        );
    }
    found
}

fn inside(rooms: &[&str], words: &[&str]) -> Vec<String> {
    let is_inside =
        |path: &str| rooms.iter().any(|room| path == *room || (room.ends_with('/') && path.starts_with(room)));
    let mut found = Vec::new();
    for source in sources().iter().filter(|source| is_inside(&source.path)) {
        found.extend(
            words.iter().filter(|word| source.code.contains(**word)).map(|word| format!("{}: {word}", source.path)),
        );
    }
    found
}

const NONE: Vec<String> = Vec::new();

#[test]
fn programs_are_started_in_exec_only() {
    assert_eq!(offenders(&["exec.rs"], &["Command::new", "process::Command"]), NONE);
    assert_eq!(
        offenders(
            &["exec.rs", "pacemaker/", "server/", "agents/mysql/create.rs", "guard/scope.rs"],
            &["exec::run(", "exec::start_daemon("]
        ),
        NONE
    );
}

#[test]
fn pacemakers_tools_are_named_in_one_room_only() {
    let tools = [
        "\"crm_mon",
        "\"crm_attribute",
        "\"crm_node",
        "\"crm_resource",
        "\"attrd_updater\"",
        "\"cibadmin\"",
        "\"crmadmin\"",
    ];
    assert_eq!(offenders(&["pacemaker/mod.rs", "pacemaker/record.rs"], &tools), NONE);
}

#[test]
fn sql_text_and_names_of_columns_and_variables_are_in_the_dialect_only() {
    let words = [
        "\"SELECT ",
        "\"SHOW ",
        "\"SET ",
        "\"CHANGE ",
        "\"START ",
        "\"STOP ",
        "\"RESET ",
        "\"KILL ",
        "\"SHUTDOWN",
        "\"INSTALL ",
        "@@",
        "Slave_",
        "Replica_",
        "MASTER_",
        "SOURCE_HOST",
        "Gtid_IO_Pos",
        "gtid_executed",
        "gtid_binlog_pos",
        "Last_IO_Err",
        "gtid_owned",
        "rpl_semi_sync",
    ];
    // rows.rs names the columns that the dialect's own queries give, and MariaDB's names for its threads.
    let found: Vec<_> = offenders(&["server/dialect.rs", "server/dialect/"], &words);
    let found: Vec<_> = found.into_iter().filter(|line| *line != "server/rows.rs: Slave_").collect();
    assert_eq!(found, NONE);
}

#[test]
fn the_driver_is_used_in_the_client_only() {
    assert_eq!(offenders(&["server/client.rs"], &["use mysql::", "mysql::Conn", "mysql::Error"]), NONE);
}

#[test]
fn the_environment_is_read_in_one_place() {
    // The log's level and the environment that is kept from programs are no parameters.
    assert_eq!(offenders(&["ocf/env.rs", "logging.rs", "exec.rs"], &["env::var", "env::vars"]), NONE);
}

#[test]
fn exit_codes_are_numbers_in_one_place() {
    // A guard leaves with all of its threads.
    assert_eq!(offenders(&["main.rs", "guard/mod.rs"], &["process::exit"]), NONE);
}

#[test]
fn rooms_that_decide_and_parse_are_pure() {
    let pure = [
        "gtid/",
        "agents/mysql/decide/",
        "agents/semisync/decide.rs",
        "agents/vip/decide.rs",
        "agents/mysql/checks/catalogue.rs",
        "agents/mysql/checks/judge.rs",
        "commands/config/crm.rs",
        "commands/config/pcs.rs",
        "commands/config/plan.rs",
        "commands/screen.rs",
        "commands/status/assess.rs",
        "commands/status/print.rs",
        "net/arp.rs",
        "net/mac.rs",
        "net/neighbours.rs",
        "pacemaker/configuration.rs",
        "pacemaker/history.rs",
        "pacemaker/parse.rs",
        "pacemaker/survey.rs",
        "server/version.rs",
        "server/dialect.rs",
        "server/dialect/",
        "server/rows.rs",
        "server/rows/",
        "ocf/notify.rs",
        "ocf/params.rs",
        "ocf/metadata.rs",
        "ocf/exit.rs",
    ];
    let impure = [
        "std::fs",
        "std::env",
        "std::net",
        "std::os",
        "std::process",
        "std::thread",
        "Instant::now",
        "SystemTime",
        "log::",
        "crate::exec",
        "nix::",
    ];
    assert_eq!(inside(&pure, &impure), NONE);
}

#[test]
fn imports_only_go_down() {
    let below = [
        ("gtid/", &["crate::ocf", "crate::server", "crate::pacemaker", "crate::agents", "crate::cli"][..]),
        (
            "ocf/",
            &["crate::gtid", "crate::server", "crate::pacemaker", "crate::agents", "crate::cli", "crate::exec"][..],
        ),
        ("server/", &["crate::ocf", "crate::pacemaker", "crate::agents", "crate::cli", "crate::guard"][..]),
        (
            "pacemaker/",
            &["crate::ocf", "crate::server", "crate::agents", "crate::cli", "crate::gtid", "crate::guard"][..],
        ),
        (
            "guard/",
            &["crate::ocf", "crate::server", "crate::pacemaker", "crate::agents", "crate::cli", "crate::gtid"][..],
        ),
        ("agents/", &["crate::cli", "crate::commands"][..]),
        ("commands/", &["crate::cli"][..]),
        (
            "net/",
            &["crate::ocf", "crate::server", "crate::pacemaker", "crate::agents", "crate::cli", "crate::guard"][..],
        ),
        ("exec.rs", &["crate::ocf", "crate::server", "crate::pacemaker", "crate::agents"][..]),
        ("deadline.rs", &["crate::"][..]),
    ];
    for (room, above) in below {
        assert_eq!(inside(&[room], above), NONE, "{room} imports from above");
    }
}

#[test]
fn every_file_starts_with_what_it_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for source in sources() {
        let text = fs::read_to_string(root.join(&source.path)).expect("readable");
        assert!(text.starts_with("//! "), "{} does not say what it is", source.path);
    }
}

#[test]
fn nothing_is_unwrapped_outside_of_tests() {
    let found = offenders(&[], &[".unwrap()"]);
    // The driver's own method of that name, which cannot fail.
    let found: Vec<_> = found.into_iter().filter(|line| !line.starts_with("server/client.rs")).collect();
    assert_eq!(found, NONE);
}

/// The conventions of hand-written agents that this one obeys (resource agent API 1.1, and what Pacemaker makes of it), by
/// their numbers: each is named by a test that holds it, `convention_3_…`, or by a scenario that says so.
#[test]
fn every_convention_is_named_by_what_holds_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = ["src", "tests/cluster"].map(|folder| root.join(folder));
    let texts = folders.iter().flat_map(|folder| files(folder)).chain([root.join("tests/ocf_contract.rs")]);
    let mut named = BTreeSet::new();
    for text in texts.map(|path| fs::read_to_string(path).expect("readable")) {
        // `fn convention_3_x`, `fn conventions_3_and_4_x`; in what a scenario says: `Convention 3: …`, `Conventions 3, 4: …`.
        let tests = text.split("fn convention").skip(1).filter_map(|rest| rest.split('(').next());
        let scenarios = text.split("Convention").skip(1).filter_map(|rest| rest.split(':').next());
        let words = tests.chain(scenarios).flat_map(|name| name.split(|letter: char| !letter.is_ascii_digit()));
        named.extend(words.filter_map(|word| word.parse::<u32>().ok()));
    }
    let missing: Vec<u32> = (1..=27).filter(|number| !named.contains(number)).collect();
    assert_eq!(missing, Vec::<u32>::new());
}

/// The seven invariants of the design's safety model: each is named by a unit test that holds it, `invariant_3_…`, or by
/// a scenario, in the first words of what it says about itself.
#[test]
fn every_invariant_is_named_by_what_holds_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let texts = [root.join("src"), root.join("tests/cluster")].into_iter().flat_map(|folder| files(&folder));
    let mut named = BTreeSet::new();
    for text in texts.map(|path| fs::read_to_string(path).expect("readable")) {
        let tests = text.split("fn invariant_").skip(1).map(|rest| rest.split('_').next());
        let scenarios = text.split("about: \"Invariant").skip(1).map(|rest| rest.split(':').next());
        let names = tests.chain(scenarios).flatten();
        named.extend(names.flat_map(|name| name.chars().filter_map(|letter| letter.to_digit(10)).collect::<Vec<_>>()));
    }
    assert_eq!(named.into_iter().collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7]);
}

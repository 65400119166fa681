//! The dialect of every version that the README names, statement by statement.

use super::backup::Method;
use super::*;

fn of(vendor: Vendor, number: (u16, u16, u16)) -> Dialect {
    Dialect::of(Version { vendor, number })
}

fn mysql(major: u16, minor: u16, patch: u16) -> Dialect {
    of(Vendor::MySql, (major, minor, patch))
}

fn mariadb(major: u16, minor: u16, patch: u16) -> Dialect {
    of(Vendor::MariaDb, (major, minor, patch))
}

fn source() -> Source {
    Source {
        host: "db1".into(),
        port: 3306,
        user: "repl".into(),
        password: r"it's a \ secret".into(),
        tls: Tls::default(),
    }
}

/// Every statement and option that a dialect can say.
fn everything(dialect: Dialect) -> String {
    let mut all = vec![
        dialect.state().to_string(),
        dialect.show_replica_status(),
        dialect.stop_receiver(),
        dialect.start_applier(),
        dialect.stop_replica(),
        dialect.start_replica(),
        dialect.forget_source(),
        dialect.wait_applied("x", Duration::from_secs(1)),
        dialect.open_for_writes().to_string(),
    ];
    all.extend(dialect.change_source(&source(), "0-1-5"));
    all.extend(dialect.close_for_writes(Duration::from_secs(1)));
    all.extend(dialect.start_options(None));
    all.extend([dialect.start_receiver(), dialect.show_replicas().to_string(), dialect.semi_sync()]);
    all.push(dialect.flushed().to_string());
    all.extend(dialect.begin_with("0-1-5", None));
    all.extend(dialect.filling_options(Method::Logical).into_iter().map(String::from));
    all.extend(dialect.send_data(Method::Logical, "/s", "/d", "/l", "/t").into_iter().flat_map(|tool| tool.args));
    all.join("\n")
}

#[test]
fn mysql_8_4_and_later_hear_none_of_the_removed_words() {
    for dialect in [mysql(8, 4, 0), mysql(9, 0, 0), mysql(9, 7, 4), mysql(12, 0, 0)] {
        let text = everything(dialect).to_ascii_lowercase();
        assert!(!text.contains("slave") && !text.contains("master"), "{}: {text}", dialect.version());
    }
}

#[test]
fn mysql_5_7_hears_none_of_the_new_words() {
    let text = everything(mysql(5, 7, 44)).to_ascii_lowercase();
    assert!(!text.contains("replica ") && !text.contains("replica_") && !text.contains("source_"), "{text}");
    assert!(!text.contains("public_key"), "5.7 has no caching_sha2_password: {text}");
}

#[test]
fn mysql_8_0_learns_the_words_patch_by_patch() {
    assert_eq!(mysql(8, 0, 21).show_replica_status(), "SHOW SLAVE STATUS");
    assert_eq!(mysql(8, 0, 22).show_replica_status(), "SHOW REPLICA STATUS");
    assert_eq!(mysql(8, 0, 22).replica_columns().source_host, "Source_Host");
    let change = |dialect: Dialect| dialect.change_source(&source(), "").join(";");
    assert!(change(mysql(8, 0, 22)).contains("CHANGE MASTER TO MASTER_HOST='db1'"));
    assert!(change(mysql(8, 0, 23)).contains("CHANGE REPLICATION SOURCE TO SOURCE_HOST='db1'"));
    assert!(change(mysql(8, 0, 25)).contains("slave_net_timeout"));
    assert!(change(mysql(8, 0, 26)).contains("replica_net_timeout"));
    assert!(mysql(8, 0, 25).start_options(None).contains(&"--skip-slave-start".to_string()));
    assert!(mysql(8, 0, 26).start_options(None).contains(&"--skip-replica-start".to_string()));
}

#[test]
fn mariadb_keeps_its_own_words_from_10_5_to_12() {
    for dialect in [mariadb(10, 5, 0), mariadb(10, 6, 21), mariadb(10, 11, 19), mariadb(11, 8, 2), mariadb(12, 1, 0)] {
        assert_eq!(dialect.show_replica_status(), "SHOW REPLICA STATUS");
        assert_eq!(dialect.replica_columns().source_host, "Master_Host");
        let change = dialect.change_source(&source(), "0-1-5").join(";");
        assert!(change.contains("SET GLOBAL gtid_slave_pos='0-1-5'"), "{change}");
        assert!(change.contains("CHANGE MASTER TO MASTER_HOST='db1'"), "{change}");
        assert!(change.ends_with("MASTER_USE_GTID=slave_pos"), "{change}");
        assert!(!everything(dialect).contains("super_read_only="), "MariaDB has none (MDEV-9458)");
    }
}

#[test]
fn a_server_is_read_only_from_its_first_instruction() {
    assert!(mariadb(10, 11, 0).start_options(None).contains(&"--read-only=1".to_string()));
    let options = mysql(9, 7, 0).start_options(None);
    assert!(options.contains(&"--read-only=1".to_string()) && options.contains(&"--super-read-only=1".to_string()));
}

#[test]
fn objection_7_durability_is_asked_for_on_the_command_line() {
    for dialect in [mysql(5, 7, 44), mysql(9, 7, 0), mariadb(10, 5, 0), mariadb(12, 0, 0)] {
        let options = dialect.start_options(None).join(" ");
        for option in ["--sync-binlog=1", "--innodb-flush-log-at-trx-commit=1", "--relay-log-recovery=0"] {
            assert!(options.contains(option), "{option} is missing for {}", dialect.version());
        }
    }
}

#[test]
fn a_password_with_quotes_and_backslashes_stays_one_literal() {
    assert_eq!(quote(r"it's a \ secret"), r"'it''s a \\ secret'");
    let change = mysql(9, 7, 0).change_source(&source(), "").join(";");
    assert!(change.contains(r"SOURCE_PASSWORD='it''s a \\ secret'"), "{change}");
}

#[test]
fn tls_is_said_in_full_at_every_change_of_source() {
    let mut source = source();
    source.tls = Tls {
        required: true,
        verify: true,
        ca: Some("/etc/ssl/ca.pem".into()),
        cert: Some("/etc/ssl/me.pem".into()),
        key: Some("/etc/ssl/me.key".into()),
    };
    for (dialect, name) in [(mysql(9, 7, 0), "SOURCE"), (mysql(5, 7, 44), "MASTER"), (mariadb(11, 8, 0), "MASTER")] {
        let change = dialect.change_source(&source, "").join(";");
        for option in ["SSL=1", "SSL_VERIFY_SERVER_CERT=1", "SSL_CA='", "SSL_CERT='", "SSL_KEY='"] {
            assert!(change.contains(&format!("{name}_{option}")), "{option}: {change}");
        }
        assert!(!change.contains("PUBLIC_KEY"), "not needed under TLS: {change}");
    }
}

#[test]
fn closing_for_writes_closes_for_super_where_the_server_can() {
    let patience = Duration::from_secs(3);
    assert_eq!(mysql(5, 7, 44).close_for_writes(patience)[1], "SET GLOBAL super_read_only=1");
    assert_eq!(mariadb(10, 5, 0).close_for_writes(patience)[1], "SET GLOBAL read_only=1");
    assert_eq!(mariadb(10, 5, 0).close_for_writes(patience)[0], "SET SESSION lock_wait_timeout=3");
}

#[test]
fn groups_with_the_version_in_their_name_are_the_servers_own() {
    assert_eq!(mysql(8, 4, 2).versioned_groups(), ["mysqld-8.4"]);
    assert_eq!(mariadb(10, 11, 0).versioned_groups(), ["mysqld-10.11", "mariadb-10.11", "mariadbd-10.11"]);
}

#[test]
fn a_test_table_is_a_name_and_nothing_else() {
    assert_eq!(Dialect::test_query("app.ledger"), Ok("SELECT 1 FROM `app`.`ledger` LIMIT 1".into()));
    assert!(Dialect::test_query("app.`x` UNION SELECT 1").is_err());
    assert!(Dialect::test_query("a.b.c").is_err());
}

#[test]
fn only_statements_that_look_after_tables_change_nothing() {
    let harmless = "BEGIN, BEGIN\u{fffd}x y, COMMIT, analyze local table app.t, OPTIMIZE TABLE t, FLUSH TABLES, ANALYZE TABLE t\u{fffd}x";
    for statement in harmless.split(", ") {
        assert!(changes_nothing(statement), "{statement}");
    }
    let harmful = "ANALYZE UPDATE t SET a=1, ANALYZE FORMAT=JSON DELETE FROM t, /* ANALYZE TABLE */ DROP TABLE t, \
                   REPAIR TABLE t, BEGIN NOT ATOMIC DROP TABLE t; END, ALTER TABLE t ANALYZE PARTITION p";
    for statement in harmful.split(", ").chain([""]) {
        assert!(!changes_nothing(statement), "{statement}");
    }
}

#[test]
fn statements_are_separated_by_semicolons_that_are_not_quoted() {
    let split = |text: &str| split_statements(text).expect("whole");
    assert_eq!(split(" SELECT 1 ;; SELECT 2; "), ["SELECT 1", "SELECT 2"]);
    let quoted = r#"SELECT 'a;''b', "c\";d", `e;f`"#;
    assert_eq!(split(&format!("{quoted};SELECT 2")), [quoted, "SELECT 2"]);
    assert_eq!(split(""), Vec::<String>::new());
    assert!(split_statements("SELECT 'a; SELECT 2").is_err());
}

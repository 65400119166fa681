//! A writer: numbered writes through the VIP, one after another on one connection.
//!
//! What it may not do: use a number twice, or write down as acknowledged what the server did not acknowledge.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mysql::Conn;
use mysql::prelude::Queryable;

use super::book::Shared;
use super::clock::Turns;
use super::failure::FailureKind;
use super::session::Peer;

/// The table, as the first writer makes it.
pub(crate) const CREATE_TABLE: &str = "CREATE TABLE IF NOT EXISTS app.ledger (\
     id BIGINT UNSIGNED NOT NULL PRIMARY KEY, \
     writer INT UNSIGNED NOT NULL, \
     `at` BIGINT NOT NULL COMMENT 'microseconds since 1970, the client''s clock'\
     ) ENGINE=InnoDB";

/// The DDL's own time-out: it is not measured, and takes its time on a busy disk.
const DDL_TIMEOUT: Duration = Duration::from_secs(10);

/// Writes until the ledger is closed. The calling thread is in the client's network namespace.
pub(super) fn run(shared: &Shared, writer: u32) {
    let options = &shared.options;
    let peer = Peer {
        address: options.vip,
        port: options.port,
        account: options.app.clone(),
        connect_timeout: options.connect_timeout,
        answer_timeout: options.answer_timeout,
    };
    let every = options.interval();
    // The writers take turns.
    let mut turns = Turns::new(every * writer / options.writers, every);
    while !shared.is_closed() {
        if let Err(kind) = prepare_table(shared, &peer, writer) {
            shared.note_no_connection(kind);
        } else if shared.table_is_there.load(Ordering::Acquire) {
            match peer.connect() {
                Ok(conn) => write_until_failure(shared, conn, writer, &mut turns),
                Err(kind) => shared.note_no_connection(kind),
            }
        }
        thread::sleep(options.pause);
    }
}

/// The first writer makes the table, once it can; the others wait for it.
fn prepare_table(shared: &Shared, peer: &Peer, writer: u32) -> Result<(), FailureKind> {
    if writer != 0 || shared.table_is_there.load(Ordering::Acquire) {
        return Ok(());
    }
    let patient = Peer { answer_timeout: DDL_TIMEOUT, ..peer.clone() };
    let created = patient.connect()?.query_drop(CREATE_TABLE);
    created.map_err(|error| FailureKind::from(&error))?;
    shared.table_is_there.store(true, Ordering::Release);
    Ok(())
}

fn write_until_failure(shared: &Shared, mut conn: Conn, writer: u32, turns: &mut Turns) {
    loop {
        turns.wait();
        if shared.is_closed() {
            return;
        }
        let id = shared.take_id();
        let insert =
            format!("INSERT INTO app.ledger (id, writer, `at`) VALUES ({id}, {writer}, {})", microseconds_since_1970());
        let sent = shared.clock.now();
        match conn.query_drop(insert) {
            Ok(()) => shared.note_acknowledged(id, sent),
            Err(error) => return shared.note_failed(id, FailureKind::from(&error)),
        }
    }
}

/// For people who read the table; nothing is computed from it.
fn microseconds_since_1970() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros())
}

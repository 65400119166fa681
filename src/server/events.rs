//! Binary logs as files: which transactions are in them, and a new file of some of them, that the vendor's mysqlbinlog
//! reads. The events are copied as they are; only their framing and the GTIDs are understood here.
//!
//! Sources: "Replication Protocol: Binlog Event" in the MySQL internals manual (version 4), and GTID_EVENT in MariaDB's
//! replication protocol.

use std::io::{self, Read, Write};

use super::dialect::{changes_nothing, is_begin};
use crate::gtid::{GtidSet, mariadb, mysql};

/// The first bytes of every binary log.
const MAGIC: [u8; 4] = *b"\xfebin";

/// An event's header: time, type, server, length, next position, flags.
const HEADER: usize = 19;

/// The types of events that are understood.
mod kind {
    pub const QUERY: u8 = 2;
    pub const STOP: u8 = 3;
    pub const ROTATE: u8 = 4;
    pub const FORMAT: u8 = 15;
    pub const COMMIT: u8 = 16;
    pub const MYSQL_GTID: u8 = 33;
    pub const MYSQL_ANONYMOUS: u8 = 34;
    pub const MYSQL_PREVIOUS: u8 = 35;
    pub const MYSQL_TAGGED: u8 = 42;
    pub const MARIADB_CHECKPOINT: u8 = 161;
    pub const MARIADB_GTID: u8 = 162;
    pub const MARIADB_LIST: u8 = 163;
    pub const MARIADB_ENCRYPTED: u8 = 164;
}

/// What a transaction is called in a binary log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// MySQL's: the source as 32 hexadecimal digits, and the number.
    MySql(String, u64),
    /// MySQL's with a tag, which is not read: 8.3 and later.
    Tagged,
    /// MariaDB's.
    MariaDb(mariadb::Gtid),
}

/// Which transactions are wanted: those that are not in this set.
pub fn is_beyond(known: &GtidSet, name: &Name) -> bool {
    match (known, name) {
        (GtidSet::MySql(known), Name::MySql(source, number)) => {
            let text = format!("{}:{number}", with_dashes(source));
            mysql::Set::parse(&text).map_or(true, |one| !known.contains(&one))
        }
        (GtidSet::MariaDb(known), Name::MariaDb(gtid)) => known.last_in(gtid.domain).is_none_or(|last| {
            gtid.sequence > last.sequence || (gtid.sequence == last.sequence && gtid.server != last.server)
        }),
        // What cannot be told apart is not left out.
        _ => true,
    }
}

/// A source's identity as it is written in a set of GTIDs.
pub fn with_dashes(digits: &str) -> String {
    let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
    [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-")
}

/// What was copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Transactions.
    pub transactions: u64,
    /// Events, those of the transactions.
    pub events: u64,
    /// Bytes.
    pub bytes: u64,
    /// Events that may have changed data: all but those that are known not to have.
    pub changes: u64,
}

/// Copies the transactions that are wanted from one binary log to `output`, which has its first bytes already if
/// `copied` is not empty.
///
/// # Errors
/// When a file cannot be read or written, is no binary log, or is encrypted. A last event that is cut off, as a crash leaves
/// it, ends the file.
pub fn copy(
    input: &mut impl Read,
    output: &mut impl Write,
    copied: &mut Copied,
    mut is_wanted: impl FnMut(&Name) -> bool,
) -> io::Result<()> {
    read_magic(input)?;
    let mut format: Option<Vec<u8>> = None;
    let mut is_copying = false;
    // A transaction of which not all is there may be of any kind.
    let mut is_open = false;
    while let Some(header) = read_header(input)? {
        let length = u32::from_le_bytes([header[9], header[10], header[11], header[12]]);
        let length = usize::try_from(length).map_err(io::Error::other)?;
        let Some(rest) = length.checked_sub(HEADER) else { return Err(io::Error::other("an event without a header")) };
        let kind = header[4];
        if kind == kind::MARIADB_ENCRYPTED {
            return Err(io::Error::other("it is encrypted"));
        }
        let begins = matches!(kind, kind::MYSQL_GTID | kind::MYSQL_ANONYMOUS | kind::MYSQL_TAGGED | kind::MARIADB_GTID);
        let is_frame = matches!(
            kind,
            kind::STOP
                | kind::ROTATE
                | kind::FORMAT
                | kind::MYSQL_PREVIOUS
                | kind::MARIADB_CHECKPOINT
                | kind::MARIADB_LIST
        );
        if !begins && !is_copying && kind != kind::FORMAT {
            let rest = u64::try_from(rest).map_err(io::Error::other)?;
            io::copy(&mut input.by_ref().take(rest), &mut io::sink())?;
            continue;
        }
        let mut event = header.to_vec();
        event.resize(length, 0);
        match input.read_exact(&mut event[HEADER..]) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
            other => other?,
        }
        if kind == kind::FORMAT {
            format = Some(event);
            is_copying = false;
            continue;
        }
        if begins {
            copied.changes += u64::from(is_open);
            is_open = false;
            is_copying = name_of(kind, &event).is_none_or(|name| is_wanted(&name));
            copied.transactions += u64::from(is_copying);
        }
        if !is_copying || is_frame {
            continue;
        }
        let preamble = if copied.bytes == 0 { &MAGIC[..] } else { &[] };
        // The format of the file from which they are, once.
        let format = format.take().unwrap_or_default();
        for bytes in [preamble, &format, &event] {
            output.write_all(bytes)?;
            copied.bytes += u64::try_from(bytes.len()).unwrap_or_default();
        }
        copied.events += 1;
        let statement = if kind == kind::QUERY { statement_of(&event) } else { None };
        let changes_nothing = match &statement {
            Some(statement) => changes_nothing(statement),
            None => begins || kind == kind::COMMIT,
        };
        copied.changes += u64::from(!changes_nothing);
        is_open = begins || (is_open && kind != kind::COMMIT && statement.is_none_or(|statement| is_begin(&statement)));
    }
    copied.changes += u64::from(is_open);
    Ok(())
}

/// The statement of an event of that kind: after the header thread (4 bytes), time (4), length of the database's name (1),
/// error (2) and length of the variables (2); then the variables, that name, a zero, and the statement. A checksum may follow.
fn statement_of(event: &[u8]) -> Option<String> {
    let fixed = event.get(HEADER..HEADER + 13)?;
    let variables = usize::from(u16::from_le_bytes([fixed[11], fixed[12]]));
    let statement = event.get(HEADER + 13 + variables + usize::from(fixed[8]) + 1..)?;
    Some(String::from_utf8_lossy(statement).into_owned())
}

/// MariaDB: the state of the server when it began this binary log: the last transactions of each domain. Empty where the log
/// does not say so before its first transaction.
///
/// # Errors
/// When the file cannot be read, or is no binary log.
pub fn begins_after(input: &mut impl Read) -> io::Result<Vec<mariadb::Gtid>> {
    read_magic(input)?;
    while let Some(header) = read_header(input)? {
        let length = u32::from_le_bytes([header[9], header[10], header[11], header[12]]);
        if !matches!(header[4], kind::FORMAT | kind::MARIADB_LIST) {
            break;
        }
        let mut body = Vec::new();
        input.by_ref().take(u64::from(length).saturating_sub(HEADER as u64)).read_to_end(&mut body)?;
        if header[4] == kind::MARIADB_LIST {
            return Ok(list_of(&body).unwrap_or_default());
        }
    }
    Ok(Vec::new())
}

/// How many (the upper four bits are flags), then domain, server and number of each.
fn list_of(body: &[u8]) -> Option<Vec<mariadb::Gtid>> {
    let number = |at: usize, length: usize| number(body, at, length);
    let count = usize::try_from(number(0, 4)? & 0x0fff_ffff).ok()?;
    let gtid = |nth: usize| {
        let at = 4 + 16 * nth;
        Some(mariadb::Gtid {
            domain: u32::try_from(number(at, 4)?).ok()?,
            server: u32::try_from(number(at + 4, 4)?).ok()?,
            sequence: number(at + 8, 8)?,
        })
    };
    (0..count).map(gtid).collect()
}

/// The first bytes.
fn read_magic(input: &mut impl Read) -> io::Result<()> {
    let mut magic = [0; 4];
    input.read_exact(&mut magic)?;
    if magic == MAGIC { Ok(()) } else { Err(io::Error::other("it is encrypted, or no binary log")) }
}

/// A number of so many bytes, the lowest first.
fn number(bytes: &[u8], at: usize, length: usize) -> Option<u64> {
    Some(bytes.get(at..at + length)?.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
}

/// The next event's header; `None` at the end.
fn read_header(input: &mut impl Read) -> io::Result<Option<[u8; HEADER]>> {
    let mut header = [0; HEADER];
    match input.read_exact(&mut header) {
        Ok(()) => Ok(Some(header)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

fn name_of(kind: u8, event: &[u8]) -> Option<Name> {
    let number = |at: usize, length: usize| number(event, at, length);
    match kind {
        // Flags, source, number.
        kind::MYSQL_GTID => {
            let source: String = event.get(HEADER + 1..HEADER + 17)?.iter().map(|byte| format!("{byte:02x}")).collect();
            Some(Name::MySql(source, number(HEADER + 17, 8)?))
        }
        kind::MYSQL_TAGGED => Some(Name::Tagged),
        // Number, domain; the server stands in the header.
        kind::MARIADB_GTID => Some(Name::MariaDb(mariadb::Gtid {
            domain: u32::try_from(number(HEADER + 8, 4)?).ok()?,
            server: u32::try_from(number(5, 4)?).ok()?,
            sequence: number(HEADER, 8)?,
        })),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn event(kind: u8, server: u32, body: &[u8]) -> Vec<u8> {
        let mut event = vec![0, 0, 0, 0, kind];
        event.extend(server.to_le_bytes());
        event.extend(u32::try_from(HEADER + body.len()).expect("small").to_le_bytes());
        event.extend([0; 6]);
        event.extend(body);
        event
    }

    fn mariadb(server: u32, sequence: u64) -> Vec<u8> {
        let body = [&sequence.to_le_bytes()[..], &0_u32.to_le_bytes(), &[0]].concat();
        [event(kind::MARIADB_GTID, server, &body), event(2, server, b"insert")].concat()
    }

    fn log(events: &[Vec<u8>]) -> Cursor<Vec<u8>> {
        let events = events.concat();
        Cursor::new([&MAGIC[..], &event(kind::FORMAT, 1, b"format"), &events].concat())
    }

    fn saved(logs: &[&[Vec<u8>]], known: &GtidSet) -> (Vec<u8>, Copied) {
        let (mut output, mut copied) = (Vec::new(), Copied::default());
        for events in logs {
            copy(&mut log(events), &mut output, &mut copied, |name| is_beyond(known, name)).expect("copied");
        }
        (output, copied)
    }

    #[test]
    fn invariant_4_what_only_this_server_has_is_copied_whole_and_nothing_else_is() {
        let known = GtidSet::parse_mariadb("0-1-100").expect("valid");
        let first = [mariadb(1, 99), mariadb(1, 100), mariadb(3, 101), event(kind::ROTATE, 1, b"next")];
        let second = [event(kind::MARIADB_LIST, 1, b"list"), mariadb(3, 102)];
        let (output, copied) = saved(&[&first, &second], &known);
        assert_eq!((copied.transactions, copied.events), (2, 4));
        assert_eq!(copied.bytes, u64::try_from(output.len()).expect("small"));
        let format = event(kind::FORMAT, 1, b"format");
        assert_eq!(output, [&MAGIC[..], &format, &mariadb(3, 101), &format, &mariadb(3, 102)].concat());
    }

    #[test]
    fn the_same_number_of_another_server_is_another_transaction() {
        let known = GtidSet::parse_mariadb("0-1-100").expect("valid");
        assert_eq!(saved(&[&[mariadb(3, 100), mariadb(1, 100)]], &known).1.transactions, 1);
    }

    #[test]
    fn mysqls_transactions_are_told_apart_by_source_and_number() {
        let gtid = |number: u64| {
            let body = [&[1][..], &[0xaa; 16], &number.to_le_bytes()].concat();
            [event(kind::MYSQL_GTID, 1, &body), event(2, 1, b"begin"), event(16, 1, b"xid")].concat()
        };
        let uuid = "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa";
        let known = GtidSet::parse_mysql(&format!("{uuid}:1-4:6")).expect("valid");
        let tagged = event(kind::MYSQL_TAGGED, 1, b"?");
        let (_, copied) = saved(&[&[gtid(4), gtid(5), gtid(6), gtid(7), tagged]], &known);
        assert_eq!((copied.transactions, copied.events), (3, 7), "what cannot be told apart is not left out");
    }

    #[test]
    fn a_log_says_with_what_it_begins() {
        let entry = |server: u32, sequence: u64| {
            [&0_u32.to_le_bytes()[..], &server.to_le_bytes(), &sequence.to_le_bytes()].concat()
        };
        let list = [&2_u32.to_le_bytes()[..], &entry(1, 100), &entry(2, 150), b"sum!"].concat();
        let gtid = |server, sequence| mariadb::Gtid { domain: 0, server, sequence };
        let begins = |events: &[Vec<u8>]| begins_after(&mut log(events)).expect("readable");
        let listed = event(kind::MARIADB_LIST, 1, &list);
        assert_eq!(begins(&[listed.clone(), mariadb(1, 151)]), [gtid(1, 100), gtid(2, 150)]);
        assert_eq!(begins(&[mariadb(1, 151), listed]), []);
        assert_eq!(begins(&[event(kind::MARIADB_LIST, 1, &list[..20])]), [], "cut off");
        assert!(begins_after(&mut Cursor::new(b"none")).is_err());
    }

    #[test]
    fn objection_29_whether_anything_was_changed_is_read_from_the_statements() {
        let query = |statement: &str| {
            // Thread, time, length of the name, error, length of the variables; those, the name, the statement, a checksum.
            let fixed = [&[0; 8][..], &[3, 0, 0, 5, 0], b"ABCDE", b"app\0"].concat();
            event(kind::QUERY, 3, &[&fixed[..], statement.as_bytes(), b" \xff\x00x"].concat())
        };
        let gtid = |sequence: u64| event(kind::MARIADB_GTID, 3, &[&sequence.to_le_bytes()[..], &[0; 5]].concat());
        let changes = |events: &[Vec<u8>]| {
            saved(&[&[&[gtid(101)], events].concat()], &GtidSet::parse_mariadb("0-1-100").expect("valid")).1.changes
        };
        assert_eq!(changes(&[query("ANALYZE TABLE t")]), 0);
        assert_eq!(changes(&[query("BEGIN"), event(kind::COMMIT, 3, b"xid")]), 0);
        assert_eq!(changes(&[query("BEGIN"), event(19, 3, b"table map"), event(kind::COMMIT, 3, b"xid")]), 1);
        assert_eq!(changes(&[query("DROP TABLE t"), event(kind::QUERY, 3, b"too short")]), 2);
        assert_eq!(changes(&[]), 1, "not all of it is there");
        assert_eq!(changes(&[query("BEGIN")]), 1, "not all of it is there");
        assert_eq!(changes(&[query("BEGIN"), query("COMMIT")]), 0);
    }

    #[test]
    fn an_event_that_a_crash_cut_off_ends_the_file_and_an_encrypted_one_is_an_error() {
        let known = GtidSet::parse_mariadb("").expect("valid");
        let mut cut = log(&[mariadb(1, 1), mariadb(1, 2)]).into_inner();
        cut.truncate(cut.len() - 3);
        let (mut output, mut copied) = (Vec::new(), Copied::default());
        copy(&mut Cursor::new(cut), &mut output, &mut copied, |name| is_beyond(&known, name)).expect("copied");
        assert_eq!((copied.transactions, copied.events), (2, 3));
        let encrypted = [Cursor::new(b"\xfdbin".to_vec()), log(&[event(kind::MARIADB_ENCRYPTED, 1, b"key")])];
        for mut log in encrypted {
            assert!(copy(&mut log, &mut Vec::new(), &mut Copied::default(), |_| true).is_err());
        }
    }
}

//! A login from a file, and a server that keeps its clients waiting.

use super::*;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::time::Instant;

fn credentials(name: &str, text: &str, mode: u32) -> Result<Login> {
    let path = std::env::temp_dir().join(format!("rustha-{name}-{}", std::process::id()));
    std::fs::write(&path, text).expect("written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("mode");
    let login = read_credentials(&path);
    std::fs::remove_file(&path).expect("removed");
    login
}

#[test]
fn a_credentials_file_that_others_can_read_is_refused() {
    let error = credentials("open", "[client]\nuser=a\npassword=geheim\n", 0o644).err().expect("refused").to_string();
    assert!(error.contains("chmod 600") && !error.contains("geheim"), "{error}");
}

#[test]
fn a_credentials_file_gives_user_and_password() {
    let login = credentials("closed", "[client]\nuser = admin\npassword = \"a#b\"\n", 0o600).expect("read");
    assert_eq!((login.user.as_str(), login.password.as_deref()), ("admin", Some("a#b")));
}

fn patience(milliseconds: u64) -> Patience {
    Patience { deadline: Deadline::after(Duration::from_millis(milliseconds)), answer: Duration::MAX }
}

fn access(socket: &Path) -> Access {
    Access { socket: socket.into(), logins: vec![Login { user: "root".into(), password: None }] }
}

#[test]
fn a_socket_where_nobody_listens_is_not_a_hung_server() {
    let error = Session::open(&access(Path::new("/no/such/socket")), patience(1000)).err();
    assert!(matches!(error, Some(Unavailable::NotListening(_))));
}

#[test]
fn a_server_that_accepts_and_says_nothing_is_silent() {
    let path = std::env::temp_dir().join(format!("rustha-silent-{}", std::process::id()));
    let _listener = UnixListener::bind(&path).expect("bound");
    let error = Session::open(&access(&path), patience(100)).err();
    std::fs::remove_file(&path).expect("removed");
    assert!(matches!(error, Some(Unavailable::Silent(_))), "{error:?}");
}

#[test]
fn invariant_5_a_statement_late_in_an_action_ends_with_the_action() {
    let mut session = fake_session("late", patience(600));
    session.execute("ask something", "DO 1").expect("answered at once");
    std::thread::sleep(Duration::from_millis(400));
    let start = Instant::now();
    let error =
        session.execute("do something slow", "DO SLEEP(1)").expect_err("the server takes longer than there is time");
    assert!(start.elapsed() < Duration::from_millis(400), "it waited for {:?}", start.elapsed());
    let said = format!("{error:#}");
    assert!(said.starts_with("cannot do something slow: the server did not answer within 0."), "{said}");
}

#[test]
fn an_answer_that_comes_too_late_is_not_taken_for_the_next_one() {
    let patience = Patience { answer: Duration::from_millis(100), ..patience(10_000) };
    let mut session = fake_session("stale", patience);
    session.execute("do something slow", "DO SLEEP(1)").expect_err("no answer in time");
    std::thread::sleep(Duration::from_millis(1000));
    let error = session.value("the version", Dialect::VERSION).expect_err("nothing more is asked");
    assert!(error.downcast_ref::<Unavailable>().is_some(), "{error:#}");
}

#[test]
fn a_statement_after_the_actions_time_is_not_begun() {
    let mut session = fake_session("over", patience(300));
    std::thread::sleep(Duration::from_millis(320));
    let error = session.execute("ask something", "DO 1").expect_err("no time is left");
    assert_eq!(format!("{error:#}"), "cannot ask something: the action's time is over");
}

/// A session with a server that answers one client, everything at once but what says SLEEP.
fn fake_session(name: &str, patience: Patience) -> Session {
    let path = std::env::temp_dir().join(format!("rustha-{name}-{}", std::process::id()));
    let listener = UnixListener::bind(&path).expect("bound");
    std::thread::spawn(move || serve(&mut listener.accept().expect("a client").0));
    let session = Session::open(&access(&path), patience).expect("connected");
    std::fs::remove_file(&path).expect("removed");
    session
}

/// MySQL's protocol, as much of it as a login by socket and a few statements need. Ends with the client.
fn serve(client: &mut UnixStream) -> Option<()> {
    const OK: &[u8] = b"\0\0\0\x02\0\0\0";
    const EOF: &[u8] = b"\xfe\0\0\x02\0";
    let greeting = b"\x0a8.4.0\0\x01\0\0\0saltsalt\0\x01\x82\x21\x02\0\x08\0\x15\0\0\0\0\0\0\0\0\0\0saltsaltsalt\0mysql_native_password\0";
    send(client, 0, greeting)?;
    receive(client)?;
    send(client, 2, OK)?;
    loop {
        let command = String::from_utf8_lossy(&receive(client)?).into_owned();
        let row: &[&str] = match &command {
            version if version.contains(Dialect::VERSION) => &["8.4.0", "MySQL Community Server"],
            question if question.contains("SELECT") => &["1048576"],
            slow if slow.contains("SLEEP") => {
                std::thread::sleep(Duration::from_secs(1));
                &[]
            }
            _ => &[],
        };
        if row.is_empty() {
            send(client, 1, OK)?;
            continue;
        }
        let columns = u8::try_from(row.len()).expect("a few");
        send(client, 1, &[columns])?;
        for number in 0..columns {
            send(client, 2 + number, b"\x03def\0\0\0\x01c\0\x0c\x21\0\xff\0\0\0\xfd\0\0\0\0\0")?;
        }
        send(client, 2 + columns, EOF)?;
        let values = row.iter().flat_map(|value| std::iter::once(value.len() as u8).chain(value.bytes()));
        send(client, 3 + columns, &values.collect::<Vec<_>>())?;
        send(client, 4 + columns, EOF)?;
    }
}

fn send(client: &mut UnixStream, sequence: u8, payload: &[u8]) -> Option<()> {
    let length = u8::try_from(payload.len()).expect("a short packet");
    client.write_all(&[&[length, 0, 0, sequence], payload].concat()).ok()
}

fn receive(client: &mut UnixStream) -> Option<Vec<u8>> {
    let mut head = [0; 4];
    client.read_exact(&mut head).ok()?;
    let mut payload = vec![0; usize::from(head[0]) + (usize::from(head[1]) << 8)];
    client.read_exact(&mut payload).ok()?;
    Some(payload)
}

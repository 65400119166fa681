//! The only user of the `mysql` crate: one connection to the local server, through its socket, never without a limit:
//! each statement may take what is left of the action's time when it begins, not what was left when it was connected.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result};
use mysql::prelude::Queryable;
use mysql::{Conn, OptsBuilder, Value};

use super::dialect::{self, Dialect, code};
use super::options::Options;
use super::rows::{self, Connection, ReplicaStatus, Row, ServerState};
use super::version::Version;
use crate::deadline::Deadline;

/// A way to log in.
#[derive(Clone)]
pub struct Login {
    /// The account's name.
    pub user: String,
    /// Its password; `None`: the server knows us by the socket (unix_socket, auth_socket).
    pub password: Option<String>,
}

/// Where the local server is, and as whom to talk to it: the first login that is not refused.
#[derive(Clone)]
pub struct Access {
    /// The server's socket.
    pub socket: PathBuf,
    /// To be tried in this order.
    pub logins: Vec<Login>,
}

/// For how long answers are waited for.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// None is waited for any longer than until then.
    pub deadline: Deadline,
    /// And no single one for longer than this.
    pub answer: Duration,
}

impl Patience {
    /// What an answer that is asked for now may take.
    fn now(self) -> Duration {
        self.deadline.remaining().min(self.answer)
    }
}

/// Why the server could not be asked.
#[derive(Debug)]
pub enum Unavailable {
    /// Nobody listens at the socket: not running, or not yet.
    NotListening(String),
    /// It accepts and does not answer within the time it had.
    Silent(Duration),
    /// It lives, but has no connection to spare (error 1040).
    TooManyConnections,
    /// It lives, but refuses every login that we have.
    Denied(String),
    /// Anything else.
    Other(anyhow::Error),
}

impl std::fmt::Display for Unavailable {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotListening(why) => write!(formatter, "the server cannot be reached: {why}"),
            Self::Silent(time) => write!(formatter, "the server did not answer within {:.1} s", time.as_secs_f64()),
            Self::TooManyConnections => formatter.write_str("the server has too many connections (error 1040)"),
            Self::Denied(why) => write!(
                formatter,
                "the server refuses the agent ({why}): let root in by socket, or set the parameter credentials"
            ),
            Self::Other(error) => write!(formatter, "{error:#}"),
        }
    }
}

impl std::error::Error for Unavailable {}

/// A connection to the local server.
pub struct Session {
    line: Line,
    dialect: Dialect,
    login: Login,
}

impl Session {
    /// Connects.
    ///
    /// # Errors
    /// With the kind of unavailability, which decides what a monitor says.
    pub fn open(access: &Access, patience: Patience) -> Result<Self, Unavailable> {
        let connecting = Deadline::after(patience.now());
        let mut denied = String::from("no login is configured");
        for login in &access.logins {
            match connect(&access.socket, login, connecting.remaining()) {
                Err(Unavailable::Denied(why)) => denied = why,
                Ok(connection) => return Self::prepare(connection, login.clone(), patience),
                Err(other) => return Err(other),
            }
        }
        Err(Unavailable::Denied(denied))
    }

    fn prepare(connection: Conn, login: Login, patience: Patience) -> Result<Self, Unavailable> {
        let mut line = Line::over(connection, patience).map_err(Unavailable::Other)?;
        let row: Option<(String, String)> =
            line.ask(|connection| connection.query_first(Dialect::VERSION)).map_err(unavailable)?;
        let (version, comment) = row.unwrap_or_default();
        let version = Version::parse(&version, &comment).map_err(|why| Unavailable::Other(anyhow::anyhow!(why)))?;
        // A login that may not set these (a test account) can still ask; what it may not do fails by itself.
        if let Err(error) = line.ask(|connection| connection.query_drop(dialect::SESSION)) {
            log::debug!("the session keeps its own modes: {error}");
        }
        Ok(Self { line, dialect: Dialect::of(version), login })
    }

    /// The server's language.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// An option file with the login of this session, for the vendor's tools. It holds the password.
    pub fn login_file(&self) -> String {
        let quote = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
        let password = self.login.password.as_ref().map(|text| format!("password={}\n", quote(text)));
        format!("[client]\nuser={}\n{}", quote(&self.login.user), password.unwrap_or_default())
    }

    /// Runs a statement. The log never sees a statement, which may hold a password; `what` names it.
    ///
    /// # Errors
    /// The server's error, or no answer in time.
    pub fn execute(&mut self, what: &str, statement: &str) -> Result<()> {
        log::debug!("sql: {what}");
        self.line.ask(|connection| connection.query_drop(statement)).with_context(|| format!("cannot {what}"))
    }

    /// Runs a query.
    ///
    /// # Errors
    /// The server's error, or no answer in time.
    pub fn query(&mut self, what: &str, query: &str) -> Result<Vec<Row>> {
        let rows: Vec<mysql::Row> =
            self.line.ask(|connection| connection.query(query)).with_context(|| format!("cannot read {what}"))?;
        Ok(rows.into_iter().map(into_row).collect())
    }

    /// The first column of the first row, if there is one.
    ///
    /// # Errors
    /// The server's error, or no answer in time.
    pub fn value(&mut self, what: &str, query: &str) -> Result<Option<String>> {
        let value: Option<Option<String>> =
            self.line.ask(|connection| connection.query_first(query)).with_context(|| format!("cannot read {what}"))?;
        Ok(value.flatten())
    }

    /// What the server says about itself.
    ///
    /// # Errors
    /// When it cannot be asked or understood.
    pub fn state(&mut self) -> Result<ServerState> {
        let rows = self.query("the server's state", self.dialect.state())?;
        let row = rows.first().context("the server gave no state")?;
        ServerState::parse(self.dialect.version().vendor, row).map_err(anyhow::Error::msg)
    }

    /// The state of replication; `None` without a source.
    ///
    /// # Errors
    /// When it cannot be asked or understood.
    pub fn replica_status(&mut self) -> Result<Option<ReplicaStatus>> {
        let rows = self.query("the replica's status", &self.dialect.show_replica_status())?;
        ReplicaStatus::parse(self.dialect.version().vendor, self.dialect.replica_columns(), &rows)
            .map_err(anyhow::Error::msg)
    }

    /// Whether InnoDB is still loading what it had in its buffer pool before it was started.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub fn is_loading_buffer_pool(&mut self) -> Result<bool> {
        let loads = self.value("whether the buffer pool is loaded", Dialect::LOADS_BUFFER_POOL)?;
        if loads.as_deref() != Some("1") {
            return Ok(false);
        }
        let rows = self.query("how far the buffer pool is loaded", Dialect::BUFFER_POOL_LOADED)?;
        Ok(rows.first().is_some_and(rows::is_loading_buffer_pool))
    }

    /// The number of this connection.
    ///
    /// # Errors
    /// When the server does not say it.
    pub fn id(&mut self) -> Result<u64> {
        let own = self.value("our own connection", Dialect::OWN_CONNECTION)?;
        own.and_then(|id| id.parse().ok()).context("the server did not say the number of the connection")
    }

    /// Ends a connection, or a thread of the server's own that has a number like one. One that has ended by itself is
    /// none.
    ///
    /// # Errors
    /// When the server does not do so.
    pub fn kill(&mut self, what: &str, id: u64) -> Result<()> {
        match self.execute(what, &Dialect::kill(id)) {
            Err(error) if server_error(&error) == Some(code::NO_SUCH_THREAD) => Ok(()),
            done => done,
        }
    }

    /// The clients' connections, without our own.
    ///
    /// # Errors
    /// When they cannot be asked.
    pub fn clients(&mut self) -> Result<Vec<Connection>> {
        let own = self.id()?;
        Ok(self.connections()?.into_iter().filter(|one| one.is_client() && one.id != own).collect())
    }

    /// All connections.
    ///
    /// # Errors
    /// When they cannot be asked.
    pub fn connections(&mut self) -> Result<Vec<Connection>> {
        Ok(self.query("the connections", Dialect::CONNECTIONS)?.iter().filter_map(Connection::parse).collect())
    }
}

/// A connection, and the time that its answers have.
struct Line {
    connection: Conn,
    /// The connection's socket once more: what it is told about time is told to the connection's own.
    socket: UnixStream,
    patience: Patience,
    /// For how long an answer was waited for that did not come.
    silent: Option<Duration>,
}

impl Line {
    fn over(connection: Conn, patience: Patience) -> Result<Self> {
        // SAFETY: the descriptor is the connection's, which outlives this borrow.
        let socket = unsafe { BorrowedFd::borrow_raw(connection.as_raw_fd()) };
        let socket = socket.try_clone_to_owned().context("cannot duplicate the connection's descriptor")?.into();
        Ok(Self { connection, socket, patience, silent: None })
    }

    /// Asks one thing, within the time that is left now. After an answer that did not come nothing more is asked: it
    /// might still come, and would be taken for the answer to the next question.
    fn ask<T>(&mut self, question: impl FnOnce(&mut Conn) -> mysql::Result<T>) -> Result<T> {
        if let Some(time) = self.silent {
            return Err(Unavailable::Silent(time).into());
        }
        let time = self.patience.now();
        anyhow::ensure!(!time.is_zero(), "the action's time is over");
        // The driver's own setting holds from when it connects, and cannot be changed.
        self.socket.set_read_timeout(Some(time)).and_then(|()| self.socket.set_write_timeout(Some(time)))?;
        question(&mut self.connection).map_err(|error| {
            if !is_timeout(&error) {
                return error.into();
            }
            self.silent = Some(time);
            Unavailable::Silent(time).into()
        })
    }
}

/// The number of a server's error, if it is one.
pub fn server_error(error: &anyhow::Error) -> Option<u16> {
    match error.downcast_ref::<mysql::Error>() {
        Some(mysql::Error::MySqlError(error)) => Some(error.code),
        _ => None,
    }
}

/// Connects in a thread of its own: connect(2) to a socket whose queue is full waits for ever, and a daemon that
/// hangs fills its queue. A thread that is left behind ends with the action.
fn connect(socket: &Path, login: &Login, patience: Duration) -> Result<Conn, Unavailable> {
    let options = OptsBuilder::new()
        .socket(Some(socket.to_string_lossy().into_owned()))
        .user(Some(login.user.clone()))
        .pass(login.password.clone())
        .read_timeout(Some(patience.max(Duration::from_millis(1))))
        .write_timeout(Some(patience.max(Duration::from_millis(1))));
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(Conn::new(options)));
    match receiver.recv_timeout(patience) {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(error)) => Err(classify(error, patience)),
        Err(_) => Err(Unavailable::Silent(patience)),
    }
}

/// Whether the socket's time was over. The driver has two ways to say it: while it connects, and after.
fn is_timeout(error: &mysql::Error) -> bool {
    use std::io::ErrorKind::{TimedOut, WouldBlock};
    let io = match error {
        mysql::Error::IoError(io) => Some(io),
        mysql::Error::CodecError(codec) => std::error::Error::source(codec).and_then(|source| source.downcast_ref()),
        _ => None,
    };
    io.is_some_and(|io: &std::io::Error| matches!(io.kind(), TimedOut | WouldBlock))
}

fn unavailable(error: anyhow::Error) -> Unavailable {
    match error.downcast::<mysql::Error>() {
        Ok(error) => classify(error, Duration::ZERO),
        Err(error) => error.downcast::<Unavailable>().unwrap_or_else(Unavailable::Other),
    }
}

fn classify(error: mysql::Error, patience: Duration) -> Unavailable {
    match &error {
        mysql::Error::MySqlError(server) if server.code == code::TOO_MANY_CONNECTIONS => {
            Unavailable::TooManyConnections
        }
        mysql::Error::MySqlError(server) if code::ACCESS_DENIED.contains(&server.code) => {
            Unavailable::Denied(server.message.clone())
        }
        mysql::Error::DriverError(mysql::DriverError::CouldNotConnect(why)) => {
            let why = why.as_ref().map_or_else(String::new, |(place, text, _)| format!("{place}: {text}"));
            Unavailable::NotListening(why)
        }
        late if is_timeout(late) => Unavailable::Silent(patience),
        _ => Unavailable::Other(anyhow::Error::new(error)),
    }
}

fn into_row(row: mysql::Row) -> Row {
    let names: Vec<String> = row.columns_ref().iter().map(|column| column.name_str().into_owned()).collect();
    names.into_iter().zip(row.unwrap().into_iter().map(into_text)).collect()
}

fn into_text(value: Value) -> Option<String> {
    match value {
        Value::NULL => None,
        Value::Bytes(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        other => Some(other.as_sql(true).trim_matches('\'').to_string()),
    }
}

/// Reads a credentials file in the syntax of my.cnf, group `[client]`.
///
/// # Errors
/// A file that others than its owner can read or write, or that cannot be read or has no user.
pub fn read_credentials(path: &Path) -> Result<Login> {
    use std::os::unix::fs::PermissionsExt;
    let metadata =
        std::fs::metadata(path).with_context(|| format!("cannot read the credentials file {}", path.display()))?;
    let mode = metadata.permissions().mode();
    anyhow::ensure!(
        mode & 0o077 == 0,
        "the credentials file {} can be read by others than its owner (mode {:03o}): chmod 600 it",
        path.display(),
        mode & 0o777
    );
    let options = Options::read(path)?;
    let user = options.text(&["client"], "user");
    let user = user.with_context(|| format!("the credentials file {} names no user in [client]", path.display()))?;
    let password = options.text(&["client"], "password").map(str::to_string);
    Ok(Login { user: user.to_string(), password })
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;

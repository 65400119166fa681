//! Filling a draft of a data directory with the data of a donor, by one method: until it is whole, nothing but the draft is
//! touched.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;

use super::super::create;
use super::super::decide::record::Record;
use super::super::decide::rejoin::{Offer, Want, Word, check_room};
use super::super::lasting::{Lasting, Position};
use super::super::node::{Node, new_life};
use super::super::staging::Staging;
use super::donor::{self, SILENCE};
use super::progress::Progress;
use crate::deadline::Deadline;
use crate::gtid::mariadb;
use crate::net::frames::Frame;
use crate::net::pinned::Identity;
use crate::ocf::exit::OcfError;
use crate::pacemaker::Cluster;
use crate::server::client::{Access, Login, Patience, Session, Unavailable, server_error};
use crate::server::dialect::backup::{CLONED, Method};
use crate::server::dialect::{Dialect, Source};
use crate::server::layout::{self, Layout};
use crate::server::process::{Daemon, Starting};
use crate::server::tools;
use crate::server::version::Vendor;

/// How long the donor may take to answer: its guard looks every few seconds.
const ANSWER: Duration = Duration::from_secs(30);

/// How often it is looked whether the donor is still there.
const ASKING: Duration = Duration::from_secs(5);

/// How often it is looked whether it has.
const LOOK: Duration = Duration::from_millis(500);

/// How long a tool here may take nothing of what comes: it writes to a disk.
const TOOL: Duration = Duration::from_secs(600);

/// The longest that a step may take in which nothing comes from outside: a server's recovery, a backup's.
const LONG: Duration = Duration::from_secs(24 * 3600);

/// A clean shutdown of a server that was filled: it writes what it has in memory.
const ENDING: Duration = Duration::from_secs(3600);

/// The start of an empty server.
const START: Duration = Duration::from_secs(300);

/// How it is tried.
pub struct Attempt<'a> {
    /// From whom.
    pub donor: &'a str,
    /// By which method.
    pub method: Method,
    /// How the donor is reached.
    pub source: Source,
    /// Where what only this node has was saved.
    pub saved: Option<&'a str>,
}

impl Attempt<'_> {
    fn describe(&self) -> String {
        let saved = self.saved.map(|file| format!(" (what only it had is in {file})")).unwrap_or_default();
        format!("from {} ({}){saved}", self.donor, self.method.name())
    }
}

/// Fills a draft, and says that it is whole.
///
/// # Errors
/// Whatever went wrong; the draft is removed.
pub fn fill(node: &mut Node, cluster: &Cluster, record: &Record, attempt: &Attempt<'_>) -> Result<()> {
    let outcome = try_fill(node, cluster, record, attempt);
    if outcome.is_err()
        && let Err(error) = Staging::of(node).and_then(|staging| staging.remove_draft(Deadline::after(START)))
    {
        log::warn!("{error:#}");
    }
    outcome
}

fn try_fill(node: &mut Node, cluster: &Cluster, record: &Record, attempt: &Attempt<'_>) -> Result<()> {
    let binary = node.layout.binary.clone().context("the server's program is not on this node")?;
    let dialect = layout::ask_version(&binary)?;
    node.renew(START);
    let node = &*node;
    let draft = Staging::of(node)?.begin_for_server(dialect.version().vendor, Deadline::after(START))?;
    let filling = Filling { node, cluster, attempt, draft: &draft, binary: &binary, dialect };
    let (position, state) = match attempt.method {
        Method::Physical => filling.receive_files()?,
        Method::Logical => filling.receive_statements()?,
        Method::Clone => filling.clone_server()?,
    };
    if position.trim().is_empty() {
        bail!("the data of {} do not say which transactions are in them", attempt.donor);
    }
    log::info!("the data of {} are here, up to {position}", attempt.donor);
    let earlier = match dialect.version().vendor {
        Vendor::MariaDb => Some(mariadb::Position::parse(position.trim())?.with_earlier(&state)?),
        Vendor::MySql => None,
    };
    let lasting = Lasting::of(&draft);
    lasting.note_position(&Position { executed: position.trim().into(), instead_of: None, earlier })?;
    lasting.note_epoch(record.epoch)?;
    Staging::of(node)?.complete()
}

struct Filling<'a> {
    node: &'a Node,
    cluster: &'a Cluster,
    attempt: &'a Attempt<'a>,
    draft: &'a Path,
    binary: &'a Path,
    dialect: Dialect,
}

impl Filling<'_> {
    fn draft_text(&self) -> String {
        self.draft.to_string_lossy().into_owned()
    }

    /// The files of a running server, and what they hold.
    fn receive_files(&self) -> Result<(String, String)> {
        let tool = self.dialect.receive_data(Method::Physical, "", &self.draft_text()).context("no tool")?;
        let prepare = self.dialect.prepare_data(&self.draft_text());
        // What is missing here is said before anybody sends.
        tools::find(&prepare)?;
        let state = self.receive(&tool)?;
        super::progress::say(self.node, &format!("provisioning {}: making a database of it", self.attempt.describe()));
        tools::output(&prepare, Deadline::after(LONG))?;
        let files = Dialect::POSITION_FILES.iter().map(|name| self.draft.join(name));
        let text = files.filter_map(|path| fs::read_to_string(path).ok()).next();
        let text = text.context("the backup does not say which transactions are in it")?;
        Ok((text.trim_end().split('\t').nth(2).unwrap_or_default().replace('\n', ""), state))
    }

    /// The statements of a dump, carried out by a server of their own, and what it has then.
    fn receive_statements(&self) -> Result<(String, String)> {
        let mut server = self.start_server()?;
        let mut session = server.session()?;
        let tool = self.dialect.receive_data(Method::Logical, &server.socket_text(), "").context("no tool")?;
        let state = self.receive(&tool)?;
        // In that session: whoever may log in now is who may at the donor's.
        let query = self.dialect.held_position();
        let position = session.value("what the data hold", query)?.unwrap_or_default();
        session.execute("shut down", Dialect::SHUTDOWN)?;
        server.await_end()?;
        Ok((position.replace('\n', ""), state))
    }

    /// The clone plugin's way: the new server asks the donor's itself, and looks itself whether there is room
    /// (ER_CLONE_DISK_SPACE).
    fn clone_server(&self) -> Result<(String, String)> {
        let mut server = self.start_server()?;
        let mut session = server.session()?;
        // Told like the others: one node at a time.
        self.want(&Identity::new()?, &new_life())?;
        let progress = Progress::begin(self.node, &self.attempt.describe(), None);
        let statements = self.dialect.clone_from(&self.attempt.source);
        let cloned = std::thread::scope(|scope| {
            let cloning = scope.spawn(move || {
                statements.iter().try_for_each(|statement| session.execute("clone the donor's data", statement))
            });
            if let Some(why) = server.watch_clone(progress, || self.donor_is_lost(), || cloning.is_finished()) {
                log::warn!("{why}: the clone is given up");
                server.kill();
            }
            cloning.join().unwrap_or_else(|_| bail!("a thread of this program ended unexpectedly"))
        });
        match cloned {
            Err(error) if server_error(&error) != Some(CLONED) => return Err(error),
            _ => {}
        }
        server.await_end()?;
        let mut server = self.start_server_on_data()?;
        // Whoever may log in now is who may at the donor's.
        let mut session = server.session_by(&self.node.logins())?;
        let position = session.value("what the data hold", self.dialect.held_position())?.unwrap_or_default();
        session.execute("shut down", Dialect::SHUTDOWN)?;
        server.await_end()?;
        Ok((position.replace('\n', ""), String::new()))
    }

    /// Receives what the donor sends, and gives it to a tool; the donor's `gtid_binlog_state`.
    fn receive(&self, tool: &crate::server::dialect::backup::Tool) -> Result<String> {
        let (identity, id) = (Identity::new()?, new_life());
        let offer = self.want(&identity, &id).and_then(|()| self.await_offer(&id))?;
        self.check_room(offer.bytes)?;
        let place = (self.attempt.source.host.as_str(), offer.port);
        let mut stream = identity.connect(place, &offer.key, SILENCE)?;
        let mut tool = tools::write_to(tool, TOOL)?;
        let total = (self.attempt.method == Method::Physical).then_some(offer.bytes);
        let mut progress = Progress::begin(self.node, &self.attempt.describe(), total);
        let pumped = pump(&mut stream, &mut tool.pipe()?, &mut progress);
        match pumped {
            // The tool's own words say more than that its pipe is closed.
            Err(error) if error.downcast_ref::<BrokenTool>().is_some() => {
                tool.finish(Deadline::after(Duration::from_secs(10)))?;
                Err(error)
            }
            Err(error) => Err(error),
            Ok(()) => tool.finish(Deadline::after(LONG)).map(|()| offer.state),
        }
    }

    fn want(&self, identity: &Identity, id: &str) -> Result<()> {
        let want = Want {
            id: id.into(),
            donor: self.attempt.donor.into(),
            method: self.attempt.method,
            key: identity.public_key().clone(),
        };
        let attribute = donor::attribute(self.node);
        let is_want = |text: &str| matches!(Word::parse(text), Some(Word::Want(_)));
        let told = self.cluster.told(&attribute, Deadline::after(ANSWER))?;
        if let Some((name, _)) = told.iter().find(|(name, text)| **name != self.cluster.node && is_want(text)) {
            bail!("{name} is being provisioned: one at a time");
        }
        self.cluster.tell(&attribute, &Word::Want(want).to_string(), Deadline::after(ANSWER))?;
        // Two that begin at once: the first by name goes on (objection 29).
        let told = self.cluster.told(&attribute, Deadline::after(ANSWER))?;
        match told.iter().find(|(name, text)| **name < self.cluster.node && is_want(text)) {
            Some((name, _)) => bail!("{name} is being provisioned: one at a time"),
            None => Ok(()),
        }
    }

    fn await_offer(&self, id: &str) -> Result<Offer> {
        let deadline = Deadline::after(ANSWER);
        let answer = deadline.wait_for(LOOK, || {
            let told = self.cluster.told(&donor::attribute(self.node), deadline).ok()?;
            match Word::parse(told.get(self.attempt.donor)?)? {
                Word::Offer(offer) if offer.id == id => Some(Ok(offer)),
                Word::Refusal(of, why) if of == id => Some(Err(why)),
                _ => None,
            }
        });
        match answer {
            Some(Ok(offer)) => Ok(offer),
            Some(Err(why)) => bail!("it refuses: {why}"),
            None => bail!("it does not answer within {} s: its guard does not run, or is older", ANSWER.as_secs()),
        }
    }

    /// Whether the donor's instance runs no more. Where nobody can say, it is not.
    fn donor_is_lost(&self) -> bool {
        let view = self.cluster.view(Deadline::after(ANSWER));
        view.is_ok_and(|view| !view.instances.contains_key(self.attempt.donor))
    }

    fn check_room(&self, needed: u64) -> Result<()> {
        let datadir = &self.node.layout.datadir;
        let room =
            nix::sys::statvfs::statvfs(datadir).with_context(|| format!("cannot look at {}", datadir.display()))?;
        let free = room.blocks_available() * room.fragment_size();
        let staging = Staging::of(self.node)?;
        let replaced = if staging.replaced().exists() { donor::measure(&staging.replaced()) } else { 0 };
        if check_room(needed, free, "").is_err() && check_room(needed, free + replaced, "").is_ok() {
            staging.remove_replaced()?;
            return Ok(());
        }
        check_room(needed, free, &datadir.display().to_string())
            .map_err(|why| OcfError::generic(format!("{why}: nothing was touched")).into())
    }

    /// An empty server.
    fn start_server(&self) -> Result<Server> {
        create::fill(self.node, self.binary, self.dialect, self.draft)?;
        self.start_server_on_data()
    }

    fn start_server_on_data(&self) -> Result<Server> {
        let place = |name: &str| self.draft.join(name);
        let files = Layout {
            datadir: self.draft.to_path_buf(),
            socket: place("rustha.sock"),
            pid_file: place("rustha.pid"),
            log: place("rustha.err"),
            ..self.node.layout.clone()
        };
        let mut args = files.options(&self.node.config.additional);
        args.extend(self.dialect.filling_options(self.attempt.method).into_iter().map(String::from));
        let file = fs::OpenOptions::new().create(true).append(true).open(&files.log);
        let file = file.with_context(|| format!("cannot write {}", files.log.display()))?;
        let user = self.node.os_user()?;
        std::os::unix::fs::fchown(&file, Some(user.uid.as_raw()), Some(user.gid.as_raw()))?;
        let starting = Starting::launch(self.binary, &args, &files.log)?;
        Ok(Server { starting, files })
    }
}

/// The tool here does not take what comes.
#[derive(Debug)]
struct BrokenTool(std::io::Error);

impl std::fmt::Display for BrokenTool {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "what was received cannot be used: {}", self.0)
    }
}

impl std::error::Error for BrokenTool {}

fn pump(stream: &mut impl Read, tool: &mut impl Write, progress: &mut Progress<'_>) -> Result<()> {
    let mut received = 0;
    loop {
        match Frame::receive(stream).context("the connection to the donor is cut")? {
            Frame::Piece(bytes) => {
                tool.write_all(&bytes).map_err(BrokenTool)?;
                received += u64::try_from(bytes.len()).unwrap_or_default();
                progress.tell(received);
            }
            Frame::Alive => progress.tell(received),
            Frame::End => return Ok(()),
            Frame::Failed(why) => bail!("the donor cannot send it all: {why}"),
        }
    }
}

/// The server that is filled. It is killed when this is dropped.
struct Server {
    starting: Starting,
    files: Layout,
}

impl Server {
    fn socket_text(&self) -> String {
        self.files.socket.to_string_lossy().into_owned()
    }

    /// A session as the account that a new server has.
    fn session(&mut self) -> Result<Session> {
        self.session_by(&[Login { user: "root".into(), password: None }])
    }

    fn session_by(&mut self, logins: &[Login]) -> Result<Session> {
        let access = Access { socket: self.files.socket.clone(), logins: logins.to_vec() };
        let deadline = Deadline::after(START);
        loop {
            if let Some(why) = self.starting.ended() {
                bail!("the new server: {why}");
            }
            match Session::open(&access, Patience { deadline: Deadline::after(LONG), answer: LONG }) {
                Ok(session) => return Ok(session),
                Err(denied @ Unavailable::Denied(_)) => return Err(denied.into()),
                Err(error) if deadline.is_over() => return Err(error).context("the new server does not answer"),
                Err(_) => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    /// Tells how far the clone is, until it is over. Or why it will never be: the plugin waits for a donor without end.
    fn watch_clone(
        &self,
        mut progress: Progress<'_>,
        is_lost: impl Fn() -> bool,
        is_over: impl Fn() -> bool,
    ) -> Option<String> {
        let access =
            Access { socket: self.files.socket.clone(), logins: vec![Login { user: "root".into(), password: None }] };
        let mut session = None;
        let (mut last, mut changed, mut looked) = (0.0, Instant::now(), Instant::now());
        while !is_over() {
            std::thread::sleep(LOOK);
            if looked.elapsed() >= ASKING {
                looked = Instant::now();
                if is_lost() {
                    return Some("the donor is lost".into());
                }
            }
            if changed.elapsed() >= TOOL {
                return Some(format!("nothing has come for {} s", TOOL.as_secs()));
            }
            if session.is_none() {
                session = Session::open(&access, Patience { deadline: Deadline::after(LONG), answer: START }).ok();
            }
            let rows = session
                .as_mut()
                .and_then(|session| session.query("the clone's progress", Dialect::CLONE_PROGRESS).ok());
            let Some(row) = rows.and_then(|rows| rows.into_iter().next()) else {
                session = None;
                continue;
            };
            let number = |name: &str| row.get(name).cloned().flatten().and_then(|text| text.parse::<f64>().ok());
            if let (Some(done), Some(estimated)) = (number("done"), number("estimated")) {
                progress.expect(estimated as u64);
                progress.tell(done as u64);
                if done != last {
                    (last, changed) = (done, Instant::now());
                }
            }
        }
        None
    }

    fn kill(&self) {
        if let Some(daemon) = self.starting.daemon() {
            daemon.signal(Signal::SIGKILL);
        }
    }

    fn await_end(&mut self) -> Result<()> {
        let daemon = self.starting.daemon();
        if let Some(daemon) = daemon
            && !daemon.wait_end(Deadline::after(ENDING))
        {
            bail!("the new server does not end");
        }
        // Reaped.
        let _ = self.starting.ended();
        for file in [&self.files.socket, &self.files.pid_file, &self.files.log] {
            let _ = fs::remove_file(file);
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(daemon) = self.starting.daemon().filter(|daemon: &Daemon| daemon.is_alive()) {
            self.kill();
            daemon.wait_end(Deadline::after(START));
            let _ = self.starting.ended();
        }
    }
}

//! Giving this instance's data to another node that asks for them: the guard of the one that is asked makes a key, listens
//! for the one that asked, and sends it what the vendor's tool writes. Nobody else can connect, and nobody listens at any
//! other time.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::super::decide::rejoin::{Offer, Want, Word};
use super::super::node::Node;
use super::LoginFile;
use crate::deadline::Deadline;
use crate::exec::Piped;
use crate::net::frames::{Frame, PIECE};
use crate::net::pinned::Identity;
use crate::ocf::env::Invocation;
use crate::pacemaker::Cluster;
use crate::server::dialect::backup::Method;
use crate::server::process::Daemon;
use crate::server::tools;

/// How often it is looked whether somebody asks.
const EVERY: Duration = Duration::from_secs(5);

/// What one look may take.
const LOOK: Duration = Duration::from_secs(20);

/// How long it is waited for the one that asked.
const CONNECT: Duration = Duration::from_secs(30);

/// How often it is said that there is nothing to send yet.
const ALIVE: Duration = Duration::from_secs(5);

/// How long the connection may stand still: it is a sign of life at least that goes through it.
pub const SILENCE: Duration = Duration::from_secs(30);

/// How long the other side may take nothing: it writes to a disk.
const TAKING: Duration = Duration::from_secs(600);

/// How long the tool may write nothing: it may wait for a long statement to end before it locks.
const TOOL: Duration = Duration::from_secs(1800);

/// What the tool may take to end after it has written all.
const ENDING: Duration = Duration::from_secs(60);

/// The name under which the two tell each other.
pub fn attribute(node: &Node) -> String {
    format!("{}-provision", node.resource)
}

/// Tells nothing any more.
pub fn fall_silent(node: &Node, deadline: Deadline) {
    if let Some(cluster) = &node.cluster
        && let Err(error) = cluster.remove_attribute(&attribute(node), deadline)
    {
        log::debug!("{error:#}");
    }
}

/// Gives to whoever asks, one after the other, as long as the server lives.
///
/// # Errors
/// When the call makes no sense.
pub fn serve(call: &Invocation, daemon: Daemon) -> Result<()> {
    let mut node = Node::gather(call, LOOK)?;
    let Some(cluster) = node.cluster.clone() else { return Ok(()) };
    let mut last = String::new();
    while daemon.is_alive() {
        let next = Deadline::after(EVERY);
        while daemon.is_alive() && !next.is_over() {
            std::thread::sleep(Duration::from_secs(1).min(next.remaining()));
        }
        node.renew(LOOK);
        let Ok(told) = cluster.told(&attribute(&node), node.deadline) else { continue };
        let wanted =
            told.iter().filter(|(name, _)| **name != cluster.node).find_map(|(name, text)| match Word::parse(text) {
                // A clone asks the server itself.
                Some(Word::Want(want)) if want.method == Method::Clone => None,
                Some(Word::Want(want)) if want.donor == cluster.node && want.id != last => Some((name.clone(), want)),
                _ => None,
            });
        let Some((name, want)) = wanted else { continue };
        last.clone_from(&want.id);
        log::info!("{name} asks for the data of this node ({})", want.method.name());
        match give(&node, &cluster, &want) {
            Ok(bytes) => log::info!("{name} has got {} MB", bytes / 1_000_000),
            Err(error) => {
                log::error!("{name} has not got the data of this node: {error:#}");
                let refusal = Word::Refusal(want.id, format!("{error:#}")).to_string();
                if let Err(error) = cluster.tell(&attribute(&node), &refusal, Deadline::after(LOOK)) {
                    log::debug!("{error:#}");
                }
                continue;
            }
        }
        fall_silent(&node, Deadline::after(LOOK));
    }
    Ok(())
}

/// Gives; how many bytes.
fn give(node: &Node, cluster: &Cluster, want: &Want) -> Result<u64> {
    let mut session = node.quick_session()?;
    // Before the data are taken: what is later in it is left out by whoever takes them.
    let state =
        session.dialect().binlog_state().map_or(Ok(None), |query| session.value("the earlier servers", query))?;
    let login = LoginFile::write(node, "donor", &session)?;
    let scratch = node.run_dir.join(format!("rustha-{}.scratch", node.resource));
    let _ = fs::remove_dir_all(&scratch);
    fs::create_dir_all(&scratch).with_context(|| format!("cannot create {}", scratch.display()))?;
    let words = [&node.layout.socket, &node.layout.datadir, &scratch].map(|path| path.to_string_lossy().into_owned());
    let [socket, datadir, target] = &words;
    let tool = session.dialect().send_data(want.method, socket, datadir, &login.path(), target);
    let tool = tool.context("this method needs no help of the donor's")?;
    let program = tools::find(&tool)?;
    let listener = listen(node.config.provision_port)?;
    let identity = Identity::new()?;
    let bytes = measure(&node.layout.datadir);
    let key = identity.public_key().clone();
    let (port, state) = (node.config.provision_port, state.unwrap_or_default());
    let offer = Offer { id: want.id.clone(), port, bytes, key, state };
    cluster.tell(&attribute(node), &Word::Offer(offer).to_string(), node.deadline)?;
    let mut stream = identity.accept(&listener, &want.key, TAKING, Deadline::after(CONNECT))?;
    drop(listener);
    let sent = send(&mut stream, tools::read_from(program, &tool, TOOL)?);
    let _ = fs::remove_dir_all(&scratch);
    let last = match &sent {
        Ok(_) => Frame::End,
        Err(error) => Frame::Failed(format!("{error:#}")),
    };
    last.send(&mut stream).context("the other node is gone")?;
    sent
}

fn send(stream: &mut impl Write, mut tool: Piped) -> Result<u64> {
    let mut sent = 0;
    loop {
        let mut piece = vec![0; PIECE];
        let mut idle = Duration::ZERO;
        while !tool.pipe()?.has_more(ALIVE)? {
            idle += ALIVE;
            if idle >= TOOL {
                bail!("the tool wrote nothing for {} s", idle.as_secs());
            }
            Frame::Alive.send(stream).context("the other node is gone")?;
        }
        let count = tool.pipe()?.read(&mut piece)?;
        if count == 0 {
            break;
        }
        piece.truncate(count);
        Frame::Piece(piece).send(stream).context("the other node is gone")?;
        sent += u64::try_from(count).unwrap_or_default();
    }
    tool.finish(Deadline::after(ENDING))?;
    Ok(sent)
}

/// At all addresses, of both families where there are two.
fn listen(port: u16) -> Result<TcpListener> {
    TcpListener::bind(("::", port))
        .or_else(|_| TcpListener::bind(("0.0.0.0", port)))
        .with_context(|| format!("cannot listen at port {port} (parameter provision_port)"))
}

/// How much there is to send: the data, without binary and relay logs, whose names end with a number.
pub fn measure(directory: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(directory) else { return 0 };
    let sizes = entries.filter_map(Result::ok).map(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_log = name.rsplit_once('.').is_some_and(|(stem, number)| {
            !stem.starts_with("aria_log") && number.len() >= 6 && number.bytes().all(|byte| byte.is_ascii_digit())
        });
        match entry.metadata() {
            _ if is_log || name.starts_with(".rustha-") => 0,
            Ok(metadata) if metadata.is_dir() => measure(&entry.path()),
            // As much as it takes on the disk: temporary table spaces and redo logs are sparse.
            Ok(metadata) => metadata.blocks() * 512,
            Err(_) => 0,
        }
    });
    sizes.sum()
}

//! start: a server that is read-only from its first instruction, and a replica of the primary if there is one.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::unistd::{Group, User};

use super::config::Provision;
use super::lasting::{CleanEnd, Position};
use super::node::Node;
use super::review::review;
use super::{closing, create, guard, provision, staging};
use crate::guard::turn::Turn;
use crate::ocf::exit::{ExitCode, OcfError, Outcome};
use crate::server::client::{Session, Unavailable};
use crate::server::dialect::Dialect;
use crate::server::dialect::backup::{CLONE_PLUGIN, Method};
use crate::server::layout;
use crate::server::process::{Daemon, Starting};
use crate::server::semisync;
use crate::server::version::Vendor;

/// Runs the action.
pub fn start(node: &Node) -> Outcome {
    let mut session = match node.daemon() {
        Some(daemon) => join(node, daemon)?,
        None => launch(node)?,
    };
    guard::ensure(node);
    if node.daemon().is_some_and(|daemon| node.is_marked(daemon)) {
        return Ok(ExitCode::Success);
    }
    let _turn = node.await_turn(node.deadline)?;
    if let Err(error) = review(node, &mut session) {
        // The server runs and is closed: the next monitor makes good what is missing.
        log::warn!("started, but not yet part of the cluster: {error:#}");
    }
    Ok(ExitCode::Success)
}

/// Takes a server that runs already. One that does not answer yet is waited for: an earlier start may have been ended
/// while the server recovers, which goes on by itself (invariant 6).
fn join(node: &Node, daemon: Daemon) -> Result<Session> {
    log::info!("already running (pid {})", daemon.pid);
    node.refuse_rival(daemon)?;
    if daemon.is_stopped() {
        let why = format!("the server (pid {}) is stopped (SIGSTOP) and does not answer", daemon.pid);
        return Err(OcfError::generic(why).into());
    }
    let mut session = await_answer(node, &mut Starting::found(daemon, &node.layout.log))?;
    // A server that has no mark yet begins a life now.
    node.instance()?;
    if session.state()?.is_writable() && !node.is_marked(daemon) {
        log::warn!("it was open for writes when it was to be started: closed");
        closing::close(node, &mut session, node.deadline)?;
    }
    Ok(session)
}

/// Starts the server and waits until it answers.
fn launch(node: &Node) -> Result<Session> {
    let (binary, user) = validate(node)?;
    node.mark().remove()?;
    let dialect = layout::ask_version(&binary)?;
    refuse_impossible_promise(node, dialect)?;
    create::ensure_database(node, &binary, dialect)?;
    prepare(node, &user)?;
    let ended = node.lasting().take_clean_end()?;
    // Its guard does not report a server that ends while it starts: this action does.
    let _starting = Turn::take(&node.starting_file(), node.deadline)?;
    let mut args = node.layout.options(&node.config.additional);
    args.extend(dialect.start_options(node.layout.semi_sync_plugins));
    if dialect.knows(Method::Clone) && matches!(node.config.provision, Provision::Auto | Provision::By(Method::Clone)) {
        args.push(CLONE_PLUGIN.into());
    }
    let mut starting = match node.cluster {
        Some(_) => guard::launch(node, &binary, &args)?,
        None => Starting::launch(&binary, &args, &node.layout.log)?,
    };
    let mut session = await_answer(node, &mut starting)?;
    // Its guard has marked it as soon as it was there; without a cluster there is none.
    node.instance()?;
    let is_new = {
        // Somebody may look at it already, and would do the same.
        let _turn = node.await_turn(node.deadline)?;
        tell_position(node, &mut session)?
    };
    let lives_on = go_on_living(node, &mut session, starting.daemon(), ended)?;
    if !is_new && !lives_on && !session.state()?.executed.is_empty() {
        provision::note_return(node);
    }
    refuse_missing_plugin(node, &mut session)?;
    if session.state()?.is_writable() {
        // MySQL reads variables that were made persistent after its command line.
        log::error!("the server opened itself for writes: RESET PERSIST read_only, super_read_only; closed");
        closing::close(node, &mut session, node.deadline)?;
    }
    Ok(session)
}

/// MariaDB waits for the acknowledgement of one replica, whatever it is asked for.
///
/// # Errors
/// More than that was asked for.
pub fn refuse_impossible_promise(node: &Node, dialect: Dialect) -> Result<(), OcfError> {
    let acks = node.config.semi_sync.map_or(0, |wanted| wanted.acks);
    if acks > 1 && dialect.version().vendor == Vendor::MariaDb {
        let why = format!("semi_sync_acks is {acks}, but MariaDB waits for one replica only: set it to 1");
        return Err(OcfError::new(ExitCode::Configured, why));
    }
    Ok(())
}

/// A promise that this server cannot keep fails here, and not in the middle of a failover.
fn refuse_missing_plugin(node: &Node, session: &mut Session) -> Result<()> {
    let both = semisync::read(session)?;
    if node.cluster.is_some() && node.config.semi_sync.is_some() && (both.source.is_none() || both.replica.is_none()) {
        let why = "the server has no semi-synchronous replication: its plugins semisync_source.so and semisync_replica.so are \
                   not in its plugin directory; install them, or set semi_sync=off";
        return Err(OcfError::new(ExitCode::Installed, why).into());
    }
    Ok(())
}

/// Tells the server what its data hold, if it does not know that by itself; whether it did not. Whoever looks at it first
/// does so, since a start may be killed.
///
/// # Errors
/// When the server does not take it.
pub fn tell_position(node: &Node, session: &mut Session) -> Result<bool> {
    let Some(position) = node.lasting().position()? else { return Ok(false) };
    let Position { executed: position, instead_of, earlier } = position;
    log::info!("its data hold {position}");
    let executed = session.state()?.executed;
    let wanted = executed.parse_like(&position).context("what its data hold")?;
    let knows = match instead_of {
        // It may have been ended in the midst of being told: then it knows less. Whatever else it has came later.
        Some(all) => !executed.parse_like(&all).context("what its data held")?.contains(&executed),
        None => executed != wanted && executed.contains(&wanted) && !wanted.is_empty(),
    };
    if knows {
        log::warn!("it knows already, and has more: nothing is told");
    } else {
        for statement in session.dialect().begin_with(&position, earlier.as_deref()) {
            session.execute("tell the server what its data hold", &statement)?;
        }
    }
    node.lasting().forget_position()?;
    Ok(true)
}

/// A server that was shut down cleanly, with everything applied, and has the same transactions now, lives on: what it had
/// is all there.
fn go_on_living(node: &Node, session: &mut Session, daemon: Option<Daemon>, ended: Option<CleanEnd>) -> Result<bool> {
    let (Some(ended), Some(daemon)) = (ended, daemon) else { return Ok(false) };
    let lives_on = session.state()?.executed.to_string() == ended.executed;
    if lives_on {
        node.start_mark().leave_with_life(daemon, &ended.life)?;
    }
    Ok(lives_on)
}

/// Waits until the server answers, or ends.
fn await_answer(node: &Node, starting: &mut Starting) -> Result<Session> {
    loop {
        if let Some(why) = starting.ended() {
            return Err(OcfError::generic(why).into());
        }
        match node.session() {
            Ok(session) => return Ok(session),
            Err(Unavailable::NotListening(_) | Unavailable::TooManyConnections) => {}
            Err(Unavailable::Denied(why)) => {
                return Err(OcfError::new(ExitCode::Perm, Unavailable::Denied(why).to_string()).into());
            }
            Err(other) => log::debug!("not yet: {other}"),
        }
        if node.deadline.is_over() {
            let why = "the server does not answer yet: it may be recovering; give start a longer timeout";
            return Err(OcfError::generic(why).into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Everything on this node that the server needs; the program and the user, which are there.
///
/// # Errors
/// What is missing, with the code that keeps Pacemaker from trying again here.
pub fn validate(node: &Node) -> Result<(std::path::PathBuf, User), OcfError> {
    let installed = |reason: String| OcfError::new(ExitCode::Installed, reason);
    let layout = &node.layout;
    let binary = layout.binary.clone().ok_or_else(|| {
        let asked =
            node.config.given.binary.as_ref().map_or("mariadbd or mysqld".into(), |path| path.display().to_string());
        installed(format!("the server's program ({asked}) is not on this node"))
    })?;
    if let Some(why) = &layout.config_error {
        return Err(installed(why.clone()));
    }
    let user = node.os_user()?;
    if Group::from_name(&node.config.group).ok().flatten().is_none() {
        return Err(installed(format!("there is no OS group {}", node.config.group)));
    }
    let is_provisioned = node.cluster.is_some() && node.config.provision != Provision::Off;
    let may_be_empty = node.config.enable_creation || is_provisioned;
    if !may_be_empty
        && !staging::has_database(&layout.datadir)
        && !staging::Staging::of(node).is_ok_and(|staging| staging.is_unsettled())
    {
        return Err(installed(staging::explain_missing(&layout.datadir)));
    }
    Ok((binary, user))
}

/// Creates what may be missing after a reboot, and proves that the server's user can write where it must.
fn prepare(node: &Node, user: &User) -> Result<()> {
    let group = Group::from_name(&node.config.group).ok().flatten().map(|group| group.gid.as_raw());
    let layout = &node.layout;
    for dir in [layout.socket.parent(), layout.pid_file.parent(), layout.log.parent()].into_iter().flatten() {
        if !dir.exists() {
            fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
            chown(dir, Some(user.uid.as_raw()), group)
                .with_context(|| format!("cannot give {} to {}", dir.display(), user.name))?;
        }
    }
    let dirs = [Some(layout.datadir.as_path()), layout.socket.parent(), layout.pid_file.parent()];
    for dir in dirs.into_iter().flatten() {
        let may = may_write(dir, user).with_context(|| format!("cannot look at {}", dir.display()))?;
        if !may {
            let reason = format!("{} cannot write to {}", user.name, dir.display());
            return Err(OcfError::new(ExitCode::Perm, reason).into());
        }
    }
    let mut open = OpenOptions::new();
    open.create(true).append(true).mode(0o640);
    open.open(&layout.log).with_context(|| format!("cannot write the error log {}", layout.log.display()))?;
    if fs::metadata(&layout.log)?.len() == 0 {
        chown(&layout.log, Some(user.uid.as_raw()), group)?;
    }
    Ok(())
}

/// Whether the permissions let this user create files in a directory.
fn may_write(dir: &Path, user: &User) -> Result<bool> {
    let metadata = fs::metadata(dir)?;
    let mode = metadata.permissions().mode();
    let name = std::ffi::CString::new(user.name.as_str())?;
    let groups = nix::unistd::getgrouplist(&name, user.gid)?;
    let bits = if metadata.uid() == user.uid.as_raw() {
        mode >> 6
    } else if groups.iter().any(|group| group.as_raw() == metadata.gid()) {
        mode >> 3
    } else {
        mode
    };
    Ok(user.uid.is_root() || bits & 0o3 == 0o3)
}

//! `rustha-lab power-daemon`: switches nodes on and off for who asks through its socket. One line in
//! ("off db2"), one line out ("ok", "on", "off" or "error: …").

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::lab::Lab;
use crate::layout::Layout;
use crate::node::Node;

/// How long a node takes from power to its first process.
const BOOT: Duration = Duration::from_secs(3);

/// Serves until it is killed.
pub fn daemon(lab: &str) -> Result<()> {
    let socket = Layout::new(lab)?.power().join("socket");
    // One of a daemon that was killed; nobody answers there, or this one would not have been started.
    let _ = fs::remove_file(&socket);
    let listener = UnixListener::bind(&socket).with_context(|| format!("cannot listen on {}", socket.display()))?;
    for stream in listener.incoming() {
        let (stream, lab) = (stream.context("cannot accept")?, lab.to_owned());
        // A thread each: while one node is being switched, another may have to be.
        thread::spawn(move || {
            if let Err(error) = answer(&lab, stream) {
                eprintln!("{error:#}");
            }
        });
    }
    Ok(())
}

fn answer(lab: &str, mut stream: UnixStream) -> Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line)?;
    if line.is_empty() {
        return Ok(()); // somebody looked whether we are there
    }
    let reply = obey(lab, line.trim()).unwrap_or_else(|error| format!("error: {error:#}").replace('\n', " "));
    eprintln!("{}: {reply}", line.trim());
    writeln!(stream, "{reply}").context("cannot answer")
}

/// A socket's answer is "power is on", and then a machine takes its time to boot. A node that is there at once
/// hears the news of its own fencing, and its Pacemaker takes its leave ("we were allegedly just fenced").
fn switch_on_later(node: Node) {
    thread::spawn(move || {
        thread::sleep(BOOT);
        if let Err(error) = node.power_on() {
            eprintln!("{error:#}");
        }
    });
}

fn obey(lab: &str, line: &str) -> Result<String> {
    let (verb, name) = line.split_once(' ').unwrap_or((line, ""));
    let lab = Lab::attach(lab)?;
    match verb {
        "off" => lab.node(name)?.power_off()?,
        "on" => switch_on_later(lab.node(name)?.clone()),
        "status" => return Ok(if lab.node(name)?.is_on() { "on" } else { "off" }.into()),
        "list" => {
            return Ok(lab.nodes().iter().map(|node| node.name()).collect::<Vec<_>>().join(" "));
        }
        _ => bail!("unknown order {verb:?}"),
    }
    Ok("ok".into())
}

//! `fence_rustha_lab`: the fence agent, this crate's binary under that name inside a node. The interface is
//! ClusterLabs' fence agent API: parameters as `key=value` lines on standard input, the answer as exit code.

use std::io::{BufRead, BufReader, Read, Write, stdin};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::{AGENT, SOCKET_IN_NODE};

/// By the API: 2 from status and monitor means "is off".
const OFF: u8 = 2;

/// What an agent is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Order {
    action: String,
    target: Option<String>,
}

/// Is the fence agent.
pub fn agent() -> ExitCode {
    let mut text = String::new();
    // Called by hand with options and a terminal: only meta-data can be meant.
    let result = match std::env::args().any(|word| word == "metadata" || word == "--action=metadata") {
        true => obey(&Order { action: "metadata".into(), target: None }),
        false => stdin()
            .read_to_string(&mut text)
            .context("cannot read the parameters")
            .and_then(|_| obey(&parse_order(&text))),
    };
    result.unwrap_or_else(|error| {
        eprintln!("{AGENT}: {error:#}");
        ExitCode::FAILURE
    })
}

/// Unknown parameters are ignored, as the API wants; `port` is the older name of `plug`, and Pacemaker sends
/// the node's name as `nodename` besides.
fn parse_order(text: &str) -> Order {
    let field = |names: &[&str]| {
        let pairs = text.lines().filter_map(|line| line.trim().split_once('='));
        let mut found = pairs.filter(|(key, value)| names.contains(&key.trim()) && !value.trim().is_empty());
        found.next().map(|(_, value)| value.trim().to_owned())
    };
    // Without an action the API's default is to reboot.
    let action = field(&["action", "option"]).unwrap_or_else(|| "reboot".into());
    Order { action, target: field(&["plug", "port"]).or_else(|| field(&["nodename"])) }
}

fn obey(order: &Order) -> Result<ExitCode> {
    let target = || order.target.as_deref().context("no node was named (plug=…)");
    match order.action.as_str() {
        "metadata" | "meta-data" => println!("{}", metadata()),
        "validate-all" => {}
        "monitor" => drop(ask("list")?),
        "list" => ask("list")?.split(' ').for_each(|name| println!("{name},")),
        "on" | "off" => drop(ask(&format!("{} {}", order.action, target()?))?),
        "reboot" => {
            ask(&format!("off {}", target()?))?;
            // The node is off, so the fencing succeeded, whether or not it comes back.
            if let Err(error) = ask(&format!("on {}", target()?)) {
                eprintln!("{AGENT}: it is off, but does not come back: {error:#}");
            }
        }
        "status" => {
            return Ok(if ask(&format!("status {}", target()?))? == "on" { ExitCode::SUCCESS } else { OFF.into() });
        }
        other => bail!("unknown action {other}"),
    }
    Ok(ExitCode::SUCCESS)
}

fn ask(line: &str) -> Result<String> {
    let mut stream = UnixStream::connect(SOCKET_IN_NODE).context("the power daemon does not answer")?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    writeln!(stream, "{line}")?;
    let mut reply = String::new();
    BufReader::new(stream).read_line(&mut reply).context("the power daemon did not answer in time")?;
    match reply.trim() {
        "" => bail!("the power daemon broke off"),
        error if error.starts_with("error: ") => bail!("{error}"),
        answer => Ok(answer.to_owned()),
    }
}

fn metadata() -> String {
    let actions: String = ["on", "off", "reboot", "status", "monitor", "list", "metadata", "validate-all"]
        .map(|name| format!("    <action name=\"{name}\"/>\n"))
        .concat();
    format!(
        "<?xml version=\"1.0\"?>\n<resource-agent name=\"{AGENT}\" shortdesc=\"Switches nodes of a rustha lab\">\n  \
         <longdesc>Switches nodes of a rustha lab on and off.</longdesc>\n  <parameters>\n    \
         <parameter name=\"action\" required=\"1\">\n      <content type=\"string\" default=\"reboot\"/>\n      \
         <shortdesc lang=\"en\">What to do</shortdesc>\n    </parameter>\n    \
         <parameter name=\"plug\" required=\"0\">\n      <content type=\"string\"/>\n      \
         <shortdesc lang=\"en\">The node</shortdesc>\n    </parameter>\n  </parameters>\n  \
         <actions>\n{actions}  </actions>\n</resource-agent>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_come_as_lines() {
        let order = parse_order("action=off\nnodename=db9\nplug=db2\nunknown=1\n");
        assert_eq!(order, Order { action: "off".into(), target: Some("db2".into()) });
    }

    #[test]
    fn the_older_names_are_understood() {
        let order = parse_order("# comment\n option = on \nport=db1\n");
        assert_eq!(order, Order { action: "on".into(), target: Some("db1".into()) });
    }

    #[test]
    fn without_an_action_it_is_a_reboot_of_the_node_pacemaker_names() {
        let order = parse_order("nodename=db3\nplug=\n");
        assert_eq!(order, Order { action: "reboot".into(), target: Some("db3".into()) });
    }

    #[test]
    fn an_order_without_a_node_names_what_is_missing() {
        let error = obey(&parse_order("action=off\n")).unwrap_err();
        assert_eq!(error.to_string(), "no node was named (plug=…)");
    }
}

//! The pages of the agents, `ocf_rustha_mysql(7)` and the others: from the same definitions as the meta-data.

use anyhow::Result;
use roff::{Roff, bold, italic, line_break, roman};
use rustha::agents::ALL;
use rustha::ocf::agent::Agent;
use rustha::ocf::params::{Kind, Parameter};

/// The pages, by the names of their files.
pub fn all(date: &str) -> Result<Vec<(String, Vec<u8>)>> {
    ALL.iter().map(|agent| Ok((format!("ocf_rustha_{}.7", agent.name()), page(*agent, date)?))).collect()
}

fn page(agent: &dyn Agent, date: &str) -> Result<Vec<u8>> {
    let name = agent.name();
    let mut roff = Roff::new();
    let title = format!("OCF_RUSTHA_{}", name.to_uppercase());
    let source = format!("rustha {}", env!("CARGO_PKG_VERSION"));
    roff.control("TH", [title.as_str(), "7", date, source.as_str(), "OCF resource agents"]);
    section(&mut roff, "NAME");
    roff.text([roman(format!("ocf_rustha_{name} - {}", agent.short()))]);
    section(&mut roff, "SYNOPSIS");
    roff.text([
        bold("crm configure primitive"),
        roman(" "),
        italic("NAME"),
        roman(" "),
        bold(format!("ocf:rustha:{name}")),
        roman(" params "),
        italic("NAME=VALUE"),
        roman(" ..."),
    ]);
    roff.control("br", []);
    roff.text([
        bold("pcs resource create"),
        roman(" "),
        italic("NAME"),
        roman(" "),
        bold(format!("ocf:rustha:{name}")),
        roman(" "),
        italic("NAME=VALUE"),
        roman(" ..."),
    ]);
    section(&mut roff, "DESCRIPTION");
    roff.text([roman(agent.long())]);
    section(&mut roff, "PARAMETERS");
    // Those of today first.
    let (past, today): (Vec<&Parameter>, Vec<&Parameter>) =
        agent.parameters().iter().partition(|parameter| parameter.deprecated.is_some());
    for parameter in today.into_iter().chain(past) {
        roff.control("TP", []);
        roff.text([bold(parameter.name), roman(kind(parameter))]);
        roff.text([roman(parameter.long)]);
        if let Some(deprecation) = parameter.deprecated {
            roff.text([line_break(), italic("Deprecated: "), roman(deprecation.why)]);
        }
    }
    section(&mut roff, "ACTIONS");
    roff.text([roman("With the least time-outs that they should be given:")]);
    for action in agent.actions() {
        roff.control("TP", []);
        let role = action.role.map(|role| format!(" role={role}")).unwrap_or_default();
        let interval = action.interval.map(|time| format!(" interval={}s", time.as_secs())).unwrap_or_default();
        roff.text([bold(action.action.name())]);
        roff.text([roman(format!("timeout={}s{interval}{role}", action.timeout.as_secs()))]);
    }
    section(&mut roff, "SEE ALSO");
    roff.text([bold("rustha"), roman("(8), "), bold("crm"), roman("(8), "), bold("pcs"), roman("(8)")]);
    Ok(roff.render().into_bytes())
}

fn section(roff: &mut Roff, title: &str) {
    roff.control("SH", [title]);
}

/// What a value may be, and what holds without one.
fn kind(parameter: &Parameter) -> String {
    let kind = match parameter.kind {
        Kind::Text => "text".to_string(),
        Kind::Integer => "whole number".into(),
        Kind::Boolean => "yes or no".into(),
        Kind::Time => "time".into(),
        Kind::TimeOrNever => "time, or never".into(),
        Kind::Choice(words) => words.join(" | "),
    };
    let default = parameter.default.map(|value| format!("; default {value}")).unwrap_or_default();
    let change = if parameter.reloadable { "; changed without a restart" } else { "" };
    format!(" ({kind}{default}{change})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_parameter_of_every_agent_is_on_its_page() {
        let pages = all("").expect("pages");
        assert_eq!(pages.len(), ALL.len());
        for (agent, (name, text)) in ALL.iter().zip(&pages) {
            let text = String::from_utf8_lossy(text);
            for parameter in agent.parameters() {
                let word = parameter.name.replace('-', "\\-");
                assert!(text.contains(&format!("\\fB{word}\\fR")), "{} is not in {name}", parameter.name);
            }
        }
    }
}

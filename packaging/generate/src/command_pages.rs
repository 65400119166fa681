//! The pages of the command: `rustha(8)`, and one for each of its verbs.

use anyhow::Result;
use clap::Command;
use clap_mangen::Man;
use roff::{Roff, bold};

/// The pages, by the names of their files.
pub fn all(date: &str) -> Result<Vec<(String, Vec<u8>)>> {
    let mut command = rustha::cli::command().disable_help_subcommand(true);
    command.build();
    let mut pages = vec![page(&command, "rustha", date)?];
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        pages.push(page(verb, &format!("rustha-{}", verb.get_name()), date)?);
    }
    Ok(pages)
}

fn page(command: &Command, name: &str, date: &str) -> Result<(String, Vec<u8>)> {
    let mut text = Vec::new();
    let version = env!("CARGO_PKG_VERSION");
    let man = Man::new(command.clone()).section("8").date(date).source(format!("rustha {version}"));
    let man = man.manual("Cluster administration");
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut text)?;
    }
    if let Some(example) = command.get_after_help() {
        let mut roff = Roff::new();
        roff.control("SH", ["EXAMPLES"]);
        roff.text([bold(example.to_string().trim_start_matches("Example: "))]);
        roff.to_writer(&mut text)?;
    }
    Ok((format!("{name}.8"), text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_verb_that_is_shown_has_a_page_with_an_example() {
        let pages = all("").expect("pages");
        let names: Vec<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
        assert!(
            names.contains(&"rustha.8") && names.contains(&"rustha-status.8") && !names.contains(&"rustha-guard.8")
        );
        for (name, text) in &pages[1..] {
            assert!(String::from_utf8_lossy(text).contains(".SH EXAMPLES"), "{name} has no example");
        }
    }
}

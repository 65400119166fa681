//! The commands the README shows to operators. Labs are configured with these very commands, so that what people
//! read is what is tested.

use std::fs;

use anyhow::{Context, Result};

use crate::workspace;

/// Whose commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    /// crmsh.
    Crm,
    /// pcs.
    Pcs,
    /// crmsh, to add an address for readers.
    CrmReaders,
    /// The same with pcs.
    PcsReaders,
}

impl Tool {
    fn marker(self) -> &'static str {
        match self {
            Tool::Crm => "<!-- lab: crm -->",
            Tool::Pcs => "<!-- lab: pcs -->",
            Tool::CrmReaders => "<!-- lab: crm, readers -->",
            Tool::PcsReaders => "<!-- lab: pcs, readers -->",
        }
    }
}

/// The commands that configure a cluster, as the README shows them.
pub(crate) fn read_commands(tool: Tool) -> Result<String> {
    let path = workspace::directory().join("README.md");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    parse_block(&text, tool.marker()).with_context(|| format!("README.md has no code block after {}", tool.marker()))
}

/// The fenced block that follows the marker's line.
fn parse_block(text: &str, marker: &str) -> Option<String> {
    let mut lines = text.lines().skip_while(|line| line.trim() != marker).skip(1);
    lines.find(|line| !line.trim().is_empty()).filter(|line| line.starts_with("```"))?;
    let block: Vec<_> = lines.by_ref().take_while(|line| !line.starts_with("```")).collect();
    Some(block.join("\n") + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_block_after_the_marker_is_taken_whole() {
        let text = "```\nother\n```\n<!-- lab: crm -->\n\n```sh\ncrm configure <<'EOF'\nprimitive\nEOF\n```\nmore\n";
        assert_eq!(parse_block(text, Tool::Crm.marker()).unwrap(), "crm configure <<'EOF'\nprimitive\nEOF\n");
    }

    #[test]
    fn a_marker_without_a_block_has_none() {
        assert_eq!(parse_block("<!-- lab: crm -->\ntext\n```\nlater\n```\n", Tool::Crm.marker()), None);
    }

    #[test]
    fn the_readme_has_the_commands() {
        for tool in [Tool::Crm, Tool::Pcs] {
            assert!(read_commands(tool).unwrap().contains("ocf:rustha:mysql"));
        }
        for tool in [Tool::CrmReaders, Tool::PcsReaders] {
            assert!(read_commands(tool).unwrap().contains("readable ne 1"));
        }
    }
}

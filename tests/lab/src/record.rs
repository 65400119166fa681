//! A lab's record: the little that a later command cannot see by looking, in a text file of `key value` lines.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::layout::{LABS, Layout};
use crate::roots::Root;

/// What was asked for when the lab was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) root: Root,
    pub(crate) nodes: usize,
    pub(crate) fencing: bool,
    /// This crate's binary: the first process of every node, and what starts it again.
    pub(crate) program: PathBuf,
}

impl Record {
    pub(crate) fn write(&self, layout: &Layout) -> Result<()> {
        let path = layout.state().join("record");
        fs::write(&path, self.render()).with_context(|| format!("cannot write {}", path.display()))
    }

    pub(crate) fn read(layout: &Layout) -> Result<Record> {
        let path = layout.state().join("record");
        let text = fs::read_to_string(&path).with_context(|| {
            let name = layout.name();
            format!("no lab {name} is up ({} cannot be read): cargo lab up --name {name}", path.display())
        })?;
        parse(&text).with_context(|| format!("{} is damaged; cargo lab down removes all it stood for", path.display()))
    }

    fn render(&self) -> String {
        let Record { root, nodes, fencing, program } = self;
        format!("root {root}\nnodes {nodes}\nfencing {fencing}\nprogram {}\n", program.display())
    }
}

fn parse(text: &str) -> Result<Record> {
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.with_context(|| format!("it has no line for {name}"))
    };
    let nodes = field("nodes")?.parse()?;
    ensure!((1..=9).contains(&nodes), "{nodes} nodes");
    Ok(Record {
        root: field("root")?.parse()?,
        nodes,
        fencing: field("fencing")?.parse()?,
        program: Path::new(field("program")?).into(),
    })
}

/// The names of the labs that stand on a root file system, as far as their records tell.
pub(crate) fn labs_of(root: Root) -> Result<Vec<String>> {
    let names = fs::read_dir(LABS).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let layouts = names.filter_map(|name| Layout::new(name.to_str()?).ok());
    let using = layouts.filter(|layout| Record::read(layout).is_ok_and(|record| record.root == root));
    Ok(using.map(|layout| layout.name().to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_read_back_is_the_same() {
        let record = Record { root: Root::Sid, nodes: 2, fencing: true, program: "/x/rustha-lab".into() };
        assert_eq!(parse(&record.render()).unwrap(), record);
    }

    #[test]
    fn a_missing_line_is_named() {
        assert_eq!(parse("nodes 3\nroot sid\n").unwrap_err().to_string(), "it has no line for fencing");
    }
}

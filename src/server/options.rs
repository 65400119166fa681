//! Option files (my.cnf) as the servers read them: groups, `!include`, `!includedir`, quotes, `-` and `_` alike.
//! The rules are those of "Using Option Files" in the manuals of MySQL and of MariaDB.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The options of some option files, in the order in which they were read: a later one wins.
#[derive(Clone, Debug, Default)]
pub struct Options(Vec<Entry>);

#[derive(Clone, Debug)]
struct Entry {
    group: String,
    name: String,
    value: Option<String>,
}

/// Includes may include; a file that includes itself must not be read for ever.
const MAX_DEPTH: usize = 10;

impl Options {
    /// Reads a file and what it includes.
    ///
    /// # Errors
    /// A file that cannot be read, or a line that is no option.
    pub fn read(path: &Path) -> Result<Self> {
        let mut options = Self::default();
        options.read_file(path, 0)?;
        Ok(options)
    }

    /// Reads the text of one file, which includes nothing.
    ///
    /// # Errors
    /// A line that is no option; the message has its number, not its text, which may be a password.
    pub fn parse(text: &str) -> Result<Self> {
        let mut options = Self::default();
        options.read_text(text, |_| bail!("an include is not possible here"))?;
        Ok(options)
    }

    /// The last value of an option in any of these groups: `Some(None)` if it stands there without a value.
    pub fn value(&self, groups: &[&str], name: &str) -> Option<Option<&str>> {
        let found = self.0.iter().rev().find(|entry| groups.contains(&entry.group.as_str()) && entry.name == name);
        found.map(|entry| entry.value.as_deref())
    }

    /// The last text of an option in any of these groups.
    pub fn text(&self, groups: &[&str], name: &str) -> Option<&str> {
        self.value(groups, name)?.filter(|value| !value.is_empty())
    }

    /// The names and values of all options in any of these groups.
    pub fn within<'a>(&'a self, groups: &'a [&str]) -> impl Iterator<Item = (&'a str, Option<&'a str>)> {
        let entries = self.0.iter().filter(|entry| groups.contains(&entry.group.as_str()));
        entries.map(|entry| (entry.name.as_str(), entry.value.as_deref()))
    }

    /// Whether there is a group with a version in its name.
    pub fn has_versioned_group(&self) -> bool {
        self.0.iter().any(|entry| {
            entry.group.split_once('-').is_some_and(|(_, version)| version.starts_with(|c: char| c.is_ascii_digit()))
        })
    }

    fn read_file(&mut self, path: &Path, depth: usize) -> Result<()> {
        if depth > MAX_DEPTH {
            bail!("option file {} is included too deeply", path.display());
        }
        let text = fs::read_to_string(path).with_context(|| format!("cannot read option file {}", path.display()))?;
        let follow = |include: Include| {
            let mut options = Self::default();
            include.files()?.iter().try_for_each(|file| options.read_file(file, depth + 1))?;
            Ok(options)
        };
        self.read_text(&text, follow).with_context(|| format!("in option file {}", path.display()))
    }

    fn read_text(&mut self, text: &str, follow: impl Fn(Include) -> Result<Self>) -> Result<()> {
        let mut group = String::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            if let Some(directive) = line.strip_prefix('!') {
                self.0.extend(follow(Include::parse(directive)?)?.0);
            } else if let Some(name) = line.strip_prefix('[') {
                let name = name.split(']').next().unwrap_or_default();
                group = name.trim().to_string();
            } else if group.is_empty() {
                bail!("line {} is not in any group", index + 1);
            } else {
                let (name, value) = match line.split_once('=') {
                    Some((name, value)) => (name, Some(unquote(value))),
                    None => (strip_comment(line), None),
                };
                let name = name.trim().replace('_', "-");
                let name = name.strip_prefix("loose-").unwrap_or(&name).to_string();
                self.0.push(Entry { group: group.clone(), name, value });
            }
        }
        Ok(())
    }
}

enum Include {
    File(PathBuf),
    Dir(PathBuf),
}

impl Include {
    fn parse(directive: &str) -> Result<Self> {
        match directive.split_once(char::is_whitespace) {
            Some(("includedir", path)) => Ok(Self::Dir(path.trim().into())),
            Some(("include", path)) => Ok(Self::File(path.trim().into())),
            _ => bail!("unknown directive !{directive}"),
        }
    }

    /// The files that are meant: in a directory those that end in .cnf, by name.
    fn files(self) -> Result<Vec<PathBuf>> {
        let dir = match self {
            Self::File(path) => return Ok(vec![path]),
            Self::Dir(dir) => dir,
        };
        let entries = fs::read_dir(&dir).with_context(|| format!("cannot read directory {}", dir.display()))?;
        let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        files.retain(|path| path.extension().is_some_and(|extension| extension == "cnf"));
        files.sort();
        Ok(files)
    }
}

/// A comment may follow an option on its line, but not inside quotes.
fn strip_comment(text: &str) -> &str {
    text.split(" #").next().unwrap_or_default().trim()
}

fn unquote(value: &str) -> String {
    let value = value.trim();
    for quote in ['"', '\''] {
        if let Some(inner) = value.strip_prefix(quote) {
            let end = inner.rfind(quote).unwrap_or(inner.len());
            return unescape(&inner[..end]);
        }
    }
    unescape(strip_comment(value))
}

/// The escapes that the manuals list.
fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            plain.push(character);
            continue;
        }
        match characters.next() {
            Some('b') => plain.push('\u{8}'),
            Some('t') => plain.push('\t'),
            Some('n') => plain.push('\n'),
            Some('r') => plain.push('\r'),
            Some('s') => plain.push(' '),
            Some(escaped @ ('\\' | '"' | '\'')) => plain.push(escaped),
            Some(other) => plain.extend(['\\', other]),
            None => plain.push('\\'),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: &[&str] = &["mysqld", "server"];

    #[test]
    fn the_last_value_wins_and_dashes_are_underscores() {
        let options =
            Options::parse("[mysqld]\ndata_dir=/a\npid-file = /b\n[server]\npid_file=/c # comment\n").expect("valid");
        assert_eq!(options.text(SERVER, "data-dir"), Some("/a"));
        assert_eq!(options.text(SERVER, "pid-file"), Some("/c"));
        assert_eq!(options.text(SERVER, "socket"), None);
    }

    #[test]
    fn other_groups_are_not_the_servers() {
        let options = Options::parse("[client]\nsocket=/x\n[mysqld]\nlog-bin\n").expect("valid");
        assert_eq!(options.text(SERVER, "socket"), None);
        assert_eq!(options.value(SERVER, "log-bin"), Some(None));
    }

    #[test]
    fn quotes_keep_what_would_be_a_comment_and_escapes_are_resolved() {
        let options = Options::parse("[client]\npassword=\"a # 'b' \\\\ \\s\"\nuser='it''s'\n").expect("valid");
        assert_eq!(options.text(&["client"], "password"), Some("a # 'b' \\  "));
        assert_eq!(options.text(&["client"], "user"), Some("it''s"));
    }

    #[test]
    fn a_line_outside_of_every_group_is_an_error_without_its_text() {
        let error = Options::parse("password=secret\n").expect_err("no group").to_string();
        assert!(error.contains("line 1") && !error.contains("secret"), "{error}");
    }

    #[test]
    fn includes_are_followed_in_place() {
        let dir = std::env::temp_dir().join(format!("rustha-options-{}", std::process::id()));
        fs::create_dir_all(dir.join("d")).expect("folder");
        let main = dir.join("my.cnf");
        let text = format!("[mysqld]\nport=1\n!includedir {}\n[mysqld]\nsocket=/last\n", dir.join("d").display());
        fs::write(&main, text).expect("file");
        fs::write(dir.join("d/b.cnf"), "[mysqld]\nport=3\nsocket=/b\n").expect("file");
        fs::write(dir.join("d/a.cnf"), "[mysqld]\nport=2\n").expect("file");
        fs::write(dir.join("d/ignored.txt"), "nonsense\n").expect("file");
        let options = Options::read(&main).expect("valid");
        assert_eq!(options.text(SERVER, "port"), Some("3"));
        assert_eq!(options.text(SERVER, "socket"), Some("/last"));
        fs::remove_dir_all(&dir).expect("removed");
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = format!("{:#}", Options::read(Path::new("/no/such/my.cnf")).expect_err("is not there"));
        assert!(error.contains("/no/such/my.cnf"), "{error}");
    }

    #[test]
    fn groups_with_a_version_are_seen() {
        assert!(Options::parse("[mysqld-8.0]\nx=1\n").expect("valid").has_versioned_group());
        assert!(!Options::parse("[client-server]\nx=1\n").expect("valid").has_versioned_group());
    }
}

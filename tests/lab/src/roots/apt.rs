//! Where this machine gets Debian from: its own apt sources say so, in one of two formats. The lab asks the
//! same mirror and knows no other. How this machine talks to its mirror (a proxy; whether the mirror's age is
//! checked) goes for the nodes' packages as well: what its administrator did not relax, the lab does not either.

use std::fs;
use std::path::Path;

use crate::process::Program;

/// The settings of apt that belong to the mirror and not to the machine.
const OF_THE_MIRROR: [&str; 4] =
    ["Acquire::Check-Valid-Until ", "Acquire::Check-Date ", "Acquire::http::Proxy ", "Acquire::https::Proxy "];

/// The mirror of Debian itself this machine uses; None leaves the choice to debootstrap.
pub(super) fn read_mirror() -> Option<String> {
    let folder = fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<_> = folder.collect();
    files.sort();
    files.insert(0, Path::new("/etc/apt/sources.list").into());
    files.iter().find_map(|path| {
        let text = fs::read_to_string(path).ok()?;
        match path.extension()?.to_str()? {
            "list" => parse_one_line(&text),
            "sources" => parse_deb822(&text),
            _ => None,
        }
    })
}

/// This machine's settings for its mirror, as a file for apt; empty where there are none, or no apt.
pub(super) fn read_settings() -> String {
    Program::new(["apt-config", "dump"]).run().map_or_else(|_| String::new(), |dump| parse_settings(&dump))
}

fn parse_settings(dump: &str) -> String {
    let of_the_mirror = |line: &&str| OF_THE_MIRROR.iter().any(|name| line.starts_with(name));
    dump.lines().filter(of_the_mirror).map(|line| format!("{line}\n")).collect()
}

/// `deb [options] URI suite component…`, one a line.
fn parse_one_line(text: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let words = line.trim().strip_prefix("deb ")?.trim_start();
        let words = match words.strip_prefix('[') {
            Some(options) => options.split_once(']')?.1,
            None => words,
        };
        let mut words = words.split_whitespace();
        let uri = words.next()?;
        let _suite = words.next()?;
        is_debian(uri, &mut words).then(|| uri.to_owned())
    })
}

/// Paragraphs of `Field: value`, continued on indented lines.
fn parse_deb822(text: &str) -> Option<String> {
    let text: String = text.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect();
    text.split("\n\n").find_map(|paragraph| {
        let joined = paragraph.replace("\n ", " ").replace("\n\t", " ");
        let field = |name: &str| {
            joined.lines().find_map(|line| {
                let (key, value) = line.split_once(':')?;
                key.trim().eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
            })
        };
        if field("Enabled").is_some_and(|value| value == "no") || !field("Types")?.split(' ').any(|t| t == "deb") {
            return None;
        }
        let components = field("Components")?;
        let uris = field("URIs")?;
        uris.split_whitespace().find(|uri| is_debian(uri, &mut components.split_whitespace())).map(str::to_owned)
    })
}

/// Debian's own archive, not its security or backports one, and by a protocol debootstrap knows.
fn is_debian<'a>(uri: &str, components: &mut impl Iterator<Item = &'a str>) -> bool {
    let known = ["http://", "https://", "file:"].iter().any(|scheme| uri.starts_with(scheme));
    known && uri.trim_end_matches('/').ends_with("/debian") && components.any(|component| component == "main")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deb822_gives_the_mirror_of_debian_and_not_of_its_security_archive() {
        let text = "Types: deb\nURIs: http://a.test/debian-security\nSuites: x-security\nComponents: main\n\n\
                    Types: deb\n# note\nURIs: http://b.test/debian\nSuites: x x-updates\nComponents: main\n";
        assert_eq!(parse_deb822(text).as_deref(), Some("http://b.test/debian"));
    }

    #[test]
    fn deb822_fields_may_continue_and_be_switched_off() {
        let off = "Enabled: no\nTypes: deb\nURIs: http://a.test/debian\nSuites: x\nComponents: main\n";
        assert_eq!(parse_deb822(off), None);
        let continued = "types: deb\nuris:\n http://b.test/debian/\nsuites: x\ncomponents: contrib main\n";
        assert_eq!(parse_deb822(continued).as_deref(), Some("http://b.test/debian/"));
    }

    #[test]
    fn one_line_sources_may_have_options() {
        let text = "# deb http://c.test/debian x main\ndeb http://v.test/tools x main\n\
                    deb [arch=amd64 trusted=yes] https://a.test/debian x main contrib\n";
        assert_eq!(parse_one_line(text).as_deref(), Some("https://a.test/debian"));
    }

    #[test]
    fn only_the_settings_of_the_mirror_are_taken_over() {
        let dump = "APT::Architecture \"amd64\";\nAcquire::Check-Valid-Until \"false\";\nAcquire::Check-Valid-Until-x \"1\";\n";
        assert_eq!(parse_settings(dump), "Acquire::Check-Valid-Until \"false\";\n");
    }

    #[test]
    fn a_mirror_list_is_left_to_debootstrap() {
        assert_eq!(parse_one_line("deb mirror+file:/etc/apt/mirrors/debian x main\n"), None);
    }
}

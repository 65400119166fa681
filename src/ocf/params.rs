//! One definition a parameter: name, kind, default, texts. Meta-data, the man page and the parser follow from it.
//! All wrong values are reported together, so that an operator mends them in one go.

use std::collections::BTreeMap;
use std::time::Duration;

use super::exit::{ExitCode, OcfError};

/// What a parameter's value may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// A whole number, 0 or more.
    Integer,
    /// yes/no, true/false, on/off, 1/0, as OCF agents read them.
    Boolean,
    /// A time with unit, seconds if there is none: `30`, `30s`, `2min`.
    Time,
    /// A time, or `never`, for which people also say `off`.
    TimeOrNever,
    /// One of these words.
    Choice(&'static [&'static str]),
}

/// A parameter that is still understood, but should not be used in new configurations.
#[derive(Clone, Copy, Debug)]
pub struct Deprecation {
    /// The parameter that takes its place, if one does.
    pub replaced_with: Option<&'static str>,
    /// Why, and what happens now: said once in the log.
    pub why: &'static str,
}

/// The definition of a parameter.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// The name, as in `params NAME=…`.
    pub name: &'static str,
    /// What it may be.
    pub kind: Kind,
    /// What holds when it is not given; `None`: found on the node, or nothing.
    pub default: Option<&'static str>,
    /// Two resources on one node may not have the same value.
    pub unique_group: Option<&'static str>,
    /// A change needs no restart.
    pub reloadable: bool,
    /// Its value is never shown.
    pub secret: bool,
    /// Set if it is of the past.
    pub deprecated: Option<Deprecation>,
    /// A few words.
    pub short: &'static str,
    /// Everything that an operator needs to know.
    pub long: &'static str,
}

impl Parameter {
    /// A parameter of this kind, with nothing special about it.
    pub const fn new(name: &'static str, kind: Kind, short: &'static str, long: &'static str) -> Self {
        Self {
            name,
            kind,
            default: None,
            unique_group: None,
            reloadable: false,
            secret: false,
            deprecated: None,
            short,
            long,
        }
    }

    /// With a default.
    pub const fn default(mut self, value: &'static str) -> Self {
        self.default = Some(value);
        self
    }

    /// Unique among the resources of a node.
    pub const fn unique(mut self) -> Self {
        self.unique_group = Some(self.name);
        self
    }

    /// Changed without a restart.
    pub const fn reloadable(mut self) -> Self {
        self.reloadable = true;
        self
    }

    /// Never shown.
    pub const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    /// Of the past.
    pub const fn deprecated(mut self, replaced_with: Option<&'static str>, why: &'static str) -> Self {
        self.deprecated = Some(Deprecation { replaced_with, why });
        self
    }
}

/// Reads typed values of a resource's parameters and collects what is wrong with them.
pub struct Reader<'a> {
    definitions: &'a [Parameter],
    given: &'a BTreeMap<String, String>,
    wrong: Vec<String>,
}

impl<'a> Reader<'a> {
    /// A reader of `given` by these definitions.
    pub fn new(definitions: &'a [Parameter], given: &'a BTreeMap<String, String>) -> Self {
        let mut reader = Self { definitions, given, wrong: Vec::new() };
        for (name, value) in given {
            if value == SECRET_PLACEHOLDER {
                reader.wrong.push(format!(
                    "the secret {name} is not on this node: set it again with `crm resource secret` or `cibsecret set`"
                ));
            }
        }
        reader
    }

    /// The text of a parameter, given or default; `None` if it is empty or there is neither.
    pub fn text(&mut self, name: &str) -> Option<String> {
        let definition = self.definitions.iter().find(|parameter| parameter.name == name);
        debug_assert!(definition.is_some(), "parameter {name} is not defined");
        let default = definition.and_then(|parameter| parameter.default);
        let value = self.given.get(name).map(String::as_str).or(default)?;
        (!value.is_empty()).then(|| value.to_string())
    }

    /// A yes or no; no if it is not given and has no default, the default if it is wrong.
    pub fn boolean(&mut self, name: &str) -> bool {
        self.read(name, "true or false", parse_boolean).unwrap_or_default()
    }

    /// A whole number, 0 or more; the default if it is wrong.
    pub fn integer(&mut self, name: &str) -> u64 {
        self.read(name, "a whole number", |text| text.parse().ok()).unwrap_or_default()
    }

    /// A time; the default if it is wrong.
    pub fn time(&mut self, name: &str) -> Duration {
        self.read(name, "a time such as 30s or 2min", parse_time).unwrap_or_default()
    }

    /// A time; `None` for `never`; the default if it is wrong.
    pub fn time_or_never(&mut self, name: &str) -> Option<Duration> {
        let parse = |text: &str| match text {
            "never" | "off" => Some(None),
            time => parse_time(time).map(Some),
        };
        self.read(name, "a time such as 30s or 2min, or never (off)", parse).flatten()
    }

    /// One of the words that the parameter may be; the default if it is another.
    pub fn choice(&mut self, name: &str) -> String {
        let kind = self.definitions.iter().find(|parameter| parameter.name == name).map(|parameter| parameter.kind);
        let Some(Kind::Choice(words)) = kind else { return self.text(name).unwrap_or_default() };
        let what = format!("one of {}", words.join(", "));
        self.read(name, &what, |text| words.contains(&text).then(|| text.to_string())).unwrap_or_default()
    }

    /// The value given, or else the default; a wrong value is recorded, and the default taken.
    fn read<T>(&mut self, name: &str, what: &str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        let text = self.text(name)?;
        let value = parse(&text);
        if value.is_none() {
            self.wrong.push(format!("{name} must be {what}, not '{text}'"));
            let definition = self.definitions.iter().find(|parameter| parameter.name == name);
            return definition.and_then(|parameter| parse(parameter.default?));
        }
        value
    }

    /// Records that a value is wrong in a way that only the agent knows.
    pub fn wrong(&mut self, complaint: String) {
        self.wrong.push(complaint);
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// All complaints, as one `Configured` error.
    pub fn finish(self) -> Result<(), OcfError> {
        if self.wrong.is_empty() {
            return Ok(());
        }
        Err(OcfError::new(ExitCode::Configured, self.wrong.join("; ")))
    }
}

/// What the CIB holds in place of a secret; the executor replaces it (Pacemaker, `cibsecret`).
const SECRET_PLACEHOLDER: &str = "lrm://";

/// The words that OCF agents take for yes and no.
fn parse_boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "true" | "1" | "on" | "y" | "ja" => Some(true),
        "no" | "false" | "0" | "off" | "n" => Some(false),
        _ => None,
    }
}

/// A time as Pacemaker writes it: a number with `ms`, `s`, `m`, `min` or `h`, seconds if there is no unit.
pub fn parse_time(text: &str) -> Option<Duration> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..split].parse().ok()?;
    let seconds = |each: u64| Some(Duration::from_secs(number.checked_mul(each)?));
    match text[split..].trim() {
        "" | "s" | "sec" => seconds(1),
        "ms" | "msec" => Some(Duration::from_millis(number)),
        "m" | "min" => seconds(60),
        "h" | "hr" => seconds(3600),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFINED: &[Parameter] = &[
        Parameter::new("lag", Kind::Integer, "", "").default("3600"),
        Parameter::new("tls", Kind::Boolean, "", "").default("false"),
        Parameter::new("wait", Kind::Time, "", "").default("60s"),
        Parameter::new("password", Kind::Text, "", "").secret(),
    ];

    fn given(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    #[test]
    fn all_wrong_parameters_are_reported_together() {
        let given = given(&[("lag", "-1"), ("tls", "maybe"), ("wait", "soon")]);
        let mut reader = Reader::new(DEFINED, &given);
        reader.integer("lag");
        reader.boolean("tls");
        reader.time("wait");
        let error = reader.finish().expect_err("all three are wrong");
        assert_eq!(error.code, ExitCode::Configured);
        for name in ["lag", "tls", "wait"] {
            assert!(error.reason.contains(name), "{}", error.reason);
        }
    }

    #[test]
    fn a_parameter_that_is_not_given_has_its_default() {
        let given = given(&[]);
        let mut reader = Reader::new(DEFINED, &given);
        assert_eq!(reader.integer("lag"), 3600);
        assert!(!reader.boolean("tls"));
        assert_eq!(reader.time("wait"), Duration::from_secs(60));
        assert!(reader.finish().is_ok());
    }

    #[test]
    fn a_secret_that_is_not_on_this_node_is_an_error_that_says_so() {
        let given = given(&[("password", "lrm://")]);
        let error = Reader::new(DEFINED, &given).finish().expect_err("the placeholder is no password");
        assert!(error.reason.contains("cibsecret"));
    }

    #[test]
    fn times_are_read_as_pacemaker_writes_them() {
        assert_eq!(parse_time("90"), Some(Duration::from_secs(90)));
        assert_eq!(parse_time("90s"), Some(Duration::from_secs(90)));
        assert_eq!(parse_time("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(parse_time("2min"), Some(Duration::from_secs(120)));
        assert_eq!(parse_time(""), None);
        assert_eq!(parse_time("ten"), None);
    }
}

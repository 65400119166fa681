//! The cluster's configuration as it is written in the CIB, for `rustha check`: resources with their parameters, meta attributes
//! and operations, constraints and properties. Pure.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::parse::{attributes_of, is_true};

type Pairs = BTreeMap<String, String>;

/// What is configured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configuration {
    /// The cluster's properties.
    pub properties: Pairs,
    /// The resources that have an agent of their own.
    pub primitives: Vec<Primitive>,
    /// The defaults of operations.
    pub operation_defaults: Pairs,
    /// The defaults of meta attributes.
    pub resource_defaults: Pairs,
    /// The constraints.
    pub constraints: Vec<Constraint>,
}

/// A resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Primitive {
    /// Its name.
    pub id: String,
    /// Its agent, for example `ocf:rustha:mysql`.
    pub agent: String,
    /// Its parameters.
    pub parameters: Pairs,
    /// Its own meta attributes.
    pub meta: Pairs,
    /// Its operations.
    pub operations: Vec<Operation>,
    /// The clone that it is in.
    pub clone: Option<CloneOf>,
    /// The group that it is in.
    pub group: Option<String>,
    /// The template that it takes the rest from.
    pub template: Option<String>,
}

/// A clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CloneOf {
    /// Its name.
    pub id: String,
    /// Its meta attributes.
    pub meta: Pairs,
}

/// An operation, as it is configured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Operation {
    /// For example `monitor`.
    pub name: String,
    /// The role that a monitor is for, in today's words.
    pub role: Option<String>,
    /// How often it recurs, as it is written.
    pub interval: String,
    /// How long it may take, as it is written, where that is said.
    pub timeout: Option<String>,
}

/// A constraint: its kind is the name of its element.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Constraint {
    /// `rsc_location`, `rsc_colocation` or `rsc_order`.
    pub kind: String,
    /// What it says.
    pub attributes: Pairs,
}

impl Constraint {
    /// What it says of this.
    pub fn says(&self, name: &str) -> &str {
        self.attributes.get(name).map(String::as_str).unwrap_or_default()
    }
}

impl Configuration {
    /// Whether a property is switched on, or off where nothing is said.
    pub fn is_on(&self, property: &str, default: bool) -> bool {
        self.properties.get(property).map_or(default, |value| is_true(value))
    }
}

impl Primitive {
    /// The name under which constraints know it: that of what it is in.
    pub fn outer(&self) -> &str {
        self.clone.as_ref().map(|clone| &clone.id).or(self.group.as_ref()).unwrap_or(&self.id)
    }

    /// A meta attribute: the clone's, else its own.
    pub fn meta(&self, name: &str) -> Option<&str> {
        let of_clone = self.clone.as_ref().and_then(|clone| clone.meta.get(name));
        of_clone.or(self.meta.get(name)).map(String::as_str)
    }

    /// Whether a meta attribute is switched on.
    pub fn has(&self, name: &str) -> bool {
        self.meta(name).is_some_and(is_true)
    }
}

/// Reads `cibadmin --query --scope configuration`.
///
/// # Errors
/// When the text is not XML to its end.
pub fn read(xml: &str) -> Result<Configuration> {
    let mut reader = Reader::from_str(xml);
    let mut found = Found::default();
    let mut within: Vec<String> = Vec::new();
    loop {
        match reader.read_event().context("it is not XML")? {
            Event::Start(element) => {
                let name = element.name().as_ref().to_string();
                found.open(&within, &name, &element)?;
                within.push(name);
            }
            Event::Empty(element) => {
                let name = element.name().as_ref().to_string();
                found.open(&within, &name, &element)?;
                found.close(&name);
            }
            Event::End(element) => {
                within.pop();
                found.close(element.name().as_ref());
            }
            Event::Eof => break,
            _ => {}
        }
    }
    if !within.is_empty() || !found.is_there {
        bail!("it ends too early");
    }
    Ok(found.finish())
}

#[derive(Default)]
struct Found {
    configuration: Configuration,
    templates: Vec<Primitive>,
    current: Option<Primitive>,
    clone: Option<CloneOf>,
    group: Option<String>,
    is_there: bool,
}

impl Found {
    fn open(&mut self, within: &[String], name: &str, element: &BytesStart<'_>) -> Result<()> {
        let mut attributes = attributes_of(element)?;
        let mut take = |name: &str| attributes.remove(name).unwrap_or_default();
        match name {
            "configuration" => self.is_there = true,
            "clone" | "master" => {
                let mut clone = CloneOf { id: take("id"), meta: Pairs::new() };
                if name == "master" {
                    clone.meta.insert("promotable".into(), "true".into());
                }
                self.clone = Some(clone);
            }
            "group" => self.group = Some(take("id")),
            "primitive" | "template" => {
                let (class, provider, kind) = (take("class"), take("provider"), take("type"));
                let parts: Vec<String> = [class, provider, kind].into_iter().filter(|part| !part.is_empty()).collect();
                self.current = Some(Primitive {
                    id: take("id"),
                    agent: parts.join(":"),
                    clone: self.clone.clone(),
                    group: self.group.clone(),
                    template: Some(take("template")).filter(|name| !name.is_empty()),
                    ..Primitive::default()
                });
            }
            "op" => {
                let operation = Operation {
                    name: take("name"),
                    role: Some(take("role")).filter(|role| !role.is_empty()).map(todays_role),
                    interval: take("interval"),
                    timeout: Some(take("timeout")).filter(|time| !time.is_empty()),
                };
                if let Some(current) = &mut self.current {
                    current.operations.push(operation);
                }
            }
            "nvpair" => self.pair(within, take("name"), take("value")),
            "rsc_location" | "rsc_colocation" | "rsc_order" => {
                self.configuration.constraints.push(Constraint { kind: name.to_string(), attributes });
            }
            _ => {}
        }
        Ok(())
    }

    fn pair(&mut self, within: &[String], name: String, value: String) {
        let inside = |wanted: &str| within.iter().any(|name| name == wanted);
        let set = within.last().map(String::as_str).unwrap_or_default();
        let pairs = match (set, &mut self.current, &mut self.clone) {
            ("cluster_property_set", ..) => &mut self.configuration.properties,
            (_, None, None) if inside("op_defaults") => &mut self.configuration.operation_defaults,
            (_, None, None) if inside("rsc_defaults") => &mut self.configuration.resource_defaults,
            // That of an operation is a parameter of it alone, as its check level.
            ("instance_attributes", Some(current), _) if !inside("op") => &mut current.parameters,
            ("meta_attributes", Some(current), _) if !inside("op") => &mut current.meta,
            ("meta_attributes", None, Some(clone)) => &mut clone.meta,
            _ => return,
        };
        // Of several sets the first one counts.
        pairs.entry(name).or_insert(value);
    }

    fn close(&mut self, name: &str) {
        match name {
            "primitive" => self.configuration.primitives.extend(self.current.take()),
            "template" => self.templates.extend(self.current.take()),
            "group" => self.group = None,
            "clone" | "master" => {
                // Its meta attributes may stand behind what is in it.
                if let Some(clone) = self.clone.take() {
                    let inside = self.configuration.primitives.iter_mut();
                    let own = inside.filter(|one| one.clone.as_ref().is_some_and(|other| other.id == clone.id));
                    own.for_each(|one| one.clone = Some(clone.clone()));
                }
            }
            _ => {}
        }
    }

    fn finish(mut self) -> Configuration {
        for primitive in &mut self.configuration.primitives {
            let Some(template) = self.templates.iter().find(|one| Some(&one.id) == primitive.template.as_ref()) else {
                continue;
            };
            if primitive.agent.is_empty() {
                primitive.agent.clone_from(&template.agent);
            }
            for (name, value) in &template.parameters {
                primitive.parameters.entry(name.clone()).or_insert_with(|| value.clone());
            }
            for (name, value) in &template.meta {
                primitive.meta.entry(name.clone()).or_insert_with(|| value.clone());
            }
            for operation in &template.operations {
                let is_own = |one: &Operation| one.name == operation.name && one.interval == operation.interval;
                if !primitive.operations.iter().any(is_own) {
                    primitive.operations.push(operation.clone());
                }
            }
        }
        self.configuration
    }
}

fn todays_role(role: String) -> String {
    match role.as_str() {
        "Master" => "Promoted".into(),
        "Slave" | "Started" => "Unpromoted".into(),
        _ => role,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const XML: &str = r#"<configuration>
      <crm_config><cluster_property_set id="a"><nvpair id="b" name="stonith-enabled" value="false"/></cluster_property_set>
      </crm_config>
      <resources>
        <template id="t" class="ocf" provider="rustha" type="mysql">
          <operations><op id="t1" name="start" interval="0" timeout="2min"/></operations>
          <instance_attributes id="t2"><nvpair id="t3" name="replication_user" value="repl"/></instance_attributes>
        </template>
        <clone id="c_db">
          <primitive id="p_db" template="t">
            <operations>
              <op id="o1" name="monitor" role="Master" interval="2s" timeout="30"><instance_attributes id="l">
                <nvpair id="l1" name="OCF_CHECK_LEVEL" value="10"/></instance_attributes></op>
              <op id="o2" name="monitor" role="Unpromoted" interval="10000ms"/>
            </operations>
          </primitive>
          <meta_attributes id="m"><nvpair id="m1" name="promotable" value="true"/></meta_attributes>
        </clone>
        <group id="g"><primitive id="p_vip" class="ocf" provider="heartbeat" type="IPaddr2">
          <instance_attributes id="v"><nvpair id="v1" name="ip" value="10.0.0.9"/></instance_attributes>
          <meta_attributes id="vm"><nvpair id="vm1" name="migration-threshold" value="3"/></meta_attributes></primitive></group>
      </resources>
      <constraints>
        <rsc_location id="cli-prefer-c_db" rsc="c_db" role="Promoted" node="db2" score="INFINITY"/>
        <rsc_colocation id="x" score="INFINITY" rsc="g" with-rsc="c_db" with-rsc-role="Promoted"/>
      </constraints>
      <op_defaults><meta_attributes id="d"><nvpair id="d1" name="timeout" value="60s"/></meta_attributes></op_defaults>
    </configuration>"#;

    #[test]
    fn resources_are_read_with_what_their_clone_and_template_say() {
        let configuration = read(XML).expect("readable");
        let database = &configuration.primitives[0];
        assert_eq!((database.agent.as_str(), database.outer()), ("ocf:rustha:mysql", "c_db"));
        assert!(database.has("promotable") && !database.has("notify"));
        assert_eq!(database.parameters, Pairs::from([("replication_user".into(), "repl".into())]));
        let monitors: Vec<_> = database.operations.iter().filter(|one| one.name == "monitor").collect();
        assert_eq!(monitors[0].role.as_deref(), Some("Promoted"));
        assert_eq!((monitors[0].interval.as_str(), monitors[0].timeout.as_deref()), ("2s", Some("30")));
        assert_eq!((monitors[1].interval.as_str(), monitors[1].timeout.as_deref()), ("10000ms", None));
        assert!(database.operations.iter().any(|one| one.timeout.as_deref() == Some("2min")));
        let address = &configuration.primitives[1];
        assert_eq!((address.outer(), address.meta("migration-threshold")), ("g", Some("3")));
    }

    #[test]
    fn properties_defaults_and_constraints_are_read() {
        let configuration = read(XML).expect("readable");
        assert!(!configuration.is_on("stonith-enabled", true) && configuration.is_on("symmetric-cluster", true));
        assert_eq!(configuration.operation_defaults["timeout"], "60s");
        assert_eq!(configuration.constraints[0].says("id"), "cli-prefer-c_db");
        assert_eq!(configuration.constraints[1].says("with-rsc-role"), "Promoted");
    }

    #[test]
    fn a_truncated_answer_is_an_error() {
        assert!(read(&XML[..XML.len() / 2]).is_err() && read("").is_err());
    }
}

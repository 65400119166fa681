//! An agent's definitions as the XML that OCF 1.1 asks for. Pure.

use std::io::Cursor;

use anyhow::Result;
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

use super::agent::{Advertised, Agent};
use super::params::{Kind, Parameter};

/// What the document is valid by: laid down by us (`ocf/lib/rustha/`), since ocf-tester validates against a DTD, and the
/// one that resource-agents installs (ra-api-1.dtd) is older than OCF 1.1: it knows no reload-agent, reloadable,
/// unique-group or deprecated. It must not stand in the document itself: Pacemaker 3.0's controller fails an assertion
/// on every declaration in an internal subset (measured on 3.0.0 and 3.0.3).
const DOCTYPE: &str = "resource-agent SYSTEM \"/usr/lib/ocf/lib/rustha/ra-api-1.1.dtd\"";

/// The meta-data of `agent`.
///
/// # Errors
/// Only if the XML cannot be written to memory.
pub fn render(agent: &dyn Agent) -> Result<String> {
    let mut xml = Writer::new_with_indent(Cursor::new(Vec::new()), b' ', 2);
    // Without an encoding: crmsh reads the text as a string, and lxml refuses a declared encoding there.
    xml.write_event(Event::Decl(BytesDecl::new("1.0", None, None)))?;
    xml.write_event(Event::DocType(BytesText::from_escaped(DOCTYPE)))?;
    xml.create_element("resource-agent")
        .with_attribute(("name", agent.name()))
        .with_attribute(("version", env!("CARGO_PKG_VERSION")))
        .write_inner_content(|xml| {
            text(xml, "version", None, "1.1")?;
            text(xml, "longdesc", Some("en"), agent.long())?;
            text(xml, "shortdesc", Some("en"), agent.short())?;
            xml.create_element("parameters").write_inner_content(|xml| {
                agent.parameters().iter().try_for_each(|definition| parameter(xml, definition))
            })?;
            xml.create_element("actions")
                .write_inner_content(|xml| agent.actions().iter().try_for_each(|advertised| action(xml, advertised)))?;
            Ok(())
        })?;
    let mut document = String::from_utf8(xml.into_inner().into_inner())?;
    document.push('\n');
    Ok(document)
}

type Xml = Writer<Cursor<Vec<u8>>>;

fn text(xml: &mut Xml, name: &str, language: Option<&str>, content: &str) -> std::io::Result<()> {
    let element = xml.create_element(name);
    let element = match language {
        Some(language) => element.with_attribute(("lang", language)),
        None => element,
    };
    element.write_text_content(BytesText::new(content))?;
    Ok(())
}

fn parameter(xml: &mut Xml, definition: &Parameter) -> std::io::Result<()> {
    let mut element = xml.create_element("parameter").with_attribute(("name", definition.name));
    if let Some(group) = definition.unique_group {
        element = element.with_attribute(("unique-group", group));
    }
    element = element.with_attribute(("required", "0"));
    element = element.with_attribute(("reloadable", if definition.reloadable { "1" } else { "0" }));
    element.write_inner_content(|xml| {
        if let Some(deprecation) = definition.deprecated {
            xml.create_element("deprecated").write_inner_content(|xml| {
                if let Some(replacement) = deprecation.replaced_with {
                    xml.create_element("replaced-with").with_attribute(("name", replacement)).write_empty()?;
                }
                text(xml, "desc", Some("en"), deprecation.why)
            })?;
        }
        text(xml, "longdesc", Some("en"), definition.long)?;
        text(xml, "shortdesc", Some("en"), definition.short)?;
        let mut content = xml.create_element("content").with_attribute(("type", type_name(definition.kind)));
        if let Some(default) = definition.default {
            content = content.with_attribute(("default", default));
        }
        content.write_empty()?;
        Ok(())
    })?;
    Ok(())
}

fn type_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "string",
        Kind::Integer => "integer",
        Kind::Boolean => "boolean",
        // OCF 1.1 has no type for a time, and resource-agents' schema refuses Pacemaker's own.
        Kind::Time | Kind::TimeOrNever => "string",
        // OCF 1.1's `select` is refused by the schema that resource-agents still ships; the long text names the words.
        Kind::Choice(_) => "string",
    }
}

fn action(xml: &mut Xml, advertised: &Advertised) -> std::io::Result<()> {
    let mut element = xml.create_element("action").with_attribute(("name", advertised.action.name()));
    if let Some(role) = advertised.role {
        element = element.with_attribute(("role", role));
    }
    let timeout = format!("{}s", advertised.timeout.as_secs());
    element = element.with_attribute(("timeout", timeout.as_str()));
    if let Some(interval) = advertised.interval {
        let interval = format!("{}s", interval.as_secs());
        element = element.with_attribute(("interval", interval.as_str()));
    }
    if let Some(depth) = advertised.depth {
        let depth = depth.to_string();
        element = element.with_attribute(("depth", depth.as_str()));
    }
    element.write_empty()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn convention_21_the_meta_data_are_those_of_ocf_1_1() {
        for agent in crate::agents::ALL {
            let xml = render(*agent).expect("rendered");
            for needed in
                ["<version>1.1</version>", "unique-group=\"", "reloadable=\"1\"", "<action name=\"reload-agent\""]
            {
                assert!(xml.contains(needed), "{needed} is missing");
            }
            assert!(xml.contains("role=\"Promoted\"") && xml.contains("role=\"Unpromoted\""));
            assert!(!xml.contains("unique=\""), "the attribute of before 1.1");
        }
    }

    #[test]
    fn a_deprecated_parameter_says_what_replaces_it() {
        for agent in crate::agents::ALL {
            let xml = render(*agent).expect("rendered");
            let deprecated = agent.parameters().iter().filter_map(|parameter| parameter.deprecated);
            for replacement in deprecated.filter_map(|deprecation| deprecation.replaced_with) {
                assert!(xml.contains(&format!("<replaced-with name=\"{replacement}\"/>")), "{replacement}");
                assert!(agent.parameters().iter().any(|parameter| parameter.name == replacement));
            }
        }
    }
}

//! What Pacemaker's tools print -> values. Pure.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::survey::{self, Member, Survey};

/// The cluster at one moment, as far as one resource is concerned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// This partition may act.
    pub quorate: bool,
    /// The configuration has this resource.
    pub is_configured: bool,
    /// The cluster's maintenance mode is on.
    pub maintenance: bool,
    /// Nodes on which the resource is left alone: its instance there is not managed, or the node is in maintenance.
    pub left_alone: BTreeSet<String>,
    /// An instance that runs nowhere is not managed: so is the resource, where none runs.
    pub is_idle_left_alone: bool,
    /// Nodes that are members of the cluster.
    pub online: Vec<String>,
    /// Nodes that are provably not in any part of the cluster: they left cleanly, or were fenced.
    pub gone: Vec<String>,
    /// Nodes that are about to leave cleanly.
    pub leaving: Vec<String>,
    /// How many nodes are configured.
    pub configured: usize,
    /// The cluster fences.
    pub fencing: bool,
    /// The resource's instances, by node.
    pub instances: BTreeMap<String, Role>,
    /// Node attributes, permanent and transient, by node and name.
    pub attributes: BTreeMap<String, BTreeMap<String, String>>,
}

/// What Pacemaker thinks that an instance is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The primary.
    Promoted,
    /// A replica.
    Unpromoted,
}

impl View {
    /// The nodes whose instance is promoted.
    pub fn promoted(&self) -> Vec<&str> {
        let promoted = self.instances.iter().filter(|(_, role)| **role == Role::Promoted);
        promoted.map(|(node, _)| node.as_str()).collect()
    }

    /// How many nodes must have a record: more than half of those that may still be anywhere. In a cluster of two that is
    /// both, unless one is fenced or has left.
    pub fn majority(&self) -> usize {
        self.configured.saturating_sub(self.gone.len()) / 2 + 1
    }

    /// Whether an operator, and not Pacemaker, has the resource on this node now.
    pub fn is_left_alone_on(&self, node: &str) -> bool {
        let is_idle = !self.instances.contains_key(node);
        self.maintenance || self.left_alone.contains(node) || (is_idle && self.is_idle_left_alone)
    }

    /// Why nothing can be written that the whole cluster has to agree with, if it cannot.
    pub fn lacks_majority(&self) -> Option<String> {
        if !self.quorate {
            return Some("this part of the cluster has no quorum".into());
        }
        let (online, majority) = (self.online.len(), self.majority());
        let why =
            format!("{online} of {majority} nodes are online: the others must come back, be fenced, or be shut down");
        (online < majority).then_some(why)
    }

    /// The nodes on which no instance runs for certain: they are gone, or the cluster has none there.
    pub fn without_instance(&self) -> Vec<String> {
        let idle = self.online.iter().filter(|node| !self.instances.contains_key(*node));
        idle.chain(&self.gone).cloned().collect()
    }

    /// The value of a node's attribute.
    pub fn attribute(&self, node: &str, name: &str) -> Option<&str> {
        self.attributes.get(node)?.get(name).map(String::as_str)
    }
}

/// Reads `crm_mon --output-as=xml`, for the resource of this name.
///
/// # Errors
/// When the text is not XML to its end, or not crm_mon's.
pub fn view(xml: &str, resource: &str) -> Result<View> {
    Ok(View::of(survey::read(xml)?, resource))
}

impl View {
    /// What a survey of the cluster says of one resource.
    fn of(survey: Survey, resource: &str) -> Self {
        let names = |is: &dyn Fn(&Member) -> bool| -> Vec<String> {
            survey.members.iter().filter(|member| is(member)).map(|member| member.name.clone()).collect()
        };
        let instances = || survey.instances.iter().filter(|instance| instance.resource == resource);
        let running = || instances().filter_map(|it| Some((it.node.clone()?, it.role.filter(|_| !it.orphaned)?, it)));
        let unmanaged = running().filter(|(.., it)| !it.managed).map(|(node, ..)| node);
        Self {
            quorate: survey.quorate,
            is_configured: instances().next().is_some(),
            maintenance: survey.maintenance,
            left_alone: names(&|member| member.maintenance).into_iter().chain(unmanaged).collect(),
            is_idle_left_alone: instances().any(|it| it.node.is_none() && !it.managed),
            online: names(&|member| member.online),
            // Without fencing Pacemaker calls every node clean that it does not see.
            gone: names(&|member| survey.fencing_enabled && !member.online && !member.unclean),
            leaving: names(&|member| member.online && member.shutdown),
            configured: survey.members.len(),
            fencing: survey.fencing_enabled,
            instances: running().map(|(node, role, _)| (node, role)).collect(),
            attributes: survey.attributes,
        }
    }
}

/// New names, and those before 2.1.0.
pub(super) fn parse_role(role: &str) -> Option<Role> {
    match role {
        "Promoted" | "Master" => Some(Role::Promoted),
        "Unpromoted" | "Slave" | "Started" => Some(Role::Unpromoted),
        _ => None,
    }
}

/// An element's attributes, by name.
pub(super) fn attributes_of(element: &BytesStart<'_>) -> Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for attribute in element.attributes() {
        let attribute = attribute.context("a broken attribute")?;
        let value = quick_xml::escape::unescape(&attribute.value).context("a broken attribute")?.into_owned();
        found.insert(attribute.key.as_ref().to_string(), value);
    }
    Ok(found)
}

/// Reads `attrd_updater --query --all`: lines of `name="…" host="…" value="…"`.
pub fn told(text: &str) -> BTreeMap<String, String> {
    let told = text.lines().filter_map(|line| {
        let host = quoted_after(line, "host=\"")?;
        let value = quoted_after(line, "value=\"")?;
        (!value.is_empty()).then(|| (host.to_string(), value.to_string()))
    });
    told.collect()
}

/// The admin_epoch in `cibadmin --query --no-children`.
pub fn admin_epoch(xml: &str) -> Option<u64> {
    let mut reader = Reader::from_str(xml);
    loop {
        match reader.read_event().ok()? {
            Event::Start(element) | Event::Empty(element) if element.name().as_ref() == "cib" => {
                return attributes_of(&element).ok()?.get("admin_epoch")?.parse().ok();
            }
            Event::Eof => return None,
            _ => {}
        }
    }
}

/// What Pacemaker takes for true (crm_str_to_boolean).
pub(super) fn is_true(value: &str) -> bool {
    ["true", "on", "yes", "y", "1"].iter().any(|word| value.eq_ignore_ascii_case(word))
}

/// Reads `cibadmin --query --scope nodes`: the names of the nodes of which this permanent attribute is true.
///
/// # Errors
/// When the text is not XML.
pub fn nodes_with(xml: &str, attribute: &str) -> Result<Vec<String>> {
    let mut reader = Reader::from_str(xml);
    let (mut node, mut found) = (String::new(), Vec::new());
    loop {
        match reader.read_event().context("it is not XML")? {
            Event::Start(element) | Event::Empty(element) => {
                let mut attributes = attributes_of(&element)?;
                match element.name().as_ref() {
                    "node" => node = attributes.remove("uname").unwrap_or_default(),
                    "nvpair" if attributes.get("name").is_some_and(|name| name == attribute) => {
                        found.extend(attributes.get("value").filter(|value| is_true(value)).map(|_| node.clone()));
                    }
                    _ => {}
                }
            }
            Event::Eof => return Ok(found),
            _ => {}
        }
    }
}

/// Reads the pairs that `cibadmin --query --xpath` found with [`super::property::management`]: whether one of them may
/// take something out of Pacemaker's hands, wherever and whenever it holds.
///
/// # Errors
/// When the text is not XML.
pub fn may_be_left_alone(xml: &str) -> Result<bool> {
    let mut reader = Reader::from_str(xml);
    loop {
        match reader.read_event().context("it is not XML")? {
            Event::Start(element) | Event::Empty(element) if element.name().as_ref() == "nvpair" => {
                let pair = attributes_of(&element)?;
                let get = |name: &str| pair.get(name).map(String::as_str).unwrap_or_default();
                let hands_over = get("name").contains("managed");
                if is_true(get("value")) != hands_over {
                    return Ok(true);
                }
            }
            Event::Eof => return Ok(false),
            _ => {}
        }
    }
}

/// Reads the value of the one `<nvpair>` that `cibadmin --query --xpath` found.
pub fn pair_value(xml: &str) -> Option<String> {
    let mut reader = Reader::from_str(xml);
    loop {
        match reader.read_event().ok()? {
            Event::Start(element) | Event::Empty(element) if element.name().as_ref() == "nvpair" => {
                return attributes_of(&element).ok()?.remove("value");
            }
            Event::Eof => return None,
            _ => {}
        }
    }
}

fn quoted_after<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    line.split_once(key)?.1.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    const V2: &str = include_str!("../../tests/fixtures/crm_mon-2.1.5.xml");
    const V3: &str = include_str!("../../tests/fixtures/crm_mon-3.0.3.xml");

    #[test]
    fn the_promoted_node_and_the_replicas_are_read_from_every_version() {
        for xml in [V2, V3] {
            let view = view(xml, "p_db").expect("readable");
            assert!(view.quorate && view.is_configured && !view.is_left_alone_on("db1"));
            assert_eq!(view.online, ["db1", "db2", "db3"]);
            assert_eq!(view.promoted().len(), 1);
            assert_eq!(view.instances.len(), 3);
        }
    }

    #[test]
    fn attributes_are_read_by_node() {
        for xml in [V2, V3] {
            let view = view(xml, "p_db").expect("readable");
            let promoted = view.promoted()[0].to_string();
            assert_eq!(view.attribute(&promoted, "master-p_db"), Some("1000"));
            assert_eq!(view.attribute(&promoted, "no such"), None);
        }
    }

    #[test]
    fn convention_20_current_and_deprecated_names_of_roles_are_understood() {
        assert_eq!((parse_role("Promoted"), parse_role("Master")), (Some(Role::Promoted), Some(Role::Promoted)));
        assert_eq!((parse_role("Unpromoted"), parse_role("Slave")), (Some(Role::Unpromoted), Some(Role::Unpromoted)));
        assert_eq!(parse_role("Stopped"), None);
    }

    #[test]
    fn another_resources_instances_are_not_ours() {
        assert!(view(V2, "p_other").expect("readable").instances.is_empty());
    }

    #[test]
    fn a_truncated_answer_is_an_error() {
        assert!(view(&V2[..V2.len() / 2], "p_db").is_err());
        assert!(view("", "p_db").is_err());
    }

    #[test]
    fn nodes_are_found_by_a_permanent_attribute() {
        let xml = "<nodes><node id=\"1\" uname=\"db1\"/><node id=\"2\" uname=\"db2\"><instance_attributes id=\"n\">\
                   <nvpair id=\"x\" name=\"p_db-left\" value=\"1\"/></instance_attributes></node></nodes>";
        assert_eq!(nodes_with(xml, "p_db-left").expect("XML"), ["db2"]);
        assert!(nodes_with(xml, "p_other-left").expect("XML").is_empty());
        let off = xml.replace("value=\"1\"", "value=\"off\"");
        assert!(nodes_with(&off, "p_db-left").expect("XML").is_empty());
    }

    /// V3 with the first `this` after `place` replaced by `that`.
    fn changed(place: &str, this: &str, that: &str) -> View {
        let (head, tail) = V3.split_once(place).expect("it is there");
        view(&format!("{head}{place}{}", tail.replacen(this, that, 1)), "p_db").expect("readable")
    }

    #[test]
    fn what_may_take_a_resource_out_of_pacemakers_hands_is_found() {
        let pair = |name: &str, value: &str| format!("<nvpair id=\"a\" name=\"{name}\" value=\"{value}\"/>");
        let may = |pairs: &[String]| may_be_left_alone(&format!("<xpath-query>{}</xpath-query>", pairs.concat()));
        let usual = [pair("maintenance-mode", "false"), pair("is-managed", "yes"), pair("maintenance", "0")];
        assert!(!may(&usual).expect("readable"));
        for (name, value) in
            [("maintenance-mode", "On"), ("maintenance", "1"), ("is-managed", "false"), ("is-managed", "")]
        {
            assert!(may(&[&usual[..], &[pair(name, value)]].concat()).expect("readable"), "{name}={value}");
        }
    }

    #[test]
    fn one_instance_that_is_left_alone_leaves_the_others_to_pacemaker() {
        let promoted = view(V3, "p_db").expect("readable").promoted()[0].to_string();
        let other = ["db1", "db2", "db3"].into_iter().find(|name| *name != promoted).expect("one");
        let node = format!("<node name=\"{promoted}\"");
        let of_node = changed(&node, "maintenance=\"false\"", "maintenance=\"true\"");
        assert!(of_node.is_left_alone_on(&promoted) && !of_node.is_left_alone_on(other));
        let of_instance = changed("role=\"Promoted\"", "managed=\"true\"", "managed=\"false\"");
        assert!(of_instance.is_left_alone_on(&promoted) && !of_instance.is_left_alone_on(other));
    }

    #[test]
    fn a_resource_that_runs_nowhere_is_left_alone_as_a_whole() {
        let xml = "<pacemaker-result><resources><clone id=\"c_db\"><resource id=\"p_db:0\" role=\"Stopped\" \
                   managed=\"false\" nodes_running_on=\"0\"/></clone></resources></pacemaker-result>";
        let view = super::view(xml, "p_db").expect("readable");
        assert!(view.is_configured && view.is_left_alone_on("db1"));
        assert!(!super::view(xml, "p_other").expect("readable").is_configured);
    }

    #[test]
    fn the_rank_of_a_copy_is_read() {
        assert_eq!(admin_epoch("<cib validate-with=\"x\" epoch=\"5\" admin_epoch=\"7\"/>\n"), Some(7));
        assert_eq!(admin_epoch("<cib epoch=\"5\"><configuration/></cib>"), None);
        assert_eq!(admin_epoch(""), None);
    }

    #[test]
    fn a_property_that_is_not_there_has_no_value() {
        assert_eq!(pair_value("<cib/>"), None);
    }

    #[test]
    fn what_nodes_told_is_read_line_by_line() {
        let text = "name=\"p\" host=\"db1\" value=\"3 0-1-7\"\nname=\"p\" host=\"db2\" value=\"\"\nnonsense\n";
        assert_eq!(told(text), BTreeMap::from([("db1".to_string(), "3 0-1-7".to_string())]));
    }
}

//! What `crm_mon --output-as=xml` says that scenarios ask for. Pure.

use std::collections::BTreeMap;

/// The role of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It takes writes.
    Promoted,
    /// It replicates, or waits for somebody to replicate from.
    Unpromoted,
}

/// The cluster, as one of its nodes sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct View {
    pub has_quorum: bool,
    /// The node whose controller decides.
    pub dc: Option<String>,
    /// Names of the nodes that are online, done with joining and not in standby.
    pub online: Vec<String>,
    /// Where the instances of the asked resource run, and in which role.
    pub instances: BTreeMap<String, Role>,
    /// Where the other resources run; an instance that only stands by is not one of them.
    pub others: BTreeMap<String, Vec<String>>,
    /// Whether something Pacemaker knows of failed, is blocked or is under way.
    pub trouble: Vec<String>,
}

/// Reads the answer with regard to the resource `name`; instances may be numbered, as `name:0`.
pub(super) fn parse_view(xml: &str, name: &str) -> View {
    let mut view = View::default();
    if let Some(dc) = elements(xml, "current_dc").next() {
        view.has_quorum = attribute(dc, "with_quorum") == Some("true");
        view.dc = attribute(dc, "name").map(str::to_owned);
    }
    let is = |element: &str, name: &str| attribute(element, name) == Some("true");
    for node in elements(section(xml, "nodes"), "node") {
        if is(node, "online") && !is(node, "pending") && !is(node, "standby") {
            view.online.extend(attribute(node, "name").map(str::to_owned));
        }
    }
    for resource in section(xml, "resources").split("<resource ").skip(1) {
        let resource = resource.split("</resource>").next().unwrap_or(resource);
        let head = resource.split('>').next().unwrap_or(resource);
        let id = attribute(head, "id").unwrap_or_default();
        let id = id.split(':').next().unwrap_or(id);
        for bad in ["failed", "blocked", "orphaned"].into_iter().filter(|name| is(head, name)) {
            view.trouble.push(format!("{id} {bad}"));
        }
        if let Some(pending) = attribute(head, "pending") {
            view.trouble.push(format!("{id} {pending}"));
        }
        let role = match attribute(head, "role") {
            Some("Promoted" | "Master") => Some(Role::Promoted),
            Some("Unpromoted" | "Slave" | "Started") => Some(Role::Unpromoted),
            _ => None,
        };
        let nodes = elements(resource, "node").filter_map(|node| attribute(node, "name")).map(str::to_owned);
        match role {
            Some(role) if id == name => view.instances.extend(nodes.map(|node| (node, role))),
            _ if id == name => {}
            _ if matches!(attribute(head, "role"), Some("Unpromoted" | "Slave")) => {}
            _ => view.others.entry(id.to_owned()).or_default().extend(nodes),
        }
    }
    view
}

/// The text between an element's tags; pacemaker never puts one of these into another of its kind.
fn section<'a>(xml: &'a str, name: &str) -> &'a str {
    let rest = xml.split_once(&format!("<{name}>")).map_or("", |(_, rest)| rest);
    rest.split_once(&format!("</{name}>")).map_or("", |(inside, _)| inside)
}

/// The attributes' text of each element of this name.
fn elements<'a>(xml: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let start = format!("<{name} ");
    let starts: Vec<_> = xml.match_indices(&start).map(|(at, found)| at + found.len()).collect();
    starts.into_iter().map(|at| xml[at..].split('>').next().unwrap_or_default())
}

fn attribute<'a>(element: &'a str, name: &str) -> Option<&'a str> {
    let start = format!(" {name}=\"");
    let rest = match element.strip_prefix(&start[1..]) {
        Some(rest) => rest,
        None => element.split_once(&start)?.1,
    };
    rest.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(fixture: &str) -> View {
        parse_view(fixture, "p_db")
    }

    #[test]
    fn both_versions_are_understood() {
        let old = include_str!("../../../fixtures/crm_mon-2.1.5.xml");
        let new = include_str!("../../../fixtures/crm_mon-3.0.3.xml");
        for seen in [view(old), view(new)] {
            assert!(seen.has_quorum && seen.dc.is_some());
            assert_eq!(seen.online, ["db1", "db2", "db3"]);
            assert_eq!(seen.instances.values().filter(|role| **role == Role::Promoted).count(), 1);
            assert_eq!(seen.instances.len(), 3);
        }
    }

    #[test]
    fn another_resource_is_where_it_runs() {
        let seen = view(include_str!("../../../fixtures/crm_mon-2.1.5.xml"));
        assert_eq!(seen.others.get("p_vip"), Some(&vec!["db1".to_owned()]));
        assert!(seen.trouble.is_empty(), "{:?}", seen.trouble);
    }

    #[test]
    fn an_instance_that_stands_by_has_not_what_the_promoted_one_has() {
        let instance = |role: &str, node: &str| {
            format!(r#"<resource id="p_vip" role="{role}" failed="false"><node name="{node}"/></resource>"#)
        };
        let xml =
            ["<resources>", &instance("Unpromoted", "db1"), &instance("Promoted", "db2"), "</resources>"].concat();
        assert_eq!(view(&xml).others["p_vip"], ["db2"]);
    }

    #[test]
    fn a_stopped_resource_is_nowhere_and_a_failed_one_is_trouble() {
        let xml = r#"<resources><resource id="p_db" role="Stopped" failed="true" blocked="false"/>
            <resource id="p_vip" role="Stopped" failed="false" pending="Starting"/></resources>"#;
        let seen = view(xml);
        assert!(seen.instances.is_empty() && seen.others["p_vip"].is_empty());
        assert_eq!(seen.trouble, ["p_db failed", "p_vip Starting"]);
    }
}

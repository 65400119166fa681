//! The whole cluster at one moment, as crm_mon shows it, for people: what [`super::View`] is for one resource. Pure.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use quick_xml::Reader;
use quick_xml::events::Event;

use super::parse::{Role, attributes_of, parse_role};

/// The cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// This part of it may act.
    pub quorate: bool,
    /// The node whose controller decides.
    pub dc: Option<String>,
    /// When this was, as Pacemaker writes it.
    pub time: String,
    /// Fencing is switched on.
    pub fencing_enabled: bool,
    /// Its maintenance mode is on.
    pub maintenance: bool,
    /// The configured nodes.
    pub members: Vec<Member>,
    /// The instances of its resources, in the order of the configuration.
    pub instances: Vec<Instance>,
    /// Node attributes, by node and name.
    pub attributes: BTreeMap<String, BTreeMap<String, String>>,
    /// What failed and was not cleaned up.
    pub failures: Vec<Failure>,
    /// What the tool complains of, while it exits as if nothing were wrong: 2.1.5 does so while its CIB manager is away.
    pub complaint: Option<String>,
}

/// A node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// It takes part.
    pub online: bool,
    /// It runs nothing, by order.
    pub standby: bool,
    /// What runs there is left alone, by order.
    pub maintenance: bool,
    /// It is joining.
    pub pending: bool,
    /// It is to be fenced.
    pub unclean: bool,
    /// It is about to leave cleanly.
    pub shutdown: bool,
}

/// An instance of a resource: one for each node on which it runs, and one for each that runs nowhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Instance {
    /// The resource.
    pub resource: String,
    /// Its agent, for example `ocf:rustha:mysql`.
    pub agent: String,
    /// Where it runs; `None`: nowhere.
    pub node: Option<String>,
    /// As what; `None`: it is stopped.
    pub role: Option<Role>,
    /// It is one of a promotable clone's.
    pub is_promotable: bool,
    /// Pacemaker looks after it.
    pub managed: bool,
    /// The configuration does not have it any more.
    pub orphaned: bool,
    /// It failed, and was not recovered.
    pub failed: bool,
    /// What Pacemaker is doing with it, for example `Promoting`.
    pub pending: Option<String>,
}

/// Something that failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failure {
    /// The resource.
    pub resource: String,
    /// The action, for example `monitor`.
    pub action: String,
    /// Where.
    pub node: String,
    /// What Pacemaker calls the exit code.
    pub status: String,
    /// The exit reason.
    pub reason: String,
    /// When, as Pacemaker writes it.
    pub time: String,
}

impl Survey {
    /// It fences: that is switched on, and there is a device for it.
    pub fn fences(&self) -> bool {
        self.fencing_enabled && self.instances.iter().any(|instance| instance.agent.starts_with("stonith:"))
    }

    /// A node's attribute.
    pub fn attribute(&self, node: &str, name: &str) -> Option<&str> {
        self.attributes.get(node)?.get(name).map(String::as_str)
    }

    /// The resources of this agent, in the order of the configuration.
    pub fn resources_of(&self, agent: &str) -> Vec<&str> {
        let mut found: Vec<&str> = Vec::new();
        for instance in self.instances.iter().filter(|instance| instance.agent == agent) {
            if !found.contains(&instance.resource.as_str()) {
                found.push(&instance.resource);
            }
        }
        found
    }

    /// The instances of a resource that run somewhere.
    pub fn running(&self, resource: &str) -> impl Iterator<Item = (&str, &Instance)> {
        let of_resource = self.instances.iter().filter(move |instance| instance.resource == resource);
        of_resource.filter_map(|instance| Some((instance.node.as_deref()?, instance)))
    }

    /// Where the resource is promoted.
    pub fn promoted(&self, resource: &str) -> Vec<&str> {
        self.running(resource).filter(|(_, it)| it.role == Some(Role::Promoted)).map(|(node, _)| node).collect()
    }
}

/// Reads `crm_mon --inactive --output-as=xml`.
///
/// # Errors
/// When the text is not XML to its end, or not crm_mon's.
pub fn read(xml: &str) -> Result<Survey> {
    let mut reader = Reader::from_str(xml);
    let mut survey = Survey::default();
    // Elements of the same name mean different things, by what they are in.
    let mut within: Vec<String> = Vec::new();
    let (mut instance, mut runs_somewhere) = (None, false);
    let mut is_promotable = false;
    let mut of_node = String::new();
    let mut is_complete = false;
    loop {
        let event = reader.read_event().context("it is not XML")?;
        let (element, is_open) = match &event {
            Event::Start(element) => (element, true),
            Event::Empty(element) => (element, false),
            Event::End(element) => {
                let name = element.name();
                within.pop();
                if name.as_ref() == "resource" {
                    survey.instances.extend(instance.take().filter(|_| !runs_somewhere));
                }
                is_complete |= name.as_ref() == "pacemaker-result";
                continue;
            }
            Event::Text(text) if within.last().is_some_and(|name| name == "error") => {
                survey.complaint = Some(text.xml10_content().trim().to_string());
                continue;
            }
            Event::Eof => break,
            _ => continue,
        };
        let attributes = attributes_of(element)?;
        let get = |name: &str| attributes.get(name).map(String::as_str).unwrap_or_default();
        let is = |name: &str| get(name) == "true";
        let name = element.name().as_ref().to_string();
        match (within.last().map(String::as_str), name.as_str()) {
            (Some("summary"), "current_dc") => {
                survey.quorate = is("with_quorum");
                survey.dc = Some(get("name").to_string()).filter(|name| !name.is_empty());
            }
            (Some("summary"), "last_update") => survey.time = get("time").to_string(),
            (Some("summary"), "cluster_options") => {
                survey.maintenance = is("maintenance-mode");
                // Called fencing-enabled from 3.0.3 on.
                survey.fencing_enabled = is("stonith-enabled") || is("fencing-enabled");
            }
            (Some("nodes"), "node") => survey.members.push(Member {
                name: get("name").to_string(),
                online: is("online"),
                standby: is("standby") || is("standby_onfail"),
                maintenance: is("maintenance"),
                pending: is("pending"),
                unclean: is("unclean"),
                shutdown: is("shutdown"),
            }),
            (_, "clone") => is_promotable = is("multi_state"),
            (_, "resource") if within.iter().any(|name| name == "resources") => {
                let read = Instance {
                    resource: get("id").split(':').next().unwrap_or_default().to_string(),
                    // Before 2.1 "ocf::rustha:mysql".
                    agent: get("resource_agent").replace("::", ":"),
                    node: None,
                    role: parse_role(get("role")),
                    is_promotable: is_promotable && within.iter().any(|name| name == "clone"),
                    managed: get("managed") != "false" && !is("maintenance"),
                    orphaned: is("orphaned"),
                    failed: is("failed"),
                    pending: attributes.get("pending").cloned(),
                };
                if is_open {
                    (instance, runs_somewhere) = (Some(read), false);
                } else {
                    survey.instances.push(read);
                }
            }
            (Some("resource"), "node") => {
                if let Some(instance) = &instance {
                    runs_somewhere = true;
                    survey.instances.push(Instance { node: Some(get("name").to_string()), ..instance.clone() });
                }
            }
            (Some("node_attributes"), "node") => of_node = get("name").to_string(),
            (Some("node"), "attribute") => {
                let of_node = survey.attributes.entry(of_node.clone()).or_default();
                of_node.insert(get("name").to_string(), get("value").to_string());
            }
            (Some("failures"), "failure") => survey.failures.push(Failure {
                resource: resource_of(get("op_key"), get("task")),
                action: get("task").to_string(),
                node: get("node").to_string(),
                status: get("exitstatus").to_string(),
                reason: get("exitreason").to_string(),
                time: get("last-rc-change").to_string(),
            }),
            _ => {}
        }
        if is_open {
            within.push(name);
        }
    }
    if !is_complete {
        bail!("it ends too early");
    }
    Ok(survey)
}

/// `p_db:0_monitor_2000` is of `p_db`.
fn resource_of(key: &str, task: &str) -> String {
    let resource = key.rsplit_once(&format!("_{task}_")).map_or(key, |(resource, _)| resource);
    resource.split(':').next().unwrap_or_default().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const V2: &str = include_str!("../../tests/fixtures/crm_mon-2.1.5.xml");
    const V3: &str = include_str!("../../tests/fixtures/crm_mon-3.0.3.xml");

    #[test]
    fn nodes_instances_and_attributes_are_read_from_every_version() {
        for xml in [V2, V3] {
            let survey = read(xml).expect("readable");
            assert!(survey.quorate && survey.dc.is_some() && !survey.fences() && !survey.maintenance);
            assert!(survey.members.len() == 3 && survey.members.iter().all(|node| node.online && !node.standby));
            assert_eq!(survey.resources_of("ocf:rustha:mysql"), ["p_db"]);
            assert_eq!(survey.running("p_db").count(), 3);
            let promoted = survey.promoted("p_db");
            assert_eq!(promoted.len(), 1);
            assert_eq!(survey.attribute(promoted[0], "master-p_db"), Some("1000"));
        }
    }

    #[test]
    fn what_failed_is_read_with_its_reason() {
        let survey = read(&V3.replace("exitreason=\"\"", "exitreason=\"it ended\"")).expect("readable");
        let failure = &survey.failures[0];
        assert_eq!(
            (failure.resource.as_str(), failure.action.as_str(), failure.node.as_str()),
            ("p_db", "monitor", "db1")
        );
        assert_eq!((failure.status.as_str(), failure.reason.as_str()), ("Not running", "it ended"));
    }

    #[test]
    fn an_instance_that_runs_nowhere_is_one_too() {
        let xml = "<pacemaker-result><nodes><node name=\"db1\"/></nodes><resources><clone id=\"c\"><resource id=\"p_db:0\" role=\"Stopped\" managed=\"true\" \
                   resource_agent=\"ocf::rustha:mysql\"/></clone></resources></pacemaker-result>";
        let survey = read(xml).expect("readable");
        assert_eq!(survey.resources_of("ocf:rustha:mysql"), ["p_db"]);
        assert_eq!((survey.running("p_db").count(), survey.instances[0].role), (0, None));
        assert!(!survey.instances[0].is_promotable && read(V3).expect("readable").instances[1].is_promotable);
    }

    #[test]
    fn a_cluster_fences_only_with_a_device() {
        let on = V3.replace("fencing-enabled=\"false\"", "fencing-enabled=\"true\"");
        assert!(!read(&on).expect("readable").fences());
        let device = on.replace(
            "<resource id=\"p_vip\" resource_agent=\"ocf:heartbeat:IPaddr2\"",
            "<resource id=\"f\" resource_agent=\"stonith:fence_x\"",
        );
        assert!(read(&device).expect("readable").fences());
    }

    #[test]
    fn what_the_tool_complains_of_is_read() {
        // From 2.1.5, whose Corosync was killed; it exits with 0.
        let xml = "<pacemaker-result api-version=\"2.25\"><status code=\"0\" message=\"OK\"><errors><error>Could not connect to the \
                   CIB: Transport endpoint is not connected</error></errors></status></pacemaker-result>";
        let complaint = read(xml).expect("readable").complaint;
        assert_eq!(complaint.as_deref(), Some("Could not connect to the CIB: Transport endpoint is not connected"));
        assert_eq!(read(V3).expect("readable").complaint, None);
    }

    #[test]
    fn a_truncated_answer_is_an_error() {
        assert!(read(&V3[..V3.len() / 2]).is_err() && read("").is_err());
    }
}

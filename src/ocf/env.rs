//! The only reader of the environment: what Pacemaker (or a person, or ocf-tester) says about this call.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::notify::Notification;

/// One call of an agent, as the environment describes it.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// The resource's name without the clone's instance number (`p_db:0` is `p_db`: anonymous clones).
    pub resource: String,
    /// Parameters as given (`OCF_RESKEY_…` without the meta attributes).
    pub params: BTreeMap<String, String>,
    /// `OCF_CHECK_LEVEL`; `None` when it is not set.
    pub check_level: Option<u32>,
    /// What the cluster says about itself; `None` when this call does not come from a cluster (ocf-tester, a person).
    pub cluster: Option<ClusterMeta>,
    /// The action's timeout, if it is known (`CRM_meta_timeout`, milliseconds).
    pub timeout: Option<Duration>,
    /// The action's interval: zero for a probe and for everything that does not recur (`CRM_meta_interval`, milliseconds).
    pub interval: Duration,
    /// Where state that may not survive a reboot is kept (`HA_RSCTMP`).
    pub run_dir: PathBuf,
}

/// What only Pacemaker says.
#[derive(Clone, Debug)]
pub struct ClusterMeta {
    /// This node's name in the cluster, if the call says it (`CRM_meta_on_node`).
    pub node: Option<String>,
    /// The resource is a promotable clone.
    pub promotable: bool,
    /// `notify=true` is set on the clone.
    pub notify: bool,
    /// How many instances the clone may have.
    pub clone_max: Option<usize>,
    /// The notification, or the picture of the transition that also goes with start, stop, promote and demote.
    pub notification: Notification,
}

impl Invocation {
    /// Reads this process's environment.
    pub fn from_env() -> Self {
        Self::from_pairs(
            std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))),
        )
    }

    /// Reads the environment of another process (proc(5)): that in which the guard of a resource was started.
    ///
    /// # Errors
    /// When it does not run, or is somebody else's.
    pub fn of_process(pid: i32) -> std::io::Result<Self> {
        let bytes = std::fs::read(format!("/proc/{pid}/environ"))?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let pairs = text.split('\0').filter_map(|pair| pair.split_once('='));
        Ok(Self::from_pairs(pairs.map(|(name, value)| (name.to_string(), value.to_string()))))
    }

    /// Reads an environment given as pairs.
    pub fn from_pairs(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut env: BTreeMap<String, String> = pairs.into_iter().collect();
        let mut params = BTreeMap::new();
        let mut meta = BTreeMap::new();
        for (name, value) in &env {
            let Some(name) = name.strip_prefix("OCF_RESKEY_") else { continue };
            match name.strip_prefix("CRM_meta_") {
                Some(name) => meta.insert(name.to_string(), value.clone()),
                None if name == "crm_feature_set" => None,
                None => params.insert(name.to_string(), value.clone()),
            };
        }
        let instance = env.remove("OCF_RESOURCE_INSTANCE").unwrap_or_else(|| "rustha".to_string());
        let milliseconds = |name: &str| meta.get(name)?.parse().ok().map(Duration::from_millis);
        let promotable = is_true(meta.get("promotable"))
            || ["promoted_max", "master_max"].iter().any(|name| meta.contains_key(*name));
        Self {
            resource: instance.split(':').next().unwrap_or_default().to_string(),
            params,
            check_level: env.get("OCF_CHECK_LEVEL").and_then(|level| level.trim().parse().ok()),
            // The executor always sends the feature set; nobody else does.
            cluster: env.contains_key("OCF_RESKEY_crm_feature_set").then(|| ClusterMeta {
                node: meta.get("on_node").cloned().filter(|name| !name.is_empty()),
                promotable,
                notify: is_true(meta.get("notify")),
                clone_max: meta.get("clone_max").and_then(|number| number.parse().ok()),
                notification: Notification::from_meta(&meta),
            }),
            timeout: milliseconds("timeout"),
            interval: milliseconds("interval").unwrap_or_default(),
            run_dir: env.get("HA_RSCTMP").map_or_else(|| "/run/resource-agents".into(), PathBuf::from),
        }
    }
}

fn is_true(value: Option<&String>) -> bool {
    value.is_some_and(|text| matches!(text.to_ascii_lowercase().as_str(), "true" | "1" | "yes" | "on"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Invocation {
        Invocation::from_pairs(pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())))
    }

    #[test]
    fn convention_10_times_are_milliseconds() {
        let call = read(&[("OCF_RESKEY_CRM_meta_timeout", "20000"), ("OCF_RESKEY_CRM_meta_interval", "10000")]);
        assert_eq!((call.timeout, call.interval), (Some(Duration::from_secs(20)), Duration::from_secs(10)));
    }

    #[test]
    fn convention_11_the_nodes_name_is_pacemakers() {
        let call = read(&[("OCF_RESKEY_crm_feature_set", "3.16.2"), ("OCF_RESKEY_CRM_meta_on_node", "db1")]);
        assert_eq!(call.cluster.expect("under Pacemaker").node.as_deref(), Some("db1"));
    }

    #[test]
    fn convention_12_promoted_max_and_the_legacy_name_both_mean_a_promotable_clone() {
        for name in ["promoted_max", "master_max"] {
            let name = format!("OCF_RESKEY_CRM_meta_{name}");
            let call = read(&[("OCF_RESKEY_crm_feature_set", "3.16.2"), (&name, "1")]);
            assert!(call.cluster.expect("under Pacemaker").promotable);
        }
    }

    #[test]
    fn convention_13_without_a_feature_set_the_call_is_not_from_a_cluster() {
        assert!(read(&[("OCF_RESKEY_CRM_meta_timeout", "15000")]).cluster.is_none());
    }

    #[test]
    fn the_instance_number_of_a_clone_is_no_part_of_the_name_and_meta_attributes_are_no_parameters() {
        let call = read(&[("OCF_RESOURCE_INSTANCE", "p_db:1"), ("OCF_RESKEY_user", "mysql")]);
        assert_eq!(call.resource, "p_db");
        assert_eq!(call.params.keys().collect::<Vec<_>>(), ["user"]);
    }
}

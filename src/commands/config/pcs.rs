//! The plan as pcs commands. Pure.

use super::plan::{Plan, Resource};

/// The text.
pub fn print(plan: &Plan) -> String {
    let stash = format!("cibsecret stash {} replication_passwd", plan.database.id);
    let mut lines = plan.heading("Run it with: sh -e FILE", &stash, "pcs stonith list");
    lines.push(format!("pcs property set stonith-enabled={}", plan.fences));
    resource(&mut lines, &plan.database);
    resource(&mut lines, &plan.address);
    let (database, address) = (outer(&plan.database), outer(&plan.address));
    let (role, action) = if plan.address.clone.is_some() { ("Promoted ", "promote") } else { ("", "start") };
    lines.push(format!("pcs constraint colocation add {role}{address} with Promoted {database}"));
    lines.push(format!("pcs constraint order promote {database} then {action} {address}"));
    if let Some(readers) = &plan.readers {
        resource(&mut lines, readers);
        let id = &readers.id;
        lines.push(format!("pcs constraint location {id} rule score=-INFINITY not_defined readable or readable ne 1"));
        lines.push(format!("pcs constraint colocation add {id} with Promoted {database} score=-100"));
    }
    if plan.has_other_nodes {
        lines.push("# The cluster has other nodes.".into());
        let not_these: Vec<String> = plan.nodes.iter().map(|node| format!("'#uname' ne {node}")).collect();
        for id in [database, address].into_iter().chain(plan.readers.as_ref().map(outer)) {
            lines.push(format!("pcs constraint location {id} rule score=-INFINITY {}", not_these.join(" and ")));
        }
    }
    lines.join("\n") + "\n"
}

/// pcs names clones itself.
fn outer(resource: &Resource) -> String {
    if resource.clone.is_some() { format!("{}-clone", resource.id) } else { resource.id.clone() }
}

fn resource(lines: &mut Vec<String>, resource: &Resource) {
    lines.push(format!("# {}", resource.comment));
    let parameters: Vec<String> = resource.parameters.iter().map(|(name, value)| format!("'{name}={value}'")).collect();
    lines.push(format!("pcs resource create {} {} \\", resource.id, resource.agent));
    lines.push(format!("  {} \\", parameters.join(" ")));
    let clone = resource.clone.as_ref().map(|(_, meta)| {
        let others = meta.iter().filter(|(name, _)| *name != "promotable");
        let others: Vec<String> = others.map(|(name, value)| format!("{name}={value}")).collect();
        format!(" \\\n  promotable {}", others.join(" "))
    });
    lines.push(format!("  op {}{}", resource.operations().join(" "), clone.unwrap_or_default()));
}

#[cfg(test)]
mod tests {
    use super::super::plan::tests::given;
    use super::super::plan::{Given, Plan};
    use super::*;

    #[test]
    fn the_commands_have_what_was_asked_for() {
        let reader_ip = Some("10.0.0.51".parse().expect("an address"));
        let plan =
            Plan::of(&Given { reader_ip, password: Some("a b"), ..given(&[], &["db1", "db2"]) }).expect("a plan");
        let text = print(&plan);
        for part in [
            "pcs property set stonith-enabled=true",
            "'replication_passwd=a b'",
            "op start timeout=120s stop timeout=120s",
            "promotable notify=true interleave=true",
            "pcs constraint colocation add p_db_vip with Promoted p_db-clone",
            "pcs constraint order promote p_db-clone then start p_db_vip",
            "pcs constraint location p_db_reader rule score=-INFINITY not_defined readable or readable ne 1",
        ] {
            assert!(text.contains(part), "{part} is not in:\n{text}");
        }
        assert!(!text.contains("in the place of"));
    }
}

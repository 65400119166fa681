//! The plan in crmsh's language. Pure.

use super::plan::{Plan, Resource};

/// The text.
pub fn print(plan: &Plan) -> String {
    let stash = format!("crm resource secret {} stash replication_passwd", plan.database.id);
    let mut lines = plan.heading("Load it with: crm configure load update FILE", &stash, "crm ra list stonith");
    lines.push(format!("property stonith-enabled={}", plan.fences));
    resource(&mut lines, &plan.database);
    resource(&mut lines, &plan.address);
    let (database, address) = (plan.database.outer(), plan.address.outer());
    let (with, then) = match plan.address.clone {
        Some(_) => (format!("{address}:Promoted"), format!("{address}:promote")),
        None => (address.to_string(), format!("{address}:start")),
    };
    lines.push(format!("colocation {}_with_primary inf: {with} {database}:Promoted", plan.address.id));
    lines.push(format!("order {}_after_promotion Mandatory: {database}:promote {then}", plan.address.id));
    if let Some(readers) = &plan.readers {
        resource(&mut lines, readers);
        let id = &readers.id;
        lines.push(format!("location {id}_where_readable {id} rule -inf: not_defined readable or readable ne 1"));
        lines.push(format!("colocation {id}_apart -100: {id} {database}:Promoted"));
    }
    if plan.has_other_nodes {
        lines.push("# The cluster has other nodes.".into());
        let not_these: Vec<String> = plan.nodes.iter().map(|node| format!("#uname ne {node}")).collect();
        for outer in std::iter::once(database).chain(Some(address)).chain(plan.readers.as_ref().map(Resource::outer)) {
            lines.push(format!("location {outer}_here {outer} rule -inf: {}", not_these.join(" and ")));
        }
    }
    lines.join("\n") + "\n"
}

fn resource(lines: &mut Vec<String>, resource: &Resource) {
    lines.push(format!("# {}", resource.comment));
    let parameters: Vec<String> =
        resource.parameters.iter().map(|(name, value)| format!("{name}={}", quoted(value))).collect();
    lines.push(format!("primitive {} {} \\", resource.id, resource.agent));
    lines.push(format!("  params {} \\", parameters.join(" ")));
    let operations = resource.operations();
    lines.push(operations.iter().map(|words| format!("  op {words}")).collect::<Vec<_>>().join(" \\\n"));
    if let Some((clone, meta)) = &resource.clone {
        let meta: Vec<String> = meta.iter().map(|(name, value)| format!("{name}={value}")).collect();
        lines.push(format!("clone {clone} {} meta {}", resource.id, meta.join(" ")));
    }
}

fn quoted(value: &str) -> String {
    let is_plain = value.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_.:".contains(letter));
    if is_plain { value.to_string() } else { format!("\"{value}\"") }
}

#[cfg(test)]
mod tests {
    use super::super::plan::tests::given;
    use super::super::plan::{Given, Plan};
    use super::*;

    #[test]
    fn the_configuration_has_what_was_asked_for() {
        let reader_ip = Some("10.0.0.51".parse().expect("an address"));
        let named = ["db1:10.1.0.1".to_string(), "db2:10.1.0.2".to_string()];
        let plan = Plan::of(&Given { reader_ip, ..given(&named, &["db1", "db2", "db3"]) }).expect("a plan");
        let text = print(&plan);
        for part in [
            "property stonith-enabled=true",
            "primitive p_db ocf:rustha:mysql \\",
            "replication_host_map=\"db1:10.1.0.1;db2:10.1.0.2\"",
            "  op start timeout=120s \\",
            "  op monitor role=Promoted interval=2s timeout=30s",
            "clone c_db p_db meta promotable=true notify=true interleave=true",
            "colocation p_db_vip_with_primary inf: p_db_vip c_db:Promoted",
            "order p_db_vip_after_promotion Mandatory: c_db:promote p_db_vip:start",
            "location p_db_reader_where_readable p_db_reader rule -inf: not_defined readable",
            "location c_db_here c_db rule -inf: #uname ne db1 and #uname ne db2",
        ] {
            assert!(text.contains(part), "{part} is not in:\n{text}");
        }
    }

    #[test]
    fn an_address_that_stands_by_is_promoted_with_the_database() {
        let plan = Plan::of(&Given { has_address_clone: true, ..given(&[], &["db1", "db2"]) }).expect("a plan");
        let text = print(&plan);
        assert!(text.contains("colocation p_db_vip_with_primary inf: c_db_vip:Promoted c_db:Promoted"), "{text}");
        assert!(text.contains("c_db:promote c_db_vip:promote"), "{text}");
    }
}

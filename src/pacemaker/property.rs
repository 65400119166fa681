//! A cluster property as Pacemaker's tools take it: as XML, and as the path of the set that holds it. Pure.

/// More than this much of a value is not compared word by word: a program's argument may have 128 KiB.
const HEAD: usize = 32 * 1024;

/// The set with this property in it, as `cibadmin --modify --xpath` takes it.
pub fn print(set: &str, name: &str, value: &str) -> String {
    let value = quick_xml::escape::escape(value);
    format!(
        "<cluster_property_set id=\"{set}\"><nvpair id=\"{set}-{name}\" name=\"{name}\" value=\"{value}\"/>\
         </cluster_property_set>"
    )
}

/// The set without any properties, as `cibadmin --modify --allow-create --scope crm_config` takes it.
pub fn print_empty(set: &str) -> String {
    format!("<crm_config><cluster_property_set id=\"{set}\"/></crm_config>")
}

/// The path of the property itself.
pub fn path(set: &str, name: &str) -> String {
    format!("//cluster_property_set[@id='{set}']/nvpair[@name='{name}']")
}

/// The path of a cluster property, in whichever set it is.
pub fn path_anywhere(name: &str) -> String {
    format!("//crm_config/cluster_property_set/nvpair[@name='{name}']")
}

/// The path of the nodes that have operations of this resource on record, or of an instance of it.
pub fn nodes_with_history(resource: &str) -> String {
    let is_it = format!("@id={} or starts-with(@id,{})", literal(resource), literal(&format!("{resource}:")));
    format!("//node_state[lrm/lrm_resources/lrm_resource[{is_it}]]")
}

/// The path of everything that says whether Pacemaker manages something: a cluster's property, a node's attribute, a
/// resource's or their defaults' meta attribute, wherever it holds.
pub fn management() -> String {
    "//nvpair[contains(@name,'maintenance') or contains(@name,'is-managed')]".into()
}

/// The path of the set, but only as long as the property in it has this value (`None`: has none, or an empty one). Of a
/// very long value the first part and the length are compared.
pub fn path_while(set: &str, name: &str, value: Option<&str>) -> String {
    let condition = match value {
        None => format!("not(nvpair[@name='{name}'][string-length(@value)>0])"),
        Some(value) if value.len() <= HEAD => format!("nvpair[@name='{name}'][@value={}]", literal(value)),
        Some(value) => {
            let head = &value[..value.floor_char_boundary(HEAD)];
            let (head, length) = (literal(head), value.chars().count());
            format!("nvpair[@name='{name}'][starts-with(@value,{head})][string-length(@value)={length}]")
        }
    };
    format!("//cluster_property_set[@id='{set}'][{condition}]")
}

/// A string in XPath 1.0, which knows no escapes.
fn literal(text: &str) -> String {
    if !text.contains('"') {
        return format!("\"{text}\"");
    }
    let parts: Vec<String> = text.split('"').map(|part| format!("\"{part}\"")).collect();
    format!("concat({})", parts.join(",'\"',"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pacemaker::parse::pair_value;

    #[test]
    fn a_property_is_read_as_it_is_printed() {
        let xml = print("rustha", "p_db-record", "epoch=1 base=a<b>\"&'");
        assert_eq!(pair_value(&xml).as_deref(), Some("epoch=1 base=a<b>\"&'"));
    }

    #[test]
    fn objection_4_a_set_is_found_only_while_its_property_has_the_value() {
        assert_eq!(
            path_while("rustha", "r", Some("epoch=1")),
            "//cluster_property_set[@id='rustha'][nvpair[@name='r'][@value=\"epoch=1\"]]"
        );
        assert!(path_while("rustha", "r", None).contains("not(nvpair"));
        let long = path_while("rustha", "r", Some(&"ä".repeat(HEAD)));
        assert!(long.len() < HEAD + 200 && long.contains(&format!("[string-length(@value)={HEAD}]")));
    }

    #[test]
    fn a_string_with_both_kinds_of_quotes_is_put_together() {
        assert_eq!(literal("it's"), "\"it's\"");
        assert_eq!(literal("a\"b'c"), "concat(\"a\",'\"',\"b'c\")");
    }
}

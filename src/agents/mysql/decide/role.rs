//! The truth about the role: not `read_only`, which anybody can toggle, but the mark that promote left together with
//! what the server says.

/// What an instance is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Promoted by us, and it takes writes.
    Primary,
    /// Promoted by us, but somebody closed it.
    ClosedPrimary,
    /// Not promoted, and it takes no writes.
    Replica,
    /// Not promoted, but it takes writes: opened by somebody else, or before this agent was in charge.
    Strayed,
}

/// Compares mark and server.
pub fn decide_role(is_marked: bool, is_writable: bool) -> Role {
    match (is_marked, is_writable) {
        (true, true) => Role::Primary,
        (true, false) => Role::ClosedPrimary,
        (false, false) => Role::Replica,
        (false, true) => Role::Strayed,
    }
}

/// What is done about an instance that takes writes without our mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stray {
    /// The cluster counts it as its primary (a probe found it writable): it becomes ours, and no client notices.
    Adopt,
    /// The cluster is not in charge now: only say it.
    Report,
    /// It is a replica that somebody opened: close it at once.
    Close,
}

/// Decides about a strayed instance (objection 25: the first monitor after a change of agent must not kill clients).
///
/// `last_primary` is the node of the last promotion on record: a server that was opened behind the cluster's back on
/// another node has not what that one acknowledged, and is never adopted.
pub fn decide_stray(me: &str, promoted: &[&str], last_primary: Option<&str>, unmanaged: bool) -> Stray {
    let is_only_one = promoted.iter().all(|node| *node == me);
    let is_successor = last_primary.is_none_or(|node| node == me);
    match (is_only_one && is_successor, unmanaged) {
        (true, _) if promoted.contains(&me) => Stray::Adopt,
        (_, true) => Stray::Report,
        (_, false) => Stray::Close,
    }
}

/// Whether a probe says of a server that takes writes without our mark that it is promoted.
pub fn is_probed_as_primary(me: &str, promoted: &[&str], last_primary: Option<&str>) -> bool {
    promoted.iter().all(|node| *node == me) && last_primary.is_none_or(|node| node == me)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_role_needs_mark_and_server_to_agree() {
        assert_eq!(decide_role(true, true), Role::Primary);
        assert_eq!(decide_role(true, false), Role::ClosedPrimary);
        assert_eq!(decide_role(false, false), Role::Replica);
        assert_eq!(decide_role(false, true), Role::Strayed);
    }

    #[test]
    fn objection_25_the_only_writable_server_is_adopted() {
        assert_eq!(decide_stray("db1", &["db1"], None, false), Stray::Adopt);
        assert_eq!(decide_stray("db1", &["db1"], Some("db1"), true), Stray::Adopt);
        assert!(is_probed_as_primary("db1", &[], None) && is_probed_as_primary("db1", &[], Some("db1")));
    }

    #[test]
    fn invariant_2_a_second_writable_server_is_closed_unless_the_operator_is_in_charge() {
        assert_eq!(decide_stray("db1", &["db2"], None, false), Stray::Close);
        assert_eq!(decide_stray("db1", &["db1", "db2"], None, false), Stray::Close);
        assert_eq!(decide_stray("db1", &[], Some("db1"), false), Stray::Close);
        assert_eq!(decide_stray("db1", &["db2"], None, true), Stray::Report);
    }

    #[test]
    fn invariant_3_a_server_that_was_opened_on_another_node_than_the_last_primarys_is_never_adopted() {
        assert_eq!(decide_stray("db1", &["db1"], Some("db2"), false), Stray::Close);
        assert!(!is_probed_as_primary("db1", &[], Some("db2")) && !is_probed_as_primary("db1", &["db2"], None));
    }
}

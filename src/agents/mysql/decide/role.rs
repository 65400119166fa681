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
pub fn decide_stray(promoted_here: bool, promoted_elsewhere: bool, unmanaged: bool) -> Stray {
    match (promoted_here && !promoted_elsewhere, unmanaged) {
        (true, _) => Stray::Adopt,
        (false, true) => Stray::Report,
        (false, false) => Stray::Close,
    }
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
        assert_eq!(decide_stray(true, false, false), Stray::Adopt);
        assert_eq!(decide_stray(true, false, true), Stray::Adopt);
    }

    #[test]
    fn invariant_2_a_second_writable_server_is_closed_unless_the_operator_is_in_charge() {
        assert_eq!(decide_stray(false, true, false), Stray::Close);
        assert_eq!(decide_stray(true, true, false), Stray::Close);
        assert_eq!(decide_stray(false, true, true), Stray::Report);
    }
}

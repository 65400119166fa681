//! What the timeline is made of. Pure.

use std::fmt;
use std::time::Duration;

use super::failure::Tally;
use super::pulse::Gap;

/// Whether clients could write on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Its server said that it takes writes.
    Writable,
    /// Its server said that it is read-only.
    ReadOnly,
    /// Its server could not be asked.
    Unreachable,
}

/// Whether a node holds the VIP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vip {
    /// The address is on an interface that is up and has a carrier.
    Held,
    /// The address is there, but the interface is down or its cable is out: nobody can meet it.
    CutOff,
    /// The node has no such address, or no network namespace.
    Absent,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// When, since the start.
    pub at: Duration,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// The caller said so.
    Mark(String),
    /// The first write was acknowledged.
    WritesStarted,
    /// The last acknowledgement before a gap.
    WritesStopped,
    /// The first acknowledgement after a gap.
    WritesResumed {
        /// The time without writes that ended.
        gap: Gap,
        /// What the writers met in it.
        failures: Tally,
    },
    /// A node's access changed.
    Access {
        /// The node.
        node: String,
        /// What it is now.
        access: Access,
        /// Why it could not be asked, if so.
        why: Option<String>,
    },
    /// The VIP appeared on a node, or left it.
    Vip {
        /// The node.
        node: String,
        /// How it is now.
        vip: Vip,
    },
    /// The ledger itself met something it cannot measure with.
    Trouble(String),
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mark(text) => f.write_str(text),
            Self::WritesStarted => f.write_str("writes started"),
            Self::WritesStopped => f.write_str("writes stopped"),
            Self::WritesResumed { gap, failures } => {
                write!(f, "writes resumed after {:.3} s", gap.length().as_secs_f64())?;
                if failures.is_empty() {
                    return Ok(());
                }
                write!(f, " ({failures})")
            }
            Self::Access { node, access, why } => {
                let state = match access {
                    Access::Writable => "writable",
                    Access::ReadOnly => "read-only",
                    Access::Unreachable => "unreachable",
                };
                write!(f, "{node} {state}")?;
                match why {
                    Some(why) => write!(f, " ({why})"),
                    None => Ok(()),
                }
            }
            Self::Vip { node, vip } => match vip {
                Vip::Held => write!(f, "VIP appeared on {node}"),
                Vip::CutOff => write!(f, "VIP cut off with {node}"),
                Vip::Absent => write!(f, "VIP left {node}"),
            },
            Self::Trouble(text) => write!(f, "ledger: {text}"),
        }
    }
}

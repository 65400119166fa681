//! rustha-lab.
pub mod ledger;

//! What is decided for a `mysql` instance. Pure: no clock, no environment, no file, no process, no log.

pub mod cold_start;
pub mod election;
pub mod errant;
pub mod forced;
pub mod freshness;
pub mod health;
pub mod insync;
pub mod keeping;

pub mod position;
pub mod record;
pub mod rejoin;
pub mod role;

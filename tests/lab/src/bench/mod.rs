//! `cargo lab bench`: this product beside what operators use today, in one run on one machine, on clusters of the same
//! kind. What is measured is what a client sees (the time without acknowledged writes around a fault), and what the
//! agents cost (wall time, processor time and processes of each action).
//!
//! ```text
//! contender  who is compared, how a cluster of it is set up, and how it is asked for a planned move
//! trial      one fault on a cluster under load, and what the client saw
//! trials     all trials of a contender, each on a cluster that is whole
//! measured   the wrapper that runs in the nodes instead of an agent, and measures it
//! actions    a cluster's life under the wrapper: what each action costs
//! address    who has the address, and what that one's actions cost
//! figures    medians; pure
//! table, picture   what is made of it for people; pure
//! ```

pub(crate) mod actions;
pub mod address;
pub mod contender;
pub(crate) mod figures;
pub mod measured;
pub(crate) mod picture;
pub(crate) mod table;
pub(crate) mod trial;
pub(crate) mod trials;

//! Everything said to mysqld, in our own words: its versions, its language, its option files, its process.

pub mod client;
pub mod dialect;
pub mod events;
pub mod layout;
pub mod mounts;
pub mod options;
pub mod peers;
pub mod process;
pub mod rows;
pub mod semisync;
pub mod tools;
pub mod version;

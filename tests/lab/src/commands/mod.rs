//! The verbs of `cargo lab`, one file each.

pub mod bench;
pub mod build_root;
pub mod demo;
pub mod down;
pub mod exec;
pub mod fault;
pub mod heal;
pub mod shell;
mod stage;
pub mod status;
pub mod test;
pub mod up;

use clap::Args;

/// Which lab is meant.
#[derive(Args, Clone, Debug)]
pub struct Which {
    /// The lab's name; labs of different names never meet
    #[arg(long, value_name = "LAB", default_value = "lab")]
    pub name: String,
}

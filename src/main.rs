//! The program `rustha`.
fn main() {}

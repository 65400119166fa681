//! Temporary.
fn main() -> anyhow::Result<()> {
    rustha_lab::roots::Root::ensure(std::env::args().nth(1).unwrap().parse()?)
}

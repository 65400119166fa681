//! The program: how it was called decides whether it is an agent or the operator's command.

fn main() {
    std::process::exit(rustha::cli::run(std::env::args_os()));
}

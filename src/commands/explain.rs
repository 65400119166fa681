//! `rustha explain`: what a code of `rustha check` means, and what to do.

use crate::agents::mysql::checks::catalogue::{ALL, find};

/// Prints the page of a check, or the list of all; the exit status.
pub fn run(code: Option<&str>) -> i32 {
    match code.map(|code| (code, find(code))) {
        None => {
            for check in ALL {
                println!("{}  {}", check.code, check.title);
            }
        }
        Some((_, Some(check))) => {
            println!("{}: {}\n", check.code, check.title);
            println!("What it means that this fails ({:?}):\n{}\n", check.severity, wrapped(check.meaning));
            println!("What to do:\n{}", wrapped(check.remedy));
        }
        Some((code, None)) => {
            eprintln!("rustha: there is no check {code}; rustha explain lists them");
            return 1;
        }
    }
    0
}

/// For a screen of 80 columns.
fn wrapped(text: &str) -> String {
    super::screen::wrap(text, 78).iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

//! Writes what is made from the program's own definitions: `cargo run -p rustha-generate -- man DIR`, `completions DIR`,
//! `schema DIR`. Packages are built with it; `packaging/schema` is kept with the sources, since programs are written by it.

mod agent_page;
mod command_pages;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use clap_complete::Shell;

/// Write documents of rustha.
#[derive(Parser)]
struct Cli {
    /// What to write
    what: What,
    /// Where
    directory: PathBuf,
    /// The date that man pages show, that of the release; no clock is asked, so that two builds are the same
    #[arg(long, value_name = "YYYY-MM-DD", default_value = "")]
    date: String,
}

#[derive(Clone, Copy, ValueEnum)]
enum What {
    /// Man pages: of the command, and of each agent
    Man,
    /// Completions for bash, zsh and fish
    Completions,
    /// Schemas of what the commands print with --json
    Schema,
}

fn main() -> Result<()> {
    let Cli { what, directory, date } = Cli::parse();
    fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
    match what {
        What::Man => {
            for (name, page) in command_pages::all(&date)?.into_iter().chain(agent_page::all(&date)?) {
                write(&directory.join(name), &page)?;
            }
        }
        What::Completions => {
            for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
                clap_complete::generate_to(shell, &mut rustha::cli::command(), "rustha", &directory)?;
            }
        }
        What::Schema => {
            for (name, schema) in schemas()? {
                write(&directory.join(name), schema.as_bytes())?;
            }
        }
    }
    Ok(())
}

/// The schemas, by the names of their files.
fn schemas() -> Result<Vec<(String, String)>> {
    let print = |(name, schema)| Ok((format!("{name}.json"), serde_json::to_string_pretty(&schema)? + "\n"));
    rustha::commands::schemas().into_iter().map(print).collect()
}

fn write(path: &Path, text: &[u8]) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schemas_that_are_kept_are_those_of_the_program() {
        let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schema");
        for (name, schema) in schemas().expect("schemas") {
            let file = fs::read_to_string(kept.join(&name)).unwrap_or_default();
            assert_eq!(
                file, schema,
                "write packaging/schema/{name} anew: cargo run -p rustha-generate -- schema packaging/schema"
            );
        }
    }
}

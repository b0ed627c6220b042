//! The program `matron`: the homeserver, and the command line that manages it.

mod cli;
mod config;
mod control;
mod data;
mod face;
mod failure;
mod first_start;
mod health;
mod listen;
mod logs;
mod manage;
mod media;
mod metrics;
mod password;
mod pem;
mod place;
mod reports;
mod serve;
mod text;
mod threads;
mod traces;
mod upkeep;
mod users;
mod work;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::{Arguments, Command, Configuration};
use crate::config::Config;
use crate::failure::{Failure, Result};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let file = arguments.config.or_else(|| std::env::var_os("MATRON_CONFIG").map(PathBuf::from));
    let done = match arguments.command.unwrap_or(Command::Serve) {
        Command::Serve => load(file.as_ref()).and_then(|config| serve::run(config, file)),
        Command::Ready => load(file.as_ref()).and_then(|config| manage::ready(&config)),
        Command::User { command } => load(file.as_ref()).and_then(|config| manage::run(config, command)),
        Command::Report { command } => load(file.as_ref()).and_then(|config| manage::report(config, command)),
        Command::Media { command } => load(file.as_ref()).and_then(|config| manage::media(config, command)),
        Command::Db { command } => load(file.as_ref()).and_then(|config| upkeep::run(config, command)),
        Command::Config { command: Configuration::Document } => print(&config::document()),
        Command::Config { command: Configuration::Check } => {
            load(file.as_ref()).and_then(|_| print("the configuration is right\n"))
        }
        Command::Config { command: Configuration::Show } => load(file.as_ref()).and_then(|config| show(&config)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = writeln!(std::io::stderr(), "{failure}");
            ExitCode::FAILURE
        }
    }
}

fn load(file: Option<&PathBuf>) -> Result<Config> {
    Config::load(file.map(PathBuf::as_path)).map_err(|problems| Failure::new(problems.to_string()))
}

/// Dotted keys are TOML too, so that what is printed can be a configuration file again.
fn show(config: &Config) -> Result<()> {
    config.shown.iter().try_for_each(|(name, value)| print(&format!("{name} = {value}\n")))
}

/// Writes to standard output; a reader who went away is no reason to complain.
fn print(text: &str) -> Result<()> {
    let written = std::io::stdout().write_all(text.as_bytes());
    match written {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::because("standard output", &error))
        }
        _ => Ok(()),
    }
}

//! The program `matron`: the homeserver, and the command line that manages it.

mod cli;
mod config;
mod control;
mod data;
mod face;
mod failure;
mod first_start;
mod health;
mod limits;
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
use std::path::Path;
use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::{Arguments, Command, Configuration};
use crate::config::Config;
use crate::failure::{Failure, Result};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let file = config::file(arguments.config, std::env::var_os("MATRON_CONFIG"), Path::new(config::PACKAGED));
    let load = || Config::load(file.as_deref()).map_err(|problems| Failure::new(problems.to_string()));
    let done = match arguments.command.unwrap_or(Command::Serve) {
        Command::Serve => load().and_then(serve::run),
        Command::Ready => load().and_then(|config| manage::ready(&config)),
        Command::User { command } => load().and_then(|config| manage::run(config, command)),
        Command::Report { command } => load().and_then(|config| manage::report(config, command)),
        Command::Media { command } => load().and_then(|config| manage::media(config, command)),
        Command::Db { command } => load().and_then(|config| upkeep::run(config, command)),
        Command::Config { command: Configuration::Document } => print(&config::document()),
        Command::Config { command: Configuration::Check } => load().and_then(|config| check(&config)),
        Command::Config { command: Configuration::Show } => load().and_then(|config| show(&config)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = writeln!(std::io::stderr(), "{failure}");
            ExitCode::FAILURE
        }
    }
}

/// Whether a server would start by it: the files of its certificates are read too.
fn check(config: &Config) -> Result<()> {
    let wrong = config.listeners.iter().filter_map(|listener| listen::certificate(listener).err());
    let wrong: Vec<_> = wrong.map(|failure| failure.to_string()).collect();
    if wrong.is_empty() {
        return print(&format!("the configuration is right; {}\n", config.origin()));
    }
    Err(Failure::new(wrong.join("\n")))
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
